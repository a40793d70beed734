//! The journal in Redis: how far it is, what is added to it, and what it has that the copy lacks.

use std::sync::Arc;

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};

use super::text;
use crate::{
    policy::Purge,
    store::{
        Seen, StoreError,
        redis::{
            Shared,
            scripts::{Event, Way, is_wrong_type},
            trouble::CallError,
        },
    },
};

/// Begins the journal if there is none, if it lacks what somebody has seen in it already, or if
/// its numbers cannot be ours: those would have APPEND go on without end.
///
/// It begins with a command that writes and takes no room: after one, a Redis that is full lets
/// the others pass.
const OPEN: &str = r"
redis.call('EXPIRE', KEYS[1], 2592000)
local t = redis.call('TIME')
local now = tonumber(t[1])
local function text(n) return string.format('%.0f', n) end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local function number(field)
  local n = tonumber(redis.call('HGET', KEYS[1], field) or '')
  if n and n >= 0 and n < 2^53 and n == math.floor(n) then return n end
end
local n, f, o = number('n'), number('f'), number('o')
local known = tonumber(ARGV[1])
local sound = n and f and o and f <= n and o <= n and n - o <= 8192
if not sound or n < known then
  n = math.max(n or 0, known, now * 1000000 + tonumber(t[2])) + 1
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'n', text(n), 'f', text(n), 'o', text(n))
end
redis.call('EXPIRE', KEYS[1], 2592000)
";

const APPEND: &str = r"
f, o = number('f'), number('o')
n = n + 1
if ARGV[4] == '' then f = n
else redis.call('HSET', KEYS[1], text(n), now .. ' ' .. ARGV[4]) end
while o < n - 1 do
  local first = redis.call('HGET', KEYS[1], text(o + 1))
  if first then
    local old = now - (tonumber(string.match(first, '^%d+') or '') or 0) > 600
    if not old and n - o <= 4096 then break end
    local swept = redis.call('HDEL', KEYS[1], 's' .. text(o + 1)) == 1
    if not (swept and old) then f = math.max(f, o + 1) end
    redis.call('HDEL', KEYS[1], text(o + 1))
  end
  o = o + 1
end
redis.call('HSET', KEYS[1], 'n', text(n), 'f', text(f), 'o', text(o))
redis.call('PUBLISH', ARGV[2], ARGV[3])
return {text(n), text(f), text(o)}";

const BEAT: &str = r"
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return redis.call('HMGET', KEYS[1], 'n', 'f', 'o')";

/// How far the journal in Redis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Reach {
    pub(in super::super) number: u64,
    pub(super) floor: u64,
    pub(super) forgotten: u64,
}

impl Reach {
    /// What Redis answered, if there is a journal.
    fn read(fields: &[Option<i64>]) -> Option<Reach> {
        let number = |at: usize| u64::try_from(fields.get(at).copied()??).ok();
        Some(Reach {
            number: number(0)?,
            floor: number(1)?,
            forgotten: number(2)?,
        })
    }

    /// Asks for it, as part of a call.
    pub(in super::super) async fn ask(
        client: &WithOptions<Client>,
        name: String,
    ) -> Result<Option<Reach>, Error> {
        let fields = vec!["n".to_owned(), "f".to_owned(), "o".to_owned()];
        match hmget::<Option<i64>>(client, name, fields).await {
            Ok(fields) => Ok(Reach::read(&fields)),
            Err(error) if is_wrong_type(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn hmget<T: fred::types::FromValue>(
    client: &WithOptions<Client>,
    name: String,
    fields: Vec<String>,
) -> Result<Vec<T>, Error> {
    let command = CustomCommand::new_static("HMGET", ClusterHash::FirstKey, false);
    let args: Vec<Value> = [name].into_iter().chain(fields).map(Value::from).collect();
    client.custom(command, args).await
}

// === impl Shared ===

impl Shared {
    pub(in super::super) fn journal_name(&self) -> String {
        // Not the name of a record: see `sweep::is_ours`.
        format!("{}::purges", self.config.prefix)
    }

    pub(in crate::store) fn channel(&self) -> String {
        format!("{}::events", self.config.prefix)
    }

    pub(in crate::store) fn sender(&self) -> u64 {
        self.journal.sender
    }

    /// Brings the copy up to what Redis has, which was seen to be as far as `reach`.
    pub(in super::super) async fn catch_up(&self, reach: Reach) -> Result<(), CallError> {
        self.fetch(Way::Open, reach, None).await
    }

    /// Asks Redis how far the journal is, and begins it if there is none. Publishes a message, on
    /// a channel, meanwhile.
    pub(in super::super) async fn beat(
        &self,
        way: Way,
        publish: Option<(String, Bytes)>,
    ) -> Result<(), CallError> {
        let (channel, message) = publish.unwrap_or_default();
        let args = vec![self.known_number(), channel.into(), message.into()];
        let reach = self.at_journal(way, BEAT, args).await?;
        self.fetch(way, reach, None).await
    }

    /// Adds a purge to the journal, or keeps it until Redis is back.
    pub(in super::super) async fn announce(&self, purge: &Purge) -> Result<Seen, StoreError> {
        let announced = match self.link.turn() {
            Ok(_turn) => self
                .append(Way::Open, purge)
                .await
                .map_err(StoreError::from),
            Err(error) => Err(error),
        };
        match announced {
            Ok(number) => Ok(Seen {
                number,
                at: Some(self.clock.instant()),
                ..Seen::NOTHING
            }),
            Err(error) => {
                self.postpone(purge);
                Err(error)
            }
        }
    }

    /// Has this purged before anything of Redis is read again.
    pub(in super::super) fn postpone(&self, purge: &Purge) {
        self.journal.postpone(purge);
        self.link.breaker.trip();
    }

    /// Whether there is something left that Redis was not told.
    pub(in super::super) fn owes(&self) -> bool {
        !self.journal.pending().is_empty()
    }

    async fn append(&self, way: Way, purge: &Purge) -> Result<u64, CallError> {
        let message = Event::Journal.message(self.sender(), b"");
        let args = vec![
            self.known_number(),
            self.channel().into(),
            message.into(),
            text::write(purge).into(),
        ];
        let reach = self.at_journal(way, APPEND, args).await?;
        self.fetch(way, reach, Some(reach.number)).await?;
        Ok(reach.number)
    }

    /// All that a purge concerns is out of Redis.
    pub(in super::super) async fn swept(&self, number: u64) -> Result<(), CallError> {
        let script = "redis.call('EXPIRE', KEYS[1], 2592000) \
                      if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then \
                      redis.call('HSET', KEYS[1], 's' .. ARGV[1], 1) end return 1";
        let (within, name) = (self.write_timeout(), self.journal_name());
        let args = vec![number.to_string().into()];
        let keys = vec![name.into()];
        let done = Way::Open.eval::<i64>(&self.link, within, script.to_owned(), keys, args);
        done.await.map(drop)
    }

    /// Tells Redis of the purges that it could not be told. Past the breaker: it is closed after.
    pub(in super::super) async fn replay(self: &Arc<Self>) -> Result<(), CallError> {
        self.beat(Way::Past, None).await?;
        loop {
            let Some(purge) = self.journal.pending().front().cloned() else {
                return Ok(());
            };
            match &purge {
                Purge::Uri(key) => {
                    for key in key.of_each_class() {
                        self.remove(Way::Past, &key).await?;
                    }
                }
                _ => {
                    let number = self.append(Way::Past, &purge).await?;
                    self.sweep_later(purge.clone(), number);
                }
            }
            let mut pending = self.journal.pending();
            if pending.front() == Some(&purge) {
                pending.pop_front();
            }
        }
    }

    async fn at_journal(
        &self,
        way: Way,
        script: &str,
        args: Vec<Value>,
    ) -> Result<Reach, CallError> {
        let (within, name) = (self.write_timeout(), self.journal_name());
        let script = [OPEN, script].concat();
        let keys = vec![name.into()];
        let fields = way.eval::<Vec<Option<i64>>>(&self.link, within, script, keys, args);
        let fields = fields.await?;
        Reach::read(&fields).ok_or_else(|| {
            let kind = fred::error::ErrorKind::Parse;
            CallError::Failed(Error::new(kind, "the journal of purges is not readable"))
        })
    }

    /// Fetches what the copy lacks.
    async fn fetch(&self, way: Way, reach: Reach, own: Option<u64>) -> Result<(), CallError> {
        let first = self.journal.number().max(reach.forgotten) + 1;
        let numbers: Vec<u64> = (first..=reach.number).take(2 * 4096).collect();
        let mut purges = Vec::new();
        if !numbers.is_empty() {
            let fields: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let name = self.journal_name();
            let within = self.write_timeout();
            let run = async |client: WithOptions<Client>| {
                hmget::<Option<Bytes>>(&client, name, fields).await
            };
            let texts = match way {
                Way::Open => self.link.call(within, run).await?,
                Way::Past => {
                    let texts = self.link.attempt(within, run).await;
                    texts.map_err(CallError::Failed)?
                }
            };
            let texts = numbers.into_iter().zip(texts);
            purges.extend(texts.map(|(number, text)| {
                // What cannot be read may be about anything.
                (
                    number,
                    text.map(|text| text::read(&text).unwrap_or(Purge::All)),
                )
            }));
        }
        self.journal.learn(reach, purges, own, self.clock.instant());
        Ok(())
    }

    fn known_number(&self) -> Value {
        let number = self.journal.number();
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}
