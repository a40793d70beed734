//! What a QUERY asks, from its fields and its content. What cannot change the meaning of either is
//! dropped, unless the client says `no-transform`.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE,
    },
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{Content, Digest};
use crate::policy::{Reason, list};

impl Content {
    /// What a QUERY with these fields and this content asks.
    ///
    /// All fields count whose name begins with `Content-`, save the length: they say what the
    /// content means.
    pub fn read(headers: &HeaderMap, content: &[u8]) -> Content {
        // The server must refuse a content of no stated type (RFC 10008 §2), and what several
        // types mean is not known.
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(kind), None) = (types.next(), types.next()) else {
            return Content::Unknown(Reason::QueryUnclear);
        };
        // Such a field does not reach the origin.
        let is_ours = |name: &[u8]| name.to_ascii_lowercase().starts_with(b"content-");
        if kind.is_empty() || list::members(headers, &CONNECTION).any(is_ours) {
            return Content::Unknown(Reason::QueryUnclear);
        }
        let verbatim = list::members(headers, &CACHE_CONTROL)
            .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"));
        let mut fields: Vec<(&HeaderName, Cow<'_, [u8]>)> = headers
            .iter()
            .filter(|(name, _)| is_ours(name.as_str().as_bytes()) && *name != CONTENT_LENGTH)
            .map(|(name, value)| match value.as_bytes() {
                value if verbatim => (name, value.into()),
                value => (name, normalised(name, value)),
            })
            .collect();
        fields.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));

        let plain = !verbatim && !headers.contains_key(CONTENT_ENCODING);
        let content = if plain && is_json(kind.as_bytes()) {
            without_space(content)
        } else {
            content.into()
        };
        let mut hash = Sha256::new();
        // Every piece after its length, so that none can pass for two.
        let mut add = |piece: &[u8]| {
            hash.update((piece.len() as u64).to_be_bytes());
            hash.update(piece);
        };
        for (name, value) in fields {
            add(name.as_str().as_bytes());
            add(&value);
        }
        add(b"");
        add(&content);
        Content::Known(Digest::new(hash.finalize().into()))
    }
}

fn normalised<'a>(name: &HeaderName, value: &'a [u8]) -> Cow<'a, [u8]> {
    if *name == CONTENT_TYPE {
        return media_type(value).into();
    }
    if *name == CONTENT_ENCODING || *name == CONTENT_LANGUAGE {
        let members: Vec<&[u8]> = list::pieces(value, b',').collect();
        return members.join(&b","[..]).to_ascii_lowercase().into();
    }
    value.into()
}

/// Type, subtype and the parameters' names have no case (RFC 9110 §8.3.1).
fn media_type(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for (nth, piece) in list::pieces(value, b';').enumerate() {
        if nth == 0 {
            text.extend(piece.to_ascii_lowercase());
        } else if !piece.is_empty() {
            let name = piece.iter().position(|&byte| byte == b'=');
            let (name, value) = piece.split_at(name.unwrap_or(piece.len()));
            text.push(b';');
            text.extend(name.to_ascii_lowercase());
            text.extend(value);
        }
    }
    text
}

fn is_json(kind: &[u8]) -> bool {
    let essence = list::pieces(kind, b';').next().unwrap_or_default();
    let essence = essence.to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}

/// JSON without the space between its tokens, which means nothing (RFC 8259 §2); what is no JSON
/// as it is.
fn without_space(content: &[u8]) -> Cow<'_, [u8]> {
    if serde_json::from_slice::<&RawValue>(content).is_err() {
        return content.into();
    }
    let (mut text, mut quoted, mut escaped) = (Vec::with_capacity(content.len()), false, false);
    for &byte in content {
        if !quoted && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        text.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::headers;

    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

    #[track_caller]
    fn known(fields: &[(&str, &str)], content: &str) -> Digest {
        match Content::read(&headers(fields), content.as_bytes()) {
            Content::Known(digest) => digest,
            Content::Unknown(reason) => panic!("{reason}"),
        }
    }

    fn json(content: &str) -> Digest {
        known(JSON, content)
    }

    #[test]
    fn space_between_the_tokens_of_json_means_nothing() {
        let plain = json(r#"{"a":[1,true],"b \" c":" x "}"#);
        assert_eq!(
            json(" {\"a\" : [1,\n\ttrue],\r\n\"b \\\" c\":\" x \"} "),
            plain
        );
        let suffix = [("content-type", "Application/Vnd.X+JSON")];
        assert_eq!(known(&suffix, "[ 1 ]"), known(&suffix, "[1]"));
    }

    #[test]
    fn everything_else_in_json_may_mean_something() {
        let all = [
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"a":1}"#,
            r#"{"a":1.0,"b":2}"#,
            r#"{"a":1,"a":1,"b":2}"#,
            r#"{"a":"1","b":2}"#,
            r#"{"a":"1 ","b":2}"#,
            r#"{"a":"\u0031","b":2}"#,
            "{\"a\": 1 \"b\": 2}", // none at all
            "{\"a\":1\"b\":2}",
            "\u{feff}{\"a\":1,\"b\":2}",
        ];
        for (nth, one) in all.iter().enumerate() {
            for other in &all[nth + 1..] {
                assert_ne!(json(one), json(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn of_other_types_every_byte_counts() {
        for fields in [
            &[("content-type", "text/plain")][..],
            &[("content-type", "application/jsonpath")],
            &[
                ("content-type", "application/json"),
                ("content-encoding", "identity"),
            ],
            &[
                ("content-type", "application/json"),
                ("cache-control", "max-age=5, No-Transform"),
            ],
        ] {
            assert_ne!(known(fields, "[1]"), known(fields, "[ 1]"), "{fields:?}");
        }
    }

    #[test]
    fn fields_are_compared_as_far_as_they_have_no_case() {
        let of = |kind| known(&[("content-type", kind)], "x");
        assert_eq!(
            of("text/plain;charset=UTF-8"),
            of("Text/Plain ; Charset=UTF-8;")
        );
        assert_ne!(
            of("text/plain;charset=UTF-8"),
            of("text/plain;charset=utf-8")
        );
        assert_ne!(of("text/plain"), of("text/plain;a=b"));
        let of = |name, value| known(&[JSON[0], (name, value)], "1");
        assert_eq!(
            of("content-encoding", "GZIP , br"),
            of("content-encoding", "gzip,br")
        );
        assert_ne!(
            of("content-encoding", "br,gzip"),
            of("content-encoding", "gzip,br")
        );
        assert_eq!(of("content-language", "DE"), of("content-language", "de"));
        assert_ne!(of("content-language", "de"), json("1"));
        assert_ne!(of("content-location", "/a"), of("content-location", "/A"));
        assert_eq!(of("content-length", "1"), json("1"));
        assert_eq!(of("accept", "1"), json("1"), "that is for Vary to say");
    }

    #[test]
    fn what_is_not_clear_is_not_known() {
        for fields in [
            &[][..],
            &[("content-type", "")],
            &[("content-type", "a/b"), ("content-type", "a/c")],
            &[
                ("content-type", "a/b"),
                ("connection", "close, Content-Type"),
            ],
        ] {
            let unclear = Content::Unknown(Reason::QueryUnclear);
            assert_eq!(Content::read(&headers(fields), b"x"), unclear, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_dropped_of_json_does_not_change_its_value(
            pieces in prop::collection::vec("[ \t\n\r]?[\\[\\]{},:\"\\\\ a1]", 0..12)
        ) {
            let text = pieces.concat();
            let dense = without_space(text.as_bytes());
            let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
            prop_assert_eq!(value(&dense), value(text.as_bytes()));
        }

        #[test]
        fn a_piece_does_not_pass_for_another(a in "[a-c]{0,3}", b in "[a-c]{0,3}", c in "[a-c]{0,3}", d in "[a-c]{0,3}") {
            let of = |language: &str, content: &str| known(&[JSON[0], ("content-language", language)], content);
            prop_assert_eq!(of(&a, &b) == of(&c, &d), (a, b) == (c, d));
        }
    }
}
