//! What Looma promises, tried from outside, on both databases. The tree is the URL tree.

mod auth;
mod statements;
mod system;
mod tidy;
