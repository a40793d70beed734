//! Connections over real sockets.

use http_body_util::{BodyExt, Full};
use hyper::client::conn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use tower::service_fn;

use super::*;

/// A server whose path `/slow` waits for `release`, having told `asked`.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<bool>,
    asked: Arc<Notify>,
    release: Arc<Notify>,
}

async fn serve_one() -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (asked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let draining = Draining::default();
    let app = {
        let (asked, release, draining) = (asked.clone(), release.clone(), draining.clone());
        service_fn(move |request: Request<Incoming>| {
            let (asked, release, draining) = (asked.clone(), release.clone(), draining.clone());
            async move {
                if request.uri().path() == "/slow" {
                    asked.notify_one();
                    release.notified().await;
                }
                let text = format!("{:?} {}", request.version(), draining.is_on());
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
            }
        })
    };
    tokio::spawn({
        let draining = draining.clone();
        async move {
            let _ = stopped.await;
            draining.begin();
        }
    });
    let bounds = Bounds::new(Limits::default(), Duration::from_secs(30));
    let app = move |_| app.clone();
    let done = tokio::spawn(serve(listener, None, (app, None), bounds, draining));
    Served {
        address,
        stop,
        done,
        asked,
        release,
    }
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let count = stream.read_buf(&mut read).await.unwrap();
        assert_ne!(
            count,
            0,
            "closed after {:?}",
            String::from_utf8_lossy(&read)
        );
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn serves_version_1_also_when_it_comes_in_drops() {
    let served = serve_one().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in ["P", "ROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(until(&mut stream, "false").await.contains("HTTP/1.1 false"));
}

#[tokio::test]
async fn serves_version_2_to_whom_begins_with_it() {
    let served = serve_one().await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://h/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0 false");
}

#[tokio::test]
async fn ends_at_once_with_nothing_in_flight() {
    let served = serve_one().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    until(&mut idle, "false").await;
    let _silent = TcpStream::connect(served.address).await.unwrap();
    served.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), served.done)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn finishes_what_is_in_flight_and_answers_who_is_connected() {
    let served = serve_one().await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut other = TcpStream::connect(served.address).await.unwrap();
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    until(&mut other, "false").await;
    served.asked.notified().await;

    served.stop.send(()).unwrap();
    // The listener is gone: so the draining has begun.
    while TcpStream::connect(served.address).await.is_ok() {}
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let answer = until(&mut other, "true").await;
    assert!(answer.contains("connection: close"), "{answer}");

    assert!(!served.done.is_finished());
    served.release.notify_one();
    until(&mut slow, "true").await;
    timeout(Duration::from_secs(5), served.done)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_given_up() {
    let served = serve_one().await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    served.asked.notified().await;
    served.stop.send(()).unwrap();
    tokio::time::pause();
    let clock = crate::clock::Clock::system();
    let begun = clock.instant();
    assert!(!served.done.await.unwrap());
    assert!(clock.instant() - begun <= DRAIN + Duration::from_secs(1));
}
