//! What Looma promises, tried from outside, on both databases. The tree is the URL tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod examples;
mod serve;
mod statements;
mod system;
mod talent;
mod tidy;
mod users;
