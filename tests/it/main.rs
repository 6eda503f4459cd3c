//! What Looma promises, tried from outside, on both databases. The tree is the URL tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audit;
mod auth;
mod client;
mod discovery;
mod examples;
mod idempotency;
mod metrics;
mod nodes;
mod plugins;
mod serve;
mod services;
mod statements;
mod system;
mod talent;
mod tidy;
mod tokens;
mod users;
