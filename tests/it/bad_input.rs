//! Wrong input, whatever the path: a problem that names every fault and its place, and nothing stored by half.

use looma_tests::{Store, TestServer, both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn count(looma: &TestServer, path: &str) -> usize {
    looma.admin().await.get(path).await.expect(200)["items"].as_array().unwrap().len()
}

both_databases! {
    /// Names of 10,000 characters, control characters, wrong types, unknown fields: each is told at its place.
    async fn every_fault_is_told(looma: TestServer) {
        let long = "x".repeat(10_000);
        let wrong = json!({"service_id": long, "service_name": "a\u{0}b", "service_type": "", "service_url": "gopher://x",
            "weight": -1, "ttl_seconds": 86_401, "tags": {"a b": "c"}});
        let refused = looma.admin().await.post("/services", &wrong).await;
        let mut pointers = refused.pointers();
        pointers.sort_unstable();
        pointers.dedup();
        assert_eq!(
            pointers,
            ["/service_id", "/service_name", "/service_type", "/service_url", "/tags/a b", "/ttl_seconds", "/weight"],
        );
        refused.expect(422);
        let types = json!({"service_id": 7, "service_name": [], "weight": "heavy", "colour": "red"});
        let refused = looma.admin().await.post("/services", &types).await;
        let mut pointers = refused.pointers();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/colour", "/service_id", "/service_name", "/service_type", "/service_url", "/weight"]);
        refused.expect(422);
        assert_eq!(count(looma, "/services").await, 0);
    }

    /// What is no JSON is malformed; a name twice, and a number that no double holds, are refused as well.
    async fn broken_json_is_refused(looma: TestServer) {
        let admin = looma.admin().await;
        let rules = count(looma, "/alert-rules").await;
        for (body, status) in [
            ("{\"service_id\": \"a\"", 400),
            ("", 400),
            ("[1, 2", 400),
            ("{\"service_id\": NaN}", 400),
            ("{\"name\": \"a\", \"name\": \"b\", \"notifier\": \"log\", \"config\": {}}", 422),
            ("\"text\"", 422),
            ("null", 422),
        ] {
            let path = if body.contains("notifier") { "/channels" } else { "/services" };
            let refused = admin.post_bytes(path, "application/json", body).await;
            assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{body}");
            refused.expect(status);
        }
        let rule = "{\"rule_name\": \"a\", \"metric_name\": \"m\", \"threshold_value\": 1e999, \"severity\": \"info\"}";
        assert_eq!(admin.post_bytes("/alert-rules", "application/json", rule).await.status, 400);
        assert_eq!((count(looma, "/alert-rules").await, count(looma, "/channels").await), (rules, 0));
    }

    /// A name that stands twice is told at its place, also in a free map, in a patch, and beside other faults.
    async fn a_name_that_stands_twice_is_refused(looma: TestServer) {
        let admin = looma.admin().await;
        let service = |rest: &str| format!("{{\"service_id\": \"a\", \"service_name\": \"a\", \"service_type\": \"t\", {rest}}}");
        for (body, pointers) in [
            (service(r#""service_url": "http://a", "service_id": "b""#), vec!["/service_id"]),
            (service(r#""service_url": "http://a", "tags": {"zone": "a", "zone": "b"}"#), vec!["/tags/zone"]),
            (service(r#""service_url": "http://a", "config": {"a": [{"b": 1, "b": 2}]}"#), vec!["/config/a/0/b"]),
            (service(r#""service_id": "b", "weight": "heavy""#), vec!["/service_id", "/service_url", "/weight"]),
        ] {
            let refused = admin.post_bytes("/services", "application/json", body.as_str()).await;
            let mut told = refused.pointers();
            told.sort_unstable();
            assert_eq!(told, pointers, "{body}");
            refused.expect(422);
        }
        assert_eq!(count(looma, "/services").await, 0);
        admin.post("/services", &json!({"service_id": "a", "service_name": "a", "service_type": "t", "service_url": "http://a"}))
            .await
            .expect(201);
        let twice = r#"{"tags": {"zone": "a", "zone": "b"}}"#;
        let patch = admin.request(Method::PATCH, "/services/a").header("content-type", "application/merge-patch+json");
        let refused = admin.send(patch.body(twice)).await;
        assert_eq!(refused.pointers(), ["/tags/zone"]);
        refused.expect(422);
    }

    /// Every parameter at fault is told by its name.
    async fn every_fault_of_a_query_is_told(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, pointers) in [
            ("/services?limit=many&colour=red&status=flying", vec!["/colour", "/limit", "/status"]),
            ("/services?limit=0", vec!["/limit"]),
            ("/services?status=active&status=active", vec!["/status"]),
            ("/metrics/query", vec!["/metric_name"]),
        ] {
            let refused = admin.get(path).await;
            let mut told = refused.pointers();
            told.sort_unstable();
            assert_eq!(told, pointers, "{path}");
            refused.expect(422);
        }
    }

    /// A body over the limit is 413, whatever it holds. It is one byte over: what is sent beyond that may go unread, and the
    /// answer be lost with the connection.
    async fn large_bodies_are_refused(looma: TestServer) {
        let body = "x".repeat(looma.app().settings.server.body_limit + 1);
        looma.admin().await.post_bytes("/services", "application/json", body).await.expect(413);
    }

    /// The character NUL, which PostgreSQL holds in no text, is nobody's name and no fault of the server: in no path and in no query.
    async fn a_nul_is_no_fault_of_the_server(looma: TestServer) {
        let nobody = json!({"username": "a\u{0}", "password": "guess"});
        looma.anonymous().post("/auth/login", &nobody).await.expect(401);
        let document = looma.anonymous().get("/api/openapi.json").await.expect(200);
        let mut asked = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let Some(operation) = operations.get("get").filter(|_| !path.ends_with("/watch")) else { continue };
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let queries = queries.map(|parameter| format!("?{}=%00", parameter["name"].as_str().unwrap()));
            let plain: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "%00" } else { part }).collect();
            for query in queries.chain([String::new()]) {
                let answer = looma.admin().await.get(&format!("{}{query}", plain.join("/"))).await;
                assert!(answer.status < 500, "{path}{query}: {}", answer.json);
                asked += 1;
            }
        }
        assert!(asked > 50, "{asked}");
    }

    /// Limits, cursors, filters and sort fields that make no sense are told at their names.
    async fn wrong_queries_are_refused(looma: TestServer) {
        for path in ["/services?limit=0", "/services?limit=1001", "/services?after=nonsense", "/services?sort=colour"] {
            let refused = looma.admin().await.get(path).await;
            assert_eq!(refused.pointers().len(), 1, "{path}: {}", refused.json);
            refused.expect(422);
        }
        looma.admin().await.get("/services?colour=red").await.expect(422);
    }
}

/// A body that does not arrive in time is given up, and the server goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_are_given_up() {
    let store = Store::sqlite();
    let mut settings = store.settings();
    settings.server.request_timeout_seconds = 1;
    let looma = TestServer::start_with(store, settings).await;
    let token = looma.admin().await.token().unwrap().to_owned();
    let mut stream = TcpStream::connect(looma.running.address).await.unwrap();
    let head = format!(
        "POST /api/v1/services HTTP/1.1\r\nhost: looma\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"service_id\""
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["status"], 408);
    looma.anonymous().get("/healthz").await.expect(200);
    looma.stop().await;
}

/// A body that arrives a byte at a time is given up, too: each byte buys no more time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trickling_bodies_are_given_up() {
    let store = Store::sqlite();
    let mut settings = store.settings();
    settings.server.request_timeout_seconds = 1;
    let looma = TestServer::start_with(store, settings).await;
    let token = looma.admin().await.token().unwrap().to_owned();
    let stream = TcpStream::connect(looma.running.address).await.unwrap();
    let head = format!(
        "POST /api/v1/services HTTP/1.1\r\nhost: looma\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    );
    let (mut answers, mut asks) = stream.into_split();
    asks.write_all(head.as_bytes()).await.unwrap();
    let trickle = async {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            pause.tick().await;
            // When the server has hung up, what it said is still there to be read.
            let _ = asks.write_all(b" ").await;
        }
    };
    let mut answer = [0; 12];
    let answered = tokio::time::timeout(std::time::Duration::from_secs(30), answers.read_exact(&mut answer));
    let answered = tokio::select! {
        answered = answered => answered,
        () = trickle => unreachable!("it goes on"),
    };
    answered.expect("it is given up").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    looma.stop().await;
}

/// The document and the page that shows it come out of the binary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_shown() {
    let looma = TestServer::start(Store::sqlite()).await;
    let document = looma.anonymous().get("/api/openapi.json").await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let page = looma.anonymous().get("/api/docs/").await;
    assert!(String::from_utf8_lossy(&page.bytes).contains("swagger-ui"), "{page:?}");
    assert_eq!(page.status, 200);
    looma.stop().await;
}
