//! Request targets as they may be written down: without the userinfo of any URL in them.

use std::{borrow::Cow, ops::Range};

/// One character of a target as its reader will decode it, and where it stands.
struct Unit {
    byte: u8,
    at: Range<usize>,
}

/// The target with `***` for the userinfo of URLs in its path and query, percent-encoded or not,
/// and with control characters escaped. Other parts stay as they came.
pub(super) fn redact(target: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| matches!(b, b'!'..=b'~') && b != b'@' && b != b'%';
    if target.bytes().all(is_plain) {
        return Cow::Borrowed(target);
    }
    let control = target.contains(|c: char| c.is_control() || !c.is_ascii());
    if !control && !target.contains('@') && !target.contains("%40") {
        return Cow::Borrowed(target);
    }
    let mut shown = String::with_capacity(target.len());
    let mut end = 0;
    for secret in userinfos(&units(target)) {
        shown.push_str(&target[end..secret.start]);
        shown.push_str("***");
        end = secret.end;
    }
    shown.push_str(&target[end..]);
    if control {
        shown = shown.escape_default().to_string();
    }
    Cow::Owned(shown)
}

/// The target, percent-decoded once. Tabs and line ends are left out, as URL parsers leave them
/// out of a scheme.
fn units(target: &str) -> Vec<Unit> {
    let bytes = target.as_bytes();
    let mut units = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let encoded = match bytes[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)),
            _ => None,
        };
        let (byte, length) = match encoded {
            Some((high, low)) => (high << 4 | low, 3),
            None => (bytes[at], 1),
        };
        if !matches!(byte, b'\t' | b'\n' | b'\r') {
            let at = at..at + length;
            units.push(Unit { byte, at });
        }
        at += length;
    }
    units
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Where userinfo stands: after `http:`, `https:` or `//` and any slashes of either kind, and
/// before the last `@` of that authority.
fn userinfos(units: &[Unit]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut next = 0;
    while next < units.len() {
        let Some(length) = opening(&units[next..]) else {
            next += 1;
            continue;
        };
        let slash = |unit: &Unit| matches!(unit.byte, b'/' | b'\\');
        let rest = &units[next + length..];
        let slashes = rest.iter().take_while(|unit| slash(unit)).count();
        let rest = &rest[slashes..];
        // A raw `&` ends the query's value; an encoded one belongs to it.
        let over = |unit: &Unit| {
            slash(unit)
                || matches!(unit.byte, b'?' | b'#')
                || (unit.byte == b'&' && unit.at.len() == 1)
        };
        let authority = rest.iter().position(over).unwrap_or(rest.len());
        let authority = &rest[..authority];
        if let Some(at) = authority.iter().rposition(|unit| unit.byte == b'@')
            && at > 0
        {
            found.push(authority[0].at.start..authority[at].at.start);
        }
        next += length + slashes + authority.len();
    }
    found
}

/// The length of what opens an authority here.
fn opening(units: &[Unit]) -> Option<usize> {
    ["https:", "http:", "//"]
        .into_iter()
        .find(|opening| {
            units.len() >= opening.len()
                && units
                    .iter()
                    .zip(opening.bytes())
                    .all(|(unit, byte)| unit.byte.eq_ignore_ascii_case(&byte))
        })
        .map(str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_secret_stays_as_it_came() {
        for target in [
            "/",
            "/a?b=c&token=secret",
            "/mail?to=someone@example.com",
            "/proxy?url=http%3A%2F%2Fexample.com%2F%40me",
            "/proxy?url=http://example.com&mail=a@b",
            "/%zz%4",
            "/@scope/name",
            "http:",
            "//@",
        ] {
            assert_eq!(redact(target), target);
        }
    }

    #[test]
    fn userinfo_goes_in_every_spelling() {
        for (target, shown) in [
            ("/proxy?url=http://me:pw@h/x", "/proxy?url=http://***@h/x"),
            (
                "/proxy?url=HTTPS%3a%2f%2Fme%3Apw%40h%2Fx&a=b@c",
                "/proxy?url=HTTPS%3a%2f%2F***%40h%2Fx&a=b@c",
            ),
            ("/?url=http:me:pw@h", "/?url=http:***@h"),
            ("/?url=http:%5C%5Cme:p%26w@h", "/?url=http:%5C%5C***@h"),
            ("/?url=h%09ttp://me@h", "/?url=h%09ttp://***@h"),
            ("/?url=//me:pw@h/", "/?url=//***@h/"),
            (
                "/?a=http://a@b@c&b=http://d@e",
                "/?a=http://***@c&b=http://***@e",
            ),
        ] {
            assert_eq!(redact(target), shown);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(redact("/a\u{1b}[2J\n"), "/a\\u{1b}[2J\\n");
    }
}
