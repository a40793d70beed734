//! Origins on free ports: one that answers by a function, and one that sends bytes as they are.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::script::{Body, respond};

/// An HTTP server that remembers the heads of its requests.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<request::Parts>>>,
}

impl Origin {
    /// Answers with what `answer` makes of the request and its number, from 1.
    pub(crate) async fn serving<F>(
        answer: impl Fn(usize, Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (listener, address) = listen().await;
        let seen = Arc::<Mutex<Vec<request::Parts>>>::default();
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, record) = (answer.clone(), Arc::clone(&record));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (head, body) = request.into_parts();
                    let number = {
                        let mut record = record.lock().unwrap();
                        record.push(head.clone());
                        record.len()
                    };
                    let answer = answer(number, Request::from_parts(head, body));
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // How it ends is larder's business.
                tokio::spawn(connection);
            }
        });
        Origin { address, seen }
    }

    /// Reads each request to its end, and then answers.
    pub(crate) async fn at_once(
        answer: impl Fn(usize, &Request<Bytes>) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        Origin::serving(move |number, request| {
            let answer = answer.clone();
            async move {
                let (head, body) = request.into_parts();
                match body.collect().await {
                    Ok(body) => answer(number, &Request::from_parts(head, body.to_bytes())),
                    Err(_) => respond(400, &[], "it broke off"),
                }
            }
        })
        .await
    }

    /// Always answers 200 with this.
    pub(crate) async fn saying(content_type: &'static str, body: &'static [u8]) -> Self {
        Origin::at_once(move |_, _| respond(200, &[("content-type", content_type)], body)).await
    }

    /// Answers 200 with the request's target, in JSON.
    pub(crate) async fn echoing() -> Self {
        Origin::at_once(|_, request| {
            let target = serde_json::to_string(&request.uri().to_string()).unwrap();
            respond(200, &[("content-type", "application/json")], target)
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<request::Parts> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> request::Parts {
        self.seen().pop().expect("it was asked")
    }
}

/// What a [`Raw`] does when it has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Closes the connection.
    Close,
    /// Keeps it, and answers further requests on it.
    Stay,
}

/// A server that answers every request head with the same bytes.
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    pub(crate) async fn sending(bytes: impl Into<Bytes>, then: Then) -> Self {
        let (listener, address) = listen().await;
        let (bytes, seen) = (bytes.into(), Arc::<Mutex<Vec<String>>>::default());
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (bytes, record) = (bytes.clone(), Arc::clone(&record));
                tokio::spawn(async move {
                    while let Some(head) = read_head(&mut stream).await {
                        record.lock().unwrap().push(head);
                        if stream.write_all(&bytes).await.is_err() || then == Then::Close {
                            return;
                        }
                    }
                });
            }
        });
        Raw { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far, as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// All up to an empty line; `None` when the connection has ended.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// An address at which connections are refused. It is nobody else's while this is there.
pub(crate) struct Nobody {
    pub(crate) address: SocketAddr,
    _bound: TcpSocket,
}

pub(crate) fn nobody() -> Nobody {
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
    Nobody {
        address: bound.local_addr().unwrap(),
        _bound: bound,
    }
}

impl Nobody {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
