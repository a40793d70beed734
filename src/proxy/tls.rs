//! TLS for clients: rustls on ring, TLS 1.2 and up, HTTP/2 or HTTP/1.1 by ALPN. Certificate and
//! key are read anew on SIGHUP; connections that are there keep theirs.

mod expiry;
mod pinned;

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub(super) use self::pinned::connect;
use super::{config::TlsFiles, error::ApiError};
use crate::clock::Clock;

const H2: &[u8] = b"h2";

/// Accepts with the certificate of the moment. Clones have the same one.
#[derive(Clone, Debug)]
pub(super) struct Tls(watch::Receiver<Arc<ServerConfig>>);

/// Exchanges the certificate whenever the process is told to.
#[derive(Debug)]
pub(super) struct Reload {
    files: TlsFiles,
    hangups: Signal,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// Reads the files, and watches for SIGHUP from now on.
pub(super) fn open(files: &TlsFiles) -> Result<(Tls, Reload), String> {
    let (current, told) = watch::channel(read(files)?);
    let hangups = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let files = files.clone();
    let reload = Reload {
        files,
        hangups,
        current,
    };
    Ok((Tls(told), reload))
}

/// What to do on SIGHUP where there is no certificate: it would end the process.
pub(super) async fn nothing_to_reload() {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangups.recv().await.is_some() {
        tracing::info!("SIGHUP: there is no certificate to read anew");
    }
}

// === impl Tls ===

impl Tls {
    /// Shakes hands within `time`. In that the client tells whether it speaks HTTP/2.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        time: Duration,
    ) -> io::Result<(TlsStream<TcpStream>, bool)> {
        let config = self.0.borrow().clone();
        let shake = async {
            let mut stream = stream;
            let mut first = [0];
            // No record of TLS begins with a letter, and every request of HTTP does.
            if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
                stream.write_all(plain().as_bytes()).await?;
                stream.shutdown().await?;
                return Err(io::Error::other("plain HTTP where TLS is spoken"));
            }
            TlsAcceptor::from(config).accept(stream).await
        };
        let stream = timeout(time, shake).await??;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        Ok((stream, h2))
    }
}

// === impl Reload ===

impl Reload {
    /// Goes on for as long as somebody accepts.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                Some(()) = self.hangups.recv() => {}
                () = self.current.closed() => return,
            }
            match read(&self.files) {
                Ok(config) => {
                    self.current.send_replace(config);
                    tracing::info!("certificate read anew");
                }
                Err(error) => {
                    tracing::error!(error, "certificate not read anew, the one in use stays");
                }
            }
        }
    }
}

/// What is said to who speaks plain HTTP here.
fn plain() -> String {
    let error = ApiError::bad_request("tls_required", "TLS is spoken here: ask with https://.");
    let body = format!(r#"{{"success": false, "error": {}}}"#, error.to_json());
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Named, because rustls panics over its choice when another crate compiles in a second one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let chain = certificates(&files.cert)?;
    expiry::tell(&files.cert, &chain, Clock::system().now());
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let path = files.key.display();
            format!("{path} contains no private key in PEM; an encrypted one is not read.")
        }
        error => unreadable(&files.key, &error),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refused(files, &error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a PEM file, of which there is at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    match chain.is_empty() {
        true => Err(format!(
            "{} contains no certificate in PEM.",
            path.display()
        )),
        false => Ok(chain),
    }
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> String {
    format!("{} cannot be read: {error}.", path.display())
}

fn refused(files: &TlsFiles, error: &rustls::Error) -> String {
    let (cert, key) = (files.cert.display(), files.key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("The key in {key} is not that of the certificate in {cert}.")
        }
        rustls::Error::InvalidCertificate(why) => {
            format!("{cert} contains an unusable certificate: {why}.")
        }
        error => format!("{key} contains an unusable key: {error}."),
    }
}

#[cfg(test)]
mod tests;
