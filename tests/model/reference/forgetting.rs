//! RFC 9111 §4.4 and RFC 9875 §3: what an unsafe request makes the cache forget; and purges.

use super::{
    Reference,
    stored::{Stored, groups},
};
use crate::{
    history::{Purging, URLS},
    origin::Answer,
};

impl Reference {
    pub(super) fn forget(&mut self, which: impl Fn(&Stored) -> bool) {
        for old in self.list.iter_mut().filter(|old| which(old)) {
            old.gone = true;
        }
    }

    fn forget_url(&mut self, url: &str) {
        self.forget(|old| old.url == url);
        self.marks.remove(url);
    }

    /// The target, and what of the same origin is named as changed, if the answer is no error.
    pub(super) fn invalidate(&mut self, url: &str, answer: &Answer) {
        if answer.status < 400 {
            self.forget_url(url);
            for name in ["location", "content-location"] {
                for location in answer.fields.lines(name) {
                    let other = resolve(url, location);
                    if origin(&other) == origin(url) {
                        self.forget_url(&other);
                    }
                }
            }
        }
        let changed = groups(&answer.fields, "cache-group-invalidation");
        let is_in = |old: &Stored| {
            let own = groups(&old.fields, "cache-groups");
            origin(&old.url) == origin(url) && own.iter().any(|group| changed.contains(group))
        };
        self.forget(is_in);
    }

    /// What the owner of the cache purges.
    pub(crate) fn purge(&mut self, purging: Purging, soft: bool, now: i64) {
        let concerns = |old: &Stored| match purging {
            Purging::All => true,
            Purging::Url(at) => old.url == URLS[at],
            Purging::Below(at) => is_below(&old.url, URLS[at]),
            Purging::Tag(tag) => old.tags().iter().any(|own| own == tag),
        };
        if !soft {
            self.forget(concerns);
            self.marks.retain(|url, _| match purging {
                Purging::All => false,
                Purging::Url(at) => url != URLS[at],
                Purging::Below(at) => !is_below(url, URLS[at]),
                Purging::Tag(_) => true,
            });
            return;
        }
        for old in self.list.iter_mut().filter(|old| concerns(old)) {
            old.lifetime = old.lifetime.min(old.age(now));
            let useful = old.useful(self.settings, now);
            old.useless_from = now + useful;
            old.gone |= useful == 0;
        }
    }
}

fn is_below(url: &str, top: &str) -> bool {
    url.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn origin(url: &str) -> &str {
    let host = url.find("//").map_or(0, |at| at + 2);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..path]
}

/// RFC 3986 §5, as far as the references of these histories go.
pub(super) fn resolve(base: &str, reference: &str) -> String {
    let base = base.parse::<url::Url>().unwrap();
    let mut url = base.join(reference).unwrap();
    url.set_fragment(None);
    url.to_string()
}
