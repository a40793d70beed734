//! What each query asks for, and what is answered.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::proxy::{Origin, config::Config};

fn admin(purged: u64) -> Admin {
    let config = Config {
        origin: Some(Origin::parse("http://api.test/v1").unwrap()),
        ..Config::default()
    };
    let purge = move |purge, _| async move {
        match purge {
            Purge::Tag(tag) if tag == "broken" => Err(StoreError::new("broken")),
            _ => Ok(Purged {
                count: purged,
                keys: vec![Key::parse("GET http://a/\"b\"")],
            }),
        }
    };
    Admin::new(Targets::new(&config), purge)
}

fn read(query: &str) -> Result<Asked, &'static str> {
    admin(0).read(query).map_err(|error| error.code)
}

fn key(uri: &str) -> Key {
    Key::parse(&format!("GET {uri}"))
}

async fn answer(purged: u64, query: &str) -> (u16, Value) {
    let uri = format!("/cache?{query}").parse().unwrap();
    let response = admin(purged).delete(&uri).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_part_is_named_by_url_prefix_or_tag() {
    let purge = |query| read(query).unwrap().purge;
    assert_eq!(purge(""), Purge::All);
    let products = key("http://api.test/v1/products?a=b");
    for same in [
        "url=products%3Fa%3Db",
        "url=/products?a=b",
        "url=http://API.test:80/v1/products?a=b",
    ] {
        assert_eq!(purge(same), Purge::Uri(products.clone()), "{same}");
    }
    // Nothing is fetched, so any host may be named.
    assert_eq!(
        purge("prefix=https://other.test"),
        Purge::Below(key("https://other.test/"))
    );
    assert_eq!(purge("tag=a%20b"), Purge::Tag("a b".to_owned()));
}

#[test]
fn soft_and_dry_run_are_switches() {
    let asked = read("tag=x&soft=true&dry_run=0").unwrap();
    assert_eq!((asked.soft, asked.dry_run), (true, false));
    let asked = read("dry_run=true").unwrap();
    assert_eq!((asked.purge, asked.dry_run), (Purge::All, true));
}

#[test]
fn what_is_not_understood_purges_nothing() {
    for bad in [
        "url=",
        "prefix=",
        "tag=",
        "tag=a&tag=b",
        "url=/a&prefix=/a",
        "soft=maybe",
        "all",
        "uri=/a",
    ] {
        assert_eq!(read(bad).unwrap_err(), "bad_request", "{bad}");
    }
    assert_eq!(read("url=ftp://x").unwrap_err(), "unsupported_scheme");
    assert_eq!(read("url=/../x").unwrap_err(), "malformed_url");
}

#[tokio::test]
async fn it_tells_what_was_done() {
    let cleared = json!({"success": true, "message": "Cache cleared successfully"});
    assert_eq!(answer(0, "").await, (200, cleared));
    let one = json!({"success": true, "message": "Purged 1 response", "purged": 1});
    assert_eq!(answer(1, "url=/a").await, (200, one));
    let none = json!({"success": true, "message": "Made 0 responses stale", "purged": 0});
    assert_eq!(answer(0, "tag=a&soft=true").await, (200, none));
    let would = json!({
        "success": true, "message": "Would purge 7 responses", "purged": 7,
        "dry_run": true, "keys": ["GET http://a/\"b\""],
    });
    assert_eq!(
        answer(7, "tag=a&soft=true&dry_run=true").await,
        (200, would)
    );
    let (status, failed) = answer(0, "tag=broken").await;
    assert_eq!((status, &failed["success"]), (503, &json!(false)));
}
