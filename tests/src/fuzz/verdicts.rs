//! The memory of an evaluator that answers: what the host makes of it fits the contract, or is an error, and no more.

use looma::plugins::{CallError, Verdicts};

use super::{Bench, Chance};

/// Where the answer lies in the guest's memory.
const AT: u32 = 2048;

/// An answer that could be one, with some of its numbers wrong.
pub(super) fn input(chance: &mut Chance) -> Vec<u8> {
    let mut memory = vec![0; 512];
    if chance.once_in(8) {
        memory = chance.bytes(512);
    }
    let mut put = |at: usize, number: u32| memory[at..at + 4].copy_from_slice(&number.to_le_bytes());
    let wrong = chance.once_in(4);
    let mut maybe = |right: u32| {
        let odd = [0, 1, 2, 4, 0xff, 0x1_0000, 0x7fff_fff0, u32::MAX, right + 1, right.wrapping_sub(1)];
        if wrong && chance.once_in(3) { odd[chance.below(odd.len())] } else { right }
    };
    put(0, u32::from(maybe(0) == 1));
    // levels, scores, notes, state: where and how many, each
    let parts = [(AT + 64, 3), (AT + 72, 3), (AT + 104, 2), (AT + 160, 4), (AT + 200, 9)];
    for (at, (place, count)) in [4, 12, 20, 36, 44].into_iter().zip(parts) {
        put(at, maybe(place));
        put(at + 4, maybe(count));
    }
    put(28, maybe(1));
    for (at, number) in [(104, 0), (108, AT + 240), (112, 6), (116, 2), (120, AT + 246), (124, 5)] {
        put(at, maybe(number));
    }
    for (n, offset) in [0, 2, 2, 9].into_iter().enumerate() {
        put(160 + 4 * n, maybe(offset));
    }
    for n in 0..3 {
        memory[64 + n] = [0, 1, 2, 3, 255, 4, 254][chance.below(if wrong { 7 } else { 5 })];
        let scores = [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE / 2.0, f64::INFINITY, f64::NAN];
        let score = scores[chance.below(scores.len())];
        memory[72 + 8 * n..80 + 8 * n].copy_from_slice(&score.to_le_bytes());
    }
    for byte in &mut memory[240..256] {
        *byte = b"abc\xc3\xa4\0"[chance.below(if wrong { 6 } else { 3 })];
    }
    if chance.once_in(6) {
        chance.damage(&mut memory, b"\xff\xff\xff\x7f");
    }
    memory
}

pub(super) async fn check(bench: &Bench, input: &[u8]) {
    // More would reach what the host has put into the memory.
    let input = &input[..input.len().min(6_000)];
    let number = |bytes: &[u8]| {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        f64::from_bits(u64::from_le_bytes(eight))
    };
    match bench.evaluate("puppet", "{\"misdeed\":true}", input.chunks(8).map(number).collect()).await {
        Ok(verdicts) => assert_lawful(&verdicts),
        Err(CallError::Trap(why)) => assert!(!why.contains("host's own code"), "{why}"),
        Err(CallError::Contract(_) | CallError::Limit(_) | CallError::Permanent(_) | CallError::Transient { .. }) => {}
        Err(CallError::InvalidConfig(_) | CallError::InvalidInput(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    bench.assert_well().await;
}

fn assert_lawful(Verdicts { levels, scores, notes, next }: &Verdicts) {
    assert_eq!((levels.len(), scores.len()), (3, 3));
    for (level, score) in levels.iter().zip(scores) {
        assert!(matches!(level, 0..=3 | 255));
        assert!(*level == 255 || !score.is_nan());
    }
    assert!(notes.len() <= 3);
    for (series, note) in notes {
        assert!(*series < 3 && note.len() <= 1_000 && !note.contains('\0'));
    }
    if let Some(state) = next {
        let mut at = 0;
        assert_eq!((state.offsets.len(), state.offsets[0]), (4, 0));
        for offset in &state.offsets {
            assert!(*offset >= at, "they run forwards");
            at = *offset;
        }
        assert_eq!(at as usize, state.blob.len());
    }
}
