//! Structured log events, through `tracing`, as a tower layer.
//!
//! [`LogLayer::requests`] goes around a whole service. When the body of a response has ended, or
//! was dropped, or when there was no response, it writes one event with the target
//! [`REQUEST`] and the fields `method`, `target`, `status`, `outcome` (`HIT` or `MISS`), `cache`
//! (the words of `Cache-Status`), `bytes`, `duration_ms` and, where the body did not come to its
//! end, `end` (`failed` or `dropped`) and `error`.
//!
//! [`LogLayer::upstream`] goes around an [`Upstream`](https://docs.rs/larder/latest/larder/upstream)
//! or any other client, and writes "upstream answered", "upstream failed" and "upstream broke off"
//! with the target [`UPSTREAM`].
//!
//! Header fields are never logged, nor is the userinfo of a URL. A target whose events nobody
//! wants costs a look at a flag.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use larder::log::LogLayer;
//! use tower::{Layer, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let hello = tower::service_fn(|_: Request<()>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! });
//! let service = LogLayer::requests().layer(hello);
//! let response = service.oneshot(Request::new(())).await.unwrap();
//! drop(response); // logs: method="GET" target="/" status=200 bytes=0 … end="dropped"
//! # });
//! ```

mod future;
mod layer;
mod record;
mod redact;
mod service;
#[cfg(test)]
mod tests;

#[cfg(feature = "proxy")]
pub(crate) use self::record::hit_at_once;
pub use self::{
    future::ResponseFuture,
    layer::LogLayer,
    record::{REQUEST, UPSTREAM},
    service::Log,
};
use crate::body_end::BodyEnd;

/// The body of a response that came through [`LogLayer`].
pub type ResponseBody<B> = BodyEnd<B, record::Answered>;
