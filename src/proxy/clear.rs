//! `--clear-cache`: asking a running instance to forget everything.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tower::BoxError;

use super::{Once, config::Config, tls};

/// How long the instance may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the instance that `config` describes. Both answers are sentences for people.
pub fn clear(config: &Config) -> Once<'_> {
    Box::pin(clearing(config))
}

async fn clearing(config: &Config) -> Result<String, String> {
    let (host, port) = match &config.admin {
        Some((host, port)) => (host.as_str(), *port),
        None => (config.host.as_str(), config.port),
    };
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let place = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let asked = timeout(PATIENCE, connect(&place, config)).await;
    match asked.unwrap_or_else(|late| Err(late.into())) {
        Ok((true, message)) => Ok(message),
        Ok((false, message)) => Err(format!("larder at {place} refused: {message}")),
        Err(error) => Err(format!("No larder could be asked at {place}: {error}.")),
    }
}

/// Asks at `place`, with TLS where the instance has it.
async fn connect(place: &str, config: &Config) -> Result<(bool, String), BoxError> {
    let stream = TcpStream::connect(place).await?;
    match &config.tls {
        Some(files) => ask(tls::connect(files, stream).await?, place, config).await,
        None => ask(stream, place, config).await,
    }
}

/// Whether the cache was cleared, and what the instance says.
async fn ask<I>(io: I, place: &str, config: &Config) -> Result<(bool, String), BoxError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    let mut request = Request::delete(format!("{}/cache", config.prefix))
        .header(header::HOST, place)
        .body(Empty::<Bytes>::new())?;
    if let Some(token) = &config.admin_token {
        let mut shown = HeaderValue::try_from(token.authorization())?;
        shown.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, shown);
    }
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 64 * 1024)
        .collect()
        .await?;
    let answer: serde_json::Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_| "what answers there is not larder")?;
    let message = [&answer["message"], &answer["error"]["message"]]
        .into_iter()
        .find_map(|message| message.as_str())
        .unwrap_or(status.as_str());
    Ok((
        status.is_success() && answer["success"] == true,
        message.to_owned(),
    ))
}
