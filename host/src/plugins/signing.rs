//! Signatures of components: plain Ed25519 (RFC 8032) over the bytes of the file, made with a key that the operator trusts.
//!
//! A signature stands beside the component (`NAME.wasm.sig`, or the header of an upload), or inside of it: in a last custom
//! section `looma.signature`, over every byte before that section. It is looked at before anything of the component is
//! parsed or run. Where a signature is required, whatever is not known to be good is refused; a signature that is wrong is
//! refused everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// The custom section that a signature stands in.
const SECTION: &[u8] = b"looma.signature";
/// What a signature begins with.
const FORM: &str = "ed25519";
const HEADER: usize = 8;

/// A signature, and which key it says it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key_id: String,
    bytes: [u8; 64],
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM}:{}:{}", self.key_id, STANDARD.encode(self.bytes))
    }
}

impl FromStr for Signature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "its signature is not of the form ed25519:KEY:SIGNATURE".to_owned();
        let mut parts = text.trim().split(':');
        let (Some(FORM), Some(key_id), Some(bytes), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form());
        };
        let is_id = key_id.len() == 16 && key_id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        let bytes = STANDARD.decode(bytes).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(bytes) if is_id => Ok(Self { key_id: key_id.to_owned(), bytes }),
            _ => Err(form()),
        }
    }
}

/// A key that signatures are checked with, under the name that people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; 32],
}

impl PublicKey {
    fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.bytes)[..8])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not of the form NAME:KEY, with 32 bytes in base64 as the key");
        let (name, key) = text.trim().split_once(':').ok_or_else(form)?;
        let bytes = STANDARD.decode(key).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(form)?;
        if !is_name(name) {
            return Err(format!(
                "{name:?} is not a name for a key: use 1 to 100 letters, digits, `.`, `_`, `@` and `-`"
            ));
        }
        Ok(Self { name: name.to_owned(), bytes })
    }
}

/// A key that signs. It has no `Debug`: it is never shown.
pub struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key of a seed; the name is for people.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, String> {
        if !is_name(name) {
            return Err(format!(
                "{name:?} is not a name for a key: use 1 to 100 letters, digits, `.`, `_`, `@` and `-`"
            ));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "the key is not one of Ed25519".to_owned())?;
        Ok(Self { name: name.to_owned(), pair })
    }

    /// The key to check with.
    pub fn public(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref().try_into().expect("a public key of Ed25519 has 32 bytes");
        PublicKey { name: self.name.clone(), bytes }
    }

    /// The signature of a component, to stand beside it.
    pub fn sign(&self, wasm: &[u8]) -> Signature {
        let bytes = self.pair.sign(wasm).as_ref().try_into().expect("a signature of Ed25519 has 64 bytes");
        Signature { key_id: self.public().id(), bytes }
    }

    /// The component with its signature inside, in the place of one that was there.
    pub fn embed(&self, wasm: &[u8]) -> Result<Vec<u8>, String> {
        let (wasm, _) = taken_apart(wasm)?;
        let content = self.sign(wasm).to_string();
        let name = u8::try_from(SECTION.len()).expect("the name is short");
        let size = u16::try_from(1 + SECTION.len() + content.len()).expect("a signature is short");
        // The size takes two bytes of LEB128: it is over 127 and under 16384.
        let [low, high] = [(size & 0x7f | 0x80) as u8, (size >> 7) as u8];
        Ok([wasm, &[0, low, high, name], SECTION, content.as_bytes()].concat())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'@' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whose signatures count, and whether there must be one.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: BTreeMap<String, PublicKey>,
    required: bool,
}

impl Trust {
    /// Trusts `keys`, each as `NAME:KEY`.
    pub fn new(keys: &[String], required: Required) -> anyhow::Result<Self> {
        let read = keys.iter().map(|text| {
            let key: PublicKey =
                text.parse().map_err(anyhow::Error::msg).context("plugins.trusted_keys is not right")?;
            Ok((key.id(), key))
        });
        Ok(Self { keys: read.collect::<anyhow::Result<_>>()?, required: required == Required::Yes })
    }

    /// Who signed a component; `beside` is the signature that came with it. An error says why it is not taken.
    pub fn check(&self, wasm: &[u8], beside: Option<&str>) -> Result<Option<String>, String> {
        let (signed, inside) = match taken_apart(wasm) {
            Ok(parts) => parts,
            // What cannot be taken apart carries no signature inside. It is no component either, which is told later.
            Err(_) if !self.required => (wasm, None),
            Err(why) => return Err(why),
        };
        let mut unknown = None;
        let mut signer = None;
        for (bytes, text) in [(wasm, beside), (signed, inside)] {
            let Some(text) = text else { continue };
            let Signature { key_id, bytes: signature } = text.parse()?;
            match self.keys.get(&key_id) {
                None => unknown = Some(key_id),
                Some(key) => match UnparsedPublicKey::new(&ED25519, key.bytes).verify(bytes, &signature) {
                    Ok(()) => signer = signer.or_else(|| Some(key.name.clone())),
                    Err(_) => return Err(format!("its signature by {} is not of this file", key.name)),
                },
            }
        }
        match (signer, unknown) {
            (Some(signer), _) => Ok(Some(signer)),
            (None, _) if !self.required => Ok(None),
            (None, Some(key_id)) => Err(format!("it is signed with the key {key_id}, which is not trusted here")),
            (None, None) => Err("it is not signed, and this server takes signed plugins alone".to_owned()),
        }
    }
}

/// Whether there must be a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// What has none is refused.
    Yes,
    /// What has none is taken.
    No,
}

impl From<bool> for Required {
    fn from(required: bool) -> Self {
        if required { Self::Yes } else { Self::No }
    }
}

/// What a signature inside covers, and that signature; the section must be the last.
fn taken_apart(wasm: &[u8]) -> Result<(&[u8], Option<&str>), String> {
    let broken = || "the file is not a whole component".to_owned();
    let mut at = HEADER;
    while at < wasm.len() {
        let (size, length) = leb128(&wasm[at + 1..]).ok_or_else(broken)?;
        let start = at + 1 + length;
        let section = wasm.get(start..).and_then(|rest| rest.get(..size)).ok_or_else(broken)?;
        let name = section.get(1..).and_then(|rest| rest.get(..SECTION.len()));
        if wasm[at] == 0 && section.first() == u8::try_from(SECTION.len()).ok().as_ref() && name == Some(SECTION) {
            if start + size != wasm.len() {
                return Err("something stands behind its signature, which must be the last section".to_owned());
            }
            let text = std::str::from_utf8(&section[1 + SECTION.len()..]);
            return Ok((&wasm[..at], Some(text.map_err(|_| "its signature is not text".to_owned())?)));
        }
        at = start + size;
    }
    Ok((wasm, None))
}

/// An unsigned number of at most 32 bits, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &[u8] = b"\0asm\x0d\0\x01\0\x00\x06\x04note-";

    fn key(seed: u8) -> SigningKey {
        SigningKey::new(&format!("key-{seed}"), &[seed; 32]).unwrap()
    }

    fn trust(keys: &[&SigningKey], required: Required) -> Trust {
        Trust::new(&keys.iter().map(|key| key.public().to_string()).collect::<Vec<_>>(), required).unwrap()
    }

    #[test]
    fn both_places_of_a_signature_count() {
        let (one, other) = (key(1), key(2));
        let trust = trust(&[&one], Required::Yes);
        let beside = one.sign(PLAIN).to_string();
        assert_eq!(trust.check(PLAIN, Some(&beside)), Ok(Some("key-1".to_owned())));
        let inside = one.embed(PLAIN).unwrap();
        assert_eq!(trust.check(&inside, None), Ok(Some("key-1".to_owned())));
        assert_eq!(one.embed(&other.embed(PLAIN).unwrap()).unwrap(), inside);
        // Somebody else's signature does no harm beside a good one.
        assert_eq!(trust.check(&inside, Some(&other.sign(&inside).to_string())), Ok(Some("key-1".to_owned())));
    }

    #[test]
    fn whatever_is_not_known_to_be_good_is_refused_where_it_is_required() {
        let (one, other) = (key(1), key(2));
        let trust = trust(&[&one], Required::Yes);
        let inside = one.embed(PLAIN).unwrap();
        let tampered = [&PLAIN[..PLAIN.len() - 1], b"!"].concat();
        let mut changed = inside.clone();
        changed[PLAIN.len() - 1] = b'!';
        for (wasm, beside, told) in [
            (PLAIN, None, "it is not signed"),
            (PLAIN, Some(other.sign(PLAIN).to_string()), "is not trusted here"),
            (&tampered[..], Some(one.sign(PLAIN).to_string()), "its signature by key-1 is not of this file"),
            (&changed[..], None, "its signature by key-1 is not of this file"),
            (&[&inside[..], b"\0\x02\x01x"].concat()[..], None, "something stands behind its signature"),
            (PLAIN, Some("garbage".to_owned()), "not of the form"),
            (PLAIN, Some(String::new()), "not of the form"),
            (PLAIN, Some(format!("{}:x", one.sign(PLAIN))), "not of the form"),
            (&PLAIN[..PLAIN.len() - 2], None, "not a whole component"),
            (&inside[..], Some("garbage".to_owned()), "not of the form"),
        ] {
            let why = trust.check(wasm, beside.as_deref()).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
        let nobody = Trust::new(&[], Required::Yes).unwrap();
        assert!(nobody.check(&inside, None).is_err());
    }

    #[test]
    fn a_wrong_signature_is_refused_where_none_is_required() {
        let (one, other) = (key(1), key(2));
        let trust = trust(&[&one], Required::No);
        assert_eq!(trust.check(PLAIN, None), Ok(None));
        assert_eq!(trust.check(PLAIN, Some(&other.sign(PLAIN).to_string())), Ok(None));
        assert_eq!(trust.check(b"garbage", None), Ok(None));
        assert!(trust.check(b"other bytes", Some(&one.sign(PLAIN).to_string())).is_err());
        assert!(trust.check(PLAIN, Some("garbage")).is_err());
    }

    #[test]
    fn keys_are_read_with_their_names() {
        for wrong in ["", "name", "name:", "name:AAAA", ":AAAA", "a b:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
        let text = key(1).public().to_string();
        assert_eq!(text.parse::<PublicKey>().unwrap().to_string(), text);
        assert!(Trust::new(&["x".to_owned()], Required::No).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(bytes: Vec<u8>) {
            let trust = trust(&[&key(1)], Required::Yes);
            prop_assert!(trust.check(&bytes, None).is_err());
        }
    }
}
