//! Calls, one after the other, and what is wrong with their answers.

use std::{sync::Arc, time::Duration};

use looma::plugins::{CallError, EvalContext, Judging, PluginRef, SeriesBatch};

use super::{
    guests::Sort,
    host::{Host, Plugin},
};
use crate::{fuzz::Chance, guests::CallPath};

/// Faults that are told in words; the others are counted.
const TOLD: usize = 20;
/// One hostile call in so many is given up before it can end.
const GIVEN_UP: usize = 8;

/// What was seen of calls.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Good calls that were answered.
    pub(super) good: u64,
    /// Hostile calls, whatever came of them.
    pub(super) hostile: u64,
    /// Good calls without an answer.
    pub(super) lost: u64,
    /// Answers of a version that was replaced before the call began, or that are not of the version they name.
    pub(super) wrong: u64,
    /// Honest calls to hostile plugins without an answer.
    pub(super) unanswered: u64,
    /// How often a hostile plugin was found to rest.
    pub(super) rests: u64,
    pub(super) faults: Vec<String>,
}

/// What is wrong with a good call.
enum Fault {
    Lost(String),
    Wrong(String),
}

/// Calls plugins by chance until the end.
pub(super) async fn call_on(host: Host, seed: u64, hostile_percent: usize) {
    let mut chance = Chance::new(seed + 1);
    let (bad, good): (Vec<&Plugin>, Vec<&Plugin>) =
        host.plugins().iter().partition(|plugin| matches!(plugin.sort, Sort::Hostile(..)));
    while !host.ends() {
        if !bad.is_empty() && chance.below(100) < hostile_percent {
            let plugin = bad[chance.below(bad.len())];
            misdeed(&host, plugin, chance.below(GIVEN_UP) == 0).await;
        } else {
            let plugin = good[chance.below(good.len())];
            let done = good_call(&host, plugin, chance.below(16) + 1, chance.below(1_000)).await;
            host.note().good(done, plugin);
        }
    }
}

impl Seen {
    fn good(&mut self, done: Result<(), Fault>, plugin: &Plugin) {
        let fault = match done {
            Ok(()) => {
                self.good += 1;
                return;
            }
            Err(Fault::Lost(why)) => {
                self.lost += 1;
                format!("lost: {}: {why}", plugin.name)
            }
            Err(Fault::Wrong(why)) => {
                self.wrong += 1;
                format!("wrong: {}: {why}", plugin.name)
            }
        };
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }
}

/// A call that must be answered, by no version older than the newest that was seen to serve before it.
async fn good_call(host: &Host, plugin: &Plugin, series: usize, first: usize) -> Result<(), Fault> {
    let oldest = plugin.serves();
    let said = match plugin.sort {
        Sort::Finder => find(host, plugin, "{}").await.map(|(next, by)| vec![(next, by)]),
        _ => judge(host, plugin, "{}", series, first).await,
    };
    let said = said.map_err(|error| Fault::Lost(error.to_string()))?;
    for (mark, by) in said {
        let version = plugin.version_of(&by.digest);
        let version = version.ok_or_else(|| Fault::Wrong(format!("{} was never saved", by.digest)))?;
        if version < oldest {
            return Err(Fault::Wrong(format!("version {version} answered, and {oldest} had served before")));
        }
        if mark != Some(plugin.mark(version)) {
            return Err(Fault::Wrong(format!("version {version} is named, and the answer has {mark:?}")));
        }
        plugin.saw(version);
    }
    Ok(())
}

/// The mark in each answer, and who is said to have given it.
type Said = Vec<(Option<u32>, Arc<PluginRef>)>;

async fn judge(host: &Host, plugin: &Plugin, config: &str, series: usize, first: usize) -> Result<Said, CallError> {
    let values: Vec<f64> = (first..first + series).map(|value| value as f64).collect();
    let count = u32::try_from(series).expect("few series");
    let ids = (0..u64::from(count)).collect();
    let batch = SeriesBatch { ids, offsets: (0..=count).collect(), times: vec![0; series], values, labels: Vec::new() };
    let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: config.to_owned() };
    let batch = Arc::new(batch);
    let judging = Judging { rule: "soak", context, batch: Arc::clone(&batch), remembered: None, keep: None };
    let judged = host.app().plugins.judge(&plugin.name, &judging).await?;
    let mark = |n: usize| {
        let mark = judged.scores[n] - batch.values[n];
        (mark.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&mark)).then_some(mark as u32)
    };
    let by = |n: usize| judged.by[n].clone().expect("each series is judged by somebody");
    Ok((0..series).map(|n| (mark(n), by(n))).collect())
}

async fn find(host: &Host, plugin: &Plugin, config: &str) -> Result<(Option<u32>, Arc<PluginRef>), CallError> {
    let found = host.app().plugins.discover(&plugin.name, config, None).await?;
    Ok((found.page.next.and_then(|next| next.parse().ok()), Arc::new(found.by)))
}

/// A misdeed, and an honest call after it: the plugin is to answer that one.
async fn misdeed(host: &Host, plugin: &Plugin, give_up: bool) {
    const BAD: &str = "{\"misdeed\":true}";
    match give_up {
        true => drop(tokio::time::timeout(Duration::from_millis(20), hostile_call(host, plugin, BAD)).await),
        false => drop(hostile_call(host, plugin, BAD).await),
    }
    let honest = hostile_call(host, plugin, "{}").await;
    let rests = matches!(honest, Err(CallError::NotServing { .. }));
    {
        let mut seen = host.note();
        seen.hostile += 1;
        seen.unanswered += u64::from(honest.is_err() && !rests);
        seen.rests += u64::from(rests);
    }
    if rests {
        host.wake(plugin).await;
    }
}

async fn hostile_call(host: &Host, plugin: &Plugin, config: &str) -> Result<(), CallError> {
    match plugin.sort {
        Sort::Hostile(_, CallPath::Io) => find(host, plugin, config).await.map(drop),
        _ => judge(host, plugin, config, 1, 95).await.map(drop),
    }
}
