//! Whether the client was told what it was to be told.

use super::{
    Expected, Seen, Told, Wrong,
    conditions::{Range, ranges, unmet},
    is,
    stored::Stored,
};
use crate::{fields::Fields, history::Ask};

impl Expected {
    pub(super) fn stored(stored: &Stored, at: i64) -> Expected {
        Expected::Stored {
            stored: stored.clone(),
            at,
            cookies: Vec::new(),
        }
    }

    /// `how` is `hit`, or why the request was forwarded.
    pub(super) fn check(&self, ask: &Ask, seen: &Seen, how: &str) -> Result<(), Wrong> {
        let told = match (self, &seen.told) {
            (Expected::Failure, None) => return Ok(()),
            (Expected::Failure, Some(told)) => {
                return Err(format!("the origin failed, and this was told: {told:?}"));
            }
            (_, None) => return Err("the request failed".to_owned()),
            (_, Some(told)) => told,
        };
        let line = told.fields.first("cache-status").unwrap_or_default();
        let x_cache = if how == "hit" { "HIT" } else { "MISS" };
        is("X-Cache", &told.fields.first("x-cache"), &Some(x_cache))?;
        let says = match how {
            "hit" => line.starts_with("larder; hit; ttl="),
            "" => !line.contains("hit") && !line.contains("fwd"),
            "miss" => line.contains("; fwd=uri-miss") || line.contains("; fwd=vary-miss"),
            why => line.starts_with(&format!("larder; fwd={why}")),
        };
        if !says {
            return Err(format!("Cache-Status was {line}, not {how}"));
        }
        match self {
            Expected::Failure => Ok(()),
            Expected::Status(status) => is("the status", &told.status, status),
            Expected::Passed { answer, is_stored } => {
                is("the status", &told.status, &answer.status)?;
                is("the body", &told.body, &answer.body)?;
                is(
                    "the fields",
                    &lines(&told.fields, &[]),
                    &lines(&answer.fields, &[]),
                )?;
                // What becomes of a POST is not told.
                let stored = line.contains("; stored") || ask.method == "POST";
                is("stored", &stored, &(*is_stored || ask.method == "POST"))
            }
            Expected::Part { answer, range } => {
                is("the status", &told.status, &206)?;
                let (length, slice) = (answer.body.len(), &answer.body[range.0..=range.1]);
                is("the range", &told.body.as_slice(), &slice)?;
                let line = format!("bytes {}-{}/{length}", range.0, range.1);
                let said = told.fields.first("content-range").map(str::to_owned);
                is("Content-Range", &said, &Some(line))?;
                let of_part = ["content-length", "content-range"];
                let said = lines(&told.fields, &of_part);
                is("the fields", &said, &lines(&answer.fields, &of_part))
            }
            Expected::Completed { stored, cookies } => match unmet(&ask.fields, stored) {
                Some(status) => is("the status", &told.status, &status),
                None => whole(told, ask, stored, cookies),
            },
            Expected::Stored {
                stored,
                at,
                cookies,
            } => {
                let age = told.fields.first("age").map(str::to_owned);
                is("Age", &age, &Some(stored.age(*at).to_string()))?;
                let ttl = format!("; ttl={}", stored.ttl(*at));
                is("ttl", &line.contains(&ttl), &true)?;
                served(told, ask, stored, cookies)
            }
        }
    }
}

fn served(told: &Told, ask: &Ask, stored: &Stored, cookies: &[String]) -> Result<(), Wrong> {
    if let Some(status) = unmet(&ask.fields, stored) {
        is("the status", &told.status, &status)?;
        is("the body", &told.body, &Vec::new())?;
        let tag = Some(told.fields.first("etag")).filter(|_| status == 304);
        return is("ETag", &tag.unwrap_or(stored.tag()), &stored.tag());
    }
    let (first, length) = stored.part.unwrap_or((0, stored.body.len()));
    match ranges(&ask.fields, stored, length) {
        Some(ranges) if ask.method == "GET" && ranges.is_empty() => {
            is("the status", &told.status, &416)?;
            let range = format!("bytes */{length}");
            is(
                "Content-Range",
                &told.fields.first("content-range"),
                &Some(&range),
            )
        }
        Some(ranges) if ask.method == "GET" => partial(told, stored, first, length, &ranges),
        _ => whole(told, ask, stored, cookies),
    }
}

fn partial(
    told: &Told,
    stored: &Stored,
    first: usize,
    length: usize,
    ranges: &[Range],
) -> Result<(), Wrong> {
    is("the status", &told.status, &206)?;
    let slice = |range: &Range| &stored.body[range.0 - first..=range.1 - first];
    let line = |range: &Range| format!("bytes {}-{}/{length}", range.0, range.1);
    if let [range] = ranges {
        is("the range", &told.body.as_slice(), &slice(range))?;
        return is(
            "Content-Range",
            &told.fields.first("content-range"),
            &Some(&line(range)),
        );
    }
    let body = String::from_utf8_lossy(&told.body);
    for range in ranges {
        let part = String::from_utf8_lossy(slice(range));
        let part = format!("Content-Range: {}\r\n\r\n{part}\r\n--", line(range));
        is("a part", &body.contains(&part), &true)?;
    }
    is("Content-Range", &told.fields.first("content-range"), &None)
}

fn whole(told: &Told, ask: &Ask, stored: &Stored, cookies: &[String]) -> Result<(), Wrong> {
    is("the status", &told.status, &stored.status)?;
    let is_head = ask.method == "HEAD";
    let body = if is_head { &Vec::new() } else { &stored.body };
    is("the body", &told.body, body)?;
    let mut fields = stored.fields.clone();
    for cookie in cookies {
        fields.add("set-cookie", cookie);
    }
    // RFC 9110 §8.6: a HEAD may be told the length, or not.
    let unsaid: &[&str] = if is_head {
        &["age", "content-length"]
    } else {
        &["age"]
    };
    is(
        "the fields",
        &lines(&told.fields, unsaid),
        &lines(&fields, unsaid),
    )
}

/// By name, without what is told of the cache and of what it can do with what it has.
fn lines(fields: &Fields, except: &[&str]) -> Vec<(String, String)> {
    let mut lines = fields.0.clone();
    lines.retain(|(name, _)| {
        let told = ["accept-ranges", "cache-status", "x-cache"];
        !told.contains(&name.as_str()) && !except.contains(&name.as_str())
    });
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}
