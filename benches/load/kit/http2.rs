//! One HTTP/2 connection with prior knowledge (RFC 9113 §3.3), always as many requests under way.
//!
//! Frames by hand: a client that did all of HTTP/2 would cost more than the servers.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::Failure;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MOST: u32 = i32::MAX as u32;
const BUFFER: usize = 256 * 1024;

// Types of frames (RFC 9113 §6), and flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// When each request that is under way was sent.
    under_way: HashMap<u32, Instant>,
    next: u32,
    /// Bytes of bodies since the window was opened.
    received: u32,
}

/// A frame that was received.
#[derive(Debug, PartialEq)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut out = PREFACE.to_vec();
        // Windows as wide as they can be: bodies are read at once.
        let mut settings = vec![0, 4];
        settings.extend(MOST.to_be_bytes());
        frame(&mut out, SETTINGS, 0, 0, &settings);
        let more = MOST - 65_535;
        frame(&mut out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        Ok(Connection {
            stream,
            out,
            buffer: Vec::with_capacity(BUFFER),
            under_way: HashMap::new(),
            next: 1,
            received: 0,
        })
    }

    /// Keeps `streams` requests for what `write_path` writes under way until it writes nothing,
    /// and tells `done` of each answer: how long it took, and its bytes.
    pub(crate) async fn run(
        &mut self,
        streams: usize,
        write_path: impl Fn(&mut Vec<u8>),
        mut done: impl FnMut(Duration, u64),
    ) -> Result<(), Failure> {
        (0..streams).for_each(|_| self.ask(&write_path));
        while !self.under_way.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let ended = self.take_in(&mut done)?;
            (0..ended).for_each(|_| self.ask(&write_path));
        }
        Ok(())
    }

    fn ask(&mut self, write_path: impl Fn(&mut Vec<u8>)) {
        let mut path = Vec::new();
        write_path(&mut path);
        if path.is_empty() {
            return;
        }
        // HPACK (RFC 7541): GET, http, and the path and the host as literals that nobody keeps.
        let mut fields = vec![0x82, 0x86, 0x04];
        literal(&mut fields, &path);
        fields.push(0x01);
        literal(&mut fields, b"localhost");
        let flags = END_STREAM | END_HEADERS;
        frame(&mut self.out, HEADERS, flags, self.next, &fields);
        self.under_way.insert(self.next, Instant::now());
        self.next += 2;
    }

    /// Takes in all whole frames, and tells how many answers have ended.
    fn take_in(&mut self, done: &mut impl FnMut(Duration, u64)) -> Result<usize, Failure> {
        let (mut ended, mut bytes, mut taken) = (0, 0, 0);
        while let Some((got, size)) = parse(&self.buffer[taken..]) {
            taken += size;
            match got.kind {
                HEADERS if got.payload.first() != Some(&0x88) => {
                    return Err("the server did not answer 200".into());
                }
                DATA => {
                    bytes += got.payload.len() as u64;
                    self.received += u32::try_from(got.payload.len())?;
                }
                SETTINGS if got.flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
                PING if got.flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, got.payload),
                RST_STREAM | GOAWAY => return Err("the server ended a stream".into()),
                _ => {}
            }
            let ends = matches!(got.kind, HEADERS | DATA) && got.flags & END_STREAM != 0;
            if let Some(since) = ends.then(|| self.under_way.remove(&got.stream)).flatten() {
                ended += 1;
                done(since.elapsed(), std::mem::take(&mut bytes));
            }
        }
        self.buffer.drain(..taken);
        if self.received > MOST / 2 {
            let more = std::mem::take(&mut self.received).to_be_bytes();
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &more);
        }
        Ok(ended)
    }
}

/// Appends a text as HPACK writes one without Huffman's code (RFC 7541 §5.2).
fn literal(out: &mut Vec<u8>, text: &[u8]) {
    assert!(text.len() < 127, "its length takes one byte");
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The frame at the beginning of `read`, and what it takes there; `None` while it is incomplete.
fn parse(read: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (head, rest) = read.split_first_chunk::<9>()?;
    let [a, b, c, kind, flags, stream @ ..] = *head;
    let size = u32::from_be_bytes([0, a, b, c]) as usize;
    let frame = Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(stream),
        payload: rest.get(..size)?,
    };
    Some((frame, 9 + size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mut out = Vec::new();
        frame(&mut out, DATA, END_STREAM, 7, b"body");
        let written = Frame {
            kind: DATA,
            flags: END_STREAM,
            stream: 7,
            payload: b"body",
        };
        assert_eq!(parse(&out), Some((written, 13)));
        assert_eq!(parse(&out[..12]), None);
        assert_eq!(parse(&out[..5]), None);
    }
}
