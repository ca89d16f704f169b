//! From NEWLEADER to its ACK: data first, epoch second, ACK third (quorum-protocol 5.4, step 3).

use crate::event::Event;
use crate::ids::Zxid;
use crate::mutant::Mutant;
use crate::wire::packet::kind;
use crate::zab::learner::{Learner, Persist, Stage};
use crate::zab::{Ctx, Effect, log, send_packet};

impl Learner {
    pub(super) fn persist(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.cfg.mutants.has(Mutant::B13) && self.snap.is_none() {
            self.stage = Stage::Persisting(Persist::Epoch);
            ctx.disk.write_current(self.epoch, ctx.out);
            return;
        }
        let last = ctx.history.last();
        if last.epoch() > ctx.disk.current_epoch() {
            // Recovery may find transactions of a newer epoch than the epoch file says; this tells it why (ZOOKEEPER-1653).
            self.stage = Stage::Persisting(Persist::Intent);
            ctx.disk.write_intent(last.epoch(), ctx.out);
        } else {
            self.install(ctx);
        }
    }

    /// The intent is durable.
    pub fn intent_durable(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.stage, Stage::Persisting(Persist::Intent)) {
            self.install(ctx);
        }
    }

    fn install(&mut self, ctx: &mut Ctx<'_>) {
        if self.snap.is_some() {
            self.stage = Stage::Persisting(Persist::Install);
            // Another implementation's snapshot may hold more than its zxid says: its digest is no zxid's.
            ctx.disk.incoming_finish(self.ours.then(|| ctx.tree.digest()), ctx.out);
            if ctx.cfg.mutants.has(Mutant::B14) {
                ctx.disk.write_current(self.epoch, ctx.out);
            }
        } else {
            self.log_history(ctx);
        }
    }

    /// The received snapshot is installed.
    pub fn installed(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.stage, Stage::Persisting(Persist::Install)) {
            self.snap = None;
            self.log_history(ctx);
        }
    }

    fn log_history(&mut self, ctx: &mut Ctx<'_>) {
        let logged = ctx.disk.last_logged();
        let last = ctx.history.last();
        if last > logged && !ctx.cfg.mutants.has(Mutant::B11) {
            for record in ctx.history.after(logged.max(ctx.history.floor())) {
                log(record, ctx.cfg, ctx.disk, ctx.out);
            }
            self.stage = Stage::Persisting(Persist::Log(last));
            if !ctx.cfg.mutants.has(Mutant::B12) {
                return;
            }
        }
        self.write_epoch(ctx);
    }

    fn write_epoch(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.disk.current_epoch() == self.epoch || ctx.cfg.mutants.has(Mutant::B29) {
            self.ack_newleader(ctx);
        } else {
            self.stage = Stage::Persisting(Persist::Epoch);
            ctx.disk.write_current(self.epoch, ctx.out);
        }
    }

    /// The current epoch is durable.
    pub fn epoch_current(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.stage, Stage::Persisting(Persist::Epoch)) {
            if ctx.cfg.mutants.has(Mutant::B13) && ctx.history.last() > ctx.disk.last_logged() {
                self.log_history(ctx);
            } else {
                self.ack_newleader(ctx);
            }
        }
    }

    fn ack_newleader(&mut self, ctx: &mut Ctx<'_>) {
        let last_logged = ctx.history.last();
        let late = ctx.cfg.mutants.has(Mutant::B11) || ctx.cfg.mutants.has(Mutant::B12);
        assert!(ctx.disk.durable() >= last_logged || late, "the whole history is durable before ACK(NEWLEADER)");
        ctx.disk.synchronised();
        self.stage = Stage::Acked;
        ctx.out.event(Event::NewLeaderAcked { epoch: self.epoch, last_logged });
        ctx.effects.push(Effect::EpochKnown(self.epoch));
        if ctx.cfg.mutants.has(Mutant::B16) {
            self.ack_durable(ctx);
        }
        self.send(ctx, kind::ACK, Zxid::new(self.epoch, 0), None);
        // What the synchronisation called committed needs no acknowledgement (quorum-protocol 5.4, step 3).
        // Planted K12 sends them all the same, as learners of another implementation may, for its leader to miscount.
        if !ctx.cfg.mutants.has(Mutant::K12) {
            self.acked = self.acked.max(self.sync_committed);
        }
        self.moved_on = last_logged;
        self.ack_durable(ctx);
        self.unblocked(ctx);
    }

    /// The log is durable up to here.
    pub fn durable(&mut self, ctx: &mut Ctx<'_>) {
        match self.stage {
            Stage::Persisting(Persist::Log(last)) if ctx.disk.durable() >= last => self.write_epoch(ctx),
            Stage::Acked | Stage::Up => self.ack_durable(ctx),
            _ => {}
        }
    }

    /// Acknowledges, in order, everything that became durable.
    fn ack_durable(&mut self, ctx: &mut Ctx<'_>) {
        if self.observer {
            return;
        }
        let durable = ctx.disk.durable();
        self.ack_up_to(durable, ctx);
    }

    pub(super) fn ack_up_to(&mut self, zxid: Zxid, ctx: &mut Ctx<'_>) {
        let Some(link) = self.link else { return };
        let from = self.acked.max(ctx.history.floor());
        for record in ctx.history.after(from).take_while(|r| r.zxid <= zxid) {
            if ctx.cfg.trace {
                ctx.out.event(Event::Acked(record.zxid));
            }
            self.undrained += send_packet(ctx.out, link, kind::ACK, record.zxid, None);
            self.acked = record.zxid;
        }
    }
}
