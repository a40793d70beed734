//! A variant along with the mark that leads to it, in one go.
//!
//! Which variant of a URI is asked for follows from its mark, which is in Redis: who is told of
//! what is selected by each of a request's fields can look on at once.

use bytes::Bytes;
use fred::types::{FromValue, Value};
use http::HeaderMap;

use super::{LARGEST, Shared};
use crate::{
    policy::{Fields, Key},
    store::{Looked, Seen, codec},
};

/// Fields that take more than this are not told of, nor are any when those that came before take as
/// much: what is selected by them is looked for when the mark is known.
const LONGEST: usize = 1024;

/// Answers of the variant that the mark at the first key leads to: 0 if it is not there and its lease
/// is ours now, else -1; what follows in its name; its record; and the length of the rest of its body,
/// whose name begins as the fifth argument. What a request selects begins at the seventh, and is empty
/// where it is not told. Where another fetches it, there is no answer: it is to be waited for.
pub(super) const ALONG: &str = r"
local function along()
  local mark = redis.call('GETRANGE', KEYS[1], 0, 65535)
  local at = 31
  local function number()
    local a, b, c, d = string.byte(mark, at, at + 3)
    at = at + 4
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  number()
  local key = number()
  at = at + key + 12
  local fields, selected = {}, {}
  for i = 7, #ARGV, 2 do fields[ARGV[i]] = ARGV[i + 1] end
  for i = 1, number() do
    local length = number()
    selected[i] = fields[string.sub(mark, at, at + length - 1)] or '-'
    if selected[i] == '' then return end
    at = at + length
  end
  local epoch = string.gsub(string.sub(mark, 7, 14), '.', function(c)
    return string.format('%02x', string.byte(c))
  end)
  local name = ' ' .. epoch .. ' ' .. table.concat(selected, '&')
  local record = redis.call('GETRANGE', KEYS[1] .. name, 0, ARGV[6])
  if record == '' or string.sub(record, 6, 6) == 'G' then
    local who = ARGV[3] == '' and redis.call('GET', KEYS[2] .. name)
    if who and who ~= '' then return end
    if ARGV[3] ~= '' or who == '' then return {-1, name, record, 0} end
    redis.call('SET', KEYS[2] .. name, ARGV[1], 'PX', ARGV[2])
    return {0, name, record, 0}
  end
  local size = redis.pcall('STRLEN', ARGV[5] .. name)
  return {-1, name, record, type(size) == 'number' and size or 0}
end
";

/// What it answered.
pub(super) struct Along {
    /// The lease is ours.
    pub(super) is_ours: bool,
    name: String,
    bytes: Bytes,
    size: u64,
}

impl Along {
    pub(super) fn read(answer: Vec<Value>) -> Option<Along> {
        let [left, name, bytes, size] = <[Value; 4]>::try_from(answer).ok()?;
        Some(Along {
            is_ours: left.as_u64() == Some(0),
            name: String::from_value(name).ok()?,
            bytes: Bytes::from_value(bytes).ok()?,
            size: u64::from_value(size).ok()?,
        })
    }

    /// The key of the variant, by that of the mark.
    pub(super) fn key(&self, mark: &Key) -> Key {
        Key::parse(&[mark.as_str(), &self.name].concat())
    }
}

impl Shared {
    /// The arguments that [`ALONG`] takes for the mark under `key`.
    pub(super) fn selecting(&self, key: &Key, fields: &HeaderMap) -> Vec<Value> {
        let mut args: Vec<Value> = vec![self.names.body(key).into(), (LARGEST as i64).into()];
        let mut room = LONGEST;
        for name in fields.keys() {
            let size = fields.get_all(name).iter().map(|line| line.len()).sum();
            let selected = match room.checked_sub(size) {
                Some(left) => {
                    room = left;
                    Fields::new([name.clone()]).select(fields).into_text()
                }
                None => String::new(),
            };
            args.push(name.as_str().into());
            args.push(selected.into());
        }
        args
    }

    /// What is known of the variant that the mark under `key` leads to, after all purges up to what
    /// was `seen`. Nothing where it is not certain what is there.
    pub(super) fn variant(
        self: &std::sync::Arc<Self>,
        key: Key,
        found: &Along,
        seen: Seen,
    ) -> Option<Box<(Key, Looked)>> {
        if found.bytes.is_empty() {
            let seen = Seen { nonce: 0, ..seen };
            return Some(Box::new((key, Looked::nothing(seen))));
        }
        let opening = codec::opening_in(&found.bytes).ok()?;
        let seen = Seen {
            nonce: opening.nonce,
            ..seen
        };
        if opening.is_gone() {
            return Some(Box::new((key, Looked::nothing(seen))));
        }
        let rest = |id, apart, length| self.rest(&key, (id, apart, length), found.size);
        let record = codec::decode(&key, &found.bytes, rest).ok()?;
        let holds = self
            .journal
            .holds(&key, record.head(), opening.number, None);
        let looked = Looked {
            record: Some(record),
            ..Looked::nothing(seen)
        };
        holds.then(|| Box::new((key, looked)))
    }
}
