//! `looma plugin install`, `rollback`, `enable` and `disable`: what a server does with plugins.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::list::{client, print};
use crate::{
    client::{Client, ClientError},
    kit::workbench::component,
    settings::Connect,
};

/// What `looma plugin install` takes.
#[derive(clap::Args)]
pub struct Install {
    /// The component, or the crate that makes it.
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,
    #[command(flatten)]
    connect: Connect,
}

impl Install {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { what, connect } = self;
        let client = client(&connect)?;
        let wasm = component(&what).await?;
        let bytes = bytes::Bytes::copy_from_slice(&wasm);
        let refused = || format!("the server does not take {}", what.display());
        let plugin: Value = client.post_bytes(&["plugins"], ("application/wasm", bytes)).await.with_context(refused)?;
        say(&plugin)?;
        ask_for_grants(&client, text(&plugin, "name")).await
    }
}

/// Says what the plugin still has to be granted, as far as this caller may ask.
async fn ask_for_grants(client: &Client, name: &str) -> anyhow::Result<()> {
    let admission: Value = match client.get(&["plugins", name, "admission"]).await {
        Ok(admission) => admission,
        Err(ClientError::Refused(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for import in admission["imports"].as_array().into_iter().flatten() {
        if import["allowance"] == "not granted" {
            print(&format!("{}: {}", text(import, "interface"), text(import, "says")))?;
            print(&format!("  {}", text(import, "todo").replace("NAME", name)))?;
        }
    }
    Ok(())
}

/// What the subcommands that take a name alone take.
#[derive(clap::Args)]
pub struct Named {
    /// The plugin.
    name: String,
    #[command(flatten)]
    connect: Connect,
}

impl Named {
    pub async fn run(self, action: &str) -> anyhow::Result<()> {
        let Self { name, connect } = self;
        let plugin: Value = client(&connect)?.post_for(&["plugins", &name, action], &json!({})).await?;
        say(&plugin)
    }
}

/// What serves now, what is the matter with it, and what can be gone back to.
fn say(plugin: &Value) -> anyhow::Result<()> {
    let (name, version, state) = (text(plugin, "name"), text(plugin, "version"), text(plugin, "state"));
    let digest: String = text(plugin, "digest").chars().take(12).collect();
    print(&format!("{name} {version} ({}, {digest}…) is {state}", text(plugin, "kind")))?;
    if let Some(error) = plugin["error"].as_str() {
        print(&format!("  {error}"))?;
    }
    if let Some(before) = plugin["previous"].get(0) {
        let digest: String = text(before, "digest").chars().take(12).collect();
        print(&format!("  `looma plugin rollback {name}` goes back to {} ({digest}…)", text(before, "version")))?;
    }
    Ok(())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
