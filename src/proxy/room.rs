//! The room that all bodies which `/proxy` holds take together: each is held whole, from when it
//! is received until the last of it is sent.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::{
    error::ApiError,
    limits::{Bounds, Limit},
};
use crate::cache::budget::{Budget, Share};

/// So many bytes. Clones are one and the same.
#[derive(Clone, Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    bounds: Bounds,
}

/// What one body takes of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    share: Share,
    size: u64,
    bounds: Bounds,
}

/// Bytes that have a place.
struct Placed {
    bytes: Bytes,
    _place: Place,
}

impl Room {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Room {
            budget: Budget::new(bounds.limits.envelopes),
            bounds: bounds.clone(),
        }
    }

    /// A place of no size yet.
    pub(super) fn place(&self) -> Place {
        Place {
            share: self.budget.share(),
            size: 0,
            bounds: self.bounds.clone(),
        }
    }
}

impl Place {
    /// Makes it at least so large, if there is room.
    pub(super) fn grow(&mut self, size: u64) -> Result<(), ApiError> {
        let more = size.saturating_sub(self.size);
        if more > 0 && !self.share.take(more) {
            self.bounds.met(Limit::Envelopes);
            return Err(full());
        }
        self.size += more;
        Ok(())
    }

    /// `bytes`, which have this place for as long as they are anywhere: hyper keeps them after it
    /// has dropped their body.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        match self.size {
            0 => bytes,
            _ => Bytes::from_owner(Placed {
                bytes,
                _place: self,
            }),
        }
    }
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn full() -> ApiError {
    ApiError::later(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_envelopes",
        "larder holds as much for /proxy as it may (--max-envelopes). Ask again a little later.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::limits::Limits;

    #[test]
    fn a_place_is_taken_until_the_last_of_the_bytes_is_gone() {
        let limits = Limits {
            envelopes: 10,
            ..Limits::default()
        };
        let room = Room::new(&Bounds::new(limits, Default::default()));
        let mut place = room.place();
        assert!(place.grow(6).is_ok() && place.grow(4).is_ok() && place.grow(8).is_ok());
        let error = room.place().grow(3).unwrap_err();
        assert_eq!(error.code, "too_many_envelopes");
        assert_eq!(error.into_response().headers()["retry-after"], "1");
        let mut held = place.hold(Bytes::from_static(b"12345678"));
        let end = held.split_off(7);
        drop(held);
        assert!(room.place().grow(3).is_err());
        assert_eq!(end, "8");
        drop(end);
        assert!(room.place().grow(10).is_ok());
    }
}
