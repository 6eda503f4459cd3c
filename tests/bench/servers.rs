//! The servers that are measured: each a process on loopback with a folder of its own, ended by its id.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use super::{Failed, Plan, figures::Usage};
use crate::{Process, Store, load::Connection, postgres};

/// How long leases last that nobody is meant to lose, in seconds.
pub const LONG: u32 = 86_400;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often r-nacos is started before it is given up.
const STARTS: usize = 10;

/// A Looma that runs.
pub struct Looma {
    process: Process,
    store: Store,
    binary: PathBuf,
    pub address: SocketAddr,
    pub token: String,
}

impl Looma {
    /// Starts one on an empty database. Leases last `ttl` seconds where nothing is said.
    pub async fn start(plan: &Plan, ttl: u32) -> Result<Self, Failed> {
        let store = match plan.postgres {
            false => Store::sqlite(),
            true => {
                postgres::sync_commits();
                Store::postgres().await.ok_or("there is no PostgreSQL here")?
            }
        };
        let settings = format!("[server]\nconnections = 15000\n[registry]\ndefault_ttl_seconds = {ttl}\n");
        std::fs::write(store.dir().join("load.toml"), settings)?;
        let process = launch(&plan.looma, &store);
        let admin = process.admin().await;
        let token = json!({"name": "load", "scopes": ["services:read", "services:write"]});
        let token = admin.post("/tokens", &token).await.expect(201);
        let token = token["token"].as_str().ok_or("there is no token")?.to_owned();
        let address = address_of(&process)?;
        Ok(Self { process, store, binary: plan.looma.clone(), address, token })
    }

    /// `kill -9`, and another on the same data.
    pub fn kill_and_start(self) -> Result<Self, Failed> {
        let Self { process, store, binary, address: _, token } = self;
        process.kill();
        let process = launch(&binary, &store);
        let address = address_of(&process)?;
        Ok(Self { process, store, binary, address, token })
    }

    pub fn usage(&self) -> Usage {
        Usage::of(self.process.id())
    }

    /// What its database takes beside it, where that is a process of its own.
    pub fn database_usage(&self) -> Option<Usage> {
        self.store.url().and_then(|_| postgres::server_pid()).map(Usage::of_family)
    }
}

fn launch(binary: &Path, store: &Store) -> Process {
    let settings = store.dir().join("load.toml");
    Process::start(binary, &["serve", "--config", settings.to_str().expect("the folder's name is text")], store)
}

fn address_of(process: &Process) -> Result<SocketAddr, Failed> {
    Ok(process.url.trim_start_matches("http://").parse()?)
}

/// An r-nacos that runs; ended with the value.
pub struct Rnacos {
    child: Child,
    folder: tempfile::TempDir,
    pub address: SocketAddr,
}

impl Rnacos {
    /// Starts one that takes a registration and shows it. It has a fault at the start of an empty one: then another is started.
    pub async fn start(binary: &Path) -> Result<Self, Failed> {
        for _ in 0..STARTS {
            let mut rnacos = Self::launch(binary)?;
            if rnacos.serves().await && !rnacos.has_panicked() {
                return Ok(rnacos);
            }
        }
        Err(format!("{} did not serve in {STARTS} starts", binary.display()).into())
    }

    fn launch(binary: &Path) -> Result<Self, Failed> {
        let (folder, [http, grpc]) = (tempfile::tempdir()?, free_ports()?);
        let log = File::create(folder.path().join("log"))?;
        let mut command = Command::new(binary);
        for (name, value) in [
            ("HTTP_PORT", http.to_string()),
            ("GRPC_PORT", grpc.to_string()),
            ("HTTP_CONSOLE_PORT", "0".to_owned()),
            ("SDK_HOST", "127.0.0.1".to_owned()),
            ("CONSOLE_HOST", "127.0.0.1".to_owned()),
            ("RAFT_NODE_ADDR", format!("127.0.0.1:{grpc}")),
            ("NAMING_HEALTH_TIMEOUT_SECOND", LONG.to_string()),
            ("NAMING_INSTANCE_TIMEOUT_SECOND", (2 * LONG).to_string()),
            // Its names of before.
            ("NAMING_HEALTH_TIMEOUT", LONG.to_string()),
            ("NAMING_INSTANCE_TIMEOUT", (2 * LONG).to_string()),
        ] {
            command.env(format!("RNACOS_{name}"), value);
        }
        command.env("RNACOS_DATA_DIR", folder.path().join("data")).env("RUST_LOG", "error");
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("could not start {}: {error}", binary.display()))?;
        Ok(Self { child, folder, address: SocketAddr::from(([127, 0, 0, 1], http)) })
    }

    /// Whether it comes to keep what it is told.
    async fn serves(&mut self) -> bool {
        let form = "serviceName=probe&ip=127.0.0.1&port=1&ephemeral=true";
        let register = super::contenders::form("POST", "/nacos/v1/ns/instance", "", form);
        let list = super::contenders::form("GET", "/nacos/v1/ns/instance/list?serviceName=probe", "", "");
        let began = Instant::now();
        while began.elapsed() < PATIENCE && !self.has_panicked() && self.child.try_wait().is_ok_and(|end| end.is_none())
        {
            if let Ok(mut connection) = Connection::try_open(self.address).await {
                let taken = connection.try_send(&register).await.is_ok_and(|status| status == 200);
                let shown = taken && connection.try_send(&list).await.is_ok_and(|status| status == 200);
                if shown && crate::events::find(connection.body(), b"127.0.0.1").is_some() {
                    return true;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Whether its log tells of the fault, after which it may lose what it acknowledges.
    pub fn has_panicked(&self) -> bool {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        crate::events::find(&log, b"panicked").is_some()
    }

    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Rnacos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports that nobody listened on a moment ago: r-nacos picks none by itself.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}
