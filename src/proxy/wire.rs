//! Responses as HTTP/1.1 sends them (RFC 9112), written into a buffer: those that larder sends
//! without hyper.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{body::Spliced, unsent::Unsent};
use crate::cache::Hit;

/// Writes a hit, whose body is `data`, and counts it as used. How long the body is.
pub(super) fn hit(unsent: &mut Unsent, hit: &Hit, data: &Bytes) -> u64 {
    hit.count();
    let out = unsent.bytes();
    let (lines, length) = (hit.head.lines(), data.len() as u64);
    status(out, hit.head.status());
    out.extend_from_slice(lines);
    field(out, "age", hit.age().as_bytes());
    field(out, "cache-status", hit.status().as_bytes());
    field(
        out,
        "content-length",
        itoa::Buffer::new().format(length).as_bytes(),
    );
    out.extend_from_slice(b"\r\n");
    unsent.add(data);
    length
}

/// Writes a response that says itself how long its body is. How long that is.
pub(super) fn response(unsent: &mut Unsent, response: &Response<Spliced>) -> u64 {
    let out = unsent.bytes();
    status(out, response.status());
    for (name, value) in response.headers() {
        field(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    for piece in response.body().pieces() {
        out.extend_from_slice(piece);
    }
    response.body().len()
}

fn status(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
