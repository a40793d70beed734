//! Where the frames of HTTP/2 begin and end (RFC 9113 §4.1), so far as it tells of heads, and of
//! requests that are refused.
//!
//! hyper tells of a request when its head is whole, and knows no time for that. A head may be in
//! many frames, and nothing else comes between them: so it is enough to look at their first bytes.
//! Nor does it tell of requests that are refused before they are known: those above the number that
//! a client may make at a time, those whose head is too large, and those that are no HTTP. So what
//! goes out is looked at, too.

use std::collections::VecDeque;

use super::limits::Limit;

/// What a client says first (RFC 9113 §3.4). It is a head, too.
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// RFC 9113 §7.
const PROTOCOL_ERROR: u8 = 1;
const STREAM_CLOSED: u8 = 5;
const REFUSED_STREAM: u8 = 7;

/// How a field begins whose name is `:status`, and whose value is none of the usual
/// (RFC 7541 §6.2.1 and Appendix A).
const STATUS: u8 = 0x48;

/// Of so many responses that have begun it is known that they have. Who resets a request is not
/// told of the end of its response.
const BEGUN: usize = 256;

/// The length, type, flags and stream of a frame.
const START: usize = 9;

/// Cuts what comes, or goes, into frames.
#[derive(Debug, Default)]
struct Frame {
    /// Its first bytes.
    first: [u8; START + 4],
    /// How many of it came.
    came: usize,
}

/// What came of a client's frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes of the preface.
    preface: usize,
    frame: Frame,
    /// A head has begun.
    in_head: bool,
    whole: usize,
}

/// The frames that go out.
#[derive(Debug, Default)]
pub(super) struct Sent {
    frame: Frame,
    /// The streams of responses that have begun, and not ended.
    begun: VecDeque<u32>,
    /// The last whose head was too large.
    too_large: u32,
}

impl Frame {
    /// Takes what is of this frame, of bytes that there are. Answers whether its start is whole since
    /// then, and whether all of it is.
    fn take(&mut self, bytes: &mut &[u8]) -> (bool, bool) {
        let had_start = self.came >= START;
        let end = match had_start {
            true => self.length(),
            false => START,
        };
        let (own, rest) = bytes.split_at(bytes.len().min(end - self.came));
        if let Some(to) = self.first.get_mut(self.came..) {
            let known = to.len().min(own.len());
            to[..known].copy_from_slice(&own[..known]);
        }
        self.came += own.len();
        *bytes = rest;
        let has_start = self.came >= START;
        let is_whole = has_start && self.came == self.length();
        if is_whole {
            self.came = 0;
        }
        (has_start && !had_start, is_whole)
    }

    /// Of all of it.
    fn length(&self) -> usize {
        let [high, middle, low] = [0, 1, 2].map(|at| usize::from(self.first[at]));
        START + (high << 16 | middle << 8 | low)
    }

    fn is_of_head(&self) -> bool {
        matches!(self.first[3], HEADERS | CONTINUATION)
    }

    fn stream(&self) -> u32 {
        let [_, _, _, _, _, a, b, c, d, ..] = self.first;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The first bytes of what is in it.
    fn payload(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.first;
        [a, b, c, d]
    }

    /// Whether a head has just one field. hyper says the date with each that it makes.
    fn is_one_field(&self) -> bool {
        let [first, length, ..] = self.payload();
        match self.length() - START {
            1 => true,
            others => first == STATUS && usize::from(length & 0x7f) + 2 == others,
        }
    }
}

impl Frames {
    /// These bytes came.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        let preface = bytes.len().min(PREFACE - self.preface);
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let (has_begun, is_whole) = self.frame.take(&mut bytes);
            if has_begun {
                self.in_head |= self.frame.is_of_head();
            }
            if is_whole && self.frame.is_of_head() && self.frame.first[4] & END_HEADERS != 0 {
                self.in_head = false;
                self.whole = self.whole.wrapping_add(1);
            }
        }
    }

    /// Whether a head has begun that is not whole.
    pub(super) fn is_in_head(&self) -> bool {
        self.in_head || (1..PREFACE).contains(&self.preface)
    }

    /// How many heads are whole.
    pub(super) fn heads(&self) -> usize {
        self.whole
    }
}

impl Sent {
    /// These bytes went out. Tells `met` of each request that they refuse.
    pub(super) fn refused(&mut self, mut bytes: &[u8], mut met: impl FnMut(Limit)) {
        while !bytes.is_empty() {
            let (_, is_whole) = self.frame.take(&mut bytes);
            if is_whole && let Some(limit) = self.refusal() {
                met(limit);
            }
        }
    }

    /// What the frame that is whole now says was too much.
    fn refusal(&mut self) -> Option<Limit> {
        let (frame, stream) = (&self.frame, self.frame.stream());
        let [_, _, _, kind, flags, ..] = frame.first;
        let ends = kind == RST_STREAM || flags & END_STREAM != 0;
        match kind {
            DATA if ends => {
                self.end(stream);
                None
            }
            HEADERS if ends => {
                // A response of one field is not hyper's: its parser says 431.
                let is_whole = !self.end(stream);
                (is_whole && self.frame.is_one_field()).then(|| {
                    self.too_large = stream;
                    Limit::Head
                })
            }
            HEADERS => {
                if !self.begun.contains(&stream) {
                    self.begun.truncate(BEGUN - 1);
                    self.begun.push_front(stream);
                }
                None
            }
            RST_STREAM => {
                let reason = frame.payload()[3];
                self.end(stream);
                match reason {
                    REFUSED_STREAM => Some(Limit::Streams),
                    PROTOCOL_ERROR | STREAM_CLOSED => {
                        (stream != self.too_large).then_some(Limit::Malformed)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The response of this stream goes no further. Answers whether it had begun.
    fn end(&mut self, stream: u32) -> bool {
        let at = self.begun.iter().position(|begun| *begun == stream);
        at.and_then(|at| self.begun.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + usize::from(length), 7);
        bytes
    }

    #[test]
    fn a_head_is_whole_with_the_last_of_its_frames_however_they_come() {
        // What comes, and whether a head has begun then, and how many are whole.
        let came = [
            (b"PRI * HTTP/2.0\r\n\r\nSM".to_vec(), true, 0),
            (b"\r\n\r\n".to_vec(), false, 0),
            (frame(4, 0, 0), false, 0),
            (frame(HEADERS, 0, 20), true, 0),
            (frame(CONTINUATION, 0, 0), true, 0),
            (frame(CONTINUATION, END_HEADERS, 3), false, 1),
            (frame(0, 4, 200), false, 1),
            (frame(HEADERS, END_HEADERS | 1, 1), false, 2),
            (frame(HEADERS, END_HEADERS, 20)[..15].to_vec(), true, 2),
        ];
        for size in [1, 2, 5, 9, 300] {
            let mut frames = Frames::default();
            assert!(!frames.is_in_head());
            for (bytes, in_head, heads) in &came {
                for piece in bytes.chunks(size) {
                    frames.read(piece);
                }
                let told = (frames.is_in_head(), frames.heads());
                assert_eq!(told, (*in_head, *heads), "{bytes:?} by {size}");
            }
        }
        let mut frames = Frames::default();
        let all: Vec<u8> = came.into_iter().flat_map(|(bytes, ..)| bytes).collect();
        frames.read(&all);
        assert_eq!((frames.is_in_head(), frames.heads()), (true, 2));
    }

    #[test]
    fn a_refusal_is_counted_once_however_it_goes_out() {
        let of = |stream: u8, kind: u8, flags: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).unwrap();
            let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
            bytes.extend(payload);
            bytes
        };
        let reset = |stream, reason| of(stream, RST_STREAM, 0, &[0, 0, 0, reason]);
        let (end, whole) = (END_STREAM | END_HEADERS, END_HEADERS);
        let all = [
            frame(DATA, 0, 30),
            reset(3, REFUSED_STREAM),
            // A response, with trailers of one field.
            of(5, HEADERS, whole, b"\x88\xbf"),
            of(5, DATA, 0, b"abcdef"),
            of(5, HEADERS, end, b"\xbe"),
            // One without a body.
            of(7, HEADERS, end, b"\x88\xbf"),
            // Heads that are too large, the second with a body to come.
            of(9, HEADERS, end, b"\x48\x83abc"),
            of(11, HEADERS, end, b"\xbe"),
            reset(11, PROTOCOL_ERROR),
            reset(13, PROTOCOL_ERROR),
            reset(15, 8),
            reset(17, REFUSED_STREAM),
        ]
        .concat();
        for size in [1, 2, 5, 9, 300] {
            let (mut sent, mut met) = (Sent::default(), Vec::new());
            for piece in all.chunks(size) {
                sent.refused(piece, |limit| met.push(format!("{limit:?}")));
            }
            assert_eq!(met, ["Streams", "Head", "Head", "Malformed", "Streams"]);
        }
    }

    #[test]
    fn what_has_begun_takes_no_room_without_end() {
        let mut sent = Sent::default();
        for stream in 0..2000u32 {
            let mut bytes = frame(HEADERS, END_HEADERS, 9);
            bytes[5..START].copy_from_slice(&stream.to_be_bytes());
            sent.refused(&bytes, |limit| panic!("{limit:?}"));
        }
        assert_eq!(sent.begun.len(), BEGUN);
    }
}
