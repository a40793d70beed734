//! Whom TLS trusts: Mozilla's roots and one's own, and nobody unverified.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

/// A client that verifies whom it talks to, over rustls on ring.
pub(crate) fn client_config(further_roots: Vec<CertificateDer<'static>>) -> ClientConfig {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(further_roots);
    // Named, because rustls panics over its choice when another crate compiles in a second one.
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
