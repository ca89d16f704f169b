//! Checks that run all the time, one file for each family of properties (simulation-catalogue section 2).
//!
//! | file | properties | when |
//! | --- | --- | --- |
//! | `epochs` | Z1 Z2 Z3 Z11 Z16 | an epoch becomes durable, ACKEPOCH, a vote and each word of it, a leader is established, recovery |
//! | `log` | Z2 Z4 Z10 Z13 Z14 Z15 Z17 Z18, U1 U2 U3 at recovery | proposal, append, fsync, ACK, cut, ACK(NEWLEADER), recovery |
//! | `order` | Z5 Z6 Z8 Z9 Z11 Z12 D1 | a leader is established or decides, a server applies |
//! | `tree` | D3 D4 D5 D7 C10, the model's digest | a transaction is decided, once each |
//! | `state` | D1 D2 D5 D6 D9, whole trees against the model | a step that moved the tree, recovery, a snapshot loaded or finished |
//! | `storage` | U1 U4 U5 | a write is acknowledged, less is durable than before, a file is removed, the log cannot be written |
//! | `clients` | C1 C2 C3 C7 C8 C9 C11 | request, reply |
//! | `watch` | C4 C5 | change, event, reply |
//! | `session` | C6 | expiry, proposal of a close |
//! | `outside` | U2 U6 instead of all others; no quorum counts an id twice | after a fault beyond the guarantee |
//! | `liveness` | L1 L2 L3 L4 L5 L7 | after healing; L3 of every request and L6 are the world's (`crate::liveness`) |
//! | `crate::platter` | Z13 Z14 of the bytes on the disk | a server vouches for something, recovery |
//!
//! Some need no check of their own. Z7: what a server delivers is a path in the tree of proposals (Z6), and no proposal follows one of
//! a later epoch (Z14 as it is proposed). D8: a proposal brings the digest of the tree that its leader foresaw, and the model, which
//! computes it anew, must explain every proposal that is decided and every refusal. C5 at the end: every other client leaves with a
//! closeSession, all others have pinged while nothing else was asked, and an answer to either shows what is still owed (C4). C9: the
//! model applies a multi at one zxid, and replies, reads and whole trees are compared with it. C11: a reply never shows less than the session has seen, and what it shows is the model's. Z18: the core closes the
//! connection of whoever says something illegal, and servers without a fault that would excuse it say nothing illegal to each other.
//! D6: usage that one server counts otherwise than the model is D1 (D2 of a tree that was loaded); D6 is what both count wrong.

mod answers;
mod clients;
mod epochs;
mod ghost;
mod judged;
mod liveness;
mod log;
mod order;
mod outside;
mod session;
mod start;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash as _;
use std::rc::Rc;

use quorate_core::error::CloseReason;
use quorate_core::event::{Event, Halt, Health, Role, SyncKind};
use quorate_core::ids::{Millis, SessionId, Sid, Zxid};

use crate::model::Model;
use crate::observe::{Check, DiskFault, Down, Obs, Observation, Violation};
use crate::quorum::Quorum;
use crate::report::{Earlier, Kind};
use crate::spec::{FaultKind, RunSpec};
use clients::{Clients, Opened, Reply};
use ghost::Ghost;
pub use judged::Judged;
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
    /// When and where that was.
    pub earlier: Option<Earlier>,
}

impl Broken {
    /// In words; when and where are the caller's to say.
    fn into_violation(self) -> Violation {
        let text = format!("{}; but {}", self.happened, self.known);
        Violation { invariant: self.invariant, at_ms: 0, node: None, text, earlier: self.earlier }
    }
}

type Checked = Result<(), Broken>;

fn broken<T>(invariant: &'static str, happened: String, known: String) -> Result<T, Broken> {
    Err(Broken { invariant, happened, known, earlier: None })
}

/// The same, with the place where the known fact became one.
fn broken_by<T>(invariant: &'static str, happened: String, known: String, earlier: Earlier) -> Result<T, Broken> {
    Err(Broken { invariant, happened, known, earlier: Some(earlier) })
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
#[derive(Clone, Debug)]
pub struct Checks {
    ghost: Ghost,
    /// Shared by copies until the next decision.
    model: Rc<Model>,
    clients: Clients,
    watches: Watches,
    commits: u64,
    terms: u64,
    healed: liveness::Healed,
    /// A server whose log cannot be written may go on leading for so long, ms.
    step_down_ms: Millis,
    /// Faults have gone beyond what can be borne.
    outside: Option<outside::Outside>,
    /// Machines whose server has the id of another one.
    identities: BTreeMap<usize, usize>,
    /// Kinds of faults that were met.
    struck: BTreeSet<FaultKind>,
    /// Ids that are not reported.
    skip: Vec<String>,
}

impl Checks {
    /// For the servers and the initial disks of this run.
    #[must_use]
    pub fn new(spec: &RunSpec) -> Self {
        let servers = (0..spec.servers()).map(|n| (Sid(n as i64 + 1), spec.is_voter(n)));
        let model = Model::new(false).with_rules(crate::node::rules(spec));
        let mut checks = Self {
            ghost: Ghost::new(servers, Quorum::of(&spec.topology), model.digest()),
            model: Rc::new(model),
            clients: Clients::default(),
            watches: Watches::default(),
            commits: 0,
            terms: 0,
            healed: liveness::Healed::default(),
            step_down_ms: spec.timing.tick_ms * spec.timing.sync_limit,
            outside: None,
            identities: BTreeMap::new(),
            struck: BTreeSet::new(),
            skip: spec.checks.skip.clone(),
        };
        checks.clients.wait_ms = if spec.limits.requests > 0 { spec.limits.request_wait_ms } else { 0 };
        checks.ghost.epoch_len = crate::node::epoch_len(spec);
        checks.start_from(spec);
        checks
    }

    fn skips(&self, invariant: &str) -> bool {
        self.skip.iter().any(|id| id == invariant)
    }

    /// Tells apart what the checks know of servers and proposals. What they know of clients, and the model's tree, follow from
    /// what is decided and from what the clients were told.
    pub(crate) fn mark(&self, hasher: &mut impl std::hash::Hasher) {
        self.ghost.hash(hasher);
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
    /// What clients asked for, and what was judged of it.
    #[must_use]
    pub fn judged(&self) -> &Judged {
        &self.clients.judged
    }
    /// The oracle's tree.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Server `n` reports something at virtual time `now`, ms.
    fn event(&mut self, n: usize, now: Millis, event: &Event) -> Checked {
        storage::after_failure(&self.ghost, n, event, now, self.step_down_ms)?;
        let less = |g: &Ghost| storage::kept(g, || format!("{event:?}"));
        let g = &mut self.ghost;
        match event {
            Event::Applied { zxid, hash, digest } => order::applied(g, n, *zxid, *hash, *digest),
            Event::Logged { zxid, hash } => log::logged(g, n, *zxid, *hash),
            Event::Durable(zxid) => log::durable(g, n, *zxid),
            Event::Acked(zxid) => log::acked(g, n, *zxid),
            Event::Proposed { zxid, hash, record } => {
                session::proposed(g, n, record, &mut self.clients, &self.model)?;
                self.clients.proposed(*zxid, g.zxid(g.servers[n].applied), self.model.rules());
                log::proposed(g, n, *zxid, *hash, record)
            }
            Event::Decided(zxid) => {
                let at = order::decided(g, n, *zxid)?;
                self.decide(at)
            }
            Event::Established { epoch, last_logged } => {
                epochs::established(g, n, *epoch, now)?;
                let at = order::established(g, n, *epoch, *last_logged)?;
                self.terms += 1;
                self.decide(at)?;
                self.settled(n);
                order::serves(&self.ghost, n)
            }
            Event::EpochAccepted(epoch) => epochs::accepted(g, n, *epoch),
            Event::EpochCurrent(epoch) => epochs::current(g, n, *epoch),
            Event::EpochAcked(epoch) => epochs::epoch_acked(g, n, *epoch),
            Event::NewLeaderAcked { epoch, last_logged } => {
                log::newleader_acked(g, n, *epoch, *last_logged)?;
                less(g)
            }
            Event::UpToDate { .. } => {
                g.servers[n].serves = true;
                order::serves(g, n)?;
                self.settled(n);
                Ok(())
            }
            Event::ElectionStarted { zxid, epoch, .. } => {
                epochs::vote(g, n, *zxid, *epoch)?;
                less(g)?;
                self.election(n);
                Ok(())
            }
            Event::RoleChanged { role, .. } => {
                epochs::role(g, n, *role);
                Ok(())
            }
            Event::Truncated(to) => {
                log::truncated(g, n, *to)?;
                less(g)
            }
            Event::LinkClosed { sid: Some(sid), why: CloseReason::Misbehaved(what), .. } => {
                log::illegal(*sid, what, &self.struck)
            }
            Event::TreeReplaced { zxid, digest } => self.replaced(n, *zxid, *digest),
            Event::Recovered { .. } => {
                self.recovered(n, event)?;
                less(&self.ghost)
            }
            Event::SyncChosen { learner, kind, to, .. } => {
                if *kind != SyncKind::Diff
                    && let Some(s) = g.servers.iter_mut().find(|s| s.sid == *learner)
                {
                    s.resync = Some(*to);
                }
                Ok(())
            }
            Event::SessionExpired { session, idle_ms, timeout_ms } => {
                let heard = self.clients.heard(*session, g.servers[n].sid);
                session::expired(
                    g,
                    n,
                    *session,
                    (*idle_ms, *timeout_ms),
                    heard,
                    now,
                    self.struck.contains(&FaultKind::ClockDrift),
                )
            }
            // It says so itself.
            Event::DigestMismatch { .. } if g.servers[n].excused => Ok(()),
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
        let model = Rc::make_mut(&mut self.model);
        tree::decided(&mut self.ghost, &new, model, &mut self.clients, &mut self.watches)
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
        if *health == Health::Intact && last_logged.epoch() > *current_epoch {
            let second = format!("its log ends at {last_logged}");
            return broken("Z2", format!("recovery finds currentEpoch {current_epoch}, and calls it whole"), second);
        }
        let s = &g.servers[n];
        if g.zxid(s.applied) != *applied {
            let second = format!("it has applied up to {}", g.zxid(s.applied));
            let earlier = Earlier::of(Kind::Applied, n);
            return broken_by("D2", format!("recovery ends with a tree at {applied}"), second, earlier);
        }
        if !g.contains(s.durable, s.applied) {
            return broken(
                "Z13",
                format!("recovery ends with a tree at {applied}"),
                format!("its log ends at {last_logged}"),
            );
        }
        if *health == Health::Intact {
            let end = s.durable;
            if !g.servers[n].cut {
                epochs::vouches(g, n, *current_epoch, end)?;
            }
        }
        Ok(())
    }

    /// The process of server `n` ended.
    fn stopped(&mut self, n: usize, how: &Down<'_>) -> Checked {
        let s = &mut self.ghost.servers[n];
        s.role = Role::Recovering;
        s.term = 0;
        s.leads = None;
        s.serves = false;
        s.compared = None;
        s.expired.clear();
        s.log_failed = None;
        match how {
            Down::PowerCut | Down::Kill | Down::Halt(Halt::Shutdown) => Ok(()),
            Down::Halt(_) if s.excused || s.failing => {
                s.refuses = s.excused && !s.failing;
                Ok(())
            }
            Down::Halt(halt) => broken("U3", format!("it ends: {halt:?}"), "no fault has touched its disk".into()),
        }
    }

    fn disk(&mut self, n: usize, fault: DiskFault, log: bool, now: Millis) {
        let s = &mut self.ghost.servers[n];
        match fault {
            DiskFault::Lasting => (s.excused, s.spoiled) = (true, true),
            DiskFault::Error | DiskFault::Full => {
                s.failing = true;
                if log && s.role != Role::Recovering {
                    s.log_failed.get_or_insert(now);
                }
            }
            DiskFault::Slow => {}
        }
    }

    fn replied(&mut self, reply: &Reply<'_>) -> Checked {
        let done = self.clients.replied(reply, &self.model, &mut self.watches)?;
        done.map_or(Ok(()), |zxid| storage::acknowledged(&mut self.ghost, zxid))
    }

    fn judge(&mut self, o: &Observation<'_>) -> Checked {
        match &o.what {
            Obs::Server { node, event } => self.event(*node, o.time_ms, event),
            Obs::Tree { node, .. } if self.ghost.servers[*node].holed => Ok(()),
            Obs::Tree { node, tree, at, replaced } => {
                state::seen(&mut self.ghost, *node, &self.model, tree, *at, *replaced)
            }
            Obs::Snapshot { node, zxid, file } => state::snapshot(&self.ghost, *node, &self.model, *zxid, file),
            Obs::Stopped { node, how } => self.stopped(*node, how),
            Obs::Disk { node, fault, log } => {
                self.disk(*node, *fault, *log, o.time_ms);
                Ok(())
            }
            Obs::Voted { node, zxid, epoch } => epochs::told(&self.ghost, *node, *zxid, *epoch),
            Obs::Unkept { invariant, event, lacks, .. } => {
                broken(invariant, format!("it says {event:?}"), (*lacks).to_owned())
            }
            Obs::Mended { node } => {
                self.ghost.servers[*node].excused = false;
                Ok(())
            }
            Obs::Unlinked { node, name, disk } => storage::unlinked(&self.ghost, *node, name, disk),
            Obs::Healed { .. } => {
                self.healed();
                Ok(())
            }
            Obs::Attached { conn, session, fresh, address, read_only, .. } => {
                // Whoever answers at an address, an id names the server that gave it away.
                let giver = self.ghost.servers.iter().map(|s| s.sid).find(|sid| server_byte(*session) == sid.0 & 0xff);
                let (conn, session, fresh) = (*conn, *session, fresh.then_some(giver));
                let opened = Opened { conn, session, fresh, address, read_only: *read_only };
                self.clients.attached(&opened, &self.model, &mut self.watches)
            }
            Obs::Left { conn, .. } => {
                self.clients.left(*conn);
                Ok(())
            }
            Obs::Detached { conn, .. } => {
                self.clients.detached(*conn);
                self.watches.close(*conn);
                Ok(())
            }
            Obs::Asked { conn, xid, request, .. } => {
                let (asked, rules) = ((request.op(), Some(*request), &[][..]), *self.model.rules());
                self.clients.asked(*conn, *xid, asked, &rules, &mut self.watches)
            }
            Obs::AskedNonsense { conn, xid, op, body, .. } => {
                let rules = *self.model.rules();
                self.clients.asked(*conn, *xid, (*op, None, body), &rules, &mut self.watches)
            }
            Obs::Replied { conn, xid, request, zxid, err, body, bytes, asked_ms, .. } => {
                let (conn, xid, zxid, err, asked_ms) = (*conn, *xid, *zxid, *err, *asked_ms);
                let (request, body, bytes) = (Some(*request), *body, *bytes);
                self.replied(&Reply { conn, xid, request, zxid, err, body, bytes, asked_ms, now: o.time_ms })
            }
            Obs::RepliedNonsense { conn, xid, zxid, err, bytes, asked_ms, .. } => {
                let (conn, xid, zxid, err, asked_ms) = (*conn, *xid, *zxid, *err, *asked_ms);
                let (request, body, bytes) = (None, None, Some(*bytes));
                self.replied(&Reply { conn, xid, request, zxid, err, body, bytes, asked_ms, now: o.time_ms })
            }
            Obs::Ponged { conn, zxid, .. } => self.clients.ponged(*conn, *zxid, &self.model, &mut self.watches),
            Obs::Watch { conn, zxid, kind, path, .. } => {
                self.clients.event(*conn, *zxid, *kind, path, &mut self.watches)
            }
            Obs::Outside { why } => {
                self.outside = Some(outside::Outside::new(&self.ghost, &self.identities, why));
                Ok(())
            }
            Obs::Cloned { node, of } => {
                self.identities.insert(*node, *of);
                Ok(())
            }
            Obs::Refused { session, .. } => {
                self.clients.judged.refused();
                self.clients.refused(*session, &self.model)
            }
            Obs::Intruded { session, .. } => broken(
                "C10",
                format!("a connection with a wrong password is told that session {session} is its own"),
                "only the password that came with the session opens it".into(),
            ),
            Obs::Malformed { invariant, text, .. } => {
                broken(invariant, (*text).to_owned(), "the protocol has another form".into())
            }
            Obs::Started { node, digests } => {
                let s = &mut self.ghost.servers[*node];
                // An error of the life before is no reason any more: what it has left behind is what a power cut may leave.
                (s.spoiled, s.failing) = (false, false);
                self.ghost.digests &= *digests;
                Ok(())
            }
            Obs::Fault(fault) => {
                self.struck.insert(fault.kind);
                Ok(())
            }
            Obs::End => Ok(()),
        }
    }
}

/// The byte of a session id that tells which server gave it away.
fn server_byte(session: SessionId) -> i64 {
    (session.0 as u64 >> 56) as i64
}

impl Check for Checks {
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation> {
        let checked = match &mut self.outside {
            Some(outside) => outside.observe(&what.what),
            None => self.judge(what),
        };
        let Err(b) = checked else { return Ok(()) };
        if self.skips(b.invariant) {
            return Ok(());
        }
        let node = match what.what {
            Obs::Server { node, .. }
            | Obs::Unkept { node, .. }
            | Obs::Voted { node, .. }
            | Obs::Stopped { node, .. }
            | Obs::Attached { node, .. } => Some(node),
            _ => None,
        };
        Err(Violation { at_ms: what.time_ms, node, ..b.into_violation() })
    }

    fn unmet(&self, core: &[usize], writing: bool) -> Option<Violation> {
        self.owed(core, writing).filter(|b| !self.skips(b.invariant)).map(Broken::into_violation)
    }

    fn undead(&self) -> Option<Violation> {
        self.undying(|_| false).filter(|b| !self.skips(b.invariant)).map(Broken::into_violation)
    }

    fn excuse(&self, core: &[usize]) -> Option<String> {
        self.out_of_reach(core)
    }
}
