//! The values in memory: found by name for the host's own functions, and masked out of what plugins say.

use std::{collections::BTreeMap, sync::Arc};

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in the place of a value.
const MASK: &str = "***";
/// Shorter values are not looked for in texts: they would be found everywhere.
pub const SHORTEST: usize = 6;
/// What a URL writes otherwise (RFC 3986, section 2.1 and 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Secrets by name. Clones share them.
#[derive(Clone, Default)]
pub struct Secrets(Arc<ArcSwap<Snapshot>>);

/// What is known, and how its values are found in texts; made anew with every change.
#[derive(Default)]
struct Snapshot {
    known: BTreeMap<String, Known>,
    /// Absent while there is nothing to look for.
    values: Option<Values>,
}

/// Finds every form of every value in one pass; where several begin at one place, the longest.
struct Values {
    finder: AhoCorasick,
    /// Of each pattern, the secret.
    names: Vec<String>,
}

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
            for form in [value.to_owned(), escaped(value), utf8_percent_encode(value, RESERVED).to_string()] {
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
        self.0.store(Arc::new(Snapshot::of(secrets)));
    }

    /// Sets one secret to a value.
    pub fn set(&self, name: &str, value: &str) {
        self.put(name, Some(&Known::open(value)));
    }

    /// Says what is known of a secret; `None` when it is gone.
    pub fn put(&self, name: &str, known: Option<&Known>) {
        self.0.rcu(|secrets| {
            let mut secrets = secrets.known.clone();
            match known {
                Some(known) => drop(secrets.insert(name.to_owned(), known.clone())),
                None => drop(secrets.remove(name)),
            }
            Snapshot::of(secrets)
        });
    }

    /// The value of a secret, or why there is none, in words.
    pub fn find(&self, name: &str) -> Result<Arc<str>, String> {
        match self.0.load().known.get(name) {
            Some(Known::Open(value)) => Ok(value.plain.clone()),
            Some(Known::Closed(why)) => Err(format!("the secret {name:?} cannot be used: {why}")),
            None => Err(format!("there is no secret {name:?}")),
        }
    }

    /// Why the value of a secret cannot be had, if it cannot.
    pub fn fault(&self, name: &str) -> Option<Arc<str>> {
        match self.0.load().known.get(name) {
            Some(Known::Closed(why)) => Some(why.clone()),
            _ => None,
        }
    }

    /// The name of a secret whose value stands in the text.
    pub fn named_in(&self, text: &str) -> Option<String> {
        let secrets = self.0.load();
        let Values { finder, names } = secrets.values.as_ref()?;
        finder.find(text).map(|found| names[found.pattern()].clone())
    }

    /// A text without the values of secrets: `***` stands in the place of each.
    pub fn mask(&self, text: String) -> String {
        let secrets = self.0.load();
        let Some(Values { finder, .. }) = secrets.values.as_ref().filter(|values| values.finder.is_match(&text)) else {
            return text;
        };
        let mut masked = String::with_capacity(text.len());
        finder.replace_all_with(&text, &mut masked, |_, _, masked| {
            masked.push_str(MASK);
            true
        });
        masked
    }

    /// As `mask`, for bytes that need not be text.
    pub fn mask_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let secrets = self.0.load();
        let Some(Values { finder, .. }) = secrets.values.as_ref().filter(|values| values.finder.is_match(&bytes))
        else {
            return bytes;
        };
        let mut masked = Vec::with_capacity(bytes.len());
        finder.replace_all_with_bytes(&bytes, &mut masked, |_, _, masked| {
            masked.extend_from_slice(MASK.as_bytes());
            true
        });
        masked
    }
}

impl Snapshot {
    fn of(known: BTreeMap<String, Known>) -> Self {
        let open = known.iter().flat_map(|(name, known)| match known {
            Known::Open(value) => value.forms.iter().map(|form| (name, form)).collect(),
            Known::Closed(_) => Vec::new(),
        });
        let (names, forms): (Vec<String>, Vec<&String>) = open.map(|(name, form)| (name.clone(), form)).unzip();
        let values = (!forms.is_empty()).then(|| {
            let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms);
            Values { finder: finder.expect("the values of all secrets are far from 2 GiB"), names }
        });
        Self { known, values }
    }
}

/// As it stands between the quotes of a JSON string.
fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
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
    fn bytes_are_masked_wherever_they_stand() {
        let secrets = Secrets::default();
        secrets.set("token", "aaaaab");
        let x = |bytes: &[u8]| secrets.mask_bytes(bytes.to_vec());
        assert_eq!(x(b"aaaaab"), b"***");
        assert_eq!(x(b"\xffaaaaaab aaaaab"), b"\xffa*** ***");
        assert_eq!(x(b"aaaaabaaaaab!"), b"******!");
        assert_eq!(x(b"aaaaa"), b"aaaaa");
    }

    #[test]
    fn a_value_in_quotes_is_masked_in_json() {
        let secrets = Secrets::default();
        secrets.set("token", "\"in quotes\"");
        assert_eq!(secrets.mask(r#"{"t": "\"in quotes\""}"#.to_owned()), r#"{"t": "***"}"#);
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
