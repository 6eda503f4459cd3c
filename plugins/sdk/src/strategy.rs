//! Discovery strategies: find the services that are out there.

use crate::bindings::strategy as bindings;
use crate::{Plugin, PluginError, config};

use bindings::exports::looma::discovery::strategy::Guest;
pub use bindings::exports::looma::discovery::strategy::{Health, Page, Target};

/// Finds services, a page at a time.
pub trait Strategy: Plugin {
    /// The page after `cursor`, or the first.
    fn discover(config: &Self::Config, cursor: Option<&str>) -> Result<Page, PluginError>;
}

impl<T: Strategy> Guest for T {
    fn discover(config: String, cursor: Option<String>) -> Result<Page, PluginError> {
        <T as Strategy>::discover(&config::load::<T>(&config)?, cursor.as_deref())
    }
}
