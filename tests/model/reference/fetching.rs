//! RFC 9111 §4.3: what the origin is asked, and what becomes of its answer.

use super::{
    Expected, Reference, Wrong, conditions, conditions::ranges, conditions::weak, is,
    parts::are_of_one, says, stored::Stored,
};
use crate::{
    fields::Fields,
    history::Ask,
    origin::{Answer, Call},
};

const CONDITIONS: [&str; 6] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
];

/// What was asked in place of what the client asked.
struct Question {
    fields: Fields,
    /// The client's own conditions are answered by the cache.
    ours: bool,
    completes: bool,
}

impl Reference {
    /// Takes in a fetch, and says what the client is to be told. Where the origin's answer makes
    /// nothing of what is stored, it is asked once more, as if nothing were.
    pub(super) fn fetched(
        &mut self,
        ask: &Ask,
        choice: Option<usize>,
        calls: &[Call],
    ) -> Result<Expected, Wrong> {
        let call = &calls[0];
        match (self.heard(ask, choice, call)?, &calls[1..]) {
            (Some(expected), []) => Ok(expected),
            (None, again @ [_]) => self.fetched(ask, None, again),
            (heard, _) => Err(format!(
                "the origin was asked {} times, and by the first answer that is {}",
                calls.len(),
                if heard.is_some() {
                    "too often"
                } else {
                    "wrong"
                }
            )),
        }
    }

    fn heard(
        &mut self,
        ask: &Ask,
        choice: Option<usize>,
        call: &Call,
    ) -> Result<Option<Expected>, Wrong> {
        is("method", &call.method.as_str(), &ask.method)?;
        let old = choice.map(|at| self.list[at].clone());
        let questions = questions(ask, old.as_ref());
        let asked = questions.iter().find(|one| same(&one.fields, &call.fields));
        let Some(asked) = asked else {
            let wanted: Vec<_> = questions.iter().map(|one| &one.fields.0).collect();
            return Err(format!(
                "the origin was asked {:?}, not {wanted:?}",
                call.fields.0
            ));
        };
        let wanted = says::Request::read(&ask.fields);
        let whole = old.as_ref().filter(|old| old.part.is_none());
        let failed = call
            .answer
            .as_ref()
            .is_none_or(|answer| answer.status >= 500);
        if let Some(old) = whole.filter(|_| failed)
            && self.stands_in(&wanted, old, call.received)
        {
            return Ok(Some(Expected::stored(old, call.received)));
        }
        let Some(answer) = &call.answer else {
            return Ok(Some(Expected::Failure));
        };
        let at = choice.unwrap_or_default();
        Ok(match (&old, answer.status) {
            (Some(old), 206) if asked.completes => self.completed(ask, at, old, call, answer),
            (Some(old), 304) if whole.is_some() && old.has_validator() => {
                if !is_about(&answer.fields, old) {
                    self.list[at].gone = true;
                    return Ok(None);
                }
                let news = old.updated(self.settings, call, &answer.fields);
                Some(self.renewed(ask, at, Some(news), call, answer))
            }
            (Some(old), 200) if ask.method == "HEAD" => {
                let news = told_by_head(&answer.fields, old)
                    .then(|| old.updated(self.settings, call, &answer.fields))
                    .filter(|new| vary(new) == vary(old));
                if news.is_some() && whole.is_some() {
                    return Ok(Some(self.renewed(ask, at, news, call, answer)));
                }
                self.list[at].gone |= news.is_none();
                Some(self.new_response(ask, call, answer, asked.ours))
            }
            _ => {
                if whole.is_some() && ask.method == "GET" && displaces(&ask.fields, answer) {
                    self.list[at].gone = true;
                }
                Some(self.new_response(ask, call, answer, asked.ours))
            }
        })
    }

    /// §4.3.4: the stored response with its new fields; without, it is not used again.
    fn renewed(
        &mut self,
        ask: &Ask,
        at: usize,
        news: Option<Stored>,
        call: &Call,
        answer: &Answer,
    ) -> Expected {
        let old = self.list[at].clone();
        let kept = old.useless_from > call.received;
        let news = news.filter(|new| vary(new) == vary(&old));
        let stored = news
            .as_ref()
            .is_some_and(|new| self.may_store("GET", &ask.fields, new));
        let personal = news
            .as_ref()
            .is_some_and(|new| is_personal(&ask.fields, new));
        let told = news.unwrap_or(old);
        if stored && kept {
            self.list[at] = told.clone();
            self.mark_until(&told.url, told.useless_from);
        } else {
            self.list[at].gone = !personal;
        }
        Expected::Stored {
            stored: told,
            at: call.received,
            cookies: answer
                .fields
                .lines("set-cookie")
                .map(str::to_owned)
                .collect(),
        }
    }

    /// §3.4: the stored part, and the rest.
    fn completed(
        &mut self,
        ask: &Ask,
        at: usize,
        old: &Stored,
        call: &Call,
        answer: &Answer,
    ) -> Option<Expected> {
        let rest = Stored::new(self.settings, &old.by, call, answer);
        let whole = self
            .combined(old, &rest)
            .filter(|whole| whole.part.is_none());
        let Some(mut whole) = whole else {
            self.list[at].gone = true;
            return None;
        };
        whole.by = ask.fields.clone();
        if self.may_store("GET", &ask.fields, &whole) {
            self.store(whole.clone());
        }
        Some(Expected::Completed {
            stored: whole,
            cookies: answer
                .fields
                .lines("set-cookie")
                .map(str::to_owned)
                .collect(),
        })
    }

    pub(super) fn new_response(
        &mut self,
        ask: &Ask,
        call: &Call,
        answer: &Answer,
        ours: bool,
    ) -> Expected {
        let new = Stored::new(self.settings, &ask.fields, call, answer);
        let unmet = conditions::unmet(&ask.fields, &new).filter(|_| ours);
        let is_stored = self.may_store(ask.method, &ask.fields, &new);
        // A range that was taken out with the conditions is answered from what is being stored.
        let wanted = ranges(&ask.fields, &new, new.body.len())
            .filter(|_| ours && is_stored && ask.method == "GET");
        if is_stored {
            self.store(new);
        }
        let answer = answer.clone();
        match (unmet, wanted.as_deref()) {
            (Some(status), _) => Expected::Status(status),
            (None, Some([])) => Expected::Status(416),
            (None, Some([range])) => Expected::Part {
                answer,
                range: *range,
            },
            (None, _) => Expected::Passed { answer, is_stored },
        }
    }
}

/// What may be asked: to be told whether what is stored holds (§4.3.1), or for what a stored part
/// lacks; without either, what the client asks, or for the whole.
fn questions(ask: &Ask, old: Option<&Stored>) -> Vec<Question> {
    let mut whole = ask.fields.clone();
    for name in CONDITIONS {
        whole.remove(name);
    }
    let as_asked = Question {
        fields: ask.fields.clone(),
        ours: false,
        completes: false,
    };
    let mut question = Question {
        fields: whole,
        ours: true,
        completes: false,
    };
    match old {
        None if ask.method == "GET" => vec![as_asked, question],
        None => vec![as_asked],
        Some(old) if old.part.is_none() => {
            if let Some(tag) = old.tag() {
                question.fields.add("if-none-match", tag);
            }
            if let Some(modified) = old.fields.first("last-modified") {
                question.fields.add("if-modified-since", modified);
            }
            vec![question]
        }
        // A range of all bytes may be asked for as the whole, which costs the same.
        Some(_) if ask.method == "GET" && is_of_all(&ask.fields) => vec![as_asked, question],
        Some(_) if ask.method == "HEAD" || ask.fields.has("range") => vec![as_asked],
        Some(old) => {
            if old.part.is_some_and(|(first, _)| first == 0) && are_of_one(old, old) {
                let rest = format!("bytes={}-", old.body.len());
                question.fields.add("range", rest);
                question.fields.add("if-range", old.tag().unwrap());
                question.completes = true;
            }
            vec![question]
        }
    }
}

fn is_of_all(fields: &Fields) -> bool {
    fields.first("range") == Some("bytes=0-") && !fields.has("if-range")
}

fn same(one: &Fields, other: &Fields) -> bool {
    let sorted = |fields: &Fields| {
        let mut lines = fields.0.clone();
        lines.sort();
        lines
    };
    sorted(one) == sorted(other)
}

/// §4.3.4: by the validators, if the 304 has any.
fn is_about(news: &Fields, old: &Stored) -> bool {
    let modified = old.fields.first("last-modified");
    match (news.first("etag"), news.first("last-modified")) {
        (Some(tag), _) => weak(tag, old.tag()),
        (None, Some(new)) => modified.is_none_or(|old| old == new),
        (None, None) => true,
    }
}

/// §4.3.3: a full answer to who is nobody in particular, about what has become of the resource.
fn displaces(by: &Fields, answer: &Answer) -> bool {
    let tells = matches!(answer.status, 401 | 403 | 404 | 410 | 451)
        || (200..400).contains(&answer.status) && ![206, 304].contains(&answer.status);
    tells && !by.has("cookie") && !by.has("authorization")
}

/// Whether it is for what is known of who asked that this is not stored for others.
fn is_personal(by: &Fields, new: &Stored) -> bool {
    let says = &new.says;
    let is_for_nobody = says.no_store && !says.must_understand
        || says::Request::read(by).no_store
        || says.private
        || new.fields.members("vary").iter().any(|name| name == "*");
    let is_personal =
        by.has("authorization") && !says.must_revalidate || by.has("cookie") || new.status == 401;
    !is_for_nobody && is_personal && !says.is_shared()
}

/// §4.3.5: the same validators and length.
fn told_by_head(news: &Fields, old: &Stored) -> bool {
    let length = old
        .part
        .map_or(old.body.len(), |(_, whole)| whole)
        .to_string();
    let same_length = news.lines("content-length").all(|other| other == length);
    let same_time = !news.has("last-modified") || old.fields.has("last-modified");
    let is_ok = old.status == 200 || old.part.is_some();
    is_ok && same_length && same_time && is_about(news, old)
}

fn vary(stored: &Stored) -> Vec<String> {
    let names = stored.fields.members("vary");
    let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    names
}
