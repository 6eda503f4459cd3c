//! The sockets: UDP and TCP at one address.
//!
//! A question is answered from memory before the next one of its socket or connection is read, so no more are under way than
//! there are readers and connections, and connections are counted. What breaks in an answer is that question's alone.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use hickory_proto::op::ResponseCode;
use ipnet::IpNet;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time,
};

use super::{
    counts::Counts,
    message::{self, Transport},
    zone::{Found, Zone},
};
use crate::{app::App, http::serve::after, lifecycle::Tasks, settings};

/// Those that read packets, by their names: one a core of a small machine.
const READERS: [&str; 2] = ["dns.udp.1", "dns.udp.2"];
/// The largest packet that is read: a question is never as long.
const LARGEST: usize = 4096;
/// How often a free port of TCP is tried for whether it is free for UDP, too.
const TRIES: usize = 16;

/// Sockets that are open, and nobody reads yet.
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    /// Where both are.
    pub address: SocketAddr,
}

/// Opens the sockets, if DNS is switched on.
pub async fn bind(settings: &settings::Dns) -> anyhow::Result<Option<Sockets>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let mut tries = if listen.port() == 0 { TRIES } else { 1 };
    loop {
        let failed = |what: &str| format!("could not listen on {listen} for DNS over {what} (dns.listen)");
        let tcp = TcpListener::bind(listen).await.with_context(|| failed("TCP"))?;
        let address = tcp.local_addr()?;
        tries -= 1;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok(Some(Sockets { udp, tcp, address })),
            Err(error) if tries > 0 && error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| failed("UDP")),
        }
    }
}

/// Answers on the sockets until the program stops.
pub fn serve(app: &App, sockets: Sockets) -> anyhow::Result<()> {
    let Sockets { udp, tcp, address } = sockets;
    let settings = &app.settings.dns;
    let server = Arc::new(Server {
        zone: Zone::new(app.clone(), address.ip())?,
        clients: settings.clients().map_err(anyhow::Error::msg)?,
        counts: app.dns.clone(),
        tasks: app.tasks.clone(),
        idle: Duration::from_secs(settings.tcp_idle_seconds),
    });
    let udp = Arc::new(udp);
    for name in READERS {
        let (server, udp) = (server.clone(), udp.clone());
        app.tasks.spawn(name, async move { server.packets(&udp).await });
    }
    let places = Arc::new(Semaphore::new(settings.tcp_connections.min(Semaphore::MAX_PERMITS)));
    app.tasks.detach("dns.tcp", async move { server.accept(tcp, places).await });
    tracing::info!(%address, domain = settings.domain, "answering DNS on {address}");
    Ok(())
}

struct Server {
    zone: Zone,
    clients: Vec<IpNet>,
    counts: Counts,
    tasks: Tasks,
    idle: Duration,
}

impl Server {
    fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.clients.iter().any(|network| network.contains(&client))
    }

    /// The answer to a packet of a client, if there is one.
    fn answer(&self, packet: &[u8], transport: Transport, client: IpAddr) -> Option<Vec<u8>> {
        let replied = catch_unwind(AssertUnwindSafe(|| {
            message::reply(packet, transport, |query, room| match self.admits(client) {
                true => self.zone.answer(&query.name, query.query_type, room),
                false => Found::refused(ResponseCode::Refused),
            })
        }));
        let Ok(replied) = replied else {
            tracing::error!(source = %client, "a question of DNS panicked");
            return None;
        };
        let reply = replied?;
        self.counts.add(&reply);
        Some(reply.bytes)
    }

    async fn packets(&self, udp: &UdpSocket) {
        let mut packet = [0; LARGEST];
        loop {
            let (length, client) = match udp.recv_from(&mut packet).await {
                Ok(came) => came,
                Err(error) => {
                    after(&error).await;
                    continue;
                }
            };
            if let Some(answer) = self.answer(&packet[..length], Transport::Udp, client.ip())
                && let Err(error) = udp.send_to(&answer, client).await
            {
                tracing::debug!(source = %client.ip(), %error, "could not send an answer of DNS");
            }
        }
    }

    async fn accept(self: Arc<Self>, tcp: TcpListener, places: Arc<Semaphore>) {
        loop {
            let accepted = tokio::select! {
                () = self.tasks.stopping() => return,
                accepted = tcp.accept() => accepted,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    after(&error).await;
                    continue;
                }
            };
            let place = places.clone().try_acquire_owned().ok().filter(|_| self.admits(client.ip()));
            let Some(place) = place else {
                self.counts.turned_away();
                continue;
            };
            let server = self.clone();
            self.tasks.detach("dns.connection", async move {
                if let Err(error) = server.connection(stream, client.ip()).await {
                    tracing::debug!(source = %client.ip(), %error, "a connection for DNS ended");
                }
                drop(place);
            });
        }
    }

    /// One question after the other, each after its length (RFC 1035, section 4.2.2).
    async fn connection(&self, mut stream: TcpStream, client: IpAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let packet = tokio::select! {
                () = self.tasks.stopping() => return Ok(()),
                packet = time::timeout(self.idle, question(&mut stream)) => packet??,
            };
            let Some(answer) = self.answer(&packet, Transport::Tcp, client) else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            let mut whole = length.to_be_bytes().to_vec();
            whole.extend(answer);
            time::timeout(self.idle, stream.write_all(&whole)).await??;
        }
    }
}

async fn question(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
