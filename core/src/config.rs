//! What one server is told before it starts: its ensemble, timing, limits and features. Durations in ms unless said otherwise.

mod auth;
mod throttle;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Deref;

use bytes::Bytes;

use crate::ids::{Millis, Sid};
use crate::mutant::Mutants;
pub use auth::{Auth, DigestAlgorithm};
pub use throttle::RequestThrottle;

/// Whether a member votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemberKind {
    /// Votes and may lead.
    #[default]
    Participant,
    /// Follows without a vote.
    Observer,
}

/// One `server.N` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// N.
    pub sid: Sid,
    /// `host:port` where it listens as leader.
    pub quorum: Arc<str>,
    /// `host:port` of its election listener.
    pub election: Arc<str>,
    /// `host:port` of its client listener, when the line names it.
    pub client: Option<Arc<str>>,
    /// Its kind.
    pub kind: MemberKind,
    /// Weight in hierarchical quorums, 1 otherwise.
    pub weight: i64,
    /// Group in hierarchical quorums.
    pub group: Option<i64>,
}

/// The members and the version of their configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ensemble {
    /// Ascending by sid, no sid twice.
    pub members: Vec<Member>,
    /// Zxid of the reconfig that made it; 0 while reconfig is off.
    pub version: i64,
}

impl Ensemble {
    /// The member with this sid.
    #[must_use]
    pub fn member(&self, sid: Sid) -> Option<&Member> {
        self.members.binary_search_by_key(&sid, |m| m.sid).ok().map(|i| &self.members[i])
    }
    /// Whether this sid votes.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.member(sid).is_some_and(|m| m.kind == MemberKind::Participant)
    }
    /// The voters, ascending.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.kind == MemberKind::Participant)
    }
    /// The text that notifications, NEWLEADER and /zookeeper/config carry (quorum-protocol 2.3), no newline at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for m in &self.members {
            let kind = if m.kind == MemberKind::Participant { "participant" } else { "observer" };
            let _ = write!(out, "server.{}={}:{}:{kind}", m.sid, m.quorum, port_of(&m.election));
            if let Some(client) = &m.client {
                let _ = write!(out, ";{client}");
            }
            out.push('\n');
        }
        let mut groups: Vec<i64> = self.members.iter().filter_map(|m| m.group).collect();
        groups.sort_unstable();
        groups.dedup();
        for g in &groups {
            let sids: Vec<String> =
                self.members.iter().filter(|m| m.group == Some(*g)).map(|m| m.sid.to_string()).collect();
            let _ = writeln!(out, "group.{g}={}", sids.join(":"));
        }
        if !groups.is_empty() {
            for m in &self.members {
                let _ = writeln!(out, "weight.{}={}", m.sid, m.weight);
            }
        }
        let _ = write!(out, "version={:x}", self.version);
        out
    }
}

/// An ensemble and the text that names it, made once and shared by whoever needs it.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    ensemble: Ensemble,
    text: Bytes,
}

impl Configuration {
    /// Of these members.
    #[must_use]
    pub fn new(ensemble: Ensemble) -> Arc<Self> {
        let text = Bytes::from(ensemble.text());
        Arc::new(Self { ensemble, text })
    }
    /// [`Ensemble::text`].
    #[must_use]
    pub const fn text(&self) -> &Bytes {
        &self.text
    }
}

impl Deref for Configuration {
    type Target = Ensemble;
    fn deref(&self) -> &Ensemble {
        &self.ensemble
    }
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, p)| p)
}

/// Periods and deadlines.
#[derive(Clone, Debug)]
pub struct Timing {
    /// tickTime.
    pub tick_ms: Millis,
    /// In ticks.
    pub init_limit: i64,
    /// In ticks.
    pub sync_limit: i64,
    /// In ticks; 0 means `init_limit`.
    pub connect_limit: i64,
    /// Lower bound of a session timeout.
    pub min_session_ms: Millis,
    /// Upper bound of a session timeout.
    pub max_session_ms: Millis,
    /// Election connections must be made within this.
    pub cnx_timeout_ms: Millis,
    /// First wait for notifications, and the quiet time that ends an election.
    pub min_notification_ms: Millis,
    /// Longest wait for notifications.
    pub max_notification_ms: Millis,
    /// Pause before a learner connects again.
    pub leader_connect_retry_ms: Millis,
    /// Connections without a session are closed after this.
    pub sessionless_ms: Millis,
    /// Interval of the container and TTL reaper.
    pub container_check_ms: Millis,
    /// Containers that never had a child are reaped after this; 0 = never.
    pub container_never_used_ms: Millis,
    /// Reaped znodes a minute at most.
    pub container_max_per_minute: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick_ms: 3000,
            init_limit: 10,
            sync_limit: 5,
            connect_limit: 0,
            min_session_ms: 6000,
            max_session_ms: 60_000,
            cnx_timeout_ms: 5000,
            min_notification_ms: 200,
            max_notification_ms: 60_000,
            leader_connect_retry_ms: 100,
            sessionless_ms: 10_000,
            container_check_ms: 60_000,
            container_never_used_ms: 0,
            container_max_per_minute: 10_000,
        }
    }
}

/// The connection throttle (`connection_throttle_*`): how many handshakes are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectThrottle {
    /// Size of the bucket; 0 = off.
    pub tokens: u32,
    /// The time in which `fill_count` tokens come.
    pub fill_ms: Millis,
    /// Tokens that come in `fill_ms`.
    pub fill_count: u32,
    /// The chance of a refusal moves once in this time; -1: there is none.
    pub freeze_ms: Millis,
    /// By how much the chance grows while the bucket is empty, parts per million.
    pub drop_increase_ppm: u32,
    /// By how much it shrinks while few tokens are taken, parts per million.
    pub drop_decrease_ppm: u32,
    /// Few are this share of the bucket, parts per million.
    pub decrease_ppm: u32,
    /// Tokens of a new session.
    pub global_weight: u32,
    /// Tokens of a new local session.
    pub local_weight: u32,
    /// Tokens of a session that is resumed.
    pub renew_weight: u32,
}

impl ConnectThrottle {
    /// Off, with the usual tuning.
    pub const OFF: Self = Self {
        tokens: 0,
        fill_ms: 1,
        fill_count: 1,
        freeze_ms: -1,
        drop_increase_ppm: 20_000,
        drop_decrease_ppm: 2000,
        decrease_ppm: 0,
        global_weight: 1,
        local_weight: 1,
        renew_weight: 1,
    };
}

/// Bounds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// jute.maxbuffer: a client frame longer than this closes its connection. Bytes.
    pub frame_max: usize,
    /// Slack above `frame_max` for a transaction built from such a frame. Bytes.
    pub frame_extra: usize,
    /// Connections from one address; 0 = no limit.
    pub max_client_cnxns: usize,
    /// Connections altogether; 0 = no limit.
    pub max_cnxns: usize,
    /// Handshakes in a time.
    pub connects: ConnectThrottle,
    /// Requests in flight before reading pauses.
    pub outstanding: usize,
    /// Transactions of one epoch at most: a leader gives up before the counter ends, for a new epoch (Z17).
    pub epoch_len: u32,
    /// Committed proposals kept for DIFF, in number.
    pub window_count: usize,
    /// Committed proposals kept for DIFF, in bytes.
    pub window_bytes: usize,
    /// A learner whose queue holds more undrained bytes than this is disconnected.
    pub learner_queue_bytes: usize,
    /// A client whose undrained replies exceed this is not read from until they drain; one for which sixteen times as many
    /// bytes of events wait is closed. When 256 times as many wait for all clients together, the one with the most is closed.
    pub client_output_bytes: usize,
    /// Snapshot bytes in flight to one learner.
    pub snap_chunk_bytes: usize,
    /// Snapshots streamed at once.
    pub max_snap_syncs: usize,
    /// DIFFs streamed at once.
    pub max_diff_syncs: usize,
    /// The request throttler.
    pub requests: RequestThrottle,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max: 0xfffff,
            frame_extra: 0xfffff,
            max_client_cnxns: 60,
            max_cnxns: 0,
            connects: ConnectThrottle::OFF,
            outstanding: 1000,
            epoch_len: u32::MAX - 1,
            window_count: 500,
            window_bytes: 16 << 20,
            learner_queue_bytes: 64 << 20,
            client_output_bytes: 1 << 20,
            snap_chunk_bytes: 1 << 20,
            max_snap_syncs: 10,
            max_diff_syncs: 100,
            requests: RequestThrottle::default(),
        }
    }
}

/// snapshot.compression.method.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// Plain.
    #[default]
    None,
    /// `snapshot.<zxid>.gz`.
    Gzip,
    /// `snapshot.<zxid>.snappy`, the framing of snappy-java.
    Snappy,
}

impl Compression {
    /// What the names of its files end with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        }
    }
}

/// Log, snapshots, retention.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Snapshot after between half and all of this many txns.
    pub snap_count: u64,
    /// The same by bytes of log; 0 = off.
    pub snap_size_bytes: u64,
    /// Preallocation of a log file; 0 = off. Bytes.
    pub prealloc_bytes: u64,
    /// `forceSync=no` turns fsync of the log off: unsafe, kept for compatibility.
    pub force_sync: bool,
    /// Roll the log beyond this size; 0 = off. Bytes.
    pub log_size_limit: u64,
    /// Snapshots kept by the purge, at least 3.
    pub retain_count: usize,
    /// Interval of the purge; 0 = off.
    pub purge_interval_ms: Millis,
    /// Accept logs without any snapshot.
    pub trust_empty: bool,
    /// An empty directory without the file `initialize` may start (db.autocreate).
    pub autocreate: bool,
    /// How snapshot files are packed. The adapter does it, where a file gets this name; the core sees plain bytes.
    pub compression: Compression,
    /// An observer persists what it gets.
    pub observer_sync: bool,
    /// `snapshotSizeFactor` in thousandths: how much log, as a share of the newest snapshot, may be read for a DIFF; negative = never.
    pub snapshot_size_factor_permille: i64,
    /// Size of one read or write of bulk data. Bytes.
    pub chunk_bytes: usize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            snap_count: 100_000,
            snap_size_bytes: 4 << 30,
            prealloc_bytes: 64 << 20,
            force_sync: true,
            log_size_limit: 0,
            retain_count: 3,
            purge_interval_ms: 0,
            trust_empty: false,
            autocreate: true,
            compression: Compression::None,
            observer_sync: true,
            snapshot_size_factor_permille: 330,
            chunk_bytes: 1 << 20,
        }
    }
}

/// Switches of behaviour, ZooKeeper's names beside them.
#[derive(Clone, Debug)]
pub struct Features {
    /// extendedTypesEnabled: TTL znodes.
    pub extended_types: bool,
    /// emulate353TTLNodes: TTL znodes of 3.5.3 are such.
    pub emulate_353: bool,
    /// enforceQuota.
    pub enforce_quota: bool,
    /// digest.enabled: txns and snapshots carry the tree digest.
    pub tree_digest: bool,
    /// readonlymode.enabled.
    pub read_only_mode: bool,
    /// leaderServes.
    pub leader_serves: bool,
    /// localSessionsEnabled.
    pub local_sessions: bool,
    /// localSessionsUpgradingEnabled.
    pub local_sessions_upgrading: bool,
    /// 4lw.commands.whitelist; `*` as an entry means all. `srvr` (and `isro` with read-only mode) are always in.
    pub four_letter_words: Vec<String>,
    /// Schemes of identities, and what they are good for.
    pub auth: Auth,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            extended_types: false,
            emulate_353: false,
            enforce_quota: false,
            tree_digest: true,
            read_only_mode: false,
            leader_serves: true,
            local_sessions: false,
            local_sessions_upgrading: false,
            four_letter_words: Vec::new(),
            auth: Auth::default(),
        }
    }
}

/// Which stored owners are times to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtlForms {
    /// None: extended types are off.
    #[default]
    None,
    /// 0xff in the top byte, two zero bytes, 40 bits of ms.
    Extended,
    /// Also the form of 3.5.3 (emulate353TTLNodes): 0x8 in the top four bits, 60 bits of ms.
    With353,
}

impl From<bool> for TtlForms {
    /// Of extendedTypesEnabled alone.
    fn from(extended_types: bool) -> Self {
        if extended_types { Self::Extended } else { Self::None }
    }
}

impl Features {
    /// Which stored owners are times to live.
    #[must_use]
    pub const fn ttl_forms(&self) -> TtlForms {
        match (self.extended_types, self.emulate_353) {
            (false, _) => TtlForms::None,
            (true, false) => TtlForms::Extended,
            (true, true) => TtlForms::With353,
        }
    }
}

/// Everything a Peer is told before it starts.
#[derive(Clone, Debug, Default)]
pub struct PeerConfig {
    /// Own id; 1 for a standalone server.
    pub sid: Sid,
    /// `None`: standalone.
    pub ensemble: Option<Arc<Configuration>>,
    /// Own kind by `peerType` (the member list wins where it names this server).
    pub kind: MemberKind,
    /// Periods and deadlines.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// Log, snapshots, retention.
    pub storage: Storage,
    /// Switches.
    pub features: Features,
    /// Seed of hash keys, random delays and draws.
    pub seed: u64,
    /// Report every step of every transaction as an event: the checks of the simulator want that, a cluster does not.
    pub trace: bool,
    /// Planted bug, in test builds.
    pub mutants: Mutants,
}
