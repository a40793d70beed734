//! `MemoryStore` as a cache of a number of responses of 1 KiB.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header::CONTENT_TYPE};
use larder::{
    policy::{Head, Key, Lifetime, Source, StoredHead},
    store::{Entry, EntryId, MemoryStore, Payload, Record, Seen, Store},
};
use tokio::runtime::{Builder, Runtime};

use super::simulated::Simulated;

pub(crate) struct Larder {
    runtime: Runtime,
    store: MemoryStore,
    record: Record,
}

/// Long enough for every trace.
const KEEP: Duration = Duration::from_secs(3600);

impl Simulated for Larder {
    fn new(capacity: usize) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let record = record();
        // One response tells how many bytes each takes.
        let probe = MemoryStore::new(1 << 20);
        runtime.block_on(put(&probe, &key(0), &record));
        let budget = probe.stats().bytes * capacity as u64;
        Larder {
            store: MemoryStore::new(budget),
            runtime,
            record,
        }
    }

    fn ask(&mut self, key: u64) -> bool {
        let key = self::key(key);
        self.runtime.block_on(async {
            let looked = self.store.get(&key).await.expect("memory does not fail");
            if looked.record.is_none() {
                put(&self.store, &key, &self.record).await;
            }
            looked.record.is_some()
        })
    }
}

async fn put(store: &MemoryStore, key: &Key, record: &Record) {
    let done = store.put(key, record.clone(), KEEP, Seen::default()).await;
    done.expect("memory does not fail");
}

/// All of the same length.
fn key(number: u64) -> Key {
    Key::parse(&format!("GET http://api.example/{number:016x}"))
}

fn record() -> Record {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let stored = StoredHead {
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers,
        received: SystemTime::UNIX_EPOCH,
        initial_age: Duration::ZERO,
        lifetime: Lifetime {
            duration: KEEP,
            source: Source::MaxAge,
        },
    };
    Record::Response(Entry {
        id: EntryId(1),
        head: Arc::new(Head::restore(stored)),
        body: Payload::new(Bytes::from_static(&[b'x'; 1024]), None),
    })
}
