//! Messages: a template of a rule, filled in for an alert. Strict: a name that is not there is a fault, and a fault is told in
//! a plain text that takes the message's place. Bounded in work and in length, whatever the template asks for.

use std::io;

use minijinja::{Environment, UndefinedBehavior, context};

use crate::notify::{Labels, Severity};

/// What a rule says that has no template of its own.
pub const DEFAULT: &str = "{{ rule_name }}: {{ metric_name }} of {{ service_id }} is {{ value }}{{ unit }}";

/// The longest message, in bytes.
const LONGEST: usize = 4096;
/// How many instructions of the template engine a message may take.
const FUEL: u64 = 20_000;
/// How deep a template may call itself.
const DEPTH: usize = 20;

/// What a template may name.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// `service_id`
    pub service_id: &'a str,
    /// `service_name`
    pub service_name: &'a str,
    /// `service_type`
    pub service_type: &'a str,
    /// `rule_name`
    pub rule_name: &'a str,
    /// `metric_name`
    pub metric_name: &'a str,
    /// `value`
    pub value: Option<f64>,
    /// `unit`
    pub unit: &'a str,
    /// `threshold`; none where the evaluator has none
    pub threshold: Option<f64>,
    /// `labels`
    pub labels: &'a Labels,
    /// `severity`
    pub severity: Severity,
    /// `status`
    pub status: &'a str,
    /// `note`: the evaluator's own words, or the empty text
    pub note: &'a str,
}

/// Takes so much and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("the message is longer than {LONGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // Those that make no large thing out of a small one.
    environment.add_filter("round", minijinja::filters::round);
    environment.add_filter("upper", minijinja::filters::upper);
    environment.add_filter("lower", minijinja::filters::lower);
    environment.add_filter("default", minijinja::filters::default);
    environment.add_filter("int", minijinja::filters::int);
    environment.add_test("defined", minijinja::tests::is_defined);
    environment.add_test("none", minijinja::tests::is_none);
    environment
}

/// What is wrong with a template, as far as that is to be seen before it is filled in.
pub fn check(template: &str) -> Result<(), String> {
    environment().template_from_str(template).map(drop).map_err(|error| told(&error))
}

/// The message, or the fault and a plain text in its place.
pub fn render(template: &str, facts: &Facts<'_>) -> Result<String, (String, String)> {
    let environment = environment();
    let template = environment.template_from_str(template).map_err(|error| plain(&error, facts))?;
    let mut out = Bounded(Vec::new());
    template.render_captured_to(values(facts), &mut out).map_err(|error| plain(&error, facts))?;
    // The engine writes text, whole characters at a time.
    Ok(String::from_utf8_lossy(&out.0).into_owned())
}

fn values(facts: &Facts<'_>) -> minijinja::Value {
    let &Facts { service_id, service_name, service_type, rule_name, metric_name, value, unit, .. } = facts;
    let &Facts { threshold, labels, severity, status, note, .. } = facts;
    context! {
        service_id, service_name, service_type, rule_name, metric_name, unit, status, note,
        labels => minijinja::Value::from_pairs(labels.iter().map(|(key, value)| (key.clone(), value.clone()))),
        value => value.map(number),
        threshold => threshold.map(number),
        severity => severity.as_str(),
    }
}

/// A whole number without a point, so that people read `95` and not `95.0`.
fn number(value: f64) -> minijinja::Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far below the largest i64")]
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => minijinja::Value::from(value as i64),
        false => minijinja::Value::from(value),
    }
}

fn plain(error: &minijinja::Error, facts: &Facts<'_>) -> (String, String) {
    let Facts { rule_name, metric_name, service_id, value, unit, .. } = facts;
    let value = value.map_or("unknown".to_owned(), |value| format!("{value}{unit}"));
    (told(error), format!("{rule_name}: {metric_name} of {service_id} is {value}"))
}

fn told(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(" ({cause})"));
    error.line().map_or(what.clone(), |line| format!("line {line}: {what}")) + &cause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(labels: &Labels) -> Facts<'_> {
        Facts {
            service_id: "ai-1",
            service_name: "ai-service",
            service_type: "ai",
            rule_name: "cpu high",
            metric_name: "cpu_usage",
            value: Some(95.0),
            unit: "%",
            threshold: Some(90.5),
            labels,
            severity: Severity::Critical,
            status: "firing",
            note: "",
        }
    }

    #[test]
    fn names_are_filled_in() {
        let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
        let text = render(
            "{{ service_id }} cpu at {{ value }}{{ unit }} in {{ labels.zone }}, over {{ threshold }}",
            &facts(&labels),
        );
        assert_eq!(text.unwrap(), "ai-1 cpu at 95% in a, over 90.5");
        assert_eq!(render(DEFAULT, &facts(&labels)).unwrap(), "cpu high: cpu_usage of ai-1 is 95%");
    }

    #[test]
    fn what_is_not_there_is_a_fault_and_the_text_is_plain() {
        let labels = Labels::new();
        let (fault, text) = render("{{ labels.zone }}", &facts(&labels)).unwrap_err();
        assert!(fault.contains("undefined"), "{fault}");
        assert_eq!(text, "cpu high: cpu_usage of ai-1 is 95%");
        assert!(check("{{ value ").is_err());
        assert!(check("{% for x in y %}").is_err());
    }

    #[test]
    fn work_and_length_are_bounded() {
        let labels = Labels::new();
        for hostile in ["{{ 'x' * 100000 }}", "{{ 'x' * 100000000000 }}"] {
            assert!(render(hostile, &facts(&labels)).is_err(), "{hostile}");
        }
        let endless = "{% set l = [1,1,1,1,1,1,1,1,1,1] %}".to_owned()
            + &"{% for a in l %}".repeat(6)
            + &"{% endfor %}".repeat(6);
        assert!(render(&endless, &facts(&labels)).is_err());
    }
}
