//! FOLLOWING and OBSERVING: joining a leader, catching up, broadcast (quorum-protocol sections 4, 5.4, 6).

mod persist;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::MemberKind;
use crate::error::CloseReason;
use crate::event::{Action, Event, Health, LinkEvent, Port};
use crate::ids::{Epoch, LinkId, Millis, SessionId, Sid, Zxid};
use crate::jute::{Put, Reader};
use crate::message::Known;
use crate::mutant::Mutant;
use crate::session::TouchTable;
use crate::wire::inbuf::InBuf;
use crate::wire::packet::{ForwardedRequest, LearnerInfo, Packet, kind};
use crate::wire::records::{Id, op};
use crate::wire::snapshot::StreamDecoder;
use crate::wire::txn::decode_record;
use crate::wire::txnlog::Record;
use crate::zab::{Ctx, Effect, log, packet_max, send_packet};

/// Says "this is Quorate" behind a LearnerInfo (flags follow) and behind a LEADERINFO. Other implementations read neither.
pub(crate) const MARKER: i32 = 0x5152_5431;

/// Flag behind the marker: the tail of this learner's log is doubtful.
pub(crate) const FLAG_DOUBTFUL: i32 = 1;

/// Flag behind the marker: this server has no history, and no operator's word that it never had one.
pub(crate) const FLAG_EMPTY: i32 = 2;

/// Attempts to connect before the election starts anew (quorum-protocol section 1).
const CONNECT_TRIES: u32 = 5;

/// Inside an epoch zxids follow each other without a gap.
const GAP: CloseReason = CloseReason::Misbehaved("PROPOSAL with a gap before it");

/// How far a learner is.
#[derive(Clone, Debug)]
enum Stage {
    /// The link is being made, or will be at this time.
    Connecting { retry_at: Option<Millis> },
    /// LEADERINFO is awaited.
    LeaderInfo,
    /// The accepted epoch is being written.
    Accepting,
    /// DIFF, TRUNC or SNAP is awaited.
    Start,
    /// The log is being cut.
    Cutting(Zxid),
    /// A snapshot streams in.
    Snapshot(StreamDecoder, Zxid),
    /// History until NEWLEADER.
    History,
    /// NEWLEADER came: history, then epoch, become durable.
    Persisting(Persist),
    /// NEWLEADER is acknowledged, UPTODATE awaited.
    Acked,
    /// Serving.
    Up,
}

/// What is being made durable before ACK(NEWLEADER): data first, epoch second (ZOOKEEPER-4643).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Persist {
    /// The snapshot is being installed.
    Install,
    /// The intent to raise the epoch is being written.
    Intent,
    /// The history is being logged up to here.
    Log(Zxid),
    /// The current epoch is being written.
    Epoch,
}

/// What a learner owns.
#[derive(Clone, Debug)]
pub struct Learner {
    /// Whom it follows.
    pub leader: Sid,
    address: alloc::sync::Arc<str>,
    observer: bool,
    keeps_no_log: bool,
    link: Option<LinkId>,
    inbuf: InBuf,
    stage: Stage,
    tries: u32,
    deadline: Millis,
    heard_ms: Millis,
    pub(crate) epoch: Epoch,
    undrained: usize,
    /// The leader is a Quorate server.
    ours: bool,
    /// Ask for a clean history: nothing that is here can be built upon.
    clean: bool,
    /// The elected leader's history when it was elected.
    leader_empty: bool,
    /// Newest zxid that the synchronisation declared committed.
    sync_committed: Zxid,
    /// A snapshot was received in this term and is not installed yet.
    snap: Option<Zxid>,
    /// A snapshot was received in this term.
    snapped: bool,
    /// The tree stands above what is left of the log: it must be read from disk again.
    reload: bool,
    /// The driver was told to stop reading from the leader.
    paused: bool,
    /// Newest zxid acknowledged.
    acked: Zxid,
    /// End of the history when NEWLEADER was acknowledged.
    moved_on: Zxid,
    /// Sessions heard of since the last PING.
    touches: TouchTable,
    /// How many answers to REVALIDATE are awaited, by session: a client may come, go and come again meanwhile.
    asked: BTreeMap<SessionId, u32>,
}

impl Learner {
    /// A server that will follow `leader` at `address`.
    #[must_use]
    pub fn new(
        leader: Sid,
        address: alloc::sync::Arc<str>,
        observer: bool,
        leader_empty: bool,
        ctx: &mut Ctx<'_>,
    ) -> Self {
        let mut learner = Self {
            leader,
            address,
            observer,
            keeps_no_log: observer && !ctx.cfg.storage.observer_sync,
            link: None,
            inbuf: InBuf::default(),
            stage: Stage::Connecting { retry_at: None },
            tries: 0,
            deadline: Self::connect_by(ctx),
            heard_ms: ctx.now.mono_ms,
            epoch: 0,
            undrained: 0,
            ours: false,
            clean: matches!(ctx.disk.health(), Health::Damaged),
            leader_empty,
            sync_committed: Zxid::ZERO,
            snap: None,
            snapped: false,
            reload: false,
            paused: false,
            acked: Zxid::ZERO,
            moved_on: Zxid::ZERO,
            touches: TouchTable::new(),
            asked: BTreeMap::new(),
        };
        learner.connect(ctx);
        learner
    }

    /// When the leader must have been reached.
    fn connect_by(ctx: &Ctx<'_>) -> Millis {
        let timing = &ctx.cfg.timing;
        let limit = if timing.connect_limit > 0 { timing.connect_limit } else { timing.init_limit };
        ctx.now.mono_ms + timing.tick_ms * limit
    }

    /// Whether clients may be served.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }
    /// Whether this term began with a whole snapshot.
    #[must_use]
    pub fn took_snapshot(&self) -> bool {
        self.snapped
    }
    /// Whether this link goes to the leader.
    #[must_use]
    pub fn owns(&self, link: LinkId) -> bool {
        self.link == Some(link)
    }
    /// Bytes for the leader that have not left yet.
    #[must_use]
    pub fn undrained(&self) -> usize {
        self.undrained
    }

    fn connect(&mut self, ctx: &mut Ctx<'_>) {
        self.tries += 1;
        self.inbuf = InBuf::default();
        self.undrained = 0;
        self.paused = false;
        self.stage = Stage::Connecting { retry_at: None };
        self.link = Some(ctx.out.connect(Port::Quorum, &self.address));
    }

    fn send(&mut self, ctx: &mut Ctx<'_>, packet_kind: i32, zxid: Zxid, data: Option<&[u8]>) {
        if let Some(link) = self.link {
            self.undrained += send_packet(ctx.out, link, packet_kind, zxid, data);
        }
    }

    fn lost(&mut self, why: &'static str, ctx: &mut Ctx<'_>) {
        self.link = None;
        ctx.effects.push(Effect::StepDown(why));
    }

    fn close(&mut self, why: CloseReason, ctx: &mut Ctx<'_>) {
        if let Some(link) = self.link.take() {
            ctx.out.event(Event::LinkClosed { link, remote: None, sid: Some(self.leader), why: why.clone() });
            ctx.out.close(link, why);
        }
        ctx.effects.push(Effect::StepDown("the link to the leader was given up"));
    }

    /// Connects again to the same leader and asks for a clean history (quorum-protocol section 4).
    fn ask_clean(&mut self, why: &'static str, ctx: &mut Ctx<'_>) {
        ctx.out.event(Event::Warning(alloc::format!("asking the leader for a whole snapshot: {why}")));
        if let Some(link) = self.link.take() {
            ctx.out.close(link, CloseReason::Refused(why));
        }
        self.clean = true;
        self.tries = 0;
        self.deadline = Self::connect_by(ctx);
        self.connect(ctx);
    }

    // ----- links -------------------------------------------------------------------------------------------------

    /// Something happened on the link to the leader.
    pub fn on_link(&mut self, event: LinkEvent<'_>, ctx: &mut Ctx<'_>) {
        match event {
            LinkEvent::Opened { .. } => self.introduce(ctx),
            LinkEvent::Bytes(bytes) => {
                self.heard_ms = ctx.now.mono_ms;
                self.on_bytes(bytes, Known::default(), ctx);
            }
            LinkEvent::Messages { bytes, messages } => {
                self.heard_ms = ctx.now.mono_ms;
                self.on_bytes(bytes, Known::new(messages), ctx);
            }
            LinkEvent::Drained(n) => self.undrained = self.undrained.saturating_sub(n),
            LinkEvent::Closed => {
                self.link = None;
                let again = self.tries < CONNECT_TRIES || ctx.cfg.mutants.has(Mutant::B36);
                if matches!(self.stage, Stage::Connecting { .. } | Stage::LeaderInfo) && again {
                    let retry_at = ctx.now.mono_ms + ctx.cfg.timing.leader_connect_retry_ms;
                    self.stage = Stage::Connecting { retry_at: Some(retry_at) };
                } else {
                    self.lost("the leader closed the connection", ctx);
                }
            }
        }
    }

    fn introduce(&mut self, ctx: &mut Ctx<'_>) {
        let version = ctx.cfg.ensemble.as_ref().map_or(0, |e| e.version);
        let info = LearnerInfo { sid: ctx.cfg.sid, protocol: LearnerInfo::PROTOCOL, config_version: version };
        let mut data = info.encode();
        data.put_i32(MARKER);
        data.put_i32(match ctx.disk.health() {
            Health::Doubtful => FLAG_DOUBTFUL,
            Health::Empty => FLAG_EMPTY,
            Health::Intact | Health::Damaged => 0,
        });
        let packet_kind = if self.observer { kind::OBSERVERINFO } else { kind::FOLLOWERINFO };
        let accepted = Zxid::new(ctx.disk.accepted_epoch(), 0);
        self.stage = Stage::LeaderInfo;
        self.heard_ms = ctx.now.mono_ms;
        self.send(ctx, packet_kind, accepted, Some(&data));
    }

    /// Whether arriving packets must wait: for the disk, or because they come from a link that was just given up.
    fn blocked(&self) -> bool {
        matches!(self.stage, Stage::Connecting { .. } | Stage::Accepting | Stage::Cutting(_) | Stage::Persisting(_))
    }

    fn on_bytes(&mut self, bytes: &[u8], known: Known<'_>, ctx: &mut Ctx<'_>) {
        let max = packet_max(ctx.cfg);
        let mut inbuf = core::mem::take(&mut self.inbuf);
        let mut known = inbuf.known_in(known);
        let result = inbuf.process(bytes, |slice| {
            let mut used = 0;
            while used < slice.len() && !self.blocked() && self.link.is_some() {
                if matches!(self.stage, Stage::Snapshot(..)) {
                    match self.on_snapshot_bytes(&slice[used..], ctx) {
                        Ok(n) => used += n,
                        Err(why) => return (used, Err(why)),
                    }
                    continue;
                }
                match Packet::read(&slice[used..], known.at(used), max) {
                    Ok(None) => break,
                    Err(e) => return (used, Err(CloseReason::Undecodable(e))),
                    Ok(Some((packet, n))) => {
                        used += n;
                        ctx.effects.packets += 1;
                        if let Err(why) = self.on_packet(&packet, ctx) {
                            return (used, Err(why));
                        }
                    }
                }
            }
            (used, Ok(()))
        });
        // A reconnect inside has given this learner a fresh buffer: what is left belongs to the old link.
        if self.link.is_some() && !matches!(self.stage, Stage::Connecting { .. }) {
            self.inbuf = inbuf;
        }
        if let Err(why) = result {
            self.close(why, ctx);
        }
        self.flow(ctx);
    }

    /// Stops reading while what arrived cannot be handled, and goes on when it can: nothing piles up without bound.
    fn flow(&mut self, ctx: &mut Ctx<'_>) {
        let chunk = ctx.cfg.limits.snap_chunk_bytes;
        let most = if self.paused { chunk } else { chunk * 2 };
        let full = (self.blocked() && self.inbuf.len() > most)
            || (self.snap.is_some() && ctx.disk.incoming_backlog() > most * 2);
        let Some(link) = self.link.filter(|_| full != self.paused) else { return };
        self.paused = full;
        // Nothing could be heard meanwhile.
        self.heard_ms = ctx.now.mono_ms;
        ctx.out.push(if full { Action::Pause(link) } else { Action::Resume(link) });
    }

    /// Goes on with packets that waited for the disk.
    fn unblocked(&mut self, ctx: &mut Ctx<'_>) {
        // The own disk took its time: the leader's begins now.
        self.heard_ms = ctx.now.mono_ms;
        self.on_bytes(&[], Known::default(), ctx);
    }

    // ----- packets -----------------------------------------------------------------------------------------------

    fn on_packet(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        match self.stage {
            Stage::LeaderInfo if p.kind == kind::LEADERINFO => self.on_leader_info(p, ctx),
            Stage::LeaderInfo => Err(CloseReason::Misbehaved("LEADERINFO expected")),
            Stage::Start => self.on_start(p, ctx),
            Stage::History => self.on_history(p, ctx),
            Stage::Acked | Stage::Up => self.on_live(p, ctx),
            Stage::Connecting { .. }
            | Stage::Accepting
            | Stage::Cutting(_)
            | Stage::Snapshot(..)
            | Stage::Persisting(_) => unreachable!("no packet is decoded in this stage"),
        }
    }

    fn on_leader_info(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        let epoch = p.zxid.epoch();
        let accepted = ctx.disk.accepted_epoch();
        if epoch < accepted {
            return Err(CloseReason::Misbehaved("leader offers an epoch older than the one promised"));
        }
        self.ours = p.data.is_some_and(|d| d.len() >= 8 && Reader::new(&d[4..]).i32() == Ok(MARKER));
        self.clean |= ctx.disk.health() == Health::Doubtful && !self.ours;
        self.clean |= ctx.disk.health() == Health::Empty && !self.leader_empty;
        self.epoch = epoch;
        if epoch > accepted {
            self.stage = Stage::Accepting;
            ctx.disk.write_accepted(epoch, ctx.out);
            if ctx.cfg.mutants.has(Mutant::K06) {
                self.ack_epoch(ctx.disk.current_epoch(), ctx);
            }
        } else {
            // Promised before: this answer does not count again (C03).
            let again = if ctx.cfg.mutants.has(Mutant::K11) { ctx.disk.current_epoch() } else { -1 };
            self.ack_epoch(again, ctx);
        }
        Ok(())
    }

    /// The accepted epoch is durable: the promise may be given.
    pub fn epoch_accepted(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.stage, Stage::Accepting) {
            self.ack_epoch(ctx.disk.current_epoch(), ctx);
            self.unblocked(ctx);
        }
    }

    fn ack_epoch(&mut self, current: Epoch, ctx: &mut Ctx<'_>) {
        self.stage = Stage::Start;
        let last = if self.clean { Zxid::NONE } else { ctx.history.last() };
        let current = i32::try_from(current).expect("epochs have 31 bits");
        ctx.out.event(Event::EpochAcked(self.epoch));
        self.send(ctx, kind::ACKEPOCH, last, Some(&current.to_be_bytes()));
    }

    fn on_start(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        let sync = matches!(p.kind, kind::DIFF | kind::TRUNC | kind::SNAP);
        if sync && !(0..=self.epoch).contains(&p.zxid.epoch()) {
            return Err(CloseReason::Misbehaved("synchronisation to an epoch that this leader does not lead"));
        }
        match p.kind {
            kind::DIFF => {
                if self.clean && ctx.history.last() != Zxid::ZERO {
                    return Err(CloseReason::Misbehaved("DIFF offered where a whole snapshot was asked for"));
                }
                if ctx.cfg.mutants.has(Mutant::B27) {
                    ctx.history.commit_to(p.zxid);
                }
                // A leader of ours names less than what is here when the rest is not decided yet.
                self.begin_history(p.zxid, ctx);
            }
            kind::TRUNC => {
                self.stage = Stage::Cutting(p.zxid);
                ctx.disk.truncate(p.zxid, ctx.out);
            }
            kind::SNAP => {
                // From here on the tree is the leader's; if this term ends early it is read from disk again.
                ctx.tree.begin_load();
                ctx.disk.incoming_begin(p.zxid, ctx.out);
                self.snap = Some(p.zxid);
                self.snapped = true;
                self.stage = Stage::Snapshot(StreamDecoder::new(), p.zxid);
            }
            // A PING reply now would be taken for ACK(NEWLEADER) (quorum-protocol 5.2).
            kind::PING => {}
            _ => return Err(CloseReason::Misbehaved("DIFF, TRUNC or SNAP expected")),
        }
        Ok(())
    }

    /// The log was cut. `ok`: what is left ends exactly there.
    pub fn truncated(&mut self, ok: bool, ctx: &mut Ctx<'_>) {
        let Stage::Cutting(to) = self.stage else { return };
        // The disk refuses a cut that would leave nothing to build upon.
        if ctx.disk.last_logged() <= to {
            ctx.out.event(Event::Truncated(to));
        }
        let tree_ok = ctx.history.truncate(to);
        if !tree_ok {
            // The tree holds more than was ever decided (a snapshot of another implementation, ZOOKEEPER-4837).
            self.reload = true;
            self.close(CloseReason::Refused("the tree stands above the cut"), ctx);
            return;
        }
        if !ok && !ctx.cfg.mutants.has(Mutant::K08) {
            self.ask_clean("the cut did not end at a common transaction", ctx);
            return;
        }
        self.begin_history(to, ctx);
        self.unblocked(ctx);
    }

    fn on_snapshot_bytes(&mut self, bytes: &[u8], ctx: &mut Ctx<'_>) -> Result<usize, CloseReason> {
        let Stage::Snapshot(decoder, zxid) = &mut self.stage else { unreachable!("checked by the caller") };
        let zxid = *zxid;
        let (used, body, done) = decoder.feed(bytes, ctx.tree).map_err(CloseReason::Undecodable)?;
        ctx.disk.incoming_bytes(Bytes::copy_from_slice(&bytes[..body]), ctx.out);
        if done {
            // A leader of another implementation sends fuzzy ones.
            ctx.tree.finish_load(zxid, self.ours);
            ctx.history.reset(zxid);
            ctx.out.event(Event::TreeReplaced { zxid, digest: ctx.tree.digest() });
            self.begin_history(zxid, ctx);
        }
        Ok(used)
    }

    /// Received snapshot bytes reached the disk.
    pub fn incoming_drained(&mut self, ctx: &mut Ctx<'_>) {
        self.flow(ctx);
    }

    /// `decided`: the leader calls everything up to here committed.
    fn begin_history(&mut self, decided: Zxid, ctx: &mut Ctx<'_>) {
        self.sync_committed = ctx.history.last().min(decided).max(ctx.history.applied());
        self.acked = self.sync_committed;
        self.stage = Stage::History;
    }

    /// Everything between the start of synchronisation and NEWLEADER.
    fn on_history(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        match p.kind {
            kind::PROPOSAL | kind::INFORM => match self.take(p, ctx) {
                Ok(new) => {
                    if new && p.kind == kind::INFORM {
                        self.sync_committed = p.zxid;
                    }
                    Ok(())
                }
                Err(GAP) if self.snap.is_none() && !self.clean => {
                    // A leader with a hole in its window would offer the same again (ZOOKEEPER-4925).
                    if let Some(link) = self.link {
                        ctx.out.event(Event::LinkClosed { link, remote: None, sid: Some(self.leader), why: GAP });
                    }
                    ctx.history.truncate(ctx.disk.last_logged());
                    self.ask_clean("the history that was offered has a gap", ctx);
                    Ok(())
                }
                Err(why) => Err(why),
            },
            kind::COMMIT => self.commit_in_sync(p.zxid, ctx),
            kind::NEWLEADER => {
                if p.zxid.epoch() != self.epoch {
                    return Err(CloseReason::Misbehaved("NEWLEADER of another epoch"));
                }
                self.persist(ctx);
                Ok(())
            }
            kind::PING => Ok(()),
            _ => Err(CloseReason::Misbehaved("packet that synchronisation cannot receive")),
        }
    }

    /// Takes a proposal into the history. `Ok(false)`: known already, or an artefact to be ignored.
    fn take(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<bool, CloseReason> {
        let (zxid, payload) = (p.zxid, p.data.unwrap_or_default());
        let (header, txn, _) = decode_record(payload).map_err(CloseReason::Undecodable)?;
        if header.zxid != zxid {
            return Err(CloseReason::Misbehaved("PROPOSAL whose packet and transaction differ in zxid"));
        }
        let last = ctx.history.last();
        if zxid <= last {
            // Repeated after an undecodable write (a Java leader's artefact), or contained in a SNAP already.
            let artefact = zxid == last && matches!(txn, crate::wire::txn::Txn::Error(_));
            return if artefact || matches!(self.stage, Stage::History) {
                Ok(false)
            } else {
                Err(CloseReason::Misbehaved("PROPOSAL out of order"))
            };
        }
        if zxid.counter() == 0 && matches!(txn, crate::wire::txn::Txn::Error(_)) {
            // The same artefact before the first transaction of an epoch.
            return Ok(false);
        }
        if zxid.epoch() > self.epoch {
            return Err(CloseReason::Misbehaved("PROPOSAL of an epoch that this leader does not lead"));
        }
        let follows = zxid == last.next() || (zxid.epoch() > last.epoch() && zxid.counter() == 1);
        let unchecked = ctx.cfg.mutants.has(Mutant::B30) && self.observer;
        if !(follows || unchecked) {
            return Err(GAP);
        }
        let payload = p.shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(payload));
        ctx.history.push(Record { zxid, payload });
        Ok(true)
    }

    fn commit_in_sync(&mut self, zxid: Zxid, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        if zxid <= self.sync_committed {
            return Ok(());
        }
        let next = ctx.history.after(self.sync_committed.max(ctx.history.floor())).next().map(|r| r.zxid);
        if next != Some(zxid) {
            return Err(CloseReason::Misbehaved("COMMIT of something that is not the next pending transaction"));
        }
        self.sync_committed = zxid;
        Ok(())
    }

    // ----- broadcast ---------------------------------------------------------------------------------------------

    fn on_live(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        match p.kind {
            kind::PROPOSAL => self.on_proposal(p, ctx)?,
            kind::INFORM => self.on_inform(p, ctx)?,
            kind::COMMIT => self.commit(p.zxid, ctx)?,
            kind::UPTODATE if matches!(self.stage, Stage::Acked) => {
                self.stage = Stage::Up;
                let everything = ctx.cfg.mutants.has(Mutant::B24);
                ctx.history.commit_to(if everything { ctx.history.last() } else { self.sync_committed });
                if ctx.cfg.mutants.has(Mutant::B11) {
                    self.log_last(ctx);
                }
                if ctx.cfg.mutants.has(Mutant::B29) {
                    ctx.disk.write_current(self.epoch, ctx.out);
                }
                self.send(ctx, kind::ACK, Zxid::new(self.epoch, 0), None);
                ctx.effects.push(Effect::UpToDate);
            }
            kind::PING if self.is_up() => {
                let touches = self.touches.drain();
                self.send(ctx, kind::PING, p.zxid, Some(&touches));
            }
            kind::REVALIDATE => {
                let mut r = Reader::new(p.data.unwrap_or_default());
                let session = SessionId(r.i64().map_err(CloseReason::Undecodable)?);
                let valid = r.bool().map_err(CloseReason::Undecodable)?;
                if self.is_last_answer(session) || ctx.cfg.mutants.has(Mutant::Q15) {
                    ctx.effects.push(Effect::Revalidated(session, valid));
                }
            }
            kind::SYNC => ctx.effects.push(Effect::SyncReply),
            kind::REQUEST => {
                let ping = ForwardedRequest::decode(p.data.unwrap_or_default()).map_err(CloseReason::Undecodable)?;
                ctx.effects.push(Effect::Returned(ping.session));
            }
            kind::COMMIT_AND_ACTIVATE | kind::INFORM_AND_ACTIVATE => {
                return Err(CloseReason::Misbehaved("reconfiguration is not supported by this server"));
            }
            // Java logs unknown types and goes on (quorum-protocol section 3); so do we.
            _ => {}
        }
        Ok(())
    }

    fn on_proposal(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        if self.take(p, ctx)? {
            self.log_last(ctx);
            if ctx.cfg.mutants.has(Mutant::K01) && !self.observer {
                self.ack_up_to(p.zxid, ctx);
            }
        }
        Ok(())
    }

    fn on_inform(&mut self, p: &Packet<'_>, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        if self.take(p, ctx)? {
            self.log_last(ctx);
            self.commit(p.zxid, ctx)?;
        }
        Ok(())
    }

    fn log_last(&self, ctx: &mut Ctx<'_>) {
        if self.keeps_no_log {
            return;
        }
        let before = ctx.disk.last_logged().max(ctx.history.floor());
        for record in ctx.history.after(before) {
            log(record, ctx.cfg, ctx.disk, ctx.out);
        }
    }

    fn commit(&mut self, zxid: Zxid, ctx: &mut Ctx<'_>) -> Result<(), CloseReason> {
        if !self.is_up() {
            return self.commit_in_sync(zxid, ctx);
        }
        if zxid <= ctx.history.committed() {
            return Ok(());
        }
        let gone = ctx.cfg.mutants.has(Mutant::B15) && zxid <= self.moved_on;
        if ctx.history.next_undecided() != Some(zxid) || gone {
            return Err(CloseReason::Misbehaved("COMMIT of something that is not the next pending transaction"));
        }
        ctx.history.commit_to(zxid);
        Ok(())
    }

    // ----- what clients of this server want ----------------------------------------------------------------------

    /// Forwards a request to the leader.
    pub fn forward(&mut self, request: &ForwardedRequest<'_>, ids: &[Id<'_>], ctx: &mut Ctx<'_>) {
        let Some(link) = self.link else { return };
        let mut data = Vec::with_capacity(16 + request.body.len());
        request.encode(&mut data);
        self.undrained += ctx.out.send_with(link, |buf| {
            buf.put_i32(kind::REQUEST);
            buf.put_i64(-1);
            buf.put_buffer(Some(&data));
            if request.op == op::CREATE_SESSION || ids.is_empty() {
                buf.put_i32(-1);
            } else {
                buf.put_len(ids.len());
                ids.iter().for_each(|id| id.encode(buf));
            }
        });
    }

    /// Asks the leader whether this session may go on here.
    pub fn revalidate(&mut self, session: SessionId, timeout: i32, ctx: &mut Ctx<'_>) {
        let mut data = Vec::with_capacity(12);
        data.put_i64(session.0);
        data.put_i32(timeout);
        self.send(ctx, kind::REVALIDATE, Zxid::NONE, Some(&data));
        *self.asked.entry(session).or_default() += 1;
    }

    /// An answer to REVALIDATE came. Answers about a session come in the order of the questions, and only the last one is about the
    /// connection that it has now. An earlier one says nothing: the session may be used elsewhere before the last question is heard, and
    /// come back here with it, so that what is asked for now would have its place behind what is asked for there.
    fn is_last_answer(&mut self, session: SessionId) -> bool {
        match self.asked.get_mut(&session) {
            Some(awaited) if *awaited > 1 => {
                *awaited -= 1;
                false
            }
            _ => self.asked.remove(&session).is_some(),
        }
    }

    /// A local session was resumed here. A leader of ours may take it for one that has ended, because it was refused elsewhere;
    /// others remember none. Tells whether the leader is asked: by a ping of the client, which learners answer themselves
    /// otherwise, and which comes back.
    pub fn resumed_at_home(&mut self, session: SessionId, ctx: &mut Ctx<'_>) -> bool {
        if self.ours {
            self.forward(&ForwardedRequest { session, cxid: 0, op: op::PING, body: &[] }, &[], ctx);
        }
        self.ours
    }

    /// A client was heard of; the next PING's answer says so.
    pub fn touch(&mut self, session: SessionId, timeout: i32) {
        self.touches.touch(session, timeout);
    }

    // ----- time --------------------------------------------------------------------------------------------------

    /// Does what is due.
    pub fn tick(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono_ms;
        if let Stage::Connecting { retry_at: Some(at) } = self.stage
            && now >= at
        {
            self.connect(ctx);
        }
        if now >= self.next_deadline(ctx.cfg) {
            let why = match self.stage {
                Stage::Connecting { .. } => "the leader could not be reached in time",
                Stage::Acked | Stage::Up => "nothing heard from the leader for syncLimit ticks",
                _ => "synchronisation with the leader took longer than initLimit ticks",
            };
            self.close(CloseReason::Timeout(why), ctx);
        }
    }

    /// When [`Learner::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self, cfg: &crate::config::PeerConfig) -> Millis {
        let timing = &cfg.timing;
        match self.stage {
            Stage::Connecting { retry_at } if cfg.mutants.has(Mutant::B36) => retry_at.unwrap_or(i64::MAX),
            Stage::Connecting { retry_at: Some(at) } => at.min(self.deadline),
            Stage::Connecting { retry_at: None } => self.deadline,
            Stage::Acked | Stage::Up if cfg.mutants.has(Mutant::K28) => i64::MAX,
            Stage::Acked | Stage::Up => self.heard_ms + timing.tick_ms * timing.sync_limit,
            // The disk decides how long this takes; a leader that gives up closes the link.
            Stage::Accepting | Stage::Cutting(_) | Stage::Persisting(_) => i64::MAX,
            Stage::Snapshot(..) if self.paused => i64::MAX,
            Stage::LeaderInfo | Stage::Start | Stage::Snapshot(..) | Stage::History => {
                self.heard_ms + timing.tick_ms * timing.init_limit
            }
        }
    }

    /// Stops following. Returns whether the tree must be read from disk again: what was received is not what is durable.
    pub fn stop(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if let Some(link) = self.link.take() {
            ctx.out.close(link, CloseReason::Done);
        }
        if self.snap.take().is_some() {
            ctx.disk.incoming_abort(ctx.out);
            return !ctx.cfg.mutants.has(Mutant::B08) || matches!(self.stage, Stage::Snapshot(..));
        }
        // A cut that is still under way ends on the disk; memory learns of it by reading again.
        if self.reload || matches!(self.stage, Stage::Cutting(_)) {
            return true;
        }
        // History that was received but never handed to the log is forgotten (ZOOKEEPER-5094).
        let logged = ctx.disk.last_logged();
        if ctx.history.last() > logged && !ctx.cfg.mutants.has(Mutant::B23) {
            ctx.history.truncate(logged);
        }
        if ctx.cfg.mutants.has(Mutant::B07) {
            ctx.history.reset(logged);
        }
        // A cut that the disk refused: memory has let go of what is still there. Or an observer without a log: the tree is ahead.
        ctx.history.last() < logged || ctx.history.applied() > logged
    }

    /// Whether this is an observer that logs nothing after its synchronisation (syncEnabled=false): it acknowledges nothing,
    /// so nobody counts on its disk.
    #[must_use]
    pub fn keeps_no_log(&self) -> bool {
        self.keeps_no_log
    }

    /// The kind of member that this learner is.
    #[must_use]
    pub fn kind(&self) -> MemberKind {
        if self.observer { MemberKind::Observer } else { MemberKind::Participant }
    }
}
