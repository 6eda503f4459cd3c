//! Records of names beyond addresses: SRV (RFC 2782) and TXT (RFC 1035), asked of the system's name servers or of those that
//! the settings name.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::sync::OnceCell;

/// Records of one answer, and bytes of all of them.
const RECORDS: usize = 256;
const BYTES: usize = 64 << 10;

/// Asks name servers. Their addresses are read when they are first asked.
pub(in crate::plugins) struct Names {
    servers: Vec<SocketAddr>,
    resolver: OnceCell<TokioResolver>,
}

impl Names {
    /// Asks `servers`; the system's when there is none.
    pub(in crate::plugins) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, resolver: OnceCell::new() }
    }

    /// The SRV records of a name, each as `PRIORITY WEIGHT PORT TARGET`, in the order of the answer.
    pub(super) async fn srv(&self, name: &str, within: Duration) -> Result<Vec<String>, String> {
        self.ask(name, RecordType::SRV, within).await
    }

    /// The TXT records of a name, each as one text.
    pub(super) async fn txt(&self, name: &str, within: Duration) -> Result<Vec<String>, String> {
        self.ask(name, RecordType::TXT, within).await
    }

    async fn ask(&self, name: &str, kind: RecordType, within: Duration) -> Result<Vec<String>, String> {
        let mut full = Name::from_ascii(name).map_err(|error| format!("{name:?} is not a name: {error}"))?;
        // What is asked for is this name, and not one below the domain of the machine.
        full.set_fqdn(true);
        let resolver = self.resolver.get_or_try_init(async || self.build()).await?;
        let found = match tokio::time::timeout(within, resolver.lookup(full, kind)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if error.is_nx_domain() => return Err(format!("there is no name {name}")),
            Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
            Ok(Err(error)) => return Err(format!("could not resolve {name}: {error}")),
            Err(_) => return Err(format!("could not resolve {name} in time")),
        };
        let texts: Vec<String> = found.answers().iter().filter_map(|record| text(&record.data, kind)).collect();
        let bytes: usize = texts.iter().map(String::len).sum();
        if texts.len() > RECORDS || bytes > BYTES {
            return Err(format!("{name} has more than {RECORDS} records or {BYTES} bytes of them"));
        }
        Ok(texts)
    }

    fn build(&self) -> Result<TokioResolver, String> {
        let builder = match self.servers.as_slice() {
            [] => Resolver::builder_tokio()
                .map_err(|error| format!("could not read the system's name servers: {error}"))?,
            servers => {
                let servers = servers.iter().copied().map(server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.build().map_err(|error| format!("could not ask name servers: {error}"))
    }
}

fn server(at: SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = at.port();
        connection
    };
    NameServerConfig::new(at.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
}

fn text(data: &RData, kind: RecordType) -> Option<String> {
    match (kind, data) {
        (RecordType::SRV, RData::SRV(srv)) => {
            let target = srv.target.to_ascii();
            let target = if target.len() > 1 { target.trim_end_matches('.') } else { &target };
            Some(format!("{} {} {} {target}", srv.priority, srv.weight, srv.port))
        }
        (RecordType::TXT, RData::TXT(txt)) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    const SRV: u16 = 33;
    const TXT: u16 = 16;

    /// Encodes a name (RFC 1035, section 3.1).
    fn encoded(name: &str) -> Vec<u8> {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect()
    }

    /// An answer of a name server to one question: `records` under the name that was asked for, or that there is no such name.
    fn answer(question: &[u8], records: Option<&[Vec<u8>]>) -> Vec<u8> {
        let end = 12 + question[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
        let (flags, count) = match records {
            Some(records) => ([0x81, 0x80], records.len() as u8),
            None => ([0x81, 0x83], 0),
        };
        let mut out = [&question[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0], &question[12..end]].concat();
        for data in records.unwrap_or_default() {
            let kind = &question[end - 4..end - 2];
            let length = (data.len() as u16).to_be_bytes();
            out.extend([&[0xc0, 12], kind, &[0, 1, 0, 0, 0, 60], &length[..], data].concat());
        }
        out
    }

    async fn name_server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test's own peer")]
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = &buffer[..length];
                let asks = |name: &str, kind: u16| {
                    question[12..]
                        .to_ascii_lowercase()
                        .starts_with(&[encoded(name), kind.to_be_bytes().to_vec()].concat())
                };
                let srv = |priority: u8, target: &str| {
                    [&[0, priority, 0, 5, 0x1f, 0x90], encoded(target).as_slice()].concat()
                };
                let sent = if asks("_http._tcp.example.test", SRV) {
                    answer(question, Some(&[srv(10, "a.example.test"), srv(20, "b.example.test")]))
                } else if asks("example.test", TXT) {
                    answer(question, Some(&[b"\x05hello\x06 there".to_vec()]))
                } else if asks("empty.test", TXT) {
                    answer(question, Some(&[]))
                } else if asks("many.test", TXT) {
                    continue;
                } else {
                    answer(question, None)
                };
                socket.send_to(&sent, from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn records_are_read_as_text() {
        let names = Names::new(vec![name_server().await]);
        let within = Duration::from_secs(10);
        let srv = names.srv("_http._tcp.example.test", within).await.unwrap();
        assert_eq!(srv, ["10 5 8080 a.example.test", "20 5 8080 b.example.test"]);
        assert_eq!(names.txt("example.test.", within).await.unwrap(), ["hello there"]);
        assert_eq!(names.txt("empty.test", within).await.unwrap(), Vec::<String>::new());
        let missing = names.txt("nowhere.test", within).await.unwrap_err();
        assert!(missing.contains("there is no name nowhere.test"), "{missing}");
        let wrong = names.txt(&"a".repeat(300), within).await.unwrap_err();
        assert!(wrong.contains("is not a name"), "{wrong}");
        let late = names.txt("many.test", Duration::from_millis(50)).await.unwrap_err();
        assert!(late.contains("in time"), "{late}");
    }
}
