//! Series in memory, and the ways to find them: by key, and by service, name and tag. It never asks the database.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use super::types::{Series, SeriesId, SeriesKey};
use crate::ids::ServiceId;

/// What series are wanted; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this service.
    pub service_id: Option<ServiceId>,
    /// Of this name.
    pub metric_name: Option<String>,
    /// With each of these tags.
    pub tags: BTreeMap<String, String>,
}

/// Every series there is.
#[derive(Default)]
pub struct Memory(RwLock<Index>);

#[derive(Default)]
struct Index {
    by_id: BTreeMap<SeriesId, Arc<Series>>,
    by_key: HashMap<Arc<SeriesKey>, Arc<Series>>,
    postings: HashMap<Label, BTreeSet<SeriesId>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Label {
    Service(ServiceId),
    Name(String),
    Tag(String, String),
}

impl Filter {
    fn labels(&self) -> Vec<Label> {
        let Self { service_id, metric_name, tags } = self;
        let tags = tags.iter().map(|(name, value)| Label::Tag(name.clone(), value.clone()));
        let service = service_id.iter().cloned().map(Label::Service);
        service.chain(metric_name.iter().cloned().map(Label::Name)).chain(tags).collect()
    }

    fn fits(&self, key: &SeriesKey) -> bool {
        let Self { service_id, metric_name, tags } = self;
        service_id.as_ref().is_none_or(|id| *id == key.service_id)
            && metric_name.as_ref().is_none_or(|name| *name == key.metric_name)
            && tags.iter().all(|(name, value)| key.tags.get(name) == Some(value))
    }
}

fn labels(key: &SeriesKey) -> Vec<Label> {
    let SeriesKey { service_id, metric_name, tags } = key.clone();
    Filter { service_id: Some(service_id), metric_name: Some(metric_name), tags }.labels()
}

impl Memory {
    fn read<R>(&self, take: impl FnOnce(&Index) -> R) -> R {
        take(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut Index) -> R) -> R {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The series of that key.
    pub fn of_key(&self, key: &SeriesKey) -> Option<Arc<Series>> {
        self.read(|index| index.by_key.get(key).cloned())
    }

    /// The series of that number.
    pub fn of_id(&self, id: SeriesId) -> Option<Arc<Series>> {
        self.read(|index| index.by_id.get(&id).cloned())
    }

    /// How many series a service has.
    pub fn count_of(&self, service: &ServiceId) -> usize {
        self.read(|index| index.postings.get(&Label::Service(service.clone())).map_or(0, BTreeSet::len))
    }

    /// Adds a series, or gives the one that has its number already.
    pub fn add(&self, series: Series) -> Arc<Series> {
        self.write(|index| {
            if let Some(there) = index.by_id.get(&series.series_id) {
                return there.clone();
            }
            if let Some(old) = index.by_key.get(series.key()).map(|old| old.series_id) {
                index.remove(old);
            }
            let series = Arc::new(series);
            index.by_id.insert(series.series_id, series.clone());
            index.by_key.insert(series.key().clone(), series.clone());
            for label in labels(series.key()) {
                index.postings.entry(label).or_default().insert(series.series_id);
            }
            series
        })
    }

    /// Forgets series.
    pub fn remove(&self, ids: &[SeriesId]) {
        self.write(|index| ids.iter().for_each(|id| index.remove(*id)));
    }

    /// Up to `limit` series that fit, by number, after `after`.
    pub fn find(&self, filter: &Filter, after: Option<SeriesId>, limit: usize) -> Vec<Arc<Series>> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.read(|index| {
            let postings: Vec<_> = filter.labels().iter().map(|label| index.postings.get(label)).collect();
            if postings.is_empty() {
                return index.by_id.range(range).take(limit).map(|(_, series)| series.clone()).collect();
            }
            let Some(all) = postings.into_iter().collect::<Option<Vec<_>>>() else { return Vec::new() };
            let fewest = all.into_iter().min_by_key(|ids| ids.len());
            let ids = fewest.into_iter().flat_map(|ids| ids.range(range));
            let series = ids.filter_map(|id| index.by_id.get(id)).filter(|series| filter.fits(series));
            series.take(limit).cloned().collect()
        })
    }

    /// Every series of a name that is `wanted`, by number. `wanted` must not ask for series.
    pub fn of_name(&self, metric_name: &str, wanted: impl Fn(&Series) -> bool) -> Vec<Arc<Series>> {
        self.read(|index| {
            let ids = index.postings.get(&Label::Name(metric_name.to_owned()));
            let series = ids.into_iter().flatten().filter_map(|id| index.by_id.get(id));
            series.filter(|series| wanted(series)).cloned().collect()
        })
    }

    /// All of them, by number.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.read(|index| index.by_id.values().cloned().collect())
    }
}

impl Index {
    fn remove(&mut self, id: SeriesId) {
        let Some(series) = self.by_id.remove(&id) else { return };
        self.by_key.remove(series.key().as_ref());
        for label in labels(series.key()) {
            if let Some(ids) = self.postings.get_mut(&label) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.postings.remove(&label);
                }
            }
        }
    }
}
