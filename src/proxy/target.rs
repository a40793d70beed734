//! What `/proxy?url=U` means: the one URI to fetch, or why it is not fetched.

use http::Uri;
use url::{Url, form_urlencoded};

use super::{
    config::Config,
    error::ApiError,
    hosts::{HostRule, PortRule},
    origin::Origin,
};

/// The ports of the web: what is behind others is seldom meant for strangers.
const WEB: [u16; 2] = [80, 443];

/// Resolves `U`, and lets pass what may be fetched.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    origin: Option<Origin>,
    allowed: Vec<HostRule>,
    ports: Vec<PortRule>,
}

/// What is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) uri: Uri,
    /// It is at the origin, and below its path: credentials meant for larder's client-side
    /// name are meant for it.
    pub(super) at_origin: bool,
}

impl Targets {
    pub(super) fn new(config: &Config) -> Self {
        Targets {
            origin: config.origin.clone(),
            allowed: config.allow_hosts.clone(),
            ports: config.allow_ports.clone(),
        }
    }

    /// The hosts and ports that may be reached at private addresses.
    pub(super) fn trusted(&self) -> Vec<(String, u16)> {
        let origin = self
            .origin
            .iter()
            .map(|origin| (origin.host(), origin.port()));
        let named = self.allowed.iter().flat_map(HostRule::trusted);
        origin
            .chain(named)
            .map(|(host, port)| (host.to_owned(), port))
            .collect()
    }

    /// The target that the query of `/proxy` names.
    pub(super) fn resolve(&self, query: Option<&str>) -> Result<Target, ApiError> {
        let url = self.url(&one_url(query.unwrap_or_default())?)?;
        let at_origin = self.origin.as_ref().is_some_and(|it| it.contains(&url));
        let allowed = at_origin
            // Without an origin every public host may be fetched from.
            || self.origin.is_none()
            || self.allowed.iter().any(|rule| rule.allows(&url));
        if !allowed {
            return Err(ApiError::new(
                http::StatusCode::FORBIDDEN,
                "host_not_allowed",
                format!(
                    "larder may not fetch from {}. It may when started with --allow-host.",
                    self.named(&url)
                ),
            ));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !at_origin && !self.allows_port(&url, port) {
            return Err(ApiError::new(
                http::StatusCode::FORBIDDEN,
                "port_not_allowed",
                format!("larder may not fetch from port {port}. It may with --allow-port {port}."),
            ));
        }
        let uri = uri(&url)?;
        Ok(Target { uri, at_origin })
    }

    /// Where it is: at a host, or beside the path of the origin.
    fn named<'a>(&self, url: &'a Url) -> &'a str {
        match self.origin.as_ref().is_some_and(|it| it.owns(url)) {
            true => &url[url::Position::BeforeHost..url::Position::AfterPath],
            false => url.authority(),
        }
    }

    fn allows_port(&self, url: &Url, port: u16) -> bool {
        let named = |rule: &HostRule| match rule {
            HostRule::Host { port: Some(_), .. } => rule.allows(url),
            _ => false,
        };
        let is_origins = |origin: &Origin| origin.port() == port;
        WEB.contains(&port)
            || self.origin.as_ref().is_some_and(is_origins)
            || self.ports.iter().any(|rule| rule.allows(port))
            || self.allowed.iter().any(named)
    }

    /// What `named` would mean if it were fetched, whether it may be or not.
    pub(super) fn name(&self, named: &str) -> Result<Uri, ApiError> {
        uri(&self.url(named)?)
    }

    fn url(&self, named: &str) -> Result<Url, ApiError> {
        // The URL standard drops some of these without a word: nobody means that.
        if named.chars().any(char::is_control) {
            return Err(malformed("it has control characters"));
        }
        match scheme_of(named) {
            Some(scheme) => absolute(scheme, named),
            None => self.relative(named),
        }
    }

    /// `named` below the origin and its prefix.
    fn relative(&self, named: &str) -> Result<Url, ApiError> {
        let origin = self.origin.as_ref().ok_or_else(|| {
            ApiError::bad_request(
                "no_origin",
                "The url is relative, and larder was started without --origin. \
                 Name the whole URL, http://… or https://….",
            )
        })?;
        let path = named.strip_prefix('/').unwrap_or(named);
        if path.starts_with('/') || named.contains('\\') {
            return Err(malformed("it is neither a whole URL nor a path"));
        }
        let bare = path.split(['?', '#']).next().unwrap_or_default();
        if !origin.keeps(bare) {
            return Err(malformed("its path leads out of the origin's"));
        }
        match origin.join(path) {
            Ok(url) if origin.owns(&url) => Ok(url),
            _ => Err(malformed("it is neither a whole URL nor a path")),
        }
    }
}

/// The value of the one parameter.
fn one_url(query: &str) -> Result<String, ApiError> {
    let mut url = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "url" || url.is_some() {
            return Err(ApiError::bad_request(
                "malformed_url",
                "/proxy takes one parameter, url, and its value must be percent-encoded: \
                 an & within it is written %26.",
            ));
        }
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(malformed("it is not percent-encoded UTF-8"));
        }
        url = Some(value.into_owned());
    }
    url.filter(|url| !url.is_empty()).ok_or_else(|| {
        ApiError::bad_request(
            "missing_url",
            "Name what to fetch: /proxy?url=products or /proxy?url=https://example.com/products.",
        )
    })
}

fn uri(url: &Url) -> Result<Uri, ApiError> {
    let uri = url[..url::Position::AfterQuery].parse();
    uri.map_err(|_| malformed("it has characters that a URL may not have"))
}

/// The scheme (RFC 3986 §3.1) that `named` begins with.
fn scheme_of(named: &str) -> Option<&str> {
    let (scheme, _) = named.split_once(':')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(plain))
        .then_some(scheme)
}

fn absolute(scheme: &str, named: &str) -> Result<Url, ApiError> {
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(ApiError::bad_request(
            "unsupported_scheme",
            format!("larder fetches http:// and https:// URLs, and this begins with {scheme}:."),
        ));
    }
    // The URL standard would make do with less, and guess.
    let rest = named[scheme.len()..].strip_prefix("://");
    if rest.is_none_or(|rest| rest.starts_with(['/', '\\'])) {
        return Err(malformed("there is no host after its scheme"));
    }
    let url = Url::parse(named).map_err(|error| malformed(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(malformed("it has a user or a password in it"));
    }
    Ok(url)
}

fn malformed(why: &str) -> ApiError {
    ApiError::bad_request("malformed_url", format!("The url cannot be used: {why}."))
}

/// Reads any bytes as the query of `/proxy`, with an origin and without: what is fetched is
/// absolute, at a host that is allowed, and without a user.
#[cfg(any(test, fuzzing))]
pub fn fuzz_proxy_url(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    let origin = Origin::parse("http://api.test/v1").expect("this is one");
    for origin in [None, Some(origin)] {
        let targets = Targets {
            origin,
            allowed: Vec::new(),
            ports: Vec::new(),
        };
        let Ok(target) = targets.resolve(Some(&query)) else {
            continue;
        };
        let authority = target.uri.authority().expect("it is absolute");
        assert!(matches!(target.uri.scheme_str(), Some("http" | "https")));
        assert!(!authority.as_str().contains('@') && target.uri.path().starts_with('/'));
        assert!(target.uri.to_string().is_ascii());
        if targets.origin.is_some() {
            assert_eq!((authority.as_str(), target.at_origin), ("api.test", true));
        }
    }
}

#[cfg(test)]
mod tests;
