//! A cluster of three, whose slots are spread evenly.

use super::{Authority, Redis, Reply, free_port, tls, until};

const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
    /// Where they are reached over TLS.
    tls_ports: Vec<u16>,
}

impl Cluster {
    /// Three primaries.
    pub(crate) fn start() -> Self {
        let nodes: Vec<Redis> = SLOTS.map(|_| node(&[])).into();
        let port = nodes[0].port();
        Cluster::of(nodes, port, Vec::new())
    }

    /// The same, where all is said over TLS.
    pub(crate) fn secure(authority: &Authority) -> Self {
        let ports = SLOTS.map(|_| free_port());
        let nodes = ports.map(|port| {
            let mut settings = tls::settings(authority, port);
            settings.extend(["--tls-cluster", "yes"].map(str::to_owned));
            node(&settings)
        });
        Cluster::of(nodes.into(), ports[0], ports.into())
    }

    /// All meet the first, which is at this port.
    fn of(nodes: Vec<Redis>, port: u16, tls_ports: Vec<u16>) -> Self {
        for (n, (node, [first, last])) in nodes.iter().zip(SLOTS).enumerate() {
            ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            ok(node, &["CLUSTER", "ADDSLOTSRANGE", first, last]);
            if n > 0 {
                meet(node, port);
            }
        }
        let cluster = Cluster { nodes, tls_ports };
        cluster.settle(3);
        cluster
    }

    /// A URL that names the first.
    pub(crate) fn tls_url(&self) -> String {
        format!("rediss-cluster://127.0.0.1:{}", self.tls_ports[0])
    }

    /// Adds a replica of the first primary.
    pub(crate) fn add_replica(&mut self) {
        let replica = node(&[]);
        meet(&replica, self.nodes[0].port());
        self.nodes.push(replica);
        self.settle(4);
        let Reply::Text(first) = self.nodes[0].command(&["CLUSTER", "MYID"]).remove(0) else {
            panic!("it has no name");
        };
        let replica = &self.nodes[3];
        ok(replica, &[&b"CLUSTER"[..], b"REPLICATE", &first]);
        until(|| {
            replica
                .info("replication")
                .contains("master_link_status:up")
        });
    }

    /// Has the replica take the place of the first primary, dead or alive.
    pub(crate) fn take_over(&self) {
        ok(&self.nodes[3], &["CLUSTER", "FAILOVER", "TAKEOVER"]);
    }

    /// Gives the slot of this key, which must be empty, to another node.
    pub(crate) fn move_slot_of(&self, key: &str) {
        let [Reply::Number(slot)] = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key])[..] else {
            panic!("no slot");
        };
        let owner = match slot {
            ..=5460 => 0,
            5461..=10922 => 1,
            _ => 2,
        };
        let taker = (owner + 1) % 3;
        let Reply::Text(name) = self.nodes[taker].command(&["CLUSTER", "MYID"]).remove(0) else {
            panic!("it has no name");
        };
        let slot = slot.to_string();
        for node in [taker, owner] {
            let command: [&[u8]; 5] = [b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"NODE", &name];
            ok(&self.nodes[node], &command);
        }
    }

    /// A URL that names all nodes.
    pub(crate) fn url(&self) -> String {
        let mut nodes = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        let first = nodes.next().expect("there are some");
        let others: Vec<String> = nodes.map(|node| format!("node={node}")).collect();
        format!("redis-cluster://{first}?{}", others.join("&"))
    }

    /// Has them say that they are at these ports, and waits until all know. Answers a URL of the
    /// first.
    pub(crate) fn seem_at(&self, ports: &[u16]) -> String {
        for (node, port) in self.nodes.iter().zip(ports) {
            node.set("cluster-announce-port", &port.to_string());
        }
        for node in &self.nodes {
            until(|| match &node.command(&["CLUSTER", "NODES"])[..] {
                [Reply::Text(nodes)] => {
                    let nodes = String::from_utf8_lossy(nodes);
                    let is_known = |port| nodes.contains(&format!("127.0.0.1:{port}@"));
                    ports.iter().all(is_known)
                }
                other => panic!("{other:?}"),
            });
        }
        format!("redis-cluster://127.0.0.1:{}", ports[0])
    }

    /// Waits until all know of all, and all slots are served.
    pub(crate) fn settle(&self, count: usize) {
        for node in &self.nodes {
            let known = format!("cluster_known_nodes:{count}\r");
            until(|| match &node.command(&["CLUSTER", "INFO"])[..] {
                [Reply::Text(info)] => {
                    let info = String::from_utf8_lossy(info);
                    info.starts_with("cluster_state:ok") && info.contains(&known)
                }
                other => panic!("{other:?}"),
            });
        }
    }
}

/// One that belongs to no cluster yet.
pub(super) fn node(more: &[String]) -> Redis {
    let settings = [
        "--cluster-enabled",
        "yes",
        "--cluster-announce-ip",
        "127.0.0.1",
        "--cluster-node-timeout",
        "1000",
        // No second replica is needed for the first to be of use.
        "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay",
        "0",
    ];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    Redis::with(&[&settings[..], &more].concat())
}

fn meet(one: &Redis, port: u16) {
    ok(one, &["CLUSTER", "MEET", "127.0.0.1", &port.to_string()]);
}

fn ok<A: AsRef<[u8]>>(node: &Redis, command: &[A]) {
    assert_eq!(node.command(command), [Reply::Text(b"OK".to_vec())]);
}

impl Redis {
    /// A cluster of one.
    pub(crate) fn cluster() -> Self {
        let redis = node(&[]);
        ok(&redis, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        // It is two seconds before it lets anybody in, and says so only when asked.
        until(|| {
            matches!(&redis.command(&["CLUSTER", "INFO"])[..],
                [Reply::Text(info)] if info.starts_with(b"cluster_state:ok"))
        });
        redis
    }
}
