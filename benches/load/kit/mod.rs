//! Load for a server over loopback, and what it costs that server. The load bench and
//! `examples/compare` share it.

pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod latency;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod run;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
