//! Alert evaluators: series in, verdicts out, in columns.

use std::sync::Arc;

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{Live, Version};

use super::{Guest, mismatch, unacceptable, within};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/alerting"],
    world: "looma:alerting/alert-evaluator",
    imports: { default: trappable },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::alerting::evaluator::{Batch, Context, Requirements, State, Verdicts};

/// Most bytes of one batch; callers split far below it.
const BATCH_BYTES: usize = 64 << 20;
const NOTE_BYTES: usize = 1_000;
const STATE_BYTES: usize = 16 << 20;
/// Points further back than this are not kept.
const LONGEST_LOOKBACK_MS: u64 = 31 * 24 * 3_600_000;

/// The highest level that a plugin can answer for a series, and what it answers where it cannot tell; see `alerting.wit`.
const HIGHEST: u8 = 3;
const CANNOT_TELL: u8 = 255;

pub(in crate::plugins) async fn plan(version: &Version, config: &str) -> Result<Requirements, CallError> {
    let config = config.to_owned();
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Evaluator(guest) => guest.looma_alerting_evaluator().call_plan(store, &config),
        _ => mismatch(),
    };
    let needs = version.pure(Function::Plan, call).await??;
    if needs.lookback_ms > LONGEST_LOOKBACK_MS {
        return unacceptable(format!(
            "it wants points of {} ms, at most {LONGEST_LOOKBACK_MS} are kept",
            needs.lookback_ms
        ));
    }
    Ok(needs)
}

pub(in crate::plugins) async fn evaluate(
    version: &Version,
    context: Context,
    batch: Arc<Batch>,
    previous: Option<State>,
) -> Result<Verdicts, CallError> {
    check_batch(&batch)?;
    let series = batch.ids.len();
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Evaluator(guest) => {
            guest.looma_alerting_evaluator().call_evaluate(store, &context, &batch, previous.as_ref())
        }
        _ => mismatch(),
    };
    let verdicts = version.pure(Function::Evaluate, call).await??;
    check_verdicts(&verdicts, series)?;
    Ok(verdicts)
}

fn check_batch(batch: &Batch) -> Result<(), CallError> {
    let Batch { ids, offsets, times, values, labels } = batch;
    let invalid = |what: &str| Err(CallError::InvalidInput(what.to_owned()));
    if offsets.len() != ids.len() + 1 || times.len() != values.len() {
        return invalid("the columns of the batch do not fit together");
    }
    if !labels.is_empty() && labels.len() != ids.len() {
        return invalid("the batch has labels for some series alone");
    }
    if offsets[0] != 0 || !offsets.is_sorted() || offsets.last().map(|&end| end as usize) != Some(values.len()) {
        return invalid("the offsets of the batch do not lead through its points");
    }
    let label_bytes = |(key, value): &(String, String)| key.len() + value.len() + 16;
    let bytes = ids.len() * 12 + values.len() * 16 + labels.iter().flatten().map(label_bytes).sum::<usize>();
    if bytes > BATCH_BYTES {
        return Err(CallError::Limit(format!("the batch has {bytes} bytes, at most {BATCH_BYTES} are taken")));
    }
    Ok(())
}

fn check_verdicts(verdicts: &Verdicts, series: usize) -> Result<(), CallError> {
    let Verdicts { levels, scores, notes, next } = verdicts;
    if levels.len() != series || scores.len() != series {
        return unacceptable(format!("{} levels and {} scores for {series} series", levels.len(), scores.len()));
    }
    let unknown = |level: &u8| *level > HIGHEST && *level != CANNOT_TELL;
    // A series that cannot be told may have no value; any other verdict rests on one.
    let missing = |(level, score): (&u8, &f64)| (*level != CANNOT_TELL) & score.is_nan();
    // All are looked at whatever is found, which goes many at a time; which one it was is asked where there is one.
    if levels.iter().fold(false, |any, level| any | unknown(level))
        && let Some(level) = levels.iter().find(|level| unknown(level))
    {
        return unacceptable(format!("level {level} is none of 0, 1, 2, 3, 255"));
    }
    if levels.iter().zip(scores).fold(false, |any, both| any | missing(both))
        && let Some(at) = levels.iter().zip(scores).position(missing)
    {
        return unacceptable(format!("series {at} has a verdict and no score"));
    }
    if notes.len() > series {
        return unacceptable(format!("{} notes for {series} series", notes.len()));
    }
    for (index, note) in notes {
        if *index as usize >= series {
            return unacceptable(format!("a note for series {index} of {series}"));
        }
        within("a note", note, NOTE_BYTES)?;
    }
    next.as_ref().map_or(Ok(()), |next| check_state(next, series))
}

fn check_state(State { version: _, offsets, blob }: &State, series: usize) -> Result<(), CallError> {
    if blob.len() > STATE_BYTES {
        return unacceptable(format!("a state of {} bytes, at most {STATE_BYTES} are kept", blob.len()));
    }
    let leads_through = offsets.len() == series + 1
        && offsets[0] == 0
        && offsets.is_sorted()
        && offsets.last().map(|&end| end as usize) == Some(blob.len());
    if !leads_through {
        return unacceptable("the offsets of the state do not lead through its blob");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(levels: &[u8], scores: &[f64]) -> Verdicts {
        Verdicts { levels: levels.to_vec(), scores: scores.to_vec(), notes: Vec::new(), next: None }
    }

    #[test]
    fn wrong_columns_are_refused() {
        assert!(check_verdicts(&verdicts(&[0, 255], &[1.0, f64::NAN]), 2).is_ok());
        assert!(check_verdicts(&verdicts(&[0], &[1.0]), 2).is_err());
        assert!(check_verdicts(&verdicts(&[4], &[1.0]), 1).is_err());
        assert!(check_verdicts(&verdicts(&[0], &[f64::NAN]), 1).is_err());
        let note = Verdicts { notes: vec![(1, "x".to_owned())], ..verdicts(&[0], &[1.0]) };
        assert!(check_verdicts(&note, 1).is_err());
        let state = State { version: 1, offsets: vec![0, 9], blob: vec![1] };
        assert!(check_verdicts(&Verdicts { next: Some(state), ..verdicts(&[0], &[1.0]) }, 1).is_err());
    }

    #[test]
    fn a_batch_that_does_not_fit_together_is_refused() {
        let batch = |offsets: &[u32]| Batch {
            ids: vec![1],
            offsets: offsets.to_vec(),
            times: vec![5],
            values: vec![1.0],
            labels: vec![],
        };
        assert!(check_batch(&batch(&[0, 1])).is_ok());
        assert!(check_batch(&batch(&[0, 2])).is_err());
        assert!(check_batch(&batch(&[0])).is_err());
    }
}
