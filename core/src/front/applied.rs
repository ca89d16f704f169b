//! A transaction was applied here: watch events, then the reply to whoever asked for it (client-protocol 7.3, 12).

use alloc::vec::Vec;

use crate::error::{CloseReason, ErrorCode};
use crate::front::conn::{HeaderZxid, Pending, Stage, State};
use crate::front::queue::ends_connection;
use crate::front::{Front, FrontCtx, SLOW_FACTOR, SLOW_TOGETHER};
use crate::ids::Zxid;
use crate::mutant::Mutant;
use crate::request::finish::Finished;
use crate::tree::{Applied, Change, OpResult, acl};
use crate::wire::client::encode_event;
use crate::wire::records::{op, perm};
use crate::wire::txn::{Txn, TxnHeader};

impl Front {
    /// Tells watchers what changed, answers the client that asked, lets the requests behind go on.
    pub fn applied(&mut self, header: &TxnHeader, txn: &Txn<'_>, applied: &Applied, ctx: &mut FrontCtx<'_>) {
        // No client may see the new state before the event that announces it.
        let events_first = !ctx.cfg.mutants.has(Mutant::K18);
        if events_first {
            self.notify(header.zxid, &applied.changes, ctx);
        }
        self.finish(header, txn, &applied.result, ctx);
        if !events_first {
            self.notify(header.zxid, &applied.changes, ctx);
        }
        self.relieve(ctx);
    }

    fn notify(&mut self, zxid: Zxid, changes: &[Change], ctx: &mut FrontCtx<'_>) {
        for change in changes {
            let mut fired = core::mem::take(&mut self.fired);
            ctx.watches.fire(change, &mut fired);
            for (link, kind) in fired.drain(..) {
                let Some(slot) = self.slot(link) else { continue };
                let conn = &self.conns[slot];
                // A watch that fires without READ is used up in silence.
                let visible = acl::check(&change.acl, perm::READ, &conn.ids, &ctx.cfg.features.auth);
                if !(visible || ctx.cfg.mutants.has(Mutant::Q14)) {
                    continue;
                }
                let bytes = ctx.out.send_with(link, |out| encode_event(kind, &change.path, zxid, out));
                self.count_sent(slot, bytes, 1);
                self.conns[slot].events += bytes;
                self.events += bytes;
                if let Some(slot) = self.too_slow(slot, ctx.cfg.limits.client_output_bytes) {
                    self.drop_conn(slot, CloseReason::TooSlow, ctx);
                }
            }
            self.fired = fired;
        }
    }

    /// Who must go when an event was added here, because more wait than are allowed.
    fn too_slow(&self, slot: usize, bound: usize) -> Option<usize> {
        if self.conns[slot].events > bound.saturating_mul(SLOW_FACTOR) {
            return Some(slot);
        }
        if self.events <= bound.saturating_mul(SLOW_TOGETHER) {
            return None;
        }
        self.conns.iter().max_by_key(|(_, conn)| conn.events).map(|(slowest, _)| slowest)
    }

    fn finish(&mut self, header: &TxnHeader, txn: &Txn<'_>, result: &OpResult, ctx: &mut FrontCtx<'_>) {
        if self.orphans.take(header.session, header.cxid, header.kind) {
            self.in_flight -= 1;
            if !matches!(txn, Txn::CloseSession { .. }) {
                return;
            }
        }
        self.answer_owner(header, txn, result, ctx);
        if let Txn::CloseSession { .. } = txn {
            self.in_flight -= self.orphans.end(header.session);
        }
    }

    /// On the connection that the session has here, if any.
    fn answer_owner(&mut self, header: &TxnHeader, txn: &Txn<'_>, result: &OpResult, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.by_session.get(&header.session.0).map(|slot| *slot as usize) else { return };
        if let Stage::Creating(_) = self.conns[slot].stage {
            match txn {
                Txn::CreateSession { .. } => self.session_created(slot, header.zxid, ctx),
                _ => self.drop_conn(slot, CloseReason::Refused("the session was refused"), ctx),
            }
            return;
        }
        // The oldest write only: xids may repeat, so any other match is chance (12).
        let waiting = |p: &Pending| matches!(p.state, State::Write { .. } | State::Upgrade);
        let own = self.conns[slot].pending.iter().position(waiting).filter(|i| {
            let p = &self.conns[slot].pending[*i];
            (p.xid == header.cxid || ctx.cfg.mutants.has(Mutant::B40)) && could_become(p.op, header.kind)
        });
        let Some(i) = own else {
            if let Txn::CloseSession { .. } = txn {
                // Expired, or closed from another server: no frame.
                self.drop_conn(slot, CloseReason::Done, ctx);
            }
            return;
        };
        self.in_flight -= 1;
        if matches!(txn, Txn::Error(ErrorCode::SessionMoved)) && !ctx.cfg.mutants.has(Mutant::B57) {
            self.conns[slot].pending.remove(i);
            self.drop_conn(slot, CloseReason::Refused("the session has moved to another server"), ctx);
            return;
        }
        let p = &mut self.conns[slot].pending[i];
        let State::Write { local_session } = p.state else {
            self.conns[slot].pending.remove(i);
            self.progress(slot, ctx);
            return;
        };
        let finished = Finished { xid: p.xid, op: p.op, header, txn, result, local_session };
        if ends_connection(p.op) {
            let err = if let OpResult::Error(code) = result { *code } else { ErrorCode::Ok };
            let reply = Some((HeaderZxid::Fixed(header.zxid.0), err));
            p.state = State::End { reply, why: CloseReason::Done };
        } else if i == 0 {
            let since = p.since;
            self.conns[slot].pending.pop_front();
            let bytes = ctx.out.send_with(self.conns[slot].link, |out| {
                finished.reply(out);
            });
            self.replied(slot, header.zxid, since, bytes, 1, ctx);
        } else {
            // A sync in front of it, or a reader that is too slow: its place in the order is kept.
            let mut reply = Vec::new();
            finished.reply(&mut reply);
            p.state = State::Done(reply.into_boxed_slice());
        }
        self.progress(slot, ctx);
    }
}

/// Whether a request of this opcode can have become a transaction of this type.
pub(super) const fn could_become(request: i32, txn: i32) -> bool {
    const fn is_create(op: i32) -> bool {
        matches!(op, op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL)
    }
    txn == op::ERROR
        || match request {
            op::RECONFIG => txn == op::RECONFIG || txn == op::SET_DATA,
            _ if is_create(request) => is_create(txn),
            _ => request == txn,
        }
}
