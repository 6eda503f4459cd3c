//! Mechanics of running WebAssembly components: engines, limits, calls, compiling and its cache, inspecting.
//!
//! Read `engine` first, then `inspect`, `compile`, `cache` (how a file becomes something that runs) and `limits`, `pulse`, `workers`,
//! `reactor`, `call`, `wasi` (how it runs). This floor never knows what a plugin is for; `plugins/` does.

pub mod cache;
pub mod call;
pub mod compile;
pub mod engine;
pub mod inspect;
pub mod limits;
pub mod pulse;
pub mod reactor;
pub mod wasi;
pub mod workers;
