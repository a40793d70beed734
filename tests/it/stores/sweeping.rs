//! Looking through all that is kept.

use super::*;

/// The keys that a sweep shows.
pub(super) async fn shown(store: &impl Store, start: &str) -> Vec<String> {
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

pub(super) async fn a_sweep_shows_what_begins_so(store: &impl Store) {
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

pub(super) async fn a_peek_tells_all_but_the_body(store: &impl Store) {
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

pub(super) async fn a_sweep_removes_and_renews(store: &impl Store) {
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

pub(super) async fn a_sweep_reads_heads_of_any_size(store: &impl Store) {
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
