//! An origin that answers whatever the cases ask.

use std::{convert::Infallible, net::SocketAddr, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, channel::Channel, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Failure;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Too large to be stored.
const LARGE: usize = 64 << 20;

/// Small enough to be stored.
const STORED: usize = 4 << 20;

pub(super) async fn start() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

/// All bodies are parts of one, so that making them takes no time and no memory.
fn some(size: usize) -> Bytes {
    static ALL: OnceLock<Bytes> = OnceLock::new();
    ALL.get_or_init(|| vec![b'x'; LARGE].into()).slice(..size)
}

async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let varies = path == "/vary";
    let full = |size| Full::new(some(size)).boxed_unsync();
    let body = match path {
        "/large" => full(LARGE),
        "/stored" => full(STORED),
        "/middle" => full(50_000),
        "/up" => {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            return Ok(Response::new(full(0)));
        }
        _ if path.starts_with("/endless") => {
            let (mut sender, body) = Channel::new(1);
            tokio::spawn(
                async move { while sender.send(Frame::data(some(1 << 16))).await.is_ok() {} },
            );
            body.boxed_unsync()
        }
        _ => full(1000),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("max-age=600"));
    if varies {
        headers.insert("vary", HeaderValue::from_static("x-by"));
    }
    Ok(response)
}
