//! From points to steps. A step without points gives nothing: a gap is a gap.

use super::types::{Aggregate, Point};

/// The points of one step, as they add up.
struct Step {
    start: i64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    /// By how much a counter rose, and over how many milliseconds, between points of which the later is in this step.
    rise: Option<(f64, i64)>,
}

/// One value for each step of `step_ms` that has one, dated at its start; steps are aligned to 1970. Points come oldest
/// first; one before `from` counts as the predecessor of the first, and nothing else.
///
/// `increase` is the sum of the rises from each point to the next, counted where the next one is: across a gap it is
/// counted where the gap ends, so that neighbouring ranges add up. A fall is a reset: the counter began again at zero.
/// `rate` is that by the seconds between the same points. Neither is known of a point without predecessor.
pub fn steps(points: &[Point], from: i64, step_ms: i64, aggregate: Aggregate) -> Vec<Point> {
    let mut done = Vec::new();
    let mut open: Option<Step> = None;
    let mut previous: Option<Point> = None;
    for &(at, value) in points {
        let rise = previous.map(|(earlier, before)| {
            let rise = if value < before { value } else { value - before };
            (rise, at - earlier)
        });
        previous = Some((at, value));
        if at < from {
            continue;
        }
        let start = at.div_euclid(step_ms) * step_ms;
        let step = match open.take() {
            Some(step) if step.start == start => step,
            other => {
                done.extend(other.and_then(|step| step.value(aggregate)));
                Step { start, count: 0, sum: 0.0, min: value, max: value, last: value, rise: None }
            }
        };
        open = Some(step.with(value, rise));
    }
    done.extend(open.and_then(|step| step.value(aggregate)));
    done
}

impl Step {
    fn with(self, value: f64, rise: Option<(f64, i64)>) -> Self {
        let Self { start, count, sum, min, max, last: _, rise: risen } = self;
        let rise = match (risen, rise) {
            (Some((a, over)), Some((b, more))) => Some((a + b, over + more)),
            (one, other) => one.or(other),
        };
        Self { start, count: count + 1, sum: sum + value, min: min.min(value), max: max.max(value), last: value, rise }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds stay far below 2^53")]
    fn value(self, aggregate: Aggregate) -> Option<Point> {
        let Self { start, count, sum, min, max, last, rise } = self;
        let value = match aggregate {
            Aggregate::Avg => sum / count as f64,
            Aggregate::Min => min,
            Aggregate::Max => max,
            Aggregate::Sum => sum,
            Aggregate::Count => count as f64,
            Aggregate::Last => last,
            Aggregate::Increase => rise?.0,
            Aggregate::Rate => rise.map(|(rise, over)| rise / (over as f64 / 1000.0))?,
        };
        Some((start, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What the words above say, without any care for speed.
    fn naive(points: &[Point], from: i64, step_ms: i64, aggregate: Aggregate) -> Vec<Point> {
        let mut steps: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (i, (at, _)) in points.iter().enumerate().filter(|(_, (at, _))| *at >= from) {
            steps.entry(at.div_euclid(step_ms) * step_ms).or_default().push(i);
        }
        let rise = |i: usize| {
            let ((t0, v0), (t1, v1)) = (points[i - 1], points[i]);
            (if v1 < v0 { v1 } else { v1 - v0 }, (t1 - t0) as f64 / 1000.0)
        };
        let one = |indexes: Vec<usize>| {
            let values: Vec<f64> = indexes.iter().map(|i| points[*i].1).collect();
            let rises: Vec<(f64, f64)> = indexes.iter().filter(|i| **i > 0).map(|i| rise(*i)).collect();
            let risen: f64 = rises.iter().map(|(rise, _)| rise).sum();
            let over: f64 = rises.iter().map(|(_, over)| over).sum();
            match aggregate {
                Aggregate::Avg => Some(values.iter().sum::<f64>() / values.len() as f64),
                Aggregate::Min => values.into_iter().reduce(f64::min),
                Aggregate::Max => values.into_iter().reduce(f64::max),
                Aggregate::Sum => Some(values.iter().sum()),
                Aggregate::Count => Some(values.len() as f64),
                Aggregate::Last => values.last().copied(),
                Aggregate::Increase => (!rises.is_empty()).then_some(risen),
                Aggregate::Rate => (!rises.is_empty()).then_some(risen / over),
            }
        };
        steps.into_iter().filter_map(|(start, indexes)| Some((start, one(indexes)?))).collect()
    }

    proptest! {
        /// Every aggregate is what its words say.
        #[test]
        fn steps_are_what_they_say(
            raw in prop::collection::btree_map(-5_000i64..20_000, -100i32..100, 0..60),
            from in -6_000i64..20_000,
            step in 1i64..7_000,
            aggregate in prop::sample::select(Aggregate::ALL),
        ) {
            // Whole numbers, so that no order of adding makes a difference.
            let points: Vec<Point> = raw.into_iter().map(|(at, value)| (at, f64::from(value))).collect();
            let (fast, slow) = (steps(&points, from, step, aggregate), naive(&points, from, step, aggregate));
            prop_assert_eq!(fast.len(), slow.len());
            for (a, b) in fast.iter().zip(&slow) {
                prop_assert_eq!(a.0, b.0);
                prop_assert!((a.1 - b.1).abs() <= 1e-9 * b.1.abs().max(1.0), "{:?} {:?}", a, b);
            }
        }

        /// Increases of neighbouring ranges add up to the increase of both.
        #[test]
        fn increases_add_up(
            raw in prop::collection::btree_map(0i64..20_000, 0i32..100, 2..60),
            cut in 0i64..20_000,
        ) {
            let points: Vec<Point> = raw.into_iter().map(|(at, value)| (at, f64::from(value))).collect();
            let total = |part: &[Point], from: i64| -> f64 {
                steps(part, from, 1_000, Aggregate::Increase).iter().map(|(_, value)| value).sum()
            };
            let first = points.partition_point(|(at, _)| *at < cut);
            let second = first.saturating_sub(1);
            prop_assert_eq!(total(&points, 0), total(&points[..first], 0) + total(&points[second..], cut));
        }
    }
}
