//! `looma import legacy`: a thin caller of the REST API, as the other subcommands are. Without `--apply` it only reads.
//!
//! What the server has already is left as it is there, so it can be run again, and goes on where it was broken off.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        list::{client, print},
        serve::runtime,
    },
    dump::{self, Dump},
    report::{Outcome, Report, below},
    samples::{self, Point, Series},
    services::{self, Read},
};
use crate::{
    client::{Client, ClientError},
    clock::{Clock, Timestamp},
    ids::ServiceId,
    settings::{Connect, Metrics},
};

/// How many services, and how many bytes of them, go into one request.
const SERVICES: usize = 500;
const BYTES: usize = 1 << 20;
/// How many samples do, and how many points are asked for.
const SAMPLES: usize = 5000;

/// What `looma import legacy` takes.
#[derive(clap::Args)]
pub struct Legacy {
    /// A JSON object of the old manager's dictionaries: `service_registry`, `metrics_history`, and its configuration.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    connect: Connect,
    /// Writes; without it, what would be done is told and nothing is.
    #[arg(long)]
    apply: bool,
    /// How long a service lives without a heartbeat if it does not say; 0: none is expected until it registers itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=86_400))]
    ttl: i64,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
}

impl Legacy {
    pub fn run(self) -> anyhow::Result<()> {
        let Self { file, connect, apply, ttl, json } = self;
        let dump = dump::read(&file)?;
        let client = client(&connect)?;
        let mut import = Import { client, apply, ttl, report: Report::default(), now: Clock::system().now() };
        runtime()?.block_on(import.all(dump))?;
        match json {
            true => print(&serde_json::to_string_pretty(&import.report.json(apply))?),
            false => print(&import.report.text(apply)),
        }
    }
}

struct Import {
    client: Client,
    apply: bool,
    ttl: i64,
    report: Report,
    now: Timestamp,
}

/// What the server has of a service.
#[derive(Deserialize)]
struct Known {
    service_id: ServiceId,
    service_name: String,
    service_url: String,
}

/// What became of one service of a batch.
#[derive(Deserialize)]
struct Registered {
    status: u16,
    errors: Vec<crate::client::Fault>,
}

#[derive(Deserialize)]
struct Batch {
    items: Vec<Registered>,
}

/// Points that the server has.
#[derive(Deserialize)]
struct Points {
    items: Vec<SeriesPoints>,
}

#[derive(Deserialize)]
struct SeriesPoints {
    tags: BTreeMap<String, String>,
    points: Vec<(Timestamp, f64)>,
}

impl Import {
    async fn all(&mut self, dump: Dump) -> anyhow::Result<()> {
        let Dump { services, metrics, configuration, others } = dump;
        self.services(services.0).await?;
        self.samples(&metrics.0).await?;
        for place in configuration {
            self.report.add(&place, Outcome::Refused, vec!["this version keeps no configuration".to_owned()]);
        }
        for place in others {
            self.report.add(&place, Outcome::Refused, vec!["it is none of the dictionaries that are known".to_owned()]);
        }
        Ok(())
    }

    async fn services(&mut self, entries: Vec<(String, Value)>) -> anyhow::Result<()> {
        let known = self.client.list::<Known>(&["services"], &[], usize::MAX).await;
        let known = known.context("could not ask for the services that are there")?;
        let known: HashMap<ServiceId, Known> =
            known.into_iter().map(|known| (known.service_id.clone(), known)).collect();
        let (mut places, mut new) = (HashMap::new(), Vec::new());
        for (key, value) in entries {
            let place = below("/service_registry", &key);
            match services::read(&key, value, self.ttl) {
                Err(faults) => self.report.add(&place, Outcome::Refused, faults),
                Ok(read) => match (places.get(&read.service.service_id), known.get(&read.service.service_id)) {
                    (Some(other), _) => {
                        let why = format!("its id is that of {other}, too");
                        self.report.add(&place, Outcome::Refused, vec![why]);
                    }
                    (None, there) => {
                        places.insert(read.service.service_id.clone(), place.clone());
                        match there {
                            Some(known) => self.report.add(&place, Outcome::AlreadyThere, differences(&read, known)),
                            None => {
                                let row = self.report.take(&place, read.changes);
                                new.push((row, read.service, read.is_off));
                            }
                        }
                    }
                },
            }
        }
        if self.apply { self.register(new).await } else { Ok(()) }
    }

    async fn register(&mut self, new: Vec<(usize, crate::registry::NewService, bool)>) -> anyhow::Result<()> {
        let mut left = new.into_iter().peekable();
        while left.peek().is_some() {
            let (mut rows, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some((row, service, is_off)) = left.next_if(|_| batch.len() < SERVICES && bytes < BYTES) {
                let value = serde_json::to_value(&service)?;
                bytes += value.to_string().len();
                rows.push((row, service.service_id, is_off));
                batch.push(value);
            }
            let done: Batch =
                self.client.post_for(&["services", "batch"], &json!({"services": batch})).await.context(AGAIN)?;
            for ((row, id, is_off), Registered { status, errors }) in rows.into_iter().zip(done.items) {
                if status >= 300 {
                    let why =
                        errors.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect::<Vec<_>>();
                    self.report.turn(
                        row,
                        Outcome::Refused,
                        Some(format!("the server answers {status}: {}", why.join("; "))),
                    );
                } else if is_off {
                    self.client
                        .patch(&["services", id.as_str()], &json!({"status": "inactive"}))
                        .await
                        .context(AGAIN)?;
                }
            }
        }
        Ok(())
    }

    async fn samples(&mut self, entries: &[(String, Value)]) -> anyhow::Result<()> {
        let mut series: BTreeMap<Series, BTreeMap<Timestamp, (usize, String, Point)>> = BTreeMap::new();
        let kept = Metrics::default().retention();
        for (key, value) in entries {
            for (place, row) in samples::read(&below("/metrics_history", key), key, value) {
                let mut point = match row {
                    Ok(point) => point,
                    Err(why) => {
                        self.report.add(&place, Outcome::Refused, vec![why]);
                        continue;
                    }
                };
                let at = point.at;
                let others = series.entry(point.series.clone()).or_default();
                if let Some((_, other, _)) = others.get(&at) {
                    let why = format!("it is of the same series and millisecond as {other}");
                    self.report.add(&place, Outcome::Refused, vec![why]);
                    continue;
                }
                let row = self.report.take(&place, std::mem::take(&mut point.changes));
                if at < self.now.minus(kept) && !self.apply {
                    let hours = kept.as_secs() / 3600;
                    let note = format!("older than {hours} hours: a server that keeps no more will refuse it");
                    self.report.note(row, note);
                }
                others.insert(at, (row, place, point));
            }
        }
        let mut new = Vec::new();
        for (series, points) in series {
            let there = self.there(&series, &points.keys().copied().collect::<Vec<_>>()).await?;
            for (at, (row, _, point)) in points {
                match there.get(&at) {
                    Some(value) if *value == point.value => self.report.turn(row, Outcome::AlreadyThere, None),
                    Some(value) => {
                        let note = format!("it is {value} there, and {} here; it is left as it is", point.value);
                        self.report.turn(row, Outcome::AlreadyThere, Some(note));
                    }
                    None => new.push((row, point)),
                }
            }
        }
        if self.apply { self.send(&new).await } else { Ok(()) }
    }

    /// The points of a series that the server has at about these times, which are in order.
    async fn there(&self, series: &Series, times: &[Timestamp]) -> anyhow::Result<HashMap<Timestamp, f64>> {
        let mut found = HashMap::new();
        for times in times.chunks(SAMPLES) {
            let (Some(first), Some(last)) = (times.first(), times.last()) else { continue };
            let query = [
                ("metric_name", series.metric_name.clone()),
                ("service_id", series.service_id.0.clone()),
                ("from", first.to_string()),
                ("to", last.plus(Duration::from_millis(1)).to_string()),
            ];
            let items = match self.client.ask::<Points>(&["metrics", "query"], &query).await {
                Ok(points) => points.items,
                Err(ClientError::Refused(problem)) if problem.status == 404 => Vec::new(),
                Err(error) => return Err(error).context("could not ask for the samples that are there"),
            };
            found.extend(items.into_iter().filter(|item| item.tags == series.tags).flat_map(|item| item.points));
        }
        Ok(found)
    }

    async fn send(&mut self, new: &[(usize, Point)]) -> anyhow::Result<()> {
        for chunk in new.chunks(SAMPLES) {
            let sample = |(_, point): &(usize, Point)| {
                let Point { series, unit, at, value, changes: _ } = point;
                let Series { service_id, metric_name, tags } = series;
                json!({"service_id": service_id, "metric_name": metric_name, "metric_value": value, "metric_unit": unit, "tags": tags, "timestamp": at})
            };
            let samples: Vec<Value> = chunk.iter().map(sample).collect();
            let problem = match self.client.post(&["metrics"], &json!({"samples": samples})).await {
                Ok(()) => continue,
                // The good ones are kept, and the others are named.
                Err(ClientError::Refused(problem)) if problem.status == 422 && !problem.errors.is_empty() => problem,
                Err(error) => return Err(error).context(AGAIN),
            };
            for fault in &problem.errors {
                let index = fault
                    .pointer
                    .strip_prefix("/samples/")
                    .and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
                let row = index.and_then(|index| chunk.get(index)).map(|(row, _)| *row);
                let row = row.with_context(|| format!("the server refuses samples: {}", fault.message))?;
                self.report.turn(row, Outcome::Refused, Some(fault.message.clone()));
            }
        }
        Ok(())
    }
}

const AGAIN: &str = "broken off: what was written is there, and the same command goes on";

/// In what a service that is there is not as it stands in the file.
fn differences(read: &Read, known: &Known) -> Vec<String> {
    let own = &read.service;
    let both = [
        ("service_name", &own.service_name, &known.service_name),
        ("service_url", &own.service_url, &known.service_url),
    ];
    let differing = both.into_iter().filter(|(_, here, there)| here != there);
    differing.map(|(field, _, there)| format!("its {field} is {there:?} there, and is left as it is")).collect()
}
