//! Serving a router on a socket until the tasks are asked to stop.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use crate::lifecycle::Tasks;

/// Serves `router` as a task; requests that run are finished when it stops.
pub fn serve(tasks: &Tasks, router: Router, listener: TcpListener) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let own = tasks.clone();
    tasks.detach("http", async move {
        let stopping = own.clone();
        let served = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.stopping().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "could not serve");
        }
    });
}
