//! Taking a batch of series apart by who judges them and in which form their memories are, and putting verdicts together again.

use std::collections::BTreeMap;

use super::states::Memory;
use crate::plugins::{EvalState, SeriesBatch};

/// These series of a batch, in this order.
pub(super) fn select(batch: &SeriesBatch, picks: &[usize]) -> SeriesBatch {
    let SeriesBatch { ids, offsets, times, values, labels } = batch;
    let mut part = SeriesBatch {
        ids: Vec::with_capacity(picks.len()),
        offsets: vec![0],
        times: Vec::new(),
        values: Vec::new(),
        labels: Vec::new(),
    };
    for &n in picks {
        let points = offsets[n] as usize..offsets[n + 1] as usize;
        part.ids.push(ids[n]);
        part.times.extend_from_slice(&times[points.clone()]);
        part.values.extend_from_slice(&values[points]);
        part.offsets.push(u32::try_from(part.times.len()).unwrap_or(u32::MAX));
        part.labels.extend(labels.get(n).cloned());
    }
    part
}

/// Series by the form of their memory: all memories of a call are in one. Those without one go with the highest form.
pub(super) fn by_form(picked: &[Option<&Memory>]) -> Vec<(u32, Vec<usize>)> {
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let highest = picked.iter().flatten().map(|memory| memory.version).max().unwrap_or(0);
    for (n, memory) in picked.iter().enumerate() {
        groups.entry(memory.map_or(highest, |memory| memory.version)).or_default().push(n);
    }
    groups.into_iter().collect()
}

/// Memories in columns.
pub(super) fn pack<'a>(version: u32, memories: impl Iterator<Item = Option<&'a Memory>>) -> EvalState {
    let mut packed = EvalState { version, offsets: vec![0], blob: Vec::new() };
    for memory in memories {
        if let Some(memory) = memory {
            packed.blob.extend_from_slice(&memory.state);
        }
        packed.offsets.push(u32::try_from(packed.blob.len()).unwrap_or(u32::MAX));
    }
    packed
}

/// The memory of each series out of columns; that the offsets lead through the blob was checked when they came.
pub(super) fn unpack(next: &EvalState) -> impl Iterator<Item = Vec<u8>> + '_ {
    let EvalState { version: _, offsets, blob } = next;
    offsets.windows(2).map(|ends| blob.get(ends[0] as usize..ends[1] as usize).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn parts_hold_the_points_of_their_series() {
        let batch = SeriesBatch {
            ids: vec![1, 2, 3],
            offsets: vec![0, 2, 2, 3],
            times: vec![10, 11, 30],
            values: vec![1.0, 1.1, 3.0],
            labels: Vec::new(),
        };
        let part = select(&batch, &[2, 0]);
        assert_eq!((part.ids, part.offsets, part.times), (vec![3, 1], vec![0, 1, 3], vec![30, 10, 11]));
    }

    #[test]
    fn memories_of_two_forms_never_share_a_call() {
        let memory = |version| Memory {
            writer: String::new(),
            version,
            state: vec![1],
            updated_at: Timestamp::from_millis(0).unwrap(),
        };
        let (old, new) = (memory(1), memory(2));
        let groups = by_form(&[Some(&old), None, Some(&new), Some(&old)]);
        assert_eq!(groups, [(1, vec![0, 3]), (2, vec![1, 2])]);
        let packed = pack(1, [Some(&old), None].into_iter());
        assert_eq!(unpack(&packed).collect::<Vec<_>>(), [vec![1], vec![]]);
    }
}
