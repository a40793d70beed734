//! [`QueryLayer`]: how much is read.

use tower::Layer;

use super::service::Query;

/// Wraps services in a [`Query`].
#[derive(Clone, Copy, Debug)]
pub struct QueryLayer {
    limit: usize,
}

impl QueryLayer {
    /// The longest content that is read, in bytes, unless another is set.
    pub const LIMIT: usize = 64 * 1024;

    /// Reads contents of at most [`LIMIT`](Self::LIMIT) bytes.
    pub fn new() -> Self {
        QueryLayer { limit: Self::LIMIT }
    }

    /// Reads contents of at most `bytes`. Longer ones pass, and their responses are not cached.
    #[must_use]
    pub fn limit(self, bytes: usize) -> Self {
        QueryLayer { limit: bytes }
    }
}

impl Default for QueryLayer {
    fn default() -> Self {
        QueryLayer::new()
    }
}

impl<S> Layer<S> for QueryLayer {
    type Service = Query<S>;

    fn layer(&self, inner: S) -> Query<S> {
        Query::new(inner, self.limit)
    }
}
