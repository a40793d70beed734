//! One request's way to the upstream and back.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::{Authority, Scheme},
};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::{
    self, Client,
    connect::{CaptureConnection, capture_connection},
};
use tokio::sync::watch;

use super::{
    body::{Body, Progress, RequestBody},
    connect::{Connector, Mark},
    error::{BoxError, Error, ErrorKind, Failure, kind_of, without_userinfo},
    fields,
    interim::Interims,
    proxy::Proxies,
};
use crate::clock::Clock;

/// What every exchange of an upstream shares.
pub(super) struct Exchange {
    pub(super) client: Client<Connector, RequestBody>,
    pub(super) timeout: Option<Duration>,
    pub(super) proxies: Proxies,
}

/// A request as it will be sent.
pub(super) struct Outgoing {
    request: Request<RequestBody>,
    interims: Option<Interims>,
    peer: Authority,
    progress: Option<watch::Receiver<Progress>>,
}

/// A request that is sent once, and the connection that its answer comes on.
type Attempt = (legacy::ResponseFuture, CaptureConnection);

// === impl Exchange ===

impl Exchange {
    /// What comes of a request. What is only needed to send it is not kept until it is answered.
    pub(super) fn run(
        self: Arc<Self>,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send {
        let Outgoing {
            mut request,
            interims,
            peer,
            progress,
        } = outgoing;
        if let Some(authorization) = self.proxies.authorization(request.uri()) {
            let headers = request.headers_mut();
            headers.insert(header::PROXY_AUTHORIZATION, authorization);
        }
        let read_by_proxy = self.proxies.reads(request.uri());
        let again = replay(&request).map(|again| (again, interims.clone()));
        let attempt = self.attempt(request, interims);
        async move {
            let answer = pin!(self.send(attempt, again));
            let answer = within(self.timeout, progress, answer).await;
            let response = answer.map_err(|error| Error::new(&peer, error))?;
            let response = check(response, read_by_proxy);
            let mut response = response.map_err(|failure| Error::new(&peer, failure))?;
            fields::strip(response.headers_mut());
            Ok(response.map(|body| Body::new(body, peer, self.timeout)))
        }
    }

    /// Waits for the answer, and sends once more if the connection was a kept one that its server
    /// had closed before the request arrived (RFC 9112 §9.3.1). Only what is safe and has no body
    /// is sent twice.
    async fn send(
        &self,
        (answer, mut connection): Attempt,
        again: Option<(Box<Request<RequestBody>>, Option<Interims>)>,
    ) -> Result<Response<Incoming>, BoxError> {
        let mut answer = answer.await;
        if let (Err(error), Some((again, interims))) = (&answer, again)
            && closed_while_kept(error)
        {
            let attempt = self.attempt(*again, interims);
            (answer, connection) = (attempt.0.await, attempt.1);
        }
        let mut response = answer?;
        Mark::answered(response.extensions_mut());
        if let Err(what) = fields::check_framing(response.headers()) {
            // Nobody knows where the next response begins on it.
            if let Some(connection) = connection.connection_metadata().as_ref() {
                connection.poison();
            }
            return Err(Failure::new(ErrorKind::Protocol, what).into());
        }
        Ok(response)
    }

    /// Sends a request once.
    fn attempt(&self, mut request: Request<RequestBody>, interims: Option<Interims>) -> Attempt {
        if let Some(interims) = interims {
            interims.listen(&mut request);
        }
        let connection = capture_connection(&mut request);
        (self.client.request(request), connection)
    }
}

/// What is no answer to who asked us, though it is a response.
fn check(
    mut response: Response<Incoming>,
    read_by_proxy: bool,
) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let what = "it switched protocols unasked";
        return Err(Failure::new(ErrorKind::Protocol, what));
    }
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && read_by_proxy {
        // It is about us.
        let what = "the proxy asks for other credentials";
        return Err(Failure::new(ErrorKind::Proxy, what));
    }
    if status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6: there is no body that a next reader could be made to wait for.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

/// Bounds the time without progress: a request whose body is still being sent may take long.
async fn within<T>(
    timeout: Option<Duration>,
    progress: Option<watch::Receiver<Progress>>,
    mut answer: Pin<&mut impl Future<Output = Result<T, BoxError>>>,
) -> Result<T, BoxError> {
    let Some(timeout) = timeout else {
        return answer.await;
    };
    let mut since = Clock::system().instant();
    loop {
        if let Ok(answer) = tokio::time::timeout_at(since + timeout, &mut answer).await {
            return answer;
        }
        match progress.as_ref().map(|progress| *progress.borrow()) {
            Some(Progress { latest, .. }) if latest > since => since = latest,
            Some(Progress { waiting: true, .. }) => {
                let what = format!("the request's body stalled for {timeout:?}");
                return Err(Failure::new(ErrorKind::Stalled, what).into());
            }
            _ => {
                let what = format!("no response head in {timeout:?}");
                return Err(Failure::new(ErrorKind::Timeout, what).into());
            }
        }
    }
}

/// A copy of a request that may be sent twice.
fn replay(request: &Request<RequestBody>) -> Option<Box<Request<RequestBody>>> {
    if !request.method().is_safe() || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    let mut copy = Box::new(Request::new(RequestBody::Empty));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn closed_while_kept(error: &legacy::Error) -> bool {
    error.connect_info().is_some_and(Mark::has_answered) && kind_of(error) == ErrorKind::Broken
}

// === impl Outgoing ===

impl Outgoing {
    pub(super) fn new<B>(request: Request<B>) -> Result<Self, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let (uri, peer) = addressed(parts.uri)?;
        if parts.method == Method::CONNECT {
            let what = "CONNECT asks for a tunnel, not for a response";
            return Err(Error::new(&peer, Failure::new(ErrorKind::Request, what)));
        }
        parts.uri = uri;
        // What the next connection really speaks is settled there.
        parts.version = Version::HTTP_11;
        // Meant for the server side; the client's side of hyper reads some of them, too.
        let mut extensions = std::mem::take(&mut parts.extensions);
        fields::strip_request(&mut parts.headers);
        // hyper writes the one that fits the URI.
        parts.headers.remove(header::HOST);
        let (body, progress) = RequestBody::new(body);
        let unknown_length = !body.is_end_stream()
            && body.size_hint().exact().is_none()
            && !parts.headers.contains_key(header::CONTENT_LENGTH);
        if unknown_length {
            // Without it, hyper drops such a body from a GET.
            let chunked = HeaderValue::from_static("chunked");
            parts.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        Ok(Outgoing {
            request: Request::from_parts(parts, body),
            interims: extensions.remove(),
            peer,
            progress,
        })
    }
}

/// The URI without its userinfo, and its host and port.
fn addressed(uri: Uri) -> Result<(Uri, Authority), Error> {
    let mut parts = uri.into_parts();
    let Some(authority) = parts.authority.take() else {
        return Err(Error::unaddressed("its URI is not absolute"));
    };
    let peer = match without_userinfo(authority.as_str()) {
        host if host.len() == authority.as_str().len() => authority,
        host => host
            .parse()
            .map_err(|_| Error::unaddressed("its URI names no host"))?,
    };
    // `http` reads a port beyond 65535 as none, and the default port would be dialled.
    if peer.port().is_none() && peer.as_str().len() > peer.host().len() + 1 {
        let what = "its port is none";
        return Err(Error::new(&peer, Failure::new(ErrorKind::Request, what)));
    }
    let known = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    if !parts.scheme.as_ref().is_some_and(known) {
        let what = "its scheme is neither http nor https";
        return Err(Error::new(&peer, Failure::new(ErrorKind::Request, what)));
    }
    if cfg!(not(feature = "tls")) && parts.scheme == Some(Scheme::HTTPS) {
        let what = "this build has no TLS";
        return Err(Error::new(&peer, Failure::new(ErrorKind::Tls, what)));
    }
    parts.authority = Some(peer.clone());
    match Uri::from_parts(parts) {
        Ok(uri) => Ok((uri, peer)),
        Err(error) => {
            let failure = Failure::caused(ErrorKind::Request, "its URI is incomplete", error);
            Err(Error::new(&peer, failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_timeout_runs_from_the_latest_piece_of_the_request() {
        let begin = Clock::system().instant();
        let (progress, latest) = watch::channel(Progress::now());
        let upload = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                progress.send_replace(Progress::now());
            }
            std::future::pending::<Result<(), BoxError>>().await
        };
        let timeout = Some(Duration::from_secs(30));
        let error = within(timeout, Some(latest), pin!(upload))
            .await
            .unwrap_err();
        assert_eq!(kind_of(&*error), ErrorKind::Timeout);
        assert_eq!(begin.elapsed(), Duration::from_secs(90));
    }

    /// It is the client's fault if the upstream would have taken more, and else the upstream's.
    #[tokio::test(start_paused = true)]
    async fn who_stalls_is_told_apart() {
        for (reads_on, fault) in [(true, ErrorKind::Stalled), (false, ErrorKind::Timeout)] {
            let (sender, body) = http_body_util::channel::Channel::<Bytes, BoxError>::new(1);
            let (mut body, progress) = RequestBody::new(body);
            let begin = Clock::system().instant();
            let exchange = async {
                let upload = async {
                    let mut sender = sender;
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    sender.send_data(Bytes::from("piece")).await.unwrap();
                    std::future::pending::<()>().await;
                };
                let download = async {
                    body.frame().await.unwrap().unwrap();
                    if reads_on {
                        body.frame().await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::join!(upload, download);
                Ok::<_, BoxError>(())
            };
            let timeout = Some(Duration::from_secs(30));
            let error = within(timeout, progress, pin!(exchange)).await.unwrap_err();
            assert_eq!(kind_of(&*error), fault);
            assert_eq!(begin.elapsed(), Duration::from_secs(50));
        }
    }

    #[test]
    fn a_request_must_name_a_host_and_a_scheme_that_is_known() {
        let refused = |uri: &str| {
            let request = Request::get(uri).body(http_body_util::Empty::<Bytes>::new());
            Outgoing::new(request.unwrap())
                .err()
                .map(|error| error.kind())
        };
        assert_eq!(refused("/relative"), Some(ErrorKind::Request));
        assert_eq!(refused("example.com:80"), Some(ErrorKind::Request));
        assert_eq!(refused("ftp://example.com/"), Some(ErrorKind::Request));
        assert_eq!(
            refused("http://example.com:65536/"),
            Some(ErrorKind::Request)
        );
        assert_eq!(
            refused("http://[2606:4700::1]:99999/"),
            Some(ErrorKind::Request)
        );
        assert_eq!(refused("http://example.com:/"), None);
        assert_eq!(refused("http://me@[2606:4700::1]/"), None);
        assert_eq!(refused("http://example.com/"), None);
        assert_eq!(refused("http://example.com"), None);
    }
}
