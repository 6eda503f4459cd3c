//! The JSON that is sent; its shape is a promise to those who receive it.

use looma_plugin_sdk::{Alert, Notification};
use serde_json::{Map, Value, json};

/// The whole body.
pub(crate) fn body(notification: &Notification) -> Value {
    let Notification { id, attempt: _, status, title, group, alerts } = notification;
    json!({
        "id": id,
        "status": status.as_str(),
        "title": title,
        "group": object(group),
        "alerts": alerts.iter().map(alert).collect::<Vec<_>>(),
    })
}

fn alert(alert: &Alert) -> Value {
    let Alert {
        id,
        rule,
        status,
        severity,
        service_id,
        service_name,
        labels,
        value,
        message,
        started_at_ms,
        ended_at_ms,
        url,
    } = alert;
    json!({
        "id": id,
        "rule": rule,
        "status": status.as_str(),
        "severity": severity.as_str(),
        "service_id": service_id,
        "service_name": service_name,
        "labels": object(labels),
        "value": value,
        "message": message,
        "started_at": rfc3339(*started_at_ms),
        "ended_at": ended_at_ms.map(rfc3339),
        "url": url,
    })
}

fn object(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>())
}

/// Milliseconds since the Unix epoch in RFC 3339, UTC. Days to dates as in Howard Hinnant's `civil_from_days`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use looma_plugin_sdk::{Severity, Status};

    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_210_096_789), "2024-02-29T12:34:56.789Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_body_has_the_promised_shape() {
        let alert = Alert {
            id: "a1".to_owned(),
            rule: "cpu high".to_owned(),
            status: Status::Firing,
            severity: Severity::Critical,
            service_id: "ai-1".to_owned(),
            service_name: "ai".to_owned(),
            labels: vec![("zone".to_owned(), "a".to_owned())],
            value: Some(97.5),
            message: "hot".to_owned(),
            started_at_ms: 0,
            ended_at_ms: None,
            url: String::new(),
        };
        let body = body(&Notification {
            id: "n1".to_owned(),
            attempt: 2,
            status: Status::Firing,
            title: "t".to_owned(),
            group: vec![("rule".to_owned(), "cpu high".to_owned())],
            alerts: vec![alert],
        });
        assert_eq!(body["group"], json!({"rule": "cpu high"}));
        assert_eq!(body["alerts"][0]["started_at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(body["alerts"][0]["ended_at"], Value::Null);
        assert_eq!(body["alerts"][0]["value"], 97.5);
        assert_eq!(body["alerts"][0]["severity"], "critical");
    }
}
