//! What larder is measured against: hyper alone, with the same runtime and settings, and nothing
//! else in it.
//!
//! ```text
//! bare 127.0.0.1:9000                        # /size/N answers N bytes, of which it has constants
//! bare 127.0.0.1:9000 http://127.0.0.1:9001  # a reverse proxy without a cache
//! ```
//!
//! HTTP/1.1, and HTTP/2 with prior knowledge, told apart by the first bytes.

use std::{convert::Infallible, env, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{Either, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::{TcpListener, TcpStream};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<Either<Full<Bytes>, Incoming>>;

/// What is answered, and how.
enum Server {
    /// Bodies by their path, without or with the fields that a cache's hit has.
    Constant {
        bodies: Vec<(String, Bytes)>,
        fields: HeaderMap,
    },
    Proxy {
        client: Box<Client<HttpConnector, Incoming>>,
        origin: Uri,
    },
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let usage = "bare ADDRESS [ORIGIN]";
    let address = env::args().nth(1).ok_or(usage)?;
    let server = Arc::new(match env::args().nth(2) {
        None => constant(),
        Some(origin) => proxy(origin.parse()?),
    });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, Arc::clone(&server)));
    }
}

fn constant() -> Server {
    let text = "x".repeat(1024 - r#"{"data":""}"#.len());
    let json = Bytes::from(format!(r#"{{"data":"{text}"}}"#));
    let large = Bytes::from(vec![b'x'; 4 << 20]);
    let bodies = [1 << 10, 256 << 10, 4 << 20].map(|size| {
        let body = if size == json.len() {
            json.clone()
        } else {
            large.slice(..size)
        };
        (format!("/size/{size}"), body)
    });
    let fields = [
        ("content-type", "application/json"),
        ("cache-control", "max-age=3600"),
        ("etag", "\"5d8c72a5edda8\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "origin"),
        ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ("strict-transport-security", "max-age=63072000"),
        ("age", "7"),
        ("x-cache", "HIT"),
        ("cache-status", "larder; hit; ttl=3593"),
        ("via", "1.1 larder"),
    ];
    let fields = fields.map(|(name, value)| {
        let name = header::HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    Server::Constant {
        bodies: bodies.into(),
        fields: HeaderMap::from_iter(fields),
    }
}

fn proxy(origin: Uri) -> Server {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let client = Box::new(client);
    Server::Proxy { client, origin }
}

async fn connection(stream: TcpStream, server: Arc<Server>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut first = [0; 3];
    let h2 = stream.peek(&mut first).await? == 3 && first == *b"PRI";
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let io = TokioIo::new(stream);
    if h2 {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .serve_connection(io, service)
            .await?;
    } else {
        let mut http1 = http1::Builder::new();
        // larder keeps time itself; without it hyper does least.
        http1
            .header_read_timeout(None)
            .serve_connection(io, service)
            .await?;
    }
    Ok(())
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match self {
            Server::Constant { bodies, fields } => {
                let path = request.uri().path();
                let Some((_, body)) = bodies.iter().find(|body| body.0 == path) else {
                    return empty(StatusCode::NOT_FOUND);
                };
                let mut response = Response::new(Either::Left(Full::new(body.clone())));
                if request.uri().query() == Some("fields") {
                    *response.headers_mut() = fields.clone();
                }
                response
            }
            Server::Proxy { client, origin } => match ask(client, origin, request).await {
                Ok(response) => response.map(Either::Right),
                Err(_) => empty(StatusCode::BAD_GATEWAY),
            },
        }
    }
}

async fn ask(
    client: &Client<HttpConnector, Incoming>,
    origin: &Uri,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let mut uri = origin.clone().into_parts();
    let path = request.uri().path_and_query().cloned();
    uri.path_and_query = path.or(Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.version_mut() = http::Version::HTTP_11;
    // The client names the origin.
    request.headers_mut().remove(header::HOST);
    Ok(client.request(request).await?)
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
