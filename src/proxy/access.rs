//! Who may use the controls: `GET /cache`, `DELETE /cache` and `PURGE`.
//!
//! With a token, who shows it. Without one, who is on the same machine as a larder that listens
//! to nobody else: there the name that is asked must be one of this machine, too, as a page on the
//! internet can have its own name resolve to a loopback address. In both cases no page of another
//! site, whose requests a browser would send along with what it is allowed to do.

use std::{fmt, net::SocketAddr};

use http::{HeaderMap, Request, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::{Host, Origin, Url};

use super::error::ApiError;

/// What is shown to use the controls. `Debug` does not tell it.
#[derive(Clone)]
pub struct Token(String);

/// Where a request came in, which decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entrance {
    pub(super) serves: Serves,
    /// The client and the listener are on a loopback address.
    pub(super) near: bool,
}

/// What is answered at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Everything.
    All,
    /// What is proxied: the controls are at a listener of their own.
    Proxied,
    /// The controls, and what tells of larder.
    Controls,
}

/// The rules.
#[derive(Clone, Debug)]
pub(super) struct Access {
    token: Option<Token>,
    /// The names that larder listens under.
    names: Vec<String>,
}

// === impl Token ===

impl Token {
    /// The fewest characters that are not found out by trying.
    pub const SHORTEST: usize = 16;

    /// Reads a token, or says what one is; the error does not repeat what was given.
    pub fn parse(text: &str) -> Result<Token, &'static str> {
        if text.len() < Self::SHORTEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("at least 16 characters, visible ASCII without spaces");
        }
        Ok(Token(text.to_owned()))
    }

    /// The value of an `Authorization` field that shows it.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// How long this takes tells nothing of the token, its length included.
    fn is(&self, shown: &[u8]) -> bool {
        let [own, shown] = [self.0.as_bytes(), shown].map(Sha256::digest);
        own.as_slice().ct_eq(shown.as_slice()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

// === impl Entrance ===

impl Entrance {
    pub(super) fn new(serves: Serves, listening: SocketAddr, peer: SocketAddr) -> Self {
        let near = is_loopback(listening) && is_loopback(peer);
        Entrance { serves, near }
    }
}

/// Whether only this machine reaches it.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

// === impl Access ===

impl Access {
    pub(super) fn new<'a>(
        token: Option<Token>,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase());
        Access {
            token,
            names: names.collect(),
        }
    }

    /// Whether the controls are closed at a listener on `address`, to everybody.
    pub(super) fn is_closed(&self, address: SocketAddr) -> bool {
        self.token.is_none() && !is_loopback(address)
    }

    /// Lets a request for a control pass, or says why not. A token is taken out: it is not part
    /// of what is asked.
    pub(super) fn check<B>(
        &self,
        entrance: Entrance,
        request: &mut Request<B>,
    ) -> Result<(), ApiError> {
        let asked = asked(request);
        refuse_other_sites(request.headers(), asked.as_deref())?;
        if let Some(token) = &self.token {
            return match request.headers_mut().remove(header::AUTHORIZATION) {
                Some(shown) if bearer(shown.as_bytes()).is_some_and(|shown| token.is(shown)) => {
                    Ok(())
                }
                _ => Err(ApiError::unauthorized()),
            };
        }
        if !entrance.near || entrance.serves == Serves::Proxied {
            let message = "The controls are closed here: start larder with --admin-token (or \
                           ADMIN_TOKEN), or ask from its own machine where it listens on loopback.";
            return Err(ApiError::forbidden("controls_closed", message));
        }
        if !asked.is_some_and(|asked| self.is_own_name(&asked)) {
            let message = "Without an --admin-token the controls answer to localhost and to IP \
                           addresses as the Host, not to other names.";
            return Err(ApiError::forbidden("foreign_host", message));
        }
        Ok(())
    }

    /// The token is for larder alone: it goes to no origin, whatever was meant by it.
    pub(super) fn keep_back(&self, headers: &mut HeaderMap) {
        let is_shown = |token: &Token| {
            let shown = headers.get_all(header::AUTHORIZATION).iter();
            let mut shown = shown.filter_map(|shown| bearer(shown.as_bytes()));
            shown.any(|shown| token.is(shown))
        };
        if self.token.as_ref().is_some_and(is_shown) {
            headers.remove(header::AUTHORIZATION);
        }
    }

    fn is_own_name(&self, authority: &str) -> bool {
        let url = Url::parse(&format!("http://{authority}/")).ok();
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => {
                // `Url` has made it lowercase.
                let name = name.trim_end_matches('.');
                name == "localhost"
                    || name.ends_with(".localhost")
                    || self.names.iter().any(|own| own == name)
            }
            Some(_) => true,
            None => false,
        }
    }
}

/// The authority that a request names.
fn asked<B>(request: &Request<B>) -> Option<String> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let named = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    named.or(host).map(str::to_owned)
}

/// The token of RFC 6750 §2.1.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| token.trim_ascii())
}

/// Refuses what a browser sends for the page of another site. Browsers say so in `Sec-Fetch-Site`
/// where they trust the connection, and in `Origin` wherever a request may change something.
fn refuse_other_sites(headers: &HeaderMap, asked: Option<&str>) -> Result<(), ApiError> {
    let own_page = |site: &[u8]| matches!(site, b"same-origin" | b"none");
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_own = |origin: &[u8]| {
        let origin = std::str::from_utf8(origin).ok();
        let origin = origin.and_then(|origin| Url::parse(origin).ok());
        // Whether TLS ends here or before us is not known: the scheme is the page's.
        let ours = origin.as_ref().zip(asked);
        let ours = ours.and_then(|(page, asked)| {
            let ours = format!("{}://{asked}/", page.scheme());
            Some((page.origin(), Url::parse(&ours).ok()?.origin()))
        });
        ours.is_some_and(|(page, ours)| page == ours && matches!(page, Origin::Tuple(..)))
    };
    if sites.all(|site| own_page(site.as_bytes())) && origins.all(|page| is_own(page.as_bytes())) {
        return Ok(());
    }
    let message = "The controls are not for pages of other sites.";
    Err(ApiError::forbidden("cross_site", message))
}

#[cfg(test)]
mod tests;
