//! Clients of HTTP/2 that ask for much and let nothing of it come.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

use super::limits::counted;
use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    script::respond,
};

const LARGE: usize = 1 << 20;

/// A connection on which little comes of each body until that is read. hyper answers pings on it.
struct Narrow {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

impl Narrow {
    async fn to(larder: &Larder) -> Self {
        let stream = TcpStream::connect(larder.address).await.unwrap();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1000)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        Narrow {
            sender,
            connection: tokio::spawn(connection),
        }
    }

    async fn ask(&mut self, larder: &Larder, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("http://{}{path}", larder.address));
        let request = request.version(Version::HTTP_2).body(Empty::new()).unwrap();
        soon(self.sender.send_request(request)).await.unwrap()
    }
}

async fn large(kept: &'static str) -> Origin {
    Origin::at_once(move |_, _| respond(200, &[("cache-control", kept)], vec![b'x'; LARGE])).await
}

/// The connection of a client that takes nothing of what it asked for is closed.
async fn takes_nothing_and_is_let_go(larder: &Larder) {
    let mut narrow = Narrow::to(larder).await;
    let unread = narrow.ask(larder, "/x").await;
    let _ = soon(narrow.connection).await.unwrap();
    counted(larder, "refused_slow_readers", 1).await;
    assert!(soon(unread.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn who_lets_nothing_come_on_a_stream_is_not_waited_for() {
    let origin = large("no-store").await;
    let larder = Larder::before(&origin.url(), &["--timeout=1"]).await;
    takes_nothing_and_is_let_go(&larder).await;
}

/// All of the body is given then, and waits in the connection: that has to end, too.
#[tokio::test]
async fn nor_is_who_takes_nothing_of_what_is_stored() {
    let origin = large("max-age=60").await;
    let flags = ["--timeout=1", "--idle-timeout=1"];
    let larder = Larder::before(&origin.url(), &flags).await;
    larder.get("/x").await;
    assert!(larder.until_hit("/x").await.is_hit());
    takes_nothing_and_is_let_go(&larder).await;
}

#[tokio::test]
async fn a_narrow_window_is_wide_enough_for_who_reads() {
    for kept in ["no-store", "max-age=60"] {
        let origin = large(kept).await;
        let flags = ["--timeout=5", "--idle-timeout=5"];
        let larder = Larder::before(&origin.url(), &flags).await;
        let mut narrow = Narrow::to(&larder).await;
        for _ in 0..2 {
            let body = narrow.ask(&larder, "/x").await.into_body();
            let body = soon(body.collect()).await.unwrap().to_bytes();
            assert_eq!(body.len(), LARGE);
        }
    }
}
