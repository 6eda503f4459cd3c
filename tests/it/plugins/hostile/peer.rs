//! A web server on the other end, which does whatever makes a client suffer.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A web server that misbehaves as the path says.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Peer {
    /// One on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a peer of the server, not a task of it")]
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, server }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Whoever asks may be gone before the answer is.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&asked).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let plain =
        |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    if let Some((_, to)) = path.split_once("to=") {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes()).await;
    }
    match path {
        "/echo" => stream.write_all(plain(&head).as_bytes()).await,
        "/slow" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            loop {
                beat.tick().await;
                stream.write_all(b"x").await?;
            }
        }
        "/silent" => stream.read_buf(&mut asked).await.map(drop),
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        "/large" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await,
        "/packed" => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\nconnection: close\r\n\r\npacked";
            stream.write_all(head.as_bytes()).await
        }
        "/headers" => {
            let header = format!("x-many: {}\r\n", "x".repeat(1000));
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{}\r\n", header.repeat(2000)).as_bytes()).await
        }
        "/loop" => {
            stream
                .write_all(b"HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
        }
        _ => stream.write_all(plain("reached").as_bytes()).await,
    }
}
