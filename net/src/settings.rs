//! What the loop is told before it starts.

use std::fmt;

use quorate_core::event::Port;
use quorate_core::ids::Millis;

use crate::disk::DataDirs;

/// Where to listen. The host is text: it is resolved when the listener is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bind {
    /// `None`: any address, of IPv4 and IPv6. An IPv6 address has no brackets here.
    pub host: Option<String>,
    /// 0: a free one, reported by `Host::listening`.
    pub port: u16,
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, "0.0.0.0:{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

/// The listeners. A port that is `None` is not opened.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// Clients.
    pub client: Option<Bind>,
    /// Votes.
    pub election: Option<Bind>,
    /// Learners.
    pub quorum: Option<Bind>,
    /// Connections that may wait on the client listener; `None`: many.
    pub client_backlog: Option<u32>,
    /// How often binding the election port is tried, a second apart; `None`: for ever.
    pub election_bind_tries: Option<u32>,
    /// TCP keep-alive on client connections.
    pub client_keep_alive: bool,
    /// TCP keep-alive between servers.
    pub quorum_keep_alive: bool,
}

impl Ports {
    /// Where this port is.
    #[must_use]
    pub fn bind(&self, port: Port) -> Option<&Bind> {
        match port {
            Port::Client => self.client.as_ref(),
            Port::Election => self.election.as_ref(),
            Port::Quorum => self.quorum.as_ref(),
        }
    }
    pub(crate) fn keep_alive(&self, port: Port) -> bool {
        if port == Port::Client { self.client_keep_alive } else { self.quorum_keep_alive }
    }
}

/// Bounds on waiting, ms, and on descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Links at once, beyond which no client is accepted: files and other servers need descriptors too, and a server that
    /// cannot open its log ends.
    pub links: usize,
    /// One address of a connection being made.
    pub connect_ms: Millis,
    /// A closed link whose queue does not leave.
    pub linger_ms: Millis,
    /// From the command to shut down to the end of the loop.
    pub shutdown_ms: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self { links: usize::MAX, connect_ms: 5000, linger_ms: 1000, shutdown_ms: 4000 }
    }
}

/// Everything that the loop is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listeners.
    pub ports: Ports,
    /// Directories.
    pub dirs: DataDirs,
    /// Bounds.
    pub limits: Limits,
}
