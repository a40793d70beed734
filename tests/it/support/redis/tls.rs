//! A Redis that is reached over TLS or by a socket, by whom it knows.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::{Redis, free_port};

/// The user that a [`Secure`] Redis knows, and what larder needs to be allowed.
pub(crate) const USER: &str = "user keeper on >s3cret ~larder* resetchannels &larder* -@all \
                               +@connection +info +eval +scan +get +getrange +set +setrange \
                               +strlen +exists +pttl +rename +pexpire \
                               +del +unlink +expire +time +type +hget +hmget +hset +hdel +hexists \
                               +publish +subscribe";

/// An authority that nobody trusts who was not told to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not that of those whom it certifies: they would seem to have done it themselves.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, dir }
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The files of a certificate for `name`, and of its key.
    pub(super) fn certify(&self, name: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["crt", "key"].map(|kind| self.dir.path().join(format!("{name}.{kind}")));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        files.map(|file| file.to_str().unwrap().to_owned())
    }
}

/// The settings of servers that show a certificate for 127.0.0.1, at this port and to each other.
pub(super) fn settings(authority: &Authority, port: u16) -> Vec<String> {
    let [certificate, key] = authority.certify("127.0.0.1");
    let (port, ca) = (port.to_string(), authority.file());
    [
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", ca.to_str().unwrap()],
        ["--tls-auth-clients", "no"],
        ["--tls-replication", "yes"],
    ]
    .as_flattened()
    .iter()
    .map(ToString::to_string)
    .collect()
}

/// A Redis that knows the user `keeper` with the password `s3cret`, and nobody else from afar.
pub(crate) struct Secure {
    pub(crate) redis: Redis,
    pub(crate) tls_port: u16,
}

impl Secure {
    /// Shows a certificate for `name`.
    pub(crate) fn start(authority: &Authority, name: &str) -> Self {
        let [certificate, key] = authority.certify(name);
        let ca = authority.file();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("redis.conf"), USER).unwrap();
        let socket = dir.path().join("redis.sock");
        let tls_port = free_port();
        let settings = [
            ["--tls-port", &tls_port.to_string()],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", ca.to_str().unwrap()],
            ["--tls-auth-clients", "no"],
            ["--unixsocket", socket.to_str().unwrap()],
        ];
        let redis = Redis::launch(None, settings.as_flattened(), dir);
        Secure { redis, tls_port }
    }

    pub(crate) fn tls_url(&self, host: &str) -> String {
        format!("rediss://keeper:s3cret@{host}:{}/3", self.tls_port)
    }

    pub(crate) fn socket_url(&self) -> String {
        let socket = self.redis.dir.path().join("redis.sock");
        format!("redis+unix://keeper:s3cret@{}?db=3", socket.display())
    }
}
