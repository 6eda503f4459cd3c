//! Time: the `Timestamp` that everything stores and shows, and the `Clock` that everything asks.
//!
//! Nothing else in the program reads the system clock. A test puts a `ManualClock` in its place and moves it.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::{sync::watch, time::Instant};

/// Milliseconds since 1970-01-01T00:00:00Z; in JSON an RFC 3339 text in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment that every part can hold: 0001-01-01.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The latest moment that every part can hold: the end of 9999-12-31.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Makes one from epoch milliseconds, if every part can hold it.
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Epoch milliseconds.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The moment `by` later, or the last one there is.
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(Self::MAX.0))
    }

    /// The moment `by` earlier, or the first one there is.
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(Self::MIN.0))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Reads an RFC 3339 text, to the millisecond.
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?.to_offset(UtcOffset::UTC);
        Self::from_millis(i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        let (date, clock) = (at.date(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.millisecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time between the years 1 and 9999"))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

/// Where the time comes from: the system, or a test.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock; durations come from the monotonic one.
    System {
        /// When this clock was made.
        start: Instant,
    },
    /// A clock that stands still until it is moved.
    Manual(Arc<ManualClock>),
}

/// The time of a test.
#[derive(Debug)]
pub struct ManualClock {
    /// Wall time at `elapsed` zero, and how long has passed since.
    now: watch::Sender<(Timestamp, Duration)>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::System { start: Instant::now() }
    }

    /// A clock that stands at `at`.
    pub fn manual(at: Timestamp) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock { now: watch::Sender::new((at, Duration::ZERO)) });
        (Self::Manual(clock.clone()), clock)
    }

    /// Wall time. It can jump: measure how long something took with `uptime`.
    #[expect(clippy::disallowed_methods, reason = "the one home of the system clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System { .. } => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(Timestamp::MAX.0).min(Timestamp::MAX.0))
            }
            Self::Manual(clock) => clock.now.borrow().0,
        }
    }

    /// Time that only ever goes forward, from when this clock was made.
    pub fn uptime(&self) -> Duration {
        match self {
            Self::System { start } => start.elapsed(),
            Self::Manual(clock) => clock.now.borrow().1,
        }
    }

    /// Waits until `uptime` has grown by `by`.
    pub async fn sleep(&self, by: Duration) {
        match self {
            Self::System { .. } => tokio::time::sleep(by).await,
            Self::Manual(clock) => {
                let mut now = clock.now.subscribe();
                let until = now.borrow().1 + by;
                // The sender lives in `clock`, so waiting cannot fail.
                let _ = now.wait_for(|(_, elapsed)| *elapsed >= until).await;
            }
        }
    }
}

impl ManualClock {
    /// Lets `by` pass.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|(wall, elapsed)| {
            *wall = wall.plus(by);
            *elapsed += by;
        });
    }

    /// Sets the wall clock alone, as an operator or a time server does.
    pub fn jump(&self, to: Timestamp) {
        self.now.send_modify(|(wall, _)| *wall = to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_millis_agree() {
        for millis in [Timestamp::MIN.0, -1, 0, 1, 1_760_000_000_123, Timestamp::MAX.0] {
            let at = Timestamp(millis);
            assert_eq!(Timestamp::parse(&at.to_string()), Some(at), "{at}");
        }
        assert_eq!(Timestamp::parse("2026-01-01T01:00:00+01:00"), Timestamp::parse("2026-01-01T00:00:00Z"));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
