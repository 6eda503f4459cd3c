//! Connections: those that are slow, those that are too many, and what a browser is told.

use std::time::Duration;

use looma_tests::{Store, TestServer, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: looma\r\n\r\n";

async fn start(change: impl FnOnce(&mut looma::settings::Server)) -> TestServer {
    let store = Store::sqlite();
    let mut settings = store.settings();
    change(&mut settings.server);
    TestServer::start_with(store, settings).await
}

/// A connection that has sent something.
async fn sent(looma: &TestServer, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(looma.running.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything that comes until the server ends the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut text)).await;
    // An end without a farewell is an end.
    let _ = ended.expect("the server ends the connection");
    String::from_utf8_lossy(&text).into_owned()
}

/// A connection that has asked once and has its answer; it stays open.
async fn answered(looma: &TestServer) -> Option<TcpStream> {
    let mut stream = sent(looma, GET).await;
    let mut text = [0; 512];
    let read = stream.read(&mut text).await.unwrap_or(0);
    text[..read].starts_with(b"HTTP/1.1 200 ").then_some(stream)
}

/// A connection whose first request does not come in time is ended, whatever has come of it, in either version of HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers_are_given_up() {
    let looma = start(|server| server.header_timeout_seconds = 1).await;
    let nothing_more: [&[u8]; 5] = [
        b"",
        b"P",
        b"GET /healthz HTTP/1.1\r\nhost: loo",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    for bytes in nothing_more {
        rest(sent(&looma, bytes).await).await;
    }
    looma.anonymous().get("/healthz").await.expect(200);
    looma.stop().await;
}

/// A connection whose next request does not come is ended in time, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_ended() {
    let looma = start(|server| server.idle_timeout_seconds = 1).await;
    for more in ["", "GET /healthz HTTP/1.1\r\nhost: loo"] {
        let mut stream = answered(&looma).await.unwrap();
        stream.write_all(more.as_bytes()).await.unwrap();
        rest(stream).await;
    }
    looma.stop().await;
}

/// A connection too many is told so at once; when another has ended, there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_too_many_is_told_so() {
    let looma = start(|server| server.connections = 2).await;
    let (first, second) = (answered(&looma).await.unwrap(), answered(&looma).await.unwrap());
    let refused = rest(sent(&looma, GET).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    let head = refused.to_ascii_lowercase();
    for header in ["\r\nretry-after: 1\r\n", "\r\ncontent-type: application/problem+json\r\n"] {
        assert!(head.contains(header), "{refused}");
    }
    let body: serde_json::Value = serde_json::from_str(refused.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["status"], 503);
    drop(first);
    drop(eventually("room for a connection", async || answered(&looma).await).await);
    drop(second);
    looma.stop().await;
}

/// A server that is asked to stop waits neither for headers that do not come nor for connections that are idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_do_not_hold_up_the_end() {
    let looma = start(|server| server.header_timeout_seconds = 2).await;
    let idle = answered(&looma).await.unwrap();
    let silent = sent(&looma, b"").await;
    let slow = sent(&looma, b"GET /healthz HTTP/1.1\r\nhost: loo").await;
    looma.stop().await;
    drop((idle, silent, slow));
}

/// Headers past 64 KiB are refused, and not held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_headers_are_refused() {
    let looma = start(|_| {}).await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: looma\r\nx: {}\r\n", "x".repeat(65 << 10));
    let answer = rest(sent(&looma, head.as_bytes()).await).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    looma.stop().await;
}
