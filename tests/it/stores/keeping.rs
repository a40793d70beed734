//! What is put is got, as it was, until it is replaced or removed.

use super::*;

pub(super) async fn what_is_put_is_got(store: &impl Store) {
    assert!(get(store, &key("/a")).await.is_none());
    let entry = entry(1, "body");
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
    assert!(get(store, &key("/b")).await.is_none());
}

pub(super) async fn a_put_replaces(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "the first, and longer, body")).await;
    let second = entry(2, "the second");
    put(store, &key("/a"), &second).await;
    assert_same(get(store, &key("/a")).await, &second);
}

pub(super) async fn every_byte_of_a_head_survives(store: &impl Store) {
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

pub(super) async fn trailers_survive(store: &impl Store) {
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

pub(super) async fn verdicts_survive(store: &impl Store) {
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

pub(super) async fn markers_survive(store: &impl Store) {
    let vary = Arc::new(vary());
    put(store, &key("/a"), &entry(1, "body")).await;
    let marker = Record::Vary(vary.clone());
    put_record(store, &key("/a"), marker, LONG).await;
    match get(store, &key("/a")).await {
        Some(Record::Vary(got)) => assert_eq!(got, vary),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn search_markers_survive(store: &impl Store) {
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

pub(super) async fn an_empty_body_is_a_body(store: &impl Store) {
    let entry = entry(1, "");
    put(store, &key("/a"), &entry).await;
    assert_same(get(store, &key("/a")).await, &entry);
}

pub(super) async fn a_large_body_survives(store: &impl Store) {
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

pub(super) async fn no_time_to_keep_is_not_kept(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "before")).await;
    let record = Record::Response(entry(2, "after"));
    put_record(store, &key("/a"), record, Duration::ZERO).await;
    assert!(get(store, &key("/a")).await.is_none());
}

pub(super) async fn an_endless_time_to_keep_is_kept(store: &impl Store) {
    let entry = entry(1, "body");
    let record = Record::Response(entry.clone());
    put_record(store, &key("/a"), record, Duration::MAX).await;
    assert_same(get(store, &key("/a")).await, &entry);
}

pub(super) async fn refresh_changes_the_head_alone(store: &impl Store) {
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

pub(super) async fn refresh_keeps_a_large_body(store: &impl Store) {
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

pub(super) async fn refresh_leaves_another_response_alone(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "first")).await;
    let second = entry(2, "second");
    put(store, &key("/a"), &second).await;
    assert!(!refresh(store, &key("/a"), EntryId(1), head("new"), LONG).await);
    assert_same(get(store, &key("/a")).await, &second);
}

pub(super) async fn refresh_of_nothing_does_nothing(store: &impl Store) {
    let key = key("/a");
    assert!(!refresh(store, &key, EntryId(1), head("new"), LONG).await);
    assert!(get(store, &key).await.is_none());
    put(store, &key, &entry(1, "body")).await;
    assert!(store.remove(&key).await.unwrap().any);
    assert!(!refresh(store, &key, EntryId(1), head("new"), LONG).await);
    assert!(get(store, &key).await.is_none());
}

pub(super) async fn refresh_leaves_a_marker_alone(store: &impl Store) {
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

pub(super) async fn remove_forgets_one(store: &impl Store) {
    put(store, &key("/a"), &entry(1, "a")).await;
    put(store, &key("/b"), &entry(2, "b")).await;
    assert!(store.remove(&key("/a")).await.unwrap().any);
    assert!(!store.remove(&key("/a")).await.unwrap().any);
    assert!(get(store, &key("/a")).await.is_none());
    assert_same(get(store, &key("/b")).await, &entry(2, "b"));
}

pub(super) async fn clear_forgets_all(store: &impl Store) {
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

pub(super) async fn keys_are_told_apart_by_all_their_text(store: &impl Store) {
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
