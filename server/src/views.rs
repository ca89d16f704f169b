//! What operators may ask of a running server, as plain data: the source of the four-letter words.

use std::net::SocketAddr;

use quorate_core::event::Role;
use quorate_core::ids::{Millis, SessionId, Zxid};

use crate::metrics::{Counter, Metrics, average};

/// Latencies of requests in ms since the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// 0 before the first request.
    pub min: i64,
    /// Largest.
    pub max: i64,
    /// Sum.
    pub total: i64,
    /// Requests.
    pub count: i64,
}

impl Latency {
    /// Rounded to four digits behind the point.
    #[must_use]
    pub fn average(&self) -> f64 {
        average(self.total, self.count)
    }
}

/// Smallest, largest and newest of something; -1 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Newest, bytes.
    pub last: i64,
    /// Smallest, bytes.
    pub min: i64,
    /// Largest, bytes.
    pub max: i64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { last: -1, min: -1, max: -1 }
    }
}

/// A server at a glance: `srvr`.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What it is.
    pub role: Role,
    /// Whether it answers clients now: false during an election and without a quorum.
    pub serving: bool,
    /// Of client requests.
    pub latency: Latency,
    /// Packets from clients since the last reset.
    pub received: u64,
    /// Packets to clients since the last reset.
    pub sent: u64,
    /// Client connections, this one included.
    pub connections: usize,
    /// Requests that wait for an answer.
    pub outstanding: u64,
    /// Last applied.
    pub zxid: Zxid,
    /// Znodes as ZooKeeper counts them: the root twice.
    pub node_count: u64,
    /// A leader's proposals.
    pub proposals: Option<Sizes>,
}

/// One client connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's end.
    pub remote: SocketAddr,
    /// Whether it is being read from.
    pub reading: bool,
    /// Replies that wait to be sent.
    pub queued: u64,
    /// Packets from it.
    pub received: u64,
    /// Packets to it.
    pub sent: u64,
    /// Its session, once it has one.
    pub session: Option<ConnectionSession>,
}

/// What a connection with a session adds.
#[derive(Clone, Debug)]
pub struct ConnectionSession {
    /// Which.
    pub id: SessionId,
    /// Operation code of the last request, `None` before the first.
    pub last_op: Option<i32>,
    /// When the connection was made, since 1970.
    pub established_ms: Millis,
    /// Negotiated.
    pub timeout_ms: Millis,
    /// Of the last request, -1 before the first.
    pub last_cxid: i64,
    /// Of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply left, on a clock that never goes back.
    pub last_response_ms: Millis,
    /// Of the last request, ms.
    pub last_latency: i64,
    /// Of all.
    pub latency: Latency,
}

/// Things that expire together.
#[derive(Clone, Debug)]
pub struct ExpiryBucket<T> {
    /// Since 1970.
    pub at_ms: Millis,
    /// What expires then.
    pub entries: Vec<T>,
}

/// The sessions that a server knows.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// A leader or standalone server owns their expiry.
    Owned(Vec<ExpiryBucket<SessionId>>),
    /// A learner knows them and their timeouts, ms.
    Known(Vec<(SessionId, Millis)>),
}

/// `wchs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchTotals {
    /// Connections with a watch.
    pub connections: usize,
    /// Watched paths.
    pub paths: usize,
    /// Watches.
    pub watches: usize,
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirSizes {
    /// Snapshots.
    pub data: u64,
    /// Transaction logs.
    pub log: u64,
}

/// Gauges of `mntr` that [`Overview`] does not have.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Sessions known to the ensemble.
    pub global_sessions: u64,
    /// Sessions known to this server only.
    pub local_sessions: u64,
    /// Watches.
    pub watches: u64,
    /// Bytes of paths and data.
    pub data_size: u64,
    /// Replies to clients, bytes.
    pub responses: Sizes,
    /// Failed authentications.
    pub auth_failed: u64,
    /// What the core counts of ZooKeeper's counters.
    pub counters: Vec<(Counter, u64)>,
    /// How likely the connection throttle refuses a handshake, between 0 and 1.
    pub drop_probability: f64,
    /// Since the process began, ms.
    pub uptime_ms: Millis,
    /// Voters; `None` on a server that is in no ensemble now.
    pub quorum_size: Option<u64>,
    /// A leader's own.
    pub leader: Option<LeaderGauges>,
}

/// What only a leader knows.
#[derive(Clone, Debug, Default)]
pub struct LeaderGauges {
    /// Connected learners.
    pub learners: u64,
    /// Voting followers in sync.
    pub synced_followers: u64,
    /// Followers in sync that do not vote.
    pub synced_non_voting_followers: u64,
    /// Observers in sync.
    pub synced_observers: u64,
    /// `sync` requests that wait.
    pub pending_syncs: u64,
    /// Since this server began to lead, ms.
    pub uptime_ms: Millis,
}

/// Where the four-letter words get their data; each method is called only for the words that need it.
pub trait Source {
    /// `srvr` and most others.
    fn overview(&self) -> Overview;
    /// `stat`, `cons`, `dump`.
    fn connections(&self) -> Vec<Connection>;
    /// `dump`: sessions of the ensemble.
    fn sessions(&self) -> Sessions;
    /// `dump`: sessions that only this server knows; `None` where there cannot be one.
    fn local_sessions(&self) -> Option<Vec<ExpiryBucket<SessionId>>>;
    /// `dump`: sessions with their ephemerals.
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)>;
    /// `dump`: connections by the instant at which they are closed for silence.
    fn connection_expiry(&self) -> Vec<ExpiryBucket<(SocketAddr, SessionId)>>;
    /// `wchs`.
    fn watch_totals(&self) -> WatchTotals;
    /// `wchc`.
    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)>;
    /// `wchp`.
    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)>;
    /// `conf`: the members and version in force, as /zookeeper/config has them.
    fn ensemble_text(&self) -> Option<String>;
    /// `dirs`, `conf`.
    fn dir_sizes(&self) -> DirSizes;
    /// `gtmk`, `stmk`: a number that is kept and has no effect.
    fn trace_mask(&self) -> i64;
    /// `mntr`.
    fn gauges(&self) -> Gauges;
    /// `mntr`.
    fn metrics(&self) -> &Metrics;
    /// `hash`: samples of the tree's digest, oldest first.
    fn digests(&self) -> Vec<(Zxid, u64)>;
}
