//! A resume parser: plain text whose first line is a name, with `Skills:` on a line of its own. It drafts; people decide.

mod lifecycle;

use exports::looma::talent::parser::{Draft, Guest, PluginError};
use looma::{plugin::types::Problem, talent::types::Skill};
use serde::Deserialize;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/talent"],
    world: "looma:talent/resume-parser",
    generate_all,
});

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the line with the skills begins with.
    #[serde(default = "heading")]
    skills_heading: String,
}

fn heading() -> String {
    "Skills:".to_owned()
}

impl Config {
    /// What is wrong with it that its type cannot say.
    fn faults(&self) -> Vec<Problem> {
        if self.skills_heading.trim().is_empty() {
            return vec![lifecycle::problem("/skills_heading", "must not be empty")];
        }
        Vec::new()
    }
}

/// The plugin.
struct Component;

impl Guest for Component {
    fn media_types() -> Vec<String> {
        vec!["text/plain".to_owned()]
    }

    fn parse(
        config: String,
        media_type: String,
        document: Vec<u8>,
        _language: Option<String>,
    ) -> Result<Draft, PluginError> {
        let config = lifecycle::read(&config)?;
        if media_type != "text/plain" {
            return Err(PluginError::InvalidInput(format!("{media_type} is not text/plain")));
        }
        let text = String::from_utf8(document).map_err(|_| PluginError::InvalidInput("not UTF-8".to_owned()))?;
        let mut draft = empty();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            draft.emails.extend(line.split_whitespace().filter(|word| word.contains('@')).map(str::to_owned));
            match line.strip_prefix(&config.skills_heading) {
                Some(skills) => draft.skills.extend(skills.split(',').map(skill)),
                None if draft.name.is_none() => draft.name = Some(line.to_owned()),
                None => {}
            }
        }
        if draft.skills.is_empty() {
            draft.warnings.push(format!("no line begins with {:?}", config.skills_heading));
        }
        Ok(draft)
    }
}

export!(Component);

fn skill(label: &str) -> Skill {
    Skill { id: None, label: label.trim().to_owned(), level: None, months: None, last_used_ms: None }
}

fn empty() -> Draft {
    Draft {
        name: None,
        emails: Vec::new(),
        phones: Vec::new(),
        location: None,
        title: None,
        summary: None,
        experiences: Vec::new(),
        educations: Vec::new(),
        skills: Vec::new(),
        certifications: Vec::new(),
        warnings: Vec::new(),
        evidence: Vec::new(),
    }
}
