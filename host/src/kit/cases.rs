//! Cases of a plugin, written in YAML: what it is configured with, what it is given, what it must answer. They run on the real
//! host; requests go to a peer on loopback, which answers what the case says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    compare::differences,
    peer::{Canned, Peer},
    workbench::Workbench,
};
use crate::{
    clock::Timestamp,
    plugins::{
        CallError, PluginName,
        grants::{Grants, GrantsText},
    },
    secrets::Known,
};

/// Stand for the address of the peer, and for its port alone.
const PEER: &str = "$http";
const PORT: &str = "$port";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it claims.
    pub name: String,
    /// The configuration.
    #[serde(default)]
    pub config: Value,
    /// What the plugin is granted; nothing when absent.
    #[serde(default)]
    pub grants: Value,
    /// Secrets that it may name, if it is granted them.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// What is answered to its requests to `$http`, which is `http://127.0.0.1:$port`.
    #[serde(default)]
    pub http: Vec<Canned>,
    /// When it is; the start of 2026 when absent.
    pub now: Option<Timestamp>,
    /// What it is given, as `POST /plugins/{name}/run` takes it.
    #[serde(default)]
    pub input: Value,
    /// A notifier delivers, in the place of showing what it would send.
    #[serde(default)]
    pub deliver: bool,
    /// What it must answer; what is not named may be anything.
    pub expect: Option<Value>,
    /// The pointers of the faults that it must find in the configuration.
    pub faults: Option<Vec<String>>,
    /// What its failure must say.
    pub fails: Option<String>,
    /// Several calls, each of which gets what the evaluator wanted to remember after the one before.
    pub steps: Option<Vec<Step>>,
    /// The requests that it must have sent, in order.
    pub requests: Option<Value>,
}

/// One call of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is given.
    #[serde(default)]
    pub input: Value,
    /// What it must answer.
    pub expect: Value,
}

/// The files with cases among these: files as they are, and what ends in `.yaml` or `.yml` in folders.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            ensure!(path.exists(), "there is no {}", path.display());
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("could not read {}", path.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml"));
        files.sort();
        found.extend(files);
    }
    Ok(found)
}

/// Reads a file of cases.
pub fn read(file: &Path) -> anyhow::Result<Vec<Case>> {
    let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    // Words as `no` and `n` are text here, as YAML 1.2 has it.
    let options = serde_saphyr::options! { strict_booleans: true };
    let read = serde_saphyr::from_str_with_options(&text, options);
    let File { cases } = read.map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    ensure!(!cases.is_empty(), "{}: there is no case in it", file.display());
    for Case { name, expect, faults, fails, steps, .. } in &cases {
        let said = [expect.is_some(), faults.is_some(), fails.is_some(), steps.is_some()];
        let count = said.into_iter().filter(|said| *said).count();
        ensure!(count == 1, "{}: {name}: say one of expect, faults, fails, steps", file.display());
    }
    Ok(cases)
}

/// Runs a case; what is not as it must be, a line each.
pub async fn run(bench: &Workbench, plugin: &PluginName, case: &Case) -> Vec<String> {
    match try_to_run(bench, plugin, case).await {
        Ok(faults) => faults,
        Err(error) => vec![format!("{error:#}")],
    }
}

async fn try_to_run(bench: &Workbench, plugin: &PluginName, case: &Case) -> anyhow::Result<Vec<String>> {
    let peer = Peer::start(case.http.clone()).await.context("could not listen on loopback")?;
    let base = peer.base();
    let grants = match &case.grants {
        Value::Null => GrantsText::default(),
        said => serde_json::from_value(filled(said, &base)).context("grants")?,
    };
    let told =
        |problems: Vec<crate::plugins::Problem>| anyhow::anyhow!("grants: {}", CallError::InvalidConfig(problems));
    bench.plugins.set_grants(plugin, Grants::parse(&grants).map_err(told)?);
    let secret = |(name, value): (&String, &String)| (name.clone(), Known::open(value));
    bench.secrets.replace(case.secrets.iter().map(secret).collect());
    let runs = Runs { bench, plugin, case, base: &base };
    let mut faults = tokio::select! {
        faults = runs.all() => faults?,
        () = peer.serve() => Vec::new(),
    };
    if let Some(expected) = &case.requests {
        let seen = json!({"requests": peer.seen()});
        faults.extend(differences(&json!({"requests": filled(expected, &base)}), &seen));
    }
    Ok(faults)
}

/// A value with the peer's address in the place of `$http` and `$port`.
fn filled(value: &Value, base: &str) -> Value {
    match value {
        Value::String(text) => {
            Value::String(text.replace(PEER, base).replace(PORT, base.rsplit(':').next().unwrap_or_default()))
        }
        Value::Array(items) => items.iter().map(|item| filled(item, base)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), filled(field, base))).collect(),
        other => other.clone(),
    }
}

struct Runs<'a> {
    bench: &'a Workbench,
    plugin: &'a PluginName,
    case: &'a Case,
    base: &'a str,
}

impl Runs<'_> {
    async fn all(&self) -> anyhow::Result<Vec<String>> {
        let Case { input, expect, faults, fails, steps, .. } = self.case;
        if let Some(expected) = faults {
            return self.faults(expected).await;
        }
        if let Some(words) = fails {
            return Ok(match self.call(input).await {
                Ok(answer) => vec![format!("it must fail with {words:?}, and it answers {answer}")],
                Err(error) if error.to_string().contains(words) => Vec::new(),
                Err(error) => vec![format!("it must fail with {words:?}, and it says: {error}")],
            });
        }
        let refused = self.problems().await?;
        if !refused.is_empty() {
            return Ok(vec![CallError::InvalidConfig(refused).to_string()]);
        }
        if let Some(expected) = expect {
            return Ok(match self.call(input).await {
                Ok(answer) => differences(&filled(expected, self.base), &answer),
                Err(error) => vec![error.to_string()],
            });
        }
        self.steps(steps.as_deref().unwrap_or_default()).await
    }

    async fn steps(&self, steps: &[Step]) -> anyhow::Result<Vec<String>> {
        let (mut faults, mut memory) = (Vec::new(), Value::Null);
        for (n, Step { input, expect }) in steps.iter().enumerate() {
            let mut input = input.clone();
            if let Value::Object(fields) = &mut input
                && !memory.is_null()
            {
                fields.entry("previous").or_insert(memory.take());
            }
            match self.call(&input).await {
                Ok(answer) => {
                    let told = differences(&filled(expect, self.base), &answer);
                    faults.extend(told.into_iter().map(|fault| format!("step {}: {fault}", n + 1)));
                    memory = answer.get("next").cloned().unwrap_or_default();
                }
                Err(error) => faults.push(format!("step {}: {error}", n + 1)),
            }
        }
        Ok(faults)
    }

    async fn faults(&self, expected: &[String]) -> anyhow::Result<Vec<String>> {
        let problems = self.problems().await?;
        let found: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        if found == expected {
            return Ok(Vec::new());
        }
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{:?} {}", problem.pointer, problem.message)).collect();
        let told = if told.is_empty() { "none".to_owned() } else { told.join("; ") };
        Ok(vec![format!("it must find faults at {expected:?}, and it finds {told}")])
    }

    async fn problems(&self) -> anyhow::Result<Vec<crate::plugins::Problem>> {
        let kind = self.bench.plugins.kind_of(self.plugin).context("the plugin is not loaded")?;
        let config = self.config();
        let config = if config.is_null() { "{}".to_owned() } else { config.to_string() };
        Ok(self.bench.plugins.check(self.plugin, kind, &config).await?)
    }

    fn config(&self) -> Value {
        filled(&self.case.config, self.base)
    }

    async fn call(&self, input: &Value) -> Result<Value, CallError> {
        let (config, input) = (self.config(), filled(input, self.base));
        let now = self.case.now.unwrap_or(self.bench.now);
        match self.case.deliver {
            true => self.bench.plugins.try_delivery(self.plugin, config, input).await,
            false => self.bench.plugins.try_out(self.plugin, config, input, now).await,
        }
    }
}
