//! Time: the `Timestamp` that everything stores and shows, and the `Clock` that everything asks.
//!
//! Nothing else in the program reads the system clock. A test puts a `ManualClock` in its place and moves it.
//!
//! What deletes by age asks `Clock::settled`, never `Clock::now`: a wall clock that a bad time server sent days ahead would
//! make everything old at once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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

impl From<Timestamp> for std::time::SystemTime {
    fn from(at: Timestamp) -> Self {
        Self::from(OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(at.0))
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
        /// Whether its wall time is believed.
        trust: Arc<Trust>,
    },
    /// A clock that stands still until it is moved.
    Manual(Arc<ManualClock>),
}

/// The time of a test.
#[derive(Debug)]
pub struct ManualClock {
    /// Wall time at `elapsed` zero, and how long has passed since.
    now: watch::Sender<(Timestamp, Duration)>,
    trust: Trust,
}

/// How far the wall clock may run ahead of uptime before it is doubted.
const LEAP: Duration = Duration::from_secs(3600);
/// For how much uptime a wall clock must stand where it leapt to before it is believed.
const STANDS: Duration = Duration::from_secs(24 * 3600);

/// What is believed of the wall clock, as its distance from uptime in milliseconds: it is the same as long as nobody sets it.
#[derive(Debug)]
pub struct Trust(Mutex<Belief>);

#[derive(Debug)]
struct Belief {
    distance: i64,
    /// Where it leapt to, and at which uptime.
    doubted: Option<(i64, Duration)>,
}

/// The wall clock ran ahead of the time that has passed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the wall clock ran {} s ahead of the time that has passed: nothing is deleted by age for {} s more, if it stays so; \
    set it right, or start anew if it is right",
    .by.as_secs(), .left.as_secs()
)]
pub struct Ahead {
    /// How far.
    pub by: Duration,
    /// How much longer it must stand to be believed.
    pub left: Duration,
}

impl Trust {
    fn new(wall: Timestamp) -> Self {
        Self(Mutex::new(Belief { distance: wall.0, doubted: None }))
    }

    fn judge(&self, wall: Timestamp, uptime: Duration) -> Result<Timestamp, Ahead> {
        let (millis, leap) = (|by: Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX), LEAP.as_millis());
        let near = |a: i64, b: i64| u128::from(a.abs_diff(b)) <= leap;
        let distance = wall.0.saturating_sub(millis(uptime));
        let mut belief = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if distance <= belief.distance || near(distance, belief.distance) {
            *belief = Belief { distance, doubted: None };
            return Ok(wall);
        }
        let since = match belief.doubted {
            Some((to, since)) if near(distance, to) => since,
            _ => uptime,
        };
        let left = STANDS.saturating_sub(uptime.saturating_sub(since));
        if left.is_zero() {
            *belief = Belief { distance, doubted: None };
            return Ok(wall);
        }
        if since == uptime {
            belief.doubted = Some((distance, uptime));
        }
        Err(Ahead { by: Duration::from_millis(distance.abs_diff(belief.distance)), left })
    }
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        let (start, trust) = (Instant::now(), Arc::new(Trust::new(system_now())));
        Self::System { start, trust }
    }

    /// A clock that stands at `at`.
    pub fn manual(at: Timestamp) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock { now: watch::Sender::new((at, Duration::ZERO)), trust: Trust::new(at) });
        (Self::Manual(clock.clone()), clock)
    }

    /// Wall time. It can jump: measure how long something took with `uptime`.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System { .. } => system_now(),
            Self::Manual(clock) => clock.now.borrow().0,
        }
    }

    /// Wall time, for what deletes by age; refused while it is in doubt.
    ///
    /// The rule: the wall clock of the start is believed. When it runs ahead of uptime by more than an hour since it was
    /// last believed, it is refused until it has stood there, to the hour, for 24 hours of uptime; when it goes back to
    /// where it was, or further, it is believed at once. A start believes whatever clock it finds. A machine that slept has
    /// its clock ahead of uptime, too: what is old by then is deleted a day later.
    pub fn settled(&self) -> Result<Timestamp, Ahead> {
        match self {
            Self::System { start, trust } => trust.judge(system_now(), start.elapsed()),
            Self::Manual(clock) => {
                let (wall, uptime) = *clock.now.borrow();
                clock.trust.judge(wall, uptime)
            }
        }
    }

    /// Time that only ever goes forward, from when this clock was made.
    pub fn uptime(&self) -> Duration {
        match self {
            Self::System { start, .. } => start.elapsed(),
            Self::Manual(clock) => clock.now.borrow().1,
        }
    }

    /// Waits until `uptime` has grown by `by`.
    pub async fn sleep(&self, by: Duration) {
        self.sleep_until(self.uptime() + by).await;
    }

    /// Waits until `uptime` is `until`, or is past it already.
    pub async fn sleep_until(&self, until: Duration) {
        match self {
            Self::System { start, .. } => tokio::time::sleep(until.saturating_sub(start.elapsed())).await,
            Self::Manual(clock) => {
                let mut now = clock.now.subscribe();
                // The sender lives in `clock`, so waiting cannot fail.
                let _ = now.wait_for(|(_, elapsed)| *elapsed >= until).await;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one home of the system clock")]
fn system_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(Timestamp::MAX.0).min(Timestamp::MAX.0))
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

    const HOUR: Duration = Duration::from_secs(3600);

    /// Small steps are believed, however many; a leap is not, until it has stood for a day.
    #[test]
    fn a_leap_must_stand_to_be_believed() {
        let (clock, manual) = Clock::manual(Timestamp(0));
        for _ in 0..48 {
            manual.advance(HOUR);
            manual.jump(clock.now().plus(HOUR));
            assert_eq!(clock.settled().ok(), Some(clock.now()));
        }
        manual.jump(clock.now().plus(HOUR + Duration::from_millis(1)));
        for _ in 0..24 {
            assert!(clock.settled().is_err());
            manual.advance(HOUR);
        }
        assert_eq!(clock.settled().ok(), Some(clock.now()));
    }

    /// A clock that leaps from one place to the next is never believed, and at once when it is back.
    #[test]
    fn a_clock_that_leaps_about_is_not_believed() {
        let (clock, manual) = Clock::manual(Timestamp(0));
        for day in 1..10 {
            manual.jump(Timestamp(day * 864_000_000));
            let ahead = clock.settled().expect_err("it leapt");
            assert_eq!((ahead.left, ahead.by > HOUR), (STANDS, true), "{ahead}");
            manual.advance(23 * HOUR);
            assert!(clock.settled().is_err());
        }
        manual.jump(Timestamp(9 * 23 * 3_600_000));
        assert!(clock.settled().is_ok());
        manual.jump(Timestamp::MIN);
        assert!(clock.settled().is_ok());
        manual.jump(Timestamp::MAX);
        assert!(clock.settled().is_err());
    }
}
