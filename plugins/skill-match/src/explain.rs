//! Why, in words: what was found and what is missing, in English and Chinese.

use looma_plugin_sdk::{Demand, Evidence, Explanation, Profile, Skill};

use crate::skills::{find, fit};

/// Explains how a profile meets a demand. Languages other than Chinese are answered in English.
pub(crate) fn explain(need: &Demand, profile: &Profile, language: &str) -> Explanation {
    let (mut matched, mut missing) = (Vec::new(), Vec::new());
    for (kind, wanted) in [("must", &need.must), ("nice", &need.nice)] {
        for skill in wanted {
            match find(skill, &profile.skills) {
                Some(own) => matched.push(evidence(kind, own, fit(skill, own))),
                None => missing.push(evidence(kind, skill, 1.0)),
            }
        }
    }
    let text = match language.starts_with("zh") {
        true => chinese(need, profile, &matched, &missing),
        false => english(need, profile, &matched, &missing),
    };
    Explanation { matched, missing, text }
}

fn evidence(kind: &str, skill: &Skill, weight: f32) -> Evidence {
    Evidence { kind: format!("{kind}-skill"), label: skill.label.clone(), weight, source: "skills".to_owned() }
}

fn labels(evidence: &[Evidence], kind: &str, between: &str) -> String {
    let own = evidence.iter().filter(|evidence| evidence.kind == kind).map(|evidence| evidence.label.as_str());
    own.collect::<Vec<_>>().join(between)
}

fn english(need: &Demand, profile: &Profile, matched: &[Evidence], missing: &[Evidence]) -> String {
    let mut sentences = Vec::new();
    if !need.must.is_empty() {
        let has = matched.iter().filter(|evidence| evidence.kind == "must-skill").count();
        let named = labels(matched, "must-skill", ", ");
        let named = if named.is_empty() { String::new() } else { format!(": {named}") };
        sentences.push(format!("Has {has} of {} required skills{named}.", need.must.len()));
        let lacks = labels(missing, "must-skill", ", ");
        if !lacks.is_empty() {
            sentences.push(format!("Lacks {lacks}."));
        }
    }
    let nice = labels(matched, "nice-skill", ", ");
    if !nice.is_empty() {
        sentences.push(format!("Also brings {nice}."));
    }
    sentences.push(match (profile.months_total, need.min_months) {
        (Some(own), Some(asked)) => {
            format!("{:.1} years of experience, {:.1} are asked for.", years(own), years(asked))
        }
        (Some(own), None) => format!("{:.1} years of experience.", years(own)),
        (None, _) => "Years of experience are not known.".to_owned(),
    });
    sentences.join(" ")
}

fn chinese(need: &Demand, profile: &Profile, matched: &[Evidence], missing: &[Evidence]) -> String {
    let mut sentences = Vec::new();
    if !need.must.is_empty() {
        let has = matched.iter().filter(|evidence| evidence.kind == "must-skill").count();
        let named = labels(matched, "must-skill", "、");
        let named = if named.is_empty() { String::new() } else { format!("：{named}") };
        sentences.push(format!("{} 项必备技能中具备 {has} 项{named}。", need.must.len()));
        let lacks = labels(missing, "must-skill", "、");
        if !lacks.is_empty() {
            sentences.push(format!("缺少{lacks}。"));
        }
    }
    let nice = labels(matched, "nice-skill", "、");
    if !nice.is_empty() {
        sentences.push(format!("另具备加分技能：{nice}。"));
    }
    sentences.push(match (profile.months_total, need.min_months) {
        (Some(own), Some(asked)) => format!("工作经验 {:.1} 年，要求 {:.1} 年。", years(own), years(asked)),
        (Some(own), None) => format!("工作经验 {:.1} 年。", years(own)),
        (None, _) => "工作年限未知。".to_owned(),
    });
    sentences.concat()
}

fn years(months: u32) -> f64 {
    f64::from(months) / 12.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::tests::{demand, profile, skill};

    #[test]
    fn both_languages_say_what_is_there_and_what_is_not() {
        let need = demand(vec![skill("Rust", None), skill("Go", None)], Some(24));
        let profile = profile(vec![skill("rust", Some(4))], 30);
        let english = explain(&need, &profile, "en");
        assert_eq!(
            english.text,
            "Has 1 of 2 required skills: rust. Lacks Go. 2.5 years of experience, 2.0 are asked for."
        );
        assert_eq!(english.missing.len(), 1);
        let chinese = explain(&need, &profile, "zh-CN");
        assert_eq!(chinese.text, "2 项必备技能中具备 1 项：rust。缺少Go。工作经验 2.5 年，要求 2.0 年。");
    }
}
