//! Names that a cluster keeps beside others.
//!
//! In a cluster, what is between the first braces of a name decides where it is kept; or all of it,
//! where nothing is. The text of a URI may have braces anywhere.

use std::sync::OnceLock;

use bytes::Bytes;
use fred::util::redis_keyslot;

const SLOTS: usize = 16384;

/// For each slot a number that leads there when it follows the store's braces.
pub(super) struct Slots(OnceLock<Vec<u64>>);

impl Slots {
    pub(super) fn new() -> Self {
        Slots(OnceLock::new())
    }

    /// A name that begins with `start`, which ends with an opening brace, and has that of a record in
    /// it, and is kept where the record is; none where the beginning alone decides otherwise.
    pub(super) fn beside(&self, start: &str, record: &[u8]) -> Option<Bytes> {
        let plain = [start.as_bytes(), record, b"}"].concat();
        if !record.iter().any(|&b| matches!(b, b'{' | b'}')) {
            return Some(plain.into());
        }
        let slot = redis_keyslot(record);
        if redis_keyslot(&plain) == slot {
            return Some(plain.into());
        }
        let numbers = self.0.get_or_init(|| numbers(start));
        let number = numbers.get(usize::from(slot))?;
        let number = format!("{number}}}");
        let name = [start.as_bytes(), number.as_bytes(), record, b"}"].concat();
        (redis_keyslot(&name) == slot).then(|| name.into())
    }
}

fn numbers(start: &str) -> Vec<u64> {
    let mut numbers = vec![None; SLOTS];
    let mut missing = SLOTS;
    // Where it takes many more tries than this, the beginning alone decides.
    for number in 0..64 * SLOTS as u64 {
        let slot = redis_keyslot(format!("{start}{number}}}").as_bytes());
        let Some(none @ None) = numbers.get_mut(usize::from(slot)) else {
            continue;
        };
        *none = Some(number);
        missing -= 1;
        if missing == 0 {
            break;
        }
    }
    numbers.into_iter().map(Option::unwrap_or_default).collect()
}

/// What follows [`Slots::beside`]'s beginning in a name: that of the record, and what comes after.
pub(super) fn record_in(name: &[u8]) -> &[u8] {
    let digits = name.iter().take_while(|b| b.is_ascii_digit()).count();
    match name.get(digits) {
        Some(b'}') if digits > 0 => &name[digits + 1..],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_where_its_record_is_whatever_braces_there_are() {
        for prefix in ["larder", "{pin}", "a{b", "a}b", "}{"] {
            let (slots, start) = (Slots::new(), format!("{prefix}::body:{{"));
            for path in [
                "", "{x}", "{", "}", "{}", "}{", "{}{x}", "a{b}c{d}", "}}", "{{",
            ] {
                let record = format!("{prefix}:GET http://a/{path}");
                let name = slots.beside(&start, record.as_bytes());
                let name = name.unwrap_or_else(|| panic!("{record}"));
                assert_eq!(redis_keyslot(&name), redis_keyslot(record.as_bytes()));
                let after = record_in(name.strip_prefix(start.as_bytes()).unwrap());
                assert_eq!(after, format!("{record}}}").as_bytes());
            }
        }
    }

    #[test]
    fn there_is_none_where_all_of_a_name_decides() {
        let slots = Slots::new();
        assert_eq!(slots.beside("{}::body:{", b"{}:GET http://a/"), None);
    }
}
