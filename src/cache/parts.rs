//! Parts of a representation in the store, joined as they come (RFC 9111 §3.4).
//!
//! One entry holds one contiguous part. A part that can neither be joined with the stored one nor
//! tells that it is out of date takes its place if it is the larger.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{core::Core, patience::Patience};
use crate::{
    policy::{Head, Key},
    store::{Entry, Payload, Record, Store},
};

impl<S: Store> Core<S> {
    /// What to store under `key` now that the part `new` was received; `None` when what is there
    /// is better.
    pub(super) async fn joined(&self, key: &Key, new: Entry) -> Option<Entry> {
        let head = self.policy.received(&new.head, length(&new))?;
        let new = Entry {
            head: Arc::new(head),
            ..new
        };
        if new.head.part().is_none() {
            return Some(new);
        }
        let looked = self.store.get(key).await.unwrap_or_default();
        let Some(Record::Response(old)) = looked.record else {
            return Some(new);
        };
        // A whole response that came meanwhile answers for all of its parts.
        old.head.part()?;
        if let Some(head) = self.policy.combine(&old.head, &new.head) {
            let (Ok(before), Ok(data)) = (old.body.read().await, new.body.read().await) else {
                return Some(new);
            };
            let data = join((&old.head, &before), (&new.head, &data));
            let fits = data.len() as u64 <= self.max_object;
            return fits.then(|| Entry {
                id: new.id,
                head: Arc::new(head),
                body: Payload::new(data, None),
            });
        }
        let other = !self.policy.are_of_one(&old.head, &new.head);
        (other || length(&new) > length(&old)).then_some(new)
    }
}

/// The same part with all its bytes at hand, if they can be had in time.
pub(super) async fn at_hand(part: Entry, patience: &mut Patience) -> Option<Entry> {
    if part.body.data().is_some() {
        return Some(part);
    }
    let data = patience.wait(part.body.read()).await.ok()?;
    let body = Payload::new(data, None).with_verdict(part.body.verdict().clone());
    Some(Entry { body, ..part })
}

fn length(entry: &Entry) -> u64 {
    entry.body.len()
}

/// The bytes of two parts that overlap or touch; where they overlap, those of the new one.
fn join(old: (&Head, &Bytes), new: (&Head, &Bytes)) -> Bytes {
    let first = |head: &Head| head.part().map_or(0, |part| part.range.first);
    // Where the new part begins and ends, counted from where the old one begins.
    let begin = i128::from(first(new.0)) - i128::from(first(old.0));
    let end = begin + new.1.len() as i128;
    let within = |at: i128| at.clamp(0, old.1.len() as i128) as usize;
    let (before, after) = (&old.1[..within(begin)], &old.1[within(end)..]);
    let mut joined = BytesMut::with_capacity(before.len() + new.1.len() + after.len());
    joined.extend_from_slice(before);
    joined.extend_from_slice(new.1);
    joined.extend_from_slice(after);
    joined.freeze()
}
