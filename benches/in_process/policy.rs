//! The rules: what each question costs.

use std::{hint::black_box, time::SystemTime};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use http::{Response, StatusCode, header::ACCEPT_ENCODING, response};
use larder::policy::{Fields, Key, Policy, RequestDirectives, ResponseDirectives, Vary};

use crate::kit::{FIELDS, head, inner, parts};

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy");
    requests(&mut group);
    responses(&mut group);
    group.finish();
}

fn question<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, ask: impl Fn() -> T) {
    group.bench_function(name, |b| b.iter(|| black_box(ask())));
}

/// What is asked of a request, and of what is stored for it.
fn requests(group: &mut BenchmarkGroup<'_, WallTime>) {
    let (policy, now) = (Policy::default(), SystemTime::now());
    let (head, plain) = (head(&[]), parts("/articles/00000001?page=1", &[]));
    let absolute = parts("http://api.example/articles/00000001?page=1", &[]);
    let conditional = parts("/a", &[("if-none-match", "\"5d8c72a5edda8\"")]);
    let range = parts("/a", &[("range", "bytes=100-199")]);
    let directives = parts("/a", &[("cache-control", "max-age=60, max-stale=5")]);
    let gzip = parts("/a", &[("accept-encoding", "gzip, deflate, br;q=0.9")]);

    question(group, "Key::of", || Key::of(&plain));
    question(group, "Key::of, absolute", || Key::of(&absolute));
    question(group, "is_plain", || policy.is_plain(&plain));
    question(group, "admit", || policy.admit(&plain));
    question(group, "RequestDirectives::parse", || {
        RequestDirectives::parse(&directives.headers)
    });
    question(group, "only_if_cached", || policy.only_if_cached(&plain));
    question(group, "reuse_plainly", || policy.reuse_plainly(&head, now));
    question(group, "reuse", || policy.reuse(&head, &plain, now));
    question(group, "reuse, with directives", || {
        policy.reuse(&head, &directives, now)
    });
    question(group, "stale_if_error", || {
        policy.stale_if_error(&head, &plain, now)
    });
    question(group, "precondition", || {
        policy.precondition(&conditional, &head)
    });
    question(group, "select", || policy.select(&range, &head, 1024));
    question(group, "make_conditional", || {
        let mut headers = plain.headers.clone();
        policy.make_conditional(&mut headers, Some(&head));
        headers
    });

    let fields = Fields::new([ACCEPT_ENCODING]);
    let vary = Vary {
        epoch: 1,
        fields,
        until: now,
    };
    let key = Key::of(&gzip);
    let selection = vary.select(&gzip);
    question(group, "Vary::select", || vary.select(&gzip));
    question(group, "Key::variant", || key.variant(&vary, &selection));
}

/// What is asked of a response.
fn responses(group: &mut BenchmarkGroup<'_, WallTime>) {
    let (policy, now) = (Policy::default(), SystemTime::now());
    let (head, get) = (head(&[]), parts("/a", &[]));
    let (ok, _) = inner(0, &[]).response().into_parts();
    let not_modified = not_modified();
    let mut post = parts("/a", &[]);
    post.method = http::Method::POST;

    question(group, "ResponseDirectives::parse", || {
        ResponseDirectives::parse(&ok.headers)
    });
    question(group, "head", || policy.head(&get, &ok, now, now));
    question(group, "keep", || policy.keep(&get, &head, now));
    question(group, "freshen", || {
        policy.freshen(&head, &get, &not_modified, now, now)
    });
    question(group, "expire", || policy.expire(&head, now));
    question(group, "invalidated", || policy.invalidated(&post, &ok));
    question(group, "not_modified_headers", || {
        head.not_modified_headers()
    });
}

fn not_modified() -> response::Parts {
    let fields = FIELDS.iter().filter(|(name, _)| *name != "content-type");
    let res = Response::builder().status(StatusCode::NOT_MODIFIED);
    let res = fields.fold(res, |res, (name, value)| res.header(*name, *value));
    res.body(()).expect("a response").into_parts().0
}
