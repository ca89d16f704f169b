//! One member of an ensemble (or a server alone): the only place where connections, election, ZAB, tree and disk meet.
//!
//! ```text
//!     inputs ──► Peer (pure) ──► actions
//! ```
//!
//! The driver calls [`Peer::start`] once, then [`Peer::step`] for everything that happens, and carries out the actions in the
//! [`Outbox`] after each call. It must call `step` with [`Input::Tick`] at [`Peer::next_deadline`]; earlier is harmless, later
//! costs liveness, never safety.

mod apply;
mod orders;
mod reaper;
mod roles;
mod view;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::PeerConfig;
use crate::disk::{Disk, DiskEvent};
use crate::election::{Decision, Election};
use crate::event::{AdminCommand, Event, Halt, Input, LinkEvent, Outbox, Port, Role};
use crate::front::{Front, FrontCtx, FrontEffects};
use crate::ids::{Epoch, LinkId, Millis, Now, Zxid};
use crate::quorum::Verifier;
use crate::request::prepare::Preparer;
use crate::session::{Expiry, Tracker};
use crate::tree::{Applied, DataTree};
use crate::watch::WatchManager;
use crate::zab::history::History;
use crate::zab::leader::{Leader, ProposalSizes};
use crate::zab::learner::Learner;
use crate::zab::{Ctx, Effects};
use reaper::Reaper;
pub use view::{LearnerView, View};

/// What a leader (or a server alone) keeps beside ZAB: the projection that requests are validated against, and the sessions.
#[derive(Clone, Debug)]
struct Primary {
    zab: Leader,
    prepare: Preparer,
    tracker: Tracker,
    reaper: Reaper,
}

/// A role, with what only that role has.
#[derive(Clone, Debug)]
enum State {
    /// The disk is being read.
    Recovering,
    /// What was being written ends before the next election: a vote tells the truth about the disk.
    Settling,
    Looking {
        since: Millis,
        read_only: bool,
    },
    Leading(Box<Primary>),
    Following(Box<Learner>),
    Standalone(Box<Primary>),
    Stopped,
}

/// A snapshot of the own tree on its way to disk.
#[derive(Clone, Copy, Debug)]
struct Walk {
    zxid: Zxid,
    since: Millis,
    /// The walk is over, the file is being finished.
    complete: bool,
}

/// The state machine of one server.
#[derive(Clone, Debug)]
pub struct Peer {
    cfg: PeerConfig,
    verifier: Verifier,
    disk: Disk,
    tree: DataTree,
    history: History,
    watches: WatchManager,
    front: Front,
    election: Option<Election>,
    state: State,
    effects: Effects,
    front_effects: FrontEffects,
    disk_events: Vec<DiskEvent>,
    applied: Applied,
    /// Confirmed syncs of clients of this server that wait until everything up to this zxid is applied, oldest first.
    syncs: VecDeque<(Zxid, Option<LinkId>)>,
    /// Where a transaction is built before it is shared.
    scratch: Vec<u8>,
    walk: Option<Walk>,
    walk_wanted: bool,
    next_purge: Millis,
    stopping: bool,
    reported: (Role, i64),
    /// Planted bug K14: a learner's own clock decides expiry.
    own_expiry: Option<Expiry>,
    /// The newest epoch promised to anybody, as this server heard in an earlier term of its own.
    newest_promise: Epoch,
    /// So often this server has given up a term for which it found no quorum, since it last served.
    abdications: u32,
    looking_for: Millis,
    started_ms: Millis,
    elections: u64,
    digest_mismatches: u64,
    /// Up to here a snapshot of another implementation may have held later effects: digests prove nothing (storage-format 4).
    fuzzy_until: Zxid,
}

impl Peer {
    /// A server that has not started. Nothing happens before [`Peer::start`].
    #[must_use]
    pub fn new(cfg: PeerConfig, now: Now) -> Self {
        let verifier = match &cfg.ensemble {
            Some(ensemble) => Verifier::new(ensemble, cfg.mutants),
            None => Verifier::alone(cfg.sid),
        };
        let election = cfg.ensemble.is_some().then(|| Election::new(&cfg, &verifier));
        let own_expiry = cfg.mutants.has(crate::mutant::Mutant::K14).then(|| Expiry::new(cfg.timing.tick_ms));
        Self {
            disk: Disk::new(&cfg),
            tree: DataTree::new(cfg.seed, cfg.features.ttl_forms()).planted(cfg.mutants),
            history: History::new(cfg.limits.window_count, cfg.limits.window_bytes),
            watches: WatchManager::new(cfg.seed).planted(cfg.mutants),
            front: Front::new(&cfg, now),
            election,
            state: State::Recovering,
            effects: Effects::default(),
            front_effects: FrontEffects::default(),
            disk_events: Vec::new(),
            applied: Applied::default(),
            syncs: VecDeque::new(),
            scratch: Vec::new(),
            walk: None,
            walk_wanted: false,
            next_purge: now.mono_ms + cfg.storage.purge_interval_ms.max(1),
            stopping: false,
            reported: (Role::Recovering, 0),
            own_expiry,
            newest_promise: 0,
            abdications: 0,
            looking_for: 0,
            started_ms: now.mono_ms,
            elections: 0,
            digest_mismatches: 0,
            fuzzy_until: Zxid::ZERO,
            verifier,
            cfg,
        }
    }

    /// Begins: opens the ports and reads the disk.
    pub fn start(&mut self, _now: Now, out: &mut Outbox) {
        out.push(crate::event::Action::Listen(Port::Client));
        if let Some(election) = &mut self.election {
            election.start(out);
        }
        self.disk.start(out);
    }

    /// Handles one input. Bad input answers or closes its own link; a broken invariant panics.
    pub fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        self.gather(now, input, out);
        self.flush(now, out);
    }

    /// As [`Peer::step`], but what goes to the log waits for [`Peer::flush`]: a driver that has many inputs at hand hands them
    /// all over and flushes once. Until it does, nothing of them is acknowledged.
    pub fn gather(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        match input {
            Input::Tick => {}
            Input::Link { link, event } => self.on_link(now, link, event, out),
            Input::Disk { ticket, result } => self.on_disk(now, ticket, result, out),
            Input::Admin(command) => self.on_admin(now, command, out),
        }
        self.run_due(now, out);
        self.settle(now, out);
        self.continue_walk(now, out);
        self.report_role(out);
        self.assert_invariants();
    }

    /// Hands what was gathered to the log, unless an fsync is in flight: then it goes with the next one.
    pub fn flush(&mut self, now: Now, out: &mut Outbox) {
        if !matches!(self.state, State::Stopped) {
            self.disk.flush(now, out);
        }
    }

    /// When [`Peer::step`] must be called again even if nothing happens; ms of the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let mut next = i64::MAX;
        let mut consider = |at: Option<Millis>| next = next.min(at.unwrap_or(i64::MAX));
        consider(self.front.next_deadline());
        consider(self.disk.next_deadline());
        consider(self.election.as_ref().and_then(Election::next_deadline));
        match &self.state {
            State::Leading(p) | State::Standalone(p) => {
                if self.cfg.ensemble.is_some() {
                    consider(Some(p.zab.next_deadline()));
                }
                if p.zab.established() {
                    consider(p.tracker.next_deadline());
                    consider(Some(p.reaper.next_deadline()));
                }
            }
            State::Following(l) => consider(Some(l.next_deadline(&self.cfg))),
            State::Looking { since, read_only: false } if self.cfg.features.read_only_mode => {
                consider(Some(since + self.read_only_after()));
            }
            _ => {}
        }
        if self.cfg.storage.purge_interval_ms > 0 {
            consider(Some(self.next_purge));
        }
        if let Some(expiry) = &self.own_expiry {
            consider(expiry.next_deadline());
        }
        (next < i64::MAX).then_some(next)
    }

    fn on_link(&mut self, now: Now, link: LinkId, event: LinkEvent<'_>, out: &mut Outbox) {
        if let LinkEvent::Opened { port, remote } = event
            && link.is_accepted()
        {
            match port {
                Port::Client => {
                    let (front, mut ctx) = self.front_ctx(now, out);
                    front.opened(link, remote, &mut ctx);
                }
                Port::Election => self.election_link(now, link, event, out),
                Port::Quorum => match &mut self.state {
                    State::Leading(_) => self.leader_link(now, link, event, out),
                    _ => out.close(link, crate::error::CloseReason::Refused("this server does not lead")),
                },
            }
            return;
        }
        if self.front.owns(link) {
            let (front, mut ctx) = self.front_ctx(now, out);
            match event {
                LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => front.bytes(link, bytes, &mut ctx),
                LinkEvent::Closed => front.closed(link, &mut ctx),
                LinkEvent::Drained(n) => front.drained(link, n, &mut ctx),
                LinkEvent::Opened { .. } => {}
            }
            return;
        }
        if self.election.as_ref().is_some_and(|e| e.owns(link)) {
            self.election_link(now, link, event, out);
            return;
        }
        match &mut self.state {
            State::Leading(_) => self.leader_link(now, link, event, out),
            State::Following(l) if l.owns(link) => {
                let State::Following(mut learner) = core::mem::replace(&mut self.state, State::Settling) else {
                    unreachable!("just matched")
                };
                learner.on_link(event, &mut self.zab_ctx(now, out));
                self.state = State::Following(learner);
            }
            // Late news of a link of an earlier role.
            _ => {}
        }
    }

    fn election_link(&mut self, now: Now, link: LinkId, event: LinkEvent<'_>, out: &mut Outbox) {
        let mut decision = None;
        if let Some(election) = &mut self.election {
            election.on_link(now, link, event, out, &mut decision);
        }
        self.decided(now, decision, out);
    }

    fn leader_link(&mut self, now: Now, link: LinkId, event: LinkEvent<'_>, out: &mut Outbox) {
        self.with_primary(now, out, |p, ctx| p.zab.on_link(link, event, ctx));
    }

    /// Runs `f` with the leader's (or the standalone server's) state and everything that it may touch.
    fn with_primary<R>(
        &mut self,
        now: Now,
        out: &mut Outbox,
        f: impl FnOnce(&mut Primary, &mut Ctx<'_>) -> R,
    ) -> Option<R> {
        let mut state = core::mem::replace(&mut self.state, State::Settling);
        let result = match &mut state {
            State::Leading(p) | State::Standalone(p) => Some(f(p, &mut self.zab_ctx(now, out))),
            _ => None,
        };
        self.state = state;
        result
    }

    fn with_learner(&mut self, now: Now, out: &mut Outbox, f: impl FnOnce(&mut Learner, &mut Ctx<'_>)) {
        let mut state = core::mem::replace(&mut self.state, State::Settling);
        if let State::Following(l) = &mut state {
            f(l, &mut self.zab_ctx(now, out));
        }
        self.state = state;
    }

    fn zab_ctx<'a>(&'a mut self, now: Now, out: &'a mut Outbox) -> Ctx<'a> {
        Ctx {
            now,
            cfg: &self.cfg,
            verifier: &self.verifier,
            disk: &mut self.disk,
            tree: &mut self.tree,
            history: &mut self.history,
            out,
            effects: &mut self.effects,
        }
    }

    fn front_ctx<'a>(&'a mut self, now: Now, out: &'a mut Outbox) -> (&'a mut Front, FrontCtx<'a>) {
        let ctx = FrontCtx {
            now,
            tree: &mut self.tree,
            watches: &mut self.watches,
            out,
            effects: &mut self.front_effects,
            cfg: &self.cfg,
        };
        (&mut self.front, ctx)
    }

    fn on_admin(&mut self, now: Now, command: AdminCommand, out: &mut Outbox) {
        match command {
            AdminCommand::Shutdown => {
                self.stopping = true;
                self.leave_role(now, out);
                self.maybe_stop(out);
            }
            AdminCommand::Snapshot => self.walk_wanted = true,
            AdminCommand::ResetStats => {
                self.front.reset_stats();
                if let State::Leading(p) | State::Standalone(p) = &mut self.state {
                    p.zab.sizes = ProposalSizes::NONE;
                }
            }
            AdminCommand::ResetConnectionStats => self.front.reset_connection_stats(),
        }
    }

    /// Everything that was logged is on disk: the clean end.
    fn maybe_stop(&mut self, out: &mut Outbox) {
        if self.stopping && !self.disk.is_busy() && !matches!(self.state, State::Stopped) {
            self.halt(Halt::Shutdown, out);
        }
    }

    fn halt(&mut self, halt: Halt, out: &mut Outbox) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        self.state = State::Stopped;
        out.push(crate::event::Action::Halt(halt));
    }

    /// Does what time alone makes due.
    fn run_due(&mut self, now: Now, out: &mut Outbox) {
        if self.front.next_deadline().is_some_and(|at| at <= now.mono_ms) {
            let (front, mut ctx) = self.front_ctx(now, out);
            front.tick(&mut ctx);
        }
        if self.disk.next_deadline().is_some_and(|at| at <= now.mono_ms) {
            self.disk.tick(now, out);
        }
        if let Some(election) = &mut self.election
            && election.next_deadline().is_some_and(|at| at <= now.mono_ms)
        {
            let mut decision: Option<Decision> = None;
            election.tick(now, out, &mut decision);
            self.decided(now, decision, out);
        }
        match &self.state {
            State::Leading(_) | State::Standalone(_) => self.primary_due(now, out),
            State::Following(l) if l.next_deadline(&self.cfg) <= now.mono_ms => {
                self.with_learner(now, out, |l, ctx| l.tick(ctx));
            }
            State::Looking { since, read_only: false }
                if self.cfg.features.read_only_mode && since + self.read_only_after() <= now.mono_ms =>
            {
                self.serve_read_only(now, out);
            }
            _ => {}
        }
        if self.cfg.storage.purge_interval_ms > 0 && self.next_purge <= now.mono_ms {
            self.next_purge = now.mono_ms + self.cfg.storage.purge_interval_ms;
            self.disk.purge(out);
        }
        self.expire_by_own_clock(now, out);
    }

    /// Acts on effects until nothing is left to do, and applies what is decided and durable.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        loop {
            if !self.front_effects.list.is_empty() {
                self.act_for_clients(now, out);
                continue;
            }
            if !self.effects.list.is_empty() {
                self.act_for_zab(now, out);
                continue;
            }
            if !self.apply_ready(now, out) {
                break;
            }
            self.answer_syncs(now, out);
        }
        self.maybe_stop(out);
    }

    fn report_role(&mut self, out: &mut Outbox) {
        let now = (self.role(), self.epoch());
        if now != self.reported && !matches!(self.state, State::Stopped) {
            self.reported = now;
            out.event(Event::RoleChanged { role: now.0, epoch: now.1 });
        }
    }

    /// States what must hold between two inputs.
    pub fn assert_invariants(&self) {
        assert!(self.history.applied() <= self.history.committed(), "only decided transactions are applied");
        if !matches!(self.state, State::Recovering | State::Stopped) {
            assert!(self.disk.durable() <= self.disk.last_logged(), "durable is a prefix of logged");
        }
        if let State::Leading(p) | State::Standalone(p) = &self.state
            && p.zab.established()
        {
            assert_eq!(
                self.history.last(),
                p.zab.last_known(),
                "an established leader's history ends with its proposals"
            );
        }
    }
}
