//! A throwaway PostgreSQL for this test process, from the installed binaries, or the one that `LOOMA_TEST_POSTGRES_URL` names.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

static SERVER: OnceCell<Option<PgConnectOptions>> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);
static SYNCS: AtomicBool = AtomicBool::new(false);

/// Has the server that is started for this process sync each commit, as one does that data are entrusted to. Only before its
/// first use; tests do without, because they are about this machine's disk in no way.
pub fn sync_commits() {
    SYNCS.store(true, Ordering::Relaxed);
}

/// The process of the server that was started for this one, if there is one.
pub fn server_pid() -> Option<u32> {
    let file = std::fs::read_to_string(folder().join("data/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

fn folder() -> PathBuf {
    PathBuf::from(format!("/tmp/looma-pg-{}", std::process::id()))
}

/// Whether tests can run on PostgreSQL. Says what is skipped where they cannot; under `CI=true` that panics.
pub async fn available() -> bool {
    server().await.is_some()
}

/// The URL of a fresh database that already has every table.
pub(crate) async fn fresh() -> Option<String> {
    let options = server().await?;
    let name = format!("looma_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = options.connect().await.expect("PostgreSQL takes a connection");
    let create = format!("CREATE DATABASE {name} TEMPLATE {}", template());
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut admin).await.expect("a database is made");
    admin.close().await.expect("the connection closes");
    Some(options.clone().database(&name).to_url_lossy().to_string())
}

fn template() -> String {
    format!("looma_template_{}", std::process::id())
}

async fn server() -> Option<&'static PgConnectOptions> {
    SERVER.get_or_init(|| async { start().await }).await.as_ref()
}

#[expect(clippy::disallowed_methods, reason = "the environment of the tests is read here")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn start() -> Option<PgConnectOptions> {
    let options = match environment("LOOMA_TEST_POSTGRES_URL") {
        Some(url) => url.parse().expect("LOOMA_TEST_POSTGRES_URL is a URL of PostgreSQL"),
        None => match from_binaries() {
            Ok(options) => options,
            Err(why) => {
                assert!(environment("CI").as_deref() != Some("true"), "no PostgreSQL: {why}");
                eprintln!("skipped: the half of the tests that runs on PostgreSQL ({why})");
                return None;
            }
        },
    };
    let mut admin = options.connect().await.expect("PostgreSQL takes a connection");
    let create = format!("CREATE DATABASE {}", template());
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut admin).await.expect("the template is made");
    let mut made = options.clone().database(&template()).connect().await.expect("the template takes a connection");
    looma::db::POSTGRES_MIGRATIONS.run(&mut made).await.expect("the tables are made");
    made.close().await.expect("the connection closes");
    Some(options)
}

/// Starts `postgres` as a child that ends with this process, in a folder of its own; as user `postgres` when root.
fn from_binaries() -> Result<PgConnectOptions, String> {
    let bin = binaries().ok_or("initdb and postgres are not installed")?;
    let dir = folder();
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).map_err(|error| format!("could not make {}: {error}", dir.display()))?;
    let root = rustix::process::geteuid().is_root();
    if root {
        run(Command::new("chown").arg("postgres").arg(&dir))?;
    }
    let as_postgres = |program: &str| {
        if root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]).arg(bin.join(program));
            command
        } else {
            Command::new(bin.join(program))
        }
    };
    let data = dir.join("data");
    run(as_postgres("initdb").args(["--auth=trust", "--username=looma", "--no-sync", "-E", "UTF8", "-D"]).arg(&data))?;
    // The watcher ends the server when this process ends, however it ends.
    let script = "\"$@\" & server=$!; while kill -0 $PPID 2>/dev/null && [ \"$(ps -o ppid= -p $$ | tr -d ' ')\" != 1 ]; do sleep 1; done; kill -INT $server; wait $server; rm -rf \"$LOOMA_PG_DIR\"";
    let mut watcher = Command::new("bash");
    watcher.args(["-c", script, "watcher"]).env("LOOMA_PG_DIR", &dir);
    let server = as_postgres("postgres");
    watcher.arg(server.get_program()).args(server.get_args()).arg("-D").arg(&data).args(["-k"]).arg(&dir);
    let synced = if SYNCS.load(Ordering::Relaxed) { "on" } else { "off" };
    let (sync, pages) = (format!("fsync={synced}"), format!("full_page_writes={synced}"));
    for setting in ["listen_addresses=", &sync, &pages, "max_connections=300"] {
        watcher.args(["-c", setting]);
    }
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    watcher.spawn().map_err(|error| format!("could not start postgres: {error}"))?;
    let socket = dir.join(".s.PGSQL.5432");
    for _ in 0..300 {
        let ready = Command::new(bin.join("pg_isready")).arg("-q").arg("-h").arg(&dir).status();
        if socket.exists() && ready.is_ok_and(|status| status.success()) {
            return Ok(PgConnectOptions::new().host("localhost").socket(&dir).username("looma").database("postgres"));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err("postgres did not become ready in 30 s".to_owned())
}

fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop()
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("could not run {command:?}: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}
