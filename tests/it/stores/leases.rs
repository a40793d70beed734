//! Several caches on one Redis: what one fetches, the others wait for.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use larder::{
    cache::{Cache, CacheLayer, ResponseBody},
    clock::Clock,
    policy::Policy,
    store::{MemoryStore, RedisConfig, TieredStore},
};
use tokio::{
    sync::{Barrier, Semaphore, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tower::{Layer, Service, util::MapResponse};

use super::{
    coherence::{Line, NEVER},
    redis::{config, connect, soon},
    *,
};
use crate::support::{
    redis::{Cluster, Redis},
    script::{self, Body, Script, Told, respond, streamed},
};

/// No wait for the dead lasts longer: a lease's 3 s, and as much again for a machine that has much to do.
const BOUND: Duration = Duration::from_secs(6);

type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

#[derive(Clone)]
struct Instance {
    cache: Cache<Script, TieredStore>,
    layer: CacheLayer<TieredStore>,
}

impl Instance {
    /// One whose clock is ahead by so much.
    async fn new(config: RedisConfig, near: bool, ahead: Duration, origin: &Script) -> Self {
        let far = connect(config).await;
        let store = match near {
            true => TieredStore::with_near(far, MemoryStore::new(64 << 20), NEVER),
            false => TieredStore::without_near(far),
        };
        soon(async {
            while !store.hears() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let layer = CacheLayer::builder(store)
            .policy(Policy::origin())
            .clock(Clock::virtual_from(SystemTime::now() + ahead))
            // Correctness is not to depend on how busy the machine is.
            .store_timeout(Duration::from_secs(20))
            .build();
        let cache = layer.layer(origin.clone());
        Instance { cache, layer }
    }

    /// Waits until a request has looked, and has either asked the origin or waits for others. One
    /// thread runs all of this: from a seat, it goes as far as it can at once.
    async fn has_looked(&self) {
        soon(async {
            while self.layer.handle().flights() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn get_with(self, path: String, fields: &'static [(&str, &str)]) -> Told {
        let erased = |res: Response<ResponseBody<Body>>| res.map(BodyExt::boxed_unsync);
        let req: Request<Body> = script::get(&path, fields);
        let mut service = MapResponse::new(self.cache, erased);
        let answer: BoxFuture = Box::pin(service.call(req));
        let Ok(res) = answer.await;
        script::told(res).await
    }

    async fn get(self, path: &str) -> Told {
        self.get_with(path.to_owned(), &[]).await
    }
}

async fn three(redis: &Redis, near: bool, ahead: Duration, origin: &Script) -> Vec<Instance> {
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(Instance::new(config(redis), near, ahead, origin).await);
    }
    all
}

/// Asks on each of these so often at the same time.
async fn ask_all(instances: &[Instance], times: usize, path: &str) -> Vec<Told> {
    let mut asking = JoinSet::new();
    for _ in 0..times {
        for instance in instances {
            asking.spawn(instance.clone().get_with(path.to_owned(), &[]));
        }
    }
    soon(asking.join_all()).await
}

/// Answers when it is let go, and tells how often it was asked.
struct Held {
    script: Script,
    go: Arc<Semaphore>,
    asked: watch::Receiver<usize>,
}

fn held(fields: &'static [(&'static str, &'static str)]) -> Held {
    let go = Arc::new(Semaphore::new(0));
    let (tell, asked) = watch::channel(0);
    let going = Arc::clone(&go);
    let script = Script::new(move |n, _| {
        tell.send_replace(n);
        let going = Arc::clone(&going);
        async move {
            going.acquire().await.unwrap().forget();
            respond(200, fields, n.to_string())
        }
    });
    Held { script, go, asked }
}

impl Held {
    async fn asked(&mut self, times: usize) {
        soon(self.asked.wait_for(|asked| *asked >= times))
            .await
            .unwrap();
    }
}

/// The first of them fetches, and the second waits for it.
async fn one_waits(all: &[Instance], origin: &mut Held) -> [JoinHandle<Told>; 2] {
    let leading = tokio::spawn(all[0].clone().get("/a"));
    origin.asked(1).await;
    let waiting = tokio::spawn(all[1].clone().get("/a"));
    all[1].has_looked().await;
    assert_eq!(origin.script.calls(), 1);
    [leading, waiting]
}

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=600")];

#[tokio::test]
async fn what_all_ask_for_is_fetched_once() {
    const VARIED: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("vary", "accept")];
    for (near, fields) in [(true, FRESH), (false, FRESH), (true, VARIED)] {
        let redis = Redis::start();
        // Long enough that all have asked.
        let origin = Script::new(move |n, _| async move {
            sleep(Duration::from_millis(300)).await;
            respond(200, fields, n.to_string())
        });
        let all = three(&redis, near, Duration::ZERO, &origin).await;
        let (start, before) = (Instant::now(), scripts(&redis));
        let told = ask_all(&all, 100, "/a").await;
        assert!(told.iter().all(|told| told.body == "1"));
        assert_eq!((told.len(), origin.calls()), (300, 1));
        // They are told, long before a lease's time is over, and do not ask again and again.
        assert!(start.elapsed() < Duration::from_secs(2));
        let scripts = scripts(&redis) - before;
        assert!(scripts < 40, "{scripts} scripts");
    }
}

#[tokio::test]
async fn a_variant_is_fetched_once_that_is_new_or_stale() {
    const VARIED: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("vary", "accept")];
    let redis = Redis::start();
    let origin = Script::new(move |n, _| async move {
        sleep(Duration::from_millis(300)).await;
        respond(200, VARIED, n.to_string())
    });
    // Nobody has the mark in memory.
    let now = three(&redis, false, Duration::ZERO, &origin).await;
    let later = three(&redis, false, Duration::from_secs(3600), &origin).await;
    let mut calls = 0;
    for (instances, accept) in [
        (&now, "a"),
        (&now, "b"),
        (&now, "c"),
        (&later, "a"),
        (&later, "b"),
    ] {
        let mut asking = JoinSet::new();
        for instance in instances {
            for _ in 0..30 {
                let fields = match accept {
                    "a" => &[("accept", "a")],
                    "b" => &[("accept", "b")],
                    _ => &[("accept", "c")],
                };
                asking.spawn(instance.clone().get_with("/a".to_owned(), fields));
            }
        }
        let told = soon(asking.join_all()).await;
        calls += 1;
        assert_eq!(origin.calls(), calls, "{accept}");
        let body = calls.to_string();
        assert!(told.iter().all(|told| told.body == body), "{accept}");
    }
}

/// How many scripts Redis has run.
fn scripts(redis: &Redis) -> u64 {
    let info = redis.info("commandstats");
    let evals = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_eval:calls="));
    let calls = evals.and_then(|line| line.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn what_takes_long_is_waited_for_while_somebody_is_at_it() {
    let redis = Redis::start();
    let line = Line::to(&redis).await;
    let mut origin = held(FRESH);
    let far_away = RedisConfig::new(&line.url).timeout(Duration::from_secs(5));
    let slow = Instance::new(far_away, true, Duration::ZERO, &origin.script).await;
    let all = three(&redis, true, Duration::ZERO, &origin.script).await;
    let leading = tokio::spawn(slow.clone().get("/a"));
    origin.asked(1).await;
    let waiting = tokio::spawn(async move { ask_all(&all, 3, "/a").await });
    // Longer than a lease that is not renewed.
    sleep(Duration::from_millis(4500)).await;
    assert_eq!(origin.script.calls(), 1);
    let start = Instant::now();
    line.cut();
    leading.abort();
    origin.asked(2).await;
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    origin.go.add_permits(10);
    let told = soon(waiting).await.unwrap();
    assert_eq!(told.len(), 9);
    assert!(origin.script.calls() <= 4, "one for each at the most");
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_not_waited_for_to_its_end() {
    let redis = Redis::start();
    let (tell, mut bodies) = mpsc::unbounded_channel();
    let origin = Script::at_once(move |_, _| {
        let (sender, res) = streamed(200, FRESH);
        tell.send(sender).unwrap();
        res
    });
    let all = three(&redis, true, Duration::ZERO, &origin).await;
    let leading = tokio::spawn(all[0].clone().get("/a"));
    let mut first = soon(bodies.recv()).await.unwrap();
    first.send_data("slow".into()).await.unwrap();
    let start = Instant::now();
    let waiting = tokio::spawn(all[1].clone().get("/a"));
    let mut second = soon(bodies.recv()).await.unwrap();
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    assert!(!leading.is_finished());
    for body in [&mut first, &mut second] {
        body.send_data("er".into()).await.unwrap();
    }
    drop((first, second));
    assert_eq!(soon(leading).await.unwrap().body, "slower");
    assert_eq!(soon(waiting).await.unwrap().body, "er");
}

/// Who does not hear of purges cannot know that it was not purged since it was asked for.
#[tokio::test]
async fn a_body_on_its_way_is_not_joined_for_long_where_nothing_is_heard() {
    let redis = Redis::start();
    let line = Line::to(&redis).await;
    let (tell, mut bodies) = mpsc::unbounded_channel();
    let origin = Script::at_once(move |_, _| {
        let (sender, res) = streamed(200, FRESH);
        tell.send(sender).unwrap();
        res
    });
    let far_away = RedisConfig::new(&line.url).timeout(Duration::from_secs(5));
    let one = Instance::new(far_away, false, Duration::ZERO, &origin).await;
    let mut asking = JoinSet::new();
    asking.spawn(one.clone().get("/a"));
    let first = soon(bodies.recv()).await.unwrap();
    line.cut();
    soon(async {
        while origin.calls() < 2 {
            asking.spawn(one.clone().get("/a"));
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    drop((first, bodies));
    let told = soon(asking.join_all()).await;
    assert!(told.iter().all(|told| told.status == 200));
}

#[tokio::test]
async fn braces_in_a_url_are_as_good_as_any() {
    for url in ["/{a}/b", "/{a}", "/{", "/a}", "/{}?{a}"] {
        let redis = Redis::start();
        let mut origin = held(FRESH);
        let all = three(&redis, true, Duration::ZERO, &origin.script).await;
        let leading = tokio::spawn(all[0].clone().get(url));
        origin.asked(1).await;
        let waiting = tokio::spawn(all[1].clone().get(url));
        all[1].has_looked().await;
        origin.go.add_permits(2);
        for asked in [leading, waiting] {
            assert_eq!(soon(asked).await.unwrap().body, "1", "{url}");
        }
    }
}

#[tokio::test]
async fn leases_are_where_the_records_are_in_a_cluster() {
    let cluster = Cluster::start();
    let mut origin = held(FRESH);
    let mut all = Vec::new();
    for _ in 0..2 {
        let config = RedisConfig::new(cluster.url()).timeout(Duration::from_secs(5));
        all.push(Instance::new(config, true, Duration::ZERO, &origin.script).await);
    }
    for (n, url) in [
        "/a", "/b", "/c", "/{a}/b", "/{a}", "/{b}", "/{", "/}", "/{}{a}",
    ]
    .iter()
    .enumerate()
    {
        let leading = tokio::spawn(all[0].clone().get(url));
        origin.asked(n + 1).await;
        let waiting = tokio::spawn(all[1].clone().get(url));
        all[1].has_looked().await;
        origin.go.add_permits(1);
        for asked in [leading, waiting] {
            assert_eq!(
                soon(asked).await.unwrap().body,
                (n + 1).to_string(),
                "{url}"
            );
        }
        // The next is not to be taken for this one.
        soon(async {
            while all.iter().any(|one| one.layer.handle().flights() > 0) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(origin.script.calls(), 9);
}

#[tokio::test]
async fn who_leaves_lets_another_fetch_at_once() {
    let redis = Redis::start();
    let mut origin = held(FRESH);
    let all = three(&redis, true, Duration::ZERO, &origin.script).await;
    let [leading, waiting] = one_waits(&all, &mut origin).await;
    let start = Instant::now();
    leading.abort();
    origin.asked(2).await;
    assert!(start.elapsed() < Duration::from_secs(2), "a lease's time");
    origin.go.add_permits(2);
    assert_eq!(soon(waiting).await.unwrap().body, "2");
}

#[tokio::test]
async fn who_dies_is_waited_for_a_short_time_only() {
    let redis = Redis::start();
    let line = Line::to(&redis).await;
    let mut origin = held(FRESH);
    let far_away = RedisConfig::new(&line.url).timeout(Duration::from_secs(5));
    let dying = Instance::new(far_away, true, Duration::ZERO, &origin.script).await;
    let all = three(&redis, true, Duration::ZERO, &origin.script).await;
    let leading = tokio::spawn(dying.get("/a"));
    origin.asked(1).await;
    let start = Instant::now();
    let waiting = tokio::spawn(async move { ask_all(&all, 3, "/a").await });
    // It can tell nobody.
    line.cut();
    leading.abort();
    origin.asked(2).await;
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    origin.go.add_permits(10);
    let told = soon(waiting).await.unwrap();
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    assert_eq!(told.len(), 9);
    assert!(origin.script.calls() <= 4, "one for each at the most");
}

#[tokio::test]
async fn a_redis_that_dies_makes_nobody_wait() {
    let mut redis = Redis::start();
    let mut origin = held(FRESH);
    let all = three(&redis, true, Duration::ZERO, &origin.script).await;
    let [leading, waiting] = one_waits(&all, &mut origin).await;
    let start = Instant::now();
    redis.kill();
    origin.asked(2).await;
    assert!(start.elapsed() < Duration::from_secs(2), "a lease's time");
    origin.go.add_permits(2);
    for asked in [leading, waiting] {
        assert_eq!(soon(asked).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn what_cannot_be_stored_makes_nobody_queue() {
    const NEVER_STORED: &[(&str, &str)] = &[("cache-control", "no-store")];
    let redis = Redis::start();
    // After the first, each answer waits until three are asked for.
    let barrier = Arc::new(Barrier::new(3));
    let origin = Script::new(move |n, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            if n > 1 {
                barrier.wait().await;
            }
            respond(200, NEVER_STORED, n.to_string())
        }
    });
    let all = three(&redis, true, Duration::ZERO, &origin).await;
    all[0].clone().get("/a").await;
    let start = Instant::now();
    ask_all(&all, 1, "/a").await;
    assert!(start.elapsed() < Duration::from_secs(2), "a lease's time");
    assert_eq!(origin.calls(), 4);
}

/// An origin whose responses carry `fields` and an ETag, and which says that they hold.
fn validating(fields: &'static [(&'static str, &'static str)]) -> (Script, Arc<AtomicU64>) {
    let validated = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&validated);
    let script = Script::new(move |_, req| {
        let holds = req.headers.contains_key("if-none-match");
        let counted = Arc::clone(&counted);
        async move {
            if !holds {
                return respond(200, fields, "body");
            }
            counted.fetch_add(1, SeqCst);
            sleep(Duration::from_millis(300)).await;
            respond(304, fields, "")
        }
    });
    (script, validated)
}

#[tokio::test]
async fn what_is_stale_is_validated_once() {
    const FIELDS: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"v\"")];
    for near in [true, false] {
        let redis = Redis::start();
        let (origin, validated) = validating(FIELDS);
        let first = Instance::new(config(&redis), true, Duration::ZERO, &origin).await;
        soon(async { while !first.clone().get("/a").await.is_hit() {} }).await;
        let ahead = Duration::from_secs(601);
        let all = three(&redis, near, ahead, &origin).await;
        let told = ask_all(&all, 20, "/a").await;
        assert!(told.iter().all(|told| told.body == "body"));
        assert_eq!((origin.calls(), validated.load(SeqCst)), (2, 1));
    }
}

#[tokio::test]
async fn what_is_served_stale_is_refreshed_once() {
    const FIELDS: &[(&str, &str)] = &[
        ("cache-control", "max-age=600, stale-while-revalidate=600"),
        ("etag", "\"v\""),
    ];
    let redis = Redis::start();
    let (origin, validated) = validating(FIELDS);
    let first = Instance::new(config(&redis), true, Duration::ZERO, &origin).await;
    soon(async { while !first.clone().get("/a").await.is_hit() {} }).await;
    let all = three(&redis, true, Duration::from_secs(601), &origin).await;
    let told = ask_all(&all, 20, "/a").await;
    assert!(told.iter().all(|told| told.is_hit()));
    soon(async {
        for instance in &all {
            while instance.clone().get("/a").await.header("age") != "0" {
                sleep(Duration::from_millis(1)).await;
            }
        }
    })
    .await;
    assert_eq!((origin.calls(), validated.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn an_answer_for_one_client_alone_is_waited_for_once() {
    const PRIVATE: &[(&str, &str)] = &[("cache-control", "private, max-age=600")];
    let redis = Redis::start();
    let origin = Script::numbered(PRIVATE);
    let all = three(&redis, true, Duration::ZERO, &origin).await;
    for instance in &all {
        for user in ["session=1", "session=2"] {
            let fields: &'static [(&str, &str)] = match user {
                "session=1" => &[("cookie", "session=1")],
                _ => &[("cookie", "session=2")],
            };
            let start = Instant::now();
            let told = soon(instance.clone().get_with("/a".to_owned(), fields)).await;
            assert!(!told.is_hit() && start.elapsed() < Duration::from_secs(2));
        }
    }
    assert_eq!(origin.calls(), 6);
}
