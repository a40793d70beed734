//! How a purge is written down in the journal.

use crate::policy::{Key, Purge};

/// The text of a purge; nothing for everything.
pub(super) fn write(purge: &Purge) -> String {
    match purge {
        Purge::All => String::new(),
        Purge::Uri(key) => format!("U{}", key.as_str()),
        Purge::Below(key) => format!("B{}", key.as_str()),
        Purge::Tag(tag) => format!("T{tag}"),
        // No field's value and no key has a line end in it.
        Purge::Groups(key, names) => format!("G{}\n{}", key.as_str(), names.join("\n")),
    }
}

/// The purge in the journal's text of it, which has a time before it.
pub(super) fn read(text: &[u8]) -> Option<Purge> {
    let text = std::str::from_utf8(text).ok()?;
    let (_time, text) = text.split_once(' ')?;
    let (kind, text) = text.split_at_checked(1)?;
    Some(match kind {
        "U" => Purge::Uri(Key::parse(text)),
        "B" => Purge::Below(Key::parse(text)),
        "T" => Purge::Tag(text.to_owned()),
        "G" => {
            let (key, names) = text.split_once('\n')?;
            Purge::Groups(
                Key::parse(key),
                names.split('\n').map(str::to_owned).collect(),
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purges_survive_being_written_down() {
        let key = Key::parse("GET http://a/b?c");
        for purge in [
            Purge::Uri(key.clone()),
            Purge::Below(key.clone()),
            Purge::Tag("red green".to_owned()),
            Purge::Groups(key, vec!["one".to_owned(), "two".to_owned()]),
        ] {
            let text = format!("1700000000 {}", write(&purge));
            assert_eq!(read(text.as_bytes()), Some(purge));
        }
        assert_eq!(write(&Purge::All), "");
        assert_eq!(read(b"1700000000 X"), None);
    }
}
