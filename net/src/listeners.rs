//! The listening ports.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use quorate_core::event::Port;
use quorate_core::ids::Millis;
use socket2::{Domain, Protocol, Socket, Type};

use crate::settings::Ports;
use crate::timers::PortKey;

/// Connections that may wait, where the configuration does not say: clients come back all at once after an election.
const BACKLOG: u32 = 4096;

/// One port.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// The core wants it open.
    pub(crate) wanted: bool,
    pub(crate) socket: Option<TcpListener>,
    /// How often binding has failed.
    pub(crate) failed: u32,
    /// There may be somebody waiting.
    pub(crate) ready: bool,
    /// No descriptors: not before its timer.
    pub(crate) resting: bool,
    /// When that was logged last, ms of the monotonic clock.
    pub(crate) warned: Millis,
}

/// The three of them.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    list: [Listener; PortKey::COUNT],
}

impl Listeners {
    pub(crate) fn get(&mut self, key: PortKey) -> &mut Listener {
        &mut self.list[key.0]
    }

    /// Whether somebody can be accepted without waiting.
    pub(crate) fn any_ready(&self) -> bool {
        self.list.iter().any(|l| l.socket.is_some() && l.ready && !l.resting)
    }

    /// Opens a port at the first of these addresses that can be had.
    pub(crate) fn open(
        &mut self,
        key: PortKey,
        addresses: &[SocketAddr],
        ports: &Ports,
        registry: &Registry,
    ) -> io::Result<SocketAddr> {
        let backlog = match key.port() {
            Port::Client => ports.client_backlog.unwrap_or(BACKLOG),
            Port::Election | Port::Quorum => BACKLOG,
        };
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            match listen(*address, backlog) {
                Ok(mut socket) => {
                    registry.register(&mut socket, Token(key.0), Interest::READABLE)?;
                    let local = socket.local_addr()?;
                    *self.get(key) =
                        Listener { wanted: true, socket: Some(socket), ready: true, ..Listener::default() };
                    return Ok(local);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    pub(crate) fn close(&mut self, key: PortKey) {
        *self.get(key) = Listener::default();
    }
}

/// Any address: of both families where the machine has both.
pub(crate) fn any_address(port: u16) -> [SocketAddr; 2] {
    [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier process may still be in TIME_WAIT; two listeners stay impossible.
    socket.set_reuse_address(true)?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let listener: std::net::TcpListener = socket.into();
    Ok(TcpListener::from_std(listener))
}

/// What to do about a port that cannot be had.
pub(crate) fn explain(what: &str, key: &str, address: &str, e: &io::Error) -> String {
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    let help = match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another process listens there (ss -ltnp 'sport = :{port}' names it); stop it or change {key}")
        }
        io::ErrorKind::PermissionDenied => format!("ports below 1024 need a privilege; change {key}"),
        io::ErrorKind::AddrNotAvailable => format!("this machine does not have that address; change {key}"),
        _ => format!("check {key}"),
    };
    format!("cannot open the {what} port {address}: {e}: {help}")
}
