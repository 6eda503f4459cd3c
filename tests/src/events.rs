//! Server-sent events over a plain connection, as a watcher gets them: little memory, and nothing between the socket and what is
//! looked at.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A stream of events.
pub struct Events {
    stream: TcpStream,
    /// What was read and is still in chunks.
    raw: Vec<u8>,
    /// What was in the chunks, up to the last whole event that was given.
    text: Vec<u8>,
    /// How much of the chunk that is being read is to come.
    left: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its revision.
    pub id: i64,
    /// Its topic.
    pub topic: String,
    /// Its data.
    pub data: String,
}

impl Events {
    /// Asks for `path`, and waits until it is said that a stream follows. An answer that is none is an error with its status.
    pub async fn open(address: SocketAddr, token: &str, path: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: looma\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut raw = Vec::with_capacity(512);
        let end = loop {
            if stream.read_buf(&mut raw).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = find(&raw, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(io::Error::other(head));
        }
        raw.drain(..end);
        Ok(Self { stream, raw, text: Vec::new(), left: 0 })
    }

    /// The next event; an error when the stream ends.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            self.decode();
            while let Some(end) = find(&self.text, b"\n\n") {
                let event = parse(&self.text[..end]);
                self.text.drain(..end + 2);
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            if self.stream.read_buf(&mut self.raw).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Takes what was read out of its chunks (RFC 9112, section 7.1).
    fn decode(&mut self) {
        let mut at = 0;
        loop {
            if self.left == 0 {
                let Some(end) = find(&self.raw[at..], b"\r\n") else { break };
                let size = std::str::from_utf8(&self.raw[at..at + end]).unwrap_or_default();
                // The line is empty where the chunk before ends.
                self.left = usize::from_str_radix(size, 16).unwrap_or(0);
                at += end + 2;
                continue;
            }
            let take = self.left.min(self.raw.len() - at);
            if take == 0 {
                break;
            }
            self.text.extend_from_slice(&self.raw[at..at + take]);
            (self.left, at) = (self.left - take, at + take);
        }
        self.raw.drain(..at);
    }
}

/// Where `wanted` begins.
pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|here| here == wanted)
}

/// A comment is no event.
fn parse(text: &[u8]) -> Option<Event> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?.to_owned();
    Some(Event { id: field("id: ")?.parse().ok()?, topic: field("event: ")?.to_owned(), data })
}
