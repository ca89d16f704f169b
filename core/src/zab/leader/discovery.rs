//! Discovery: a new epoch, promised by a quorum whose histories are known (quorum-protocol section 4).

use alloc::vec::Vec;

use crate::error::CloseReason;
use crate::event::{Event, Health};
use crate::ids::{Epoch, LinkId, Sid, Zxid};
use crate::jute::Put;
use crate::mutant::Mutant;
use crate::quorum::Tally;
use crate::wire::packet::kind;
use crate::zab::handler::{Handler, Stage};
use crate::zab::leader::{Leader, Phase};
use crate::zab::{Ctx, Effect};

impl Leader {
    pub(super) fn fix_epoch(&mut self, ctx: &mut Ctx<'_>) {
        if self.phase != Phase::Gathering || !self.heard.is_quorum(ctx.verifier) {
            return;
        }
        self.epoch = self.max_accepted + 1;
        if ctx.cfg.mutants.has(Mutant::K11) {
            self.epoch = ctx.disk.accepted_epoch() + 1;
        }
        if self.epoch >= i64::from(i32::MAX) {
            ctx.out.event(Event::Warning("epochs are used up: this server refuses to lead".into()));
            ctx.effects.push(Effect::StepDown("epochs are used up"));
            return;
        }
        self.phase = Phase::Fixing;
        // Who was counted in a phase matters no more when it is over: servers that differ in nothing else are one state.
        self.heard = Tally::new();
        ctx.disk.write_accepted(self.epoch, ctx.out);
        if ctx.cfg.mutants.has(Mutant::K06) {
            self.epoch_accepted(ctx);
        }
    }

    /// The accepted epoch is durable: it may be announced.
    pub fn epoch_accepted(&mut self, ctx: &mut Ctx<'_>) {
        if self.phase != Phase::Fixing {
            return;
        }
        self.phase = Phase::Promising;
        self.deadline = ctx.now.mono_ms + ctx.cfg.timing.tick_ms * ctx.cfg.timing.init_limit;
        self.promised.add(ctx.verifier, self.me);
        if self.health == Health::Intact || self.as_empty() {
            self.sound.add(ctx.verifier, self.me);
        }
        ctx.effects.push(Effect::EpochKnown(self.epoch));
        let epoch = self.epoch;
        for h in self.handlers.values_mut().filter(|h| h.stage == Stage::EpochPending) {
            Self::announce(h, epoch, ctx);
        }
        self.open(ctx);
    }

    fn as_empty(&self) -> bool {
        self.summary == (0, Zxid::ZERO) || (self.nothing_anywhere && self.summary.1 <= Zxid::ZERO)
    }

    fn announce(h: &mut Handler, epoch: Epoch, ctx: &mut Ctx<'_>) {
        h.stage = Stage::AckEpoch;
        let mut data = Vec::with_capacity(8);
        data.put_i32(crate::wire::packet::LearnerInfo::PROTOCOL);
        if h.ours {
            // Tells the learner that this leader knows what its flags mean; others read four bytes.
            data.put_i32(crate::zab::learner::MARKER);
        }
        h.send(ctx.out, kind::LEADERINFO, Zxid::new(epoch, 0), Some(&data));
    }

    pub(crate) fn learner_info(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        if let Some(sid) = h.sid
            && self.phase == Phase::Gathering
        {
            self.saw_promise(h.accepted);
            if !h.observer {
                self.heard.add(ctx.verifier, sid);
            }
        }
        h.stage = Stage::EpochPending;
        let late = !matches!(self.phase, Phase::Gathering);
        if late && h.accepted > self.epoch && h.sid.is_some_and(|sid| ctx.verifier.is_voter(sid)) {
            // It can never follow this term: only a new epoch lets it back in (quorum-protocol 4, step 2).
            self.saw_promise(h.accepted);
            ctx.effects.push(Effect::StepDown("a voter has promised a newer epoch"));
            return;
        }
        self.fix_epoch(ctx);
        if !matches!(self.phase, Phase::Gathering | Phase::Fixing) {
            Self::announce(h, self.epoch, ctx);
        }
    }

    fn saw_promise(&mut self, epoch: Epoch) {
        self.max_accepted = self.max_accepted.max(epoch);
    }

    /// The newest epoch that any learner has promised, as far as this leader heard.
    #[must_use]
    pub const fn newest_promise(&self) -> Epoch {
        self.max_accepted
    }

    /// An ACKEPOCH: the learner's current epoch and newest zxid. `Err` closes the link.
    pub(crate) fn ack_epoch(
        &mut self,
        h: &mut Handler,
        current: Epoch,
        last: Zxid,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), CloseReason> {
        h.peer_last = last;
        h.stage = Stage::Waiting;
        if self.phase == Phase::Promising
            && let Some(sid) = h.sid.filter(|_| !h.observer && h.ours && h.empty)
        {
            self.without.add(ctx.verifier, sid);
        }
        if self.phase == Phase::Promising
            && let Some(sid) = h.sid.filter(|_| !h.observer)
            && current != -1
            && last != Zxid::NONE
        {
            if (current, last) > self.summary {
                if self.health != Health::Intact {
                    // It waits for exactly such a server, which cannot follow it, but can lead.
                    ctx.effects.push(Effect::StepDown("a voter has a newer history than this doubtful leader"));
                }
                return Err(CloseReason::Misbehaved("learner has a newer history than the leader"));
            }
            // An empty server may have lost what it promised: it counts only where everybody is as empty. One of ours says
            // whether an operator has vouched for it (the file `initialize`).
            let empty = if h.ours { h.empty } else { last == Zxid::ZERO && current == 0 };
            if !empty || self.as_empty() {
                self.promised.add(ctx.verifier, sid);
                if !h.doubtful {
                    self.sound.add(ctx.verifier, sid);
                }
            }
        }
        self.open(ctx);
        Ok(())
    }

    /// Goes on when a majority of whole histories, or every voter, has promised (design page, "Disk"). Among all of them may be
    /// some without a history, as long as those with one are a quorum: nobody is left who could know more.
    fn open(&mut self, ctx: &mut Ctx<'_>) {
        let heard = |sid: Sid| self.promised.contains(ctx.verifier, sid) || self.without.contains(ctx.verifier, sid);
        let everyone = self.promised.is_quorum(ctx.verifier) && ctx.verifier.voters().iter().all(|sid| heard(*sid));
        if self.phase != Phase::Promising || !(self.sound.is_quorum(ctx.verifier) || everyone) {
            return;
        }
        self.phase = Phase::Opening;
        (self.sound, self.promised, self.without) = (Tally::new(), Tally::new(), Tally::new());
        ctx.disk.write_current(self.epoch, ctx.out);
    }

    /// The current epoch is durable: this server's own ACK(NEWLEADER) counts, learners are synchronised.
    pub fn epoch_current(&mut self, ctx: &mut Ctx<'_>) {
        if self.phase != Phase::Opening {
            return;
        }
        assert_eq!(ctx.disk.durable(), self.initial, "the initial history is on disk before the first promise");
        self.phase = Phase::Syncing;
        self.deadline = ctx.now.mono_ms + ctx.cfg.timing.tick_ms * ctx.cfg.timing.init_limit;
        let begin = if ctx.cfg.mutants.has(Mutant::B03) { self.initial } else { Zxid::new(self.epoch, 0) };
        self.last_proposed = begin;
        self.newleader.add(ctx.verifier, self.me);
        let links: Vec<LinkId> =
            self.handlers.iter().filter(|(_, h)| h.stage == Stage::Waiting).map(|(l, _)| *l).collect();
        for link in links {
            self.with_handler(link, ctx, |leader, h, ctx| {
                leader.start_sync(h, ctx);
                Ok(())
            });
        }
        self.establish(ctx);
    }
}
