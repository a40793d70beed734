//! The integration tests: a module for each theme.

#![allow(clippy::unwrap_used)]

mod attacks;
mod cache;
mod cli;
mod described;
mod endpoints;
mod explain;
mod exposed;
mod floors;
mod purge_endpoints;
mod stores;
mod support;
mod upstream;
