//! What `looma plugin …` does for authors. It never talks to a server and never reads the environment by itself.
//!
//! Read on in `new` (a project that builds), `build`, `rebuild` (while it is written), `workbench` (the real host without a
//! server), `cases` (what a plugin must answer), `bench`, `report` (words).

pub mod bench;
pub mod build;
pub mod cases;
mod compare;
pub mod new;
mod peer;
pub mod rebuild;
pub mod report;
pub mod workbench;
