//! What is found in Redis is not what larder put there.

use super::*;
use crate::support::{
    proxy::{ask, request},
    redis::{Redis, Reply},
};

/// The only record's key.
fn the_key(redis: &Redis) -> Vec<u8> {
    match &mut redis.command(&["KEYS", "larder:{GET*}"])[..] {
        [Reply::Text(key)] => std::mem::take(key),
        other => panic!("{other:?}"),
    }
}

fn value(redis: &Redis, key: &[u8]) -> Vec<u8> {
    match redis.command(&[&b"GET"[..], key]).remove(0) {
        Reply::Text(value) => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_value_that_is_not_as_it_was_put_is_fetched_anew() {
    let redis = Redis::start();
    let site = Site::with(&redis.url(), &["--near=off"]).await;
    site.until_hit("/x").await;
    let key = the_key(&redis);
    let whole = value(&redis, &key);
    let cut = whole.iter().take(whole.len() / 2).copied().collect();
    let mut longer = whole.clone();
    longer.push(0);
    let mut of_another_version = whole.clone();
    of_another_version[4] += 1;
    let mut values = vec![
        cut,
        longer,
        of_another_version,
        Vec::new(),
        b"hello".to_vec(),
    ];
    // One bit, anywhere: in what frames it, in the head, in the body.
    values.extend((0..whole.len()).step_by(whole.len() / 15).map(|at| {
        let mut value = whole.clone();
        value[at] ^= 1;
        value
    }));
    let mut in_the_body = whole.clone();
    let at = whole
        .windows(4)
        .rposition(|bytes| bytes == b"\"/x\"")
        .unwrap();
    in_the_body[at + 1] = b'!';
    values.push(in_the_body);
    for value in values {
        redis.command(&[&b"SET"[..], &key, &value]);
        let asked = site.origin.asked();
        assert!(!site.get("/x").await.is_hit(), "{value:?}");
        assert_eq!(site.origin.asked(), asked + 1);
        site.until_hit("/x").await;
    }
    assert_eq!(site.cache().await, "ok");
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_replaced() {
    let redis = Redis::start();
    let site = Site::with(&redis.url(), &["--near=off"]).await;
    site.until_hit("/x").await;
    let key = the_key(&redis);
    for command in [&b"RPUSH"[..], b"SADD"] {
        redis.command(&[&b"DEL"[..], &key]);
        redis.command(&[command, &key, b"theirs"]);
        assert!(!site.get("/x").await.is_hit());
        site.until_hit("/x").await;
    }
    assert_eq!(site.cache().await, "ok");
}

#[tokio::test]
async fn all_that_was_there_is_gone() {
    let redis = Redis::start();
    let site = Site::with(&redis.url(), &["--near=off"]).await;
    for n in 0..3 {
        site.until_hit("/x").await;
        redis.command(&["FLUSHALL"]);
        assert!(!site.get("/x").await.is_hit());
        assert_eq!(site.origin.asked(), n + 2);
    }
    assert_eq!(site.cache().await, "ok");
}

/// The journal of purges is begun anew where it is not as larder left it, whatever it says.
#[tokio::test]
async fn a_journal_that_is_not_as_it_was_left_is_begun_anew() {
    const NAME: &str = "larder::purges";
    let redis = Redis::start();
    let site = Site::with(&redis.url(), &["--near=off"]).await;
    site.until_hit("/x").await;
    for field in ["n", "f", "o"] {
        for value in [
            "",
            "text",
            "1e300",
            "-1",
            "9000000000000000",
            "99999999999999999999",
        ] {
            match value {
                "" => redis.command(&["HDEL", NAME, field]),
                value => redis.command(&["HSET", NAME, field, value]),
            };
            site.until_hit("/x").await;
            let purged = ask(
                site.larder.address,
                request("DELETE", "/cache?tag=q", &[], ""),
            )
            .await;
            assert_eq!(purged.status, 200, "{field} {value:?}");
            site.until_hit("/x").await;
        }
    }
    assert_eq!(site.cache().await, "ok");
}
