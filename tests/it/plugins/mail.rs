//! Mail, through a server that others wrote.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use looma::settings::{MailTls, Settings};
use looma_tests::{MailServer, Store, TestServer};
use serde_json::{Value, json};

/// Settings for mail through a server.
fn through(store: &Store, server: &MailServer, tls: MailTls) -> Settings {
    let mut settings = store.settings();
    settings.mail.host = Some("localhost".to_owned());
    settings.mail.port = Some(server.port);
    settings.mail.tls = tls;
    settings.mail.from = Some("Looma <looma@example.com>".to_owned());
    settings.mail.ca_file = Some(MailServer::certificate());
    if tls != MailTls::None {
        let password = store.dir().join("mail-password");
        std::fs::write(&password, format!("{}\n", MailServer::password())).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        settings.mail.username = Some("looma".to_owned());
        settings.mail.password_file = Some(password);
    }
    settings
}

/// A server with the plugin `mail`, granted.
async fn mailing(store: Store, settings: Settings) -> TestServer {
    let looma = TestServer::start_with(store, settings).await;
    looma.load_plugins(&["mail"]).await;
    looma.admin().await.put("/plugins/mail/grants", &json!({"mail": true})).await.expect(200);
    looma
}

/// Sends a test through a channel that mails to these.
async fn mail(looma: &TestServer, name: &str, to: &[&str]) -> Value {
    let admin = looma.admin().await;
    let config = json!({"to": to, "subject": "Störung: {{ title }}"});
    let channel = json!({"name": name, "notifier": "mail", "config": config});
    admin.post("/channels", &channel).await.expect(201);
    again(looma, name).await
}

async fn again(looma: &TestServer, name: &str) -> Value {
    looma.admin().await.post(&format!("/channels/{name}/test"), &json!({})).await.expect(200)
}

fn told(delivery: &Value) -> &str {
    assert_eq!(delivery["status"], "failed", "{delivery}");
    delivery["last_error"].as_str().unwrap()
}

/// Mail arrives with STARTTLS, with TLS from the first byte, and without, as it was meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_arrives() {
    for (name, tls) in [("none", MailTls::None), ("starttls", MailTls::Starttls), ("implicit", MailTls::Implicit)] {
        let Some(server) = MailServer::start(name).await else { return };
        let store = Store::sqlite();
        let settings = through(&store, &server, tls);
        let looma = mailing(store, settings).await;
        let sent = mail(&looma, "ops", &["ops@example.com", "Nacht <night@example.org>"]).await;
        assert_eq!(sent["status"], "delivered", "{name}: {sent}");
        let came = server.next().await;
        assert_eq!(came["from"], "looma@example.com");
        assert_eq!(came["to"], json!(["ops@example.com", "night@example.org"]));
        let raw = came["raw"].as_str().unwrap();
        for line in ["From: Looma <looma@example.com>", "Date: Thu, 01 Jan 2026 00:00:00 +0000", "Message-ID: <"] {
            assert!(raw.contains(line), "{raw}");
        }
        assert!(raw.contains("Subject: =?utf-8?"), "{raw}");
        looma.stop().await;
    }
}

/// Without a grant, without a server, over the cap of a minute or to a domain that is not allowed, nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_that_is_not_allowed() {
    let Some(server) = MailServer::start("none").await else { return };
    let store = Store::sqlite();
    let mut settings = through(&store, &server, MailTls::None);
    settings.mail.to_domains = vec!["example.com".to_owned()];
    settings.mail.per_minute = 2;
    settings.mail.max_recipients = 2;
    let looma = mailing(store, settings).await;
    let ops = ["ops@example.com"];
    looma.admin().await.put("/plugins/mail/grants", &json!({})).await.expect(200);
    assert!(told(&mail(&looma, "a", &ops).await).contains("is not granted mail"));
    looma.admin().await.put("/plugins/mail/grants", &json!({"mail": true})).await.expect(200);
    assert!(told(&mail(&looma, "b", &["ops@example.org"]).await).contains("mail to example.org is not allowed"));
    assert!(told(&mail(&looma, "c", &["a@example.com"; 3]).await).contains("1 to 2 recipients"));
    assert!(told(&mail(&looma, "d", &["not an@address, x@y"]).await).contains("is not an address"));
    assert_eq!(mail(&looma, "e", &ops).await["status"], "delivered");
    assert_eq!(again(&looma, "e").await["status"], "delivered");
    assert!(told(&again(&looma, "e").await).contains("within a minute"));
    looma.advance(Duration::from_secs(61));
    assert_eq!(again(&looma, "e").await["status"], "delivered");
    for _ in 0..3 {
        assert_eq!(server.next().await["to"], json!(ops));
    }
    looma.stop().await;
    let store = Store::sqlite();
    let settings = store.settings();
    let looma = mailing(store, settings).await;
    assert!(told(&mail(&looma, "a", &ops).await).contains("no mail server is configured"));
    looma.stop().await;
}

/// What the server refuses is refused for good, what it puts off is tried again, and both are told in its words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_in_the_servers_words() {
    let Some(server) = MailServer::start("none").await else { return };
    let store = Store::sqlite();
    let settings = through(&store, &server, MailTls::None);
    let looma = mailing(store, settings).await;
    assert!(told(&mail(&looma, "a", &["unknown@example.com"]).await).contains("no such mailbox"));
    assert!(told(&mail(&looma, "b", &["later@example.com"]).await).contains("try again later"));
    let name = "mail".parse().unwrap();
    let notification = looma::plugins::Notification {
        id: "n".to_owned(),
        attempt: 1,
        status: looma::plugins::Status::Firing,
        title: "t".to_owned(),
        group: Vec::new(),
        alerts: Vec::new(),
    };
    let notification = std::sync::Arc::new(notification);
    for (to, again) in [("unknown@example.com", false), ("later@example.com", true)] {
        let config = json!({"to": [to]}).to_string();
        let error = looma.app().plugins.deliver(&name, &config, notification.clone()).await.unwrap_err();
        assert_eq!(error.is_retriable(), again, "{error}");
    }
    drop(server);
    let error = again(&looma, "a").await;
    assert!(told(&error).to_lowercase().contains("connection"), "{error}");
    looma.stop().await;
}

/// A server that offers no TLS, and one that shows a certificate for another name, get neither password nor mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_sure_gets_nothing() {
    let Some(plain) = MailServer::start("none").await else { return };
    let store = Store::sqlite();
    let settings = through(&store, &plain, MailTls::Starttls);
    let looma = mailing(store, settings).await;
    told(&mail(&looma, "a", &["ops@example.com"]).await);
    looma.stop().await;
    let Some(other) = MailServer::start("implicit").await else { return };
    let store = Store::sqlite();
    let mut settings = through(&store, &other, MailTls::Implicit);
    settings.mail.host = Some("127.0.0.1".to_owned());
    let looma = mailing(store, settings).await;
    let failed = mail(&looma, "a", &["ops@example.com"]).await;
    assert!(told(&failed).contains("certificate"), "{failed}");
    looma.stop().await;
}
