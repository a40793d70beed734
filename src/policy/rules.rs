//! The rules by name, and who is shown them as they are applied.
//!
//! For a request that is to be answered, the [`Witness`] is `()`, of which nothing is left in the
//! compiled program; for one that is to be explained, it [tells](super::explain) what it saw.

use super::Reason;

/// The rules, in the words of what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    KnownContent,
    Read,
    Safe,
    BareRequest,
    SharableRequest,
    StorableMethod,
    NoStore,
    Private,
    VaryStar,
    Authorization,
    Unauthorized,
    Cookie,
    SetCookie,
    Satisfiable,
    Final,
    Understood,
    Kept,
    Unprovoked,
    UsablePart,
    OfUse,
    StoredNoCache,
    AskedNoCache,
    Fresh,
    MaxAge,
    MinFresh,
    MaxAgeOfStale,
    NoMinFresh,
    MayBeStale,
    MaxStale,
    NoMaxStale,
    WhileRevalidate,
}

/// Is shown the rules as they are applied.
pub(super) trait Witness {
    /// Gives back whether the rule holds.
    fn see(&mut self, rule: Rule, holds: bool) -> bool;

    /// The same, with the reason that there is when it does not.
    fn require(&mut self, rule: Rule, holds: bool, reason: Reason) -> Result<(), Reason> {
        if self.see(rule, holds) {
            Ok(())
        } else {
            Err(reason)
        }
    }
}

/// Nobody asks why.
impl Witness for () {
    #[inline]
    fn see(&mut self, _: Rule, holds: bool) -> bool {
        holds
    }
}

// === impl Rule ===

impl Rule {
    /// Where it is written.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Rule::KnownContent => "RFC 10008 §2.7",
            Rule::Read => "RFC 9111 §4",
            Rule::Safe => "RFC 9111 §4.4",
            Rule::BareRequest => "RFC 9110 §9.3.1",
            Rule::SharableRequest => "RFC 9111 §5.2.1.5",
            Rule::StorableMethod | Rule::Kept | Rule::Final | Rule::OfUse => "RFC 9111 §3",
            Rule::NoStore => "RFC 9111 §5.2.2.5",
            Rule::Private => "RFC 9111 §5.2.2.7",
            Rule::VaryStar => "RFC 9111 §4.1",
            Rule::Authorization | Rule::Unauthorized => "RFC 9111 §3.5",
            Rule::Cookie | Rule::Unprovoked => "larder",
            Rule::SetCookie => "RFC 9111 §7.3",
            Rule::Satisfiable => "RFC 9110 §15.5.17",
            Rule::Understood => "RFC 9111 §5.2.2.3",
            Rule::UsablePart => "RFC 9111 §3.3",
            Rule::StoredNoCache => "RFC 9111 §5.2.2.4",
            Rule::AskedNoCache => "RFC 9111 §5.2.1.4",
            Rule::Fresh => "RFC 9111 §4.2",
            Rule::MaxAge | Rule::MaxAgeOfStale => "RFC 9111 §5.2.1.1",
            Rule::MinFresh | Rule::NoMinFresh => "RFC 9111 §5.2.1.3",
            Rule::MayBeStale => "RFC 9111 §4.2.4",
            Rule::MaxStale | Rule::NoMaxStale => "RFC 9111 §5.2.1.2",
            Rule::WhileRevalidate => "RFC 5861 §3",
        }
    }
}
