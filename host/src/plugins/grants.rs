//! What an operator lets a plugin do. Nothing is granted by default; whatever cannot be read is refused, each fault told.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wasm::limits::Limits;

use super::types::Problem;

const MIB: u64 = 1 << 20;

/// Grants as they are stored and sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginGrants)]
#[serde(default, deny_unknown_fields)]
pub struct GrantsText {
    /// `[METHOD ]SCHEME://HOST[:PORT]`, where HOST may begin with `*.`
    pub http: Vec<String>,
    /// `ADDRESS[/PREFIX]:PORTS`, where PORTS is `*`, `N` or `N-M`
    pub net: Vec<String>,
    /// names of secrets that the host puts into requests
    pub secrets: Vec<String>,
    /// whether it may send mail
    pub mail: bool,
    /// bytes of its key-value store; each key counts 64 more
    pub kv_bytes: u64,
    /// memory of one instance; 0 takes the server's default
    pub memory_bytes: u64,
    /// time of one call; 0 takes the server's default
    pub deadline_ms: u64,
}

/// Grants in a form that can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// places that HTTP requests may go to
    pub http: Vec<HttpGrant>,
    /// address ranges that connections may go to
    pub net: Vec<NetGrant>,
    /// names of secrets
    pub secrets: Vec<String>,
    /// whether it may send mail
    pub mail: bool,
    /// bytes of its key-value store
    pub kv_bytes: u64,
    memory_bytes: Option<usize>,
    deadline: Option<Duration>,
}

impl Grants {
    /// Reads grants and tells every fault.
    pub fn parse(text: &GrantsText) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let http = each(&text.http, "http", &mut problems);
        let net = each(&text.net, "net", &mut problems);
        for (i, secret) in text.secrets.iter().enumerate() {
            if secret.is_empty() || secret.len() > 255 {
                problems.push(problem(format!("/secrets/{i}"), "a secret's name has 1 to 255 characters"));
            }
        }
        if text.kv_bytes > 64 * MIB {
            problems.push(problem("/kv_bytes".to_owned(), "at most 67108864"));
        }
        if text.memory_bytes != 0 && !(MIB..=512 * MIB).contains(&text.memory_bytes) {
            problems.push(problem("/memory_bytes".to_owned(), "0 for the default, or 1048576 to 536870912"));
        }
        if text.deadline_ms != 0 && !(10..=300_000).contains(&text.deadline_ms) {
            problems.push(problem("/deadline_ms".to_owned(), "0 for the default, or 10 to 300000"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            http,
            net,
            secrets: text.secrets.clone(),
            mail: text.mail,
            kv_bytes: text.kv_bytes,
            memory_bytes: usize::try_from(text.memory_bytes).ok().filter(|&bytes| bytes != 0),
            deadline: Some(Duration::from_millis(text.deadline_ms)).filter(|deadline| !deadline.is_zero()),
        })
    }

    /// The limits of an instance under these grants; `defaults` for what they do not say.
    pub fn limits(&self, defaults: Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.unwrap_or(defaults.memory_bytes),
            deadline: self.deadline.unwrap_or(defaults.deadline),
            ..defaults
        }
    }

    /// Where a request goes, when it is granted. `method` is as it is sent.
    pub fn place(&self, method: &str, url: &Url) -> Result<Place<'_>, NoPlace> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NoPlace::Unfit("the scheme is http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoPlace::Unfit("a URL must not carry a user or password; use a secret"));
        }
        let host = url.host_str().ok_or(NoPlace::Unfit("the URL has no host"))?;
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default().ok_or(NoPlace::Unfit("the URL has no port"))?;
        let grant = self.http.iter().find(|grant| grant.allows(method, url.scheme(), &host, port));
        grant.map(|grant| Place { host, port, grant }).ok_or(NoPlace::NotGranted)
    }

    /// Whether a range covers this address and port.
    pub fn covers(&self, address: IpAddr, port: u16) -> bool {
        self.net.iter().any(|grant| grant.range.contains(&address.to_canonical()) && grant.ports.contains(&port))
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// lower-case host, an IPv6 address without brackets
    pub host: String,
    /// the port
    pub port: u16,
    /// what allows it
    pub grant: &'a HttpGrant,
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// No plugin may send one like this.
    Unfit(&'static str),
    /// This one is granted nothing that fits.
    NotGranted,
}

/// A place that HTTP requests may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// the one method it is for, or all
    pub method: Option<String>,
    /// `http` or `https`
    pub scheme: String,
    /// lower-case host; with `subdomains`, what they end in
    pub host: String,
    /// whether the grant is for all names below `host`, and not for `host`
    pub subdomains: bool,
    /// the port
    pub port: u16,
}

impl HttpGrant {
    /// Whether the grant is for a request like this. `host` is lower-case, an IPv6 address without brackets.
    pub fn allows(&self, method: &str, scheme: &str, host: &str, port: u16) -> bool {
        let host_fits = match self.subdomains {
            true => host.strip_suffix(&self.host).is_some_and(|front| front.len() > 1 && front.ends_with('.')),
            false => host == self.host,
        };
        host_fits
            && self.scheme == scheme
            && self.port == port
            && self.method.as_ref().is_none_or(|granted| granted == method)
    }

    /// The address that the grant itself names, if it names one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HttpGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not of the form [METHOD ]SCHEME://HOST[:PORT]");
        let (method, url) = match text.split_once(' ') {
            Some((method, url)) if !method.is_empty() && method.bytes().all(|c| c.is_ascii_uppercase()) => {
                (Some(method.to_owned()), url)
            }
            Some(_) => return Err(form()),
            None => (None, text),
        };
        let (wildcard, plain) = match url.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, url.to_owned()),
        };
        let url = Url::parse(&plain).map_err(|_| form())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{text:?}: the scheme is http or https"));
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() || plain.ends_with('/') {
            return Err(format!("{text:?}: a grant is for a whole host, with no path, query or user"));
        }
        let host = url.host_str().ok_or_else(form)?.trim_matches(['[', ']']).to_ascii_lowercase();
        if wildcard && host.parse::<IpAddr>().is_ok() {
            return Err(format!("{text:?}: an address has no subdomains"));
        }
        if host.contains('*') {
            return Err(format!("{text:?}: `*` stands at the front alone, as in https://*.example.com"));
        }
        let port = url.port_or_known_default().ok_or_else(form)?;
        Ok(Self { method, scheme: url.scheme().to_owned(), host, subdomains: wildcard, port })
    }
}

/// An address range with ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetGrant {
    /// the addresses
    pub range: IpNet,
    /// the ports
    pub ports: RangeInclusive<u16>,
}

impl FromStr for NetGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("{text:?} is not of the form ADDRESS[/PREFIX]:PORTS, as 10.0.0.0/8:8000-8100 or [fd00::/8]:*");
        let (range, ports) = text.rsplit_once(':').ok_or_else(form)?;
        let range = range.trim_start_matches('[').trim_end_matches(']');
        let range = range.parse::<IpNet>().or_else(|_| range.parse::<IpAddr>().map(IpNet::from)).map_err(|_| form())?;
        let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port"));
        let ports = match ports.split_once('-') {
            _ if ports == "*" => 0..=u16::MAX,
            Some((first, last)) => port(first)?..=port(last)?,
            None => port(ports)?..=port(ports)?,
        };
        if ports.is_empty() {
            return Err(format!("{text:?}: the first port is above the last"));
        }
        Ok(Self { range: range.trunc(), ports })
    }
}

fn each<T: FromStr<Err = String>>(texts: &[String], field: &str, problems: &mut Vec<Problem>) -> Vec<T> {
    let mut read = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        match text.parse::<T>() {
            Ok(grant) => read.push(grant),
            Err(message) => problems.push(problem(format!("/{field}/{i}"), &message)),
        }
    }
    read
}

fn problem(pointer: String, message: &str) -> Problem {
    Problem { pointer, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(http: &[&str], net: &[&str]) -> Result<Grants, Vec<Problem>> {
        let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Grants::parse(&GrantsText { http: own(http), net: own(net), ..GrantsText::default() })
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = GrantsText {
            http: vec!["https://a.example/x".to_owned(), "ftp://a".to_owned(), "https://ok.example".to_owned()],
            net: vec!["10.0.0.0/8".to_owned(), "10.0.0.0/8:9-1".to_owned()],
            deadline_ms: 1,
            ..GrantsText::default()
        };
        let pointers: Vec<String> = Grants::parse(&text).unwrap_err().into_iter().map(|p| p.pointer).collect();
        assert_eq!(pointers, ["/http/0", "/http/1", "/net/0", "/net/1", "/deadline_ms"]);
    }

    #[test]
    fn a_wildcard_is_for_names_below_alone() {
        let grants = grants(&["GET https://*.example.com"], &[]).unwrap();
        let grant = &grants.http[0];
        assert!(grant.allows("GET", "https", "a.example.com", 443));
        assert!(!grant.allows("GET", "https", "example.com", 443));
        assert!(!grant.allows("GET", "https", "evilexample.com", 443));
        assert!(!grant.allows("POST", "https", "a.example.com", 443));
        assert!(!grant.allows("GET", "https", "a.example.com", 8443));
    }

    #[test]
    fn ranges_cover_mapped_addresses_and_their_ports() {
        let grants = grants(&[], &["10.0.0.0/8:8000-8100", "[fd00::/8]:*"]).unwrap();
        assert!(grants.covers("10.1.2.3".parse().unwrap(), 8000));
        assert!(grants.covers("::ffff:10.1.2.3".parse().unwrap(), 8100));
        assert!(!grants.covers("10.1.2.3".parse().unwrap(), 8101));
        assert!(grants.covers("fd12::1".parse().unwrap(), 1));
    }
}
