//! That what is told is what is decided, and reads well.

use proptest::{prelude::*, sample::subsequence};

use super::{super::Reason, *};
use crate::policy::testing::{at, date_at, get, head, request, response};

type Fields = Vec<(String, String)>;

const METHODS: [&str; 6] = ["GET", "GET", "HEAD", "POST", "OPTIONS", "BREW"];
const STATUSES: [u16; 12] = [100, 200, 200, 200, 206, 302, 304, 401, 404, 416, 500, 599];

fn request_fields() -> impl Strategy<Value = Fields> {
    const DIRECTIVES: &[&str] = &[
        "no-cache",
        "no-store",
        "max-age=0",
        "max-age=5",
        "max-age=50",
        "min-fresh=10",
        "min-fresh=0",
        "max-stale",
        "max-stale=7",
        "only-if-cached",
    ];
    const OTHERS: &[(&str, &str)] = &[
        ("authorization", "Basic x"),
        ("cookie", "a=b"),
        ("range", "bytes=0-1"),
        ("if-range", "\"a\""),
        ("content-length", "3"),
        ("upgrade", "websocket"),
        ("pragma", "no-cache"),
    ];
    fields(DIRECTIVES, OTHERS, 2)
}

fn response_fields() -> impl Strategy<Value = Fields> {
    const DIRECTIVES: &[&str] = &[
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "must-understand",
        "immutable",
        "max-age=0",
        "max-age=20",
        "s-maxage=20",
        "stale-while-revalidate=9",
        "stale-if-error=9",
    ];
    const OTHERS: &[(&str, &str)] = &[
        ("vary", "*"),
        ("vary", "accept"),
        ("set-cookie", "a=b"),
        ("etag", "\"a\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("expires", "0"),
        ("age", "11"),
        ("content-range", "bytes 0-1/2"),
        ("cdn-cache-control", "max-age=15"),
        ("pragma", "no-cache"),
    ];
    fields(DIRECTIVES, OTHERS, 3)
}

fn fields(
    directives: &'static [&'static str],
    others: &'static [(&'static str, &'static str)],
    most: usize,
) -> impl Strategy<Value = Fields> {
    let some = subsequence(directives, 0..=most);
    let others = subsequence(others, 0..=most);
    (some, others).prop_map(|(directives, others)| {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut fields: Fields = others.into_iter().map(own).collect();
        if !directives.is_empty() {
            fields.push(own(("cache-control", &directives.join(", "))));
        }
        fields
    })
}

fn borrowed(fields: &Fields) -> Vec<(&str, &str)> {
    let both = fields.iter();
    both.map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn policies() -> [Policy; 3] {
    let window = Duration::from_secs(4);
    [
        Policy::origin(),
        Policy::ttl(Duration::from_secs(10)),
        Policy::default()
            .default_stale_while_revalidate(window)
            .default_stale_if_error(window),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The verdict is the decision's own, and the last step is the one that decides: up to there
    /// every requirement of storing holds.
    #[test]
    fn what_is_told_is_what_is_decided(
        asked in request_fields(),
        said in response_fields(),
        method in prop::sample::select(&METHODS[..]),
        status in prop::sample::select(&STATUSES[..]),
        policy in prop::sample::select(policies().to_vec()),
        later in 0i64..60,
    ) {
        let req = request(method, "http://a.example/x", &borrowed(&asked));
        let res = response(status, &borrowed(&said));
        let head = policy.head(&req, &res, at(0), at(0));
        let now = at(later);

        let (admit, steps) = policy.explain_admit(&req);
        prop_assert_eq!(admit, policy.admit(&req));
        prop_assert_eq!(steps.last().unwrap().holds, match admit {
            Admit::Lookup | Admit::Pass(Reason::Method) => true,
            Admit::Pass(_) | Admit::Invalidate => false,
        });

        let (keep, steps) = policy.explain_keep(&req, &head, now);
        prop_assert_eq!(keep, policy.keep(&req, &head, now));
        let (last, before) = steps.split_last().unwrap();
        prop_assert!(before.iter().all(|step| step.holds), "{:?}", steps);
        prop_assert_eq!(last.holds, matches!(keep, Keep::For(_)));

        let (reuse, steps) = policy.explain_reuse(&head, &req, now);
        prop_assert_eq!(reuse, policy.reuse(&head, &req, now));
        let usable = !matches!(reuse, Reuse::Validate { .. });
        // A stale response fails first where it must not be stale, or at the last resort.
        prop_assert_eq!(steps.last().unwrap().holds, usable, "{:?}", steps);

        let stated = policy.stated(&head);
        let lives = head.stored().lifetime;
        prop_assert_eq!(stated.source, lives.source);
        prop_assert_eq!(stated.limit, (lives.duration < stated.duration).then_some(Limit::Cap));
    }
}

fn told(steps: &[Step]) -> Vec<String> {
    let told = |step: &Step| {
        let mark = if step.holds { '+' } else { '-' };
        format!("{mark} {}: {}", step.rule, step.what)
    };
    steps.iter().map(told).collect()
}

#[test]
fn a_hit_ends_with_its_freshness() {
    let policy = Policy::origin();
    let head = head(&policy, 200, &[("cache-control", "max-age=60")]);
    let (_, steps) = policy.explain_reuse(&head, &get(&[]), at(3));
    assert_eq!(
        told(&steps),
        [
            "+ RFC 9111 §5.2.2.4: the stored response does not say no-cache",
            "+ RFC 9111 §5.2.1.4: the request does not say no-cache",
            "+ RFC 9111 §4.2: the stored response is fresh: age 3 s of 60 s",
        ]
    );
}

#[test]
fn what_is_stale_is_told_all_the_ways_that_it_has() {
    let policy = Policy::origin();
    let cache_control = "max-age=60, stale-while-revalidate=5";
    let head = head(&policy, 200, &[("cache-control", cache_control)]);
    let (_, steps) = policy.explain_reuse(&head, &get(&[]), at(70));
    assert_eq!(
        told(&steps)[2..],
        [
            "- RFC 9111 §4.2: the stored response is stale: age 70 s of 60 s",
            "+ RFC 9111 §4.2.4: the stored response may be served stale",
            "- RFC 9111 §5.2.1.2: the request does not accept a stale response (max-stale)",
            "- RFC 5861 §3: stale-while-revalidate is 5 s, and it is stale for 10 s",
        ]
    );
    let req = get(&[("cache-control", "max-stale=3")]);
    let (_, steps) = policy.explain_reuse(&head, &req, at(70));
    let last = steps.last().unwrap();
    assert_eq!((last.rule, last.holds), ("RFC 9111 §5.2.1.2", false));
}

#[test]
fn what_is_not_stored_ends_with_the_reason() {
    let policy = Policy::default();
    let req = get(&[("cookie", "secret")]);
    let (_, steps) = policy.explain_keep(&req, &head(&policy, 200, &[]), at(0));
    let last = told(&steps).pop().unwrap();
    assert_eq!(
        last,
        "- larder: the request has a Cookie, and the response does not say that it may be shared"
    );
    let (_, steps) = policy.explain_keep(&get(&[]), &head(&policy, 302, &[]), at(0));
    assert_eq!(steps.last().unwrap().rule, "RFC 9111 §3");
}

#[test]
fn a_lifetime_knows_where_it_comes_from() {
    let stated = |policy: &Policy, fields: &[(&str, &str)]| {
        let Stated {
            duration,
            source,
            field,
            limit,
        } = policy.stated(&head(policy, 200, fields));
        let field = field.map(|field| field.to_string()).unwrap_or_default();
        (duration.as_secs(), source.word(), field, limit)
    };
    let origin = Policy::origin();
    let expires = date_at(30);
    for (policy, fields, wanted) in [
        (
            &origin,
            [("cdn-cache-control", "max-age=9")],
            (9, "max-age", "cdn-cache-control"),
        ),
        (
            &origin,
            [("cache-control", "s-maxage=8")],
            (8, "s-maxage", "cache-control"),
        ),
        (
            &origin,
            [("expires", &*expires)],
            (30, "expires", "expires"),
        ),
        (
            &origin,
            [("last-modified", &*date_at(-100))],
            (10, "heuristic", "last-modified"),
        ),
        (&origin, [("x", "y")], (0, "none", "")),
        (&Policy::default(), [("x", "y")], (60, "default", "")),
    ] {
        let (duration, source, field, limit) = stated(policy, &fields);
        assert_eq!(
            (duration, source, &*field, limit),
            (wanted.0, wanted.1, wanted.2, None)
        );
    }
    let capped = Policy::ttl(Duration::from_secs(5));
    let fields = [("cache-control", "max-age=60")];
    assert_eq!(stated(&capped, &fields).3, Some(Limit::Cap));
    let (purged, _) = {
        let head = head(
            &origin,
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"a\"")],
        );
        origin.expire(&head, at(3)).unwrap()
    };
    assert_eq!(origin.stated(&purged).limit, Some(Limit::Earlier));
}
