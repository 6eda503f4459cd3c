//! What a plugin answered against what it must answer. What an expectation does not name may be anything.

use serde_json::Value;

/// How far two numbers may be apart, of the larger one: plugins of talents count in 32 bits.
const ROUNDING: f64 = 1e-6;

/// Where `actual` is not what is expected, a line each.
pub fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", expected, actual, &mut found);
    found
}

fn compare(at: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(fields), Value::Object(there)) => {
            for (field, expected) in fields {
                let at = if at.is_empty() { field.clone() } else { format!("{at}.{field}") };
                compare(&at, expected, there.get(field).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(items), Value::Array(there)) if items.len() == there.len() => {
            for (n, (expected, actual)) in items.iter().zip(there).enumerate() {
                compare(&format!("{at}[{n}]"), expected, actual, found);
            }
        }
        (Value::Array(items), Value::Array(there)) => {
            found.push(format!("{at}: expected {} items, got {}: {actual}", items.len(), there.len()));
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            if (one - other).abs() > ROUNDING * one.abs().max(other.abs()).max(1.0) {
                found.push(told(at, expected, actual));
            }
        }
        (expected, actual) if expected == actual => {}
        (expected, actual) => found.push(told(at, expected, actual)),
    }
}

fn told(at: &str, expected: &Value, actual: &Value) -> String {
    let at = if at.is_empty() { "the answer" } else { at };
    match (expected, actual) {
        (Value::String(expected), Value::String(actual)) if expected.contains('\n') || actual.contains('\n') => {
            lines(at, expected, actual)
        }
        _ => format!("{at}: expected {expected}, got {actual}"),
    }
}

/// The lines in which two texts differ.
fn lines(at: &str, expected: &str, actual: &str) -> String {
    let mut told = format!("{at}:");
    let (mut expected, mut actual) = (expected.split('\n'), actual.split('\n'));
    loop {
        match (expected.next(), actual.next()) {
            (None, None) => return told,
            (one, other) if one == other => {}
            (one, other) => {
                one.into_iter().for_each(|line| told.push_str(&format!("\n  - {line}")));
                other.into_iter().for_each(|line| told.push_str(&format!("\n  + {line}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_named_may_be_anything() {
        let actual = json!({"verdicts": [{"level": 1, "score": 0.300_000_01, "note": null}], "plugin": {"name": "x"}});
        assert_eq!(differences(&json!({"verdicts": [{"score": 0.3}]}), &actual), Vec::<String>::new());
        assert_eq!(differences(&json!({"verdicts": [{"note": null}], "more": null}), &actual), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_told_with_its_place() {
        let actual = json!({"verdicts": [{"level": 1}, {"level": 0}], "text": "a\nb"});
        let told = differences(&json!({"verdicts": [{"level": 0}, {"level": "x"}], "text": "a\nc"}), &actual);
        assert_eq!(
            told,
            ["text:\n  - c\n  + b", "verdicts[0].level: expected 0, got 1", "verdicts[1].level: expected \"x\", got 0"]
        );
        let told = differences(&json!({"verdicts": [], "gone": 1}), &actual);
        assert_eq!(told[0], "gone: expected 1, got null");
        assert!(told[1].starts_with("verdicts: expected 0 items, got 2"), "{told:?}");
    }
}
