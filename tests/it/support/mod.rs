//! What the tests share.

pub(crate) mod certificate;
pub(crate) mod origin;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod script;
pub(crate) mod tunnel;
