//! An origin that answers each request by the recipe of the step, and writes down what it is asked.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use larder::clock::Clock;
use tower::Service;

use crate::{
    fields::{Fields, seconds, write_date},
    history::{Recipe, Tag, URLS},
};

/// One request to the origin, and its answer: `None` when the origin fails.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) fields: Fields,
    pub(crate) sent: i64,
    pub(crate) received: i64,
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Origin {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    recipe: Option<Recipe>,
    under_way: usize,
    calls: Vec<Call>,
    versions: [Version; URLS.len()],
}

#[derive(Clone, Copy)]
struct Version {
    number: u32,
    tag: Tag,
    modified: Option<i64>,
}

/// The origin could not be reached.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unreachable")
    }
}

impl std::error::Error for Unreachable {}

impl Origin {
    pub(crate) fn new(clock: Clock) -> Origin {
        let version = Version {
            number: 0,
            tag: Tag::None,
            modified: None,
        };
        let state = State {
            recipe: None,
            under_way: 0,
            calls: Vec::new(),
            versions: [version; URLS.len()],
        };
        Origin {
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The next calls are answered so.
    pub(crate) fn prepare(&self, recipe: &Recipe) {
        self.state.lock().unwrap().recipe = Some(recipe.clone());
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state.lock().unwrap().under_way == 0
    }

    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }
}

impl Service<Request<Empty<Bytes>>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Unreachable;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unreachable>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreachable>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<Empty<Bytes>>) -> Self::Future {
        let origin = self.clone();
        Box::pin(async move {
            let recipe = {
                let mut state = origin.state.lock().unwrap();
                state.under_way += 1;
                state.recipe.clone().unwrap()
            };
            let sent = seconds(origin.clock.now());
            if recipe.delay > 0 {
                tokio::time::advance(Duration::from_secs(recipe.delay)).await;
            }
            let received = seconds(origin.clock.now());
            let mut state = origin.state.lock().unwrap();
            state.under_way -= 1;
            let (method, url) = (req.method().to_string(), req.uri().to_string());
            let fields = Fields::of(req.headers());
            let answer = state.answer(&recipe, &method, &url, &fields, received);
            let res = answer.as_ref().map(respond).ok_or(Unreachable);
            state.calls.push(Call {
                method,
                url,
                fields,
                sent,
                received,
                answer,
            });
            res
        })
    }
}

fn respond(answer: &Answer) -> Response<Full<Bytes>> {
    let mut res = Response::builder().status(answer.status);
    for (name, value) in &answer.fields.0 {
        res = res.header(name, value);
    }
    let body = Full::new(Bytes::from(answer.body.clone()));
    let Ok(res) = Ok::<_, Infallible>(res.body(body).unwrap());
    res
}

impl State {
    fn answer(
        &mut self,
        recipe: &Recipe,
        method: &str,
        url: &str,
        asked: &Fields,
        now: i64,
    ) -> Option<Answer> {
        if recipe.fails {
            return None;
        }
        let mut fields = Fields::default();
        for (name, value) in &recipe.fields.0 {
            fields.add(name, render(value, now, ""));
        }
        let at = URLS.iter().position(|other| *other == url).unwrap();
        let version = &mut self.versions[at];
        if recipe.changed || version.number == 0 {
            *version = Version {
                number: version.number + 1,
                tag: recipe.tag,
                modified: recipe.modified.map(|ago| now - ago),
            };
        }
        // Each variant has bytes and a tag of its own.
        let mut name = format!("{at}.{}", version.number);
        for field in fields.members("vary") {
            let field = field.to_lowercase();
            name += &format!("~{}", plain(asked.first(&field).unwrap_or("-")));
        }
        let body = format!("{name}|0123456789").into_bytes();
        let tag = match version.tag {
            Tag::None => None,
            Tag::Weak => Some(format!("W/\"{name}\"")),
            Tag::Strong => Some(format!("\"{name}\"")),
        };
        let is_read = matches!(method, "GET" | "HEAD");
        if recipe.status == 200 && recipe.heeds_conditions && is_read {
            let known = match asked.first("if-none-match") {
                Some(tags) => {
                    let opaque = tag.as_ref().map(|tag| tag.trim_start_matches("W/"));
                    tags == "*" || opaque.is_some_and(|opaque| tags.contains(opaque))
                }
                None => {
                    asked.time("if-modified-since") >= version.modified && {
                        version.modified.is_some() && asked.has("if-modified-since")
                    }
                }
            };
            if known {
                if let Some(tag) = tag.filter(|_| recipe.tags_not_modified) {
                    fields.add("etag", tag);
                }
                return Some(Answer {
                    status: 304,
                    fields,
                    body: Vec::new(),
                });
            }
        }
        let whole = body.len();
        let mut answer = Answer {
            status: recipe.status,
            fields,
            body,
        };
        if recipe.status < 400 {
            if let Some(tag) = &tag {
                answer.fields.add("etag", tag);
            }
            if let Some(modified) = version.modified {
                answer.fields.add("last-modified", write_date(modified));
            }
        }
        let if_range = asked.first("if-range");
        let holds = if_range.is_none_or(|wanted| tag.as_deref() == Some(wanted));
        if recipe.status == 200 && recipe.knows_ranges && holds && method == "GET" {
            match asked.first("range").and_then(|line| range(line, whole)) {
                Some(Some((first, last))) => {
                    answer.status = 206;
                    answer.body = answer.body[first..=last].to_vec();
                    let range = format!("bytes {first}-{last}/{whole}");
                    answer.fields.add("content-range", range);
                }
                Some(None) => {
                    answer.status = 416;
                    answer.body.clear();
                    answer
                        .fields
                        .add("content-range", format!("bytes */{whole}"));
                }
                None => {}
            }
        }
        if answer.status == 204 {
            answer.body.clear();
        } else {
            answer
                .fields
                .add("content-length", answer.body.len().to_string());
        }
        if method == "HEAD" {
            answer.body.clear();
        }
        Some(answer)
    }
}

/// A single range in so many bytes; `Some(None)` where it lies outside.
fn range(line: &str, length: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = line.strip_prefix("bytes=")?.split_once('-')?;
    if last.contains(',') {
        return None;
    }
    let end = length - 1;
    if first.is_empty() {
        return Some(Some((
            length - last.parse::<usize>().ok()?.min(length),
            end,
        )));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() {
        end
    } else {
        last.parse().ok()?
    };
    if last < first {
        return None;
    }
    Some((first <= end).then_some((first, last.min(end))))
}

/// Letters and digits as they are, everything else as an underscore.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    text.chars().map(plain).collect()
}

/// What a value stands for.
pub(crate) fn render(value: &str, now: i64, tag: &str) -> String {
    match value.strip_prefix('@') {
        Some(offset) => write_date(now + offset.parse::<i64>().unwrap()),
        None => value.replace('%', tag),
    }
}
