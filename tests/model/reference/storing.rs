//! RFC 9111 §3: whether a response may be stored; and larder's own, stricter rules (README).

use super::{
    Reference, says,
    stored::{Stored, is_heuristic},
};
use crate::fields::Fields;

/// The final statuses that larder understands, among those that the origin sends here.
const UNDERSTOOD: [u16; 14] = [
    200, 203, 204, 206, 301, 302, 308, 400, 401, 404, 410, 421, 500, 503,
];

/// The errors among those that a client can bring about.
const PROVOKED: [u16; 7] = [400, 405, 408, 414, 431, 500, 503];

/// Whether the request had a field that neither most send nor `Vary` names, or in no usual form.
fn is_unusual(by: &Fields, new: &Stored) -> bool {
    let varies = new.fields.members("vary");
    let is_odd = by.first("if-modified-since") == Some("soon")
        || by.lines("cache-control").any(|line| line.contains('"'));
    is_odd
        || ["x-custom", "range", "if-range", "cookie", "authorization"]
            .iter()
            .any(|field| {
                let keyed = varies.iter().any(|name| name.eq_ignore_ascii_case(field));
                by.has(field) && !keyed
            })
}

impl Reference {
    pub(super) fn may_store(&self, method: &str, by: &Fields, new: &Stored) -> bool {
        let says = &new.says;
        let explained = says.must_understand && UNDERSTOOD.contains(&new.status);
        let secret = by.has("cookie") || new.sets_cookie;
        let is_error = new.status >= 400;
        let cacheable = says.public || is_heuristic(new.status);

        (method == "GET" || method == "POST" && answers_get(new))
            && (!says.no_store || explained)
            && (!says.must_understand || explained)
            && !says::Request::read(by).no_store
            && !says.private
            && !new.fields.members("vary").iter().any(|name| name == "*")
            && (!by.has("authorization") || says.is_shared() || says.must_revalidate) // §3.5
            && (new.status != 401 || says.is_shared())
            && (!secret || says.is_shared())
            && ![304, 412, 416].contains(&new.status)
            && (new.explicit || cacheable && (!is_error || new.lifetime > 0))
            && !(PROVOKED.contains(&new.status) && (!new.explicit || is_unusual(by, new)))
            && (new.status != 206
                || new.part.is_some() && by.has("range") && !by.has("if-range"))
            && new.useful(self.settings, new.received) > 0
    }

    /// Puts it into the list, and out of the way what it replaces.
    pub(super) fn store(&mut self, new: Stored) {
        self.forget(|old| old.useless_from <= new.received);
        let names = new.fields.members("vary").into_iter();
        let mark = self.marks.entry(new.url.clone()).or_default();
        let before = mark.names.len();
        mark.names.extend(names.map(|name| name.to_lowercase()));
        if mark.names.len() > before {
            // What was told apart by fewer fields cannot be told apart any more.
            mark.until = 0;
            self.forget(|old| old.url == new.url);
        }
        self.mark_until(&new.url, new.useless_from);
        let Some(new) = self.joined(new) else {
            return;
        };
        if let Some(old) = self.matching(&new.url, &new.by) {
            self.list[old].gone = true;
        }
        self.list.push(new);
    }

    /// Keeps the mark for as long as any of the variants.
    pub(super) fn mark_until(&mut self, url: &str, until: i64) {
        if let Some(mark) = self.marks.get_mut(url) {
            mark.until = mark.until.max(until);
        }
    }

    pub(super) fn drop_useless(&mut self, now: i64) {
        self.forget(|old| old.useless_from <= now);
        self.marks
            .retain(|_, mark| mark.until > now && !mark.names.is_empty());
    }
}

/// RFC 9110 §9.3.3: the response to a POST is that of a GET, if it says so.
fn answers_get(new: &Stored) -> bool {
    let says_so = |location| super::forgetting::resolve(&new.url, location) == new.url;
    let location = new.fields.first("content-location");
    new.status == 200 && new.explicit && location.is_some_and(says_so)
}
