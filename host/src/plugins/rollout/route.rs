//! Which version answers a call: the one that serves, or, for a share of the keys, the one on its way. Where that fails, the one
//! that serves answers after all.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    active::{Active, Key},
    lane::{self, Answered},
    report::Difference,
};
use crate::plugins::{
    Plugins,
    calls::Purpose,
    said::Said,
    slot::{Release, Slot},
    stats::{Function, Outcome},
    types::{CallError, Kind, PluginName, PluginRef},
    version::Version,
};

/// A call on its way to a version.
pub(in crate::plugins) struct Route<'a> {
    pub(in crate::plugins) plugin: &'a PluginName,
    pub(in crate::plugins) kind: Kind,
    pub(in crate::plugins) function: Function,
    /// What a share is taken of, and what a difference is told of.
    pub(in crate::plugins) key: &'a str,
}

impl Plugins {
    /// Lets a version answer. `call` is the same call on any version; `differ` says how two answers differ.
    pub(in crate::plugins) async fn routed<R, C, F, D>(
        &self,
        route: Route<'_>,
        call: C,
        differ: D,
    ) -> Result<(R, PluginRef), CallError>
    where
        R: Said + Clone + Send + Sync + 'static,
        C: Fn(Version) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, CallError>> + Send + 'static,
        D: Fn(&R, &R, f64) -> Option<Difference> + Send + Sync + 'static,
    {
        let Route { plugin, kind, function, key } = route;
        let (slot, release) = self.serving(plugin, kind, function)?;
        let active = self.active(&slot);
        let place = Key::of(plugin, key);
        if let Some(active) = &active
            && let Some(canary) = active.canary(place)
        {
            let (answer, took) = self.ask(&slot, canary, function, &call).await;
            active.note_canary(answer.as_ref().err(), took);
            match answer {
                Err(error) if another_may_answer(kind, &error) => {
                    tracing::warn!(plugin.name = %plugin, plugin.version = canary.plugin.version, %error,
                        "the version of plugin {plugin} on its way failed, the one that serves answers");
                    active.fall(place);
                }
                answer => return answer.map(|answer| (answer, canary.plugin.clone())),
            }
        }
        let (answer, took) = self.ask(&slot, &release, function, &call).await;
        self.count(&slot, &release, answer.as_ref().err(), took);
        let answer = answer?;
        if let Some(active) = active
            && let Some(room) = self.0.lane.room(&active)
        {
            let tolerance = active.tolerance;
            let answered = Answered { active, by: Arc::clone(&release), answer: answer.clone(), took };
            lane::beside(room, answered, call, move |a: &R, b: &R| differ(a, b, tolerance));
        }
        Ok((answer, release.plugin.clone()))
    }

    /// What calls must heed of a version on its way; nothing, for those who only try.
    pub(super) fn active(&self, slot: &Slot) -> Option<Arc<Active>> {
        if self.1 == Purpose::Service { slot.rollout.active() } else { None }
    }

    /// Takes note of a call of the version that serves, for those who compare.
    pub(super) fn count(&self, slot: &Slot, by: &Release, failed: Option<&CallError>, took: Duration) {
        if self.1 != Purpose::Service {
            return;
        }
        by.tally.lock().unwrap_or_else(PoisonError::into_inner).note(failed, took);
        if let Some(active) = slot.rollout.active() {
            active.note_serving(by, failed, took);
        }
    }
}

/// Whether the version that serves may answer where another failed. What acts outside and says that it did not work has answered.
pub(super) fn another_may_answer(kind: Kind, error: &CallError) -> bool {
    kind.is_pure() || Outcome::of_error(error).is_fault() || *error == CallError::Busy
}
