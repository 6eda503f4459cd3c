//! What became of each row, with its place in the file.

use std::fmt::Write as _;

use serde::Serialize;

/// What becomes, or would become, of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is taken as it stands.
    Taken,
    /// It is taken, and something of it is not as it stands.
    Changed,
    /// The server has it already, and it is left as it is there.
    AlreadyThere,
    /// It is not taken.
    Refused,
}

const ALL: [(Outcome, &str); 4] = [
    (Outcome::Taken, "taken"),
    (Outcome::Changed, "changed"),
    (Outcome::AlreadyThere, "already there"),
    (Outcome::Refused, "refused"),
];

/// A row of the file.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Where it stands, as a JSON pointer.
    pub place: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What is changed, or why it is refused.
    pub notes: Vec<String>,
}

/// Every row, in the order of the file.
#[derive(Debug, Default)]
pub struct Report(Vec<Row>);

impl Report {
    /// Adds a row.
    pub fn add(&mut self, place: &str, outcome: Outcome, notes: Vec<String>) {
        self.0.push(Row { place: place.to_owned(), outcome, notes });
    }

    /// Adds a row that is taken, and says which it is.
    pub fn take(&mut self, place: &str, changes: Vec<String>) -> usize {
        let outcome = if changes.is_empty() { Outcome::Taken } else { Outcome::Changed };
        self.add(place, outcome, changes);
        self.0.len() - 1
    }

    /// What a row turned out to be.
    pub fn turn(&mut self, row: usize, outcome: Outcome, note: Option<String>) {
        if let Some(row) = self.0.get_mut(row) {
            row.outcome = outcome;
            row.notes.extend(note);
        }
    }

    /// Something to be known of a row that does not change what becomes of it.
    pub fn note(&mut self, row: usize, note: String) {
        if let Some(row) = self.0.get_mut(row) {
            row.notes.push(note);
        }
    }

    /// How many there are of an outcome.
    fn count(&self, outcome: Outcome) -> usize {
        self.0.iter().filter(|row| row.outcome == outcome).count()
    }

    /// For people: a row a line, and what it comes to. No control characters: a row must not be able to speak to the terminal.
    pub fn text(&self, applied: bool) -> String {
        let mut out = String::new();
        for Row { place, outcome, notes } in &self.0 {
            let word = ALL.iter().find(|(known, _)| known == outcome).map_or("", |(_, word)| word);
            let notes = if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) };
            let line: String =
                format!("{word:<13} {place}{notes}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(out, "{line}");
        }
        let counts: Vec<String> =
            ALL.iter().map(|(outcome, word)| format!("{} {word}", self.count(*outcome))).collect();
        let _ = write!(out, "{}", counts.join(", "));
        if !applied {
            let _ = write!(out, "; nothing was written: --apply does it");
        }
        out
    }

    /// For programs.
    pub fn json(&self, applied: bool) -> serde_json::Value {
        serde_json::json!({
            "applied": applied, "rows": self.0, "taken": self.count(Outcome::Taken), "changed": self.count(Outcome::Changed),
            "already_there": self.count(Outcome::AlreadyThere), "refused": self.count(Outcome::Refused),
        })
    }
}

/// A step of a JSON pointer.
pub fn below(place: &str, step: impl std::fmt::Display) -> String {
    format!("{place}/{}", step.to_string().replace('~', "~0").replace('/', "~1"))
}
