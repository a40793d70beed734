//! What is particular to the store in memory: its budget, and time.

use super::*;
use larder::store::MemoryStore;

#[tokio::test]
async fn the_budget_holds() {
    for budget in [0, 10, 1 << 10, 1 << 20, 5_000_000] {
        let store = MemoryStore::new(budget);
        for n in 0..3000 {
            let len = (n * 7919) % 20_000;
            put(&store, &key(&format!("/{n}")), &sized(n as u64, len)).await;
            assert!(store.stats().bytes <= budget, "{:?}", store.stats());
        }
        if budget >= 1 << 20 {
            // And it is made use of.
            assert!(store.stats().bytes > budget / 2, "{:?}", store.stats());
        }
    }
}

#[tokio::test]
async fn small_records_are_not_weightless() {
    let store = MemoryStore::new(1 << 20);
    for n in 0..20_000 {
        put(&store, &key(&format!("/{n}")), &sized(n, 0)).await;
    }
    assert!(
        store.stats().entries < (1 << 20) / 300,
        "{:?}",
        store.stats()
    );
}

#[tokio::test]
async fn refreshing_keeps_the_books_right() {
    let store = MemoryStore::new(1 << 20);
    put(&store, &key("/a"), &entry(1, "body")).await;
    let before = store.stats();
    for len in [10_000, 0, 20_000] {
        let head = head(&"x".repeat(len));
        assert!(refresh(&store, &key("/a"), EntryId(1), head, LONG).await);
        let grown = store.stats().bytes.abs_diff(before.bytes);
        assert!(grown.abs_diff(len as u64) < 10, "{grown} for {len}");
    }
    assert!(store.remove(&key("/a")).await.unwrap().any);
    assert_eq!((store.stats().entries, store.stats().bytes), (0, 0));
}

#[tokio::test]
async fn a_head_that_grows_too_large_is_dropped() {
    let store = MemoryStore::new(100_000);
    put(&store, &key("/a"), &entry(1, "body")).await;
    let head = head(&"x".repeat(200_000));
    assert!(!refresh(&store, &key("/a"), EntryId(1), head, LONG).await);
    assert_eq!(store.stats().bytes, 0);
}

#[tokio::test]
async fn whatever_max_object_allows_is_kept() {
    for (budget, max) in [
        (256 << 20, 8 << 20),
        (64 << 20, 32 << 20),
        (10 << 20, 1 << 10),
    ] {
        let store = MemoryStore::new(budget).with_max_object(max);
        // Under many keys: which shard it comes to depends on the key.
        for n in 0..64 {
            let key = key(&format!("/{n}"));
            put(&store, &key, &sized(n, max as usize)).await;
            assert!(get(&store, &key).await.is_some(), "{budget} {max} {n}");
            assert!(store.stats().bytes <= budget);
        }
    }
}

#[tokio::test]
async fn a_small_budget_keeps_what_fits() {
    let store = MemoryStore::new(1 << 20).with_max_object(8 << 20);
    put(&store, &key("/a"), &entry(1, "body")).await;
    // 97.4 % of it.
    put(&store, &key("/a"), &sized(2, 1_021_000)).await;
    let kept = get(&store, &key("/a")).await;
    assert!(
        matches!(&kept, Some(Record::Response(entry)) if entry.id == EntryId(2)),
        "{kept:?}"
    );
    put(&store, &key("/a"), &sized(3, 2 << 20)).await;
    assert!(
        get(&store, &key("/a")).await.is_none(),
        "nor what was there"
    );
    assert_eq!(store.stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn records_expire() {
    let store = MemoryStore::new(1 << 20);
    let keep = Duration::from_secs(10);
    let record = Record::Response(entry(1, "body"));
    put_record(&store, &key("/a"), record, keep).await;

    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(get(&store, &key("/a")).await.is_some());
    assert!(refresh(&store, &key("/a"), EntryId(1), head("new"), keep).await);

    tokio::time::advance(Duration::from_millis(9999)).await;
    assert!(get(&store, &key("/a")).await.is_some(), "it was refreshed");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(
        !refresh(&store, &key("/a"), EntryId(1), head("late"), keep).await,
        "what has expired is not refreshed"
    );
    assert!(get(&store, &key("/a")).await.is_none());
    assert_eq!(store.stats().entries, 0, "it was dropped when found");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_does_not_show_what_has_expired() {
    let store = MemoryStore::new(1 << 20);
    let record = Record::Response(entry(1, "body"));
    let keep = Duration::from_secs(10);
    put_record(&store, &key("/a"), record, keep).await;
    assert_eq!(shown(&store, "").await.len(), 1);
    tokio::time::advance(keep).await;
    assert!(shown(&store, "").await.is_empty());
}

#[tokio::test]
async fn clones_share() {
    let store = MemoryStore::new(1 << 20);
    let clone = store.clone();
    put(&store, &key("/a"), &entry(1, "body")).await;
    assert_same(get(&clone, &key("/a")).await, &entry(1, "body"));
    clone.clear().await.unwrap();
    assert!(get(&store, &key("/a")).await.is_none());
}

#[tokio::test]
async fn a_verdict_is_shared_by_all_who_got_the_record() {
    let store = MemoryStore::new(1 << 20);
    put(&store, &key("/a"), &entry(1, "body")).await;
    let body = async || match get(&store, &key("/a")).await {
        Some(Record::Response(entry)) => entry.body,
        other => panic!("{other:?}"),
    };
    let (first, second) = (body().await, body().await);
    assert!(first.verdict().get_or_look(|| true));
    assert!(second.verdict().get_or_look(|| panic!("looked twice")));
    assert_eq!(body().await.verdict().get(), Some(true));
}
