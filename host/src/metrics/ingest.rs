//! Reading samples: each on its own, so that a bad one does not lose its neighbours. Nothing is mended or cut short here.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

use super::types::{Sample, SeriesKey};
use crate::{
    clock::Timestamp,
    http::{
        body,
        error::{ApiError, Faults},
    },
    ids::ServiceId,
    settings,
};

/// How many samples one request may carry.
pub const MOST_SAMPLES: usize = 10_000;
/// How far ahead of this clock a sample may be.
pub const AHEAD: Duration = Duration::from_secs(300);

/// Samples to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSamples {
    /// At most 10,000.
    #[schema(value_type = Vec<NewSample>)]
    pub samples: Vec<Box<RawValue>>,
}

/// One measurement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSample {
    /// Whose it is, up to 100 characters.
    service_id: String,
    /// What was measured: `[a-zA-Z_:][a-zA-Z0-9_:.-]*`, up to 100 characters.
    metric_name: String,
    /// How much.
    metric_value: f64,
    /// What it is measured in, up to 20 characters.
    metric_unit: Option<String>,
    /// Of which part: `[a-zA-Z_][a-zA-Z0-9_./-]*`, up to 100 characters, each with a text of up to 200.
    tags: Option<BTreeMap<String, String>>,
    /// When; now if absent.
    timestamp: Option<When>,
}

/// A moment: RFC 3339 or epoch milliseconds.
struct When(Timestamp);

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = When;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or epoch milliseconds, between the years 1 and 9999")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<When, E> {
                Timestamp::parse(text).map(When).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<When, E> {
                let at = Timestamp::from_millis(millis);
                at.map(When).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(millis), &self))
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<When, E> {
                let at = i64::try_from(millis).ok().and_then(Timestamp::from_millis);
                at.map(When).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(millis), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl PartialSchema for When {
    fn schema() -> RefOr<Schema> {
        let millis = ObjectBuilder::new().schema_type(Type::Integer);
        OneOfBuilder::new().item(Timestamp::schema()).item(millis).into()
    }
}

impl ToSchema for When {}

/// Reads samples and checks each; what is wrong is told with the index of its sample.
pub fn check(samples: &[Box<RawValue>], now: Timestamp, settings: &settings::Metrics) -> (Vec<Sample>, Faults) {
    let (mut good, mut faults) = (Vec::with_capacity(samples.len()), Faults::new());
    for (index, raw) in samples.iter().enumerate() {
        match read(raw).and_then(|sample| check_one(sample, index, now, settings)) {
            Ok(sample) => good.push(sample),
            Err(wrong) => faults.under(&format!("/samples/{index}"), wrong),
        }
    }
    (good, faults)
}

fn read(raw: &RawValue) -> Result<NewSample, Faults> {
    let error = match serde_json::from_str(raw.get()) {
        Ok(sample) => return Ok(sample),
        Err(error) => error,
    };
    match body::parse::<NewSample>(raw.get().as_bytes()) {
        Ok(sample) => Ok(sample),
        Err(ApiError::Invalid(faults)) => Err(faults),
        Err(_) => Err(out_of_range(raw, &error)),
    }
}

/// The text is JSON, and still no value: a number in it is too large.
fn out_of_range(raw: &RawValue, error: &serde_json::Error) -> Faults {
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let place = serde_path_to_error::deserialize::<_, NewSample>(&mut json).err().map(|error| error.path().to_string());
    let place = place.filter(|place| place != ".").map_or(String::new(), |place| format!("/{place}"));
    Faults::one(place, error.to_string().split(" at line ").next().unwrap_or("is no value"))
}

fn check_one(sample: NewSample, index: usize, now: Timestamp, settings: &settings::Metrics) -> Result<Sample, Faults> {
    let NewSample { service_id, metric_name, metric_value, metric_unit, tags, timestamp } = sample;
    let (tags, at) = (tags.unwrap_or_default(), timestamp.map_or(now, |When(at)| at));
    let mut faults = Faults::new();
    faults.name("/service_id", &service_id, 100);
    check_name(&mut faults, &metric_name);
    if let Some(unit) = &metric_unit {
        faults.name("/metric_unit", unit, 20);
    }
    faults.check(metric_value.is_finite(), "/metric_value", || "must be finite".to_owned());
    check_tags(&mut faults, &tags, settings.max_tags);
    faults.check(at >= now.minus(settings.retention()), "/timestamp", || {
        format!("{at} is older than the {} hours that samples are kept", settings.retention_hours)
    });
    faults.check(at <= now.plus(AHEAD), "/timestamp", || {
        format!("{at} is more than {} seconds ahead of this clock", AHEAD.as_secs())
    });
    faults.finish()?;
    let key = SeriesKey { service_id: ServiceId(service_id), metric_name, tags };
    Ok(Sample { index, key, unit: metric_unit, at, value: metric_value })
}

fn check_name(faults: &mut Faults, name: &str) {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let good = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '.' || c == '-');
    faults.check(good, "/metric_name", || {
        "must be letters, digits and _ : . - and must not begin with a digit, . or -".to_owned()
    });
    faults.check(name.len() <= 100, "/metric_name", || {
        format!("must have at most 100 characters, has {}", name.chars().count())
    });
}

fn check_tags(faults: &mut Faults, tags: &BTreeMap<String, String>, most: usize) {
    faults.check(tags.len() <= most, "/tags", || {
        format!("must be at most {most} (metrics.max_tags), are {}", tags.len())
    });
    for (tag, value) in tags {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let good = tag.starts_with(first) && tag.chars().all(|c| first(c) || c.is_ascii_digit() || "./-".contains(c));
        let place = format!("/tags/{}", tag.replace('~', "~0").replace('/', "~1"));
        faults.check(good && tag.len() <= 100, &place, || {
            "its name must be up to 100 letters, digits and _ . / - and begin with a letter or _".to_owned()
        });
        faults.check(value.chars().count() <= 200, &place, || "must have at most 200 characters".to_owned());
        faults.check(!value.chars().any(char::is_control), &place, || "must not hold control characters".to_owned());
    }
}
