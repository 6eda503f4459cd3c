//! What `examples/` shows is what the program does.

use std::path::PathBuf;

use looma::settings::{Flags, Settings};

fn example(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name)
}

/// The example of the settings names every setting, each with its default.
#[test]
fn settings_are_the_defaults() {
    let file = example("looma.toml");
    let loaded = Settings::load(&Flags { config: Some(file.clone()), ..Flags::default() }).unwrap();
    let json = |settings: &Settings| serde_json::to_value(settings).unwrap();
    assert_eq!(json(&loaded), json(&Settings::default()));
    let text = std::fs::read_to_string(file).unwrap();
    for (section, settings) in json(&loaded).as_object().unwrap() {
        assert!(text.contains(&format!("[{section}]")), "[{section}]");
        for name in settings.as_object().unwrap().keys() {
            assert!(text.contains(&format!("{name} = ")), "{section}.{name}");
        }
    }
}
