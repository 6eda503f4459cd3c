//! Trying a plugin: input and answer as JSON, the same calls as in service, and nothing that comes of them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Alert, Candidate, Delivered, Demand, Kind, Notification, PluginName, Plugins, Profile, Receipt, Severity, Signals,
    Skill, Status, Subject, Target, TargetHealth, judging, records::Replay, slot::Switch, types::CallError,
};
use crate::clock::Timestamp;

/// What is tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// The configuration.
    #[serde(default)]
    pub(super) config: Value,
    /// By kind. An evaluator takes `{now?, interval_seconds?, series: [{labels?, points: [[time, value], …]}], previous?}`; a notifier a
    /// notification as the webhook posts it; a discovery strategy `{cursor?}`; a matcher `{need, candidates, language?}`; an
    /// embedder `{subject, texts}`; a parser `{media_type, text, language?}`.
    #[serde(default)]
    pub(super) input: Value,
    /// In place of `input`: what an evaluator was given before, as far as that is kept.
    #[serde(default)]
    pub(super) replay: Option<Replay>,
    /// With `replay`: the version that is run, by the digest of its file; the one that serves when absent.
    #[serde(default)]
    pub(super) digest: Option<String>,
}

/// Runs a plugin on given input.
pub(super) async fn run(
    plugins: &Plugins,
    name: &PluginName,
    kind: Kind,
    trial: Trial,
    now: Timestamp,
) -> Result<Value, CallError> {
    let plugins = &plugins.trying();
    let config = if trial.config.is_null() { "{}".to_owned() } else { trial.config.to_string() };
    let input = trial.input;
    match kind {
        Kind::AlertEvaluator => judging::evaluate(plugins, name, config, read(input)?, now).await,
        Kind::Notifier => {
            let notification = Arc::new(read::<NotificationInput>(input)?.notification());
            Ok(json!({"preview": plugins.preview(name, &config, notification).await?}))
        }
        Kind::DiscoveryStrategy => {
            let CursorInput { cursor } = read(input)?;
            let page = plugins.discover(name, &config, cursor).await?.page;
            Ok(json!({"targets": page.targets.iter().map(target).collect::<Vec<_>>(), "next": page.next}))
        }
        Kind::TalentMatcher => matched(plugins, name, &config, read(input)?).await,
        Kind::TalentEmbedder => {
            let EmbedInput { subject, texts } = read(input)?;
            let dimensions = plugins.embedder(name).await?.dimensions;
            let numbers = plugins.embed(name, &config, subject.into(), texts, dimensions).await?;
            let vectors: Vec<&[f32]> = numbers.chunks_exact(dimensions as usize).collect();
            Ok(json!({"dimensions": dimensions, "vectors": vectors}))
        }
        Kind::ResumeParser => {
            let ParseInput { media_type, text, language } = read(input)?;
            let document = text.into_bytes().into();
            let draft = plugins.parse(name, &config, &media_type, document, language).await?;
            Ok(json!({
                "name": draft.name, "title": draft.title, "summary": draft.summary, "location": draft.location,
                "emails": draft.emails, "phones": draft.phones,
                "skills": draft.skills.iter().map(|skill| &skill.label).collect::<Vec<_>>(),
                "warnings": draft.warnings,
            }))
        }
    }
}

impl Plugins {
    /// Runs a plugin on given input, as `POST /plugins/{name}/run` does. What was wrong before is forgotten, so that each
    /// trial stands for itself.
    pub async fn try_out(
        &self,
        name: &PluginName,
        config: Value,
        input: Value,
        now: Timestamp,
    ) -> Result<Value, CallError> {
        let slot = self.slot(name).ok_or_else(|| CallError::Unknown(name.to_string()))?;
        slot.switch(Switch::On);
        let kind = self.kind_of(name).ok_or_else(|| CallError::Unknown(name.to_string()))?;
        run(self, name, kind, Trial { config, input, replay: None, digest: None }, now).await
    }

    /// Lets a notifier deliver, for those who try it where nobody is told.
    pub async fn try_delivery(&self, name: &PluginName, config: Value, input: Value) -> Result<Value, CallError> {
        let slot = self.slot(name).ok_or_else(|| CallError::Unknown(name.to_string()))?;
        slot.switch(Switch::On);
        let config = if config.is_null() { "{}".to_owned() } else { config.to_string() };
        let notification = Arc::new(read::<NotificationInput>(input)?.notification());
        let Delivered { receipt: Receipt { remote_id, detail }, by: _ } =
            self.deliver(name, &config, notification).await?;
        Ok(json!({"receipt": {"remote_id": remote_id, "detail": detail}}))
    }
}

fn read<T: DeserializeOwned>(input: Value) -> Result<T, CallError> {
    let input = if input.is_null() { json!({}) } else { input };
    serde_path_to_error::deserialize(input)
        .map_err(|error| CallError::InvalidInput(format!("{}: {}", error.path(), error.inner())))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusInput {
    Firing,
    Resolved,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SeverityInput {
    Info,
    #[default]
    Warning,
    Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotificationInput {
    #[serde(default)]
    id: String,
    status: StatusInput,
    title: String,
    #[serde(default)]
    group: BTreeMap<String, String>,
    alerts: Vec<AlertInput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertInput {
    #[serde(default)]
    id: String,
    rule: String,
    status: StatusInput,
    #[serde(default)]
    severity: SeverityInput,
    #[serde(default)]
    service_id: String,
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    value: Option<f64>,
    #[serde(default)]
    message: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    #[serde(default)]
    url: String,
}

impl From<StatusInput> for Status {
    fn from(status: StatusInput) -> Self {
        match status {
            StatusInput::Firing => Self::Firing,
            StatusInput::Resolved => Self::Resolved,
        }
    }
}

impl From<SeverityInput> for Severity {
    fn from(severity: SeverityInput) -> Self {
        match severity {
            SeverityInput::Info => Self::Info,
            SeverityInput::Warning => Self::Warning,
            SeverityInput::Critical => Self::Critical,
        }
    }
}

impl NotificationInput {
    fn notification(self) -> Notification {
        let Self { id, status, title, group, alerts } = self;
        let alerts = alerts.into_iter().map(AlertInput::alert).collect();
        Notification { id, attempt: 1, status: status.into(), title, group: group.into_iter().collect(), alerts }
    }
}

impl AlertInput {
    fn alert(self) -> Alert {
        let Self {
            id,
            rule,
            status,
            severity,
            service_id,
            service_name,
            labels,
            value,
            message,
            started_at,
            ended_at,
            url,
        } = self;
        Alert {
            id,
            rule,
            status: status.into(),
            severity: severity.into(),
            service_id,
            service_name,
            labels: labels.into_iter().collect(),
            value,
            message,
            started_at_ms: started_at.millis(),
            ended_at_ms: ended_at.map(Timestamp::millis),
            url,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorInput {
    cursor: Option<String>,
}

fn target(target: &Target) -> Value {
    let Target { service_id, service_name, service_type, url, node_id, health, metadata } = target;
    let health = match health {
        TargetHealth::Unknown => "unknown",
        TargetHealth::Healthy => "healthy",
        TargetHealth::Warning => "warning",
        TargetHealth::Critical => "critical",
    };
    let metadata: BTreeMap<&String, &String> = metadata.iter().map(|(key, value)| (key, value)).collect();
    json!({
        "service_id": service_id, "service_name": service_name, "service_type": service_type, "url": url,
        "node_id": node_id, "health": health, "metadata": metadata,
    })
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SubjectInput {
    Talent,
    Skill,
    Project,
    Query,
}

impl From<SubjectInput> for Subject {
    fn from(subject: SubjectInput) -> Self {
        match subject {
            SubjectInput::Talent => Self::Talent,
            SubjectInput::Skill => Self::Skill,
            SubjectInput::Project => Self::Project,
            SubjectInput::Query => Self::Query,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbedInput {
    subject: SubjectInput,
    texts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParseInput {
    media_type: String,
    text: String,
    language: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchInput {
    need: NeedInput,
    candidates: Vec<CandidateInput>,
    language: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NeedInput {
    title: String,
    text: String,
    must: Vec<SkillInput>,
    nice: Vec<SkillInput>,
    min_months: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CandidateInput {
    id: String,
    title: String,
    months_total: Option<u32>,
    skills: Vec<SkillInput>,
    signals: SignalsInput,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignalsInput {
    lexical: f32,
    vector: f32,
    graph: f32,
    recency: f32,
    clicks: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkillInput {
    label: String,
    id: Option<String>,
    level: Option<u8>,
    months: Option<u32>,
}

impl From<SkillInput> for Skill {
    fn from(SkillInput { label, id, level, months }: SkillInput) -> Self {
        Self { id, label, level, months, last_used_ms: None }
    }
}

impl NeedInput {
    fn demand(self, language: &str) -> Demand {
        let Self { title, text, must, nice, min_months } = self;
        let skills = |skills: Vec<SkillInput>| skills.into_iter().map(Skill::from).collect();
        let (must, nice) = (skills(must), skills(nice));
        let language = language.to_owned();
        Demand { id: String::new(), title, text, language, must, nice, min_months, extra: Vec::new() }
    }
}

impl CandidateInput {
    fn candidate(self, language: &str) -> Candidate {
        let Self { id, title, months_total, skills, signals } = self;
        let SignalsInput { lexical, vector, graph, recency, clicks } = signals;
        let profile = Profile {
            id,
            title,
            industry: None,
            language: language.to_owned(),
            months_total,
            skills: skills.into_iter().map(Skill::from).collect(),
            past_titles: Vec::new(),
            summary: String::new(),
            extra: Vec::new(),
        };
        Candidate { profile, signals: Signals { lexical, vector, graph, recency, clicks } }
    }
}

async fn matched(plugins: &Plugins, name: &PluginName, config: &str, input: MatchInput) -> Result<Value, CallError> {
    let MatchInput { need, candidates, language } = input;
    let language = language.unwrap_or_else(|| "en".to_owned());
    let need = Arc::new(need.demand(&language));
    let candidates: Arc<[Candidate]> = candidates.into_iter().map(|candidate| candidate.candidate(&language)).collect();
    let (scores, _) = plugins.score(name, config, Arc::clone(&need), Arc::clone(&candidates)).await?;
    let (explanations, _) = plugins.explain(name, config, need, candidates, &language).await?;
    let each = scores.iter().zip(&explanations).map(|(scored, explanation)| {
        let parts: BTreeMap<&String, f32> = scored.parts.iter().map(|(name, part)| (name, *part)).collect();
        json!({"score": scored.score, "parts": parts, "text": explanation.text})
    });
    Ok(json!({"scores": each.collect::<Vec<_>>()}))
}
