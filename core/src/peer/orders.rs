//! What clients and learners ask for, and the effects of ZAB on them.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::election::Election;
use crate::error::ErrorCode;
use crate::event::{Action, Event, Outbox};
use crate::front::FrontEffect;
use crate::ids::{LinkId, Now, SessionId, Zxid};
use crate::mutant::Mutant;
use crate::peer::{Peer, State};
use crate::request::prepare::{Incoming, Outcome};
use crate::session::{self, Origin};
use crate::wire::packet::ForwardedRequest;
use crate::wire::records::{Id, op};
use crate::wire::txn::{Txn, TxnHeader, encode_record};
use crate::wire::txnlog::Record;
use crate::zab::Effect;
use crate::zab::confirm::SyncOrigin;

/// One request on its way into the total order.
struct Order<'a> {
    origin: Origin,
    /// The client's link, when it is connected here.
    link: Option<LinkId>,
    session: SessionId,
    cxid: i32,
    op: i32,
    body: &'a [u8],
    ids: &'a [Id<'static>],
}

impl Peer {
    pub(super) fn act_for_clients(&mut self, now: Now, out: &mut Outbox) {
        let mut effects = core::mem::take(&mut self.front_effects);
        for effect in effects.list.drain(..) {
            match effect {
                FrontEffect::Submit { link, session, cxid, op, body, ids } => {
                    let body = &effects.arena[body];
                    let order = Order { origin: Origin::Local, link: Some(link), session, cxid, op, body, ids: &ids };
                    self.submit(now, link, &order, out);
                }
                FrontEffect::Revalidate { session, timeout, .. } => self.revalidate(now, session, timeout, out),
                FrontEffect::ResumedAtHome(session) => self.resumed_at_home(now, session, out),
                FrontEffect::Touch { session, timeout } => self.touch(now, session, timeout),
                FrontEffect::FourLetter { link, word } => out.push(Action::FourLetter { link, word }),
            }
        }
        effects.arena.clear();
        // Effects that arose meanwhile wait in the other buffer.
        if self.front_effects.list.is_empty() {
            self.front_effects = effects;
        }
    }

    fn submit(&mut self, now: Now, link: LinkId, order: &Order<'_>, out: &mut Outbox) {
        if order.op == op::SYNC
            && self.with_primary(now, out, |p, ctx| p.zab.sync(SyncOrigin::Client(link), ctx)).is_some()
        {
            return;
        }
        if let State::Following(_) = &self.state {
            let Order { session, cxid, op, body, ids, .. } = *order;
            self.with_learner(now, out, |l, ctx| l.forward(&ForwardedRequest { session, cxid, op, body }, ids, ctx));
            return;
        }
        self.order(now, order, out);
    }

    /// Gives a request its place: one transaction, proposed. Only at an established leader or a server alone.
    fn order(&mut self, now: Now, order: &Order<'_>, out: &mut Outbox) {
        let scratch = core::mem::take(&mut self.scratch);
        let mut scratch = scratch;
        scratch.clear();
        let mut refused: Option<ErrorCode> = None;
        let mut dropped = false;
        let mut closing = false;
        let link = order.link;
        self.with_primary(now, out, |p, ctx| {
            if !p.zab.established() {
                return;
            }
            let Some(zxid) = p.zab.next_zxid(ctx.cfg) else {
                // A new epoch gives a new counter (Z17).
                ctx.effects.push(Effect::StepDown("the counter of this epoch is used up"));
                return;
            };
            let incoming = Incoming {
                session: order.session,
                cxid: order.cxid,
                op: order.op,
                body: order.body,
                ids: order.ids,
                origin: order.origin,
            };
            let outcome = p.prepare.prepare(&incoming, zxid, ctx.now, ctx.tree, &mut p.tracker, &mut scratch);
            if let Some(text) = p.prepare.quota_warning() {
                ctx.out.event(Event::Warning(text));
            }
            match outcome {
                Outcome::Txn => {}
                Outcome::Dropped => {
                    dropped = true;
                    return;
                }
                Outcome::Refused(code) if link.is_some() => {
                    refused = Some(code);
                    return;
                }
                Outcome::Refused(code) => {
                    // The learner that forwarded it answers in commit order: it needs a transaction of its own.
                    let header = TxnHeader {
                        session: order.session,
                        cxid: order.cxid,
                        zxid,
                        time: ctx.now.wall_ms,
                        kind: op::ERROR,
                    };
                    scratch.clear();
                    encode_record(&header, &Txn::Error(code), None, &mut scratch);
                }
            }
            let record = Record { zxid, payload: Bytes::copy_from_slice(&scratch) };
            p.zab.propose(record, ctx);
            closing = order.op == op::CLOSE_SESSION;
        });
        if closing {
            self.front.session_closing(order.session);
        }
        self.scratch = scratch;
        if let (Some(code), Some(link)) = (refused, link) {
            let (front, mut ctx) = self.front_ctx(now, out);
            front.refused(link, order.session, order.cxid, code, &mut ctx);
        }
        if let (true, Some(link)) = (dropped, link) {
            let (front, mut ctx) = self.front_ctx(now, out);
            front.dropped(link, order.session, order.cxid, &mut ctx);
        }
    }

    fn revalidate(&mut self, now: Now, session: SessionId, timeout: i32, out: &mut Outbox) {
        match &mut self.state {
            State::Following(_) => self.with_learner(now, out, |l, ctx| l.revalidate(session, timeout, ctx)),
            State::Leading(p) | State::Standalone(p) => {
                let at = session::clock(now, self.cfg.mutants);
                let valid = p.tracker.revalidate(at, session, timeout, Origin::Local);
                if !(valid || self.cfg.mutants.has(Mutant::Q01)) {
                    self.with_primary(now, out, |p, ctx| p.zab.sync(SyncOrigin::Gone(session), ctx));
                    return;
                }
                let (front, mut ctx) = self.front_ctx(now, out);
                front.revalidated(session, valid, &mut ctx);
            }
            // Nobody here can know; the connections are about to be closed.
            _ => {}
        }
    }

    fn resumed_at_home(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        let mut told = true;
        match &mut self.state {
            State::Following(_) => self.with_learner(now, out, |l, ctx| told = !l.resumed_at_home(session, ctx)),
            State::Leading(p) | State::Standalone(p) => p.tracker.resumed_at_home(session),
            _ => return,
        }
        if told {
            let (front, mut ctx) = self.front_ctx(now, out);
            front.returned(session, &mut ctx);
        }
    }

    fn touch(&mut self, now: Now, session: SessionId, timeout: i32) {
        match &mut self.state {
            State::Leading(p) | State::Standalone(p) => {
                p.tracker.touch(session::clock(now, self.cfg.mutants), session, timeout)
            }
            State::Following(l) => l.touch(session, timeout),
            _ => {}
        }
        if let Some(expiry) = &mut self.own_expiry {
            expiry.touch(now.mono_ms, session, timeout.into());
        }
    }

    pub(super) fn act_for_zab(&mut self, now: Now, out: &mut Outbox) {
        let mut effects = core::mem::take(&mut self.effects);
        let arena = core::mem::take(&mut effects.arena);
        for effect in effects.list.drain(..) {
            let ends_role = matches!(effect, Effect::StepDown(_));
            self.act(now, effect, &arena, out);
            if ends_role {
                // The rest is of a role that is over; the next one may have begun.
                break;
            }
        }
        if self.effects.list.is_empty() {
            self.effects = effects;
            self.effects.arena = arena;
            self.effects.arena.clear();
        }
    }

    fn act(&mut self, now: Now, effect: Effect, arena: &[u8], out: &mut Outbox) {
        match effect {
            Effect::StepDown(why) => self.step_down(now, why, out),
            Effect::Established => self.established(now, out),
            // The one under way will do.
            Effect::EpochKnown(epoch) => self.epoch_known(epoch),
            Effect::SnapshotWanted => self.want_snapshot(),
            Effect::UpToDate => {
                // What another server's snapshot may hold beyond its zxid is in the history by now.
                let fuzzy = matches!(&self.state, State::Following(l) if l.took_snapshot());
                let until = if fuzzy { Zxid(i64::MAX) } else { self.fuzzy_until };
                self.fuzzy_until = until.min(self.history.last());
                self.apply_ready(now, out);
                out.event(Event::UpToDate { epoch: self.epoch(), applied: self.history.applied() });
                self.begin_serving(now, out);
            }
            Effect::Request { from, link: _, session, cxid, op, body, ids } => {
                let origin = Origin::Learner(from);
                let order = Order { origin, link: None, session, cxid, op, body: &arena[body], ids: &ids };
                self.order(now, &order, out);
            }
            Effect::Revalidate { from, link, session, timeout } => {
                self.with_primary(now, out, |p, ctx| {
                    let valid = p.tracker.revalidate(
                        session::clock(ctx.now, ctx.cfg.mutants),
                        session,
                        timeout,
                        Origin::Learner(from),
                    );
                    if valid && p.zab.owes_ours(link, session) {
                        // It lives again, where sessions may be local. Ours count answers.
                        p.zab.sync(SyncOrigin::ThereAt(link, session), ctx);
                    } else if valid || ctx.cfg.mutants.has(Mutant::Q01) {
                        p.zab.revalidated(link, session, valid, ctx);
                    } else {
                        p.zab.sync(SyncOrigin::GoneAt(link, session), ctx);
                    }
                    valid
                })
                .filter(|valid| *valid)
                .inspect(|_| self.front.session_moved(session));
            }
            Effect::ResumedAtHome(link, session) => {
                self.with_primary(now, out, |p, ctx| {
                    p.tracker.resumed_at_home(session);
                    p.zab.returned(link, session, ctx);
                });
            }
            Effect::Returned(session) => {
                let (front, mut ctx) = self.front_ctx(now, out);
                front.returned(session, &mut ctx);
            }
            Effect::Touch(session, timeout) => {
                self.with_primary(now, out, |p, ctx| {
                    p.tracker.touch(session::clock(ctx.now, ctx.cfg.mutants), session, timeout)
                });
            }
            Effect::LearnerSync(link) => {
                self.with_primary(now, out, |p, ctx| p.zab.sync(SyncOrigin::Learner(link), ctx));
            }
            Effect::SyncDone(link) => self.sync_confirmed(now, Some(link), out),
            Effect::SyncReply => self.sync_confirmed(now, None, out),
            Effect::Revalidated(session, valid) => {
                let (front, mut ctx) = self.front_ctx(now, out);
                front.revalidated(session, valid, &mut ctx);
            }
        }
    }

    /// A sync shows everything up to it: what is decided is applied first, and that may have to wait for the own disk.
    /// `None`: the oldest sync that was forwarded.
    fn sync_confirmed(&mut self, now: Now, link: Option<LinkId>, out: &mut Outbox) {
        self.apply_ready(now, out);
        self.syncs.push_back((self.history.committed(), link));
        self.answer_syncs(now, out);
    }

    /// Answers every sync whose transactions are applied.
    pub(super) fn answer_syncs(&mut self, now: Now, out: &mut Outbox) {
        while let Some((after, link)) = self.syncs.front().copied()
            && after <= self.history.applied()
        {
            self.syncs.pop_front();
            let (front, mut ctx) = self.front_ctx(now, out);
            match link {
                Some(link) => front.synced(link, &mut ctx),
                None => front.synced_oldest(&mut ctx),
            }
        }
    }

    // ----- what the leader does by itself ------------------------------------------------------------------------

    pub(super) fn primary_due(&mut self, now: Now, out: &mut Outbox) {
        self.with_primary(now, out, |p, ctx| {
            if ctx.cfg.ensemble.is_some() && p.zab.next_deadline() <= ctx.now.mono_ms {
                p.zab.tick(ctx);
            }
        });
        let (State::Leading(p) | State::Standalone(p)) = &mut self.state else { return };
        if !p.zab.established() {
            // An election may end with two that are elected (quorum-protocol 2.6); the one that the others have left again would
            // wait for them until initLimit, and could not follow meanwhile. Each time it waits twice as long: two of them could
            // take the same voters from each other for ever (scenarios/election/two-that-take-turns.json).
            let ticks = self.cfg.timing.init_limit.min(1 << self.abdications.min(16));
            let waited = p.zab.has_waited(ticks, now.mono_ms, &self.cfg.timing);
            if waited && self.election.as_ref().is_some_and(Election::outvoted) {
                self.abdications += 1;
                self.step_down(now, "the voters have turned to another leader", out);
            }
            return;
        }
        let mut expired = Vec::new();
        if p.tracker.next_deadline().is_some_and(|at| at <= session::clock(now, self.cfg.mutants)) {
            p.tracker.expire(session::clock(now, self.cfg.mutants), &mut expired);
        }
        let reap = p.reaper.allowance(now.mono_ms, self.history.applied(), &self.cfg.timing);
        for gone in expired {
            out.event(Event::SessionExpired {
                session: gone.session,
                idle_ms: gone.idle_ms,
                timeout_ms: gone.timeout_ms,
            });
            self.close_session(now, gone.session, out);
        }
        if reap > 0 {
            self.reap(now, reap, out);
        }
    }

    fn close_session(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        let order =
            Order { origin: Origin::Local, link: None, session, cxid: 0, op: op::CLOSE_SESSION, body: &[], ids: &[] };
        self.order(now, &order, out);
    }

    /// Sessions that own ephemerals but are in no session table are closed at the start of a term (storage-format 8.5).
    pub(super) fn close_orphans(&mut self, now: Now, out: &mut Outbox) {
        let sessions = self.tree.sessions();
        let orphans: Vec<SessionId> = self.tree.ephemeral_sessions().filter(|s| !sessions.contains_key(s)).collect();
        for session in orphans {
            if let State::Leading(p) | State::Standalone(p) = &mut self.state {
                p.tracker.add(session::clock(now, self.cfg.mutants), session, 0, None);
            }
            self.close_session(now, session, out);
        }
    }

    /// Deletes containers and TTL znodes whose time has come, so many at most (client-protocol section 11).
    fn reap(&mut self, now: Now, limit: usize, out: &mut Outbox) {
        let never_used = self.cfg.timing.container_never_used_ms;
        let due = self.tree.reapable(now.wall_ms, never_used, limit);
        for path in &due {
            let mut body = Vec::with_capacity(4 + path.len());
            crate::jute::Put::put_string(&mut body, path);
            let order = Order {
                origin: Origin::Local,
                link: None,
                session: SessionId::NONE,
                cxid: 0,
                op: op::DELETE_CONTAINER,
                body: &body,
                ids: &[],
            };
            self.order(now, &order, out);
        }
        if let State::Leading(p) | State::Standalone(p) = &mut self.state {
            p.reaper.took(now.mono_ms, due.len(), p.zab.last_proposed(), &self.cfg.timing);
        }
    }

    /// Planted bug K14: a learner decides expiry by its own clock, without the touches of others.
    pub(super) fn expire_by_own_clock(&mut self, now: Now, out: &mut Outbox) {
        let Some(expiry) = &mut self.own_expiry else { return };
        let expired = expiry.expire(now.mono_ms);
        for session in expired {
            self.with_learner(now, out, |l, ctx| {
                let request = ForwardedRequest { session, cxid: 0, op: op::CLOSE_SESSION, body: &[] };
                l.forward(&request, &[], ctx);
            });
        }
    }

    /// The zxid at which clients are served.
    #[must_use]
    pub fn applied_zxid(&self) -> Zxid {
        self.history.applied()
    }
}
