//! Whether two answers are the same, exactly or within a tolerance. What people wrote about themselves is never quoted.

use super::report::Difference;
use crate::plugins::{Candidate, Draft, Explanation, Scored, SeriesBatch, Verdicts};

/// What differs, before it is known of which key.
struct Found {
    item: String,
    what: &'static str,
    serving: String,
    candidate: String,
}

impl Found {
    fn of(self, key: &str) -> Difference {
        let Self { item, what, serving, candidate } = self;
        let key = if item.is_empty() { key.to_owned() } else { format!("{key}/{item}") };
        Difference { key, what: what.to_owned(), serving, candidate }
    }
}

/// Numbers that are the same: equal, both none, or apart by no more than `tolerance` in proportion to the larger one or to 1.
fn same(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

/// Verdicts on the series of a rule, column by column; what is remembered is each version's own affair.
pub(super) fn verdicts(
    rule: &str,
    batch: &SeriesBatch,
    tolerance: f64,
    serving: &Verdicts,
    candidate: &Verdicts,
) -> Option<Difference> {
    let found = |n: usize, what, serving: String, candidate: String| {
        Found { item: batch.ids.get(n).map(u64::to_string).unwrap_or_default(), what, serving, candidate }.of(rule)
    };
    let levels = serving.levels.iter().zip(&candidate.levels).enumerate();
    if let Some((n, (a, b))) = levels.into_iter().find(|(_, (a, b))| a != b) {
        return Some(found(n, "level", a.to_string(), b.to_string()));
    }
    let mut scores = serving.scores.iter().zip(&candidate.scores).enumerate();
    if let Some((n, (a, b))) = scores.find(|(_, (a, b))| !same(**a, **b, tolerance)) {
        return Some(found(n, "score", a.to_string(), b.to_string()));
    }
    (serving.notes != candidate.notes).then(|| {
        let (a, b) = (&serving.notes, &candidate.notes);
        let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
        let n = a.get(at).or(b.get(at)).map_or(0, |(n, _)| *n as usize);
        let text = |notes: &[(u32, String)]| notes.get(at).map(|(_, note)| note.clone()).unwrap_or_default();
        found(n, "note", text(a), text(b))
    })
}

/// Scores of candidates for a demand.
pub(in crate::plugins) fn scores(
    demand: &str,
    candidates: &[Candidate],
    tolerance: f64,
    serving: &[Scored],
    candidate: &[Scored],
) -> Option<Difference> {
    let close = |a: f32, b: f32| same(f64::from(a), f64::from(b), tolerance);
    let parts = |a: &Scored, b: &Scored| {
        a.parts.len() == b.parts.len() && a.parts.iter().zip(&b.parts).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
    };
    let mut pairs = serving.iter().zip(candidate).enumerate();
    let (n, (a, b)) = pairs.find(|(_, (a, b))| !close(a.score, b.score) || !parts(a, b))?;
    let item = candidates.get(n).map(|candidate| candidate.profile.id.clone()).unwrap_or_default();
    let what = if close(a.score, b.score) { "parts of the score" } else { "score" };
    Some(Found { item, what, serving: a.score.to_string(), candidate: b.score.to_string() }.of(demand))
}

/// Why candidates fit a demand.
pub(in crate::plugins) fn explanations(
    demand: &str,
    candidates: &[Candidate],
    serving: &[Explanation],
    candidate: &[Explanation],
) -> Option<Difference> {
    let n = serving.iter().zip(candidate).position(|(a, b)| a != b)?;
    let item = candidates.get(n).map(|candidate| candidate.profile.id.clone()).unwrap_or_default();
    let size = |all: &[Explanation]| {
        let Explanation { matched, missing, text } = &all[n];
        format!("{} matched, {} missing, {} bytes of text", matched.len(), missing.len(), text.len())
    };
    Some(Found { item, what: "explanation", serving: size(serving), candidate: size(candidate) }.of(demand))
}

/// What was read out of a document: which fields differ, not what they say.
pub(in crate::plugins) fn drafts(document: &str, serving: &Draft, candidate: &Draft) -> Option<Difference> {
    let fields = [
        ("name", serving.name != candidate.name),
        ("emails", serving.emails != candidate.emails),
        ("phones", serving.phones != candidate.phones),
        ("location", serving.location != candidate.location),
        ("title", serving.title != candidate.title),
        ("summary", serving.summary != candidate.summary),
        ("experiences", serving.experiences != candidate.experiences),
        ("educations", serving.educations != candidate.educations),
        ("skills", serving.skills != candidate.skills),
        ("certifications", serving.certifications != candidate.certifications),
        ("warnings", serving.warnings != candidate.warnings),
        ("evidence", serving.evidence != candidate.evidence),
    ];
    let differing: Vec<&str> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    let found = || Found {
        item: String::new(),
        what: "fields of the draft",
        serving: String::new(),
        candidate: differing.join(", "),
    };
    (!differing.is_empty()).then(|| found().of(document))
}

/// Vectors of texts.
pub(in crate::plugins) fn vectors(
    texts: &str,
    tolerance: f64,
    serving: &[f32],
    candidate: &[f32],
) -> Option<Difference> {
    let differs = |(a, b): (&f32, &f32)| !same(f64::from(*a), f64::from(*b), tolerance);
    let at = serving
        .iter()
        .zip(candidate)
        .position(differs)
        .or_else(|| (serving.len() != candidate.len()).then_some(serving.len().min(candidate.len())))?;
    let text = |all: &[f32]| all.get(at).map(f32::to_string).unwrap_or_default();
    Some(Found { item: at.to_string(), what: "number", serving: text(serving), candidate: text(candidate) }.of(texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(levels: &[u8], scores: &[f64], note: Option<&str>) -> Verdicts {
        let notes = note.map(|note| (1, note.to_owned())).into_iter().collect();
        Verdicts { levels: levels.to_vec(), scores: scores.to_vec(), notes, next: None }
    }

    fn batch() -> SeriesBatch {
        SeriesBatch { ids: vec![70, 71], offsets: vec![0, 0, 0], times: vec![], values: vec![], labels: vec![] }
    }

    #[test]
    fn the_first_difference_is_told_with_its_series() {
        let one = said(&[0, 1], &[1.0, f64::NAN], None);
        let differ = |other: &Verdicts, tolerance| verdicts("r", &batch(), tolerance, &one, other);
        assert_eq!(differ(&one, 0.0), None, "no number is the same as no number");
        let level = differ(&said(&[0, 2], &[1.0, f64::NAN], None), 0.0).unwrap();
        assert_eq!((level.key.as_str(), level.what.as_str()), ("r/71", "level"));
        let near = said(&[0, 1], &[1.000_1, f64::NAN], None);
        assert_eq!(differ(&near, 0.0).unwrap().what, "score");
        assert_eq!(differ(&near, 0.001), None);
        let note = differ(&said(&[0, 1], &[1.0, f64::NAN], Some("why")), 0.0).unwrap();
        assert_eq!((note.key.as_str(), note.candidate.as_str()), ("r/71", "why"));
    }

    #[test]
    fn large_numbers_are_compared_in_proportion() {
        assert!(same(1e9, 1e9 + 1.0, 1e-6));
        assert!(!same(0.0, 1e-3, 1e-6));
    }
}
