//! Clients that others wrote, in processes that end with the value: of Nacos and Consul in Python and JavaScript, Prometheus, `dig`
//! and HAProxy.
//!
//! What comes from a package registry is installed once, at a version of its own, under `target/peers`. Where one cannot be
//! had, it says what is skipped; under `CI=true` that panics.

mod dns;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{Mutex, OnceCell},
};

pub use dns::{HaProxy, dig};

use crate::{root, smtp::is_ci};

/// The interpreter that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";
/// What is installed of PyPI.
const OF_PYPI: [&str; 2] = ["nacos-sdk-python==1.0.0", "py-consul==1.8.0"];
/// What is installed of npm.
const OF_NPM: [&str; 2] = ["nacos@2.6.3", "consul@2.0.1"];

/// Runs a script of `tests/src/peers` with a client in Python, and gives what it says; `None` where there is none.
pub async fn python(script: &str, arguments: &[&str]) -> Option<Value> {
    static READY: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let folder = had(READY.get_or_init(install_python).await, "clients in Python")?;
    let mut command = Command::new(folder.join("bin/python"));
    command.arg(scripts().join(script)).args(arguments);
    Some(said(command, script).await)
}

/// The same with a client in JavaScript.
pub async fn node(script: &str, arguments: &[&str]) -> Option<Value> {
    static READY: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let folder = had(READY.get_or_init(install_node).await, "clients in JavaScript")?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", folder.join("node_modules")).arg(scripts().join(script)).args(arguments);
    Some(said(command, script).await)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/peers")
}

fn had<'r>(ready: &'r Result<PathBuf, String>, what: &str) -> Option<&'r Path> {
    match ready {
        Ok(folder) => Some(folder),
        Err(why) => {
            assert!(!is_ci(), "no {what}: {why}");
            eprintln!("skipped: a test with {what} ({why})");
            None
        }
    }
}

async fn said(mut command: Command, script: &str) -> Value {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let run = tokio::time::timeout(std::time::Duration::from_secs(120), run).await;
    let output = run.unwrap_or_else(|_| panic!("{script} does not end")).expect("the interpreter starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = out.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{script}: {}\n{out}\n{err}", output.status);
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{script} says no JSON: {out}\n{err}"))
}

/// A folder under `target/peers` that `fill` fills, once for what it is named after.
async fn installed(
    name: &str,
    wanted: &[&str],
    fill: impl AsyncFn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = root().join("target/peers").join(name);
    let (mark, wanted) = (folder.join("installed"), wanted.join("\n"));
    if std::fs::read_to_string(&mark).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    fill(&folder).await?;
    std::fs::write(mark, wanted).map_err(|error| error.to_string())?;
    Ok(folder)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

async fn install_python() -> Result<PathBuf, String> {
    installed("python", &OF_PYPI, async |folder| {
        run(Command::new(PYTHON).args(["-m", "venv"]).arg(folder)).await?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(folder.join("bin/python")).args(pip).args(OF_PYPI)).await
    })
    .await
}

async fn install_node() -> Result<PathBuf, String> {
    installed("node", &OF_NPM, async |folder| {
        let install = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
        run(Command::new("npm").args(install).arg(folder).args(OF_NPM)).await
    })
    .await
}

/// Prometheus, of Debian's package, on a free port of loopback; its data is a folder of its own.
pub struct Prometheus {
    /// Where it answers.
    pub url: String,
    http: reqwest::Client,
    _process: Mutex<Child>,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one with this configuration; `None` where it is not installed.
    pub async fn start(config: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder is made");
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("the folder can be written");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]).current_dir(folder.path());
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
        let Ok(mut process) = process else {
            assert!(!is_ci(), "no Prometheus: the package prometheus is not installed");
            eprintln!("skipped: a test with Prometheus (the package prometheus is not installed)");
            return None;
        };
        let log = process.stderr.take().expect("its log is read");
        let address = tokio::time::timeout(std::time::Duration::from_secs(60), listening(log)).await;
        let url = format!("http://{}", address.expect("it listens within 60 s"));
        Some(Self { url, http: reqwest::Client::new(), _process: Mutex::new(process), _folder: folder })
    }

    /// The targets that it scrapes or would, as its API tells them.
    pub async fn targets(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/api/v1/targets?state=active", self.url)).send().await;
        let Ok(answer) = answer else { return Vec::new() };
        let body: Value = answer.json().await.unwrap_or_default();
        body["data"]["activeTargets"].as_array().cloned().unwrap_or_default()
    }
}

/// Reads the log to the line that says where it listens; the rest is read and forgotten, so that it can go on writing.
async fn listening(log: impl AsyncRead + Unpin + Send + 'static) -> String {
    let mut lines = BufReader::new(log).lines();
    let mut before = String::new();
    while let Some(line) = lines.next_line().await.expect("its log is text") {
        if let Some(address) = line.split("msg=\"Listening on\" address=").nth(1) {
            let address = address.trim().to_owned();
            #[expect(clippy::disallowed_methods, reason = "a test reads beside what it does")]
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return address;
        }
        before.push_str(&line);
        before.push('\n');
    }
    panic!("Prometheus ended:\n{before}")
}
