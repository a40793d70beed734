//! Bytes to records.
//!
//! Whoever can write to the store could have written these bytes, so this trusts none of them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::{
    Damage, MAGIC, Opening, RESPONSE, SEARCH, VARY, VERSION,
    chunks::{self, Apart, Token},
};
use crate::{
    policy::{Fields, Head, Key, Lifetime, Rule, Search, Source, StoredHead, Vary},
    store::{
        EntryId, Front, Payload,
        payload::Verdict,
        reading::{CHUNK, Rest},
    },
};

/// The bytes yet to be read.
pub(super) struct Input<'a> {
    bytes: &'a Bytes,
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a Bytes) -> Self {
        Input { bytes, at: 0 }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(len).ok_or(Damage::Length)?;
        let taken = self.bytes.get(self.at..end).ok_or(Damage::Length)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.take(N)?.try_into().map_err(|_| Damage::Length)
    }

    fn u8(&mut self) -> Result<u8, Damage> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    /// Reads the checksum of all since `start`.
    fn checksum(&mut self, start: usize) -> Result<(), Damage> {
        let sum = crc32fast::hash(&self.bytes[start..self.at]);
        match self.u32()? {
            stated if stated == sum => Ok(()),
            // A fuzzer would not come past it.
            _ if cfg!(fuzzing) => Ok(()),
            _ => Err(Damage::Value("checksum")),
        }
    }

    pub(super) fn expect_at(&self, end: usize) -> Result<(), Damage> {
        if self.at == end {
            Ok(())
        } else {
            Err(Damage::Length)
        }
    }

    fn duration(&mut self) -> Result<Duration, Damage> {
        match (self.u64()?, self.u32()?) {
            (secs, nanos @ ..1_000_000_000) => Ok(Duration::new(secs, nanos)),
            _ => Err(Damage::Value("duration")),
        }
    }

    fn time(&mut self) -> Result<SystemTime, Damage> {
        let since = self.duration()?;
        let time = SystemTime::UNIX_EPOCH.checked_add(since);
        time.ok_or(Damage::Value("time"))
    }

    fn name(&mut self) -> Result<HeaderName, Damage> {
        HeaderName::from_bytes(self.text()?).map_err(|_| Damage::Value("field name"))
    }

    fn fields(&mut self) -> Result<HeaderMap, Damage> {
        let count = self.u32()?;
        // Not all at once: the count may be a lie.
        let mut fields = HeaderMap::with_capacity(count.min(64) as usize + Head::ROOM);
        for _ in 0..count {
            let name = self.name()?;
            let value = HeaderValue::from_bytes(self.text()?);
            let value = value.map_err(|_| Damage::Value("field value"))?;
            let added = fields.try_append(name, value);
            added.map_err(|_| Damage::Value("number of fields"))?;
        }
        Ok(fields)
    }

    pub(super) fn opening(&mut self) -> Result<Opening, Damage> {
        if self.take(MAGIC.len()) != Ok(MAGIC) {
            return Err(Damage::Foreign);
        }
        match self.u8()? {
            VERSION => {}
            other => return Err(Damage::Version(other)),
        }
        Ok(Opening {
            kind: self.u8()?,
            id: self.u64()?,
            nonce: self.u64()?,
            number: self.u64()?,
        })
    }

    pub(super) fn front(&mut self, key: &Key) -> Result<Front, Damage> {
        let start = self.at;
        let Opening { kind, id, .. } = self.opening()?;
        let front = self.u32()? as usize;
        let end = self.at.checked_add(front).ok_or(Damage::Length)?;
        if self.text()? != key.as_str().as_bytes() {
            return Err(Damage::OtherKey);
        }
        let front = match kind {
            RESPONSE => Front::Response {
                id: EntryId(id),
                head: Arc::new(Head::restore(self.head()?)),
                size: None,
                hits: None,
            },
            VARY => Front::Vary(Arc::new(self.vary(id)?)),
            SEARCH => Front::Search(Arc::new(self.search(id)?)),
            _ => return Err(Damage::Value("kind")),
        };
        self.checksum(start)?;
        self.expect_at(end)?;
        Ok(front)
    }

    fn head(&mut self) -> Result<StoredHead, Damage> {
        let status = StatusCode::from_u16(self.u16()?).map_err(|_| Damage::Value("status"))?;
        let version = match self.u8()? {
            9 => Version::HTTP_09,
            10 => Version::HTTP_10,
            11 => Version::HTTP_11,
            20 => Version::HTTP_2,
            30 => Version::HTTP_3,
            _ => return Err(Damage::Value("version")),
        };
        let received = self.time()?;
        let initial_age = self.duration()?;
        let duration = self.duration()?;
        let source = match self.u8()? {
            0 => Source::None,
            1 => Source::SharedMaxAge,
            2 => Source::MaxAge,
            3 => Source::Expires,
            4 => Source::Heuristic,
            5 => Source::Configured,
            _ => return Err(Damage::Value("source of the lifetime")),
        };
        Ok(StoredHead {
            status,
            version,
            headers: self.fields()?,
            received,
            initial_age,
            lifetime: Lifetime { duration, source },
        })
    }

    fn vary(&mut self, epoch: u64) -> Result<Vary, Damage> {
        let until = self.time()?;
        let count = self.u32()?;
        let names: Result<Vec<_>, _> = (0..count).map(|_| self.name()).collect();
        Ok(Vary {
            epoch,
            fields: Fields::new(names?),
            until,
        })
    }

    fn search(&mut self, epoch: u64) -> Result<Search, Damage> {
        let until = self.time()?;
        let (only, ordered) = (self.flag()?, self.flag()?);
        let count = self.u32()?;
        let names: Result<Vec<&str>, _> = (0..count)
            .map(|_| std::str::from_utf8(self.text()?).map_err(|_| Damage::Value("name")))
            .collect();
        Ok(Search {
            epoch,
            rule: Rule::new(names?, only, ordered),
            until,
        })
    }

    fn flag(&mut self) -> Result<bool, Damage> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damage::Value("flag")),
        }
    }

    pub(super) fn payload(
        &mut self,
        rest: impl FnOnce(Apart, u64) -> Result<Rest, Damage>,
    ) -> Result<Payload, Damage> {
        let start = self.at;
        let verdict = match self.u8()? {
            0 => Verdict::default(),
            1 => Verdict::known(false),
            2 => Verdict::known(true),
            _ => return Err(Damage::Value("verdict")),
        };
        let trailers = self.trailers()?;
        let length = self.u64()?;
        let apart = match chunks::is_cut(length) {
            true => Some(self.apart(length)?),
            false => None,
        };
        let first = self.at;
        let data = self.take(length.min(CHUNK) as usize)?;
        let first = first..self.at;
        self.checksum(start)?;
        let payload = match apart {
            // A copy, so that it does not keep a whole read buffer alive.
            None => Payload::new(Bytes::copy_from_slice(data), trailers),
            Some(apart) => {
                let rest = rest(apart, length)?;
                Payload::begun(self.bytes.slice(first), rest, trailers)
            }
        };
        Ok(payload.with_verdict(verdict))
    }

    fn apart(&mut self, length: u64) -> Result<Apart, Damage> {
        let token = Token(self.u64()?);
        let start = self.at;
        self.take(chunks::prints_size(length))?;
        let prints = self.bytes.slice(start..self.at);
        Ok(Apart { token, prints })
    }

    /// The length of the body, which follows the front.
    pub(super) fn size(&mut self) -> Result<u64, Damage> {
        self.u8()?;
        self.trailers()?;
        self.u64()
    }

    fn trailers(&mut self) -> Result<Option<HeaderMap>, Damage> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.fields().map(Some),
            _ => Err(Damage::Value("trailers")),
        }
    }
}
