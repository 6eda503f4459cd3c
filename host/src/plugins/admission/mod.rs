//! What the host says to a component, step by step as it goes on its way in: what the file is, what it wants against what its
//! kind may have and what is granted, what compiling it took, who it says it is. A server and the author's kit ask the same
//! code. It puts nothing in service, and holds nothing against a plugin.
//!
//! Read on in `types` (the report), `words` (why, and what to do), `routes`.

mod routes;
mod types;
mod words;

use std::sync::Arc;

use super::{
    Plugins,
    contract::CONTRACT,
    grants::Grants,
    kinds::lifecycle::{self, Descriptor},
    load::LoadError,
    types::{Kind, LONGEST, PluginName, cut_to},
    version::{Own, Version},
};
use crate::wasm::{
    cache::{Digest, Known},
    inspect::{Audit, Contract, audit},
};

pub(super) use routes::routes;
pub use types::{Admission, Allowance, Finding, ImportShown, LimitsShown, Outcome, Step};

/// How far a report goes.
#[derive(Clone, Copy, Debug)]
pub enum Effort<'a> {
    /// All the way: what was never compiled is compiled.
    Full,
    /// Only what was compiled before is run; why it was not taken then, if that is known.
    Known(Option<&'a str>),
}

impl Plugins {
    /// Why a file was not taken, and what to do.
    fn advised(&self, wasm: &[u8], reason: &str) -> String {
        match words::advice(wasm, self.0.max_bytes).as_slice() {
            [] => reason.to_owned(),
            todo => {
                let todo = format!("; what to do: {}", todo.join("; "));
                cut_to(reason.to_owned(), LONGEST.saturating_sub(todo.len())) + &todo
            }
        }
    }

    /// The name that a component gives itself, or why it is no plugin and what to do.
    pub async fn own_name(&self, wasm: &Arc<[u8]>) -> Result<PluginName, LoadError> {
        let advised = |error: LoadError| LoadError { reason: self.advised(wasm, &error.reason), ..error };
        self.name_of(wasm).await.map_err(advised)
    }

    /// Reports on a component, with the signature beside it. `name` is the plugin that it stands for; its own name when absent.
    pub async fn admission(
        &self,
        (wasm, signature): (&Arc<[u8]>, Option<&str>),
        name: Option<&PluginName>,
        effort: Effort<'_>,
    ) -> Admission {
        let grants = name.and_then(|name| self.slot(name)).map(|slot| slot.grants()).unwrap_or_default();
        let limits = grants.limits(self.0.services.defaults);
        let mut report = Admission::new(wasm, self.0.max_bytes, limits);
        match self.signer(wasm, signature) {
            Ok(by) => report.pass(Step::Signature, words::signed(by.as_deref())),
            Err(why) => {
                report.fail(Step::Signature, why.reason, Some(words::SIGN.to_owned()));
                return report;
            }
        }
        let contract = Contract { max_bytes: self.0.max_bytes, ..CONTRACT };
        let found = match audit(wasm, &contract) {
            Ok(found) => found,
            Err(why) => {
                report.fail(Step::File, why, Some(words::NO_COMPONENT.to_owned()));
                return report;
            }
        };
        report
            .pass(Step::File, format!("a component of {} bytes; at most {} are taken", wasm.len(), contract.max_bytes));
        let Some(kind) = look_at(&mut report, found, &grants) else { return report };
        if let Some(is) = name.and_then(|name| self.kind_of(name)).filter(|is| *is != kind) {
            let says = format!("it is a {kind}, and the version that serves is a {is}");
            report.fail(Step::Kind, says, Some(words::OTHER_KIND.to_owned()));
            return report;
        }
        self.run(&mut report, wasm, (kind, name, &grants), effort).await;
        report
    }

    /// Compiles it, asks it who it is, and holds it against what is in use.
    async fn run(
        &self,
        report: &mut Admission,
        wasm: &Arc<[u8]>,
        (kind, name, grants): (Kind, Option<&PluginName>, &Arc<Grants>),
        effort: Effort<'_>,
    ) {
        let engine = if kind.is_pure() { self.0.engines.pure() } else { self.0.engines.io() };
        let digest = Digest::of(wasm);
        if let Effort::Known(why) = effort
            && self.0.cache.known(engine, digest).bytes.is_none()
        {
            return report.fail(Step::Compile, why.unwrap_or(words::NEVER_COMPILED).to_owned(), None);
        }
        let version = match self.version(&self.0.unnamed, wasm, grants).await {
            Ok(version) => version,
            Err(why) => return report.fail(Step::Compile, why.reason, Some(words::NOT_COMPILED.to_owned())),
        };
        let Known { took, bytes } = self.0.cache.known(engine, digest);
        report.compile_ms = took.and_then(|took| u64::try_from(took.as_millis()).ok());
        report.compiled_bytes = bytes;
        report.pass(Step::Compile, words::compiled(took, bytes));
        let told = lifecycle::name(&version).await.map_err(|error| error.to_string());
        let named = told.and_then(|told| match name {
            Some(name) => Ok(name.clone()),
            None => told.parse::<PluginName>(),
        });
        let described = match named {
            Ok(name) => self.describe(&name, wasm, grants).await,
            Err(why) => Err(why),
        };
        match described {
            Ok((version, descriptor)) => self.weigh(report, &version, &descriptor).await,
            Err(why) => {
                let todo = words::probe(&why);
                report.fail(Step::Probe, format!("it does not say who it is: {why}"), Some(todo.to_owned()));
            }
        }
    }

    async fn describe(
        &self,
        name: &PluginName,
        wasm: &Arc<[u8]>,
        grants: &Arc<Grants>,
    ) -> Result<(Version, Descriptor), String> {
        let own = Own::new(name.clone(), self.0.threads);
        let version = self.version(&own, wasm, grants).await.map_err(|why| why.reason)?;
        let descriptor = lifecycle::describe(&version).await.map_err(|error| error.to_string())?;
        Ok((version, descriptor))
    }

    async fn weigh(&self, report: &mut Admission, version: &Version, descriptor: &Descriptor) {
        let name = version.name();
        let Descriptor { version: number, summary, config_schema } = descriptor;
        report.pass(Step::Probe, format!("it says it is {name}, version {number}: {summary}"));
        (report.name, report.version) = (Some(name.clone()), Some(number.clone()));
        report.description.clone_from(summary);
        report.config_schema = serde_json::from_str(config_schema).unwrap_or_default();
        match jsonschema::validator_for(&report.config_schema) {
            Ok(_) => report.pass(Step::Schema, words::SCHEMA.to_owned()),
            Err(error) => report.warn(Step::Schema, words::no_schema(&error), words::SCHEMA_TODO),
        }
        match self.check_in_use(version).await {
            Ok(()) => report.pass(Step::Configurations, words::in_use(self.configs_in_use(name).len())),
            Err(why) => report.fail(Step::Configurations, why.reason, Some(words::IN_USE_TODO.to_owned())),
        }
    }
}

/// Takes exports and imports into the report; gives the kind when nothing speaks against it.
fn look_at(report: &mut Admission, found: Audit, grants: &Grants) -> Option<Kind> {
    let Audit { exports, world, lifecycle, imports } = found;
    report.exports = exports;
    let world = match world {
        Ok(world) => world,
        Err(why) => {
            let todo = words::no_kind(&why);
            report.fail(Step::Kind, why, Some(todo));
            return None;
        }
    };
    let kind = Kind::ALL[world];
    report.kind = Some(kind);
    match lifecycle {
        Ok(()) => report
            .pass(Step::Kind, format!("it exports {}, which makes it kind {kind}", CONTRACT.worlds[world].export.name)),
        Err(why) => report.fail(Step::Kind, why, Some(words::NO_LIFECYCLE.to_owned())),
    }
    report.imports = imports.into_iter().map(|import| words::import(import, kind, grants)).collect();
    let refused: Vec<Finding> = report.imports.iter().filter_map(ImportShown::refusal).collect();
    if refused.is_empty() {
        report.pass(Step::Imports, words::imports(report.imports.len(), kind));
    }
    report.findings.extend(refused);
    report.settle();
    report.admitted.then_some(kind)
}
