//! Samples: taken, kept, asked for.

use std::time::Duration;

use looma_tests::{Answer, Client, Store, TestServer, both_databases};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

/// The time of the tests' clock at its start, in epoch milliseconds.
const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;

fn sample(service: &str, metric: &str, at: i64, value: f64) -> Value {
    json!({"service_id": service, "metric_name": metric, "metric_value": value, "timestamp": at})
}

async fn send(client: &Client, samples: Vec<Value>) -> Answer {
    client.post("/metrics", &json!({"samples": samples})).await
}

/// The points of the only series that a query answers with, as seconds from the start and value.
#[track_caller]
fn points(answer: Answer) -> Vec<(i64, f64)> {
    let answer = answer.expect(200);
    let [series] = answer["items"].as_array().unwrap().as_slice() else { panic!("one series: {answer}") };
    let point = |point: &Value| {
        let at = looma::clock::Timestamp::parse(point[0].as_str().unwrap()).unwrap();
        ((at.millis() - START) / 1000, point[1].as_f64().unwrap())
    };
    series["points"].as_array().unwrap().iter().map(point).collect()
}

both_databases! {
    /// What was sent is what is asked for, with its unit and its tags, and now is the time of a sample without one.
    async fn samples_are_given_back(looma: TestServer) {
        let admin = looma.admin().await;
        let first = json!({"service_id": "ai-1", "metric_name": "cpu_usage", "metric_value": 91.5, "metric_unit": "percent",
            "tags": {"core": "0"}});
        let second = json!({"service_id": "ai-1", "metric_name": "cpu_usage", "metric_value": 92, "metric_unit": "percent",
            "tags": {"core": "0"}, "timestamp": "2026-01-01T00:00:05+00:00"});
        send(admin, vec![first, second]).await.expect(204);
        let answer = admin.get("/metrics/query?metric_name=cpu_usage&service_id=ai-1&tag=core:0").await;
        let series = &answer.json["items"][0];
        assert_eq!(series["points"], json!([["2026-01-01T00:00:00.000Z", 91.5], ["2026-01-01T00:00:05.000Z", 92.0]]));
        assert_eq!((&series["metric_unit"], &series["tags"]), (&json!("percent"), &json!({"core": "0"})));
        let other = admin.get("/metrics/query?metric_name=cpu_usage&service_id=ai-1&tag=core:1").await.expect(200);
        assert_eq!(other["items"], json!([]));
    }

    /// A bad sample is told with its index and place, and its neighbours are kept.
    async fn bad_samples_do_not_lose_good_ones(looma: TestServer) {
        let body = format!(
            r#"{{"samples": [
                {{"service_id": "a", "metric_name": "m", "metric_value": 1}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1e999}},
                {{"service_id": "a", "metric_name": "9m", "metric_value": "x"}},
                {{"service_id": "", "metric_name": "9m", "metric_value": 1, "metric_unit": "123456789012345678901"}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1, "timestamp": {old}}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1, "timestamp": {ahead}}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1, "timestamp": "yesterday"}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1, "tags": {{"1": "x"}}, "unit": "s"}},
                {{"service_id": "a", "metric_name": "m", "metric_value": 1, "tags": {{"1": "x"}}}},
                7,
                {{"service_id": "a", "metric_name": "m", "metric_value": 2, "timestamp": {soon}}}
            ]}}"#,
            old = START - 48 * HOUR - 1, ahead = START + 300_001, soon = START + 300_000,
        );
        let admin = looma.admin().await;
        let answer = admin.post_bytes("/metrics", "application/json", body).await;
        assert_eq!(answer.status, 422, "{}", answer.json);
        assert_eq!(answer.pointers(), [
            "/samples/1/metric_value", "/samples/2/metric_value", "/samples/3/service_id", "/samples/3/metric_name",
            "/samples/3/metric_unit", "/samples/4/timestamp", "/samples/5/timestamp", "/samples/6/timestamp",
            "/samples/7/unit", "/samples/8/tags/1", "/samples/9",
        ]);
        assert_eq!(points(admin.get("/metrics/query?metric_name=m&service_id=a").await), [(0, 1.0), (300, 2.0)]);
        let text = admin.get("/metrics-text").await;
        let text = String::from_utf8_lossy(&text.bytes);
        assert!(text.contains("looma_samples_accepted_total 2\n"), "{text}");
        assert!(text.contains("looma_samples_refused_total 9\n"), "{text}");
    }

    /// What is no JSON is malformed, and what is no list of samples, or too long a one, is refused as a whole.
    async fn bodies_that_are_no_samples_are_refused(looma: TestServer) {
        let admin = looma.admin().await;
        let nan = r#"{"samples": [{"service_id": "a", "metric_name": "m", "metric_value": NaN}]}"#;
        admin.post_bytes("/metrics", "application/json", nan).await.expect(400);
        let answer = admin.post("/metrics", &json!({"sample": []})).await;
        assert_eq!(answer.pointers(), ["/sample", "/samples"]);
        answer.expect(422);
        send(admin, vec![sample("a", "m", START, 1.0); 10_001]).await.expect(422);
        send(admin, Vec::new()).await.expect(204);
        assert_eq!(admin.get("/metrics/series").await.expect(200)["items"], json!([]));
        looma.anonymous().post("/metrics", &json!({"samples": []})).await.expect(401);
    }

    /// A token that is bound to a service sends samples of that one alone, and one without the scope sends none.
    async fn tokens_speak_for_their_service(looma: TestServer) {
        let token = async |token: Value| {
            let made = looma.admin().await.post("/tokens", &token).await.expect(201);
            looma.with_token(made["token"].as_str().unwrap())
        };
        let bound = token(json!({"name": "a", "scopes": ["metrics:write"], "service_id": "a"})).await;
        send(&bound, vec![sample("a", "m", START, 1.0)]).await.expect(204);
        send(&bound, vec![sample("a", "m", START + 1, 2.0), sample("b", "m", START, 1.0)]).await.expect(403);
        bound.get("/metrics/series").await.expect(403);
        let named = token(json!({"name": "n", "scopes": ["metrics:write"], "service_name": "ai"})).await;
        send(&named, vec![sample("c", "n", START, 1.0)]).await.expect(403);
        let service = json!({"service_id": "c", "service_name": "ai", "service_type": "ai", "service_url": "http://10.0.0.7:8002"});
        looma.admin().await.post("/services", &service).await.expect(201);
        send(&named, vec![sample("c", "n", START, 1.0)]).await.expect(204);
        let reader = token(json!({"name": "r", "scopes": ["metrics:read"]})).await;
        send(&reader, vec![sample("a", "m", START, 3.0)]).await.expect(403);
        assert_eq!(points(reader.get("/metrics/query?metric_name=m").await), [(0, 1.0)]);
    }

    /// A series too many is refused with the reason, and so is a tag too many; both are limits of the settings.
    async fn limits_are_told(looma: TestServer) {
        let admin = looma.admin().await;
        let series = |i: i64| {
            let mut one = sample("a", "m", START, 1.0);
            one["tags"] = json!({"i": i.to_string()});
            one
        };
        send(admin, (0..999).map(series).collect()).await.expect(204);
        let answer = send(admin, (998..1002).map(series).collect()).await;
        assert_eq!(answer.pointers(), ["/samples/2", "/samples/3"]);
        assert!(answer.json["errors"][0]["message"].as_str().unwrap().contains("metrics.max_series_per_service"));
        answer.expect(422);
        let mut tags = serde_json::Map::new();
        for i in 0..17 {
            tags.insert(format!("t{i}"), json!("x"));
        }
        let mut one = sample("b", "m", START, 1.0);
        one["tags"] = tags.into();
        let answer = send(admin, vec![one]).await;
        assert_eq!(answer.pointers(), ["/samples/0/tags"]);
        answer.expect(422);
    }

    /// The last value of a moment counts, in one request and over several, and a late sample finds its place.
    async fn the_last_value_of_a_moment_counts(looma: TestServer) {
        let admin = looma.admin().await;
        let at = |seconds: i64, value| sample("a", "m", START - seconds * 1000, value);
        send(admin, vec![at(10, 1.0), at(0, 2.0), at(10, 3.0)]).await.expect(204);
        send(admin, vec![at(5, 4.0), at(0, 5.0)]).await.expect(204);
        let query = "/metrics/query?metric_name=m&service_id=a";
        assert_eq!(points(admin.get(query).await), [(-10, 3.0), (-5, 4.0), (0, 5.0)]);
    }

    /// Steps are aligned, and a step without samples is not there.
    async fn a_gap_is_a_gap(looma: TestServer) {
        let admin = looma.admin().await;
        let at = |seconds: i64, value| sample("a", "m", START + seconds * 1000, value);
        send(admin, vec![at(-290, 1.0), at(-241, 3.0), at(-5, 7.0), at(2, 9.0)]).await.expect(204);
        let ask = |agg: &str| format!("/metrics/query?metric_name=m&step=60&agg={agg}");
        assert_eq!(points(admin.get(&ask("avg")).await), [(-300, 2.0), (-60, 7.0), (0, 9.0)]);
        assert_eq!(points(admin.get(&ask("count")).await), [(-300, 2.0), (-60, 1.0), (0, 1.0)]);
        assert_eq!(points(admin.get(&ask("last")).await), [(-300, 3.0), (-60, 7.0), (0, 9.0)]);
        // Both ends belong to the range.
        let part = format!("/metrics/query?metric_name=m&from={}&to={}", START - 241_000, START - 5_000);
        assert_eq!(points(admin.get(&part).await), [(-241, 3.0), (-5, 7.0)]);
    }

    /// A counter that falls began again at zero; the rise into a range counts from the sample before it.
    async fn counters_may_be_reset(looma: TestServer) {
        let admin = looma.admin().await;
        let at = |seconds: i64, value| sample("a", "m", START + seconds * 1000, value);
        send(admin, vec![at(-130, 100.0), at(-100, 130.0), at(-70, 10.0), at(-40, 40.0)]).await.expect(204);
        let ask = |agg: &str, from: i64| {
            format!("/metrics/query?metric_name=m&step=60&agg={agg}&from={}", START + from * 1000)
        };
        assert_eq!(points(admin.get(&ask("increase", -180)).await), [(-120, 40.0), (-60, 30.0)]);
        assert_eq!(points(admin.get(&ask("rate", -180)).await), [(-120, 40.0 / 60.0), (-60, 1.0)]);
        assert_eq!(points(admin.get(&ask("increase", -60)).await), [(-60, 30.0)]);
    }

    /// What cannot be answered says why.
    async fn wrong_questions_are_told(looma: TestServer) {
        let admin = looma.admin().await;
        send(admin, vec![sample("a", "m", START, 1.0)]).await.expect(204);
        for (query, pointers) in [
            ("", vec!["/metric_name"]),
            ("metric_name=m&agg=median&step=60", vec!["/agg"]),
            ("metric_name=m&agg=avg", vec!["/agg"]),
            ("metric_name=m&step=0", vec!["/step"]),
            ("metric_name=m&from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", vec!["/from"]),
            ("metric_name=m&from=noon&to=1e9", vec!["/to", "/from"]),
            ("metric_name=m&from=2025-12-31T00:00:00Z&to=2026-01-01T00:00:00Z&step=7", vec!["/step"]),
            ("metric_name=m&tag=zone", vec!["/tag"]),
        ] {
            let answer = admin.get(&format!("/metrics/query?{query}")).await;
            assert_eq!(answer.pointers(), pointers, "{query}: {}", answer.json);
            answer.expect(422);
        }
        admin.get("/metrics/query?metric_name=n&service_id=a").await.expect(404);
        assert_eq!(admin.get("/metrics/query?metric_name=n").await.expect(200)["items"], json!([]));
        let old = "/metrics/query?metric_name=m&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z";
        assert_eq!(points(admin.get(old).await), []);
    }

    /// Pages of series show each once, in whatever size, and filters hold.
    async fn pages_show_each_series_once(looma: TestServer) {
        let admin = looma.admin().await;
        let mut all = Vec::new();
        for i in 0..23 {
            let mut one = sample(&format!("s{}", i % 3), &format!("m{}", i % 5), START, 1.0);
            one["tags"] = json!({"zone": (i % 2).to_string(), "i": i.to_string()});
            all.push(one);
        }
        send(admin, all).await.expect(204);
        let read = async |filter: &str, limit: usize| {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = admin.get(&format!("/metrics/series?limit={limit}{filter}{after}")).await.expect(200);
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                seen.extend(items.iter().map(|series| series["tags"]["i"].as_str().unwrap().parse::<i64>().unwrap()));
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => return seen,
                }
            }
        };
        for limit in [1, 4, 23, 100] {
            let mut seen = read("", limit).await;
            seen.sort_unstable();
            assert_eq!(seen, (0..23).collect::<Vec<_>>());
            let mut seen = read("&service_id=s1&tag=zone:0", limit).await;
            seen.sort_unstable();
            assert_eq!(seen, (0..23).filter(|i| i % 3 == 1 && i % 2 == 0).collect::<Vec<_>>());
            assert!(read("&metric_name=m4&service_id=s9", limit).await.is_empty());
        }
    }

    /// Samples that are older than they are kept go, and series that have none left go with them.
    async fn retention_forgets(looma: TestServer) {
        let admin = looma.admin().await;
        send(admin, vec![sample("a", "m", START, 1.0), sample("b", "m", START, 1.0)]).await.expect(204);
        looma.advance(Duration::from_secs(47 * 3600));
        let admin = looma.sign_in("admin", looma_tests::ADMIN_PASSWORD).await;
        send(&admin, vec![sample("b", "m", START + 47 * HOUR, 2.0)]).await.expect(204);
        looma.run_task("metrics.retain").await;
        let from = format!("&from={START}");
        let ask = |service: &str| format!("/metrics/query?metric_name=m&service_id={service}{from}");
        assert_eq!(points(admin.get(&ask("a")).await), [(0, 1.0)]);
        looma.advance(Duration::from_secs(3601));
        let admin = looma.sign_in("admin", looma_tests::ADMIN_PASSWORD).await;
        looma.run_task("metrics.retain").await;
        admin.get(&ask("a")).await.expect(404);
        assert_eq!(points(admin.get(&ask("b")).await), [(47 * 3600, 2.0)]);
        // A series that was forgotten can come again.
        send(&admin, vec![sample("a", "m", START + 47 * HOUR, 3.0)]).await.expect(204);
        assert_eq!(points(admin.get(&ask("a")).await), [(47 * 3600, 3.0)]);
    }
}

/// What a restart finds is what was acknowledged, and memory and database give the same numbers: the same data is asked
/// for twice, of a server that holds all of it in memory and of one that holds a minute of it.
async fn memory_and_database_agree(store: Store) {
    let mut settings = store.settings();
    settings.metrics.recent_seconds = 48 * 3600;
    let looma = TestServer::start_with(store.clone(), settings).await;
    let mut runner = TestRunner::deterministic();
    let mut draw = |range: std::ops::Range<i64>| range.new_tree(&mut runner).unwrap().current();
    let mut samples = Vec::new();
    for _ in 0..3000 {
        let at = START - draw(0..2 * HOUR) / 250 * 250;
        // Values that need every bit of a double.
        let value = draw(-1_000_000_000..1_000_000_000) as f64 / 7.0 * 1e-3;
        samples.push(sample(&format!("s{}", draw(0..3)), &format!("m{}", draw(0..2)), at, value));
    }
    send(looma.admin().await, samples).await.expect(204);
    let mut questions = Vec::new();
    for agg in ["", "avg", "min", "max", "sum", "count", "last", "rate", "increase"] {
        for _ in 0..4 {
            let from = START - draw(1..2 * HOUR);
            let to = from + draw(1..2 * HOUR);
            let step = if agg.is_empty() { String::new() } else { format!("&agg={agg}&step={}", draw(1..600)) };
            questions.push(format!("/metrics/query?metric_name=m{}&from={from}&to={to}{step}", draw(0..2)));
        }
    }
    let mut expected = Vec::new();
    for question in &questions {
        expected.push(looma.admin().await.get(question).await.expect(200));
    }
    let at = looma.app().clock.now();
    looma.stop().await;
    let mut settings = store.settings();
    settings.metrics.recent_seconds = 60;
    let looma = TestServer::start_at(store, settings, at).await;
    assert!(looma.app().metrics.counts().points < 100);
    for (question, expected) in questions.iter().zip(expected) {
        let given = looma.admin().await.get(question).await.expect(200);
        assert_eq!(given["items"], expected["items"], "{question}");
    }
    looma.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_database_agree_on_sqlite() {
    memory_and_database_agree(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_database_agree_on_postgres() {
    let Some(store) = Store::postgres().await else { return };
    memory_and_database_agree(store).await;
}

/// Replicas number series alike, see each other's samples, and agree on which value of a moment was the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_agree() {
    let Some(store) = Store::postgres().await else { return };
    let one = TestServer::start(store.clone()).await;
    let two = TestServer::start(store).await;
    let (a, b) = (one.admin().await, two.admin().await);
    let at = |seconds: i64, value| sample("a", "m", START + seconds * 1000, value);
    send(a, vec![at(0, 1.0), at(1, 1.0)]).await.expect(204);
    send(b, vec![at(1, 2.0), at(2, 2.0)]).await.expect(204);
    send(a, vec![at(2, 3.0), sample("only-a", "m", START, 1.0)]).await.expect(204);
    one.run_task("metrics.follow").await;
    two.run_task("metrics.follow").await;
    for client in [a, b] {
        let query = "/metrics/query?metric_name=m&service_id=a";
        assert_eq!(points(client.get(query).await), [(0, 1.0), (1, 2.0), (2, 3.0)]);
    }
    assert_eq!(a.get("/metrics/series").await.expect(200), b.get("/metrics/series").await.expect(200));
    // One replica forgets a series that the other still knows, and writes to.
    two.advance(Duration::from_secs(49 * 3600));
    two.run_task("metrics.retain").await;
    send(a, vec![at(3, 4.0)]).await.expect(204);
    assert_eq!(points(a.get("/metrics/query?metric_name=m&service_id=a").await), [(3, 4.0)]);
    one.stop().await;
    two.stop().await;
}

/// Columns for evaluators: series in the order asked for, points oldest first, and with no lookback the newest alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_hold_what_is_recent() {
    let looma = TestServer::start(Store::sqlite()).await;
    let at = |service: &str, seconds: i64, value| sample(service, "m", START + seconds * 1000, value);
    let samples = vec![at("a", -60, 1.0), at("a", -10, 2.0), at("a", 0, 3.0), at("b", -61, 4.0), at("c", 0, 5.0)];
    send(looma.admin().await, samples).await.expect(204);
    let metrics = &looma.app().metrics;
    let series = metrics.select("m", |series| series.service_id.as_str() != "c");
    assert_eq!(series.len(), 2);
    let columns = metrics.batch(&series, Duration::from_secs(60));
    assert_eq!(columns.ids, series.iter().map(|series| series.series_id.0 as u64).collect::<Vec<_>>());
    assert_eq!(columns.offsets, [0, 3, 3]);
    assert_eq!(columns.times, [START - 60_000, START - 10_000, START]);
    assert_eq!(columns.values, [1.0, 2.0, 3.0]);
    let newest = metrics.batch(&series, Duration::ZERO);
    assert_eq!((newest.offsets, newest.values), (vec![0, 1, 2], vec![3.0, 4.0]));
    let now = looma.app().clock.now();
    let stored = metrics.history(&series, now.minus(Duration::from_secs(61)), now).await.unwrap();
    assert_eq!((stored.offsets, stored.values), (vec![0, 2, 3], vec![1.0, 2.0, 4.0]));
    looma.stop().await;
}
