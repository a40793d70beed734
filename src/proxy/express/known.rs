//! A head that is understood by one that was.

use bytes::Bytes;
use http::{Uri, request};

/// A head, as it came and as it was understood.
#[derive(Debug)]
pub(super) struct Known {
    bytes: Vec<u8>,
    /// Where its first line ends.
    line: usize,
    head: request::Parts,
}

// === impl Known ===

impl Known {
    /// What `head` means, as it came.
    pub(super) fn new(bytes: Vec<u8>, head: request::Parts) -> Option<Known> {
        let line = bytes.iter().position(|b| *b == b'\n')? + 1;
        Some(Known { bytes, line, head })
    }

    /// What this one means, if it differs in its target at most.
    pub(super) fn understand(&mut self, came: &[u8]) -> Option<&request::Parts> {
        let line = came.strip_suffix(&self.bytes[self.line..])?;
        let target = line.strip_prefix(b"GET ")?;
        let target = target.strip_suffix(b" HTTP/1.1\r\n")?;
        let uri = &self.head.uri;
        let is_same = uri.authority().is_none() && *target == *path(uri).as_bytes();
        if !is_same {
            if !target.starts_with(b"/") || !target.iter().all(is_plain) {
                return None;
            }
            let target = Bytes::copy_from_slice(target);
            self.head.uri = Uri::from_maybe_shared(target).ok()?;
        }
        Some(&self.head)
    }
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |path| path.as_str())
}

/// What RFC 3986 lets paths and queries hold.
fn is_plain(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(b)
}

/// Whether these bytes are one head, from its first line to the empty one that ends it (RFC 9112
/// §2.1), for all who take a single LF for the end of a line, too.
pub(super) fn is_head(bytes: &[u8]) -> bool {
    // As text it is looked through a word at a time.
    let Ok(head) = str::from_utf8(bytes) else {
        return false;
    };
    let Some(lines) = head.strip_suffix("\r\n") else {
        return false;
    };
    let mut each = lines.split_inclusive('\n');
    lines.ends_with("\r\n") && each.all(|line| line != "\n" && line != "\r\n")
}
