//! What a browser is told, so that a page of somebody else gets nothing out of it.

use looma_tests::{ADMIN_PASSWORD, Answer, Store, TestServer, both_databases};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn policy(answer: &Answer) -> &str {
    answer.header("content-security-policy").unwrap_or_default()
}

both_databases! {
    /// What shows a secret is stored nowhere on its way.
    async fn secrets_are_stored_nowhere(looma: TestServer) {
        let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let tokens = looma.anonymous().post("/auth/login", &login).await;
        let refresh = json!({"refresh_token": tokens.json["refresh_token"]});
        let admin = looma.admin().await;
        for answer in [
            tokens,
            looma.anonymous().post("/auth/refresh", &refresh).await,
            looma.anonymous().post("/auth/login", &json!({"username": "admin", "password": "wrong"})).await,
            admin.get("/auth/me").await,
            admin.post("/tokens", &json!({"name": "ci", "scopes": []})).await,
        ] {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        }
    }
}

/// No answer is a page that another may frame, or that runs what others wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_no_pages_of_others() {
    let looma = TestServer::start(Store::sqlite()).await;
    let anonymous = looma.anonymous();
    for path in ["/healthz", "/api/openapi.json", "/api/v1/none", "/api/docs/"] {
        let answer = anonymous.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        for part in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy(&answer).contains(part), "{path}: {answer:?}");
        }
    }
    let page = anonymous.get("/api/docs/").await;
    assert!(policy(&page).contains("script-src 'self';"), "{page:?}");
    // What the policy forbids, the page must not need.
    let text = String::from_utf8_lossy(&page.bytes);
    for script in text.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap();
        assert!(tag.contains("src=\"./"), "{tag}");
    }
    looma.stop().await;
}

/// The metrics of the process are open to whoever asks on the machine itself, and to nobody in whose place somebody asks:
/// neither a page under another name, nor a proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_open_on_the_machine_alone() {
    let looma = TestServer::start(Store::sqlite()).await;
    let port = looma.running.address.port();
    let status = async |headers: &str| {
        let mut stream = TcpStream::connect(looma.running.address).await.unwrap();
        stream
            .write_all(format!("GET /metrics HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for host in ["localhost", &format!("localhost:{port}"), &format!("127.0.0.1:{port}"), "127.0.0.1", "[::1]:7600"] {
        assert_eq!(status(&format!("host: {host}\r\n")).await, "200", "{host}");
    }
    for headers in [
        "host: evil.example\r\n",
        &format!("host: evil.example:{port}\r\n"),
        "host: 127.0.0.1.evil.example\r\n",
        "host: localhost\r\nx-forwarded-for: 203.0.113.9\r\n",
        "host: localhost\r\nforwarded: for=203.0.113.9\r\n",
    ] {
        assert_eq!(status(headers).await, "401", "{headers}");
    }
    looma.admin().await.get("/metrics-text").await.expect(200);
    looma.stop().await;
}
