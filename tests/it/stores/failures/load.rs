//! Many requests while Redis hangs: none waits for long, and nothing piles up.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::*;
use crate::support::{
    proxy::request,
    redis::{Cluster, Redis, Watched},
    script::{Body, respond},
};

/// Clients that ask all the time, each for what no other asks for.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    clients: JoinSet<usize>,
}

impl Load {
    pub(super) fn on(site: &Site) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..4 {
            clients.spawn(ask(site.larder.address, client, Arc::clone(&over)));
        }
        Load { over, clients }
    }

    /// Ends it. Nothing failed, and the origin was asked for each miss once and for nothing else.
    pub(super) async fn ends(self, site: &Site) {
        self.over.store(true, SeqCst);
        let misses: usize = soon(self.clients.join_all()).await.into_iter().sum();
        let seen = site.origin.seen();
        let fetched = seen
            .iter()
            .filter(|req| req.uri.path().starts_with("/load"));
        assert_eq!(fetched.count(), misses);
    }
}

/// Asks for some things again and again, and for new ones between. Answers how many misses there
/// were.
async fn ask(to: SocketAddr, client: usize, over: Arc<AtomicBool>) -> usize {
    let mut sender = connect(to).await;
    let mut misses = 0;
    let mut n = 0;
    while !over.load(SeqCst) {
        n += 1;
        let path = match n % 3 {
            0 => format!("/load/{client}/new/{n}"),
            _ => format!("/load/{client}/known/{}", n % 10),
        };
        sender.ready().await.unwrap();
        let response = sender.send_request(request("GET", &path, &[], ""));
        let answer = Answer::of(soon(response).await.unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text(), format!("\"{path}\""));
        misses += usize::from(!answer.is_hit());
        sleep(Duration::from_millis(10)).await;
    }
    misses
}

async fn connect(to: SocketAddr) -> http1::SendRequest<Body> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

const CLIENTS: usize = 50;
const EACH: usize = 200;

/// What every response carries, so that ten thousand would not go unnoticed.
const BODY: &[u8] = &[b'x'; 10_000];

#[tokio::test]
async fn ten_thousand_requests_while_it_hangs() {
    let redis = Redis::start();
    let origin = Origin::at_once(|_, _| respond(200, &[("cache-control", "max-age=60")], BODY));
    let origin = origin.await;
    let (to, url) = (origin.url(), format!("--redis-url={}", redis.url()));
    let flags = [
        "--backend=redis",
        "--memory=8MiB",
        &url,
        "--origin",
        &to,
        LOG,
    ];
    let larder = Logged::start(&flags).await;
    let flags = Vec::new();
    let site = Site {
        origin,
        larder,
        flags,
    };
    let before = site.larder.memory();
    redis.pause();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = site.larder.address;
        clients.spawn(async move {
            let mut sender = connect(address).await;
            for n in 0..EACH {
                let request = request("GET", &format!("/{client}/{n}"), &[], "");
                sender.ready().await.unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                let body = response.into_body().collect().await.unwrap();
                assert!(body.to_bytes() == BODY);
            }
        });
    }
    let mut most = 0;
    while !clients.is_empty() {
        tokio::select! {
            client = soon(clients.join_next()) => client.unwrap().unwrap(),
            calls = looked_at(&site) => most = most.max(calls),
        }
    }
    assert!(most <= 256, "{most} calls under way");
    assert_eq!(site.origin.asked(), CLIENTS * EACH);
    assert_eq!(site.cache().await, "degraded");
    let grown = site.larder.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "it has grown by {grown} bytes");
    redis.resume();
    let start = Instant::now();
    soon(async { while site.cache().await != "ok" {} }).await;
    assert!(start.elapsed() < HEALS_WITHIN, "{:?}", start.elapsed());
}

/// How many commands it ran so far.
fn ran(redis: &Redis) -> u64 {
    let info = redis.info("stats");
    let ran = info
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    ran.unwrap().parse().unwrap()
}

/// All of these hang. Then they go on, and `is_well` waits until they are of use.
async fn bears_half_a_minute_of_hanging(url: &str, nodes: &[&Redis], is_well: impl Fn()) {
    let mut site = Site::on(url).await;
    let load = Load::on(&site);
    site.until_hit("/known/0").await;
    let all_ran = || nodes.iter().map(|redis| ran(redis)).sum::<u64>();
    let before = (site.larder.memory(), all_ran());
    nodes.iter().for_each(|redis| redis.pause());
    let start = Instant::now();
    site.until_cache_is("degraded").await;
    while start.elapsed() < Duration::from_secs(30) {
        let calls = looked_at(&site).await;
        assert!(calls <= 256, "{calls} calls under way");
    }
    let asked = site.origin.asked();
    load.ends(&site).await;
    let grown = site.larder.memory().saturating_sub(before.0);
    assert!(grown < 32 << 20, "it has grown by {grown} bytes");
    nodes.iter().for_each(|redis| redis.resume());
    is_well();
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    // What was waiting for it: the looks whether it is back, and what sentinels and other nodes
    // ask in that time, but no requests.
    let waited = all_ran() - before.1;
    assert!(
        asked > 1000 && waited * 3 < asked as u64,
        "{waited} commands, {asked} requests"
    );
    site.until_hit("/known/0").await;
    site.lost_once("").await;
}

#[tokio::test]
async fn one_server_hangs_for_half_a_minute() {
    let redis = Redis::start();
    bears_half_a_minute_of_hanging(&redis.url(), &[&redis], || {}).await;
}

#[tokio::test]
async fn a_cluster_of_three_hangs_for_half_a_minute() {
    let cluster = Cluster::start();
    let nodes: Vec<&Redis> = cluster.nodes.iter().collect();
    bears_half_a_minute_of_hanging(&cluster.url(), &nodes, || cluster.settle(3)).await;
}

#[tokio::test]
async fn what_sentinels_watch_hangs_for_half_a_minute() {
    let watched = Watched::start();
    // They are patient, too.
    watched.is_missed_after("60000");
    bears_half_a_minute_of_hanging(&watched.url(), &[&watched.primary], || {}).await;
}

/// Now and then: to look is work for the machine, too.
async fn looked_at(site: &Site) -> i64 {
    sleep(Duration::from_millis(50)).await;
    site.figure("redis_calls").await
}
