//! What Looma promises, tried from outside, on both databases. The tree is the URL tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod discovery;
mod nodes;
mod services;
mod statements;
mod system;
mod tidy;
