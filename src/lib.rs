//! An HTTP cache as tower layers, and a caching proxy made of those layers.
//!
//! [`CacheLayer`](cache::CacheLayer) is a shared cache by the rules of RFC 9111. It goes around
//! anything that answers HTTP requests: an axum `Router`, a hyper or tonic service, a client.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! # #[cfg(feature = "memory")] {
//! use larder::{cache::CacheLayer, store::MemoryStore};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let slow = service_fn(|_: Request<()>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("slow"))))
//! });
//! let fast = ServiceBuilder::new()
//!     .layer(CacheLayer::new(MemoryStore::new(64 * 1024 * 1024)))
//!     .service(slow);
//!
//! let ask = || Request::get("http://api.example/").body(()).unwrap();
//! let miss = fast.clone().oneshot(ask()).await.unwrap();
//! assert_eq!(miss.headers()["x-cache"], "MISS");
//! # http_body_util::BodyExt::collect(miss.into_body()).await.unwrap();
//! let hit = fast.clone().oneshot(ask()).await.unwrap();
//! assert_eq!(hit.headers()["x-cache"], "HIT");
//! # });
//! # }
//! ```
//!
//! [What larder does with your headers](headers) tells what is kept, for how long, and why.
//!
//! # How it is built
//!
//! In floors; imports point down only.
//!
//! | floor | modules | what they know |
//! |---|---|---|
//! | ground | [`clock`], [`outcome`], [`body_end`], `trust` | nothing of the rest |
//! | rules | [`policy`] | RFC 9111, as pure functions |
//! | keeping | [`store`] | records under keys, in memory or in Redis |
//! | services | [`cache`], `query`, `metrics`, `log`, `upstream` | each its own layer; none names another |
//! | program | `proxy` | all of them: the stack, the endpoints, the server |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `memory` | `store::MemoryStore` |
//! | `redis` | `store::RedisStore`, on fred |
//! | `metrics` | `metrics::MetricsLayer` |
//! | `log` | `log::LogLayer`, on tracing |
//! | `client` | `upstream::Upstream`, on hyper's client |
//! | `query` | `query::QueryLayer`: `QUERY` is cached by its content |
//! | `tls` | TLS for it, on rustls |
//! | `proxy` (default) | the program `larder`, and all of the above |

pub mod body_end;
pub mod cache;
pub mod clock;
#[cfg(all(any(test, fuzzing), feature = "proxy"))]
pub mod fuzzing;
mod hop;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod outcome;
pub mod policy;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "query")]
pub mod query;
pub mod store;
#[cfg(any(feature = "redis", feature = "tls"))]
mod trust;
#[cfg(feature = "client")]
pub mod upstream;

#[cfg(doc)]
#[doc = include_str!("../docs/headers.md")]
pub mod headers {}

/// What the README shows is compiled.
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../README.md")]
struct Readme;
