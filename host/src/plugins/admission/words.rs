//! The sentences of an admission report: what something means for the plugin, and what its author or an operator can do.

use std::time::Duration;

use super::types::{Allowance, ImportShown};
use crate::{
    plugins::{contract::CONTRACT, grants::Grants, types::Kind},
    wasm::inspect::{Audit, Contract, Import, Verdict, audit},
};

pub(super) const NO_COMPONENT: &str =
    "build a component: `looma plugin build DIR` for a crate, `wasm-tools component new` for a core module";
pub(super) const SIGN: &str = "sign it with a trusted key: `looma plugin sign FILE --key KEY`; trusted keys stand in the settings, under `[plugins]`";
pub(super) const NO_LIFECYCLE: &str =
    "export looma:plugin/lifecycle as well: every plugin says who it is and checks its configuration";
pub(super) const OTHER_KIND: &str = "give it another name, or remove the plugin that serves under this one first";
pub(super) const NOT_COMPILED: &str = "build it again with the kit of this version; a component that takes too long to compile is made smaller by optimising and stripping it";
pub(super) const NEVER_COMPILED: &str = "it was never compiled here, so it was not asked anything";
pub(super) const SCHEMA: &str = "the schema of its configuration is a JSON Schema";
pub(super) const SCHEMA_TODO: &str = "mend `config-schema` of `describe`: forms are drawn from it";
pub(super) const IN_USE_TODO: &str =
    "let the new version take this configuration too, or change what uses it first; the version before serves on";

pub(super) fn signed(by: Option<&str>) -> String {
    by.map_or_else(|| "no trusted key has signed it, and none has to".to_owned(), |by| format!("signed by {by}"))
}

pub(super) fn no_kind(why: &str) -> String {
    if why.contains("the host speaks") {
        return other_version();
    }
    if why.contains("several kinds") {
        return "make a plugin of each kind; a crate has one".to_owned();
    }
    "export the interface of one kind; `looma plugin new NAME --kind KIND` begins with one that does".to_owned()
}

fn other_version() -> String {
    format!("build it against the `wit/` of this host, which speaks version {}", CONTRACT.version)
}

/// What to do when a plugin does not say who it is.
pub(super) fn probe(why: &str) -> &'static str {
    if why.contains("the file is named") {
        return "name the file as the plugin names itself in `describe`, or the other way round";
    }
    if why.contains("is not a plugin name") || why.contains("semantic version") || why.contains("schema") {
        return "mend what `describe` answers";
    }
    "`describe` must answer at once, from what the component has in itself: it gets no configuration"
}

pub(super) fn no_schema(error: &jsonschema::ValidationError<'_>) -> String {
    format!("the schema of its configuration is no JSON Schema: {error}")
}

pub(super) fn compiled(took: Option<Duration>, bytes: Option<u64>) -> String {
    let bytes = bytes.map_or_else(String::new, |bytes| format!(" to {bytes} bytes of code"));
    match took {
        Some(took) => format!("compiled in {} ms{bytes}", took.as_millis()),
        None => format!("compiled{bytes}"),
    }
}

pub(super) fn in_use(count: usize) -> String {
    match count {
        0 => "no configuration uses it yet".to_owned(),
        1 => "it takes the one configuration that is in use".to_owned(),
        n => format!("it takes the {n} configurations that are in use"),
    }
}

pub(super) fn imports(count: usize, kind: Kind) -> String {
    match count {
        0 => "it imports nothing".to_owned(),
        1 => format!("it imports one interface, which kind {kind} may have"),
        n => format!("it imports {n} interfaces, all of which kind {kind} may have"),
    }
}

/// One import, in words.
pub(super) fn import(import: Import, kind: Kind, grants: &Grants) -> ImportShown {
    let interface = import.interface().to_owned();
    let (allowance, says, todo) = match import.verdict {
        Verdict::Types => (Allowance::Allowed, "only types".to_owned(), None),
        Verdict::Inert => (Allowance::Inert, inert(kind), None),
        Verdict::Offered => offered(&interface, grants),
        Verdict::Refused(why) => {
            let todo = refused(&interface, kind, &why);
            (Allowance::Refused, why, Some(todo))
        }
    };
    ImportShown { interface: import.name, allowance, says, todo }
}

fn inert(kind: Kind) -> String {
    let time = if kind.is_pure() {
        "a clock that stands still, and the same random numbers each time"
    } else {
        "a clock and random numbers"
    };
    format!("answered by one that does nothing: no files, environment or network; {time}")
}

fn refused(interface: &str, kind: Kind, why: &str) -> String {
    if why.contains("the host speaks") {
        return other_version();
    }
    if interface.starts_with("wasi:http") {
        return "send requests through looma:host/http, which notifiers and discovery strategies have".to_owned();
    }
    let has = CONTRACT.worlds.iter().find(|world| world.kind == kind.as_str()).map_or(&[][..], |world| world.imports);
    let may = has.join(", ");
    let exists = CONTRACT.worlds.iter().any(|world| world.imports.contains(&interface));
    match exists && kind.is_pure() {
        true => format!(
            "take the import out: kind {kind} is a pure function, everything it may know comes with the call (it may import {may}); what needs the outside belongs into a notifier or a discovery strategy"
        ),
        false => format!("take the import out: kind {kind} may import {may}"),
    }
}

fn offered(interface: &str, grants: &Grants) -> (Allowance, String, Option<String>) {
    let none = |what: &str, grant: &str| {
        let todo = format!("an administrator grants it: PUT /api/v1/plugins/NAME/grants {grant}");
        (Allowance::NotGranted, what.to_owned(), Some(todo))
    };
    match interface {
        "looma:host/log" => (Allowance::Allowed, "it may write to the host's log, 100 lines a call".to_owned(), None),
        "looma:host/clock" => (Allowance::Allowed, "it may read the clock".to_owned(), None),
        "looma:host/http" if grants.http.is_empty() => {
            none("no host is granted: each request is refused", r#"{"http": ["https://HOST"]}"#)
        }
        "looma:host/http" => {
            let hosts: Vec<String> = grants.http.iter().map(|grant| grant.host.clone()).collect();
            let secrets = match grants.secrets.as_slice() {
                [] => "no secrets".to_owned(),
                secrets => format!("the secrets {}", secrets.join(", ")),
            };
            (Allowance::Granted, format!("requests may go to {}, with {secrets}", hosts.join(", ")), None)
        }
        "looma:host/net" if grants.net.is_empty() => {
            none("no address range is granted: nothing is looked at", r#"{"net": ["10.0.0.0/8:8000-8100"]}"#)
        }
        "looma:host/net" => {
            let port = |ports: &std::ops::RangeInclusive<u16>| format!("{}-{}", ports.start(), ports.end());
            let ranges: Vec<String> =
                grants.net.iter().map(|grant| format!("{}:{}", grant.range, port(&grant.ports))).collect();
            (Allowance::Granted, format!("connections may go to {}", ranges.join(", ")), None)
        }
        "looma:host/mail" if !grants.mail => none("mail is not granted: each message is refused", r#"{"mail": true}"#),
        "looma:host/mail" => (Allowance::Granted, "it may send mail".to_owned(), None),
        "looma:host/kv" if grants.kv_bytes == 0 => {
            none("no bytes are granted: it can keep nothing", r#"{"kv_bytes": 65536}"#)
        }
        "looma:host/kv" => (Allowance::Granted, format!("it may keep {} bytes", grants.kv_bytes), None),
        other => (Allowance::Allowed, format!("it may use {other}"), None),
    }
}

/// What to do about a file that was not taken, as far as that is to be seen from outside.
pub(super) fn advice(wasm: &[u8], max_bytes: usize) -> Vec<String> {
    let contract = Contract { max_bytes, ..CONTRACT };
    let Ok(Audit { exports: _, world, lifecycle, imports }) = audit(wasm, &contract) else {
        return vec![NO_COMPONENT.to_owned()];
    };
    let world = match world {
        Ok(world) => world,
        Err(why) => return vec![no_kind(&why)],
    };
    let kind = Kind::ALL[world];
    let missing = lifecycle.err().map(|_| NO_LIFECYCLE.to_owned());
    let wanted = imports.into_iter().map(|wanted| import(wanted, kind, &Grants::default()));
    let wanted = wanted.filter(|wanted| wanted.allowance == Allowance::Refused);
    missing.into_iter().chain(wanted.filter_map(|wanted| wanted.todo)).collect()
}
