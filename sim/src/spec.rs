//! What a run is told: plain data, in the names of the scenario file (simulation-catalogue section 5).
//!
//! Every default is a value of [`Default`]; [`crate::scenario`] reads and writes the file around it. Nodes are named `s1`, `s2`,
//! … in texts, clients `c1`, `c2`, …; `*` is everybody. Times are virtual; ticks are `timing.tick_ms` long.

mod faults;
mod limits;

use std::collections::BTreeMap;

pub use faults::{At, Explicit, FaultKind, Faults, Generator, KINDS, Mode, SCHEDULES, Schedule, Target, When};
pub use limits::Limits;

use serde::{Deserialize, Serialize};

/// One run. The seed and this text decide everything that happens in it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// Source of every random choice.
    #[serde(with = "hex")]
    pub seed: u64,
    /// Planted bug (catalogue id) in every server; needs the feature `mutants`.
    pub mutant: Option<String>,
    /// Who takes part.
    pub topology: Topology,
    /// Periods and limits.
    pub timing: Timing,
    /// The network when nothing is wrong with it.
    pub network: Network,
    /// The disks when nothing is wrong with them.
    pub disk: DiskSpec,
    /// Sizes that decide how often rare branches are taken.
    pub limits: Limits,
    /// What goes wrong.
    pub faults: Faults,
    /// What clients do.
    pub workload: Workload,
    /// What is checked and demanded.
    pub checks: Checks,
}

/// The servers and clients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Voting servers: s1 up to this number.
    pub voters: u32,
    /// Observers: the numbers behind the voters.
    pub observers: u32,
    /// Simulated sessions.
    pub clients: u32,
    /// Clients attach to the first so many servers only (at most 254: low bytes of session ids must differ).
    pub attachable: u32,
    /// Servers without a quorum serve reads to clients that ask for that.
    pub read_only: bool,
    /// Sessions are local to their server until they need to be global.
    pub local_sessions: bool,
    /// … and such a session never becomes global (`localSessionsUpgradingEnabled` is off).
    pub local_forever: bool,
    /// Hard limits of quotas are enforced.
    pub enforce_quota: bool,
    /// `extendedTypesEnabled` is off: no znode may have a time to live.
    pub plain_types: bool,
    /// There is a superDigest, and the last client knows its password.
    pub super_digest: bool,
    /// Only clients that have proved an identity of scheme digest are served.
    pub enforced_auth: bool,
    /// Groups of voters, each as `s1,s2,s3`: most of the groups decide, each by most of its weight. None: heads are counted.
    pub groups: Vec<String>,
    /// What a voter weighs in its group, 1 where nothing is said. Who weighs 0 never leads.
    pub weights: BTreeMap<String, u64>,
    /// What is on the disk of a server (`s1` …) before the first start; absent: a fresh directory.
    pub initial: BTreeMap<String, InitialDisk>,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            voters: 3,
            observers: 0,
            clients: 3,
            attachable: 254,
            read_only: false,
            local_sessions: false,
            local_forever: false,
            enforce_quota: false,
            plain_types: false,
            super_digest: false,
            enforced_auth: false,
            groups: Vec::new(),
            weights: BTreeMap::new(),
            initial: BTreeMap::new(),
        }
    }
}

/// The disk of one server before the run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InitialDisk {
    /// zxids `epoch.counter` (decimal) in the log, ascending; each creates one znode `/log-EPOCH-COUNTER`, equal wherever the zxid is equal.
    pub log: Vec<String>,
    /// zxids of snapshot files, ascending: each holds the tree of the log up to there. One that no log has holds what its own
    /// server's log has up to there, and itself. What a snapshot holds is decided, so a quorum of voters must have it; unless
    /// another implementation left it. Where the log leaves something out, it goes on behind a snapshot, in a file of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// The same for a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// acceptedEpoch.
    pub acc: i64,
    /// currentEpoch.
    pub cur: i64,
    /// Another implementation left this directory: its snapshots may hold what was never decided, and they prove nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_by: Option<LeftBy>,
}

/// Another implementation, by what its files look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftBy {
    /// ZooKeeper: a new log file behind each snapshot, zeros behind the last record, snapshots that tell what they hold at most.
    Java,
    /// ZooKeeper before 3.6: nothing stands behind the seal of a snapshot.
    #[serde(rename = "java-3.5")]
    Java35,
}

/// Periods and limits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// tickTime, ms.
    pub tick_ms: i64,
    /// initLimit, ticks.
    #[serde(rename = "initLimit")]
    pub init_limit: i64,
    /// syncLimit, ticks.
    #[serde(rename = "syncLimit")]
    pub sync_limit: i64,
    /// Bounds of session timeouts, ms; clients ask for something between.
    pub session_ms: [i64; 2],
    /// Ticks with faults; afterwards the core is healed. The workload goes on until it has done its operations.
    pub fault_ticks: i64,
    /// The run ends here at the latest, ticks.
    pub max_ticks: i64,
    /// Transactions between two snapshots of a server; 0: drawn from the seed.
    pub snap_count: u64,
    /// Committed proposals kept in memory for DIFF; 0: drawn from the seed.
    pub window: u64,
    /// A container that never had a child may go after so many ticks; 0: never.
    pub never_used_ticks: i64,
    /// Transactions of one epoch at most, then a leader gives up for a new counter; 0: drawn from the seed.
    pub epoch_len: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick_ms: 100,
            init_limit: 10,
            sync_limit: 5,
            session_ms: [1000, 4000],
            fault_ticks: 200,
            max_ticks: 6_000,
            snap_count: 0,
            window: 0,
            never_used_ticks: 0,
            epoch_len: 0,
        }
    }
}

/// A distribution of durations, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "dist", rename_all = "lowercase")]
pub enum Dist {
    /// Always this.
    Const {
        /// Value.
        us: u64,
    },
    /// Anything between, both included.
    Uniform {
        /// Least.
        min_us: u64,
        /// Most.
        max_us: u64,
    },
    /// At least the minimum, then exponential with this mean; cut at twenty means.
    Exp {
        /// Least.
        #[serde(default)]
        min_us: u64,
        /// Mean of what is above the minimum.
        mean_us: u64,
    },
}

/// The network.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One-way delay of bytes, drawn for each batch; a connection keeps its order.
    pub delay: Dist,
    /// Other delays for single directions.
    pub links: Vec<LinkDelay>,
    /// Servers get messages of each other beside their bytes and do not decode them. Nothing else changes, nor does the digest.
    pub typed: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { delay: Dist::Exp { min_us: 100, mean_us: 1000 }, links: Vec::new(), typed: false }
    }
}

/// The delay of one direction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDelay {
    /// Sender: a server, a client or `*`.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Its delay.
    pub delay: Dist,
}

/// The disks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSpec {
    /// What survives or is lost as a unit, bytes.
    pub sector: u32,
    /// Of writes, reads and directory operations.
    pub write: Dist,
    /// Of fsyncs.
    pub fsync: Dist,
    /// How far lasting faults (bit rot, lost files) may go.
    pub budget: Budget,
}

impl Default for DiskSpec {
    fn default() -> Self {
        Self {
            sector: 512,
            write: Dist::Exp { min_us: 10, mean_us: 50 },
            fsync: Dist::Exp { min_us: 100, mean_us: 1000 },
            budget: Budget::GoodQuorum,
        }
    }
}

/// How far lasting disk faults may go (catalogue 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// Mode B: only a minority of voters (and any observer) is ever touched, so that a quorum is whole.
    #[default]
    GoodQuorum,
    /// Mode A: one voter is spared, and the others are touched only while it has everything that they have.
    OneGoodCopy,
    /// Mode C: any disk may be hit; once a quorum is not whole any more only "never lie" is demanded.
    Unlimited,
}

/// What clients do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Generated operations.
    pub generate: Generate,
    /// Named operations.
    pub explicit: Vec<ExplicitOp>,
}

/// Generated operations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generate {
    /// Weights by operation ([`crate::workload::OPS`]); empty: drawn from the seed.
    pub mix: BTreeMap<String, u32>,
    /// Register znodes.
    pub paths: u32,
    /// Operations per second of all clients together.
    pub rate: u32,
    /// Operations in all; the run is extended until they are done, or `min_commits` is reached, within `max_ticks`.
    pub ops: u32,
    /// Largest payload, bytes.
    pub data_max: u32,
    /// Requests in flight on one connection at most.
    pub pipeline: u32,
    /// Transactions that must be decided before the run may end.
    pub min_commits: u64,
    /// Of a thousand clients that come back with a session so many go to another server before this one has answered.
    pub hasty: u32,
    /// Of a thousand connections from which a session moves to another server so many are kept, and used there too.
    pub lingering: u32,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            mix: BTreeMap::new(),
            paths: 12,
            rate: 40,
            ops: 300,
            data_max: 64,
            pipeline: 4,
            min_commits: 100,
            hasty: 0,
            lingering: 0,
        }
    }
}

/// One named operation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplicitOp {
    /// From 1.
    pub client: u32,
    /// [`At::Tick`], [`At::Us`] or [`At::After`] a fault. It is asked then, or as soon as its client can ask.
    pub at: At,
    /// A name of an operation, or `attach`: from now on to the server that `path` names, if it may.
    pub op: String,
    /// Path; multi, multi-read: one for each flag, separated by commas.
    #[serde(default)]
    pub path: String,
    /// Payload.
    #[serde(default)]
    pub data: String,
    /// create: any of `e` (ephemeral), `s` (sequential), `c` (container), `t` (lives for `version` ms, with `Z` even if that is no
    /// time), `2` (create2), and what is refused or odd: `k` and `T` (flag 4 or 5 with a plain create), `z` (createTTL without its
    /// flag), `x` (unknown flag); create, set-acl: `p` for the asker alone, `o` anybody may read, `n` for one other alone, `r` nobody
    /// may set, `i` `j` by addresses, `D` twice the same, `U` invalid, `B` empty, `A` null; create, set: `0` null data; all: `N` null
    /// path; get, exists, children, list: `w` leaves a watch; watch: `r` recursive, `m` with `version` as its mode; set-watches: `d`
    /// data, `e` exist, `c` child, `p` persistent, `r` recursive; multi: `c` create, `s` set, `d` delete, `k` check, `C` create2, `K`
    /// container, `T` TTL, `e` ephemeral, `q` sequential, `E` create2 of both, `f` `F` `x` `X` odd flags, `g` a read, `v` `y` version
    /// -2; multi-read: `g` get, `l` list, `s` set, `x` exists, `N` null path.
    #[serde(default)]
    pub flags: String,
    /// Expected version.
    #[serde(default = "any_version")]
    pub version: i32,
}

const fn any_version() -> i32 {
    -1
}

/// What is checked and demanded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Whether safety is checked at all.
    pub safety: bool,
    /// Whether the ensemble must come back after the fault period.
    pub liveness: bool,
    /// The servers that are healed.
    pub core: Core,
    /// Ids of invariants that are not checked.
    pub skip: Vec<String>,
    /// Whether the run is made twice and must be the same both times.
    pub twice: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { safety: true, liveness: true, core: Core::RandomQuorum, skip: Vec::new(), twice: false }
    }
}

/// The servers that are healed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Core {
    /// A random quorum of voters and any observers; the others keep what they have for ever.
    #[default]
    RandomQuorum,
    /// Everybody.
    All,
}

impl RunSpec {
    /// The default run of this seed: topology, workload and faults drawn from it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut spec = crate::draw::seeded(seed);
        // What is drawn for an instant behind the end of the faults is none: there everything is healed.
        let end_us = (spec.timing.fault_ticks * spec.timing.tick_ms).unsigned_abs() * 1000;
        spec.faults.explicit.retain(|f| !matches!(f.at, At::Us { us } if us > end_us));
        spec
    }
    /// Servers in all.
    #[must_use]
    pub const fn servers(&self) -> usize {
        self.topology.voters as usize + self.topology.observers as usize
    }
    /// Whether znodes may have a time to live: the servers' ids must leave their mark free (client-protocol 2.2).
    #[must_use]
    pub const fn has_ttl(&self) -> bool {
        self.servers() <= 254 && !self.topology.plain_types
    }
    /// Whether server `node` (from 0) votes.
    #[must_use]
    pub const fn is_voter(&self, node: usize) -> bool {
        node < self.topology.voters as usize
    }
}

/// 64-bit numbers as `0x…` texts: JSON's numbers do not hold them everywhere. Plain numbers are read too.
pub(crate) mod hex {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format!("{value:#x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        struct Seed;
        impl Visitor<'_> for Seed {
            type Value = u64;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a 64-bit number, or one as a text with 0x")
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<u64, E> {
                Ok(v)
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<u64, E> {
                let parsed = v.strip_prefix("0x").map_or_else(|| v.parse(), |hex| u64::from_str_radix(hex, 16));
                parsed.map_err(|_| E::custom(format!("{v:?} is not a 64-bit number, as in 7 or \"0x7\"")))
            }
        }
        d.deserialize_any(Seed)
    }
}
