//! Looma's modules in reading order.

pub mod wasm;

pub mod plugins;

pub mod kit;
