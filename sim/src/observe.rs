//! What the world tells its checks, and what checks and a run answer.

use std::collections::BTreeMap;

use quorate_core::error::ErrorCode;
use quorate_core::event::{Event, FileName, Halt};
use quorate_core::ids::{Epoch, Millis, SessionId, Zxid};
use quorate_core::tree::DataTree;
use quorate_core::wire::client::{EventKind, Request, Response};

use crate::disk::SimDisk;
use crate::effect::Effect;
use crate::reach::Reached;
use crate::report::Earlier;
use crate::spec::Explicit;

/// One thing that happened, in the order in which it happened.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Virtual time since the start of the run.
    pub time_ms: Millis,
    /// Number of this observation in the run, from 1.
    pub seq: u64,
    /// What.
    pub what: Obs<'a>,
}

/// How a server went down.
#[derive(Clone, PartialEq, Debug)]
pub enum Down<'a> {
    /// Power cut: what was not synced may be gone.
    PowerCut,
    /// Killed: what was written stays.
    Kill,
    /// It ended by itself; what was written stays.
    Halt(&'a Halt),
}

/// What was done to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// Something durable was spoiled (bit rot, a lost file): recovery may know less than was durable.
    Lasting,
    /// An operation failed and told so.
    Error,
    /// No space left.
    Full,
    /// Slow only.
    Slow,
}

/// What happened. Servers are numbered from 0 (`sid - 1`), clients from 0, client connections by `conn`, never reused.
#[derive(Clone, Debug)]
pub enum Obs<'a> {
    /// A server reported this.
    Server {
        /// Which.
        node: usize,
        /// What.
        event: &'a Event,
    },
    /// A server's tree has moved, and this is where it stands now.
    Tree {
        /// Whose.
        node: usize,
        /// The tree; while a snapshot is being loaded it stands elsewhere.
        tree: &'a DataTree,
        /// The last zxid that it reported as applied or loaded.
        at: Zxid,
        /// Whether it was replaced as a whole since the last look.
        replaced: bool,
    },
    /// A server has finished a snapshot.
    Snapshot {
        /// Whose.
        node: usize,
        /// What it stands for.
        zxid: Zxid,
        /// The file.
        file: &'a [u8],
    },
    /// A server's process begins; the first one at time 0, later ones are restarts.
    Started {
        /// Which.
        node: usize,
        /// Whether the transactions that it prepares bring the digest of their tree.
        digests: bool,
    },
    /// A server's process ended.
    Stopped {
        /// Which.
        node: usize,
        /// How.
        how: Down<'a>,
    },
    /// A disk fault took effect.
    Disk {
        /// Whose.
        node: usize,
        /// What.
        fault: DiskFault,
        /// It was an operation that carries promises: the log could not be written.
        log: bool,
    },
    /// A server has removed a file.
    Unlinked {
        /// Whose.
        node: usize,
        /// Which.
        name: &'a FileName,
        /// What is left.
        disk: &'a SimDisk,
    },
    /// A server that looks for a leader tells another one of its own history.
    Voted {
        /// Which.
        node: usize,
        /// Where its log ends.
        zxid: Zxid,
        /// Its current epoch.
        epoch: Epoch,
    },
    /// A server vouches for what its disk does not have.
    Unkept {
        /// Which.
        node: usize,
        /// What forbids it.
        invariant: &'static str,
        /// What it has just said.
        event: &'a Event,
        /// What is missing.
        lacks: &'a str,
    },
    /// A server has recovered and calls itself whole, and nothing is left on its disk of what faults have spoiled.
    Mended {
        /// Which.
        node: usize,
    },
    /// A fault was injected and found something to strike.
    Fault(&'a Explicit),
    /// A fault has broken what everything rests on: nothing but "never lie" can be demanded from now on.
    Outside {
        /// How.
        why: &'static str,
    },
    /// A machine has the id of another server from now on, or its own again.
    Cloned {
        /// The machine.
        node: usize,
        /// Whose id its next process has.
        of: usize,
    },
    /// The fault period is over; these servers are healed and stay so.
    Healed {
        /// Numbers of the servers.
        core: &'a [usize],
    },
    /// A server accepted a session on a new connection, as the client sees it.
    Attached {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// To which server.
        node: usize,
        /// The session.
        session: SessionId,
        /// Negotiated.
        timeout_ms: Millis,
        /// Whether the session was made now.
        fresh: bool,
        /// lastZxidSeen of the request.
        seen: Zxid,
        /// Where the client comes from, as the server sees it.
        address: &'a str,
        /// The server has no quorum and says so.
        read_only: bool,
    },
    /// A server said that a session is expired (or never was).
    Refused {
        /// Whose.
        client: usize,
        /// Which server.
        node: usize,
        /// The session that was asked for.
        session: SessionId,
    },
    /// A server has given a session to somebody who did not know its password.
    Intruded {
        /// Whose session.
        client: usize,
        /// Which server.
        node: usize,
        /// The session.
        session: SessionId,
    },
    /// A client takes its session to another server and keeps this connection: what it hears there is that server's view.
    Left {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
    },
    /// A client's connection is gone: what it has not answered stays unknown.
    Detached {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
    },
    /// A client sends a request. Pings are not reported.
    Asked {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// Its session.
        session: SessionId,
        /// Its xid on this connection; cxid of a transaction.
        xid: i32,
        /// What.
        request: &'a Request<'a>,
    },
    /// A client was sent what the protocol does not know.
    Malformed {
        /// Whose.
        client: usize,
        /// By which server.
        node: usize,
        /// What forbids it.
        invariant: &'static str,
        /// What came.
        text: &'a str,
    },
    /// A client sends what is no request: a body that does not decode, or an opcode that does not exist.
    AskedNonsense {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// Its xid.
        xid: i32,
        /// Its opcode.
        op: i32,
        /// Behind its header.
        body: &'a [u8],
    },
    /// A client has received the reply to that.
    RepliedNonsense {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// Of the request.
        xid: i32,
        /// From the header.
        zxid: Zxid,
        /// From the header.
        err: ErrorCode,
        /// Behind the header.
        bytes: &'a [u8],
        /// When it was asked.
        asked_ms: Millis,
    },
    /// A client has received the reply to a request.
    Replied {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// Its session.
        session: SessionId,
        /// Of the request.
        xid: i32,
        /// What was asked.
        request: &'a Request<'a>,
        /// From the header.
        zxid: Zxid,
        /// From the header.
        err: ErrorCode,
        /// Without error; of a multiRead, also with one.
        body: Option<&'a Response<'a>>,
        /// Behind the header, where they are kept.
        bytes: Option<&'a [u8]>,
        /// When it was asked.
        asked_ms: Millis,
        /// [`Observation::seq`] of the request.
        asked_seq: u64,
    },
    /// A ping was answered.
    Ponged {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// From the header.
        zxid: Zxid,
    },
    /// A client has received a watch event.
    Watch {
        /// The connection.
        conn: u64,
        /// Whose.
        client: usize,
        /// Zxid of the header.
        zxid: Zxid,
        /// What.
        kind: EventKind,
        /// Where.
        path: &'a str,
    },
    /// The workload is idle and everything in flight has arrived: end of run.
    End,
}

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Id of the invariant (`Z5`, `C3`, `L1`, …; `panic` for a broken assertion).
    pub invariant: &'static str,
    /// Virtual time.
    pub at_ms: Millis,
    /// The server at fault, from 0, where one can be named.
    pub node: Option<usize>,
    /// Both contradicting facts, in words.
    pub text: String,
    /// How to find the second of them among the facts of the run.
    pub earlier: Option<Earlier>,
}

/// What watches a run.
pub trait Check {
    /// Looks at one thing that happened.
    ///
    /// # Errors
    /// The promise that it breaks; the run ends there.
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation>;

    /// After healing: the first thing that the servers of `core` still owe (L1 L2 L3 L4 L7), if any. `writing`: whether clients still
    /// ask for writes.
    fn unmet(&self, core: &[usize], writing: bool) -> Option<Violation> {
        let _ = (core, writing);
        None
    }

    /// All clients are gone: a session that lives nevertheless (L5). Whether it is too old for that the world knows.
    fn undead(&self) -> Option<Violation> {
        None
    }

    /// Liveness failed: does some needed record exist only outside the core, or damaged? `Some` with the reason excuses the run.
    fn excuse(&self, core: &[usize]) -> Option<String> {
        let _ = core;
        None
    }
}

/// Checks nothing: for measuring the world alone.
#[derive(Debug, Default)]
pub struct NoCheck;

impl Check for NoCheck {
    fn observe(&mut self, _what: &Observation<'_>) -> Result<(), Violation> {
        Ok(())
    }
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing was wrong.
    Pass,
    /// Safety is broken.
    Violation,
    /// The ensemble did not come back in time.
    LivenessFailure,
    /// It could not come back: what it needed was out of reach.
    Excused,
}

impl Verdict {
    /// The word of scenario files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Violation => "violation",
            Self::LivenessFailure => "liveness-failure",
            Self::Excused => "excused",
        }
    }
}

/// When a fault struck.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struck {
    /// Virtual time, us.
    pub us: u64,
    /// How many effects of each kind (by number of [`Effect`]) each server had had.
    pub effects: Vec<[u64; Effect::COUNT]>,
}

/// What came out of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Of the spec.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// Of everything that happened: equal for equal specs, on every machine and build.
    pub digest: u64,
    /// Transactions decided.
    pub commits: u64,
    /// Leaders established, the first one not counted.
    pub leader_changes: u64,
    /// Faults that changed something that would have happened.
    pub faults_effective: u64,
    /// The same by kind, in the words of scenario files; schedules that began by their names.
    pub effective: BTreeMap<&'static str, u64>,
    /// A fault has broken what everything rests on, so that little was demanded afterwards.
    pub outside: bool,
    /// What was owed after healing was late, and forgiven for a doubt: more servers came back, and all bounds began anew.
    pub widened: bool,
    /// Batches of bytes delivered between servers.
    pub messages: u64,
    /// Quorum packets (PROPOSAL, ACK, COMMIT, PING, …) that servers have read; elections and bytes of snapshots not among them.
    pub packets: u64,
    /// Messages that servers were handed decoded ([`crate::spec::Network::typed`]).
    pub typed: u64,
    /// Batches of bytes delivered from or to clients.
    pub client_messages: u64,
    /// Requests that clients saw answered.
    pub replies: u64,
    /// Virtual time at the end.
    pub end_ms: Millis,
    /// What was broken.
    pub violation: Option<Violation>,
    /// Every fault that was injected, as an explicit list: the same run without generators.
    pub faults: Vec<Explicit>,
    /// When each fault struck, by its id; only where [`crate::Options::record`] asks for it.
    pub struck: BTreeMap<u32, Struck>,
    /// Every operation that clients began, as an explicit list; only where [`crate::Options::record`] asks for it.
    pub ops: Vec<crate::spec::ExplicitOp>,
    /// What it reached; only where [`crate::Options::reach`] asks for it.
    pub reached: Option<Reached>,
    /// The last lines of the trace.
    pub tail: Vec<String>,
}
