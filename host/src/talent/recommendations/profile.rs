//! What a matcher is told: the demand that a project makes, and profiles that do not tell who somebody is.

use std::collections::{HashMap, HashSet};

use super::queries::{ExperienceRow, Found, Had, Wanted};
use crate::{
    clock::Timestamp,
    plugins::{Candidate, Demand, Profile, Signals, Skill},
    talent::{
        projects::{Need, Project},
        talents::TalentId,
    },
};

/// A day in milliseconds.
const DAY: i64 = 86_400_000;
/// The mean length of a month in days: 400 years of the calendar have 146,097 days.
const MONTH: f64 = 146_097.0 / 4800.0;
/// After how many months a skill that was not used no longer counts as recent: five years.
const FORGOTTEN: f64 = 60.0;

/// The demand that a project makes.
pub(super) fn demand(project: &Project, wanted: &[Wanted]) -> Demand {
    let fields = &project.fields;
    let text = fields.description.clone().unwrap_or_default();
    let of = |need: Need| wanted.iter().filter(move |wanted| wanted.need == need).map(skill).collect();
    Demand {
        id: project.project_id.to_string(),
        title: fields.name.clone(),
        language: language(&[&fields.name, &text]).to_owned(),
        text,
        must: of(Need::Must),
        nice: of(Need::Nice),
        min_months: None,
        extra: Vec::new(),
    }
}

fn skill(Wanted { skill_id, name, need: _, level, months }: &Wanted) -> Skill {
    Skill {
        id: Some(skill_id.to_string()),
        label: name.clone(),
        level: narrow(*level),
        months: narrow(*months),
        last_used_ms: None,
    }
}

fn narrow<T: TryFrom<i64>>(number: Option<i64>) -> Option<T> {
    number.and_then(|number| T::try_from(number).ok())
}

/// A candidate for each talent, in order.
pub(super) fn candidates(
    found: &[Found],
    wanted: &[Wanted],
    skills: Vec<Had>,
    experiences: Vec<ExperienceRow>,
    now: Timestamp,
) -> Vec<Candidate> {
    let mut skills_of: HashMap<TalentId, Vec<Had>> = HashMap::new();
    for had in skills {
        skills_of.entry(had.talent_id.clone()).or_default().push(had);
    }
    let mut experiences_of: HashMap<TalentId, Vec<ExperienceRow>> = HashMap::new();
    for experience in experiences {
        experiences_of.entry(experience.talent_id.clone()).or_default().push(experience);
    }
    let each = found.iter().map(|talent| {
        let skills = skills_of.remove(&talent.talent_id).unwrap_or_default();
        let experiences = experiences_of.remove(&talent.talent_id).unwrap_or_default();
        let signals = signals(wanted, &skills, now);
        Candidate { profile: profile(talent, skills, &experiences, now), signals }
    });
    each.collect()
}

fn profile(talent: &Found, skills: Vec<Had>, experiences: &[ExperienceRow], now: Timestamp) -> Profile {
    let title = talent.current_position.clone().unwrap_or_default();
    let education = [("education_level", &talent.education_level), ("major", &talent.major)];
    let known = |(name, value): (&str, &Option<String>)| Some((name.to_owned(), value.clone()?));
    let skills = skills.into_iter().map(|Had { talent_id: _, skill_id, name, level, months, last_used }| Skill {
        id: Some(skill_id.0),
        label: name,
        level: narrow(level),
        months: narrow(months),
        last_used_ms: last_used.map(|day| day.millis()),
    });
    Profile {
        id: talent.talent_id.to_string(),
        language: language(&[&title]).to_owned(),
        title,
        industry: talent.industry.clone(),
        months_total: months(experiences, now),
        skills: skills.collect(),
        past_titles: experiences.iter().map(|experience| experience.position.clone()).collect(),
        summary: String::new(),
        extra: education.into_iter().filter_map(known).collect(),
    }
}

/// Months of all experiences that have a beginning; what overlaps counts once. What is not known is not zero.
fn months(experiences: &[ExperienceRow], now: Timestamp) -> Option<u32> {
    let span = |experience: &ExperienceRow| {
        let start = experience.start_date.as_ref()?.millis();
        let end = experience.end_date.as_ref().map_or(now.millis(), |day| day.millis() + DAY);
        Some((start, end.min(now.millis())))
    };
    let mut spans: Vec<_> = experiences.iter().filter_map(span).collect();
    spans.sort_unstable();
    let (mut total, mut covered) = (0, i64::MIN);
    for (start, end) in &spans {
        total += (end - start.max(&covered)).max(0);
        covered = covered.max(*end);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and short of the end of time"
    )]
    (!spans.is_empty()).then(|| (total as f64 / DAY as f64 / MONTH).round() as u32)
}

/// What the host itself can say: the share of the wanted skills that is there, and how lately those were used.
fn signals(wanted: &[Wanted], had: &[Had], now: Timestamp) -> Signals {
    let wanted: HashSet<_> = wanted.iter().map(|wanted| &wanted.skill_id).collect();
    let matched: Vec<_> = had.iter().filter(|had| wanted.contains(&had.skill_id)).collect();
    let recent = |had: &&Had| {
        let day = had.last_used.as_ref()?.millis();
        let months = (now.millis() - day).max(0) as f64 / DAY as f64 / MONTH;
        Some((1.0 - months / FORGOTTEN).max(0.0))
    };
    let recent: Vec<f64> = matched.iter().filter_map(recent).collect();
    let share = |part: f64, whole: usize| if whole == 0 { 0.0 } else { (part / whole as f64) as f32 };
    Signals {
        lexical: share(matched.len() as f64, wanted.len()),
        vector: 0.0,
        graph: 0.0,
        recency: share(recent.iter().sum(), recent.len()),
        clicks: 0.0,
    }
}

/// `zh` if there is a Chinese character, else `en`.
fn language(texts: &[&str]) -> &'static str {
    let chinese = |c| ('\u{3400}'..='\u{9fff}').contains(&c);
    if texts.iter().any(|text| text.chars().any(chinese)) { "zh" } else { "en" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talent::text::Date;

    fn day(text: &str) -> Option<Date> {
        Date::try_from(text.to_owned()).ok()
    }

    fn worked(start: &str, end: &str) -> ExperienceRow {
        ExperienceRow { talent_id: "t".into(), position: "p".to_owned(), start_date: day(start), end_date: day(end) }
    }

    fn had(skill: &str, last_used: &str) -> Had {
        let (talent_id, skill_id) = ("t".into(), skill.into());
        Had { talent_id, skill_id, name: skill.to_owned(), level: None, months: None, last_used: day(last_used) }
    }

    fn wanted(skill: &str) -> Wanted {
        Wanted { skill_id: skill.into(), name: skill.to_owned(), need: Need::Must, level: None, months: None }
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").expect("that is a time")
    }

    #[test]
    fn overlapping_work_counts_once() {
        let one = [worked("2024-01-01", "2024-12-31")];
        assert_eq!(months(&one, now()), Some(12));
        let overlapping = [
            worked("2024-07-01", "2025-06-30"),
            worked("2024-01-01", "2024-12-31"),
            worked("2024-02-01", "2024-03-01"),
        ];
        assert_eq!(months(&overlapping, now()), Some(18));
        assert_eq!(months(&[worked("2025-01-01", "")], now()), Some(12));
        assert_eq!(months(&[worked("2027-01-01", "")], now()), Some(0));
    }

    #[test]
    fn work_without_dates_is_not_known() {
        assert_eq!(months(&[worked("", "2024-01-01")], now()), None);
        assert_eq!(months(&[], now()), None);
    }

    #[test]
    fn signals_are_shares() {
        let both = signals(&[wanted("a"), wanted("b")], &[had("a", "2026-01-01"), had("c", "2026-01-01")], now());
        assert!((both.lexical - 0.5).abs() < 1e-6 && (both.recency - 1.0).abs() < 1e-6);
        let old = signals(&[wanted("a")], &[had("a", "2000-01-01")], now());
        assert!((old.lexical - 1.0).abs() < 1e-6 && old.recency == 0.0);
        assert_eq!(signals(&[wanted("a")], &[had("a", "")], now()).recency, 0.0);
    }

    #[test]
    fn a_profile_does_not_tell_who_it_is() {
        let found = Found {
            talent_id: "t".into(),
            name: "Jane Doe".to_owned(),
            current_position: Some("engineer".to_owned()),
            industry: None,
            education_level: Some("master".to_owned()),
            major: None,
        };
        let skills = vec![had("a", "2026-01-01")];
        let told = format!("{:?}", candidates(&[found], &[wanted("a")], skills, vec![worked("2024-01-01", "")], now()));
        assert!(told.contains("engineer") && told.contains("master") && !told.contains("Jane"), "{told}");
    }

    #[test]
    fn chinese_is_seen() {
        assert_eq!((language(&["Rust", "后端"]), language(&["Rust"])), ("zh", "en"));
    }
}
