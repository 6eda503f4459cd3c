//! What Rust authors of Looma plugins use.
//!
//! A plugin is a type that implements [`Plugin`] and the trait of its kind ([`Evaluator`], [`Notifier`], [`Strategy`],
//! [`Matcher`]), and one line that exports it: `looma_plugin_sdk::evaluator!(Threshold);`. It keeps nothing between calls
//! but configurations that it has read.
//! This crate reaches nothing but the host's interfaces, so that a component made with it imports nothing else.

mod bindings;
pub mod config;
mod evaluator;
pub mod host;
mod matcher;
mod notifier;
mod strategy;

use bindings::lifecycle::exports::looma::plugin::lifecycle;
use serde::de::DeserializeOwned;

pub use bindings::host::looma::plugin::types::{PluginError, Problem, Transient};
pub use evaluator::{Batch, Context, Evaluator, Requirements, State, Verdicts};
pub use matcher::{Candidate, Demand, Evidence, Explanation, Matcher, Profile, Scored, Signals, Skill};
pub use notifier::{Alert, Notification, Notifier, Receipt, Severity, Status};
pub use strategy::{Health, Page, Strategy, Target};

#[doc(hidden)]
pub mod export {
    //! Where the export macros find what they expand to.
    pub use crate::bindings::{evaluator, lifecycle, matcher, notifier, strategy};
}

/// What every plugin says about itself, whatever its kind.
pub trait Plugin {
    /// What it is configured with; `check` reads it.
    type Config: DeserializeOwned + 'static;
    /// The name of its file, and of the plugin in the host.
    const NAME: &'static str;
    /// Its semantic version; `env!("CARGO_PKG_VERSION")` is a good one.
    const VERSION: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;
    /// JSON Schema (2020-12) of the configuration.
    const SCHEMA: &'static str;

    /// Faults of a configuration that its type cannot express.
    fn faults(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }
}

impl<T: Plugin> lifecycle::Guest for T {
    fn describe() -> lifecycle::Descriptor {
        lifecycle::Descriptor {
            name: T::NAME.to_owned(),
            version: T::VERSION.to_owned(),
            summary: T::SUMMARY.to_owned(),
            config_schema: T::SCHEMA.to_owned(),
        }
    }

    fn check(config: String) -> Vec<Problem> {
        config::check::<T>(&config)
    }
}

/// An error that is worth another try.
pub fn transient(message: impl Into<String>, retry_after_ms: Option<u32>) -> PluginError {
    PluginError::Transient(Transient { message: message.into(), retry_after_ms })
}

/// An error that another try does not mend.
pub fn permanent(message: impl Into<String>) -> PluginError {
    PluginError::Permanent(message.into())
}

/// A fault of a configuration.
pub fn problem(pointer: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { pointer: pointer.into(), message: message.into() }
}

/// Exports a type as a plugin; used by the macros of the kinds.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kind:ident, $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::export::lifecycle::export!($plugin with_types_in $crate::export::lifecycle);
        #[cfg(target_arch = "wasm32")]
        $crate::export::$kind::export!($plugin with_types_in $crate::export::$kind);
    };
}

/// Exports an [`Evaluator`].
#[macro_export]
macro_rules! evaluator {
    ($plugin:ident) => {
        $crate::__export!(evaluator, $plugin);
    };
}

/// Exports a [`Notifier`].
#[macro_export]
macro_rules! notifier {
    ($plugin:ident) => {
        $crate::__export!(notifier, $plugin);
    };
}

/// Exports a [`Strategy`].
#[macro_export]
macro_rules! strategy {
    ($plugin:ident) => {
        $crate::__export!(strategy, $plugin);
    };
}

/// Exports a [`Matcher`].
#[macro_export]
macro_rules! matcher {
    ($plugin:ident) => {
        $crate::__export!(matcher, $plugin);
    };
}
