//! A [`Config`] from what the command line and the environment say.

use std::path::PathBuf;

use super::{
    Config, Misuse, TlsFiles,
    args::Args,
    limits, proxy, secret,
    value::{self, Parsed},
    variables::Variables,
};

impl Config {
    pub(super) fn choose(args: Args, env: &Variables<'_>) -> Result<Config, Misuse> {
        let default = Config::default();
        let limits = limits::choose(&args, env)?;
        let admin_token = secret::token(args.admin_token, args.admin_token_file, env)?;
        let allow = (!args.allow_host.is_empty()).then(|| args.allow_host.join(","));
        let ports = (!args.allow_port.is_empty()).then(|| args.allow_port.join(","));
        let keyed = (!args.key_header.is_empty()).then(|| args.key_header.join(","));
        let on = |given: bool| given.then(|| "true".to_owned());
        let private = on(args.allow_private);
        let forwarded = on(args.trust_forwarded);
        let debug_headers = on(args.debug_headers);
        let text = |text: &str| -> Parsed<PathBuf> { Ok(text.into()) };
        Ok(Config {
            host: env
                .choose(("--host", args.host), "HOST", value::host)?
                .unwrap_or(default.host),
            port: env
                .choose(("--port", args.port), "PORT", value::port)?
                .unwrap_or(default.port),
            admin: env.choose(("--admin", args.admin), "ADMIN_ADDRESS", value::place)?,
            admin_token,
            tls: both(
                env.choose(("--tls-cert", args.tls_cert), "TLS_CERT", text)?,
                env.choose(("--tls-key", args.tls_key), "TLS_KEY", text)?,
            )?,
            origin: env.choose(
                ("--origin", args.origin),
                "UPSTREAM_BASE_URL",
                value::origin,
            )?,
            ttl: env
                .choose(("--ttl", args.ttl), "CACHE_TTL", value::ttl)?
                .unwrap_or(default.ttl),
            stale_while_revalidate: env.choose(
                ("--stale-while-revalidate", args.stale_while_revalidate),
                "STALE_WHILE_REVALIDATE",
                value::window,
            )?,
            stale_if_error: env.choose(
                ("--stale-if-error", args.stale_if_error),
                "STALE_IF_ERROR",
                value::window,
            )?,
            backend: env
                .choose(("--backend", args.backend), "CACHE_BACKEND", value::backend)?
                .unwrap_or(default.backend),
            redis_url: env
                .choose(
                    ("--redis-url", args.redis_url),
                    "REDIS_URL",
                    value::redis_url,
                )?
                .unwrap_or(default.redis_url),
            redis_ca: env.choose(("--redis-ca", args.redis_ca), "REDIS_CA", text)?,
            redis_timeout: env
                .choose(
                    ("--redis-timeout", args.redis_timeout),
                    "REDIS_TIMEOUT",
                    value::redis_timeout,
                )?
                .unwrap_or(default.redis_timeout),
            redis_prefix: env
                .choose(
                    ("--redis-prefix", args.redis_prefix),
                    "REDIS_PREFIX",
                    value::redis_prefix,
                )?
                .unwrap_or(default.redis_prefix),
            near: env
                .choose(("--near", args.near), "NEAR", value::switch)?
                .unwrap_or(default.near),
            near_ttl: env
                .choose(("--near-ttl", args.near_ttl), "NEAR_TTL", value::timeout)?
                .unwrap_or(default.near_ttl),
            memory: env
                .choose(("--memory", args.memory), "CACHE_MEMORY", value::size)?
                .unwrap_or(default.memory),
            max_object: env
                .choose(
                    ("--max-object", args.max_object),
                    "CACHE_MAX_OBJECT",
                    value::size,
                )?
                .unwrap_or(default.max_object),
            timeout: env
                .choose(
                    ("--timeout", args.timeout),
                    "UPSTREAM_TIMEOUT",
                    value::timeout,
                )?
                .unwrap_or(default.timeout),
            upstream_proxy: proxy::choose(args.upstream_proxy, env)?,
            allow_hosts: env
                .choose(("--allow-host", allow), "ALLOW_HOSTS", value::allow_hosts)?
                .unwrap_or(default.allow_hosts),
            allow_ports: env
                .choose(("--allow-port", ports), "ALLOW_PORTS", value::allow_ports)?
                .unwrap_or(default.allow_ports),
            allow_private: env
                .choose(("--allow-private", private), "ALLOW_PRIVATE", value::switch)?
                .unwrap_or(default.allow_private),
            trust_forwarded: env
                .choose(
                    ("--trust-forwarded", forwarded),
                    "TRUST_FORWARDED",
                    value::switch,
                )?
                .unwrap_or(default.trust_forwarded),
            key_headers: env
                .choose(("--key-header", keyed), "KEY_HEADERS", value::key_headers)?
                .unwrap_or(default.key_headers),
            limits,
            prefix: env
                .choose(("--prefix", args.prefix), "PREFIX", value::prefix)?
                .unwrap_or(default.prefix),
            tls_ca: env.choose(("--tls-ca", args.tls_ca), "TLS_CA", text)?,
            threads: env.choose(("--threads", args.threads), "THREADS", value::threads)?,
            debug_headers: env
                .choose(
                    ("--debug-headers", debug_headers),
                    "DEBUG_HEADERS",
                    value::switch,
                )?
                .unwrap_or(default.debug_headers),
            log: env
                .choose(("--log", args.log), "RUST_LOG", value::log)?
                .unwrap_or(default.log),
            log_format: env.choose(
                ("--log-format", args.log_format),
                "LOG_FORMAT",
                value::log_format,
            )?,
        })
    }
}

/// A certificate is of no use without its key, nor a key without its certificate.
fn both(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Misuse> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (cert, _) => {
            let (given, missing) = match cert {
                Some(_) => ("--tls-cert", "--tls-key (or TLS_KEY)"),
                None => ("--tls-key", "--tls-cert (or TLS_CERT)"),
            };
            Err(Misuse(format!("{given} needs {missing}, too.")))
        }
    }
}
