//! Calls as other domains make them: by name, with plain values, answered by whichever version serves.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    Candidate, Demand, Draft, EvalContext, EvalState, Explanation, Model, Notification, Plugins, Receipt, Requirements,
    Scored, SeriesBatch, Subject, TargetPage, Verdicts,
};
use super::{
    kinds::{embedder, evaluator, lifecycle, matcher, notifier, parser, strategy},
    slot::{Release, Slot},
    stats::{Counted, Function, Outcome},
    types::{CallError, Kind, PluginName, PluginRef, Problem},
    version::Version,
};

/// Verdicts, and who gave them.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// one a series
    pub verdicts: Verdicts,
    /// exactly which plugin
    pub by: PluginRef,
}

/// A receipt, and who delivered.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// what the channel answered
    pub receipt: Receipt,
    /// exactly which plugin
    pub by: PluginRef,
}

/// A page of targets, and who found them.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// the targets
    pub page: TargetPage,
    /// exactly which plugin
    pub by: PluginRef,
}

impl Plugins {
    /// What an evaluation with this configuration needs.
    pub async fn plan(&self, plugin: &PluginName, config: &str) -> Result<Requirements, CallError> {
        self.call(plugin, (Kind::AlertEvaluator, Function::Plan), |version| async move {
            evaluator::plan(&version, config).await
        })
        .await
        .map(|(needs, _)| needs)
    }

    /// A verdict for each series, in order. The caller splits: about a thousand series or a few MiB a call are good.
    pub async fn evaluate(
        &self,
        plugin: &PluginName,
        context: EvalContext,
        batch: Arc<SeriesBatch>,
        previous: Option<EvalState>,
    ) -> Result<Evaluated, CallError> {
        let call = |version| async move { evaluator::evaluate(&version, context, batch, previous).await };
        let (verdicts, by) = self.call(plugin, (Kind::AlertEvaluator, Function::Evaluate), call).await?;
        Ok(Evaluated { verdicts, by })
    }

    /// Delivers a notification.
    pub async fn deliver(
        &self,
        plugin: &PluginName,
        config: &str,
        notification: Arc<Notification>,
    ) -> Result<Delivered, CallError> {
        let call = |version| async move { notifier::deliver(&version, config, notification).await };
        let (receipt, by) = self.call(plugin, (Kind::Notifier, Function::Deliver), call).await?;
        Ok(Delivered { receipt, by })
    }

    /// What `deliver` would send.
    pub async fn preview(
        &self,
        plugin: &PluginName,
        config: &str,
        notification: Arc<Notification>,
    ) -> Result<String, CallError> {
        let call = |version| async move { notifier::preview(&version, config, notification).await };
        self.call(plugin, (Kind::Notifier, Function::Preview), call).await.map(|(preview, _)| preview)
    }

    /// The page of targets after `cursor`, or the first.
    pub async fn discover(
        &self,
        plugin: &PluginName,
        config: &str,
        cursor: Option<String>,
    ) -> Result<Discovered, CallError> {
        let call = |version| async move { strategy::discover(&version, config, cursor).await };
        let (page, by) = self.call(plugin, (Kind::DiscoveryStrategy, Function::Discover), call).await?;
        Ok(Discovered { page, by })
    }

    /// A score for each candidate, in order; parts add up to it; and which plugin gave them.
    pub async fn score(
        &self,
        plugin: &PluginName,
        config: &str,
        need: Arc<Demand>,
        candidates: Arc<[Candidate]>,
    ) -> Result<(Vec<Scored>, PluginRef), CallError> {
        let call = |version| async move { matcher::score(&version, config, need, candidates).await };
        self.call(plugin, (Kind::TalentMatcher, Function::Score), call).await
    }

    /// Why each candidate has its score, in order, in `language`; and which plugin says so.
    pub async fn explain(
        &self,
        plugin: &PluginName,
        config: &str,
        need: Arc<Demand>,
        candidates: Arc<[Candidate]>,
        language: &str,
    ) -> Result<(Vec<Explanation>, PluginRef), CallError> {
        let call = |version| async move { matcher::explain(&version, config, need, candidates, language).await };
        self.call(plugin, (Kind::TalentMatcher, Function::Explain), call).await
    }

    /// What an embedder's vectors are.
    pub async fn embedder(&self, plugin: &PluginName) -> Result<Model, CallError> {
        let call = |version| async move { embedder::about(&version).await };
        self.call(plugin, (Kind::TalentEmbedder, Function::About), call).await.map(|(model, _)| model)
    }

    /// `dimensions` numbers a text, one text after the other; `dimensions` as `embedder` says.
    pub async fn embed(
        &self,
        plugin: &PluginName,
        config: &str,
        subject: Subject,
        texts: Vec<String>,
        dimensions: u32,
    ) -> Result<Vec<f32>, CallError> {
        let call = |version| async move { embedder::embed(&version, config, subject, texts, dimensions).await };
        self.call(plugin, (Kind::TalentEmbedder, Function::Embed), call).await.map(|(numbers, _)| numbers)
    }

    /// The media types that a parser reads.
    pub async fn media_types(&self, plugin: &PluginName) -> Result<Vec<String>, CallError> {
        let call = |version| async move { parser::media_types(&version).await };
        self.call(plugin, (Kind::ResumeParser, Function::MediaTypes), call).await.map(|(types, _)| types)
    }

    /// What a document says about a talent.
    pub async fn parse(
        &self,
        plugin: &PluginName,
        config: &str,
        media_type: &str,
        document: Arc<[u8]>,
        language: Option<String>,
    ) -> Result<Draft, CallError> {
        let call = |version| async move { parser::parse(&version, config, media_type, document, language).await };
        self.call(plugin, (Kind::ResumeParser, Function::Parse), call).await.map(|(draft, _)| draft)
    }

    /// Every fault that a plugin of `kind` finds in a configuration; none means that it is good.
    pub async fn check(&self, plugin: &PluginName, kind: Kind, config: &str) -> Result<Vec<Problem>, CallError> {
        // Whoever may read may ask this, with any text: what comes of it is not held against the plugin.
        let call = |version| async move { lifecycle::check(&version, config).await };
        self.trying().call(plugin, (kind, Function::Check), call).await.map(|(problems, _)| problems)
    }

    /// The same plugins for somebody who tries one: what comes of it is not held against it, and a rest does not keep it off.
    pub(super) fn trying(&self) -> Self {
        Self(Arc::clone(&self.0), Purpose::Trial)
    }

    /// Lets the version that serves answer, counts how it went, and draws the consequences.
    async fn call<R, F: Future<Output = Result<R, CallError>>>(
        &self,
        plugin: &PluginName,
        (kind, function): (Kind, Function),
        ask: impl FnOnce(Version) -> F,
    ) -> Result<(R, PluginRef), CallError> {
        let slot = self.slot(plugin).ok_or_else(|| CallError::Unknown(plugin.to_string()))?;
        let release = slot.serving(self.1, function, self.0.services.clock.uptime())?;
        let is = release.version.kind();
        if is != kind {
            return Err(CallError::WrongKind { name: plugin.clone(), is, wanted: kind });
        }
        let version = &release.plugin.version;
        let span =
            tracing::info_span!("plugin", plugin.name = %plugin, plugin.version = version, plugin.function = %function);
        let counted = (self.1 == Purpose::Service).then(|| Counted::begin(release.version.stats(), function));
        let answer = ask(release.version.clone()).instrument(span).await;
        if let Some(counted) = counted {
            counted.end(Outcome::of(&answer));
            self.note(&slot, &release, function, &answer);
        }
        Ok((answer?, release.plugin.clone()))
    }

    fn note<R>(&self, slot: &Slot, by: &Arc<Release>, function: Function, answer: &Result<R, CallError>) {
        let now = self.0.services.clock.uptime();
        if let Some((turn, told)) = slot.note(by, function, answer.as_ref().err(), now) {
            tracing::warn!(plugin.name = %slot.name, plugin.version = by.plugin.version, "plugin {} {told}", slot.name);
            self.tell(&slot.name, turn);
        }
    }
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody lives by the answer.
    Service,
    /// Somebody only tries.
    Trial,
}
