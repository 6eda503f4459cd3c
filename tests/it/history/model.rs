//! What a history of writes, watches and long polls must be: nothing acknowledged is missing, and nobody who watches loses, gets twice,
//! or gets in another order, anything.
//!
//! A pure function over what was noted outside. A key has one writer, so its writes have an order; a write that was not answered may
//! have been done or not. How a watch was cut into connections does not matter: it is one sequence.

use std::collections::{BTreeMap, BTreeSet};

/// What a key was made to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// This, which it was made once.
    Put(u64),
    /// Gone.
    Gone,
}

/// A write, as its writer knows it.
#[derive(Clone, Debug)]
pub struct Write {
    pub key: String,
    pub what: What,
    pub outcome: Outcome,
}

/// What a writer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, at this revision where that was said.
    Done(Option<i64>),
    /// Nothing.
    Unknown,
}

/// A change, as a watcher was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub revision: i64,
    pub key: String,
    pub what: What,
}

/// What a long poll for a name answered: what was there, by key.
#[derive(Clone, Debug)]
pub struct Polled {
    pub revision: i64,
    pub shown: BTreeMap<String, u64>,
}

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order of each writer.
    pub writes: Vec<Write>,
    /// From the first change to the last, by watcher.
    pub watches: Vec<Vec<Seen>>,
    /// By the name that was asked for; the last of them after everything.
    pub polls: Vec<(String, Vec<Polled>)>,
    /// What is there at the end.
    pub end: BTreeMap<String, u64>,
}

/// The name that a key is an instance of.
pub fn name_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(name, _)| name)
}

impl History {
    /// Everything that must not be, in words.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (n, watch) in self.watches.iter().enumerate() {
            let mut told = |fault: String| faults.push(format!("watch {n}: {fault}"));
            in_order(watch).into_iter().for_each(&mut told);
            self.unexplained(watch).into_iter().for_each(&mut told);
        }
        let all = self.all_seen(&mut faults);
        for (n, watch) in self.watches.iter().enumerate() {
            let own: BTreeSet<i64> = watch.iter().map(|seen| seen.revision).collect();
            let lost = all.keys().filter(|revision| !own.contains(revision));
            faults.extend(lost.map(|revision| format!("watch {n}: revision {revision} is lost, which another has")));
        }
        let end = state_at(&all, i64::MAX, |_| true);
        if end != self.end {
            faults.push(format!("the end is {:?}, and the changes make it {end:?}", self.end));
        }
        for (name, polls) in &self.polls {
            faults.extend(polled(name, polls, &all));
        }
        faults
    }

    /// All that anybody was told, by revision; two must not be told different things.
    fn all_seen(&self, faults: &mut Vec<String>) -> BTreeMap<i64, Seen> {
        let mut all: BTreeMap<i64, Seen> = BTreeMap::new();
        for seen in self.watches.iter().flatten() {
            let known = all.entry(seen.revision).or_insert_with(|| seen.clone());
            if known != seen {
                faults.push(format!("one was told {known:?} and another {seen:?}"));
            }
        }
        all
    }

    /// What a watch was told that nobody wrote, and what it was not told that was acknowledged.
    fn unexplained(&self, watch: &[Seen]) -> Vec<String> {
        let mut by_key: BTreeMap<&str, (Vec<&Write>, Vec<&Seen>)> = BTreeMap::new();
        for write in &self.writes {
            by_key.entry(&write.key).or_default().0.push(write);
        }
        for seen in watch {
            by_key.entry(&seen.key).or_default().1.push(seen);
        }
        by_key.into_iter().filter_map(|(key, (writes, seen))| explain(key, &writes, &seen).err()).collect()
    }
}

/// Revisions only rise.
fn in_order(watch: &[Seen]) -> Vec<String> {
    let pairs = watch.iter().zip(watch.iter().skip(1));
    let wrong = pairs.filter_map(|(before, after)| match after.revision.cmp(&before.revision) {
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal => Some(format!("revision {} comes twice", after.revision)),
        std::cmp::Ordering::Less => Some(format!("goes back from revision {} to {}", before.revision, after.revision)),
    });
    wrong.collect()
}

/// Whether the changes of a key are its writes in their order, all that were acknowledged and any of the others.
fn explain(key: &str, writes: &[&Write], seen: &[&Seen]) -> Result<(), String> {
    // How many of the changes can have been made by the writes so far: several answers, where it is not known what was done.
    let mut made = BTreeSet::from([0]);
    for write in writes {
        let is_next = |at: &usize| seen.get(*at).is_some_and(|seen| is_of(write, seen));
        let done: BTreeSet<usize> = made.iter().filter(|at| is_next(at)).map(|at| at + 1).collect();
        match write.outcome {
            Outcome::Unknown => made.extend(done),
            Outcome::Done(_) if done.is_empty() => return Err(format!("what was acknowledged is lost: {write:?}")),
            Outcome::Done(_) => made = done,
        }
    }
    match made.contains(&seen.len()) {
        true => Ok(()),
        false => Err(format!("{key} changed as nobody asked: {:?}", seen.last())),
    }
}

fn is_of(write: &Write, seen: &Seen) -> bool {
    let revision = match write.outcome {
        Outcome::Done(revision) => revision,
        Outcome::Unknown => None,
    };
    write.what == seen.what && revision.is_none_or(|revision| revision == seen.revision)
}

/// What is there after all changes up to a revision.
fn state_at(all: &BTreeMap<i64, Seen>, revision: i64, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut state = BTreeMap::new();
    for seen in all.range(..=revision).map(|(_, seen)| seen).filter(|seen| wanted(&seen.key)) {
        match seen.what {
            What::Put(value) => state.insert(seen.key.clone(), value),
            What::Gone => state.remove(&seen.key),
        };
    }
    state
}

/// Answers go on, show what was there, and end with what is there.
fn polled(name: &str, polls: &[Polled], all: &BTreeMap<i64, Seen>) -> Vec<String> {
    let mut faults = Vec::new();
    let is_own = |key: &str| name_of(key) == name;
    for (before, after) in polls.iter().zip(polls.iter().skip(1)) {
        if after.revision < before.revision {
            faults.push(format!("poll of {name}: goes back from revision {} to {}", before.revision, after.revision));
        }
    }
    for Polled { revision, shown } in polls {
        let then = state_at(all, *revision, is_own);
        if then != *shown {
            faults.push(format!("poll of {name}: at revision {revision} it shows {shown:?}, and there was {then:?}"));
        }
    }
    let end = state_at(all, i64::MAX, is_own);
    if polls.last().is_none_or(|last| last.shown != end) {
        faults.push(format!("poll of {name}: never shows the last change"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: u64, outcome: Outcome) -> Write {
        Write { key: key.to_owned(), what: What::Put(value), outcome }
    }

    fn seen(revision: i64, key: &str, what: What) -> Seen {
        Seen { revision, key: key.to_owned(), what }
    }

    /// Two keys, two watchers, a poll; one write was not answered and was done, another was not.
    fn good() -> History {
        let watch = vec![
            seen(3, "a.1", What::Put(1)),
            seen(4, "b.1", What::Put(2)),
            seen(6, "a.1", What::Put(3)),
            seen(7, "a.1", What::Gone),
            seen(9, "a.1", What::Put(6)),
        ];
        let gone = Write { key: "a.1".to_owned(), what: What::Gone, outcome: Outcome::Done(None) };
        let writes = vec![
            put("a.1", 1, Outcome::Done(Some(3))),
            put("b.1", 2, Outcome::Done(Some(4))),
            put("a.1", 3, Outcome::Unknown),
            gone,
            put("a.1", 5, Outcome::Unknown),
            put("a.1", 6, Outcome::Done(Some(9))),
        ];
        let answer = |revision, shown: &[u64]| Polled {
            revision,
            shown: shown.iter().map(|value| ("a.1".to_owned(), *value)).collect(),
        };
        let polls = vec![answer(0, &[]), answer(3, &[1]), answer(7, &[]), answer(8, &[]), answer(9, &[6])];
        History {
            writes,
            watches: vec![watch.clone(), watch],
            polls: vec![("a".to_owned(), polls)],
            end: BTreeMap::from([("a.1".to_owned(), 6), ("b.1".to_owned(), 2)]),
        }
    }

    /// The faults of the good history with one thing changed.
    fn spoilt(spoil: impl FnOnce(&mut History)) -> String {
        let mut history = good();
        spoil(&mut history);
        history.faults().join("; ")
    }

    #[test]
    fn a_good_history_has_no_fault() {
        assert_eq!(good().faults(), Vec::<String>::new());
    }

    #[test]
    fn a_lost_write_is_found() {
        let everywhere = spoilt(|history| history.watches.iter_mut().for_each(|watch| drop(watch.remove(1))));
        assert!(everywhere.contains("acknowledged is lost: Write { key: \"b.1\""), "{everywhere}");
        let at_the_end = spoilt(|history| {
            history.end.remove("b.1");
        });
        assert!(at_the_end.contains("the end is"), "{at_the_end}");
        let undone = spoilt(|history| {
            history.end.insert("a.1".to_owned(), 3);
        });
        assert!(undone.contains("the end is"), "{undone}");
        let elsewhere = spoilt(|history| history.writes[0].outcome = Outcome::Done(Some(2)));
        assert!(elsewhere.contains("acknowledged is lost"), "{elsewhere}");
    }

    #[test]
    fn a_lost_event_is_found() {
        let acknowledged = spoilt(|history| drop(history.watches[0].remove(3)));
        assert!(acknowledged.contains("watch 0: what was acknowledged is lost"), "{acknowledged}");
        let not_acknowledged = spoilt(|history| drop(history.watches[1].remove(2)));
        assert!(not_acknowledged.contains("watch 1: revision 6 is lost"), "{not_acknowledged}");
    }

    #[test]
    fn a_repeated_event_is_found() {
        let again = spoilt(|history| history.watches[0].insert(2, seen(4, "b.1", What::Put(2))));
        assert!(again.contains("watch 0: revision 4 comes twice"), "{again}");
        let done_twice = spoilt(|history| {
            history.watches.iter_mut().for_each(|watch| watch.insert(2, seen(5, "b.1", What::Put(2))));
        });
        assert!(done_twice.contains("b.1 changed as nobody asked"), "{done_twice}");
    }

    #[test]
    fn an_event_that_goes_back_is_found() {
        let swapped = spoilt(|history| history.watches[1].swap(0, 1));
        assert!(swapped.contains("watch 1: goes back from revision 4 to 3"), "{swapped}");
        let rewound = spoilt(|history| {
            let first = history.watches[0][0].clone();
            history.watches[0].push(first);
        });
        assert!(rewound.contains("watch 0: goes back from revision 9 to 3"), "{rewound}");
    }

    #[test]
    fn different_tales_are_found() {
        let tales = spoilt(|history| history.watches[1][2].what = What::Put(5));
        assert!(tales.contains("one was told"), "{tales}");
    }

    #[test]
    fn a_poll_that_lies_is_found() {
        let stale = spoilt(|history| {
            history.polls[0].1[2].shown.insert("a.1".to_owned(), 3);
        });
        assert!(stale.contains("poll of a: at revision 7 it shows"), "{stale}");
        let back = spoilt(|history| history.polls[0].1.swap(1, 2));
        assert!(back.contains("poll of a: goes back from revision 7 to 3"), "{back}");
        let deaf = spoilt(|history| drop(history.polls[0].1.pop()));
        assert!(deaf.contains("poll of a: never shows the last change"), "{deaf}");
    }
}
