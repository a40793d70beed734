//! Comma-separated field values (RFC 9110 §5.6.1): splitting that knows quoted strings.

use http::{HeaderMap, HeaderName};

/// The members of one field value, without the space around them; empty ones are included.
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
    /// Off once a quote was found that nobody closes: it then counts as any other byte, so that
    /// it cannot hide what comes after it.
    quotes: bool,
}

/// Splits `value` at `separator`, save inside of quoted strings.
pub(super) fn pieces(value: &[u8], separator: u8) -> Pieces<'_> {
    Pieces {
        rest: Some(value),
        separator,
        quotes: true,
    }
}

/// The members of all lines of a field, without empty ones.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| pieces(line.as_bytes(), b','))
        .filter(|member| !member.is_empty())
}

/// The content of a quoted string, or `None` when `value` is none. Escapes are left as they are:
/// nothing that is read here has any.
pub(super) fn unquote(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// A number of decimal digits and nothing else; one that is too large becomes the largest.
pub(super) fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

// === impl Pieces ===

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = self.end(rest);
        self.rest = rest.get(end + 1..);
        Some(rest[..end].trim_ascii())
    }
}

impl Pieces<'_> {
    fn end(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            if byte == self.separator {
                return at;
            }
            if byte == b'"' && self.quotes {
                match closing_quote(rest, at) {
                    Some(end) => at = end,
                    None => self.quotes = false,
                }
            }
            at += 1;
        }
        at
    }
}

fn closing_quote(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(value: &str) -> Vec<&str> {
        pieces(value.as_bytes(), b',')
            .map(|piece| std::str::from_utf8(piece).unwrap())
            .collect()
    }

    #[test]
    fn commas_in_quotes_do_not_split() {
        assert_eq!(split(r#"a, b="1, 2" ,c"#), ["a", r#"b="1, 2""#, "c"]);
        assert_eq!(split(r#"a="\",", b"#), [r#"a="\",""#, "b"]);
        assert_eq!(split(""), [""]);
        assert_eq!(split(" a ,,b"), ["a", "", "b"]);
    }

    #[test]
    fn an_open_quote_hides_nothing() {
        assert_eq!(split(r#"a="x, no-store"#), [r#"a="x"#, "no-store"]);
        assert_eq!(split(r#"a="x\", no-store"#), [r#"a="x\""#, "no-store"]);
    }

    #[test]
    fn numbers_saturate() {
        assert_eq!(digits(b"0042"), Some(42));
        assert_eq!(digits(b"99999999999999999999999"), Some(u64::MAX));
        for bad in ["", "-1", "+1", "1.0", " 1", "1a", "\u{663}"] {
            assert_eq!(digits(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_loses_only_space(bytes: Vec<u8>) {
            let joined = pieces(&bytes, b',').collect::<Vec<_>>().join(&b","[..]);
            let solid = |bytes: &[u8]| bytes.iter().filter(|b| !b.is_ascii_whitespace()).copied().collect::<Vec<_>>();
            prop_assert_eq!(solid(&joined), solid(&bytes));
        }
    }
}
