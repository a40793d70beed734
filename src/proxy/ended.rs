//! What a connection ended for: which bound it met, by the error that it ended with.

use std::{error::Error, io};

use h2::Reason;
use tokio::time::error::Elapsed;

use super::limits::{Bounds, Limit};

/// Counts what a connection has ended for, where no request was to blame.
pub(super) fn count(bounds: &Bounds, error: &(dyn Error + 'static)) {
    if let Some(limit) = limit_met(error) {
        bounds.met(limit);
    }
}

fn limit_met(error: &(dyn Error + 'static)) -> Option<Limit> {
    if error.is::<Elapsed>() {
        // Of the first bytes.
        return Some(Limit::Idle);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return (error.kind() == io::ErrorKind::TimedOut).then_some(Limit::Handshake);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        Some(Limit::Head)
    } else if error.is_parse() {
        Some(Limit::Malformed)
    } else if error.is_timeout() {
        Some(Limit::Idle)
    } else {
        error.source()?.downcast_ref().and_then(frames_met)
    }
}

/// What a connection in HTTP/2 was closed for by larder's own side.
fn frames_met(error: &h2::Error) -> Option<Limit> {
    match error.reason().filter(|_| !error.is_remote())? {
        Reason::ENHANCE_YOUR_CALM | Reason::FLOW_CONTROL_ERROR => Some(Limit::Floods),
        Reason::PROTOCOL_ERROR
        | Reason::STREAM_CLOSED
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR => Some(Limit::Malformed),
        _ => None,
    }
}
