//! Requests to servers on loopback that mean harm, or are asked to do some.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::plugins::bindings::looma::host::http::SecretHeader;
use crate::plugins::grants::{Grants, GrantsText};
use crate::plugins::host_api::Services;
use crate::plugins::version::Own;

/// Answers each connection with what `answer` makes of the request's head, and closes it.
async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    #[expect(clippy::disallowed_methods, reason = "a test's own peer")]
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = socket.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes()).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    port
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

fn reach(http: &[String], net: &[&str]) -> Reach {
    let services = Services::for_tests(Clock::manual(Timestamp::from_millis(0).unwrap()).0);
    services.secrets.set("token", "a-secret-value");
    let text = GrantsText {
        http: http.to_vec(),
        net: net.iter().map(ToString::to_string).collect(),
        secrets: vec!["token".to_owned()],
        ..GrantsText::default()
    };
    let Own { name: plugin, share, stats } = Own::new("tried".parse().unwrap(), 2);
    let deadline = services.pulse.after(Duration::from_secs(20));
    Reach {
        plugin,
        grants: Arc::new(Grants::parse(&text).unwrap()),
        services: Arc::new(services),
        share,
        stats,
        deadline,
    }
}

fn get(url: &str) -> Request {
    let (headers, secret_headers, body) = Default::default();
    Request { method: "GET".to_owned(), url: url.to_owned(), headers, secret_headers, body, timeout_ms: 0 }
}

async fn denied(reach: &Reach, request: Request) -> String {
    match follow(reach.clone(), request).await {
        Err(HttpError::Denied(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_grant_is_for_its_scheme_host_port_and_method() {
    let port = serve(|_| ok("hello")).await;
    let reach = reach(&[format!("GET http://127.0.0.1:{port}")], &[]);
    let url = format!("http://127.0.0.1:{port}/x");
    assert_eq!(follow(reach.clone(), get(&url)).await.unwrap().body, b"hello");
    for (method, url) in [
        ("POST", url.clone()),
        ("GET", format!("https://127.0.0.1:{port}/")),
        ("GET", "http://127.0.0.1:1/".to_owned()),
        ("GET", format!("http://localhost:{port}/")),
        ("GET", format!("http://127.0.0.2:{port}/")),
    ] {
        let why = denied(&reach, Request { method: method.to_owned(), ..get(&url) }).await;
        assert!(why.contains("is not granted"), "{method} {url}: {why}");
    }
    for method in ["get", "CONNECT", "TRACE", "TRACK", "", "GET /", "G\r\n"] {
        denied(&reach, Request { method: method.to_owned(), ..get(&url) }).await;
    }
}

#[tokio::test]
async fn addresses_in_disguise_are_what_they_are() {
    let reach = reach(&["http://10.0.0.1".to_owned(), "http://*.example".to_owned()], &[]);
    for url in [
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1@127.0.0.1/",
        "http://127.0.0.1#.example/",
        "http://127.0.0.1\\.example/",
        "http://example/",
        "http://10.0.0.1.nip.example.org/",
        "ftp://10.0.0.1/",
        "file:///etc/passwd",
        "http:///",
    ] {
        denied(&reach, get(url)).await;
    }
}

#[tokio::test]
async fn a_granted_name_that_leads_inside_is_refused() {
    let port = serve(|_| ok("inside")).await;
    let url = format!("http://localhost:{port}");
    let why = denied(&reach(std::slice::from_ref(&url), &[]), get(&url)).await;
    assert!(why.contains("a loopback address"), "{why}");
    let granted = reach(std::slice::from_ref(&url), &[&format!("127.0.0.0/8:{port}"), &format!("[::1]:{port}")]);
    assert_eq!(follow(granted, get(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn every_hop_is_checked_as_the_first_was() {
    let inside = serve(|_| ok("inside")).await;
    let targets = [
        format!("http://127.0.0.1:{inside}/"),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "//localhost/".to_owned(),
    ];
    for target in targets {
        let sent = target.clone();
        let port = serve(move |_| to(&sent)).await;
        let reach = reach(&[format!("http://127.0.0.1:{port}")], &[]);
        denied(&reach, get(&format!("http://127.0.0.1:{port}/"))).await;
    }
    let user = serve(|_| to("http://user:word@127.0.0.1/")).await;
    let why =
        denied(&reach(&[format!("http://127.0.0.1:{user}")], &[]), get(&format!("http://127.0.0.1:{user}"))).await;
    assert!(why.contains("must not carry a user"), "{why}");
    let around = serve(|_| to("/")).await;
    let reach = reach(&[format!("http://127.0.0.1:{around}")], &[]);
    let answer = follow(reach, get(&format!("http://127.0.0.1:{around}"))).await;
    assert!(matches!(&answer, Err(HttpError::Protocol(why)) if why.contains("redirects")), "{answer:?}");
}

#[tokio::test]
async fn what_proves_who_asks_goes_to_the_first_origin_alone() {
    let last = serve(ok).await;
    let first = serve(move |head| match head.contains("authorization: Bearer a-secret-value") {
        true => to(&format!("http://127.0.0.1:{last}/")),
        false => ok("no secret came"),
    })
    .await;
    let reach = reach(&[format!("http://127.0.0.1:{first}"), format!("http://127.0.0.1:{last}")], &[]);
    let secret = SecretHeader { header: "Authorization".into(), secret: "token".into(), prefix: "Bearer ".into() };
    let headers = vec![("Cookie".to_owned(), "c=1".to_owned()), ("X-Own".to_owned(), "2".to_owned())];
    let asked = Request { secret_headers: vec![secret], headers, ..get(&format!("http://127.0.0.1:{first}/")) };
    let seen = String::from_utf8(follow(reach, asked).await.unwrap().body).unwrap();
    assert!(seen.contains("x-own: 2") && !seen.contains("cookie") && !seen.contains("authorization"), "{seen}");
}

#[tokio::test]
async fn a_secret_that_is_said_back_is_not_read() {
    let port = serve(|head| {
        let length = head.len();
        format!("HTTP/1.1 200 OK\r\nx-echo: a-secret-value\r\ncontent-length: {length}\r\n\r\n{head}")
    })
    .await;
    let reach = reach(&[format!("http://127.0.0.1:{port}")], &[]);
    let url = format!("http://127.0.0.1:{port}/");
    let secret = SecretHeader { header: "X-Key".into(), secret: "token".into(), prefix: String::new() };
    let answer = follow(reach.clone(), Request { secret_headers: vec![secret], ..get(&url) }).await.unwrap();
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("x-key: ***") && !body.contains("a-secret-value"), "{body}");
    assert!(answer.headers.contains(&("x-echo".to_owned(), "***".to_owned())), "{:?}", answer.headers);
    let why = denied(&reach, get(&format!("{url}?t=a-secret-value"))).await;
    assert!(why.contains("carries the secret \"token\"") && !why.contains("a-secret-value"), "{why}");
    let headers = vec![("X-Out".to_owned(), "a-secret-value".to_owned())];
    let why = denied(&reach, Request { headers, ..get(&url) }).await;
    assert!(why.contains("carries the secret \"token\"") && !why.contains("a-secret-value"), "{why}");
}

#[tokio::test]
async fn headers_are_bounded_and_the_connections_own_are_refused() {
    let reach = reach(&["http://127.0.0.1:9".to_owned()], &[]);
    let with = |headers: Vec<(String, String)>| Request { headers, ..get("http://127.0.0.1:9/") };
    let one = |name: &str, value: &str| with(vec![(name.to_owned(), value.to_owned())]);
    for request in [
        one("Host", "other"),
        one("transfer-encoding", "chunked"),
        one("Content-Length", "7"),
        one("Connection", "upgrade"),
        one("Proxy-Connection", "keep-alive"),
        one("x-a", "b\r\nx-c: d"),
        one("x-a\r\n", "b"),
        one("x a", "b"),
        one("x-a", &"b".repeat(40_000)),
        with(vec![("x-a".to_owned(), "b".to_owned()); 10_000]),
    ] {
        denied(&reach, request).await;
    }
    let secret = SecretHeader { header: "X-Key".into(), secret: "token".into(), prefix: "a\r\nb: ".into() };
    denied(&reach, Request { secret_headers: vec![secret], ..get("http://127.0.0.1:9/") }).await;
    let secret = SecretHeader { header: "X-Key".into(), secret: "other".into(), prefix: String::new() };
    let why = denied(&reach, Request { secret_headers: vec![secret], ..get("http://127.0.0.1:9/") }).await;
    assert!(why.contains("not granted the secret"), "{why}");
}

#[tokio::test]
async fn answers_are_bounded_in_bytes_and_nothing_is_unpacked() {
    let packed =
        serve(|_| "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f--\x08".to_owned());
    let packed = packed.await;
    let told = serve(|_| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30)).await;
    let untold = serve(|_| format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(RESPONSE_BYTES + 1))).await;
    let headers =
        serve(|_| format!("HTTP/1.1 200 OK\r\nx-a: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(70_000))).await;
    let ports = [packed, told, untold, headers];
    let reach = reach(&ports.map(|port| format!("http://127.0.0.1:{port}")), &[]);
    let ask = |port: u16| follow(reach.clone(), get(&format!("http://127.0.0.1:{port}/")));
    assert_eq!(ask(packed).await.unwrap().body, b"\x1f--\x08");
    for port in [told, untold, headers] {
        let answer = ask(port).await;
        assert!(matches!(answer, Err(HttpError::TooLarge(_))), "{answer:?}");
    }
}
