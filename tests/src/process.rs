//! A server as its users run it: the real binary, in a process that can be killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{ADMIN_PASSWORD, Client, Store};

/// A process of `looma`, ended with the value.
pub struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Where it listens.
    pub url: String,
}

impl Process {
    /// Runs `binary` with `arguments` on a store's data, on a free port, and waits until it serves.
    pub fn start(binary: &Path, arguments: &[&str], store: &Store) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments).args(["--listen", "127.0.0.1:0", "--data"]).arg(store.dir());
        if let Some(url) = store.url() {
            command.args(["--database-url", url]);
        }
        let log = store.dir().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("the log opens");
        command.env("LOOMA_ADMIN_PASSWORD", ADMIN_PASSWORD).env("LOOMA_LOG", "info,sqlx=warn");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let out = child.stdout.take().expect("its output is read");
        let mut process = Self { child, out: BufReader::new(out), url: String::new() };
        let line = process.line_with("listening on ", store);
        process.url = line.trim().trim_start_matches("listening on ").to_owned();
        process
    }

    /// Reads its standard output up to a line with `text`, and gives that line.
    fn line_with(&mut self, text: &str, store: &Store) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.out.read_line(&mut line).expect("its output is text");
            let log = || std::fs::read_to_string(store.dir().join("log")).unwrap_or_default();
            assert!(read > 0, "it ended before it said {text:?}: {}", log());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A client of the first administrator.
    pub async fn admin(&self) -> Client {
        let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let tokens = Client::new(self.url.clone(), None).post("/auth/login", &body).await.expect(200);
        Client::new(self.url.clone(), tokens["access_token"].as_str().map(str::to_owned))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Makes it stand still, as a machine does that is suspended.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).expect("it takes a signal");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("it takes a signal");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    /// Asks it to stop, waits, and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        kill_process(self.pid(), Signal::TERM).expect("it takes a signal");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
