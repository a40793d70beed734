//! `GET /cache?url=U`: what is stored under a URL, and what a request for it would get, and why.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Response, StatusCode, Uri, request};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    body::Spliced,
    error::{self, ApiError},
    forward,
    target::Targets,
};
use crate::{
    cache::{Explanation, Stored},
    policy::{Reason, Step},
    store::StoreError,
};

type Explaining = Pin<Box<dyn Future<Output = Result<Explanation, StoreError>> + Send>>;

const PARAMETERS: &str = "GET /cache takes url, once, and method. The url must be \
                          percent-encoded: an & within it is written %26.";

/// Explains, whichever store the cache is on.
#[derive(Clone)]
pub(super) struct Explain {
    targets: Targets,
    explain: Arc<dyn Fn(request::Parts) -> Explaining + Send + Sync>,
}

impl Explain {
    /// `explain` does it.
    pub(super) fn new<F>(
        targets: Targets,
        explain: impl Fn(request::Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Explanation, StoreError>> + Send + 'static,
    {
        Explain {
            targets,
            explain: Arc::new(move |request| Box::pin(explain(request))),
        }
    }

    /// The answer to the request of this head.
    pub(super) async fn answer(&self, head: request::Parts) -> Response<Spliced> {
        let asked = match self.read(head) {
            Ok(asked) => asked,
            Err(error) => return error.into_response(),
        };
        let (method, uri) = (asked.method.clone(), asked.uri.clone());
        match (self.explain)(asked).await {
            Ok(told) => error::json(StatusCode::OK, print(&method, &uri, &told)),
            Err(error) => {
                tracing::error!(%error, "cache not explained");
                let message = "The store did not answer, so what it has is not known. Try again.";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                ApiError::new(status, "store_unavailable", message).into_response()
            }
        }
    }

    /// The request that is to be explained: that of the call itself, to another URL and maybe by
    /// another method, as it would be if it were proxied.
    fn read(&self, mut head: request::Parts) -> Result<request::Parts, ApiError> {
        let refuse = || ApiError::bad_request("bad_request", PARAMETERS);
        let (mut url, mut method) = (None, None);
        let query = head.uri.query().unwrap_or_default().to_owned();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "url" if url.is_none() && !value.is_empty() => {
                    url = Some(self.targets.name(&value)?);
                }
                "method" if method.is_none() => {
                    let named = Method::from_bytes(value.to_ascii_uppercase().as_bytes());
                    method = Some(named.map_err(|_| {
                        let message = "The method is not one: it takes a name like GET or POST.";
                        ApiError::bad_request("malformed_method", message)
                    })?);
                }
                "url" if url.is_none() => {}
                _ => return Err(refuse()),
            }
        }
        head.uri = url.ok_or_else(|| {
            let message = "Name what to explain: GET /cache?url=/products or \
                           /cache?url=https://example.com/products. DELETE /cache clears the cache.";
            ApiError::bad_request("missing_url", message)
        })?;
        head.method = method.unwrap_or(Method::GET);
        forward::prepare(&mut head);
        Ok(head)
    }
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explain").finish_non_exhaustive()
    }
}

fn print(method: &Method, uri: &Uri, told: &Explanation) -> String {
    let stored: Vec<Value> = told.stored.iter().map(|one| of_stored(told, one)).collect();
    let varies_by: Vec<&str> = told.varies_by.iter().map(|name| name.as_str()).collect();
    let steps: Vec<Value> = told.steps.iter().map(of_step).collect();
    let value = json!({
        "success": true,
        "key": told.key.primary(),
        "varies_by": varies_by,
        "count": told.count,
        "stored": stored,
        "request": {
            "method": method.as_str(),
            "url": uri.to_string(),
            "decision": told.decision.word(),
            "status": told.status.map(|status| status.as_u16()),
            "forward": told.forward.map(|why| why.word()),
            "reason": told.reason.map(Reason::word),
            "steps": steps,
        },
    });
    format!("{value:#}\n")
}

fn of_stored(told: &Explanation, stored: &Stored) -> Value {
    let head = &stored.head;
    let fields = head.headers();
    let ago = told.now.duration_since(head.stored().received);
    let selecting = stored.selecting.iter();
    let selecting = selecting.map(|field| (field.name.to_string(), json!(field.value)));
    let part = head.part().map(|part| {
        let (first, last) = (part.range.first, part.range.last);
        json!({"first": first, "last": last, "complete": part.complete})
    });
    json!({
        "selecting": Value::Object(selecting.collect()),
        "selected": stored.selected,
        "status": head.status().as_u16(),
        "size": stored.size,
        "part": part,
        "stored_at": httpdate::fmt_http_date(head.stored().received),
        "stored_seconds_ago": ago.unwrap_or_default().as_secs(),
        "age": head.age(told.now),
        "ttl": head.ttl(told.now),
        "lifetime": {
            "seconds": head.stored().lifetime.duration.as_secs(),
            "source": stored.stated.source.word(),
            "field": stored.stated.field.as_ref().map(|name| name.as_str()),
            "stated_seconds": stored.stated.duration.as_secs(),
            "limited_by": stored.stated.limit.map(|limit| limit.word()),
        },
        "stale_while_revalidate": seconds(stored.stale_while_revalidate),
        "stale_if_error": seconds(stored.stale_if_error),
        "validators": {
            "etag": text(fields, "etag"),
            "last_modified": text(fields, "last-modified"),
        },
        "tags": head.tags().collect::<Vec<_>>(),
        "groups": head.groups(),
        "hits": stored.hits,
    })
}

fn of_step(step: &Step) -> Value {
    json!({"rule": step.rule, "what": step.what, "holds": step.holds})
}

fn seconds(window: Option<Duration>) -> Option<u64> {
    window.map(|window| window.as_secs())
}

fn text(fields: &HeaderMap, name: &str) -> Option<String> {
    let value = fields.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests;
