//! `DELETE /cache`: forgetting everything, or a part; and `PURGE` of one path.

use std::{fmt, pin::Pin, sync::Arc};

use http::{Response, StatusCode, Uri};
use url::form_urlencoded;

use super::{
    body::Spliced,
    error::{self, ApiError},
    target::Targets,
};
use crate::{
    cache::{Manner, Purge, Purged},
    policy::Key,
    store::StoreError,
};

type Purging = Pin<Box<dyn Future<Output = Result<Purged, StoreError>> + Send>>;

const PARAMETERS: &str = "DELETE /cache takes one of url, prefix and tag, with a value; and soft \
                          and dry_run, with true or false. Without any it clears the whole cache.";

/// Makes the cache forget, whichever store it is on.
#[derive(Clone)]
pub(super) struct Admin {
    targets: Targets,
    purge: Arc<dyn Fn(Purge, Manner) -> Purging + Send + Sync>,
}

/// What a request for `/cache` asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    purge: Purge,
    soft: bool,
    dry_run: bool,
}

impl Admin {
    /// `purge` does it.
    pub(super) fn new<F>(
        targets: Targets,
        purge: impl Fn(Purge, Manner) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Purged, StoreError>> + Send + 'static,
    {
        Admin {
            targets,
            purge: Arc::new(move |what, manner| Box::pin(purge(what, manner))),
        }
    }

    /// `DELETE /cache`.
    pub(super) async fn delete(&self, uri: &Uri) -> Response<Spliced> {
        match self.read(uri.query().unwrap_or_default()) {
            Ok(asked) => self.run(asked).await,
            Err(error) => error.into_response(),
        }
    }

    /// `PURGE` of a path that is the origin's `uri`.
    pub(super) async fn purge(&self, uri: &Uri) -> Response<Spliced> {
        let asked = Asked {
            purge: Purge::Uri(Key::of_uri(uri)),
            soft: false,
            dry_run: false,
        };
        self.run(asked).await
    }

    fn read(&self, query: &str) -> Result<Asked, ApiError> {
        let refuse = || ApiError::bad_request("bad_request", PARAMETERS);
        let mut asked = Asked {
            purge: Purge::All,
            soft: false,
            dry_run: false,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_first = asked.purge == Purge::All && !value.is_empty();
            match &*name {
                "url" if is_first => {
                    asked.purge = Purge::Uri(Key::of_uri(&self.targets.name(&value)?));
                }
                "prefix" if is_first => {
                    asked.purge = Purge::Below(Key::of_uri(&self.targets.name(&value)?));
                }
                "tag" if is_first => asked.purge = Purge::Tag(value.into_owned()),
                "soft" => asked.soft = switch(&value).ok_or_else(refuse)?,
                "dry_run" => asked.dry_run = switch(&value).ok_or_else(refuse)?,
                // Nobody who names a part of the cache wants all of it to be gone.
                _ => return Err(refuse()),
            }
        }
        Ok(asked)
    }

    async fn run(&self, asked: Asked) -> Response<Spliced> {
        let manner = match &asked {
            Asked { dry_run: true, .. } => Manner::Count,
            Asked { soft: true, .. } => Manner::Expire,
            _ => Manner::Forget,
        };
        let all = asked.purge == Purge::All && manner == Manner::Forget;
        match (self.purge)(asked.purge, manner).await {
            Ok(_) if all => {
                tracing::info!("cache cleared");
                let body = r#"{"success": true, "message": "Cache cleared successfully"}"#;
                error::json(StatusCode::OK, body)
            }
            Ok(purged) => {
                let (count, done) = (purged.count, done(manner));
                tracing::info!(count, "{done}");
                error::json(StatusCode::OK, told(&purged, manner))
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

fn switch(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// What is logged of it.
fn done(manner: Manner) -> &'static str {
    match manner {
        Manner::Forget => "cache purged",
        Manner::Expire => "made stale in the cache",
        Manner::Count => "counted what a purge would forget",
    }
}

fn told(purged: &Purged, manner: Manner) -> String {
    let count = purged.count;
    let responses = match count {
        1 => "1 response".to_owned(),
        _ => format!("{count} responses"),
    };
    let (message, keys) = match manner {
        Manner::Forget => (format!("Purged {responses}"), None),
        Manner::Expire => (format!("Made {responses} stale"), None),
        Manner::Count => {
            let keys: Vec<&str> = purged.keys.iter().map(Key::as_str).collect();
            (format!("Would purge {responses}"), Some(keys))
        }
    };
    let mut told = format!(r#"{{"success": true, "message": "{message}", "purged": {count}"#);
    if let Some(keys) = keys {
        let keys = serde_json::to_string(&keys).expect("strings always have a JSON form");
        told.push_str(r#", "dry_run": true, "keys": "#);
        told.push_str(&keys);
    }
    told.push('}');
    told
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
