//! Which hosts `/proxy` may fetch from, besides the origin's.
//!
//! A rule is about names and ports; where it names no port, those are meant that [`PortRule`]s
//! allow. That a name does not lead to a private address is checked on
//! the address that is dialled, by the upstream's guard.

use std::net::Ipv6Addr;

use url::{Host, Url};

/// One `--allow-host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// This host, on this port, or on its scheme's own where none is named. It may resolve to a
    /// private address.
    Host {
        /// The name or address, as [`Url`] writes it.
        host: String,
        /// The one port.
        port: Option<u16>,
    },
    /// Every host below this domain: `.example.com`.
    Below(String),
    /// Every host.
    Any,
}

impl HostRule {
    /// Reads a rule. The error says what is accepted.
    pub fn parse(text: &str) -> Result<HostRule, &'static str> {
        const ACCEPTED: &str =
            "hosts like api.example.com, api.example.com:8443, *.example.com, or * for any";
        if text == "*" {
            return Ok(HostRule::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return match Host::parse(domain) {
                Ok(Host::Domain(domain)) if !domain.contains('*') => {
                    Ok(HostRule::Below(format!(".{domain}")))
                }
                _ => Err(ACCEPTED),
            };
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            let host = format!("[{address}]");
            return Ok(HostRule::Host { host, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse::<u16>().map_err(|_| ACCEPTED)?;
                (host, Some(port))
            }
            _ => (text, None),
        };
        match Host::parse(host) {
            Ok(parsed) if !host.contains('*') => Ok(HostRule::Host {
                host: parsed.to_string(),
                port,
            }),
            _ => Err(ACCEPTED),
        }
    }

    /// Whether this rule lets `url` be fetched.
    pub(super) fn allows(&self, url: &Url) -> bool {
        let Some(named) = url.host_str() else {
            return false;
        };
        match self {
            HostRule::Any => true,
            HostRule::Below(domain) => {
                named.ends_with(domain.as_str()) && named.len() > domain.len()
            }
            // `Url::port` is `None` for the scheme's own.
            HostRule::Host { host, port: None } => named == host && url.port().is_none(),
            HostRule::Host { host, port } => named == host && url.port_or_known_default() == *port,
        }
    }

    /// The hosts and ports that may resolve to private addresses.
    pub(super) fn trusted(&self) -> Vec<(&str, u16)> {
        match self {
            HostRule::Host {
                host,
                port: Some(port),
            } => vec![(host, *port)],
            HostRule::Host { host, port: None } => vec![(host, 80), (host, 443)],
            HostRule::Below(_) | HostRule::Any => Vec::new(),
        }
    }
}

/// One `--allow-port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortRule {
    /// This one.
    Port(u16),
    /// Every port.
    Any,
}

impl PortRule {
    /// Reads a rule. The error says what is accepted.
    pub fn parse(text: &str) -> Result<PortRule, &'static str> {
        match (text, text.parse()) {
            ("*", _) => Ok(PortRule::Any),
            (_, Ok(port)) if port > 0 => Ok(PortRule::Port(port)),
            _ => Err("ports from 1 to 65535, or * for any"),
        }
    }

    /// Whether this rule lets `port` be fetched from.
    pub(super) fn allows(self, port: u16) -> bool {
        self == PortRule::Any || self == PortRule::Port(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, url: &str) -> bool {
        let rule = HostRule::parse(rule).unwrap();
        rule.allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_name_means_the_default_ports() {
        assert!(allows("api.example.com", "https://API.example.com/x"));
        assert!(allows("api.example.com", "http://api.example.com:80/x"));
        assert!(!allows("api.example.com", "http://api.example.com:8080/x"));
        assert!(!allows("api.example.com", "http://v1.api.example.com/"));
    }

    #[test]
    fn a_port_means_that_one() {
        assert!(allows(
            "api.example.com:8443",
            "https://api.example.com:8443/"
        ));
        assert!(!allows("api.example.com:8443", "https://api.example.com/"));
        assert!(allows("api.example.com:443", "https://api.example.com/"));
    }

    #[test]
    fn a_star_means_what_is_below() {
        assert!(allows("*.example.com", "http://a.b.example.com:81/"));
        assert!(!allows("*.example.com", "http://example.com/"));
        assert!(!allows("*.example.com", "http://badexample.com/"));
        assert!(allows("*", "http://anything/"));
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        assert!(allows("127.0.0.1:90", "http://0x7f.1:90/"));
        assert!(allows("[::1]:90", "http://[0:0::1]:90/"));
        assert!(allows("::1", "http://[::1]/"));
    }

    #[test]
    fn only_names_are_trusted_with_private_addresses() {
        let trusted = |rule: &str| HostRule::parse(rule).unwrap().trusted().len();
        assert_eq!(
            (
                trusted("a.b"),
                trusted("a.b:1"),
                trusted("*.b"),
                trusted("*")
            ),
            (2, 1, 0, 0)
        );
    }

    #[test]
    fn ports() {
        let allows = |rule, port| PortRule::parse(rule).unwrap().allows(port);
        assert!(allows("8443", 8443) && !allows("8443", 443) && allows("*", 1));
        for no in ["", "0", "65536", "http", "80-90", "+80x"] {
            assert!(PortRule::parse(no).is_err(), "{no}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for no in [
            "http://a",
            "a/b",
            "a:b",
            "a.*.b",
            "*.*.b",
            "*a",
            "",
            "*.1.2.3.4",
            "a:99999",
            "u@h",
        ] {
            assert!(HostRule::parse(no).is_err(), "{no}");
        }
    }
}
