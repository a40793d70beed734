//! Numbers for the names of fields.
//!
//! The names that responses use are few, and the same again and again: each is kept once, by the
//! first who packs a head that has it. They stay for ever, so there is an end to how many.

use std::sync::OnceLock;

use http::HeaderName;

static NAMES: [OnceLock<HeaderName>; 255] = [const { OnceLock::new() }; 255];

/// A longer name has no number.
const LONGEST: usize = 64;

/// The number of this name, which it may get now; `None` when there are too many others.
pub(super) fn number(name: &HeaderName) -> Option<u8> {
    if name.as_str().len() > LONGEST {
        return None;
    }
    let found = NAMES
        .iter()
        .position(|slot| slot.get_or_init(|| own(name)) == name);
    found.and_then(|at| u8::try_from(at).ok())
}

/// The name of this number.
pub(super) fn name(number: u8) -> Option<&'static HeaderName> {
    NAMES.get(usize::from(number))?.get()
}

/// The same, sharing no memory; to clone it touches nothing that other threads touch.
fn own(name: &HeaderName) -> HeaderName {
    match HeaderName::from_bytes(name.as_str().as_bytes()) {
        // Of the well-known names there is one text for all: nothing is to be kept.
        Ok(known) if known.as_str().as_ptr() == name.as_str().as_ptr() => known,
        _ => HeaderName::from_static(String::leak(name.as_str().to_owned())),
    }
}
