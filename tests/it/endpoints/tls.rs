//! TLS for clients: both versions of HTTP, both of TLS, and who never finishes a handshake.

use std::net::SocketAddr;

use http::Version;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{
    certificate::Certificate,
    origin::Origin,
    proxy::{Answer, Larder, ask, request, soon},
    script::respond,
};

async fn before(origin: &Origin, certificate: &Certificate, flags: &[&str]) -> Larder {
    let [cert, key] = certificate.flags();
    Larder::before(&origin.url(), &[&[&*cert, &*key], flags].concat()).await
}

async fn shake(
    larder: &Larder,
    certificate: &Certificate,
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    shake_at(larder.address, certificate, version, alpn).await
}

async fn shake_at(
    address: SocketAddr,
    certificate: &Certificate,
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let client = TlsConnector::from(certificate.client(&[version], alpn));
    let name = "localhost".try_into().unwrap();
    soon(client.connect(name, stream)).await.unwrap()
}

/// The answer to `GET /x`, and the version that it came in.
async fn get(stream: TlsStream<TcpStream>) -> (Version, Answer) {
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let response = if h2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = request("GET", "https://localhost/x", &[], "");
        soon(sender.send_request(request)).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        soon(sender.send_request(request("GET", "/x", &[], "")))
            .await
            .unwrap()
    };
    (response.version(), Answer::of(response).await.unwrap())
}

#[tokio::test]
async fn both_versions_are_spoken_and_share_what_is_stored() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let larder = before(&origin, &certificate, &["--debug-headers"]).await;
    let mut hits = Vec::new();
    for version in [&TLS12, &TLS13] {
        for (alpn, expected) in [
            (&["h2", "http/1.1"][..], Version::HTTP_2),
            (&["http/1.1"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ] {
            let stream = shake(&larder, &certificate, version, alpn).await;
            let (spoken, answer) = get(stream).await;
            assert_eq!((spoken, answer.status), (expected, 200), "{alpn:?}");
            // TLS with the client is nothing to the key, which is the origin's URL.
            let key = format!("key=\"GET {}/x\"", origin.url());
            let status = answer.header("cache-status");
            assert!(status.contains(&key), "{status}");
            hits.push(answer.is_hit());
        }
    }
    assert_eq!(hits, [false, true, true, true, true, true]);
}

#[tokio::test]
async fn who_is_silent_holds_nobody_up() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let larder = before(&origin, &certificate, &[]).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(larder.talk(b"").await);
        silent.push(larder.talk(b"\x16\x03\x01").await);
    }
    let stream = shake(&larder, &certificate, &TLS13, &["h2"]).await;
    assert_eq!(get(stream).await.1.status, 200);
    // Nor does it hold up the end.
    soon(larder.stop()).await.unwrap();
}

#[tokio::test]
async fn a_handshake_has_no_longer_than_a_head() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let flags = ["--header-timeout=2", "--admin=127.0.0.1:0"];
    let larder = before(&origin, &certificate, &flags).await;
    let (silent, begun) = (larder.talk(b"").await, larder.talk(b"\x16\x03\x01").await);
    let (silent, begun) = tokio::join!(silent.hear_out(), begun.hear_out());
    assert_eq!((&*silent, &*begun), ("", ""));
    let stream = shake_at(larder.controls, &certificate, &TLS13, &[]).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let asked = sender.send_request(request("GET", "/metrics", &[], ""));
    let figures = Answer::of(soon(asked).await.unwrap()).await.unwrap().json();
    assert_eq!(
        figures["metrics"]["refused_slow_handshakes"], 2,
        "{figures}"
    );
}

#[tokio::test]
async fn plain_http_is_told_what_is_spoken() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let larder = before(&origin, &certificate, &[]).await;
    let answer = ask(larder.address, request("GET", "/x", &[], "")).await;
    assert_eq!(answer.error(), (400, "tls_required".to_owned()));
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn a_connection_carries_one_request_after_the_other() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let larder = before(&origin, &certificate, &[]).await;
    let stream = shake(&larder, &certificate, &TLS13, &[]).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for expected in ["MISS", "HIT", "HIT"] {
        let asked = request("GET", "/x", &[], "");
        let response = soon(sender.send_request(asked)).await.unwrap();
        let answer = Answer::of(response).await.unwrap();
        assert_eq!(answer.header("x-cache"), expected);
    }
}

/// What a client of this version says first, when it knows no later one.
fn hello(version: [u8; 2]) -> Vec<u8> {
    const EXTENSIONS: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
        0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms: ecdsa_secp256r1_sha256
    ];
    let size = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let random_and_session = [[7; 32].as_slice(), &[0]].concat();
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and, for older ones, with AES_128_CBC_SHA.
    let suites_and_compression = [0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0];
    let said = [
        &version,
        &*random_and_session,
        &suites_and_compression,
        &size(EXTENSIONS),
        EXTENSIONS,
    ]
    .concat();
    let message = [&[1, 0], &size(&said)[..], &said].concat();
    [&[22, 3, 1], &size(&message)[..], &message].concat()
}

#[tokio::test]
async fn versions_before_1_2_are_refused() {
    let origin = Origin::at_once(|_, _| respond(200, &[], "x")).await;
    let certificate = Certificate::new();
    let larder = before(&origin, &certificate, &[]).await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut stream = TcpStream::connect(larder.address).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let mut heard = Vec::new();
        soon(stream.read_to_end(&mut heard)).await.unwrap();
        // A fatal alert, protocol_version.
        assert_eq!((heard[0], &heard[3..]), (21, &[0, 2, 2, 70][..]));
    }
    let mut stream = TcpStream::connect(larder.address).await.unwrap();
    stream.write_all(&hello([3, 3])).await.unwrap();
    let mut heard = [0; 6];
    soon(stream.read_exact(&mut heard)).await.unwrap();
    // A handshake message, server_hello.
    assert_eq!((heard[0], heard[5]), (22, 2));
}
