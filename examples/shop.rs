//! A small shop's API that takes its time: the origin of `make demo`.
//!
//! ```text
//! cargo run --example shop -- 127.0.0.1:4000 300      # address, delay in milliseconds
//! curl http://127.0.0.1:4000/products/1
//! ```

use std::{convert::Infallible, env, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Title, category, price in cents, stock, rating.
const PRODUCTS: &[(&str, &str, u32, u32, f32)] = &[
    ("Cast-iron skillet, 26 cm", "kitchen", 3490, 41, 4.8),
    ("Enamel stock pot, 8 l", "kitchen", 5950, 12, 4.6),
    ("Bread knife, serrated", "kitchen", 2795, 87, 4.7),
    ("Kitchen scale, 5 kg", "kitchen", 1999, 150, 4.3),
    ("Mason jars, set of six", "pantry", 1450, 230, 4.9),
    ("Sourdough starter, dried", "pantry", 690, 64, 4.5),
    ("Wildflower honey, 500 g", "pantry", 980, 118, 4.8),
    ("Basmati rice, 5 kg", "pantry", 1375, 75, 4.4),
    ("Olive oil, cold pressed, 1 l", "pantry", 1590, 96, 4.6),
    ("Smoked paprika", "pantry", 420, 310, 4.7),
    ("Linen apron", "textiles", 3200, 38, 4.5),
    ("Tea towels, pack of four", "textiles", 1890, 140, 4.4),
    ("Oven gloves, wool", "textiles", 2450, 22, 4.2),
    ("Beeswax wraps", "textiles", 1690, 88, 4.1),
    ("Cellar thermometer", "storage", 1250, 57, 4.3),
    ("Apple crate, pine", "storage", 2150, 19, 4.6),
    ("Egg rack, ceramic", "storage", 1780, 33, 4.5),
    ("Potato sack, jute", "storage", 540, 204, 4.0),
];

fn product(id: usize) -> Option<Value> {
    let (title, category, cents, stock, rating) = PRODUCTS.get(id.checked_sub(1)?)?;
    Some(json!({
        "id": id,
        "title": title,
        "category": category,
        "price": f64::from(*cents) / 100.0,
        "stock": stock,
        "rating": (f64::from(*rating) * 10.0).round() / 10.0,
    }))
}

/// A number among the parameters of a query.
fn number(query: &str, name: &str) -> Option<usize> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

fn list(query: &str) -> Value {
    let skip = number(query, "skip").unwrap_or(0);
    let limit = number(query, "limit").unwrap_or(PRODUCTS.len());
    let products: Vec<_> = (skip + 1..=PRODUCTS.len())
        .take(limit)
        .filter_map(product)
        .collect();
    json!({ "products": products, "total": PRODUCTS.len(), "skip": skip, "limit": limit })
}

fn answer(req: &Request<Incoming>) -> (StatusCode, Value) {
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            json!({ "message": "this shop is read-only" }),
        );
    }
    let path = req.uri().path().trim_end_matches('/');
    let found = match path.strip_prefix("/products") {
        Some("") => Some(list(req.uri().query().unwrap_or_default())),
        Some(id) => id
            .strip_prefix('/')
            .and_then(|id| product(id.parse().ok()?)),
        None => None,
    };
    match found {
        Some(found) => (StatusCode::OK, found),
        None => (
            StatusCode::NOT_FOUND,
            json!({ "message": format!("no such thing: {path}") }),
        ),
    }
}

async fn serve(
    req: Request<Incoming>,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(delay).await;
    let (status, body) = answer(&req);
    let mut res = Response::new(Full::from(body.to_string()));
    *res.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    res.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(res)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:4000".to_owned());
    let delay = env::args()
        .nth(2)
        .map_or(Ok(300), |millis| millis.parse())?;
    let delay = Duration::from_millis(delay);

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |req| serve(req, delay)),
                ),
        );
    }
}
