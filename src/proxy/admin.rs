//! `DELETE /cache`: forgetting everything.

use std::{fmt, pin::Pin, sync::Arc};

use http::{Response, StatusCode, Uri};

use super::{
    body::Spliced,
    error::{self, ApiError},
};
use crate::store::StoreError;

type Clearing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Makes the cache forget, whichever store it is on.
#[derive(Clone)]
pub(super) struct Admin {
    clear: Arc<dyn Fn() -> Clearing + Send + Sync>,
}

impl Admin {
    /// `clear` makes the cache forget everything.
    pub(super) fn new<F>(clear: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        Admin {
            clear: Arc::new(move || Box::pin(clear())),
        }
    }

    pub(super) async fn delete(&self, uri: &Uri) -> Response<Spliced> {
        if uri.query().is_some_and(|query| !query.is_empty()) {
            // Nobody who names a part of the cache wants all of it to be gone.
            let message = "DELETE /cache takes no parameters: it clears the whole cache.";
            return ApiError::bad_request("bad_request", message).into_response();
        }
        match (self.clear)().await {
            Ok(()) => {
                tracing::info!("cache cleared");
                let body = r#"{"success": true, "message": "Cache cleared successfully"}"#;
                error::json(StatusCode::OK, body)
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "cache not cleared");
                let message =
                    "The store did not answer, so the cache may not be cleared. Try again.";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                ApiError::new(status, "store_unavailable", message).into_response()
            }
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
