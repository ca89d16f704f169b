//! Frames of a connection that has its session: who may ask what, and where it goes (client-protocol 3, 8, 12, 14).

use crate::error::{CloseReason, DecodeError, ErrorCode};
use crate::front::conn::{HeaderZxid, Pending, Stage, State};
use crate::front::handshake::First;
use crate::front::waiting::is_write;
use crate::front::{Front, FrontCtx, FrontEffect};
use crate::ids::{SessionId, Zxid};
use crate::jute::Reader;
use crate::mutant::Mutant;
use crate::request::read::is_read;
use crate::wire::client::{MultiHeader, RequestHeader, check_body, frame_len};
use crate::wire::records::{Acl, op};

impl Front {
    /// Handles the frames that `buf` begins with, as far as they are whole and may be handled now. Returns how many bytes
    /// were consumed; `None`: the connection is gone.
    pub(super) fn scan(&mut self, slot: usize, buf: &[u8], ctx: &mut FrontCtx<'_>) -> Option<usize> {
        let mut at = 0;
        let mut touched = false;
        loop {
            let rest = &buf[at..];
            match self.conns[slot].stage {
                Stage::Creating(_) | Stage::Revalidating(_) | Stage::Returning(_) => break,
                // Nothing behind the last frame counts.
                Stage::Ending => {
                    at = buf.len();
                    break;
                }
                Stage::Fresh => match self.first_frame(slot, rest, ctx) {
                    First::Incomplete => break,
                    First::Used(n) => at += n,
                    First::Gone => return None,
                },
                Stage::Live => {
                    if rest.is_empty() {
                        self.conns[slot].held_since = None;
                        break;
                    }
                    if self.must_wait(slot, ctx) {
                        break;
                    }
                    let len = match frame_len(rest, ctx.cfg.limits.frame_max) {
                        Ok(Some(len)) => len,
                        Ok(None) => {
                            self.conns[slot].held_since = None;
                            break;
                        }
                        Err(e) => {
                            if !self.end(slot, 0, 0, None, CloseReason::Undecodable(e), ctx) {
                                return None;
                            }
                            continue;
                        }
                    };
                    let Some(frame) = rest.get(4..4 + len) else {
                        self.conns[slot].held_since = None;
                        break;
                    };
                    at += 4 + len;
                    let whose = self.whose(slot);
                    if !self.request(slot, frame, &mut touched, ctx) {
                        // What ends the connection was a sign of life all the same.
                        self.touch_if(touched, whose, ctx);
                        return None;
                    }
                }
            }
        }
        self.touch_if(touched, self.whose(slot), ctx);
        Some(at)
    }

    /// The session of a connection, its timeout, and whether it is local.
    fn whose(&self, slot: usize) -> (SessionId, i32, bool) {
        let conn = &self.conns[slot];
        (conn.session, conn.timeout, conn.local)
    }

    fn touch_if(&mut self, touched: bool, (session, timeout, local): (SessionId, i32, bool), ctx: &mut FrontCtx<'_>) {
        if touched && local {
            self.local.touch(session, timeout, ctx.now.mono_ms);
        } else if touched {
            ctx.effects.list.push(FrontEffect::Touch { session, timeout });
        }
    }

    /// One frame. Returns whether the connection is still there.
    fn request(&mut self, slot: usize, frame: &[u8], touched: &mut bool, ctx: &mut FrontCtx<'_>) -> bool {
        self.count_received(slot);
        let mut r = Reader::new(frame);
        let Ok(RequestHeader { xid, op }) = RequestHeader::decode(&mut r) else {
            let what = DecodeError { offset: 0, what: "frame shorter than the header of a request" };
            return self.end(slot, 0, 0, None, CloseReason::Undecodable(what), ctx);
        };
        let body = r.rest();
        let conn = &mut self.conns[slot];
        if conn.moved {
            self.drop_conn(slot, CloseReason::Refused("the session has moved to another server"), ctx);
            return false;
        }
        if self.drop_stale(slot, ctx) {
            return false;
        }
        let conn = &mut self.conns[slot];
        conn.stats.last_op = Some(op);
        conn.stats.last_cxid = xid.into();
        match op {
            op::AUTH => return self.on_auth(slot, xid, body, ctx),
            op::SASL => return self.on_sasl(slot, xid, body, ctx),
            _ => {}
        }
        if self.lacks_enforced_auth(slot, &ctx.cfg.features.auth) {
            let reply = Some((HeaderZxid::Fixed(0), ErrorCode::SessionClosedRequireSaslAuth));
            return self.end(slot, xid, op, reply, CloseReason::Refused("authentication is enforced"), ctx);
        }
        *touched = true;
        if self.has_waited_too_long(slot, op, ctx) {
            self.stats.throttled += 1;
            let state = State::Header { zxid: HeaderZxid::Last, err: ErrorCode::ThrottledOp };
            return self.enqueue(slot, xid, op, state, ctx);
        }
        if is_read(op) {
            return self.on_read(slot, xid, op, body, ctx);
        }
        match op {
            op::PING => {
                let state = State::Header { zxid: HeaderZxid::Last, err: ErrorCode::Ok };
                self.enqueue(slot, crate::wire::client::xid::PING, op, state, ctx)
            }
            op::CLOSE_SESSION => self.on_close(slot, xid, ctx),
            op if is_write(op) => self.on_write(slot, xid, op, body, ctx),
            op::CHECK if ctx.cfg.mutants.has(Mutant::B44) => self.on_write(slot, xid, op, body, ctx),
            // Never asked for by a client library, so a read-only server's answer to it is as good as any (section 14).
            op::CHECK if self.is_read_only() => self.refuse_write(slot, xid, op, ctx),
            // 13 outside multi, 20 and -10 (section 8.4), and what does not exist.
            _ => {
                let reply = Some((HeaderZxid::Fixed(-1), ErrorCode::Unimplemented));
                self.end(slot, xid, op, reply, CloseReason::Misbehaved("unknown opcode"), ctx)
            }
        }
    }

    fn on_read(&mut self, slot: usize, xid: i32, op: i32, body: &[u8], ctx: &mut FrontCtx<'_>) -> bool {
        let conn = &mut self.conns[slot];
        let ids = conn.ids.len();
        if conn.pending.is_empty() {
            self.read(slot, xid, op, body, ids, ctx.now.mono_ms, ctx);
        } else {
            conn.bodies.push(body);
            conn.reads += 1;
            let state = State::Read { len: body.len(), ids };
            conn.pending.push_back(Pending { xid, op, since: ctx.now.mono_ms, state });
        }
        true
    }

    fn on_write(&mut self, slot: usize, xid: i32, op: i32, body: &[u8], ctx: &mut FrontCtx<'_>) -> bool {
        if self.is_read_only() {
            return self.refuse_write(slot, xid, op, ctx);
        }
        if check_body(op, body).is_err() {
            // Never ordered: a Java leader would mishandle it (section 8.3). Multi is ordered even so.
            let state = State::Header { zxid: HeaderZxid::Last, err: ErrorCode::MarshallingError };
            return self.enqueue(slot, xid, op, state, ctx);
        }
        let mut local_session = false;
        if self.conns[slot].local && makes_ephemeral(op, body) {
            if ctx.cfg.features.local_sessions_upgrading {
                self.upgrade(slot, ctx);
            } else {
                local_session = true;
            }
        }
        if let Some(err) = self.refuses_early(slot, op, body, ctx) {
            return self.enqueue(slot, xid, op, State::Header { zxid: HeaderZxid::Fixed(0), err }, ctx);
        }
        let state = if op == op::SYNC {
            self.conns[slot].bodies.push(body);
            if self.is_learner() {
                self.syncs.push_back(self.conns[slot].link);
            }
            State::Sync { len: body.len() }
        } else {
            State::Write { local_session }
        };
        self.conns[slot].pending.push_back(Pending { xid, op, since: ctx.now.mono_ms, state });
        self.in_flight += 1;
        self.submit(slot, xid, op, body, ctx);
        true
    }

    fn refuse_write(&mut self, slot: usize, xid: i32, op: i32, ctx: &mut FrontCtx<'_>) -> bool {
        let state = State::Header { zxid: HeaderZxid::Last, err: ErrorCode::NotReadOnly };
        self.enqueue(slot, xid, op, state, ctx)
    }

    /// The local session becomes global: a transaction of its own, in front of the request that needs it (2.6).
    fn upgrade(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) {
        let conn = &mut self.conns[slot];
        conn.local = false;
        let (session, timeout) = (conn.session, conn.timeout);
        conn.pending.push_back(Pending {
            xid: 0,
            op: op::CREATE_SESSION,
            since: ctx.now.mono_ms,
            state: State::Upgrade,
        });
        self.in_flight += 1;
        if !ctx.cfg.mutants.has(Mutant::B55) {
            self.local.remove(session);
        }
        self.submit(slot, 0, op::CREATE_SESSION, &timeout.to_be_bytes(), ctx);
    }

    /// closeSession: nothing behind it is read.
    fn on_close(&mut self, slot: usize, xid: i32, ctx: &mut FrontCtx<'_>) -> bool {
        if self.conns[slot].local {
            self.local.remove(self.conns[slot].session);
            let reply = Some((HeaderZxid::Last, ErrorCode::Ok));
            return self.end(slot, xid, op::CLOSE_SESSION, reply, CloseReason::Done, ctx);
        }
        let conn = &mut self.conns[slot];
        conn.stage = Stage::Ending;
        let state = State::Write { local_session: false };
        conn.pending.push_back(Pending { xid, op: op::CLOSE_SESSION, since: ctx.now.mono_ms, state });
        self.in_flight += 1;
        self.submit(slot, xid, op::CLOSE_SESSION, &[], ctx);
        true
    }

    /// Hands a request on.
    pub(super) fn submit(&mut self, slot: usize, cxid: i32, op: i32, body: &[u8], ctx: &mut FrontCtx<'_>) {
        let conn = &self.conns[slot];
        let start = ctx.effects.arena.len();
        ctx.effects.arena.extend_from_slice(body);
        let body = start..ctx.effects.arena.len();
        let (link, session, ids) = (conn.link, conn.session, conn.ids.clone());
        ctx.effects.list.push(FrontEffect::Submit { link, session, cxid, op, body, ids });
    }

    /// Answers a request that needs nothing but its turn. Returns whether the connection is still there.
    pub(super) fn enqueue(&mut self, slot: usize, xid: i32, op: i32, state: State, ctx: &mut FrontCtx<'_>) -> bool {
        self.conns[slot].pending.push_back(Pending { xid, op, since: ctx.now.mono_ms, state });
        self.conns[slot].pending.len() > 1 || self.advance(slot, ctx)
    }

    /// The last frame that counts: whatever is pending is answered first, then this (if it is answered), then the connection
    /// ends. Returns whether it is still there.
    pub(super) fn end(
        &mut self,
        slot: usize,
        xid: i32,
        op: i32,
        reply: Option<(HeaderZxid, ErrorCode)>,
        why: CloseReason,
        ctx: &mut FrontCtx<'_>,
    ) -> bool {
        self.conns[slot].stage = Stage::Ending;
        self.enqueue(slot, xid, op, State::End { reply, why }, ctx)
    }

    /// The zxid in the header of a reply that leaves now.
    pub(super) fn header_zxid(zxid: HeaderZxid, ctx: &FrontCtx<'_>) -> Zxid {
        match zxid {
            HeaderZxid::Last => ctx.tree.last_zxid(),
            HeaderZxid::Fixed(zxid) => Zxid(zxid),
        }
    }
}

/// Whether this request makes an ephemeral as ZooKeeper's upgrade scan sees it: opcodes 1 and 15, alone or in a multi (2.6).
fn makes_ephemeral(op: i32, body: &[u8]) -> bool {
    let mut r = Reader::new(body);
    match op {
        op::CREATE | op::CREATE2 => create_flags(&mut r).is_ok_and(is_ephemeral),
        op::MULTI => multi_makes_ephemeral(&mut r).unwrap_or(false),
        _ => false,
    }
}

const fn is_ephemeral(flags: i32) -> bool {
    matches!(flags, 1 | 3)
}

fn create_flags(r: &mut Reader<'_>) -> Result<i32, DecodeError> {
    r.buffer()?;
    r.buffer()?;
    Acl::decode_list(r)?;
    r.i32()
}

fn multi_makes_ephemeral(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    loop {
        let header = MultiHeader::decode(r)?;
        match header.op {
            _ if header.done => return Ok(false),
            op::CREATE | op::CREATE2 => {
                if is_ephemeral(create_flags(r)?) {
                    return Ok(true);
                }
            }
            op::CREATE_CONTAINER => {
                create_flags(r)?;
            }
            op::CREATE_TTL => {
                create_flags(r)?;
                r.i64()?;
            }
            op::DELETE | op::CHECK => {
                r.buffer()?;
                r.i32()?;
            }
            op::SET_DATA => {
                r.buffer()?;
                r.buffer()?;
                r.i32()?;
            }
            _ => return Ok(false),
        }
    }
}
