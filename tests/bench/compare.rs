//! Heartbeats, lists and registrations a second, in turns: each figure of one server is taken between two of the other, so that what
//! the machine does beside is in both alike.

use std::{fmt::Write as _, time::Duration};

use tokio::time::sleep;

use super::{
    Failed, Outcome, Plan,
    contenders::{Contender, Kind, Way},
    figures::{Millis, Times, Usage, median},
    lanes::{Done, Until, drive, prepared},
    push,
    servers::{LONG, Looma, Rnacos},
};

/// How often all is done again because r-nacos broke under it.
const ATTEMPTS: usize = 5;
/// How many connections register the services that are there from the beginning.
const FILLING: usize = 64;
/// Between two figures: what one left undone shall not be done in the other's time.
const PAUSE: Duration = Duration::from_millis(500);

/// What is measured: a kind of request, whether all are about one service, and how many times r-nacos it is to be.
const ROWS: [(&str, Kind, Spread, f64); 6] = [
    ("heartbeats", Kind::Heartbeat, Spread::Distinct, 2.0),
    ("heartbeats, one hot", Kind::Heartbeat, Spread::Hot, 2.0),
    ("lists", Kind::List, Spread::Distinct, 2.0),
    ("lists, one hot", Kind::List, Spread::Hot, 2.0),
    ("registrations", Kind::Register, Spread::Distinct, 1.0),
    ("registrations, one hot", Kind::Register, Spread::Hot, 1.0),
];

/// Which services requests are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    Distinct,
    Hot,
}

/// The servers, and the ways to them. The first is r-nacos where there is one.
struct Field {
    looma: Looma,
    rnacos: Option<Rnacos>,
    contenders: Vec<Contender>,
}

/// Measures, and gives a table. `say` is told how it goes.
pub async fn compare(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    for attempt in 1..=ATTEMPTS {
        let field = Field::start(plan).await?;
        let measured = measure(plan, &field, &say).await;
        if field.rnacos.as_ref().is_some_and(Rnacos::has_panicked) {
            say(&format!("r-nacos panicked in run {attempt}: everything is measured again"));
            continue;
        }
        return measured;
    }
    Err(format!("r-nacos panicked in each of {ATTEMPTS} runs").into())
}

impl Field {
    async fn start(plan: &Plan) -> Result<Self, Failed> {
        let looma = Looma::start(plan, LONG).await?;
        let rnacos = match &plan.rnacos {
            Some(binary) => Some(Rnacos::start(binary).await?),
            None => None,
        };
        let way = |name, way| Contender { name, address: looma.address, token: looma.token.clone(), way };
        let mut contenders = vec![way("Looma, Nacos paths", Way::Nacos), way("Looma, own API", Way::Own)];
        contenders.extend(rnacos.as_ref().map(|rnacos| Contender {
            name: "r-nacos",
            address: rnacos.address,
            token: String::new(),
            way: Way::Nacos,
        }));
        Ok(Self { looma, rnacos, contenders })
    }

    fn usage(&self) -> (Usage, Option<Usage>) {
        (self.looma.usage(), self.rnacos.as_ref().map(Rnacos::usage))
    }
}

async fn measure(plan: &Plan, field: &Field, say: &impl Fn(&str)) -> Outcome {
    let mut table = memory(plan, field, say).await?;
    writeln!(table, "\n{}", header(&field.contenders))?;
    for (what, kind, spread, wanted) in ROWS {
        for connections in &plan.connections {
            let row = Row { what, kind, spread, wanted, connections: *connections };
            let line = row.measure(plan, field).await?;
            say(&line);
            writeln!(table, "{line}")?;
        }
    }
    let (watch, poll) = push::push(&field.looma, plan.subscribers, plan.changes).await?;
    let told = format!("from a registration that says something new to each of {} subscribers", plan.subscribers);
    writeln!(table, "\npush, {told}, Looma's own API: by /watch {watch}; by long poll {poll}")?;
    Ok(table)
}

/// Registers the services, and says what they take.
async fn memory(plan: &Plan, field: &Field, say: &impl Fn(&str)) -> Outcome {
    let (empty, mut text) = (field.usage(), String::new());
    let nacos = field.contenders.iter().filter(|contender| contender.way == Way::Nacos);
    for contender in nacos {
        let filled = fill(contender, plan.services).await?;
        writeln!(
            text,
            "{}: {} services registered in {}, {:.0}/s",
            contender.name,
            plan.services,
            Millis(filled.took),
            filled.a_second()
        )?;
    }
    sleep(PAUSE * 4).await;
    let (looma, rnacos) = field.usage();
    let line = |name, before: Usage, after: Usage| {
        format!(
            "{name}: resident {:.1} MiB empty, {:.1} MiB with {} services",
            before.mib(),
            after.mib(),
            plan.services
        )
    };
    writeln!(text, "{}", line("Looma", empty.0, looma))?;
    if let (Some(before), Some(after)) = (empty.1, rnacos) {
        writeln!(text, "{}", line("r-nacos", before, after))?;
    }
    say(text.trim_end());
    for contender in field.contenders.iter().filter(|contender| contender.way == Way::Own) {
        fill(contender, plan.services).await?;
    }
    // What has never sent a heartbeat comes to life with the first: that is a change, and no heartbeat as they go.
    for contender in &field.contenders {
        let beats = prepared(contender, Kind::Heartbeat, plan.services);
        drive(contender, Kind::Heartbeat, &beats, FILLING, Until::Once).await?;
    }
    Ok(text)
}

async fn fill(contender: &Contender, services: usize) -> Result<Done, Failed> {
    let requests = prepared(contender, Kind::Register, services);
    drive(contender, Kind::Register, &requests, FILLING, Until::Once).await
}

struct Row {
    what: &'static str,
    kind: Kind,
    spread: Spread,
    wanted: f64,
    connections: usize,
}

fn header(contenders: &[Contender]) -> String {
    let mut line = format!("{:<24}{:>5}", "", "conns");
    for contender in contenders {
        let _ = write!(line, " | {:>20} /s {:>9} {:>9}", contender.name, "p50", "p99");
    }
    if contenders.len() > 2 {
        line.push_str(" | Nacos paths / r-nacos | own API / r-nacos");
    }
    line
}

impl Row {
    async fn measure(&self, plan: &Plan, field: &Field) -> Result<String, Failed> {
        let services = if self.spread == Spread::Hot { 1 } else { plan.services };
        let requests: Vec<_> =
            field.contenders.iter().map(|contender| prepared(contender, self.kind, services)).collect();
        let mut rates = vec![Vec::new(); requests.len()];
        let mut times = vec![Times::default(); requests.len()];
        for _ in 0..plan.rounds {
            for (at, contender) in field.contenders.iter().enumerate() {
                let until = Until::Passed(plan.length);
                let done = drive(contender, self.kind, &requests[at], self.connections, until).await?;
                rates[at].push(done.a_second());
                times[at].merge(done.times);
                sleep(PAUSE.min(plan.length)).await;
            }
        }
        let rates: Vec<f64> = rates.into_iter().map(median).collect();
        Ok(self.line(&rates, &times))
    }

    fn line(&self, rates: &[f64], times: &[Times]) -> String {
        let mut line = format!("{:<24}{:>5}", self.what, self.connections);
        for (rate, times) in rates.iter().zip(times) {
            let (half, most) = (Millis(times.within(0.5)).to_string(), Millis(times.within(0.99)).to_string());
            let _ = write!(line, " | {rate:>20.0} /s {half:>9} {most:>9}");
        }
        if let [nacos, own, rnacos] = rates {
            let of = |rate: f64| {
                let (ratio, met) = (rate / rnacos, if rate >= rnacos * self.wanted { "met" } else { "NOT MET" });
                format!("{ratio:.2} (wanted {:.1}: {met})", self.wanted)
            };
            let _ = write!(line, " | {} | {}", of(*nacos), of(*own));
        }
        line
    }
}
