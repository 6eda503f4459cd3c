//! Where a server is and who is asking: for the subcommands that speak to one.

use std::path::PathBuf;

/// Which server, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Connect {
    /// The server's address.
    #[arg(long, value_name = "URL", env = "LOOMA_URL", default_value = "http://127.0.0.1:7600")]
    pub server: String,
    /// An API token or an access token. Without one, whoever can read the first administrator's password signs in with it.
    #[arg(long, value_name = "TOKEN", env = "LOOMA_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The server's data folder, for the file `admin-password` in it.
    #[arg(long, value_name = "DIR", env = "LOOMA_DATA", default_value = "data")]
    pub data: PathBuf,
}

impl Connect {
    /// The first administrator's password: of the environment, or of the file that the first start has written. A file
    /// is used for a server on this machine alone.
    pub fn admin_password(&self) -> Option<String> {
        super::admin_password().or_else(|| {
            let file = self.data.join("admin-password");
            let text = self.is_local().then(|| std::fs::read_to_string(file).ok()).flatten();
            text.map(|text| text.trim().to_owned()).filter(|password| !password.is_empty())
        })
    }

    fn is_local(&self) -> bool {
        let Ok(url) = reqwest::Url::parse(&self.server) else { return false };
        match url.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
            None => false,
        }
    }
}
