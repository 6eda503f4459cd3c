//! Clients that connect to addresses that were checked, and to no others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;

use crate::plugins::bindings::looma::host::http::HttpError;
use crate::plugins::host_api::{Reach, address};

const CLIENTS: usize = 128;

type ClientKey = (String, Vec<SocketAddr>);

/// One client a host and its addresses.
#[derive(Default)]
pub(in crate::plugins) struct HttpClients {
    clients: Mutex<HashMap<ClientKey, Client>>,
    /// What names lead to, answer by answer; when there is none left, the system says.
    #[cfg(test)]
    pub(in crate::plugins) answers: Mutex<std::collections::VecDeque<Vec<SocketAddr>>>,
}

impl HttpClients {
    /// The addresses of a host.
    pub(super) async fn resolve(&self, reach: &Reach, host: &str, port: u16) -> Result<Vec<SocketAddr>, HttpError> {
        #[cfg(test)]
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Ok(answer);
        }
        let addresses = address::resolve(reach, host, port, reach.remaining()).await;
        addresses.map_err(|error| HttpError::Dns(error.to_string()))
    }

    /// A client that takes `host` for `addresses`, whatever a name server says by then. It follows no redirect, takes no proxy,
    /// tries nothing twice and unpacks nothing.
    pub(super) fn client(&self, host: &str, mut addresses: Vec<SocketAddr>) -> Result<Client, HttpError> {
        addresses.sort_unstable();
        let key = (host.to_owned(), addresses);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        // A second installation is refused, and then the first one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .resolve_to_addrs(host, &key.1)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .user_agent("looma")
            .build()
            .map_err(|error| HttpError::Tls(format!("could not make an HTTP client: {error}")))?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}
