//! Field values that count seconds, made once: `Age`, and the `Cache-Status` of a hit.

use std::sync::LazyLock;

use http::HeaderValue;

use crate::outcome::Outcome;

/// Up to so many seconds; beyond, values are made when they are needed.
const TABLE: usize = 4096;

static AGES: LazyLock<Values> = LazyLock::new(|| Values::new(|second| second.to_string()));
static HITS: LazyLock<Values> =
    LazyLock::new(|| Values::new(|second| Outcome::hit(second as i64).to_string()));

/// The value of `Age`.
pub(super) fn age(seconds: u64) -> HeaderValue {
    AGES.get(seconds).unwrap_or_else(|| seconds.into())
}

/// The `Cache-Status` of a hit that has these seconds to live.
pub(super) fn hit(ttl: i64) -> Option<HeaderValue> {
    HITS.get(u64::try_from(ttl).ok()?)
}

/// A value for each second: their texts lie in one piece, and are not counted when cloned.
struct Values(Vec<HeaderValue>);

impl Values {
    fn new(of: impl Fn(u64) -> String) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(TABLE));
        for second in 0..TABLE as u64 {
            text.push_str(&of(second));
            ends.push(text.len());
        }
        let mut text: &'static str = text.leak(); // one of each for the whole program
        let mut start = 0;
        let values = ends.into_iter().map(|end| {
            let (value, rest) = text.split_at(end - start);
            (text, start) = (rest, end);
            HeaderValue::from_static(value)
        });
        Values(values.collect())
    }

    fn get(&self, second: u64) -> Option<HeaderValue> {
        self.0.get(usize::try_from(second).ok()?).cloned()
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
