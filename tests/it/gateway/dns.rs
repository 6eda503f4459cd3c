//! The zone that the registry is, as clients of DNS see it.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use looma::settings::Settings;
use looma_tests::{Store, TestServer, both_databases, eventually, fuzz::Target, peers};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{native, offered, read};

const PATIENCE: Duration = Duration::from_secs(30);

/// Switches DNS on, on a free port.
fn on(settings: &mut Settings) {
    settings.dns.listen = Some(([127, 0, 0, 1], 0).into());
}

async fn start(change: impl FnOnce(&mut Settings)) -> TestServer {
    let store = Store::sqlite();
    let mut settings = store.settings();
    on(&mut settings);
    change(&mut settings);
    TestServer::start_with(store, settings).await
}

fn address(looma: &TestServer) -> SocketAddr {
    looma.running.dns.unwrap()
}

fn question(name: &str, kind: RecordType, payload: Option<u16>) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_labels(labels).unwrap(), kind));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

/// Sends a packet and waits for one.
async fn packet(looma: &TestServer, packet: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(looma)).await.unwrap();
    socket.send(packet).await.unwrap();
    let mut answer = vec![0; 65_535];
    let length = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("an answer comes").unwrap();
    answer.truncate(length);
    answer
}

async fn send(stream: &mut TcpStream, packet: &[u8]) {
    stream.write_u16(packet.len().try_into().unwrap()).await.unwrap();
    stream.write_all(packet).await.unwrap();
}

async fn receive(stream: &mut TcpStream) -> Option<Message> {
    let length = timeout(PATIENCE, stream.read_u16()).await.expect("an answer comes, or an end").ok()?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.ok()?;
    Some(Message::from_vec(&answer).unwrap())
}

async fn ask(looma: &TestServer, name: &str, kind: RecordType) -> Message {
    let answer = Message::from_vec(&packet(looma, &question(name, kind, Some(4096))).await).unwrap();
    assert_eq!((answer.metadata.id, answer.metadata.message_type), (4711, MessageType::Response));
    assert!(answer.answers.iter().all(|record| record.ttl == 0 && record.name == answer.queries[0].name), "{answer}");
    answer
}

/// The answers of a question, as text, in order.
async fn told(looma: &TestServer, name: &str, kind: RecordType) -> Vec<String> {
    let answer = ask(looma, name, kind).await;
    assert_eq!(
        (answer.metadata.response_code, answer.metadata.authoritative),
        (ResponseCode::NoError, true),
        "{answer}"
    );
    let mut told: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    told.sort();
    told
}

/// An answer that there is none: how it went, and that the zone says so for no time at all.
async fn none(looma: &TestServer, name: &str, kind: RecordType) -> ResponseCode {
    let answer = ask(looma, name, kind).await;
    assert!(answer.answers.is_empty(), "{answer}");
    if answer.metadata.authoritative {
        let [soa] = &answer.authorities[..] else { panic!("{answer}") };
        assert!(matches!(&soa.data, RData::SOA(soa) if soa.minimum == 0) && soa.ttl == 0, "{answer}");
        assert_eq!(soa.name.to_ascii(), "looma.");
    }
    answer.metadata.response_code
}

async fn post(looma: &TestServer, path: &str, body: Value) {
    let answer = looma.admin().await.post(path, &body).await;
    assert!(answer.status < 300, "{path}: {answer:?}");
}

/// Registers many instances that beat once, at addresses of their own.
async fn many(looma: &TestServer, name: &str, count: u32) {
    for from in (0..count).step_by(1000) {
        let ids: Vec<String> = (from..count.min(from + 1000)).map(|n| format!("{name}-{n}")).collect();
        let services: Vec<Value> = (from..).zip(&ids).map(|(n, id)| {
            let url = format!("http://10.1.{}.{}:8000", n / 250, n % 250);
            json!({"service_id": id, "service_name": name, "service_type": "t", "service_url": url, "ttl_seconds": 15})
        }).collect();
        post(looma, "/services/batch", json!({"services": services})).await;
        post(looma, "/heartbeats", json!({"service_ids": ids})).await;
    }
}

both_databases! {
    with on;

    /// An instance is found by each form of its name, in whatever letters, with the address of what SRV names.
    async fn an_instance_is_found_in_every_form(looma: TestServer) {
        native(looma, "w-1", "web", json!({"service_url": "http://10.0.0.7:8002/x", "weight": 300, "tags": {"v1": "", "zone": "a"}})).await;
        native(looma, "w-2", "web", json!({"service_url": "https://[fd00::7]", "tags": {"V2": ""}})).await;
        let (four, six) = ("0a000007.addr.looma.", "fd000000000000000000000000000007.addr.looma.");
        let both = [format!("1 100 443 {six}"), format!("1 300 8002 {four}")];
        for name in ["web.service.looma.", "WEB.Service.LOOMA.", "_web._tcp.service.looma.", "_Web._UDP.service.looma."] {
            assert_eq!(told(looma, name, RecordType::SRV).await, both, "{name}");
            assert_eq!(told(looma, name, RecordType::A).await, ["10.0.0.7"], "{name}");
            assert_eq!(told(looma, name, RecordType::AAAA).await, ["fd00::7"], "{name}");
        }
        for (name, expected) in [("v1.web.service.looma.", &both[1]), ("zone=A.web.service.looma.", &both[1]), ("_web._v2.service.looma.", &both[0]), ("v2.WEB.service.looma.", &both[0])] {
            assert_eq!(told(looma, name, RecordType::SRV).await, [expected.as_str()], "{name}");
        }
        assert_eq!((told(looma, four, RecordType::A).await, told(looma, six, RecordType::AAAA).await), (vec!["10.0.0.7".to_owned()], vec!["fd00::7".to_owned()]));
        let glue = ask(looma, "web.service.looma.", RecordType::SRV).await.additionals;
        let glue: BTreeSet<String> = glue.iter().map(|record| format!("{} {}", record.name, record.data)).collect();
        assert_eq!(glue, [format!("{four} 10.0.0.7"), format!("{six} fd00::7")].into());
    }

    /// Names of the registry may have capitals and dots; a longer name goes before a tag.
    async fn names_may_have_capitals_and_dots(looma: TestServer) {
        native(looma, "1", "Web", json!({"service_url": "http://10.0.0.1:1", "tags": {"a": ""}})).await;
        native(looma, "2", "WEB", json!({"service_url": "http://10.0.0.2:1"})).await;
        native(looma, "3", "b.web", json!({"service_url": "http://10.0.0.3:1"})).await;
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(told(looma, "a.web.service.looma.", RecordType::A).await, ["10.0.0.1"]);
        assert_eq!(told(looma, "b.web.service.looma.", RecordType::A).await, ["10.0.0.3"]);
        looma.admin().await.delete("/services/1").await.expect(204);
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await, ["10.0.0.2"]);
        assert_eq!(none(looma, "a.web.service.looma.", RecordType::A).await, ResponseCode::NXDomain);
        looma.admin().await.delete("/services/2").await.expect(204);
        assert_eq!(none(looma, "web.service.looma.", RecordType::A).await, ResponseCode::NXDomain);
    }

    /// A host name is what SRV names; where none has an address, the name is its alias.
    async fn host_names_are_told_as_they_are(looma: TestServer) {
        post(looma, "/nodes", json!({"node_id": "N1", "node_name": "one", "node_type": "worker", "host_address": "10.0.0.9", "port": 22})).await;
        post(looma, "/nodes", json!({"node_id": "n2", "node_name": "two", "node_type": "worker", "host_address": "two.example", "port": 22})).await;
        native(looma, "h-1", "web", json!({"service_url": "http://Web.example:81"})).await;
        assert_eq!(told(looma, "web.service.looma.", RecordType::SRV).await, ["1 100 81 web.example."]);
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await, ["web.example."]);
        native(looma, "h-2", "web", json!({"service_url": "tcp://n1.node.looma:82"})).await;
        native(looma, "h-3", "web", json!({"service_url": "tcp://[fd00::1]:83"})).await;
        let srv = ask(looma, "web.service.looma.", RecordType::SRV).await;
        assert_eq!(srv.answers.len(), 3);
        let glue: BTreeSet<String> = srv.additionals.iter().map(|record| format!("{} {}", record.name, record.data)).collect();
        assert_eq!(glue, ["n1.node.looma. 10.0.0.9".to_owned(), "fd000000000000000000000000000001.addr.looma. fd00::1".to_owned()].into());
        assert_eq!(none(looma, "web.service.looma.", RecordType::A).await, ResponseCode::NoError);
        assert_eq!(told(looma, "n1.node.looma.", RecordType::A).await, ["10.0.0.9"]);
        assert_eq!(told(looma, "N2.node.looma.", RecordType::AAAA).await, ["two.example."]);
        assert_eq!(none(looma, "n1.node.looma.", RecordType::AAAA).await, ResponseCode::NoError);
        assert_eq!(none(looma, "n3.node.looma.", RecordType::A).await, ResponseCode::NXDomain);
    }

    /// Who is told is who discovery offers: nobody who is unknown, silent, switched off, drained or worked on.
    async fn who_is_told_is_who_is_offered(looma: TestServer) {
        for node in ["n1", "n2"] {
            post(looma, "/nodes", json!({"node_id": node, "node_name": node, "node_type": "worker", "host_address": "10.0.0.9", "port": 22, "ttl_seconds": 0})).await;
        }
        for (n, fields) in [json!({}), json!({"ttl_seconds": 600}), json!({"ttl_seconds": 600}), json!({"ttl_seconds": 600, "node_id": "n1"}), json!({"ttl_seconds": 600, "node_id": "n2"}),
            json!({"ttl_seconds": 600}), json!({"ttl_seconds": 600})].into_iter().enumerate() {
            let mut fields = fields;
            fields["service_url"] = format!("http://10.0.0.{n}:80").into();
            native(looma, &format!("w-{n}"), "web", fields).await;
        }
        let unknown = json!({"service_id": "u", "service_name": "web", "service_type": "t", "service_url": "http://10.0.0.99:80", "ttl_seconds": 600});
        post(looma, "/services", unknown).await;
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await.len(), 7);
        let admin = looma.admin().await;
        admin.patch("/services/w-1", &json!({"status": "inactive"})).await.expect(200);
        post(looma, "/services/w-2/maintenance", json!({"enabled": true})).await;
        post(looma, "/nodes/n1/drain", json!({})).await;
        post(looma, "/nodes/n2/maintenance", json!({"enabled": true})).await;
        admin.patch("/services/w-5", &json!({"health_status": "warning"})).await.expect(200);
        looma.live(16).await;
        assert_eq!(read(looma, "w-0").await["health_status"], "critical");
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await, ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(offered(looma, "web").await, ["w-5", "w-6"]);
        for n in 5..7 {
            post(looma, &format!("/services/w-{n}/maintenance"), json!({"enabled": true})).await;
        }
        assert_eq!(none(looma, "web.service.looma.", RecordType::SRV).await, ResponseCode::NoError);
    }

    /// What is held back for protection lives, and is told as discovery tells it.
    async fn what_is_protected_is_told(looma: TestServer) {
        many(looma, "web", 60).await;
        looma.live(16).await;
        let discovery = looma.admin().await.get("/discovery/web?healthy=true").await.expect(200);
        assert_eq!(discovery["protection"]["active"], true, "{}", discovery["protection"]);
        let still = discovery["items"].as_array().unwrap().len();
        assert!((1..60).contains(&still), "{still}");
        assert_eq!(told(looma, "web.service.looma.", RecordType::A).await.len(), still);
    }

    /// What was registered by other protocols is told, too.
    async fn what_others_register_is_told(looma: TestServer) {
        let admin = looma.admin().await;
        admin.put("/v1/agent/service/register", &json!({"Name": "con", "ID": "c-1", "Address": "10.0.0.1", "Port": 81, "Tags": ["V1", "k=v"], "Weights": {"Passing": 3}})).await.expect(200);
        admin.send(admin.request(reqwest::Method::POST, "/nacos/v1/ns/instance?serviceName=nac&ip=10.0.0.2&port=82&weight=2")).await.expect(200);
        for name in ["con.service.looma.", "v1.con.service.looma.", "k=v.con.service.looma.", "_con._v1.service.looma."] {
            assert_eq!(told(looma, name, RecordType::SRV).await, ["1 300 81 0a000001.addr.looma."], "{name}");
        }
        assert_eq!(told(looma, "nac.service.looma.", RecordType::SRV).await, ["1 200 82 0a000002.addr.looma."]);
    }

    /// A name without records of a kind is there; one that nothing has is not; another zone is none of ours.
    async fn there_is_nothing_and_there_is_no_name(looma: TestServer) {
        native(looma, "w-1", "web", json!({})).await;
        for name in ["looma.", "service.looma.", "node.looma.", "addr.looma.", "_tcp.service.looma.", "web.service.looma.", "_web._tcp.service.looma.", "0a000001.addr.looma.", "ns.looma."] {
            assert_eq!(none(looma, name, RecordType::TXT).await, ResponseCode::NoError, "{name}");
            assert_eq!(told(looma, name, RecordType::ANY).await, ["RFC8482 "], "{name}");
        }
        for name in ["x.looma.", "x.service.looma.", "v9.web.service.looma.", "_x._tcp.service.looma.", "x.node.looma.", "x.addr.looma.", "0a0000.addr.looma."] {
            for kind in [RecordType::A, RecordType::SRV, RecordType::ANY] {
                assert_eq!(none(looma, name, kind).await, ResponseCode::NXDomain, "{name}");
            }
        }
        for name in ["example.com.", ".", "service.", "7.0.0.10.in-addr.arpa."] {
            assert_eq!(none(looma, name, RecordType::A).await, ResponseCode::Refused, "{name}");
        }
        for kind in [RecordType::AXFR, RecordType::IXFR] {
            assert_eq!(none(looma, "looma.", kind).await, ResponseCode::Refused);
        }
        let soa = told(looma, "looma.", RecordType::SOA).await.remove(0);
        let serial = looma.app().feed.head();
        assert_eq!(soa, format!("ns.looma. hostmaster.looma. {serial} 3600 600 86400 0"));
        let ns = ask(looma, "looma.", RecordType::NS).await;
        assert_eq!((ns.answers[0].data.to_string(), ns.additionals[0].data.to_string()), ("ns.looma.".to_owned(), "127.0.0.1".to_owned()));
        assert_eq!(told(looma, "ns.looma.", RecordType::A).await, ["127.0.0.1"]);
    }
}

/// Over UDP come as many as fit, never none, and a sign that there are more; over TCP come all, up to 64 KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_says_so_and_tcp_has_all() {
    let looma = start(|_| ()).await;
    many(&looma, "web", 1200).await;
    for kind in [RecordType::SRV, RecordType::A] {
        for (payload, limit) in
            [(None, 512), (Some(512), 512), (Some(1232), 1232), (Some(4096), 4096), (Some(60_000), 4096)]
        {
            let bytes = packet(&looma, &question("_web._tcp.service.looma.", kind, payload)).await;
            let answer = Message::from_vec(&bytes).unwrap();
            assert!(
                answer.metadata.truncation && bytes.len() <= limit && bytes.len() + 40 > limit,
                "{kind} {payload:?}: {}",
                bytes.len()
            );
            assert!(answer.answers.len() > 10, "{kind} {payload:?}");
        }
        let mut stream = TcpStream::connect(address(&looma)).await.unwrap();
        send(&mut stream, &question("_web._tcp.service.looma.", kind, None)).await;
        let answer = receive(&mut stream).await.unwrap();
        let told: BTreeSet<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!((told.len(), answer.metadata.truncation), (1200, false), "{kind}");
    }
    many(&looma, "huge", 3000).await;
    let mut stream = TcpStream::connect(address(&looma)).await.unwrap();
    send(&mut stream, &question("huge.service.looma.", RecordType::SRV, None)).await;
    let answer = receive(&mut stream).await.unwrap();
    assert!(answer.metadata.truncation && answer.answers.len() > 1600, "{}", answer.answers.len());
    let metrics = looma.anonymous().get("/metrics-text").await;
    let text = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(text.contains("looma_dns_truncated_total 11\n"), "{text}");
    looma.stop().await;
}

/// Who is told first differs from one answer to the next, and so does who is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_is_another_each_time() {
    let looma = start(|_| ()).await;
    many(&looma, "web", 100).await;
    let (mut first, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..200 {
        let bytes = packet(&looma, &question("web.service.looma.", RecordType::A, None)).await;
        let answer = Message::from_vec(&bytes).unwrap();
        first.insert(answer.answers[0].data.to_string());
        seen.extend(answer.answers.iter().map(|record| record.data.to_string()));
    }
    // By chance alone, 86 of a hundred come first at least once; fewer than fifty is as good as impossible.
    assert!(first.len() > 50 && seen.len() == 100, "{} {}", first.len(), seen.len());
    looma.stop().await;
}

/// Nobody is answered until it is switched on, and then nobody but who is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_off_until_it_is_switched_on_and_for_nobody_else() {
    let store = Store::sqlite();
    let settings = store.settings();
    let looma = TestServer::start_with(store, settings).await;
    assert_eq!(looma.running.dns, None);
    looma.stop().await;
    let looma = start(|settings| settings.dns.networks = vec!["10.0.0.0/8".to_owned(), "127.0.0.7".to_owned()]).await;
    native(&looma, "w-1", "web", json!({})).await;
    assert_eq!(none(&looma, "web.service.looma.", RecordType::A).await, ResponseCode::Refused);
    let mut stream = TcpStream::connect(address(&looma)).await.unwrap();
    assert!(receive(&mut stream).await.is_none());
    looma.stop().await;
}

/// An address that is taken is told in words, and the server does not start without what was asked of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_told() {
    for (udp, what) in [(false, "TCP"), (true, "UDP")] {
        // What takes a port of UDP holds it for TCP while it looks, so that no other test takes it meanwhile.
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = tcp.local_addr().unwrap();
        let _udp = UdpSocket::bind(taken).await.unwrap();
        let _tcp = (!udp).then_some(tcp);
        let store = Store::sqlite();
        let mut settings = store.settings();
        settings.dns.listen = Some(taken);
        let start = looma::run::Start { settings, clock: looma::clock::Clock::system(), admin_password: None };
        let error = looma::run::start(start).await.err().expect("the address is taken");
        let told = format!("{error:#}");
        assert!(told.starts_with(&format!("could not listen on {taken} for DNS over {what} (dns.listen): ")), "{told}");
    }
}

/// Connections have an end and a number; a question that cannot be read is told so, and the next is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_have_an_end_and_a_number() {
    let looma = start(|settings| (settings.dns.tcp_connections, settings.dns.tcp_idle_seconds) = (2, 1)).await;
    native(&looma, "w-1", "web", json!({})).await;
    let good = question("web.service.looma.", RecordType::SRV, None);
    let open = async || TcpStream::connect(address(&looma)).await.unwrap();
    let (mut one, mut two) = (open().await, open().await);
    for stream in [&mut one, &mut two] {
        // Two at once are answered one after the other.
        send(stream, &good).await;
        send(stream, &good[..20]).await;
        assert_eq!(receive(stream).await.unwrap().answers.len(), 1);
        assert_eq!(receive(stream).await.unwrap().metadata.response_code, ResponseCode::FormErr);
    }
    assert!(receive(&mut open().await).await.is_none(), "a connection too many is closed");
    assert!(receive(&mut one).await.is_none() && receive(&mut two).await.is_none(), "idle ones are closed");
    let again = async || {
        let mut stream = open().await;
        stream.write_u16(good.len().try_into().unwrap()).await.ok()?;
        stream.write_all(&good).await.ok()?;
        receive(&mut stream).await
    };
    assert_eq!(eventually("room for another", again).await.answers.len(), 1);
    looma.stop().await;
}

/// Whatever comes, the next question is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_packets_break_nothing() {
    let looma = start(|_| ()).await;
    native(&looma, "w-1", "web", json!({})).await;
    let good = question("web.service.looma.", RecordType::A, Some(1232));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(&looma)).await.unwrap();
    for at in 0..good.len() {
        for byte in [0, 1, 0x3F, 0x80, 0xC0, 0xFF] {
            let mut packet = good.clone();
            packet[at] = byte;
            socket.send(&packet).await.unwrap();
            socket.send(&packet[..at]).await.unwrap();
        }
    }
    for length in [0, 1, 11, 12, 511, 4096, 9000] {
        socket.send(&vec![0xFF; length]).await.unwrap();
        socket.send(&vec![0; length]).await.unwrap();
    }
    assert_eq!(told(&looma, "web.service.looma.", RecordType::A).await, ["10.0.0.7"]);
    let malformed = Message::from_vec(&packet(&looma, &good[..20]).await).unwrap();
    assert_eq!(malformed.metadata.response_code, ResponseCode::FormErr);
    let metrics = looma.anonymous().get("/metrics-text").await;
    let text = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(
        text.contains("looma_dns_queries_total{type=\"unread\",code=\"FORMERR\"}")
            && text.contains("{type=\"A\",code=\"NOERROR\"}"),
        "{text}"
    );
    looma.stop().await;
}

/// What the fuzzer makes of packets breaks no law.
#[test]
fn packets_keep_the_law() {
    let driven = Target::Packets.drive(1, |tried| tried < 100_000);
    assert_eq!(driven, Ok(100_000));
}

/// `dig` reads it all: over UDP and, when it is told that there is more, over TCP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_reads_it() {
    let looma = start(|_| ()).await;
    native(&looma, "w-1", "web", json!({"weight": 50, "service_url": "http://10.0.0.7:8002"})).await;
    many(&looma, "many", 100).await;
    let dig = async |arguments: &[&str]| peers::dig(address(&looma), arguments).await;
    let Some(srv) = dig(&["_web._tcp.service.looma", "SRV"]).await else { return };
    assert!(srv.contains("status: NOERROR") && srv.contains("flags: qr aa rd;"), "{srv}");
    assert!(srv.contains("_web._tcp.service.looma. 0\tIN\tSRV\t1 50 8002 0a000007.addr.looma."), "{srv}");
    assert!(srv.contains("0a000007.addr.looma.\t0\tIN\tA\t10.0.0.7"), "{srv}");
    let cut = dig(&["many.service.looma", "SRV", "+noedns", "+ignore"]).await.unwrap();
    assert!(cut.contains("flags: qr aa tc rd;") && cut.matches("IN\tSRV\t").count() > 5, "{cut}");
    for way in [&["+noedns"][..], &["+bufsize=1232"], &["+tcp"]] {
        let whole = dig(&[&["many.service.looma", "SRV"], way].concat()).await.unwrap();
        assert_eq!(whole.matches("IN\tSRV\t").count(), 100, "{whole}");
        assert!(whole.contains("flags: qr aa rd;") && whole.contains("(TCP)"), "{whole}");
    }
    let large = dig(&["many.service.looma", "A", "+bufsize=4096"]).await.unwrap();
    assert!(large.matches("IN\tA\t").count() == 100 && large.contains("(UDP)"), "{large}");
    for (name, code) in
        [("nobody.service.looma", "NXDOMAIN"), ("web.service.looma", "NOERROR"), ("example.com", "REFUSED")]
    {
        let answer = dig(&[name, "TXT"]).await.unwrap();
        assert!(answer.contains(&format!("status: {code}")) && answer.contains("ANSWER: 0"), "{answer}");
    }
    let later = dig(&["web.service.looma", "A", "+edns=9", "+noednsnegotiation"]).await.unwrap();
    assert!(later.contains("status: BADVERS"), "{later}");
    looma.stop().await;
}

/// HAProxy makes servers of instances as they come, sends requests to them, and takes them away as they go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_finds_its_servers() {
    let looma = start(|_| ()).await;
    let (one, two) = (looma_tests::Receiver::start().await, looma_tests::Receiver::start().await);
    native(&looma, "w-1", "web", json!({"service_url": one.url(), "ttl_seconds": 600})).await;
    let Some(haproxy) = peers::HaProxy::start(address(&looma), "_web._tcp.service.looma") else { return };
    let haproxy = tokio::sync::Mutex::new(haproxy);
    let servers = async |expected: &[&looma_tests::Receiver]| {
        let mut expected: Vec<String> = expected.iter().map(|receiver| receiver.address.to_string()).collect();
        expected.sort();
        eventually(&format!("HAProxy with {expected:?}"), async || {
            haproxy.lock().await.servers().await.filter(|servers| *servers == expected)
        })
        .await;
    };
    servers(&[&one]).await;
    assert_eq!(haproxy.lock().await.get("/first").await, Some(200));
    assert!(one.next().await.head.starts_with("GET /first "));
    native(&looma, "w-2", "web", json!({"service_url": two.url(), "ttl_seconds": 600})).await;
    servers(&[&one, &two]).await;
    post(&looma, "/services/w-1/maintenance", json!({"enabled": true})).await;
    servers(&[&two]).await;
    assert_eq!(haproxy.lock().await.get("/second").await, Some(200));
    assert!(two.next().await.head.starts_with("GET /second "));
    post(&looma, "/services/w-1/maintenance", json!({"enabled": false})).await;
    servers(&[&one, &two]).await;
    for id in ["w-1", "w-2"] {
        looma.admin().await.delete(&format!("/services/{id}")).await.expect(204);
    }
    servers(&[]).await;
    assert_eq!(haproxy.lock().await.get("/third").await, Some(503));
    looma.stop().await;
}
