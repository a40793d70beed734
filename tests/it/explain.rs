//! `larder explain URL`, the program itself, against an origin on loopback.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::{
    origin::{Origin, Raw, Then, nobody},
    proxy::soon,
    script::respond,
};

/// Status, standard output and standard error of `larder explain` with these arguments.
async fn explain(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let command = command.arg("explain").args(args).env_clear();
    let output = soon(command.stdin(Stdio::null()).kill_on_drop(true).output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

async fn saying(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::at_once(move |_, _| respond(200, fields, "hello")).await
}

/// What is told, where it could be told. The line of the chain that decides comes with it.
async fn told(args: &[&str]) -> String {
    let (code, out, err) = explain(args).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out
}

fn lines<'a>(told: &'a str, start: &str) -> Vec<&'a str> {
    let lines = told.lines().map(str::trim);
    lines.filter(|line| line.starts_with(start)).collect()
}

#[tokio::test]
async fn what_is_stored_is_told_with_lifetime_and_key() {
    let origin = saying(&[
        ("cache-control", "max-age=60, stale-while-revalidate=30"),
        ("vary", "accept-language"),
        ("etag", "\"v1\""),
    ])
    .await;
    let url = format!("{}/a?b=c", origin.url());
    let told = told(&[&url, "-H", "Accept-Language: en", "--ttl", "15"]).await;
    assert!(
        told.starts_with(&format!("GET {url}\n200 OK, 5 bytes, after ")),
        "{told}"
    );
    assert_eq!(
        lines(&told, "stored"),
        ["stored   yes, kept for 86415 s (24 h)"]
    );
    let capped = "fresh    15 s (max-age in cache-control), capped from 60 s by --ttl";
    assert_eq!(lines(&told, "fresh"), [capped]);
    let stale = "stale    served for 30 s while it is fetched anew; validated with the origin";
    assert_eq!(lines(&told, "stale"), [stale]);
    let key = format!("key      GET {url}, a variant by accept-language");
    assert_eq!(lines(&told, "key"), [key]);
    assert!(lines(&told, "✗").is_empty(), "{told}");
    let second = "A second request like it: a hit, from the cache";
    assert_eq!(lines(&told, "A second"), [second]);
    let last = told.lines().last().unwrap();
    assert_eq!(
        last.trim(),
        "✓ RFC 9111 §4.2      the stored response is fresh: age 0 s of 15 s"
    );
    // Once, and as larder asks.
    assert_eq!(origin.asked(), 1);
    let seen = origin.last().headers;
    assert_eq!(seen["accept-language"], "en");
    assert_eq!(seen["via"], "1.1 larder");
}

#[tokio::test]
async fn what_is_not_stored_is_told_with_the_rule() {
    let origin = saying(&[("set-cookie", "a=secret"), ("cache-control", "max-age=60")]).await;
    let told = told(&[&origin.url()]).await;
    assert_eq!(lines(&told, "stored"), ["stored   no: set-cookie"]);
    let [decides] = lines(&told, "✗")[..] else {
        panic!("{told}")
    };
    assert!(decides.starts_with("✗ RFC 9111 §7.3 "), "{decides}");
    assert!(!told.contains("secret"));
    let again = "A second request like it: goes to the origin again";
    assert_eq!(lines(&told, "A second"), [again]);
}

#[tokio::test]
async fn settings_and_the_request_change_the_answer() {
    let origin = saying(&[("etag", "\"v1\"")]).await;
    let url = origin.url();
    let fresh = async |args: &[&str]| {
        let told = told(&[args, &[&url]].concat()).await;
        lines(&told, "fresh").concat()
    };
    assert_eq!(
        fresh(&[]).await,
        "fresh    60 s (larder's own, as the response states none)"
    );
    assert_eq!(
        fresh(&["--ttl=origin"]).await,
        "fresh    0 s (nothing states a lifetime)"
    );
    for (args, decides) in [
        (&["-H", "Authorization: Basic secret"][..], "RFC 9111 §3.5 "),
        (&["-H", "cache-control:no-store"], "RFC 9111 §5.2.1.5 "),
        (&["--method", "POST"], "RFC 9111 §4.4 "),
        (&["--method=head"], "RFC 9111 §3 "),
        (&["--max-object", "4"], "larder "),
    ] {
        let told = told(&[args, &[&url]].concat()).await;
        assert!(told.contains(&format!("✗ {decides}")), "{told}");
        assert!(told.contains("\nstored   no: "), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert_eq!(origin.last().method, "GET");
    let stale = told(&[&url, "--ttl=origin"]).await;
    let second = "A second request like it: the origin is asked whether it still holds";
    assert_eq!(lines(&stale, "A second"), [second]);
    // A client's own condition is answered from the whole response.
    let told = told(&[&url, "-H", "If-None-Match: \"v1\""]).await;
    assert!(
        told.contains("a hit, from the cache (304 Not Modified)"),
        "{told}"
    );
    assert!(!origin.last().headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn a_part_is_explained_too() {
    let fields = [
        ("content-range", "bytes 0-4/9"),
        ("etag", "\"v1\""),
        ("cache-control", "max-age=9"),
    ];
    let origin = Origin::at_once(move |_, _| respond(206, &fields, "hello")).await;
    let told = told(&[&origin.url(), "-H", "Range: bytes=0-4"]).await;
    assert!(
        told.contains("a hit, from the cache (206 Partial Content)"),
        "{told}"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let cut = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\nhello";
    let origin = Raw::sending(cut, Then::Close).await;
    let told = told(&[&origin.url()]).await;
    assert!(told.contains("✗ larder "), "{told}");
    assert!(told.contains("\nstored   no: its body broke off"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_a_1_and_misuse_a_2() {
    let nobody = nobody();
    let (code, out, err) = explain(&[&nobody.url()]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.starts_with("larder: The URL could not be fetched: 127.0.0.1:"),
        "{err}"
    );
    for args in [
        &[][..],
        &["api.example.com"],
        &["ftp://a"],
        &["http://"],
        &["http://a:b@c/"],
        &["http://a", "http://b"],
        &["http://a", "-H", "secret"],
        &["http://a", "-H", "Host: secret"],
        &["http://a", "-H", "a: b\nsecret: x"],
        &["http://a", "--method", "G T"],
        &["http://a", "--ttl", "x"],
        &["http://a", "--port", "1"],
        &["http://a", "--ttl"],
    ] {
        let (code, out, err) = explain(args).await;
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(
            err.starts_with("larder: ") && err.ends_with(".\n"),
            "{args:?}: {err}"
        );
        assert!(
            !err.contains("secret") && !err.contains(".."),
            "{args:?}: {err}"
        );
    }
    let (code, out, err) = explain(&["--help"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("--header") && out.contains("CACHE_TTL"),
        "{out}"
    );
}
