//! The way through a proxy: a tunnel (`CONNECT`) to `https` hosts, and for `http` requests whose
//! target is the whole URI (RFC 9112 §3.2.2).
//!
//! Names are looked up by the proxy then, so that the guard knows no address but a literal's.

use std::{
    fmt, future,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::proxy::Tunnel,
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::{
    dial::{BoxFuture, Dial},
    error::{BoxError, ErrorKind, Failure, without_userinfo},
};

/// Where a proxy is, and what it is told about who asks. `Debug` and `Display` do not tell it.
#[derive(Clone)]
pub struct ProxyUrl {
    text: String,
}

/// Which requests go through which proxy; none do by default.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Ways>>);

struct Ways {
    matcher: Matcher,
    shown: String,
}

/// Dials hosts, or the proxy that leads to them.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) dial: Dial,
    pub(super) proxies: Proxies,
}

// === impl ProxyUrl ===

impl ProxyUrl {
    /// Reads `http://[user:password@]host[:port]`, of which `http://` may be left out. The error
    /// says what is accepted.
    pub fn parse(text: &str) -> Result<ProxyUrl, &'static str> {
        const ACCEPTED: &str = "an http URL like http://proxy.example:3128, with user:password@ where it asks for them";
        let text = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = text.parse().map_err(|_| ACCEPTED)?;
        let authority = uri.authority().ok_or(ACCEPTED)?;
        let place = without_userinfo(authority.as_str());
        // `http` reads a port beyond 65535 as none.
        let has_port = uri.port().is_some() || place.len() == authority.host().len();
        let bare = uri.path() == "/" && uri.query().is_none();
        if uri.scheme() != Some(&Scheme::HTTP) || authority.host().is_empty() || !has_port || !bare
        {
            return Err(ACCEPTED);
        }
        Ok(ProxyUrl { text })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.text.strip_prefix("http://").unwrap_or_default();
        let place = place.trim_end_matches('/');
        match without_userinfo(place) {
            bare if bare.len() < place.len() => write!(f, "http://***@{bare}"),
            bare => write!(f, "http://{bare}"),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Proxies ===

impl Proxies {
    /// All requests go through this one.
    pub fn all(proxy: ProxyUrl) -> Self {
        Proxies::by_scheme(Some(proxy.clone()), Some(proxy), "")
    }

    /// Requests go through the one of their scheme, but not those to the hosts of `except`: names,
    /// which stand for all below them, too, addresses and networks, with commas between; `*` is
    /// all (what `NO_PROXY` has come to mean).
    pub fn by_scheme(http: Option<ProxyUrl>, https: Option<ProxyUrl>, except: &str) -> Self {
        let shown = match (&http, &https) {
            (None, None) => return Proxies::default(),
            (Some(http), Some(https)) if http.text == https.text => http.to_string(),
            (http, https) => {
                let one = |scheme: &str, proxy: &Option<ProxyUrl>| {
                    proxy.as_ref().map(|proxy| format!("{proxy} for {scheme}"))
                };
                let both = [one("http", http), one("https", https)];
                both.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        };
        let text = |proxy: Option<ProxyUrl>| proxy.map_or(String::new(), |proxy| proxy.text);
        let matcher = Matcher::builder()
            .http(text(http))
            .https(text(https))
            .no(except.to_owned())
            .build();
        Proxies(Some(Arc::new(Ways { matcher, shown })))
    }

    /// Whether no request goes through a proxy.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The one before `uri`.
    fn before(&self, uri: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.matcher.intercept(uri)
    }

    /// Whether the request for `uri` is read by a proxy, not only carried.
    pub(super) fn reads(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&Scheme::HTTP) && self.before(uri).is_some()
    }

    /// What the proxy that reads the request for `uri` is told about who asks.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        self.before(uri)
            .filter(|_| self.reads(uri))
            .and_then(|proxy| proxy.basic_auth().cloned())
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("none", |ways| &ways.shown))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Reach ===

impl Service<Uri> for Reach {
    type Response = TokioIo<TcpStream>;
    type Error = Failure;
    type Future = BoxFuture<Result<TokioIo<TcpStream>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.before(&uri) else {
            return self.dial.call(uri);
        };
        if let Err(refused) = self.dial.judge(&uri) {
            return Box::pin(future::ready(Err(refused)));
        }
        let to_proxy = self.dial.clone().anywhere();
        Box::pin(async move {
            let there = proxy.uri().clone();
            let reached = match uri.scheme() == Some(&Scheme::HTTPS) {
                true => {
                    let tunnel = Tunnel::new(there, to_proxy);
                    let tunnel = match proxy.basic_auth() {
                        Some(authorization) => tunnel.with_auth(authorization.clone()),
                        None => tunnel,
                    };
                    tunnel.oneshot(uri).await.map_err(BoxError::from)
                }
                false => to_proxy.oneshot(there).await.map_err(BoxError::from),
            };
            reached.map_err(|error| {
                Failure::caused(ErrorKind::Proxy, "the proxy leads nowhere", error)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> ProxyUrl {
        ProxyUrl::parse(text).expect(text)
    }

    #[test]
    fn a_proxy_is_shown_without_what_is_secret() {
        for (text, shown) in [
            ("http://p.example:3128/", "http://p.example:3128"),
            ("p.example:3128", "http://p.example:3128"),
            ("http://me:s%40crt@[::1]:1", "http://***@[::1]:1"),
            ("me:secret@p", "http://***@p"),
        ] {
            let proxy = proxy(text);
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?} {:?}", Proxies::all(proxy.clone())), {
                format!("{shown} {shown}")
            });
        }
    }

    #[test]
    fn others_are_refused() {
        for no in [
            "",
            "https://p:1",
            "socks5://p:1",
            "http://",
            "http://p:99999",
            "http://p/path",
            "http://p/?q",
            "http://a b",
            "http://u@",
        ] {
            assert!(ProxyUrl::parse(no).is_err(), "{no}");
        }
    }

    #[test]
    fn each_scheme_has_its_own_and_some_hosts_have_none() {
        let some = Proxies::by_scheme(Some(proxy("a:1")), None, "in.example, 10.0.0.0/8");
        let asked = |uri: &'static str| some.reads(&Uri::from_static(uri));
        assert!(asked("http://example.com/") && asked("http://notin.example/"));
        assert!(!asked("https://example.com/"));
        for inside in [
            "http://in.example/",
            "http://b.in.example/",
            "http://10.1.2.3/",
        ] {
            assert!(!asked(inside), "{inside}");
        }
        assert_eq!(some.to_string(), "http://a:1 for http");
        assert!(Proxies::by_scheme(None, None, "").is_none());
    }

    #[test]
    fn only_who_reads_requests_is_told_by_them_who_asks() {
        let all = Proxies::all(proxy("http://me:s%40crt@p:1"));
        let told = |uri: &'static str| all.authorization(&Uri::from_static(uri));
        let value = told("http://example.com/").expect("it is read there");
        assert_eq!(value, "Basic bWU6c0BjcnQ=");
        assert!(value.is_sensitive());
        assert!(told("https://example.com/").is_none());
    }
}
