//! A primary and its replica, and a sentinel that watches over them.

use std::fs;

use super::{Authority, Redis, Reply, free_port, tls, until};

const QUICK: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

pub(crate) struct Watched {
    pub(crate) primary: Redis,
    pub(crate) replica: Redis,
    sentinel: Redis,
}

impl Watched {
    /// The sentinel misses it after half a second: less, and it takes the replica of a
    /// busy machine for dead, too.
    pub(crate) fn start() -> Self {
        let primary = Watched::primary();
        let port = primary.port();
        Watched::at(primary, port)
    }

    /// The same, where all is said over TLS. The sentinel is at the port that is answered.
    pub(crate) fn secure(authority: &Authority) -> (Self, u16) {
        let settings = [(); 3].map(|()| {
            let port = free_port();
            (port, tls::settings(authority, port))
        });
        let [(port, primary), (_, replica), (sentinels, sentinel)] = &settings;
        let primary = Redis::with(&[&QUICK[..], &texts(primary)].concat());
        let watched = Watched::watching(primary, *port, &texts(replica), &texts(sentinel));
        (watched, *sentinels)
    }

    /// One that nobody watches yet.
    pub(crate) fn primary() -> Redis {
        Redis::with(&QUICK)
    }

    /// Where all others find the primary at this port.
    pub(crate) fn at(primary: Redis, port: u16) -> Self {
        Watched::watching(primary, port, &[], &[])
    }

    fn watching(primary: Redis, port: u16, of_replica: &[&str], of_sentinel: &[&str]) -> Self {
        let replica = Redis::with(&[&QUICK, of_replica].concat());
        replica.follow(port);
        let dir = tempfile::tempdir().expect("a directory");
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 1000\n"
        );
        fs::write(dir.path().join("redis.conf"), config).expect("a file");
        let settings = [&["--sentinel"], of_sentinel].concat();
        let sentinel = Redis::launch(None, &settings, dir);
        let watched = Watched {
            primary,
            replica,
            sentinel,
        };
        until(|| watched.knows_the_replica());
        watched
    }

    /// Ends all of them.
    pub(crate) fn kill(&mut self) {
        let all = [&mut self.primary, &mut self.replica, &mut self.sentinel];
        all.into_iter().for_each(Redis::kill);
    }

    /// Starts them again, empty, and as they were.
    pub(crate) fn restart(&mut self) {
        let all = [&mut self.primary, &mut self.replica, &mut self.sentinel];
        all.into_iter().for_each(Redis::restart);
        let port = self.primary.port();
        self.replica.follow(port);
        until(|| self.knows_the_replica());
    }

    fn knows_the_replica(&self) -> bool {
        let replicas = self.sentinel.command(&["SENTINEL", "REPLICAS", "mymaster"]);
        let is = |name: &[u8], value: &[u8]| {
            replicas.windows(2).any(
                |pair| matches!(pair, [Reply::Text(n), Reply::Text(v)] if n == name && v == value),
            )
        };
        is(b"flags", b"slave") && is(b"master-link-status", b"ok")
    }

    /// After how long the sentinel misses the primary, in milliseconds. The replica follows it.
    pub(crate) fn is_missed_after(&self, time: &str) {
        let replication = || self.replica.info("replication");
        until(|| replication().contains("master_link_status:up"));
        let setting = [
            "SENTINEL",
            "SET",
            "mymaster",
            "down-after-milliseconds",
            time,
        ];
        let done = self.sentinel.command(&setting);
        assert_eq!(done, [Reply::Text(b"OK".to_vec())]);
    }

    /// Whether the replica is the primary, and the sentinel says so.
    pub(crate) fn has_failed_over(&self) -> bool {
        let port = self.replica.port().to_string().into_bytes();
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"];
        // The sentinel first: it cuts the connections to the one that it promotes.
        self.sentinel.command(&command).contains(&Reply::Text(port))
            && self.replica.info("replication").contains("role:master")
    }

    pub(crate) fn url(&self) -> String {
        let port = self.sentinel.port();
        format!("redis-sentinel://127.0.0.1:{port}?sentinelServiceName=mymaster")
    }
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}
