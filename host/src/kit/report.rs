//! Reports as people read them.

use std::fmt::Write as _;

use crate::plugins::{
    admission::{Admission, Finding, ImportShown, Outcome},
    records::{Difference, ReplayReport, Replayed, Said},
};

/// An admission report, the refusal last.
pub fn admission(admission: &Admission) -> String {
    let Admission { admitted, name, kind, version, digest, size_bytes, max_bytes, imports, limits, findings, .. } =
        admission;
    let name = name.as_ref().map_or("it", |name| name.as_str());
    let kind = kind.map_or(String::new(), |kind| format!(", kind {kind}"));
    let version = version.as_ref().map_or(String::new(), |version| format!(" {version}"));
    let mut text = format!("{name}{version}{kind}\n");
    let mut line = |what: &str, says: String| {
        let _ = writeln!(text, "  {what:<9} {says}");
    };
    line("digest", digest.clone());
    line("size", format!("{size_bytes} bytes, at most {max_bytes} are taken"));
    let mib = limits.memory_bytes >> 20;
    line("limits", format!("{mib} MiB of memory, {} ms a call; grants may say otherwise", limits.deadline_ms));
    for ImportShown { interface, allowance, says, todo } in imports {
        line("imports", format!("{interface} ({allowance}): {says}"));
        // What is refused is told below, with what to do.
        if let Some(todo) = todo.as_ref().filter(|_| !allowance.is_refused()) {
            line("", format!("  {todo}"));
        }
    }
    for Finding { step, outcome, says, todo } in findings {
        let mark = match outcome {
            Outcome::Passed => "ok",
            Outcome::Warned => "warning",
            Outcome::Failed => "REFUSED",
        };
        line(mark, format!("{step}: {says}"));
        if let Some(todo) = todo {
            line("", format!("what to do: {todo}"));
        }
    }
    let _ = write!(text, "{}", if *admitted { "it would be taken" } else { "it would be refused" });
    text
}

/// What a replay came to.
pub fn replay(report: &ReplayReport) -> String {
    let ReplayReport { plugin, records, same, differs, failed, skipped, stopped, items } = report;
    let digest: String = plugin.digest.chars().take(12).collect();
    let mut text = format!("{} {} ({digest}…) on {records} records: ", plugin.name, plugin.version);
    let _ = writeln!(text, "{same} the same, {differs} differ, {failed} failed, {skipped} not kept");
    for item in items.iter().filter(|item| item.says.is_some() || item.differing > 0) {
        replayed(&mut text, item);
    }
    if let Some(why) = stopped {
        let _ = writeln!(text, "stopped: {why}");
    }
    text.trim_end().to_owned()
}

fn replayed(text: &mut String, item: &Replayed) {
    let Replayed { recorded_at, version, series, outcome, says, differing, differences, .. } = item;
    let _ = write!(text, "  {recorded_at}, then version {version}: {outcome}");
    let _ = match says {
        Some(says) => writeln!(text, ": {says}"),
        None => writeln!(text, " in {differing} of {series} series"),
    };
    for Difference { series, recorded, now } in differences {
        let _ = writeln!(text, "    {series}: {}, now {}", said(recorded), said(now));
    }
    if differences.len() < *differing {
        let _ = writeln!(text, "    and {} more", differing - differences.len());
    }
}

fn said(Said { verdict, score, note }: &Said) -> String {
    let score = score.map_or(String::new(), |score| format!(" at {score}"));
    let note = note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
    format!("{verdict}{score}{note}")
}
