//! A certificate for `localhost` that signs itself, in files, and clients that trust it.

use std::{fs, path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;

pub(crate) struct Certificate {
    directory: TempDir,
}

impl Certificate {
    pub(crate) fn new() -> Certificate {
        let certificate = Certificate {
            directory: tempfile::tempdir().unwrap(),
        };
        certificate.renew();
        certificate
    }

    /// Puts another pair in the place of this one.
    pub(crate) fn renew(&self) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.put("cert.pem", &made.cert.pem());
        self.put("key.pem", &made.signing_key.serialize_pem());
    }

    /// Puts one in its place that was good until 2000.
    pub(crate) fn expire(&self) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2000, 1, 1);
        let key = KeyPair::generate().unwrap();
        self.put("cert.pem", &params.self_signed(&key).unwrap().pem());
        self.put("key.pem", &key.serialize_pem());
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn flag(&self, flag: &str, name: &str) -> String {
        let path: &Path = self.directory.path();
        format!("{flag}={}", path.join(name).display())
    }

    /// What larder takes to show it.
    pub(crate) fn flags(&self) -> [String; 2] {
        [
            self.flag("--tls-cert", "cert.pem"),
            self.flag("--tls-key", "key.pem"),
        ]
    }

    /// A client that trusts the one that is there now, and speaks these protocols.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let file = self.directory.path().join("cert.pem");
        roots
            .add(CertificateDer::from_pem_file(file).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}
