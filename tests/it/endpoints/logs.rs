//! The log of the program, run as one: which events there are, and that no secret is in them.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    certificate::Certificate,
    origin::{Origin, Raw, Then, nobody},
    program::Logged,
    proxy::{ask, request, soon},
    redis::Redis,
    script::respond,
};

#[tokio::test]
async fn the_start_tells_what_was_chosen() {
    let mut larder = Logged::start(&["--origin=http://127.0.0.1:1/v1", "--ttl=30"]).await;
    assert!(
        larder.text.contains("\"backend\":\"memory\""),
        "{}",
        larder.text
    );
    assert!(larder.text.contains("\"ttl\":\"30s\""), "{}", larder.text);
    assert!(
        larder.text.contains("http://127.0.0.1:1/v1"),
        "{}",
        larder.text
    );
    assert_ne!(larder.address.port(), 0);
    ask(larder.address, request("DELETE", "/cache", &[], "")).await;
    assert_eq!(larder.event("cache cleared").await["level"], "INFO");
}

#[tokio::test]
async fn a_memory_too_small_for_the_largest_objects_is_told_of() {
    let larder = Logged::start(&["--memory=4MiB"]).await;
    let said = "the memory is too small for the largest objects";
    assert!(larder.text.contains(said), "{}", larder.text);
    let larder = Logged::start(&["--memory=4MiB", "--max-object=1MiB"]).await;
    assert!(!larder.text.contains(said), "{}", larder.text);
}

#[tokio::test]
async fn every_request_is_one_event() {
    let origin = Origin::saying("text/plain", b"hello").await;
    let mut larder = Logged::start(&["--origin", &origin.url()]).await;
    larder.get("/x?a=b").await;
    let asked = larder.event("upstream answered").await;
    assert_eq!(asked["host"], origin.address.to_string());
    assert_eq!(
        (&asked["method"], &asked["status"]),
        (&"GET".into(), &200.into())
    );
    assert!(asked["duration_ms"].is_number());
    let miss = larder.event("request").await;
    for (field, value) in [
        ("method", Value::from("GET")),
        ("target", "/x?a=b".into()),
        ("status", 200.into()),
        ("outcome", "MISS".into()),
        ("bytes", 5.into()),
        ("level", "INFO".into()),
        ("logger", "larder::request".into()),
    ] {
        assert_eq!(miss[field], value, "{miss}");
    }
    assert!(miss["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(
        miss["cache"].as_str().unwrap().contains("fwd=uri-miss"),
        "{miss}"
    );
    let hit = loop {
        larder.get("/proxy?url=x%3Fa%3Db").await;
        let event = larder.event("request").await;
        if event["outcome"] == "HIT" {
            break event;
        }
    };
    assert_eq!(hit["target"], "/proxy?url=x%3Fa%3Db");
    assert!(
        hit["cache"].as_str().unwrap().starts_with("larder; hit"),
        "{hit}"
    );
    // What larder answers itself is a request, too, and no business of the cache.
    larder.get("/healthz").await;
    let own = larder.event("request").await;
    assert_eq!(
        (&own["target"], &own["status"]),
        (&"/healthz".into(), &200.into())
    );
    assert!(own["outcome"].is_null());
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn an_upstream_that_fails_is_told() {
    let gone = nobody();
    let mut larder = Logged::start(&["--origin", &gone.url()]).await;
    larder.get("/x").await;
    let failed = larder.event("upstream failed").await;
    assert_eq!(
        (&failed["host"], &failed["level"]),
        (&gone.address.to_string().into(), &"WARN".into())
    );
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("cannot be reached"),
        "{failed}"
    );
    assert_eq!(larder.event("request").await["status"], 502);

    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let origin = Raw::sending(half, Then::Close).await;
    let mut larder = Logged::start(&["--origin", &origin.url()]).await;
    larder.get("/proxy?url=x").await;
    let broken = larder.event("upstream broke off").await;
    assert_eq!(
        (&broken["bytes"], &broken["level"]),
        (&4.into(), &"WARN".into())
    );
}

#[tokio::test]
async fn redis_lost_and_back_are_told_and_its_password_is_not() {
    let mut redis = Redis::with_password("hunter2secret");
    let url = redis
        .url()
        .replace("redis://", "redis://user0:hunter2secret@");
    let url = url.replace("user0", "default");
    let mut larder = Logged::start(&["--backend=redis", "--redis-url", &url, "--log=trace"]).await;
    assert!(
        larder.text.contains("\"backend\":\"redis\""),
        "{}",
        larder.text
    );
    larder.event("redis connected").await;
    redis.kill();
    let lost = larder.event("redis lost").await;
    assert_eq!(lost["level"], "WARN");
    assert!(
        lost["redis"]
            .as_str()
            .unwrap()
            .contains(&redis.port().to_string())
    );
    redis.restart();
    assert_eq!(larder.event("redis is back").await["level"], "INFO");
    assert!(!larder.text.contains("hunter2"), "{}", larder.text);
}

#[tokio::test]
async fn redis_down_at_the_start_is_told() {
    let mut redis = Redis::start();
    redis.kill();
    let mut larder = Logged::start(&["--backend=redis", "--redis-url", &redis.url()]).await;
    larder.event("redis lost").await;
    redis.restart();
    larder.event("redis is back").await;
}

#[tokio::test]
async fn secrets_are_never_written() {
    let cookie = [("set-cookie", "session=tell-nobody")];
    let origin = Origin::at_once(move |_, _| respond(200, &cookie, "hello")).await;
    let flags = [
        "--origin",
        &origin.url(),
        "--allow-host=*",
        "--allow-private",
        "--allow-port=*",
    ];
    let mut larder = Logged::start(&[&flags[..], &["--log=trace"]].concat()).await;
    let secrets = [
        ("authorization", "Bearer tell-nobody"),
        ("proxy-authorization", "Basic tell-nobody"),
        ("cookie", "session=tell-nobody"),
    ];
    for target in [
        "/x",
        "/x",
        "/proxy?url=x",
        "/proxy?url=http%3A%2F%2Fme%3Atell-nobody%40example.test%2F",
        "/proxy?url=http://me:tell-nobody@example.test/",
        "/x?next=https:%2f%2fme:tell-nobody%40example.test%2F",
    ] {
        ask(larder.address, request("GET", target, &secrets, "")).await;
        larder.event("request").await;
    }
    let absolute = "http://me:tell-nobody@h/x";
    ask(larder.address, request("GET", absolute, &secrets, "")).await;
    larder.event("request").await;
    assert!(larder.text.contains("***"), "{}", larder.text);
    let told: Vec<_> = larder
        .text
        .lines()
        .filter(|line| line.contains("tell-nobody"))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn a_hangup_without_a_certificate_is_told_of_and_does_no_harm() {
    let mut larder = Logged::start(&[]).await;
    larder.hang_up();
    larder.event("SIGHUP: there is no certificate").await;
    assert_eq!(larder.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told_of() {
    let certificate = Certificate::new();
    let [cert, key] = certificate.flags();
    let mut larder = Logged::start(&[&cert, &key]).await;
    assert!(!larder.text.contains("expire"), "{}", larder.text);
    certificate.expire();
    larder.hang_up();
    let told = larder.event("the certificate has expired").await;
    assert_eq!(told["expires"], "Sat, 01 Jan 2000 00:00:00 GMT");
    assert_eq!(told["level"], "WARN");
    larder.event("certificate read anew").await;
    let mut other = Logged::start(&[&cert, &key]).await;
    other.event("the certificate has expired").await;
}

/// All that larder logs in this format while it is sent these bytes, on a connection each.
async fn logged(format: &str, flags: &[&str], said: &[Vec<u8>]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_larder"));
    command
        .args(["--port=0", "--log=trace", "--log-format", format])
        .args(flags)
        .env_clear()
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut all = Vec::new();
    let address = loop {
        let begun = all.len();
        assert_ne!(soon(log.read_until(b'\n', &mut all)).await.unwrap(), 0);
        let line = String::from_utf8_lossy(&all[begun..]).into_owned();
        if let Some((_, rest)) = line.split_once("listening on http://") {
            break rest.split([' ', '"']).next().unwrap().to_owned();
        }
    };
    let mut rest = Vec::new();
    let read = log.read_to_end(&mut rest);
    let talk = async {
        for bytes in said {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        let id = child.id().unwrap().to_string();
        let ended = tokio::process::Command::new("kill").arg(id).status().await;
        assert!(ended.unwrap().success());
    };
    let (read, ()) = soon(async { tokio::join!(read, talk) }).await;
    read.unwrap();
    String::from_utf8([all, rest].concat()).unwrap()
}

/// Whether all lines are plain, and begin as larder's do.
fn assert_plain(log: &str, format: &str) {
    for line in log.lines() {
        let plain = line.chars().all(|c| matches!(c, ' '..='~'));
        assert!(plain, "{line:?}");
        let begins_as_a_line = match format {
            "json" => serde_json::from_str::<Value>(line)
                .is_ok_and(|line| line["timestamp"].is_string() && line["forged"].is_null()),
            _ => line.starts_with("20"),
        };
        assert!(begins_as_a_line, "{line:?}");
    }
}

/// Nor does a Redis, or whoever passes for it.
#[tokio::test]
async fn a_redis_forges_no_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("--redis-url=redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = "-ERR f\u{e9}ign\u{1b}[2J\u{2028}forged\r\n".repeat(20);
            let _ = stream.write_all(said.as_bytes()).await;
        }
    });
    for format in ["json", "text"] {
        let log = logged(format, &["--backend=redis", &url], &[]).await;
        assert!(
            log.contains("forged") && log.contains("redis lost"),
            "{log}"
        );
        assert_plain(&log, format);
    }
}

/// Wherever larder logs what it was sent, it is one line, and of no use to who forges lines or
/// writes to terminals.
#[tokio::test]
async fn a_client_forges_no_line() {
    let origin = Origin::echoing().await;
    let mut said = Vec::new();
    for odd in [
        "\r",
        "\t",
        "\u{0}",
        "\u{8}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{9b}2J",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}",
        "\u{e9}",
        "\n",
        "\r\n",
    ] {
        let encoded: String = odd.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for odd in [odd, &encoded] {
            let forged = format!("x{odd}{{\"level\":\"ERROR\",\"forged\":1}}");
            for target in [
                format!("/{forged}"),
                format!("/x?{forged}"),
                format!("/proxy?url=http://{forged}/"),
                format!("http://{forged}/"),
            ] {
                said.push(format!(
                    "GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                ));
            }
            said.push(format!(
                "{forged} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
            ));
            for field in [
                "Host",
                "User-Agent",
                "Range",
                "Cache-Control",
                "X-Forwarded-For",
            ] {
                said.push(format!(
                    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{field}: {forged}\r\n\r\n"
                ));
            }
        }
    }
    let said: Vec<Vec<u8>> = said.into_iter().map(String::into_bytes).collect();
    for format in ["json", "text"] {
        let log = logged(format, &["--origin", &origin.url()], &said).await;
        assert!(log.contains("forged"), "{log}");
        assert_plain(&log, format);
    }
}
