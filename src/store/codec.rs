//! Records to bytes and back.
//!
//! ```text
//!  0  "LRDR"          4  version (5)      5  kind: R response, V vary marker, S search marker,
//!                                             G gone
//!  6  id: the response's EntryId, or the marker's epoch
//! 14  nonce of the key's last removal, or 0
//! 22  number of the last purge in the journal when this was fetched
//! 30  length of the front
//! 34  front           key, head or marker, checksum of all up to here
//!     rest            verdict, trailers, length of the body, body, checksum of the rest; nothing
//!                     for a marker
//! ```
//!
//! Of a large body, a token, the prints of its chunks and the first of them are in the place of the
//! body; the rest is in a value of its own ([`chunks`]). What is gone ends with its opening. Numbers
//! are big-endian. The front is what a 304 renews: it can be replaced without reading what follows,
//! and its [`OPENING`] tells of which response it is. The checksums (CRC-32) are for accidents: what
//! was changed on its way is not served.

pub(super) mod chunks;
mod input;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::{BufMut, Bytes};
use http::{HeaderMap, Version};

use self::{chunks::Apart, input::Input};
use super::{
    Entry, EntryId, Front, Record, Seen,
    reading::{CHUNK, Rest},
};
use crate::policy::{Head, Key, Search, Source, StoredHead, Vary};

const MAGIC: &[u8; 4] = b"LRDR";
const VERSION: u8 = 5;
const RESPONSE: u8 = b'R';
const VARY: u8 = b'V';
const SEARCH: u8 = b'S';
const GONE: u8 = b'G';

/// The length of what comes before the front.
pub(super) const OPENING: usize = 30;

/// What comes before the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    kind: u8,
    id: u64,
    /// Which removal of the key was the last, or 0.
    pub(super) nonce: u64,
    /// How many purges the journal had when the fetch began.
    pub(super) number: u64,
}

impl Opening {
    /// Whether it says that the key was removed.
    pub(super) fn is_gone(self) -> bool {
        self.kind == GONE
    }
}

/// The length of a checksum.
const CHECKSUM: usize = 4;

/// Why some bytes are not the record that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// They are something else altogether.
    Foreign,
    /// They are of another version.
    Version(u8),
    /// They are the record of another key.
    OtherKey,
    /// They end too early, or go on after the end.
    Length,
    /// Some value is not possible.
    Value(&'static str),
    /// The rest of their body is not there.
    Rest,
}

/// What responses are in Redis, for the benches: they see what is public only, and Redis would hide
/// what it costs. A large body counts as far as it is kept with its head.
#[doc(hidden)]
#[derive(Debug)]
pub struct Codec;

impl Codec {
    #[doc(hidden)]
    pub fn encode(key: &Key, entry: &Entry) -> Bytes {
        let data = entry.body.data().cloned().unwrap_or_default();
        encode_response(key, entry, &data, None, Seen::NOTHING)
    }

    #[doc(hidden)]
    pub fn decode(key: &Key, bytes: &Bytes) -> Option<Record> {
        decode(key, bytes, |_, _, _| Err(Damage::Rest)).ok()
    }
}

/// The bytes of a response, as it is kept under `key` by who has `seen` it, with this body: of the
/// rest of which, if it is large, this is told.
pub(super) fn encode_response(
    key: &Key,
    Entry { id, head, body }: &Entry,
    data: &Bytes,
    rest: Option<&Apart>,
    seen: Seen,
) -> Bytes {
    let first = &data[..data.len().min(CHUNK as usize)];
    let prints = rest.map_or(0, |rest| rest.prints.len());
    let room = 256 + key.as_str().len() + head.weight() + prints + first.len();
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(&opening(RESPONSE, id.0, seen));
    out.extend_from_slice(&front_of(key, *id, head, seen));
    let start = out.len();
    out.put_u8(match body.verdict().get() {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    out.put_u8(body.trailers().is_some().into());
    if let Some(trailers) = body.trailers() {
        put_fields(&mut out, trailers);
    }
    out.put_u64(data.len() as u64);
    if let Some(rest) = rest {
        out.put_u64(rest.token.0);
        out.extend_from_slice(&rest.prints);
    }
    out.extend_from_slice(first);
    let sum = crc32fast::hash(&out[start..]);
    out.put_u32(sum);
    out.into()
}

/// The bytes of the mark of variants, in the same way.
pub(super) fn encode_vary(key: &Key, vary: &Vary, seen: Seen) -> Bytes {
    encode_mark(opening(VARY, vary.epoch, seen), key, |out| {
        put_time(out, vary.until);
        let names = vary.fields.names();
        out.put_u32(names.len() as u32);
        for name in names {
            put_text(out, name.as_str().as_bytes());
        }
    })
}

/// The bytes of the mark of a rule, in the same way.
pub(super) fn encode_search(key: &Key, search: &Search, seen: Seen) -> Bytes {
    encode_mark(opening(SEARCH, search.epoch, seen), key, |out| {
        put_time(out, search.until);
        out.put_u8(search.rule.only.into());
        out.put_u8(search.rule.ordered.into());
        out.put_u32(search.rule.names.len() as u32);
        for name in &*search.rule.names {
            put_text(out, name.as_bytes());
        }
    })
}

fn encode_mark(opening: [u8; OPENING], key: &Key, fill: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = opening.to_vec();
    out.extend_from_slice(&front(&opening, key, fill));
    out.into()
}

/// The opening of the response `id`.
pub(super) fn opening_of(id: EntryId, seen: Seen) -> Bytes {
    Bytes::copy_from_slice(&opening(RESPONSE, id.0, seen))
}

/// What says that the key was removed.
pub(super) fn gone(nonce: u64) -> Bytes {
    let seen = Seen {
        nonce,
        ..Seen::NOTHING
    };
    Bytes::copy_from_slice(&opening(GONE, 0, seen))
}

/// What every record begins with, and nothing of another version.
pub(super) fn start() -> Bytes {
    let mut start = MAGIC.to_vec();
    start.push(VERSION);
    start.into()
}

/// What `bytes` begin with.
pub(super) fn opening_in(bytes: &Bytes) -> Result<Opening, Damage> {
    Input::new(bytes).opening()
}

/// The front of the response `id` under `key` with this head: its length, and the bytes.
pub(super) fn front_of(key: &Key, id: EntryId, head: &Head, seen: Seen) -> Bytes {
    let opening = opening(RESPONSE, id.0, seen);
    front(&opening, key, |out| put_head(out, head.stored())).into()
}

/// The record in `bytes`, if it is whole and that of `key`. `rest` tells where the rest of a large
/// body is, by its response, what is told of it, and the length of all of the body.
pub(super) fn decode(
    key: &Key,
    bytes: &Bytes,
    rest: impl FnOnce(EntryId, Apart, u64) -> Result<Rest, Damage>,
) -> Result<Record, Damage> {
    let mut input = Input::new(bytes);
    let record = match input.front(key)? {
        Front::Response { id, head, .. } => Record::Response(Entry {
            id,
            head,
            body: input.payload(|apart, length| rest(id, apart, length))?,
        }),
        Front::Vary(vary) => Record::Vary(vary),
        Front::Search(search) => Record::Search(search),
    };
    input.expect_at(bytes.len())?;
    Ok(record)
}

/// The front of the record that begins with these bytes, if it is that of `key`; with the size of
/// its body, if the bytes go that far.
pub(super) fn decode_front(key: &Key, bytes: &Bytes) -> Result<Front, Damage> {
    let mut input = Input::new(bytes);
    let mut front = input.front(key)?;
    if let Front::Response { size, .. } = &mut front {
        *size = input.size().ok();
    }
    Ok(front)
}

/// Where the front ends of what begins with these bytes.
pub(super) fn front_end(bytes: &Bytes) -> Result<u64, Damage> {
    let mut input = Input::new(bytes);
    input.opening()?;
    let front = input.u32()?;
    Ok(input.at as u64 + u64::from(front))
}

fn opening(kind: u8, id: u64, seen: Seen) -> [u8; OPENING] {
    let mut out = [0; OPENING];
    let mut to = &mut out[..];
    to.put_slice(MAGIC);
    to.put_u8(VERSION);
    to.put_u8(kind);
    to.put_u64(id);
    to.put_u64(seen.nonce);
    to.put_u64(seen.number);
    out
}

fn front(opening: &[u8], key: &Key, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_text(&mut out, key.as_str().as_bytes());
    fill(&mut out);
    let len = (out.len() - 4 + CHECKSUM) as u32;
    out[..4].copy_from_slice(&len.to_be_bytes());
    let mut sum = crc32fast::Hasher::new();
    sum.update(opening);
    sum.update(&out);
    out.put_u32(sum.finalize());
    out
}

fn put_head(out: &mut Vec<u8>, head: &StoredHead) {
    out.put_u16(head.status.as_u16());
    out.put_u8(match head.version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    });
    put_time(out, head.received);
    put_duration(out, head.initial_age);
    put_duration(out, head.lifetime.duration);
    out.put_u8(match head.lifetime.source {
        Source::None => 0,
        Source::SharedMaxAge => 1,
        Source::MaxAge => 2,
        Source::Expires => 3,
        Source::Heuristic => 4,
        Source::Configured => 5,
    });
    put_fields(out, &head.headers);
}

fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    out.put_u32(fields.len() as u32);
    for (name, value) in fields {
        put_text(out, name.as_str().as_bytes());
        put_text(out, value.as_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.put_u32(text.len() as u32);
    out.extend_from_slice(text);
}

/// A time before 1970 is a clock that was never set: it is kept as 1970.
fn put_time(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    put_duration(out, since.unwrap_or_default());
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    out.put_u64(duration.as_secs());
    out.put_u32(duration.subsec_nanos());
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Foreign => f.write_str("not a record"),
            Damage::Version(version) => write!(f, "a record of version {version}"),
            Damage::OtherKey => f.write_str("the record of another key"),
            Damage::Length => f.write_str("a record of the wrong length"),
            Damage::Value(what) => write!(f, "a record with an impossible {what}"),
            Damage::Rest => f.write_str("a record without the rest of its body"),
        }
    }
}

impl std::error::Error for Damage {}

/// Reads bytes as the record of the key that they name themselves: whatever is read must be
/// written and read again as the same.
#[cfg(any(test, fuzzing))]
pub fn fuzz_redis_record(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let end = front_end(&bytes);
    let mut named = Input::new(&bytes);
    named.at = OPENING + 4;
    let key = named
        .text()
        .ok()
        .and_then(|key| std::str::from_utf8(key).ok());
    let key = Key::parse(key.unwrap_or_default());
    let front = decode_front(&key, &bytes);
    // The rest of a large body is none of these bytes.
    let record = decode(&key, &bytes, |_, _, _| Err(Damage::Rest));
    if let Ok(record) = record {
        assert!(end.is_ok() && front.is_ok());
        let seen = Seen::default();
        let again = match &record {
            Record::Response(entry) => {
                let data = entry.body.data().expect("it is small");
                encode_response(&key, entry, data, None, seen)
            }
            Record::Vary(vary) => encode_vary(&key, vary, seen),
            Record::Search(search) => encode_search(&key, search, seen),
        };
        let read = decode(&key, &again, |_, _, _| Err(Damage::Rest));
        let read = read.expect("what was written is read");
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
    }
}
