//! What a Redis URL says: which deployment, where, and who we are there.

use std::{fmt, path::PathBuf};

use fred::types::config::{ClusterDiscoveryPolicy, Config, Server, ServerConfig};
use percent_encoding::percent_decode_str;
use url::{Host, ParseError, Url};

const SCHEME: &str = "a URL that begins with redis://, rediss://, redis-cluster://, \
                      rediss-cluster://, redis-sentinel://, rediss-sentinel:// or redis+unix:// \
                      (or with valkey in place of redis)";
const FORM: &str = "a URL like redis://127.0.0.1:6379 or rediss://user:password@host:6380/1 \
                    (in a password, @ : / ? # and % are written %40 %3A %2F %3F %23 and %25)";
const HOST: &str = "a URL with a host, like redis://127.0.0.1:6379 \
                    (in a password, @ : / ? # and % are written %40 %3A %2F %3F %23 and %25)";
const PORT: &str = "a URL whose port is a number from 1 to 65535 \
                    (in a password, @ : / ? # and % are written %40 %3A %2F %3F %23 and %25)";
const DATABASE: &str = "a URL whose path is the number of a database, from 0 to 255, like \
                        redis://127.0.0.1:6379/1";
const ONE_DATABASE: &str = "a URL without a database: a Redis cluster has only one";
const NODE: &str = "a URL whose further nodes are given as node=host:port";
const SERVICE: &str = "a URL that says by which name the sentinels know the primary: \
                       redis-sentinel://127.0.0.1:26379?sentinelServiceName=mymaster";
const SOCKET: &str = "a URL with the path of a socket, like redis+unix:///run/redis.sock?db=1";
const PARAMETER: &str = "a URL with no other parameters than node= (of a cluster or sentinels), \
                         sentinelServiceName=, sentinelUsername=, sentinelPassword= and db= (of \
                         a socket)";

/// Where Redis is: `redis://[[user:]password@]host[:port][/database]`.
///
/// - `rediss://` is the same over TLS.
/// - `redis-cluster://host:port[?node=host:port…]` names one or more nodes of a cluster.
/// - `redis-sentinel://host:port[/database]?sentinelServiceName=name[&node=host:port…]` names
///   sentinels, which know where the primary is; their own `sentinelUsername` and
///   `sentinelPassword` are parameters.
/// - `redis+unix:///path/to/socket[?db=database]` is a socket on this machine; so is `unix://`.
///
/// `valkey` may stand for `redis` in each. What is shown of one has no password in it.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) config: Config,
    /// Whose certificates are to be shown, where it is over TLS.
    pub(super) tls: Option<Names>,
    shown: String,
}

/// Whose certificates the nodes of a cluster show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// One for the host in the URL, as nodes tell of each other by address only.
    OfUrl,
    /// Each its own.
    Own,
}

/// A kind of deployment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Cluster,
    Sentinel,
    Socket,
}

// === impl RedisUrl ===

impl RedisUrl {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// What is accepted in its place, in words that show nothing of it: a password may be
    /// anywhere in a URL that is not well-formed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(SCHEME)?;
        let (kind, tls) = Kind::of(scheme).ok_or(SCHEME)?;
        // A socket has no host, and `url` knows no user without one.
        let local = format!("{scheme}://{}", rest.replacen("@/", "@localhost/", 1));
        let text = if kind == Kind::Socket { &local } else { text };
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::InvalidPort => PORT,
            ParseError::EmptyHost => HOST,
            _ => FORM,
        })?;
        if url.fragment().is_some() {
            return Err(FORM); // a password that is not encoded, most likely
        }
        let parameters = Parameters::of(&url, kind)?;
        let config = Config {
            server: kind.server(&url, &parameters)?,
            username: decoded(Some(url.username()))?,
            password: decoded(url.password())?,
            database: kind.database(&url, &parameters)?,
            fail_fast: false, // Start while Redis is down.
            ..Config::default()
        };
        let tls = tls.then_some(match url.host() {
            Some(Host::Domain(name)) if name.parse::<std::net::Ipv4Addr>().is_err() => Names::OfUrl,
            _ => Names::Own,
        });
        let shown = shown(url);
        Ok(RedisUrl { config, tls, shown })
    }
}

impl Default for RedisUrl {
    fn default() -> Self {
        RedisUrl::parse("redis://127.0.0.1:6379").expect("this URL is well-formed")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisUrl").field(&self.shown).finish()
    }
}

// === impl Kind ===

impl Kind {
    /// The kind that a scheme names, and whether it is over TLS.
    fn of(scheme: &str) -> Option<(Kind, bool)> {
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "unix" {
            return Some((Kind::Socket, false));
        }
        let rest = scheme.strip_prefix("redis");
        let rest = rest.or_else(|| scheme.strip_prefix("valkey"))?;
        let (rest, tls) = match rest.strip_prefix('s') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        match rest {
            "" => Some((Kind::Single, tls)),
            "-cluster" => Some((Kind::Cluster, tls)),
            "-sentinel" => Some((Kind::Sentinel, tls)),
            "+unix" if !tls => Some((Kind::Socket, false)),
            _ => None,
        }
    }

    fn server(self, url: &Url, parameters: &Parameters) -> Result<ServerConfig, &'static str> {
        let default = match self {
            Kind::Sentinel => 26379,
            _ => 6379,
        };
        let mut hosts = parameters.nodes.clone();
        if self != Kind::Socket {
            hosts.insert(0, server(url, default)?);
        }
        Ok(match self {
            Kind::Single => ServerConfig::Centralized {
                server: hosts.swap_remove(0),
            },
            Kind::Cluster => ServerConfig::Clustered {
                hosts,
                policy: ClusterDiscoveryPolicy::default(),
            },
            Kind::Sentinel => ServerConfig::Sentinel {
                hosts,
                service_name: parameters.service.clone().ok_or(SERVICE)?,
                username: parameters.username.clone(),
                password: parameters.password.clone(),
            },
            Kind::Socket => {
                let path = percent_decode_str(url.path()).decode_utf8_lossy();
                if path.len() < 2 || path.ends_with('/') {
                    return Err(SOCKET);
                }
                ServerConfig::Unix {
                    path: PathBuf::from(&*path),
                }
            }
        })
    }

    fn database(self, url: &Url, parameters: &Parameters) -> Result<Option<u8>, &'static str> {
        let named = match self {
            Kind::Socket => parameters.database.as_deref().unwrap_or_default(),
            _ => url.path().trim_start_matches('/'),
        };
        match named {
            "" => Ok(None),
            "0" if self == Kind::Cluster => Ok(None),
            _ if self == Kind::Cluster => Err(ONE_DATABASE),
            named => named.parse().map(Some).map_err(|_| DATABASE),
        }
    }
}

/// What follows the question mark.
#[derive(Default)]
struct Parameters {
    nodes: Vec<Server>,
    service: Option<String>,
    username: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

impl Parameters {
    fn of(url: &Url, kind: Kind) -> Result<Self, &'static str> {
        let mut found = Parameters::default();
        for (name, value) in url.query_pairs() {
            let value = (!value.is_empty()).then(|| value.into_owned());
            match (kind, &*name) {
                (Kind::Cluster | Kind::Sentinel, "node") => {
                    let node = Url::parse(&format!("redis://{}", value.ok_or(NODE)?));
                    let node = node.ok().filter(|node| node.port().is_some());
                    let node = node.filter(|node| matches!(node.path(), "" | "/"));
                    let node = node.filter(|node| node.username().is_empty());
                    found.nodes.push(server(&node.ok_or(NODE)?, 0)?);
                }
                (Kind::Sentinel, "sentinelServiceName") => found.service = value,
                (Kind::Sentinel, "sentinelUsername") => found.username = value,
                (Kind::Sentinel, "sentinelPassword") => found.password = value,
                (Kind::Socket, "db") => found.database = value,
                _ => return Err(PARAMETER),
            }
        }
        Ok(found)
    }
}

fn server(url: &Url, default_port: u16) -> Result<Server, &'static str> {
    let host = match url.host().ok_or(HOST)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    match url.port().unwrap_or(default_port) {
        0 => Err(PORT),
        port => Ok(Server::new(host, port)),
    }
}

fn decoded(text: Option<&str>) -> Result<Option<String>, &'static str> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| FORM)?;
    Ok(Some(decoded.into_owned()))
}

/// The URL without what may be secret.
fn shown(mut url: Url) -> String {
    url.set_query(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails where there is a host, and without one there are no credentials.
        let _ = url.set_password(None);
        let _ = url.set_username("***");
    }
    url.into()
}

#[cfg(test)]
mod tests;
