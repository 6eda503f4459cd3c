//! Bundled discovery strategy: looks which ports of which addresses answer, and calls each that does a service. The host makes
//! the connections, many at once, within granted ranges alone.

mod ranges;

use looma_plugin_sdk::host::net::{self, Endpoint, NetError};
use looma_plugin_sdk::{Health, Page, Plugin, PluginError, Problem, Strategy, Target, permanent, problem};
use ranges::{Hosts, Ports};
use serde::Deserialize;

/// Endpoints that one configuration may name in all.
const MOST: u64 = 262_144;
/// Connections that the host makes at once, and the milliseconds that one page may take of a call's time.
const AT_ONCE: u64 = 512;
const PAGE_MS: u32 = 2_500;
const DEFAULT_TIMEOUT_MS: u32 = 500;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// addresses, ranges as `10.0.0.0/28`, or names
    pub hosts: Vec<String>,
    /// ports and ranges of them, as `8000-8100,9000`
    pub ports: String,
    /// what the services found are called; `scan` unless told otherwise
    #[serde(default)]
    pub service_name: Option<String>,
    /// their type; `unknown` unless told otherwise
    #[serde(default)]
    pub service_type: Option<String>,
    /// how long to wait for each
    #[serde(default)]
    pub timeout_ms: Option<u32>,
}

/// The plugin.
pub struct PortScan;

impl Plugin for PortScan {
    type Config = Config;
    const NAME: &'static str = "port-scan";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let mut faults = Vec::new();
        let hosts = Hosts::parse(&config.hosts, &mut faults);
        let ports = Ports::parse(&config.ports, &mut faults);
        let all = hosts.count().saturating_mul(ports.count());
        if all > MOST {
            faults.push(problem("", format!("{all} endpoints are too many, at most {MOST} are looked at")));
        }
        if config.timeout_ms.is_some_and(|ms| !(10..=PAGE_MS).contains(&ms)) {
            faults.push(problem("/timeout_ms", "must be 10 to 2500"));
        }
        faults
    }
}

impl Strategy for PortScan {
    fn discover(config: &Config, cursor: Option<&str>) -> Result<Page, PluginError> {
        // Faults were told when the configuration was read.
        let mut faults = Vec::new();
        let (hosts, ports) = (Hosts::parse(&config.hosts, &mut faults), Ports::parse(&config.ports, &mut faults));
        let all = hosts.count() * ports.count();
        let from = cursor.map_or(Ok(0), str::parse::<u64>).map_err(|_| permanent("the cursor is not one of ours"))?;
        let timeout_ms = config.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        let to = all.min(from.saturating_add(page(timeout_ms)));
        let endpoint =
            |i: u64| Some(Endpoint { host: hosts.at(i / ports.count())?, port: ports.at(i % ports.count())? });
        let endpoints: Vec<Endpoint> = (from..to).filter_map(endpoint).collect();
        let answers = net::connect_all(&endpoints, timeout_ms);
        if let Some(why) = refusal(&answers) {
            return Err(permanent(why));
        }
        let found =
            endpoints.iter().zip(&answers).filter_map(|(endpoint, answer)| Some((endpoint, *answer.as_ref().ok()?)));
        let targets = found.map(|(endpoint, micros)| target(config, endpoint, micros)).collect();
        Ok(Page { targets, next: (to < all).then(|| to.to_string()) })
    }
}

looma_plugin_sdk::strategy!(PortScan);

/// Endpoints of a page: as many as can be looked at in its time when none of them answers.
fn page(timeout_ms: u32) -> u64 {
    AT_ONCE * u64::from((PAGE_MS / timeout_ms.max(1)).clamp(1, 8))
}

/// An endpoint that was not looked at fails the page: a service that may well be there must not look as if it was gone.
fn refusal(answers: &[Result<u32, NetError>]) -> Option<&str> {
    answers.iter().find_map(|answer| match answer {
        Err(NetError::Denied(why)) => Some(why.as_str()),
        _ => None,
    })
}

fn target(config: &Config, Endpoint { host, port }: &Endpoint, micros: u32) -> Target {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Target {
        service_id: format!("scan-{host}-{port}"),
        service_name: config.service_name.clone().unwrap_or_else(|| "scan".to_owned()),
        service_type: config.service_type.clone().unwrap_or_else(|| "unknown".to_owned()),
        url: format!("http://{bracketed}:{port}"),
        node_id: None,
        health: Health::Healthy,
        metadata: vec![("host".to_owned(), host.clone()), ("connect_micros".to_owned(), micros.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use looma_plugin_sdk::config::check;

    #[test]
    fn too_much_to_look_at_is_a_fault() {
        assert!(check::<PortScan>(r#"{"hosts": ["10.0.0.0/28", "a.example"], "ports": "8000-8100,9000"}"#).is_empty());
        let faults = check::<PortScan>(r#"{"hosts": ["10.0.0.0/8"], "ports": "1-65535"}"#);
        assert!(faults[0].message.contains("too many"), "{faults:?}");
    }

    #[test]
    fn a_target_says_where_it_answers() {
        let config =
            Config { hosts: vec![], ports: String::new(), service_name: None, service_type: None, timeout_ms: None };
        let target = target(&config, &Endpoint { host: "10.0.0.7".to_owned(), port: 8001 }, 210);
        assert_eq!((target.service_id.as_str(), target.url.as_str()), ("scan-10.0.0.7-8001", "http://10.0.0.7:8001"));
    }

    #[test]
    fn an_endpoint_that_was_not_looked_at_fails_the_page() {
        assert_eq!(refusal(&[Ok(3), Err(NetError::Denied("no".to_owned()))]), Some("no"));
        assert_eq!(refusal(&[Ok(3), Err(NetError::Refused), Err(NetError::Timeout)]), None);
    }

    #[test]
    fn a_page_fits_into_its_time() {
        for timeout_ms in [10, 500, 2_500] {
            assert!(page(timeout_ms) / AT_ONCE * u64::from(timeout_ms) <= u64::from(PAGE_MS));
        }
    }
}
