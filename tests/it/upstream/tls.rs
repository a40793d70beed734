//! HTTPS origins with certificates of a private authority.

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder::upstream::tls::read_pem;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The roots of `authority`, through a file.
fn roots(authority: &Authority) -> Vec<CertificateDer<'static>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    read_pem(path).unwrap()
}

/// What the path `/large` is answered with.
const LARGE: usize = 4 << 20;

/// An HTTPS server for `localhost` that speaks `protocol` and answers with its version.
async fn serve(authority: &Authority, protocol: &'static str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let io = TokioIo::new(stream);
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let body = match request.uri().path() {
                        "/large" => vec![b'x'; LARGE],
                        _ => format!("{:?}", request.version()).into_bytes(),
                    };
                    Ok::<_, io::Error>(Response::new(Full::new(Bytes::from(body))))
                });
                // How the connection ends is the client's business.
                let _ = if protocol == "h2" {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await
                };
            });
        }
    });
    port
}

fn upstream(port: u16, roots: Vec<CertificateDer<'static>>) -> Upstream {
    Upstream::builder()
        .timeout(Duration::from_secs(30))
        .trust("localhost", port)
        .root_certificates(roots)
        .build()
}

#[tokio::test]
async fn both_versions_are_spoken_as_the_server_chooses() {
    let authority = authority();
    for (protocol, version) in [("http/1.1", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let port = serve(&authority, protocol).await;
        let mut upstream = upstream(port, roots(&authority));
        for _ in 0..2 {
            let request = get(&format!("https://localhost:{port}/"));
            let response = upstream.call(request).await.unwrap();
            assert_eq!(text(response).await.unwrap(), version);
        }
    }
}

/// They share a connection, and what is not read of them is not what others may send on it.
#[tokio::test]
async fn bodies_that_nobody_reads_do_not_hold_up_others() {
    let authority = authority();
    let port = serve(&authority, "h2").await;
    let mut upstream = upstream(port, roots(&authority));
    let mut unread = Vec::new();
    for _ in 0..20 {
        let request = get(&format!("https://localhost:{port}/large"));
        unread.push(upstream.call(request).await.unwrap());
        // After some of them, each of these would find no room left.
        let request = get(&format!("https://localhost:{port}/"));
        let response = upstream.call(request).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "HTTP/2.0");
    }
    for response in unread {
        let body = text(response).await.unwrap();
        assert_eq!(body.len(), LARGE);
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_a_tls_error() {
    let port = serve(&authority(), "h2").await;
    let upstream = upstream(port, roots(&authority()));
    let error = failure(&upstream, get(&format!("https://localhost:{port}/"))).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
    assert!(format!("{error:#}").contains("certificate"), "{error:#}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_error() {
    let authority = authority();
    let port = serve(&authority, "http/1.1").await;
    let upstream = Upstream::builder()
        .trust("127.0.0.1", port)
        .root_certificates(roots(&authority))
        .build();
    let error = failure(&upstream, get(&format!("https://127.0.0.1:{port}/"))).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
}

#[tokio::test]
async fn the_guard_and_the_dial_speak_before_tls() {
    let upstream = upstream(1, Vec::new());
    let error = failure(&upstream, get("https://[::1]/")).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    let error = failure(&upstream, get("https://localhost:1/")).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
}
