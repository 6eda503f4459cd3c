//! What an evaluator says of the series of a rule, a thousand a call. A batch that crashes it is halved until the series at fault are
//! found: all others are judged.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::Recollection;
use crate::{
    alerts::{
        machine::Verdict,
        queries::{self, Remembered},
        rules::{Rule, RuleSpec},
        types::RuleId,
    },
    app::App,
    clock::Timestamp,
    db,
    ids::ServiceId,
    metrics::{Columns, Series, SeriesId},
    notify::By,
    plugins::{CallError, EvalContext, EvalState, Evaluated, PluginName, Requirements, SeriesBatch, Verdicts},
};

/// How many series a call takes, and how many when each brings hours of points.
const A_CALL: usize = 1000;
const A_LONG_CALL: usize = 100;
const LONG: Duration = Duration::from_secs(2 * 3600);
/// How many more calls are made to find the series of a batch that crash their evaluator.
const SEARCHES: usize = 32;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The evaluator failed.
    #[error("evaluator {plugin:?}: {error}")]
    Plugin {
        /// Its name.
        plugin: String,
        /// How.
        error: CallError,
    },
    /// Points or states could not be read.
    #[error("could not read what to evaluate: {0:#}")]
    Read(#[from] anyhow::Error),
}

impl From<db::DbError> for JudgeError {
    fn from(error: db::DbError) -> Self {
        Self::Read(error.into())
    }
}

/// What is said of one series.
#[derive(Debug)]
pub struct Judgement {
    /// Which.
    pub series: Arc<Series>,
    /// What of it.
    pub verdict: Verdict,
    /// The value that this rests on.
    pub value: Option<f64>,
    /// Why, in the evaluator's words.
    pub note: Option<String>,
    /// Exactly which plugin says so.
    pub by: Arc<By>,
}

/// What is said of all of them.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub judgements: Vec<Judgement>,
    /// What the evaluator wants to remember.
    pub next: Vec<Remembered>,
    /// Series that crash the evaluator: nothing is said of them, and what is known of them stays as it is.
    pub unjudged: Vec<Arc<Series>>,
    /// How the evaluator failed on them.
    pub crash: Option<CallError>,
}

impl Judged {
    /// What is to be told of series that could not be judged.
    pub fn told(&self) -> Option<String> {
        let (first, crash) = (self.unjudged.first()?, self.crash.as_ref()?);
        let others = match self.unjudged.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let tags: Vec<String> = first.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let tags = if tags.is_empty() { String::new() } else { format!(" ({})", tags.join(", ")) };
        Some(format!("could not judge {} of {}{tags}{others}: {crash}", first.metric_name, first.service_id))
    }
}

/// One call's worth.
struct Call<'a> {
    app: &'a App,
    rule: &'a RuleSpec,
    plugin: PluginName,
    needs: Requirements,
    config: String,
    now: Timestamp,
}

/// The series that a rule watches.
pub(super) fn select(app: &App, rule: &RuleSpec) -> Vec<Arc<Series>> {
    let Some(of) = rule.service_type.as_deref() else {
        return app.metrics.select(&rule.metric_name, |_| true);
    };
    // Series of one service stand together often enough for its type to be looked up once.
    let known = std::cell::RefCell::new(HashMap::<ServiceId, bool>::new());
    app.metrics.select(&rule.metric_name, |series| {
        let is = || app.registry.service(&series.service_id).is_some_and(|service| service.service_type == of);
        *known.borrow_mut().entry(series.service_id.clone()).or_insert_with(is)
    })
}

/// Lets the rule's evaluator judge every series of it.
pub(super) async fn judge(
    app: &App,
    rule: &Rule,
    own: &mut Recollection,
    now: Timestamp,
) -> Result<Judged, JudgeError> {
    let name = &rule.spec.evaluator;
    let failed = |error| JudgeError::Plugin { plugin: name.clone(), error };
    let plugin: PluginName = name.parse().map_err(|why| failed(CallError::Permanent(why)))?;
    let config = rule.spec.config_text();
    let needs = app.plugins.plan(&plugin, &config).await.map_err(failed)?;
    let series = select(app, &rule.spec);
    let mut judged = Judged::default();
    if needs.state && own.states.is_none() {
        own.states = Some(states(app, &rule.rule_id).await?);
    }
    let remembered = own.states.as_ref().filter(|_| needs.state);
    let call = Call { app, rule: &rule.spec, plugin, needs, config, now };
    let lookback = Duration::from_millis(needs.lookback_ms);
    for part in series.chunks(if lookback > LONG { A_LONG_CALL } else { A_CALL }) {
        call.judge(part, lookback, remembered, &mut judged).await?;
    }
    match judged.crash.take() {
        // It crashes on everything: that says nothing of any series.
        Some(error) if judged.judgements.is_empty() => Err(failed(error)),
        crash => Ok(Judged { crash, ..judged }),
    }
}

async fn states(app: &App, rule: &RuleId) -> db::Result<HashMap<SeriesId, Remembered>> {
    let states = queries::states(&mut app.db.read().await?, rule).await?;
    Ok(states.into_iter().map(|state| (state.series, state)).collect())
}

impl Call<'_> {
    /// Judges these series; where they crash the evaluator, those that do not.
    async fn judge(
        &self,
        series: &[Arc<Series>],
        lookback: Duration,
        remembered: Option<&HashMap<SeriesId, Remembered>>,
        judged: &mut Judged,
    ) -> Result<(), JudgeError> {
        // Halves stand behind all that are as large, so that faults and answers alternate: what crashes on a few series is not taken
        // for what crashes on all.
        let mut parts = VecDeque::from([series]);
        let mut searches = SEARCHES;
        while let Some(part) = parts.pop_front() {
            let batch = Arc::new(self.batch(part, lookback).await?);
            let previous = remembered.map(|remembered| previous(part, remembered));
            match self.evaluate(batch, previous).await {
                Ok(Evaluated { verdicts, by }) => {
                    if let Some(next) = &verdicts.next {
                        judged.next.extend(unpack(part, next));
                    }
                    judged.judgements.extend(self.judgements(part, verdicts, by.into()));
                }
                Err(error @ CallError::Trap(_)) if part.len() > 1 && searches >= 2 => {
                    judged.crash.get_or_insert(error);
                    searches -= 2;
                    let (front, back) = part.split_at(part.len() / 2);
                    parts.extend([front, back]);
                }
                Err(error @ CallError::Trap(_)) => {
                    judged.crash.get_or_insert(error);
                    judged.unjudged.extend_from_slice(part);
                }
                Err(error) => return Err(JudgeError::Plugin { plugin: self.plugin.to_string(), error }),
            }
        }
        Ok(())
    }

    /// The points of these series; a latest point that is older than the rule's patience is none.
    async fn batch(&self, series: &[Arc<Series>], lookback: Duration) -> anyhow::Result<SeriesBatch> {
        let metrics = &self.app.metrics;
        let columns = match lookback > metrics.recent() {
            true => metrics.history(series, self.now.minus(lookback), self.now.plus(Duration::from_millis(1))).await?,
            false => metrics.batch(series, lookback),
        };
        let labels = match self.needs.labels {
            true => series.iter().map(|series| labels(series)).collect(),
            false => Vec::new(),
        };
        let Columns { ids, offsets, times, values } = match lookback {
            Duration::ZERO => self.fresh(columns),
            _ => columns,
        };
        Ok(SeriesBatch { ids, offsets, times, values, labels })
    }

    fn fresh(&self, all: Columns) -> Columns {
        let oldest = self.now.minus(self.rule.patience()).millis();
        if all.times.iter().all(|at| *at >= oldest) {
            return all;
        }
        let mut fresh = Columns { ids: all.ids, offsets: vec![0], times: Vec::new(), values: Vec::new() };
        for ends in all.offsets.windows(2) {
            for point in ends[0] as usize..ends[1] as usize {
                if all.times[point] >= oldest {
                    fresh.times.push(all.times[point]);
                    fresh.values.push(all.values[point]);
                }
            }
            fresh.offsets.push(u32::try_from(fresh.times.len()).unwrap_or(u32::MAX));
        }
        fresh
    }

    async fn evaluate(&self, batch: Arc<SeriesBatch>, previous: Option<EvalState>) -> Result<Evaluated, CallError> {
        let interval_ms = u32::try_from(self.rule.interval_seconds * 1000).unwrap_or(u32::MAX);
        let context = EvalContext { now_ms: self.now.millis(), interval_ms, config: self.config.clone() };
        self.app.plugins.evaluate(&self.plugin, context, batch, previous).await
    }

    fn judgements(&self, series: &[Arc<Series>], verdicts: Verdicts, by: By) -> Vec<Judgement> {
        let Verdicts { levels, scores, notes, next: _ } = verdicts;
        let mut notes: HashMap<usize, String> = notes.into_iter().map(|(at, note)| (at as usize, note)).collect();
        let by = Arc::new(by);
        let one = |(n, ((series, level), score)): (usize, ((&Arc<Series>, u8), f64))| Judgement {
            series: series.clone(),
            verdict: Verdict::from_level(level, self.rule.severity),
            value: score.is_finite().then_some(score),
            note: notes.remove(&n),
            by: by.clone(),
        };
        series.iter().zip(levels).zip(scores).enumerate().map(one).collect()
    }
}

fn labels(series: &Series) -> Vec<(String, String)> {
    let own = [("service_id", series.service_id.as_str()), ("metric_name", series.metric_name.as_str())];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    own.chain(series.tags.iter().map(|(key, value)| (key.clone(), value.clone()))).collect()
}

/// What is remembered of these series, in columns. All of a call's states are of one version: others are left out.
fn previous(series: &[Arc<Series>], remembered: &HashMap<SeriesId, Remembered>) -> EvalState {
    let of = |series: &Arc<Series>| remembered.get(&series.series_id);
    let newest = series.iter().filter_map(of).map(|state| state.version).max().unwrap_or(0);
    let mut packed = EvalState { version: u32::try_from(newest).unwrap_or(0), offsets: vec![0], blob: Vec::new() };
    for one in series {
        if let Some(state) = of(one).filter(|state| state.version == newest) {
            packed.blob.extend_from_slice(&state.state);
        }
        packed.offsets.push(u32::try_from(packed.blob.len()).unwrap_or(u32::MAX));
    }
    packed
}

/// The state of each series out of columns; that the offsets lead through the blob was checked when they came.
fn unpack(series: &[Arc<Series>], next: &EvalState) -> Vec<Remembered> {
    let EvalState { version, offsets, blob } = next;
    let states = series.iter().zip(offsets.windows(2)).map(|(series, ends)| Remembered {
        series: series.series_id,
        version: i64::from(*version),
        state: blob.get(ends[0] as usize..ends[1] as usize).unwrap_or_default().to_vec(),
    });
    states.collect()
}
