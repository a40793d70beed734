//! A store that is slow: a request waits for it so long, and no longer.

use std::{sync::Arc, time::Duration};

use larder::{
    cache::CacheLayer,
    policy::{Head, Key, Purge},
    store::{
        EntryId, Front, Judge, Looked, MemoryStore, Record, Removed, Seen, Store, StoreError, Told,
    },
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use crate::support::script::{Script, request, settle};

/// What a request may wait.
const PATIENCE: Duration = Duration::from_millis(50);

/// Takes this long for each answer.
struct Slow(Duration, MemoryStore);

impl Store for Slow {
    async fn get(&self, key: &Key) -> Result<Looked, StoreError> {
        sleep(self.0).await;
        self.1.get(key).await
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        self.1.peek(key).await
    }

    async fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        seen: Seen,
    ) -> Result<(), StoreError> {
        sleep(self.0).await;
        self.1.put(key, record, keep, seen).await
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, StoreError> {
        sleep(self.0).await;
        self.1.refresh(key, old, head, keep, seen).await
    }

    async fn remove(&self, key: &Key) -> Result<Removed, StoreError> {
        sleep(self.0).await;
        self.1.remove(key).await
    }

    async fn announce(&self, purge: &Purge) -> Result<Seen, StoreError> {
        self.1.announce(purge).await
    }

    async fn swept(&self, at: Seen) -> Result<(), StoreError> {
        self.1.swept(at).await
    }

    fn listen(&self, told: Told) {
        self.1.listen(told);
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.1.clear().await
    }

    async fn sweep(
        &self,
        start: &str,
        at: Option<Seen>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        self.1.sweep(start, at, judge).await
    }
}

/// Whether each of these requests was a hit, and how long it took.
async fn asked(
    store: Slow,
    methods: &[&str],
    fields: &'static [(&str, &str)],
) -> Vec<(bool, u128)> {
    let layer = CacheLayer::builder(store).store_timeout(PATIENCE).build();
    let service = layer.layer(Script::numbered(fields));
    let mut all = Vec::new();
    for method in methods {
        let start = Instant::now();
        let res = service.clone().oneshot(request(method, "/a", &[])).await;
        let hit = res.unwrap().headers()["x-cache"] == "HIT";
        all.push((hit, start.elapsed().as_millis()));
        sleep(Duration::from_secs(1)).await;
        settle().await;
    }
    all
}

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const VARIED: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("vary", "accept")];

fn slow(millis: u64) -> Slow {
    Slow(Duration::from_millis(millis), MemoryStore::new(1 << 20))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_its_time_is_waited_for() {
    assert_eq!(
        asked(slow(40), &["GET", "GET"], FRESH).await,
        [(false, 40), (true, 40)]
    );
    // Two questions: which variants there are, and for the variant.
    assert_eq!(
        asked(slow(20), &["GET", "GET"], VARIED).await,
        [(false, 20), (true, 40)]
    );
}

#[tokio::test(start_paused = true)]
async fn all_questions_of_a_request_have_one_budget() {
    assert_eq!(
        asked(slow(30), &["GET", "GET"], VARIED).await,
        [(false, 30), (false, 50)]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_costs_a_request_the_budget_and_no_more() {
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        let took = asked(slow(3_600_000), &[method], VARIED).await;
        assert_eq!(took, [(false, 50)], "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_validated_goes_out_before_it_is_written() {
    const STALE: &[(&str, &str)] = &[("cache-control", "max-age=0"), ("etag", "\"v1\"")];
    let layer = CacheLayer::builder(slow(40))
        .store_timeout(PATIENCE)
        .build();
    let service = layer.layer(Script::at_once(|_, req| {
        let status = match req.headers.contains_key("if-none-match") {
            true => 304,
            false => 200,
        };
        crate::support::script::respond(status, STALE, "body")
    }));
    let first = service
        .clone()
        .oneshot(request("GET", "/a", &[]))
        .await
        .unwrap();
    drop(first);
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let res = service.oneshot(request("GET", "/a", &[])).await.unwrap();
    let looked = Duration::from_millis(40);
    assert_eq!((res.status().as_u16(), start.elapsed()), (200, looked));
}

#[tokio::test(start_paused = true)]
async fn a_commit_under_way_is_waited_for_no_longer_and_does_not_undo_a_purge() {
    let short = PATIENCE / 2;
    let Slow(time, store) = slow(40);
    let layer = CacheLayer::builder(Slow(time, store.clone()));
    let service = layer.store_timeout(short).build();
    let service = service.layer(Script::numbered(FRESH));
    let first = service.clone().oneshot(request("GET", "/a", &[])).await;
    drop(first);
    settle().await; // From here on, it takes 40 ms until it is stored.
    let start = Instant::now();
    let res = service.oneshot(request("DELETE", "/a", &[])).await.unwrap();
    assert_eq!((res.status().as_u16(), start.elapsed()), (200, short));
    assert_eq!(store.stats().entries, 0);
    sleep(time - short + Duration::from_millis(1)).await;
    assert_eq!(store.stats().entries, 1, "the commit is done");
    sleep(time).await;
    assert_eq!(store.stats().entries, 0, "and then the purge");
}
