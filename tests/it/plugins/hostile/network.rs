//! Guests that want to go where they must not, with real servers on both ends.

use tokio::net::TcpListener;

use super::{peer::Peer, *};

/// A host with the guest that fetches what it is told, granted one peer by its address.
async fn start() -> (Host, Peer) {
    let (host, peer) = (Host::start().await, Peer::start().await);
    host.grant("fetch", json!({"http": [peer.at("")]})).await;
    host.bring_guest("fetch", CallPath::Io).await;
    (host, peer)
}

/// What the guest got, or what the host told it.
async fn fetch(host: &Host, fields: &[&str]) -> String {
    let answer = host.tell("fetch", fields).await;
    let told = answer.json["next"].as_str().unwrap_or(message(&answer.json));
    told.to_owned()
}

async fn get(host: &Host, url: &str) -> String {
    fetch(host, &["GET", url]).await
}

/// Each is expected to end in words that contain these.
async fn expect_each(host: &Host, cases: &[(&str, &str)]) {
    let mut faults = Vec::new();
    for (url, words) in cases {
        let told = get(host, url).await;
        if !told.contains(words) {
            faults.push(format!("{url}: {words:?} was expected, this came: {told}"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

const USER: &str = "must not carry a user or password";
const SCHEME: &str = "the scheme is http or https";

/// What is no way to write the granted address, and what is told of each.
const ELSEWHERE: &[(&str, &str)] = &[
    ("http://localhost:{port}/", "is not granted GET http://localhost:"),
    ("http://LOCALHOST:{port}/", "is not granted GET http://localhost:"),
    ("http://127.0.0.2:{port}/", "is not granted"),
    ("http://127.0.0.1:1/", "is not granted GET http://127.0.0.1:1"),
    ("http://127.0.0.1/", "is not granted GET http://127.0.0.1;"),
    ("https://127.0.0.1:{port}/", "is not granted GET https://"),
    ("http://[::1]:{port}/", "is not granted"),
    ("http://[::ffff:127.0.0.1]:{port}/", "is not granted"),
    ("http://[::ffff:7f00:1]:{port}/", "is not granted"),
    ("http://[64:ff9b::7f00:1]:{port}/", "is not granted"),
    ("http://0.0.0.0:{port}/", "is not granted"),
    ("http://0:{port}/", "is not granted GET http://0.0.0.0"),
    ("http://169.254.169.254/latest/meta-data/", "is not granted"),
    ("http://user@127.0.0.1:{port}/", USER),
    ("http://:pass@127.0.0.1:{port}/", USER),
    ("http://127.0.0.1:{port}@evil.example/", USER),
    ("http://evil.example/@127.0.0.1:{port}/", "is not granted GET http://evil.example"),
    ("http://evil.example\\@127.0.0.1:{port}/", "is not granted GET http://evil.example"),
    ("http://evil.example#@127.0.0.1:{port}/", "is not granted GET http://evil.example"),
    ("http://evil.example?@127.0.0.1:{port}/", "is not granted GET http://evil.example"),
    ("http://127.0.0.1:{port}.evil.example/", "not a URL"),
    ("http://127.0.0.1%00.evil.example:{port}/", "not a URL"),
    ("http://127.0.0.1 .evil.example/", "not a URL"),
    ("file:///etc/passwd", SCHEME),
    ("ftp://127.0.0.1:{port}/", SCHEME),
    ("gopher://127.0.0.1:{port}/_x", SCHEME),
    ("data:text/plain,reached", SCHEME),
    ("unix:/var/run/docker.sock", SCHEME),
    ("//127.0.0.1:{port}/", "not a URL"),
    ("/", "not a URL"),
    ("", "not a URL"),
];

/// A granted address is reached in whatever way it is written, and nothing else is, in whatever way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_granted_address_is_reached() {
    let (host, peer) = start().await;
    let port = peer.port();
    let spelled = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "127。0。0。1",
    ];
    let same: Vec<String> = spelled.iter().map(|host| format!("http://{host}:{port}/")).collect();
    expect_each(&host, &same.iter().map(|url| (url.as_str(), "reached")).collect::<Vec<_>>()).await;
    expect_each(
        &host,
        &[
            (&format!("HTTP://127.0.0.1:{port}"), "reached"),
            (&format!(" http:\\\\127.0.0.1:{port}/a/../b?c#d "), "reached"),
        ],
    )
    .await;
    for (form, words) in ELSEWHERE {
        let url = form.replace("{port}", &port.to_string());
        let told = get(&host, &url).await;
        assert!(told.starts_with("denied") && told.contains(words), "{url}: {told}");
    }
    host.grant("fetch", json!({})).await;
    for url in same {
        assert!(get(&host, &url).await.contains("is not granted GET http://127.0.0.1"), "{url}");
    }
    host.assert_well("fetch", CallPath::Io).await;
    host.stop().await;
}

/// A granted name that leads inside is refused, unless the range is granted as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_judged_by_where_they_lead() {
    let (host, peer) = start().await;
    let port = peer.port();
    let url = format!("http://localhost:{port}");
    host.grant("fetch", json!({"http": [url]})).await;
    expect_each(&host, &[(&url, "is a loopback address; grant net \"127.0.0.1/32:")]).await;
    host.grant("fetch", json!({"http": [url], "net": ["10.0.0.0/8:*", format!("127.0.0.1/32:{}", port ^ 1)]})).await;
    expect_each(&host, &[(&url, "is a loopback address")]).await;
    host.grant("fetch", json!({"http": [url], "net": [format!("127.0.0.0/8:{port}")]})).await;
    expect_each(&host, &[(&url, "reached"), (&format!("http://localhost.:{port}/"), "is not granted")]).await;
    host.grant("fetch", json!({"http": [format!("POST {url}")], "net": ["127.0.0.0/8:*"]})).await;
    expect_each(&host, &[(&url, "is not granted GET")]).await;
    host.stop().await;
}

/// Every hop of a redirect is judged as the first request was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_lead_nowhere_else() {
    let (host, peer) = start().await;
    let other = Peer::start().await;
    let port = peer.port();
    let name = format!("http://localhost:{port}");
    host.grant("fetch", json!({"http": [peer.at(""), name]})).await;
    for (to, words) in [
        (peer.at("/"), "reached"),
        ("/".to_owned(), "reached"),
        (other.at("/"), "is not granted GET http://127.0.0.1:"),
        (format!("//127.0.0.1:{}/", other.port()), "is not granted"),
        (name, "is a loopback address"),
        ("http://169.254.169.254/".to_owned(), "is not granted"),
        ("http://[::1]/".to_owned(), "is not granted"),
        ("file:///etc/passwd".to_owned(), "the scheme is http or https"),
        (format!("http://user@127.0.0.1:{port}/"), "must not carry a user or password"),
        ("/loop".to_owned(), "protocol  more than 5 redirects"),
    ] {
        let told = get(&host, &peer.at(&format!("/?to={to}"))).await;
        assert!(told.contains(words), "{to}: {told}");
    }
    host.assert_well("fetch", CallPath::Io).await;
    host.stop().await;
}

/// A server that trickles, says nothing, never ends, or promises a gigabyte is given up, and the plugin is told why in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_endless_answers_are_given_up() {
    let (host, peer) = start().await;
    for path in ["/slow", "/silent"] {
        assert_eq!(get(&host, &peer.at(path)).await.trim(), "timeout");
        host.assert_well("fetch", CallPath::Io).await;
    }
    host.grant("fetch", json!({"http": [peer.at("")], "deadline_ms": 20_000})).await;
    for (path, told) in [("/endless", "large"), ("/large", "large"), ("/packed", "packed")] {
        assert_eq!(get(&host, &peer.at(path)).await.trim(), told);
    }
    let told = get(&host, &peer.at("/headers")).await;
    assert!(told.starts_with("protocol"), "{told}");
    host.assert_well("fetch", CallPath::Io).await;
    host.stop().await;
}

/// Headers that are the connection's own, break lines or are too many are refused before anything is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_checked() {
    let (host, peer) = start().await;
    let url = peer.at("/echo");
    let with = async |name: &str, value: &str| fetch(&host, &["GET", &url, "", "", "", name, value]).await;
    let echoed = with("X-Own", "ok").await;
    assert!(echoed.contains("x-own: ok") && echoed.contains(&format!("host: {}", peer.address)), "{echoed}");
    for name in [
        "Host",
        "HOST",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Upgrade",
        "Expect",
        "Trailer",
        "Keep-Alive",
        "Proxy-Authorization",
        "x y",
        "x:y",
        "x\r\ny",
        "",
        "x\u{0}",
        "xä",
        ":authority",
    ] {
        let told = with(name, "evil.example").await;
        assert!(
            told.starts_with("denied") && told.contains("is not a header that a plugin can set"),
            "{name:?}: {told}"
        );
    }
    for value in ["a\r\nHost: evil.example", "a\nb", "a\rb", "a\u{0}b", "a\u{7f}b"] {
        let told = with("x-own", value).await;
        assert!(told.starts_with("denied") && told.contains("characters that no header has"), "{value:?}: {told}");
    }
    let told = with("x-own", &"x".repeat(40_000)).await;
    assert!(told.contains("more than 32768 bytes of headers"), "{told}");
    for (method, words) in [
        ("CONNECT", "is not for plugins"),
        ("TRACE", "is not for plugins"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "written in capital letters"),
        ("", "written in capital letters"),
    ] {
        let told = fetch(&host, &[method, &url]).await;
        assert!(told.starts_with("denied") && told.contains(words), "{method:?}: {told}");
    }
    host.assert_well("fetch", CallPath::Io).await;
    host.grant("many-headers", json!({"http": [peer.at("")]})).await;
    host.bring_guest("many-headers", CallPath::Io).await;
    let told = host.tell("many-headers", &[&url]).await;
    assert_eq!(Told::Says("more than 64 headers").differs(&told), None);
    host.bring_guest("many-requests", CallPath::Io).await;
    let told = host.tell("many-requests", &[&url]).await;
    assert_eq!(Told::Says("this call made too many requests").differs(&told), None);
    host.stop().await;
}

/// A secret goes to the origin that it was sent to and no further, and no answer, header or error shows it to the plugin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_never_seen() {
    let (host, peer) = start().await;
    let other = Peer::start().await;
    host.looma.app().plugins.secrets().set("token", "s3cret-value");
    let send = async |url: &str, secret: &str, header: &str, prefix: &str| {
        let told = fetch(&host, &["GET", url, secret, header, prefix]).await;
        assert!(!told.contains("s3cret"), "{told}");
        told
    };
    let (echo, auth) = (peer.at("/echo"), "Authorization");
    assert!(send(&echo, "token", auth, "Bearer ").await.contains("is not granted the secret \"token\""));
    let places = [peer.at(""), other.at("")];
    host.grant("fetch", json!({"http": places, "secrets": ["token", "absent"]})).await;
    assert!(send(&echo, "token", auth, "Bearer ").await.contains("authorization: Bearer ***"));
    assert!(send(&echo, "absent", auth, "").await.contains("there is no secret \"absent\""));
    assert!(send(&echo, "token", "Host", "").await.contains("is not a header that a plugin can set"));
    assert!(send(&echo, "token", "x-own", "a\r\nx: ").await.contains("characters that no header has"));
    let elsewhere = send(&peer.at(&format!("/?to={}", other.at("/echo"))), "token", "x-own", "").await;
    assert!(elsewhere.contains("GET /echo") && !elsewhere.contains("x-own"), "{elsewhere}");
    host.assert_well("fetch", CallPath::Io).await;
    host.grant("sign", json!({})).await;
    host.bring_guest("sign", CallPath::Io).await;
    let told = host.tell("sign", &["token"]).await;
    assert_eq!(Told::Says("is not granted the secret \"token\"").differs(&told), None);
    host.stop().await;
}

/// Connections go to granted addresses and ports alone, whatever they are called; looking up names is for those who have a range.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_go_to_granted_ranges_alone() {
    let (host, peer) = (Host::start().await, Peer::start().await);
    let (port, closed) = (peer.port().to_string(), unused_port().await.to_string());
    for guest in ["connect", "lookup", "connect-flood"] {
        host.bring_guest(guest, CallPath::Io).await;
    }
    let said = async |guest: &str, fields: &[&str]| {
        let answer = host.tell(guest, fields).await;
        let told = answer.json["next"].as_str().unwrap_or(message(&answer.json));
        told.to_owned()
    };
    assert_eq!(said("connect", &["127.0.0.1", &port]).await, "no address range is granted to this plugin");
    assert!(said("lookup", &["localhost"]).await.contains("is granted no address range"));
    let range = json!({"net": [format!("127.0.0.1/32:{port}"), format!("127.0.0.1/32:{closed}")]});
    host.grant("connect", range.clone()).await;
    host.grant("lookup", range).await;
    for (to, port, words) in [
        ("127.0.0.1", &port, "connected"),
        ("localhost", &port, "connected"),
        ("::ffff:127.0.0.1", &port, "connected"),
        ("127.0.0.1", &closed, "refused"),
        ("127.0.0.1", &"1".to_owned(), "127.0.0.1:1 is in no granted range"),
        ("localhost", &"1".to_owned(), "localhost:1 is in no granted range"),
        ("127.0.0.2", &port, "is in no granted range"),
        ("0.0.0.0", &port, "is in no granted range"),
        ("::1", &port, "is in no granted range"),
        ("::", &port, "is in no granted range"),
        ("169.254.169.254", &port, "is in no granted range"),
        ("64:ff9b::7f00:1", &port, "is in no granted range"),
        ("a\0b", &port, "could not resolve"),
        ("http://127.0.0.1", &port, "could not resolve"),
    ] {
        let told = said("connect", &[to, port]).await;
        assert!(told.contains(words), "{to:?} {port}: {told}");
    }
    assert_eq!(said("lookup", &["localhost"]).await, "127.0.0.1");
    for name in ["a\0b", "127.0.0.1; id", "-n"] {
        assert!(said("lookup", &[name]).await.contains("could not resolve"), "{name:?}");
    }
    let much = host.tell("connect-flood", &["127.0.0.1"]).await;
    assert_eq!(Told::Limit("it handed more bytes to the host than one call may").differs(&much), None);
    for guest in ["connect", "lookup", "connect-flood"] {
        host.assert_well(guest, CallPath::Io).await;
    }
    host.stop().await;
}

/// A port that nothing listens on.
async fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
