//! Large bodies: all but their first chunk is beside the record, in a value that never changes.
//!
//! It is written under a name of its own before the record, in pieces, and takes its place along
//! with the record. When the record goes, or is replaced, it is set aside under that name again,
//! for a minute at a time as long as somebody reads it: who has begun to read a body reads it to
//! its end. It outlives its record, and without one it is gone in a minute; so none is left behind,
//! whoever dies in the middle of what.
//!
//! A lookup asks how long it is, in the same go: a record whose rest was evicted is not there. What
//! is lost or damaged later cannot be read on, and the record is forgotten.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::KeysInterface,
};
use tokio::time::{sleep, timeout};

use super::{
    Shared, Task,
    scripts::{Way, is_wrong_type},
    trouble::CallError,
};
use crate::{
    policy::Key,
    store::{
        EntryId, StoreError,
        codec::{
            Damage,
            chunks::{self, Apart, Token},
        },
        random,
        reading::{Chunk, Rest, Source},
    },
};

/// How long the next chunk of a body is waited for, while Redis hangs or is away.
const STALL: Duration = Duration::from_secs(5);

/// The pause between two tries to read it.
const RETRY: Duration = Duration::from_millis(50);

/// How many chunks are written at a time. Lookups come in between.
const AT_A_TIME: u64 = 4;

/// Writes a piece of a body that has no record yet.
const WRITE: &str = r"
redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
return 1";

/// Reads a piece of a body, wherever it is by now. Who reads it has a minute for the next one.
const READ: &str = r"
local body = KEYS[1]
local function at(first, last)
  local piece = redis.pcall('GETRANGE', body, first, last)
  return type(piece) == 'string' and piece or ''
end
if at(0, 15) ~= ARGV[1] then body = body .. ':' .. ARGV[1] end
local left = redis.call('PTTL', body)
if left >= 0 and left < 60000 then redis.call('PEXPIRE', body, 60000) end
return at(ARGV[2], ARGV[3])";

/// Lets a body go whose record is gone.
pub(super) const LET_GO: &str = r"
if redis.call('PTTL', KEYS[1]) < 60000 then return 0 end
return redis.call('PEXPIRE', KEYS[1], 60000)";

/// A body in Redis that a lookup found.
struct Body {
    shared: Arc<Shared>,
    /// It keeps the connection up.
    _keeper: Option<Arc<Task>>,
    key: Key,
    id: EntryId,
    apart: Apart,
    length: u64,
}

impl Shared {
    /// How long what is under this name is, as part of a call.
    pub(super) async fn body_size(
        client: &WithOptions<Client>,
        name: String,
    ) -> Result<u64, Error> {
        match client.strlen(name).await {
            // Something of another kind is no body.
            Err(error) if is_wrong_type(&error) => Ok(0),
            size => size,
        }
    }

    /// Where the rest of a body is, if it is `size` bytes long there.
    pub(super) fn rest(
        self: &Arc<Self>,
        key: &Key,
        (id, apart, length): (EntryId, Apart, u64),
        size: u64,
    ) -> Result<Rest, Damage> {
        if size != chunks::size(length) {
            return Err(Damage::Rest);
        }
        let body = Body {
            shared: Arc::clone(self),
            _keeper: self.keeper.get().and_then(Weak::upgrade),
            key: key.clone(),
            id,
            apart,
            length,
        };
        Ok(Rest::new(length, Arc::new(body)))
    }

    /// Writes the rest of a large body, for a record that is yet to come and is to tell this of it. A
    /// body that is not large has none.
    pub(super) async fn write_rest(
        &self,
        key: &Key,
        data: &Bytes,
    ) -> Result<Option<Apart>, StoreError> {
        let length = data.len() as u64;
        if !chunks::is_cut(length) {
            return Ok(None);
        }
        let token = Token(random());
        let name = format!("{}:{}", self.names.body(key), token.text());
        let mut prints = vec![0; chunks::prints_size(length)];
        let mut last = chunks::count(length);
        // From its end on: so Redis makes room for all of it at once, and no more.
        while last > 1 {
            let first = last.saturating_sub(AT_A_TIME).max(1);
            let piece = chunks::seal(token, data, first..last);
            chunks::put_prints(&mut prints, data, first..last);
            let place = match first {
                1 => 0,
                _ => chunks::place(first, length).start,
            };
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            let (keys, args) = (vec![name.clone().into()], vec![place.into(), piece.into()]);
            let (within, script) = (self.write_timeout(), WRITE.to_owned());
            Way::Open
                .eval::<i64>(&self.link, within, script, keys, args)
                .await?;
            last = first;
        }
        Ok(Some(Apart::new(token, prints)))
    }
}

// === impl Body ===

impl Body {
    async fn read(&self, number: u64) -> Result<Bytes, StoreError> {
        let tried = timeout(STALL, async {
            loop {
                match self.try_read(number).await {
                    Ok(sealed) => return sealed,
                    // It may be back soon.
                    Err(_) => sleep(RETRY).await,
                }
            }
        });
        let Ok(sealed) = tried.await else {
            return Err(StoreError::new("Redis takes too long to go on with a body"));
        };
        let chunk = chunks::open(self.apart.token, number, self.length, &sealed);
        if chunk.is_err() {
            let _ = self.shared.forget(&self.key, self.id).await;
        }
        chunk.map_err(|damage| StoreError::because("a body in Redis is lost or damaged", damage))
    }

    async fn try_read(&self, number: u64) -> Result<Bytes, CallError> {
        let shared = &self.shared;
        let _turn = shared.link.turn_to_read().await;
        let name = shared.names.body(&self.key);
        let place = chunks::place(number, self.length);
        let at = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
        let args = vec![
            self.apart.token.text().into(),
            at(place.start).into(),
            at(place.end - 1).into(),
        ];
        let (within, script) = (shared.write_timeout(), READ.to_owned());
        let keys = vec![name.into()];
        Way::Open
            .eval(&shared.link, within, script, keys, args)
            .await
    }
}

impl Source for Body {
    fn chunk(self: Arc<Self>, number: u64) -> Chunk {
        Box::pin(async move { self.read(number).await })
    }

    fn is_chunk(&self, number: u64, bytes: &[u8]) -> bool {
        self.apart.knows(number, bytes)
    }
}
