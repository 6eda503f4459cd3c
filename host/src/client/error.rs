//! What can go wrong between a client and a server, as people should read it.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// That is no address of a server.
    #[error("{0:?} is no address of a server: it must be http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    /// This machine cannot speak HTTP.
    #[error("could not prepare to speak HTTP")]
    Unusable(#[source] reqwest::Error),
    /// What was to be sent is no JSON.
    #[error("could not write the request")]
    Body(#[source] serde_json::Error),
    /// Nobody answers there, or not to the end.
    #[error("the server at {server} does not answer")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// What came back is not what the API promises.
    #[error("the answer of {url} is not what was expected")]
    Answer {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        cause: serde_json::Error,
    },
}

/// What a server says of a request that it does not answer: RFC 9457.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What happened.
    pub detail: String,
    /// Names the request in the server's log.
    pub request_id: Option<String>,
    /// Every fault of the request.
    pub errors: Vec<Fault>,
}

/// One fault of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What.
    pub message: String,
}

/// The problem that a body is, or one that says what the body says.
pub(super) fn problem(status: StatusCode, body: &[u8]) -> Problem {
    let read: Option<Problem> = serde_json::from_slice(body).ok();
    let problem = read.unwrap_or_else(|| Problem {
        detail: String::from_utf8_lossy(body).chars().take(200).collect(),
        ..Problem::default()
    });
    let title = status.canonical_reason().unwrap_or("error").to_owned();
    Problem { status: status.as_u16(), title, ..problem }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, title, detail, request_id, errors } = self;
        write!(f, "{status} {title}")?;
        if !detail.is_empty() {
            write!(f, ": {detail}")?;
        }
        // What the detail says already is not said again.
        for Fault { pointer, message } in errors.iter().filter(|fault| !detail.ends_with(&fault.message)) {
            write!(f, "\n  {pointer} {message}")?;
        }
        match request_id {
            // Only the server's log can say more.
            Some(id) if *status >= 500 => write!(f, " (request {id})"),
            _ => Ok(()),
        }
    }
}
