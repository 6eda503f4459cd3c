//! The operator's mail server, and what may go through it: bounded in recipients, bytes and number, to domains that the
//! operator allows. What a plugin hands over can add no header and no recipient of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::bindings::looma::host::mail::{MailError, Message as Asked};
use super::types::PluginName;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::settings::{Mail, MailTls, files};

const SUBJECT: usize = 500;
const ADDRESS: usize = 320;
const MINUTE: Duration = Duration::from_secs(60);
/// How long one step of the conversation with the server may take.
const STEP: Duration = Duration::from_secs(15);

/// Sends mail, when a server is set.
pub(super) struct Mailer {
    server: Option<Server>,
    clock: Clock,
    ids: Ids,
    /// When each plugin's minute began, and what it sent in it.
    sent: Mutex<HashMap<PluginName, (Duration, u32)>>,
}

struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    settings: Mail,
}

impl Mailer {
    /// Reads what was set; nothing is connected yet.
    pub(super) fn open(settings: &Mail, clock: &Clock, ids: &Ids) -> anyhow::Result<Self> {
        let server = match (&settings.host, &settings.from) {
            (Some(host), Some(from)) => Some(Server {
                transport: transport(host, settings)?,
                from: from.parse().with_context(|| format!("mail.from: {from:?} is not an address"))?,
                settings: settings.clone(),
            }),
            _ => None,
        };
        Ok(Self { server, clock: clock.clone(), ids: ids.clone(), sent: Mutex::default() })
    }

    /// Sends one mail to all of its recipients, or to none of them.
    pub(super) async fn send(&self, plugin: &PluginName, asked: Asked) -> Result<(), MailError> {
        let Some(server) = &self.server else {
            return Err(denied("no mail server is configured"));
        };
        let message = self.message(server, asked)?;
        self.take(plugin, server.settings.per_minute)?;
        match server.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(MailError::Rejected(told(&error))),
            Err(error) => Err(MailError::Unreachable(told(&error))),
        }
    }

    fn message(&self, server: &Server, asked: Asked) -> Result<Message, MailError> {
        let Asked { to, subject, text, html } = asked;
        let Mail { max_recipients, max_bytes, to_domains, .. } = &server.settings;
        if to.is_empty() || to.len() > *max_recipients {
            return Err(denied(format!("a mail has 1 to {max_recipients} recipients")));
        }
        let bytes = text.len() + html.as_ref().map_or(0, String::len);
        if bytes > *max_bytes {
            return Err(denied(format!("a mail has at most {max_bytes} bytes, this one has {bytes}")));
        }
        if subject.len() > SUBJECT || subject.contains(char::is_control) {
            return Err(denied(format!("a subject is one line of at most {SUBJECT} bytes")));
        }
        let id = format!("<{}@{}>", self.ids.next(), server.from.email.domain());
        let mut message = Message::builder()
            .from(server.from.clone())
            .message_id(Some(id))
            .date(self.clock.now().into())
            .subject(subject);
        for address in &to {
            message = message.to(recipient(address, to_domains)?);
        }
        let made = match html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(text, html)),
            None => message.singlepart(SinglePart::plain(text)),
        };
        made.map_err(|error| denied(format!("it cannot be made a mail: {error}")))
    }

    /// Takes one mail off a plugin's share of the minute.
    fn take(&self, plugin: &PluginName, per_minute: u32) -> Result<(), MailError> {
        let now = self.clock.uptime();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = sent.entry(plugin.clone()).or_insert((now, 0));
        if now.saturating_sub(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        if *count >= per_minute {
            return Err(MailError::Unreachable(format!(
                "plugin {plugin} sent {count} mails within a minute, no more now"
            )));
        }
        *count += 1;
        Ok(())
    }
}

fn transport(host: &str, settings: &Mail) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let tls = |wrap: fn(TlsParameters) -> Tls| anyhow::Ok(wrap(parameters(host, settings)?));
    let (tls, port) = match settings.tls {
        MailTls::Starttls => (tls(Tls::Required)?, 587),
        MailTls::Implicit => (tls(Tls::Wrapper)?, 465),
        MailTls::None => (Tls::None, 25),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(settings.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(STEP));
    if let (Some(username), Some(file)) = (&settings.username, &settings.password_file) {
        let password = files::read_private(file, "the password of the mail server")?;
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok(builder.build())
}

fn parameters(host: &str, settings: &Mail) -> anyhow::Result<TlsParameters> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(file) = &settings.ca_file {
        let read = || format!("could not read the certificates in {}", file.display());
        let pem = std::fs::read(file).with_context(read)?;
        parameters = parameters.add_root_certificate(Certificate::from_pem(&pem).with_context(read)?);
    }
    parameters.build_rustls().context("could not make TLS ready for mail")
}

/// Reads a recipient: one address, with or without a name, in a domain that is allowed.
fn recipient(text: &str, domains: &[String]) -> Result<Mailbox, MailError> {
    if text.len() > ADDRESS || text.contains(char::is_control) {
        return Err(denied(format!("{:?} is not an address", super::types::cut(text.chars().take(100).collect()))));
    }
    let mailbox: Mailbox = text.parse().map_err(|_| denied(format!("{text:?} is not an address")))?;
    let domain = mailbox.email.domain();
    if !domains.is_empty() && !domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
        return Err(denied(format!("mail to {domain} is not allowed here")));
    }
    Ok(mailbox)
}

fn denied(why: impl Into<String>) -> MailError {
    MailError::Denied(why.into())
}

/// What the server said, on one line.
fn told(error: &lettre::transport::smtp::Error) -> String {
    error.to_string().replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn mailer(change: impl FnOnce(&mut Mail)) -> Mailer {
        let mut settings = Mail {
            host: Some("localhost".to_owned()),
            from: Some("Looma <looma@example.com>".to_owned()),
            tls: MailTls::None,
            ..Mail::default()
        };
        change(&mut settings);
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000).unwrap()).0;
        Mailer::open(&settings, &clock, &Ids::new(clock.clone())).unwrap()
    }

    fn made(mailer: &Mailer, asked: Asked) -> Result<String, String> {
        match mailer.message(mailer.server.as_ref().unwrap(), asked) {
            Ok(message) => Ok(String::from_utf8(message.formatted()).unwrap()),
            Err(MailError::Denied(why)) => Err(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn asked(to: &[&str], subject: &str, text: &str) -> Asked {
        let to = to.iter().map(ToString::to_string).collect();
        Asked { to, subject: subject.to_owned(), text: text.to_owned(), html: None }
    }

    #[test]
    fn nothing_can_add_a_header_or_a_recipient() {
        let mailer = mailer(|_| {});
        for (to, subject) in [
            ("ops@example.com\r\nBcc: x@example.com", "hi"),
            ("ops@example.com, x@example.com", "hi"),
            ("ops@example.com>\nRCPT TO:<x@example.com", "hi"),
            ("a\r\n <ops@example.com>", "hi"),
            ("ops@example.com", "hi\r\nBcc: x@example.com"),
            ("ops@example.com", "hi\nX: y"),
            ("ops@example.com", "hi\0"),
            ("not an address", "hi"),
            ("", "hi"),
            ("@", "hi"),
        ] {
            assert!(made(&mailer, asked(&[to], subject, "text")).is_err(), "{to:?} {subject:?}");
        }
        let body =
            made(&mailer, asked(&["Ops <ops@example.com>"], "hi", "a\r\n.\r\nMAIL FROM:<x@y>\r\n\r\nBcc: z")).unwrap();
        let head = body.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("Bcc") && head.contains("To: Ops <ops@example.com>"), "{head}");
        assert!(head.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"), "{head}");
    }

    #[test]
    fn what_is_sent_is_bounded() {
        let mailer = mailer(|settings| {
            settings.max_recipients = 2;
            settings.max_bytes = 100;
            settings.to_domains = vec!["Example.com".to_owned()];
        });
        for (asked, told) in [
            (asked(&[], "hi", "text"), "1 to 2 recipients"),
            (asked(&["a@example.com"; 3], "hi", "text"), "1 to 2 recipients"),
            (asked(&["a@example.com"], "hi", &"x".repeat(101)), "at most 100 bytes"),
            (Asked { html: Some("x".repeat(99)), ..asked(&["a@example.com"], "hi", "ab") }, "at most 100 bytes"),
            (asked(&["a@example.com"], &"x".repeat(501), "text"), "at most 500 bytes"),
            (asked(&["a@sub.example.com"], "hi", "text"), "mail to sub.example.com is not allowed"),
        ] {
            let why = made(&mailer, asked).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
        let both = Asked { html: Some("<p>hi</p>".to_owned()), ..asked(&["a@EXAMPLE.com"], "hi", "hi") };
        assert!(made(&mailer, both).unwrap().contains("multipart/alternative"));
    }
}
