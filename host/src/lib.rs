//! Looma: a control plane in one binary. This is the map, in reading order; a module uses those above it only.
//!
//! ```text
//! 1  clock, ids                                                                 no I/O
//! 2  db   feed   http::{auth, body, error, etag, inner, openapi, page, request}   wasm   settings   lifecycle
//! 3  alerts → notify, metrics, registry, plugins    notify → plugins    discovery → registry, plugins
//!    metrics → registry     gateway → registry       users, audit, system, secrets → nobody
//!    plugins → secrets      talent → plugins         app stands beside this floor
//! 4  run, http::router, statements                    name every domain, decide nothing
//! 5  client, agent, kit, cli, main                    client and agent speak HTTP, and know no domain
//! ```

pub mod clock;
pub mod ids;

pub mod db;
pub mod feed;
pub mod http;
pub mod wasm;
pub mod lifecycle;
pub mod settings;

pub mod app;

pub mod users;
pub mod audit;
pub mod system;
pub mod secrets;
pub mod plugins;
pub mod registry;
pub mod discovery;
pub mod metrics;
pub mod gateway;
pub mod notify;
pub mod alerts;
pub mod talent;

pub mod run;
pub mod statements;

pub mod client;
pub mod agent;
pub mod kit;
pub mod cli;
