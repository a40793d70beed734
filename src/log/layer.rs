//! The layer that logs.

use tower::Layer;

use super::{Log, record::Kind};

/// Logs the exchanges of the service below it; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct LogLayer {
    kind: Kind,
}

impl LogLayer {
    /// One event for each request that a whole service answers.
    pub fn requests() -> Self {
        LogLayer {
            kind: Kind::Requests,
        }
    }

    /// One event for each answer or failure of the upstream, and one more if it breaks off later.
    pub fn upstream() -> Self {
        LogLayer {
            kind: Kind::Upstream,
        }
    }
}

impl<S> Layer<S> for LogLayer {
    type Service = Log<S>;

    fn layer(&self, inner: S) -> Log<S> {
        Log::new(inner, self.kind)
    }
}
