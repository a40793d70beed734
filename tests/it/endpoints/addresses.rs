//! Loopback, private and other special addresses: not fetched from, however they are written.

use crate::support::{origin::Origin, proxy::Larder};

/// The spellings of 127.0.0.1 that a URL may have, and some of its kind, with this port.
fn spellings(port: u16) -> Vec<String> {
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",
        "127。0。0。1",
        "0.0.0.0",
        "0",
        "127.255.255.254",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fc00::1]",
        "224.0.0.1",
        "255.255.255.255",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/"))
    .collect()
}

#[tokio::test]
async fn special_addresses_are_refused_in_every_spelling() {
    let inside = Origin::echoing().await;
    // Without an origin, before another one with any public host allowed, and on another port.
    let public = Larder::start(&["--allow-port=*"]).await;
    let any = ["--allow-host=*", "--allow-port=*"];
    let any = Larder::before("http://127.0.0.1:1", &any).await;
    let elsewhere =
        Larder::start(&["--allow-host=127.0.0.1:1,localhost:1", "--allow-port=*"]).await;
    for url in spellings(inside.address.port()) {
        for larder in [&public, &any, &elsewhere] {
            let error = larder.proxy(&url).await.error();
            assert_eq!(error, (403, "address_not_allowed".to_owned()), "{url}");
        }
    }
    assert_eq!(inside.asked(), 0);
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_counts_as_an_error() {
    let larder = Larder::start(&[]).await;
    for _ in 0..2 {
        let answer = larder.proxy("http://127.0.0.1/").await;
        assert_eq!((answer.status, answer.is_hit()), (403, false));
    }
    let figures = &larder.get("/metrics").await.json()["metrics"];
    assert_eq!(
        (&figures["errors"], &figures["cache_misses"]),
        (&2.into(), &2.into())
    );
}

#[tokio::test]
async fn they_are_reached_when_larder_is_told_so() {
    let inside = Origin::echoing().await;
    let port = inside.address.port();
    let private = Larder::start(&["--allow-private", "--allow-port=*"]).await;
    for host in ["127.0.0.1", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"] {
        let answer = private.proxy(&format!("http://{host}:{port}/x")).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
    let named = format!("--allow-host=localhost:{port}");
    let named = Larder::before("http://127.0.0.1:1", &[&named]).await;
    let answer = named.proxy(&format!("http://localhost:{port}/x")).await;
    assert_eq!(answer.json()["data"], "/x");
    let other = named.proxy(&inside.url()).await;
    assert_eq!(other.error(), (403, "host_not_allowed".to_owned()));
}
