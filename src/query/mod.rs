//! Lets a cache know what a QUERY asks (RFC 10008), which is in its content.
//!
//! The cache sees no bodies. [`QueryLayer`] goes around it: of a QUERY it reads the content, up to
//! a bound, and puts what is asked among the request's extensions, as a
//! [`Content`](crate::policy::Content). The request goes on with a body that is the same to its
//! last byte. Other methods pass as they are.
//!
//! ```
//! # #[cfg(feature = "memory")] {
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use larder::{cache::CacheLayer, query::{QueryBody, QueryLayer}, store::MemoryStore};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let search = service_fn(|_: Request<QueryBody<Full<Bytes>>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("found"))))
//! });
//! let cached = ServiceBuilder::new()
//!     .layer(QueryLayer::new())
//!     .layer(CacheLayer::new(MemoryStore::new(64 * 1024 * 1024)))
//!     .service(search);
//!
//! let ask = |body: &'static str| {
//!     Request::builder()
//!         .method("QUERY")
//!         .uri("http://api.example/search")
//!         .header("content-type", "application/json")
//!         .body(Full::new(Bytes::from(body)))
//!         .unwrap()
//! };
//! let miss = cached.clone().oneshot(ask(r#"{"q": 1}"#)).await.unwrap();
//! miss.into_body().collect().await.unwrap();
//! let hit = cached.clone().oneshot(ask(r#"{"q":1}"#)).await.unwrap();
//! assert_eq!(hit.headers()["x-cache"], "HIT");
//! let other = cached.clone().oneshot(ask(r#"{"q":2}"#)).await.unwrap();
//! assert_eq!(other.headers()["x-cache"], "MISS");
//! # });
//! # }
//! ```

mod body;
mod future;
mod layer;
mod service;

pub use self::{body::QueryBody, future::ResponseFuture, layer::QueryLayer, service::Query};
