//! What a file is, before anything of it runs: a component or not, what it exports, what it wants from the host. Told in
//! words that its author can act on.

use wasmparser::{Encoding, Parser, Payload};

/// One kind of component: what it must export and may import. Names are without versions, as `looma:host/log`.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// what people call it
    pub kind: &'static str,
    /// the interface that makes it this kind, with the version the host speaks
    pub export: Interface,
    /// what it may import
    pub imports: &'static [&'static str],
}

/// A versioned interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// as `looma:alerting/evaluator`
    pub name: &'static str,
    /// as `0.1.0`
    pub version: &'static str,
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// what every plugin exports, whatever its kind
    pub lifecycle: Interface,
    /// the kinds there are
    pub worlds: &'static [World],
    /// interfaces that only have types; importing them asks for nothing
    pub types: &'static [&'static str],
    /// the version of every package that the host speaks, by the prefix `looma:`
    pub version: &'static str,
    /// most bytes of a file
    pub max_bytes: usize,
}

/// What was found in a file that can be a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// position in `Contract::worlds`
    pub world: usize,
    /// interfaces it imports, without versions and without those that only have types
    pub imports: Vec<String>,
}

/// Packages whose imports are answered by inert ones.
const INERT: [&str; 6] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:filesystem/", "wasi:random/", "wasi:sockets/"];

/// Everything that is to be seen of a component from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// what it exports, as it names it
    pub exports: Vec<String>,
    /// position in `Contract::worlds` of its kind, or why it has none
    pub world: Result<usize, String>,
    /// whether it exports what every plugin exports, or what it lacks
    pub lifecycle: Result<(), String>,
    /// what it imports, in its order; empty while it has no kind that this could be held against
    pub imports: Vec<Import>,
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// as the component names it, with its version
    pub name: String,
    /// what the host says to it
    pub verdict: Verdict,
}

/// What the host says to an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It only has types.
    Types,
    /// It is answered by an inert one.
    Inert,
    /// Its kind may have it; what it reaches is for the grants.
    Offered,
    /// Its kind has none, in words.
    Refused(String),
}

impl Import {
    /// Its name without the version.
    pub fn interface(&self) -> &str {
        split(&self.name).0
    }
}

/// Says what `bytes` is, or why it cannot be a plugin: the first reason there is.
pub fn inspect(bytes: &[u8], contract: &Contract) -> Result<Found, String> {
    let Audit { exports: _, world, lifecycle, imports } = audit(bytes, contract)?;
    let world = world?;
    lifecycle?;
    let mut wanted = Vec::new();
    for import in imports {
        match import.verdict {
            Verdict::Refused(why) => return Err(why),
            Verdict::Offered => wanted.push(import.interface().to_owned()),
            Verdict::Types | Verdict::Inert => {}
        }
    }
    Ok(Found { world, imports: wanted })
}

/// Looks at all of a component, however much is wrong with it. An error says why it is none.
pub fn audit(bytes: &[u8], contract: &Contract) -> Result<Audit, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bytes.len() > contract.max_bytes {
        return Err(format!("the file has {} bytes, at most {} are taken", bytes.len(), contract.max_bytes));
    }
    if !bytes.starts_with(b"\0asm") {
        return Err("the file is not WebAssembly: it does not begin with \\0asm".to_owned());
    }
    let (imports, exports) = names(bytes)?;
    let world = kind(&exports, contract);
    let has = exports.iter().any(|export| split(export).0 == contract.lifecycle.name);
    let Interface { name, version } = contract.lifecycle;
    let lifecycle = if has { Ok(()) } else { Err(format!("it does not export {name}@{version}")) };
    let judged = world.as_ref().ok().map(|world| &contract.worlds[*world]);
    let imports = judged.into_iter().flat_map(|world| {
        imports.iter().map(|name| Import { name: name.clone(), verdict: verdict(name, world, contract) })
    });
    Ok(Audit { imports: imports.collect(), exports, world, lifecycle })
}

fn verdict(import: &str, world: &World, contract: &Contract) -> Verdict {
    let (name, version) = split(import);
    if let Err(why) = check_version(name, version, contract) {
        return Verdict::Refused(why);
    }
    if contract.types.contains(&name) {
        return Verdict::Types;
    }
    if INERT.iter().any(|package| name.starts_with(package)) {
        return Verdict::Inert;
    }
    if world.imports.contains(&name) { Verdict::Offered } else { Verdict::Refused(refuse(name, world, contract)) }
}

fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let broken = |error: wasmparser::BinaryReaderError| format!("the file is not a whole component: {error}");
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("this is a core module; make a component of it with `looma plugin build` or \
                            `wasm-tools component new`"
                    .to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn kind(exports: &[String], contract: &Contract) -> Result<usize, String> {
    for export in exports {
        let (name, version) = split(export);
        check_version(name, version, contract)?;
    }
    let exported = |world: &World| exports.iter().any(|export| split(export).0 == world.export.name);
    let found: Vec<usize> = (0..contract.worlds.len()).filter(|&i| exported(&contract.worlds[i])).collect();
    match found.as_slice() {
        [world] => Ok(*world),
        [] => {
            let known: Vec<&str> = contract.worlds.iter().map(|world| world.export.name).collect();
            let has = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            Err(format!(
                "it exports no plugin interface; it exports {has}, and one of these is needed: {}",
                known.join(", ")
            ))
        }
        several => {
            let kinds: Vec<&str> = several.iter().map(|&i| contract.worlds[i].kind).collect();
            Err(format!("it exports the interfaces of several kinds ({}); a plugin has one", kinds.join(", ")))
        }
    }
}

fn check_version(name: &str, version: Option<&str>, contract: &Contract) -> Result<(), String> {
    if !name.starts_with("looma:") {
        return Ok(());
    }
    match version {
        Some(version) if compatible(version, contract.version) => Ok(()),
        Some(version) => Err(format!("plugin speaks {name}@{version}, the host speaks {name}@{}", contract.version)),
        None => Err(format!("plugin names {name} without a version, the host speaks {name}@{}", contract.version)),
    }
}

/// Versions that the linker takes for each other: same major, or same minor below 1.0.
fn compatible(wanted: &str, spoken: &str) -> bool {
    let parts = |version: &str| {
        let mut numbers = version.split('.').map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    match (parts(wanted), parts(spoken)) {
        (Some((0, minor, _)), Some((0, spoken, _))) => minor == spoken,
        (Some((major, ..)), Some((spoken, ..))) => major == spoken,
        _ => false,
    }
}

fn refuse(name: &str, world: &World, contract: &Contract) -> String {
    let kind = world.kind;
    if name.starts_with("wasi:http") {
        return format!("plugin wants {name}, which no kind has; HTTP is looma:host/http");
    }
    let exists = contract.worlds.iter().any(|other| other.imports.contains(&name));
    match exists {
        true => format!("plugin wants {name}, kind {kind} has none"),
        false => format!("plugin wants {name}, which the host does not have"),
    }
}

/// Takes `looma:host/log@0.1.0` apart.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fit_as_the_linker_takes_them() {
        assert!(compatible("0.1.3", "0.1.0"));
        assert!(!compatible("0.2.0", "0.1.0"));
        assert!(compatible("1.4.0", "1.2.0"));
        assert!(!compatible("2.0.0", "1.2.0"));
        assert!(!compatible("x", "1.2.0"));
    }
}
