//! `looma plugin replay`: a version on what a rule kept of its calls. A version that a server knows is run there; one that is only
//! a file is run here, on records that the server gives.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::super::list::{client, print};
use crate::{
    client::Client,
    kit::{
        report,
        workbench::{Workbench, component},
    },
    plugins::records::{Record, ReplayReport, WholeRecord},
    settings::{self, Connect},
};

/// What `looma plugin replay` takes.
#[derive(clap::Args)]
pub struct Replay {
    /// A plugin of the server, or a component or crate that it does not know.
    #[arg(value_name = "NAME|FILE|DIR")]
    what: String,
    /// The rule whose records are taken: its key or its name.
    #[arg(long, value_name = "RULE")]
    rule: String,
    /// A version of the plugin, by the digest of its file; the one that serves when absent.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// The latest so many records.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: u16,
    /// Another configuration than the recorded one, as JSON.
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// The whole report as JSON.
    #[arg(long)]
    json: bool,
    /// Fails when anything differs.
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    kit: settings::Kit,
}

impl Replay {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = client(&self.connect)?;
        let rule = rule(&client, &self.rule).await?;
        let config: Value = self.config.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default();
        let file = Path::new(&self.what);
        let report = match file.exists() || file.extension().is_some_and(|end| end == "wasm") {
            true => self.here(&client, &rule, &config).await?,
            false => {
                let replay = json!({"rule_id": rule, "last": self.last});
                let asked = json!({"replay": replay, "digest": self.digest, "config": config});
                client.post_for(&["plugins", &self.what, "run"], &asked).await?
            }
        };
        print(&if self.json { serde_json::to_string_pretty(&report)? } else { report::replay(&report) })?;
        ensure!(
            !self.exact || report.same == report.records,
            "{} of {} records differ",
            report.records - report.same,
            report.records
        );
        Ok(())
    }

    async fn here(&self, client: &Client, rule: &str, config: &Value) -> anyhow::Result<ReplayReport> {
        if self.digest.is_some() {
            bail!("--digest names a version that the server has, and {} is a file", self.what);
        }
        let wasm = component(&PathBuf::from(&self.what)).await?;
        let bench = Workbench::open(&self.kit.cache()?)?;
        let name = bench.load(&wasm).await?;
        let config = (!config.is_null()).then(|| config.to_string());
        let mut rerun = bench.plugins.rerun(&name, config)?;
        let path = ["alert-rules", rule, "records"];
        for record in client.list::<Record>(&path, &[], usize::from(self.last)).await? {
            let [rules, rule, records] = path;
            let whole: WholeRecord = client.get(&[rules, rule, records, &record.record_id]).await?;
            rerun.take(whole).await;
        }
        Ok(rerun.finish())
    }
}

/// The key of a rule that is named by its key or its name.
async fn rule(client: &Client, named: &str) -> anyhow::Result<String> {
    let filter = [("rule_name".to_owned(), named.to_owned())];
    let found: Vec<Value> = client.list(&["alert-rules"], &filter, 1).await?;
    let id = found.first().and_then(|rule| rule["rule_id"].as_str());
    Ok(id.unwrap_or(named).to_owned())
}
