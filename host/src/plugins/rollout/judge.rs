//! Judging the series of a rule: a share of them may be the new version's, series by series, and each version goes on from its own
//! memory. Where the new version fails, the one that serves judges after all.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{
    active::{Active, Key},
    compare,
    lane::{self, Answered},
    parts,
    states::{Memory, pick},
};
use crate::{
    clock::Timestamp,
    plugins::{
        EvalContext, EvalState, Plugins, SeriesBatch, Verdicts,
        kinds::evaluator,
        records::NewRecord,
        slot::{Release, Slot},
        stats::Function,
        types::{CallError, Kind, PluginName, PluginRef},
        version::Version,
    },
};

/// Series to be judged.
pub struct Judging<'a> {
    /// Of which rule; with a series it is the key that shares are taken of.
    pub rule: &'a str,
    /// When, how often, and with which configuration.
    pub context: EvalContext,
    /// The points.
    pub batch: Arc<SeriesBatch>,
    /// What is remembered of each series; absent where the evaluator wants none of it.
    pub remembered: Option<Vec<&'a [Memory]>>,
    /// What the calls are kept under; absent where they are not kept.
    pub keep: Option<Keeping>,
}

/// What calls are kept under.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// When they are made.
    pub recorded_at: Timestamp,
    /// What people call each series, in order.
    pub series: Vec<String>,
}

/// What is said of series, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// 0 normal, 1 breach at the rule's severity, 2 warning, 3 critical, 255 cannot tell.
    pub levels: Vec<u8>,
    /// The values that this rests on.
    pub scores: Vec<f64>,
    /// Why, for those that have something to say.
    pub notes: Vec<Option<String>>,
    /// Exactly which version says so.
    pub by: Vec<Option<Arc<PluginRef>>>,
    /// What is to be remembered.
    pub next: Vec<Option<Memory>>,
}

/// Series that one version judges in one call.
struct Part<'a> {
    slot: &'a Slot,
    active: Option<&'a Arc<Active>>,
    release: &'a Arc<Release>,
    /// The version that serves.
    serving: &'a Arc<Release>,
    /// Places in the batch.
    picks: Vec<usize>,
    /// What each of them begins with.
    begins: Vec<Option<&'a Memory>>,
    form: u32,
}

impl Plugins {
    /// A verdict for each series, in order. The caller splits: about a thousand series or a few MiB a call are good.
    pub async fn judge(&self, plugin: &PluginName, judging: &Judging<'_>) -> Result<Judged, CallError> {
        let (slot, serving) = self.serving(plugin, Kind::AlertEvaluator, Function::Evaluate)?;
        let active = self.active(&slot);
        let count = judging.batch.ids.len();
        let canary = |n: usize| {
            let key = || Key::of(plugin, &format!("{}/{}", judging.rule, judging.batch.ids[n]));
            active.as_ref().filter(|active| active.has_share()).and_then(|active| active.canary(key()))
        };
        let (ours, theirs): (Vec<usize>, Vec<usize>) = (0..count).partition(|n| canary(*n).is_none());
        let split = |release, picks: Vec<usize>| {
            split(judging, Sides { slot: &slot, active: active.as_ref(), release, serving: &serving }, picks)
        };
        let mut parts = Vec::new();
        if !ours.is_empty() || count == 0 {
            parts.extend(split(&serving, ours));
        }
        if let Some(release) = theirs.first().and_then(|n| canary(*n)) {
            parts.extend(split(release, theirs));
        } else if !theirs.is_empty() {
            // It was cut off between one look and the next.
            parts.extend(split(&serving, theirs));
        }
        let judged = join_all(parts.iter().map(|part| self.judge_part(judging, part))).await;
        let mut all = Judged::of(count);
        for verdicts in judged {
            for (release, picks, verdicts) in verdicts? {
                all.put(&picks, verdicts, &release, judging.context.now_ms);
            }
        }
        Ok(all)
    }

    async fn judge_part(&self, judging: &Judging<'_>, part: &Part<'_>) -> Result<Said, CallError> {
        let Part { slot, active, release, serving, picks, begins, form } = part;
        let batch = match picks.len() == judging.batch.ids.len() {
            true => Arc::clone(&judging.batch),
            false => Arc::new(parts::select(&judging.batch, picks)),
        };
        let previous = judging.remembered.as_ref().map(|_| parts::pack(*form, begins.iter().copied()));
        let kept = judging.keep.as_ref().and_then(|_| previous.clone());
        let context = judging.context.clone();
        let call = {
            let batch = Arc::clone(&batch);
            move |version: Version| {
                let (context, batch, previous) = (context.clone(), Arc::clone(&batch), previous.clone());
                async move { evaluator::evaluate(&version, context, batch, previous).await }
            }
        };
        let (answer, took) = self.ask(slot, release, Function::Evaluate, &call).await;
        self.keep(judging, part, (&batch, kept), &answer);
        if !Arc::ptr_eq(release, serving) {
            if let Some(active) = active {
                active.note_canary(answer.as_ref().err(), took);
            }
            return match answer {
                Ok(verdicts) => Ok(vec![((*release).clone(), picks.clone(), verdicts)]),
                Err(error) => self.judge_instead(judging, part, &error).await,
            };
        }
        self.count(slot, release, answer.as_ref().err(), took);
        let foreign = begins.iter().flatten().any(|memory| memory.writer != release.plugin.digest);
        let verdicts = match answer {
            Err(CallError::InvalidInput(why)) if foreign => {
                self.judge_anew(judging, part, Arc::clone(&batch), &why).await?
            }
            answer => answer?,
        };
        if let Some(active) = active
            && let Some(room) = self.0.lane.room(active)
        {
            let (rule, tolerance, asked) = (judging.rule.to_owned(), active.tolerance, batch);
            let answered =
                Answered { active: Arc::clone(active), by: (*release).clone(), answer: verdicts.clone(), took };
            let differ = move |a: &Verdicts, b: &Verdicts| compare::verdicts(&rule, &asked, tolerance, a, b);
            lane::beside(room, answered, call, differ);
        }
        Ok(vec![((*release).clone(), picks.clone(), verdicts)])
    }

    /// The version that serves judges what the one on its way has failed to.
    async fn judge_instead(
        &self,
        judging: &Judging<'_>,
        part: &Part<'_>,
        error: &CallError,
    ) -> Result<Said, CallError> {
        let Part { slot, release, serving, picks, .. } = part;
        tracing::warn!(plugin.name = %slot.name, plugin.version = release.plugin.version, %error,
            "the version of plugin {} on its way failed, the one that serves judges", slot.name);
        let sides = Sides { slot, active: None, release: serving, serving };
        let mut said = Vec::new();
        for part in split(judging, sides, picks.clone()) {
            said.extend(Box::pin(self.judge_part(judging, &part)).await?);
        }
        Ok(said)
    }

    /// A version that does not take what another remembers begins anew.
    async fn judge_anew(
        &self,
        judging: &Judging<'_>,
        part: &Part<'_>,
        batch: Arc<SeriesBatch>,
        why: &str,
    ) -> Result<Verdicts, CallError> {
        let Part { slot, release, .. } = part;
        tracing::warn!(plugin.name = %slot.name, plugin.version = release.plugin.version, why,
            "plugin {} does not take what another version remembers, and begins anew", slot.name);
        let nothing = parts::pack(0, batch.ids.iter().map(|_| None));
        let context = judging.context.clone();
        let (asked, previous) = (Arc::clone(&batch), nothing.clone());
        let anew = |version| async move { evaluator::evaluate(&version, context, asked, Some(previous)).await };
        let (answer, _) = self.ask(slot, release, Function::Evaluate, anew).await;
        self.keep(judging, part, (&batch, Some(nothing)), &answer);
        answer
    }

    /// Offers a call to be kept, where the rule wants that. It never waits: what comes of it is of no concern to the evaluation.
    fn keep(
        &self,
        judging: &Judging<'_>,
        part: &Part<'_>,
        (batch, previous): (&Arc<SeriesBatch>, Option<EvalState>),
        answer: &Result<Verdicts, CallError>,
    ) {
        let Some(Keeping { recorded_at, series }) = &judging.keep else { return };
        self.offer_record(NewRecord {
            rule_id: judging.rule.to_owned(),
            recorded_at: *recorded_at,
            series: part.picks.iter().map(|n| series[*n].clone()).collect(),
            context: judging.context.clone(),
            batch: Arc::clone(batch),
            previous,
            answer: answer.clone().map_err(|error| error.to_string()),
            by: part.release.plugin.clone(),
        });
    }
}

/// Who said what of which places of a batch.
type Said = Vec<(Arc<Release>, Vec<usize>, Verdicts)>;

/// Who judges, beside whom.
#[derive(Clone, Copy)]
struct Sides<'a> {
    slot: &'a Slot,
    active: Option<&'a Arc<Active>>,
    release: &'a Arc<Release>,
    serving: &'a Arc<Release>,
}

fn split<'a>(judging: &'a Judging<'_>, sides: Sides<'a>, picks: Vec<usize>) -> Vec<Part<'a>> {
    let Sides { slot, active, release, serving } = sides;
    let part = |picks, begins, form| Part { slot, active, release, serving, picks, begins, form };
    let Some(remembered) = &judging.remembered else {
        let begins = vec![None; picks.len()];
        return vec![part(picks, begins, 0)];
    };
    let (own, other) = (&release.plugin.digest, &serving.plugin.digest);
    let begins: Vec<Option<&Memory>> = picks.iter().map(|n| pick(remembered[*n], own, other)).collect();
    if picks.is_empty() {
        return vec![part(picks, begins, 0)];
    }
    let groups = parts::by_form(&begins).into_iter();
    groups
        .map(|(form, places)| {
            let begins = places.iter().map(|place| begins[*place]).collect();
            part(places.iter().map(|place| picks[*place]).collect(), begins, form)
        })
        .collect()
}

impl Judged {
    fn of(count: usize) -> Self {
        Self {
            levels: vec![255; count],
            scores: vec![f64::NAN; count],
            notes: vec![None; count],
            by: vec![None; count],
            next: vec![None; count],
        }
    }

    fn put(&mut self, picks: &[usize], verdicts: Verdicts, release: &Release, now_ms: i64) {
        let Verdicts { levels, scores, notes, next } = verdicts;
        let by = Arc::new(release.plugin.clone());
        for ((&n, level), score) in picks.iter().zip(levels).zip(scores) {
            (self.levels[n], self.scores[n], self.by[n]) = (level, score, Some(Arc::clone(&by)));
        }
        for (at, note) in notes {
            self.notes[picks[at as usize]] = Some(note);
        }
        let Some(next) = next else { return };
        let updated_at = Timestamp::from_millis(now_ms).unwrap_or(Timestamp::MIN);
        for (&n, state) in picks.iter().zip(parts::unpack(&next)) {
            let memory = Memory { writer: by.digest.clone(), version: next.version, state, updated_at };
            self.next[n] = Some(memory);
        }
    }
}
