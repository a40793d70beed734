//! Going through the keys of one store, and no others: to delete them all, or some.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    error::Error,
    interfaces::{ClientLike, ClusterInterface, KeysInterface},
    types::config::Server,
};
use tokio::time::timeout;

use super::{
    RedisStore,
    link::{Link, on},
};
use crate::{
    policy::Key,
    store::{Front, Judge, Store, StoreError, Sweep, codec},
};

/// How long it may take in all, and each of its steps.
const WITHIN: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(2);

/// How many keys a step looks at.
const PAGE: u32 = 1000;

/// The bytes that are read of each record at first: few heads are larger.
const FRONT: u64 = 2048;

/// What follows a front up to the length of the body, where there are no trailers.
const SIZE: u64 = 10;

/// A look at all keys of one server that begin with a text. It finds whatever is there from its
/// beginning to its end.
struct Scan<'a> {
    link: &'a Link,
    /// One server of a cluster; `None` outside of clusters.
    node: Option<Server>,
    /// What each key begins with: the store's prefix and a colon.
    prefix: String,
    pattern: String,
    /// `None` at the end.
    cursor: Option<String>,
}

/// Deletes every key of the store with this prefix that is there now.
pub(super) async fn clear(link: &Link, prefix: &str) -> Result<(), StoreError> {
    in_time(async {
        for mut scan in scans(link, prefix, "")? {
            while let Some(page) = scan.page().await? {
                scan.unlink(page).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Shows `judge` the fronts of the records whose key begins with `start`.
pub(super) async fn sweep(
    store: &RedisStore,
    start: &str,
    judge: &Judge<'_>,
) -> Result<(), StoreError> {
    in_time(async {
        for mut scan in scans(&store.link, &store.config.prefix, start)? {
            while let Some(page) = scan.page().await? {
                scan.judge(store, page, judge).await?;
            }
        }
        Ok(())
    })
    .await
}

async fn in_time(work: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    let in_time = timeout(WITHIN, work).await;
    in_time.map_err(|_| StoreError::new("Redis took too long to go through all keys"))?
}

/// A scan for each server.
fn scans<'a>(link: &'a Link, prefix: &str, start: &str) -> Result<Vec<Scan<'a>>, StoreError> {
    let client = link.client();
    let nodes = if client.is_clustered() {
        let state = client
            .cached_cluster_state()
            .ok_or_else(|| StoreError::new("the nodes of the Redis cluster are not known"))?;
        state.unique_primary_nodes().into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let prefix = format!("{prefix}:");
    let pattern = format!("{}*", escape(&format!("{prefix}{start}")));
    let scan = |node| Scan {
        link,
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
        let page = self.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            let pattern = self.pattern.clone();
            client.scan_page(cursor, pattern, Some(PAGE), None).await
        });
        let (next, mut keys): (String, Vec<Bytes>) = page.await?;
        self.cursor = (next != "0").then_some(next);
        keys.retain(|key| is_ours(key, self.prefix.as_bytes()));
        Ok(Some(keys))
    }

    async fn unlink(&self, keys: Vec<Bytes>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let deleted = self.link.call(STEP, async |client| {
            let client = on(&client, self.node.as_ref());
            // A pipeline, and not one command: their slots differ in a cluster.
            let pipeline = client.pipeline().with_options(client.options());
            for key in keys {
                let () = pipeline.unlink(key).await?;
            }
            pipeline.all::<Vec<i64>>().await
        });
        deleted.await?;
        Ok(())
    }

    async fn judge(
        &self,
        store: &RedisStore,
        page: Vec<Bytes>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        let mut out = Vec::new();
        for (name, bytes) in self.beginnings(page).await? {
            let Ok(text) = std::str::from_utf8(&name[self.prefix.len()..]) else {
                continue;
            };
            let key = Key::parse(text);
            let Some(front) = front(store, &key, &name, bytes).await? else {
                continue;
            };
            match (judge(&key, &front), front) {
                (Sweep::Keep, _) => {}
                (Sweep::Renew(head, keep), Front::Response { id, .. }) => {
                    store.refresh(&key, id, head, keep).await?;
                }
                (Sweep::Remove | Sweep::Renew(..), _) => out.push(name),
            }
        }
        self.unlink(out).await
    }

    /// The first bytes of what is under each of these keys. Those that hold no bytes are left
    /// out.
    async fn beginnings(&self, names: Vec<Bytes>) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.link.call(STEP, async |client| {
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

/// What is under `key`, without its body.
pub(super) async fn peek(store: &RedisStore, key: &Key) -> Result<Option<Front>, StoreError> {
    let name = Bytes::from(store.name(key));
    let found = store.link.call(STEP, async |client| {
        let name = name.clone();
        client
            .getrange::<Bytes, _>(name, 0, FRONT as usize - 1)
            .await
    });
    match found.await {
        Ok(bytes) => front(store, key, &name, bytes).await,
        Err(error) if error.is_wrong_type() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The front of the record under `key` that begins with `bytes`, if it is one of ours.
async fn front(
    store: &RedisStore,
    key: &Key,
    name: &Bytes,
    mut bytes: Bytes,
) -> Result<Option<Front>, StoreError> {
    let Ok(end) = codec::front_end(&bytes) else {
        return Ok(None);
    };
    if end + SIZE > FRONT && end <= store.largest() {
        let more = store.link.call(STEP, async |client| {
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
