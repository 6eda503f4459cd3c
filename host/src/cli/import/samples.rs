//! Points of the old manager's history, as samples. It kept them by service: a list of snapshots, a list of rows as its document
//! of tables has them, or lists by metric.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    report::below,
    services::{id, kind},
};
use crate::{clock::Timestamp, ids::ServiceId};

/// Whose a row is, and when it was.
const TIMES: [&str; 3] = ["timestamp", "time", "ts"];
/// A number below this is in seconds, as `time.time()` gives it; in milliseconds that would be before 1973.
const SECONDS: f64 = 1e11;
/// The longest name of a metric.
const NAME: usize = 100;

/// Which series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Whose it is.
    pub service_id: ServiceId,
    /// What was measured.
    pub metric_name: String,
    /// Of which part.
    pub tags: BTreeMap<String, String>,
}

/// A point that can be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Of which series.
    pub series: Series,
    /// What it is measured in.
    pub unit: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
    /// What is not as it stood in the file.
    pub changes: Vec<String>,
}

/// A row: its place, and the point that it is, or why it is none.
pub type Row = (String, Result<Point, String>);

/// What the rows of a service have in common.
struct Of {
    service_id: ServiceId,
    changes: Vec<String>,
}

/// Reads what was kept of a service.
pub fn read(place: &str, key: &str, value: &Value) -> Vec<Row> {
    let (service_id, change) = id(key);
    if service_id.0.is_empty() || service_id.0.chars().count() > 100 {
        return vec![(place.to_owned(), Err("the id of a service has 1 to 100 characters".to_owned()))];
    }
    let of = Of { service_id, changes: change.into_iter().collect() };
    let under = |step: usize| below(place, step);
    match value {
        Value::Array(list) => list.iter().enumerate().flat_map(|(n, row)| of.in_a_list(&under(n), row)).collect(),
        Value::Object(metrics) => {
            metrics.iter().flat_map(|(name, points)| of.by_metric(&below(place, name), name, points)).collect()
        }
        other => {
            vec![(place.to_owned(), Err(format!("it must be a list or a dictionary by metric, is {}", kind(other))))]
        }
    }
}

impl Of {
    /// A row of a table, or a snapshot of several metrics at one time.
    fn in_a_list(&self, place: &str, row: &Value) -> Vec<Row> {
        let Value::Object(fields) = row else {
            return vec![(place.to_owned(), Err(format!("it must be an object, is {}", kind(row))))];
        };
        if fields.contains_key("metric_name") {
            let value = fields.get("metric_value").or_else(|| fields.get("value"));
            let point = match fields.get("metric_name").and_then(Value::as_str) {
                Some(name) => tags(fields).and_then(|tags| self.point(name, tags, time(fields), value, unit(fields))),
                None => Err("metric_name must be a text".to_owned()),
            };
            return vec![(place.to_owned(), point)];
        }
        let (place, metrics) = match fields.get("metrics") {
            Some(Value::Object(metrics)) => (below(place, "metrics"), metrics),
            _ => (place.to_owned(), fields),
        };
        let named = metrics.iter().filter(|(name, _)| !TIMES.contains(&name.as_str()) && *name != "service_id");
        let point = |(name, value): (&String, &Value)| {
            (below(&place, name), self.point(name, BTreeMap::new(), time(fields), Some(value), None))
        };
        let rows: Vec<Row> = named.map(point).collect();
        match rows.is_empty() {
            true => vec![(place, Err("it holds no metric".to_owned()))],
            false => rows,
        }
    }

    /// Points of one metric: `[time, value]`, or an object.
    fn by_metric(&self, place: &str, name: &str, points: &Value) -> Vec<Row> {
        let Value::Array(points) = points else {
            return vec![(place.to_owned(), Err(format!("it must be a list of points, is {}", kind(points))))];
        };
        let point = |(n, point): (usize, &Value)| {
            let read = match point {
                Value::Array(pair) if pair.len() == 2 => {
                    self.point(name, BTreeMap::new(), pair.first(), pair.last(), None)
                }
                Value::Object(fields) => {
                    let value = fields.get("value").or_else(|| fields.get("metric_value"));
                    tags(fields).and_then(|tags| self.point(name, tags, time(fields), value, unit(fields)))
                }
                other => Err(format!("it must be [time, value] or an object, is {}", kind(other))),
            };
            (below(place, n), read)
        };
        points.iter().enumerate().map(point).collect()
    }

    fn point(
        &self,
        name: &str,
        tags: BTreeMap<String, String>,
        at: Option<&Value>,
        value: Option<&Value>,
        unit: Option<String>,
    ) -> Result<Point, String> {
        let mut changes = self.changes.clone();
        let metric_name = metric_name(name, &mut changes)?;
        let at = moment(at.unwrap_or(&Value::Null), &mut changes)?;
        let value = number(value.unwrap_or(&Value::Null), &mut changes)?;
        let series = Series { service_id: self.service_id.clone(), metric_name, tags };
        Ok(Point { series, unit, at, value, changes })
    }
}

fn time(fields: &Map<String, Value>) -> Option<&Value> {
    TIMES.iter().find_map(|name| fields.get(*name))
}

fn unit(fields: &Map<String, Value>) -> Option<String> {
    let unit = fields.get("metric_unit").or_else(|| fields.get("unit"))?.as_str()?.trim();
    (!unit.is_empty()).then(|| unit.to_owned())
}

fn tags(fields: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    match fields.get("tags") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(tags)) => {
            let text = |(key, value): (&String, &Value)| {
                let text = value.as_str().ok_or_else(|| format!("tags/{key} must be a text, is {}", kind(value)))?;
                Ok((key.clone(), text.to_owned()))
            };
            tags.iter().map(text).collect()
        }
        Some(other) => Err(format!("tags must be an object, are {}", kind(other))),
    }
}

/// A name as the server takes it: other characters become `_`.
fn metric_name(name: &str, changes: &mut Vec<String>) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-');
    let mut taken: String = name.trim().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if taken.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')) {
        taken.insert(0, '_');
    }
    if taken.is_empty() || taken.len() > NAME {
        return Err(format!("the name of a metric has 1 to {NAME} characters"));
    }
    if taken != name {
        changes.push(format!("metric_name: {name:?} is taken as {taken:?}"));
    }
    Ok(taken)
}

/// A time: RFC 3339, a text of Python's `isoformat` without a zone, or a number since 1970 in seconds or milliseconds.
fn moment(value: &Value, changes: &mut Vec<String>) -> Result<Timestamp, String> {
    let read = match value {
        Value::Null => return Err("it has no timestamp".to_owned()),
        Value::Number(number) => number.as_f64().and_then(|number| {
            let millis = if number.abs() < SECONDS { number * 1000.0 } else { number };
            // A float that is too large becomes the largest number, which is no time.
            Timestamp::from_millis(millis.round() as i64)
        }),
        Value::String(text) => Timestamp::parse(text).or_else(|| {
            let at = Timestamp::parse(&format!("{}Z", text.trim().replacen(' ', "T", 1)))?;
            changes.push("timestamp: it has no zone, and is taken as UTC".to_owned());
            Some(at)
        }),
        other => return Err(format!("timestamp must be a text or a number, is {}", kind(other))),
    };
    read.ok_or_else(|| format!("timestamp {value} is no time"))
}

fn number(value: &Value, changes: &mut Vec<String>) -> Result<f64, String> {
    let read = match value {
        Value::Null => return Err("it has no value".to_owned()),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let number = text.trim().parse::<f64>().ok();
            changes.extend(number.map(|number| format!("metric_value: the text {text:?} is taken as {number}")));
            number
        }
        other => return Err(format!("its value must be a number, is {}", kind(other))),
    };
    read.filter(|number| number.is_finite()).ok_or_else(|| format!("its value {value} is no finite number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2025-09-20T10:00:00.500Z";

    fn rows(value: &Value) -> Vec<(String, String)> {
        let told = |point: Point| {
            let Series { metric_name, tags, .. } = point.series;
            format!("{metric_name} {} {} {:?} {tags:?} {}", point.at, point.value, point.unit, point.changes.join("; "))
        };
        read("/m", "a", value)
            .into_iter()
            .map(|(place, row)| (place, row.map_or_else(|error| format!("! {error}"), told)))
            .collect()
    }

    #[test]
    fn each_shape_is_read() {
        let plain = format!("cpu {AT} 7 None {{}} ");
        for (value, place) in [
            (json!([{"timestamp": AT, "cpu": 7}]), "/m/0/cpu"),
            (json!([{"timestamp": 1_758_362_400.5, "metrics": {"cpu": 7.0}}]), "/m/0/metrics/cpu"),
            (json!([{"time": 1_758_362_400_500_i64, "metric_name": "cpu", "metric_value": 7}]), "/m/0"),
            (json!({"cpu": [[AT, 7]]}), "/m/cpu/0"),
            (json!({"cpu": [{"ts": AT, "value": 7}]}), "/m/cpu/0"),
        ] {
            assert_eq!(rows(&value), [(place.to_owned(), plain.clone())], "{value}");
        }
        let whole = json!([{"timestamp": AT, "metric_name": "cpu", "metric_value": 7, "metric_unit": "percent", "tags": {"core": "0"}}]);
        assert_eq!(rows(&whole)[0].1, format!("cpu {AT} 7 Some(\"percent\") {{\"core\": \"0\"}} "));
    }

    #[test]
    fn what_is_changed_is_told() {
        let told = rows(&json!([{"timestamp": "2025-09-20 10:00:00.500499", "cpu %": "7"}])).remove(0).1;
        assert!(told.starts_with(&format!("cpu__ {AT} 7 ")), "{told}");
        for change in ["metric_name: \"cpu %\"", "no zone", "the text \"7\" is taken as 7"] {
            assert!(told.contains(change), "{told}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (value, place, told) in [
            (json!(3), "/m", "it must be a list or a dictionary by metric, is a number"),
            (json!([3]), "/m/0", "it must be an object, is a number"),
            (json!([{"timestamp": AT}]), "/m/0", "it holds no metric"),
            (json!([{"cpu": 3}]), "/m/0/cpu", "it has no timestamp"),
            (json!([{"timestamp": "yesterday", "cpu": 3}]), "/m/0/cpu", "timestamp \"yesterday\" is no time"),
            (json!([{"timestamp": 1e30, "cpu": 3}]), "/m/0/cpu", "timestamp 1e30 is no time"),
            (json!([{"timestamp": AT, "cpu": {"a": 1}}]), "/m/0/cpu", "its value must be a number, is an object"),
            (json!([{"timestamp": AT, "cpu": "high"}]), "/m/0/cpu", "its value \"high\" is no finite number"),
            (json!([{"timestamp": AT, "metric_name": 3}]), "/m/0", "metric_name must be a text"),
            (
                json!([{"timestamp": AT, "metric_name": "x", "value": 1, "tags": {"a": 1}}]),
                "/m/0",
                "tags/a must be a text, is a number",
            ),
            (json!({"cpu": {"a": 1}}), "/m/cpu", "it must be a list of points, is an object"),
            (json!({"cpu": [[1, 2, 3]]}), "/m/cpu/0", "it must be [time, value] or an object, is a list"),
            (json!({"": [[AT, 1]]}), "/m//0", "the name of a metric has 1 to 100 characters"),
        ] {
            let expected = format!("! {}", told.replace("1e30", "1e+30"));
            let found = rows(&value);
            assert_eq!(found, [(place.to_owned(), expected)], "{value}");
        }
    }
}
