//! The contract with plugins as the host speaks it: which interface makes which kind, and what each may import.

use crate::wasm::inspect::{Contract, Interface, World};

const VERSION: &str = "0.1.0";

const LOG: &str = "looma:host/log";
const CLOCK: &str = "looma:host/clock";
const HTTP: &str = "looma:host/http";
const KV: &str = "looma:host/kv";
const NET: &str = "looma:host/net";
const MAIL: &str = "looma:host/mail";

/// What `inspect` holds a file against. The order of worlds is that of `Kind::ALL`.
pub(super) const CONTRACT: Contract = Contract {
    lifecycle: interface("looma:plugin/lifecycle"),
    worlds: &WORLDS,
    types: &["looma:plugin/types", "looma:alerting/series", "looma:talent/types"],
    version: VERSION,
    max_bytes: 64 << 20,
};

const WORLDS: [World; 6] = [
    world("alert-evaluator", "looma:alerting/evaluator", &[LOG]),
    world("notifier", "looma:notify/notifier", &[LOG, CLOCK, HTTP, MAIL]),
    world("discovery-strategy", "looma:discovery/strategy", &[LOG, CLOCK, HTTP, KV, NET]),
    world("talent-matcher", "looma:talent/matcher", &[LOG]),
    world("talent-embedder", "looma:talent/embedder", &[LOG]),
    world("resume-parser", "looma:talent/parser", &[LOG]),
];

const fn interface(name: &'static str) -> Interface {
    Interface { name, version: VERSION }
}

const fn world(kind: &'static str, export: &'static str, imports: &'static [&'static str]) -> World {
    World { kind, export: interface(export), imports }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::types::Kind;

    #[test]
    fn worlds_stand_in_the_order_of_kinds() {
        assert!(CONTRACT.worlds.iter().map(|world| world.kind).eq(Kind::ALL.iter().map(|kind| kind.as_str())));
    }
}
