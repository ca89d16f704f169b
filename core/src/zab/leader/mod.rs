//! LEADING: discovery of a new epoch, synchronisation of learners, broadcast. A standalone server is a leader without learners.

mod discovery;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::config::PeerConfig;
use crate::disk::ReaderId;
use crate::error::CloseReason;
use crate::event::{Action, Event, Health, LinkEvent, Port, SyncKind};
use crate::ids::{Epoch, LinkId, Millis, SessionId, Sid, Zxid};
use crate::jute::Put;
use crate::message::Known;
use crate::mutant::{Mutant, coin};
use crate::quorum::Tally;
use crate::wire::packet::kind;
use crate::wire::txnlog::Record;
use crate::zab::confirm::{Confirm, SyncOrigin};
use crate::zab::handler::{Feed, Handler, Stage};
use crate::zab::sync::{Plan, plan};
use crate::zab::{Ctx, Effect, log, payload_hash};

/// How far a leader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Infos are gathered until a quorum was heard and the new epoch is fixed.
    Gathering,
    /// The accepted epoch is being written.
    Fixing,
    /// ACKEPOCHs are gathered.
    Promising,
    /// The current epoch is being written.
    Opening,
    /// Learners are brought up to date; ACK(NEWLEADER)s are gathered.
    Syncing,
    /// Established.
    Broadcast,
}

/// Sizes of the proposals of one term, bytes of header and body; -1 before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProposalSizes {
    /// Newest.
    pub last: i64,
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
}

impl ProposalSizes {
    /// Before the first proposal.
    pub const NONE: Self = Self { last: -1, min: -1, max: -1 };

    fn add(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.last = bytes;
        self.min = if self.min < 0 { bytes } else { self.min.min(bytes) };
        self.max = self.max.max(bytes);
    }
}

/// A proposal that is not decided yet.
#[derive(Clone, Debug)]
struct Outstanding {
    zxid: Zxid,
    acks: Tally,
}

/// What a leader owns.
#[derive(Clone, Debug)]
pub struct Leader {
    me: Sid,
    /// Without an ensemble.
    alone: bool,
    pub(crate) phase: Phase,
    pub(crate) epoch: Epoch,
    /// End of the initial history.
    initial: Zxid,
    /// Current epoch and newest zxid at the start: no voter may have more.
    summary: (Epoch, Zxid),
    /// No voter has a history: those that are empty count.
    nothing_anywhere: bool,
    /// How far our own disk can be trusted.
    health: Health,
    /// The phase must end by then.
    deadline: Millis,
    max_accepted: Epoch,
    heard: Tally,
    /// ACKEPOCHs of voters whose history is whole, and of all voters.
    sound: Tally,
    promised: Tally,
    /// Voters without a history that have promised too: they count only as heard.
    without: Tally,
    newleader: Tally,
    pub(crate) handlers: BTreeMap<LinkId, Box<Handler>>,
    outstanding: VecDeque<Outstanding>,
    last_proposed: Zxid,
    /// What `srvr` shows of the proposals.
    pub(crate) sizes: ProposalSizes,
    confirm: Confirm,
    next_ping: Millis,
    next_check: Millis,
    /// When a quorum was last in contact.
    quorum_seen: Millis,
}

impl Leader {
    /// A server that won an election. Listens for learners at once (quorum-protocol 4, step 1).
    ///
    /// `promise`: the newest epoch that any voter is known to have promised; the new one is above it. `nothing_anywhere`: the
    /// election heard every voter, and none has a history.
    #[must_use]
    pub fn elected(promise: Epoch, nothing_anywhere: bool, ctx: &mut Ctx<'_>) -> Self {
        ctx.out.push(Action::Listen(Port::Quorum));
        let health = ctx.disk.health();
        let mut leader = Self::new(ctx, Phase::Gathering);
        leader.health = health;
        leader.nothing_anywhere = nothing_anywhere;
        leader.max_accepted = ctx.disk.accepted_epoch().max(promise);
        let patience = ctx.cfg.timing.tick_ms * ctx.cfg.timing.init_limit;
        leader.deadline = if ctx.cfg.mutants.has(Mutant::B37) { i64::MAX } else { ctx.now.mono_ms + patience };
        leader.heard.add(ctx.verifier, leader.me);
        leader.fix_epoch(ctx);
        leader
    }

    /// A server without an ensemble: established at once, in the epoch of its newest zxid.
    #[must_use]
    pub fn standalone(ctx: &mut Ctx<'_>) -> Self {
        let mut leader = Self::new(ctx, Phase::Broadcast);
        leader.epoch = leader.initial.epoch();
        leader.last_proposed = leader.initial;
        ctx.history.commit_to(leader.initial);
        ctx.effects.push(Effect::Established);
        leader
    }

    fn new(ctx: &Ctx<'_>, phase: Phase) -> Self {
        let initial = ctx.history.last();
        Self {
            me: ctx.cfg.sid,
            alone: ctx.cfg.ensemble.is_none(),
            phase,
            epoch: 0,
            initial,
            summary: (ctx.disk.current_epoch(), initial),
            nothing_anywhere: false,
            health: Health::Intact,
            deadline: 0,
            max_accepted: 0,
            heard: Tally::new(),
            sound: Tally::new(),
            promised: Tally::new(),
            without: Tally::new(),
            newleader: Tally::new(),
            handlers: BTreeMap::new(),
            outstanding: VecDeque::new(),
            last_proposed: Zxid::ZERO,
            sizes: ProposalSizes::NONE,
            confirm: Confirm::default(),
            next_ping: ctx.now.mono_ms + ctx.cfg.timing.tick_ms / 2,
            next_check: ctx.now.mono_ms + ctx.cfg.timing.tick_ms,
            quorum_seen: ctx.now.mono_ms,
        }
    }

    /// Whether this leader has waited for so many ticks, and still does, for a quorum to connect.
    #[must_use]
    pub fn has_waited(&self, ticks: i64, now: Millis, timing: &crate::config::Timing) -> bool {
        let began = self.deadline - timing.tick_ms * timing.init_limit;
        !self.alone && self.phase == Phase::Gathering && now >= began + timing.tick_ms * ticks
    }

    /// Whether clients may be served.
    #[must_use]
    pub fn established(&self) -> bool {
        self.phase == Phase::Broadcast
    }
    /// End of the history that this term began with.
    #[must_use]
    pub const fn initial(&self) -> Zxid {
        self.initial
    }
    /// Newest zxid proposed in this term, or the end of the initial history.
    #[must_use]
    pub fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }
    /// End of the history that this leader knows: its initial one and its proposals.
    #[must_use]
    pub fn last_known(&self) -> Zxid {
        if self.last_proposed.counter() == 0 || self.last_proposed < self.initial {
            self.initial
        } else {
            self.last_proposed
        }
    }
    /// Proposals not decided yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }
    /// Syncs, of its own clients and of learners', that are not answered yet.
    #[must_use]
    pub fn pending_syncs(&self) -> usize {
        self.confirm.waiting()
    }
    /// Followers and observers that are synchronised.
    #[must_use]
    pub fn synced_learners(&self) -> (usize, usize) {
        let up = self.handlers.values().filter(|h| h.synced());
        up.fold((0, 0), |(f, o), h| if h.observer { (f, o + 1) } else { (f + 1, o) })
    }

    // ----- synchronisation ---------------------------------------------------------------------------------------

    /// The history that a learner gets as PROPOSAL + COMMIT ends here.
    fn history_end(&self, ctx: &Ctx<'_>) -> Zxid {
        if self.established() { ctx.history.committed().max(ctx.history.applied()) } else { self.initial }
    }

    pub(crate) fn start_sync(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        if !matches!(self.phase, Phase::Syncing | Phase::Broadcast) {
            return;
        }
        let end = self.history_end(ctx);
        if let Some(sid) = h.sid {
            // What it acknowledged on an earlier connection may be cut from its log by this synchronisation.
            self.outstanding.iter_mut().for_each(|o| o.acks.remove(ctx.verifier, sid));
        }
        match plan(ctx.history, end, h.peer_last, h.ours, ctx.cfg.mutants) {
            Plan::Diff { from } => {
                self.chosen(h, SyncKind::Diff, from, ctx);
                h.send(ctx.out, kind::DIFF, end, None);
                h.sent = from;
                self.hand_over(h, ctx);
            }
            Plan::Trunc { to } => {
                self.chosen(h, SyncKind::Trunc, to, ctx);
                h.send(ctx.out, kind::TRUNC, to, None);
                h.sent = to;
                self.hand_over(h, ctx);
            }
            Plan::LogThenSnap { from } if ctx.disk.log_proves(from) && self.log_is_cheap(from, ctx) => {
                let others = self.feeding(|feed| !matches!(feed, Feed::Snapshot(..)));
                if h.observer && others >= ctx.cfg.limits.max_diff_syncs {
                    let why = "leader.maxConcurrentDiffSyncs learners are being brought up to date already";
                    Self::drop_handler(h, CloseReason::Refused(why), ctx);
                    return;
                }
                let reader = ctx.disk.open_log(from, ctx.out);
                h.stage = Stage::Feeding(Feed::Probe(reader));
            }
            Plan::LogThenSnap { .. } | Plan::Snap => self.start_snap(h, ctx),
        }
    }

    /// The snapshotSizeFactor rule (quorum-protocol 5.1): reading log must stay well below sending a snapshot.
    fn log_is_cheap(&self, from: Zxid, ctx: &Ctx<'_>) -> bool {
        let factor = ctx.cfg.storage.snapshot_size_factor_permille;
        if factor < 0 {
            return false;
        }
        if ctx.disk.newest_snapshot().is_some_and(|zxid| zxid <= from) {
            // A snapshot would take the learner back to before what it has, and the log from there on is longer still.
            return true;
        }
        let limit = ctx.disk.newest_snapshot_bytes().saturating_mul(factor.unsigned_abs()) / 1000;
        limit == 0 || ctx.disk.log_bytes_since(from) <= limit.max(64 << 10)
    }

    fn chosen(&self, h: &Handler, sync: SyncKind, to: Zxid, ctx: &mut Ctx<'_>) {
        let learner = h.sid.unwrap_or_default();
        ctx.out.event(Event::SyncChosen { learner, kind: sync, from: h.peer_last, to });
    }

    /// Learners that are brought up to date from disk in this way. Those beyond the limits try again later, but for followers:
    /// the quorum does not wait (quorum-protocol 5.2).
    fn feeding(&self, way: impl Fn(&Feed) -> bool) -> usize {
        self.handlers.values().filter(|h| matches!(&h.stage, Stage::Feeding(feed) if way(feed))).count()
    }

    fn start_snap(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        if h.observer && self.feeding(|feed| matches!(feed, Feed::Snapshot(..))) >= ctx.cfg.limits.max_snap_syncs {
            let why = "leader.maxConcurrentSnapSyncs snapshots are being sent already";
            Self::drop_handler(h, CloseReason::Refused(why), ctx);
            return;
        }
        let Some((reader, zxid)) = ctx.disk.open_snapshot(ctx.out) else {
            // The first snapshot of this server is still being written; the learner tries again.
            Self::drop_handler(h, CloseReason::Refused("no finished snapshot to send yet"), ctx);
            return;
        };
        self.chosen(h, SyncKind::Snap, zxid, ctx);
        h.send(ctx.out, kind::SNAP, zxid, None);
        h.sent = zxid;
        h.stage = Stage::Feeding(Feed::Snapshot(reader, zxid));
        ctx.disk.read_next(reader, ctx.out);
    }

    fn drop_handler(h: &mut Handler, why: CloseReason, ctx: &mut Ctx<'_>) {
        if let Stage::Feeding(Feed::Probe(r) | Feed::Snapshot(r, _) | Feed::Log(r)) = h.stage {
            ctx.disk.close_reader(r);
        }
        h.closed = true;
        ctx.out.close(h.link, why);
    }

    /// The link whose catching up reads through this reader.
    fn reader_link(&self, reader: ReaderId) -> Option<LinkId> {
        let of = |h: &Handler| match h.stage {
            Stage::Feeding(Feed::Probe(r) | Feed::Snapshot(r, _) | Feed::Log(r)) => r == reader,
            _ => false,
        };
        self.handlers.values().find(|h| of(h)).map(|h| h.link)
    }

    /// Bytes of a snapshot file arrived for a learner.
    pub fn snapshot_data(&mut self, reader: ReaderId, bytes: bytes::Bytes, end: bool, ctx: &mut Ctx<'_>) {
        let Some(link) = self.reader_link(reader) else { return };
        self.with_handler(link, ctx, |leader, h, ctx| {
            h.undrained += bytes.len();
            ctx.out.send_shared(h.link, bytes);
            if end {
                ctx.disk.close_reader(reader);
                h.undrained += ctx.out.send_with(h.link, |buf| buf.put_string("BenWasHere"));
                leader.feed_from_log(h, ctx);
            } else if h.undrained < ctx.cfg.limits.snap_chunk_bytes * 2 {
                ctx.disk.read_next(reader, ctx.out);
            }
            Ok(())
        });
    }

    /// A file that a learner is fed from cannot be read.
    pub fn reader_failed(&mut self, reader: ReaderId, ctx: &mut Ctx<'_>) {
        let Some(link) = self.reader_link(reader) else { return };
        self.with_handler(link, ctx, |leader, h, ctx| {
            if let Stage::Feeding(Feed::Probe(_)) = h.stage {
                ctx.disk.close_reader(reader);
                leader.start_snap(h, ctx);
                return Ok(());
            }
            // The tree in memory is whole: with a snapshot of it the learner needs nothing that is on disk now.
            ctx.disk.log_ends_at(h.sent);
            ctx.effects.push(Effect::SnapshotWanted);
            Err(CloseReason::Refused("a file of this server that the learner needs cannot be read"))
        });
    }

    /// Goes on from `h.sent`: from memory if what follows is held there, otherwise from the log on disk.
    fn feed_from_log(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        if h.sent >= ctx.history.floor() {
            self.hand_over(h, ctx);
            return;
        }
        let reader = ctx.disk.open_log(h.sent, ctx.out);
        h.stage = Stage::Feeding(Feed::Log(reader));
        ctx.disk.read_next(reader, ctx.out);
    }

    /// Records of the log on disk arrived for a learner. `gap`: they do not follow what was asked for.
    pub fn log_records(&mut self, reader: ReaderId, records: &[Record], end: bool, gap: bool, ctx: &mut Ctx<'_>) {
        let Some(link) = self.reader_link(reader) else { return };
        self.with_handler(link, ctx, |leader, h, ctx| {
            if let Stage::Feeding(Feed::Probe(_)) = h.stage {
                // A log may end before a snapshot that took its place (ZOOKEEPER-2846).
                let short = end && records.last().map_or(h.peer_last, |r| r.zxid) < ctx.history.floor();
                if gap || short {
                    ctx.disk.close_reader(reader);
                    leader.start_snap(h, ctx);
                    return Ok(());
                }
                leader.chosen(h, SyncKind::Diff, h.peer_last, ctx);
                h.send(ctx.out, kind::DIFF, leader.history_end(ctx), None);
                h.sent = h.peer_last;
                h.stage = Stage::Feeding(Feed::Log(reader));
            }
            if gap {
                ctx.disk.log_ends_at(h.sent);
                ctx.effects.push(Effect::SnapshotWanted);
                return Err(CloseReason::Refused("the log on disk cannot prove what follows: a snapshot is needed"));
            }
            let limit = leader.history_end(ctx);
            for record in records.iter().filter(|r| r.zxid <= limit) {
                if record.zxid > h.sent {
                    h.send_history(ctx.out, record);
                }
            }
            if h.sent >= ctx.history.floor() || ctx.cfg.mutants.has(Mutant::B19) {
                ctx.disk.close_reader(reader);
                leader.hand_over(h, ctx);
            } else if end {
                ctx.disk.log_ends_at(h.sent);
                ctx.effects.push(Effect::SnapshotWanted);
                return Err(CloseReason::Refused("the log on disk ends before the window begins"));
            } else if h.undrained < ctx.cfg.limits.snap_chunk_bytes * 2 {
                ctx.disk.read_next(reader, ctx.out);
            }
            Ok(())
        });
    }

    /// The atomic step from history to live packets (quorum-protocol 5.2): what is left of the history, then the proposals in
    /// flight, then NEWLEADER; from here on the learner is forwarded to.
    fn hand_over(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        let end = self.history_end(ctx);
        for record in ctx.history.after(h.sent.max(ctx.history.floor())) {
            if record.zxid <= end {
                h.send_history(ctx.out, record);
            } else {
                h.propose(ctx.out, record);
            }
        }
        h.stage = Stage::Forwarding;
        // It had nothing to say while it was fed, however long that took: its time begins now.
        h.heard_ms = ctx.now.mono_ms;
        let text = ctx.cfg.ensemble.as_ref().map(|e| e.text().clone()).unwrap_or_default();
        h.send_shared(ctx.out, kind::NEWLEADER, Zxid::new(self.epoch, 0), &text);
    }

    pub(crate) fn newleader_acked(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        h.stage = Stage::Acked;
        if let Some(sid) = h.sid.filter(|_| self.phase == Phase::Syncing) {
            self.newleader.add(ctx.verifier, sid);
        }
        for zxid in core::mem::take(&mut h.early_acks) {
            self.acked(h.sid, zxid, ctx);
        }
        self.establish(ctx);
    }

    fn establish(&mut self, ctx: &mut Ctx<'_>) {
        if self.phase != Phase::Syncing || !self.newleader.is_quorum(ctx.verifier) {
            return;
        }
        self.phase = Phase::Broadcast;
        self.newleader = Tally::new();
        self.quorum_seen = ctx.now.mono_ms;
        ctx.history.commit_to(self.initial);
        // A quorum has taken over this history: whatever was doubtful about it is decided.
        ctx.disk.synchronised();
        ctx.out.event(Event::Established { epoch: self.epoch, last_logged: self.initial });
        ctx.effects.push(Effect::Established);
        for h in self.handlers.values_mut().filter(|h| h.stage == Stage::Acked) {
            h.up_to_date(ctx.out);
        }
    }

    // ----- broadcast ---------------------------------------------------------------------------------------------

    /// The zxid of the next proposal; `None` when the counter is used up and a new epoch is needed (Z17). A server alone has
    /// nobody to ask for one: it goes on in the next epoch by itself.
    #[must_use]
    pub fn next_zxid(&self, cfg: &PeerConfig) -> Option<Zxid> {
        if self.last_proposed.counter() < cfg.limits.epoch_len || cfg.mutants.has(Mutant::B38) {
            return Some(self.last_proposed.next());
        }
        self.alone.then(|| Zxid::new(self.last_proposed.epoch() + 1, 1))
    }

    /// Proposes what [`Leader::next_zxid`] was prepared for.
    pub fn propose(&mut self, record: Record, ctx: &mut Ctx<'_>) {
        assert!(self.established(), "only an established leader proposes");
        assert_eq!(Some(record.zxid), self.next_zxid(ctx.cfg), "ZAB: local primary order");
        self.last_proposed = record.zxid;
        self.sizes.add(record.payload.len());
        self.epoch = record.zxid.epoch();
        if ctx.cfg.trace {
            let hash = payload_hash(&record.payload);
            ctx.out.event(Event::Proposed { zxid: record.zxid, hash, record: record.payload.clone() });
        }
        log(&record, ctx.cfg, ctx.disk, ctx.out);
        if ctx.cfg.mutants.has(Mutant::K27) && coin() {
            self.handlers.values_mut().rev().filter(|h| h.forwarding()).for_each(|h| h.propose(ctx.out, &record));
        } else {
            self.handlers.values_mut().filter(|h| h.forwarding()).for_each(|h| h.propose(ctx.out, &record));
        }
        let mut acks = Tally::new();
        if ctx.cfg.mutants.has(Mutant::K03) {
            acks.add(ctx.verifier, self.me);
        }
        self.outstanding.push_back(Outstanding { zxid: record.zxid, acks });
        ctx.history.push(record);
    }

    /// Own log is durable up to `zxid`.
    pub fn durable(&mut self, zxid: Zxid, ctx: &mut Ctx<'_>) {
        let me = self.me;
        for o in self.outstanding.iter_mut().take_while(|o| o.zxid <= zxid) {
            if o.acks.add(ctx.verifier, me) && ctx.cfg.trace {
                ctx.out.event(Event::Acked(o.zxid));
            }
        }
        self.decide(ctx);
    }

    /// A learner acknowledged a proposal. What that decides is decided once all its packets are read.
    pub(crate) fn acked(&mut self, from: Option<Sid>, zxid: Zxid, ctx: &mut Ctx<'_>) {
        let (Some(sid), Some(first)) = (from, self.outstanding.front().map(|o| o.zxid)) else { return };
        if zxid.counter() == 0 {
            return;
        }
        let same_epoch = zxid.epoch() == self.epoch || ctx.cfg.mutants.has(Mutant::K12);
        let Some(i) = zxid.counter().checked_sub(first.counter()).filter(|_| same_epoch) else { return };
        if let Some(o) = self.outstanding.get_mut(i as usize) {
            o.acks.add(ctx.verifier, sid);
        }
    }

    fn decide(&mut self, ctx: &mut Ctx<'_>) {
        while self.outstanding.front().is_some_and(|o| o.acks.is_quorum(ctx.verifier)) {
            let o = self.outstanding.pop_front().expect("just seen");
            self.decided(o.zxid, ctx);
            if ctx.cfg.mutants.has(Mutant::K07) {
                while let Some(o) = self.outstanding.pop_front() {
                    self.decided(o.zxid, ctx);
                }
            }
        }
        self.finish_syncs(ctx);
    }

    fn decided(&mut self, zxid: Zxid, ctx: &mut Ctx<'_>) {
        if ctx.cfg.trace {
            ctx.out.event(Event::Decided(zxid));
        }
        if self.handlers.is_empty() {
            ctx.history.commit_to(zxid);
            return;
        }
        let before = ctx.history.committed();
        ctx.history.commit_to(zxid);
        if let Some(record) = ctx.history.after(before.max(ctx.history.floor())).find(|r| r.zxid == zxid).cloned() {
            let forgets = ctx.cfg.mutants.has(Mutant::B30);
            let told = |h: &Handler| h.forwarding() && !(forgets && h.observer && h.stage != Stage::Up);
            for h in self.handlers.values_mut().filter(|h| told(h)) {
                h.decide(ctx.out, &record);
            }
        }
    }

    // ----- sync --------------------------------------------------------------------------------------------------

    /// A client of this server, or of a learner, wants a sync, or resumes a session that nobody knows.
    pub fn sync(&mut self, origin: SyncOrigin, ctx: &mut Ctx<'_>) {
        let asks = matches!(origin, SyncOrigin::Client(_) | SyncOrigin::Learner(_));
        if asks && ctx.cfg.mutants.has(Mutant::Q03) {
            self.confirm.believe(origin, self.last_proposed);
        } else {
            self.confirm.add(origin, self.last_proposed);
        }
        if let SyncOrigin::Learner(link) = origin
            && let Some(h) = self.handlers.get_mut(&link)
        {
            h.sync_arrived(self.last_proposed);
        }
        self.finish_syncs(ctx);
    }

    fn start_round(&mut self, ctx: &mut Ctx<'_>) {
        self.confirm.start(ctx.verifier, self.me);
        if !self.confirm.in_round() {
            return;
        }
        let last = self.last_proposed;
        for h in self.handlers.values_mut().filter(|h| h.stage == Stage::Up && !h.observer) {
            h.ping(ctx.out, last);
            h.confirm_at = Some(h.pings.0);
        }
    }

    pub(crate) fn echoed(&mut self, h: &mut Handler, ctx: &mut Ctx<'_>) {
        h.pings.1 += 1;
        if h.confirm_at.is_some_and(|at| h.pings.1 >= at) {
            h.confirm_at = None;
            if let Some(sid) = h.sid
                && self.confirm.in_round()
            {
                self.confirm.echo(ctx.verifier, sid);
            }
        }
    }

    /// Whether this learner is one of ours and an earlier answer about the session waits for a confirmation.
    #[must_use]
    pub fn owes_ours(&self, link: LinkId, session: SessionId) -> bool {
        self.handlers.get(&link).is_some_and(|h| h.ours) && self.confirm.owes(link, session)
    }

    pub(crate) fn finish_syncs(&mut self, ctx: &mut Ctx<'_>) {
        if self.confirm.wants_round() {
            self.start_round(ctx);
        }
        // A proposal of an earlier epoch is never outstanding: before the first of this one, everything is decided.
        let decided = if self.outstanding.is_empty() { self.last_proposed } else { ctx.history.committed() };
        while let Some(origin) = self.confirm.pop(decided) {
            match origin {
                SyncOrigin::Client(link) => ctx.effects.push(Effect::SyncDone(link)),
                SyncOrigin::Gone(session) => ctx.effects.push(Effect::Revalidated(session, false)),
                SyncOrigin::GoneAt(link, session) => self.revalidated(link, session, false, ctx),
                SyncOrigin::ThereAt(link, session) => self.revalidated(link, session, true, ctx),
                SyncOrigin::Learner(link) => {
                    if let Some(h) = self.handlers.get_mut(&link) {
                        h.sync_done(ctx.out);
                    }
                }
            }
        }
    }

    // ----- links and time ----------------------------------------------------------------------------------------

    /// Runs `f` on a handler taken out of the map, so that it may use the leader too; `Err` closes the link.
    pub(crate) fn with_handler(
        &mut self,
        link: LinkId,
        ctx: &mut Ctx<'_>,
        f: impl FnOnce(&mut Self, &mut Handler, &mut Ctx<'_>) -> Result<(), CloseReason>,
    ) {
        let Some(mut h) = self.handlers.remove(&link) else { return };
        let result = f(self, &mut h, ctx);
        match result {
            Err(why) => {
                ctx.out.event(Event::LinkClosed { link, remote: Some(h.remote), sid: h.sid, why: why.clone() });
                Self::drop_handler(&mut h, why, ctx);
            }
            Ok(()) if h.closed => {}
            Ok(()) => {
                self.handlers.insert(link, h);
            }
        }
    }

    /// Something happened on the quorum port.
    pub fn on_link(&mut self, link: LinkId, event: LinkEvent<'_>, ctx: &mut Ctx<'_>) {
        match event {
            LinkEvent::Opened { remote, .. } => {
                self.handlers.insert(link, Box::new(Handler::new(link, remote, ctx.now.mono_ms)));
            }
            LinkEvent::Bytes(bytes) => self.arrived(link, bytes, Known::default(), ctx),
            LinkEvent::Messages { bytes, messages } => self.arrived(link, bytes, Known::new(messages), ctx),
            LinkEvent::Closed => {
                if let Some(mut h) = self.handlers.remove(&link)
                    && let Stage::Feeding(Feed::Probe(r) | Feed::Snapshot(r, _) | Feed::Log(r)) = h.stage
                {
                    ctx.disk.close_reader(r);
                    h.stage = Stage::Info;
                }
            }
            LinkEvent::Drained(n) => {
                if let Some(h) = self.handlers.get_mut(&link) {
                    let before = h.undrained;
                    h.undrained = before.saturating_sub(n);
                    let room = ctx.cfg.limits.snap_chunk_bytes * 2;
                    if before >= room
                        && h.undrained < room
                        && let Stage::Feeding(Feed::Snapshot(r, _) | Feed::Log(r)) = h.stage
                    {
                        ctx.disk.read_next(r, ctx.out);
                    }
                }
            }
        }
    }

    fn arrived(&mut self, link: LinkId, bytes: &[u8], known: Known<'_>, ctx: &mut Ctx<'_>) {
        self.with_handler(link, ctx, |leader, h, ctx| leader.on_bytes(h, bytes, known, ctx));
        self.after_bytes(link, ctx);
    }

    /// What a packet of one learner may have changed: for all, and for itself, as it was not in the map while it was read.
    fn after_bytes(&mut self, link: LinkId, ctx: &mut Ctx<'_>) {
        if self.phase == Phase::Broadcast {
            self.decide(ctx);
            if let Some(h) = self.handlers.get_mut(&link).filter(|h| h.stage == Stage::Acked) {
                h.up_to_date(ctx.out);
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono_ms;
        let timing = &ctx.cfg.timing;
        if ctx.cfg.ensemble.is_none() {
            return;
        }
        if self.phase != Phase::Broadcast && now >= self.deadline {
            let why = match self.phase {
                Phase::Gathering | Phase::Fixing => "no quorum of voters connected within initLimit",
                Phase::Promising | Phase::Opening => "no quorum of voters acknowledged the epoch within initLimit",
                Phase::Syncing | Phase::Broadcast => "no quorum of voters synchronised within initLimit",
            };
            ctx.effects.push(Effect::StepDown(why));
            return;
        }
        if now >= self.next_ping {
            self.next_ping = now + timing.tick_ms / 2;
            let last = self.last_proposed;
            let in_round = self.confirm.in_round();
            for h in self.handlers.values_mut().filter(|h| h.forwarding()) {
                h.ping(ctx.out, last);
                if in_round && h.stage == Stage::Up && !h.observer && h.confirm_at.is_none() {
                    // It has come back since the round began.
                    h.confirm_at = Some(h.pings.0);
                }
            }
        }
        if now >= self.next_check {
            self.next_check = now + timing.tick_ms;
            self.check(ctx);
        }
    }

    /// Once a tick: silent or slow learners are closed, and a leader without a quorum stops leading.
    fn check(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono_ms;
        let init = ctx.cfg.timing.tick_ms * ctx.cfg.timing.init_limit;
        let sync = ctx.cfg.timing.tick_ms * ctx.cfg.timing.sync_limit;
        let mut gone = Vec::new();
        let mut alive = Tally::new();
        alive.add(ctx.verifier, self.me);
        for h in self.handlers.values() {
            let limit = if h.synced() { sync } else { init };
            // Streaming a snapshot shows life by draining; the learner has nothing to say meanwhile.
            let silent = now - h.heard_ms > limit && !matches!(h.stage, Stage::Feeding(_));
            if silent {
                gone.push((h.link, CloseReason::Timeout("learner silent for too long")));
            } else if h.queued() > ctx.cfg.limits.learner_queue_bytes {
                gone.push((h.link, CloseReason::TooSlow));
            } else if let Some(sid) = h.sid.filter(|_| h.synced() && !h.observer) {
                alive.add(ctx.verifier, sid);
            }
        }
        for (link, why) in gone {
            self.with_handler(link, ctx, |_, _, _| Err(why));
        }
        if alive.is_quorum(ctx.verifier) {
            self.quorum_seen = now;
        } else if self.established() && !ctx.cfg.mutants.has(Mutant::K20) {
            ctx.effects.push(Effect::StepDown("not enough synchronised voters in contact"));
        }
    }

    /// When [`Leader::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Millis {
        let periodic = self.next_ping.min(self.next_check);
        if self.phase == Phase::Broadcast { periodic } else { periodic.min(self.deadline) }
    }

    /// Stops leading: all learners are told by closing, the port closes.
    pub fn stop(&mut self, ctx: &mut Ctx<'_>) {
        for (_, mut h) in core::mem::take(&mut self.handlers) {
            Self::drop_handler(&mut h, CloseReason::Done, ctx);
        }
        if ctx.cfg.ensemble.is_some() {
            ctx.out.push(Action::Unlisten(Port::Quorum));
        }
    }
}
