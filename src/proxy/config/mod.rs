//! From arguments and environment to a [`Config`]: a flag beats the environment, which beats the
//! default.

mod args;
mod choose;
mod explain;
mod limits;
mod proxy;
mod secret;
mod value;
mod variables;

use std::{env, ffi::OsString, fmt, path::PathBuf, time::Duration};

use http::HeaderName;

pub use self::explain::Inquiry;
use self::{args::Args, variables::Variables};
use super::{
    access::Token,
    hosts::{HostRule, PortRule},
    limits::Limits,
    origin::Origin,
};
use crate::{policy::Policy, store::RedisUrl, upstream::Proxies};

/// Everything that can be chosen about the program.
#[derive(Clone)]
pub struct Config {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 picks a free one.
    pub port: u16,
    /// Where the controls listen, if not there, too: host and port.
    pub admin: Option<(String, u16)>,
    /// What is asked of who uses the controls. It is a secret.
    pub admin_token: Option<Token>,
    /// TLS for clients.
    pub tls: Option<TlsFiles>,
    /// What larder stands before.
    pub origin: Option<Origin>,
    /// How long responses live.
    pub ttl: Ttl,
    /// For how long they are served stale while they are fetched anew, unless they say it.
    pub stale_while_revalidate: Option<Duration>,
    /// For how long they stand in for an origin that fails, unless they say it.
    pub stale_if_error: Option<Duration>,
    /// Where they are kept.
    pub backend: BackendKind,
    /// Where Redis is.
    pub redis_url: RedisUrl,
    /// A PEM file of further roots for TLS to Redis.
    pub redis_ca: Option<PathBuf>,
    /// How long one request waits for Redis, all its questions together.
    pub redis_timeout: Duration,
    /// What begins every key in Redis.
    pub redis_prefix: String,
    /// Whether what is in Redis is copied into memory.
    pub near: bool,
    /// How long a copy may be served after it was last sure that nobody has purged it.
    pub near_ttl: Duration,
    /// The byte budget of the memory store.
    pub memory: u64,
    /// Larger responses pass through unstored.
    pub max_object: u64,
    /// Until the upstream's response head, and between two pieces of its body.
    pub timeout: Duration,
    /// The proxies that upstreams are reached through. They may hold a secret.
    pub upstream_proxy: Proxies,
    /// Further hosts that `/proxy` may fetch from.
    pub allow_hosts: Vec<HostRule>,
    /// Further ports that it may fetch from.
    pub allow_ports: Vec<PortRule>,
    /// Whether `/proxy` may reach private and loopback addresses.
    pub allow_private: bool,
    /// Whether what the client says of those before it is passed on.
    pub trust_forwarded: bool,
    /// Request fields that are part of the key.
    pub key_headers: Vec<HeaderName>,
    /// What clients may take of it.
    pub limits: Limits,
    /// What larder's own paths are put below: empty, or `/path`.
    pub prefix: String,
    /// A PEM file of further roots for upstream TLS.
    pub tls_ca: Option<PathBuf>,
    /// How many threads serve; `None` is one for each core.
    pub threads: Option<usize>,
    /// Whether `Cache-Status` shows keys.
    pub debug_headers: bool,
    /// Which events are logged.
    pub log: String,
    /// How; `None` is text on a terminal, else JSON.
    pub log_format: Option<LogFormat>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Ask a running instance to clear its cache.
    ClearCache(Box<Config>),
    /// Fetch once, and explain what the cache would make of it.
    Explain(Box<Inquiry>),
    /// Print this (help, the version), and no more.
    Print(String),
}

/// Why the command line or the environment was refused: a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Misuse(String);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and what leads from it to a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How long responses live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// A minute for those that state no lifetime, no cap on those that do.
    Default,
    /// This long for those that state none, and no longer for any.
    For(Duration),
    /// Only what the origin says.
    Origin,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// In memory.
    Memory,
    /// In Redis.
    Redis,
}

/// How events are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, a line for each.
    Json,
}

/// Reads the command line and the environment of this process.
pub fn from_process() -> Result<Command, Misuse> {
    parse(env::args_os().skip(1), |name| env::var_os(name))
}

/// Reads `argv` (without the program's name) and the variables that `env` knows.
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, Misuse> {
    let argv: Result<Vec<String>, OsString> = argv.into_iter().map(OsString::into_string).collect();
    let mut argv = argv.map_err(|arg| Misuse(format!("{arg:?} is not valid UTF-8.")))?;
    if argv.first().is_some_and(|first| first == "explain") {
        return match explain::read(argv.split_off(1), &Variables(&env)) {
            Ok(inquiry) => Ok(Command::Explain(Box::new(inquiry))),
            Err(early) => early.map(Command::Print),
        };
    }
    let args = match Args::read(argv) {
        Ok(args) => args,
        Err(early) => return misread(early, "larder --help").map(Command::Print),
    };
    if args.version {
        let version = concat!("larder ", env!("CARGO_PKG_VERSION"));
        return Ok(Command::Print(version.to_owned()));
    }
    let clear = args.clear_cache;
    let config = Box::new(Config::choose(args, &Variables(&env))?);
    let port = config.admin.as_ref().map_or(config.port, |(_, port)| *port);
    match clear {
        true if port == 0 => Err(Misuse(
            "--clear-cache needs the port of the instance to clear (--port, or that of --admin), and \
             0 is none."
                .to_owned(),
        )),
        true => Ok(Command::ClearCache(config)),
        false => Ok(Command::Run(config)),
    }
}

/// The help that was asked for, or what is wrong with the arguments; `help` tells more of them.
fn misread(early: argh::EarlyExit, help: &str) -> Result<String, Misuse> {
    if early.status.is_ok() {
        return Ok(early.output);
    }
    let what = early.output.lines().next().unwrap_or_default();
    let what = what.trim_end_matches('.');
    Err(Misuse(format!("{what}. See {help}.")))
}

// === impl Config ===

impl Config {
    /// The cache's rules.
    pub fn policy(&self) -> Policy {
        let mut policy = match self.ttl {
            Ttl::Default => Policy::default(),
            Ttl::For(ttl) => Policy::ttl(ttl),
            Ttl::Origin => Policy::origin(),
        };
        if let Some(window) = self.stale_while_revalidate {
            policy = policy.default_stale_while_revalidate(window);
        }
        if let Some(window) = self.stale_if_error {
            policy = policy.default_stale_if_error(window);
        }
        policy.key_headers(self.key_headers.iter().cloned())
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            admin: None,
            admin_token: None,
            tls: None,
            origin: None,
            ttl: Ttl::Default,
            stale_while_revalidate: None,
            stale_if_error: None,
            backend: BackendKind::Memory,
            redis_url: RedisUrl::default(),
            redis_ca: None,
            redis_timeout: Duration::from_millis(50),
            redis_prefix: "larder".to_owned(),
            near: true,
            near_ttl: Duration::from_secs(2),
            memory: 256 << 20,
            max_object: 8 << 20,
            timeout: Duration::from_secs(30),
            upstream_proxy: Proxies::default(),
            allow_hosts: Vec::new(),
            allow_ports: Vec::new(),
            allow_private: false,
            trust_forwarded: false,
            key_headers: Vec::new(),
            limits: Limits::default(),
            prefix: String::new(),
            tls_ca: None,
            threads: None,
            debug_headers: false,
            log: "info".to_owned(),
            log_format: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("admin", &self.admin)
            .field("admin_token", &self.admin_token)
            .field("tls", &self.tls)
            .field("origin", &self.origin)
            .field("ttl", &self.ttl)
            .field("backend", &self.backend)
            .field("redis_url", &self.redis_url)
            .finish_non_exhaustive()
    }
}

// === impl Ttl ===

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ttl::Default => f.write_str("default"),
            Ttl::For(ttl) => write!(f, "{}s", ttl.as_secs()),
            Ttl::Origin => f.write_str("origin"),
        }
    }
}

// === impl BackendKind ===

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackendKind::Memory => "memory",
            BackendKind::Redis => "redis",
        })
    }
}

// === impl Misuse ===

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

#[cfg(test)]
mod tests;
