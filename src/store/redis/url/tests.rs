//! Each form of a URL, and what is said of the wrong ones.

use super::*;

fn read(text: &str) -> RedisUrl {
    RedisUrl::parse(text).unwrap_or_else(|wanted| panic!("{text}: it wants {wanted}"))
}

fn hosts(text: &str) -> Vec<(String, u16)> {
    let config = read(text).config;
    let hosts = config.server.hosts();
    hosts.iter().map(|s| (s.host.to_string(), s.port)).collect()
}

fn at(host: &str, port: u16) -> (String, u16) {
    (host.to_owned(), port)
}

#[test]
fn a_server_and_who_we_are() {
    let url = read("redis://me:p%40ss+w%2Ford@cache.example:7000/3");
    assert_eq!(url.config.username.as_deref(), Some("me"));
    assert_eq!(url.config.password.as_deref(), Some("p@ss+w/ord"));
    assert_eq!(url.config.database, Some(3));
    assert!(url.tls.is_none() && url.config.tls.is_none());
    assert!(!url.config.fail_fast);
    assert_eq!(
        hosts("redis://me:secret@cache.example:7000/3"),
        [at("cache.example", 7000)]
    );

    let url = read("redis://:secret@h");
    assert_eq!(url.config.username, None);
    assert_eq!(url.config.password.as_deref(), Some("secret"));
    assert_eq!(url.config.database, None);
    assert_eq!(hosts("redis://h/"), [at("h", 6379)]);
    assert_eq!(hosts("redis://[::1]:7000"), [at("::1", 7000)]);
}

#[test]
fn every_scheme_in_both_names() {
    for name in ["redis", "valkey", "REDIS"] {
        for (tls, names) in [("", None), ("s", Some(Names::OfUrl))] {
            let single = read(&format!("{name}{tls}://h"));
            assert!(single.config.server.is_centralized());
            assert_eq!(single.tls, names);
            let cluster = read(&format!("{name}{tls}-cluster://h"));
            assert!(cluster.config.server.is_clustered());
            assert_eq!(cluster.tls, names);
            let sentinel = read(&format!("{name}{tls}-sentinel://h?sentinelServiceName=m"));
            assert!(sentinel.config.server.is_sentinel());
            assert_eq!(sentinel.tls, names);
        }
        let socket = read(&format!("{name}+unix:///run/redis.sock"));
        assert!(socket.config.server.is_unix_socket());
    }
    for address in ["127.0.0.1", "[::1]"] {
        let url = read(&format!("rediss-cluster://{address}:1"));
        assert_eq!(url.tls, Some(Names::Own));
    }
}

#[test]
fn clusters_and_sentinels_have_further_nodes() {
    assert_eq!(
        hosts("redis-cluster://a:1?node=b:2&node=[::1]:3"),
        [at("a", 1), at("b", 2), at("::1", 3)]
    );
    let text = "redis-sentinel://u:p@a/2?sentinelServiceName=mymaster&node=b:2\
                &sentinelUsername=su&sentinelPassword=s%2Bp";
    assert_eq!(hosts(text), [at("a", 26379), at("b", 2)]);
    let config = read(text).config;
    assert_eq!(config.database, Some(2));
    assert_eq!(config.username.as_deref(), Some("u"));
    let ServerConfig::Sentinel {
        service_name,
        username,
        password,
        ..
    } = config.server
    else {
        panic!("{:?}", config.server);
    };
    assert_eq!(service_name, "mymaster");
    assert_eq!(username.as_deref(), Some("su"));
    assert_eq!(password.as_deref(), Some("s+p"));
}

#[test]
fn a_socket_has_a_path_and_may_have_the_rest() {
    for text in [
        "redis+unix://me:pw@localhost/run/my%20redis.sock?db=4",
        "unix://me:pw@/run/my redis.sock?db=4",
    ] {
        let config = read(text).config;
        let ServerConfig::Unix { path } = &config.server else {
            panic!("{:?}", config.server);
        };
        assert_eq!(path.to_str(), Some("/run/my redis.sock"));
        assert_eq!(config.database, Some(4));
        assert_eq!(config.username.as_deref(), Some("me"));
        assert_eq!(config.password.as_deref(), Some("pw"));
    }
}

#[test]
fn each_wrong_form_is_told_what_is_right() {
    for (text, wanted) in [
        ("", SCHEME),
        ("s3cret", SCHEME),
        ("localhost:6379", SCHEME),
        ("http://u:s3cret@h", SCHEME),
        ("redis-s3cret://h", SCHEME),
        ("rediss+unix:///s", SCHEME),
        ("redis://u:s3cret@h:70000", PORT),
        ("redis://u:s3cret@h:0", PORT),
        ("redis://u:s3cret@h:port", PORT),
        ("redis://:s3/cret@h", HOST),
        ("redis://u:6#s3cret@h", FORM),
        ("redis://u:s3cret@", HOST),
        ("redis://", HOST),
        ("redis://h h", FORM),
        ("redis://u:%ff@h", FORM),
        ("redis://h/one", DATABASE),
        ("redis://h/1/2", DATABASE),
        ("redis://h/256", DATABASE),
        ("redis+unix:///s?db=x", DATABASE),
        ("redis-cluster://h/1", ONE_DATABASE),
        ("redis-cluster://h?node=b", NODE),
        ("redis-cluster://h?node=u:p@b:1", NODE),
        ("redis-cluster://h?node=b:1/2", NODE),
        ("redis-cluster://h?node=", NODE),
        ("redis-sentinel://h", SERVICE),
        ("redis-sentinel://h?sentinelServiceName=", SERVICE),
        ("redis+unix://", SOCKET),
        ("redis+unix:///", SOCKET),
        ("redis+unix:///run/", SOCKET),
        ("redis://h?password=s3cret", PARAMETER),
        ("redis://h?db=1", PARAMETER),
        ("rediss://h?ssl_cert_reqs=none", PARAMETER),
        ("redis-cluster://h?sentinelServiceName=m", PARAMETER),
    ] {
        assert_eq!(RedisUrl::parse(text).err(), Some(wanted), "{text}");
    }
}

#[test]
fn no_secret_is_shown() {
    for (text, shown) in [
        ("redis://me:s3cret@h:1/2", "redis://***@h:1/2"),
        ("rediss://:s3cret@h", "rediss://***@h"),
        ("unix://:s3cret@/run/s?db=1", "unix://***@localhost/run/s"),
        (
            "redis-sentinel://h:1?sentinelServiceName=m&sentinelPassword=s3cret",
            "redis-sentinel://h:1",
        ),
    ] {
        let url = read(text);
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("s3cret"), "{url:?}");
    }
}
