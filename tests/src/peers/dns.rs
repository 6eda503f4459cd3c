//! Clients of DNS: `dig`, and HAProxy, which makes servers of what it resolves.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

use crate::smtp::is_ci;

/// What `dig` prints, of Debian's package `bind9-dnsutils`; `None` where that is not installed.
pub async fn dig(server: SocketAddr, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("dig");
    let (address, port) = (format!("@{}", server.ip()), server.port().to_string());
    command.args(["-r", &address, "-p", &port, "+time=10", "+tries=3"]).args(arguments);
    let Ok(output) = command.stdin(Stdio::null()).kill_on_drop(true).output().await else {
        assert!(!is_ci(), "no dig: the package bind9-dnsutils is not installed");
        eprintln!("skipped: a test with dig (the package bind9-dnsutils is not installed)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// HAProxy, of Debian's package. Its sockets are files in a folder of its own; it ends with the value.
pub struct HaProxy {
    folder: tempfile::TempDir,
    process: Child,
}

impl HaProxy {
    /// Starts one that has up to four servers, which it finds as `name` asks; `None` where it is not installed.
    pub fn start(dns: SocketAddr, name: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder is made");
        let (file, log) = (folder.path().join("haproxy.cfg"), folder.path().join("log"));
        std::fs::write(&file, configuration(folder.path(), dns, name)).expect("the folder can be written");
        let log = std::fs::File::create(log).expect("the folder can be written");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let Ok(process) = command.kill_on_drop(true).spawn() else {
            assert!(!is_ci(), "no HAProxy: the package haproxy is not installed");
            eprintln!("skipped: a test with HAProxy (the package haproxy is not installed)");
            return None;
        };
        Some(Self { folder, process })
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The addresses of the servers that it would send requests to, in order; `None` while it does not answer.
    pub async fn servers(&mut self) -> Option<Vec<String>> {
        if let Some(ended) = self.process.try_wait().expect("it can be asked for") {
            panic!("HAProxy ended: {ended}\n{}", std::fs::read_to_string(self.socket("log")).unwrap_or_default());
        }
        let state = self.say("admin.sock", "show servers state found\n").await?;
        let mut lines = state.lines().skip_while(|line| !line.starts_with('#'));
        let fields: Vec<&str> = lines.next()?.trim_start_matches("# ").split(' ').collect();
        let mut servers: Vec<String> = lines
            .filter_map(|line| {
                let values: Vec<&str> = line.split(' ').collect();
                let field = |name| values.get(fields.iter().position(|field| *field == name)?).copied();
                let serves = field("srv_op_state")? == "2" && field("srv_addr")? != "-";
                serves.then(|| Some(format!("{}:{}", field("srv_addr")?, field("srv_port")?)))?
            })
            .collect();
        servers.sort();
        Some(servers)
    }

    /// The status of a request through it.
    pub async fn get(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: haproxy\r\nconnection: close\r\n\r\n");
        let answer = self.say("front.sock", &request).await?;
        answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    async fn say(&self, socket: &str, what: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket(socket)).await.ok()?;
        stream.write_all(what.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn configuration(folder: &Path, dns: SocketAddr, name: &str) -> String {
    let folder = folder.display();
    format!(
        "global
    stats socket {folder}/admin.sock level admin
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
resolvers looma
    nameserver looma {dns}
    accepted_payload_size 4096
    resolve_retries 3
    timeout resolve 200ms
    timeout retry 200ms
    hold valid 200ms
    hold obsolete 0s
    hold nx 0s
    hold other 0s
frontend front
    bind unix@{folder}/front.sock
    default_backend found
backend found
    server-template web 4 {name} resolvers looma resolve-prefer ipv4 resolve-opts allow-dup-ip init-addr none
"
    )
}
