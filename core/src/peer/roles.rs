//! Changes of role: recovery, LOOKING, LEADING, FOLLOWING, OBSERVING, standing alone, read-only.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;

use crate::config::{MemberKind, PeerConfig};
use crate::disk::{DiskEvent, Recovered};
use crate::election::{Decision, OwnHistory};
use crate::error::DiskError;
use crate::event::{DiskReply, Event, Halt, Health, Outbox, Role};
use crate::front::ServeInfo;
use crate::ids::{Epoch, Millis, Now, Ticket, Zxid};
use crate::mutant::Mutant;
use crate::peer::apply::Loader;
use crate::peer::reaper::Reaper;
use crate::peer::{Peer, Primary, State};
use crate::request::prepare::Preparer;
use crate::session::{self, IdSource, Tracker};
use crate::wire::notification::VoterState;
use crate::zab::leader::Leader;
use crate::zab::learner::Learner;

impl Peer {
    pub(super) fn on_disk(&mut self, now: Now, ticket: Ticket, result: Result<DiskReply, DiskError>, out: &mut Outbox) {
        let mut events = core::mem::take(&mut self.disk_events);
        let mut loader = Loader { tree: &mut self.tree, history: &mut self.history, mutants: self.cfg.mutants };
        self.disk.on_disk(now, ticket, result, &mut loader, out, &mut events);
        for event in events.drain(..) {
            self.on_disk_event(now, event, out);
            if matches!(self.state, State::Stopped) {
                break;
            }
        }
        events.clear();
        self.disk_events = events;
        if matches!(self.state, State::Settling) {
            self.look_when_quiet(now, out);
        }
    }

    fn on_disk_event(&mut self, now: Now, event: DiskEvent, out: &mut Outbox) {
        match event {
            DiskEvent::Recovered(r) => self.recovered(now, &r, out),
            DiskEvent::Durable(zxid) => {
                if self.cfg.trace {
                    out.event(Event::Durable(zxid));
                }
                self.with_primary(now, out, |p, ctx| p.zab.durable(zxid, ctx));
                self.with_learner(now, out, |l, ctx| l.durable(ctx));
            }
            DiskEvent::AcceptedDurable(epoch) => {
                out.event(Event::EpochAccepted(epoch));
                self.with_primary(now, out, |p, ctx| p.zab.epoch_accepted(ctx));
                self.with_learner(now, out, |l, ctx| l.epoch_accepted(ctx));
            }
            DiskEvent::IntentDurable(_) => self.with_learner(now, out, |l, ctx| l.intent_durable(ctx)),
            DiskEvent::CurrentDurable(epoch) => {
                out.event(Event::EpochCurrent(epoch));
                self.with_primary(now, out, |p, ctx| p.zab.epoch_current(ctx));
                self.with_learner(now, out, |l, ctx| l.epoch_current(ctx));
            }
            DiskEvent::Truncated { ok } => match &self.state {
                State::Settling => self.tail_dropped(out),
                _ => self.with_learner(now, out, |l, ctx| l.truncated(ok, ctx)),
            },
            DiskEvent::IncomingProgress => self.with_learner(now, out, |l, ctx| l.incoming_drained(ctx)),
            DiskEvent::Installed(_) => self.with_learner(now, out, |l, ctx| l.installed(ctx)),
            DiskEvent::SnapshotDone { zxid, bytes } => {
                let took_ms = self.walk.take().map_or(0, |w| now.mono_ms - w.since);
                out.event(Event::SnapshotTaken { zxid, bytes, took_ms });
            }
            // The walk goes on at the end of this step.
            DiskEvent::SnapshotProgress => {}
            DiskEvent::SnapshotFailed => {
                self.walk = None;
                self.tree.cancel_walk();
            }
            DiskEvent::LogRecords { reader, records, end, gap } => {
                self.with_primary(now, out, |p, ctx| p.zab.log_records(reader, &records, end, gap, ctx));
            }
            DiskEvent::SnapData { reader, bytes, end } => {
                self.with_primary(now, out, |p, ctx| p.zab.snapshot_data(reader, bytes, end, ctx));
            }
            DiskEvent::ReaderFailed { reader } => {
                self.with_primary(now, out, |p, ctx| p.zab.reader_failed(reader, ctx));
            }
            DiskEvent::FsyncTook(ms) => out.event(Event::FsyncTook(ms)),
            DiskEvent::Warning(text) => out.event(Event::Warning(text)),
            DiskEvent::Fatal(halt) => self.halt(halt, out),
        }
    }

    fn recovered(&mut self, now: Now, r: &Recovered, out: &mut Outbox) {
        // Everything known to be decided is applied at once; the rest waits for a leader (or for standing alone).
        if self.cfg.mutants.has(Mutant::K10) {
            self.history.commit_to(r.last_logged);
        }
        self.history.commit_to(r.committed_hint);
        self.fuzzy_until = if r.exact { Zxid::ZERO } else { Zxid(i64::MAX) };
        out.event(Event::TreeReplaced { zxid: self.history.applied(), digest: self.tree.digest() });
        self.apply_ready(now, out);
        out.event(Event::Recovered {
            last_logged: r.last_logged,
            applied: self.history.applied(),
            accepted_epoch: r.accepted,
            current_epoch: r.current,
            health: r.health,
        });
        self.front.set_id_floor(IdSource::newest(self.cfg.sid, self.tree.sessions()), r.ids_from.max(now.wall_ms));
        if self.stopping {
            self.state = State::Settling;
        } else if self.cfg.ensemble.is_none() {
            self.stand_alone(now, r, out);
        } else if self.cfg.mutants.has(Mutant::K09) && r.last_logged > r.committed_hint {
            self.state = State::Settling;
            self.disk.truncate(r.committed_hint, out);
        } else {
            self.look(now, out);
        }
        self.walk_wanted |= !r.has_snapshot;
    }

    /// Planted bug K09: the undecided tail is gone from the log.
    fn tail_dropped(&mut self, out: &mut Outbox) {
        let to = self.disk.last_logged();
        out.event(Event::Truncated(to));
        self.history.truncate(to);
    }

    // ----- LOOKING -----------------------------------------------------------------------------------------------

    fn look_when_quiet(&mut self, now: Now, out: &mut Outbox) {
        if (!self.disk.is_busy() || self.cfg.mutants.has(Mutant::B17)) && !self.stopping {
            self.look(now, out);
        }
        self.maybe_stop(out);
    }

    pub(super) fn look(&mut self, now: Now, out: &mut Outbox) {
        let may_lie = [Mutant::B08, Mutant::B17, Mutant::B23].iter().any(|m| self.cfg.mutants.has(*m));
        assert!(self.disk.durable() == self.disk.last_logged() || may_lie, "a vote tells what is on disk");
        let alike = self.history.last() == self.disk.last_logged();
        assert!(alike || may_lie, "memory and log end alike when a vote is cast");
        self.state = State::Looking { since: now.mono_ms, read_only: false };
        self.elections += 1;
        let health = self.disk.health();
        let led_to = if self.cfg.mutants.has(Mutant::B28) { Zxid::new(self.newest_promise, 0) } else { Zxid::ZERO };
        let own = OwnHistory {
            zxid: self.history.last().max(led_to),
            epoch: self.disk.current_epoch(),
            damaged: health == Health::Damaged,
            empty: health == Health::Empty,
        };
        let mut decision = None;
        if let Some(election) = &mut self.election {
            election.look(now, own, out, &mut decision);
        }
        self.decided(now, decision, out);
    }

    pub(super) fn read_only_after(&self) -> Millis {
        self.cfg.timing.tick_ms.max(2000)
    }

    pub(super) fn serve_read_only(&mut self, now: Now, out: &mut Outbox) {
        if let State::Looking { read_only, .. } = &mut self.state {
            *read_only = true;
        }
        if self.cfg.mutants.has(Mutant::B21) {
            self.history.empty_window();
        }
        let info = ServeInfo { role: Role::ReadOnly, min_seen: self.history.applied() };
        let (front, mut ctx) = self.front_ctx(now, out);
        front.start_serving(info, &mut ctx);
    }

    /// The election ended, as far as this server is concerned.
    pub(super) fn decided(&mut self, now: Now, decision: Option<Decision>, out: &mut Outbox) {
        let Some(d) = decision else { return };
        let State::Looking { since, read_only } = self.state else { return };
        if read_only {
            let (front, mut ctx) = self.front_ctx(now, out);
            front.stop_serving(&mut ctx);
        }
        self.looking_for = now.mono_ms - since;
        out.event(Event::Elected { leader: d.leader, took_ms: self.looking_for });
        let observer = self.is_observer();
        let state = match (d.leader == self.cfg.sid, observer) {
            (true, _) => VoterState::Leading,
            (false, true) => VoterState::Observing,
            (false, false) => VoterState::Following,
        };
        if let Some(election) = &mut self.election {
            election.settle(state, d.vote);
        }
        if d.leader == self.cfg.sid {
            let zab = Leader::elected(self.newest_promise, d.nothing_anywhere, &mut self.zab_ctx(now, out));
            self.state = State::Leading(Box::new(self.primary(zab)));
            return;
        }
        let address = self.cfg.ensemble.as_ref().and_then(|e| e.member(d.leader)).map(|m| m.quorum.clone());
        let address = address.expect("only members of the configuration are elected");
        // Not its epoch: the announced one may be its first, and not on disk yet.
        let empty = d.vote.zxid <= Zxid::ZERO;
        let learner = Learner::new(d.leader, address, observer, empty, &mut self.zab_ctx(now, out));
        self.state = State::Following(Box::new(learner));
    }

    fn is_observer(&self) -> bool {
        let member = self.cfg.ensemble.as_ref().and_then(|e| e.member(self.cfg.sid)).map(|m| m.kind);
        member.unwrap_or(self.cfg.kind) == MemberKind::Observer
    }

    fn primary(&self, zab: Leader) -> Primary {
        Primary {
            zab,
            prepare: Preparer::new(&self.cfg, &self.tree),
            tracker: tracker(&self.cfg),
            reaper: Reaper::new(),
        }
    }

    // ----- serving -----------------------------------------------------------------------------------------------

    fn stand_alone(&mut self, now: Now, r: &Recovered, out: &mut Outbox) {
        if matches!(r.health, Health::Damaged) {
            let what = "the log or the snapshots are damaged, and a server alone has nobody to repair them from: restore a \
                        backup of the data directory, or start this server as a member of an ensemble";
            self.halt(Halt::BadData(what.to_string()), out);
            return;
        }
        let zab = Leader::standalone(&mut self.zab_ctx(now, out));
        self.state = State::Standalone(Box::new(self.primary(zab)));
    }

    /// The leader has its quorum, or the server stands alone: the initial history is applied and clients may come.
    pub(super) fn established(&mut self, now: Now, out: &mut Outbox) {
        let known = self.cfg.mutants.has(Mutant::B52).then(|| self.tree.sessions().clone());
        self.fuzzy_until = self.fuzzy_until.min(self.history.last());
        self.apply_ready(now, out);
        let extra = self.cfg.clone();
        let tree = &self.tree;
        if let State::Leading(p) | State::Standalone(p) = &mut self.state {
            p.prepare = Preparer::new(&extra, tree);
            // Not before: what a quorum holds is not yet in the tree in the step in which it is established.
            p.reaper.start(now.mono_ms, &extra.timing);
            p.tracker = tracker(&extra);
            for (session, timeout) in known.as_ref().unwrap_or(tree.sessions()) {
                let late = if extra.mutants.has(Mutant::K15) { Millis::from(*timeout) } else { 0 };
                p.tracker.add(session::clock(now, extra.mutants) - late, *session, *timeout, None);
            }
        }
        self.close_orphans(now, out);
        self.begin_serving(now, out);
    }

    pub(super) fn begin_serving(&mut self, now: Now, out: &mut Outbox) {
        self.abdications = 0;
        if let Some(election) = &mut self.election {
            election.settled();
        }
        if let Some(ensemble) = &self.cfg.ensemble {
            self.tree.set_config_text(ensemble.text().clone(), ensemble.version, now.wall_ms);
        }
        let role = self.role();
        if role == Role::Leading && !self.cfg.features.leader_serves {
            return;
        }
        // A client may have seen epoch << 32 at a Java leader (client-protocol 1.4).
        let min_seen = Zxid::new(self.epoch(), 0).max(self.history.applied());
        let min_seen = if role == Role::Standalone { self.history.applied() } else { min_seen };
        let (front, mut ctx) = self.front_ctx(now, out);
        front.start_serving(ServeInfo { role, min_seen }, &mut ctx);
    }

    /// Leaves the present role; LOOKING follows when the disk is quiet.
    pub(super) fn leave_role(&mut self, now: Now, out: &mut Outbox) {
        let state = core::mem::replace(&mut self.state, State::Settling);
        let mut reload = false;
        match state {
            State::Leading(mut p) => {
                self.newest_promise = p.zab.newest_promise();
                p.zab.stop(&mut self.zab_ctx(now, out));
            }
            State::Standalone(_) => {}
            State::Following(mut l) => reload = l.stop(&mut self.zab_ctx(now, out)),
            State::Looking { .. } | State::Settling => {}
            other @ (State::Recovering | State::Stopped) => {
                self.state = other;
                return;
            }
        }
        let (front, mut ctx) = self.front_ctx(now, out);
        front.stop_serving(&mut ctx);
        self.effects.clear();
        self.syncs.clear();
        if reload {
            self.reload(out);
        }
    }

    /// The tree is read from disk again.
    pub(super) fn reload(&mut self, out: &mut Outbox) {
        self.walk = None;
        self.tree.cancel_walk();
        self.state = State::Recovering;
        self.disk.reload(out);
    }

    pub(super) fn step_down(&mut self, now: Now, why: &'static str, out: &mut Outbox) {
        if matches!(self.state, State::Leading(_) | State::Following(_)) {
            out.event(Event::Warning(format!("{}: {why}", self.role().name())));
            self.leave_role(now, out);
            if matches!(self.state, State::Settling) {
                self.disk.flush(now, out);
                self.look_when_quiet(now, out);
            }
        }
    }

    /// The epoch of this term is known: late joiners hear of it.
    pub(super) fn epoch_known(&mut self, epoch: Epoch) {
        if let Some(election) = &mut self.election {
            let vote = election.current();
            let state = election.state();
            if state != VoterState::Looking {
                election.settle(state, crate::wire::notification::Vote { epoch, ..vote });
            }
        }
    }
}

/// Of a new term. A server that lags behind for as long as the longest session timeout has lost its clients.
fn tracker(cfg: &PeerConfig) -> Tracker {
    let remember =
        if cfg.features.local_sessions && !cfg.mutants.has(Mutant::Q02) { cfg.timing.max_session_ms } else { 0 };
    Tracker::new(cfg.timing.tick_ms).planted(cfg.mutants).remembering(remember)
}
