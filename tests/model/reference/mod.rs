//! A simple, slow reference of a shared cache, written from RFC 9110, 9111, 9213, 9875, 5861 and
//! 8246, and from what larder's README says of its own rules. It shares no code with `policy`.
//!
//! It keeps a list of all exchanges that were stored, and says of each step what the origin must
//! have been asked, what the client must have been told, and what is stored from then on.

mod choosing;
mod conditions;
mod fetching;
mod forgetting;
mod parts;
mod reuse;
mod says;
mod stored;
mod storing;
mod telling;

use std::collections::HashMap;

use self::{
    choosing::Mark,
    conditions::{Range, ranges},
    reuse::Verdict,
    stored::Stored,
};
use crate::{
    fields::Fields,
    history::{Ask, Settings},
    origin::{Answer, Call},
};

#[derive(Clone)]
pub(crate) struct Reference {
    settings: Settings,
    list: Vec<Stored>,
    /// By which fields each URL was ever seen to vary.
    marks: HashMap<String, Mark>,
}

/// What was seen of one step.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: i64,
    pub(crate) calls: Vec<Call>,
    /// `None`: the request failed.
    pub(crate) told: Option<Told>,
}

#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
}

/// What the client is to be told.
enum Expected {
    /// A stored response, as the request wants it.
    Stored {
        stored: Stored,
        at: i64,
        cookies: Vec<String>,
    },
    /// A stored part, completed.
    Completed {
        stored: Stored,
        cookies: Vec<String>,
    },
    /// What the origin answered.
    Passed { answer: Answer, is_stored: bool },
    /// A range of it.
    Part { answer: Answer, range: Range },
    /// This status.
    Status(u16),
    /// That the request failed.
    Failure,
}

/// What went wrong.
pub(crate) type Wrong = String;

fn is<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, expected: &T) -> Result<(), Wrong> {
    if seen == expected {
        return Ok(());
    }
    Err(format!("{what} was {seen:?}, not {expected:?}"))
}

impl Reference {
    pub(crate) fn new(settings: Settings) -> Reference {
        Reference {
            settings,
            list: Vec::new(),
            marks: HashMap::new(),
        }
    }

    /// Whether what was seen is what may happen.
    pub(crate) fn check(&mut self, url: &str, ask: &Ask, seen: &Seen) -> Result<(), Wrong> {
        self.drop_useless(seen.at);
        if !matches!(ask.method, "GET" | "HEAD") {
            return self.unsafe_request(url, ask, seen);
        }
        let wanted = says::Request::read(&ask.fields);
        if wanted.no_store && !wanted.only_if_cached {
            return passed(ask, seen, "bypass");
        }
        let choices = self.choices(url, &ask.fields);
        if let [choice] = choices[..] {
            return self.look_up(choice, &wanted, ask, seen);
        }
        let mut wrong = Vec::new();
        for choice in choices {
            let mut other = self.clone();
            match other.look_up(choice, &wanted, ask, seen) {
                Ok(()) => {
                    *self = other;
                    return Ok(());
                }
                Err(why) => wrong.push(why),
            }
        }
        Err(wrong.join("; or "))
    }

    fn look_up(
        &mut self,
        choice: Option<usize>,
        wanted: &says::Request,
        ask: &Ask,
        seen: &Seen,
    ) -> Result<(), Wrong> {
        let stored = choice.map(|at| self.list[at].clone());
        let verdict = stored
            .as_ref()
            .map(|stored| self.reuse(wanted, stored, seen.at));
        let verdict = match (&stored, verdict) {
            (Some(part), Some(Verdict::Hit)) if part.part.is_some() => match holds(ask, part) {
                true => Verdict::Hit,
                false => Verdict::Ask("partial"),
            },
            (Some(part), Some(Verdict::HitAndRefresh)) if part.part.is_some() => {
                Verdict::Ask("stale")
            }
            (_, verdict) => verdict.unwrap_or(Verdict::Ask("miss")),
        };
        let stored = stored.map(|stored| Expected::stored(&stored, seen.at));
        match (verdict, stored, &seen.calls[..]) {
            (Verdict::Hit, Some(stored), []) => stored.check(ask, seen, "hit"),
            (Verdict::HitAndRefresh, Some(stored), calls @ [_, ..]) => {
                stored.check(ask, seen, "hit")?;
                let ask = Ask {
                    method: "GET",
                    ..ask.clone()
                };
                self.fetched(&ask, choice, calls).map(drop)
            }
            (Verdict::Ask(_), _, []) if wanted.only_if_cached => {
                Expected::Status(504).check(ask, seen, "")
            }
            (Verdict::Ask(why), _, calls @ [_, ..]) if !wanted.only_if_cached => {
                let expected = self.fetched(ask, choice, calls)?;
                expected.check(ask, seen, why)
            }
            (verdict, _, calls) => {
                let asked: Vec<_> = calls.iter().map(|call| &call.fields.0).collect();
                Err(format!("{verdict:?}, and the origin was asked {asked:?}"))
            }
        }
    }

    /// §4.4, and RFC 9110 §9.3.3.
    fn unsafe_request(&mut self, url: &str, ask: &Ask, seen: &Seen) -> Result<(), Wrong> {
        passed(ask, seen, "method")?;
        let call = &seen.calls[0];
        let Some(answer) = &call.answer else {
            return Ok(());
        };
        self.invalidate(url, answer);
        let new = Stored::new(self.settings, &ask.fields, call, answer);
        let changed = stored::groups(&answer.fields, "cache-group-invalidation");
        let own = stored::groups(&new.fields, "cache-groups");
        if !own.iter().any(|group| changed.contains(group)) {
            self.new_response(ask, call, answer, false);
        }
        Ok(())
    }
}

/// The cache has no part in it.
fn passed(ask: &Ask, seen: &Seen, why: &str) -> Result<(), Wrong> {
    let [call] = &seen.calls[..] else {
        return Err(format!("the origin was asked {} times", seen.calls.len()));
    };
    is("the request", &call.fields.0, &ask.fields.0)?;
    let expected = match &call.answer {
        Some(answer) => Expected::Passed {
            answer: answer.clone(),
            is_stored: false,
        },
        None => Expected::Failure,
    };
    expected.check(ask, seen, why)
}

/// Whether a stored part has all that is asked for.
fn holds(ask: &Ask, part: &Stored) -> bool {
    let Some((first, length)) = part.part.filter(|_| ask.method == "GET") else {
        return false;
    };
    let end = first + part.body.len();
    ranges(&ask.fields, part, length).is_some_and(|ranges| {
        !ranges.is_empty() && ranges.iter().all(|range| range.0 >= first && range.1 < end)
    })
}
