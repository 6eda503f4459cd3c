//! The server that plugins' mail goes through.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[mail]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The SMTP server; without one no mail is sent.
    pub host: Option<String>,
    /// Its port; 587 with STARTTLS, 465 with implicit TLS, 25 without, when absent.
    pub port: Option<u16>,
    /// How the connection is kept private.
    pub tls: MailTls,
    /// The user to sign in as.
    pub username: Option<String>,
    /// The file with that user's password.
    pub password_file: Option<PathBuf>,
    /// Whom mail is from, as `Looma <looma@example.com>`.
    pub from: Option<String>,
    /// A file with certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The domains that mail may go to; any when empty.
    pub to_domains: Vec<String>,
    /// The most recipients of one mail.
    pub max_recipients: usize,
    /// The most bytes of one mail.
    pub max_bytes: usize,
    /// The most mails of one plugin in one minute.
    pub per_minute: u32,
}

/// How the connection to the mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// The connection is upgraded, or not used.
    Starttls,
    /// It is TLS from the first byte.
    Implicit,
    /// It is not. For a server on the same machine.
    None,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            tls: MailTls::Starttls,
            username: None,
            password_file: None,
            from: None,
            ca_file: None,
            to_domains: Vec::new(),
            max_recipients: 50,
            max_bytes: 1 << 20,
            per_minute: 60,
        }
    }
}

impl Mail {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { host: Some(_), from: None, .. } => Err("mail.from must be set when mail.host is".to_owned()),
            Self { username: Some(_), password_file: None, .. }
            | Self { username: None, password_file: Some(_), .. } => {
                Err("mail.username and mail.password_file go together".to_owned())
            }
            Self { username: Some(_), tls: MailTls::None, .. } => {
                Err("mail.tls must not be \"none\" when mail.username is set: the password would be sent in the open"
                    .to_owned())
            }
            Self { max_recipients: 0, .. } => Err("mail.max_recipients must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}
