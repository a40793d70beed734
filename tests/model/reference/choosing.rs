//! RFC 9111 §4.1: which stored response a request may be answered with.

use std::collections::BTreeSet;

use super::{Reference, stored::Stored};
use crate::fields::Fields;

impl Reference {
    /// What may be chosen: of several choices, larder may make any. `None` is a miss.
    pub(super) fn choices(&self, url: &str, by: &Fields) -> Vec<Option<usize>> {
        if let Some(one) = self.matching(url, by) {
            return vec![Some(one)];
        }
        // What was told apart by more fields than its own Vary names still matches, but need not
        // be found.
        let own = |old: &Stored| {
            let names = old.fields.members("vary").into_iter();
            let names: Names = names.map(|name| name.to_lowercase()).collect();
            same_selection(&names, &old.by, by)
        };
        let indices = 0..self.list.len();
        let others = indices.filter(|&at| {
            let old = &self.list[at];
            !old.gone && old.url == url && own(old)
        });
        std::iter::once(None).chain(others.map(Some)).collect()
    }

    /// The response that was stored last for a request which the fields that this URL was ever
    /// seen to vary by do not tell from this one.
    pub(super) fn matching(&self, url: &str, by: &Fields) -> Option<usize> {
        let none = Names::new();
        let names = self.marks.get(url).map_or(&none, |mark| &mark.names);
        let matches =
            |old: &Stored| !old.gone && old.url == url && same_selection(names, &old.by, by);
        self.list.iter().rposition(matches)
    }
}

type Names = BTreeSet<String>;

/// That a URL was seen to vary: by any of these fields, as long as any of its variants is kept.
#[derive(Clone, Default)]
pub(super) struct Mark {
    pub(super) names: Names,
    pub(super) until: i64,
}

fn same_selection(names: &Names, one: &Fields, other: &Fields) -> bool {
    names
        .iter()
        .all(|name| selection(one, name) == selection(other, name))
}

/// §4.1: equal after the normalisation that the field's syntax allows.
fn selection(by: &Fields, name: &str) -> Option<Vec<String>> {
    by.first(name)?;
    let mut members = by.members(name);
    if name.starts_with("accept-") {
        // Preferences: no case, no order, and a weight is a number (RFC 9110 §12.4.2).
        for member in &mut members {
            *member = member.to_lowercase().replace(' ', "");
            while member.contains(";q=") && member.ends_with('0') {
                member.pop();
            }
        }
        members.sort();
        members.dedup();
    }
    Some(members)
}
