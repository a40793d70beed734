//! Going through the keys of one store, and no others: to delete them all, or some.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    error::Error,
    interfaces::{ClientLike, ClusterInterface, KeysInterface},
    types::{CustomCommand, Value, config::Server},
};
use tokio::time::timeout;

use super::{
    LARGEST, Shared,
    bodies::LET_GO,
    link::on,
    scripts::{self, Way},
};
use crate::{
    policy::Key,
    store::{Front, Judge, Seen, StoreError, Sweep, codec},
};

/// How long it may take in all, and each of its steps.
const WITHIN: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(2);

/// How many keys a step looks at.
const PAGE: u32 = 1000;

/// The bytes that are read of each record at first: few heads are larger.
const FRONT: u64 = 2048;

/// The bytes in which the length of the body stands behind the front, with room for a few trailers.
const SIZE: u64 = 256;

/// A look at all keys of one server that begin with a text. It finds whatever is there from its
/// beginning to its end.
struct Scan<'a> {
    shared: &'a Shared,
    /// One server of a cluster; `None` outside of clusters.
    node: Option<Server>,
    pattern: String,
    /// `None` at the end.
    cursor: Option<String>,
}

/// Deletes every key of the store with this prefix that is there now.
pub(super) async fn clear(shared: &Shared) -> Result<(), StoreError> {
    in_time(async {
        for mut scan in scans(shared, shared.names.start())? {
            while let Some(page) = scan.page().await? {
                scan.drop_all(scan.keys(&page)).await?;
                let is_body = |name: &Bytes| shared.names.is_body(name);
                let bodies = page.into_iter().filter(is_body).collect();
                // What is left of any has lost its record already.
                scan.let_go(bodies).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Shows `judge` the fronts of the records whose key begins with `start`; for the purge of this
/// number in the journal, those that were fetched before it.
pub(super) async fn sweep(
    shared: &Shared,
    start: &str,
    purge: Option<u64>,
    judge: &Judge<'_>,
) -> Result<(), StoreError> {
    let sweeping = Sweeping {
        shared,
        purge,
        judge,
    };
    in_time(async {
        for mut scan in scans(shared, &shared.names.records_from(start))? {
            while let Some(page) = scan.page().await? {
                sweeping.page(&scan, page).await?;
            }
        }
        Ok(())
    })
    .await
}

struct Sweeping<'a> {
    shared: &'a Shared,
    purge: Option<u64>,
    judge: &'a Judge<'a>,
}

async fn in_time(work: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    let in_time = timeout(WITHIN, work).await;
    in_time.map_err(|_| StoreError::new("Redis took too long to go through all keys"))?
}

/// A scan for each server, of the names that begin so.
fn scans<'a>(shared: &'a Shared, start: &str) -> Result<Vec<Scan<'a>>, StoreError> {
    let client = shared.link.client();
    let nodes = if client.is_clustered() {
        let state = client
            .cached_cluster_state()
            .ok_or_else(|| StoreError::new("the nodes of the Redis cluster are not known"))?;
        state.unique_primary_nodes().into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let pattern = format!("{}*", escape(start));
    let scan = |node| Scan {
        shared,
        node,
        pattern: pattern.clone(),
        cursor: Some("0".to_owned()),
    };
    Ok(nodes.into_iter().map(scan).collect())
}

// === impl Scan ===

impl Scan<'_> {
    /// Further names; `None` when there are no more.
    async fn page(&mut self) -> Result<Option<Vec<Bytes>>, StoreError> {
        let Some(cursor) = self.cursor.take() else {
            return Ok(None);
        };
        let page = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            let pattern = self.pattern.clone();
            client.scan_page(cursor, pattern, Some(PAGE), None).await
        });
        let (next, names): (String, Vec<Bytes>) = page.await?;
        self.cursor = (next != "0").then_some(next);
        Ok(Some(names))
    }

    /// Those of the records among them.
    fn keys(&self, names: &[Bytes]) -> Vec<Key> {
        let key_of = |name: &Bytes| self.shared.names.key_of(name);
        names.iter().filter_map(key_of).collect()
    }

    /// Takes these out of Redis; what tells of a removal stays.
    async fn drop_all(&self, records: Vec<Key>) -> Result<(), StoreError> {
        self.run(records, |key| self.shared.drop_command(&key))
            .await
    }

    /// Lets these bodies go, as soon as nobody reads them.
    async fn let_go(&self, bodies: Vec<Bytes>) -> Result<(), StoreError> {
        let command = |name: Bytes| scripts::command(LET_GO.to_owned(), vec![name.into()], vec![]);
        self.run(bodies, command).await
    }

    async fn run<T>(
        &self,
        all: Vec<T>,
        command: impl Fn(T) -> (CustomCommand, Vec<Value>),
    ) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        let done = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            // A pipeline, and not one command: their slots differ in a cluster.
            let pipeline = client.pipeline().with_options(client.options());
            for each in all {
                let (command, args) = command(each);
                let () = pipeline.custom(command, args).await?;
            }
            pipeline.all::<Vec<i64>>().await
        });
        done.await?;
        Ok(())
    }

    /// The first bytes of what is under each of these keys. Those that hold no bytes are left
    /// out.
    async fn beginnings(&self, keys: Vec<Key>) -> Result<Vec<(Key, Bytes)>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            let pipeline = client.pipeline().with_options(client.options());
            for key in &keys {
                let name = self.shared.names.record(key);
                let () = pipeline.getrange(name, 0, FRONT as usize - 1).await?;
            }
            Ok::<Vec<Result<Bytes, Error>>, Error>(pipeline.try_all().await)
        });
        let found = found.await?;
        let both = keys.into_iter().zip(found);
        Ok(both
            .filter_map(|(key, bytes)| Some((key, bytes.ok()?)))
            .collect())
    }
}

impl Sweeping<'_> {
    async fn page(&self, scan: &Scan<'_>, page: Vec<Bytes>) -> Result<(), StoreError> {
        let journal = &self.shared.journal;
        let mut out = Vec::new();
        for (key, bytes) in scan.beginnings(scan.keys(&page)).await? {
            let Ok(opening) = codec::opening_in(&bytes) else {
                continue;
            };
            if self.purge.is_some_and(|purge| opening.number >= purge) {
                continue;
            }
            let Some(front) = front(self.shared, &key, bytes).await? else {
                continue;
            };
            if !journal.holds(&key, front.head(), opening.number, self.purge) {
                out.push(key); // by another purge
                continue;
            }
            match ((self.judge)(&key, &front), front) {
                (Sweep::Keep, _) => {}
                (Sweep::Renew(head, keep), Front::Response { id, .. }) => {
                    let seen = Seen {
                        number: self.purge.unwrap_or(opening.number),
                        nonce: opening.nonce,
                        ..Seen::NOTHING
                    };
                    self.shared.refresh(&key, id, &head, keep, seen).await?;
                }
                (Sweep::Remove | Sweep::Renew(..), _) => out.push(key),
            }
        }
        scan.drop_all(out).await
    }
}

/// What is under `key`, without its body.
pub(super) async fn peek(shared: &Shared, key: &Key) -> Result<Option<Front>, StoreError> {
    let name = shared.names.record(key);
    let found = shared.link.call(STEP, async |client| {
        client
            .getrange::<Bytes, _>(name, 0, FRONT as usize - 1)
            .await
    });
    let bytes = match found.await {
        Ok(bytes) => bytes,
        Err(error) if error.is_wrong_type() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(opening) = codec::opening_in(&bytes) else {
        return Ok(None);
    };
    shared.beat(Way::Open, None).await?; // It may lack what was purged meanwhile.
    let front = front(shared, key, bytes).await?;
    Ok(front.filter(|front| {
        shared
            .journal
            .holds(key, front.head(), opening.number, None)
    }))
}

/// The front of the record under `key` that begins with `bytes`, if it is one of ours.
async fn front(shared: &Shared, key: &Key, mut bytes: Bytes) -> Result<Option<Front>, StoreError> {
    let Ok(end) = codec::front_end(&bytes) else {
        return Ok(None);
    };
    if end + SIZE > FRONT && end <= LARGEST {
        let more = shared.link.call(STEP, async |client| {
            let name = shared.names.record(key);
            let last = (end + FRONT) as usize - 1;
            client.getrange::<Bytes, _>(name, 0, last).await
        });
        bytes = more.await?;
    }
    Ok(codec::decode_front(key, &bytes).ok())
}

/// Makes a pattern of Redis' that matches `text` and nothing else.
fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
