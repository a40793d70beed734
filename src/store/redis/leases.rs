//! Leases: of all instances, one fetches a key while the others wait.
//!
//! A lease is a key of its own beside the record's, with an expiry: who dies with it makes the
//! others wait no longer than that. Who fetches for longer renews it, for a while. It is taken in the
//! same go as the lookup, by a script that sees whether there is a record, and before the record is
//! read: where it finds neither a record nor a lease, all that was fetched before is stored. Its
//! value tells the instance, and which of its leases it is; or nothing when each had better fetch for
//! itself for a while. What an instance has asked for and given up, as Redis hung, it takes over: it
//! does not wait for itself.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use tokio::{runtime::Handle, time::sleep};

use super::{
    Shared, Task,
    along::{ALONG, Along},
    scripts::{Event, Way},
};
use crate::{
    policy::Key,
    store::{Ask, codec, random, turn::Claimed},
};

/// How long a lease lasts that is not renewed, and so how long anybody waits for who has died, in
/// milliseconds.
const LASTS: i64 = 3000;

/// The pause between two renewals.
const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// How often it is renewed at the most: whoever fetches for longer than that may never end.
const RENEWALS: u32 = 30;

/// How long nobody waits for what was of no use to others, in milliseconds.
const IN_VAIN: i64 = 10_000;

/// Takes the lease where there is no record. Answers how many milliseconds another has it for, 0
/// if it is ours, and -1 if there is nothing to wait for; or where there is a mark, the same of the
/// variant that it leads to.
const TAKE: &str = r"
if ARGV[3] ~= '1' then
  local start = redis.pcall('GETRANGE', KEYS[1], 0, 5)
  if type(start) ~= 'string' then return {-1} end
  local kind = string.sub(start, 6, 6)
  if string.sub(start, 1, 5) == ARGV[4] and kind ~= 'G' then
    if kind ~= 'V' or not ARGV[5] then return {-1} end
    local is_read, found = pcall(along)
    return is_read and found or {-1}
  end
  if ARGV[3] == '0' then return {-1} end
end
local who = redis.call('GET', KEYS[2])
if who == '' then return {-1} end
local ours = not who or string.sub(who, 1, 8) == string.sub(ARGV[1], 1, 8)
if ours and who ~= ARGV[1] then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) end
if ours then return {0} end
return {math.max(redis.call('PTTL', KEYS[2]), 1)}";

/// Makes the lease last again, unless another has it by now.
const RENEW: &str = r"
local who = redis.call('GET', KEYS[1])
if who and who ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Ends the lease, and tells those who wait.
const END: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], '', 'PX', ARGV[2]) end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1";

/// A lease that the requests of this instance ask for. It ends when the last of them is done.
pub(in crate::store) struct Claim {
    shared: Arc<Shared>,
    key: Key,
    name: Bytes,
    token: Bytes,
    /// How often it was asked for, save where another has it.
    asked: AtomicI64,
    in_vain: AtomicBool,
    renewing: OnceLock<Task>,
}

/// Who has a lease.
#[derive(Clone, Default)]
pub(in crate::store) enum Holder {
    #[default]
    Nobody,
    Us,
    /// We have that of a variant.
    OfVariant(Arc<Claim>),
    /// For so long.
    Another(Duration),
}

impl Shared {
    /// The lease of a key, to be asked for.
    pub(in crate::store) fn claim(self: &Arc<Self>, key: &Key) -> Arc<Claim> {
        self.claims.get_or(key, || {
            let token = [self.sender(), random()].map(u64::to_be_bytes);
            Claim::new(self, key, token.concat().into())
        })
    }
}

impl Claim {
    fn new(shared: &Arc<Shared>, key: &Key, token: Bytes) -> Self {
        Claim {
            shared: Arc::clone(shared),
            key: key.clone(),
            name: shared.names.lease(key).into(),
            token,
            asked: AtomicI64::new(0),
            in_vain: AtomicBool::new(false),
            renewing: OnceLock::new(),
        }
    }

    /// The lease of another key, which is ours since this one was asked for.
    pub(super) fn also_of(&self, key: &Key) -> Arc<Claim> {
        let new = || Claim::new(&self.shared, key, self.token.clone());
        let claim = self.shared.claims.get_or(key, new);
        claim.asked.fetch_add(1, Ordering::AcqRel);
        claim
    }

    /// Asks for it, as part of a call, and for what may come [along](super::along).
    pub(super) async fn ask(
        &self,
        client: &WithOptions<Client>,
        ask: Ask,
        selecting: Vec<Value>,
    ) -> (Holder, Option<Along>) {
        let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
        let asks = match ask {
            Ask::Always => "1",
            Ask::IfMissing => "",
            Ask::Never => "0",
        };
        let mut args: Vec<Value> = vec![
            [ALONG, TAKE].concat().into(),
            2.into(),
            self.shared.names.record(&self.key).into(),
            self.name.clone().into(),
            self.token.clone().into(),
            LASTS.into(),
            asks.into(),
            codec::start().into(),
        ];
        args.extend(selecting);
        // Before the answer: who leaves until then may have it.
        self.asked.fetch_add(1, Ordering::AcqRel);
        let Ok(answer) = client.custom::<Vec<Value>, Value>(eval, args).await else {
            return (Holder::Nobody, None); // No reason to wait.
        };
        let left = answer.first().and_then(Value::as_u64);
        let along = Along::read(answer);
        let holder = match (left, &along) {
            (Some(0), None) => return (Holder::Us, None),
            (Some(left), None) => Holder::Another(Duration::from_millis(left)),
            (_, Some(_)) | (None, None) => Holder::Nobody,
        };
        self.asked.fetch_sub(1, Ordering::AcqRel);
        (holder, along)
    }

    /// Renews it from here on, as it is ours, until it ends.
    pub(in crate::store) fn keep(self: &Arc<Self>) {
        self.renewing.get_or_init(|| {
            let claim = Arc::downgrade(self);
            Task::of(&tokio::spawn(Claim::renew(claim)))
        });
    }

    async fn renew(claim: Weak<Claim>) {
        for _ in 0..RENEWALS {
            sleep(RENEWED_EVERY).await;
            let Some((shared, name, token)) = claim.upgrade().map(|claim| {
                let (name, token) = (claim.name.clone(), claim.token.clone());
                (Arc::clone(&claim.shared), name, token)
            }) else {
                return;
            };
            let args = vec![token.into(), LASTS.into()];
            let (within, script) = (shared.write_timeout(), RENEW.to_owned());
            let keys = vec![name.into()];
            let renewed = Way::Open.eval::<i64>(&shared.link, within, script, keys, args);
            // If it fails, it lasts for two more.
            if renewed.await.is_ok_and(|renewed| renewed == 0) {
                return;
            }
        }
    }
}

impl Claimed for Claim {
    fn is_in_vain(&self) {
        self.in_vain.store(true, Ordering::Release);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return; // It expires.
        };
        if self.asked.load(Ordering::Acquire) == 0 {
            return;
        }
        let keep: Value = match self.in_vain.load(Ordering::Acquire) {
            true => IN_VAIN.into(),
            false => "".into(),
        };
        let shared = Arc::clone(&self.shared);
        let message = Event::Landed.message(shared.sender(), self.key.as_str().as_bytes());
        let (name, token) = (self.name.clone(), self.token.clone());
        runtime.spawn(async move {
            let args = vec![token.into(), keep, shared.channel().into(), message.into()];
            let (within, script) = (shared.write_timeout(), END.to_owned());
            let keys = vec![name.into()];
            let ended = Way::Open.eval::<i64>(&shared.link, within, script, keys, args);
            ended.await // If it fails, the lease expires.
        });
    }
}
