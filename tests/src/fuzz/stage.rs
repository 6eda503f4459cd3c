//! Bytes that claim to be a component: they serve, or they are refused in short plain words and what served before serves on.

use std::sync::OnceLock;

use looma::{
    plugins::{Source, State},
    wasm::cache::Digest,
};

use super::{Bench, Chance, name};
use crate::guests::{CallPath, Guest};

const JUDGE: &str = "judge";

fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let guests = ["unreachable", "log-wildly", "panic", "call-nothing", "remember", "wants-metrics", "nested"];
        let made = guests.map(|guest| Guest::read(guest).component(CallPath::Pure, JUDGE));
        made.into_iter().chain([Guest::read("keys").component(CallPath::Io, JUDGE)]).collect()
    })
}

pub(super) fn input(chance: &mut Chance) -> Vec<u8> {
    let seeds = seeds();
    let other = &seeds[chance.below(seeds.len())];
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    chance.damage(&mut bytes, other);
    bytes
}

pub(super) async fn check(bench: &Bench, input: &[u8]) {
    let (plugins, judge) = (&bench.plugins, name(JUDGE));
    let good = Digest::of(&seeds()[0]).to_string();
    plugins.load(&judge, seeds()[0].as_slice().into(), Source::Folder).await.expect("the good one is taken");
    match plugins.load(&judge, input.into(), Source::Folder).await {
        Ok(taken) => {
            let info = plugins.get(&judge).expect("it is there");
            assert_eq!((info.state, info.digest.as_ref()), (State::Active, Some(&taken.digest)));
            assert_eq!(taken.digest, Digest::of(input).to_string());
            assert!(info.previous.len() <= 3);
            // Whatever it does, it does to itself alone.
            let _ = bench.evaluate(JUDGE, "{\"misdeed\":true}", vec![1.0, 2.0, 3.0]).await;
        }
        Err(refused) => {
            let told = &refused.reason;
            assert!(!told.is_empty() && told.len() <= 2_003, "{} bytes", told.len());
            assert!(!told.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{told:?}");
            let info = plugins.get(&judge).expect("the good one is there");
            assert_eq!((info.state, info.digest), (State::Failed, Some(good)));
            let answer = bench.evaluate(JUDGE, "{}", vec![1.0, 2.0, 3.0]).await;
            assert_eq!(answer.expect("it serves on").scores, [1.0, 2.0, 3.0]);
        }
    }
    bench.assert_well().await;
}
