//! [`CacheLayer`]: settings and shared state, and the handle by which a cache is controlled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::request;
use tower::Layer;

#[cfg(feature = "proxy")]
use super::quick::{self, Hit};
use super::{
    budget::Budget,
    core::{Core, Inspect},
    exchange::Copier,
    explanation::Explanation,
    flight::Flights,
    gate::Gate,
    patience::Patience,
    purge::{Manner, Purged},
    service::Cache,
    shy::Shy,
};
use crate::{
    clock::Clock,
    policy::{Key, Policy, Purge},
    store::{Changes, Store, StoreError},
};

/// Wraps services in a [`Cache`].
///
/// A response is stored under the URI of its request, as the layer sees it: within a router that
/// takes a prefix off (axum's `nest`), two paths may look the same to a layer that both share. It
/// belongs around the outermost router, or each router has one of its own.
///
/// All services that one layer (or a clone of it) wraps share one store and one table of fetches
/// under way.
///
/// Bodies for the store are received by tasks of their own, so the service must be called within
/// a tokio runtime, with its time enabled.
pub struct CacheLayer<S> {
    core: Arc<Core<S>>,
    copier: Option<Copier>,
}

/// Controls the cache of a [`CacheLayer`], and looks into it.
pub struct CacheHandle<S> {
    core: Arc<Core<S>>,
}

/// Settings of a [`CacheLayer`] to be.
pub struct Builder<S> {
    core: Core<S>,
}

// === impl CacheLayer ===

impl<S: Store> CacheLayer<S> {
    /// The largest body that is stored, in bytes, unless another is set.
    pub const MAX_OBJECT: u64 = 8 * 1024 * 1024;

    /// The bytes that all bodies being received for the store may take together, unless another
    /// number is set.
    pub const MAX_IN_FLIGHT: u64 = 128 * 1024 * 1024;

    /// How many requests may wait for the same fetch, unless another number is set.
    pub const MAX_WAITING: usize = 1000;

    /// A cache that keeps responses in `store`, with the default settings: by
    /// [`Policy::default`], which keeps what states no lifetime for a minute. What tells its users
    /// apart by anything but `Authorization`, `Cookie` or what its `Vary` names must say `private`
    /// or `no-store`.
    pub fn new(store: S) -> Self {
        Self::builder(store).build()
    }

    /// A cache that keeps responses in `store`, with settings to be made.
    pub fn builder(store: S) -> Builder<S> {
        Builder {
            core: Core {
                store,
                policy: Policy::default(),
                clock: Clock::system(),
                max_object: Self::MAX_OBJECT,
                store_timeout: Duration::MAX,
                inspect: None,
                debug_headers: false,
                flights: Flights::new(),
                gate: Gate::new(),
                changes: Changes::new(),
                shy: Shy::new(),
                searches: AtomicBool::new(false),
                budget: Budget::new(Self::MAX_IN_FLIGHT),
                max_waiting: Self::MAX_WAITING,
                turned_away: AtomicU64::new(0),
                over_size: AtomicU64::new(0),
                over_budget: AtomicU64::new(0),
            },
        }
    }

    /// Has requests' bodies copied by `copy`, which may answer `None` for any; for those of another
    /// type than `Q` it is not asked.
    ///
    /// A copy is sent where the request was sent already, and what came of it is no answer. A stored
    /// part is completed only where the whole could be asked for after all. What the origin
    /// refutes, by a 304 about another response, is asked for anew; without a copy it is served
    /// stale, or, where that is forbidden, the answer is 502. A large body in Redis that is lost
    /// while it is read is fetched anew by the request that it answers (see
    /// [`RedisStore`](crate::store::RedisStore)); without a copy the response breaks off there,
    /// if the request was sent to validate it.
    ///
    /// A body that says [that it is empty](http_body::Body::is_end_stream) is easily copied:
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// # use bytes::Bytes;
    /// # use http_body::Body;
    /// # use http_body_util::Full;
    /// # use larder::{cache::CacheLayer, store::MemoryStore};
    /// # let store = MemoryStore::new(1024 * 1024);
    /// let copy = |body: &Full<Bytes>| body.is_end_stream().then(Full::default);
    /// let layer = CacheLayer::new(store).copy_bodies(copy);
    /// # }
    /// ```
    #[must_use]
    pub fn copy_bodies<Q: 'static>(mut self, copy: fn(&Q) -> Option<Q>) -> Self {
        self.copier = Some(Arc::new(copy));
        self
    }

    /// A handle to the cache that this layer and its clones share.
    pub fn handle(&self) -> CacheHandle<S> {
        CacheHandle {
            core: Arc::clone(&self.core),
        }
    }
}

// === impl Builder ===

impl<S: Store> Builder<S> {
    /// Decides by `policy`.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.core.policy = policy;
        self
    }

    /// Stores no body larger than `bytes`; larger ones are streamed through. The store may have a
    /// bound of its own, as [`MemoryStore`](crate::store::MemoryStore::with_max_object) has.
    #[must_use]
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.core.max_object = bytes;
        self
    }

    /// Lets the bodies that are being received for the store take no more than `bytes` together.
    /// What does not fit is streamed through.
    #[must_use]
    pub fn max_in_flight(mut self, bytes: u64) -> Self {
        self.core.budget = Budget::new(bytes);
        self
    }

    /// Lets a request wait for the store no longer than this, all that it asks of it together;
    /// then it goes on as if nothing were stored. Unless it is set, the store decides alone.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.core.store_timeout = timeout;
        self
    }

    /// Lets no more than `count` requests wait for the same fetch: further ones are answered with
    /// 503.
    #[must_use]
    pub fn max_waiting(mut self, count: usize) -> Self {
        self.core.max_waiting = count;
        self
    }

    /// Tells the time by `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.core.clock = clock;
        self
    }

    /// Has `inspect` look at each body that is stored for others, too, once.
    #[must_use]
    pub fn inspect(mut self, inspect: Inspect) -> Self {
        self.core.inspect = Some(inspect);
        self
    }

    /// Shows in `Cache-Status` under which key a response is stored (`key`, RFC 9211 §2.7).
    #[must_use]
    pub fn debug_headers(mut self, on: bool) -> Self {
        self.core.debug_headers = on;
        self
    }

    /// The layer.
    pub fn build(self) -> CacheLayer<S> {
        let core = Arc::new(self.core);
        let weak = Arc::downgrade(&core);
        core.store.listen(Arc::new(move |purge| {
            if let Some(core) = weak.upgrade() {
                core.told(purge);
            }
        }));
        CacheLayer { core, copier: None }
    }
}

impl<S> Clone for CacheLayer<S> {
    fn clone(&self) -> Self {
        CacheLayer {
            core: Arc::clone(&self.core),
            copier: self.copier.clone(),
        }
    }
}

impl<S, I> Layer<I> for CacheLayer<S> {
    type Service = Cache<I, S>;

    fn layer(&self, inner: I) -> Cache<I, S> {
        Cache::new(inner, Arc::clone(&self.core), self.copier.clone())
    }
}

impl<S> std::fmt::Debug for CacheLayer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheLayer").finish_non_exhaustive()
    }
}

// === impl CacheHandle ===

impl<S: Store> CacheHandle<S> {
    /// Forgets everything. Once this has answered, nothing that was fetched before, and no fetch
    /// that was under way, is served.
    ///
    /// # Errors
    ///
    /// When the store could not be cleared, so that it may still answer with what it has.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.core.clear().await
    }

    /// Forgets what is stored under `key`, with all variants, as [`clear`](Self::clear) does.
    /// Answers whether anything was stored.
    ///
    /// # Errors
    ///
    /// When the store could not be asked, so that it may still answer with what it has.
    pub async fn purge(&self, key: &Key) -> Result<bool, StoreError> {
        self.core.purge(key, &mut Patience::endless()).await
    }

    /// Forgets `top` and all that is [below](Key::is_below) it. Answers how many responses were
    /// forgotten.
    ///
    /// # Errors
    ///
    /// When the store could not be asked, or not about all, so that it may still answer with what
    /// it has.
    pub async fn purge_prefix(&self, top: &Key) -> Result<u64, StoreError> {
        let purge = Purge::Below(top.clone());
        Ok(self.purge_by(&purge, Manner::Forget).await?.count)
    }

    /// Forgets what carries `tag` in `Surrogate-Key`, `Cache-Tag` or `Cache-Groups`. Answers how
    /// many responses were forgotten.
    ///
    /// # Errors
    ///
    /// As [`purge_prefix`](Self::purge_prefix).
    pub async fn purge_tag(&self, tag: &str) -> Result<u64, StoreError> {
        let purge = Purge::Tag(tag.to_owned());
        Ok(self.purge_by(&purge, Manner::Forget).await?.count)
    }

    /// Forgets what `purge` is about, or makes it stale, or only counts it. Nothing of it comes
    /// back from a fetch that is under way. It takes time by how much is stored.
    ///
    /// # Errors
    ///
    /// As [`purge_prefix`](Self::purge_prefix).
    pub async fn purge_by(&self, purge: &Purge, manner: Manner) -> Result<Purged, StoreError> {
        self.core.purge_by(purge, manner).await
    }

    /// What is stored for the URL of this request, and what would become of the request now, and
    /// why. Nothing is fetched, nothing is changed, and no hit is counted. It takes time by how
    /// much is stored, where the URL has variants.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use larder::{cache::{CacheLayer, Decision}, store::MemoryStore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let cache = CacheLayer::new(MemoryStore::new(1024 * 1024)).handle();
    /// let (request, ()) = http::Request::get("http://api.example/").body(())?.into_parts();
    /// let explanation = cache.explain(&request).await?;
    /// assert_eq!(explanation.decision, Decision::Miss);
    /// for step in &explanation.steps {
    ///     println!("{} {}: {}", step.holds, step.rule, step.what);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the store could not be asked.
    pub async fn explain(&self, req: &request::Parts) -> Result<Explanation, StoreError> {
        self.core.explain(req).await
    }

    /// The stored response to a request whose key without variants is what `write` writes, if
    /// it is at hand and answers it as it is: what the cache would answer with, too.
    #[cfg(feature = "proxy")]
    pub(crate) fn at_hand(
        &self,
        req: &request::Parts,
        write: impl FnOnce(&mut String),
    ) -> Option<Hit> {
        quick::find(&self.core, req, write)
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.core.store
    }

    /// How many requests were answered with 503 because too many waited already.
    pub fn turned_away(&self) -> u64 {
        self.core.turned_away.load(Ordering::Relaxed)
    }

    /// How many bodies were not stored because they are larger than may be stored.
    pub fn over_size(&self) -> u64 {
        self.core.over_size.load(Ordering::Relaxed)
    }

    /// How many bodies were not stored because those that were being received took up all room.
    pub fn over_budget(&self) -> u64 {
        self.core.over_budget.load(Ordering::Relaxed)
    }

    /// How many fetches are under way that others may wait for.
    pub fn flights(&self) -> usize {
        self.core.flights.len()
    }
}

impl<S> Clone for CacheHandle<S> {
    fn clone(&self) -> Self {
        CacheHandle {
            core: Arc::clone(&self.core),
        }
    }
}

impl<S> std::fmt::Debug for CacheHandle<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheHandle").finish_non_exhaustive()
    }
}

impl<S> std::fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
