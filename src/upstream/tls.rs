//! TLS for the upstream: rustls on ring, Mozilla's roots and one's own, HTTP/2 by ALPN.

use std::{
    error::Error as StdError,
    fmt,
    path::{Path, PathBuf},
};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};

use super::proxy::Reach;
use crate::trust;

/// Why a file of certificates could not be read.
#[derive(Debug)]
pub struct PemError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Unreadable(pem::Error),
    NoCertificate,
    BadCertificate(rustls::Error),
}

/// Reads the certificates of a PEM file; there must be at least one, and each must be usable as
/// a root.
pub fn read_pem(path: impl AsRef<Path>) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let path = path.as_ref();
    let failed = |reason| PemError {
        path: path.to_owned(),
        reason,
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(Reason::Unreadable(error)))?;
    if found.is_empty() {
        return Err(failed(Reason::NoCertificate));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|error| failed(Reason::BadCertificate(error)))?;
    }
    Ok(found)
}

/// TLS over `reach` for `https`, and `reach` itself for `http`.
pub(super) fn connector(
    reach: Reach,
    further_roots: Vec<CertificateDer<'static>>,
) -> HttpsConnector<Reach> {
    HttpsConnectorBuilder::new()
        .with_tls_config(trust::client_config(further_roots))
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(reach)
}

// === impl PemError ===

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.reason {
            Reason::Unreadable(error) => write!(f, "{path} cannot be read as PEM: {error}"),
            Reason::NoCertificate => write!(f, "{path} contains no certificate"),
            Reason::BadCertificate(error) => {
                write!(f, "{path} contains an unusable certificate: {error}")
            }
        }
    }
}

impl StdError for PemError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roots.pem");
        std::fs::write(&path, text).unwrap();
        read_pem(&path).map_err(|error| {
            let sentence = error.to_string();
            assert!(sentence.contains("roots.pem"), "{sentence}");
            sentence
        })
    }

    #[test]
    fn reads_every_certificate_and_says_what_is_wrong() {
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = certificate.cert.pem();
        let key = certificate.signing_key.serialize_pem();
        assert_eq!(reading(&format!("{pem}{key}{pem}")).unwrap().len(), 2);
        assert!(reading(&key).unwrap_err().contains("no certificate"));
        let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(reading(garbage).unwrap_err().contains("unusable"));
        let cut = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n";
        assert!(reading(cut).unwrap_err().contains("cannot be read"));
        assert!(read_pem("/nowhere/at/all.pem").is_err());
    }
}
