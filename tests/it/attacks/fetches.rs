//! URLs that would make larder fetch for a stranger what only larder can reach.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use larder::upstream::{ErrorKind, Upstream};
use tower::ServiceExt;

use crate::support::{
    origin::{Origin, nobody},
    proxy::{Larder, soon},
};

#[tokio::test]
async fn what_looks_like_another_host_is_that_one_or_none() {
    let inside = Origin::echoing().await;
    let larder = Larder::start(&["--allow-port=*"]).await;
    let port = inside.address.port();
    for (url, status) in [
        (format!("http://public.invalid@127.0.0.1:{port}/"), 400),
        (format!("http://public.invalid:80@127.0.0.1:{port}/"), 400),
        (format!("http://public.invalid%40127.0.0.1:{port}/"), 400),
        (format!("http://127.0.0.1:{port}\\@public.invalid/"), 403),
        (format!("http://public.invalid#@127.0.0.1:{port}/"), 502),
        (format!("http://public.invalid?@127.0.0.1:{port}/"), 502),
        (format!("http://public.invalid\\@127.0.0.1:{port}/"), 502),
        (format!("http://127.0.0.1:{port}#.public.invalid/"), 403),
        (format!("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/"), 403),
        (format!("http://①②⑦.⓪.⓪.①:{port}/"), 403),
        (format!("http://0x7f.0.0.0x1:{port}/"), 403),
        (format!("http://0000177.0.0.1:{port}/"), 403),
        (format!("http://127.0.0.1%00:{port}/"), 400),
        (format!("http://[fe80::1%25lo]:{port}/"), 400),
        (format!("http://[fe80::1%lo]:{port}/"), 400),
        (format!("http://[::ffff:0x7f.0.0.1]:{port}/"), 400),
        (format!("http://[64:ff9b::127.0.0.1]:{port}/"), 403),
        (format!("http://[64:ff9b:1::127.0.0.1]:{port}/"), 403),
        (format!("http://[2002:7f00:1::]:{port}/"), 403),
        (format!("http://[::ffff:0:127.0.0.1]:{port}/"), 403),
        (format!("http:/\\127.0.0.1:{port}/"), 400),
        (format!("http:127.0.0.1:{port}/"), 400),
        (format!("\thttp://127.0.0.1:{port}/"), 400),
    ] {
        let answer = larder.proxy(&url).await;
        assert_eq!(answer.status, status, "{url}: {}", answer.text());
    }
    assert_eq!(inside.asked(), 0);
}

#[tokio::test]
async fn ports_other_than_the_webs_are_not_fetched_from() {
    let (origin, other) = (Origin::echoing().await, Origin::echoing().await);
    let refused = (403, "port_not_allowed".to_owned());
    let port = other.address.port();
    for flags in [&[][..], &["--allow-private"], &["--allow-host=*"]] {
        let larder = Larder::start(flags).await;
        for port in [22, 25, 6379, 8000, port] {
            let url = format!("http://127.0.0.1:{port}/");
            assert_eq!(larder.proxy(&url).await.error(), refused, "{url} {flags:?}");
        }
        let web = larder.proxy("http://web.invalid:443/").await;
        assert_eq!(web.error().1, "upstream_unresolved");
    }
    let named = format!("--allow-host=127.0.0.1:{port}");
    let any = ["--allow-host=*", "--allow-private"];
    let allow = format!("--allow-port={port}");
    for flags in [&[&*named][..], &[&any[..], &[&*allow]].concat()] {
        let larder = Larder::before(&origin.url(), flags).await;
        assert_eq!(larder.proxy(&other.url()).await.status, 200, "{flags:?}");
        assert_eq!(larder.proxy(&origin.url()).await.status, 200, "{flags:?}");
    }
    let larder = Larder::before(&origin.url(), &any).await;
    assert_eq!(larder.proxy(&other.url()).await.error(), refused);
    // The origin's is one that others may have, too.
    let same = format!("http://same.invalid:{}/", origin.address.port());
    assert_eq!(larder.proxy(&same).await.error().1, "upstream_unresolved");
}

#[tokio::test]
async fn larder_does_not_ask_itself() {
    let flags = ["--allow-private", "--allow-port=*"];
    for host in ["127.0.0.1", "0.0.0.0", "::"] {
        let larder = Larder::start(&[&flags[..], &["--host", host]].concat()).await;
        let port = larder.address.port();
        for named in [
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "0x7f.1",
        ] {
            let url = format!("http://{named}:{port}/metrics");
            let error = larder.proxy(&url).await.error();
            let expected = (403, "address_not_allowed".to_owned());
            assert_eq!(error, expected, "{named} at {host}");
        }
    }
}

/// Nor at the listener of its controls, to which it would be a peer of this machine.
#[tokio::test]
async fn nor_its_controls() {
    let flags = ["--allow-private", "--allow-port=*"];
    for host in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let admin = format!("--admin={host}:0");
        let larder = Larder::start(&[&flags[..], &[&admin]].concat()).await;
        let port = larder.controls.port();
        assert_ne!(port, larder.address.port());
        for named in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
            for path in ["metrics", "cache?url=x"] {
                let url = format!("http://{named}:{port}/{path}");
                let error = larder.proxy(&url).await.error();
                let expected = (403, "address_not_allowed".to_owned());
                assert_eq!(error, expected, "{named} at {host}");
            }
        }
    }
}

/// The look-up that is judged is the one whose answer is dialled: there is no second one.
#[tokio::test]
async fn one_connection_is_one_look_up() {
    let origin = Origin::echoing().await;
    let (asked, port) = (Arc::<AtomicUsize>::default(), origin.address.port());
    let count = Arc::clone(&asked);
    let upstream = Upstream::builder()
        .trust("inside.example", port)
        .max_idle_per_host(0)
        .resolver(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }
        })
        .build();
    let get = |host: &str| {
        let uri = format!("http://{host}:{port}/");
        Request::get(uri).body(Empty::<Bytes>::new()).unwrap()
    };
    for n in 1..=3 {
        let answer = upstream.clone().oneshot(get("inside.example")).await;
        assert!(answer.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), n);
    }
    let error = upstream.oneshot(get("outside.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert_eq!(origin.asked(), 3);
}

/// What the environment says of proxies is not meant for larder: they would be a way around the
/// guard.
#[tokio::test]
async fn the_environments_proxies_are_not_used() {
    let (origin, trap) = (Origin::echoing().await, nobody());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(["explain", &origin.url()]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, trap.url());
    }
    let output = soon(command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("200"), "{said}");
    assert_eq!(origin.asked(), 1);
}
