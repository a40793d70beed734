//! larder, served by the test itself on a free port, and a client that asks it.

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use larder::proxy::{
    Proxy,
    config::{self, Command},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tower::BoxError;

use super::script::Body;

/// Nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test where `what` would make it hang.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// A larder that serves.
pub(crate) struct Larder {
    pub(crate) address: SocketAddr,
    /// Where the controls are.
    pub(crate) controls: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

impl Larder {
    /// Starts it with these flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let flags = [flags, &["--port=0"]].concat();
        let command = config::parse(flags.into_iter().map(OsString::from), |_| None);
        let Ok(Command::Run(config)) = command else {
            panic!("{command:?}");
        };
        let proxy = soon(Proxy::bind(*config)).await.unwrap();
        let (address, controls) = (proxy.local_addr(), proxy.controls_addr());
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(proxy.run(async {
            let _ = stopped.await;
        }));
        Larder {
            address,
            controls,
            stop,
            done,
        }
    }

    /// Starts it before this origin.
    pub(crate) async fn before(origin: &str, flags: &[&str]) -> Self {
        let flags = [flags, &["--origin", origin]].concat();
        Larder::start(&flags).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }

    /// Asks what `/proxy?url=` says of `url`, which is percent-encoded here.
    pub(crate) async fn proxy(&self, url: &str) -> Answer {
        self.get(&proxy_target(url)).await
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        ask(self.address, request(method, target, fields, "")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        ask(self.address, request).await
    }

    /// Asks until the answer is a hit.
    pub(crate) async fn until_hit(&self, target: &str) -> Answer {
        soon(async {
            loop {
                let answer = self.get(target).await;
                if answer.is_hit() {
                    return answer;
                }
            }
        })
        .await
    }

    /// Sends bytes on a new connection.
    pub(crate) async fn talk(&self, bytes: &[u8]) -> Talk {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Talk {
            stream,
            heard: String::new(),
        }
    }

    /// Asks it to stop, and no more.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.done
    }
}

/// A connection as bytes.
pub(crate) struct Talk {
    stream: TcpStream,
    heard: String,
}

impl Talk {
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until `what` has come. It is all that came since the last time.
    pub(crate) async fn hear(&mut self, what: &str) -> String {
        let mut piece = [0; 4096];
        while !self.heard.contains(what) {
            let count = soon(self.stream.read(&mut piece)).await.unwrap();
            assert!(count > 0, "no {what:?} in {:?}", self.heard);
            self.heard
                .push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        std::mem::take(&mut self.heard)
    }

    /// Reads until the other side closes, in good order or not.
    pub(crate) async fn hear_out(mut self) -> String {
        let mut rest = Vec::new();
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
        self.heard + &String::from_utf8_lossy(&rest)
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn is_hit(&self) -> bool {
        match self.header("x-cache") {
            "HIT" => true,
            "MISS" => false,
            other => panic!("X-Cache is {other:?} in {self:?}"),
        }
    }

    /// Status and code, where this is an error in the one shape that larder's own errors have.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let value = self.json();
        let (code, message) = (&value["error"]["code"], &value["error"]["message"]);
        let (code, message) = (code.as_str().unwrap(), message.as_str().unwrap());
        assert!(message.ends_with('.') && message.contains(' '), "{message}");
        let whole = serde_json::json!({
            "success": false,
            "error": {"code": code, "message": message},
        });
        assert_eq!(value, whole);
        (self.status, code.to_owned())
    }
}

/// The response as soon as its head is here, on a connection of its own.
pub(crate) async fn open(to: SocketAddr, request: Request<Body>) -> Response<Incoming> {
    let answer = async {
        let stream = TcpStream::connect(to).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok::<_, BoxError>(sender.send_request(request).await?)
    };
    soon(answer).await.unwrap()
}

/// The whole response.
pub(crate) async fn ask(to: SocketAddr, request: Request<Body>) -> Answer {
    let response = open(to, request).await;
    soon(Answer::of(response)).await.unwrap()
}

pub(crate) fn request(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Body> {
    let body = Full::new(body.into())
        .map_err(BoxError::from)
        .boxed_unsync();
    with_body(method, target, fields, body)
}

pub(crate) fn with_body(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: Body,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// `/proxy?url=` with `url` as the value of a query's parameter.
pub(crate) fn proxy_target(url: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let encoded: String = url
        .bytes()
        .map(|b| match plain(b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect();
    format!("/proxy?url={encoded}")
}
