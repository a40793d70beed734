//! That what is packed is what is unpacked, and what is remembered of it.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::{names, packed::Packed, ready};
use crate::policy::{Head, Lifetime, Source, StoredHead};

fn head(fields: &[(&str, &[u8])]) -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    if let Some(value) = headers.get_mut("x-secret") {
        value.set_sensitive(true);
    }
    Head::restore(StoredHead {
        status: StatusCode::NOT_FOUND,
        version: Version::HTTP_10,
        headers,
        received: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        initial_age: Duration::from_secs(7),
        lifetime: Lifetime {
            duration: Duration::MAX,
            source: Source::Expires,
        },
    })
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let long = "x".repeat(300);
    let head = head(&[
        ("cache-control", b"max-age=60, no-cache=\"x-a\""),
        ("vary", b"accept"),
        ("x-all", b"\x80\xff \t~"),
        ("x-empty", b""),
        ("x-many", b"1"),
        ("x-secret", b"hush"),
        ("x-many", b"2"),
        ("x-many", b"1"),
        ("cache-status", b"other; hit"),
        (&long, long.as_bytes()),
    ]);
    let again = Packed::new(&head).unpack();
    assert_eq!(again.stored(), head.stored());
    assert!(
        again.headers().iter().eq(head.headers().iter()),
        "the order"
    );
    assert_eq!(again.directives(), head.directives());
    assert_eq!(again.varies(), head.varies());
    assert!(again.headers()["x-secret"].is_sensitive());
    assert!(!again.headers()["x-all"].is_sensitive());
    let (len, room) = (again.headers().len(), again.headers().capacity());
    assert!(room <= 2 * len, "{room} places for {len} lines");
}

#[test]
fn names_have_numbers_until_there_are_too_many() {
    let name = |n: u32| HeaderName::from_bytes(format!("x-name-{n}").as_bytes()).unwrap();
    assert_eq!(names::number(&name(1)), names::number(&name(1)));
    assert_ne!(names::number(&name(1)), names::number(&name(2)));
    let number = names::number(&name(1)).unwrap();
    assert_eq!(names::name(number), Some(&name(1)));
    assert!((0..300).any(|n| names::number(&name(n)).is_none()));
    let last = head(&[("x-name-299", b"spelled"), ("etag", b"\"1\"")]);
    assert_eq!(Packed::new(&last).unpack().stored(), last.stored());
}

#[test]
fn a_head_is_unpacked_once_for_as_long_as_it_is_remembered() {
    let packed = Packed::new(&head(&[("x-a", b"1")]));
    let first = ready::head(&packed);
    assert!(std::sync::Arc::ptr_eq(&first, &ready::head(&packed)));
    for n in 0..5000 {
        let other = ready::head(&Packed::new(&head(&[("x-a", n.to_string().as_bytes())])));
        assert_eq!(other.headers()["x-a"], n.to_string().as_str());
    }
    assert_eq!(ready::head(&packed).stored(), first.stored());
    assert!(!std::sync::Arc::ptr_eq(&first, &ready::head(&packed)));
}
