//! What the old manager had in memory, taken over by the command line.

use looma_tests::{ADMIN_PASSWORD, TestServer, both_databases};
use serde_json::{Value, json};

/// Exit code, output and errors of `looma import legacy` on a file with this text.
async fn import(looma: &TestServer, text: &str, flags: &[&str]) -> (i32, String, String) {
    let file = looma.store().dir().join("dump.json");
    std::fs::write(&file, text).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_looma"));
    command.args(["import", "legacy"]).arg(&file).args(flags).env_clear();
    command.env("LOOMA_URL", looma.url()).env("LOOMA_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let done = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

/// The report of a run that succeeds.
async fn report(looma: &TestServer, dump: &Value, flags: &[&str]) -> Value {
    let (code, out, error) = import(looma, &dump.to_string(), &[&["--json"], flags].concat()).await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    serde_json::from_str(&out).unwrap()
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let rows = report["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["place"].as_str().unwrap(), row["outcome"].as_str().unwrap())).collect()
}

/// A dump with a row of each kind; the server's clock stands at the beginning of 2026.
fn dump() -> Value {
    json!({
        "service_registry": {
            "ai-1": {"service_id": "ai-1", "service_name": "ai", "service_type": "ai-service", "service_url": "http://10.0.0.7:8002",
                "capabilities": {"models": ["bge"]}, "tags": {"zone": "a"}, "status": "active", "health_status": "healthy", "last_heartbeat": "2025-12-31T23:59:00"},
            " auth ": {"service_name": "auth", "service_type": "auth-service", "host": "10.0.0.8", "port": 8003, "status": "inactive", "version": "2"},
            "auth": {"service_name": "auth", "service_type": "auth-service", "service_url": "http://10.0.0.9:1"},
            "old": {"service_name": "old", "service_type": "t", "service_url": "ftp://h"},
            "there": {"service_name": "other", "service_type": "t", "service_url": "http://10.0.0.1:1"},
        },
        "metrics_history": {
            "ai-1": [
                {"timestamp": "2025-12-31T23:58:00Z", "cpu_usage": 40, "disk %": 7.5},
                {"timestamp": "2025-12-31T23:59:00Z", "metrics": {"cpu_usage": 50}},
                {"timestamp": "2025-12-31T23:59:00Z", "metrics": {"cpu_usage": 60}},
                {"timestamp": "2020-01-01T00:00:00Z", "cpu_usage": 1},
                {"timestamp": "2025-12-31T23:59:30Z", "metric_name": "rows", "metric_value": 3, "metric_unit": "count", "tags": {"table": "x"}},
            ],
            " auth ": {"load": [[1_767_225_540, 0.5], [1_767_225_541, "?"]]},
        },
        "cluster_configs": {"theme": "dark"},
        "service_configs": {"ai-1": {"k": 1}},
        "sessions": {},
    })
}

async fn services(looma: &TestServer) -> Value {
    looma.admin().await.get("/services?sort=service_id").await.expect(200)["items"].clone()
}

async fn points(looma: &TestServer, metric: &str) -> Value {
    let items = looma
        .admin()
        .await
        .get(&format!("/metrics/query?metric_name={metric}&from=2019-01-01T00:00:00Z"))
        .await
        .expect(200)["items"]
        .clone();
    items.as_array().unwrap().iter().map(|item| item["points"].clone()).collect()
}

both_databases! {
    /// A dry run tells all and writes nothing; `--apply` does what was told; the next run finds it there, and doubles nothing.
    async fn a_dump_is_told_then_taken_then_there(looma: TestServer) {
        let there = json!({"service_id": "there", "service_name": "mine", "service_type": "t", "service_url": "http://10.0.0.1:1"});
        looma.admin().await.post("/services", &there).await.expect(201);
        let dump = dump();
        let dry = report(looma, &dump, &[]).await;
        let told = [
            ("/service_registry/ auth ", "changed"), ("/service_registry/ai-1", "taken"), ("/service_registry/auth", "refused"), ("/service_registry/old", "refused"), ("/service_registry/there", "already-there"),
            ("/metrics_history/ auth /load/0", "changed"), ("/metrics_history/ auth /load/1", "refused"),
            ("/metrics_history/ai-1/0/cpu_usage", "taken"), ("/metrics_history/ai-1/0/disk %", "changed"), ("/metrics_history/ai-1/1/metrics/cpu_usage", "taken"),
            ("/metrics_history/ai-1/2/metrics/cpu_usage", "refused"), ("/metrics_history/ai-1/3/cpu_usage", "taken"), ("/metrics_history/ai-1/4", "taken"),
            ("/cluster_configs/theme", "refused"), ("/service_configs/ai-1", "refused"), ("/sessions", "refused"),
        ];
        assert_eq!(outcomes(&dry), told);
        assert_eq!((&dry["applied"], &dry["taken"], &dry["changed"], &dry["already_there"], &dry["refused"]), (&json!(false), &json!(5), &json!(3), &json!(1), &json!(7)));
        assert_eq!(services(looma).await.as_array().unwrap().len(), 1);
        assert_eq!(looma.admin().await.get("/metrics/series").await.expect(200)["items"], json!([]));

        let applied = report(looma, &dump, &["--apply"]).await;
        let taken: Vec<_> = told.iter().map(|&(place, outcome)| match place {
            "/metrics_history/ai-1/3/cpu_usage" => (place, "refused"),
            _ => (place, outcome),
        }).collect();
        assert_eq!(outcomes(&applied), taken);
        let all = services(looma).await;
        for (n, field, expected) in [
            (0, "service_id", json!("ai-1")), (0, "service_url", json!("http://10.0.0.7:8002")), (0, "tags", json!({"zone": "a"})), (0, "ttl_seconds", json!(0)), (0, "health_status", json!("unknown")), (0, "config", json!({})),
            (1, "service_id", json!("auth")), (1, "service_url", json!("http://10.0.0.8:8003")), (1, "status", json!("inactive")), (1, "config", json!({"legacy": {"version": "2"}})),
            (2, "service_id", json!("there")), (2, "service_name", json!("mine")), (3, "service_id", Value::Null),
        ] {
            assert_eq!(all[n][field], expected, "{field} of {}", all[n]);
        }
        assert_eq!(points(looma, "cpu_usage").await, json!([[["2025-12-31T23:58:00.000Z", 40.0], ["2025-12-31T23:59:00.000Z", 50.0]]]));
        assert_eq!(points(looma, "disk__").await, json!([[["2025-12-31T23:58:00.000Z", 7.5]]]));
        assert_eq!(points(looma, "load").await, json!([[["2025-12-31T23:59:00.000Z", 0.5]]]));

        looma.admin().await.patch("/services/auth", &json!({"status": "active"})).await.expect(200);
        let before = looma.app().feed.head();
        let again = report(looma, &dump, &["--apply"]).await;
        let there: Vec<_> = taken.iter().map(|&(place, outcome)| (place, if outcome == "refused" { outcome } else { "already-there" })).collect();
        assert_eq!(outcomes(&again), there);
        // That the command signed in is told to other replicas.
        let changes = looma.app().feed.after(before, 100).await.unwrap().unwrap();
        let written: Vec<_> = changes.iter().filter(|change| change.topic.as_str() != "sessions").collect();
        assert!(written.is_empty(), "{written:?}");
        assert_eq!(points(looma, "load").await, json!([[["2025-12-31T23:59:00.000Z", 0.5]]]));
        assert_eq!(services(looma).await[1]["status"], "active");
    }

    /// Every refusal says why, and every change how.
    async fn the_report_says_why_and_how(looma: TestServer) {
        let (code, out, error) = import(looma, &dump().to_string(), &[]).await;
        assert_eq!((code, error.as_str()), (0, ""));
        for line in [
            "changed       /service_registry/ auth : service_id: \" auth \" is taken as \"auth\"; service_url: it is made of host and port, http://10.0.0.8:8003; version: kept in config.legacy",
            "refused       /service_registry/auth: its id is that of /service_registry/ auth , too",
            "refused       /service_registry/old: service_url must begin with http, https, tcp or grpc",
            "refused       /metrics_history/ai-1/2/metrics/cpu_usage: it is of the same series and millisecond as /metrics_history/ai-1/1/metrics/cpu_usage",
            "refused       /metrics_history/ auth /load/1: its value \"?\" is no finite number",
            "refused       /cluster_configs/theme: this version keeps no configuration",
            "refused       /sessions: it is none of the dictionaries that are known",
            "6 taken, 3 changed, 0 already there, 7 refused; nothing was written: --apply does it",
        ] {
            assert!(out.lines().any(|own| own == line), "{line}\n{out}");
        }
        assert!(out.contains("/metrics_history/ai-1/3/cpu_usage: older than 48 hours: a server that keeps no more will refuse it"), "{out}");
    }

    /// Many rows go in many requests, and a time-to-live that was asked for is that of all who say none.
    async fn many_rows_are_taken(looma: TestServer) {
        let service = |n: u32| (format!("s-{n:04}"), json!({"service_name": "s", "service_type": "t", "service_url": format!("http://10.0.0.7:{}", n + 1)}));
        let point = |n: u32| json!([1_767_200_000 + n, n]);
        let dump = json!({"service_registry": (0..1200).map(service).collect::<serde_json::Map<_, _>>(), "metrics_history": {"s-0000": {"m": (0..11_500).map(point).collect::<Vec<_>>()}}});
        let applied = report(looma, &dump, &["--apply", "--ttl", "600"]).await;
        assert_eq!((&applied["taken"], &applied["refused"]), (&json!(12_700), &json!(0)));
        let again = report(looma, &dump, &["--apply"]).await;
        assert_eq!((&again["taken"], &again["already_there"]), (&json!(0), &json!(12_700)));
        assert_eq!(looma.admin().await.get("/services/s-1199").await.expect(200)["ttl_seconds"], 600);
    }

    /// A file that is no dump is told so with its place, before anything is asked or written.
    async fn what_is_no_dump_is_told(looma: TestServer) {
        let file = looma.store().dir().join("dump.json");
        for (text, told) in [
            ("", "EOF while parsing a value at line 1"),
            ("[1]", "expected an object of dictionaries at line 1"),
            ("{}", "holds neither service_registry nor metrics_history nor configuration"),
            (r#"{"service_registry": [1]}"#, "/service_registry: invalid type: sequence, expected a dictionary at line 1"),
            (r#"{"metrics_history": 3}"#, "/metrics_history: invalid type: integer `3`, expected a dictionary at line 1"),
            (r#"{"cluster_configs": null}"#, "/cluster_configs: invalid type: null, expected a dictionary at line 1"),
            (r#"{"service_registry": {"a": {}, "a": {}}}"#, "/service_registry: the key \"a\" stands there twice at line 1"),
            ("{\"metrics_history\": {\"a\": [\n{\"cpu\": NaN}]}}", " (NaN, Infinity, None"),
            ("{'service_registry': {}}", " (texts stand in double quotes"),
            (r#"{"service_registry": {"a": {"x": 1}"#, "EOF while parsing an object at line 1"),
            (r#"{"service_registry": {}} x"#, "something follows the object: trailing characters at line 1"),
        ] {
            let (code, out, error) = import(looma, text, &["--apply"]).await;
            assert_eq!((code, out.as_str()), (1, ""), "{text}");
            let begin = format!("looma: {} is no dump of the old manager: ", file.display());
            assert!(error.starts_with(&begin) && error.contains(told), "{text}: {error}");
        }
        std::fs::remove_file(&file).unwrap();
        let gone = tokio::process::Command::new(env!("CARGO_BIN_EXE_looma")).args(["import", "legacy", "no-such-file"]).output().await.unwrap();
        assert!(String::from_utf8_lossy(&gone.stderr).starts_with("looma: could not read no-such-file: "), "{gone:?}");
        assert_eq!(services(looma).await, json!([]));
    }
}
