//! The origin that larder stands before: its scheme, host and port, and the path kept as prefix.

use std::{borrow::Cow, fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use url::Url;

/// A base URL: `https://api.example.com/v1`.
#[derive(Clone, Debug)]
pub struct Origin {
    url: Url,
    scheme: Scheme,
    authority: Authority,
    /// Empty, or begins with a slash and ends without one.
    prefix: String,
}

impl Origin {
    /// Reads a base URL. The error says what is accepted.
    pub fn parse(text: &str) -> Result<Origin, &'static str> {
        const ACCEPTED: &str = "an http or https URL like https://api.example.com/v1";
        let url = Url::parse(text).map_err(|_| ACCEPTED)?;
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(ACCEPTED),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL without user and password: clients send their own Authorization");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a URL without a query and without a fragment");
        }
        let authority = Authority::from_str(url.authority()).map_err(|_| ACCEPTED)?;
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Origin {
            url,
            scheme,
            authority,
            prefix,
        })
    }

    /// Its host, as [`Url`] writes it.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Its port, the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// Whether `url` has this scheme, host and port.
    pub fn owns(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// Whether `path` stays below the prefix: `..` leads out of it no more than up to it, also for
    /// those who decode it first, or take parameters for no part of a segment.
    pub fn keeps(&self, path: &str) -> bool {
        if self.prefix.is_empty() {
            return true;
        }
        let mut depth = 0i32;
        decoded(path).split(['/', '\\']).all(|segment| {
            match segment.split(';').next() {
                Some("..") => depth -= 1,
                Some("." | "") | None => {}
                Some(_) => depth += 1,
            }
            depth >= 0
        })
    }

    /// Whether `url` is at this origin, and below its prefix.
    pub(super) fn contains(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(self.prefix.as_str());
        let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
        self.owns(url) && below.is_some_and(|below| self.keeps(below))
    }

    /// The URI of `target`, which begins with a slash, at this origin.
    pub fn uri(&self, target: &PathAndQuery) -> Result<Uri, http::Error> {
        let target = match self.prefix.as_str() {
            "" => target.clone(),
            prefix => PathAndQuery::try_from(format!("{prefix}{target}"))?,
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
    }

    /// The base URL with `relative` below it; `relative` begins without a slash.
    pub(super) fn join(&self, relative: &str) -> Result<Url, url::ParseError> {
        let (scheme, authority, prefix) = (&self.scheme, &self.authority, &self.prefix);
        Url::parse(&format!("{scheme}://{authority}{prefix}/{relative}"))
    }
}

/// The path with dots and what separates in it as they are, where they are percent-encoded.
fn decoded(path: &str) -> Cow<'_, str> {
    const ENCODED: [(&str, &str); 8] = [
        ("%2e", "."),
        ("%2E", "."),
        ("%2f", "/"),
        ("%2F", "/"),
        ("%5c", "/"),
        ("%5C", "/"),
        ("%3b", ";"),
        ("%3B", ";"),
    ];
    let mut path = Cow::Borrowed(path);
    if path.contains('%') {
        for (encoded, plain) in ENCODED {
            path = path.replace(encoded, plain).into();
        }
    }
    path
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_as_prefix() {
        let origin = Origin::parse("HTTP://Api.Example.com:80/v1/").unwrap();
        assert_eq!(origin.to_string(), "http://api.example.com/v1");
        assert_eq!((origin.host(), origin.port()), ("api.example.com", 80));
        assert_eq!(
            origin.uri(&PathAndQuery::from_static("/a?b=c")).unwrap(),
            "http://api.example.com/v1/a?b=c"
        );
    }

    #[test]
    fn an_address_of_version_6_keeps_its_brackets() {
        let origin = Origin::parse("http://[::1]:8080").unwrap();
        assert_eq!(origin.host(), "[::1]");
        let top = origin.uri(&PathAndQuery::from_static("/"));
        assert_eq!(top.unwrap(), "http://[::1]:8080/");
    }

    #[test]
    fn other_urls_are_refused() {
        for no in [
            "ftp://x",
            "x",
            "http://",
            "http://u:p@x",
            "http://x?q",
            "http://x#f",
            "",
        ] {
            assert!(Origin::parse(no).is_err(), "{no}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_prefix() {
        let origin = Origin::parse("http://x/v1").unwrap();
        for yes in ["/a/../b", "/a/b", "/...", "//a", "/./a", "/"] {
            assert!(origin.keeps(yes), "{yes}");
        }
        for no in [
            "/..",
            "/a/../../b",
            "/%2e%2E/b",
            "/.%2e",
            "/a\\..\\..\\b",
            "/..%2fx",
            "/a%2F..%2F../x",
            "/..%5Cx",
            "/..;/x",
            "/..;a=b%2fx",
            "/..%3b/x",
        ] {
            assert!(!origin.keeps(no), "{no}");
        }
    }

    #[test]
    fn what_is_beside_the_prefix_is_not_of_the_origin() {
        let origin = Origin::parse("http://x/v1").unwrap();
        let contains = |url: &str| origin.contains(&Url::parse(url).unwrap());
        for yes in [
            "http://x/v1",
            "http://x:80/v1/",
            "http://x/v1/a?b",
            "http://x/a/../v1/b",
        ] {
            assert!(contains(yes), "{yes}");
        }
        for no in [
            "http://x/",
            "http://x/v10",
            "http://x/v1/..",
            "http://x/v1/..%2fa",
            "https://x/v1",
            "http://y/v1",
        ] {
            assert!(!contains(no), "{no}");
        }
    }
}
