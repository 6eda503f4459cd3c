//! Where a check goes, and where none may go.
//!
//! Services are on private addresses, so checks go there. They do not go to link-local addresses, nor to those where
//! providers show what a machine is and what it may: whoever may register a service must not have the server ask there.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

use crate::http::inner::{Inner, inner};

/// Whether link-local addresses and those of metadata may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// They may.
    Everything,
    /// They may not.
    NoMetadata,
}

fn is_forbidden(ip: IpAddr) -> bool {
    matches!(inner(ip), Some(Inner::LinkLocal | Inner::Metadata))
}

impl Reach {
    /// Refuses an address that may not be asked.
    pub(super) fn allow(self, ip: IpAddr) -> Result<(), String> {
        match self {
            Self::NoMetadata if is_forbidden(ip) => {
                Err(format!("{ip} is a link-local address or one of metadata, which checks may not ask"))
            }
            _ => Ok(()),
        }
    }

    /// The addresses of a host that may be asked.
    pub(super) async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| format!("could not resolve {host}: {error}"))?.collect();
        let allowed: Result<Vec<SocketAddr>, String> =
            found.into_iter().map(|address| self.allow(address.ip()).map(|()| address)).collect();
        match allowed {
            Ok(none) if none.is_empty() => Err(format!("{host} has no address")),
            allowed => allowed,
        }
    }
}

/// The host and port of a URL.
pub(super) fn host_and_port(url: &Url) -> Result<(String, u16), String> {
    let host = url.host_str().ok_or("the URL names no host")?;
    let port = url.port_or_known_default().ok_or("the URL names no port")?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

/// What a check over HTTP asks for: `path` at the host of `url`.
pub(super) fn http_url(url: &Url, path: Option<&str>) -> Result<Url, String> {
    let scheme = if url.scheme() == "https" { "https" } else { "http" };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().map(|port| format!(":{port}")));
    let own = || url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let path = path.map_or_else(own, str::to_owned);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = format!("{scheme}://{host}{}{slash}{path}", port.unwrap_or_default());
    Url::parse(&text).map_err(|error| format!("{text} is no URL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_refused_in_every_spelling() {
        for ip in [
            "169.254.169.254",
            "169.254.1.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "168.63.129.16",
            "100.100.100.200",
            "64:ff9b::a9fe:a9fe",
            "::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
        ] {
            assert!(Reach::NoMetadata.allow(ip.parse().unwrap()).is_err(), "{ip}");
            assert!(Reach::Everything.allow(ip.parse().unwrap()).is_ok(), "{ip}");
        }
        for ip in ["127.0.0.1", "10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "::1", "fd00::1", "8.8.8.8"] {
            assert!(Reach::NoMetadata.allow(ip.parse().unwrap()).is_ok(), "{ip}");
        }
    }

    #[test]
    fn a_path_never_leads_to_another_host() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (own, path, asked) in [
            ("http://h:8002/api?x=1", Some("/health"), "http://h:8002/health"),
            ("http://h:8002/api?x=1", None, "http://h:8002/api?x=1"),
            ("https://h", Some("//other/x?y"), "https://h//other/x?y"),
            ("http://h", Some("/\\other"), "http://h//other"),
            ("http://[::1]:80/", Some("/a"), "http://[::1]/a"),
            ("tcp://h:9", Some("/a"), "http://h:9/a"),
            ("grpc://h:9", None, "http://h:9/"),
        ] {
            assert_eq!(http_url(&url(own), path).unwrap().as_str(), asked);
        }
        assert_eq!(host_and_port(&url("https://h")), Ok(("h".to_owned(), 443)));
        assert_eq!(host_and_port(&url("grpc://[::1]:9")), Ok(("::1".to_owned(), 9)));
    }
}
