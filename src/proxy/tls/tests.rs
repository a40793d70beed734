//! What each wrong file is told.

use std::path::PathBuf;

use super::*;

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn reading(cert: &str, key: &str) -> Result<Arc<ServerConfig>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    read(&TlsFiles {
        cert: file("cert.pem", cert),
        key: file("key.pem", key),
    })
}

#[test]
fn a_pair_is_read_in_whatever_order_it_comes() {
    let (cert, key) = pair();
    let config = reading(&cert, &key).unwrap();
    assert_eq!(config.alpn_protocols, [H2, b"http/1.1"]);
    let both = format!("{key}{cert}");
    assert!(reading(&both, &both).is_ok());
}

#[test]
fn what_is_wrong_is_said_of_the_file_that_it_is_wrong_with() {
    let ((cert, key), (_, other)) = (pair(), pair());
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n";
    for (cert, key, said) in [
        (&*key, &*cert, ["cert.pem", "no certificate"]),
        ("", &key, ["cert.pem", "no certificate"]),
        (garbage, &key, ["cert.pem", "unusable certificate"]),
        (&cert, "", ["key.pem", "no private key"]),
        (&cert, &cert, ["key.pem", "no private key"]),
        (&cert, broken, ["key.pem", "unusable key"]),
        (&cert, &other, ["key.pem", "not that of the certificate"]),
    ] {
        let error = reading(cert, key).unwrap_err();
        assert!(said.iter().all(|word| error.contains(word)), "{error}");
        assert!(error.ends_with('.'), "{error}");
    }
    let nowhere = PathBuf::from("/nowhere/cert.pem");
    let error = certificates(&nowhere).unwrap_err();
    assert!(
        error.contains("/nowhere/cert.pem cannot be read"),
        "{error}"
    );
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    let files = TlsFiles {
        cert: directory.path().join("cert.pem"),
        key: directory.path().join("key.pem"),
    };
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
    let (tls, _reload) = open(&files).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    tokio::time::pause();
    let clock = crate::clock::Clock::system();
    let begun = clock.instant();
    let error = tls
        .accept(stream, Duration::from_secs(7))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!((clock.instant() - begun).as_secs(), 7);
}
