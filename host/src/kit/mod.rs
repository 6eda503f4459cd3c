//! What `looma plugin …` does for authors. It never talks to a server and never reads the environment by itself.

pub mod build;
pub mod rebuild;
