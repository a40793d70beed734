//! The command line: what argh makes of it, and the few things that argh does not do.

use std::fmt;

use argh::FromArgs;

/// The flags as they were given. Everything is text here: `value` says what is accepted, so
/// that a flag and a variable are refused in the same words.
#[derive(FromArgs, Default)]
#[argh(
    help_triggers("-h", "--help"),
    description = "A caching HTTP proxy: it stands before a slow API and answers from its cache.",
    note = "Each flag may also be given by the variable in capitals; the flag wins. \
            `--flag value` and `--flag=value` mean the same.\n\n\
            `larder explain URL` fetches once, and tells whether and why the response would be \
            cached: see `larder explain --help`.",
    example = "larder --origin https://api.example.com --ttl 300",
    error_code(1, "It could not start: the port is taken, for example."),
    error_code(2, "A flag or a variable has a value that is not accepted.")
)]
pub(super) struct Args {
    /// port to listen on, 0 picks a free one [PORT, default 8000]
    #[argh(option, arg_name = "n")]
    pub(super) port: Option<String>,
    /// address to listen on, v4 or v6 [HOST, default 127.0.0.1]
    #[argh(option, arg_name = "address")]
    pub(super) host: Option<String>,
    /// PEM file of the certificate to show clients; larder then speaks TLS [TLS_CERT, default none]
    #[argh(option, arg_name = "file")]
    pub(super) tls_cert: Option<String>,
    /// PEM file of its private key [TLS_KEY, default none]
    #[argh(option, arg_name = "file")]
    pub(super) tls_key: Option<String>,
    /// a listener of their own for /cache, /metrics, /healthz, /docs and /openapi.json
    /// [ADMIN_ADDRESS, default none]
    #[argh(option, arg_name = "address:port")]
    pub(super) admin: Option<String>,
    /// what the controls (/cache, PURGE) ask for as Authorization: Bearer, 16 characters or more;
    /// whoever lists processes sees it here [ADMIN_TOKEN, default none]
    #[argh(option, arg_name = "token")]
    pub(super) admin_token: Option<String>,
    /// file that holds it [ADMIN_TOKEN_FILE, default none]
    #[argh(option, arg_name = "file")]
    pub(super) admin_token_file: Option<String>,
    /// base URL of the API; a path in it is kept as a prefix [UPSTREAM_BASE_URL, default none]
    #[argh(option, arg_name = "url")]
    pub(super) origin: Option<String>,
    /// lifetime in seconds of responses that state none, and the longest that any lives; or
    /// "origin": only what the origin says [CACHE_TTL, default 60 for those that state none]
    #[argh(option, arg_name = "seconds")]
    pub(super) ttl: Option<String>,
    /// seconds for which a stale response is served while it is fetched anew, where the origin
    /// does not say [STALE_WHILE_REVALIDATE, default off]
    #[argh(option, arg_name = "seconds")]
    pub(super) stale_while_revalidate: Option<String>,
    /// seconds for which a stale response stands in for an origin that fails, where the origin
    /// does not say [STALE_IF_ERROR, default off]
    #[argh(option, arg_name = "seconds")]
    pub(super) stale_if_error: Option<String>,
    /// where responses are kept, "memory" or "redis" [CACHE_BACKEND, default memory]
    #[argh(option, arg_name = "name")]
    pub(super) backend: Option<String>,
    /// the Redis server; rediss:// is over TLS, redis-cluster://, redis-sentinel:// and
    /// redis+unix:// are what they say [REDIS_URL, default redis://127.0.0.1:6379]
    #[argh(option, arg_name = "url")]
    pub(super) redis_url: Option<String>,
    /// PEM file of further roots for TLS to Redis [REDIS_CA, default none]
    #[argh(option, arg_name = "file")]
    pub(super) redis_ca: Option<String>,
    /// how long one request waits for Redis, in all [REDIS_TIMEOUT, default 50]
    #[argh(option, arg_name = "milliseconds")]
    pub(super) redis_timeout: Option<String>,
    /// begins every key in Redis [REDIS_PREFIX, default larder]
    #[argh(option, arg_name = "text")]
    pub(super) redis_prefix: Option<String>,
    /// whether what is in Redis is copied into memory, "on" or "off" [NEAR, default on]
    #[argh(option, arg_name = "switch")]
    pub(super) near: Option<String>,
    /// seconds for which a copy may be served when it is not sure that another instance's purges
    /// are heard of [NEAR_TTL, default 2]
    #[argh(option, arg_name = "seconds")]
    pub(super) near_ttl: Option<String>,
    /// what the memory store may take, like 64MiB or 1GiB [CACHE_MEMORY, default 256MiB]
    #[argh(option, arg_name = "size")]
    pub(super) memory: Option<String>,
    /// larger responses pass through unstored [CACHE_MAX_OBJECT, default 8MiB]
    #[argh(option, arg_name = "size")]
    pub(super) max_object: Option<String>,
    /// seconds until the upstream's response head, and between two pieces of its body
    /// [UPSTREAM_TIMEOUT, default 30]
    #[argh(option, arg_name = "seconds")]
    pub(super) timeout: Option<String>,
    /// proxy to fetch through, like http://user:password@proxy:3128, or "env": those that
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name [UPSTREAM_PROXY, default none]
    #[argh(option, arg_name = "url")]
    pub(super) upstream_proxy: Option<String>,
    /// a further host that /proxy may fetch from: api.example.com, api.example.com:8443,
    /// *.example.com, or * for any public host; repeatable [ALLOW_HOSTS, comma-separated]
    #[argh(option, arg_name = "host")]
    pub(super) allow_host: Vec<String>,
    /// a further port that /proxy may fetch from, besides 80, 443, the origin's and those of
    /// --allow-host, or * for any; repeatable [ALLOW_PORTS, comma-separated]
    #[argh(option, arg_name = "port")]
    pub(super) allow_port: Vec<String>,
    /// let /proxy reach private and loopback addresses [ALLOW_PRIVATE, default off]
    #[argh(switch)]
    pub(super) allow_private: bool,
    /// pass on Forwarded, X-Forwarded-* and X-Real-IP: larder is reached only through a proxy that
    /// sets them [TRUST_FORWARDED, default off]
    #[argh(switch)]
    pub(super) trust_forwarded: bool,
    /// a request field whose value is part of the cache key, and which is passed on; repeatable
    /// [KEY_HEADERS, comma-separated]
    #[argh(option, arg_name = "name")]
    pub(super) key_header: Vec<String>,
    /// connections served at a time; further ones wait [MAX_CONNECTIONS, default 10000]
    #[argh(option, arg_name = "n")]
    pub(super) max_connections: Option<String>,
    /// what a request's head may take, else 431 [MAX_HEAD, default 32KiB]
    #[argh(option, arg_name = "size")]
    pub(super) max_head: Option<String>,
    /// what a request's target may take, else 414 [MAX_TARGET, default 8KiB]
    #[argh(option, arg_name = "size")]
    pub(super) max_target: Option<String>,
    /// fields that a request may have, else 431 [MAX_HEADERS, default 100]
    #[argh(option, arg_name = "n")]
    pub(super) max_headers: Option<String>,
    /// seconds for a request's head from its first byte, else 408, and for a TLS handshake
    /// [HEADER_TIMEOUT, default 10]
    #[argh(option, arg_name = "seconds")]
    pub(super) header_timeout: Option<String>,
    /// seconds for which a connection may be silent between requests, at most twice as long
    /// [IDLE_TIMEOUT, default 60]
    #[argh(option, arg_name = "seconds")]
    pub(super) idle_timeout: Option<String>,
    /// seconds after which an HTTP/2 connection takes no more requests [H2_AGE, default 3600]
    #[argh(option, arg_name = "seconds")]
    pub(super) h2_age: Option<String>,
    /// requests at a time on an HTTP/2 connection [H2_STREAMS, default 200]
    #[argh(option, arg_name = "n")]
    pub(super) h2_streams: Option<String>,
    /// requests that it may reset unseen before it is closed [H2_RESETS, default 50]
    #[argh(option, arg_name = "n")]
    pub(super) h2_resets: Option<String>,
    /// unread bytes of bodies that it may send [H2_WINDOW, default 1MiB]
    #[argh(option, arg_name = "size")]
    pub(super) h2_window: Option<String>,
    /// requests that wait for the same fetch, else 503 [MAX_WAITING, default 1000]
    #[argh(option, arg_name = "n")]
    pub(super) max_waiting: Option<String>,
    /// what all bodies being received for the cache may take together; others are passed on
    /// unstored [MAX_FILLS, default 128MiB]
    #[argh(option, arg_name = "size")]
    pub(super) max_fills: Option<String>,
    /// what all bodies that /proxy holds may take together, else 503 [MAX_ENVELOPES,
    /// default 256MiB]
    #[argh(option, arg_name = "size")]
    pub(super) max_envelopes: Option<String>,
    /// put larder's own paths below this one [PREFIX, default none]
    #[argh(option, arg_name = "path")]
    pub(super) prefix: Option<String>,
    /// PEM file of further roots for upstream TLS [TLS_CA, default none]
    #[argh(option, arg_name = "file")]
    pub(super) tls_ca: Option<String>,
    /// threads that serve [THREADS, default one per core]
    #[argh(option, arg_name = "n")]
    pub(super) threads: Option<String>,
    /// add the key of what is stored to Cache-Status [DEBUG_HEADERS, default off]
    #[argh(switch)]
    pub(super) debug_headers: bool,
    /// which events are logged, like "info" or "larder=debug" [RUST_LOG, default info]
    #[argh(option, arg_name = "filter")]
    pub(super) log: Option<String>,
    /// how they are written, "text" or "json" [LOG_FORMAT, default text on a terminal, else json]
    #[argh(option, arg_name = "format")]
    pub(super) log_format: Option<String>,
    /// ask the instance at --host and --port (or --admin) to clear its cache, and exit
    #[argh(switch)]
    pub(super) clear_cache: bool,
    /// print the version, and exit
    #[argh(switch, short = 'V')]
    pub(super) version: bool,
}

/// Without the values, of which some are secret.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args").finish_non_exhaustive()
    }
}

impl Args {
    /// Reads `argv` (without the program's name). `Err` is what to print and whether it is help.
    pub(super) fn read(argv: impl IntoIterator<Item = String>) -> Result<Args, argh::EarlyExit> {
        let argv: Vec<String> = argv.into_iter().flat_map(split).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        Args::from_args(&["larder"], &argv)
    }
}

/// argh does not know `--name=value`.
pub(super) fn split(arg: String) -> Vec<String> {
    match arg.split_once('=') {
        Some((name, value)) if name.starts_with("--") && name.len() > 2 => {
            vec![name.to_owned(), value.to_owned()]
        }
        _ => vec![arg],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(argv: &[&str]) -> Result<Args, argh::EarlyExit> {
        Args::read(argv.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn both_spellings_of_a_value_are_read() {
        let args = read(&["--port", "1", "--origin=http://a/?b=c", "--ttl", "-3"]).unwrap();
        assert_eq!(args.port.as_deref(), Some("1"));
        assert_eq!(args.origin.as_deref(), Some("http://a/?b=c"));
        assert_eq!(args.ttl.as_deref(), Some("-3"));
    }

    #[test]
    fn an_equals_sign_within_a_value_stays() {
        let args = read(&["--log", "larder=debug"]).unwrap();
        assert_eq!(args.log.as_deref(), Some("larder=debug"));
    }

    #[test]
    fn help_names_every_variable() {
        let help = read(&["--help"]).unwrap_err();
        assert!(help.status.is_ok());
        for variable in [
            "PORT",
            "CACHE_TTL",
            "STALE_WHILE_REVALIDATE",
            "STALE_IF_ERROR",
            "DEBUG_HEADERS",
            "ALLOW_HOSTS",
            "RUST_LOG",
            "REDIS_PREFIX",
            "REDIS_CA",
            "REDIS_TIMEOUT",
            "ADMIN_TOKEN_FILE",
            "ADMIN_ADDRESS",
            "TLS_KEY",
            "NEAR",
            "NEAR_TTL",
            "UPSTREAM_PROXY",
            "MAX_ENVELOPES",
        ] {
            assert!(help.output.contains(variable), "{variable} is missing");
        }
    }

    #[test]
    fn what_it_does_not_know_is_misuse() {
        for argv in [
            &["--colour"][..],
            &["extra"],
            &["--port"],
            &["--clear-cache=yes"],
        ] {
            assert!(read(argv).unwrap_err().status.is_err(), "{argv:?}");
        }
    }
}
