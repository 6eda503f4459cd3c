//! Passwords: argon2id (RFC 9106) with 19 MiB and two passes, as OWASP's password storage cheat sheet advises.

use anyhow::anyhow;
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};

/// The shortest password that is taken.
pub const SHORTEST: usize = 12;
/// The longest.
pub const LONGEST: usize = 1024;

fn hasher() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(19_456, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password to a PHC string. Takes about 20 ms of a core.
pub fn hash(password: &str, salt: &[u8; 16]) -> anyhow::Result<String> {
    let hash = hasher()?.hash_password_with_salt(password.as_bytes(), salt).map_err(|error| anyhow!("{error}"))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one that `hash` was made of.
pub fn verify(password: &str, hash: &str) -> anyhow::Result<bool> {
    let hash = PasswordHash::new(hash).map_err(|error| anyhow!("could not read a password hash: {error}"))?;
    Ok(hasher()?.verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_that_was_hashed_is_right() {
        let hash = hash("correct horse battery", &[7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery", &hash).unwrap());
        assert!(!verify("correct horse batterY", &hash).unwrap());
        assert!(verify("x", "no hash").is_err());
    }
}
