//! Discovery sources, through the bundled plugins: what is found meets what is registered.

use std::path::Path;

use looma_tests::{Receiver, Store, TestServer, bundled};
use serde_json::{Value, json};

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
    looma.advance(std::time::Duration::from_secs(30));
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
    a_port_scan_finds_what_listens
    wrong_sources_are_refused
}
