//! Why something was not stored or not reused, in a word.

use std::fmt;

/// Why something was not stored or not reused: the `detail` of `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The method is not one whose responses are cached.
    Method,
    /// `no-store`, in the request or the response.
    NoStore,
    /// `private`.
    Private,
    /// `no-cache`, in the request or the stored response.
    NoCache,
    /// The response says `Vary: *`.
    VaryStar,
    /// The response sets a cookie and does not say that it may be shared.
    SetCookie,
    /// The request carried a cookie, and the response does not say that it may be shared.
    Cookie,
    /// The request carried `Authorization`, and the response does not say that it may be shared.
    Authorization,
    /// The status is not one that may be kept without an explicit lifetime, or at all.
    Status,
    /// The response is partial (206, or it has `Content-Range`).
    Partial,
    /// The response is stale and has nothing to validate it with, or says no lifetime at all.
    NoFreshness,
    /// The stored response is older than the request accepts, or it is stale.
    Stale,
    /// `max-age`, `min-fresh` or `max-stale` of the request.
    RequestDirective,
    /// The request needs a body, an upgrade or a method-specific treatment.
    RequestBody,
    /// The content of a QUERY is longer than is looked at.
    QueryTooLarge,
    /// What a QUERY asks is not known for sure: it has no content type, or did not come in time.
    QueryUnclear,
    /// The body is larger than may be stored.
    TooLarge,
    /// The bodies being received take up all the room that is set aside for them.
    Busy,
    /// As many requests wait for the same fetch as may.
    Waiting,
    /// The fetch that was waited for failed, and the one after it too.
    Failed,
    /// It was purged while it was being fetched.
    Purged,
    /// The request said `only-if-cached`, and nothing stored could answer.
    OnlyIfCached,
}

impl Reason {
    /// The word, a token of RFC 9651.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Method => "method",
            Reason::NoStore => "no-store",
            Reason::Private => "private",
            Reason::NoCache => "no-cache",
            Reason::VaryStar => "vary-star",
            Reason::SetCookie => "set-cookie",
            Reason::Cookie => "cookie",
            Reason::Authorization => "authorization",
            Reason::Status => "status",
            Reason::Partial => "partial",
            Reason::NoFreshness => "no-freshness",
            Reason::Stale => "stale",
            Reason::RequestDirective => "request-directive",
            Reason::RequestBody => "request-body",
            Reason::QueryTooLarge => "query-too-large",
            Reason::QueryUnclear => "query-unclear",
            Reason::TooLarge => "too-large",
            Reason::Busy => "busy",
            Reason::Waiting => "waiting",
            Reason::Failed => "failed",
            Reason::Purged => "purged",
            Reason::OnlyIfCached => "only-if-cached",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
