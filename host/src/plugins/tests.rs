//! The bundled plugins on the real host, from their source to their answer.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OnceCell;

use super::grants::GrantsText;
use super::*;
use crate::clock::Timestamp;
use crate::kit::build::{Built, build_bundled};

/// The bundled plugins, built once.
async fn bundled(name: &str) -> Arc<[u8]> {
    static BUILT: OnceCell<(TempDir, Vec<Built>)> = OnceCell::const_new();
    let (_, built) = BUILT
        .get_or_init(async || {
            let out = TempDir::new().unwrap();
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
            let built = build_bundled(workspace, out.path()).await.unwrap();
            (out, built)
        })
        .await;
    let file = &built.iter().find(|built| built.name == name).unwrap().file;
    std::fs::read(file).unwrap().into()
}

pub(super) struct Host {
    pub(super) plugins: Plugins,
    secrets: Secrets,
    _cache: TempDir,
}

pub(super) fn host() -> Host {
    let cache = TempDir::new().unwrap();
    let secrets = Secrets::default();
    let plugins = Plugins::start(PluginSettings {
        cache: cache.path().to_owned(),
        fresh_key: [7; 32],
        compiler: Compiler::InProcess,
        clock: Clock::manual(Timestamp::from_millis(1_700_000_000_000).unwrap()).0,
        secrets: secrets.clone(),
        kv: Kv::default(),
        slots: Slots { pure: 16, io: 16 },
        threads: 4,
        memory_bytes: 1 << 30,
        max_bytes: 64 << 20,
        limits: Limits::default(),
    });
    Host { plugins: plugins.unwrap(), secrets, _cache: cache }
}

impl Host {
    async fn load(&self, name: &str) -> PluginName {
        let plugin: PluginName = name.parse().unwrap();
        self.plugins.load(&plugin, bundled(name).await, Source::Folder).await.unwrap();
        plugin
    }

    fn grant(&self, plugin: &PluginName, grants: &GrantsText) {
        self.plugins.set_grants(plugin, Grants::parse(grants).unwrap());
    }
}

pub(super) fn batch(series: &[&[f64]]) -> Arc<SeriesBatch> {
    let mut offsets = vec![0];
    let values: Vec<f64> = series.iter().flat_map(|points| points.iter().copied()).collect();
    for points in series {
        offsets.push(offsets.last().unwrap() + points.len() as u32);
    }
    let ids = (0..series.len() as u64).collect();
    Arc::new(SeriesBatch { ids, offsets, times: vec![0; values.len()], values, labels: Vec::new() })
}

pub(super) fn context(config: &str) -> EvalContext {
    EvalContext { now_ms: 1_700_000_000_000, interval_ms: 10_000, config: config.to_owned() }
}

const THRESHOLD: &str = r#"{"comparison_operator": ">", "threshold_value": 90}"#;

#[tokio::test]
async fn threshold_judges_a_batch() {
    let host = host();
    let threshold = host.load("threshold").await;
    assert_eq!(host.plugins.kind_of(&threshold), Some(Kind::AlertEvaluator));
    let evaluated =
        host.plugins.evaluate(&threshold, context(THRESHOLD), batch(&[&[1.0, 95.0], &[95.0, 1.0], &[]]), None).await;
    let Evaluated { verdicts, by } = evaluated.unwrap();
    assert_eq!(verdicts.levels, [1, 0, 255]);
    assert_eq!((by.name.as_str(), by.version.as_str()), ("threshold", env!("CARGO_PKG_VERSION")));
    let problems =
        host.plugins.check(&threshold, Kind::AlertEvaluator, r#"{"comparison_operator": "?"}"#).await.unwrap();
    assert_eq!(problems[0].pointer, "/comparison_operator");
    let wrong = host.plugins.check(&threshold, Kind::Notifier, "{}").await;
    assert!(matches!(wrong, Err(CallError::WrongKind { .. })));
}

#[tokio::test]
async fn a_broken_file_is_told_in_words_and_the_one_before_serves_on() {
    let host = host();
    let threshold = host.load("threshold").await;
    for (file, told) in [
        (&b""[..], "the file is empty"),
        (b"garbage", "not WebAssembly"),
        (b"\0asm\x01\0\0\0", "core module"),
        (&bundled("log").await, "it is a notifier"),
        (&bundled("threshold").await[..2_000], "not a whole component"),
    ] {
        let refused = host.plugins.load(&threshold, file.into(), Source::Folder).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{refused}");
        let info = host.plugins.get(&threshold).unwrap();
        assert_eq!(info.state, State::Failed);
        assert!(info.error.unwrap().contains(told));
        assert!(host.plugins.evaluate(&threshold, context(THRESHOLD), batch(&[&[1.0]]), None).await.is_ok());
    }
    host.load("threshold").await;
    assert_eq!(host.plugins.get(&threshold).unwrap().state, State::Active);
}

#[tokio::test]
async fn a_file_under_another_name_is_refused() {
    let host = host();
    let name: PluginName = "other".parse().unwrap();
    let refused = host.plugins.load(&name, bundled("log").await, Source::Upload).await.unwrap_err();
    assert!(refused.reason.contains("the plugin says it is \"log\""), "{refused}");
}

#[tokio::test]
async fn a_version_that_refuses_a_configuration_in_use_does_not_come_in() {
    let host = host();
    let threshold: PluginName = "threshold".parse().unwrap();
    host.plugins.use_config("rule:7", &threshold, r#"{"level": 3}"#);
    let refused = host.plugins.load(&threshold, bundled("threshold").await, Source::Folder).await.unwrap_err();
    assert!(refused.reason.contains("rule:7"), "{refused}");
}

/// Answers each connection with `answer` and gives the first request.
async fn serve(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "a test's own peer")]
    let peer = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 << 10];
        let mut length = 0;
        while !String::from_utf8_lossy(&request[..length]).ends_with('}') {
            length += socket.read(&mut request[length..]).await.unwrap();
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, peer)
}

fn notification() -> Arc<Notification> {
    Arc::new(Notification {
        id: "n-1".to_owned(),
        attempt: 1,
        status: Status::Firing,
        title: "cpu high".to_owned(),
        group: Vec::new(),
        alerts: Vec::new(),
    })
}

#[tokio::test]
async fn webhook_posts_with_a_secret_it_never_sees_once_it_is_granted() {
    let host = host();
    let webhook = host.load("webhook").await;
    let (port, peer) = serve("HTTP/1.1 200 OK\r\nx-request-id: r-9\r\ncontent-length: 0\r\n\r\n").await;
    let config = format!(
        r#"{{"url": "http://127.0.0.1:{port}/hook", "secret_header": {{"header": "Authorization", "secret": "token", "prefix": "Bearer "}}}}"#
    );
    let deliver = || host.plugins.deliver(&webhook, &config, notification());
    host.secrets.set("token", "s3cret");
    let denied = deliver().await.unwrap_err();
    assert!(matches!(&denied, CallError::Permanent(why) if why.contains("not granted the secret")), "{denied}");
    let secrets = vec!["token".to_owned()];
    host.grant(&webhook, &GrantsText { secrets: secrets.clone(), ..GrantsText::default() });
    let denied = deliver().await.unwrap_err();
    assert!(matches!(&denied, CallError::Permanent(why) if why.contains("grant http")), "{denied}");
    host.grant(
        &webhook,
        &GrantsText { secrets, http: vec![format!("http://127.0.0.1:{port}")], ..GrantsText::default() },
    );
    let delivered = deliver().await.unwrap();
    assert_eq!(delivered.receipt.remote_id.as_deref(), Some("r-9"));
    let request = peer.await.unwrap();
    assert!(request.starts_with("POST /hook "), "{request}");
    assert!(request.contains("authorization: Bearer s3cret") && request.contains("idempotency-key: n-1"), "{request}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_although_it_is_granted() {
    let host = host();
    let webhook = host.load("webhook").await;
    host.grant(&webhook, &GrantsText { http: vec!["http://localhost:9".to_owned()], ..GrantsText::default() });
    let denied = host.plugins.deliver(&webhook, r#"{"url": "http://localhost:9/"}"#, notification()).await.unwrap_err();
    assert!(matches!(&denied, CallError::Permanent(why) if why.contains("a loopback address")), "{denied}");
}

#[tokio::test]
async fn a_name_is_judged_by_each_answer_and_connected_to_that_answer_alone() {
    let host = host();
    let webhook = host.load("webhook").await;
    let (port, peer) =
        serve("HTTP/1.1 200 OK\r\nx-request-id: r-1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let (http, net) = (format!("http://rebinds.example:{port}"), format!("127.0.0.1/32:{port}"));
    host.grant(&webhook, &GrantsText { http: vec![http.clone()], net: vec![net], ..GrantsText::default() });
    let address = |ip: [u8; 4]| std::net::SocketAddr::from((ip, port));
    let (granted, other) = (address([127, 0, 0, 1]), address([127, 0, 0, 2]));
    let answers = || host.plugins.0.services.http.answers.lock().unwrap();
    answers().extend([vec![granted], vec![other], vec![granted, other]]);
    let config = format!(r#"{{"url": "{http}/hook"}}"#);
    let deliver = || host.plugins.deliver(&webhook, &config, notification());
    assert_eq!(deliver().await.unwrap().receipt.remote_id.as_deref(), Some("r-1"));
    assert_eq!(answers().len(), 2, "it is asked once, and what was told is what is connected to");
    for _ in 0..2 {
        let denied = deliver().await.unwrap_err();
        assert!(matches!(&denied, CallError::Permanent(why) if why.contains("127.0.0.2 is a loopback")), "{denied}");
    }
    assert!(peer.await.unwrap().starts_with("POST /hook "));
}

#[tokio::test]
async fn port_scan_finds_what_listens_in_granted_ranges() {
    let host = host();
    let scan = host.load("port-scan").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = format!(r#"{{"hosts": ["127.0.0.1"], "ports": "{port}"}}"#);
    let denied = host.plugins.discover(&scan, &config, None).await.unwrap_err();
    assert!(matches!(&denied, CallError::Permanent(why) if why.contains("no address range is granted")), "{denied}");
    host.grant(&scan, &GrantsText { net: vec!["127.0.0.0/8:*".to_owned()], ..GrantsText::default() });
    let found = host.plugins.discover(&scan, &config, None).await.unwrap().page;
    assert_eq!(found.targets[0].service_id, format!("scan-127.0.0.1-{port}"));
    assert_eq!(found.next, None);
}

#[tokio::test]
async fn the_cache_serves_and_is_not_believed_when_touched() {
    let host = host();
    host.load("log").await;
    let cache = host._cache.path();
    let code = std::fs::read_dir(cache)
        .unwrap()
        .flatten()
        .find(|e| e.path().extension().is_some_and(|e| e == "cwasm"))
        .unwrap();
    let mut bytes = std::fs::read(code.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(code.path(), &bytes).unwrap();
    let log = "log".parse().unwrap();
    host.plugins.forget(&log);
    host.load("log").await;
    assert_ne!(std::fs::read(code.path()).unwrap(), bytes, "it was compiled again");
    let receipt = host.plugins.deliver(&log, "{}", notification()).await.unwrap().receipt;
    assert_eq!(receipt.detail, "logged 0 alerts");
}
