//! The origin behind the proxies, on a thread of its own.
//!
//! | path | answer |
//! |---|---|
//! | `/size/1024`, `/size/1024/any` | so many bytes, to be kept for an hour; 1024 are JSON |
//! | `/slow/any` | 1 MiB that takes 200 ms to begin |

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, runtime::Builder};

use super::Failure;

/// The largest body.
pub(crate) const LARGEST: usize = 8 << 20;
const SLOW: Duration = Duration::from_millis(200);

/// With `Date`, which hyper adds, eight fields and `Content-Length`.
const FIELDS: [(&str, &str); 7] = [
    ("content-type", "application/json"),
    ("cache-control", "max-age=3600"),
    ("etag", "\"5d8c72a5edda8\""),
    ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("server", "origin"),
    ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
    ("strict-transport-security", "max-age=63072000"),
];

/// An origin that serves for as long as the program runs.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    headers: HeaderMap,
    json: Bytes,
    bytes: Bytes,
    requests: AtomicU64,
    slow_since: Mutex<Option<Instant>>,
}

/// 1 KiB of JSON.
pub(crate) fn json() -> Bytes {
    let text = "x".repeat(1024 - r#"{"data":""}"#.len());
    Bytes::from(format!(r#"{{"data":"{text}"}}"#))
}

impl Origin {
    pub(crate) fn start() -> Result<Origin, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let fields = FIELDS.map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let state = Arc::new(State {
            headers: HeaderMap::from_iter(fields),
            json: json(),
            bytes: Bytes::from(vec![b'x'; LARGEST]),
            requests: AtomicU64::new(0),
            slow_since: Mutex::default(),
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&state);
        thread::spawn(move || runtime.block_on(serve(listener, served)));
        Ok(Origin { address, state })
    }

    /// How many requests have come so far.
    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// When the last slow answer began.
    pub(crate) fn slow_since(&self) -> Option<Instant> {
        let since = self.state.slow_since.lock();
        *since.unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<State>) -> Result<(), Failure> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    let mut path = request.uri().path().split('/').skip(1);
    let body = match (path.next(), path.next()) {
        (Some("size"), Some("1024")) => Some(state.json.clone()),
        (Some("size"), Some(size)) => {
            let size: Option<usize> = size.parse().ok();
            let size = size.filter(|size| *size <= LARGEST);
            size.map(|size| state.bytes.slice(..size))
        }
        (Some("slow"), _) => {
            tokio::time::sleep(SLOW).await;
            let since = state.slow_since.lock();
            *since.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            Some(state.bytes.slice(..1 << 20))
        }
        _ => None,
    };
    let mut response = Response::new(Full::new(body.clone().unwrap_or_default()));
    *response.headers_mut() = state.headers.clone();
    if body.is_none() {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    Ok(response)
}
