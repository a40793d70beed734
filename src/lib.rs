//! An HTTP cache as tower layers, and a caching proxy made of those layers.

pub mod body_end;
pub mod cache;
pub mod clock;
pub mod outcome;
pub mod policy;
pub mod store;
