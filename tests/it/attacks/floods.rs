//! HTTP/2, frame by frame: the limits that its settings tell, and frames that are of no use.

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::limits::counted;
use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    script::respond,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;

/// Of a head: `:method GET`, `:scheme http`, `:path /`, `:authority h`; and the same of a POST.
const GET: &[u8] = b"\x82\x86\x84\x41\x01h";
const POST: &[u8] = b"\x83\x86\x84\x41\x01h";

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The number that it begins with.
    fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// What a frame of settings says of this one.
    fn setting(&self, name: u16) -> Option<u32> {
        let mut settings = self.payload.chunks(6);
        let told = settings.find(|setting| setting[..2] == name.to_be_bytes())?;
        Some(u32::from_be_bytes(told[2..].try_into().unwrap()))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A client that says what it likes.
struct Client(TcpStream);

impl Client {
    async fn of(larder: &Larder) -> Self {
        let mut client = Client(TcpStream::connect(larder.address).await.unwrap());
        client.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.say(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    async fn say(&mut self, bytes: &[u8]) {
        // It may be closed by now: what was heard tells.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame, if there is one.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        soon(self.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    /// The next of this kind.
    async fn hear(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("it is closed");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads until it is closed, in good order or not.
    async fn hear_out(mut self) -> Vec<Frame> {
        let mut heard = Vec::new();
        while let Some(frame) = self.next().await {
            heard.push(frame);
        }
        heard
    }
}

/// An origin that answers when it has read all.
async fn reading() -> Origin {
    Origin::serving(|_, request| async {
        let _ = request.into_body().collect().await;
        respond(200, &[], "read")
    })
    .await
}

/// Says the same again and again, until the connection is closed. Others are served meanwhile.
async fn floods_until_closed(larder: &Larder, mut client: Client, again: &[u8]) {
    let many = again.repeat(64 * 1024 / again.len());
    let mut closed = false;
    for _ in 0..1000 {
        if client.0.write_all(&many).await.is_err() {
            closed = true;
            break;
        }
        let mut heard = [0; 4096];
        while let Ok(count) = client.0.try_read(&mut heard) {
            closed |= count == 0;
            if closed {
                break;
            }
        }
        assert_eq!(larder.get("/healthz").await.status, 200);
        if closed {
            break;
        }
    }
    assert!(closed, "64 MB went in");
}

#[tokio::test]
async fn a_client_is_told_what_the_flags_say() {
    let flags = ["--h2-streams=3", "--h2-window=70000", "--max-head=9000"];
    let larder = Larder::start(&flags).await;
    let settings = Client::of(&larder).await.hear(SETTINGS).await;
    let told = [3, 4, 6].map(|name| settings.setting(name));
    assert_eq!(told, [Some(3), Some(70_000), Some(9000)]);
}

#[tokio::test]
async fn no_more_streams_than_the_flag_says() {
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &["--h2-streams=2"]).await;
    let mut client = Client::of(&larder).await;
    client.hear(SETTINGS).await;
    // Their bodies are yet to come.
    for stream in [1, 3, 5] {
        client.say(&frame(HEADERS, END_HEADERS, stream, POST)).await;
    }
    let refused = client.hear(RST_STREAM).await;
    assert_eq!((refused.stream, refused.number()), (5, REFUSED_STREAM));
    counted(&larder, "refused_streams", 1).await;
    for stream in [1, 3] {
        client.say(&frame(DATA, END_STREAM, stream, b"x")).await;
        client.hear(HEADERS).await;
    }
    client
        .say(&frame(HEADERS, END_HEADERS | END_STREAM, 7, GET))
        .await;
    assert_eq!(client.hear(HEADERS).await.stream, 7);
}

#[tokio::test]
async fn no_more_unread_bytes_than_the_flag_says() {
    let origin = Origin::serving(|_, _| async {
        std::future::pending::<()>().await;
        respond(200, &[], "")
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--h2-window=20000"]).await;
    let mut client = Client::of(&larder).await;
    client.hear(SETTINGS).await;
    client.say(&frame(HEADERS, END_HEADERS, 1, POST)).await;
    // Pieces that nobody has room for: in sum, they are more than the window many times.
    let piece = frame(DATA, 0, 1, &[0; 16_000]);
    for _ in 0..1000 {
        client.say(&piece).await;
    }
    let heard = client.hear_out().await;
    let is_over = |frame: &&Frame| matches!(frame.kind, GOAWAY | RST_STREAM);
    assert!(heard.iter().find(is_over).is_some() || heard.is_empty());
    counted(&larder, "refused_floods", 1).await;
}

#[tokio::test]
async fn no_more_resets_than_the_flag_says() {
    for (flag, ends) in [("--h2-resets=5", true), ("--h2-resets=400", false)] {
        let larder = Larder::start(&[flag]).await;
        let mut client = Client::of(&larder).await;
        client.hear(SETTINGS).await;
        let mut resets = Vec::new();
        for stream in (1..200).step_by(2) {
            resets.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
            resets.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        }
        client.say(&resets).await;
        client.say(&frame(PING, 0, 0, &[7; 8])).await;
        let answered = loop {
            match client.next().await {
                Some(frame) if frame.kind == PING => break true,
                Some(_) => {}
                None => break false,
            }
        };
        assert_eq!(answered, !ends, "{flag}");
        if ends {
            counted(&larder, "refused_floods", 1).await;
        }
    }
}

/// A client that has larder reset its streams (CVE-2025-8671).
#[tokio::test]
async fn resets_that_a_client_provokes_end_the_connection() {
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let mut client = Client::of(&larder).await;
    client.hear(SETTINGS).await;
    let mut provoked = Vec::new();
    for stream in (1..2000).step_by(2) {
        provoked.extend(frame(HEADERS, END_HEADERS, stream, POST));
        // No window is as large.
        provoked.extend(frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
    }
    client.say(&provoked).await;
    client.hear_out().await;
    counted(&larder, "refused_floods", 1).await;
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_ends_the_connection() {
    let larder = Larder::start(&[]).await;
    let mut client = Client::of(&larder).await;
    client.say(&frame(HEADERS, END_STREAM, 1, GET)).await;
    // A field that is in no table, again and again: a name and a value of one byte.
    let more = frame(CONTINUATION, 0, 1, b"\0\x01x\x01y");
    floods_until_closed(&larder, client, &more).await;
    let mut empty = Client::of(&larder).await;
    empty.say(&frame(HEADERS, END_STREAM, 1, GET)).await;
    floods_until_closed(&larder, empty, &frame(CONTINUATION, 0, 1, &[])).await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let larder = Larder::start(&["--header-timeout=0.2"]).await;
    let mut client = Client::of(&larder).await;
    client.hear(SETTINGS).await;
    // What was answered before does not matter, nor do the pieces of a head.
    let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET);
    client.say(&get).await;
    client.hear(HEADERS).await;
    client.say(&frame(HEADERS, END_STREAM, 3, GET)).await;
    client
        .say(&frame(CONTINUATION, 0, 3, b"\0\x01x\x01y"))
        .await;
    client.hear_out().await;
    counted(&larder, "refused_slow_heads", 1).await;
}

#[tokio::test]
async fn who_is_silent_is_no_slow_reader() {
    let flags = ["--idle-timeout=0.2", "--timeout=0.2", "--ttl=60"];
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &flags).await;
    larder.until_hit("/").await;
    for (asks, closed) in [(0, 1), (1, 2), (3, 3)] {
        let mut client = Client::of(&larder).await;
        for stream in (1..).step_by(2).take(asks) {
            client
                .say(&frame(HEADERS, END_HEADERS | END_STREAM, stream, GET))
                .await;
            client.hear(DATA).await;
        }
        client.hear_out().await;
        counted(&larder, "closed_idle", closed).await;
        let figures = larder.get("/metrics").await.json();
        assert_eq!(figures["metrics"]["refused_slow_readers"], 0, "{asks}");
    }
}

/// What is said takes no room, and what is answered to it is bounded.
#[tokio::test]
async fn frames_of_no_use_take_no_memory_and_end() {
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &["--timeout=1"]).await;
    // Pings and settings whose answers nobody reads.
    for again in [
        frame(PING, 0, 0, &[1; 8]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
    ] {
        let mut client = Client::of(&larder).await;
        let many = again.repeat(64 * 1024 / again.len());
        let unread = async { while client.0.write_all(&many).await.is_ok() {} };
        soon(unread).await;
        assert_eq!(larder.get("/healthz").await.status, 200);
    }
    // Pieces of a body that are empty: they are no pieces.
    let mut client = Client::of(&larder).await;
    client.say(&frame(HEADERS, END_HEADERS, 1, POST)).await;
    floods_until_closed(&larder, client, &frame(DATA, 0, 1, &[])).await;
    counted(&larder, "refused_floods", 1).await;
}

#[tokio::test]
async fn a_head_above_the_flag_is_a_431_that_counts() {
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &["--max-head=1KiB"]).await;
    let mut client = Client::of(&larder).await;
    client.hear(SETTINGS).await;
    // A field that is in no table, with a value of 2 KiB (RFC 7541 §6.2.2 and §5.1).
    let large = [b"\0\x01x\x7f\x81\x0f".as_slice(), &[b'y'; 2048]].concat();
    for (stream, start, flags) in [
        (1, GET, END_HEADERS | END_STREAM),
        (3, POST, END_HEADERS),
        (5, GET, END_HEADERS | END_STREAM),
    ] {
        let head = [start, &large].concat();
        client.say(&frame(HEADERS, flags, stream, &head)).await;
        let answer = client.hear(HEADERS).await;
        assert_eq!((answer.stream, answer.flags & END_STREAM), (stream, 1));
    }
    // One that is not too large, on the same connection.
    let get = frame(HEADERS, END_HEADERS | END_STREAM, 7, GET);
    client.say(&get).await;
    client.hear(DATA).await;
    counted(&larder, "refused_heads", 3).await;
    let figures = larder.get("/metrics").await.json();
    let metrics = &figures["metrics"];
    assert_eq!(metrics["refused_heads"], 3, "{metrics}");
    assert_eq!(metrics["refused_malformed"], 0, "{metrics}");
}

/// RFC 9113 §5.1, §6.9 and §8.1.1: the stream ends, and others are served, or the connection ends.
#[tokio::test]
async fn what_is_no_http_ends_and_counts() {
    let origin = reading().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let get = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
    let head = |more: &[u8]| {
        let head = [GET, more].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)
    };
    let post = frame(HEADERS, END_HEADERS, 1, POST);
    let after = |frames: &[u8], more: Vec<u8>| [frames, &more].concat();
    let (mut resets, mut closings) = (0, 0);
    for (what, frames) in [
        ("an upper-case name", head(b"\0\x01X\x01y")),
        ("Connection", head(b"\0\x0aconnection\x05close")),
        ("a second :method", head(b"\x82")),
        ("a pseudo-field after others", head(b"\0\x01x\x01y\x84")),
        ("no :path", frame(HEADERS, 5, 1, b"\x82\x86\x41\x01h")),
        ("an unknown pseudo-field", head(b"\0\x02:x\x01y")),
        ("two lengths", head(b"\x0f\x0d\x011\x0f\x0d\x012")),
        ("a length, and no content", head(b"\x0f\x0d\x011")),
        (
            "more content than its length",
            after(
                &frame(HEADERS, END_HEADERS, 1, &[POST, b"\x0f\x0d\x011"].concat()),
                frame(DATA, END_STREAM, 1, b"xy"),
            ),
        ),
        (
            "content after the end",
            after(&get(1), frame(DATA, END_STREAM, 1, b"x")),
        ),
        ("a head after the end", after(&get(1), get(1))),
        (
            "a window that grows by nothing",
            after(&post, frame(WINDOW_UPDATE, 0, 1, &[0; 4])),
        ),
        (
            "a window for all that grows by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        ("an even stream", get(2)),
        ("a lower stream", after(&get(3), get(1))),
        ("content of no request", frame(DATA, 0, 1, b"x")),
        ("content of no stream", frame(DATA, 0, 0, b"x")),
        (
            "a reset of no request",
            frame(RST_STREAM, 0, 9, &[0, 0, 0, 8]),
        ),
        (
            "a short reset",
            after(&post, frame(RST_STREAM, 0, 1, &[0; 3])),
        ),
        ("a short ping", frame(PING, 0, 0, &[0; 7])),
        ("settings of half a setting", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a frame above the size", frame(DATA, 0, 1, &[0; 16_385])),
        ("fields that are in no table", head(b"\xff\xff\xff\x0f")),
        (
            "another frame within a head",
            after(&frame(HEADERS, END_STREAM, 1, GET), get(3)),
        ),
        (
            "a promise",
            frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], GET].concat()),
        ),
    ] {
        let mut client = Client::of(&larder).await;
        client.hear(SETTINGS).await;
        client.say(&frames).await;
        let ended = loop {
            match client.next().await {
                Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => break Some(frame.kind),
                Some(frame) => assert_ne!(frame.kind, PING, "{what}: went on"),
                None => break None,
            }
        };
        match ended {
            Some(RST_STREAM) => {
                resets += 1;
                client.say(&get(11)).await;
                while client.hear(HEADERS).await.stream != 11 {}
            }
            _ => closings += 1,
        }
        counted(&larder, "refused_malformed", resets + closings).await;
        assert_eq!(larder.get("/healthz").await.status, 200, "{what}");
    }
    assert!(resets > 5 && closings > 5, "{resets} {closings}");
    let figures = larder.get("/metrics").await.json();
    let count = &figures["metrics"]["refused_malformed"];
    assert_eq!(count.as_u64(), Some(resets + closings), "each once");
}
