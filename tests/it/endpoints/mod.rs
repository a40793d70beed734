//! The whole program over real sockets: every endpoint and every error, before scripted origins.

mod addresses;
mod asking_again;
mod clearing;
mod controls;
mod credentials;
mod draining;
mod envelope;
mod examples;
mod explaining;
mod failures;
mod figures;
mod framing;
mod interim;
mod logs;
mod pages;
mod proxied;
mod querying;
mod redis;
mod refusals;
mod reverse;
mod searching;
mod settings;
mod streaming;
mod tls;
mod validation;
