//! Records in Redis.
//!
//! One key for each record, `prefix:` and the text of its [`Key`], whose value is the framing of
//! [`codec`](super::codec) and whose expiry is the server's. Redis may be slow, hang, be down, or
//! be written to by others; none of it makes a request wait for more than the timeout, and while
//! it is out of reach calls fail at once (see [`breaker`], [`link`] and [`keeper`]).

mod breaker;
mod config;
mod keeper;
mod link;
mod sweep;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    interfaces::{ClientLike, KeysInterface},
    types::{ClusterHash, CustomCommand, Expiration, Value},
};
use tokio::sync::watch;

pub use self::{config::RedisConfig, keeper::Availability, url::RedisUrl};
use self::{
    keeper::{Keeper, Task},
    link::{CallError, Link},
};
use super::{EntryId, Front, Judge, Record, Store, StoreError, codec};
use crate::policy::{Head, Key};

/// The room for the head and key of a record, besides the largest body.
const HEAD_ROOM: u64 = 256 * 1024;

/// A write is not waited for by any request, and may be long: it has this many times the time
/// of a lookup.
const WRITE_PATIENCE: u32 = 10;

/// The longest time to keep anything: some hundred years, in milliseconds.
const FOR_EVER: u128 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Puts a new front before the rest of a response that is still the expected one, within Redis:
/// the body is neither sent nor mixed up with that of another response. As Redis remembers
/// scripts that it ran, and this one is shorter than most heads, it is sent each time.
const REFRESH: &str = r"
local old = redis.call('GETRANGE', KEYS[1], 0, 17)
if #old < 18 or string.sub(old, 1, 14) ~= ARGV[1] then return 0 end
local a, b, c, d = string.byte(old, 15, 18)
local front = 18 + ((a * 256 + b) * 256 + c) * 256 + d
local rest = redis.call('GETRANGE', KEYS[1], front, -1)
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2] .. rest, 'PX', ARGV[3])
return 1";

/// Keeps records in Redis, where they survive a restart and other instances see them.
///
/// Clones share a connection. When the last one is dropped, it is closed.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    state: watch::Receiver<Availability>,
    config: Arc<RedisConfig>,
    _keeper: Arc<Task>,
}

impl RedisStore {
    /// A store in the Redis that `config` tells of. Does not wait for it: as long as there is
    /// no connection, lookups fail at once, and it is tried again for ever.
    ///
    /// # Errors
    ///
    /// When the URL or the prefix cannot be right.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(config: RedisConfig) -> Result<Self, StoreError> {
        let largest = config.max_object.saturating_add(HEAD_ROOM);
        let probe = format!("{}:probe", config.prefix);
        let link = Link::new(config.parse()?, largest, config.timeout, probe);
        let link = Arc::new(link);
        let (keeper, state) = Keeper::start(link.clone());
        Ok(RedisStore {
            link,
            state,
            config: Arc::new(config),
            _keeper: Arc::new(keeper),
        })
    }

    /// Whether Redis can be used, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<Availability> {
        self.state.clone()
    }

    /// How many calls to Redis are under way: a few hundred at the most, whatever happens.
    pub fn calls(&self) -> usize {
        self.link.calls()
    }

    fn name(&self, key: &Key) -> String {
        format!("{}:{}", self.config.prefix, key.as_str())
    }

    /// The largest value that is written, and read.
    fn largest(&self) -> u64 {
        self.config.max_object.saturating_add(HEAD_ROOM)
    }

    fn write_timeout(&self) -> Duration {
        self.config.timeout.saturating_mul(WRITE_PATIENCE)
    }
}

impl Store for RedisStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let name = self.name(key);
        // A range, so that a huge value that somebody put there is not fetched: it comes cut,
        // and does not decode.
        let largest = usize::try_from(self.largest()).unwrap_or(usize::MAX >> 1);
        let _turn = self.link.turn()?;
        let found = self.link.call(self.config.timeout, async |client| {
            client.getrange::<Bytes, _>(name, 0, largest).await
        });
        match found.await {
            Ok(bytes) => Ok(codec::decode(key, &bytes).ok()),
            Err(error) if error.is_wrong_type() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        sweep::peek(self, key).await
    }

    async fn put(&self, key: &Key, record: Record, keep: Duration) -> Result<(), StoreError> {
        let body = match &record {
            Record::Response(entry) => entry.body.data().len() as u64,
            Record::Vary(_) | Record::Search(_) => 0,
        };
        if body > self.config.max_object || keep.is_zero() {
            return self.remove(key).await.map(drop);
        }
        if self.link.breaker.is_open() {
            return Err(CallError::Open.into()); // Before the body is copied.
        }
        let _room = self.link.room(body + HEAD_ROOM)?;
        let bytes = codec::encode(key, &record);
        if bytes.len() as u64 > self.largest() {
            return self.remove(key).await.map(drop);
        }
        let name = self.name(key);
        let expire = Some(Expiration::PX(millis(keep)));
        let _turn = self.link.turn()?;
        let set = self.link.call(self.write_timeout(), async |client| {
            client
                .set::<(), _, _>(name, bytes, expire, None, false)
                .await
        });
        Ok(set.await?)
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let args: Vec<Value> = vec![
            REFRESH.into(),
            1.into(),
            self.name(key).into(),
            codec::opening_of(old).into(),
            codec::front_of(key, old, &head).into(),
            millis(keep).into(),
        ];
        let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
        let _turn = self.link.turn()?;
        let done = self.link.call(self.write_timeout(), async |client| {
            client.custom::<i64, Value>(eval, args).await
        });
        match done.await {
            Ok(done) => Ok(done == 1),
            Err(error) if error.is_wrong_type() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self, key: &Key) -> Result<bool, StoreError> {
        let name = self.name(key);
        let _turn = self.link.turn()?;
        let removed = self.link.call(self.write_timeout(), async |client| {
            client.unlink::<i64, _>(name).await
        });
        Ok(removed.await? > 0)
    }

    /// Deletes what is there when it begins. Touches no key but this store's own.
    async fn clear(&self) -> Result<(), StoreError> {
        sweep::clear(&self.link, &self.config.prefix).await
    }

    async fn sweep(&self, start: &str, judge: &Judge<'_>) -> Result<(), StoreError> {
        sweep::sweep(self, start, judge).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.config)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

/// Redis takes whole milliseconds, and no 0.
fn millis(keep: Duration) -> i64 {
    keep.as_millis().clamp(1, FOR_EVER) as i64
}
