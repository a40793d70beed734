//! Accepting connections, serving them, and coming to an end without cutting anybody off.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{BoxError, Service};

use super::{
    draining::Draining,
    ended::count,
    express::{Express, Line},
    front::{Front, Fronted},
    interim::{self, Outbox},
    limits::{Bounds, Limit, Limits},
    pace::Pace,
    past,
    patience::{self, Answering, Patient},
    tls::Tls,
    track::track,
};
use crate::clock::Clock;

/// How long requests in flight may take to finish once the end has come.
const DRAIN: Duration = Duration::from_secs(10);

/// What a piece of a body may take of a connection's buffer.
const BUFFER: usize = 64 * 1024;

/// What may be taken of a body in HTTP/2 before the client has room for it.
const H2_AHEAD: usize = 64 * 1024;

/// HTTP/2 has no timeout of its own: silent peers are asked for a sign of life.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Serves on `listener`, with `app` made for each peer, until the draining begins, and then
/// finishes what is in flight. Whether that came to an end is the result.
pub(super) async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Tls>,
    (app, front): (impl Fn(SocketAddr) -> S, Option<Front>),
    bounds: Bounds,
    draining: Draining,
) -> bool
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(bounds.limits.connections));
    // An HTTP/2 connection is told to take no further requests and stays open for those it has.
    // HTTP/1 has no such word: its connections close with their next response, or when no
    // request is in flight any more.
    let (at_once, when_quiet) = (GracefulShutdown::new(), GracefulShutdown::new());
    let in_flight = Arc::new(watch::Sender::new(()));
    let mut end = std::pin::pin!(draining.begun());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut end => break,
            accepted = accept(&listener, &places, &bounds) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                back_off(&error).await;
                continue;
            }
        };
        let watchers = (at_once.watcher(), when_quiet.watcher());
        let (answering, pace) = (Answering::default(), Pace::default());
        let told = (draining.clone(), answering.clone(), pace.clone());
        let service = track(app(peer), in_flight.clone(), told);
        let (tls, draining, bounds) = (tls.clone(), draining.clone(), bounds.clone());
        let front = front.clone();
        tokio::spawn(async move {
            let speaking = Speaking {
                watchers,
                bounds: bounds.clone(),
                front,
                answering,
                pace,
                draining,
            };
            let served = connection(stream, tls, service, speaking).await;
            if let Err(error) = served {
                count(&bounds, &*error);
                tracing::debug!(%peer, error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let quiet = async {
        in_flight.closed().await;
        when_quiet.shutdown().await;
    };
    let drained = timeout(DRAIN, async { tokio::join!(at_once.shutdown(), quiet) });
    drained.await.is_ok()
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    bounds: &Bounds,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let is_full = places.available_permits() == 0;
    let place = places.clone().acquire_owned();
    let place = place.await.map_err(io::Error::other)?;
    let waits = |cx: &mut Context<'_>| Poll::Ready(listener.poll_accept(cx));
    let waiting = match is_full {
        true => poll_fn(waits).await,
        false => Poll::Pending,
    };
    let (stream, peer) = match waiting {
        // It was there before there was a place.
        Poll::Ready(accepted) => {
            bounds.met(Limit::Connections);
            accepted?
        }
        Poll::Pending => listener.accept().await?,
    };
    Ok((stream, peer, place))
}

/// A connection that failed before it was accepted is no reason to wait; having no more file
/// descriptors is.
async fn back_off(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "cannot accept connections");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Serves one connection, in the version that TLS or its first bytes tell.
async fn connection<S, B>(
    stream: TcpStream,
    tls: Option<Tls>,
    service: S,
    speaking: Speaking,
) -> Result<(), BoxError>
where
    S: service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    stream.set_nodelay(true)?;
    // Who has said nothing by now is not waited for.
    let begun = speaking.draining.begun();
    match tls {
        Some(tls) => {
            let time = speaking.bounds.limits.head_time;
            let (stream, h2) = tokio::select! {
                biased;
                accepted = tls.accept(stream, time) => accepted?,
                () = begun => return Ok(()),
            };
            speak(stream, h2, service, speaking).await
        }
        None => {
            let h2 = tokio::select! {
                biased;
                h2 = timeout(speaking.bounds.limits.idle_time, speaks_h2(&stream, &speaking.bounds)) => h2??,
                () = begun => return Ok(()),
            };
            speak(stream, h2, service, speaking).await
        }
    }
}

/// What is to be known of a connection that is served.
struct Speaking {
    watchers: (Watcher, Watcher),
    bounds: Bounds,
    front: Option<Front>,
    answering: Answering,
    pace: Pace,
    draining: Draining,
}

/// Serves a connection in HTTP/2 or HTTP/1.
async fn speak<I, S, B>(io: I, h2: bool, service: S, speaking: Speaking) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Speaking {
        watchers: (at_once, when_quiet),
        bounds,
        front,
        answering,
        pace,
        draining,
    } = speaking;
    let limits = &bounds.limits;
    let io = Patient::new(
        io,
        bounds.clone(),
        answering.clone(),
        h2.then(|| pace.clone()),
    );
    if h2 {
        let kept = (Some(pace.clone()), None);
        let service = Fronted::new(front, answering.clone(), kept, service);
        drop(when_quiet);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(H2_KEEP_ALIVE)
            .max_concurrent_streams(small(limits.h2_streams as u64))
            .max_pending_accept_reset_streams(limits.h2_resets)
            .max_local_error_reset_streams(limits.h2_resets)
            .initial_stream_window_size(small(limits.h2_window))
            .initial_connection_window_size(small(limits.h2_window))
            .max_header_list_size(small(limits.head))
            .max_send_buf_size(H2_AHEAD)
            .serve_connection(TokioIo::new(io), service);
        let ending = GracefulShutdown::new();
        let connection = ending.watch(connection);
        // A task of its own: it need not be polled whenever the connection goes on.
        let mut guard = JoinSet::new();
        guard.spawn(until_h2_ends(bounds, answering, pace, draining, ending));
        tokio::select! {
            served = connection => served?,
            _ = guard.join_next() => {}
        }
        drop(at_once);
    } else {
        drop(at_once);
        let head = usize::try_from(limits.head).unwrap_or(usize::MAX);
        let (outbox, line) = (Outbox::default(), Line::default());
        let same = (front.clone(), answering.clone(), line.clone());
        let express = Express::new(same, head);
        let io = TokioIo::new(past::Io::new(io, express, outbox.clone()));
        let service = interim::passing_on(service, outbox);
        let service = Fronted::new(front, answering, (None, Some(line)), service);
        let mut http1 = http1::Builder::new();
        http1
            .header_read_timeout(None)
            .max_header_size(head)
            .max_buf_size(head.max(BUFFER));
        if limits.fields != Limits::default().fields {
            // hyper is faster where it is not told the number that it takes anyway.
            http1.max_headers(limits.fields);
        }
        let connection = http1.serve_connection(io, service);
        when_quiet.watch(connection).await?;
    }
    Ok(())
}

/// Until a connection in HTTP/2 is to be closed, or has come to the end that it was asked for: for
/// its age, as nothing is asked on it, as its client does not read, or as all comes to an end.
async fn until_h2_ends(
    bounds: Bounds,
    answering: Answering,
    pace: Pace,
    draining: Draining,
    ending: GracefulShutdown,
) {
    let end = async {
        tokio::select! {
            waited = timeout(bounds.limits.h2_age, draining.begun()) => {
                if waited.is_err() {
                    bounds.met(Limit::Age);
                }
            }
            () = answering.ceased(bounds.limits.idle_time) => bounds.met(Limit::Idle),
        }
        // What is left when all is answered is what the client does not take.
        let unsent = async {
            loop {
                pace.ceased(bounds.stall).await;
                if !answering.is_on() {
                    break;
                }
            }
        };
        tokio::select! {
            () = ending.shutdown() => {}
            // Or the client does not say that it knows.
            () = unsent => if pace.owes() {
                bounds.met(Limit::Stall);
            },
        }
    };
    tokio::select! {
        () = pace.stalled(bounds.stall) => bounds.met(Limit::Stall),
        () = end => {}
    }
}

/// What HTTP/2 can say of a size.
fn small(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// Whether the client begins with HTTP/2's preface (RFC 9113 §3.4), of which three bytes are
/// enough: no method of HTTP/1 is called PRI.
async fn speaks_h2(stream: &TcpStream, bounds: &Bounds) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut first = [0; PREFACE.len()];
    let (clock, mut begun) = (Clock::system(), None);
    let mut pause = Duration::from_millis(5);
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == first.len() || !PREFACE.starts_with(&first[..count]) {
            return Ok(first == PREFACE);
        }
        let begun = *begun.get_or_insert_with(|| clock.instant());
        if clock.instant() - begun >= bounds.limits.head_time {
            bounds.met(Limit::HeadTime);
            let _ = stream.try_write(patience::TOO_SLOW);
            return Err(io::ErrorKind::TimedOut.into());
        }
        // What was peeked at stays readable: there is nothing to wait for but time.
        sleep(pause.min(bounds.limits.head_time)).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

#[cfg(test)]
mod tests;
