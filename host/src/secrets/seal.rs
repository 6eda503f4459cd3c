//! Sealing: ChaCha20-Poly1305 (RFC 8439) under a key that is never in the database. What is sealed for one name and version
//! opens for no other.

use anyhow::anyhow;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// Seals values and opens them.
pub struct Seal {
    key: LessSafeKey,
    id: String,
}

impl Seal {
    /// Seals under `key`.
    pub fn new(key: [u8; 32]) -> Self {
        let id = Sha256::new().chain_update(b"looma secrets key\0").chain_update(key).finalize();
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has the 32 bytes that the cipher takes");
        Self { key: LessSafeKey::new(key), id: hex::encode(&id[..8]) }
    }

    /// Tells keys apart, and nothing else of them.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals the value of a version. `nonce` is random, and used for nothing else.
    pub fn seal(&self, name: &str, version: i64, value: &str, nonce: [u8; NONCE_LEN]) -> anyhow::Result<String> {
        let mut sealed = value.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(unique, Aad::from(bound(name, version)), &mut sealed)
            .map_err(|_| anyhow!("could not seal the secret {name:?}"))?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what `seal` made; `None` for anything else.
    pub fn open(&self, name: &str, version: i64, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut value = sealed.to_vec();
        let unique = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(unique, Aad::from(bound(name, version)), &mut value).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

/// What a sealed value belongs to.
fn bound(name: &str, version: i64) -> Vec<u8> {
    format!("looma secret\0{name}\0{version}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_key_name_and_version_alone() {
        let (seal, other) = (Seal::new([1; 32]), Seal::new([2; 32]));
        let sealed = seal.seal("token", 3, "s3cret value", [9; 12]).unwrap();
        assert_eq!(seal.open("token", 3, &sealed).as_deref(), Some("s3cret value"));
        assert_eq!(seal.open("token", 4, &sealed), None);
        assert_eq!(seal.open("other", 3, &sealed), None);
        assert_eq!(other.open("token", 3, &sealed), None);
        assert_eq!(seal.open("token", 3, &sealed.replace(&sealed[20..21], "_")), None);
        assert_ne!(seal.id(), other.id());
    }
}
