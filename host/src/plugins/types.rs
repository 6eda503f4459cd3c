//! Words of the plugin domain: names, kinds, versions, states, and why a call did not succeed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{clock::Timestamp, text_enum, wasm::call::Fault};

use super::{
    bindings::looma::plugin::types as wit,
    rollout::types::{DrainingVersion, RolloutInfo},
};

/// Name of a plugin: lower-case letters, digits and hyphens, at most 63, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

impl PluginName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PluginName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.is_empty() || text.len() > 63 || text.starts_with('-') || !text.bytes().all(allowed) {
            let text: String = text.chars().take(100).collect();
            return Err(format!(
                "{text:?} is not a plugin name: use 1 to 63 lower-case letters, digits and hyphens, no hyphen first"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PluginName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_enum! {
    /// What a plugin is for. The order is that of `contract::WORLDS`.
    pub enum Kind {
        /// Judges series.
        AlertEvaluator = "alert-evaluator",
        /// Brings alerts to people.
        Notifier = "notifier",
        /// Finds services.
        DiscoveryStrategy = "discovery-strategy",
        /// Scores talents for a demand.
        TalentMatcher = "talent-matcher",
        /// Turns text into vectors.
        TalentEmbedder = "talent-embedder",
        /// Reads a resume.
        ResumeParser = "resume-parser",
    }
}

impl Kind {
    /// Whether plugins of this kind only compute: no clock, no network, no waiting.
    pub fn is_pure(self) -> bool {
        !matches!(self, Self::Notifier | Self::DiscoveryStrategy)
    }
}

/// Exactly which plugin did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRef {
    /// its name
    pub name: PluginName,
    /// the version it says it is
    pub version: String,
    /// SHA-256 of its file, in hexadecimal
    pub digest: String,
}

text_enum! {
    /// What is the matter with a plugin.
    pub enum State {
        /// It serves.
        Active = "active",
        /// Its newest file could not be taken; an earlier one may still serve.
        Failed = "failed",
        /// It failed too often and rests for a while.
        Quarantined = "quarantined",
        /// An operator switched it off.
        Disabled = "disabled",
    }
}

text_enum! {
    /// Where a plugin's file came from.
    pub enum Source {
        /// The watched folder.
        Folder = "folder",
        /// The API.
        Upload = "upload",
    }
}

/// A version that can be rolled back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarlierVersion {
    /// The version it says it is.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// When it last came into service.
    pub loaded_at: Timestamp,
}

/// A plugin as people see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginInfo {
    /// Its name.
    pub name: PluginName,
    /// Its kind; absent until a version has loaded.
    pub kind: Option<Kind>,
    /// The version that serves.
    pub version: Option<String>,
    /// SHA-256 of the file that serves, or else of the one that failed.
    pub digest: Option<String>,
    /// What is the matter with it.
    pub state: State,
    /// Why it is not active, in words.
    pub error: Option<String>,
    /// When the version that serves came into service.
    pub loaded_at: Option<Timestamp>,
    /// Where its file came from.
    pub source: Source,
    /// The trusted key that the version that serves is signed with; null when it is signed with none of them.
    #[serde(default)]
    pub signed_by: Option<String>,
    /// What it says about itself.
    pub description: String,
    /// JSON Schema of its configuration.
    pub config_schema: Value,
    /// Calls since this server loaded it.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// What can be rolled back to, latest first.
    pub previous: Vec<EarlierVersion>,
    /// The newest version on its way into service, and what became of it; absent until there was one.
    #[serde(default)]
    pub rollout: Option<RolloutInfo>,
    /// Versions that were replaced and still have calls under way.
    #[serde(default)]
    pub draining: Vec<DrainingVersion>,
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ConfigProblem)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the configuration
    pub pointer: String,
    /// what is wrong there
    pub message: String,
}

impl From<wit::Problem> for Problem {
    fn from(wit::Problem { pointer, message }: wit::Problem) -> Self {
        let (pointer, message) = (cut(pointer), cut(message));
        Self { pointer, message }
    }
}

/// Why a call to a plugin did not succeed. `Transient`, `Timeout` and `Busy` are worth another try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no plugin of that name.
    #[error("there is no plugin {0:?}")]
    Unknown(String),
    /// The plugin is for something else.
    #[error("plugin {name:?} is a {is}, a {wanted} is needed")]
    WrongKind {
        /// its name
        name: PluginName,
        /// its kind
        is: Kind,
        /// the kind that was asked for
        wanted: Kind,
    },
    /// The plugin is there and does not serve.
    #[error("plugin {name:?} is {state}: {reason}")]
    NotServing {
        /// its name
        name: PluginName,
        /// disabled, quarantined, or failed with no earlier version
        state: State,
        /// why, in words
        reason: String,
    },
    /// The plugin does not take this configuration.
    #[error("the configuration is not valid: {}", list(.0))]
    InvalidConfig(Vec<Problem>),
    /// The plugin or the host does not take this input.
    #[error("the input is not valid: {0}")]
    InvalidInput(String),
    /// It did not work now and may work later.
    #[error("{message}")]
    Transient {
        /// what happened
        message: String,
        /// how long to wait at least
        retry_after_ms: Option<u32>,
    },
    /// It will not work.
    #[error("{0}")]
    Permanent(String),
    /// The plugin crashed.
    #[error("the plugin crashed: {0}")]
    Trap(String),
    /// The plugin did not answer in time.
    #[error("the plugin did not answer within its deadline")]
    Timeout,
    /// The plugin, or what was asked of it, is larger than is allowed.
    #[error("over a limit: {0}")]
    Limit(String),
    /// What the plugin answered is not what its kind answers.
    #[error("the plugin's answer is not acceptable: {0}")]
    Contract(String),
    /// Too many calls wait for it.
    #[error("too many calls wait for the plugin")]
    Busy,
}

impl CallError {
    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Timeout | Self::Busy | Self::NotServing { .. } | Self::Trap(_))
    }
}

impl CallError {
    /// The same error with every text changed: for what must not go out as the plugin said it.
    pub(super) fn map_text(self, change: impl Fn(String) -> String) -> Self {
        match self {
            Self::InvalidConfig(problems) => {
                Self::InvalidConfig(problems.into_iter().map(|problem| problem.map_text(&change)).collect())
            }
            Self::InvalidInput(why) => Self::InvalidInput(change(why)),
            Self::Transient { message, retry_after_ms } => Self::Transient { message: change(message), retry_after_ms },
            Self::Permanent(why) => Self::Permanent(change(why)),
            Self::Trap(why) => Self::Trap(change(why)),
            Self::Limit(why) => Self::Limit(change(why)),
            Self::Contract(why) => Self::Contract(change(why)),
            Self::Unknown(_) | Self::WrongKind { .. } | Self::NotServing { .. } | Self::Timeout | Self::Busy => self,
        }
    }
}

impl Problem {
    pub(super) fn map_text(self, change: impl Fn(String) -> String) -> Self {
        Self { pointer: change(self.pointer), message: change(self.message) }
    }
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Timeout => Self::Timeout,
            Fault::Limit(what) => Self::Limit(what),
            Fault::Trap(what) => Self::Trap(what),
            Fault::Busy => Self::Busy,
        }
    }
}

impl From<wit::PluginError> for CallError {
    fn from(error: wit::PluginError) -> Self {
        match error {
            wit::PluginError::InvalidConfig(problems) => {
                Self::InvalidConfig(problems.into_iter().take(100).map(Problem::from).collect())
            }
            wit::PluginError::InvalidInput(message) => Self::InvalidInput(cut(message)),
            wit::PluginError::Transient(wit::Transient { message, retry_after_ms }) => {
                Self::Transient { message: cut(message), retry_after_ms }
            }
            wit::PluginError::Permanent(message) => Self::Permanent(cut(message)),
        }
    }
}

/// A guest's words as logs and tables can take them: no control characters but line breaks and tabs.
pub(super) fn plain(text: String) -> String {
    let wild = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(wild) { text.replace(wild, "\u{fffd}") } else { text }
}

/// A guest's words, plain and of a length that logs and tables can take.
pub(super) fn cut(text: String) -> String {
    cut_to(text, LONGEST)
}

/// How many bytes of a guest's words are kept.
pub(super) const LONGEST: usize = 2_000;

/// The same, of at most so many bytes and a mark that it was cut.
pub(super) fn cut_to(text: String, most: usize) -> String {
    let mut text = plain(text);
    if text.len() > most {
        let end = (0..=most).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn list(problems: &[Problem]) -> String {
    let told = problems.iter().map(|problem| match problem.pointer.as_str() {
        "" => problem.message.clone(),
        pointer => format!("{pointer}: {}", problem.message),
    });
    told.collect::<Vec<_>>().join("; ")
}
