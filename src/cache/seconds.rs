//! Field values that count seconds, made once: `Age`, and the `Cache-Status` of a hit.

use std::{fmt::Write, sync::LazyLock};

use http::HeaderValue;

use crate::outcome::Outcome;

/// Up to so many seconds; beyond, values are made when they are needed.
const TABLE: usize = 4096;

static AGES: LazyLock<Texts> = LazyLock::new(|| Texts::new(|second| second.to_string()));
static HITS: LazyLock<Texts> =
    LazyLock::new(|| Texts::new(|second| Outcome::hit(second as i64).to_string()));

/// The value of `Age`.
pub(super) fn age(seconds: u64) -> HeaderValue {
    AGES.get(seconds).unwrap_or_else(|| seconds.into())
}

/// The `Cache-Status` of a hit that has these seconds to live.
pub(super) fn hit(ttl: i64) -> Option<HeaderValue> {
    HITS.get(u64::try_from(ttl).ok()?)
}

/// A text for each second, in one piece: a value that lies in it is neither made nor counted.
struct Texts {
    text: &'static str,
    ends: Vec<u32>,
}

impl Texts {
    fn new(of: impl Fn(u64) -> String) -> Self {
        let mut text = String::new();
        let ends = (0..TABLE as u64).map(|second| {
            let _ = write!(text, "{}", of(second));
            text.len() as u32
        });
        let ends = ends.collect();
        Texts {
            text: text.leak(), // one of each for the whole program
            ends,
        }
    }

    fn get(&self, second: u64) -> Option<HeaderValue> {
        let second = usize::try_from(second).ok()?;
        let end = *self.ends.get(second)? as usize;
        let start = match second {
            0 => 0,
            _ => self.ends[second - 1] as usize,
        };
        Some(HeaderValue::from_static(&self.text[start..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_would_be_said_without_it() {
        for second in [0, 1, 9, 10, 99, 4095, 4096, u64::MAX] {
            assert_eq!(age(second), second.to_string());
        }
        for ttl in [0, 1, 10, 4095] {
            assert_eq!(hit(ttl).unwrap(), Outcome::hit(ttl).to_string());
        }
        assert_eq!(hit(-1), None);
        assert_eq!(hit(4096), None);
    }
}
