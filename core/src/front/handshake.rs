//! The first frame: four-letter words, new sessions, resumed sessions (client-protocol 2.1, 2.6, 13, 14).

use crate::config::Features;
use crate::error::CloseReason;
use crate::event::Role;
use crate::front::conn::Stage;
use crate::front::{Front, FrontCtx, FrontEffect, ServeInfo};
use crate::ids::{SessionId, Zxid};
use crate::mutant::Mutant;
use crate::wire::client::{ConnectRequest, ConnectResponse, frame_len, words};
use crate::wire::password::password;
use crate::wire::records::op;

/// What became of the start of a stream.
pub(super) enum First {
    /// It is not all there.
    Incomplete,
    /// So many bytes were consumed.
    Used(usize),
    /// The connection is gone.
    Gone,
}

impl Front {
    pub(super) fn first_frame(&mut self, slot: usize, buf: &[u8], ctx: &mut FrontCtx<'_>) -> First {
        let Some(head) = buf.first_chunk::<4>() else { return First::Incomplete };
        if words::is_word(*head) {
            if *head == *b"stmk" && is_allowed(*head, &ctx.cfg.features) {
                // The mask follows.
                let Some(mask) = buf.get(4..).and_then(<[u8]>::first_chunk) else { return First::Incomplete };
                self.trace_mask = i64::from_be_bytes(*mask);
            }
            self.four_letter(slot, *head, ctx);
            return First::Gone;
        }
        let len = match frame_len(buf, ctx.cfg.limits.frame_max) {
            Ok(Some(len)) => len,
            Ok(None) => return First::Incomplete,
            Err(e) => return self.refuse(slot, CloseReason::Undecodable(e), ctx),
        };
        let Some(info) = self.serving else {
            return self.refuse(slot, CloseReason::Refused("this server does not serve now"), ctx);
        };
        let Some(frame) = buf.get(4..4 + len) else { return First::Incomplete };
        self.count_received(slot);
        match ConnectRequest::decode(frame) {
            Ok(request) => {
                if self.connect(slot, &request, info, ctx) {
                    First::Used(4 + len)
                } else {
                    First::Gone
                }
            }
            Err(e) => self.refuse(slot, CloseReason::Undecodable(e), ctx),
        }
    }

    fn refuse(&mut self, slot: usize, why: CloseReason, ctx: &mut FrontCtx<'_>) -> First {
        self.drop_conn(slot, why, ctx);
        First::Gone
    }

    fn four_letter(&mut self, slot: usize, word: [u8; 4], ctx: &mut FrontCtx<'_>) {
        self.count_received(slot);
        if is_allowed(word, &ctx.cfg.features) {
            let link = self.forget(slot, ctx).link;
            ctx.effects.list.push(FrontEffect::FourLetter { link, word });
        } else {
            ctx.out.send_with(self.conns[slot].link, |out| {
                out.extend_from_slice(&word);
                out.extend_from_slice(words::REFUSAL.as_bytes());
            });
            self.drop_conn(slot, CloseReason::Done, ctx);
        }
    }

    /// Decides in the order of client-protocol 2.1. Returns whether the connection is still there.
    fn connect(&mut self, slot: usize, request: &ConnectRequest<'_>, info: ServeInfo, ctx: &mut FrontCtx<'_>) -> bool {
        let read_only = info.role == Role::ReadOnly;
        self.stats.handshakes += 1;
        let limit = &ctx.cfg.limits.connects;
        let need = match request.session {
            SessionId::NONE if read_only || ctx.cfg.features.local_sessions => limit.local_weight,
            SessionId::NONE => limit.global_weight,
            _ => limit.renew_weight,
        };
        if !self.throttle.admit(need, ctx.now.mono_ms, limit) {
            self.stats.rejected += 1;
            self.drop_conn(slot, CloseReason::Refused("connection_throttle_tokens"), ctx);
            return false;
        }
        if read_only && request.read_only != Some(true) {
            self.drop_conn(slot, CloseReason::Refused("this server is read-only"), ctx);
            return false;
        }
        // Else the client would see time go backwards.
        let newest = info.min_seen.max(ctx.tree.last_zxid());
        if !(request.last_zxid_seen <= newest || ctx.cfg.mutants.has(Mutant::K19)) {
            self.drop_conn(slot, CloseReason::Refused("the client has seen a newer zxid than this server"), ctx);
            return false;
        }
        let timing = &ctx.cfg.timing;
        let timeout = i64::from(request.timeout).min(timing.max_session_ms).max(timing.min_session_ms);
        let timeout = i32::try_from(timeout).unwrap_or(i32::MAX);
        self.conns[slot].timeout = timeout;
        if request.session == SessionId::NONE {
            return self.create_session(slot, timeout, request.read_only, ctx);
        }
        let session = request.session;
        self.end_session(session, CloseReason::Replaced, ctx);
        if read_only && ctx.tree.sessions().contains_key(&session) {
            self.drop_conn(slot, CloseReason::Refused("global sessions are not served read-only"), ctx);
            return false;
        }
        if request.password != Some(&password(session)) {
            return self.turn_away(slot, request.read_only, ctx);
        }
        self.register(slot, session);
        if self.local.resume(session, timeout, ctx.now.mono_ms) {
            self.conns[slot].local = true;
            if read_only {
                self.serve(slot, request.read_only, ctx);
            } else {
                self.conns[slot].stage = Stage::Returning(request.read_only);
                ctx.effects.list.push(FrontEffect::ResumedAtHome(session));
            }
            return true;
        }
        // What the client has seen may be older than its session: nobody who lacks a quorum can say that it is gone.
        if read_only {
            let why = "a server without a quorum cannot know whether that session lives";
            self.drop_conn(slot, CloseReason::Refused(why), ctx);
            return false;
        }
        self.ids.pass(session);
        self.conns[slot].stage = Stage::Revalidating(request.read_only);
        let link = self.conns[slot].link;
        ctx.effects.list.push(FrontEffect::Revalidate { link, session, timeout });
        true
    }

    fn create_session(&mut self, slot: usize, timeout: i32, read_only: Option<bool>, ctx: &mut FrontCtx<'_>) -> bool {
        let mut session = self.ids.next_id();
        // A client may have asked for this one long before, and the leader has not said yet that nobody has it.
        while self.by_session.contains_key(&session.0) {
            session = self.ids.next_id();
        }
        self.register(slot, session);
        if self.is_read_only() || ctx.cfg.features.local_sessions {
            self.local.add(session, timeout, ctx.now.mono_ms);
            self.conns[slot].local = true;
            self.serve(slot, read_only, ctx);
        } else {
            self.conns[slot].stage = Stage::Creating(read_only);
            self.submit(slot, 0, op::CREATE_SESSION, &timeout.to_be_bytes(), ctx);
        }
        true
    }

    fn register(&mut self, slot: usize, session: SessionId) {
        self.conns[slot].session = session;
        let before = self.by_session.insert(session.0, slot as u32);
        assert!(before.is_none(), "a session has one connection here");
    }

    /// The leader (or the tracker of this server) has decided about a resumed session.
    pub fn revalidated(&mut self, session: SessionId, valid: bool, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.by_session.get(&session.0).map(|slot| *slot as usize) else { return };
        let Stage::Revalidating(read_only) = self.conns[slot].stage else { return };
        if valid {
            self.serve(slot, read_only, ctx);
            self.rescan(slot, ctx);
        } else {
            self.turn_away(slot, read_only, ctx);
        }
    }

    /// The leader knows that a local session is back.
    pub fn returned(&mut self, session: SessionId, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.by_session.get(&session.0).map(|slot| *slot as usize) else { return };
        let Stage::Returning(read_only) = self.conns[slot].stage else { return };
        self.serve(slot, read_only, ctx);
        self.rescan(slot, ctx);
    }

    /// createSession was decided.
    pub(super) fn session_created(&mut self, slot: usize, zxid: Zxid, ctx: &mut FrontCtx<'_>) {
        let Stage::Creating(read_only) = self.conns[slot].stage else { return };
        let stats = &mut self.conns[slot].stats;
        (stats.last_op, stats.last_cxid, stats.last_zxid) = (Some(op::CREATE_SESSION), 0, zxid);
        self.serve(slot, read_only, ctx);
        self.rescan(slot, ctx);
    }

    /// Answers the handshake; requests are served from now on.
    fn serve(&mut self, slot: usize, read_only: Option<bool>, ctx: &mut FrontCtx<'_>) {
        let conn = &mut self.conns[slot];
        conn.stage = Stage::Live;
        let response = ConnectResponse {
            timeout: conn.timeout,
            session: conn.session,
            password: password(conn.session),
            read_only: read_only.map(|_| self.serving.is_some_and(|s| s.role == Role::ReadOnly)),
        };
        let bytes = ctx.out.send_with(conn.link, |out| response.encode(out));
        self.count_sent(slot, bytes, 1);
        self.alive(slot, ctx);
    }

    /// Says that the session is gone, and closes.
    fn turn_away(&mut self, slot: usize, read_only: Option<bool>, ctx: &mut FrontCtx<'_>) -> bool {
        let flag = read_only.map(|_| self.is_read_only());
        let bytes = ctx.out.send_with(self.conns[slot].link, |out| ConnectResponse::expired(flag).encode(out));
        self.count_sent(slot, bytes, 1);
        self.drop_conn(slot, CloseReason::Done, ctx);
        false
    }
}

/// The whitelist (operations section 6).
fn is_allowed(word: [u8; 4], features: &Features) -> bool {
    word == *b"srvr"
        || (word == *b"isro" && features.read_only_mode)
        || features.four_letter_words.iter().any(|w| w == "*" || w.as_bytes() == word)
}
