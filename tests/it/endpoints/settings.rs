//! What the flags do to what is served: lifetimes, sizes, and further roots for TLS.

use std::sync::Arc;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{
    origin::Origin,
    proxy::Larder,
    script::{Body, respond},
};

/// The `ttl` that `Cache-Status` tells of a stored response, a second more or less.
async fn ttl(flags: &[&str], cache_control: &'static str) -> Option<i64> {
    let fields = match cache_control {
        "" => &[][..],
        _ => &[("cache-control", cache_control)],
    };
    let fields = fields.to_vec();
    let origin = Origin::at_once(move |_, _| respond(200, &fields, "x")).await;
    let larder = Larder::before(&origin.url(), flags).await;
    larder.get("/x").await;
    let answer = larder.get("/x").await;
    let (_, ttl) = answer.header("cache-status").split_once("hit; ttl=")?;
    Some(ttl.parse().unwrap())
}

#[tokio::test]
async fn the_ttl_rule() {
    for (flags, cache_control, expected) in [
        (&[][..], "", Some(60)),
        (&[], "max-age=900", Some(900)),
        (&[], "max-age=900, s-maxage=20", Some(20)),
        (&["--ttl=30"], "", Some(30)),
        (&["--ttl=30"], "max-age=900", Some(30)),
        (&["--ttl=30"], "max-age=10", Some(10)),
        (&["--ttl=30"], "no-store", None),
        (&["--ttl=30"], "private", None),
        (&["--ttl=0"], "", None),
        (&["--ttl=origin"], "", None),
        (&["--ttl=origin"], "max-age=900", Some(900)),
    ] {
        let ttl = ttl(flags, cache_control).await;
        let near = match (ttl, expected) {
            (Some(ttl), Some(expected)) => (expected - 2..=expected).contains(&ttl),
            (ttl, expected) => ttl == expected,
        };
        assert!(
            near,
            "{flags:?} {cache_control:?}: {ttl:?}, not {expected:?}"
        );
    }
}

#[tokio::test]
async fn what_is_larger_than_max_object_is_not_stored() {
    let origin = Origin::saying("text/plain", &[b'x'; 2000]).await;
    let small = Larder::before(&origin.url(), &["--max-object=1KiB"]).await;
    let large = Larder::before(&origin.url(), &["--max-object=2KiB"]).await;
    for larder in [&small, &large] {
        assert_eq!(larder.get("/x").await.body.len(), 2000);
    }
    assert!(!small.get("/x").await.is_hit());
    assert!(large.get("/x").await.is_hit());
}

#[tokio::test]
async fn tls_ca_adds_a_root() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                let hello = |_| async {
                    Ok::<_, std::convert::Infallible>(
                        respond(200, &[], "private hello") as http::Response<Body>
                    )
                };
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello));
                tokio::spawn(connection);
            }
        }
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let url = format!("https://localhost:{port}");
    let trusting = Larder::before(&url, &["--tls-ca", file.path().to_str().unwrap()]).await;
    let wary = Larder::before(&url, &[]).await;
    assert_eq!(trusting.get("/x").await.text(), "private hello");
    assert_eq!(trusting.get("/x").await.header("x-cache"), "HIT");
    let refused = wary.get("/x").await;
    assert_eq!(refused.error(), (502, "upstream_tls".to_owned()));
}
