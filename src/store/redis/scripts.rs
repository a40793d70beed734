//! What must happen at one key all at once, as scripts that run within Redis.
//!
//! As Redis remembers scripts that it ran, and these are shorter than most heads, they are sent
//! each time. Each touches one record, and the body beside it, so that they work in a cluster.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    error::Error,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, FromValue, Value},
};

use super::{FOR_EVER, Shared, link::Link, trouble::CallError};
use crate::{
    policy::{Head, Key},
    store::{
        EntryId, Seen,
        codec::{self, chunks::Token},
        random,
    },
};

/// How long it is remembered that a key was removed, in milliseconds: longer than any fetch whose
/// response is stored.
const REMEMBERED: i64 = 10 * 60 * 1000;

/// What is at the key, as the scripts see it: `kind`, `nonce` and `number` of a record of ours;
/// what else may be there counts for nothing. The second key is that of the rest of its body, if it
/// has one: `aside` keeps it for those who read it, and it is to `outlive` the record.
const LOOK: &str = r"
local old = redis.pcall('GETRANGE', KEYS[1], 0, 33)
local kind, nonce, number = '', string.rep('\0', 8), 0
if type(old) == 'string' and #old >= 30 and string.sub(old, 1, 5) == ARGV[1] then
  kind, nonce = string.sub(old, 6, 6), string.sub(old, 15, 22)
  for i = 23, 30 do number = number * 256 + string.byte(old, i) end
end
local function set(value, keep)
  if nonce ~= string.rep('\0', 8) then keep = math.max(keep, 600000) end
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', keep))
  return keep
end
local function aside()
  local token = redis.pcall('GETRANGE', KEYS[2], 0, 15)
  if type(token) ~= 'string' or #token < 16 then return end
  redis.call('RENAME', KEYS[2], KEYS[2] .. ':' .. token)
  redis.call('PEXPIRE', KEYS[2] .. ':' .. token, 60000)
end
local function outlive(keep)
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', keep + 60000))
end
";

/// Stores a record, unless the key was removed since, or what is there was fetched after more
/// purges. What replaces a removed key stays as long as the removal is remembered: an empty place
/// would not tell of it. The rest of its body, if it has one, was written before; Redis refuses the
/// first write of these where it has no room.
const PUT: &str = r"
local rest = ARGV[8] ~= '' and KEYS[2] .. ':' .. ARGV[8]
if nonce ~= ARGV[4] or number > tonumber(ARGV[5])
  or rest and redis.call('EXISTS', rest) == 0 then
  if rest then redis.call('UNLINK', rest) end
  return 0
end
if kind ~= '' and kind ~= 'G' and string.sub(old, 1, 14) ~= string.sub(ARGV[2], 1, 14) then
  redis.call('PUBLISH', ARGV[6], ARGV[7])
end
local keep = set(ARGV[2], tonumber(ARGV[3]))
aside()
if rest then
  redis.call('RENAME', rest, KEYS[2])
  outlive(keep)
end
return 1";

/// Puts a new front before the rest of a response that is still the expected one: the body is
/// neither sent nor mixed up with that of another response.
const REFRESH: &str = r"
if kind ~= 'R' or #old < 34 or string.sub(old, 1, 22) ~= string.sub(ARGV[2], 1, 22)
  or number > tonumber(ARGV[5]) then return 0 end
local a, b, c, d = string.byte(old, 31, 34)
local front = 34 + ((a * 256 + b) * 256 + c) * 256 + d
local rest = redis.call('GETRANGE', KEYS[1], front, -1)
outlive(set(ARGV[2] .. ARGV[4] .. rest, tonumber(ARGV[3])))
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1";

/// Removes what is there, and lets nothing come back that was looked up before. As it frees room
/// first, it may write though Redis is full.
const REMOVE: &str = r"
local there = redis.call('UNLINK', KEYS[1]) == 1 and kind ~= 'G'
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
aside()
redis.call('PUBLISH', ARGV[4], ARGV[5])
return there and 1 or 0";

/// Takes a record out that a sweep has judged, or the response that is told, but not the memory of a
/// removal.
const DROP: &str = r"
if kind == 'G' or ARGV[2] and string.sub(old, 1, 14) ~= ARGV[2] then return 0 end
redis.call('UNLINK', KEYS[1])
aside()
if nonce == string.rep('\0', 8) then return 1 end
redis.call('SET', KEYS[1], string.sub(old, 1, 5) .. 'G' .. string.rep('\0', 8) .. nonce
  .. string.rep('\0', 8), 'PX', 600000)
return 1";

/// What others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Event {
    /// There is more in the journal.
    Journal,
    /// A URI was removed.
    Removed,
    /// A record was replaced, or got a new head.
    Changed,
    /// Who fetched something is done.
    #[cfg(feature = "memory")]
    Landed,
    /// Whoever sent it can hear.
    #[cfg(feature = "memory")]
    Beat,
}

impl Event {
    /// The message: what it is, who says it, and of what.
    pub(super) fn message(self, sender: u64, of: &[u8]) -> Bytes {
        let kind = match self {
            Event::Journal => b'J',
            Event::Removed => b'U',
            Event::Changed => b'C',
            #[cfg(feature = "memory")]
            Event::Landed => b'L',
            #[cfg(feature = "memory")]
            Event::Beat => b'B',
        };
        [&[kind][..], &sender.to_be_bytes(), of].concat().into()
    }

    /// What a message says.
    #[cfg(feature = "memory")]
    pub(in crate::store) fn read(message: &[u8]) -> Option<(Event, u64, &[u8])> {
        let event = match message.first()? {
            b'J' => Event::Journal,
            b'U' => Event::Removed,
            b'C' => Event::Changed,
            b'L' => Event::Landed,
            b'B' => Event::Beat,
            _ => return None,
        };
        let sender = message.get(1..9)?.try_into().ok()?;
        Some((event, u64::from_be_bytes(sender), &message[9..]))
    }
}

/// Whether a call heeds the breaker.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Open,
    Past,
}

impl Way {
    /// Runs a script at a key, by a link.
    pub(super) async fn eval<R: FromValue>(
        self,
        link: &Link,
        within: Duration,
        script: String,
        keys: Vec<Value>,
        args: Vec<Value>,
    ) -> Result<R, CallError> {
        let (eval, all) = command(script, keys, args);
        let run = async |client: fred::clients::WithOptions<fred::clients::Client>| {
            client.custom::<R, Value>(eval, all).await
        };
        match self {
            Way::Open => link.call(within, run).await,
            Way::Past => link.attempt(within, run).await.map_err(CallError::Failed),
        }
    }
}

impl Shared {
    /// Answers whether it was stored.
    pub(super) async fn put(
        &self,
        key: &Key,
        bytes: Bytes,
        rest: Option<Token>,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, CallError> {
        let nonce = Bytes::copy_from_slice(&seen.nonce.to_be_bytes());
        let args = vec![
            codec::start().into(),
            bytes.into(),
            millis(keep).into(),
            nonce.into(),
            number(seen),
            self.channel().into(),
            self.message(Event::Changed, key).into(),
            rest.map_or_else(String::new, Token::text).into(),
        ];
        self.run(Way::Open, PUT, key, args).await
    }

    pub(super) async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: &Head,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, CallError> {
        let args = vec![
            codec::start().into(),
            codec::opening_of(old, seen).into(),
            millis(keep).into(),
            codec::front_of(key, old, head, seen).into(),
            number(seen),
            self.channel().into(),
            self.message(Event::Changed, key).into(),
        ];
        self.run(Way::Open, REFRESH, key, args).await
    }

    /// Answers whether there was anything, and what nonce is there now.
    pub(super) async fn remove(&self, way: Way, key: &Key) -> Result<(bool, u64), CallError> {
        let nonce = random().max(1);
        let args = vec![
            codec::start().into(),
            codec::gone(nonce).into(),
            REMEMBERED.into(),
            self.channel().into(),
            self.message(Event::Removed, key).into(),
        ];
        Ok((self.run(way, REMOVE, key, args).await?, nonce))
    }

    /// Takes out the response `id`, if it is there still.
    pub(super) async fn forget(&self, key: &Key, id: EntryId) -> Result<bool, CallError> {
        let opening = codec::opening_of(id, Seen::NOTHING);
        let args = vec![codec::start().into(), opening.slice(..14).into()];
        self.run(Way::Open, DROP, key, args).await
    }

    /// The command that takes out what a sweep has judged.
    pub(super) fn drop_command(&self, key: &Key) -> (CustomCommand, Vec<Value>) {
        let script = [LOOK, DROP].concat();
        command(script, self.names_of(key), vec![codec::start().into()])
    }

    /// What a script is about: a record, and the rest of its body.
    fn names_of(&self, key: &Key) -> Vec<Value> {
        vec![self.names.record(key).into(), self.names.body(key).into()]
    }

    async fn run(
        &self,
        way: Way,
        script: &str,
        key: &Key,
        args: Vec<Value>,
    ) -> Result<bool, CallError> {
        let within = self.write_timeout();
        let script = [LOOK, script].concat();
        let keys = self.names_of(key);
        let done = way.eval::<i64>(&self.link, within, script, keys, args);
        Ok(done.await? == 1)
    }

    fn message(&self, event: Event, key: &Key) -> Bytes {
        event.message(self.sender(), key.as_str().as_bytes())
    }
}

/// The command that runs a script.
pub(super) fn command(
    script: String,
    keys: Vec<Value>,
    args: Vec<Value>,
) -> (CustomCommand, Vec<Value>) {
    let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
    let count = keys.len() as i64;
    let all = [script.into(), count.into()]
        .into_iter()
        .chain(keys)
        .chain(args);
    (eval, all.collect())
}

/// Redis takes whole milliseconds, and no 0.
fn millis(keep: Duration) -> i64 {
    keep.as_millis().clamp(1, FOR_EVER) as i64
}

fn number(seen: Seen) -> Value {
    i64::try_from(seen.number).unwrap_or(i64::MAX).into()
}

/// Whether Redis said that something other than what we keep is under the key.
pub(super) fn is_wrong_type(error: &Error) -> bool {
    error.details().starts_with("WRONGTYPE")
}
