//! Serving a router on a socket until the tasks are asked to stop.
//!
//! A connection has an end: it is given up when its first request does not come in time, or its next one, and there are only
//! so many at a time. One too many is told so with a 503. Never wait for a client without a limit.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use futures_util::FutureExt as _;
use hyper::{body::Incoming, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};

use crate::lifecycle::Tasks;

/// The largest headers of a request, in bytes, in HTTP/1 and in HTTP/2.
const LARGEST_HEADERS: usize = 64 << 10;
const LARGEST_HEADERS_2: u32 = 64 << 10;
/// How many requests of one HTTP/2 connection run at a time.
const STREAMS: u32 = 256;
/// How often an HTTP/2 connection is asked whether it is there, and how long it has to answer.
const PING: Duration = Duration::from_secs(30);
/// How many connections are told at a time that they are too many, and how long each has to hear it.
const REFUSALS: usize = 64;
const FAREWELL: Duration = Duration::from_secs(1);

const REFUSAL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n",
    "content-length: 112\r\n\r\n",
    r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections are open here"}"#,
    "\n"
);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long until the headers of the first request are there.
    pub first_request: Duration,
    /// How long until the headers of the next one are.
    pub next_request: Duration,
    /// How many are served at a time.
    pub connections: usize,
}

struct Server {
    router: Router,
    http: Builder<TokioExecutor>,
    limits: Limits,
    tasks: Tasks,
}

/// Serves `router` as a task; requests that run are finished when it stops.
pub fn serve(tasks: &Tasks, router: Router, listener: TcpListener, limits: Limits) {
    let limits = Limits { connections: fitting(limits.connections), ..limits };
    let (router, http, tasks) = (router.with_state(()), protocol(&limits), tasks.clone());
    let server = Arc::new(Server { router, http, limits, tasks: tasks.clone() });
    tasks.detach("http", async move { server.accept(listener).await });
}

/// As many connections as the process may have open beside its files and the database.
fn fitting(connections: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let most = files.map_or(usize::MAX, |files| (files / 4 * 3).max(1));
    if connections > most {
        tracing::warn!(
            connections = most,
            "this process may open few files: it serves {most} connections at a time, not {connections}"
        );
    }
    connections.min(most)
}

fn protocol(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.next_request).max_buf_size(LARGEST_HEADERS);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LARGEST_HEADERS_2);
    http
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        loop {
            let accepted = tokio::select! {
                () = self.tasks.stopping() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    after(&error).await;
                    continue;
                }
            };
            if let Ok(place) = places.clone().try_acquire_owned() {
                let server = self.clone();
                self.tasks.detach("http.connection", async move {
                    // What breaks here is this connection's alone.
                    if AssertUnwindSafe(server.connection(stream, address)).catch_unwind().await.is_err() {
                        tracing::error!(source = %address.ip(), "a connection panicked");
                    }
                    drop(place);
                });
            } else if let Ok(turn) = refusals.clone().acquire_owned().await {
                // Those beyond wait in the queue of the system, which is what it is for.
                self.tasks.detach("http.refusal", async move {
                    let _ = time::timeout(FAREWELL, refuse(stream)).await;
                    drop(turn);
                });
            }
        }
    }

    async fn connection(&self, stream: TcpStream, address: SocketAddr) {
        // Events of a watch are small, and go out as they come.
        let _ = stream.set_nodelay(true);
        let (router, asked) = (TowerToHyperService::new(self.router.clone()), Arc::new(AtomicBool::new(false)));
        let begun = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            router.call(request)
        });
        let mut served = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut stopping = pin!(self.tasks.stopping());
        // The library's own timeout begins when the version of HTTP is known; a client that never tells is ours to end.
        let mut first = pin!(time::sleep(self.limits.first_request));
        let (mut runs, mut early) = (true, true);
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(source = %address.ip(), %error, "a connection ended");
                    }
                    return;
                }
                () = stopping.as_mut(), if runs => {
                    runs = false;
                    served.as_mut().graceful_shutdown();
                }
                () = first.as_mut(), if early => {
                    early = false;
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}

/// A client that hangs up is its own affair; anything else, such as too many open files, may pass.
pub async fn after(error: &std::io::Error) {
    let gone = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "could not take a connection or a packet");
        time::sleep(Duration::from_secs(1)).await;
    }
}

/// Says that there are too many connections, and reads what was asked: an answer to what lies unread is lost.
async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(REFUSAL.as_bytes()).await?;
    stream.shutdown().await?;
    let mut asked = [0; 1024];
    while stream.read(&mut asked).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }

    #[test]
    fn there_are_files_left_beside_connections() {
        assert!(fitting(usize::MAX) < usize::MAX);
        assert_eq!(fitting(1), 1);
    }
}
