//! Plugins in the Prometheus text format: per plugin, and per version that serves or served before it. How much there is depends on how
//! many plugins there are; nothing that a plugin says becomes a name or a label.

use std::fmt::Write as _;

use super::{
    Plugins,
    slot::Slot,
    stats::{BOUNDS, Durations, Event, Function, Interface, Outcome, Totals},
    types::State,
};

/// A family of metrics, gathered before it is written: its lines must stand together.
struct Family {
    name: &'static str,
    lines: String,
}

impl Family {
    fn new(name: &'static str) -> Self {
        Self { name, lines: String::new() }
    }

    fn add(&mut self, labels: &str, value: impl std::fmt::Display) {
        let name = self.name;
        let _ = writeln!(self.lines, "{name}{{{labels}}} {value}");
    }

    fn add_durations(&mut self, labels: &str, durations: &Durations) {
        let (name, mut count) = (self.name, 0);
        for (bucket, bound) in
            durations.buckets.iter().zip(BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]))
        {
            count += bucket;
            let _ = writeln!(self.lines, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let sum = durations.sum.as_secs_f64();
        let _ = writeln!(self.lines, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}");
    }

    fn write(&self, out: &mut String, kind: &str, help: &str) {
        let Self { name, lines } = self;
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
    }
}

impl Plugins {
    /// Writes what is counted of plugins in the Prometheus text format, version 0.0.4.
    pub fn render(&self, out: &mut String) {
        let slots = self.slots();
        versions(&slots, out);
        plugins(&slots, out);
        self.render_host(out);
    }

    fn render_host(&self, out: &mut String) {
        let services = &self.0.services;
        let (threads, queued) = services.workers.load();
        let most = services.budget.most();
        for (name, help, value) in [
            ("looma_plugin_threads", "Threads for pure plugins.", threads),
            ("looma_plugin_queued", "Calls that wait for a thread.", queued),
            ("looma_plugin_memory_bytes", "Memory of all instances.", services.budget.used()),
            ("looma_plugin_memory_limit_bytes", "The memory that all instances may have.", most),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
    }
}

fn versions(slots: &[std::sync::Arc<Slot>], out: &mut String) {
    let mut calls = Family::new("looma_plugin_calls_total");
    let mut ran = Family::new("looma_plugin_call_seconds");
    let mut waited = Family::new("looma_plugin_queue_seconds");
    let mut peak = Family::new("looma_plugin_memory_peak_bytes");
    let mut instances = Family::new("looma_plugin_instances");
    for slot in slots {
        for (plugin, stats) in slot.counted() {
            // A digest is hexadecimal and a name has no quotes; what a plugin says of its version is no label.
            let version = format!("plugin=\"{}\",digest=\"{}\"", plugin.name, &plugin.digest[..12]);
            peak.add(&version, stats.memory_peak());
            instances.add(&version, stats.instances());
            for function in Function::ALL {
                let totals = stats.totals(*function);
                if totals.calls() + totals.ran.count() + totals.waited.count() == 0 {
                    continue;
                }
                let labels = format!("{version},function=\"{function}\"");
                outcomes(&mut calls, &labels, &totals);
                ran.add_durations(&labels, &totals.ran);
                waited.add_durations(&labels, &totals.waited);
            }
        }
    }
    calls.write(out, "counter", "Calls of plugins in service, by how they ended.");
    ran.write(out, "histogram", "How long calls ran.");
    waited.write(out, "histogram", "How long calls waited for their turn.");
    peak.write(out, "gauge", "The most memory that one instance had.");
    instances.write(out, "gauge", "Instances that are there.");
}

fn outcomes(calls: &mut Family, labels: &str, totals: &Totals) {
    for (outcome, count) in Outcome::ALL.iter().zip(totals.outcomes) {
        if count > 0 || *outcome == Outcome::Ok {
            calls.add(&format!("{labels},outcome=\"{outcome}\""), count);
        }
    }
}

fn plugins(slots: &[std::sync::Arc<Slot>], out: &mut String) {
    let mut state = Family::new("looma_plugin_state");
    let mut asked = Family::new("looma_plugin_host_calls_total");
    let mut denied = Family::new("looma_plugin_host_calls_denied_total");
    let mut waiting = Family::new("looma_plugin_waiting");
    let mut compiled = Family::new("looma_plugin_compile_seconds");
    let mut loaded = Family::new("looma_plugin_load_seconds");
    let mut events = [
        (Event::Swapped, Family::new("looma_plugin_swaps_total"), "Versions that came into service."),
        (
            Event::RolledBack,
            Family::new("looma_plugin_rollbacks_total"),
            "Versions that were rolled back by themselves.",
        ),
        (Event::Refused, Family::new("looma_plugin_refusals_total"), "Files that were not taken."),
        (Event::Quarantined, Family::new("looma_plugin_quarantines_total"), "How often it failed too often."),
    ];
    for slot in slots {
        let Some((is, _)) = slot.state() else { continue };
        let labels = format!("plugin=\"{}\"", slot.name);
        for each in State::ALL {
            state.add(&format!("{labels},state=\"{each}\""), u8::from(is == *each));
        }
        let stats = &slot.own.stats;
        for interface in Interface::ALL {
            let (all, refused) = stats.host_calls(*interface);
            if all + refused > 0 {
                asked.add(&format!("{labels},interface=\"{interface}\""), all);
                denied.add(&format!("{labels},interface=\"{interface}\""), refused);
            }
        }
        for (event, family, _) in &mut events {
            family.add(&labels, stats.events(*event));
        }
        let (compile, load) = stats.load_times();
        waiting.add(&labels, slot.own.share.waiting());
        compiled.add(&labels, compile.as_secs_f64());
        loaded.add(&labels, load.as_secs_f64());
    }
    state.write(out, "gauge", "What is the matter with a plugin.");
    asked.write(out, "counter", "What plugins asked of the host.");
    denied.write(out, "counter", "What of it was denied, or dropped for being too much.");
    waiting.write(out, "gauge", "Calls that wait for their turn.");
    compiled.write(out, "gauge", "How long the last compilation took; 0 when all came from the cache.");
    loaded.write(out, "gauge", "How long the last version took from its file to being ready.");
    for (_, family, help) in events {
        family.write(out, "counter", help);
    }
}
