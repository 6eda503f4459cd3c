//! Refresh tokens: made and read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::ids::SessionId;

fn mac(key: &[u8; 32], payload: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(b"looma refresh token\0");
    mac.update(payload.as_bytes());
    mac
}

/// The refresh token of a session's generation.
pub fn make(key: &[u8; 32], session: &SessionId, generation: i64) -> String {
    let payload = format!("{session}.{generation}");
    let code = URL_SAFE_NO_PAD.encode(mac(key, &payload).finalize().into_bytes());
    format!("{payload}.{code}")
}

/// Session and generation of a token that was made here; `None` for anything else.
pub fn read(key: &[u8; 32], token: &str) -> Option<(SessionId, i64)> {
    let (payload, code) = token.rsplit_once('.')?;
    let code = URL_SAFE_NO_PAD.decode(code).ok()?;
    mac(key, payload).verify_slice(&code).ok()?;
    let (session, generation) = payload.rsplit_once('.')?;
    Some((SessionId::from(session), generation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_made_and_nothing_else() {
        let session = SessionId::from("s-1");
        let token = make(&[1; 32], &session, 3);
        assert_eq!(read(&[1; 32], &token), Some((session, 3)));
        assert_eq!(read(&[2; 32], &token), None);
        assert_eq!(read(&[1; 32], &token.replace(".3.", ".4.")), None);
        assert_eq!(read(&[1; 32], "no token"), None);
    }
}
