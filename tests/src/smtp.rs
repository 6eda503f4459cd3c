//! A mail server that others wrote: `aiosmtpd`, in a process that ends with the value.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::Mutex,
};

/// The interpreter that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// A mail server on loopback that keeps what comes. It refuses mail to `unknown@…`, and puts off mail to `later@…`.
pub struct MailServer {
    /// Where it listens.
    pub port: u16,
    came: Mutex<Lines<BufReader<ChildStdout>>>,
    _process: Child,
}

impl MailServer {
    /// Starts one: `tls` is `none`, `starttls` or `implicit`. With TLS it wants the user `looma` with [`MailServer::password`].
    /// `None` where `aiosmtpd` is not installed: it says what is skipped; under `CI=true` that panics.
    pub async fn start(tls: &str) -> Option<Self> {
        let has = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().await;
        if !has.is_ok_and(|status| status.success()) {
            assert!(!is_ci(), "no mail server: python3-aiosmtpd is not installed");
            eprintln!("skipped: a test that sends mail (python3-aiosmtpd is not installed)");
            return None;
        }
        let mut command = Command::new(PYTHON);
        command.arg(folder().join("server.py")).arg(tls).arg(folder()).kill_on_drop(true);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the mail server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is read")).lines();
        let first = lines.next_line().await.expect("its output is text").expect("it says its port");
        let first: Value = serde_json::from_str(&first).expect("it says its port as JSON");
        let port = first["port"].as_u64().and_then(|port| port.try_into().ok()).expect("that is a port");
        Some(Self { port, came: Mutex::new(lines), _process: process })
    }

    /// Waits for the next mail: `from`, `to`, and the whole of it as `raw`.
    pub async fn next(&self) -> Value {
        let mut came = self.came.lock().await;
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), came.next_line());
        let line = next.await.expect("a mail comes within 30 s").expect("its output is text").expect("it runs");
        serde_json::from_str(&line).expect("a mail is shown as JSON")
    }

    /// The password of the user `looma`.
    pub fn password() -> &'static str {
        "the-mail-password"
    }

    /// The certificate that it shows, for `localhost`.
    pub fn certificate() -> PathBuf {
        folder().join("cert.pem")
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/smtp")
}

#[expect(clippy::disallowed_methods, reason = "the environment of the tests is read here")]
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}
