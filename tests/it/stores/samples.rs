//! Records to keep, and how they are put and got.

use super::*;

pub(super) const LONG: Duration = Duration::from_secs(600);

pub(super) fn key(path: &str) -> Key {
    Key::parse(&format!("GET http://origin.example{path}"))
}

pub(super) fn head(text: &str) -> Arc<Head> {
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

pub(super) fn entry(id: u64, body: &str) -> Entry {
    Entry {
        id: EntryId(id),
        head: head("head"),
        body: Payload::new(Bytes::copy_from_slice(body.as_bytes()), None),
    }
}

pub(super) fn vary() -> Vary {
    Vary {
        epoch: 0xfeed_0000_0000_00ff,
        fields: Fields::new([header::ORIGIN, header::ACCEPT]),
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

pub(super) async fn put(store: &impl Store, key: &Key, entry: &Entry) {
    let record = Record::Response(entry.clone());
    put_record(store, key, record, LONG).await;
}

pub(super) async fn put_record(store: &impl Store, key: &Key, record: Record, keep: Duration) {
    let seen = store.get(key).await.unwrap().seen;
    store.put(key, record, keep, seen).await.unwrap();
}

/// The record with all its body at hand.
pub(super) async fn get(store: &impl Store, key: &Key) -> Option<Record> {
    let mut record = store.get(key).await.unwrap().record?;
    if let Record::Response(Entry { body, .. }) = &mut record {
        let trailers = body.trailers().map(|trailers| (**trailers).clone());
        let all = Payload::new(body.read().await.unwrap(), trailers);
        *body = all.with_verdict(body.verdict().clone());
    }
    Some(record)
}

/// A response with so many bytes, which tell where they are.
pub(super) fn sized(id: u64, length: usize) -> Entry {
    let turn: Vec<u8> = (0..251).map(|n| n ^ id as u8).collect();
    let mut data = turn.repeat(length / turn.len() + 1);
    data.truncate(length);
    Entry {
        body: Payload::new(data.into(), None),
        ..entry(id, "")
    }
}

pub(super) async fn refresh(
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
pub(super) fn assert_same(got: Option<Record>, want: &Entry) {
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
