//! `looma openapi`.

use std::io::Write as _;

/// Prints the OpenAPI document, as the repository keeps it.
pub fn print() -> anyhow::Result<()> {
    let document = crate::http::router::document().to_pretty_json()?;
    Ok(writeln!(std::io::stdout().lock(), "{document}")?)
}
