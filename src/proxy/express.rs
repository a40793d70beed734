//! Hits, answered before hyper reads their requests.
//!
//! A client asks again and again with the same fields, and changes the target alone. hyper reads
//! each head anew, all the same, and writes each response field by field: with all that it does
//! for a request, that is most of what a small hit costs. So [`Express`], which sees what comes
//! before hyper does, remembers the head of the last request that [`Front`] answered, as it came
//! and as hyper understood it. What comes next, is whole, and differs in its target at most, is
//! understood without hyper, and answered by the same [`Front`] from the same cache. Everything
//! else is hyper's, which knows nothing of what was answered before it.
//!
//! Where a request begins is known only as long as nothing but whole heads came, each by itself
//! and without content, and each was answered before the next one came. [`Line`] tells whether
//! that is so. A client that sends content, a head in pieces, or several at a time, is left to
//! hyper from then on: nobody's content is ever taken for a request.

mod known;
mod line;
#[cfg(test)]
mod tests;

use std::mem;

use self::known::{Known, is_head};
pub(super) use self::line::{Due, Line};
use super::{front::Front, patience::Answering, unsent::Unsent};

/// Answers some requests of a connection in HTTP/1 before they are read from it.
#[derive(Debug)]
pub(super) struct Express {
    front: Option<Front>,
    answering: Answering,
    line: Line,
    /// Bytes that a head may take.
    most: usize,
    known: Option<Known>,
    /// hyper has read something since that was known.
    passed: bool,
}

// === impl Express ===

impl Express {
    /// For a connection whose requests hyper hands to what has the same `front`, `answering` and
    /// `line` unless their heads take more than `most` bytes.
    pub(super) fn new(
        (front, answering, line): (Option<Front>, Answering, Line),
        most: usize,
    ) -> Self {
        Express {
            front,
            answering,
            line,
            most,
            known: None,
            passed: false,
        }
    }

    /// Whether what came is a request that is answered now.
    pub(super) fn answer(&mut self, came: &[u8], unsent: &mut Unsent) -> bool {
        let Some(front) = &self.front else {
            return false;
        };
        if !self.line.is_idle() || came.len() > self.most || unsent.is_much() {
            return false;
        }
        if mem::take(&mut self.passed) {
            self.known = self.line.known().or(self.known.take());
        }
        let head = self.known.as_mut().and_then(|known| known.understand(came));
        let answered = head.is_some_and(|head| front.write(head, unsent));
        if answered {
            self.answering.came();
        }
        answered
    }

    /// What came is hyper's to read.
    pub(super) fn pass(&mut self, came: &[u8]) {
        if came.is_empty() || self.front.is_none() {
            return;
        }
        if !self.line.is_idle() || !is_head(came) {
            self.line.lose();
            self.known = None;
            return;
        }
        self.line.read(came);
        self.passed = true;
    }

    /// All that was written is sent.
    pub(super) fn sent(&self) {
        self.line.sent();
    }
}
