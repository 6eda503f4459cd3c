//! The typed client, as the command line and the agent use it.

use std::time::Duration;

use looma::client::{Client, ClientError, Credentials, Measurement};
use looma_tests::{ADMIN_PASSWORD, TestServer, both_databases};
use serde_json::Value;

fn admin(looma: &TestServer) -> Client {
    let credentials = Credentials::Password { username: "admin".to_owned(), password: ADMIN_PASSWORD.to_owned() };
    Client::new(&looma.url(), credentials).unwrap()
}

fn measurement(looma: &TestServer, service: &str, metric_value: f64) -> Measurement {
    Measurement {
        service_id: service.to_owned(),
        metric_name: "m",
        metric_value,
        metric_unit: None,
        tags: [("zone", "a".to_owned())].into(),
        timestamp: looma.app().clock.now(),
    }
}

both_databases! {
    /// A list is read to its end, page by page, and no further than asked.
    async fn lists_are_read_to_their_end(looma: TestServer) {
        let client = admin(looma);
        let samples: Vec<_> = (0..1500).map(|i| measurement(looma, &format!("s{i}"), 1.0)).collect();
        client.send_samples(&samples).await.unwrap();
        let series: Vec<Value> = client.list(&["metrics", "series"], &[], usize::MAX).await.unwrap();
        assert_eq!(series.len(), 1500);
        let some: Vec<Value> = client.list(&["metrics", "series"], &[], 1200).await.unwrap();
        assert_eq!(some, series[..1200]);
        let filter = [("service_id".to_owned(), "s7".to_owned())];
        let one: Vec<Value> = client.list(&["metrics", "series"], &filter, 10).await.unwrap();
        assert_eq!(one.len(), 1);
    }

    /// What a server refuses is told with every fault and its place.
    async fn every_fault_is_told(looma: TestServer) {
        let bad = [measurement(looma, "", 1.0), measurement(looma, "s", 1.0), measurement(looma, "", 1.0)];
        let error = admin(looma).send_samples(&bad).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("422 Unprocessable Entity: "), "{text}");
        for index in [0, 2] {
            assert!(text.contains(&format!("\n  /samples/{index}/service_id must not be empty")), "{text}");
        }
        let error = admin(looma).send_samples(&bad[..1]).await.unwrap_err().to_string();
        assert!(error.ends_with("/samples/0/service_id must not be empty") && !error.contains('\n'), "{error}");
    }

    /// A client that knows a password signs in again when its session has ended; one that has a token alone cannot.
    async fn a_password_outlives_a_session(looma: TestServer) {
        let client = admin(looma);
        client.send_samples(&[measurement(looma, "s", 1.0)]).await.unwrap();
        let token = looma.admin().await.token().unwrap().to_owned();
        let with_token = Client::new(&looma.url(), Credentials::Token(token)).unwrap();
        with_token.send_samples(&[measurement(looma, "s", 2.0)]).await.unwrap();
        looma.advance(Duration::from_secs(3600));
        client.send_samples(&[measurement(looma, "s", 3.0)]).await.unwrap();
        let refused = with_token.send_samples(&[measurement(looma, "s", 4.0)]).await.unwrap_err();
        assert!(matches!(refused, ClientError::Refused(problem) if problem.status == 401));
    }

    /// What is no address, and where nobody answers, is said.
    async fn no_server_is_told(looma: TestServer) {
        for address in ["127.0.0.1:7600", "ftp://host", "http://"] {
            assert!(matches!(Client::new(address, Credentials::None), Err(ClientError::Address(_))), "{address}");
        }
        // A port that was free a moment ago: the listener is closed again.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let nobody = Client::new(&format!("http://127.0.0.1:{port}"), Credentials::None).unwrap();
        let error = nobody.get::<Value>(&["tasks"]).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        let stranger = Client::new(&looma.url(), Credentials::None).unwrap();
        let error = stranger.get::<Value>(&["tasks"]).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused(problem) if problem.status == 401));
    }
}

/// Runs `looma` with these arguments against that server, as its administrator; gives exit code and outputs.
async fn run(looma: &TestServer, arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_looma"));
    command.args(arguments).env_clear().env("LOOMA_URL", looma.url()).env("LOOMA_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let done = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

both_databases! {
    /// The command line lists and shows what the server has, as a table or as the server says it, and tells what is wrong.
    async fn the_command_line_looks_at_things(looma: TestServer) {
        let service = serde_json::json!({"service_id": "ai-1", "service_name": "ai", "service_type": "ai-service",
            "service_url": "http://10.0.0.7:8002"});
        looma.admin().await.post("/services", &service).await.expect(201);
        let (code, table, _) = run(looma, &["service", "list"]).await;
        assert_eq!(code, 0);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((lines[0][0], lines.len()), ("service_id", 2), "{table}");
        assert_eq!(lines[1][..3], ["ai-1", "ai", "ai-service"]);
        let (code, json, _) = run(looma, &["service", "get", "ai-1", "--json"]).await;
        let shown: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &shown["service_url"]), (0, &service["service_url"]));
        let (code, json, _) = run(looma, &["service", "list", "--json", "--filter", "service_name=other"]).await;
        assert_eq!((code, json.trim()), (0, "[]"));
        let (code, out, error) = run(looma, &["node", "get", "a/b"]).await;
        assert_eq!((code, out.as_str(), error.trim()), (1, "", "looma: 404 Not Found: no such node"));
        let (code, _, _) = run(looma, &["node", "list", "--filter", "x"]).await;
        assert_eq!(code, 2);
    }
}
