//! Names that stand twice in one JSON object. Parsers take the last and say nothing; whoever sent it meant one of them, and
//! nobody knows which (RFC 8259, section 4). It reads keys alone, and keeps no value.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Up to here keys are compared one by one; beyond, they are sorted.
const FEW: usize = 16;

/// JSON pointers (RFC 6901) of the names that stand twice, at most `most`. Text that is no JSON has none.
pub fn repeated(json: &[u8], most: usize) -> Vec<String> {
    let mut found = Found { at: Vec::new(), repeated: Vec::new(), most };
    let mut reader = serde_json::Deserializer::from_slice(json);
    // That it is JSON is for others to say.
    let _ = Inside(&mut found).deserialize(&mut reader);
    found.repeated
}

/// Where the reader is, and what it found.
struct Found<'de> {
    at: Vec<Step<'de>>,
    repeated: Vec<String>,
    most: usize,
}

enum Step<'de> {
    Name(Cow<'de, str>),
    Index(usize),
}

impl Found<'_> {
    fn note(&mut self, name: &str) {
        if self.repeated.len() == self.most {
            return;
        }
        let mut pointer = String::new();
        for step in &self.at {
            pointer.push('/');
            match step {
                Step::Name(name) => pointer.push_str(&super::body::escaped(name)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        self.repeated.push(format!("{pointer}/{}", super::body::escaped(name)));
    }
}

/// Reads one value.
struct Inside<'a, 'de>(&'a mut Found<'de>);

impl<'de> DeserializeSeed<'de> for Inside<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inside<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(found) = self;
        for index in 0.. {
            found.at.push(Step::Index(index));
            let item = items.next_element_seed(Inside(found))?;
            found.at.pop();
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self(found) = self;
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Name(name)) = fields.next_key()? {
            if names.len() < FEW && names.contains(&name) {
                found.note(&name);
            }
            names.push(name.clone());
            found.at.push(Step::Name(name));
            fields.next_value_seed(Inside(found))?;
            found.at.pop();
        }
        if names.len() > FEW {
            // Those among the first few are told already.
            let mut rest: Vec<(&Cow<'de, str>, usize)> = names.iter().zip(0..).collect();
            rest.sort_unstable();
            for pair in rest.windows(2) {
                if let [(a, _), (b, place)] = pair
                    && a == b
                    && *place >= FEW
                {
                    found.note(b);
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        reader.deserialize_str(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_that_stands_twice_is_found_at_its_place() {
        let json = br#"{"a": 1, "b": {"c": [{"d": 1, "\u0064": 2}, {"x/y": 0, "x/y": 1}]}, "a": {"e": 1}, "n": null}"#;
        assert_eq!(repeated(json, 10), ["/b/c/0/d", "/b/c/1/x~1y", "/a"]);
        assert_eq!(repeated(json, 1), ["/b/c/0/d"]);
        assert!(repeated(br#"{"a": {"a": [1.5, -2, true, "a"]}, "b": {"a": 1}}"#, 10).is_empty());
    }

    #[test]
    fn in_large_objects_too() {
        let fields = |extra: &[&str]| {
            let many =
                (0..40).map(|n| format!("\"k{n}\": {n}")).chain(extra.iter().map(|name| format!("\"{name}\": 0")));
            format!("{{{}}}", many.collect::<Vec<_>>().join(", ")).into_bytes()
        };
        assert!(repeated(&fields(&[]), 10).is_empty());
        assert_eq!(repeated(&fields(&["k3", "k39", "new"]), 10), ["/k3", "/k39"]);
    }

    #[test]
    fn what_is_no_json_has_none() {
        for text in ["", "{", "{\"a\": 1, \"a\"", "nope"] {
            repeated(text.as_bytes(), 10);
        }
    }
}
