//! `GET /healthz`: whether larder serves, and whether its cache is well.

use std::{fmt, sync::Arc};

use http::{Response, StatusCode};

use super::{
    body::Spliced,
    draining::Draining,
    error::{self, ApiError},
};

/// The endpoint.
#[derive(Clone)]
pub(super) struct Health {
    draining: Draining,
    cache_is_well: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Health {
    pub(super) fn new(
        draining: Draining,
        cache_is_well: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Health {
            draining,
            cache_is_well: Arc::new(cache_is_well),
        }
    }

    /// Without its cache it serves all the same: that is no reason to take it out of service.
    pub(super) fn answer(&self) -> Response<Spliced> {
        if self.draining.is_on() {
            let message = "larder is about to stop, and finishes what is in flight.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return ApiError::new(status, "draining", message).into_response();
        }
        let cache = match (self.cache_is_well)() {
            true => "ok",
            false => "degraded",
        };
        let body = format!(r#"{{"success": true, "status": "serving", "cache": "{cache}"}}"#);
        error::json(StatusCode::OK, body)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}
