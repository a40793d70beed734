//! `GET /cache?url=U`, over sockets.

use serde_json::{Value, json};

use crate::support::{
    origin::Origin,
    proxy::{Answer, Larder},
    redis::Redis,
    script::respond,
};

const FIELDS: [(&str, &str); 7] = [
    ("content-type", "text/plain"),
    (
        "cdn-cache-control",
        "public, max-age=60, stale-while-revalidate=5",
    ),
    ("cache-control", "public, max-age=1"),
    ("vary", "accept-language, authorization"),
    ("etag", "\"v1\""),
    ("cache-tag", "shop, \"all\""),
    ("cache-groups", "\"g\""),
];

async fn shop() -> Origin {
    Origin::at_once(|_, _| respond(200, &FIELDS, "hello")).await
}

fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

fn decision(value: &Value) -> &str {
    value["request"]["decision"].as_str().unwrap()
}

/// What `larder` tells of `/a`, stored by one request and served to another.
async fn stored(larder: &Larder) -> Value {
    let english = [("accept-language", "EN, de;q=0.5")];
    larder.ask("GET", "/a?b=c", &english).await;
    while !larder.ask("GET", "/a?b=c", &english).await.is_hit() {}
    told(&larder.ask("GET", "/cache?url=/a%3Fb=c", &english).await)
}

#[tokio::test]
async fn what_is_stored_and_what_would_happen() {
    let origin = shop().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let miss = told(&larder.get("/cache?url=/a%3Fb=c").await);
    assert_eq!((&miss["stored"], decision(&miss)), (&json!([]), "miss"));

    let value = stored(&larder).await;
    let key = format!("GET {}/a?b=c", origin.url());
    assert_eq!(value["success"], json!(true));
    assert_eq!(value["key"], json!(key));
    assert_eq!(
        value["varies_by"],
        json!(["accept-language", "authorization"])
    );
    let one = &value["stored"][0];
    let selecting = json!({"accept-language": "de;q=500,en", "authorization": null});
    assert_eq!(one["selecting"], selecting);
    assert_eq!(
        (&one["status"], &one["size"], &one["selected"]),
        (&json!(200), &json!(5), &json!(true))
    );
    assert_eq!(one["lifetime"]["seconds"], json!(60));
    assert_eq!(one["lifetime"]["source"], json!("max-age"));
    assert_eq!(one["lifetime"]["field"], json!("cdn-cache-control"));
    assert_eq!(one["stale_while_revalidate"], json!(5));
    assert_eq!(one["stale_if_error"], json!(null));
    assert_eq!(one["validators"]["etag"], json!("\"v1\""));
    assert_eq!(one["tags"], json!(["shop", "\"all\"", "g"]));
    assert_eq!(one["groups"], json!(["g"]));
    assert_eq!(one["hits"], json!(1));
    assert!(one["stored_at"].as_str().unwrap().ends_with(" GMT"));
    assert!(one["stored_seconds_ago"].as_u64().unwrap() < 60);
    assert_eq!(decision(&value), "hit");
    let last = value["request"]["steps"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    assert_eq!(
        (&last["rule"], &last["holds"]),
        (&json!("RFC 9111 §4.2"), &json!(true))
    );
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn the_fields_and_the_method_of_the_call_count() {
    let origin = shop().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    stored(&larder).await;
    let target = "/cache?url=/a%3Fb=c";
    let secret = [
        ("accept-language", "en"),
        ("authorization", "Basic c2VjcmV0"),
    ];
    while !larder.ask("GET", "/a?b=c", &secret).await.is_hit() {}
    let answer = larder.ask("GET", target, &secret).await;
    assert!(!answer.text().contains("c2VjcmV0"), "{}", answer.text());
    let value = told(&answer);
    assert_eq!((decision(&value), &value["count"]), ("hit", &json!(2)));
    assert_eq!(
        value["stored"][0]["selecting"]["authorization"],
        json!("***")
    );

    let no_cache = [
        ("accept-language", "de;q=0.5, en"),
        ("cache-control", "no-cache"),
    ];
    let value = told(&larder.ask("GET", target, &no_cache).await);
    assert_eq!(decision(&value), "revalidate");
    assert_eq!(value["request"]["forward"], json!("request"));
    assert_eq!(value["request"]["reason"], json!("no-cache"));
    let only = [("cache-control", "only-if-cached")];
    let value = told(&larder.ask("GET", target, &only).await);
    assert_eq!(
        (decision(&value), &value["request"]["status"]),
        ("only-if-cached", &json!(504))
    );
    let value = told(&larder.get(&format!("{target}&method=put")).await);
    assert_eq!(decision(&value), "invalidate");
    assert_eq!(larder.ask("HEAD", target, &[]).await.text(), "");
}

#[tokio::test]
async fn what_is_no_url_is_refused_with_what_to_do() {
    let origin = shop().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (query, code) in [("", "missing_url"), ("?url=ftp://a", "unsupported_scheme")] {
        let answer = larder.get(&format!("/cache{query}")).await;
        assert_eq!(answer.error(), (400, code.to_owned()));
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn on_redis_too_where_hits_are_not_counted() {
    let (origin, redis) = (shop().await, Redis::start());
    let url = format!("--redis-url={}", redis.url());
    let larder = Larder::before(
        &origin.url(),
        &["--backend=redis", &url, "--redis-timeout=5000"],
    )
    .await;
    let value = stored(&larder).await;
    let one = &value["stored"][0];
    assert_eq!((&one["size"], &one["hits"]), (&json!(5), &Value::Null));
    assert_eq!(decision(&value), "hit");
    drop(redis);
    // The first to find it gone may have waited for it.
    let answer = larder.get("/cache?url=/a").await;
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned()));
}
