//! Services: registration, heartbeats, maintenance; when they end is in `leases`, how they are asked in `checks`,
//! what becomes of their health in `health`.

mod checks;
mod health;
mod leases;

use std::time::Duration;

use looma::db::{AsConn as _, Conn};
use looma_tests::{TestServer, both_databases};
use serde_json::{Value, json};

fn service(id: &str, name: &str) -> Value {
    json!({"service_id": id, "service_name": name, "service_type": "ai-service", "service_url": "http://10.0.0.7:8002"})
}

fn with(mut service: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are an object: {fields}") };
    service.as_object_mut().unwrap().extend(fields);
    service
}

async fn register(looma: &TestServer, service: &Value) -> Value {
    looma.admin().await.post("/services", service).await.expect(201)
}

async fn beat(looma: &TestServer, id: &str) {
    looma.admin().await.post(&format!("/services/{id}/heartbeat"), &json!({})).await.expect(204);
}

async fn read(looma: &TestServer, id: &str) -> Value {
    looma.admin().await.get(&format!("/services/{id}")).await.expect(200)
}

fn state(service: &Value) -> (&str, &str) {
    (service["status"].as_str().unwrap(), service["health_status"].as_str().unwrap())
}

/// The newest revision of the feed.
async fn head(looma: &TestServer) -> i64 {
    looma.anonymous().get("/readyz").await.expect(200)["revision"].as_i64().unwrap()
}

async fn count(looma: &TestServer, query: &str) -> usize {
    let page = looma.admin().await.get(&format!("/services?limit=1000&{query}")).await.expect(200);
    page["items"].as_array().unwrap().len()
}

/// A batch of `count` services called `name`.
async fn register_many(looma: &TestServer, name: &str, count: usize, fields: &Value) {
    let services: Vec<Value> =
        (0..count).map(|n| with(service(&format!("{name}-{n:04}"), name), fields.clone())).collect();
    looma.admin().await.post("/services/batch", &json!({"services": services})).await.expect(200);
}

both_databases! {
    /// What was registered is answered, with defaults and state, and is there to be read.
    async fn registers_and_reads_back(looma: TestServer) {
        let sent = json!({"service_id": "ai-1", "service_name": "ai-service", "service_type": "ai-service",
            "service_url": "http://10.0.0.7:8002", "node_id": "node-7", "cluster_id": "main",
            "capabilities": {"models": ["bge"], "n": 1.5}, "config": {"deep": {"null": null}}, "tags": {"zone": "a"}, "weight": 70,
            "ttl_seconds": 20, "check": {"kind": "http", "path": "/health", "interval_seconds": 10, "timeout_seconds": 2}});
        let answer = looma.admin().await.post("/services", &sent).await;
        assert_eq!(answer.header("location"), Some("/api/v1/services/ai-1"));
        let stored = answer.expect(201);
        for (field, value) in sent.as_object().unwrap() {
            assert_eq!(stored[field], *value, "{field}");
        }
        assert_eq!(state(&stored), ("registered", "unknown"));
        assert_eq!((&stored["origin"], &stored["last_heartbeat"]), (&json!("self"), &Value::Null));
        assert_eq!(stored["maintenance"], json!({"enabled": false, "reason": null, "since": null}));
        assert_eq!(stored["registered_at"], "2026-01-01T00:00:00.000Z");
        assert_eq!(read(looma, "ai-1").await, stored);
        let plain = register(looma, &service("ai-2", "ai-service")).await;
        assert_eq!((&plain["weight"], &plain["ttl_seconds"], &plain["tags"]), (&json!(100), &json!(15), &json!({})));
    }

    /// The first heartbeat makes a service active and healthy; one for nobody tells to register again.
    async fn first_heartbeat_makes_it_healthy(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        looma.advance(Duration::from_secs(3));
        beat(looma, "a").await;
        let now = read(looma, "a").await;
        assert_eq!(state(&now), ("active", "healthy"));
        assert_eq!(now["last_heartbeat"], "2026-01-01T00:00:03.000Z");
        looma.admin().await.post("/services/nobody/heartbeat", &json!({})).await.expect(404);
    }

    /// A renewal that says nothing new is a heartbeat and no change; one that does is a change, and keeps what was.
    async fn renewals_change_only_what_is_new(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        let renewed = looma.admin().await.post("/services", &service("a", "x")).await.expect(200);
        assert_eq!(state(&renewed), ("active", "healthy"));
        let before = head(looma).await;
        looma.advance(Duration::from_secs(2));
        let renewed = looma.admin().await.post("/services", &service("a", "x")).await.expect(200);
        beat(looma, "a").await;
        assert_eq!(head(looma).await, before);
        assert_eq!(renewed["last_heartbeat"], "2026-01-01T00:00:02.000Z");
        let moved = with(service("a", "x"), json!({"weight": 7}));
        let moved = looma.admin().await.post("/services", &moved).await.expect(200);
        assert_eq!((&moved["weight"], moved["revision"].as_i64()), (&json!(7), Some(before + 1)));
        assert_eq!((&moved["registered_at"], state(&moved)), (&json!("2026-01-01T00:00:00.000Z"), ("active", "healthy")));
    }

    /// The database has the last heartbeat within the second.
    async fn heartbeats_are_written_in_batches(looma: TestServer) {
        register_many(looma, "x", 30, &json!({})).await;
        let ids: Vec<String> = (0..30).map(|n| format!("x-{n:04}")).chain(["nobody".to_owned()]).collect();
        let answer = looma.admin().await.post("/heartbeats", &json!({"service_ids": ids})).await.expect(200);
        assert_eq!(answer, json!({"unknown": ["nobody"]}));
        assert_eq!(count(looma, "health_status=healthy").await, 30);
        looma.advance(Duration::from_secs(7));
        looma.admin().await.post("/heartbeats", &json!({"service_ids": ids})).await.expect(200);
        looma.run_task("registry.flush").await;
        let app = looma.app();
        let mut reader = app.db.read().await.unwrap();
        let late: i64 = looma::on_db!(&mut reader, |c| {
            let sql = "SELECT count(*) AS n FROM service_registry WHERE last_heartbeat = $1";
            sqlx::query_scalar(sql).bind(app.clock.now()).fetch_one(c).await
        })
        .unwrap();
        assert_eq!(late, 30);
    }

    /// Maintenance survives heartbeats, renewals and expiry; its reason and its begin are kept.
    async fn maintenance_is_not_undone_by_heartbeats(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        let begun = json!({"enabled": true, "reason": "new disk"});
        looma.admin().await.post("/services/a/maintenance", &begun).await.expect(200);
        looma.advance(Duration::from_secs(2));
        looma.admin().await.post("/services/a/maintenance", &begun).await.expect(200);
        beat(looma, "a").await;
        looma.admin().await.post("/services", &with(service("a", "x"), json!({"weight": 3}))).await.expect(200);
        looma.live(20).await;
        beat(looma, "a").await;
        let kept = read(looma, "a").await;
        let expected = json!({"enabled": true, "reason": "new disk", "since": "2026-01-01T00:00:00.000Z"});
        assert_eq!((&kept["maintenance"], state(&kept)), (&expected, ("active", "healthy")));
        let ended = looma.admin().await.post("/services/a/maintenance", &json!({"enabled": false})).await.expect(200);
        assert_eq!(ended["maintenance"]["enabled"], false);
    }

    /// Each service of a batch stands on its own: a bad one is told what is wrong, the others are registered in one commit.
    async fn a_bad_item_does_not_spoil_a_batch(looma: TestServer) {
        register(looma, &service("known", "x")).await;
        let before = head(looma).await;
        let services = json!([service("a", "x"), with(service("b", "x"), json!({"weight": -1, "colour": "red"})), service("known", "x"),
            with(service("c", "x"), json!({"weight": 10_001, "tags": {"bad key": "x"}})), service("d", "x"), 7]);
        let answer = looma.admin().await.post("/services/batch", &json!({"services": services})).await.expect(200);
        let items = answer["items"].as_array().unwrap();
        let got: Vec<_> = items.iter().map(|item| (item["service_id"].as_str(), item["status"].as_u64().unwrap())).collect();
        let ids = [Some("a"), Some("b"), Some("known"), Some("c"), Some("d"), None];
        assert_eq!(got, ids.into_iter().zip([201, 422, 200, 422, 201, 422]).collect::<Vec<_>>());
        assert_eq!(items[1]["errors"][0]["pointer"], "/colour");
        let pointers: Vec<_> = items[3]["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/tags/bad key", "/weight"]);
        assert_eq!(count(looma, "service_name=x").await, 3);
        assert_eq!(head(looma).await, before + 3, "two are new, and one was heard of for the first time");
        looma.admin().await.post("/services/batch", &json!({"services": []})).await.expect(422);
    }

    /// Deregistering is immediate, and an older version named by If-Match is refused.
    async fn deregistering_is_immediate_and_guarded(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        let admin = looma.admin().await;
        let old = admin.get("/services/a").await.header("etag").unwrap().to_owned();
        admin.patch("/services/a", &json!({"weight": 5})).await.expect(200);
        let guarded = |method, tag: &str| admin.request(method, "/services/a").header("if-match", tag.to_owned());
        use reqwest::Method;
        admin.send(guarded(Method::DELETE, &old)).await.expect(412);
        admin.send(guarded(Method::PATCH, &old).json(&json!({"weight": 6}))).await.expect(412);
        let new = admin.get("/services/a").await.header("etag").unwrap().to_owned();
        let same = admin.request(Method::GET, "/services/a").header("if-none-match", new.clone());
        admin.send(same).await.expect(304);
        beat(looma, "a").await;
        let new = admin.get("/services/a").await.header("etag").unwrap().to_owned();
        looma.advance(Duration::from_secs(1));
        beat(looma, "a").await;
        admin.send(guarded(Method::DELETE, &new)).await.expect(204);
        admin.get("/services/a").await.expect(404);
        admin.delete("/services/a").await.expect(404);
    }

    /// A merge patch changes what it names, removes what it sets to null, and tells every fault.
    async fn patches_merge(looma: TestServer) {
        register(looma, &with(service("a", "x"), json!({"tags": {"zone": "a", "rack": "1"}, "cluster_id": "main"}))).await;
        let patch = json!({"tags": {"zone": null, "row": "2"}, "cluster_id": null, "service_name": "y"});
        let patched = looma.admin().await.patch("/services/a", &patch).await.expect(200);
        assert_eq!(patched["tags"], json!({"rack": "1", "row": "2"}));
        assert_eq!((&patched["cluster_id"], &patched["service_name"]), (&Value::Null, &json!("y")));
        assert_eq!((count(looma, "service_name=x").await, count(looma, "service_name=y").await), (0, 1));
        let wrong = json!({"service_id": "b", "weight": -1, "health_status": "fine"});
        let answer = looma.admin().await.patch("/services/a", &wrong).await;
        let mut pointers = answer.pointers();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/health_status", "/service_id", "/weight"], "{}", answer.json);
        answer.expect(422);
    }

    /// What cannot be a service is refused with every place where it cannot.
    async fn wrong_services_are_refused(looma: TestServer) {
        let long = "x".repeat(501);
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
        let cases = [
            (json!({"service_id": ""}), "/service_id"),
            (json!({"service_id": "a/b"}), "/service_id"),
            (json!({"service_id": "a\nb"}), "/service_id"),
            (json!({"service_id": "batch"}), "/service_id"),
            (json!({"service_id": "é".repeat(101)}), "/service_id"),
            (json!({"service_name": "x".repeat(201)}), "/service_name"),
            (json!({"service_url": "ftp://h/x"}), "/service_url"),
            (json!({"service_url": "nonsense"}), "/service_url"),
            (json!({"service_url": "http://user:secret@h/"}), "/service_url"),
            (json!({"service_url": "tcp://h"}), "/service_url"),
            (json!({"service_url": format!("http://h/{long}")}), "/service_url"),
            (json!({"tags": many}), "/tags"),
            (json!({"tags": {"k": long}}), "/tags/k"),
            (json!({"tags": {"a b": "v"}}), "/tags/a b"),
            (json!({"tags": {"k": 1}}), "/tags/k"),
            (json!({"weight": 10_001}), "/weight"),
            (json!({"weight": "many"}), "/weight"),
            (json!({"ttl_seconds": 86_401}), "/ttl_seconds"),
            (json!({"ttl_seconds": -1}), "/ttl_seconds"),
            (json!({"capabilities": []}), "/capabilities"),
            (json!({"config": {"x": "y".repeat(70_000)}}), "/config"),
            (json!({"config": {"x": "a\u{0}b"}}), "/config"),
            (json!({"check": {"kind": "tcp", "path": "/x"}}), "/check/path"),
            (json!({"check": {"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2}}), "/check/timeout_seconds"),
            (json!({"colour": "red"}), "/colour"),
        ];
        for (fields, pointer) in cases {
            let answer = looma.admin().await.post("/services", &with(service("a", "x"), fields.clone())).await;
            assert_eq!(answer.pointers(), [pointer], "{fields} {}", answer.json);
            answer.expect(422);
        }
        let magic = looma.admin().await.post("/services", &with(service("a", "x"), json!({"check": {"kind": "magic"}}))).await;
        assert_eq!(magic.pointers()[0], "/check/kind", "{}", magic.json);
        let several = with(service("a/b", ""), json!({"service_url": "x", "weight": -1}));
        let answer = looma.admin().await.post("/services", &several).await;
        assert_eq!(answer.pointers(), ["/service_id", "/service_name", "/service_url", "/weight"]);
        assert_eq!(count(looma, "").await, 0);
    }

    /// A list can be filtered by each field, sorted, and read page by page, each service once.
    async fn lists_filter_sort_and_page(looma: TestServer) {
        for n in 0..10 {
            let fields = json!({"weight": n % 3, "tags": {"zone": if n < 4 { "a" } else { "b" }, "n": n.to_string()},
                "node_id": format!("node-{}", n % 2), "cluster_id": if n < 6 { Value::Null } else { json!("main") }});
            register(looma, &with(service(&format!("s-{n}"), if n < 7 { "x" } else { "y" }), fields)).await;
        }
        beat(looma, "s-1").await;
        for (query, expected) in [("service_name=x", 7), ("service_type=ai-service", 10), ("cluster_id=main", 4),
            ("node_id=node-1", 5), ("status=active", 1), ("health_status=unknown", 9), ("tag=zone:a", 4),
            ("tag=zone:b,n:7", 1), ("service_name=y&node_id=node-0", 1), ("service_name=none", 0)] {
            assert_eq!(count(looma, query).await, expected, "{query}");
        }
        let mut seen = Vec::new();
        let mut path = "/services?limit=3&sort=-weight,service_name".to_owned();
        loop {
            let page = looma.admin().await.get(&path).await.expect(200);
            let items = page["items"].as_array().unwrap().clone();
            seen.extend(items.iter().map(|item| (-item["weight"].as_i64().unwrap(), item["service_name"].to_string(), item["service_id"].to_string())));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/services?limit=3&sort=-weight,service_name&after={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), seen == sorted), (10, true), "{seen:?}");
        for wrong in ["limit=0", "sort=colour", "after=x", "tag=zone", "status=happy", "colour=red"] {
            looma.admin().await.get(&format!("/services?{wrong}")).await.expect(422);
        }
    }

    /// A token that is bound to a service speaks for that one alone, and for no node.
    async fn a_bound_token_speaks_for_its_service_alone(looma: TestServer) {
        register(looma, &service("other", "y")).await;
        let token = json!({"name": "t", "scopes": ["services:read", "services:write"], "service_name": "x"});
        let token = looma.operator().await.post("/tokens", &token).await.expect(201);
        let bound = looma.with_token(token["token"].as_str().unwrap());
        bound.post("/services", &service("own", "x")).await.expect(201);
        bound.post("/services/own/heartbeat", &json!({})).await.expect(204);
        bound.post("/services", &service("new", "y")).await.expect(403);
        bound.post("/services", &service("other", "x")).await.expect(403);
        bound.patch("/services/own", &json!({"service_name": "y"})).await.expect(403);
        bound.patch("/services/other", &json!({"weight": 1})).await.expect(403);
        bound.delete("/services/other").await.expect(403);
        bound.post("/services/other/heartbeat", &json!({})).await.expect(403);
        bound.post("/services/other/maintenance", &json!({"enabled": true})).await.expect(403);
        bound.post("/heartbeats", &json!({"service_ids": ["own", "other"]})).await.expect(403);
        let batch = json!({"services": [service("own", "x"), service("other", "y")]});
        let items = bound.post("/services/batch", &batch).await.expect(200);
        assert_eq!((&items["items"][0]["status"], &items["items"][1]["status"]), (&json!(200), &json!(403)));
        let node = json!({"node_id": "n1", "node_name": "n", "node_type": "worker", "host_address": "h", "port": 1});
        bound.post("/nodes", &node).await.expect(403);
        assert_eq!(read(looma, "other").await["maintenance"]["enabled"], false);
    }

    /// Sources and those that registered themselves do not take each other's services.
    async fn sources_leave_others_alone(looma: TestServer) {
        use looma::registry::{Found, FoundAs, Health};
        let registry = &looma.app().registry;
        let found = |id: &str, weight: i64, health| Found {
            service: serde_json::from_value(with(service(id, "x"), json!({"weight": weight, "ttl_seconds": 0}))).unwrap(),
            health,
        };
        register(looma, &service("self", "x")).await;
        assert_eq!(registry.register_found("rack", found("self", 1, Health::Healthy)).await.unwrap(), FoundAs::Theirs);
        assert_eq!(registry.register_found("rack", found("a", 1, Health::Healthy)).await.unwrap(), FoundAs::New);
        let before = head(looma).await;
        assert_eq!(registry.register_found("rack", found("a", 1, Health::Healthy)).await.unwrap(), FoundAs::Same);
        assert_eq!(head(looma).await, before);
        assert_eq!(registry.register_found("rack", found("a", 1, Health::Critical)).await.unwrap(), FoundAs::Changed);
        let shown = read(looma, "a").await;
        assert_eq!((&shown["origin"], &shown["health_status"]), (&json!("source:rack"), &json!("critical")));
        assert_eq!(registry.register_found("other", found("a", 1, Health::Healthy)).await.unwrap(), FoundAs::Theirs);
        registry.register_found("rack", found("b/c", 1, Health::Healthy)).await.unwrap_err();
        assert_eq!(registry.found_by("rack").len(), 1);
        let id = "a".into();
        assert!(!registry.deregister_found("other", &id).await.unwrap());
        assert!(registry.deregister_found("rack", &id).await.unwrap());
        assert!(!registry.deregister_found("rack", &id).await.unwrap());
        assert!(!registry.deregister_found("rack", &"self".into()).await.unwrap());
    }

    /// Figures of the registry are to be had by Prometheus.
    async fn figures_are_shown(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        beat(looma, "a").await;
        let text = String::from_utf8(looma.anonymous().get("/metrics-text").await.bytes).unwrap();
        for line in ["looma_services{health_status=\"healthy\",status=\"active\"} 1", "looma_heartbeats_total 1", "looma_protection_active 0"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }

    /// Whoever registers, changes or takes away a service is in the audit, and transitions by themselves are not.
    async fn changes_are_audited_and_transitions_are_not(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        beat(looma, "a").await;
        looma.live(20).await;
        looma.admin().await.patch("/services/a", &json!({"weight": 1})).await.expect(200);
        looma.admin().await.delete("/services/a").await.expect(204);
        let mut reader = looma.app().db.read().await.unwrap();
        let actions: Vec<String> = looma::on_db!(&mut reader, |c| {
            let sql = "SELECT action FROM audit_logs WHERE resource_type = 'services' ORDER BY action";
            sqlx::query_scalar(sql).fetch_all(c).await
        })
        .unwrap();
        assert_eq!(actions, ["create", "delete", "update"]);
    }
    /// What the database refuses of a batch takes nothing else with it, and each is told what became of it.
    async fn a_row_that_is_refused_spoils_no_batch(looma: TestServer) {
        let mut tx = looma.app().db.write().await.unwrap();
        match tx.conn() {
            Conn::Sqlite(c) => sqlx::query(
                "CREATE TRIGGER refuse BEFORE INSERT ON service_registry WHEN NEW.service_id = 'refused' \
                BEGIN SELECT RAISE(ABORT, 'refused'); END",
            )
            .execute(c)
            .await
            .map(drop),
            Conn::Postgres(c) => {
                let sql = "ALTER TABLE service_registry ADD CONSTRAINT refuse CHECK (service_id <> 'refused')";
                sqlx::query(sql).execute(c).await.map(drop)
            }
        }
        .unwrap();
        tx.commit().await.unwrap();
        let batch = json!({"services": [service("a", "x"), service("refused", "x"), service("b", "x")]});
        let items = looma.admin().await.post("/services/batch", &batch).await.expect(200)["items"].take();
        let statuses: Vec<_> = items.as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
        assert_eq!(statuses, [201, 500, 201], "{items}");
        assert_eq!(items[1]["errors"][0]["message"], "something went wrong here: the log has it");
        looma.admin().await.get("/services/refused").await.expect(404);
    }
}
