//! What the cache did with a request, in the words of RFC 9211.
//!
//! The cache puts an [`Outcome`] into the extensions of every response it answers with; metrics
//! and logs read it there, and its `Display` is larder's member of the `Cache-Status` field.

use std::fmt::{self, Write as _};

use http::StatusCode;

/// What the cache did with one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The body came from the cache, and the origin was not asked (`hit`).
    pub hit: bool,
    /// Why the request went to the origin (`fwd`); `None` on a hit, or when the cache refused.
    pub forward: Option<Forward>,
    /// What the origin answered (`fwd-status`), where it differs from the response's status.
    pub forward_status: Option<StatusCode>,
    /// The response was, or is being, stored (`stored`).
    pub stored: bool,
    /// The request waited for another's fetch instead of making its own (`collapsed`).
    pub collapsed: bool,
    /// Seconds for which the response stays fresh, negative when it is stale (`ttl`).
    pub ttl: Option<i64>,
    /// Why, in a word (`detail`).
    pub detail: Option<&'static str>,
    /// The key of what was looked for (`key`), where it is to be shown.
    pub key: Option<Box<str>>,
}

/// Why a request was forwarded (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forward {
    /// The cache was configured not to handle this request.
    Bypass,
    /// The method's semantics require that the request be forwarded.
    Method,
    /// Nothing is stored under the request's URI.
    UriMiss,
    /// Something is stored under the URI, but not for these selecting header fields.
    VaryMiss,
    /// Nothing stored could answer, for another reason.
    Miss,
    /// A fresh response is stored, but the request's directives do not accept it.
    Request,
    /// A response is stored, and is stale.
    Stale,
    /// A partial response is stored, and lacks what the request asks for.
    Partial,
}

impl Outcome {
    /// The outcome of a hit that stays fresh for `ttl` seconds.
    pub const fn hit(ttl: i64) -> Self {
        Outcome {
            hit: true,
            forward: None,
            forward_status: None,
            stored: false,
            collapsed: false,
            ttl: Some(ttl),
            detail: None,
            key: None,
        }
    }

    /// The outcome of a request that was forwarded because of `why`.
    pub const fn forwarded(why: Forward) -> Self {
        Outcome {
            hit: false,
            forward: Some(why),
            forward_status: None,
            stored: false,
            collapsed: false,
            ttl: None,
            detail: None,
            key: None,
        }
    }

    /// `HIT` or `MISS`: the word for `X-Cache`.
    pub const fn word(&self) -> &'static str {
        if self.hit { "HIT" } else { "MISS" }
    }
}

impl Forward {
    /// The value of `fwd`.
    pub const fn word(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("larder")?;
        if self.hit {
            f.write_str("; hit")?;
        }
        if let Some(why) = self.forward {
            f.write_str("; fwd=")?;
            f.write_str(why.word())?;
        }
        if let Some(status) = self.forward_status {
            f.write_str("; fwd-status=")?;
            f.write_str(status.as_str())?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        if let Some(ttl) = self.ttl {
            f.write_str("; ttl=")?;
            fmt::Display::fmt(&ttl, f)?;
        }
        if let Some(detail) = self.detail {
            f.write_str("; detail=")?;
            f.write_str(detail)?;
        }
        if let Some(key) = &self.key {
            f.write_str("; key=\"")?;
            write_string(f, key)?;
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// The content of a String (RFC 9651 §3.3.3), which holds printable ASCII only.
fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_whatever_is_in_it() {
        let mut outcome = Outcome::hit(1);
        outcome.key = Some("GET http://a/\"\\\u{e9}\n".into());
        assert_eq!(
            outcome.to_string(),
            r#"larder; hit; ttl=1; key="GET http://a/\"\\%C3%A9%0A""#
        );
    }

    #[test]
    fn reads_as_rfc_9211_writes_it() {
        assert_eq!(Outcome::hit(-3).to_string(), "larder; hit; ttl=-3");
        let mut outcome = Outcome::forwarded(Forward::Stale);
        outcome.forward_status = Some(StatusCode::NOT_MODIFIED);
        outcome.stored = true;
        outcome.collapsed = true;
        outcome.detail = Some("no-cache");
        assert_eq!(
            outcome.to_string(),
            "larder; fwd=stale; fwd-status=304; stored; collapsed; detail=no-cache"
        );
    }
}
