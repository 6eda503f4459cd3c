//! Calls as other domains make them: by name, with plain values, answered by whichever version serves.

use std::sync::Arc;

use super::{
    Candidate, Demand, Draft, EvalContext, EvalState, Explanation, Model, Notification, Plugins, Receipt, Requirements,
    Scored, SeriesBatch, Subject, TargetPage, Verdicts,
};
use super::{
    kinds::{embedder, evaluator, lifecycle, matcher, notifier, parser, strategy},
    slot::{Release, Slot},
    types::{CallError, Kind, PluginName, PluginRef, Problem},
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
        let (slot, release) = self.serving(plugin, Kind::AlertEvaluator)?;
        let answer = evaluator::plan(&release.version, config).await;
        // That it can plan does not say that it can evaluate: a success here clears no fault.
        if answer.is_err() { self.noted(&slot, &release, answer) } else { answer }
    }

    /// A verdict for each series, in order. The caller splits: about a thousand series or a few MiB a call are good.
    pub async fn evaluate(
        &self,
        plugin: &PluginName,
        context: EvalContext,
        batch: Arc<SeriesBatch>,
        previous: Option<EvalState>,
    ) -> Result<Evaluated, CallError> {
        let (slot, release) = self.serving(plugin, Kind::AlertEvaluator)?;
        let answer = evaluator::evaluate(&release.version, context, batch, previous).await;
        let verdicts = self.noted(&slot, &release, answer)?;
        Ok(Evaluated { verdicts, by: release.plugin.clone() })
    }

    /// Delivers a notification.
    pub async fn deliver(
        &self,
        plugin: &PluginName,
        config: &str,
        notification: Arc<Notification>,
    ) -> Result<Delivered, CallError> {
        let (slot, release) = self.serving(plugin, Kind::Notifier)?;
        let answer = notifier::deliver(&release.version, config, notification).await;
        let receipt = self.noted(&slot, &release, answer)?;
        Ok(Delivered { receipt, by: release.plugin.clone() })
    }

    /// What `deliver` would send.
    pub async fn preview(
        &self,
        plugin: &PluginName,
        config: &str,
        notification: Arc<Notification>,
    ) -> Result<String, CallError> {
        let (slot, release) = self.serving(plugin, Kind::Notifier)?;
        let answer = notifier::preview(&release.version, config, notification).await;
        self.noted(&slot, &release, answer)
    }

    /// The page of targets after `cursor`, or the first.
    pub async fn discover(
        &self,
        plugin: &PluginName,
        config: &str,
        cursor: Option<String>,
    ) -> Result<Discovered, CallError> {
        let (slot, release) = self.serving(plugin, Kind::DiscoveryStrategy)?;
        let answer = strategy::discover(&release.version, config, cursor).await;
        let page = self.noted(&slot, &release, answer)?;
        Ok(Discovered { page, by: release.plugin.clone() })
    }

    /// A score for each candidate, in order; parts add up to it; and which plugin gave them.
    pub async fn score(
        &self,
        plugin: &PluginName,
        config: &str,
        need: Arc<Demand>,
        candidates: Arc<[Candidate]>,
    ) -> Result<(Vec<Scored>, PluginRef), CallError> {
        let (slot, release) = self.serving(plugin, Kind::TalentMatcher)?;
        let answer = matcher::score(&release.version, config, need, candidates).await;
        Ok((self.noted(&slot, &release, answer)?, release.plugin.clone()))
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
        let (slot, release) = self.serving(plugin, Kind::TalentMatcher)?;
        let answer = matcher::explain(&release.version, config, need, candidates, language).await;
        Ok((self.noted(&slot, &release, answer)?, release.plugin.clone()))
    }

    /// What an embedder's vectors are.
    pub async fn embedder(&self, plugin: &PluginName) -> Result<Model, CallError> {
        let (slot, release) = self.serving(plugin, Kind::TalentEmbedder)?;
        let answer = embedder::about(&release.version).await;
        self.noted(&slot, &release, answer)
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
        let (slot, release) = self.serving(plugin, Kind::TalentEmbedder)?;
        let answer = embedder::embed(&release.version, config, subject, texts, dimensions).await;
        self.noted(&slot, &release, answer)
    }

    /// The media types that a parser reads.
    pub async fn media_types(&self, plugin: &PluginName) -> Result<Vec<String>, CallError> {
        let (slot, release) = self.serving(plugin, Kind::ResumeParser)?;
        let answer = parser::media_types(&release.version).await;
        self.noted(&slot, &release, answer)
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
        let (slot, release) = self.serving(plugin, Kind::ResumeParser)?;
        let answer = parser::parse(&release.version, config, media_type, document, language).await;
        self.noted(&slot, &release, answer)
    }

    /// Every fault that a plugin of `kind` finds in a configuration; none means that it is good.
    pub async fn check(&self, plugin: &PluginName, kind: Kind, config: &str) -> Result<Vec<Problem>, CallError> {
        let (_, release) = self.serving(plugin, kind)?;
        // Whoever may read may ask this, with any text: what comes of it is not held against the plugin.
        lifecycle::check(&release.version, config).await
    }

    fn serving(&self, plugin: &PluginName, wanted: Kind) -> Result<(Arc<Slot>, Arc<Release>), CallError> {
        let slot = self.slot(plugin).ok_or_else(|| CallError::Unknown(plugin.to_string()))?;
        let release = slot.serving()?;
        let is = release.version.kind();
        if is != wanted {
            return Err(CallError::WrongKind { name: plugin.clone(), is, wanted });
        }
        Ok((slot, release))
    }

    fn noted<R>(&self, slot: &Slot, by: &Arc<Release>, answer: Result<R, CallError>) -> Result<R, CallError> {
        if let Some(change) = slot.note(by, answer.as_ref().err()) {
            tracing::warn!(plugin.name = %slot.name, plugin.version = by.plugin.version, "plugin {change}");
            self.tell(&slot.name);
        }
        answer
    }
}
