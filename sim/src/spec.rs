//! What a run is told: plain data, in the names of the scenario file (simulation-catalogue section 5).
//!
//! Every default is a value of [`Default`]; [`crate::scenario`] reads and writes the file around it. Nodes are named `s1`, `s2`,
//! … in texts, clients `c1`, `c2`, …; `*` is everybody. Times are virtual; ticks are `timing.tick_ms` long.

use std::collections::BTreeMap;

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
    /// What is on the disk of a server (`s1` …) before the first start; absent: a fresh directory.
    pub initial: BTreeMap<String, InitialDisk>,
}

impl Default for Topology {
    fn default() -> Self {
        Self { voters: 3, observers: 0, clients: 3, attachable: 254, initial: BTreeMap::new() }
    }
}

/// The disk of one server before the run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InitialDisk {
    /// zxids `epoch.counter` (decimal) in the log, ascending; each creates one znode `/log-EPOCH-COUNTER`, equal wherever the zxid is equal.
    pub log: Vec<String>,
    /// zxids of snapshot files, ascending: each holds the tree of the log up to there. One that no log has holds what its own
    /// server's log has up to there, and itself. What a snapshot holds is decided, so a majority of voters must have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// The same for a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// acceptedEpoch.
    pub acc: i64,
    /// currentEpoch.
    pub cur: i64,
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
}

impl Default for Network {
    fn default() -> Self {
        Self { delay: Dist::Exp { min_us: 100, mean_us: 1000 }, links: Vec::new() }
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
            budget: Budget::OneGoodCopy,
        }
    }
}

/// How far lasting disk faults may go (catalogue 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// Mode A, read strictly: only a minority of voters (and any observer) is ever touched, so that a quorum is whole.
    #[default]
    OneGoodCopy,
    /// Mode C: any disk may be hit; only "never lie" can be demanded.
    Unlimited,
}

/// What goes wrong: generated and named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Swarm: the seed draws which further generators exist and how often they strike.
    pub swarm: bool,
    /// Generators beside the swarm's.
    pub generate: Vec<Generator>,
    /// Faults with a name and an instant.
    pub explicit: Vec<Explicit>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { swarm: true, generate: Vec::new(), explicit: Vec::new() }
    }
}

/// A kind of fault (ids of the catalogue's section 1 in brackets).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Power cut of one server: what was not synced is lost in part (P1, F1, F11); it starts again after the hold.
    PowerCut,
    /// The process ends, the page cache survives (P1, P2).
    Kill,
    /// Power cut of all servers at once, or of a majority (P3).
    PowerCutAll,
    /// The process stands still for the hold (P4).
    Pause,
    /// Starts a server that is down; of use in explicit lists.
    Start,
    /// Bytes between two sides stall, both ways (N7, N9 by mode).
    Partition,
    /// Bytes from some to others stall, one way (N8).
    OneWay,
    /// A connection is cut in the middle of what is under way (N3).
    Cut,
    /// A direction stalls and then bursts (N5).
    Clog,
    /// One kind of port is dead between servers (N10).
    PortBlock,
    /// A connection loses one side only: the other still believes (N11).
    HalfOpen,
    /// A receiver takes bytes slowly: senders see nothing drained (N12).
    SlowReceiver,
    /// Long delays on one direction (N1).
    SlowLink,
    /// Disk operations take long (F10).
    SlowDisk,
    /// A write or fsync fails with EIO (F3, F4).
    DiskError,
    /// No space left for the hold (F9).
    DiskFull,
    /// A bit flips in durable bytes (F6).
    BitRot,
    /// The wall clock jumps (T1, T3).
    ClockJump,
    /// The monotonic clock runs at another rate (T2).
    ClockDrift,
    /// Ends what holds: partitions, clogs, slow things; of use in explicit lists.
    Heal,
}

/// A generator of faults.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// What it makes.
    pub kind: FaultKind,
    /// How often on average, per hour of virtual time.
    pub rate_per_h: u64,
    /// Whom it strikes.
    #[serde(default)]
    pub on: Target,
    /// How long a fault holds, in ticks: between these.
    #[serde(default = "hold")]
    pub hold_ticks: [i64; 2],
    /// Shape of a partition.
    #[serde(default)]
    pub mode: Option<Mode>,
}

const fn hold() -> [i64; 2] {
    [2, 60]
}

/// Whom a generator strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Any server.
    #[default]
    Servers,
    /// Voters.
    Voters,
    /// Whoever leads.
    Leader,
    /// Observers.
    Observers,
}

/// The shape of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One server against all others (clients stay with it by chance).
    Isolate,
    /// Two sides of random size.
    Split,
    /// The leader alone.
    Leader,
    /// The leader with a minority.
    LeaderMinority,
    /// Two servers do not see each other, everybody else sees both.
    Partial,
    /// Two sides, and one server that sees both.
    Bridge,
}

/// A fault with a name and an instant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explicit {
    /// Its name, for `after` and for the minimiser.
    pub id: u32,
    /// When.
    pub at: At,
    /// What.
    #[serde(rename = "do")]
    pub kind: FaultKind,
    /// On which server: power-cut, kill, pause, start, disk and clock faults, slow-receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// One side: servers or clients, separated by commas, or `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How long it holds, in ms; absent: until healed (a server stays down).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<i64>,
    /// A number of the kind's own: clock-jump ms; clock-drift parts per million; slow-disk and slow-link factor or ms; cut: bytes
    /// that still arrive; port-block: 0 election, 1 quorum, 2 client; bit-rot and half-open: which one, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// Disk faults: only on operations of this effect (`write`, `fsync`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// An instant, named in one of four ways.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
pub enum At {
    /// A tick since the start.
    Tick {
        /// Which.
        tick: i64,
    },
    /// Microseconds since the start.
    Us {
        /// Which.
        us: u64,
    },
    /// The n-th effect of a kind on a server: `send`, `create`, `write`, `extend`, `truncate`, `fsync`, `rename`, `unlink`,
    /// `fsync-dir`, `persist-epoch` (the rename that makes an epoch file), `snapshot`, `propose`, `decide`, `apply`, `ack`, `elected`, `established`,
    /// `leading`, `looking`, `following`.
    Effect {
        /// The server.
        node: String,
        /// The kind.
        effect: String,
        /// From 1, counted since the run began.
        n: u64,
        /// On which side of it.
        #[serde(default)]
        when: When,
    },
    /// After another fault took place.
    After {
        /// Its id.
        after: u32,
        /// Ticks later.
        ticks: i64,
    },
}

/// The side of an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// It does not happen any more.
    Before,
    /// It was carried out.
    #[default]
    After,
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
}

impl Default for Generate {
    fn default() -> Self {
        Self { mix: BTreeMap::new(), paths: 12, rate: 40, ops: 300, data_max: 64, pipeline: 4, min_commits: 100 }
    }
}

/// One named operation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplicitOp {
    /// From 1.
    pub client: u32,
    /// [`At::Tick`], [`At::Us`] or [`At::After`] a fault.
    pub at: At,
    /// One of [`crate::workload::OPS`], or `close`.
    pub op: String,
    /// Path.
    #[serde(default)]
    pub path: String,
    /// Payload.
    #[serde(default)]
    pub data: String,
    /// create: any of `e` (ephemeral), `s` (sequential), `c` (container).
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
}

impl Default for Checks {
    fn default() -> Self {
        Self { safety: true, liveness: true, core: Core::RandomQuorum, skip: Vec::new() }
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
        crate::draw::seeded(seed)
    }
    /// Servers in all.
    #[must_use]
    pub const fn servers(&self) -> usize {
        (self.topology.voters + self.topology.observers) as usize
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
