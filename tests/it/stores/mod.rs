//! Every store keeps its contract: one suite, run over each.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod bodies;
mod coherence;
mod deployments;
mod failures;
mod hit_ratio;
mod leases;
mod memory;
mod near;
mod redis;
mod spares;
mod trips;
mod versions;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use larder::{
    policy::{Fields, Head, Key, Lifetime, Rule, Search, Source, StoredHead, Vary},
    store::{Entry, EntryId, Front, Payload, Record, Seen, Store, Sweep, Verdict},
};

const LONG: Duration = Duration::from_secs(600);

/// Runs each of these functions as a test of its own on a new store.
macro_rules! suite {
    ($($test:ident)*) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&larder::store::MemoryStore::new(64 << 20)).await;
            })*
        }

        /// Runs all of them, each on a store with a prefix of its own.
        async fn each<F: Future<Output = larder::store::RedisStore>>(
            connect: impl Fn(&'static str) -> F,
        ) {
            $(let store = connect(concat!("larder-", stringify!($test))).await;
            $test(&store).await;)*
        }

        mod on_redis {
            $(#[tokio::test]
            async fn $test() {
                let redis = crate::support::redis::Redis::start();
                super::$test(&super::redis::store(&redis).await).await;
            })*
        }

        mod on_both {
            $(#[tokio::test]
            async fn $test() {
                let redis = crate::support::redis::Redis::start();
                let far = super::redis::store(&redis).await;
                let near = larder::store::MemoryStore::new(64 << 20);
                let ttl = std::time::Duration::from_secs(60);
                let store = larder::store::TieredStore::with_near(far, near, ttl);
                super::$test(&store).await;
            })*
        }
    };
}

suite! {
    what_is_put_is_got
    a_put_replaces
    every_byte_of_a_head_survives
    trailers_survive
    verdicts_survive
    markers_survive
    search_markers_survive
    an_empty_body_is_a_body
    a_large_body_survives
    no_time_to_keep_is_not_kept
    an_endless_time_to_keep_is_kept
    refresh_changes_the_head_alone
    refresh_keeps_a_large_body
    refresh_leaves_another_response_alone
    refresh_of_nothing_does_nothing
    refresh_leaves_a_marker_alone
    remove_forgets_one
    clear_forgets_all
    keys_are_told_apart_by_all_their_text
    a_peek_tells_all_but_the_body
    a_sweep_shows_what_begins_so
    a_sweep_removes_and_renews
    a_sweep_reads_heads_of_any_size
}

async fn what_is_put_is_got(store: &impl Store) {
    assert!(get(store, &key("/a")).await.is_none());
    let entry = entry(1, "body");
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
    assert!(get(store, &key("/b")).await.is_none());
}

async fn a_put_replaces(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "the first, and longer, body")).await;
    let second = entry(2, "the second");
    put(store, &key("/a"), &second).await;
    assert_same(get(store, &key("/a")).await, &second);
}

async fn every_byte_of_a_head_survives(store: &impl Store) {
    let mut headers = HeaderMap::new();
    headers.append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
    headers.append("x-between", HeaderValue::from_static(""));
    headers.append(header::SET_COOKIE, HeaderValue::from_static("b=2"));
    let all: Vec<u8> = (32..=255).filter(|&b| b != 127).chain([b'\t']).collect();
    headers.append("x-all", HeaderValue::from_bytes(&all).unwrap());
    let long = "n".repeat(1000).parse::<HeaderName>().unwrap();
    headers.append(long, "v".repeat(20_000).parse().unwrap());
    let mut entry = entry(u64::MAX, "body");
    entry.head = Arc::new(Head::restore(StoredHead {
        status: StatusCode::from_u16(299).unwrap(),
        version: Version::HTTP_2,
        headers,
        received: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
        initial_age: Duration::from_secs(12),
        lifetime: Lifetime {
            duration: Duration::from_secs(u64::MAX),
            source: Source::SharedMaxAge,
        },
    }));
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
}

async fn trailers_survive(store: &impl Store) {
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", HeaderValue::from_static("1"));
    trailers.append("x-sum", HeaderValue::from_bytes(b"\xff").unwrap());
    for trailers in [trailers, HeaderMap::new()] {
        let mut entry = entry(1, "");
        entry.body = Payload::new(Bytes::from_static(b"body"), Some(trailers));
        put(store, &key("/a"), &entry).await;
        assert_same(get(store, &key("/a")).await, &entry);
    }
}

async fn verdicts_survive(store: &impl Store) {
    for verdict in [
        Verdict::default(),
        Verdict::known(true),
        Verdict::known(false),
    ] {
        let mut entry = entry(1, "body");
        entry.body = entry.body.with_verdict(verdict);
        put(store, &key("/a"), &entry).await;
        assert_same(get(store, &key("/a")).await, &entry);
    }
}

async fn markers_survive(store: &impl Store) {
    let vary = Arc::new(vary());
    put(store, &key("/a"), &entry(1, "body")).await;
    let marker = Record::Vary(vary.clone());
    put_record(store, &key("/a"), marker, LONG).await;
    match get(store, &key("/a")).await {
        Some(Record::Vary(got)) => assert_eq!(got, vary),
        other => panic!("{other:?}"),
    }
}

async fn search_markers_survive(store: &impl Store) {
    let search = Arc::new(Search {
        epoch: 5,
        rule: Rule::new(["é", "a b"], true, false),
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    });
    let (mark, key) = (Key::parse("GET http://h/a#"), key("/a"));
    let record = Record::Search(search.clone());
    put_record(store, &mark, record, LONG).await;
    put(store, &search.key(&key), &entry(1, "body")).await;
    match get(store, &mark).await {
        Some(Record::Search(got)) => assert_eq!(got, search),
        other => panic!("{other:?}"),
    }
    assert_same(get(store, &search.key(&key)).await, &entry(1, "body"));
    let judge = |_: &Key, front: &Front| match front {
        Front::Search(found) if *found == search => Sweep::Remove,
        _ => Sweep::Keep,
    };
    store.sweep("GET http://h/a", None, &judge).await.unwrap();
    assert!(get(store, &mark).await.is_none());
}

async fn an_empty_body_is_a_body(store: &impl Store) {
    let entry = entry(1, "");
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
}

async fn a_large_body_survives(store: &impl Store) {
    for length in [64 << 10, (64 << 10) + 1, 128 << 10, 1_000_000] {
        let entry = sized(1, length);
        put(store, &key("/a"), &entry).await;
        assert_same(get(store, &key("/a")).await, &entry);
    }
    // The largest that stores keep unless told otherwise.
    let mut entry = sized(2, 8 << 20);
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
    let Some(Front::Response { size, .. }) = store.peek(&key("/a")).await.unwrap() else {
        panic!("no response is there");
    };
    assert_eq!(size, Some(8 << 20));

    // One more byte is not kept, and neither is what was there before.
    let mut data = entry.body.data().unwrap().to_vec();
    data.push(0);
    entry.body = Payload::new(data.into(), None);
    put(store, &key("/a"), &entry).await;
    assert!(get(store, &key("/a")).await.is_none());
}

async fn no_time_to_keep_is_not_kept(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "before")).await;
    let record = Record::Response(entry(2, "after"));
    put_record(store, &key("/a"), record, Duration::ZERO).await;
    assert!(get(store, &key("/a")).await.is_none());
}

async fn an_endless_time_to_keep_is_kept(store: &impl Store) {
    let entry = entry(1, "body");
    let record = Record::Response(entry.clone());
    put_record(store, &key("/a"), record, Duration::MAX).await;
    assert_same(get(store, &key("/a")).await, &entry);
}

async fn refresh_changes_the_head_alone(store: &impl Store) {
    let mut old = entry(7, "body");
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", HeaderValue::from_static("1"));
    old.body = Payload::new(Bytes::from_static(b"\x00body\xff"), Some(trailers))
        .with_verdict(Verdict::known(true));
    put(store, &key("/a"), &old).await;
    for text in ["a", "a much longer head than it had before", ""] {
        let head = head(text);
        assert!(refresh(store, &key("/a"), old.id, head.clone(), LONG).await);
        let want = Entry {
            head,
            ..old.clone()
        };
        assert_same(get(store, &key("/a")).await, &want);
    }
}

async fn refresh_keeps_a_large_body(store: &impl Store) {
    let trailers = HeaderMap::from_iter([(header::ETAG, "\"t\"".parse().unwrap())]);
    let mut old = sized(7, 200_000);
    old.body = Payload::new(old.body.data().unwrap().clone(), Some(trailers))
        .with_verdict(Verdict::known(true));
    put(store, &key("/a"), &old).await;
    for text in ["new", "newer"] {
        let head = head(text);
        assert!(refresh(store, &key("/a"), old.id, head.clone(), LONG).await);
        let want = Entry {
            head,
            ..old.clone()
        };
        assert_same(get(store, &key("/a")).await, &want);
    }
    put(store, &key("/a"), &entry(8, "small")).await;
    assert_same(get(store, &key("/a")).await, &entry(8, "small"));
    assert!(store.remove(&key("/a")).await.unwrap().any);
    assert!(get(store, &key("/a")).await.is_none());
}

async fn refresh_leaves_another_response_alone(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "first")).await;
    let second = entry(2, "second");
    put(store, &key("/a"), &second).await;
    assert!(!refresh(store, &key("/a"), EntryId(1), head("new"), LONG).await);
    assert_same(get(store, &key("/a")).await, &second);
}

async fn refresh_of_nothing_does_nothing(store: &impl Store) {
    let key = key("/a");
    assert!(!refresh(store, &key, EntryId(1), head("new"), LONG).await);
    assert!(get(store, &key).await.is_none());
    put(store, &key, &entry(1, "body")).await;
    assert!(store.remove(&key).await.unwrap().any);
    assert!(!refresh(store, &key, EntryId(1), head("new"), LONG).await);
    assert!(get(store, &key).await.is_none());
}

async fn refresh_leaves_a_marker_alone(store: &impl Store) {
    let vary = vary();
    let id = EntryId(vary.epoch); // Even if the numbers are equal.
    let marker = Record::Vary(Arc::new(vary));
    put_record(store, &key("/a"), marker, LONG).await;
    assert!(!refresh(store, &key("/a"), id, head("new"), LONG).await);
    assert!(matches!(
        get(store, &key("/a")).await,
        Some(Record::Vary(_))
    ));
}

async fn remove_forgets_one(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "a")).await;
    put(store, &key("/b"), &entry(2, "b")).await;
    assert!(store.remove(&key("/a")).await.unwrap().any);
    assert!(!store.remove(&key("/a")).await.unwrap().any);
    assert!(get(store, &key("/a")).await.is_none());
    assert_same(get(store, &key("/b")).await, &entry(2, "b"));
}

async fn clear_forgets_all(store: &impl Store) {
    store.clear().await.unwrap();
    let keys: Vec<Key> = (0..1200).map(|n| key(&format!("/{n}"))).collect();
    for key in &keys {
        put(store, key, &entry(1, "body")).await;
    }
    store.clear().await.unwrap();
    for key in &keys {
        assert!(get(store, key).await.is_none(), "{key:?} is still there");
    }
    put(store, &key("/a"), &entry(1, "body")).await;
    assert_same(get(store, &key("/a")).await, &entry(1, "body"));
}

async fn keys_are_told_apart_by_all_their_text(store: &impl Store) {
    let long = format!("/{}", "x".repeat(10_000));
    let texts = [
        "GET http://example/a".to_owned(),
        "GET https://example/a".to_owned(),
        "GET http://example:8080/a".to_owned(),
        "GET http://example/a?".to_owned(),
        "GET http://example/a?q=*[b]".to_owned(),
        "GET http://example/a 00000000000000ff accept=text".to_owned(),
        "GET http://example/{tag}".to_owned(),
        "GET http://example/ä".to_owned(),
        format!("GET http://example{long}"),
        format!("GET http://example{long}x"),
    ];
    for (n, text) in texts.iter().enumerate() {
        put(store, &Key::parse(text), &entry(n as u64, text)).await;
    }
    for (n, text) in texts.iter().enumerate() {
        let got = get(store, &Key::parse(text)).await;
        assert_same(got, &entry(n as u64, text));
    }
}

/// The keys that a sweep shows.
async fn shown(store: &impl Store, start: &str) -> Vec<String> {
    let seen = Mutex::new(Vec::new());
    let judge = |key: &Key, _: &Front| {
        seen.lock().unwrap().push(key.as_str().to_owned());
        Sweep::Keep
    };
    store.sweep(start, None, &judge).await.unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    seen
}

async fn a_sweep_shows_what_begins_so(store: &impl Store) {
    assert!(shown(store, "").await.is_empty());
    let mut texts: Vec<String> = (0..1100).map(|n| format!("GET http://many/{n}")).collect();
    texts.push("GET http://a/*[x]?b\\c".to_owned());
    texts.push("GET http://a/b 00000000000000ff x=1".to_owned());
    for text in &texts {
        put(store, &Key::parse(text), &entry(1, "body")).await;
    }
    let marker = "GET http://a/marked";
    let vary = Record::Vary(Arc::new(vary()));
    put_record(store, &Key::parse(marker), vary, LONG).await;
    texts.push(marker.to_owned());
    texts.sort();
    assert!(shown(store, "").await == texts, "each once");
    for start in [
        "GET http://a/",
        "GET http://a/*[x]?b\\",
        "GET http://many/1",
        "PUT",
    ] {
        let mut wanted = texts.clone();
        wanted.retain(|text| text.starts_with(start));
        assert!(shown(store, start).await == wanted, "{start}");
    }
}

async fn a_peek_tells_all_but_the_body(store: &impl Store) {
    assert!(store.peek(&key("/none")).await.unwrap().is_none());
    // Also where the length of the body is past what is read of a record at first.
    for length in [4, 1_830, 1_860, 20_000] {
        let long = head(&"x".repeat(length));
        let trailers = Some(HeaderMap::from_iter([(
            header::ETAG,
            "\"t\"".parse().unwrap(),
        )]));
        let entry = Entry {
            head: long.clone(),
            body: Payload::new(Bytes::from(vec![b'y'; 5_000]), trailers),
            ..entry(3, "")
        };
        put(store, &key("/a"), &entry).await;
        let Some(Front::Response { id, head, size, .. }) = store.peek(&key("/a")).await.unwrap()
        else {
            panic!("no response is there");
        };
        assert_eq!((id, head.headers()), (EntryId(3), long.headers()));
        assert_eq!(size, Some(5_000), "with a head of {length} bytes");
    }
    let vary = Arc::new(vary());
    let mark = Record::Vary(vary.clone());
    put_record(store, &key("/v"), mark, LONG).await;
    let peeked = store.peek(&key("/v")).await.unwrap();
    assert!(matches!(peeked, Some(Front::Vary(found)) if found == vary));
}

async fn a_sweep_removes_and_renews(store: &impl Store) {
    let (keep, renew, remove, marker) = (key("/keep"), key("/renew"), key("/remove"), key("/v"));
    for key in [&keep, &renew, &remove] {
        put(store, key, &entry(7, "body")).await;
    }
    let vary = Arc::new(vary());
    let mark = Record::Vary(vary.clone());
    put_record(store, &marker, mark, LONG).await;
    let judge = |key: &Key, front: &Front| match front {
        Front::Vary(found) => {
            assert!(*key == marker && *found == vary);
            Sweep::Remove
        }
        Front::Search(_) => unreachable!("there is none"),
        Front::Response { id, head: old, .. } => {
            assert_eq!((*id, old.headers()), (EntryId(7), head("head").headers()));
            match key {
                key if *key == keep => Sweep::Keep,
                key if *key == renew => Sweep::Renew(head("new"), LONG),
                _ => Sweep::Remove,
            }
        }
    };
    store.sweep("", None, &judge).await.unwrap();
    assert_same(get(store, &keep).await, &entry(7, "body"));
    let renewed = Entry {
        head: head("new"),
        ..entry(7, "body")
    };
    assert_same(get(store, &renew).await, &renewed);
    assert!(get(store, &remove).await.is_none());
    assert!(get(store, &marker).await.is_none());
}

async fn a_sweep_reads_heads_of_any_size(store: &impl Store) {
    let long = head(&"x".repeat(20_000));
    let entry = Entry {
        head: long.clone(),
        ..entry(1, "body")
    };
    put(store, &key("/a"), &entry).await;
    let judge = |_: &Key, front: &Front| match front {
        Front::Response { head, .. } if head.headers() == long.headers() => Sweep::Remove,
        _ => Sweep::Keep,
    };
    store.sweep("", None, &judge).await.unwrap();
    assert!(get(store, &key("/a")).await.is_none());
}

fn key(path: &str) -> Key {
    Key::parse(&format!("GET http://origin.example{path}"))
}

fn head(text: &str) -> Arc<Head> {
    let mut headers = HeaderMap::new();
    headers.append("x-text", text.parse().unwrap());
    headers.append(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=60"),
    );
    Arc::new(Head::restore(StoredHead {
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers,
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        initial_age: Duration::ZERO,
        lifetime: Lifetime {
            duration: Duration::from_secs(60),
            source: Source::MaxAge,
        },
    }))
}

fn entry(id: u64, body: &str) -> Entry {
    Entry {
        id: EntryId(id),
        head: head("head"),
        body: Payload::new(Bytes::copy_from_slice(body.as_bytes()), None),
    }
}

fn vary() -> Vary {
    Vary {
        epoch: 0xfeed_0000_0000_00ff,
        fields: Fields::new([header::ORIGIN, header::ACCEPT]),
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

async fn put(store: &impl Store, key: &Key, entry: &Entry) {
    let record = Record::Response(entry.clone());
    put_record(store, key, record, LONG).await;
}

async fn put_record(store: &impl Store, key: &Key, record: Record, keep: Duration) {
    let seen = store.get(key).await.unwrap().seen;
    store.put(key, record, keep, seen).await.unwrap();
}

/// The record with all its body at hand.
async fn get(store: &impl Store, key: &Key) -> Option<Record> {
    let mut record = store.get(key).await.unwrap().record?;
    if let Record::Response(Entry { body, .. }) = &mut record {
        let trailers = body.trailers().map(|trailers| (**trailers).clone());
        let all = Payload::new(body.read().await.unwrap(), trailers);
        *body = all.with_verdict(body.verdict().clone());
    }
    Some(record)
}

/// A response with so many bytes, which tell where they are.
fn sized(id: u64, length: usize) -> Entry {
    let turn: Vec<u8> = (0..251).map(|n| n ^ id as u8).collect();
    let mut data = turn.repeat(length / turn.len() + 1);
    data.truncate(length);
    Entry {
        body: Payload::new(data.into(), None),
        ..entry(id, "")
    }
}

async fn refresh(
    store: &impl Store,
    key: &Key,
    old: EntryId,
    head: Arc<Head>,
    keep: Duration,
) -> bool {
    let seen = store.get(key).await.unwrap().seen;
    store.refresh(key, old, head, keep, seen).await.unwrap()
}

#[track_caller]
fn assert_same(got: Option<Record>, want: &Entry) {
    let Some(Record::Response(got)) = got else {
        panic!("not a response: {got:?}");
    };
    assert_eq!(got.id, want.id);
    assert_eq!(got.head.stored(), want.head.stored());
    // The iterator's order is what a client sees; a map's equality does not tell.
    assert!(got.head.headers().iter().eq(want.head.headers()));
    assert!(got.body.data() == want.body.data(), "the bodies differ");
    assert_eq!(got.body.trailers(), want.body.trailers());
    assert_eq!(got.body.verdict().get(), want.body.verdict().get());
}
