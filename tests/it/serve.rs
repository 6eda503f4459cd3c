//! `looma serve` as a process: what it prints, how it starts and how it ends.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use looma_tests::{Process, Store};

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_looma"))
}

fn looma(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The first signal ends it in order, with exit code 0, and what it kept is there at the next start.
#[tokio::test]
async fn it_stops_when_asked_and_starts_again() {
    let store = Store::sqlite();
    let first = Process::start(binary(), &["serve"], &store);
    assert_eq!(first.admin().await.get("/auth/me").await.expect(200)["role"], "admin");
    assert_eq!(first.terminate(), Some(0));
    let second = Process::start(binary(), &["serve"], &store);
    let replicas = second.admin().await.get("/replicas").await.expect(200);
    assert_eq!(replicas["items"].as_array().unwrap().len(), 1, "{replicas}");
    assert_eq!(second.terminate(), Some(0));
}

/// Wrong use is exit code 2, a failure is 1, and both say what is wrong and where.
#[test]
fn wrong_use_and_failure_are_told_apart() {
    let wrong = looma(&["serve", "--listen", "nowhere"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--listen"), "{wrong:?}");
    let store = Store::sqlite();
    let file = store.dir().join("looma.toml");
    std::fs::write(&file, "[server]\nbody_limmit = 3\n").unwrap();
    let failed = looma(&["serve", "--config", file.to_str().unwrap(), "--data", store.dir().to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("body_limmit"), "{failed:?}");
}

/// `--help` names what there is.
#[test]
fn help_says_what_there_is() {
    let help = looma(&["serve", "--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in ["--listen", "--data", "--database-url", "--plugins", "--config"] {
        assert!(text.contains(flag), "{text}");
    }
}

/// Two servers never share a file of SQLite: the second says so, and does no harm.
#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let store = Store::sqlite();
    let first = Process::start(binary(), &["serve"], &store);
    let second = looma(&["serve", "--listen", "127.0.0.1:0", "--data", store.dir().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another server runs on the data in"), "{second:?}");
    first.admin().await.get("/auth/me").await.expect(200);
}
