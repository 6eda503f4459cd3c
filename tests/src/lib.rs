//! The harness: real servers on port 0, each with a database of its own, and clients by role that speak HTTP to them.
//!
//! `both_databases!` makes a test of each function for SQLite and for PostgreSQL. Nothing here stands in for a part of
//! Looma; only the clock is the test's own.

#[path = "../bench/mod.rs"]
pub mod bench;
mod checked;
mod client;
pub mod events;
pub mod fuzz;
pub mod guests;
pub mod kit;
pub mod load;
pub mod peers;
pub mod plugins;
mod postgres;
mod process;
mod receiver;
mod server;
mod smtp;
pub mod soak;
mod workspace;

pub use checked::{GrpcHealth, SilentPeer, closed_port};
pub use client::{Answer, Client};
pub use postgres::{available as postgres_available, sync_commits as postgres_syncs};
pub use process::Process;
pub use receiver::{Received, Receiver};
pub use server::{ADMIN_PASSWORD, Store, TestServer};
pub use smtp::MailServer;
pub use workspace::{Workspace, bundled, root};

/// Declares tests that run on both databases. Each function takes a `TestServer` and is its own claim.
///
/// `with CHANGE;` before them changes the settings first.
/// Where there is no PostgreSQL, its half says that it was skipped; under `CI=true` that is a failure.
#[macro_export]
macro_rules! both_databases {
    (with $change:expr; $($(#[$meta:meta])* async fn $name:ident($server:ident: TestServer) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "what a test needs is its own affair")]
            use super::*;

            async fn claim($server: &$crate::TestServer) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let server = $crate::server_with($crate::Store::sqlite(), $change).await;
                claim(&server).await;
                server.stop().await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(store) = $crate::Store::postgres().await else { return };
                let server = $crate::server_with(store, $change).await;
                claim(&server).await;
                server.stop().await;
            }
        }
    )+};
    ($($rest:tt)+) => { $crate::both_databases! { with |_: &mut _| (); $($rest)+ } };
}

/// A server whose settings are changed before it starts.
pub async fn server_with(store: Store, change: impl FnOnce(&mut looma::settings::Settings)) -> TestServer {
    let mut settings = store.settings();
    change(&mut settings);
    TestServer::start_with(store, settings).await
}

/// Asks again and again until there is an answer, for what a process does by itself; fails after 60 s.
pub async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let patience = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    });
    patience.await.unwrap_or_else(|_| panic!("in 60 s there was no {what}"))
}
