//! The rest of a large body, in a value of its own.
//!
//! ```text
//!  0  token of the body: 16 hexadecimal digits
//! 16  the second chunk of the body, its checksum; the third, its checksum; …
//! ```
//!
//! The first chunk is in the record, with the token. A checksum is that of the token, the chunk's
//! number and the chunk: so that no chunk is taken for another, nor for that of another body.
//!
//! The record has a print of each other chunk, too: by these a chunk is known that comes from
//! somewhere else, when what is here is lost.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use sha2::{Digest as _, Sha256};

use super::{CHECKSUM, Damage};
use crate::store::reading::CHUNK;

/// The length of a token, as it is written.
const TOKEN: u64 = 16;

const SUM: u64 = CHECKSUM as u64;

/// The length of a print: enough of a SHA-256 that no two chunks ever have the same.
const PRINT: u64 = 16;

/// A body of more chunks has no prints: they would make the record too large.
const MOST_PRINTS: u64 = 8192;

/// Which body it is, of all that were ever stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Token(pub(in crate::store) u64);

impl Token {
    /// As it is written at the beginning of the value, and in names.
    pub(in crate::store) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    fn sum(self, number: u64, chunk: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.0.to_be_bytes());
        sum.update(&number.to_be_bytes());
        sum.update(chunk);
        sum.finalize()
    }
}

/// What a record tells of the rest of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Apart {
    pub(in crate::store) token: Token,
    /// The prints of all chunks but the first, one after another.
    pub(in crate::store) prints: Bytes,
}

impl Apart {
    /// What is to be told of these bytes, once all [prints were put](put_prints) in.
    pub(in crate::store) fn new(token: Token, prints: Vec<u8>) -> Self {
        Apart {
            token,
            prints: prints.into(),
        }
    }

    /// Whether these bytes are the chunk of this number, wherever they come from.
    pub(in crate::store) fn knows(&self, number: u64, chunk: &[u8]) -> bool {
        let place = print_place(number);
        self.prints.get(place) == Some(&print(chunk))
    }
}

fn print(chunk: &[u8]) -> [u8; PRINT as usize] {
    let mut print = [0; PRINT as usize];
    print.copy_from_slice(&Sha256::digest(chunk)[..PRINT as usize]);
    print
}

fn print_place(number: u64) -> Range<usize> {
    let begin = (number.saturating_sub(1) * PRINT) as usize;
    begin..begin + PRINT as usize
}

/// How many bytes the prints of a body of this length take.
pub(in crate::store) fn prints_size(length: u64) -> usize {
    match count(length).saturating_sub(1) {
        prints @ ..=MOST_PRINTS => (prints * PRINT) as usize,
        _ => 0,
    }
}

/// Puts in the prints of these chunks.
pub(in crate::store) fn put_prints(prints: &mut [u8], data: &[u8], numbers: Range<u64>) {
    for number in numbers {
        if let Some(place) = prints.get_mut(print_place(number)) {
            place.copy_from_slice(&print(chunk_of(data, number)));
        }
    }
}

/// Whether a body of this length has a rest.
pub(in crate::store) fn is_cut(length: u64) -> bool {
    length > CHUNK
}

/// How many chunks such a body has.
pub(in crate::store) fn count(length: u64) -> u64 {
    length.div_ceil(CHUNK)
}

/// How long the value is.
pub(in crate::store) fn size(length: u64) -> u64 {
    // What whoever wrote to the store says of a length may be anything.
    let chunks = count(length).saturating_sub(1);
    let rest = length.saturating_sub(CHUNK);
    rest.saturating_add(TOKEN + SUM * chunks)
}

/// Where in the value a chunk is, with its checksum.
pub(in crate::store) fn place(number: u64, length: u64) -> Range<u64> {
    let begin = |number: u64| TOKEN + (number - 1) * (CHUNK + SUM);
    begin(number)..begin(number + 1).min(size(length))
}

/// These chunks of a body as they are written, the token before the first of them.
pub(in crate::store) fn seal(token: Token, data: &[u8], numbers: Range<u64>) -> Bytes {
    let mut out =
        Vec::with_capacity(((CHUNK + SUM) * (numbers.end - numbers.start) + TOKEN) as usize);
    if numbers.start == 1 {
        out.extend_from_slice(token.text().as_bytes());
    }
    for number in numbers {
        let chunk = chunk_of(data, number);
        out.extend_from_slice(chunk);
        out.put_u32(token.sum(number, chunk));
    }
    out.into()
}

fn chunk_of(data: &[u8], number: u64) -> &[u8] {
    let begin = (number * CHUNK) as usize;
    &data[begin..data.len().min(begin + CHUNK as usize)]
}

/// The chunk in what was read at its place.
pub(in crate::store) fn open(
    token: Token,
    number: u64,
    length: u64,
    sealed: &Bytes,
) -> Result<Bytes, Damage> {
    let place = place(number, length);
    if sealed.len() as u64 != place.end - place.start {
        return Err(Damage::Length);
    }
    let (chunk, sum) = sealed.split_at(sealed.len() - CHECKSUM);
    if token.sum(number, chunk).to_be_bytes() != sum {
        return Err(Damage::Value("checksum"));
    }
    Ok(sealed.slice(..chunk.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Token = Token(1);

    #[test]
    fn what_is_sealed_is_opened_and_nothing_else() {
        for length in [CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 4 * CHUNK - 1] {
            let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let value = seal(ONE, &data, 1..count(length));
            assert_eq!(value.len() as u64, size(length));
            for number in 1..count(length) {
                let at = place(number, length);
                let sealed = value.slice(at.start as usize..at.end as usize);
                let chunk = open(ONE, number, length, &sealed).unwrap();
                let begin = (number * CHUNK) as usize;
                assert!(data[begin..].starts_with(&chunk));
                assert!(open(Token(2), number, length, &sealed).is_err());
                assert!(open(ONE, number + 1, length + CHUNK, &sealed).is_err());
                assert!(open(ONE, number, length, &sealed.slice(1..)).is_err());
                assert!(open(ONE, number, length, &Bytes::new()).is_err());
                let mut changed = sealed.to_vec();
                changed[chunk.len() / 2] ^= 1;
                assert!(open(ONE, number, length, &changed.into()).is_err());
            }
        }
    }

    #[test]
    fn a_value_is_the_same_written_at_once_or_in_pieces() {
        let length = 5 * CHUNK + 7;
        let data = vec![7; length as usize];
        let mut pieces = Vec::new();
        for number in 1..count(length) {
            pieces.extend_from_slice(&seal(ONE, &data, number..number + 1));
        }
        assert!(seal(ONE, &data, 1..count(length)) == pieces);
    }

    #[test]
    fn a_chunk_is_known_by_its_print_and_nothing_else_is() {
        let length = 3 * CHUNK + 7;
        let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let mut prints = vec![0; prints_size(length)];
        // As they are written: from the end on.
        put_prints(&mut prints, &data, 2..4);
        put_prints(&mut prints, &data, 1..2);
        let apart = Apart::new(ONE, prints);
        for number in 1..4 {
            let chunk = chunk_of(&data, number);
            assert!(apart.knows(number, chunk));
            let mut others = (1..5).filter(|&other| other != number);
            assert!(others.all(|other| !apart.knows(other, chunk)));
            assert!(!apart.knows(number, &chunk[1..]) && !apart.knows(number, b""));
            let mut changed = chunk.to_vec();
            changed[chunk.len() / 2] ^= 1;
            assert!(!apart.knows(number, &changed));
        }
    }

    #[test]
    fn what_is_too_large_for_prints_has_none() {
        let most = (MOST_PRINTS + 1) * CHUNK;
        assert_eq!(prints_size(most), (MOST_PRINTS * PRINT) as usize);
        assert_eq!((prints_size(most + 1), prints_size(u64::MAX)), (0, 0));
        put_prints(&mut [], &vec![0; 3 * CHUNK as usize], 1..3);
        assert!(!Apart::new(ONE, Vec::new()).knows(1, b""));
    }

    #[test]
    fn no_length_is_too_much() {
        assert!(size(u64::MAX) > CHUNK);
        assert_eq!((is_cut(CHUNK), is_cut(CHUNK + 1)), (false, true));
    }
}
