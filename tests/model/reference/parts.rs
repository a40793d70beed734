//! RFC 9111 §3.3, §3.4: parts of a representation, joined as they come. One entry holds one
//! contiguous part.

use super::{Reference, conditions::strong, stored::Stored};
use crate::{fields::Fields, origin::Call};

impl Reference {
    /// What to store of `new`, if it is a part; `None` where what is there is better.
    pub(super) fn joined(&self, new: Stored) -> Option<Stored> {
        let new = whole_if_all(new);
        if new.part.is_none() {
            return Some(new);
        }
        let Some(old) = self.matching(&new.url, &new.by) else {
            return Some(new);
        };
        let old = &self.list[old];
        old.part?;
        if let Some(joined) = self.combined(old, &new) {
            return Some(joined);
        }
        let larger = new.body.len() > old.body.len();
        (larger || !are_of_one(old, &new)).then_some(new)
    }

    /// §3.4: both, if they overlap or touch and are of one representation.
    pub(super) fn combined(&self, old: &Stored, new: &Stored) -> Option<Stored> {
        let ((first, length), (begin, other_length)) = (old.part?, new.part?);
        let (end, new_end) = (first + old.body.len(), begin + new.body.len());
        let touch = begin <= end && first <= new_end;
        if !touch || length != other_length || !are_of_one(old, new) {
            return None;
        }
        let mut news = new.fields.clone();
        news.add("age", new.initial_age.to_string());
        let call = Call {
            method: String::new(),
            url: String::new(),
            fields: Fields::default(),
            sent: new.received,
            received: new.received,
            answer: None,
        };
        let mut joined = old.updated(self.settings, &call, &news);
        let start = first.min(begin);
        let mut body = vec![0; end.max(new_end) - start];
        body[first - start..end - start].copy_from_slice(&old.body);
        body[begin - start..new_end - start].copy_from_slice(&new.body);
        let range = format!("bytes {start}-{}/{length}", start + body.len() - 1);
        set(&mut joined.fields, "content-range", range);
        set(&mut joined.fields, "content-length", body.len().to_string());
        joined.body = body;
        joined.part = Some((start, length));
        joined.sets_cookie = new.sets_cookie;
        joined.useless_from = new.useless_from;
        Some(whole_if_all(joined))
    }
}

/// A part that is all is stored as what it is a part of.
fn whole_if_all(mut part: Stored) -> Stored {
    if part.part == Some((0, part.body.len())) {
        part.part = None;
        part.status = 200;
        part.fields.remove("content-range");
    }
    part
}

/// §3.4: by a strong validator.
pub(super) fn are_of_one(one: &Stored, other: &Stored) -> bool {
    one.tag().is_some_and(|tag| strong(tag, other.tag()))
}

fn set(fields: &mut Fields, name: &str, value: String) {
    fields.remove(name);
    fields.add(name, value);
}
