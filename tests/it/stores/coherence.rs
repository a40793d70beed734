//! Several caches on one Redis: what one purges is not served by another.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use http_body_util::BodyExt;
use larder::{
    cache::{Cache, CacheLayer, Manner, Purge, ResponseBody},
    policy::Policy,
    store::{Availability, MemoryStore, RedisConfig, RedisStore, TieredStore},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tower::{Layer, Service, util::MapResponse};

use super::{
    redis::{config, connect, heals, is_down, name, soon, store, time_left, wait_for},
    *,
};
use crate::support::{
    redis::{Redis, Reply},
    script::{self, Body, Script, respond},
};

/// So long that no test waits for it.
pub(super) const NEVER: Duration = Duration::from_secs(600);

/// A cache on a Redis, as one of several processes has it.
pub(super) struct Instance<S = TieredStore> {
    pub(super) layer: CacheLayer<S>,
    service: Cache<Script, S>,
    pub(super) far: RedisStore,
}

impl Instance<RedisStore> {
    /// One that hears of nothing.
    pub(super) async fn deaf(config: RedisConfig, origin: &Script) -> Self {
        let far = connect(config).await;
        Instance::on(far.clone(), far, origin)
    }
}

impl Instance {
    pub(super) async fn new(config: RedisConfig, near: Option<Duration>, origin: &Script) -> Self {
        let far = connect(config).await;
        let store = match near {
            Some(ttl) => TieredStore::with_near(far.clone(), MemoryStore::new(64 << 20), ttl),
            None => TieredStore::without_near(far.clone()),
        };
        Instance::on(store, far, origin)
    }
}

impl<S: Store> Instance<S> {
    fn on(store: S, far: RedisStore, origin: &Script) -> Self {
        let layer = CacheLayer::builder(store).policy(Policy::origin()).build();
        Instance {
            service: layer.layer(origin.clone()),
            layer,
            far,
        }
    }

    /// The body, and whether it was a hit.
    /// Fetches that are under way, or being stored.
    pub(super) fn flights(&self) -> usize {
        self.layer.handle().flights()
    }

    pub(super) async fn get(&self, path: &str) -> (String, bool) {
        self.get_with(path, &[]).await
    }

    pub(super) async fn get_with(&self, path: &str, fields: &[(&str, &str)]) -> (String, bool) {
        self.ask("GET", path, fields).await
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (String, bool) {
        let erased = |res: http::Response<ResponseBody<Body>>| res.map(BodyExt::boxed_unsync);
        let req: http::Request<Body> = script::request(method, path, fields);
        let mut service = MapResponse::new(self.service.clone(), erased);
        let Ok(res) = service.call(req).await;
        let told = script::told(res).await;
        let hit = told.is_hit();
        (told.body, hit)
    }

    pub(super) async fn purge(&self, purge: &Purge, manner: Manner) {
        let purged = self.layer.handle().purge_by(purge, manner).await;
        purged.unwrap();
    }

    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&(String, bool)) -> bool) {
        // A near hit does not wait for anything, and others must run.
        soon(async {
            while !wanted(&self.get(path).await) {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Has a response in both tiers.
    pub(super) async fn warm(&self, path: &str) -> String {
        self.until(path, |(_, hit)| *hit).await;
        self.get(path).await.0
    }
}

/// An origin whose answer is its version, and how often it was asked.
pub(super) fn origin(version: &Arc<AtomicU64>) -> Script {
    let version = Arc::clone(version);
    Script::at_once(move |_, _| versioned(version.load(SeqCst)))
}

pub(super) fn versioned(version: u64) -> http::Response<Body> {
    let fields = [
        ("cache-control", "max-age=600, stale-while-revalidate=0"),
        ("cache-tag", "red"),
        ("cache-groups", "\"g\""),
    ];
    respond(200, &fields, version.to_string())
}

pub(super) fn url(path: &str) -> Key {
    Key::parse(&format!("GET http://api.example{path}"))
}

fn purges() -> Vec<Purge> {
    vec![
        Purge::All,
        Purge::Uri(url("/a/b")),
        Purge::Below(url("/a")),
        Purge::Tag("red".to_owned()),
        Purge::Groups(url("/"), vec!["g".to_owned()]),
    ]
}

#[tokio::test]
async fn what_one_purges_is_gone_on_all() {
    let redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let one = Instance::new(config(&redis), Some(NEVER), &origin).await;
    let two = Instance::new(config(&redis), Some(NEVER), &origin).await;
    let far = Instance::new(config(&redis), None, &origin).await;
    let mut took = Vec::new();
    for purge in [purges(), purges()].concat() {
        for manner in [Manner::Forget, Manner::Expire] {
            let old = one.warm("/a/b").await;
            assert_eq!(two.warm("/a/b").await, old);
            assert_eq!(far.get("/a/b").await, (old, true));
            let new = (version.fetch_add(1, SeqCst) + 1).to_string();
            one.purge(&purge, manner).await;
            let purged = Instant::now();
            assert_eq!(far.get("/a/b").await.0, new, "{purge:?} {manner:?}");
            assert_eq!(one.get("/a/b").await.0, new, "{purge:?} {manner:?}");
            two.until("/a/b", |(body, _)| *body == new).await;
            took.push(purged.elapsed());
        }
    }
    // Most of them: the machine may have other things to do meanwhile.
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    assert!(median < Duration::from_millis(100), "{took:?}");
    assert!(longest < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_purge_leaves_alone_what_it_does_not_concern() {
    let redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let one = Instance::new(config(&redis), Some(NEVER), &origin).await;
    let two = Instance::new(config(&redis), Some(NEVER), &origin).await;
    one.warm("/kept").await;
    two.warm("/kept").await;
    let asked = origin.calls();
    for purge in [
        Purge::Uri(url("/a/b")),
        Purge::Below(url("/a")),
        Purge::Tag("blue".to_owned()),
    ] {
        one.purge(&purge, Manner::Forget).await;
        assert!(one.get("/kept").await.1 && two.get("/kept").await.1);
    }
    assert_eq!(origin.calls(), asked);
}

/// An origin that answers with what it was when it was asked, but not before it is let go.
pub(super) fn held(version: &Arc<AtomicU64>) -> (Script, Arc<Notify>, watch::Sender<bool>) {
    let asked = Arc::new(Notify::new());
    let (go, going) = watch::channel(false);
    let (version, told) = (Arc::clone(version), Arc::clone(&asked));
    let script = Script::new(move |_, _| {
        let version = version.load(SeqCst);
        let mut going = going.clone();
        told.notify_one();
        async move {
            let _ = going.wait_for(|go| *go).await;
            versioned(version)
        }
    });
    (script, asked, go)
}

#[tokio::test]
async fn a_fetch_in_flight_elsewhere_brings_nothing_back() {
    for purge in purges() {
        for manner in [Manner::Forget, Manner::Expire] {
            let redis = Redis::start();
            let version = Arc::new(AtomicU64::new(1));
            let (slow, asked, go) = held(&version);
            let quick = origin(&version);
            let one = Instance::new(config(&redis), Some(NEVER), &quick).await;
            let two = Arc::new(Instance::new(config(&redis), Some(NEVER), &slow).await);
            let far = Instance::new(config(&redis), None, &quick).await;
            let fetching = Arc::clone(&two);
            let fetching = tokio::spawn(async move { fetching.get("/a/b").await.0 });
            soon(asked.notified()).await;
            version.store(2, SeqCst);
            one.purge(&purge, manner).await;
            go.send_replace(true);
            assert_eq!(soon(fetching).await.unwrap(), "1");
            soon(async {
                while two.layer.handle().flights() > 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(far.get("/a/b").await.0, "2", "{purge:?} {manner:?}");
            two.until("/a/b", |(body, _)| body == "2").await;
        }
    }
}

#[tokio::test]
async fn a_late_write_is_never_served() {
    let redis = Redis::start();
    let (one, two) = (store(&redis).await, store(&redis).await);
    let a = key("/a");
    let record = |id| Record::Response(entry(id, "body"));

    // The key was removed.
    let late = one.get(&a).await.unwrap().seen;
    two.remove(&a).await.unwrap();
    one.put(&a, record(1), LONG, late).await.unwrap();
    assert!(get(&two, &a).await.is_none());

    // Something else came in its place: it is kept until the removal is forgotten.
    let keep = Duration::from_millis(1);
    let seen = two.get(&a).await.unwrap().seen;
    two.put(&a, record(2), keep, seen).await.unwrap();
    assert!(time_left(&redis, "/a") > 500_000);
    one.put(&a, record(1), LONG, late).await.unwrap();
    assert!(matches!(get(&one, &a).await, Some(Record::Response(entry)) if entry.id == EntryId(2)));

    // A purge of many that concerns it, and one that does not.
    for (below, there) in [("/b", true), ("/a", false)] {
        two.remove(&a).await.unwrap();
        let late = one.get(&a).await.unwrap().seen;
        two.announce(&Purge::Below(key(below))).await.unwrap();
        one.put(&a, record(3), LONG, late).await.unwrap();
        assert_eq!(get(&two, &a).await.is_some(), there, "{below}");
        assert_eq!(get(&one, &a).await.is_some(), there, "{below}");
    }

    // Nobody knows that somebody looked: nothing is stored.
    two.put(&key("/c"), record(1), LONG, Seen::default())
        .await
        .unwrap();
    assert!(get(&two, &key("/c")).await.is_none());
}

#[tokio::test]
async fn a_head_that_comes_late_freshens_nothing() {
    let redis = Redis::start();
    let (one, two) = (store(&redis).await, store(&redis).await);
    let a = key("/a");
    put(&one, &a, &entry(1, "body")).await;
    let late = one.get(&a).await.unwrap().seen;
    // A soft purge: the same response, with another head.
    let at = two.announce(&Purge::Uri(a.clone())).await.unwrap();
    let judge = |_: &Key, _: &Front| Sweep::Renew(head("stale"), LONG);
    two.sweep("", Some(at), &judge).await.unwrap();
    two.swept(at).await.unwrap();
    assert!(
        !one.refresh(&a, EntryId(1), head("fresh"), LONG, late)
            .await
            .unwrap()
    );
    let Some(Record::Response(got)) = get(&one, &a).await else {
        panic!("it is there, if stale");
    };
    assert_eq!(got.head.headers()["x-text"], "stale");
}

#[tokio::test]
async fn what_one_replaces_or_freshens_the_others_serve() {
    let redis = Redis::start();
    let tiered = async || {
        let near = MemoryStore::new(64 << 20);
        TieredStore::with_near(store(&redis).await, near, NEVER)
    };
    let (one, two) = (tiered().await, tiered().await);
    let a = key("/a");
    put(&one, &a, &entry(1, "first")).await;
    assert!(get(&two, &a).await.is_some());
    let id = async || match get(&two, &a).await {
        Some(Record::Response(entry)) => (entry.id.0, entry.head.headers()["x-text"].clone()),
        other => panic!("{other:?}"),
    };
    // More than one, as the other may not listen yet.
    let latest = soon(async {
        for latest in 2.. {
            put(&one, &a, &entry(latest, "another")).await;
            for _ in 0..100 {
                if id().await.0 == latest {
                    return latest;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
        unreachable!()
    })
    .await;
    assert!(refresh(&one, &a, EntryId(latest), head("new"), LONG).await);
    soon(async {
        while id().await.1 != "new" {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn flushing_redis_empties_memory() {
    let redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let ttl = Duration::from_secs(8);
    let one = Instance::new(config(&redis), Some(ttl), &origin).await;
    one.warm("/a").await;
    version.store(2, SeqCst);
    redis.command(&["FLUSHALL"]);
    one.until("/a", |(body, _)| body == "2").await;
    one.warm("/a").await;
}

/// Passes connections on to Redis, until it is told to cut them.
pub(super) struct Line {
    pub(super) url: String,
    up: watch::Sender<bool>,
}

impl Line {
    pub(super) async fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let port = redis.port();
        let (up, is_up) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut is_up = is_up.clone();
                tokio::spawn(async move {
                    if !*is_up.borrow_and_update() {
                        return;
                    }
                    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        _ = is_up.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        Line { url, up }
    }

    pub(super) fn cut(&self) {
        self.up.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.up.send_replace(true);
    }
}

#[tokio::test]
async fn who_hears_nothing_serves_copies_for_a_short_time_only() {
    let redis = Redis::start();
    let line = Line::to(&redis).await;
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let ttl = Duration::from_secs(1);
    let one = Instance::new(config(&redis), Some(ttl), &origin).await;
    let through = RedisConfig::new(&line.url);
    let two = Instance::new(through, Some(ttl), &origin).await;
    for mended in [false, true] {
        one.warm("/a").await;
        two.warm("/a").await;
        line.cut();
        let new = (version.fetch_add(1, SeqCst) + 1).to_string();
        one.purge(&Purge::Uri(url("/a")), Manner::Forget).await;
        let purged = Instant::now();
        if mended {
            // Those who hear again have missed what was said meanwhile.
            line.mend();
        }
        soon(async {
            loop {
                let late = purged.elapsed() > ttl;
                let is_new = two.get("/a").await.0 == new;
                assert!(is_new || !late, "an old copy after {:?}", purged.elapsed());
                if is_new && late {
                    break;
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        line.mend();
        wait_for(&two.far, |state| *state == Availability::Up).await;
    }
}

#[tokio::test]
async fn what_was_purged_while_redis_was_away_stays_purged() {
    for purge in purges() {
        let redis = Redis::start();
        let version = Arc::new(AtomicU64::new(1));
        let origin = origin(&version);
        let patient = || RedisConfig::new(redis.url()).timeout(Duration::from_millis(100));
        let one = Instance::new(patient(), Some(NEVER), &origin).await;
        let far = Instance::new(config(&redis), None, &origin).await;
        one.warm("/a/b").await;
        redis.pause();
        version.store(2, SeqCst);
        let handle = one.layer.handle();
        soon(handle.purge_by(&purge, Manner::Forget))
            .await
            .unwrap_err();
        assert_eq!(one.get("/a/b").await.0, "2", "{purge:?}");
        wait_for(&one.far, is_down).await;
        redis.resume();
        wait_for(&one.far, |state| *state == Availability::Up).await;
        assert_eq!(far.get("/a/b").await.0, "2", "{purge:?}");
        assert_eq!(one.get("/a/b").await.0, "2", "{purge:?}");
    }
}

#[tokio::test]
async fn a_new_and_empty_redis_is_taken_up() {
    let mut redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let ttl = Duration::from_secs(2);
    let one = Instance::new(config(&redis), Some(ttl), &origin).await;
    let two = Instance::new(config(&redis), None, &origin).await;
    one.warm("/a").await;
    version.store(2, SeqCst);
    redis.restart();
    one.until("/a", |(body, _)| body == "2").await;
    two.until("/a", |(body, hit)| body == "2" && *hit).await;
    version.store(3, SeqCst);
    soon(async { while one.layer.handle().clear().await.is_err() {} }).await;
    assert_eq!(two.get("/a").await.0, "3");
}

/// What Redis forgets of the last minutes, where it comes back as it was before.
#[tokio::test]
async fn an_old_redis_does_not_bring_back_what_was_purged() {
    let mut redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let one = Instance::new(config(&redis), Some(NEVER), &origin).await;
    let two = Instance::new(config(&redis), None, &origin).await;
    for path in ["/a", "/b", "/kept"] {
        one.warm(path).await;
    }
    assert_eq!(redis.command(&["SAVE"]), [Reply::Text(b"OK".to_vec())]);
    version.store(2, SeqCst);
    for path in ["/a", "/b"] {
        one.purge(&Purge::Uri(url(path)), Manner::Forget).await;
    }
    two.until("/b", |(body, hit)| body == "2" && *hit).await;
    redis.kill();
    for instance in [&one, &two] {
        soon(wait_for(&instance.far, is_down)).await;
    }
    redis.restart();
    assert_eq!(
        redis.command(&["EXISTS", "larder:{GET http://api.example/a}"]),
        [Reply::Number(1)]
    );
    for instance in [&two, &one] {
        heals(&instance.far).await;
        for path in ["/a", "/b"] {
            assert_eq!(instance.get(path).await.0, "2", "{path}");
        }
        assert_eq!(instance.get("/kept").await, ("1".to_owned(), true));
    }
}

#[tokio::test]
async fn what_is_large_stays_out_of_memory() {
    let redis = Redis::start();
    let far = store(&redis).await;
    let near = MemoryStore::new(1 << 20);
    let store = TieredStore::with_near(far, near, NEVER);
    put(&store, &key("/small"), &entry(1, "small")).await;
    let mut large = entry(2, "");
    large.body = Payload::new(vec![7; 200_000].into(), None);
    put(&store, &key("/large"), &large).await;
    assert_same(get(&store, &key("/large")).await, &large);
    assert_eq!(store.near().unwrap().entries, 1);
    assert!(!redis.command(&["EXISTS", &name("/large")]).is_empty());
}
