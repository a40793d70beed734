//! The order flag, variable, default; and what a refusal says.

use super::*;

fn given(argv: &[&str], env: &[(&str, &str)]) -> Result<Command, Misuse> {
    parse(argv.iter().map(OsString::from), |name| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    })
}

fn config(argv: &[&str], env: &[(&str, &str)]) -> Config {
    match given(argv, env) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn refusal(argv: &[&str], env: &[(&str, &str)]) -> String {
    given(argv, env).unwrap_err().to_string()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_default() {
    assert_eq!(config(&[], &[]).port, 8000);
    assert_eq!(config(&[], &[("PORT", "81")]).port, 81);
    assert_eq!(config(&["--port=82"], &[("PORT", "81")]).port, 82);
    assert_eq!(config(&["--port=82"], &[("PORT", "nonsense")]).port, 82);
}

#[test]
fn every_variable_is_read() {
    let config = config(
        &[],
        &[
            ("HOST", "::1"),
            ("UPSTREAM_BASE_URL", "https://api.example.com/v1/"),
            ("CACHE_TTL", "5"),
            ("STALE_WHILE_REVALIDATE", "30"),
            ("STALE_IF_ERROR", "600"),
            ("CACHE_BACKEND", "redis"),
            ("REDIS_URL", "redis://u:p@r:1/2"),
            ("REDIS_PREFIX", "mine"),
            ("REDIS_CA", "/redis.pem"),
            ("REDIS_TIMEOUT", "20"),
            ("CACHE_MEMORY", "64MiB"),
            ("CACHE_MAX_OBJECT", "1MiB"),
            ("UPSTREAM_TIMEOUT", "2.5"),
            ("ALLOW_HOSTS", "a.example.com, *.example.org"),
            ("ALLOW_PRIVATE", "1"),
            ("PREFIX", "/_larder"),
            ("TLS_CA", "/ca.pem"),
            ("THREADS", "3"),
            ("DEBUG_HEADERS", "on"),
            ("RUST_LOG", "debug"),
            ("LOG_FORMAT", "json"),
        ],
    );
    assert_eq!(config.host, "::1");
    assert_eq!(
        config.origin.clone().unwrap().to_string(),
        "https://api.example.com/v1"
    );
    assert_eq!(config.ttl, Ttl::For(Duration::from_secs(5)));
    let windows = [config.stale_while_revalidate, config.stale_if_error];
    assert_eq!(windows, [30, 600].map(|s| Some(Duration::from_secs(s))));
    assert!(config.debug_headers);
    assert_eq!(config.backend, BackendKind::Redis);
    assert_eq!(config.redis_url.to_string(), "redis://***@r:1/2");
    assert_eq!(config.redis_ca, Some("/redis.pem".into()));
    assert_eq!(config.redis_timeout, Duration::from_millis(20));
    assert_eq!(config.redis_prefix, "mine");
    assert_eq!((config.memory, config.max_object), (64 << 20, 1 << 20));
    assert_eq!(config.timeout, Duration::from_millis(2500));
    assert_eq!(config.allow_hosts.len(), 2);
    assert!(config.allow_private);
    assert_eq!(config.prefix, "/_larder");
    assert_eq!(config.tls_ca, Some("/ca.pem".into()));
    assert_eq!(config.threads, Some(3));
    assert_eq!(config.log, "debug");
    assert_eq!(config.log_format, Some(LogFormat::Json));
}

#[test]
fn stale_windows_are_off_unless_given_and_reach_the_rules() {
    let rules = |argv: &[&str]| format!("{:?}", config(argv, &[]).policy());
    let off = rules(&[]);
    assert!(off.contains("stale_while_revalidate: None, stale_if_error: None"));
    let on = rules(&["--stale-while-revalidate=5", "--stale-if-error", "7"]);
    assert!(on.contains("stale_while_revalidate: Some(5s), stale_if_error: Some(7s)"));
    assert!(!config(&[], &[]).debug_headers);
    assert!(config(&["--debug-headers"], &[]).debug_headers);
}

#[test]
fn an_empty_variable_counts_for_none() {
    let config = config(
        &[],
        &[("PORT", ""), ("CACHE_TTL", ""), ("UPSTREAM_BASE_URL", "")],
    );
    assert_eq!((config.port, config.ttl), (8000, Ttl::Default));
    assert!(config.origin.is_none());
}

/// Arguments, environment, and words of the refusal.
type Case = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    [&'static str; 3],
);

#[test]
fn a_refusal_names_the_flag_or_variable_the_value_and_what_is_accepted() {
    let cases: [Case; 9] = [
        (&["--ttl", "-3"], &[], ["--ttl", "-3", "seconds"]),
        (
            &["--backend=disk"],
            &[],
            ["--backend", "disk", "memory or redis"],
        ),
        (
            &["--origin", "ftp://x"],
            &[],
            ["--origin", "ftp://x", "http"],
        ),
        (
            &["--origin", "http://x?y=1"],
            &[],
            ["--origin", "http://x?***", "without a query"],
        ),
        (
            &["--max-headers=16385"],
            &[],
            ["--max-headers", "16385", "16384"],
        ),
        (
            &["--upstream-proxy=evn"],
            &[],
            ["--upstream-proxy", "evn", "the word env"],
        ),
        (
            &["--memory", "12parsecs"],
            &[],
            ["--memory", "12parsecs", "64MiB"],
        ),
        (
            &[],
            &[("CACHE_TTL", "soon")],
            ["CACHE_TTL", "soon", "seconds"],
        ),
        (
            &[],
            &[("ALLOW_PRIVATE", "perhaps")],
            ["ALLOW_PRIVATE", "perhaps", "true"],
        ),
    ];
    for (argv, env, words) in cases {
        let said = refusal(argv, env);
        for word in words {
            assert!(said.contains(word), "{said:?} lacks {word:?}");
        }
    }
}

#[test]
fn allowed_hosts_repeat() {
    let config = config(
        &[
            "--allow-host",
            "a.example.com",
            "--allow-host",
            "b.example.com:8443,c.example.com",
        ],
        &[("ALLOW_HOSTS", "z.example.com")],
    );
    assert_eq!(config.allow_hosts.len(), 3);
}

#[test]
fn proxies_of_the_environment_are_used_where_that_is_said() {
    let env = [
        ("HTTP_PROXY", "http://me:secret@a:1"),
        ("https_proxy", "b:2"),
        ("ALL_PROXY", "c:3"),
        ("NO_PROXY", "localhost"),
    ];
    let shown = |argv: &[&str], env: &[(&str, &str)]| config(argv, env).upstream_proxy.to_string();
    assert_eq!(shown(&[], &env), "none");
    let both = "http://***@a:1 for http, http://b:2 for https";
    assert_eq!(shown(&["--upstream-proxy=env"], &env), both);
    assert_eq!(shown(&["--upstream-proxy", "env"], &env[2..]), "http://c:3");
    assert_eq!(shown(&["--upstream-proxy=env"], &[]), "none");
    assert_eq!(shown(&["--upstream-proxy=d:4"], &env), "http://d:4");
    let variable = ("UPSTREAM_PROXY", "http://u:p@e:5");
    assert_eq!(shown(&[], &[variable]), "http://***@e:5");
    for (argv, env, name) in [
        (
            &["--upstream-proxy=socks5://me:secret@p"][..],
            &[][..],
            "--upstream-proxy",
        ),
        (
            &["--upstream-proxy=env"],
            &[("http_proxy", "https://me:secret@p")],
            "http_proxy",
        ),
    ] {
        let said = refusal(argv, env);
        assert!(said.contains(name) && said.contains("http URL"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn help_and_version_are_printed() {
    for flag in ["-h", "--help"] {
        assert!(
            matches!(given(&[flag], &[]), Ok(Command::Print(text)) if text.contains("--origin"))
        );
    }
    for flag in ["-V", "--version"] {
        assert!(
            matches!(given(&[flag], &[]), Ok(Command::Print(text)) if text.starts_with("larder "))
        );
    }
}

#[test]
fn clearing_needs_a_port() {
    assert!(matches!(
        given(&["--clear-cache"], &[]),
        Ok(Command::ClearCache(_))
    ));
    assert!(refusal(&["--clear-cache", "--port=0"], &[]).contains("--port"));
}

#[test]
fn the_redis_password_is_never_shown() {
    let config = config(&["--redis-url", "redis://me:hunter2@h:1/0"], &[]);
    assert_eq!(config.redis_url.to_string(), "redis://***@h:1/0");
    assert!(!format!("{config:?}").contains("hunter2"));
    for wrong in [
        "http://me:hunter2@h",
        ":hunter2@localhost:6379",
        "redis://me:hunter2@h:port",
        "redis://me:hunt?hunter2@h",
        "redis://h?password=hunter2",
        "redis-sentinel://h?sentinelPassword=hunter2",
    ] {
        let said = refusal(&["--redis-url", wrong], &[]);
        assert!(said.contains("--redis-url does not accept"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
