//! What the versions of an evaluator remember of a rule's series: in memory between runs, in the database beyond. Memories of
//! versions that neither serve, nor are on their way, nor may come back, go once another has its own.

use std::{collections::HashMap, sync::Arc};

use futures_util::FutureExt as _;

use super::judge;
use crate::{
    alerts::{
        queries::{self, Remembered},
        rules::Rule,
        types::RuleId,
    },
    app::App,
    clock::Timestamp,
    db::{self, Db},
    metrics::{Metrics, Series, SeriesId},
    plugins::{EvalContext, Memory, Requirements, Sample},
};

/// How many series of a rule a new version is tried on.
const SAMPLE: usize = 20;

/// What is remembered of each series, by every version that may need it.
pub(super) type States = HashMap<SeriesId, Vec<Memory>>;

/// What changes of it.
#[derive(Debug, Default)]
pub(super) struct StateChanges {
    pub put: Vec<Remembered>,
    pub delete: Vec<(SeriesId, String)>,
}

impl StateChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty()
    }

    /// What of `next` is not remembered already, and what nobody needs any more. `keep` are the versions that may need theirs.
    pub(super) fn between(known: &States, next: Vec<(SeriesId, Memory)>, keep: &[String]) -> Self {
        let same = |series: &SeriesId, memory: &Memory| {
            let of = known.get(series).into_iter().flatten().find(|known| known.writer == memory.writer);
            of.is_some_and(|of| of.version == memory.version && of.state == memory.state)
        };
        let put: Vec<Remembered> = next
            .into_iter()
            .filter(|(series, memory)| !same(series, memory))
            .map(|(series, memory)| remembered(series, memory))
            .collect();
        let written: HashMap<SeriesId, &str> = put.iter().map(|new| (new.series, new.writer.as_str())).collect();
        let mut delete = Vec::new();
        for (series, memories) in known {
            let kept = |memory: &Memory| keep.contains(&memory.writer);
            let another = memories.iter().any(kept)
                || written.get(series).is_some_and(|writer| keep.iter().any(|keep| keep == writer));
            if another {
                let gone = memories.iter().filter(|memory| !kept(memory));
                delete.extend(gone.map(|memory| (*series, memory.writer.clone())));
            }
        }
        Self { put, delete }
    }

    /// Takes note in memory of what was written.
    pub(super) fn apply(self, states: &mut States) {
        for (series, writer) in self.delete {
            if let Some(memories) = states.get_mut(&series) {
                memories.retain(|memory| memory.writer != writer);
            }
        }
        for new in self.put {
            let memories = states.entry(new.series).or_default();
            memories.retain(|memory| memory.writer != new.writer);
            memories.push(memory(new));
        }
    }
}

fn remembered(series: SeriesId, memory: Memory) -> Remembered {
    let Memory { writer, version, state, updated_at } = memory;
    Remembered { series, writer, version: i64::from(version), state, updated_at }
}

fn memory(remembered: Remembered) -> Memory {
    let Remembered { series: _, writer, version, state, updated_at } = remembered;
    Memory { writer, version: u32::try_from(version).unwrap_or(0), state, updated_at }
}

/// Everything that is remembered for a rule.
pub(super) async fn read(db: &Db, rule: &RuleId) -> db::Result<States> {
    let mut states = States::new();
    for one in queries::states(&mut db.read().await?, rule).await? {
        states.entry(one.series).or_default().push(memory(one));
    }
    Ok(states)
}

/// Lets new versions of evaluators be tried on what is remembered for the rules that use them.
pub(in crate::alerts) fn offer(app: &App) {
    // Not the whole of `App`: it holds the plugins, which hold this.
    let (db, alerts, metrics, clock) = (app.db.clone(), app.alerts.clone(), app.metrics.clone(), app.clock.clone());
    app.plugins.sample_states_from(Box::new(move |owner, needs| {
        let (db, alerts, metrics, clock) = (db.clone(), alerts.clone(), metrics.clone(), clock.clone());
        async move {
            let rule = owner.strip_prefix("rule:").and_then(|id| alerts.rule(&RuleId::from(id)));
            let Some(rule) = rule else { return Ok(None) };
            sample(&db, &metrics, &rule, (needs, clock.now())).await
        }
        .boxed()
    }));
}

async fn sample(
    db: &Db,
    metrics: &Metrics,
    rule: &Rule,
    asked: (Requirements, Timestamp),
) -> anyhow::Result<Option<Sample>> {
    let (needs, now) = asked;
    let states = read(db, &rule.rule_id).await?;
    let mut series = metrics.select(&rule.spec.metric_name, |series| states.contains_key(&series.series_id));
    series.truncate(SAMPLE);
    if series.is_empty() {
        return Ok(None);
    }
    let batch = judge::batch(metrics, &series, needs, now).await?;
    let interval_ms = u32::try_from(rule.spec.interval_seconds * 1000).unwrap_or(u32::MAX);
    let context = EvalContext { now_ms: now.millis(), interval_ms, config: rule.spec.config_text() };
    let of = |series: &Arc<Series>| states.get(&series.series_id).cloned().unwrap_or_default();
    let remembered = series.iter().map(of).collect();
    Ok(Some(Sample { context, batch: Arc::new(batch), remembered }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(writer: &str, state: &[u8]) -> Memory {
        let updated_at = Timestamp::from_millis(0).unwrap();
        Memory { writer: writer.to_owned(), version: 1, state: state.to_vec(), updated_at }
    }

    fn changes(known: &[Memory], next: Memory, keep: &[&str]) -> StateChanges {
        let known = States::from([(SeriesId(1), known.to_vec())]);
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        StateChanges::between(&known, vec![(SeriesId(1), next)], &keep)
    }

    #[test]
    fn what_may_come_back_keeps_its_memory_until_it_may_no_more() {
        let (old, new) = (memory("old", b"a"), memory("new", b"b"));
        let guarded = changes(std::slice::from_ref(&old), new.clone(), &["new", "old"]);
        assert_eq!((guarded.put.len(), guarded.delete.len()), (1, 0));
        let proved = changes(&[old.clone(), new.clone()], new.clone(), &["new"]);
        assert_eq!((proved.put.len(), proved.delete), (0, vec![(SeriesId(1), "old".to_owned())]));
        let taken_back = changes(&[old.clone(), new], old, &["old"]);
        assert_eq!(taken_back.delete, [(SeriesId(1), "new".to_owned())]);
    }

    #[test]
    fn the_only_memory_stays_whoever_wrote_it() {
        let known = States::from([(SeriesId(1), vec![memory("gone", b"a")])]);
        assert!(StateChanges::between(&known, Vec::new(), &["new".to_owned()]).is_empty());
    }

    #[test]
    fn what_is_written_is_what_is_remembered() {
        let mut states = States::from([(SeriesId(1), vec![memory("old", b"a")])]);
        let changes = StateChanges::between(&states, vec![(SeriesId(1), memory("new", b"b"))], &["new".to_owned()]);
        changes.apply(&mut states);
        assert_eq!(states[&SeriesId(1)], [memory("new", b"b")]);
    }
}
