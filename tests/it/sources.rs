//! Discovery sources, through the bundled plugins: what is found meets what is registered.

use std::{path::Path, time::Duration};

use looma_tests::{Answer, Client, Receiver, Store, TestServer, bundled, eventually};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server with the bundled plugins, and a page with a list of services that a test may change.
async fn start(store: Store) -> (TestServer, Receiver) {
    let mut settings = store.settings();
    settings.plugins.dir = Some(bundled(Path::new(env!("CARGO_BIN_EXE_looma"))).to_owned());
    let looma = TestServer::start_with(store, settings).await;
    let page = Receiver::start().await;
    page.show(&listed(&["a", "b", "c"]));
    looma.admin().await.put("/plugins/http-json/grants", &json!({"http": [page.url()]})).await.expect(200);
    (looma, page)
}

fn listed(names: &[&str]) -> Value {
    let service = |name: &&str| json!({"service_id": name, "service_name": "found", "service_type": "web", "url": format!("http://{name}:80")});
    names.iter().map(service).collect()
}

async fn names(looma: &TestServer) -> Vec<String> {
    let found = looma.viewer().await.get("/discovery/found").await.expect(200);
    found["items"].as_array().unwrap().iter().map(|item| item["service_id"].as_str().unwrap().to_owned()).collect()
}

async fn source(looma: &TestServer, page: &Receiver) -> Value {
    let source =
        json!({"name": "list", "strategy": "http-json", "config": {"url": page.url()}, "interval_seconds": 30});
    looma.operator().await.post("/discovery-sources", &source).await.expect(201)
}

/// What a source finds is registered with its origin, changed, and taken away when it is no longer found.
async fn found_registered_changed_and_taken_away(store: Store) {
    let (looma, page) = start(store).await;
    source(&looma, &page).await;
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await, ["a", "b", "c"]);
    assert_eq!(looma.viewer().await.get("/services/a").await.expect(200)["origin"], "source:list");
    page.show(&listed(&["a", "b", "d"]));
    // Its time has not come again.
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await, ["a", "b", "c"]);
    looma.advance(Duration::from_secs(30));
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await, ["a", "b", "d"]);
    let outcome = looma.viewer().await.get("/discovery-sources/list").await.expect(200)["last_outcome"].clone();
    assert_eq!((&outcome["found"], &outcome["registered"], &outcome["removed"]), (&json!(3), &json!(1), &json!(1)));
    looma.stop().await;
}

/// What a source found goes with it.
async fn deleting_a_source_takes_away_what_it_found(store: Store) {
    let (looma, page) = start(store).await;
    source(&looma, &page).await;
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await.len(), 3);
    looma.operator().await.delete("/discovery-sources/list").await.expect(204);
    assert!(names(&looma).await.is_empty());
    looma.stop().await;
}

/// A run that fails, or that finds far less than the one before, takes nothing away and says why.
async fn a_mass_removal_is_guarded(store: Store) {
    let (looma, page) = start(store).await;
    let id = source(&looma, &page).await["source_id"].as_str().unwrap().to_owned();
    let run = format!("/discovery-sources/{id}/run");
    let operator = looma.operator().await;
    operator.post(&run, &json!({})).await.expect(200);
    page.answer(500);
    let failed = operator.post(&run, &json!({})).await.expect(200);
    assert!(failed["error"].as_str().unwrap().contains("500"), "{failed}");
    page.answer(200);
    page.show(&json!([]));
    let guarded = operator.post(&run, &json!({})).await.expect(200);
    assert!(guarded["guarded"].as_str().unwrap().starts_with("3 of 3"), "{guarded}");
    assert_eq!(names(&looma).await, ["a", "b", "c"]);
    looma.stop().await;
}

/// A service that registered itself is left as it is, and told as a conflict.
async fn what_registered_itself_is_left(store: Store) {
    let (looma, page) = start(store).await;
    let own = json!({"service_id": "b", "service_name": "own", "service_type": "web", "service_url": "http://own:1"});
    looma.operator().await.post("/services", &own).await.expect(201);
    let id = source(&looma, &page).await["source_id"].as_str().unwrap().to_owned();
    let outcome = looma.operator().await.post(&format!("/discovery-sources/{id}/run"), &json!({})).await.expect(200);
    assert_eq!((&outcome["conflicts"], &outcome["conflict_count"]), (&json!(["b"]), &json!(1)));
    let b = looma.viewer().await.get("/services/b").await.expect(200);
    assert_eq!((&b["service_url"], &b["origin"]), (&json!("http://own:1"), &json!("self")));
    assert_eq!(names(&looma).await, ["a", "c"]);
    looma.stop().await;
}

/// What a source found and then registers itself belongs to itself: runs leave it, and say so.
async fn own_registration_takes_over(store: Store) {
    let (looma, page) = start(store).await;
    source(&looma, &page).await;
    let operator = looma.operator().await;
    operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    let own = json!({"service_id": "b", "service_name": "own", "service_type": "web", "service_url": "http://own:1"});
    let took = operator.post("/services", &own).await;
    assert!([200, 201].contains(&took.status), "{}", took.json);
    page.show(&listed(&["a", "b"]));
    let outcome = operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    assert_eq!((&outcome["conflicts"], &outcome["removed"]), (&json!(["b"]), &json!(1)), "{outcome}");
    page.show(&listed(&["a"]));
    operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    operator.delete("/discovery-sources/list").await.expect(204);
    let b = operator.get("/services/b").await.expect(200);
    assert_eq!((&b["service_url"], &b["origin"]), (&json!("http://own:1"), &json!("self")));
    looma.stop().await;
}

/// A second source, of a page of its own.
async fn rival(looma: &TestServer, page: &Receiver) -> Receiver {
    let other = Receiver::start().await;
    let granted = json!({"http": [page.url(), other.url()]});
    looma.admin().await.put("/plugins/http-json/grants", &granted).await.expect(200);
    let second = json!({"name": "other", "strategy": "http-json", "config": {"url": other.url()}});
    looma.operator().await.post("/discovery-sources", &second).await.expect(201);
    other
}

/// Of two sources the one that found a service first keeps it. The other names 20 of its conflicts and counts all; when the
/// first finds the service no longer, the other has it.
async fn the_source_that_was_first_keeps_it(store: Store) {
    let (looma, page) = start(store).await;
    let names: Vec<String> = (10..35).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    page.show(&listed(&names));
    source(&looma, &page).await;
    let other = rival(&looma, &page).await;
    other.show(&listed(&names));
    let operator = looma.operator().await;
    operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    let outcome = operator.post("/discovery-sources/other/run", &json!({})).await.expect(200);
    assert_eq!((&outcome["registered"], &outcome["conflict_count"]), (&json!(0), &json!(25)), "{outcome}");
    assert_eq!(outcome["conflicts"], json!(names[..20]));
    let again = operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    assert_eq!((&again["found"], &again["conflict_count"]), (&json!(25), &json!(0)), "{again}");
    assert_eq!(operator.get("/services/s34").await.expect(200)["origin"], "source:list");
    page.show(&listed(&names[..24]));
    operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    operator.post("/discovery-sources/other/run", &json!({})).await.expect(200);
    assert_eq!(operator.get("/services/s34").await.expect(200)["origin"], "source:other");
    looma.stop().await;
}

/// The tag of a source names what was said of it: a run does not change it. Who changes or deletes it must know it.
async fn a_run_leaves_the_tag(store: Store) {
    let (looma, page) = start(store).await;
    source(&looma, &page).await;
    let operator = looma.operator().await;
    let path = "/discovery-sources/list";
    let tag = operator.get(path).await.header("etag").unwrap().to_owned();
    operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
    let after = operator.get(path).await;
    assert_eq!(after.header("etag"), Some(tag.as_str()));
    assert_eq!(after.json["last_outcome"]["found"], 3);
    let with = |method, tag: &str| operator.request(method, path).header("if-match", tag);
    let patch = |tag: &str| with(reqwest::Method::PATCH, tag).json(&json!({"interval_seconds": 60}));
    let patched = operator.send(patch(&tag)).await.expect(200);
    assert_eq!((&patched["interval_seconds"], &patched["last_outcome"]["found"]), (&json!(60), &json!(3)));
    operator.send(patch(&tag)).await.expect(412);
    operator.send(with(reqwest::Method::DELETE, &tag)).await.expect(412);
    let tag = operator.get(path).await.header("etag").unwrap().to_owned();
    operator.send(with(reqwest::Method::DELETE, &tag)).await.expect(204);
    looma.stop().await;
}

/// A wall clock that is set back by a day does not hold up a source by a day.
async fn a_clock_set_back_stalls_no_source(store: Store) {
    let (looma, page) = start(store).await;
    source(&looma, &page).await;
    looma.run_task("discovery.run").await;
    page.show(&listed(&["a", "b", "d"]));
    let back = looma.app().clock.now().minus(Duration::from_secs(24 * 3600));
    looma.clock.jump(back);
    looma.advance(Duration::from_secs(29));
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await, ["a", "b", "c"]);
    looma.advance(Duration::from_secs(1));
    looma.run_task("discovery.run").await;
    assert_eq!(names(&looma).await, ["a", "b", "d"]);
    looma.stop().await;
}

/// A page that is asked for and lets one wait for the answer.
struct Slow(TcpListener);

impl Slow {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Waits until somebody asks.
    async fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream
    }
}

async fn answer(mut stream: TcpStream, json: &Value) {
    let body = json.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn slow_source(looma: &TestServer) -> Slow {
    let slow = Slow::start().await;
    looma.admin().await.put("/plugins/http-json/grants", &json!({"http": [slow.url()]})).await.expect(200);
    let source = json!({"name": "slow", "strategy": "http-json", "config": {"url": slow.url()}, "enabled": false});
    looma.operator().await.post("/discovery-sources", &source).await.expect(201);
    slow
}

async fn run_slow(client: &Client) -> Answer {
    client.post("/discovery-sources/slow/run", &json!({})).await
}

/// A source that runs is not run a second time by hand; other sources are.
async fn a_run_by_hand_never_overlaps(store: Store) {
    let (looma, page) = start(store).await;
    let slow = slow_source(&looma).await;
    let granted = json!({"http": [page.url(), slow.url()]});
    looma.admin().await.put("/plugins/http-json/grants", &granted).await.expect(200);
    source(&looma, &page).await;
    let operator = looma.operator().await;
    let first = run_slow(operator);
    let second = async {
        let stream = slow.asked().await;
        let refused = run_slow(operator).await;
        assert!(refused.json["detail"].as_str().unwrap().contains("under way"), "{}", refused.json);
        refused.expect(409);
        operator.post("/discovery-sources/list/run", &json!({})).await.expect(200);
        answer(stream, &listed(&["a"])).await;
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.expect(200)["found"], 1);
    looma.stop().await;
}

/// A run that takes longer than a lease keeps it: another replica does not run the source meanwhile.
async fn a_long_run_keeps_its_lease(store: Store) {
    if store.url().is_none() {
        return;
    }
    let (first, _page) = start(store.clone()).await;
    let mut settings = store.settings();
    settings.plugins.dir.clone_from(&first.app().settings.plugins.dir);
    let second = TestServer::start_with(store, settings).await;
    let slow = slow_source(&first).await;
    second.run_task("feed.follow").await;
    let run = run_slow(first.operator().await);
    let meanwhile = async {
        let stream = slow.asked().await;
        for _ in 0..5 {
            run_slow(second.admin().await).await.expect(409);
            first.advance(Duration::from_secs(25));
            second.advance(Duration::from_secs(25));
            let until = first.app().clock.now().plus(Duration::from_secs(30));
            eventually("a lease that was renewed", async || (expires(&first).await? > until).then_some(())).await;
        }
        run_slow(second.admin().await).await.expect(409);
        answer(stream, &listed(&["a"])).await;
    };
    let (run, ()) = tokio::join!(run, meanwhile);
    assert_eq!(run.expect(200)["found"], 1);
    let again = async { answer(slow.asked().await, &listed(&["a"])).await };
    let (run, ()) = tokio::join!(run_slow(second.admin().await), again);
    assert_eq!(run.expect(200)["found"], 1);
    first.stop().await;
    second.stop().await;
}

/// Until when the lease of a source is held.
async fn expires(looma: &TestServer) -> Option<looma::clock::Timestamp> {
    let sql = "SELECT expires_at FROM task_leases WHERE task_name LIKE 'discovery.%'";
    let mut on = looma.app().db.read().await.unwrap();
    looma::on_db!(&mut on, |c| sqlx::query_scalar(sql).fetch_optional(c).await).unwrap()
}

/// The port scan finds what listens, and nothing else, within the range that it was granted.
async fn a_port_scan_finds_what_listens(store: Store) {
    let (looma, page) = start(store).await;
    let port = page.address.port();
    let source = json!({"name": "scan", "strategy": "port-scan", "interval_seconds": 30,
        "config": {"hosts": ["127.0.0.1/32"], "ports": format!("{}-{}", port.saturating_sub(40), port), "service_name": "found"}});
    let operator = looma.operator().await;
    operator.post("/discovery-sources", &source).await.expect(201);
    let denied = operator.post("/discovery-sources/scan/run", &json!({})).await.expect(200);
    assert!(denied["error"].as_str().is_some_and(|error| error.contains("granted")), "{denied}");
    looma.admin().await.put("/plugins/port-scan/grants", &json!({"net": ["127.0.0.0/8:*"]})).await.expect(200);
    operator.post("/discovery-sources/scan/run", &json!({})).await.expect(200);
    assert!(names(&looma).await.contains(&format!("scan-127.0.0.1-{port}")), "{:?}", names(&looma).await);
    looma.stop().await;
}

/// What is wrong with a source is told in full: its plugin, and what the plugin finds wrong.
async fn wrong_sources_are_refused(store: Store) {
    let (looma, _page) = start(store).await;
    let operator = looma.operator().await;
    let nobody = json!({"name": "", "strategy": "nobody", "interval_seconds": 0, "max_removed_share": 2.0});
    let refused = operator.post("/discovery-sources", &nobody).await;
    assert_eq!(refused.pointers(), ["/name", "/interval_seconds", "/max_removed_share", "/strategy"]);
    refused.expect(422);
    let notifier = json!({"name": "n", "strategy": "webhook", "config": {"url": "http://x"}});
    assert_eq!(operator.post("/discovery-sources", &notifier).await.pointers(), ["/strategy"]);
    let config = json!({"name": "n", "strategy": "http-json", "config": {"url": "ftp://x", "timeout_ms": 1}});
    assert_eq!(operator.post("/discovery-sources", &config).await.pointers(), ["/config/url", "/config/timeout_ms"]);
    looma.stop().await;
}

macro_rules! on_both {
    ($($name:ident)+) => {$(
        mod $name {
            use looma_tests::Store;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(Store::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(store) = Store::postgres().await else { return };
                super::$name(store).await;
            }
        }
    )+};
}

on_both! {
    found_registered_changed_and_taken_away
    deleting_a_source_takes_away_what_it_found
    a_mass_removal_is_guarded
    what_registered_itself_is_left
    own_registration_takes_over
    the_source_that_was_first_keeps_it
    a_run_leaves_the_tag
    a_clock_set_back_stalls_no_source
    a_run_by_hand_never_overlaps
    a_long_run_keeps_its_lease
    a_port_scan_finds_what_listens
    wrong_sources_are_refused
}
