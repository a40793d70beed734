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
    slots::record_in,
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
    /// What each key begins with: the store's prefix and a colon.
    prefix: String,
    pattern: String,
    /// `None` at the end.
    cursor: Option<String>,
}

/// Deletes every key of the store with this prefix that is there now.
pub(super) async fn clear(shared: &Shared) -> Result<(), StoreError> {
    in_time(async {
        for mut scan in scans(shared, "")? {
            while let Some(page) = scan.page().await? {
                let (bodies, records) = page.into_iter().partition(|name| scan.is_body(name));
                scan.drop_all(records).await?;
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
        for mut scan in scans(shared, start)? {
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

/// A scan for each server.
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
    let prefix = format!("{}:", shared.config.prefix);
    let pattern = format!("{}*", escape(&format!("{prefix}{start}")));
    let scan = |node| Scan {
        shared,
        node,
        prefix: prefix.clone(),
        pattern: pattern.clone(),
        cursor: Some("0".to_owned()),
    };
    Ok(nodes.into_iter().map(scan).collect())
}

// === impl Scan ===

impl Scan<'_> {
    /// Further keys; `None` when there are no more.
    async fn page(&mut self) -> Result<Option<Vec<Bytes>>, StoreError> {
        let Some(cursor) = self.cursor.take() else {
            return Ok(None);
        };
        let page = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            let pattern = self.pattern.clone();
            client.scan_page(cursor, pattern, Some(PAGE), None).await
        });
        let (next, mut keys): (String, Vec<Bytes>) = page.await?;
        self.cursor = (next != "0").then_some(next);
        keys.retain(|key| is_ours(key, self.prefix.as_bytes()) || self.is_body(key));
        Ok(Some(keys))
    }

    /// Whether this is the name of a body of ours, wherever its record is.
    fn is_body(&self, key: &[u8]) -> bool {
        let record = key.strip_prefix(self.shared.body_start().as_bytes());
        record.is_some_and(|record| is_ours(record_in(record), self.prefix.as_bytes()))
    }

    /// Takes these out of Redis; what tells of a removal stays.
    async fn drop_all(&self, records: Vec<Bytes>) -> Result<(), StoreError> {
        self.run(records, |name| self.shared.drop_command(name))
            .await
    }

    /// Lets these bodies go, as soon as nobody reads them.
    async fn let_go(&self, bodies: Vec<Bytes>) -> Result<(), StoreError> {
        let command = |name: Bytes| scripts::command(LET_GO.to_owned(), vec![name.into()], vec![]);
        self.run(bodies, command).await
    }

    async fn run(
        &self,
        keys: Vec<Bytes>,
        command: impl Fn(Bytes) -> (CustomCommand, Vec<Value>),
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let done = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            // A pipeline, and not one command: their slots differ in a cluster.
            let pipeline = client.pipeline().with_options(client.options());
            for key in keys {
                let (command, args) = command(key);
                let () = pipeline.custom(command, args).await?;
            }
            pipeline.all::<Vec<i64>>().await
        });
        done.await?;
        Ok(())
    }

    /// The first bytes of what is under each of these keys. Those that hold no bytes are left
    /// out.
    async fn beginnings(&self, names: Vec<Bytes>) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.shared.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            let pipeline = client.pipeline().with_options(client.options());
            for name in &names {
                let () = pipeline
                    .getrange(name.clone(), 0, FRONT as usize - 1)
                    .await?;
            }
            Ok::<Vec<Result<Bytes, Error>>, Error>(pipeline.try_all().await)
        });
        let found = found.await?;
        let both = names.into_iter().zip(found);
        Ok(both
            .filter_map(|(name, bytes)| Some((name, bytes.ok()?)))
            .collect())
    }
}

impl Sweeping<'_> {
    async fn page(&self, scan: &Scan<'_>, mut page: Vec<Bytes>) -> Result<(), StoreError> {
        page.retain(|name| !scan.is_body(name));
        let journal = &self.shared.journal;
        let mut out = Vec::new();
        for (name, bytes) in scan.beginnings(page).await? {
            let text = std::str::from_utf8(&name[scan.prefix.len()..]);
            let (Ok(text), Ok(opening)) = (text, codec::opening_in(&bytes)) else {
                continue;
            };
            if self.purge.is_some_and(|purge| opening.number >= purge) {
                continue;
            }
            let key = Key::parse(text);
            let Some(front) = front(self.shared, &key, &name, bytes).await? else {
                continue;
            };
            if !journal.holds(&key, front.head(), opening.number, self.purge) {
                out.push(name); // by another purge
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
                (Sweep::Remove | Sweep::Renew(..), _) => out.push(name),
            }
        }
        scan.drop_all(out).await
    }
}

/// What is under `key`, without its body.
pub(super) async fn peek(shared: &Shared, key: &Key) -> Result<Option<Front>, StoreError> {
    let name = Bytes::from(shared.name(key));
    let found = shared.link.call(STEP, async |client| {
        let name = name.clone();
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
    let front = front(shared, key, &name, bytes).await?;
    Ok(front.filter(|front| {
        shared
            .journal
            .holds(key, front.head(), opening.number, None)
    }))
}

/// The front of the record under `key` that begins with `bytes`, if it is one of ours.
async fn front(
    shared: &Shared,
    key: &Key,
    name: &Bytes,
    mut bytes: Bytes,
) -> Result<Option<Front>, StoreError> {
    let Ok(end) = codec::front_end(&bytes) else {
        return Ok(None);
    };
    if end + SIZE > FRONT && end <= LARGEST {
        let more = shared.link.call(STEP, async |client| {
            let name = name.clone();
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

/// Whether this key begins with `start` and goes on with the text of a
/// [`Key`](crate::policy::Key), whose first word has no colon. The keys of a store whose prefix
/// merely begins like ours (`larder` and `larder:two`) have one there.
fn is_ours(key: &[u8], start: &[u8]) -> bool {
    key.strip_prefix(start).is_some_and(|text| {
        let word = text.split(|&b| b == b' ').next();
        !word.unwrap_or_default().contains(&b':')
    })
}
