//! LEADING: the packets that learners send.

use alloc::vec::Vec;

use crate::error::CloseReason;
use crate::ids::SessionId;
use crate::ids::{LinkId, Zxid};
use crate::jute::Reader;
use crate::message::Known;
use crate::mutant::Mutant;
use crate::wire::packet::{ForwardedRequest, LearnerInfo, Packet, decode_ack_epoch, decode_touches, kind};
use crate::wire::records::{Id, op};
use crate::zab::handler::{Handler, Stage};
use crate::zab::leader::Leader;
use crate::zab::learner::{FLAG_DOUBTFUL, FLAG_EMPTY, MARKER};
use crate::zab::{Ctx, Effect, packet_max};

impl Leader {
    pub(crate) fn on_bytes(
        &mut self,
        h: &mut Handler,
        bytes: &[u8],
        known: Known<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), CloseReason> {
        h.heard_ms = ctx.now.mono_ms;
        let max = packet_max(ctx.cfg);
        let mut inbuf = core::mem::take(&mut h.inbuf);
        let mut known = inbuf.known_in(known);
        let result = inbuf.process(bytes, |slice| {
            let mut used = 0;
            loop {
                match Packet::read(&slice[used..], known.at(used), max) {
                    Ok(None) => return (used, Ok(())),
                    Err(e) => return (used, Err(CloseReason::Undecodable(e))),
                    Ok(Some((packet, n))) => {
                        used += n;
                        ctx.effects.packets += 1;
                        if let Err(why) = self.on_packet(h, &packet, ctx) {
                            return (used, Err(why));
                        }
                    }
                }
            }
        });
        h.inbuf = inbuf;
        result
    }

    fn on_packet(&mut self, h: &mut Handler, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        match (h.stage, p.kind) {
            (Stage::Info, kind::FOLLOWERINFO | kind::OBSERVERINFO) => self.on_info(h, p, ctx),
            (Stage::Info, _) => Err(CloseReason::Misbehaved("first packet is neither FOLLOWERINFO nor OBSERVERINFO")),
            (Stage::AckEpoch, kind::ACKEPOCH) => {
                let current = decode_ack_epoch(p.data).map_err(CloseReason::Undecodable)?;
                self.replace_older(h, ctx);
                self.ack_epoch(h, current, p.zxid, ctx)?;
                if h.stage == Stage::Waiting {
                    self.start_sync(h, ctx);
                }
                Ok(())
            }
            (Stage::AckEpoch, _) => Err(CloseReason::Misbehaved("ACKEPOCH expected")),
            (Stage::Forwarding, kind::ACK) => {
                if p.zxid == Zxid::new(self.epoch, 0) {
                    self.newleader_acked(h, ctx);
                } else if ctx.cfg.mutants.has(Mutant::B16) {
                    return Err(CloseReason::Misbehaved("an ACK before that of NEWLEADER"));
                } else if p.zxid > h.early_acks.last().copied().unwrap_or_default() && p.zxid <= self.last_proposed() {
                    // In order and each once: no more of them than there are proposals.
                    h.early_acks.push(p.zxid);
                }
                Ok(())
            }
            (Stage::Forwarding, kind::PING) => Ok(()),
            (Stage::Acked | Stage::Up, _) => self.on_live(h, p, ctx),
            (Stage::EpochPending | Stage::Waiting | Stage::Feeding(_) | Stage::Forwarding, _) => {
                Err(CloseReason::Misbehaved("packet that this stage of synchronisation cannot receive"))
            }
        }
    }

    fn on_info(&mut self, h: &mut Handler, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        let info = LearnerInfo::decode(p.data.unwrap_or_default()).map_err(CloseReason::Undecodable)?;
        if info.protocol < LearnerInfo::PROTOCOL {
            return Err(CloseReason::Misbehaved("learner speaks a protocol older than ZAB 1.0"));
        }
        if info.sid == ctx.cfg.sid {
            return Err(CloseReason::Misbehaved("another server uses the id of this one: check its myid"));
        }
        let version = ctx.cfg.ensemble.as_ref().map_or(0, |e| e.version);
        if info.config_version > version {
            return Err(CloseReason::Misbehaved("learner has a newer configuration than this leader"));
        }
        let mut extra = Reader::new(p.data.unwrap_or_default().get(20..).unwrap_or_default());
        let ours = extra.i32() == Ok(MARKER);
        let flags = extra.i32().unwrap_or_default();
        h.sid = Some(info.sid);
        h.observer = p.kind == kind::OBSERVERINFO;
        h.ours = ours;
        h.doubtful = ours && flags & FLAG_DOUBTFUL != 0;
        h.empty = ours && flags & FLAG_EMPTY != 0;
        h.accepted = p.zxid.epoch();
        self.learner_info(h, ctx);
        Ok(())
    }

    /// A newer connection of the same server replaces the older one. Not before its ACKEPOCH: a stranger that only names a
    /// learner's id, and does not speak on, ends nobody's connection.
    fn replace_older(&mut self, h: &Handler, ctx: &mut Ctx<'_>) {
        let older: Vec<LinkId> = self.handlers.values().filter(|o| o.sid == h.sid).map(|o| o.link).collect();
        for link in older {
            self.with_handler(link, ctx, |_, _, _| Err(CloseReason::Replaced));
        }
    }

    fn on_live(&mut self, h: &mut Handler, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        let undecodable = CloseReason::Undecodable;
        match p.kind {
            kind::ACK => self.acked(h.sid, p.zxid, ctx),
            kind::PING => {
                for (session, timeout) in decode_touches(p.data).map_err(undecodable)? {
                    ctx.effects.push(Effect::Touch(session, timeout));
                }
                self.echoed(h, ctx);
            }
            kind::REVALIDATE => {
                let mut r = Reader::new(p.data.unwrap_or_default());
                let session = SessionId(r.i64().map_err(undecodable)?);
                let timeout = r.i32().map_err(undecodable)?;
                let from = h.sid.expect("a synchronised learner said who it is");
                ctx.effects.push(Effect::Revalidate { from, link: h.link, session, timeout });
            }
            kind::REQUEST => {
                let request = ForwardedRequest::decode(p.data.unwrap_or_default()).map_err(undecodable)?;
                if request.op == op::SYNC {
                    // In its order with the requests before it, which are not proposed yet.
                    ctx.effects.push(Effect::LearnerSync(h.link));
                    return Ok(());
                }
                if request.op == op::PING {
                    ctx.effects.push(Effect::ResumedAtHome(h.link, request.session));
                    return Ok(());
                }
                let start = ctx.effects.arena.len();
                ctx.effects.arena.extend_from_slice(request.body);
                let body = start..ctx.effects.arena.len();
                let ids = p.auth.iter().flatten().cloned().map(Id::into_owned).collect();
                ctx.effects.push(Effect::Request {
                    from: h.sid.expect("a synchronised learner said who it is"),
                    link: h.link,
                    session: request.session,
                    cxid: request.cxid,
                    op: request.op,
                    body,
                    ids,
                });
            }
            // Java logs unknown types and goes on (quorum-protocol section 3); so do we.
            _ => {}
        }
        Ok(())
    }

    /// Answers a learner of ours that a local session is back: its ping comes back, too.
    pub fn returned(&mut self, link: LinkId, session: SessionId, ctx: &mut Ctx<'_>) {
        if let Some(h) = self.handlers.get_mut(&link) {
            let mut data = Vec::with_capacity(16);
            ForwardedRequest { session, cxid: 0, op: op::PING, body: &[] }.encode(&mut data);
            h.send(ctx.out, kind::REQUEST, Zxid::NONE, Some(&data));
        }
    }

    /// Answers a revalidation.
    pub fn revalidated(&mut self, link: LinkId, session: SessionId, valid: bool, ctx: &mut Ctx<'_>) {
        if let Some(h) = self.handlers.get_mut(&link) {
            let mut data = Vec::with_capacity(9);
            crate::jute::Put::put_i64(&mut data, session.0);
            crate::jute::Put::put_bool(&mut data, valid);
            h.send(ctx.out, kind::REVALIDATE, Zxid::NONE, Some(&data));
        }
    }
}
