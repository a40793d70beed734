//! The whole layer: two requests, and a response to whichever of them comes through.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    cache::CacheLayer,
    clock::Clock,
    policy::{Policy, ResponseDirectives},
    store::MemoryStore,
};

/// Heads as they are on the wire, with an empty line after each: of a request, of a response
/// (the status alone is its first line), of another request; the rest is the response's body.
/// What is no head or no field is left out.
pub fn layer(data: &[u8]) {
    let mut rest = data;
    let mut heads = [(); 3].map(|()| head(&mut rest));
    let body = Bytes::copy_from_slice(rest);
    let [first, answer, second] = &mut heads;
    let (Some(first), Some(second)) = (request(first), request(second)) else {
        return;
    };
    let status = answer.0.trim().parse().unwrap_or(StatusCode::OK);
    let headers = std::mem::take(&mut answer.1);
    // Above that there is none to answer with: those are interim.
    if status.is_informational() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime of one thread can be had");
    runtime.block_on(run([first, second], status, headers, body));
}

async fn run(
    requests: [Request<Full<Bytes>>; 2],
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
) {
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = {
        let (asked, headers) = (asked.clone(), headers.clone());
        service_fn(move |_: Request<Full<Bytes>>| {
            asked.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::new(Full::new(body.clone()));
            *response.status_mut() = status;
            *response.headers_mut() = headers.clone();
            async { Ok::<_, Infallible>(response) }
        })
    };
    let cache = CacheLayer::builder(MemoryStore::new(1 << 20))
        .policy(Policy::origin())
        .clock(Clock::virtual_from(super::now()))
        .build();
    let service = cache.layer(origin);
    for request in requests {
        let answered = service.clone().oneshot(request).await;
        let Ok(response) = answered;
        // A body may break off, and must end.
        let _ = response.into_body().collect().await;
    }
    let says = ResponseDirectives::parse(&headers);
    if says.no_store && !says.must_understand {
        let hits = 2usize.saturating_sub(asked.load(Ordering::Relaxed));
        assert_eq!(hits, 0, "what says no-store was served again");
    }
}

/// The first line and the fields of a head.
fn head(rest: &mut &[u8]) -> (String, HeaderMap) {
    let (mut first, mut fields) = (None, HeaderMap::new());
    while !rest.is_empty() {
        let (line, after) = super::split(rest, b'\n');
        *rest = after;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if first.is_none() {
            first = Some(String::from_utf8_lossy(line).into_owned());
            continue;
        }
        let (name, value) = super::split(line, b':');
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    (first.unwrap_or_default(), fields)
}

fn request((line, headers): &mut (String, HeaderMap)) -> Option<Request<Full<Bytes>>> {
    let mut words = line.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let uri: Uri = words.next()?.parse().ok()?;
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = std::mem::take(headers);
    Some(request)
}
