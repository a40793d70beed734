//! Clearing: deletes the keys of one store, and no others.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    interfaces::{ClientLike, ClusterInterface, KeysInterface},
    types::config::Server,
};
use tokio::time::timeout;

use super::link::Link;
use crate::store::StoreError;

/// How long it may take in all, and each of its steps.
const WITHIN: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(2);

/// How many keys a step looks at.
const PAGE: u32 = 1000;

/// Deletes every key of the store with this prefix that is there now.
pub(super) async fn clear(link: &Link, prefix: &str) -> Result<(), StoreError> {
    let in_time = timeout(WITHIN, clear_nodes(link, prefix)).await;
    in_time.map_err(|_| StoreError::new("Redis took too long to clear"))?
}

async fn clear_nodes(link: &Link, prefix: &str) -> Result<(), StoreError> {
    let client = link.client();
    if !client.is_clustered() {
        return clear_node(link, prefix, None).await;
    }
    let nodes = client
        .cached_cluster_state()
        .ok_or_else(|| StoreError::new("the nodes of the Redis cluster are not known"))?;
    for node in nodes.unique_primary_nodes() {
        clear_node(link, prefix, Some(&node)).await?;
    }
    Ok(())
}

async fn clear_node(link: &Link, prefix: &str, node: Option<&Server>) -> Result<(), StoreError> {
    let start = format!("{prefix}:");
    let pattern = format!("{}*", escape(&start));
    let mut cursor = "0".to_owned();
    loop {
        // A scan finds whatever was there from its beginning to its end.
        let page = link.call(STEP, async |client| {
            let client = on(&client, node);
            let page = client.scan_page(cursor, pattern.clone(), Some(PAGE), None);
            page.await
        });
        let (next, mut keys): (String, Vec<Bytes>) = page.await?;
        keys.retain(|key| is_ours(key, start.as_bytes()));
        if !keys.is_empty() {
            let deleted = link.call(STEP, async |client| {
                // A pipeline, and not one command: their slots differ in a cluster.
                let pipeline = client.pipeline().with_options(client.options());
                for key in keys {
                    let () = pipeline.unlink(key).await?;
                }
                pipeline.all::<Vec<i64>>().await
            });
            deleted.await?;
        }
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

/// The same, for one server of a cluster.
fn on(client: &WithOptions<Client>, node: Option<&Server>) -> WithOptions<Client> {
    let mut options = client.options().clone();
    options.cluster_node = node.cloned();
    // On the client within: options around options do not add up.
    Client::with_options(client, &options)
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
