//! What Looma promises, tried from outside, on both databases. The tree is the URL tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod agent;
mod alerts;
mod audit;
mod auth;
mod bad_input;
mod browser;
mod channels;
mod client;
mod clock;
mod connections;
mod discovery;
mod examples;
mod gateway;
mod history;
mod idempotency;
mod import;
mod kill;
mod load;
mod main_job;
mod metrics;
mod migrations;
mod nodes;
mod notifications;
mod plugins;
mod races;
mod readme;
mod records;
mod replicas;
mod secrets;
mod serve;
mod services;
mod sources;
mod statements;
mod system;
mod talent;
mod tidy;
mod tokens;
mod topology;
mod users;
mod watch;
