//! A dry run of a rule: what its evaluator would say now, on the points that are there. Nothing is recorded and nobody is told.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Recollection,
    judge::{self, JudgeError, Judgement},
    tape::Tape,
};
use crate::{
    alerts::{machine::Verdict, rules::Rule},
    app::App,
    clock::Timestamp,
    ids::ServiceId,
    metrics::SeriesId,
    notify::{By, Severity},
};

/// How many series an answer shows.
const SHOWN: usize = 1000;

/// What an evaluator says of one series.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestedSeries {
    /// The number of the series.
    pub series: SeriesId,
    /// Of which service.
    pub service_id: ServiceId,
    /// Of which part.
    pub tags: BTreeMap<String, String>,
    /// `normal`, `breach` or `unknown`.
    pub verdict: &'static str,
    /// How bad a breach is.
    pub severity: Option<Severity>,
    /// The value that this rests on.
    pub value: Option<f64>,
    /// Why, in the evaluator's words.
    pub note: Option<String>,
}

/// What an evaluator says of a rule's series.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestResult {
    /// When.
    pub evaluated_at: Timestamp,
    /// Exactly which plugin judged; absent when there is no series.
    pub plugin: Option<By>,
    /// How many series the rule watches.
    pub series: usize,
    /// How many of them breach it.
    pub breaches: usize,
    /// What is wrong, if the evaluator failed, on all series or on some.
    pub error: Option<String>,
    /// The series, breaches first; 1000 at most.
    pub items: Vec<TestedSeries>,
}

/// Judges the rule's series, with what its evaluator remembers of them.
pub async fn test(app: &App, rule: &Rule) -> anyhow::Result<TestResult> {
    let now = app.clock.now();
    let judged = match judge::judge(app, rule, &mut Recollection::default(), (now, &Tape::off())).await {
        Ok(judged) => judged,
        Err(JudgeError::Read(error)) => return Err(error),
        Err(error @ JudgeError::Plugin { .. }) => {
            let series = judge::select(app, &rule.spec).len();
            let error = Some(error.to_string());
            return Ok(TestResult { evaluated_at: now, plugin: None, series, breaches: 0, error, items: Vec::new() });
        }
    };
    let error = judged.told();
    let plugin = judged.judgements.first().map(|judgement| (*judgement.by).clone());
    let series = judged.judgements.len() + judged.unjudged.len();
    let mut items: Vec<TestedSeries> = judged.judgements.into_iter().map(tested).collect();
    let breaches = items.iter().filter(|item| item.severity.is_some()).count();
    items.sort_by_key(|item| item.severity.is_none());
    items.truncate(SHOWN);
    Ok(TestResult { evaluated_at: now, plugin, series, breaches, error, items })
}

fn tested(judgement: Judgement) -> TestedSeries {
    let Judgement { series, verdict, value, note, by: _ } = judgement;
    let (verdict, severity) = match verdict {
        Verdict::Normal => ("normal", None),
        Verdict::Breach(severity) => ("breach", Some(severity)),
        Verdict::Unknown => ("unknown", None),
    };
    let (service_id, tags) = (series.service_id.clone(), series.tags.clone());
    TestedSeries { series: series.series_id, service_id, tags, verdict, severity, value, note }
}
