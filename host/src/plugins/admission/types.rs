//! What an admission report says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    plugins::types::{Kind, PluginName},
    text_enum,
    wasm::{cache::Digest, limits::Limits},
};

text_enum! {
    /// A step on the way in.
    pub enum Step {
        /// Whose signature it has.
        Signature = "signature",
        /// What the file is.
        File = "file",
        /// What it exports.
        Kind = "kind",
        /// What it imports.
        Imports = "imports",
        /// Compiling it and linking it to the host.
        Compile = "compile",
        /// Asking it who it is.
        Probe = "probe",
        /// The schema of its configuration.
        Schema = "schema",
        /// What uses it now.
        Configurations = "configurations",
    }
}

text_enum! {
    /// What came of a step.
    pub enum Outcome {
        /// Nothing is wrong.
        Passed = "passed",
        /// It is taken, and something should be mended.
        Warned = "warned",
        /// It is not taken for this.
        Failed = "failed",
    }
}

text_enum! {
    /// Whether a plugin has what it imports.
    pub enum Allowance {
        /// Every plugin of its kind has it, or it asks for nothing.
        Allowed = "allowed",
        /// An operator has granted some of it.
        Granted = "granted",
        /// It may have it, and nothing of it is granted: each use is refused.
        NotGranted = "not granted",
        /// It is there and does nothing: no files, no environment, no network.
        Inert = "inert",
        /// Its kind has none: the plugin is not taken.
        Refused = "refused",
    }
}

impl Allowance {
    /// Whether the plugin is not taken for it.
    pub fn is_refused(self) -> bool {
        self == Self::Refused
    }
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Which step.
    pub step: Step,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen.
    pub says: String,
    /// What to do about it.
    pub todo: Option<String>,
}

/// One import, held against the kind's world and the grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportShown {
    /// As the component names it.
    pub interface: String,
    /// Whether the plugin has it.
    pub allowance: Allowance,
    /// What that means.
    pub says: String,
    /// What to do to have it, or to do without it.
    pub todo: Option<String>,
}

impl ImportShown {
    pub(super) fn refusal(&self) -> Option<Finding> {
        let Self { interface: _, allowance, says, todo } = self;
        allowance.is_refused().then(|| Finding {
            step: Step::Imports,
            outcome: Outcome::Failed,
            says: says.clone(),
            todo: todo.clone(),
        })
    }
}

/// What one instance of the plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsShown {
    /// Memory of one instance, in bytes.
    pub memory_bytes: u64,
    /// Time of one call, in milliseconds.
    pub deadline_ms: u64,
    /// Entries of its tables.
    pub table_elements: u64,
    /// Bytes that one call may hand to the host, its answer included.
    pub answer_bytes: u64,
}

/// What the host says to a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Admission {
    /// Whether it would be taken.
    pub admitted: bool,
    /// The name it gives itself, once it could be asked.
    pub name: Option<PluginName>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Its version.
    pub version: Option<String>,
    /// What it says about itself.
    pub description: String,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// The size of the file.
    pub size_bytes: u64,
    /// The largest file that is taken.
    pub max_bytes: u64,
    /// What it exports.
    pub exports: Vec<String>,
    /// What it imports, each held against its kind and the grants.
    pub imports: Vec<ImportShown>,
    /// What one instance may use.
    pub limits: LimitsShown,
    /// How long compiling it took; absent when that was not noted.
    pub compile_ms: Option<u64>,
    /// The size of the compiled code.
    pub compiled_bytes: Option<u64>,
    /// JSON Schema of its configuration.
    pub config_schema: Value,
    /// Step by step, as far as it came.
    pub findings: Vec<Finding>,
}

impl Admission {
    pub(super) fn new(wasm: &[u8], max_bytes: usize, limits: Limits) -> Self {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let Limits { memory_bytes, table_elements, deadline, hostcall_bytes, handles: _, hostcalls: _ } = limits;
        Self {
            admitted: true,
            name: None,
            kind: None,
            version: None,
            description: String::new(),
            digest: Digest::of(wasm).to_string(),
            size_bytes: number(wasm.len()),
            max_bytes: number(max_bytes),
            exports: Vec::new(),
            imports: Vec::new(),
            limits: LimitsShown {
                memory_bytes: number(memory_bytes),
                deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
                table_elements: number(table_elements),
                answer_bytes: number(hostcall_bytes),
            },
            compile_ms: None,
            compiled_bytes: None,
            config_schema: Value::Null,
            findings: Vec::new(),
        }
    }

    pub(super) fn pass(&mut self, step: Step, says: String) {
        self.findings.push(Finding { step, outcome: Outcome::Passed, says, todo: None });
    }

    pub(super) fn warn(&mut self, step: Step, says: String, todo: &str) {
        self.findings.push(Finding { step, outcome: Outcome::Warned, says, todo: Some(todo.to_owned()) });
    }

    pub(super) fn fail(&mut self, step: Step, says: String, todo: Option<String>) {
        self.findings.push(Finding { step, outcome: Outcome::Failed, says, todo });
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        self.admitted = self.findings.iter().all(|finding| finding.outcome != Outcome::Failed);
    }
}
