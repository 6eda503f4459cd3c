//! What an evaluator says of the series of a rule, a thousand a call. A batch that crashes it is halved until the series at fault are
//! found: all others are judged.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Recollection,
    host::{self, HOST},
    states::{self, States},
    tape::Tape,
};
use crate::{
    alerts::{
        machine::Verdict,
        rules::{Rule, RuleSpec},
    },
    app::App,
    clock::Timestamp,
    db,
    ids::ServiceId,
    metrics::{Columns, Metrics, Series, SeriesId},
    notify::By,
    plugins::{self, CallError, EvalContext, Judging, Memory, PluginName, PluginRef, Requirements, SeriesBatch},
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
    pub next: Vec<(SeriesId, Memory)>,
    /// The versions of it whose memories are to be kept.
    pub keep: Vec<String>,
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
    rule: &'a Rule,
    plugin: PluginName,
    needs: Requirements,
    config: String,
    now: Timestamp,
    tape: &'a Tape,
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
    (now, tape): (Timestamp, &Tape),
) -> Result<Judged, JudgeError> {
    let name = &rule.spec.evaluator;
    if name == HOST {
        return Ok(host::judge(app, rule, now));
    }
    let failed = |error| JudgeError::Plugin { plugin: name.clone(), error };
    let plugin: PluginName = name.parse().map_err(|why| failed(CallError::Permanent(why)))?;
    let config = rule.spec.config_text();
    let needs = app.plugins.plan(&plugin, &config).await.map_err(failed)?;
    let series = select(app, &rule.spec);
    let mut judged = Judged::default();
    if needs.state && own.states.is_none() {
        own.states = Some(states::read(&app.db, &rule.rule_id).await?);
    }
    let remembered = own.states.as_ref().filter(|_| needs.state);
    if remembered.is_some() {
        judged.keep = app.plugins.remembering(&plugin);
    }
    let call = Call { app, rule, plugin, needs, config, now, tape };
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

impl Call<'_> {
    /// Judges these series; where they crash the evaluator, those that do not.
    async fn judge(
        &self,
        series: &[Arc<Series>],
        lookback: Duration,
        remembered: Option<&States>,
        judged: &mut Judged,
    ) -> Result<(), JudgeError> {
        // Halves stand behind all that are as large, so that faults and answers alternate: what crashes on a few series is not taken
        // for what crashes on all.
        let mut parts = VecDeque::from([series]);
        let mut searches = SEARCHES;
        while let Some(part) = parts.pop_front() {
            let batch = Arc::new(self.batch(part, lookback).await?);
            let remembered = remembered.map(|all| {
                let of = |one: &Arc<Series>| all.get(&one.series_id).map(Vec::as_slice).unwrap_or_default();
                part.iter().map(of).collect()
            });
            let rule = self.rule.rule_id.as_str();
            let keep = self.tape.keeping(part);
            let judging = Judging { rule, context: self.context(), batch, remembered, keep };
            match self.app.plugins.judge(&self.plugin, &judging).await {
                Ok(said) => self.take(part, said, judged),
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
        let batch = batch(&self.app.metrics, series, self.needs, self.now).await?;
        Ok(if lookback.is_zero() { self.fresh(batch) } else { batch })
    }

    fn fresh(&self, all: SeriesBatch) -> SeriesBatch {
        let oldest = self.now.minus(self.rule.spec.patience()).millis();
        if all.times.iter().all(|at| *at >= oldest) {
            return all;
        }
        let SeriesBatch { ids, labels, .. } = all;
        let mut fresh = SeriesBatch { ids, offsets: vec![0], times: Vec::new(), values: Vec::new(), labels };
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

    fn context(&self) -> EvalContext {
        let interval_ms = u32::try_from(self.rule.spec.interval_seconds * 1000).unwrap_or(u32::MAX);
        EvalContext { now_ms: self.now.millis(), interval_ms, config: self.config.clone() }
    }

    fn take(&self, series: &[Arc<Series>], said: plugins::Judged, judged: &mut Judged) {
        let plugins::Judged { levels, scores, notes, by, next } = said;
        let mut names: HashMap<String, Arc<By>> = HashMap::new();
        let mut name = |by: &PluginRef| {
            let known = names.entry(by.digest.clone());
            known.or_insert_with(|| Arc::new(By::from(by.clone()))).clone()
        };
        let said = levels.into_iter().zip(scores).zip(notes).zip(by).zip(next);
        for (series, ((((level, score), note), by), next)) in series.iter().zip(said) {
            let next = next.filter(|_| self.needs.state);
            judged.next.extend(next.map(|memory| (series.series_id, memory)));
            let Some(by) = by else { continue };
            judged.judgements.push(Judgement {
                series: series.clone(),
                verdict: Verdict::from_level(level, self.rule.spec.severity),
                value: score.is_finite().then_some(score),
                note,
                by: name(&by),
            });
        }
    }
}

/// The points of these series as far back as they are needed.
pub(super) async fn batch(
    metrics: &Metrics,
    series: &[Arc<Series>],
    needs: Requirements,
    now: Timestamp,
) -> anyhow::Result<SeriesBatch> {
    let lookback = Duration::from_millis(needs.lookback_ms);
    let columns = match lookback > metrics.recent() {
        true => metrics.history(series, now.minus(lookback), now.plus(Duration::from_millis(1))).await?,
        false => metrics.batch(series, lookback),
    };
    let labels = match needs.labels {
        true => series.iter().map(|series| labels(series)).collect(),
        false => Vec::new(),
    };
    let Columns { ids, offsets, times, values } = columns;
    Ok(SeriesBatch { ids, offsets, times, values, labels })
}

fn labels(series: &Series) -> Vec<(String, String)> {
    let own = [("service_id", series.service_id.as_str()), ("metric_name", series.metric_name.as_str())];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    own.chain(series.tags.iter().map(|(key, value)| (key.clone(), value.clone()))).collect()
}
