//! How what a source found meets what it had found before: pure, so that its laws can be tested.

use std::collections::BTreeSet;

use crate::ids::ServiceId;

/// What a run takes away.
#[derive(Debug, PartialEq, Eq)]
pub enum Removal {
    /// These, which are no longer found.
    Take(Vec<ServiceId>),
    /// Nothing, and why: too many at once are gone.
    Guarded(String),
}

/// Compares `before`, what the source had found, with `found`, what it finds now. More than `max_share` of what there was
/// is never taken away in one run; a run that finds one thing gone out of one or two is no mass removal.
pub fn removal(before: &BTreeSet<ServiceId>, found: &BTreeSet<ServiceId>, max_share: f64) -> Removal {
    let gone: Vec<ServiceId> = before.difference(found).cloned().collect();
    let share = gone.len() as f64 / before.len().max(1) as f64;
    if gone.len() > 1 && share > max_share {
        let (gone, before) = (gone.len(), before.len());
        return Removal::Guarded(format!(
            "{gone} of {before} are no longer found, more than the share of {max_share} that one run may take away"
        ));
    }
    Removal::Take(gone)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(names: &[&str]) -> BTreeSet<ServiceId> {
        names.iter().map(|name| ServiceId::from(*name)).collect()
    }

    #[test]
    fn what_is_gone_is_taken_and_a_mass_is_not() {
        assert_eq!(removal(&ids(&["a", "b", "c"]), &ids(&["a", "b", "d"]), 0.5), Removal::Take(vec!["c".into()]));
        assert!(matches!(removal(&ids(&["a", "b", "c"]), &ids(&["a"]), 0.5), Removal::Guarded(_)));
        assert!(matches!(removal(&ids(&["a", "b", "c"]), &ids(&[]), 0.5), Removal::Guarded(_)));
        assert_eq!(removal(&ids(&["a"]), &ids(&[]), 0.5), Removal::Take(vec!["a".into()]));
        assert_eq!(removal(&ids(&[]), &ids(&["a"]), 0.0), Removal::Take(vec![]));
    }

    proptest! {
        #[test]
        fn nothing_that_is_found_is_taken_and_no_more_than_the_share(
            before in prop::collection::btree_set("[a-f]{1,2}", 0..30),
            found in prop::collection::btree_set("[a-f]{1,2}", 0..30),
            share in 0.0..=1.0_f64,
        ) {
            let before: BTreeSet<ServiceId> = before.into_iter().map(ServiceId).collect();
            let found: BTreeSet<ServiceId> = found.into_iter().map(ServiceId).collect();
            if let Removal::Take(gone) = removal(&before, &found, share) {
                prop_assert!(gone.iter().all(|id| before.contains(id) && !found.contains(id)));
                prop_assert!(gone.len() <= 1 || gone.len() as f64 <= share * before.len() as f64);
            }
        }
    }
}
