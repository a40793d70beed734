//! Random gets and purges on several instances, and an origin that changes before each purge: no
//! get that began after a purge had answered sees what was there before.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use larder::{
    cache::{Manner, Purge, Purged},
    store::{RedisConfig, RedisStore, StoreError},
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    coherence::{Instance, Line, url, versioned},
    redis::config,
    *,
};
use crate::support::{
    redis::{Cluster, Redis},
    script::Script,
};

const PATHS: [&str; 8] = ["/a", "/a/b", "/c", "/d", "/e", "/f", "/g", "/h"];
const NEAR: Duration = Duration::from_millis(300);
const STEPS: usize = 3000;
const WORKERS: usize = 8;

/// What the origin is, and what purges have answered.
struct History {
    current: HashMap<&'static str, AtomicU64>,
    /// For each path the versions that purges were made for, and when they had answered.
    purged: Mutex<HashMap<&'static str, Vec<(Instant, u64)>>>,
}

impl History {
    fn new() -> Arc<Self> {
        let current = PATHS.map(|path| (path, AtomicU64::new(1)));
        Arc::new(History {
            current: current.into(),
            purged: Mutex::default(),
        })
    }

    /// The oldest version that a get may see that begins now, where copies live so long.
    fn oldest(&self, path: &str, near: Duration) -> u64 {
        let now = Instant::now();
        let purged = self.purged.lock().unwrap();
        let of_path = purged.get(path).into_iter().flatten();
        let sure = of_path.filter(|(answered, _)| *answered + near < now);
        sure.map(|(_, version)| *version).max().unwrap_or(1)
    }

    async fn change(&self, instance: &Any, path: &'static str, purge: &Purge, manner: Manner) {
        let changed: Vec<_> = PATHS
            .into_iter()
            .filter(|other| match purge {
                Purge::Uri(_) => *other == path,
                Purge::Below(_) => *other == path || other.starts_with(&format!("{path}/")),
                _ => true,
            })
            .map(|path| (path, self.current[path].fetch_add(1, SeqCst) + 1))
            .collect();
        if instance.purge(purge, manner).await.is_ok() {
            let now = Instant::now();
            let mut purged = self.purged.lock().unwrap();
            for (path, version) in changed {
                purged.entry(path).or_default().push((now, version));
            }
        }
    }
}

/// An instance that hears of others' purges, or one that does not.
enum Any {
    Hearing(Instance),
    Deaf(Instance<RedisStore>),
}

impl Any {
    async fn get(&self, path: &str) -> (String, bool) {
        match self {
            Any::Hearing(instance) => instance.get(path).await,
            Any::Deaf(instance) => instance.get(path).await,
        }
    }

    async fn purge(&self, purge: &Purge, manner: Manner) -> Result<Purged, StoreError> {
        match self {
            Any::Hearing(one) => one.layer.handle().purge_by(purge, manner).await,
            Any::Deaf(one) => one.layer.handle().purge_by(purge, manner).await,
        }
    }
}

/// A number that is as good as random.
fn dice(seed: &mut u64, sides: usize) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize % sides
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_get_sees_what_was_purged_before_it_began() {
    let redis = Redis::start();
    let line = Line::to(&redis).await;
    let through = RedisConfig::new(&line.url).timeout(Duration::from_millis(200));
    // Its connections are cut now and then.
    let cutting = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(400)).await;
            line.cut();
            tokio::time::sleep(Duration::from_millis(250)).await;
            line.mend();
        }
    });
    holds(config(&redis), through).await;
    cutting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_where_redis_is_a_cluster() {
    let cluster = Cluster::start();
    let config = RedisConfig::new(cluster.url()).timeout(Duration::from_secs(5));
    holds(config.clone(), config).await;
}

/// On four instances, one of which finds Redis another way.
async fn holds(config: RedisConfig, through: RedisConfig) {
    let history = History::new();
    let current = Arc::clone(&history);
    let origin = Script::new(move |n, req| {
        let path = req.uri.path().to_owned();
        let version = current.current[path.as_str()].load(SeqCst);
        async move {
            // What it was when it was asked, said later: now and then so late that much happens
            // meanwhile.
            let late = if n % 4 == 0 { 150 } else { n as u64 % 5 };
            tokio::time::sleep(Duration::from_millis(late)).await;
            versioned(version)
        }
    });
    let far = Instance::new(config.clone(), None, &origin).await;
    let near = Instance::new(config.clone(), Some(NEAR), &origin).await;
    let cut = Instance::new(through, Some(NEAR), &origin).await;
    let deaf = Instance::deaf(config, &origin).await;
    let instances = [
        (Any::Hearing(far), Duration::ZERO),
        (Any::Hearing(near), NEAR),
        (Any::Hearing(cut), NEAR),
        (Any::Deaf(deaf), Duration::ZERO),
    ];
    let instances = Arc::new(instances);

    let mut work = JoinSet::new();
    for worker in 0..WORKERS {
        let (instances, history) = (Arc::clone(&instances), Arc::clone(&history));
        let mut seed = 11 * worker as u64 + 23;
        work.spawn(async move {
            let mut hits = 0;
            for _ in 0..STEPS / WORKERS {
                let (instance, near) = &instances[dice(&mut seed, 4)];
                let path = PATHS[dice(&mut seed, 8)];
                if worker > 1 || dice(&mut seed, 3) > 0 {
                    let oldest = history.oldest(path, *near);
                    let (body, hit) = instance.get(path).await;
                    let version: u64 = body.parse().unwrap();
                    assert!(
                        version >= oldest,
                        "{path}: {version} after {oldest}, near {near:?}"
                    );
                    hits += u64::from(hit);
                } else {
                    let purge = match dice(&mut seed, 16) {
                        0 => Purge::All,
                        1 => Purge::Below(url(path)),
                        2 => Purge::Tag("red".to_owned()),
                        3 => Purge::Groups(url("/"), vec!["g".to_owned()]),
                        _ => Purge::Uri(url(path)),
                    };
                    let manner = match dice(&mut seed, 4) {
                        0 => Manner::Expire,
                        _ => Manner::Forget,
                    };
                    history.change(instance, path, &purge, manner).await;
                }
                let pause = dice(&mut seed, 8) as u64;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            hits
        });
    }
    let hits: u64 = work.join_all().await.into_iter().sum();
    assert!(
        hits > STEPS as u64 / 10,
        "it was a cache all the time: {hits} hits"
    );
}
