//! The registry as a zone of DNS.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `[dns]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Address and port, over UDP and TCP. Absent: nobody is answered.
    pub listen: Option<SocketAddr>,
    /// The zone, as `looma` or `looma.example.com`.
    pub domain: String,
    /// Whom it answers, as `10.0.0.0/8` or an address: DNS knows no tokens. Loopback when empty; where it listens elsewhere,
    /// they must be said.
    pub networks: Vec<String>,
    /// How many connections over TCP are served at a time; more are closed at once.
    pub tcp_connections: usize,
    /// How long a connection over TCP may wait for its next question, or for its answer to be read, in seconds.
    pub tcp_idle_seconds: u64,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            listen: None,
            domain: "looma".to_owned(),
            networks: Vec::new(),
            tcp_connections: 256,
            tcp_idle_seconds: 10,
        }
    }
}

impl Dns {
    /// The networks that are answered.
    pub fn clients(&self) -> Result<Vec<IpNet>, String> {
        let read = |text: &String| {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            network.ok_or_else(|| format!("dns.networks: {text:?} is neither a network, as 10.0.0.0/8, nor an address"))
        };
        match self.networks.is_empty() {
            true => ["127.0.0.0/8".to_owned(), "::1".to_owned()].iter().map(read).collect(),
            false => self.networks.iter().map(read).collect(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.clients()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let labels = self.domain.strip_suffix('.').unwrap_or(&self.domain).split('.');
        let good = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(plain);
        match self {
            Self { domain, .. } if domain.len() > 100 || !labels.into_iter().all(good) => {
                Err("dns.domain must be labels of A-Z a-z 0-9 - _ with dots between, at most 100 characters".to_owned())
            }
            Self { listen: Some(listen), networks, .. } if !listen.ip().is_loopback() && networks.is_empty() => Err(
                format!("dns.networks must say whom to answer: DNS has no tokens, and {listen} is no loopback address"),
            ),
            Self { tcp_connections: 0, .. } => Err("dns.tcp_connections must be at least 1".to_owned()),
            Self { tcp_idle_seconds: 0, .. } => Err("dns.tcp_idle_seconds must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut Dns)) -> Option<String> {
        let mut dns = Dns::default();
        change(&mut dns);
        dns.check().err()
    }

    #[test]
    fn it_is_off_and_good_with_nothing_said() {
        assert_eq!((fault(|_| ()), Dns::default().listen), (None, None));
        assert_eq!(Dns::default().clients().unwrap().len(), 2);
    }

    #[test]
    fn listening_elsewhere_wants_the_networks_said() {
        for (listen, networks, bad) in [
            ("127.0.0.1:53", vec![], false),
            ("[::1]:53", vec![], false),
            ("0.0.0.0:53", vec![], true),
            ("10.0.0.7:53", vec![], true),
            ("10.0.0.7:53", vec!["10.0.0.0/8", "::1", "10.1.2.3"], false),
            ("127.0.0.1:53", vec!["10.0.0.0/99"], true),
        ] {
            let fault = fault(|dns| {
                dns.listen = Some(listen.parse().unwrap());
                dns.networks = networks.iter().map(|text| (*text).to_owned()).collect();
            });
            assert_eq!(fault.is_some(), bad, "{listen} {networks:?}: {fault:?}");
            assert!(fault.is_none_or(|fault| fault.starts_with("dns.networks")), "{listen}");
        }
    }

    #[test]
    fn a_domain_is_labels() {
        for (domain, bad) in [
            ("looma", false),
            ("looma.", false),
            ("a.b-c.example", false),
            ("", true),
            (".", true),
            ("a..b", true),
            ("ä", true),
        ] {
            assert_eq!(fault(|dns| dns.domain = domain.to_owned()).is_some(), bad, "{domain:?}");
        }
    }
}
