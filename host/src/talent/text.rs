//! Texts of talents that have a form: dates, addresses, and the form in which names are compared.

use serde::{Deserialize, Serialize};
use time::macros::format_description;
use utoipa::ToSchema;

use crate::http::error::Faults;

/// A day, as `YYYY-MM-DD`; the order of the texts is the order of the days.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
#[schema(value_type = String, format = Date, pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example = "2026-01-31")]
pub struct Date(String);

impl TryFrom<String> for Date {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match parse(&text) {
            Some(_) => Ok(Self(text)),
            None => Err("is not a day, written YYYY-MM-DD"),
        }
    }
}

fn parse(text: &str) -> Option<time::Date> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    plain.then(|| time::Date::parse(text, format_description!("[year]-[month]-[day]")).ok())?
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Date {
    /// Midnight of the day, UTC, in epoch milliseconds.
    pub fn millis(&self) -> i64 {
        parse(&self.0).map_or(0, |day| day.midnight().assume_utc().unix_timestamp() * 1000)
    }
}

/// The form of a name or address in which two that differ in case alone, or in spaces around, are the same.
pub fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A text of a query string that is compared in its folded form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Folded(String);

impl std::fmt::Display for Folded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&folded(&self.0))
    }
}

/// Adds what is wrong with fields of a talent.
pub trait TalentFaults {
    /// A name that may be absent.
    fn short(&mut self, pointer: &str, text: Option<&String>);
    /// An address of mail that may be absent: one `@`, a domain with a dot, no spaces (RFC 5321 in short).
    fn email(&mut self, pointer: &str, text: Option<&String>);
    /// An address of the web that may be absent.
    fn web(&mut self, pointer: &str, text: Option<&String>);
    /// An end that is not before its start.
    fn order(&mut self, pointer: &str, start: Option<&Date>, end: Option<&Date>);
    /// A number that may be absent, within a range.
    fn range(&mut self, pointer: &str, number: Option<i64>, least: i64, most: i64);
}

impl TalentFaults for Faults {
    fn short(&mut self, pointer: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.name(pointer, text, 200);
        }
    }

    fn email(&mut self, pointer: &str, text: Option<&String>) {
        let Some(text) = text else { return };
        let good = text.split_once('@').is_some_and(|(local, domain)| {
            let labels: Vec<_> = domain.split('.').collect();
            !local.is_empty()
                && local.len() <= 64
                && labels.len() > 1
                && labels.iter().all(|l| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-'))
                && !domain.contains('@')
                && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\"\\[]".contains(c))
        });
        self.check(good && text.len() <= 254, pointer, || "is not an address such as name@example.com".to_owned());
    }

    fn web(&mut self, pointer: &str, text: Option<&String>) {
        let Some(text) = text else { return };
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        self.check(good && text.len() <= 2000, pointer, || "is not an address such as https://example.com".to_owned());
    }

    fn order(&mut self, pointer: &str, start: Option<&Date>, end: Option<&Date>) {
        if let (Some(start), Some(end)) = (start, end) {
            self.check(end >= start, pointer, || format!("must not be before {start}"));
        }
    }

    fn range(&mut self, pointer: &str, number: Option<i64>, least: i64, most: i64) {
        if let Some(number) = number {
            self.check((least..=most).contains(&number), pointer, || format!("must be {least} to {most}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_are_days() {
        for good in ["2024-02-29", "0001-01-01", "9999-12-31"] {
            assert!(Date::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["2023-02-29", "2024-1-01", "24-01-01", "+2024-01-1", "2024-13-01", "2024-01-01T00:00:00Z", ""] {
            assert!(Date::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_is_a_moment() {
        assert_eq!(Date("1970-01-02".to_owned()).millis(), 86_400_000);
    }

    #[test]
    fn addresses_have_a_form() {
        let faulty = |text: &str| {
            let mut faults = Faults::new();
            faults.email("/email", Some(&text.to_owned()));
            !faults.is_empty()
        };
        for good in ["a@b.cn", "first.last+tag@mail.example.com", "张三@例子.中国"] {
            assert!(!faulty(good), "{good}");
        }
        for bad in ["", "a", "@b.c", "a@b", "a@.c", "a@b..c", "a b@c.d", "a@b.c@d.e", "a@-b.c", "a\0@b.c"] {
            assert!(faulty(bad), "{bad:?}");
        }
    }
}
