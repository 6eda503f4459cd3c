//! The other side of a plugin's requests while its cases run: answers on loopback what the case says, and remembers what came.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Bytes of one request.
const MOST: usize = 1 << 20;

/// An answer, and the request that it is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The method; any when absent.
    #[serde(default)]
    method: Option<String>,
    /// The path, with its query.
    path: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text as it is, anything else as JSON.
    #[serde(default)]
    body: Value,
}

fn ok() -> u16 {
    200
}

/// A request that came.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    /// As JSON if it is, else as text.
    body: Value,
}

/// Listens on loopback.
pub struct Peer {
    listener: TcpListener,
    canned: Vec<Canned>,
    seen: Mutex<Vec<Seen>>,
}

impl Peer {
    pub async fn start(canned: Vec<Canned>) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0").await?, canned, seen: Mutex::default() })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        self.listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"))
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one connection after the other, until it is dropped.
    pub async fn serve(&self) {
        loop {
            if let Ok((stream, _)) = self.listener.accept().await {
                // A plugin that goes away in the middle has its own failure to tell.
                let _ = self.answer(stream).await;
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(seen) = read(&mut stream).await? else { return Ok(()) };
        let fits = |canned: &&Canned| {
            canned.path == seen.path && canned.method.as_ref().is_none_or(|method| *method == seen.method)
        };
        let (status, headers, body) = match self.canned.iter().find(fits) {
            Some(Canned { status, headers, body, .. }) => (*status, headers.clone(), text(body)),
            None => (404, BTreeMap::new(), format!("the case has no answer to {} {}", seen.method, seen.path)),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} Canned\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }
}

fn text(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads one request; `None` when it is none.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MOST || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (first.next(), first.next()) else { return Ok(None) };
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize).min(MOST);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length && stream.read_buf(&mut body).await? > 0 {}
    let body = String::from_utf8_lossy(&body).into_owned();
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    Ok(Some(Seen { method: method.to_owned(), path: path.to_owned(), headers, body }))
}
