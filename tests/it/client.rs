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
        let bad = [measurement(looma, "", 1.0), measurement(looma, "s", 1.0)];
        let error = admin(looma).send_samples(&bad).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("422 Unprocessable Entity: "), "{text}");
        assert!(text.contains("\n  /samples/0/service_id must not be empty"), "{text}");
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
