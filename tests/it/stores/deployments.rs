//! Redis as it is run: over TLS, by a socket, as a cluster, behind sentinels.

use larder::{
    store::{Availability, Looked, RedisConfig, RedisStore},
    upstream::tls::read_pem,
};

use super::{
    redis::{connect, heals, is_down, lookups_in_vain, soon, wait_for},
    *,
};
use crate::support::redis::{Authority, Cluster, Redis, Reply, Secure, Watched, until};

fn config(url: impl AsRef<str>) -> RedisConfig {
    // Correctness is not to depend on how busy the machine is.
    RedisConfig::new(url).timeout(Duration::from_secs(5))
}

/// Puts something under each of these keys until all are there, whatever becomes of it meanwhile.
async fn until_kept(store: &RedisStore, keys: &[Key]) {
    soon(async {
        for key in keys {
            loop {
                let looked = store.get(key).await.unwrap_or_default();
                if looked.record.is_some() {
                    break;
                }
                let record = Record::Response(entry(1, "body"));
                let _ = store.put(key, record, LONG, looked.seen).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|n| key(&format!("/{n}"))).collect()
}

#[tokio::test]
async fn over_tls_with_a_user_and_a_database() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost");
    let config = config(secure.tls_url("localhost"));
    let config = config.root_certificates(read_pem(authority.file()).unwrap());
    each(async |name| connect(config.clone().prefix(name)).await).await;
    let kept = secure.redis.info("keyspace");
    assert!(kept.contains("db3:") && !kept.contains("db0:"), "{kept}");
}

#[tokio::test]
async fn nobody_is_trusted_over_tls_who_does_not_prove_it() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost");
    let roots = read_pem(authority.file()).unwrap();
    let unknown = config(secure.tls_url("localhost"));
    let other_name = config(secure.tls_url("127.0.0.1")).root_certificates(roots);
    for config in [unknown, other_name] {
        let store = RedisStore::connect(config).unwrap();
        let state = format!("{:?}", wait_for(&store, is_down).await);
        assert!(state.to_lowercase().contains("certificate"), "{state}");
        assert!(!state.contains("s3cret"), "{state}");
    }
}

#[tokio::test]
async fn a_cluster_over_tls() {
    let authority = Authority::new();
    let cluster = Cluster::secure(&authority);
    let config = config(cluster.tls_url());
    let config = config.root_certificates(read_pem(authority.file()).unwrap());
    each(async |name| connect(config.clone().prefix(name)).await).await;
}

#[tokio::test]
async fn sentinels_over_tls() {
    let authority = Authority::new();
    let (_watched, port) = Watched::secure(&authority);
    let name = "sentinelServiceName=mymaster";
    let config = config(format!("rediss-sentinel://127.0.0.1:{port}?{name}"));
    let config = config.root_certificates(read_pem(authority.file()).unwrap());
    each(async |name| connect(config.clone().prefix(name)).await).await;
}

#[tokio::test]
async fn by_a_socket() {
    let secure = Secure::start(&Authority::new(), "localhost");
    let config = config(secure.socket_url());
    each(async |name| connect(config.clone().prefix(name)).await).await;
    let kept = secure.redis.info("keyspace");
    assert!(kept.contains("db3:") && !kept.contains("db0:"), "{kept}");
}

#[tokio::test]
async fn a_cluster_of_three() {
    let cluster = Cluster::start();
    let config = config(cluster.url());
    each(async |name| connect(config.clone().prefix(name)).await).await;
    let store = connect(config).await;
    for key in keys(30) {
        put(&store, &key, &entry(1, "body")).await;
    }
    for node in &cluster.nodes {
        assert!(node.info("keyspace").contains("db0:"), "all have a share");
    }
    store.clear().await.unwrap();
    assert!(shown(&store, "").await.is_empty());
}

#[tokio::test]
async fn what_has_moved_within_a_cluster_is_asked_for_where_it_is() {
    let cluster = Cluster::start();
    let store = connect(config(cluster.url())).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
    store.clear().await.unwrap();
    cluster.move_slot_of("larder:{GET http://origin.example/a}");
    put(&store, &key("/a"), &entry(2, "body")).await;
    assert_same(get(&store, &key("/a")).await, &entry(2, "body"));
}

#[tokio::test]
async fn a_node_of_a_cluster_that_dies_is_replaced_by_its_replica() {
    let mut cluster = Cluster::start();
    cluster.add_replica();
    let store = connect(RedisConfig::new(cluster.url())).await;
    let keys = keys(30);
    until_kept(&store, &keys).await;
    cluster.nodes[0].kill();
    wait_for(&store, is_down).await;
    cluster.take_over();
    wait_for(&store, |state| *state == Availability::Up).await;
    until_kept(&store, &keys).await;
    store.clear().await.unwrap();
}

#[tokio::test]
async fn a_node_of_a_cluster_that_hangs_makes_nobody_wait_for_long() {
    let cluster = Cluster::start();
    let store = connect(RedisConfig::new(cluster.url())).await;
    let keys = keys(30);
    until_kept(&store, &keys).await;
    cluster.nodes[0].pause();
    // Two thirds of the lookups go well.
    soon(async {
        for key in keys.iter().cycle() {
            if store
                .get(key)
                .await
                .is_err_and(|error| error.to_string().contains("out of reach"))
            {
                break;
            }
        }
    })
    .await;
    wait_for(&store, is_down).await;
    let took = lookups_in_vain(&store, 1000).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    cluster.nodes[0].resume();
    heals(&store).await;
    until_kept(&store, &keys).await;
}

#[tokio::test]
async fn behind_sentinels() {
    let watched = Watched::start();
    let config = config(watched.url());
    each(async |name| connect(config.clone().prefix(name)).await).await;
}

#[tokio::test]
async fn a_primary_that_dies_is_replaced_as_the_sentinels_say() {
    let mut watched = Watched::start();
    let store = connect(RedisConfig::new(watched.url())).await;
    let keys = keys(10);
    until_kept(&store, &keys).await;
    // All, and the journal.
    until(|| watched.replica.command(&["DBSIZE"]) == [Reply::Number(11)]);
    watched.primary.kill();
    wait_for(&store, is_down).await;
    wait_for(&store, |state| *state == Availability::Up).await;
    assert!(watched.replica.info("replication").contains("role:master"));
    soon(async {
        // It has what the other had.
        while !matches!(
            store.get(&keys[0]).await,
            Ok(Looked {
                record: Some(_),
                ..
            })
        ) {}
    })
    .await;
    until_kept(&store, &[key("/new")]).await;
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_left() {
    let (one, two) = (Redis::start(), Redis::start());
    let store = connect(config(one.url())).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
    let seen = store.get(&key("/a")).await.unwrap().seen;
    one.follow(two.port());
    // What can be read could not be purged.
    let record = Record::Response(entry(2, "body"));
    store.put(&key("/a"), record, LONG, seen).await.unwrap_err();
    store.get(&key("/a")).await.unwrap_err();
    let state = wait_for(&store, is_down).await;
    assert!(format!("{state:?}").contains("READONLY"), "{state:?}");
    one.command(&["REPLICAOF", "NO", "ONE"]);
    heals(&store).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
}

#[tokio::test]
async fn one_that_is_full_goes_on_answering_and_forgetting() {
    let redis = Redis::start();
    let store = connect(config(redis.url())).await;
    for key in keys(3) {
        put(&store, &key, &entry(1, "body")).await;
    }
    let seen = store.get(&key("/a")).await.unwrap().seen;
    redis.set("maxmemory", "1");
    let record = Record::Response(entry(2, "body"));
    store.put(&key("/a"), record, LONG, seen).await.unwrap_err();
    wait_for(&store, |state| *state == Availability::Full).await;
    assert_same(get(&store, &key("/0")).await, &entry(1, "body"));
    assert!(
        store
            .refresh(&key("/0"), EntryId(1), head("new"), LONG, seen)
            .await
            .is_err()
    );
    assert!(store.remove(&key("/0")).await.unwrap().any);
    assert!(get(&store, &key("/0")).await.is_none());
    store.clear().await.unwrap();
    assert!(get(&store, &key("/1")).await.is_none());
    redis.set("maxmemory", "0");
    wait_for(&store, |state| *state == Availability::Up).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
}
