//! Calls as other domains make them: by name, with plain values, answered by whichever version serves.

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::{
    Candidate, Demand, Draft, EvalContext, EvalState, Explanation, Model, Notification, Plugins, Receipt, Requirements,
    Scored, SeriesBatch, Subject, TargetPage, Verdicts,
};
use super::{
    kinds::{embedder, evaluator, lifecycle, matcher, notifier, parser, strategy},
    rollout::{Route, compare},
    said::Said,
    slot::{Release, Slot},
    stats::{Counted, Function, Outcome},
    types::{CallError, Kind, PluginName, PluginRef, Problem},
    version::{Meter, Version},
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
        // A channel's groups keep their version: what a channel is follows from its configuration.
        let key = format!("{config}\0{:?}", notification.group);
        let config: Arc<str> = config.into();
        let call = move |version: Version| {
            let (config, notification) = (Arc::clone(&config), Arc::clone(&notification));
            async move { notifier::deliver(&version, &config, notification).await }
        };
        let route = Route { plugin, kind: Kind::Notifier, function: Function::Deliver, key: &key };
        let (receipt, by) = self.routed(route, call, |_, _, _| None).await?;
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
        let own: Arc<str> = config.into();
        let call = move |version: Version| {
            let (config, cursor) = (Arc::clone(&own), cursor.clone());
            async move { strategy::discover(&version, &config, cursor).await }
        };
        let route = Route { plugin, kind: Kind::DiscoveryStrategy, function: Function::Discover, key: config };
        let (page, by) = self.routed(route, call, |_, _, _| None).await?;
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
        let (config, demand, all): (Arc<str>, _, _) = (config.into(), need.id.clone(), Arc::clone(&candidates));
        let key = demand.clone();
        let call = move |version: Version| {
            let (config, need, candidates) = (Arc::clone(&config), Arc::clone(&need), Arc::clone(&candidates));
            async move { matcher::score(&version, &config, need, candidates).await }
        };
        let differ = move |a: &Vec<_>, b: &Vec<_>, tolerance: f64| compare::scores(&demand, &all, tolerance, a, b);
        self.routed(Route { plugin, kind: Kind::TalentMatcher, function: Function::Score, key: &key }, call, differ)
            .await
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
        let (config, demand, all): (Arc<str>, _, _) = (config.into(), need.id.clone(), Arc::clone(&candidates));
        let (key, language): (_, Arc<str>) = (demand.clone(), language.into());
        let call = move |version: Version| {
            let (config, need, candidates) = (Arc::clone(&config), Arc::clone(&need), Arc::clone(&candidates));
            let language = Arc::clone(&language);
            async move { matcher::explain(&version, &config, need, candidates, &language).await }
        };
        let differ = move |a: &Vec<_>, b: &Vec<_>, _: f64| compare::explanations(&demand, &all, a, b);
        self.routed(Route { plugin, kind: Kind::TalentMatcher, function: Function::Explain, key: &key }, call, differ)
            .await
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
        let (config, key): (Arc<str>, _) = (config.into(), hashed(texts.iter().map(String::as_bytes)));
        let of = key.clone();
        let call = move |version: Version| {
            let (config, texts) = (Arc::clone(&config), texts.clone());
            async move { embedder::embed(&version, &config, subject, texts, dimensions).await }
        };
        let differ = move |a: &Vec<f32>, b: &Vec<f32>, tolerance: f64| compare::vectors(&of, tolerance, a, b);
        let route = Route { plugin, kind: Kind::TalentEmbedder, function: Function::Embed, key: &key };
        self.routed(route, call, differ).await.map(|(numbers, _)| numbers)
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
        let (config, media_type): (Arc<str>, Arc<str>) = (config.into(), media_type.into());
        let key = hashed([&document[..]].into_iter());
        let of = key.clone();
        let call = move |version: Version| {
            let (config, media_type) = (Arc::clone(&config), Arc::clone(&media_type));
            let (document, language) = (Arc::clone(&document), language.clone());
            async move { parser::parse(&version, &config, &media_type, document, language).await }
        };
        let route = Route { plugin, kind: Kind::ResumeParser, function: Function::Parse, key: &key };
        let differ = move |a: &Draft, b: &Draft, _: f64| compare::drafts(&of, a, b);
        self.routed(route, call, differ).await.map(|(draft, _)| draft)
    }

    /// Every fault that a plugin of `kind` finds in a configuration; none means that it is good.
    pub async fn check(&self, plugin: &PluginName, kind: Kind, config: &str) -> Result<Vec<Problem>, CallError> {
        // Whoever may read may ask this, with any text: what comes of it is not held against the plugin.
        let call = |version| async move { lifecycle::check(&version, config).await };
        self.trying().call(plugin, (kind, Function::Check), call).await.map(|(problems, _)| problems)
    }

    /// The same plugins for somebody who tries one: what comes of it is not counted and not held against it, a rest does not keep it
    /// off, and versions on their way see nothing of it.
    pub(super) fn trying(&self) -> Self {
        Self(Arc::clone(&self.0), Purpose::Trial)
    }

    /// Lets the version that serves answer.
    async fn call<R: Said, F: Future<Output = Result<R, CallError>>>(
        &self,
        plugin: &PluginName,
        (kind, function): (Kind, Function),
        ask: impl FnOnce(Version) -> F,
    ) -> Result<(R, PluginRef), CallError> {
        let (slot, release) = self.serving(plugin, kind, function)?;
        let (answer, _) = self.ask(&slot, &release, function, ask).await;
        Ok((answer?, release.plugin.clone()))
    }

    /// The version that serves, when it is of this kind and may be asked.
    pub(super) fn serving(
        &self,
        plugin: &PluginName,
        kind: Kind,
        function: Function,
    ) -> Result<(Arc<Slot>, Arc<Release>), CallError> {
        let slot = self.slot(plugin).ok_or_else(|| CallError::Unknown(plugin.to_string()))?;
        let release = slot.serving(self.1, function, self.0.services.clock.uptime())?;
        let is = release.version.kind();
        if is != kind {
            return Err(CallError::WrongKind { name: plugin.clone(), is, wanted: kind });
        }
        Ok((slot, release))
    }

    /// Lets this version answer, takes the values of secrets out of what it says, counts how it went, and draws the consequences.
    /// Says, too, how long it ran.
    pub(super) async fn ask<R: Said, F: Future<Output = Result<R, CallError>>>(
        &self,
        slot: &Slot,
        by: &Arc<Release>,
        function: Function,
        call: impl FnOnce(Version) -> F,
    ) -> (Result<R, CallError>, Duration) {
        let (plugin, version) = (&slot.name, &by.plugin.version);
        let span =
            tracing::info_span!("plugin", plugin.name = %plugin, plugin.version = version, plugin.function = %function);
        let meter = Arc::<Meter>::default();
        let counted = (self.1 == Purpose::Service).then(|| Counted::begin(by.version.stats(), function));
        let answer = call(by.version.metered(&meter)).instrument(span).await;
        let secrets = &self.0.secrets;
        let answer =
            answer.map(|said| said.without_secrets(secrets)).map_err(|error| error.map_text(|text| secrets.mask(text)));
        if let Some(counted) = counted {
            counted.end(Outcome::of(&answer));
            self.note(slot, by, function, answer.as_ref().err());
        }
        (answer, meter.took())
    }

    fn note(&self, slot: &Slot, by: &Arc<Release>, function: Function, failed: Option<&CallError>) {
        let now = self.0.services.clock.uptime();
        if let Some((turn, told)) = slot.note(by, function, failed, now) {
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

/// What stands for texts or a document: SHA-256 of them, in hexadecimal.
fn hashed<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
