//! What errors tell of Redis, and why a call came to nothing.

use fred::error::{Error, ErrorKind};

use crate::store::StoreError;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// It was not made: Redis is out of reach.
    Open,
    /// It was made, and failed.
    Failed(Error),
}

impl CallError {
    pub(super) fn into_error(self) -> Error {
        match self {
            CallError::Open => Error::new(ErrorKind::Canceled, "Redis is out of reach"),
            CallError::Failed(error) => error,
        }
    }

    /// Whether Redis said that something other than a record is under the key.
    pub(super) fn is_wrong_type(&self) -> bool {
        matches!(self, CallError::Failed(error) if error.details().starts_with("WRONGTYPE"))
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Open => StoreError::new("Redis is out of reach"),
            CallError::Failed(error) => StoreError::because("a call to Redis failed", error),
        }
    }
}

/// Parts of what Redis and Valkey say of what is not to be done there, by this user or by any.
const FORBIDDEN: [&str; 6] = [
    "can't run this command",
    "can't access at least one of the keys",
    "ACL failure in script",
    "unknown command",
    "Unknown Redis command",
    "Unknown command",
];

/// What an error tells of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It refused this one call, and is well.
    Refused,
    /// It has no room. What is there can be had, and deleted.
    Full,
    /// It did not answer.
    Lost,
    /// It answered that it cannot be used.
    Useless,
}

impl Trouble {
    pub(super) fn of(error: &Error) -> Self {
        // As a script is told that its user may not do what it does.
        let is_forbidden = |how| error.details().contains(how);
        if FORBIDDEN.iter().any(is_forbidden) {
            return Trouble::Useless;
        }
        // What it replies begins with a word in capitals.
        let word = error.details().split(' ').next().unwrap_or_default();
        match word {
            "NOAUTH" | "WRONGPASS" | "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN"
            // Nothing can be deleted either, and what cannot be deleted must not be read.
            | "READONLY" | "MISCONF" | "NOREPLICAS" | "NOPERM" => Trouble::Useless,
            "OOM" => Trouble::Full,
            _ if word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase()) => Trouble::Refused,
            _ => match error.kind() {
                ErrorKind::Parse | ErrorKind::InvalidArgument => Trouble::Refused,
                _ => Trouble::Lost,
            },
        }
    }
}
