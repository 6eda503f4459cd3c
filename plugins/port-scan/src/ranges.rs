//! Addresses and ports as people write them, counted and reached by position, never spelled out in memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use looma_plugin_sdk::{Problem, problem};

/// Hosts in the order written.
pub(crate) struct Hosts(Vec<Host>);

enum Host {
    Name(String),
    Range { first: u128, count: u64, is_v4: bool },
}

impl Hosts {
    /// Reads hosts; each that cannot be read is a fault and left out.
    pub(crate) fn parse(texts: &[String], faults: &mut Vec<Problem>) -> Self {
        let mut hosts = Vec::new();
        if texts.is_empty() {
            faults.push(problem("/hosts", "at least one is needed"));
        }
        for (i, text) in texts.iter().enumerate() {
            match Host::parse(text) {
                Ok(host) => hosts.push(host),
                Err(message) => faults.push(problem(format!("/hosts/{i}"), message)),
            }
        }
        Self(hosts)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(Host::count).fold(0, u64::saturating_add)
    }

    /// The host at a position.
    pub(crate) fn at(&self, mut position: u64) -> Option<String> {
        for host in &self.0 {
            if position < host.count() {
                return Some(host.at(position));
            }
            position -= host.count();
        }
        None
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::range(address, 0));
        }
        let Some((address, prefix)) = text.split_once('/') else {
            return Self::name(text);
        };
        let address: IpAddr = address.parse().map_err(|_| format!("{address:?} is not an address"))?;
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 =
            prefix.parse().ok().filter(|&p| p <= bits).ok_or_else(|| format!("the prefix is 0 to {bits}"))?;
        Ok(Self::range(address, bits - prefix))
    }

    fn name(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match text.is_empty() || text.len() > 253 || !text.chars().all(allowed) {
            true => Err(format!("{text:?} is not an address, a range or a name")),
            false => Ok(Self::Name(text.to_owned())),
        }
    }

    /// The addresses that share all but the last `free` bits. An IPv4 range wider than /31 leaves out its first and last
    /// address, which name the network and everybody in it.
    fn range(address: IpAddr, free: u32) -> Self {
        let (number, is_v4) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), true),
            IpAddr::V6(address) => (u128::from(address), false),
        };
        let first = if free >= 128 { 0 } else { number >> free << free };
        let count = if free >= 63 { u64::MAX } else { 1_u64 << free };
        match is_v4 && free >= 2 {
            true => Self::Range { first: first + 1, count: count - 2, is_v4 },
            false => Self::Range { first, count, is_v4 },
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Name(_) => 1,
            Self::Range { count, .. } => *count,
        }
    }

    fn at(&self, position: u64) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Range { first, is_v4: true, .. } => {
                Ipv4Addr::from((*first as u32).wrapping_add(position as u32)).to_string()
            }
            Self::Range { first, .. } => Ipv6Addr::from(first.wrapping_add(u128::from(position))).to_string(),
        }
    }
}

/// Ports in the order written.
pub(crate) struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// Reads `8000-8100,9000`; each part that cannot be read is a fault and left out.
    pub(crate) fn parse(text: &str, faults: &mut Vec<Problem>) -> Self {
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                (Ok(first), Ok(last)) if 0 < first && first <= last => ranges.push((first, last)),
                _ => faults.push(problem("/ports", format!("{part:?} is not a port or a range as 8000-8100"))),
            }
        }
        Self(ranges)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// The port at a position.
    pub(crate) fn at(&self, mut position: u64) -> Option<u16> {
        for (first, last) in &self.0 {
            let count = u64::from(last - first) + 1;
            if position < count {
                return Some(first + position as u16);
            }
            position -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Vec<String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let mut faults = Vec::new();
        let hosts = Hosts::parse(&texts, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        (0..hosts.count()).map(|i| hosts.at(i).unwrap()).collect()
    }

    #[test]
    fn a_range_is_its_hosts() {
        assert_eq!(hosts(&["10.0.0.5/30", "a.b"]), ["10.0.0.5", "10.0.0.6", "a.b"]);
        assert_eq!(hosts(&["10.0.0.4/31"]), ["10.0.0.4", "10.0.0.5"]);
        assert_eq!(hosts(&["fd00::/127"]), ["fd00::", "fd00::1"]);
    }

    #[test]
    fn ports_are_counted_without_gaps() {
        let mut faults = Vec::new();
        let ports = Ports::parse("8000-8002, 9000", &mut faults);
        let all: Vec<u16> = (0..ports.count()).map(|i| ports.at(i).unwrap()).collect();
        assert_eq!(all, [8000, 8001, 8002, 9000]);
        Ports::parse("8100-8000,x", &mut faults);
        assert_eq!(faults.len(), 2);
    }
}
