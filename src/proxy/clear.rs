//! `--clear-cache`: asking a running instance to forget everything.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tower::BoxError;

use super::config::Config;

/// How long the instance may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the instance that `config` describes. Both answers are sentences for people.
pub async fn clear(config: &Config) -> Result<String, String> {
    let host = match config.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let place = match host.contains(':') {
        true => format!("[{host}]:{}", config.port),
        false => format!("{host}:{}", config.port),
    };
    let asked = timeout(PATIENCE, ask(&place, &config.prefix)).await;
    match asked.unwrap_or_else(|late| Err(late.into())) {
        Ok((true, message)) => Ok(message),
        Ok((false, message)) => Err(format!("larder at {place} refused: {message}")),
        Err(error) => Err(format!("No larder could be asked at {place}: {error}.")),
    }
}

/// Whether the cache was cleared, and what the instance says.
async fn ask(place: &str, prefix: &str) -> Result<(bool, String), BoxError> {
    let stream = TcpStream::connect(place).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::delete(format!("{prefix}/cache"))
        .header(header::HOST, place)
        .body(Empty::<Bytes>::new())?;
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
