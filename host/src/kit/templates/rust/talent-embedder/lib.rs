//! A talent embedder: a small one that counts hashed words. It shows the shape; a real one carries the weights of a model.

mod lifecycle;

use exports::looma::talent::embedder::{Guest, Model, PluginError, Subject};
use looma::plugin::types::Problem;
use serde::Deserialize;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/talent"],
    world: "looma:talent/talent-embedder",
    generate_all,
});

const DIMENSIONS: usize = 8;

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether capitals matter.
    #[serde(default)]
    case_sensitive: bool,
}

impl Config {
    /// What is wrong with it that its type cannot say.
    fn faults(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The plugin.
struct Component;

impl Guest for Component {
    fn about() -> Model {
        Model { id: "hashed-words-1".to_owned(), dimensions: DIMENSIONS as u32, languages: vec!["en".to_owned()] }
    }

    /// `DIMENSIONS` numbers a text, one text after the other, each of length 1.
    fn embed(config: String, _subject: Subject, texts: Vec<String>) -> Result<Vec<f32>, PluginError> {
        let config = lifecycle::read(&config)?;
        Ok(texts.iter().flat_map(|text| vector(text, &config)).collect())
    }
}

export!(Component);

fn vector(text: &str, config: &Config) -> [f32; DIMENSIONS] {
    let mut vector = [0.0_f32; DIMENSIONS];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = if config.case_sensitive { word.to_owned() } else { word.to_lowercase() };
        vector[hash(&word) % DIMENSIONS] += 1.0;
    }
    let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without words needs a vector too.
        vector[0] = 1.0;
        return vector;
    }
    vector.map(|n| n / length)
}

/// FNV-1a: the same on every machine.
fn hash(word: &str) -> usize {
    word.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) as usize
}
