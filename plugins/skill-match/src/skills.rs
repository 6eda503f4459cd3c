//! Comparing skills: the same one by id, else by name, and how far level and practice reach.

use looma_plugin_sdk::Skill;

/// What a level that is not known counts, against one that is asked for.
const UNKNOWN: f32 = 0.7;

/// How far what is had covers what is wanted, 0 to 1; nothing when nothing is wanted.
pub(crate) fn coverage(wanted: &[Skill], had: &[Skill]) -> Option<f32> {
    if wanted.is_empty() {
        return None;
    }
    let covered: f32 = wanted.iter().map(|skill| find(skill, had).map_or(0.0, |own| fit(skill, own))).sum();
    Some(covered / wanted.len() as f32)
}

/// The skill that is meant, among those that are had.
pub(crate) fn find<'a>(wanted: &Skill, had: &'a [Skill]) -> Option<&'a Skill> {
    let by_id = || had.iter().find(|own| own.id.is_some() && own.id == wanted.id);
    let by_label = || had.iter().find(|own| plain(&own.label) == plain(&wanted.label));
    by_id().or_else(by_label)
}

/// How well a skill that is had is the one that is wanted, 0 to 1.
pub(crate) fn fit(wanted: &Skill, own: &Skill) -> f32 {
    let level = reach(wanted.level.map(f32::from), own.level.map(f32::from));
    let months = reach(wanted.months.map(|months| months as f32), own.months.map(|months| months as f32));
    level * months
}

/// How far experience reaches, 0 to 1.
pub(crate) fn practice(wanted: u32, own: Option<u32>) -> f32 {
    reach(Some(wanted as f32), own.map(|months| months as f32))
}

fn reach(wanted: Option<f32>, own: Option<f32>) -> f32 {
    match (wanted.filter(|&wanted| wanted > 0.0), own) {
        (None, _) => 1.0,
        (Some(_), None) => UNKNOWN,
        (Some(wanted), Some(own)) => (own / wanted).min(1.0),
    }
}

/// Names differ in case, spaces and hyphens without meaning another skill.
fn plain(label: &str) -> String {
    label.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use looma_plugin_sdk::{Demand, Profile};

    pub(crate) fn skill(label: &str, level: Option<u8>) -> Skill {
        Skill { id: None, label: label.to_owned(), level, months: None, last_used_ms: None }
    }

    pub(crate) fn profile(skills: Vec<Skill>, months_total: u32) -> Profile {
        Profile {
            id: "t1".to_owned(),
            title: "engineer".to_owned(),
            industry: None,
            language: "en".to_owned(),
            months_total: Some(months_total),
            skills,
            past_titles: Vec::new(),
            summary: String::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn demand(must: Vec<Skill>, min_months: Option<u32>) -> Demand {
        Demand {
            id: "p1".to_owned(),
            title: "backend".to_owned(),
            text: String::new(),
            language: "en".to_owned(),
            must,
            nice: Vec::new(),
            min_months,
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_skill_is_found_whatever_its_spelling() {
        let had = [skill("Machine-Learning", Some(3))];
        assert!(find(&skill("machine learning", None), &had).is_some());
        assert!(find(&skill("machine", None), &had).is_none());
    }

    #[test]
    fn a_lower_level_fits_in_part() {
        assert_eq!(fit(&skill("a", Some(4)), &skill("a", Some(2))), 0.5);
        assert_eq!(fit(&skill("a", Some(4)), &skill("a", None)), UNKNOWN);
        assert_eq!(fit(&skill("a", None), &skill("a", None)), 1.0);
    }
}
