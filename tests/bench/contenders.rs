//! Who is measured, and what each is sent: the same services through the paths of Nacos, and through Looma's own.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::events::find;

/// Stands in a request where each that is sent says something new, so that each is a change.
const STAMP: &[u8] = b"00000000";
static STAMPS: AtomicU32 = AtomicU32::new(1);

/// One request, ready to be sent.
#[derive(Clone)]
pub struct Request {
    pub bytes: Vec<u8>,
    stamp: Option<usize>,
}

impl Request {
    /// One that is sent as it is.
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, stamp: None }
    }

    /// One that is another each time; it must hold the eight zeros once.
    pub fn stamped(bytes: Vec<u8>) -> Self {
        let stamp = find(&bytes, STAMP);
        Self { bytes, stamp }
    }

    /// Makes it say something new; gives what.
    pub fn renew(&mut self) -> u32 {
        let Some(at) = self.stamp else { return 0 };
        let stamp = STAMPS.fetch_add(1, Ordering::Relaxed) % 100_000_000;
        let mut rest = stamp;
        for digit in self.bytes[at..at + STAMP.len()].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        stamp
    }
}

/// What the stamp says in the JSON of an event or an answer.
pub fn stamp_in(text: &[u8]) -> Option<u32> {
    let at = find(text, br#""stamp":""#)? + 9;
    std::str::from_utf8(text.get(at..at + STAMP.len())?).ok()?.parse().ok()
}

/// Which paths are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `/nacos/v1`, which both have.
    Nacos,
    /// Looma's own.
    Own,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a service that is known and lives.
    Heartbeat,
    /// Of the instances of a name.
    List,
    /// Of a service, with something new to be said of it.
    Register,
}

/// A server by one way.
#[derive(Clone)]
pub struct Contender {
    pub name: &'static str,
    pub address: SocketAddr,
    pub token: String,
    pub way: Way,
}

impl Contender {
    /// The request about the n-th service, which is the only one of its name.
    pub fn request(&self, kind: Kind, n: usize) -> Request {
        match self.way {
            Way::Nacos => self.nacos(kind, n),
            Way::Own => self.own(kind, n),
        }
    }

    fn nacos(&self, kind: Kind, n: usize) -> Request {
        let ip = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
        match kind {
            Kind::Register => {
                let body = format!(
                    "serviceName=load-{n}&ip={ip}&port=8000&ephemeral=true&metadata=%7B%22stamp%22%3A%2200000000%22%7D"
                );
                Request::stamped(form("POST", "/nacos/v1/ns/instance", &self.token, &body))
            }
            Kind::Heartbeat => {
                let beat = format!(
                    "%7B%22serviceName%22%3A%22DEFAULT_GROUP%40%40load-{n}%22%2C%22ip%22%3A%22{ip}%22%2C%22port%22%3A8000%2C\
                     %22weight%22%3A1%2C%22cluster%22%3A%22DEFAULT%22%2C%22scheduled%22%3Atrue%7D"
                );
                let path = format!(
                    "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP%40%40load-{n}&ip={ip}&port=8000&beat={beat}"
                );
                Request::plain(form("PUT", &path, &self.token, ""))
            }
            Kind::List => {
                let path = format!("/nacos/v1/ns/instance/list?serviceName=load-{n}");
                Request::plain(form("GET", &path, &self.token, ""))
            }
        }
    }

    fn own(&self, kind: Kind, n: usize) -> Request {
        let json = |method, path: &str, body: &str| crate::load::request(method, path, &self.token, body);
        match kind {
            Kind::Register => Request::stamped(json(
                "POST",
                "/api/v1/services",
                &service(&format!("own-{n}"), &format!("own-{n}"), 3600),
            )),
            Kind::Heartbeat => Request::plain(json("POST", &format!("/api/v1/services/own-{n}/heartbeat"), "")),
            Kind::List => Request::plain(json("GET", &format!("/api/v1/discovery/own-{n}"), "")),
        }
    }

    /// Whether an answer is what a client of this way needs: a quick refusal is none.
    pub fn is_answered(&self, kind: Kind, status: u16, body: &[u8]) -> bool {
        match (self.way, kind) {
            (Way::Nacos, Kind::Register) => status == 200 && body == b"ok",
            (Way::Nacos, Kind::Heartbeat) => status == 200 && find(body, b"10200").is_some(),
            (Way::Nacos, Kind::List) => status == 200 && find(body, br#""hosts":[{"#).is_some(),
            (Way::Own, Kind::Register) => status == 200 || status == 201,
            (Way::Own, Kind::Heartbeat) => status == 204,
            (Way::Own, Kind::List) => status == 200 && find(body, br#""items":[{"#).is_some(),
        }
    }
}

/// A service of Looma's own API.
pub fn service(id: &str, name: &str, ttl_seconds: u32) -> String {
    format!(
        r#"{{"service_id":"{id}","service_name":"{name}","service_type":"load","service_url":"http://10.0.0.1:8000","ttl_seconds":{ttl_seconds},"tags":{{"stamp":"00000000"}}}}"#
    )
}

/// A request with a form, as clients of Nacos send it.
pub fn form(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let who = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: load\r\n{who}content-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_says_something_new() {
        let mut request = Request::stamped(service("a", "b", 15).into_bytes());
        let (first, second) = (request.renew(), request.clone().renew());
        assert_eq!(stamp_in(&request.bytes), Some(first));
        assert!(second > first);
        assert_eq!(Request::plain(b"00000000".to_vec()).renew(), 0);
    }
}
