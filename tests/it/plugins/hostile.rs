//! Guests that misbehave on purpose. Each case says what the host answers to a misdeed; whatever it was, the process lives, the
//! plugin answers its next honest call, and its neighbours answer as if nothing had been.

use futures_util::{StreamExt as _, stream};
use looma::settings::Settings;
use looma_tests::{
    Answer, Store, TestServer, eventually,
    guests::{CallPath, Guest, component},
    plugins,
};
use serde_json::{Value, json};

mod bombs;
mod compute;
mod files;
mod host_calls;
mod keys;
mod memory;
mod network;
mod peer;
mod results;
mod sharing;
mod stage;
mod versions;

/// What separates the fields of what a guest is told.
const FIELD: &str = "\u{1f}";

/// What the host says of a misdeed: the sort of it, and words that are part of it.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// The guest crashed.
    Crash(&'static str),
    /// It took too long.
    Timeout,
    /// It wanted too much.
    Limit(&'static str),
    /// Its answer is none.
    Contract(&'static str),
    /// The guest had an answer, and these are its words; a misdeed that came to nothing.
    Says(&'static str),
    /// The guest had an answer like an honest one.
    Fine,
}

impl Told {
    /// What is wrong with `answer`, when it is not this.
    fn differs(self, answer: &Answer) -> Option<String> {
        let (status, detail) = (answer.status, message(&answer.json));
        let said = |before: &str, words: &str| {
            status == 422 && detail.strip_prefix(before).is_some_and(|after| after.contains(words))
        };
        let fits = match self {
            Self::Crash(words) => said("the plugin crashed: ", words),
            Self::Timeout => said("the plugin did not answer within its deadline", ""),
            Self::Limit(words) => said("over a limit: ", words),
            Self::Contract(words) => said("the plugin's answer is not acceptable: ", words),
            Self::Says(words) => said("", words),
            Self::Fine => status == 200,
        };
        (!fits).then(|| format!("{self:?} was expected, {status} came: {}", String::from_utf8_lossy(&answer.bytes)))
    }
}

/// A misdeed and what comes of it.
type Case = (&'static str, Told);

/// A server with two neighbours, who are asked after each misdeed.
struct Host {
    looma: TestServer,
}

impl Host {
    /// One whose plugins have little time and memory.
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(Store::sqlite(), change).await
    }

    async fn start_on(store: Store, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = store.settings();
        settings.plugins.deadline_ms = 1000;
        settings.plugins.memory_bytes = 16 << 20;
        settings.plugins.compile_seconds = 20;
        change(&mut settings);
        let host = Self { looma: TestServer::start_with(store, settings).await };
        // They are given time: this is about what they answer, on a machine that may have much to do.
        host.grant("threshold", json!({"deadline_ms": 20_000})).await;
        host.bring("threshold", plugins::component("threshold")).await;
        host.grant("neighbour", json!({"kv_bytes": 1000, "deadline_ms": 20_000})).await;
        host.bring("neighbour", Guest::read("keys").component(CallPath::Io, "neighbour")).await;
        host.tell("neighbour", &["s", "mark", "unharmed"]).await.expect(200);
        host
    }

    /// Uploads a component that is taken.
    async fn bring(&self, name: &str, component: Vec<u8>) -> Value {
        let plugin = self.upload(component).await.expect(201);
        assert_eq!((&plugin["name"], &plugin["state"]), (&json!(name), &json!("active")));
        plugin
    }

    async fn upload(&self, component: Vec<u8>) -> Answer {
        let admin = self.looma.admin().await;
        patiently(async || admin.post_bytes("/plugins", "application/wasm", component.clone()).await).await
    }

    /// Uploads a guest of that name.
    async fn bring_guest(&self, name: &str, path: CallPath) -> Value {
        self.bring(name, component(name, path)).await
    }

    async fn grant(&self, plugin: &str, grants: Value) {
        self.looma.admin().await.put(&format!("/plugins/{plugin}/grants"), &grants).await.expect(200);
    }

    async fn run(&self, plugin: &str, trial: &Value) -> Answer {
        let (admin, path) = (self.looma.admin().await, format!("/plugins/{plugin}/run"));
        patiently(async || admin.post(&path, trial).await).await
    }

    async fn check(&self, plugin: &str, config: Value) -> Answer {
        let (admin, path) = (self.looma.admin().await, format!("/plugins/{plugin}/check"));
        patiently(async || admin.post(&path, &json!({"config": config})).await).await
    }

    /// Lets a guest do its misdeed.
    async fn misdeed(&self, plugin: &str, path: CallPath) -> Answer {
        self.run(plugin, &json!({"config": {"misdeed": true}, "input": input(path)})).await
    }

    /// Lets a strategy do its misdeed, with fields to do it with.
    async fn tell(&self, plugin: &str, fields: &[&str]) -> Answer {
        self.run(plugin, &json!({"config": {"misdeed": true}, "input": {"cursor": fields.join(FIELD)}})).await
    }

    /// What is wrong with the plugin's answer to an honest call.
    async fn not_well(&self, plugin: &str, path: CallPath) -> Option<String> {
        let mut answer = self.run(plugin, &json!({"config": {}, "input": input(path)})).await;
        for _ in 0..2 {
            // The machine may have much to do beside this.
            if Told::Timeout.differs(&answer).is_none() {
                answer = self.run(plugin, &json!({"config": {}, "input": input(path)})).await;
            }
        }
        let honest = match path {
            CallPath::Pure => answer.json["verdicts"] == json!([{"level": 0, "score": 95.0, "note": null}]),
            CallPath::Io => answer.json == json!({"targets": [], "next": null}),
        };
        (answer.status != 200 || !honest)
            .then(|| format!("{plugin} is not well: {}", String::from_utf8_lossy(&answer.bytes)))
    }

    /// What is wrong with the neighbours' answers.
    async fn neighbours_harmed(&self) -> Option<String> {
        let config = json!({"comparison_operator": ">", "threshold_value": 90});
        let judged = self.run("threshold", &json!({"config": config, "input": input(CallPath::Pure)})).await;
        let kept = self.tell("neighbour", &["g", "mark"]).await;
        let well = judged.json["verdicts"] == json!([{"level": 1, "score": 95.0, "note": null}])
            && kept.json == json!({"targets": [], "next": "unharmed"});
        (!well).then(|| format!("the neighbours are not well: {} {}", judged.json, kept.json))
    }

    /// The same plugin and its neighbours answer, and the plugin serves.
    async fn assert_well(&self, plugin: &str, path: CallPath) {
        let ill = [self.not_well(plugin, path).await, self.neighbours_harmed().await];
        assert!(ill.iter().all(Option::is_none), "{ill:?}");
        let plugin = self.looma.admin().await.get(&format!("/plugins/{plugin}")).await.expect(200);
        assert_eq!((&plugin["state"], &plugin["error"]), (&json!("active"), &Value::Null), "{plugin}");
    }

    /// Tries each case on each kind of call that it is for, and after it the plugin itself and its neighbours.
    async fn hold(&self, cases: &[Case]) {
        let tries = cases.iter().flat_map(|case| Guest::read(case.0).paths().into_iter().map(move |path| (case, path)));
        let tried: Vec<_> =
            stream::iter(tries).map(|(case, path)| self.try_case(case, path)).buffer_unordered(2).collect().await;
        let faults: Vec<String> = tried.into_iter().flatten().collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }

    async fn try_case(&self, &(guest, told): &Case, path: CallPath) -> Vec<String> {
        let name = format!("{guest}-{}", path.as_str());
        self.bring(&name, Guest::read(guest).component(path, &name)).await;
        let mut faults = vec![self.not_well(&name, path).await];
        faults.push(told.differs(&self.misdeed(&name, path).await));
        faults.push(self.not_well(&name, path).await);
        faults.push(self.neighbours_harmed().await);
        faults.into_iter().flatten().map(|fault| format!("{name}: {fault}")).collect()
    }

    /// Each is refused before it serves, in these words, or in those after ` | `; the plugin that serves goes on, and so do the neighbours.
    async fn refuse(&self, cases: &[(&str, &str)]) {
        let mut faults = Vec::new();
        for (guest, words) in cases {
            let answer = self.upload(component(guest, CallPath::Pure)).await;
            let detail = message(&answer.json);
            if answer.status != 422 || !words.split(" | ").any(|words| detail.contains(words)) {
                faults.push(format!("{guest}: {words:?} was expected, {} came: {detail}", answer.status));
            }
            faults.extend(self.neighbours_harmed().await);
        }
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }

    async fn stop(self) {
        self.looma.stop().await;
    }
}

/// Asks again when the host is busy: that says nothing of a plugin, and the machine may have much to do beside this.
async fn patiently(ask: impl AsyncFn() -> Answer) -> Answer {
    eventually("answer of a host that is not busy", async || {
        let answer = ask().await;
        let busy = answer.status == 503 && message(&answer.json).contains("too many calls wait");
        (!busy).then_some(answer)
    })
    .await
}

/// What an answer says went wrong; nothing when nothing did.
fn message(problem: &Value) -> &str {
    problem["errors"][0]["message"].as_str().or(problem["detail"].as_str()).unwrap_or_default()
}

/// One series of one point; or no cursor.
fn input(path: CallPath) -> Value {
    match path {
        CallPath::Pure => json!({"series": [{"points": [["2026-01-01T00:00:00Z", 95.0]]}]}),
        CallPath::Io => json!({}),
    }
}

/// Every file of `tests/guests` is named by a case, in quotation marks.
#[test]
fn every_guest_is_in_a_case() {
    let folders = ["tests/it/plugins", "tests/it/plugins/hostile", "tests/src", "tests/src/fuzz"];
    let files = folders.map(|folder| std::fs::read_dir(looma_tests::root().join(folder)).unwrap());
    let files = files.into_iter().flatten().map(|file| file.unwrap().path());
    let code: String = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let unused: Vec<String> =
        Guest::names().into_iter().filter(|name| !code.contains(&format!("\"{name}\""))).collect();
    assert!(unused.is_empty(), "no case names {unused:?}");
}
