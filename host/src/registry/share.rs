//! How many leases one sweep may end, so that neither the registry nor a name is emptied by what is no fault of theirs: a share
//! of all that are live, and the same share of those of each name.

use std::collections::HashMap;

use super::{Core, Health, index::Index, member::Member};

/// How many of so many may end at once.
pub(super) fn share(core: &Core, all: usize) -> usize {
    if all < core.settings.min_protected {
        return all;
    }
    // The share is 0 to 1: the settings are checked.
    let per_mille = (core.settings.max_expired_share * 1000.0).round() as usize;
    (all * per_mille / 1000).max(1)
}

/// How many more may end in a sweep: over all, and of each name.
pub(super) struct Room {
    /// How many there are.
    pub(super) live: usize,
    /// The first name that was held back.
    pub(super) held: Option<Held>,
    all: usize,
    names: HashMap<String, Left>,
}

/// A name of which more would end than may.
pub(super) struct Held {
    pub(super) name: String,
    /// How many of it are live.
    pub(super) live: usize,
    /// How many of them one sweep may end.
    pub(super) share: usize,
}

/// What is left of the share of a name.
struct Left {
    live: usize,
    share: usize,
    left: usize,
}

impl Room {
    /// What one sweep may end of what is in `index`; `kin` are the names of those that shall.
    pub(super) fn of<'i, T: Member>(core: &Core, index: &'i Index, kin: impl Iterator<Item = &'i str>) -> Self {
        let mut names: HashMap<&str, usize> = kin.map(|kin| (kin, 0)).collect();
        let mut live = 0;
        for (_, held) in T::members(index).iter().filter(|(_, held)| held.thing.health() != Health::Critical) {
            live += 1;
            if let Some(of_name) = held.thing.kin().and_then(|kin| names.get_mut(kin)) {
                *of_name += 1;
            }
        }
        let left = |live| {
            let share = share(core, live);
            Left { live, share, left: share }
        };
        let names = names.into_iter().map(|(name, live)| (name.to_owned(), left(live))).collect();
        Self { live, held: None, all: share(core, live), names }
    }

    /// Whether one more of this name may end.
    pub(super) fn take(&mut self, kin: Option<&str>) -> bool {
        let name = kin.and_then(|kin| self.names.get_mut(kin));
        if let (Some(Left { live, share, left: 0 }), Some(kin)) = (&name, kin) {
            self.held.get_or_insert_with(|| Held { name: kin.to_owned(), live: *live, share: *share });
            return false;
        }
        if self.all == 0 {
            return false;
        }
        self.all -= 1;
        name.into_iter().for_each(|of_name| of_name.left -= 1);
        true
    }
}
