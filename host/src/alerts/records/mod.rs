//! What the evaluators of rules were given and said, as far as rules want it kept; the keeping itself is for `plugins`.

mod routes;

pub use routes::routes;
