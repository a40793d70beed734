//! Which addresses are dialled for hosts that nobody vouched for.

use super::*;

#[tokio::test]
async fn untrusted_hosts_lead_to_no_private_address_however_spelt() {
    let origin = Origin::playing(vec![vec![Answer(OK)]]).await;
    let port = origin.address.port();
    let upstream = Upstream::builder().trust("127.0.0.1", port + 1).build();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        let error = failure(&upstream, get(&format!("http://{host}:{port}/"))).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{host}: {error:#}");
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn names_are_judged_by_where_they_lead() {
    let origin = Origin::playing(vec![vec![Answer(OK)], vec![Answer(OK)]]).await;
    let port = origin.address.port();
    let builder = || {
        Upstream::builder().resolver(|name| async move {
            match name.as_str() {
                "nowhere.example" => Ok(vec![]),
                "broken.example" => Err(io::Error::other("no such name")),
                _ => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            }
        })
    };
    let upstream = builder().trust("Known.example", port).build();
    let at = |host: &str| get(&format!("http://{host}:{port}/"));
    for (host, kind) in [
        ("inside.example", ErrorKind::Refused),
        ("nowhere.example", ErrorKind::Resolve),
        ("broken.example", ErrorKind::Resolve),
    ] {
        assert_eq!(failure(&upstream, at(host)).await.kind(), kind, "{host}");
    }
    assert!(origin.requests().is_empty());
    assert!(upstream.oneshot(at("known.EXAMPLE.")).await.is_ok());
    let anywhere = builder().allow_private(true).build();
    assert!(anywhere.oneshot(at("inside.example")).await.is_ok());
}
