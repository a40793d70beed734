//! A head at rest: its fields in one block of bytes, from which it is made anew to be used.
//!
//! A `HeaderMap` takes 104 bytes for each field besides its text, and has room for more fields
//! than it holds; packed, a field takes 5. To unpack a head takes longer than to clone it, so a
//! thread remembers what it [unpacked](super::ready) last.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header::CACHE_STATUS};

use super::names;
use crate::policy::{Head, Lifetime, StoredHead};

/// A [`Head`], packed.
///
/// ```text
/// for each field   its name's number, or SPELLED with the name's length and text
///                  the value's length, and whether it is SENSITIVE
///                  the value
/// ```
#[derive(Debug)]
pub(super) struct Packed {
    /// No other has it, ever.
    pub(super) number: u64,
    fields: Box<[u8]>,
    count: usize,
    status: StatusCode,
    version: Version,
    received: SystemTime,
    initial_age: Duration,
    lifetime: Lifetime,
}

/// In place of the number of a name that has none.
const SPELLED: u8 = u8::MAX;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// A bit of the length of a value: no value is that long.
const SENSITIVE: u32 = 1 << 31;

impl Packed {
    pub(super) fn new(head: &Head) -> Packed {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);

        let stored = head.stored();
        // The slots come back by themselves.
        let is_slot = |name: &HeaderName, value: &HeaderValue| {
            *name == X_CACHE || (*name == CACHE_STATUS && value == Head::SLOT)
        };
        let kept = stored.headers.iter().filter(|(n, v)| !is_slot(n, v));
        // Where it is written first, for it to be copied to no more room than it takes.
        let mut fields = Vec::with_capacity(1024);
        let mut count = 0;
        for (name, value) in kept {
            count += 1;
            match names::number(name) {
                Some(number) => fields.put_u8(number),
                None => {
                    fields.put_u8(SPELLED);
                    fields.put_u32_ne(name.as_str().len() as u32);
                    fields.put_slice(name.as_str().as_bytes());
                }
            }
            let sensitive = if value.is_sensitive() { SENSITIVE } else { 0 };
            fields.put_u32_ne(value.len() as u32 | sensitive);
            fields.put_slice(value.as_bytes());
        }
        Packed {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            count,
            fields: fields.as_slice().into(),
            status: stored.status,
            version: stored.version,
            received: stored.received,
            initial_age: stored.initial_age,
            lifetime: stored.lifetime,
        }
    }

    /// The head that was packed.
    pub(super) fn unpack(&self) -> Head {
        Head::restore(StoredHead {
            status: self.status,
            version: self.version,
            headers: self.headers().unwrap_or_default(),
            received: self.received,
            initial_age: self.initial_age,
            lifetime: self.lifetime,
        })
    }

    /// `None` does not come about: what was packed is what is unpacked.
    fn headers(&self) -> Option<HeaderMap> {
        let mut fields = Bytes::copy_from_slice(&self.fields);
        let mut headers = HeaderMap::with_capacity(self.count + Head::ROOM);
        while fields.has_remaining() {
            let name = match fields.get_u8() {
                SPELLED => {
                    let len = fields.get_u32_ne() as usize;
                    HeaderName::from_bytes(&fields.split_to(len)).ok()?
                }
                number => names::name(number)?.clone(),
            };
            let len = fields.get_u32_ne();
            let value = fields.split_to((len & !SENSITIVE) as usize);
            let mut value = HeaderValue::from_maybe_shared(value).ok()?;
            value.set_sensitive(len & SENSITIVE != 0);
            headers.append(name, value);
        }
        Some(headers)
    }

    /// The memory that it takes besides its own size.
    pub(super) fn weight(&self) -> usize {
        self.fields.len()
    }
}
