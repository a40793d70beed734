//! What can go wrong with a store.

use std::{borrow::Cow, error::Error, fmt};

/// Why a store could not answer. The cache treats it as "not known" and goes on without.
#[derive(Debug)]
pub struct StoreError {
    what: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error that says `what` went wrong.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        StoreError {
            what: what.into(),
            source: None,
        }
    }

    /// The same, because of `source`.
    pub fn because(
        what: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        StoreError {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
