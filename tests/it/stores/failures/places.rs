//! All that may happen to Redis, one thing after another and under load: to one server, to a cluster
//! of three, and to what sentinels watch over.

use super::{load::Load, *};
use crate::support::redis::{Cluster, Redis, Relay, Reply, Watched, until};

/// Whom larder is, to Redis.
const USER: [&str; 7] = ["ACL", "SETUSER", "keeper", "on", ">right", "~*", "&*"];

/// larder before some servers, under load. Copies in memory would hide what comes out of Redis.
struct Place {
    site: Site,
    load: Load,
    /// How often Redis was lost so far.
    lost: usize,
}

impl Place {
    async fn at(url: &str) -> Self {
        // Nothing is to be lost only because the machine is busy.
        let site = Site::with(url, &["--near=off", "--redis-timeout=250"]).await;
        let load = Load::on(&site);
        site.until_hit("/known/0").await;
        let lost = 0;
        Place { site, load, lost }
    }

    /// One that is not there when larder starts.
    async fn that_is_not_there(url: &str, nodes: &[Redis], is_well: impl Fn()) -> Self {
        nodes.iter().for_each(Redis::pause);
        let mut site = Site::with(url, &["--near=off", "--redis-timeout=250"]).await;
        let load = Load::on(&site);
        site.use_it(1).await;
        site.larder.event("redis lost").await;
        assert_eq!(site.cache().await, "degraded");
        nodes.iter().for_each(Redis::resume);
        is_well();
        let mut place = Place {
            site,
            load,
            lost: 0,
        };
        place.heals("not there at first").await;
        place
    }

    /// It is lost, and was not before.
    async fn loses_it(&mut self) {
        self.site.until_cache_is("degraded").await;
    }

    /// It is well, and larder finds that out soon, and says once what was.
    async fn heals(&mut self, what: &str) {
        let took = self.site.until_cache_is("ok").await;
        assert!(took < HEALS_WITHIN, "{what}: {took:?}");
        self.site.until_hit("/known/0").await;
        self.site.larder.event("redis is back").await;
        self.lost += 1;
        let said = self.site.said("redis lost");
        assert_eq!(said, self.lost, "{what}: {}", self.site.larder.text);
    }

    async fn ends(self) {
        self.site.use_it(1).await;
        self.load.ends(&self.site).await;
    }

    async fn is_killed(&mut self, redis: &mut Redis, is_well: impl Fn(&Redis)) {
        redis.kill();
        self.loses_it().await;
        redis.restart();
        is_well(redis);
        self.heals("killed").await;
    }

    /// What is purged meanwhile stays purged.
    async fn hangs(&mut self, redis: &Redis, is_well: impl Fn()) {
        let purged: Vec<String> = (0..10).map(|n| format!("/purged/{n}")).collect();
        for path in &purged {
            self.site.until_hit(path).await;
        }
        redis.pause();
        self.loses_it().await;
        for path in &purged {
            self.site.purge_in_vain(path).await;
        }
        redis.resume();
        is_well();
        self.heals("hung").await;
        for path in &purged {
            let answer = self.site.get(path).await;
            assert!(!answer.is_hit(), "{path} is there still");
        }
    }

    /// Its password is another for a while.
    async fn locks_us_out(&mut self, nodes: &[Redis]) {
        for redis in nodes {
            redis.command(&["ACL", "SETUSER", "keeper", "resetpass", ">other"]);
            redis.command(&["CLIENT", "KILL", "USER", "keeper"]);
        }
        self.loses_it().await;
        for redis in nodes {
            redis.command(&["ACL", "SETUSER", "keeper", "resetpass", ">right"]);
        }
        self.heals("locked out").await;
    }

    /// It obeys another for a while, and keeps nothing for us.
    async fn is_a_replica(&mut self, redis: &Redis, of: &Redis) {
        redis.follow(of.port());
        self.loses_it().await;
        redis.command(&["REPLICAOF", "NO", "ONE"]);
        self.heals("a replica").await;
    }

    /// Its connections are cut, again and again.
    async fn cuts_us_off(&mut self, nodes: &[Redis]) {
        for round in 0..5 {
            for redis in nodes {
                redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            self.site.use_it(round).await;
        }
        let took = self.site.until_cache_is("ok").await;
        assert!(took < HEALS_WITHIN, "{took:?}");
        self.site.until_hit("/known/0").await;
        // Whether that counts as lost depends on how soon the next connection is there.
        self.lost = self.site.said("redis lost");
        assert!(self.lost <= 5, "{}", self.site.larder.text);
    }

    async fn is_full(&mut self, nodes: &[Redis]) {
        nodes.iter().for_each(|redis| redis.set("maxmemory", "1"));
        self.loses_it().await;
        assert_eq!(self.site.figure("redis_full").await, 1);
        nodes.iter().for_each(|redis| redis.set("maxmemory", "0"));
        let took = self.site.until_cache_is("ok").await;
        assert!(took < HEALS_WITHIN, "{took:?}");
        self.site.until_hit("/has/room").await;
    }

    /// It has room for little, and drops what was used least.
    async fn evicts(&mut self, nodes: &[Redis]) {
        for redis in nodes {
            redis.set("maxmemory-policy", "allkeys-lru");
            redis.set(
                "maxmemory",
                &(figure(redis, "memory", "used_memory:") + 10_000).to_string(),
            );
        }
        for redis in nodes {
            self.until(|| figure(redis, "stats", "evicted_keys:") > 10)
                .await;
        }
        for redis in nodes {
            redis.set("maxmemory", "0");
            redis.set("maxmemory-policy", "noeviction");
        }
        self.site.until_cache_is("ok").await;
        self.site.until_hit("/evicted").await;
    }

    /// Somebody else writes under our keys, and forgets all that there is.
    async fn is_meddled_with(&mut self, nodes: &[Redis]) {
        for round in 0..4 {
            nodes.iter().for_each(|redis| spoil(redis, round));
            self.site.use_it(round).await;
        }
        for redis in nodes {
            redis.command(&["FLUSHALL"]);
            self.site.use_it(1).await;
        }
        assert_eq!(self.site.cache().await, "ok");
        assert_eq!(self.site.said("redis lost"), self.lost);
    }

    /// Uses it until something is so.
    async fn until(&self, is_so: impl Fn() -> bool) {
        soon(async {
            let mut round = 100;
            while !is_so() {
                self.site.use_it(round).await;
                round += 1;
            }
        })
        .await;
    }
}

fn figure(redis: &Redis, section: &str, name: &str) -> u64 {
    let info = redis.info(section);
    let figure = info.lines().find_map(|line| line.strip_prefix(name));
    figure.unwrap().parse().unwrap()
}

/// Puts something else under all keys that are asked for again and again.
fn spoil(redis: &Redis, round: usize) {
    for (n, key) in redis
        .command(&["KEYS", "larder:{GET*known*}"])
        .into_iter()
        .enumerate()
    {
        let Reply::Text(key) = key else {
            panic!("{key:?}");
        };
        // It may be gone by now, or not be there yet.
        let Some(Reply::Text(mut value)) = redis.command(&[&b"GET"[..], &key]).pop() else {
            continue;
        };
        if value.is_empty() {
            continue; // It was spoilt before.
        }
        let at = (n * 13 + round) % value.len();
        match (n + round) % 5 {
            0 => value.truncate(at),
            1 => value[at] ^= 1,
            2 => value[4] += 1, // the version
            3 => value.extend(b"more"),
            _ => {
                redis.command(&[&b"DEL"[..], &key]);
                redis.command(&[&b"RPUSH"[..], &key, b"theirs"]);
                continue;
            }
        }
        redis.command(&[&b"SET"[..], &key, &value]);
    }
}

fn let_us_in(nodes: &[Redis]) {
    for redis in nodes {
        redis.command(&[&USER[..], &["+@all"]].concat());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server() {
    let mut redis = Redis::start();
    let other = Redis::start();
    let mut place = Place::at(&redis.url()).await;
    place.is_meddled_with(std::slice::from_ref(&redis)).await;
    place.is_full(std::slice::from_ref(&redis)).await;
    place.evicts(std::slice::from_ref(&redis)).await;
    place.hangs(&redis, || {}).await;
    place.is_killed(&mut redis, |_| {}).await;
    place.is_a_replica(&redis, &other).await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_that_knows_us() {
    let redis = Redis::start();
    let_us_in(std::slice::from_ref(&redis));
    let url = redis.url().replace("//", "//keeper:right@");
    let mut place = Place::at(&url).await;
    place.locks_us_out(std::slice::from_ref(&redis)).await;
    place.ends().await;
}

/// Larder is at `url` where its connections go through these.
async fn bears_breaks_in_the_middle_of_replies(url: &str, relays: &[Relay]) {
    let place = Place::at(url).await;
    for round in 0..10 {
        relays.iter().for_each(Relay::reset_midway);
        place.site.use_it(round).await;
        place.site.until_hit("/known/0").await;
    }
    let took = place.site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_and_a_network_that_breaks() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    bears_breaks_in_the_middle_of_replies(&relay.url(), &[relay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_and_a_network_that_breaks() {
    let cluster = Cluster::start();
    let mut relays = Vec::new();
    for node in &cluster.nodes {
        relays.push(Relay::to(node.port()).await);
    }
    let ports: Vec<u16> = relays.iter().map(Relay::port).collect();
    bears_breaks_in_the_middle_of_replies(&cluster.seem_at(&ports), &relays).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_and_a_network_that_breaks() {
    let primary = Watched::primary();
    let relay = Relay::to(primary.port()).await;
    let watched = Watched::at(primary, relay.port());
    // The sentinel's own connections are broken, too.
    watched.is_missed_after("60000");
    bears_breaks_in_the_middle_of_replies(&watched.url(), &[relay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three() {
    let mut cluster = Cluster::start();
    let_us_in(&cluster.nodes);
    let url = cluster.url().replace("//", "//keeper:right@");
    let mut place = Place::that_is_not_there(&url, &cluster.nodes, || cluster.settle(3)).await;
    place.is_meddled_with(&cluster.nodes).await;
    place.is_full(&cluster.nodes).await;
    place.evicts(&cluster.nodes).await;
    place.cuts_us_off(&cluster.nodes).await;
    place.locks_us_out(&cluster.nodes).await;
    place.hangs(&cluster.nodes[2], || cluster.settle(3)).await;
    cluster.nodes[1].kill();
    place.loses_it().await;
    cluster.nodes[1].restart();
    let_us_in(&cluster.nodes);
    cluster.settle(3);
    place.heals("killed").await;
    cluster.add_replica();
    let_us_in(&cluster.nodes);
    cluster.take_over();
    place.site.use_it(1).await;
    place.site.until_cache_is("ok").await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels() {
    let mut watched = Watched::start();
    let other = Redis::start();
    let_us_in(std::slice::from_ref(&watched.primary));
    let_us_in(std::slice::from_ref(&watched.replica));
    // At first, all is over before the sentinel takes notice.
    watched.is_missed_after("60000");
    let url = watched.url().replace("//", "//keeper:right@");
    let primary = std::slice::from_ref(&watched.primary);
    let mut place = Place::that_is_not_there(&url, primary, || {}).await;
    place.is_meddled_with(primary).await;
    place.is_full(primary).await;
    place.evicts(primary).await;
    place.cuts_us_off(primary).await;
    place.locks_us_out(primary).await;
    place.is_a_replica(&watched.primary, &other).await;
    let restarted = |redis: &Redis| let_us_in(std::slice::from_ref(redis));
    place.is_killed(&mut watched.primary, restarted).await;
    place.hangs(&watched.primary, || {}).await;
    watched.is_missed_after("500");
    // It hangs for so long that the other takes its place.
    watched.primary.pause();
    place.loses_it().await;
    until(|| watched.has_failed_over());
    place.heals("failed over").await;
    watched.primary.resume();
    place.site.use_it(1).await;
    place.site.until_cache_is("ok").await;
    place.ends().await;
}
