//! Fetching through a proxy: what it is asked, what it is told, and what it cannot be made to do.

use crate::support::{
    certificate::Certificate,
    origin::{Origin, Raw, Then, nobody},
    program::Logged,
    proxy::Larder,
    tunnel::Tunnel,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\n\r\nok";
const ASKS: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                    Proxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 2\r\n\r\nno";

fn through(proxy: &impl std::fmt::Display) -> String {
    format!("--upstream-proxy=http://me:s%40crt@{proxy}")
}

#[tokio::test]
async fn plain_requests_name_the_whole_uri_and_say_who_asks() {
    let proxy = Raw::sending(OK, Then::Stay).await;
    let larder = Larder::before("http://api.invalid/v1", &[&through(&proxy.address)]).await;
    let own = ("proxy-authorization", "Basic b3duOm93bg==");
    for is_hit in [false, true] {
        let answer = larder.ask("GET", "/x?y", &[own]).await;
        assert_eq!((answer.text(), answer.is_hit()), ("ok", is_hit));
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let mut lines = seen[0].lines();
    assert_eq!(lines.next(), Some("GET http://api.invalid/v1/x?y HTTP/1.1"));
    let fields: Vec<&str> = lines.collect();
    assert!(fields.contains(&"host: api.invalid"), "{fields:?}");
    let told: Vec<_> = fields
        .iter()
        .filter(|field| field.starts_with("proxy-"))
        .collect();
    assert_eq!(told, [&"proxy-authorization: Basic bWU6c0BjcnQ="]);
}

#[tokio::test]
async fn an_https_host_is_verified_at_the_end_of_a_tunnel() {
    let certificate = Certificate::new();
    let [cert, key] = certificate.flags();
    let origin = Origin::echoing().await;
    let secure = Larder::before(&origin.url(), &[&cert, &key]).await;
    let proxy = Tunnel::to(secure.address).await;
    let trusting = cert.replace("--tls-cert", "--tls-ca");
    let larder = |name: &'static str| {
        let flags = [through(&proxy.address), trusting.clone()];
        async move { Larder::before(name, &[&flags[0], &flags[1]]).await }
    };
    let answer = larder("https://localhost").await.get("/x").await;
    assert_eq!((answer.status, answer.text()), (200, "\"/x\""));
    let seen = proxy.seen();
    assert!(
        seen[0].starts_with("CONNECT localhost:443 HTTP/1.1\r\n"),
        "{seen:?}"
    );
    assert!(
        seen[0].contains("Proxy-Authorization: Basic bWU6c0BjcnQ=\r\n"),
        "{seen:?}"
    );
    // What is said in the tunnel is for the origin.
    let fields = &origin.last().headers;
    assert!(!fields.contains_key("proxy-authorization"), "{fields:?}");
    let other = larder("https://other.invalid:8443").await.get("/x").await;
    assert_eq!(other.error(), (502, "upstream_tls".to_owned()));
    assert!(proxy.seen()[1].starts_with("CONNECT other.invalid:8443 "));
}

#[tokio::test]
async fn a_proxy_that_does_not_lead_there_is_a_502() {
    let (gone, asks) = (nobody(), Raw::sending(ASKS, Then::Stay).await);
    let refuses = Raw::sending("HTTP/1.1 403 Forbidden\r\n\r\n", Then::Close).await;
    let silent = Raw::sending("", Then::Close).await;
    for (proxy, origin) in [
        (gone.address, "http://api.invalid"),
        (gone.address, "https://api.invalid"),
        (asks.address, "http://api.invalid"),
        (asks.address, "https://api.invalid"),
        (refuses.address, "https://api.invalid"),
        (silent.address, "https://api.invalid"),
    ] {
        let larder = Larder::before(origin, &[&through(&proxy)]).await;
        let answer = larder.get("/x").await;
        assert_eq!(
            answer.error(),
            (502, "upstream_proxy".to_owned()),
            "{proxy} {origin}"
        );
        assert_eq!(answer.header("proxy-authenticate"), "");
    }
}

#[tokio::test]
async fn what_a_name_alone_gives_away_is_refused_before_the_proxy_is_asked() {
    let proxy = Raw::sending(OK, Then::Stay).await;
    let larder = Larder::start(&[&through(&proxy.address)]).await;
    for (url, status) in [
        ("http://127.0.0.1/", 403),
        ("https://[::1]/", 403),
        ("http://0x7f.1/", 403),
        ("http://169.254.169.254/", 403),
        ("http://[64:ff9b::10.0.0.1]/", 403),
        ("http://localhost/", 403),
        ("http://LOCALHOST./", 403),
        ("https://redis/", 403),
        ("http://metadata.google.internal/", 403),
        ("http://api.example:22/", 403),
    ] {
        assert_eq!(larder.proxy(url).await.status, status, "{url}");
    }
    assert_eq!(proxy.seen(), Vec::<String>::new());
    assert_eq!(larder.proxy("http://api.example/").await.status, 200);
    assert_eq!(larder.proxy("http://192.0.43.10/").await.status, 200);
    assert_eq!(proxy.seen().len(), 2);
    // The operator vouches for a name.
    let flags = [&*through(&proxy.address), "--allow-host=redis"];
    let larder = Larder::start(&flags).await;
    assert_eq!(larder.proxy("http://redis/").await.status, 200);
}

#[tokio::test]
async fn the_log_tells_of_the_proxy_and_not_its_password() {
    let gone = nobody();
    let flags = [&*through(&gone.address), "--origin=http://api.invalid"];
    let mut larder = Logged::start(&flags).await;
    let told = larder.event("fetching through a proxy").await;
    assert_eq!(told["proxy"], format!("http://***@{}", gone.address));
    larder.get("/x").await;
    larder.event("request").await;
    let secrets = ["crt", "bWU6"];
    assert!(
        !secrets.iter().any(|secret| larder.text.contains(secret)),
        "{}",
        larder.text
    );
}
