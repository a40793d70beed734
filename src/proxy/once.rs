//! `larder explain URL`: one fetch, and what the cache would make of it, for people.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header, request};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Once, config::Inquiry, fields, forward, stack};
use crate::{
    cache::{CacheLayer, Decision, Explanation},
    clock::Clock,
    policy::{Admit, Head, Keep, Key, Limit, Policy, Source, Step, Varies, Vary},
    store::{Entry, EntryId, MemoryStore, Payload, Record, Seen, Store},
    upstream::Body,
};

/// What became of one fetch.
struct Fetched {
    asked: request::Parts,
    head: Head,
    took: Duration,
    now: SystemTime,
    /// The body, read as far as it could be stored.
    body: Option<Bytes>,
    keep: Keep,
    /// Why it would be stored or not.
    steps: Vec<Step>,
}

/// Fetches, and tells. Both answers are for people.
pub fn explain(inquiry: &Inquiry) -> Once<'_> {
    Box::pin(explaining(inquiry))
}

async fn explaining(inquiry: &Inquiry) -> Result<String, String> {
    let policy = inquiry.config.policy();
    let fetched = fetch(inquiry, &policy).await?;
    let second = match fetched.stored() {
        true => second(inquiry, &policy, &fetched).await?,
        false => None,
    };
    Ok(tell(&policy, &fetched, second.as_ref()))
}

/// Asks the origin, as larder would on a miss.
async fn fetch(inquiry: &Inquiry, policy: &Policy) -> Result<Fetched, String> {
    let config = &inquiry.config;
    let upstream = stack::upstream(config, &[]).map_err(|error| error.to_string())?;
    let mut asked = request(inquiry);
    let (admit, mut steps) = policy.explain_admit(&asked);
    let whole = asked.method == Method::GET && !asked.headers.contains_key(header::RANGE);
    if admit == Admit::Lookup && whole {
        // The client's conditions are answered from the whole response.
        policy.make_conditional(&mut asked.headers, None);
    }
    let clock = Clock::system();
    let sent = clock.now();
    let request = Request::from_parts(asked.clone(), Empty::<Bytes>::new());
    let response = upstream.oneshot(forward::outgoing(request)).await;
    let response = response.map_err(|error| format!("The URL could not be fetched: {error:#}."))?;
    let received = clock.now();
    let (parts, body) = forward::incoming(response).into_parts();
    let head = policy.head(&asked, &parts, sent, received);
    let (keep, why) = match admit {
        Admit::Pass(reason) => (Keep::No(reason), Vec::new()),
        Admit::Lookup | Admit::Invalidate => policy.explain_keep(&asked, &head, received),
    };
    steps.extend(why);
    let body = match keep {
        Keep::For(_) => read(body, config.max_object, config.timeout, &mut steps).await,
        Keep::No(_) => None,
    };
    Ok(Fetched {
        asked,
        head,
        took: received.duration_since(sent).unwrap_or_default(),
        now: received,
        body,
        keep,
        steps,
    })
}

/// The request to the origin, as it leaves larder.
fn request(inquiry: &Inquiry) -> request::Parts {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = inquiry.method.clone();
    parts.uri = inquiry.uri.clone();
    parts.headers = inquiry.headers.clone();
    fields::Unkeyed::default().remove(&mut parts.headers);
    forward::prepare(&mut parts);
    let larder = concat!("larder/", env!("CARGO_PKG_VERSION"));
    let agent = parts.headers.entry(header::USER_AGENT);
    agent.or_insert(HeaderValue::from_static(larder));
    parts
}

/// The body, if it could be stored.
async fn read(body: Body, max: u64, patience: Duration, steps: &mut Vec<Step>) -> Option<Bytes> {
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    let too_large = format!("its body is larger than {max} bytes (--max-object)");
    let (what, body) = match timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            let what = format!("its body is whole, and not above {max} bytes (--max-object)");
            (what, Some(body))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => (too_large, None),
        Ok(Err(error)) => (format!("its body broke off: {error}"), None),
        Err(_) => {
            let seconds = patience.as_secs();
            (
                format!("its body did not end within {seconds} s (--timeout)"),
                None,
            )
        }
    };
    steps.push(Step::new("larder", what, body.is_some()));
    body
}

/// What a second request like it would get.
async fn second(
    inquiry: &Inquiry,
    policy: &Policy,
    fetched: &Fetched,
) -> Result<Option<Explanation>, String> {
    let (Keep::For(keep), Some(body)) = (fetched.keep, &fetched.body) else {
        return Ok(None);
    };
    let max = inquiry.config.max_object;
    let budget = max.saturating_mul(8).saturating_add(64 << 20);
    let cache = CacheLayer::builder(MemoryStore::new(budget).with_max_object(max))
        .policy(policy.clone())
        .build()
        .handle();
    let head = match fetched.head.part() {
        None => Some(fetched.head.clone()),
        Some(_) => policy.received(&fetched.head, body.len() as u64),
    };
    let Some(head) = head else {
        return Ok(None);
    };
    let entry = Record::Response(Entry {
        id: EntryId(0),
        head: Arc::new(head),
        body: Payload::new(body.clone(), None),
    });
    let key = Key::of(&fetched.asked);
    let seen = Seen::default();
    let stored = match fetched.head.varies() {
        Varies::By(fields) => {
            let vary = Vary {
                epoch: 0,
                fields: fields.clone(),
                until: fetched.now + keep,
            };
            let own = vary.key(&key, &fetched.asked);
            let marked = cache
                .store()
                .put(&key, Record::Vary(Arc::new(vary)), keep, seen);
            marked
                .await
                .and(cache.store().put(&own, entry, keep, seen).await)
        }
        Varies::No | Varies::Always => cache.store().put(&key, entry, keep, seen).await,
    };
    stored.map_err(|error| error.to_string())?;
    let mut again = request(inquiry);
    again.method = fetched.asked.method.clone();
    let told = cache.explain(&again).await;
    told.map(Some).map_err(|error| error.to_string())
}

impl Fetched {
    fn stored(&self) -> bool {
        self.body.is_some()
    }
}

fn tell(policy: &Policy, fetched: &Fetched, second: Option<&Explanation>) -> String {
    let Fetched { asked, head, .. } = fetched;
    let status = head.status();
    let size = fetched.body.as_ref();
    let size = size.map_or(String::new(), |body| format!(", {} bytes", body.len()));
    let took = fetched.took.as_millis();
    let mut out = format!(
        "{} {}\n{status}{size}, after {took} ms\n\n",
        asked.method, asked.uri
    );
    let mut line = |name: &str, what: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<8} {what}");
    };
    match (fetched.keep, fetched.stored()) {
        (Keep::For(keep), true) => {
            line("stored", format!("yes, kept for {}", time(keep)));
            line("fresh", fresh(policy, head, fetched.now));
            line("stale", stale(policy, head));
            let mut key = Key::of(asked).primary().to_owned();
            if let Varies::By(fields) = head.varies() {
                let names: Vec<&str> = fields.names().iter().map(|name| name.as_str()).collect();
                let _ = write!(key, ", a variant by {}", names.join(", "));
            }
            line("key", key);
        }
        (Keep::No(reason), _) => line("stored", format!("no: {reason}")),
        (Keep::For(_), false) => {
            let last = fetched.steps.last();
            let why = last.map_or("", |step| step.what.as_str());
            line("stored", format!("no: {why}"));
        }
    }
    out.push_str("\nWhy:\n");
    chain(&mut out, &fetched.steps);
    match second {
        Some(told) => {
            let _ = writeln!(out, "\nA second request like it: {}", outcome(told));
            chain(&mut out, &told.steps);
        }
        None => out.push_str("\nA second request like it: goes to the origin again\n"),
    }
    out
}

/// A line for each step, the rules in a column of their own.
fn chain(out: &mut String, steps: &[Step]) {
    let width = steps.iter().map(|step| step.rule.chars().count()).max();
    let width = width.unwrap_or_default();
    for step in steps {
        let mark = if step.holds { '✓' } else { '✗' };
        let _ = writeln!(out, "  {mark} {:<width$}  {}", step.rule, step.what);
    }
}

fn outcome(told: &Explanation) -> String {
    let what = match told.decision {
        Decision::Hit => "a hit, from the cache",
        Decision::StaleWhileRevalidate => "a hit, stale, while it is fetched anew",
        Decision::Revalidate => "the origin is asked whether it still holds",
        Decision::Miss => "goes to the origin again",
        Decision::Pass => "passed on to the origin",
        Decision::Invalidate => "passed on to the origin, and the cache forgets the URL",
        Decision::OnlyIfCached => "refused, as it may not go to the origin",
    };
    match told.status {
        Some(status) if status != StatusCode::OK => format!("{what} ({status})"),
        _ => what.to_owned(),
    }
}

fn fresh(policy: &Policy, head: &Head, now: SystemTime) -> String {
    let stated = policy.stated(head);
    let from = match (stated.source, &stated.field) {
        (Source::Configured, _) => "larder's own, as the response states none".to_owned(),
        (Source::None, _) => "nothing states a lifetime".to_owned(),
        (Source::Heuristic, _) => "a tenth of the time since it was modified".to_owned(),
        (Source::Expires, _) => "expires".to_owned(),
        (source, Some(field)) => format!("{} in {field}", source.word()),
        (source, None) => source.word().to_owned(),
    };
    let left = u64::try_from(head.ttl(now)).unwrap_or_default();
    let mut fresh = format!("{} ({from})", time(Duration::from_secs(left)));
    if stated.limit == Some(Limit::Cap) {
        let _ = write!(fresh, ", capped from {} by --ttl", time(stated.duration));
    }
    if head.age(now) > 0 {
        let _ = write!(
            fresh,
            ", being {} old already",
            time(Duration::from_secs(head.age(now)))
        );
    }
    fresh
}

fn stale(policy: &Policy, head: &Head) -> String {
    let windows = [
        (
            "while it is fetched anew",
            policy.stale_while_revalidate_window(head),
        ),
        ("if the origin fails", policy.stale_if_error_window(head)),
    ];
    let mut ways: Vec<String> = windows
        .into_iter()
        .filter_map(|(when, window)| Some(format!("served for {} {when}", time(window?))))
        .collect();
    if head.has_validator() {
        ways.push("validated with the origin".to_owned());
    }
    if ways.is_empty() {
        return "not used".to_owned();
    }
    ways.join("; ")
}

/// `90 s`, and in larger units where that is easier to read.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{seconds} s ({} min)", seconds / 60),
        7200..172_800 => format!("{seconds} s ({} h)", seconds / 3600),
        _ => format!("{seconds} s ({} days)", seconds / 86_400),
    }
}
