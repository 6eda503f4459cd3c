//! Host and port, as other systems name where a service answers, and the URL that the registry keeps.

use crate::http::error::Faults;

/// What a URL says of where a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'u> {
    /// Without brackets where it is an IPv6 address.
    pub host: &'u str,
    /// 0: it was registered without one.
    pub port: u16,
}

/// The schemes that a service may have.
const SCHEMES: [&str; 4] = ["http", "https", "tcp", "grpc"];

impl<'u> Endpoint<'u> {
    /// Reads a URL; `None` if it has no port and its scheme has none of its own.
    pub fn of(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match (port.filter(|port| !port.is_empty()), scheme) {
            (Some(port), _) => port.parse().ok()?,
            (None, "http") => 80,
            (None, "https") => 443,
            (None, _) => return None,
        };
        Some(Self { host, port })
    }

    /// The URL of it, with the scheme that `labels` give (`scheme`, or `secure` as Spring has it), or http.
    pub fn url<'l>(self, label: impl Fn(&str) -> Option<&'l str>) -> Result<String, Faults> {
        let Self { host, port } = self;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(Faults::one("", format!("{host:?} is no address or host name")));
        }
        let scheme = match (label("scheme").filter(|scheme| SCHEMES.contains(scheme)), label("secure")) {
            (Some(scheme), _) => scheme,
            (None, Some("true")) => "https",
            (None, _) => "http",
        };
        Ok(match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (host, port) in [("10.0.0.7", 8002), ("Web.Example", 0), ("fd00::1", 65535), ("fe80::1%eth0", 1)] {
            let endpoint = Endpoint { host, port };
            for scheme in SCHEMES {
                let url = endpoint.url(|name| (name == "scheme").then_some(scheme)).unwrap();
                assert_eq!(Endpoint::of(&url), Some(endpoint), "{url}");
            }
        }
        assert!(Endpoint { host: "a/b", port: 1 }.url(|_| None).is_err());
    }

    #[test]
    fn a_url_need_not_name_the_port_of_its_scheme() {
        assert_eq!(Endpoint::of("https://h/x?y"), Some(Endpoint { host: "h", port: 443 }));
        assert_eq!(Endpoint::of("http://[::1]/"), Some(Endpoint { host: "::1", port: 80 }));
        assert_eq!((Endpoint::of("tcp://h"), Endpoint::of("h:1")), (None, None));
    }
}
