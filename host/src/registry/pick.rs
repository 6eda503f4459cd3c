//! Picking one of several that are offered.
//!
//! How busy each is, is what services say of themselves with their heartbeats, as this replica has heard it, and one more for each
//! time that one was picked since: otherwise all would go to the same one until its next heartbeat. Who says nothing counts as the
//! others do on average.

use std::sync::atomic::Ordering::Relaxed;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    index::{Held, Index, Name},
    random::Random,
    services::Service,
};

/// How much of the weight of a zone may be missing before calls leave it: the factor that Envoy's priority levels have.
const OVERPROVISIONING: f64 = 1.4;
/// How much more than its share an instance may have before its keys go on to the next: 1.25 (Mirrokni, Thorup and Zadimoghaddam 2018).
const BOUND: f64 = 1.25;

/// How one of several is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    /// Each in its turn.
    #[default]
    #[serde(alias = "round_robin")]
    RoundRobin,
    /// By chance, all alike.
    Random,
    /// By chance, in proportion to their weights.
    Weighted,
    /// The same for the same `key` for as long as it is there and not much busier than the others, in proportion to weights.
    #[serde(alias = "consistent_hash")]
    ConsistentHash,
    /// The one with the fewest connections for its weight, as they report.
    #[serde(alias = "least_connections")]
    LeastConnections,
    /// The less busy of two that chance gives (Mitzenmacher 2001).
    #[serde(alias = "power_of_two")]
    PowerOfTwo,
    /// By chance and weight in the caller's `zone`, and elsewhere in so far as too few are left there.
    #[serde(alias = "zone_aware")]
    ZoneAware,
}

/// What is there to pick from.
pub(super) struct Choice<'c, 'i> {
    pub(super) index: &'i Index,
    pub(super) name: &'c Name,
    /// Those that may be offered, in the order of their ids.
    pub(super) offered: &'c [&'i Held<Service>],
    /// All that are registered, for how many there should be.
    pub(super) all: &'c [&'i Held<Service>],
    pub(super) random: &'c Random,
}

impl<'i> Choice<'_, 'i> {
    /// Picks one; `key` and `zone` are for the strategies that need them.
    pub(super) fn pick(&self, strategy: Strategy, key: Option<&str>, zone: Option<&str>) -> Option<&'i Held<Service>> {
        let count = u64::try_from(self.offered.len()).ok().filter(|count| *count > 0)?;
        let at = |n: u64| usize::try_from(n).ok().and_then(|n| self.offered.get(n)).copied();
        match strategy {
            Strategy::RoundRobin => at(self.name.turn.fetch_add(1, Relaxed) % count),
            Strategy::Random => at(self.random.below(count)),
            Strategy::Weighted => weighted(self.offered, self.random),
            Strategy::ConsistentHash => picked(self.bounded(key?)),
            Strategy::LeastConnections => picked(self.least(self.offered)),
            Strategy::PowerOfTwo => {
                let (first, step) = (self.random.below(count), 1 + self.random.below(count.saturating_sub(1)));
                let two: Vec<_> = [at(first), at((first + step) % count)].into_iter().flatten().collect();
                picked(self.least(&two))
            }
            Strategy::ZoneAware => self.in_zone(zone?),
        }
    }

    /// How busy each is: who does not say so, as the others are on average.
    fn loads(&self) -> impl Fn(&Held<Service>) -> f64 + use<> {
        let said: Vec<f64> = self.offered.iter().filter_map(|held| held.lease.connections()).map(f64::from).collect();
        let mean = said.iter().sum::<f64>() / said.len().max(1) as f64;
        move |held| held.lease.connections().map_or(mean, f64::from)
    }

    /// The one of `some` that is least busy for its weight; of several the one that chance comes to first.
    fn least(&self, some: &[&'i Held<Service>]) -> Option<&'i Held<Service>> {
        let begin = usize::try_from(self.random.below(u64::try_from(some.len()).ok()?)).ok()?;
        let load = self.loads();
        let busy = |held: &Held<Service>| (load(held) + 1.0) / weight(held) as f64;
        let (after, before) = (some.iter().skip(begin), some.iter().take(begin));
        after.chain(before).copied().min_by(|a, b| busy(a).total_cmp(&busy(b)))
    }

    /// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005), with bounded
    /// loads: when an instance goes, only the keys that it had move; one that has more than its share hands some on.
    fn bounded(&self, key: &str) -> Option<&'i Held<Service>> {
        let says = self.offered.iter().any(|held| held.lease.connections().is_some());
        let load = self.loads();
        let loads: f64 = self.offered.iter().map(|held| load(held)).sum();
        let weights: f64 = self.offered.iter().map(|held| weight(held) as f64).sum();
        let has_room = |held: &Held<Service>| {
            let share = (loads + 1.0) * weight(held) as f64 / weights.max(1.0);
            !says || load(held) < (BOUND * share).ceil()
        };
        let mut scored: Vec<_> = self.offered.iter().map(|held| (score(held, key), *held)).collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let roomy = scored.iter().find(|(_, held)| has_room(held));
        roomy.or(scored.first()).map(|(_, held)| *held)
    }

    fn in_zone(&self, zone: &str) -> Option<&'i Held<Service>> {
        let is_here = |held: &&Held<Service>| self.index.zone_of(&held.thing) == Some(zone);
        let here: Vec<_> = self.offered.iter().copied().filter(|held| is_here(held)).collect();
        let elsewhere: Vec<_> = self.offered.iter().copied().filter(|held| !is_here(held)).collect();
        let of = |some: &mut dyn Iterator<Item = &&'i Held<Service>>| some.map(|held| weight(held)).sum::<u64>() as f64;
        let meant = of(&mut self.all.iter().filter(|held| is_here(held)));
        let kept = (OVERPROVISIONING * of(&mut here.iter()) / meant.max(1.0) * PARTS as f64).round();
        let stays = (self.random.below(PARTS) as f64) < kept;
        let some = if elsewhere.is_empty() || stays && !here.is_empty() { &here } else { &elsewhere };
        weighted(some, self.random)
    }
}

/// How finely a share is told.
const PARTS: u64 = 1 << 16;

/// It gets one more connection.
fn picked(held: Option<&Held<Service>>) -> Option<&Held<Service>> {
    held.inspect(|held| held.lease.picked())
}

fn weight(held: &Held<Service>) -> u64 {
    u64::try_from(held.thing.weight).unwrap_or(0)
}

fn weighted<'i>(offered: &[&'i Held<Service>], random: &Random) -> Option<&'i Held<Service>> {
    let total: u64 = offered.iter().map(|held| weight(held)).sum();
    let mut left = random.below(total);
    let found = offered.iter().find(|held| {
        let own = weight(held);
        let here = left < own;
        left = left.saturating_sub(own);
        here
    });
    // Where nobody has a weight, all are alike.
    found.or_else(|| offered.get(usize::try_from(random.below(u64::try_from(offered.len()).ok()?)).ok()?)).copied()
}

/// Where an instance stands for a key; the highest has it.
fn score(held: &Held<Service>, key: &str) -> f64 {
    let digest =
        Sha256::new().chain_update(key).chain_update([0]).chain_update(held.thing.service_id.as_str()).finalize();
    let bits = digest.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    // Strictly between 0 and 1, of 52 bits.
    let unit = ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    // Weight 0 is last, but still somebody.
    weight(held) as f64 / -unit.ln() + unit * f64::EPSILON
}
