//! The queue of a connection's unanswered requests: replies leave in the order of their frames (client-protocol 12).

use crate::error::{CloseReason, ErrorCode};
use crate::front::conn::{HeaderZxid, Pending, Stage, State};
use crate::front::{Front, FrontCtx};
use crate::ids::{LinkId, Millis, SessionId, Zxid};
use crate::jute::{Put, Reader, frame};
use crate::mutant::Mutant;
use crate::request::read::Reading;
use crate::wire::client::ReplyHeader;
use crate::wire::records::op;

impl Front {
    /// Answers what can be answered at the head of the queue. Returns whether the connection is still there.
    pub(super) fn advance(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) -> bool {
        loop {
            let conn = &mut self.conns[slot];
            let Some(head) = conn.pending.front() else { return true };
            // A write behind a read may be done at any time, and the read must not see it.
            let full = conn.undrained > ctx.cfg.limits.client_output_bytes
                && !conn.pending.iter().any(|p| p.state.is_in_flight());
            if head.state.is_in_flight() || (full && matches!(head.state, State::Read { .. })) {
                return true;
            }
            let p = conn.pending.pop_front().expect("just seen");
            if !self.answer(slot, p, ctx) {
                return false;
            }
        }
    }

    fn answer(&mut self, slot: usize, p: Pending, ctx: &mut FrontCtx<'_>) -> bool {
        let Pending { xid, op, since, state } = p;
        match state {
            State::Write { .. } | State::Upgrade | State::Sync { .. } => {
                unreachable!("only what is decided is answered")
            }
            State::Read { len, ids } => {
                self.conns[slot].reads -= 1;
                let mut bodies = core::mem::take(&mut self.conns[slot].bodies);
                self.read(slot, xid, op, &bodies.bytes()[..len], ids, since, ctx);
                bodies.consume(len);
                self.conns[slot].bodies = bodies;
            }
            State::Synced { len } => {
                let zxid = ctx.tree.last_zxid();
                let conn = &mut self.conns[slot];
                let bytes = ctx.out.send_with(conn.link, |out| {
                    frame(out, |out| {
                        ReplyHeader { xid, zxid, err: ErrorCode::Ok }.encode(out);
                        // The path as it came; null stays null.
                        let mut r = Reader::new(&conn.bodies.bytes()[..len]);
                        out.put_buffer(r.buffer().ok().flatten());
                    });
                });
                conn.bodies.consume(len);
                self.replied(slot, zxid, since, bytes, 1, ctx);
            }
            State::Done(mut reply) => {
                // A read or a sync in front of it may have been answered later than this was decided.
                let own = Zxid(i64::from_be_bytes(reply[8..16].try_into().expect("8 bytes")));
                let zxid = own.max(self.conns[slot].seen);
                reply[8..16].copy_from_slice(&zxid.0.to_be_bytes());
                let bytes = ctx.out.send_with(self.conns[slot].link, |out| out.extend_from_slice(&reply));
                self.replied(slot, zxid, since, bytes, 1, ctx);
            }
            State::Header { zxid, err } => {
                let zxid = Self::header_zxid(zxid, ctx);
                let header = ReplyHeader { xid, zxid, err };
                let bytes = ctx.out.send_with(self.conns[slot].link, |out| header.encode_frame(out));
                self.replied(slot, zxid, since, bytes, 1, ctx);
            }
            State::NullToken => {
                let bytes = ctx.out.send_with(self.conns[slot].link, |out| {
                    frame(out, |out| {
                        ReplyHeader { xid, zxid: Zxid::ZERO, err: ErrorCode::Ok }.encode(out);
                        out.put_buffer(None);
                    });
                });
                self.replied(slot, Zxid::ZERO, since, bytes, 1, ctx);
            }
            State::End { reply, why } => {
                if let Some((zxid, err)) = reply {
                    let zxid = Self::header_zxid(zxid, ctx);
                    let header = ReplyHeader { xid, zxid, err };
                    let bytes = ctx.out.send_with(self.conns[slot].link, |out| header.encode_frame(out));
                    self.replied(slot, zxid, since, bytes, 1, ctx);
                }
                self.drop_conn(slot, why, ctx);
                return false;
            }
        }
        true
    }

    /// Runs a read with the first `ids` identities of its connection.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn read(
        &mut self,
        slot: usize,
        xid: i32,
        op: i32,
        body: &[u8],
        ids: usize,
        since: Millis,
        ctx: &mut FrontCtx<'_>,
    ) {
        let conn = &self.conns[slot];
        let known = ctx.cfg.mutants.has(Mutant::B60).then_some(conn.seen);
        let mut reading = Reading {
            tree: ctx.tree,
            zxid: known.unwrap_or(ctx.tree.last_zxid()),
            lists: &mut self.lists,
            watches: ctx.watches,
            link: conn.link,
            session: conn.session,
            ids: &conn.ids[..ids],
            auth: &ctx.cfg.features.auth,
            mutants: ctx.cfg.mutants,
        };
        let mut frames = 0;
        let bytes = ctx.out.send_with(conn.link, |out| frames = reading.answer(xid, op, body, out).1);
        let zxid = ctx.tree.last_zxid();
        self.replied(slot, zxid, since, bytes, frames, ctx);
    }

    /// Goes on after something at or behind the head of the queue was decided, or after output drained.
    pub(super) fn progress(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) {
        if !self.advance(slot, ctx) {
            return;
        }
        if self.conns[slot].inbox.is_empty() {
            self.flow(slot, ctx);
        } else {
            self.rescan(slot, ctx);
        }
    }

    /// The leader has ordered the oldest sync of this connection.
    pub fn synced(&mut self, link: LinkId, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.slot(link) else { return };
        let waiting = |p: &&mut Pending| matches!(p.state, State::Sync { .. });
        let Some(p) = self.conns[slot].pending.iter_mut().find(waiting) else { return };
        if let State::Sync { len } = p.state {
            p.state = State::Synced { len };
        }
        self.in_flight -= 1;
        self.progress(slot, ctx);
        self.relieve(ctx);
    }

    /// The leader has answered the oldest sync of this learner.
    pub fn synced_oldest(&mut self, ctx: &mut FrontCtx<'_>) {
        if let Some(link) = self.syncs.pop_front() {
            self.synced(link, ctx);
        }
    }

    /// The request got no transaction: its error is answered in its turn.
    pub fn refused(&mut self, link: LinkId, session: SessionId, cxid: i32, err: ErrorCode, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.slot(link).filter(|slot| self.conns[*slot].session == session) else {
            self.in_flight -= usize::from(self.orphans.forget(session, cxid));
            return;
        };
        if let Stage::Creating(_) = self.conns[slot].stage {
            self.drop_conn(slot, CloseReason::Refused("the session was refused"), ctx);
            return;
        }
        let asked = |p: &Pending| p.xid == cxid && matches!(p.state, State::Write { .. } | State::Upgrade);
        // A client may use the xid 0, too.
        let upgrade = |p: &Pending| cxid == 0 && matches!(p.state, State::Upgrade);
        let pending = &self.conns[slot].pending;
        let Some(i) = pending.iter().position(upgrade).or_else(|| pending.iter().position(asked)) else { return };
        if let State::Upgrade = self.conns[slot].pending[i].state {
            // The request behind it fails by itself.
            self.conns[slot].pending.remove(i);
        } else {
            self.conns[slot].pending[i].state = State::Header { zxid: HeaderZxid::Last, err };
        }
        self.in_flight -= 1;
        self.progress(slot, ctx);
        self.relieve(ctx);
    }

    /// The request of a session that is over: it is never answered, and its connection ends in its turn (2.3).
    pub fn dropped(&mut self, link: LinkId, session: SessionId, cxid: i32, ctx: &mut FrontCtx<'_>) {
        let asked = |p: &Pending| p.xid == cxid && matches!(p.state, State::Write { .. } | State::Upgrade);
        let slot = self.slot(link).filter(|slot| self.conns[*slot].session == session);
        let Some((slot, i)) = slot.and_then(|slot| Some((slot, self.conns[slot].pending.iter().position(asked)?)))
        else {
            self.in_flight -= usize::from(self.orphans.forget(session, cxid));
            return;
        };
        let why = CloseReason::Refused("the session is over");
        self.conns[slot].pending[i].state = State::End { reply: None, why };
        self.in_flight -= 1;
        self.progress(slot, ctx);
        self.relieve(ctx);
    }

    pub(super) fn count_received(&mut self, slot: usize) {
        self.stats.received += 1;
        self.conns[slot].stats.received += 1;
    }

    pub(super) fn count_sent(&mut self, slot: usize, bytes: usize, frames: u64) {
        let conn = &mut self.conns[slot];
        conn.undrained += bytes;
        conn.stats.sent += frames;
        self.stats.sent += frames;
    }

    /// A reply left.
    pub(super) fn replied(
        &mut self,
        slot: usize,
        zxid: Zxid,
        since: Millis,
        bytes: usize,
        frames: u64,
        ctx: &FrontCtx<'_>,
    ) {
        self.count_sent(slot, bytes, frames);
        let latency = ctx.now.mono_ms - since;
        self.stats.latency.add(latency);
        self.stats.response(bytes);
        let conn = &mut self.conns[slot];
        conn.seen = conn.seen.max(zxid);
        let stats = &mut conn.stats;
        stats.last_zxid = zxid;
        stats.last_response = ctx.now.mono_ms;
        stats.last_latency = latency;
        stats.latency.add(latency);
    }
}

/// Whether a connection ends with the reply to this request.
pub(super) const fn ends_connection(op: i32) -> bool {
    op == op::CLOSE_SESSION
}
