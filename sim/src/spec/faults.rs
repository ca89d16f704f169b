//! What goes wrong in a run, in the names of the scenario file.

use serde::{Deserialize, Serialize};

/// What goes wrong: generated and named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Swarm: the seed draws which further generators exist and how often they strike.
    pub swarm: bool,
    /// The swarm may break what the protocol takes for granted: ordered connections, bytes as they were sent.
    pub hostile: bool,
    /// Generators beside the swarm's.
    pub generate: Vec<Generator>,
    /// Faults with a name and an instant.
    pub explicit: Vec<Explicit>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { swarm: true, hostile: false, generate: Vec::new(), explicit: Vec::new() }
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
    /// The process of a server or a client stands still for the hold (P4).
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
    /// A connection loses one side only: the other still believes, until it writes or for ever (N11).
    HalfOpen,
    /// A receiver takes bytes slowly, or none: senders see nothing drained (N12).
    SlowReceiver,
    /// Long delays on one direction (N1).
    SlowLink,
    /// Disk operations take long (F10).
    SlowDisk,
    /// Reads, writes, fsyncs or changes of names fail with EIO, once or again and again (F3, F4).
    DiskError,
    /// No space left for the hold (F9).
    DiskFull,
    /// Bits flip in durable bytes (F6).
    BitRot,
    /// The wall clock jumps (T1, T3).
    ClockJump,
    /// The monotonic clock runs at another rate (T2).
    ClockDrift,
    /// Ends what holds: partitions, clogs, slow things; of use in explicit lists.
    Heal,
    /// Of different connections the newest bytes arrive first (N2).
    NewestFirst,
    /// Few packets fit into a direction: more of them wait, or end the connection (N6).
    Bounded,
    /// A server moves: its connections break, its name leads nowhere or to another server for the hold (N13).
    AddressChange,
    /// A stray connection says something malformed: bit noise, a huge length, half a frame (N14).
    Garbage,
    /// Bits flip in what one kind of port carries (N14). On other ports than the election's nothing can be promised afterwards.
    Corrupt,
    /// Pieces of what is under way are lost, as datagrams are (N3, N4). Hostile: nothing can be promised afterwards.
    Lose,
    /// Pieces of what is under way arrive twice (N4). Hostile.
    Duplicate,
    /// The bytes of a connection are said again on a new one (N4). Hostile.
    Replay,
    /// Each input takes the process so long (P5).
    SlowNode,
    /// The server comes back with an empty disk (P8).
    Wipe,
    /// The server comes back with other switches (P7).
    Reconfigure,
    /// Fsyncs answer without having synced (F2). Outside the guarantee once the power goes.
    LyingDisk,
    /// Durable sectors cannot be read any more (F5).
    LatentError,
    /// A record lies where another one should be (F7).
    Misdirected,
    /// A sector reads as it was before it was written (F8).
    StaleRead,
    /// The server comes back to temporary files and an empty newest log (F11).
    Leftovers,
    /// A copy of the disk is put aside; of use before `restore` (F12).
    Backup,
    /// The server comes back with the copy of its disk that was put aside (F12). Outside the guarantee.
    Restore,
    /// The newest snapshots, or all, are gone or unreadable when the server comes back (F13).
    LoseSnapshots,
    /// The machine stands still, its monotonic clock with it (T5).
    Suspend,
    /// Timers fire late, and several at once (T6).
    LateTimers,
    /// The machine comes back as a second server with the id of `to` (P9). Outside the guarantee.
    Clone,
    /// A named order of faults: `schedule` says which.
    Schedule,
}

impl FaultKind {
    /// Its name in scenario files.
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| *name)
    }
}

/// Every kind with its name.
pub const KINDS: &[(FaultKind, &str)] = &[
    (FaultKind::PowerCut, "power-cut"),
    (FaultKind::Kill, "kill"),
    (FaultKind::PowerCutAll, "power-cut-all"),
    (FaultKind::Pause, "pause"),
    (FaultKind::Start, "start"),
    (FaultKind::Partition, "partition"),
    (FaultKind::OneWay, "one-way"),
    (FaultKind::Cut, "cut"),
    (FaultKind::Clog, "clog"),
    (FaultKind::PortBlock, "port-block"),
    (FaultKind::HalfOpen, "half-open"),
    (FaultKind::SlowReceiver, "slow-receiver"),
    (FaultKind::SlowLink, "slow-link"),
    (FaultKind::SlowDisk, "slow-disk"),
    (FaultKind::DiskError, "disk-error"),
    (FaultKind::DiskFull, "disk-full"),
    (FaultKind::BitRot, "bit-rot"),
    (FaultKind::ClockJump, "clock-jump"),
    (FaultKind::ClockDrift, "clock-drift"),
    (FaultKind::Heal, "heal"),
    (FaultKind::NewestFirst, "newest-first"),
    (FaultKind::Bounded, "bounded"),
    (FaultKind::AddressChange, "address-change"),
    (FaultKind::Garbage, "garbage"),
    (FaultKind::Corrupt, "corrupt"),
    (FaultKind::Lose, "lose"),
    (FaultKind::Duplicate, "duplicate"),
    (FaultKind::Replay, "replay"),
    (FaultKind::SlowNode, "slow-node"),
    (FaultKind::Wipe, "wipe"),
    (FaultKind::Reconfigure, "reconfigure"),
    (FaultKind::LyingDisk, "lying-disk"),
    (FaultKind::LatentError, "latent-error"),
    (FaultKind::Misdirected, "misdirected"),
    (FaultKind::StaleRead, "stale-read"),
    (FaultKind::Leftovers, "leftovers"),
    (FaultKind::Backup, "backup"),
    (FaultKind::Restore, "restore"),
    (FaultKind::LoseSnapshots, "lose-snapshots"),
    (FaultKind::Suspend, "suspend"),
    (FaultKind::LateTimers, "late-timers"),
    (FaultKind::Clone, "clone"),
    (FaultKind::Schedule, "schedule"),
];

/// A named order of faults. Each one is carried out as single faults, and those are what a run reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// One server is alone, the others work on, it comes back.
    IsolateActHeal,
    /// A learner dies again and again between the effects of its synchronisation.
    CrashInSync,
    /// The leader of a synchronisation dies while it goes on.
    LeaderDiesInSync,
    /// The leader dies, and the next one as soon as it is elected.
    DoubleElection,
    /// A follower falls far behind and is elected among few.
    SlowLearner,
    /// The leader loses its followers every few ticks while everything else goes on.
    LeaderChange,
    /// Every server is restarted, one by one.
    RollingRestart,
    /// A server dies again and again while it recovers (P6).
    CrashLoop,
    /// A random part of the links stalls one by one and is released in another order (N5).
    Swizzle,
    /// Each server sees its two neighbours only (N9).
    Ring,
    /// Two servers are wiped, one after the other has come back (P8).
    TwoWipes,
    /// All servers lose power while one of them has what the others do not (P3).
    UncommittedTail,
    /// A server falls so far behind that it needs a snapshot, which is interrupted.
    SnapInterrupted,
    /// Wall clocks of servers differ from the beginning (T1).
    ClockSkew,
    /// A wall clock is moved in many small steps (T3).
    ClockSmear,
    /// A wall clock jumps back and forth (T3).
    ClockSwing,
    /// A copy of a disk is put back later (F12).
    OldDisk,
    /// A server has what the others do not, and its disk fails while that is cut (F9).
    CutFails,
    /// Two servers fall behind; the one that is back first leads the other one.
    LeftBehind,
    /// The newest snapshots cannot be read any more; the server starts, works, and starts again (F13).
    BadSnapshots,
}

impl Schedule {
    /// Its name in scenario files.
    #[must_use]
    pub fn name(self) -> &'static str {
        SCHEDULES.iter().find(|(schedule, _)| *schedule == self).map_or("", |(_, name)| *name)
    }
}

/// Every schedule with its name.
pub const SCHEDULES: &[(Schedule, &str)] = &[
    (Schedule::IsolateActHeal, "isolate-act-heal"),
    (Schedule::CrashInSync, "crash-in-sync"),
    (Schedule::LeaderDiesInSync, "leader-dies-in-sync"),
    (Schedule::DoubleElection, "double-election"),
    (Schedule::SlowLearner, "slow-learner"),
    (Schedule::LeaderChange, "leader-change"),
    (Schedule::RollingRestart, "rolling-restart"),
    (Schedule::CrashLoop, "crash-loop"),
    (Schedule::Swizzle, "swizzle"),
    (Schedule::Ring, "ring"),
    (Schedule::TwoWipes, "two-wipes"),
    (Schedule::UncommittedTail, "uncommitted-tail"),
    (Schedule::SnapInterrupted, "snap-interrupted"),
    (Schedule::ClockSkew, "clock-skew"),
    (Schedule::ClockSmear, "clock-smear"),
    (Schedule::ClockSwing, "clock-swing"),
    (Schedule::OldDisk, "old-disk"),
    (Schedule::CutFails, "cut-fails"),
    (Schedule::LeftBehind, "left-behind"),
    (Schedule::BadSnapshots, "bad-snapshots"),
];

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
    /// Power cuts and kills: so many effects of any kind after the next one of this kind, instead of at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Which, for the kind `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Generator {
    /// Makes faults of this kind so often.
    #[must_use]
    pub const fn new(kind: FaultKind, rate_per_h: u64) -> Self {
        Self { kind, rate_per_h, on: Target::Servers, hold_ticks: hold(), mode: None, effect: None, schedule: None }
    }
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
    /// Each server falls to the one side or the other.
    Sides,
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
    /// On which server: faults of a process, a disk, a clock, slow-receiver. A client may be paused too.
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
    /// that still arrive; port-block, corrupt: 0 election, 1 quorum, 2 client; bit-rot, half-open and others: which one, counted.
    /// slow-receiver: bytes a second; bounded: packets, below 0 what is more ends the connection; newest-first: ms; slow-node: us;
    /// late-timers: ms; lose, duplicate: of a thousand; lose-snapshots: how many, 0 all, below 0 unreadable instead of gone;
    /// clone: 0 with a copy of the other one's disk, 1 with an empty one; disk-error: how often; reconfigure: 1 digests, 2
    /// leaderServes, 3 both are the other way round; power-cut and kill with `effect`: at which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// Disk faults: only on operations of this effect (`write`, `fsync`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Which, for `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Explicit {
    /// A fault with nothing said about it but its kind.
    #[must_use]
    pub const fn new(id: u32, at: At, kind: FaultKind) -> Self {
        Self {
            id,
            at,
            kind,
            node: None,
            from: None,
            to: None,
            hold_ms: None,
            value: None,
            effect: None,
            schedule: None,
        }
    }
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
    /// The n-th effect of a kind on a server (see [`crate::effect::Effect`]).
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
