//! A history of everything that was acknowledged and everything that was watched, while the server is killed again and again, held
//! against `model`. Every watch resumes from the revision that it had.

mod model;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use looma_tests::{Process, Store, events::Events, load};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use model::{History, Outcome, Polled, Seen, What, Write};

const KILLS: usize = 6;
/// Whoever writes, writes to services of one name.
const LANES: usize = 4;
const NAMES: [&str; 2] = ["even", "odd"];
/// How many services a lane has.
const KEYS: usize = 3;
/// How often those who watch hang up by themselves: never, and after so many events.
const HANGING_UP: [usize; 3] = [usize::MAX, usize::MAX, 7];

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_looma"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_told_twice_on_sqlite() {
    hold_against_the_model(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_told_twice_on_postgres() {
    let Some(store) = Store::postgres().await else { return };
    hold_against_the_model(store).await;
}

/// What writers and watchers share with the test.
struct Shared {
    token: String,
    /// Where the server is; changes when it was killed and is back.
    server: watch::Sender<SocketAddr>,
    /// How many writes were acknowledged.
    done: watch::Sender<usize>,
    /// Whether it is enough.
    ends: watch::Sender<bool>,
    /// The last change of each name; known at the end.
    last: watch::Sender<[i64; NAMES.len()]>,
    writes: Mutex<Vec<Write>>,
}

async fn hold_against_the_model(store: Store) {
    let (mut looma, shared) = start(&store).await;
    let (mut writers, mut watchers, mut pollers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    (0..LANES).for_each(|lane| drop(writers.spawn(write_on(shared.clone(), lane))));
    HANGING_UP.iter().for_each(|events| drop(watchers.spawn(watch_on(shared.clone(), *events))));
    (0..NAMES.len()).for_each(|name| drop(pollers.spawn(poll_on(shared.clone(), name))));
    for kill in 1..=KILLS {
        let enough = *shared.done.borrow() + 20 + kill * 37 % 60;
        timeout(MINUTE, shared.done.subscribe().wait_for(|done| *done >= enough)).await.unwrap().unwrap();
        looma.kill();
        looma = Process::start(binary(), &["serve"], &store);
        shared.server.send_replace(address_of(&looma));
    }
    let enough = *shared.done.borrow() + LANES * KEYS;
    timeout(MINUTE, shared.done.subscribe().wait_for(|done| *done >= enough)).await.unwrap().unwrap();
    shared.ends.send_replace(true);
    timeout(MINUTE, writers.join_all()).await.unwrap();
    write_the_last(&shared).await;
    let mut history = History { end: what_is_there(&looma).await, ..History::default() };
    history.watches = timeout(MINUTE, watchers.join_all()).await.unwrap();
    history.polls = timeout(MINUTE, pollers.join_all()).await.unwrap();
    history.writes = std::mem::take(&mut *shared.writes.lock().unwrap());
    assert_eq!(history.faults(), Vec::<String>::new());
    assert!(history.writes.len() > KILLS * 20 && history.watches.len() == HANGING_UP.len());
}

const MINUTE: Duration = Duration::from_secs(60);

async fn start(store: &Store) -> (Process, Arc<Shared>) {
    let looma = Process::start(binary(), &["serve"], store);
    let scopes = json!({"name": "history", "scopes": ["services:read", "services:write"]});
    let token = looma.admin().await.post("/tokens", &scopes).await.expect(201)["token"].as_str().unwrap().to_owned();
    let server = watch::Sender::new(address_of(&looma));
    let last = watch::Sender::new([i64::MAX; NAMES.len()]);
    let (done, ends, writes) = Default::default();
    (looma, Arc::new(Shared { token, server, done, ends, last, writes }))
}

fn address_of(looma: &Process) -> SocketAddr {
    looma.url.trim_start_matches("http://").parse().unwrap()
}

impl Shared {
    fn request(&self, method: &str, path: &str, body: &Value) -> Vec<u8> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        load::request(method, &format!("/api/v1{path}"), &self.token, &body)
    }

    fn put(&self, key: &str, value: u64) -> Vec<u8> {
        let service = json!({"service_id": key, "service_name": model::name_of(key), "service_type": "t",
            "service_url": "http://127.0.0.1:1", "ttl_seconds": 0, "tags": {"value": value.to_string()}});
        self.request("POST", "/services", &service)
    }

    fn note(&self, key: &str, what: What, outcome: Outcome) {
        self.writes.lock().unwrap().push(Write { key: key.to_owned(), what, outcome });
        if matches!(outcome, Outcome::Done(_)) {
            self.done.send_modify(|done| *done += 1);
        }
    }
}

fn json_of(connection: &load::Connection) -> Value {
    serde_json::from_slice(connection.body()).unwrap_or_default()
}

/// Writes until it is enough: makes services, changes them, and takes away those that are there for certain.
async fn write_on(shared: Arc<Shared>, lane: usize) {
    let (mut server, mut certain, mut n) = (shared.server.subscribe(), [false; KEYS], 0);
    while !*shared.ends.borrow() {
        let address = *server.borrow_and_update();
        if let Ok(mut connection) = load::Connection::try_open(address).await {
            while !*shared.ends.borrow() {
                n += 1;
                let (of, key) = (n % KEYS, format!("{}.{lane}-{}", NAMES[lane % NAMES.len()], n % KEYS));
                let what = if certain[of] && n % 4 == 0 { What::Gone } else { What::Put(n as u64) };
                let outcome = write(&shared, &mut connection, &key, what).await;
                certain[of] = matches!((outcome, what), (Outcome::Done(_), What::Put(_)));
                shared.note(&key, what, outcome);
                if outcome == Outcome::Unknown {
                    break;
                }
            }
        }
        // The server is gone, or all is over.
        let mut ends = shared.ends.subscribe();
        tokio::select! {
            _ = server.changed() => {}
            _ = ends.wait_for(|ends| *ends) => {}
        }
    }
}

async fn write(shared: &Shared, connection: &mut load::Connection, key: &str, what: What) -> Outcome {
    let request = match what {
        What::Put(value) => shared.put(key, value),
        What::Gone => shared.request("DELETE", &format!("/services/{key}"), &Value::Null),
    };
    let Ok(status) = connection.try_send(&request).await else { return Outcome::Unknown };
    match (what, status) {
        (What::Put(_), 200 | 201) => Outcome::Done(json_of(connection)["revision"].as_i64()),
        (What::Gone, 204) => Outcome::Done(None),
        _ => panic!("{key} {what:?} was answered {status}: {}", String::from_utf8_lossy(connection.body())),
    }
}

/// One more change of each name, by which everybody knows that all is told.
async fn write_the_last(shared: &Shared) {
    let mut connection = load::Connection::open(*shared.server.borrow()).await;
    let mut last = [0; NAMES.len()];
    for (name, last) in NAMES.iter().zip(&mut last) {
        let (key, what) = (format!("{name}.last"), What::Put(1));
        let outcome = write(shared, &mut connection, &key, what).await;
        let Outcome::Done(Some(revision)) = outcome else { panic!("{outcome:?}") };
        *last = revision;
        shared.note(&key, what, outcome);
    }
    shared.last.send_replace(last);
}

/// Watches from the first change to the last, from where it was whenever it is cut off, and hangs up after so many events.
async fn watch_on(shared: Arc<Shared>, hanging_up: usize) -> Vec<Seen> {
    let (mut server, mut last, mut seen) = (shared.server.subscribe(), shared.last.subscribe(), Vec::<Seen>::new());
    loop {
        let address = *server.borrow_and_update();
        let from = seen.last().map_or(0, |seen| seen.revision);
        let path = format!("/api/v1/watch?topics=services&from={from}");
        let mut hung_up = false;
        if let Ok(mut events) = Events::open(address, &shared.token, &path).await {
            for n in 0.. {
                hung_up = n == hanging_up;
                let at = seen.last().map_or(0, |seen| seen.revision);
                let event = tokio::select! {
                    _ = last.wait_for(|last| last.iter().all(|last| at >= *last)) => return seen,
                    event = events.next(), if !hung_up => event,
                    () = std::future::ready(()), if hung_up => break,
                };
                let Ok(event) = event else { break };
                assert_eq!(event.topic, "services", "{event:?}");
                seen.push(change(event.id, &event.data));
            }
        }
        if !hung_up {
            server.changed().await.unwrap();
        }
    }
}

fn change(revision: i64, data: &str) -> Seen {
    let data: Value = serde_json::from_str(data).unwrap();
    let what = if data["op"] == "delete" { What::Gone } else { What::Put(value_of(&data["value"])) };
    Seen { revision, key: data["key"].as_str().unwrap().to_owned(), what }
}

fn value_of(service: &Value) -> u64 {
    service["tags"]["value"].as_str().unwrap().parse().unwrap()
}

/// Asks for the instances of a name from the first to the last change, each time for what is newer.
async fn poll_on(shared: Arc<Shared>, name: usize) -> (String, Vec<Polled>) {
    let (mut server, mut last, mut polled) = (shared.server.subscribe(), shared.last.subscribe(), Vec::<Polled>::new());
    loop {
        let address = *server.borrow_and_update();
        if let Ok(mut connection) = load::Connection::try_open(address).await {
            loop {
                let known = polled.last().map_or(0, |polled| polled.revision);
                let path = format!("/discovery/{}?revision={known}&wait=60", NAMES[name]);
                let request = shared.request("GET", &path, &Value::Null);
                let status = tokio::select! {
                    _ = last.wait_for(|last| known >= last[name]) => return (NAMES[name].to_owned(), polled),
                    status = connection.try_send(&request) => status,
                };
                let Ok(status) = status else { break };
                assert_eq!(status, 200);
                let found = json_of(&connection);
                polled.push(Polled { revision: found["revision"].as_i64().unwrap(), shown: shown(&found["items"]) });
            }
        }
        server.changed().await.unwrap();
    }
}

fn shown(items: &Value) -> BTreeMap<String, u64> {
    let items = items.as_array().unwrap().iter();
    items.map(|service| (service["service_id"].as_str().unwrap().to_owned(), value_of(service))).collect()
}

async fn what_is_there(looma: &Process) -> BTreeMap<String, u64> {
    shown(&looma.admin().await.get("/services?limit=1000").await.expect(200)["items"])
}
