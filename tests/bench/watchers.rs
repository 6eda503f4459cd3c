//! Watchers that are told nothing, because nothing happens: what do they cost?

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::sleep};

use super::{Failed, Outcome, Plan, servers::Looma};
use crate::events::Events;

/// How many connect at a time.
const AT_ONCE: usize = 64;

/// Opens as many watches as there are subscribers, leaves them idle for as long as asked, and says what they take.
pub async fn watchers(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    let looma = Looma::start(plan, 15).await?;
    // What the first request takes is nobody's.
    let mut open = vec![watch(&looma).await?];
    let before = looma.usage();
    let began = Instant::now();
    while open.len() < plan.subscribers + 1 {
        let more = AT_ONCE.min(plan.subscribers + 1 - open.len());
        open.extend(several(&looma, more).await?);
    }
    say(&format!("{} watchers connected in {:.1} s", plan.subscribers, began.elapsed().as_secs_f64()));
    sleep(Duration::from_secs(1).min(plan.length)).await;
    let (idle, began) = (looma.usage(), Instant::now());
    sleep(plan.length).await;
    let after = looma.usage();
    let share = after.share_since(&idle, began.elapsed());
    let grown = after.rss_kib.saturating_sub(before.rss_kib);
    Ok(format!(
        "{} idle watchers: resident {:.1} MiB without, {:.1} MiB with them (wanted: below 500), {:.1} KiB each; {:.1} % of one core\n",
        plan.subscribers,
        before.mib(),
        after.mib(),
        grown as f64 / plan.subscribers.max(1) as f64,
        share * 100.0
    ))
}

async fn several(looma: &Looma, count: usize) -> Result<Vec<Events>, Failed> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let (address, token) = (looma.address, looma.token.clone());
        opening.spawn(async move { Events::open(address, &token, PATH).await });
    }
    Ok(opening.join_all().await.into_iter().collect::<Result<_, _>>()?)
}

const PATH: &str = "/api/v1/watch?topics=services";

async fn watch(looma: &Looma) -> Result<Events, Failed> {
    Ok(Events::open(looma.address, &looma.token, PATH).await?)
}
