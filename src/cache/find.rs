//! Finding what is stored for a request.

use std::sync::Arc;

use http::request;

use super::{core::Core, patience::Patience};
use crate::{
    outcome::Forward,
    policy::{Digest, Key, Vary},
    store::{Ask, Entry, Looked, Record, Seen, Store, Turn},
};

/// What a look into the store found.
pub(super) struct Found {
    /// The mark that the URI has variants.
    pub(super) marker: Option<Arc<Vary>>,
    /// The key of the request's variant, where there are variants, or will be.
    pub(super) variant: Option<Key>,
    /// The stored response that matches the request, fresh or not.
    pub(super) entry: Option<Entry>,
    /// A part of the response that matches the request: what it can answer is for who asks for
    /// no more.
    pub(super) part: Option<Entry>,
    /// The variants differ by what is asked, and not by fields alone.
    pub(super) is_query: bool,
    /// What is known of the key, for who stores something there.
    pub(super) seen: Seen,
    /// The same of the variant's key.
    pub(super) variant_seen: Seen,
    /// Where others share the store: who is to fetch what was not found.
    pub(super) turn: Turn,
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a Key,
    /// A mark that may not be in the store yet; it counts where it tells more than the one that is.
    pub(super) hint: Option<&'a Arc<Vary>>,
    pub(super) req: &'a request::Parts,
    pub(super) asking: Asking<'a>,
}

/// Whether a lookup asks, too, who is to fetch: of all who share the store, one is enough.
#[derive(Clone, Copy)]
pub(super) enum Asking<'a> {
    Nobody,
    /// Where nothing is found.
    Others,
    /// And whatever is found under this key.
    About(&'a Key),
}

impl Found {
    /// Nobody looked.
    pub(super) const NOTHING: Found = Found {
        marker: None,
        variant: None,
        entry: None,
        part: None,
        is_query: false,
        seen: Seen::NOTHING,
        variant_seen: Seen::NOTHING,
        turn: Turn::Free,
    };

    /// The whole, or the part of it, that is stored.
    pub(super) fn with(
        marker: Option<Arc<Vary>>,
        variant: Option<Key>,
        entry: Option<Entry>,
    ) -> Self {
        let (part, entry) = match entry {
            Some(entry) if entry.head.part().is_some() => (Some(entry), None),
            entry => (None, entry),
        };
        Found {
            marker,
            variant,
            entry,
            part,
            ..Found::NOTHING
        }
    }

    /// Passes over bodies that are to be read from the store yet.
    pub(super) fn at_hand(mut self) -> Self {
        let is_elsewhere = |entry: &mut Entry| entry.body.data().is_none();
        self.entry.take_if(is_elsewhere);
        self.part.take_if(is_elsewhere);
        self
    }

    /// There is no response for the request, nor a part of one.
    pub(super) fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.part.is_none()
    }

    /// Why the request is forwarded if there is no entry.
    pub(super) fn miss(&self) -> Forward {
        match self.marker {
            Some(_) if self.is_query => Forward::Miss,
            Some(_) => Forward::VaryMiss,
            None => Forward::UriMiss,
        }
    }
}

// === impl Core ===

impl<S: Store> Core<S> {
    /// Looks for the response to a request. A store that fails has found nothing.
    pub(super) async fn find(&self, wanted: Wanted<'_>, patience: &mut Patience) -> Found {
        let Wanted {
            key,
            hint,
            req,
            asking,
        } = wanted;
        let is_query = Digest::of(req).is_some();
        let of_all = match is_query {
            true => Asking::Nobody, // They differ.
            false => asking,
        };
        let (looked, mut turn) = self.look(key, of_all, req, patience).await;
        let Looked {
            record,
            seen,
            variant: along,
        } = looked;
        let marker = match record {
            Some(Record::Response(entry)) if !is_query => {
                let found = Found::with(None, None, Some(entry));
                return Found {
                    seen,
                    turn,
                    ..found
                };
            }
            Some(Record::Vary(marker)) => match hint {
                Some(hint) if !marker.fields.covers(&hint.fields) => Some(Arc::clone(hint)),
                _ => Some(marker),
            },
            _ => hint.cloned(),
        };
        let variant = marker.as_ref().map(|marker| marker.key(key, req));
        let is_asked = |along: &(Key, Looked)| match asking {
            // Whose turn it is, is asked of this one, and with the mark it was not.
            Asking::About(about) if *about == along.0 => false,
            _ => variant.as_ref() == Some(&along.0),
        };
        let along = along.filter(|along| is_asked(along));
        let of_variant = match (&variant, along) {
            (Some(_), Some(along)) => along.1,
            (Some(variant), None) => {
                let (looked, its_turn) = self.look(variant, asking, req, patience).await;
                turn = its_turn;
                looked
            }
            (None, _) => Looked::default(),
        };
        let entry = match of_variant.record {
            Some(Record::Response(entry)) => Some(entry),
            _ => None,
        };
        // Who asks something else of the URI is not to be waited for.
        let unknown = variant.is_none() && is_query;
        let variant = match unknown {
            true => Some(Vary::unknown().key(key, req)),
            false => variant,
        };
        let variant_seen = match unknown {
            true => seen.elsewhere(),
            false => of_variant.seen,
        };
        Found {
            is_query,
            seen,
            variant_seen,
            turn,
            ..Found::with(marker, variant, entry)
        }
    }

    async fn look(
        &self,
        key: &Key,
        asking: Asking<'_>,
        req: &request::Parts,
        patience: &mut Patience,
    ) -> (Looked, Turn) {
        let ask = match asking {
            Asking::Nobody => Ask::Never,
            Asking::About(about) if about == key => Ask::Always,
            Asking::Others | Asking::About(_) => Ask::IfMissing,
        };
        let look = self.store.get_or_turn(key, ask, &req.headers);
        patience.wait(look).await.unwrap_or_default()
    }
}
