//! Checks that run all the time, one file for each family of properties (simulation-catalogue section 2).
//!
//! | file | properties | when |
//! | --- | --- | --- |
//! | `epochs` | Z1 Z2 Z3 Z16 | an epoch becomes durable, ACKEPOCH, a vote, a leader is established, recovery |
//! | `log` | Z4 Z10 Z13 Z14 Z15 Z17, U1 and U3 at recovery | proposal, append, fsync, ACK, cut, ACK(NEWLEADER), recovery |
//! | `order` | Z5 Z6 Z7 Z8 Z9 Z11 Z12 D1 | a leader is established or decides, a server applies |
//! | `tree` | D3 D4 D5 C10, the model's digest | a transaction is decided, once each |
//! | `clients` | C1 C2 C3 C7 C8 U1 | request, reply |
//! | `watch` | C4 C5 | change, event, reply |
//! | `session` | C6 | expiry, proposal of a close |
//! | `liveness` | L1 L2 L3 L4 L5 | after healing |

mod clients;
mod epochs;
mod ghost;
mod log;
mod order;
mod session;
mod tree;
mod watch;

use std::fmt;

use bytes::Bytes;
use quorate_core::event::{Event, Halt, Health, Role, SyncKind};
use quorate_core::ids::{Millis, SessionId, Sid, Zxid};
use quorate_core::wire::client::{EventKind, ReplyHeader};

use crate::model::Model;
use clients::Clients;
use ghost::Ghost;
use watch::Watches;

/// A property that does not hold: its id and two facts that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Id of the catalogue.
    pub invariant: &'static str,
    /// What just happened.
    pub happened: String,
    /// What it contradicts.
    pub known: String,
}

type Checked = Result<(), Broken>;

fn broken<T>(invariant: &'static str, happened: String, known: String) -> Result<T, Broken> {
    Err(Broken { invariant, happened, known })
}

/// A broken property, when and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Virtual time, ms.
    pub at_ms: Millis,
    /// At which server, if at one.
    pub server: Option<Sid>,
    /// What.
    pub broken: Broken,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms", self.broken.invariant, self.at_ms)?;
        if let Some(sid) = self.server {
            write!(f, ", server {sid}")?;
        }
        write!(f, ": {}; but {}", self.broken.happened, self.broken.known)
    }
}

/// How much a run did: a run that did nothing proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Transactions decided.
    pub commits: u64,
    /// Established leaders beyond the first.
    pub leader_changes: u64,
    /// Reads that the model has judged.
    pub reads: u64,
    /// Writes whose success or failure a client was told.
    pub writes: u64,
}

/// All checks of one run. The world reports what it sees; the first contradiction ends the run.
#[derive(Debug)]
pub struct Checks {
    ghost: Ghost,
    model: Model,
    clients: Clients,
    watches: Watches,
    commits: u64,
    terms: u64,
    /// A disk has lost or spoiled durable bytes at some time: copies are not counted from then on.
    damage: bool,
}

impl Checks {
    /// For these servers (id, whether it votes), in the order in which the world numbers them.
    #[must_use]
    pub fn new(servers: &[(Sid, bool)], extended_types: bool) -> Self {
        let model = Model::new(extended_types);
        Self {
            ghost: Ghost::new(servers.iter().copied(), model.digest()),
            model,
            clients: Clients::default(),
            watches: Watches::default(),
            commits: 0,
            terms: 0,
            damage: false,
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            commits: self.commits,
            leader_changes: self.terms.saturating_sub(1),
            reads: self.clients.reads,
            writes: self.clients.writes,
        }
    }
    /// The oracle's tree.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Server `n` reports something. `mono`: its own monotonic clock, ms.
    pub fn event(&mut self, n: usize, mono: Millis, event: &Event) -> Result<(), Broken> {
        let g = &mut self.ghost;
        match event {
            Event::Applied { zxid, hash, digest } => order::applied(g, n, *zxid, *hash, *digest),
            Event::Logged { zxid, hash } => log::logged(g, n, *zxid, *hash),
            Event::Durable(zxid) => log::durable(g, n, *zxid),
            Event::Acked(zxid) => log::acked(g, n, *zxid),
            Event::Proposed { zxid, hash, record } => {
                session::proposed(g, n, record, &self.clients, &self.model)?;
                log::proposed(g, n, *zxid, *hash, record)
            }
            Event::Decided(zxid) => {
                let at = order::decided(g, n, *zxid)?;
                self.decide(at)
            }
            Event::Established { epoch, last_logged } => {
                epochs::established(g, n, *epoch, mono)?;
                let at = order::established(g, n, *epoch, *last_logged)?;
                self.terms += 1;
                self.decide(at)
            }
            Event::EpochAccepted(epoch) => epochs::accepted(g, n, *epoch),
            Event::EpochCurrent(epoch) => epochs::current(g, n, *epoch),
            Event::EpochAcked(epoch) => epochs::epoch_acked(g, n, *epoch),
            Event::NewLeaderAcked { epoch, last_logged } => log::newleader_acked(g, n, *epoch, *last_logged),
            Event::UpToDate { .. } => {
                g.servers[n].serves = true;
                Ok(())
            }
            Event::ElectionStarted { zxid, epoch, .. } => epochs::vote(g, n, *zxid, *epoch),
            Event::RoleChanged { role, .. } => {
                epochs::role(g, n, *role);
                Ok(())
            }
            Event::Truncated(to) => log::truncated(g, n, *to),
            Event::TreeReplaced { zxid, digest } => self.replaced(n, *zxid, *digest),
            Event::Recovered { .. } => self.recovered(n, event),
            Event::SyncChosen { learner, kind, to, .. } => {
                if *kind != SyncKind::Diff
                    && let Some(s) = g.servers.iter_mut().find(|s| s.sid == *learner)
                {
                    s.resync = Some(*to);
                }
                Ok(())
            }
            Event::SessionExpired { session, idle_ms, timeout_ms } => {
                session::expired(g, n, *session, *idle_ms, *timeout_ms, mono)
            }
            Event::DigestMismatch { zxid, ours, theirs } => broken(
                "D1",
                format!("its tree has digest {ours:#x} after {zxid}"),
                format!("the record says {theirs:#x}"),
            ),
            _ => Ok(()),
        }
    }

    fn decide(&mut self, end: ghost::At) -> Checked {
        let new = order::extend(&mut self.ghost, end)?;
        self.commits += new.len() as u64;
        tree::decided(&mut self.ghost, &new, &mut self.model, &mut self.clients, &mut self.watches)
    }

    fn replaced(&mut self, n: usize, zxid: Zxid, digest: u64) -> Checked {
        let g = &mut self.ghost;
        let at = log::replaced(g, n, zxid)?;
        order::replaced(g, n, at, digest)?;
        let s = &mut g.servers[n];
        if s.role != Role::Recovering {
            s.logged = at;
            s.snapshot = true;
        }
        Ok(())
    }

    fn recovered(&mut self, n: usize, event: &Event) -> Checked {
        let Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health } = event else {
            return Ok(());
        };
        let g = &mut self.ghost;
        epochs::recovered(g, n, *accepted_epoch, *current_epoch)?;
        log::recovered(g, n, *last_logged, *health)?;
        let s = &g.servers[n];
        if g.zxid(s.applied) != *applied {
            let second = format!("it has applied up to {}", g.zxid(s.applied));
            return broken("D2", format!("recovery ends with a tree at {applied}"), second);
        }
        if *health == Health::Intact {
            let end = s.durable;
            epochs::vouches(g, n, *current_epoch, end)?;
        }
        Ok(())
    }

    /// The process of server `n` ended: a crash, a halt, a power cut.
    pub fn stopped(&mut self, n: usize) {
        let s = &mut self.ghost.servers[n];
        s.role = Role::Recovering;
        s.term = 0;
        s.leads = None;
        s.serves = false;
        s.expired.clear();
    }

    /// The disk of server `n` has lost or spoiled what was durable, or fails: recovery may find less, or refuse.
    pub fn disk_fault(&mut self, n: usize) {
        self.damage = true;
        self.ghost.servers[n].excused = true;
    }

    /// The disk of server `n` is empty now.
    pub fn wiped(&mut self, n: usize) {
        self.damage = true;
        log::wiped(&mut self.ghost, n);
    }

    /// Server `n` ended by itself.
    pub fn halted(&mut self, n: usize, halt: &Halt) -> Result<(), Broken> {
        let excused = self.ghost.servers[n].excused;
        self.stopped(n);
        match halt {
            Halt::Shutdown => Ok(()),
            _ if excused => Ok(()),
            halt => broken("U3", format!("it ends: {halt:?}"), "no fault has touched its disk".into()),
        }
    }

    /// A client's handshake succeeded on connection `conn`, a number that is used once.
    pub fn attached(&mut self, conn: u64, session: SessionId) {
        self.clients.attached(conn, session);
        self.watches.open(conn);
    }
    /// A client's connection is gone.
    pub fn detached(&mut self, conn: u64) {
        self.clients.detached(conn);
        self.watches.close(conn);
    }
    /// A client sends a request.
    pub fn asked(&mut self, conn: u64, xid: i32, op: i32, body: &Bytes) -> Result<(), Broken> {
        self.clients.asked(conn, xid, op, body)
    }
    /// A client reads a watch event.
    pub fn notified(&mut self, conn: u64, zxid: Zxid, kind: EventKind, path: &str) -> Result<(), Broken> {
        self.clients.event(conn, zxid, kind, path, &mut self.watches)
    }
    /// A client reads a reply.
    pub fn replied(&mut self, conn: u64, header: &ReplyHeader, body: &[u8]) -> Result<(), Broken> {
        let done = self.clients.replied(conn, header, body, &self.model, &mut self.watches)?;
        let g = &self.ghost;
        if let Some(zxid) = done
            && !self.damage
            && let Some(at) = g.find(zxid, g.tip)
            && g.entry(at).copies < g.majority()
        {
            let second = format!("{} of {} voters have it durable", g.entry(at).copies, g.voters);
            return broken("U1", format!("a client is told that {zxid} is done"), second);
        }
        Ok(())
    }
}
