//! What every plugin answers, whatever its kind: who it is, and what is wrong with a configuration.

use wasmtime::Store;
use wasmtime::component::Instance;

use crate::plugins::host_api::Ctx;
use crate::plugins::stats::Function;
use crate::plugins::types::{CallError, PluginName, Problem};
use crate::plugins::version::{IoCall, Live, Version};

use super::{unacceptable, within};

mod pure {
    wasmtime::component::bindgen!({
        inline: "package looma:half; world lifecycle { export looma:plugin/lifecycle@0.1.0; }",
        path: ["../wit/plugin"],
        world: "looma:half/lifecycle",
        imports: { default: trappable },
        with: { "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types },
    });
}

mod io {
    wasmtime::component::bindgen!({
        inline: "package looma:half; world lifecycle { export looma:plugin/lifecycle@0.1.0; }",
        path: ["../wit/plugin"],
        world: "looma:half/lifecycle",
        imports: { default: trappable },
        exports: { default: async },
        with: { "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types },
    });
}

/// What a plugin says about itself, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plugins) struct Descriptor {
    pub(in crate::plugins) version: String,
    pub(in crate::plugins) summary: String,
    pub(in crate::plugins) config_schema: String,
}

const PROBLEMS: usize = 100;

/// The lifecycle exports of one instance.
pub(in crate::plugins) enum Lifecycle {
    Pure(pure::Lifecycle),
    Io(io::Lifecycle),
}

impl Lifecycle {
    pub(in crate::plugins) fn bind(
        is_pure: bool,
        store: &mut Store<Ctx>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        match is_pure {
            true => pure::Lifecycle::new(store, instance).map(Self::Pure),
            false => io::Lifecycle::new(store, instance).map(Self::Io),
        }
    }

    fn describe_now(&self, store: &mut Store<Ctx>) -> wasmtime::Result<Told> {
        let Self::Pure(guest) = self else {
            return super::mismatch();
        };
        let told = guest.looma_plugin_lifecycle().call_describe(store)?;
        Ok(Told { name: told.name, version: told.version, summary: told.summary, config_schema: told.config_schema })
    }

    async fn describe(&self, store: &mut Store<Ctx>) -> wasmtime::Result<Told> {
        let Self::Io(guest) = self else {
            return super::mismatch();
        };
        let told = guest.looma_plugin_lifecycle().call_describe(store).await?;
        Ok(Told { name: told.name, version: told.version, summary: told.summary, config_schema: told.config_schema })
    }
}

struct Told {
    name: String,
    version: String,
    summary: String,
    config_schema: String,
}

/// Asks a version who it is, and holds the answer against the name of its file.
pub(in crate::plugins) async fn describe(version: &Version) -> Result<Descriptor, CallError> {
    checked(told(version).await?, version.name())
}

/// The name that a version gives itself.
pub(in crate::plugins) async fn name(version: &Version) -> Result<String, CallError> {
    Ok(told(version).await?.name)
}

async fn told(version: &Version) -> Result<Told, CallError> {
    if version.kind().is_pure() {
        return version.pure(Function::Describe, |Live { store, lifecycle, .. }| lifecycle.describe_now(store)).await;
    }
    let call: IoCall<_> = Box::new(|Live { store, lifecycle, .. }| Box::pin(async { lifecycle.describe(store).await }));
    version.io(Function::Describe, call).await
}

fn checked(told: Told, name: &PluginName) -> Result<Descriptor, CallError> {
    let Told { name: own, version, summary, config_schema } = told;
    if own != name.as_str() {
        return unacceptable(format!("the file is named {name}.wasm and the plugin says it is {own:?}"));
    }
    within("its version", &version, 64)?;
    within("its summary", &summary, 1_000)?;
    within("its configuration schema", &config_schema, 256 << 10)?;
    let numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
    if numbers.clone().count() != 3 || !numbers.clone().all(|number| number.parse::<u64>().is_ok()) {
        return unacceptable(format!("its version {version:?} is not a semantic version, as 1.0.0"));
    }
    match serde_json::from_str::<serde_json::Value>(&config_schema) {
        Ok(serde_json::Value::Object(_) | serde_json::Value::Bool(_)) => {}
        Ok(_) => {
            return unacceptable(
                "its configuration schema is not a JSON Schema: it is neither an object nor true or false",
            );
        }
        Err(error) => return unacceptable(format!("its configuration schema is not JSON: {error}")),
    }
    Ok(Descriptor { version, summary, config_schema })
}

/// Every fault that the plugin finds in a configuration.
pub(in crate::plugins) async fn check(version: &Version, config: &str) -> Result<Vec<Problem>, CallError> {
    let config = config.to_owned();
    let problems = match version.kind().is_pure() {
        true => {
            let check = move |Live { store, lifecycle, .. }: &mut Live| match lifecycle {
                Lifecycle::Pure(guest) => guest.looma_plugin_lifecycle().call_check(store, &config),
                Lifecycle::Io(_) => super::mismatch(),
            };
            version.pure(Function::Check, check).await?
        }
        false => {
            let check: IoCall<_> = Box::new(move |Live { store, lifecycle, .. }| {
                Box::pin(async move {
                    match lifecycle {
                        Lifecycle::Io(guest) => guest.looma_plugin_lifecycle().call_check(store, &config).await,
                        Lifecycle::Pure(_) => super::mismatch(),
                    }
                })
            });
            version.io(Function::Check, check).await?
        }
    };
    for problem in problems.iter().take(PROBLEMS) {
        within("the pointer of a problem", &problem.pointer, 1_000)?;
        within("the message of a problem", &problem.message, 4_000)?;
    }
    Ok(problems.into_iter().take(PROBLEMS).map(Problem::from).collect())
}
