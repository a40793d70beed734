//! What can go wrong between a request to the upstream and the end of its response.

use std::{error::Error as StdError, fmt, io};

use http::uri::Authority;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the upstream gave no response, or not a whole one.
///
/// `Display` is a sentence for people and names the host, never the userinfo, path or query.
/// The alternate form, `{:#}`, adds the causes.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    peer: Box<str>,
    source: Option<BoxError>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself cannot be sent: no absolute `http` or `https` URI, `CONNECT`, or its
    /// own body broke off.
    Request,
    /// The request's own body did not go on in time.
    Stalled,
    /// The host leads to loopback, a private network or another special address.
    Refused,
    /// The host's name has no address.
    Resolve,
    /// No connection came about.
    Connect,
    /// The proxy on the way there cannot be reached, or refuses to lead there.
    Proxy,
    /// No trusted TLS session came about.
    Tls,
    /// The response head, or the next piece of the body, did not come in time.
    Timeout,
    /// What came is not HTTP.
    Protocol,
    /// The connection ended before the response did.
    Broken,
}

/// A failure found by this module's own hands: its kind survives all wrapping by hyper.
#[derive(Debug)]
pub(super) struct Failure {
    kind: ErrorKind,
    what: String,
    source: Option<BoxError>,
}

// === impl Error ===

impl Error {
    pub(super) fn new(peer: &Authority, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Error {
            kind: kind_of(&*source),
            peer: without_userinfo(peer.as_str()).into(),
            source: Some(source),
        }
    }

    /// An error of a request whose URI names no host.
    pub(super) fn unaddressed(what: &str) -> Self {
        Error {
            kind: ErrorKind::Request,
            peer: "nowhere".into(),
            source: Some(Failure::new(ErrorKind::Request, what).into()),
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The host, and the port where the URI named one.
    pub fn host(&self) -> &str {
        &self.peer
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = &self.peer;
        match self.kind {
            ErrorKind::Request => write!(f, "the request to {peer} cannot be sent"),
            ErrorKind::Stalled => write!(f, "the request to {peer} does not go on"),
            ErrorKind::Refused => write!(f, "{peer} leads to an address that is not allowed"),
            ErrorKind::Resolve => write!(f, "the name of {peer} cannot be resolved"),
            ErrorKind::Connect => write!(f, "{peer} cannot be reached"),
            ErrorKind::Proxy => write!(f, "no proxy leads to {peer}"),
            ErrorKind::Tls => write!(f, "{peer} offers no trusted TLS connection"),
            ErrorKind::Timeout => write!(f, "{peer} took too long to answer"),
            ErrorKind::Protocol => write!(f, "{peer} answered with something that is not HTTP"),
            ErrorKind::Broken => write!(f, "{peer} broke off before its response was complete"),
        }?;
        if f.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Failure {
            kind,
            what: what.into(),
            source: None,
        }
    }

    pub(super) fn caused(
        kind: ErrorKind,
        what: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Failure {
            source: Some(source.into()),
            ..Failure::new(kind, what)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The first [`Failure`] in the chain knows its kind; else hyper's and the system's errors tell.
pub(super) fn kind_of(error: &(dyn StdError + 'static)) -> ErrorKind {
    let mut kind = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.kind;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_user() {
                kind = kind.or(Some(ErrorKind::Request));
            } else if error.is_parse() {
                kind = kind.or(Some(ErrorKind::Protocol));
            }
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            // How hyper reports chunks that are none.
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            ) {
                kind = kind.or(Some(ErrorKind::Protocol));
            }
        }
        next = error.source();
    }
    kind.unwrap_or(ErrorKind::Broken)
}

/// `host[:port]` of an authority that may begin with `user:password@`.
pub(super) fn without_userinfo(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_host_and_no_secret() {
        let peer = Authority::from_static("user:secret@example.com:8080");
        let cause = Failure::caused(
            ErrorKind::Connect,
            "no connection",
            io::Error::other("refused"),
        );
        let error = Error::new(&peer, cause);
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(error.to_string(), "example.com:8080 cannot be reached");
        assert_eq!(
            format!("{error:#}"),
            "example.com:8080 cannot be reached: no connection: refused"
        );
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_failure_keeps_its_kind_under_other_errors() {
        let inner = Failure::new(ErrorKind::Refused, "10.0.0.1 is not public");
        let outer = Failure::caused(ErrorKind::Connect, "outer", inner);
        assert_eq!(kind_of(&outer), ErrorKind::Connect);
        assert_eq!(kind_of(outer.source().unwrap()), ErrorKind::Refused);
        assert_eq!(kind_of(&io::Error::other("reset")), ErrorKind::Broken);
    }
}
