//! A web server that takes what webhooks send, for tests to look at.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

/// One request that came.
#[derive(Debug)]
pub struct Received {
    /// Request line and headers.
    pub head: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

/// A server on loopback that answers each request with the same status, and keeps what came.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    status: Arc<AtomicU16>,
    body: Arc<std::sync::Mutex<String>>,
    came: Mutex<mpsc::UnboundedReceiver<Received>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let status = Arc::new(AtomicU16::new(200));
        let (tell, came) = mpsc::unbounded_channel();
        let body = Arc::<std::sync::Mutex<String>>::default();
        let (answer, shown) = (status.clone(), body.clone());
        #[expect(clippy::disallowed_methods, reason = "a peer of the server, not a task of it")]
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), shown.clone(), tell.clone()));
            }
        });
        Self { address, status, body, came: Mutex::new(came), server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Shows this JSON from now on.
    pub fn show(&self, json: &Value) {
        *self.body.lock().expect("nothing panics under the lock") = json.to_string();
    }

    /// Waits for the next request.
    pub async fn next(&self) -> Received {
        let mut came = self.came.lock().await;
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), came.recv());
        next.await.expect("a request comes within 30 s").expect("the receiver runs")
    }

    /// A request that has come already.
    pub async fn taken(&self) -> Option<Received> {
        self.came.lock().await.try_recv().ok()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    status: Arc<AtomicU16>,
    body: Arc<std::sync::Mutex<String>>,
    tell: mpsc::UnboundedSender<Received>,
) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = end + length.unwrap_or(0);
        while buffer.len() < whole {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let json = serde_json::from_slice(&buffer[end..whole]).unwrap_or_default();
        buffer.drain(..whole);
        // Nobody may be looking any more.
        let _ = tell.send(Received { head, json });
        let body = body.lock().expect("nothing panics under the lock").clone();
        let (status, length) = (status.load(Ordering::Relaxed), body.len());
        let kind = "content-type: application/json";
        let answer = format!("HTTP/1.1 {status} Status\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
