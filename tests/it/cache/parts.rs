//! Parts of a representation: stored, joined, completed.

use std::time::Duration;

use http::{Response, request};
use tokio::time::advance;

use crate::support::script::{Body, Larder, Script, Told, get, request, respond, settle, uncopied};

const BYTES: &str = "0123456789";
const TAG: (&str, &str) = ("etag", "\"1\"");
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// An origin of ten bytes that knows single ranges, `a-b` and `a-`, and `If-Range`.
fn answer(req: &request::Parts, fields: &[(&str, &str)]) -> Response<Body> {
    let field = |name| req.headers.get(name).map(|value| value.to_str().unwrap());
    let tag = fields.iter().find(|(name, _)| *name == "etag");
    let holds = field("if-range").is_none_or(|wanted| tag.is_some_and(|(_, tag)| *tag == wanted));
    let Some(range) = field("range").filter(|_| holds) else {
        return respond(200, fields, BYTES);
    };
    let (first, last) = range["bytes=".len()..].split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last: usize = last.parse().unwrap_or(9);
    let content_range = format!("bytes {first}-{last}/10");
    let fields = [fields, &[("content-range", &content_range)]].concat();
    respond(206, &fields, &BYTES[first..=last])
}

fn origin(fields: &'static [(&'static str, &'static str)]) -> Larder {
    Larder::new(Script::at_once(move |_, req| answer(req, fields)))
}

async fn range(larder: &Larder, range: &str) -> Told {
    let told = larder.ask(get("/a", &[("range", range)])).await;
    settle().await; // until the rest of the work for the store is done
    told
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_answers_what_lies_within_it() {
    let larder = origin(&[FRESH]);
    let first = range(&larder, "bytes=4-8").await;
    assert_eq!((first.status, first.body.as_str()), (206, "45678"));
    assert_eq!(
        first.header("cache-status"),
        "larder; fwd=uri-miss; stored; ttl=60"
    );
    advance(Duration::from_secs(7)).await;
    for (wanted, body, content_range) in [
        ("bytes=4-8", "45678", "bytes 4-8/10"),
        ("bytes=5-6", "56", "bytes 5-6/10"),
        ("bytes=6-6,5-7", "567", "bytes 5-7/10"),
    ] {
        let part = range(&larder, wanted).await;
        assert!(part.is_hit(), "{wanted}");
        assert_eq!((part.status, part.body.as_str()), (206, body));
        assert_eq!(part.header("content-range"), content_range);
        assert_eq!(part.header("content-length"), body.len().to_string());
        assert_eq!(part.header("age"), "7");
    }
    let two = range(&larder, "bytes=4-4,-2").await;
    assert!(!two.is_hit(), "the last byte is not there");
    assert!(
        two.header("cache-status")
            .starts_with("larder; fwd=partial")
    );
}

#[tokio::test(start_paused = true)]
async fn several_ranges_come_from_a_part_as_from_the_whole() {
    let larder = origin(&[FRESH]);
    range(&larder, "bytes=4-8").await;
    let two = range(&larder, "bytes=4-4,8-8").await;
    assert!(two.is_hit());
    assert!(
        two.header("content-type")
            .starts_with("multipart/byteranges")
    );
    assert_eq!(two.header("content-range"), "");
    assert!(
        two.body
            .contains("Content-Range: bytes 8-8/10\r\n\r\n8\r\n")
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_is_never_taken_for_the_whole() {
    let larder = origin(&[FRESH]);
    range(&larder, "bytes=0-4").await;
    let head = larder.ask(request("HEAD", "/a", &[])).await;
    assert!(!head.is_hit());
    let whole = larder.get("/a").await;
    assert!(!whole.is_hit());
    assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
    assert!(
        !larder.script.last().contains_key("range"),
        "without a strong validator the rest could not be joined"
    );
    assert!(range(&larder, "bytes=7-").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_part_is_completed_and_the_whole_stored() {
    let larder = origin(&[FRESH, TAG]);
    range(&larder, "bytes=0-4").await;
    advance(Duration::from_secs(61)).await; // stale: the condition validates it
    let whole = larder.ask(get("/a", &[("if-none-match", "\"0\"")])).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
    assert_eq!(whole.header("content-length"), "10");
    assert_eq!(whole.header("content-range"), "");
    assert_eq!(
        whole.header("cache-status"),
        "larder; fwd=stale; fwd-status=206; stored; ttl=60; detail=stale"
    );
    let asked = larder.script.last();
    assert_eq!(asked["range"], "bytes=5-");
    assert_eq!(asked["if-range"], "\"1\"");
    assert!(!asked.contains_key("if-none-match"));
    settle().await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, BYTES);
    assert!(larder.ask(request("HEAD", "/a", &[])).await.is_hit());
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_whole_is_not_completed() {
    let script = Script::at_once(|_, req| answer(req, &[FRESH, TAG]));
    let larder = Larder::built(script, |builder| builder.max_object(9));
    range(&larder, "bytes=0-4").await;
    assert_eq!(larder.get("/a").await.body, BYTES);
    assert!(!larder.script.last().contains_key("range"));
    settle().await;
    assert!(
        range(&larder, "bytes=1-3").await.is_hit(),
        "the part is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_meanwhile_share_the_completed_whole() {
    let larder = origin(&[FRESH, TAG]);
    range(&larder, "bytes=0-4").await;
    let (one, two) = tokio::join!(larder.get("/a"), larder.get("/a"));
    assert_eq!((one.body.as_str(), two.body.as_str()), (BYTES, BYTES));
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_what_has_changed_is_replaced_by_the_whole() {
    let larder = Larder::new(Script::at_once(|n, req| match n {
        1 => answer(req, &[FRESH, TAG]),
        _ => answer(req, &[FRESH, ("etag", "\"2\"")]),
    }));
    range(&larder, "bytes=0-4").await;
    let whole = larder.get("/a").await;
    assert_eq!(
        (whole.body.as_str(), whole.header("etag")),
        (BYTES, "\"2\"")
    );
    assert!(larder.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_none_is_not_served() {
    for (status, range_of_rest, tag) in [
        (206, "bytes 5-9/10", "\"2\""),
        (206, "bytes 4-8/10", "\"1\""),
        (206, "bytes 5-8/10", "\"1\""),
        (206, "bytes 5-9/11", "\"1\""),
        (416, "bytes */5", "\"1\""),
    ] {
        let larder = Larder::new(Script::at_once(move |n, req| match n {
            2 => respond(
                status,
                &[FRESH, ("etag", tag), ("content-range", range_of_rest)],
                "56789",
            ),
            _ => answer(req, &[FRESH, TAG]),
        }));
        range(&larder, "bytes=0-4").await;
        let whole = larder.get("/a").await;
        assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
        assert_eq!(larder.script.calls(), 3, "asked for anew");
        assert!(!larder.script.last().contains_key("range"));
        settle().await;
        assert!(larder.get("/a").await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_asked_for_anew_is_not_completed() {
    let larder = origin(&[FRESH, TAG]);
    range(&larder, "bytes=0-4").await;
    let whole = larder.ask(uncopied("/a")).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
    assert!(!larder.script.last().contains_key("range"));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_may_not_be_stored_completes_for_the_client_alone() {
    let larder = Larder::new(Script::at_once(|n, req| match n {
        1 => answer(req, &[FRESH, TAG]),
        _ => answer(req, &[("cache-control", "no-store"), TAG]),
    }));
    range(&larder, "bytes=0-4").await;
    let whole = larder.get("/a").await;
    assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
    assert!(!larder.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn parts_that_touch_are_joined() {
    let larder = origin(&[FRESH, TAG]);
    for wanted in ["bytes=2-4", "bytes=4-6", "bytes=0-1"] {
        assert!(!range(&larder, wanted).await.is_hit());
    }
    let joined = range(&larder, "bytes=0-6").await;
    assert!(joined.is_hit());
    assert_eq!(joined.body, &BYTES[..=6]);
    range(&larder, "bytes=7-").await;
    let whole = larder.get("/a").await;
    assert!(whole.is_hit(), "the last part made it whole");
    assert_eq!((whole.status, whole.body.as_str()), (200, BYTES));
    assert_eq!(larder.script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn of_parts_apart_the_larger_is_kept() {
    let larder = origin(&[FRESH, TAG]);
    range(&larder, "bytes=0-3").await;
    range(&larder, "bytes=8-9").await;
    assert!(range(&larder, "bytes=0-3").await.is_hit());
    range(&larder, "bytes=5-9").await;
    assert!(range(&larder, "bytes=5-9").await.is_hit());
    assert!(!range(&larder, "bytes=0-3").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn parts_of_different_representations_are_never_joined() {
    let tags = [TAG, ("etag", "\"2\""), ("etag", "W/\"2\"")];
    let larder = Larder::new(Script::at_once(move |n, req| {
        answer(req, &[FRESH, tags[n.min(3) - 1]])
    }));
    range(&larder, "bytes=0-4").await;
    range(&larder, "bytes=5-6").await;
    let part = range(&larder, "bytes=5-6").await;
    assert!(part.is_hit());
    assert_eq!(part.header("etag"), "\"2\"");
    range(&larder, "bytes=7-9").await; // a weak tag tells nothing of the bytes
    assert!(!range(&larder, "bytes=5-9").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_received_is_not_stored() {
    let larder = Larder::new(Script::at_once(|_, _| {
        let fields = [FRESH, ("content-range", "bytes 4-9/10")];
        respond(206, &fields, "45678")
    }));
    range(&larder, "bytes=4-9").await;
    assert!(range(&larder, "bytes=4-8").await.is_hit());
    assert!(!range(&larder, "bytes=4-9").await.is_hit());
    assert!(!range(&larder, "bytes=-1").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_part_with_a_condition_may_lack_fields_and_is_not_stored() {
    let larder = origin(&[FRESH, TAG]);
    let resumed = [("range", "bytes=4-8"), ("if-range", "\"1\"")];
    assert_eq!(larder.ask(get("/a", &resumed)).await.status, 206);
    settle().await;
    assert!(!range(&larder, "bytes=4-8").await.is_hit());
    assert!(larder.ask(get("/a", &resumed)).await.is_hit());
    let other = [("range", "bytes=4-8"), ("if-range", "\"2\"")];
    assert_eq!(larder.ask(get("/a", &other)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_part_varies_as_a_whole_does() {
    let larder = origin(&[FRESH, TAG, ("vary", "x-a")]);
    let ask = |value, wanted| larder.ask(get("/a", &[("x-a", value), ("range", wanted)]));
    ask("1", "bytes=0-4").await;
    settle().await;
    assert!(!ask("2", "bytes=0-4").await.is_hit());
    assert!(ask("1", "bytes=1-2").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_tells_of_another_representation_ends_a_part() {
    for (tag, length, kept) in [
        ("\"1\"", "10", true),
        ("\"1\"", "11", false),
        ("\"2\"", "10", false),
    ] {
        let larder = Larder::new(Script::at_once(move |_, req| match req.method.as_str() {
            "HEAD" => respond(200, &[FRESH, ("etag", tag), ("content-length", length)], ""),
            _ => answer(req, &[FRESH, TAG]),
        }));
        range(&larder, "bytes=0-4").await;
        let head = larder.ask(request("HEAD", "/a", &[])).await;
        assert_eq!((head.status, head.header("etag")), (200, tag));
        assert_eq!(
            range(&larder, "bytes=0-4").await.is_hit(),
            kept,
            "{tag} {length}"
        );
    }
}
