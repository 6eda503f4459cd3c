//! `looma service|node|alert|plugin list` and `… get ID`: thin callers of the REST API.

use std::io::{IsTerminal as _, Write as _};

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use super::serve::runtime;
use crate::{
    client::{Client, Credentials},
    settings::Connect,
};

/// A kind of thing that can be looked at.
#[derive(Clone, Copy)]
pub struct Kind {
    path: &'static str,
    columns: &'static [&'static str],
}

/// Services.
pub const SERVICES: Kind = Kind {
    path: "services",
    columns: &[
        "service_id",
        "service_name",
        "service_type",
        "status",
        "health_status",
        "service_url",
        "last_heartbeat",
    ],
};
/// Nodes.
pub const NODES: Kind = Kind {
    path: "nodes",
    columns: &["node_id", "node_name", "node_type", "status", "health_status", "host_address", "port", "last_seen"],
};
/// Alerts.
pub const ALERTS: Kind = Kind {
    path: "alerts",
    columns: &["id", "rule_name", "service_id", "alert_level", "status", "value", "message", "created_at"],
};
/// Plugins.
pub const PLUGINS: Kind =
    Kind { path: "plugins", columns: &["name", "kind", "version", "state", "source", "calls", "failures", "error"] };

/// What to look at.
#[derive(Subcommand)]
pub enum Look {
    /// Lists them.
    List {
        #[command(flatten)]
        connect: Connect,
        /// Only those of which a field has this value; may be given again.
        #[arg(long, value_name = "FIELD=VALUE", value_parser = filter)]
        filter: Vec<(String, String)>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// As the server says it.
        #[arg(long)]
        json: bool,
    },
    /// Shows one.
    Get {
        /// Its key.
        id: String,
        #[command(flatten)]
        connect: Connect,
        /// As the server says it.
        #[arg(long)]
        json: bool,
    },
}

fn filter(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("must be FIELD=VALUE")?;
    Ok((field.to_owned(), value.to_owned()))
}

/// The client that the flags and the environment ask for.
pub fn client(connect: &Connect) -> anyhow::Result<Client> {
    let credentials = match (&connect.token, connect.admin_password()) {
        (Some(token), _) => Credentials::Token(token.clone()),
        (None, Some(password)) => Credentials::Password { username: "admin".to_owned(), password },
        (None, None) => anyhow::bail!(
            "no token: give --token or LOOMA_TOKEN, or, for a server on this machine, its data folder with --data"
        ),
    };
    Ok(Client::new(&connect.server, credentials)?)
}

impl Look {
    /// Asks the server and prints what it says.
    pub fn run(self, kind: Kind) -> anyhow::Result<()> {
        match self {
            Self::List { connect, filter, limit, json } => {
                let client = client(&connect)?;
                let items = runtime()?.block_on(client.list::<Map<String, Value>>(&[kind.path], &filter, limit))?;
                if json { print(&serde_json::to_string_pretty(&items)?) } else { print(&rows(kind, &items)) }
            }
            Self::Get { id, connect, json } => {
                let client = client(&connect)?;
                let item = runtime()?.block_on(client.get::<Map<String, Value>>(&[kind.path, &id]))?;
                if json { print(&serde_json::to_string_pretty(&item)?) } else { print(&fields(&item)) }
            }
        }
    }
}

/// Borders and folded lines are for people; what is piped is one thing a line.
fn table() -> Table {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::NOTHING);
    }
    table
}

fn rows(kind: Kind, items: &[Map<String, Value>]) -> String {
    let mut table = table();
    table.set_header(kind.columns.iter().copied());
    for item in items {
        table.add_row(kind.columns.iter().map(|column| plain(item.get(*column))));
    }
    table.to_string()
}

fn fields(item: &Map<String, Value>) -> String {
    let mut table = table();
    for (field, value) in item {
        table.add_row([field.clone(), plain(Some(value))]);
    }
    table.to_string()
}

/// A value in a cell: text as it is, nothing as nothing, the rest as JSON. No control characters: a name must not be able
/// to speak to the terminal.
fn plain(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints; that a reader has seen enough, as `head` does, is no fault.
pub fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
