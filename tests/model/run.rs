//! Runs a history through the cache and the reference side by side.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use larder::{
    cache::{Cache, CacheHandle, CacheLayer, Manner, Purge},
    clock::Clock,
    policy::{Key, Policy},
    store::MemoryStore,
};
use tower::{Layer, ServiceExt};

use crate::{
    fields::{Fields, seconds},
    history::{Ask, History, Purging, Recipe, Settings, Step, Ttl, URLS},
    origin::{Origin, render},
    reference::{Reference, Seen, Told},
};

/// What the cache and the reference do not agree on.
#[derive(Debug)]
pub(crate) struct Divergence {
    /// At which step.
    pub(crate) step: usize,
    pub(crate) what: String,
}

struct Run {
    clock: Clock,
    origin: Origin,
    service: Cache<Origin, MemoryStore>,
    handle: CacheHandle<MemoryStore>,
    reference: Reference,
    /// The entity tag that was last seen of each URL.
    tags: [String; URLS.len()],
}

pub(crate) async fn run(history: &History) -> Result<(), Divergence> {
    let start: SystemTime = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let clock = Clock::virtual_from(start);
    let origin = Origin::new(clock);
    let layer = CacheLayer::builder(MemoryStore::new(64 << 20))
        .policy(policy(history.settings))
        .clock(clock)
        .build()
        .copy_bodies(|_: &Empty<Bytes>| Some(Empty::new()));
    let mut run = Run {
        clock,
        service: layer.layer(origin.clone()),
        handle: layer.handle(),
        origin,
        reference: Reference::new(history.settings),
        tags: Default::default(),
    };
    for (step, what) in history.steps.iter().enumerate() {
        run.step(what)
            .await
            .map_err(|what| Divergence { step, what })?;
    }
    Ok(())
}

fn policy(settings: Settings) -> Policy {
    let mut policy = match settings.ttl {
        Ttl::Unset => Policy::default(),
        Ttl::Origin => Policy::origin(),
        Ttl::Seconds(ttl) => Policy::ttl(Duration::from_secs(ttl as u64)),
    };
    if let Some(window) = settings.stale_while_revalidate {
        policy = policy.default_stale_while_revalidate(Duration::from_secs(window as u64));
    }
    if let Some(window) = settings.stale_if_error {
        policy = policy.default_stale_if_error(Duration::from_secs(window as u64));
    }
    policy
}

impl Run {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Wait(seconds) => tokio::time::advance(Duration::from_secs(*seconds)).await,
            Step::Purge(purging, soft) => self.purge(*purging, *soft).await,
            Step::Ask(ask, recipe) => {
                let now = seconds(self.clock.now());
                let ask = self.rendered(ask, now);
                let seen = self.ask(&ask, recipe, now).await;
                let checked = self.reference.check(URLS[ask.url], &ask, &seen);
                return checked.map_err(|what| format!("{what}\n{ask:?}\n{seen:?}"));
            }
        }
        Ok(())
    }

    fn rendered(&self, ask: &Ask, now: i64) -> Ask {
        let mut fields = Fields::default();
        for (name, value) in &ask.fields.0 {
            fields.add(name, render(value, now, &self.tags[ask.url]));
        }
        Ask {
            fields,
            ..ask.clone()
        }
    }

    async fn ask(&mut self, ask: &Ask, recipe: &Recipe, at: i64) -> Seen {
        self.origin.prepare(recipe);
        let mut req = Request::builder().method(ask.method).uri(URLS[ask.url]);
        for (name, value) in &ask.fields.0 {
            req = req.header(name, value);
        }
        let res = self
            .service
            .clone()
            .oneshot(req.body(Empty::<Bytes>::new()).unwrap());
        let told = match res.await {
            Err(_) => None,
            Ok(res) => {
                let (parts, body) = res.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                Some(Told {
                    status: parts.status.as_u16(),
                    fields: Fields::of(&parts.headers),
                    body,
                })
            }
        };
        self.settle().await;
        let tag = told.as_ref().and_then(|told| told.fields.first("etag"));
        if let Some(tag) = tag {
            self.tags[ask.url] = tag.to_owned();
        }
        Seen {
            at,
            calls: self.origin.take_calls(),
            told,
        }
    }

    /// Until what goes on behind the client's back is done.
    async fn settle(&self) {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        while !self.origin.is_idle() || self.handle.flights() > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn purge(&mut self, purging: Purging, soft: bool) {
        let key = |at: usize| Key::of_uri(&URLS[at].parse().unwrap());
        let purge = match purging {
            Purging::All => Purge::All,
            Purging::Url(at) => Purge::Uri(key(at)),
            Purging::Below(at) => Purge::Below(key(at)),
            Purging::Tag(tag) => Purge::Tag(tag.to_owned()),
        };
        let manner = if soft { Manner::Expire } else { Manner::Forget };
        self.handle.purge_by(&purge, manner).await.unwrap();
        self.reference
            .purge(purging, soft, seconds(self.clock.now()));
    }
}
