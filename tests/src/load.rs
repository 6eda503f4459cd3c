//! Load over plain connections that are kept open: requests are written as they are, answers are read and counted, so
//! that what is measured is the server and not the client.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One connection of HTTP/1.1.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where in the buffer the body of the last answer begins.
    body: usize,
}

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: looma\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.expect("the server takes a connection")
    }

    /// Connects, if anybody listens.
    pub async fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), body: 0 })
    }

    /// Sends a request, reads the whole answer, and gives its status.
    pub async fn send(&mut self, request: &[u8]) -> u16 {
        self.try_send(request).await.expect("an answer comes")
    }

    /// As `send`, for when the server may be gone.
    pub async fn try_send(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = self.whole() {
                return Ok(status);
            }
        }
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body..]
    }

    /// The status, once head and body are there.
    fn whole(&mut self) -> Option<u16> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.buffer[..end]).expect("the head is text");
        let length = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let status = head.get(9..12)?.parse().expect("the answer begins with a status");
        self.body = end;
        (self.buffer.len() >= end + length.unwrap_or(0)).then_some(status)
    }
}

/// Sends `total` requests over `connections` connections at once; `make` gives the n-th and `good` is the status that
/// each must be answered with. Gives how long it took.
pub async fn run(
    address: SocketAddr,
    connections: usize,
    total: usize,
    make: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    good: &'static [u16],
) -> std::time::Duration {
    let make = std::sync::Arc::new(make);
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await);
    }
    let began = std::time::Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for (lane, mut connection) in open.into_iter().enumerate() {
        let make = make.clone();
        lanes.spawn(async move {
            for n in (lane..total).step_by(connections) {
                let status = connection.send(&make(n)).await;
                assert!(good.contains(&status), "request {n} was answered {status}");
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("every request is answered well");
    }
    began.elapsed()
}
