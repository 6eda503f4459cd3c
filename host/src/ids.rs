//! Names that are types, and where new ones come from. Nothing else makes identifiers or randomness.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::clock::Clock;

/// Declares a text identifier: a newtype that is plain text in JSON, in SQL and in paths.
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = String)]
        pub struct $name(pub String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )+};
}

id! {
    /// A registered service: one running instance.
    ServiceId,
    /// A machine that services run on.
    NodeId,
    /// Somebody who signs in.
    UserId,
    /// One sign-in of one user.
    SessionId,
    /// An API token.
    TokenId,
    /// One running `looma serve`.
    ReplicaId,
    /// One request, as logs, answers and audit name it.
    RequestId,
}

/// The number of the change feed: rises by one with each change that others must see.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schema(value_type = i64)]
pub struct Revision(pub i64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes identifiers and secrets.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    /// Milliseconds and a counter of 12 bits, of the newest identifier.
    newest: Arc<AtomicU64>,
}

impl Ids {
    /// Identifiers that are dated by `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { clock, newest: Arc::default() }
    }

    /// A UUID of version 7 (RFC 9562): later ones of this process sort after earlier ones, those of one millisecond and
    /// those of a clock that was set back too. The 12 bits after the time count (section 6.2, method 1).
    pub fn next(&self) -> String {
        let now = u64::try_from(self.clock.now().millis()).unwrap_or(0) << 12;
        let later = |newest: u64| Some(now.max(newest + 1));
        let newest = self.newest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).unwrap_or_default();
        let place = now.max(newest + 1);
        let mut bytes: [u8; 10] = random();
        bytes[..2].copy_from_slice(&((place & 0xfff) as u16).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(place >> 12, &bytes).into_uuid().to_string()
    }

    /// `N` random bytes from the operating system.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        random()
    }

    /// A secret that can be typed: `N` random bytes in URL-safe base64.
    pub fn secret<const N: usize>(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<N>())
    }
}

#[expect(clippy::disallowed_methods, reason = "the one home of randomness")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn later_identifiers_sort_after_earlier_ones() {
        let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (clock, manual) = Clock::manual(at);
        let ids = Ids::new(clock);
        let mut made: Vec<String> = (0..10_000).map(|_| ids.next()).collect();
        manual.advance(Duration::from_secs(1));
        made.push(ids.next());
        manual.jump(at);
        made.push(ids.clone().next());
        assert!(made.is_sorted_by(|a, b| a < b));
        assert!(made.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'));
    }
}
