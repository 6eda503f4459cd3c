//! The values in memory: found by name for the host's own functions, and masked out of what plugins say.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;

/// What stands in the place of a value.
const MASK: &str = "***";
/// Shorter values are not looked for in texts: they would be found everywhere.
pub const SHORTEST: usize = 6;

/// Secrets by name. Clones share them.
#[derive(Clone, Default)]
pub struct Secrets(Arc<ArcSwap<BTreeMap<String, Known>>>);

/// What is known of a secret.
#[derive(Clone)]
pub enum Known {
    /// Its value.
    Open(Arc<Value>),
    /// Why its value cannot be had, in words.
    Closed(Arc<str>),
}

/// A value, and the forms in which it may turn up in a text. It has no `Debug`: it is never shown.
pub struct Value {
    plain: Arc<str>,
    forms: Vec<String>,
}

impl Known {
    /// What is known of a secret with this value.
    pub fn open(value: &str) -> Self {
        let mut forms = Vec::new();
        if value.len() >= SHORTEST {
            for form in [value.to_owned(), escaped(value), percent(value)] {
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        Self::Open(Arc::new(Value { plain: value.into(), forms }))
    }

    /// What is known of a secret whose value cannot be had.
    pub fn closed(why: &str) -> Self {
        Self::Closed(why.into())
    }
}

impl Secrets {
    /// Replaces all secrets.
    pub fn replace(&self, secrets: BTreeMap<String, Known>) {
        self.0.store(Arc::new(secrets));
    }

    /// Sets one secret to a value.
    pub fn set(&self, name: &str, value: &str) {
        self.put(name, Some(&Known::open(value)));
    }

    /// Says what is known of a secret; `None` when it is gone.
    pub fn put(&self, name: &str, known: Option<&Known>) {
        self.0.rcu(|secrets| {
            let mut secrets = BTreeMap::clone(secrets);
            match known {
                Some(known) => drop(secrets.insert(name.to_owned(), known.clone())),
                None => drop(secrets.remove(name)),
            }
            secrets
        });
    }

    /// The value of a secret, or why there is none, in words.
    pub fn find(&self, name: &str) -> Result<Arc<str>, String> {
        match self.0.load().get(name) {
            Some(Known::Open(value)) => Ok(value.plain.clone()),
            Some(Known::Closed(why)) => Err(format!("the secret {name:?} cannot be used: {why}")),
            None => Err(format!("there is no secret {name:?}")),
        }
    }

    /// Why the value of a secret cannot be had, if it cannot.
    pub fn fault(&self, name: &str) -> Option<Arc<str>> {
        match self.0.load().get(name) {
            Some(Known::Closed(why)) => Some(why.clone()),
            _ => None,
        }
    }

    /// The name of a secret whose value stands in the text.
    pub fn named_in(&self, text: &str) -> Option<String> {
        let secrets = self.0.load();
        let found = forms(&secrets).find(|(_, form)| text.contains(*form));
        found.map(|(name, _)| name.to_owned())
    }

    /// A text without the values of secrets: `***` stands in the place of each.
    pub fn mask(&self, mut text: String) -> String {
        let secrets = self.0.load();
        for form in longest_first(&secrets) {
            if text.contains(form) {
                text = text.replace(form, MASK);
            }
        }
        text
    }

    /// As `mask`, for bytes that need not be text.
    pub fn mask_bytes(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let secrets = self.0.load();
        for form in longest_first(&secrets) {
            if let Some(masked) = replaced(&bytes, form.as_bytes(), MASK.as_bytes()) {
                bytes = masked;
            }
        }
        bytes
    }
}

fn forms(secrets: &BTreeMap<String, Known>) -> impl Iterator<Item = (&str, &str)> {
    secrets.iter().flat_map(|(name, known)| {
        let forms = match known {
            Known::Open(value) => value.forms.as_slice(),
            Known::Closed(_) => &[],
        };
        forms.iter().map(move |form| (name.as_str(), form.as_str()))
    })
}

/// A value may begin with another: what is left of the longer one would be shown.
fn longest_first(secrets: &BTreeMap<String, Known>) -> Vec<&str> {
    let mut all: Vec<&str> = forms(secrets).map(|(_, form)| form).collect();
    all.sort_by_key(|form| std::cmp::Reverse(form.len()));
    all
}

/// `None` when there was nothing to replace.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let (&first, most) = (from.first()?, bytes.len().checked_sub(from.len())?);
    let (mut out, mut kept, mut at) = (Vec::new(), 0, 0);
    while at <= most {
        match bytes[at..=most].iter().position(|&byte| byte == first) {
            None => break,
            Some(step) => at += step,
        }
        if bytes[at..].starts_with(from) {
            out.extend_from_slice(&bytes[kept..at]);
            out.extend_from_slice(to);
            at += from.len();
            kept = at;
        } else {
            at += 1;
        }
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[kept..]);
    Some(out)
}

/// As it stands between the quotes of a JSON string.
fn escaped(value: &str) -> String {
    serde_json::Value::from(value).to_string().trim_matches('"').to_owned()
}

/// As it stands in a URL (RFC 3986, section 2.1).
fn percent(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_in_every_form() {
        let secrets = Secrets::default();
        secrets.set("token", "a \"b\"/c-d");
        secrets.set("pin", "1234");
        let told = "got a \"b\"/c-d, {\"t\": \"a \\\"b\\\"/c-d\"}, ?t=a%20%22b%22%2Fc-d, 1234";
        let masked = "got ***, {\"t\": \"***\"}, ?t=***, 1234";
        assert_eq!(secrets.mask(told.to_owned()), masked);
        assert_eq!(secrets.mask_bytes(told.as_bytes().to_vec()), masked.as_bytes());
        assert_eq!(secrets.named_in(told).as_deref(), Some("token"));
        assert_eq!(secrets.named_in(masked), None);
    }

    #[test]
    fn a_value_that_begins_with_another_is_masked_as_a_whole() {
        let secrets = Secrets::default();
        secrets.set("a", "hunter2");
        secrets.set("b", "hunter2-and-more");
        assert_eq!(secrets.mask("hunter2-and-more, hunter2".to_owned()), "***, ***");
        assert_eq!(secrets.mask_bytes(b"hunter2-and-more".to_vec()), b"***");
    }

    #[test]
    fn bytes_are_replaced_wherever_they_stand() {
        let x = |text: &str| replaced(text.as_bytes(), b"aab", b"-").map(|out| String::from_utf8(out).unwrap());
        assert_eq!(x("aab").as_deref(), Some("-"));
        assert_eq!(x("aaab aab").as_deref(), Some("a- -"));
        assert_eq!(x("aabaab!").as_deref(), Some("--!"));
        assert_eq!(x("aa"), None);
        assert_eq!(x("baa"), None);
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        let secrets = Secrets::default();
        secrets.put("token", Some(&Known::closed("another key")));
        assert_eq!(secrets.find("token").unwrap_err(), "the secret \"token\" cannot be used: another key");
        secrets.put("token", None);
        assert_eq!(secrets.find("token").unwrap_err(), "there is no secret \"token\"");
    }
}
