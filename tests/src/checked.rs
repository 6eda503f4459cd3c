//! Services for the server to check: one that speaks the gRPC health protocol, one that takes connections and says nothing,
//! and a port where nobody listens.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::server;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A port of loopback where nobody listens.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it has an address")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    (listener, address)
}

/// Speaks `grpc.health.v1.Health/Check` over HTTP/2 without TLS.
pub struct GrpcHealth {
    /// Where it listens.
    pub address: SocketAddr,
    status: Arc<AtomicU8>,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl GrpcHealth {
    /// One that is SERVING, as a whole and as the service `known`; others it does not know.
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let (status, asked) = (Arc::new(AtomicU8::new(1)), Arc::<Mutex<Vec<String>>>::default());
        let (shown, heard) = (status.clone(), asked.clone());
        #[expect(clippy::disallowed_methods, reason = "a peer of the server, not a task of it")]
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shown.clone(), heard.clone()));
            }
        });
        Self { address, status, asked, server }
    }

    /// Answers this from now on: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING.
    pub fn answer(&self, status: u8) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The paths that were asked for, each with the service that it was asked of.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nothing panics under the lock").clone()
    }
}

impl Drop for GrpcHealth {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, status: Arc<AtomicU8>, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        let mut body = request.into_body();
        let (status, asked) = (status.clone(), asked.clone());
        #[expect(clippy::disallowed_methods, reason = "a peer of the server, not a task of it")]
        tokio::spawn(async move {
            let mut message = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                message.extend_from_slice(&data);
            }
            // Five bytes before the message, then the tag and the length of the name.
            let service = String::from_utf8_lossy(message.get(7..).unwrap_or_default()).into_owned();
            asked.lock().expect("nothing panics under the lock").push(format!("{path} {service}").trim().to_owned());
            let grpc_status = if service.is_empty() || service == "known" { "0" } else { "5" };
            let head = h2_response(grpc_status);
            // Whoever asked may have left.
            let Ok(mut stream) = answer.send_response(head, grpc_status != "0") else { return };
            if grpc_status == "0" {
                let _ = stream.send_data(message_of(status.load(Ordering::Relaxed)), false);
                let trailers = [("grpc-status", "0")].into_iter();
                let trailers =
                    trailers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
                let _ = stream.send_trailers(trailers.collect());
            }
        });
    }
}

/// The head of an answer; one that is an error alone has its status there.
fn h2_response(grpc_status: &str) -> hyper::Response<()> {
    let head = hyper::Response::builder().status(200).header("content-type", "application/grpc");
    let head = if grpc_status == "0" { head } else { head.header("grpc-status", grpc_status) };
    head.body(()).expect("the head is whole")
}

fn message_of(status: u8) -> Bytes {
    match status {
        0 => Bytes::from_static(&[0, 0, 0, 0, 0]),
        status => Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]),
    }
}

/// Takes connections and says nothing; counts them.
pub struct SilentPeer {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl SilentPeer {
    /// One that nobody has connected to.
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let taken = Arc::<AtomicUsize>::default();
        let count = taken.clone();
        #[expect(clippy::disallowed_methods, reason = "a peer of the server, not a task of it")]
        let server = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.push(stream);
            }
        });
        Self { address, taken, server }
    }

    /// How many there have been.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Ends it; nobody listens there when this returns.
    pub async fn close(self) {
        self.server.abort();
        // It was cancelled, which is what it says.
        let _ = self.server.await;
    }
}
