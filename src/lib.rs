//! An HTTP cache as tower layers, and a caching proxy made of those layers.

pub mod body_end;
pub mod cache;
pub mod clock;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod store;
#[cfg(feature = "client")]
pub mod upstream;
