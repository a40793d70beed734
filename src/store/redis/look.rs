//! Reading what is under a key.

use std::sync::Arc;

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    interfaces::KeysInterface,
};
#[cfg(feature = "memory")]
use http::HeaderMap;

#[cfg(feature = "memory")]
use super::leases::{Claim, Holder};
use super::{
    LARGEST, Shared,
    journal::Reach,
    scripts::{self, Way},
};
#[cfg(feature = "memory")]
use crate::store::Ask;
use crate::{
    policy::Key,
    store::{
        Looked, Seen, StoreError,
        codec::{self, Damage},
    },
};

impl Shared {
    /// Reads what is under a key, and how far the journal is, in one go.
    pub(super) async fn look(self: &Arc<Self>, key: &Key) -> Result<Looked, StoreError> {
        let (looked, ()) = self.look_and(key, async |_| ()).await?;
        Ok(looked)
    }

    /// The same, and asks for a lease, and of the variant that these fields of a request select.
    #[cfg(feature = "memory")]
    pub(in super::super) async fn look_and_ask(
        self: &Arc<Self>,
        key: &Key,
        claim: &Claim,
        ask: Ask,
        fields: &HeaderMap,
    ) -> Result<(Looked, Holder), StoreError> {
        let selecting = match ask {
            Ask::Never | Ask::IfMissing => self.selecting(key, fields),
            Ask::Always => Vec::new(),
        };
        let asking = async |client: WithOptions<Client>| claim.ask(&client, ask, selecting).await;
        let (mut looked, (mut holder, along)) = self.look_and(key, asking).await?;
        if let Some(along) = along {
            let variant = along.key(key);
            if along.is_ours {
                holder = Holder::OfVariant(claim.also_of(&variant));
            }
            looked.variant = self.variant(variant, &along, looked.seen);
        }
        Ok((looked, holder))
    }

    /// The same, and something else before the record is read.
    async fn look_and<T, F: Future<Output = T>>(
        self: &Arc<Self>,
        key: &Key,
        before: impl FnOnce(WithOptions<Client>) -> F,
    ) -> Result<(Looked, T), StoreError> {
        let name = self.names.record(key);
        let body = self.names.body(key);
        let journal = self.journal_name();
        let at = self.clock.instant();
        let known = self.journal.number();
        let _turn = self.link.turn()?;
        let found = self.link.call(self.config.timeout, async |client| {
            // The journal comes first: what it does not tell of was purged after this began.
            let (reach, before, size, bytes) = tokio::join!(
                Reach::ask(&client, journal),
                before(client.clone()),
                Shared::body_size(&client, body),
                // A range, so that a huge value that somebody put there is not fetched: it comes
                // cut, and does not decode.
                client.getrange::<Bytes, _>(name, 0, LARGEST as usize)
            );
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) if scripts::is_wrong_type(&error) => Bytes::new(),
                Err(error) => return Err(error),
            };
            Ok((reach?, before, size?, bytes))
        });
        let (reach, before, size, bytes) = found.await?;
        let number = match reach {
            Some(reach) if reach.number >= known => {
                if reach.number > self.journal.number() {
                    self.catch_up(reach).await?;
                }
                reach.number
            }
            // The journal is lost, and with it what it told of records.
            _ => {
                self.beat(Way::Open, None).await?;
                self.journal.number()
            }
        };
        let opening = codec::opening_in(&bytes).ok();
        let mut nonce = opening.map_or(0, |opening| opening.nonce);
        let rest = |id, apart, length| self.rest(key, (id, apart, length), size);
        let record = match (codec::decode(key, &bytes, rest), opening) {
            (Ok(record), Some(opening)) => {
                let holds = self.journal.holds(key, record.head(), opening.number, None);
                holds.then_some(record)
            }
            // Evicted, or replaced in this moment.
            (Err(Damage::Rest), _) => None,
            // Damaged: what it tells would keep others from replacing it.
            (Err(_), Some(opening)) if !opening.is_gone() => {
                nonce = self.remove(Way::Open, key).await?.1;
                None
            }
            _ => None,
        };
        let seen = Seen {
            number,
            nonce,
            session: 0,
            at: Some(at),
        };
        let looked = Looked {
            record,
            seen,
            variant: None,
        };
        Ok((looked, before))
    }
}
