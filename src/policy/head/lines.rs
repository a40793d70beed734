//! A head's fields as the bytes that HTTP/1.1 sends.

use std::sync::OnceLock;

use http::{
    HeaderMap,
    header::{AGE, CACHE_STATUS, CONTENT_LENGTH},
};

use super::Head;

/// The lines, written when they are first asked for. A copy of a head may become another: it
/// starts without.
#[derive(Debug, Default)]
pub(in crate::policy) struct Lines(OnceLock<Box<[u8]>>);

impl Lines {
    pub(super) fn of(&self, headers: &HeaderMap) -> &[u8] {
        self.0.get_or_init(|| {
            let mut lines = Vec::with_capacity(1024);
            for (name, value) in headers {
                if name == AGE || name == CONTENT_LENGTH || is_slot(name, value) {
                    continue;
                }
                for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                    lines.extend_from_slice(part);
                }
            }
            lines.into()
        })
    }
}

fn is_slot(name: &http::HeaderName, value: &http::HeaderValue) -> bool {
    name == CACHE_STATUS && value == Head::SLOT
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        Lines::default()
    }
}
