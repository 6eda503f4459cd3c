//! What this machine is and how it does. Reads; changes nothing.

use std::{collections::BTreeMap, net::UdpSocket};

use anyhow::Context as _;
use serde_json::{Value, json};
use sysinfo::{Disks, Networks, System};

use crate::{client::Measurement, clock::Timestamp, ids::NodeId};

/// The machine, as it was last looked at.
pub struct Machine {
    /// Absent only while it is being looked at.
    state: Option<State>,
    resources: Value,
}

struct State {
    system: System,
    disks: Disks,
    networks: Networks,
    /// Whether the load of the processors was looked at before: it is a difference.
    looked: bool,
}

/// The name of this machine, for a node that is not given another.
pub fn default_node_id() -> anyhow::Result<NodeId> {
    let name = System::host_name().context("this machine has no name: give --node-id")?;
    Ok(NodeId(name.replace('/', "-").chars().take(100).collect()))
}

/// The address that this machine has towards `host:port`. Nothing is sent.
pub fn local_address(host: &str, port: u16) -> anyhow::Result<String> {
    let towards = || -> std::io::Result<String> {
        let any = if host.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect((host.trim_matches(['[', ']']), port))?;
        Ok(socket.local_addr()?.ip().to_string())
    };
    towards().with_context(|| format!("could not find the address of this machine towards {host}:{port}"))
}

impl Machine {
    /// Looks at the machine for the first time.
    pub fn new() -> anyhow::Result<Self> {
        let mut system = System::new().context("could not look at this machine")?;
        system.refresh_memory();
        system.refresh_cpu_usage();
        let disks = Disks::new_with_refreshed_list().context("could not look at the disks")?;
        let networks = Networks::new_with_refreshed_list().context("could not look at the network")?;
        let (cores, memory) = (system.cpus().len(), system.total_memory());
        let state = State { system, disks, networks, looked: false };
        let storage: u64 = state.disks().values().map(|(_, total)| total).sum();
        let resources = json!({"cpu_cores": cores, "memory_bytes": memory, "storage_bytes": storage});
        Ok(Self { state: Some(state), resources })
    }

    /// What it can do.
    pub fn capabilities(&self) -> Value {
        let kernel = System::kernel_version().ok();
        let system = System::long_os_version().ok();
        json!({"arch": System::cpu_arch(), "system": system, "kernel": kernel})
    }

    /// What it has.
    pub fn resources(&self) -> Value {
        self.resources.clone()
    }

    /// Looks again, and gives what was seen. The load of the processors is a difference: the first time it is not there.
    pub async fn measure(&mut self, node: &NodeId, now: Timestamp) -> anyhow::Result<Vec<Measurement>> {
        let mut state = self.state.take().context("the machine is being looked at")?;
        // It reads many small files.
        let (state, seen) = tokio::task::spawn_blocking(move || {
            let seen = state.look();
            (state, seen)
        })
        .await?;
        self.state = Some(state);
        let dated = seen.into_iter().map(|Seen { metric_name, metric_unit, metric_value, tags }| Measurement {
            service_id: node.0.clone(),
            metric_name,
            metric_value,
            metric_unit,
            tags,
            timestamp: now,
        });
        Ok(dated.collect())
    }
}

struct Seen {
    metric_name: &'static str,
    metric_unit: Option<&'static str>,
    metric_value: f64,
    tags: BTreeMap<&'static str, String>,
}

fn seen(metric_name: &'static str, unit: &'static str, metric_value: f64) -> Seen {
    Seen { metric_name, metric_unit: Some(unit), metric_value, tags: BTreeMap::new() }
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes beyond 2^53 may be told to the nearest few")]
fn bytes(metric_name: &'static str, count: u64) -> Seen {
    seen(metric_name, "bytes", count as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a share of so many bytes needs no more digits")]
fn share(metric_name: &'static str, part: u64, whole: u64) -> Option<Seen> {
    (whole > 0).then(|| seen(metric_name, "percent", part as f64 * 100.0 / whole as f64))
}

impl Seen {
    fn of(self, tag: &'static str, value: &str) -> Self {
        Self { tags: BTreeMap::from([(tag, value.chars().take(200).collect())]), ..self }
    }
}

impl State {
    fn look(&mut self) -> Vec<Seen> {
        self.system.refresh_memory();
        self.system.refresh_cpu_usage();
        self.disks.refresh(true);
        self.networks.refresh(true);
        let mut all = Vec::new();
        if self.looked {
            all.push(seen("cpu_usage", "percent", f64::from(self.system.global_cpu_usage())));
        }
        self.looked = true;
        let (used, total) = (self.system.used_memory(), self.system.total_memory());
        all.extend([bytes("memory_used", used), bytes("memory_total", total)]);
        all.extend(share("memory_usage", used, total));
        for (mount, (used, total)) in self.disks() {
            let each = [bytes("disk_used", used), bytes("disk_total", total)];
            all.extend(each.into_iter().chain(share("disk_usage", used, total)).map(|seen| seen.of("mount", &mount)));
        }
        for (name, interface) in self.networks.iter().filter(|(name, _)| *name != "lo") {
            let received = bytes("network_received", interface.total_received());
            let sent = bytes("network_transmitted", interface.total_transmitted());
            all.extend([received, sent].map(|seen| seen.of("interface", &name.to_string_lossy())));
        }
        if let Ok(load) = System::load_average() {
            all.push(Seen { metric_unit: None, ..seen("load_1m", "", load.one) });
        }
        if let Ok(uptime) = System::uptime() {
            all.push(Seen { metric_unit: Some("seconds"), ..bytes("uptime_seconds", uptime) });
        }
        all
    }

    /// Used and all bytes of each disk, by where it is mounted; a disk that is mounted twice is told once.
    fn disks(&self) -> BTreeMap<String, (u64, u64)> {
        let mut by_device = BTreeMap::new();
        for disk in self.disks.iter().filter(|disk| disk.total_space() > 0) {
            let mount = disk.mount_point().to_string_lossy().into_owned();
            let used = disk.total_space().saturating_sub(disk.available_space());
            let entry = by_device.entry(disk.name().to_owned());
            let shortest = entry.or_insert_with(|| (mount.clone(), (used, disk.total_space())));
            if mount.len() < shortest.0.len() {
                *shortest = (mount, (used, disk.total_space()));
            }
        }
        by_device.into_values().collect()
    }
}
