//! Where the frames of HTTP/2 begin and end (RFC 9113 §4.1), so far as it tells of heads, and of
//! requests that are refused.
//!
//! hyper tells of a request when its head is whole, and knows no time for that. A head may be in
//! many frames, and nothing else comes between them: so it is enough to look at their first bytes.
//! Nor does it tell of requests above the number that a client may make at a time: so what goes out
//! is looked at, too.

/// What a client says first (RFC 9113 §3.4). It is a head, too.
const PREFACE: usize = 24;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

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
pub(super) struct Sent(Frame);

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
    /// These bytes went out. Answers how many requests they refuse.
    pub(super) fn refused(&mut self, mut bytes: &[u8]) -> usize {
        let mut refused = 0;
        while !bytes.is_empty() {
            let (_, is_whole) = self.0.take(&mut bytes);
            let first = &self.0.first;
            let is_refusal = first[3] == RST_STREAM && first[START..] == REFUSED_STREAM;
            refused += usize::from(is_whole && is_refusal);
        }
        refused
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
        let mut refusal = frame(RST_STREAM, 0, 4);
        refusal[START..].copy_from_slice(&REFUSED_STREAM);
        let all = [
            frame(0, 0, 30),
            refusal.clone(),
            frame(RST_STREAM, 0, 4),
            frame(HEADERS, 4, 0),
            refusal,
        ]
        .concat();
        for size in [1, 2, 5, 9, 300] {
            let mut sent = Sent::default();
            let refused = all.chunks(size).map(|piece| sent.refused(piece));
            assert_eq!(refused.sum::<usize>(), 2, "by {size}");
        }
    }
}
