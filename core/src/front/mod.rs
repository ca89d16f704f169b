//! The clients of this server: connections, handshakes, sessions' comings and goings, the order of replies, back-pressure.
//!
//! **Order.** A connection's requests are answered strictly in the order of their frames. Writes are handed on as soon as they
//! are read, many at once; a read, a ping or an auth reply behind one waits in the connection's queue, its bytes in a buffer
//! of the connection. Nobody waits for another connection.
//!
//! **Bounds.** What a connection may hold is bounded: one incomplete frame, the bodies of waiting reads, replies that have not
//! drained. At a bound its bytes stay unread and the driver is told to pause.

mod applied;
mod auth;
mod bytequeue;
mod conn;
mod handshake;
mod idle;
mod local;
mod orphans;
mod queue;
mod requests;
mod throttle;
mod view;
mod waiting;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use crate::config::PeerConfig;
use crate::error::CloseReason;
use crate::event::{Action, Event, Outbox, Role};
use crate::hash::IdMap;
use crate::ids::{LinkId, Millis, Now, SessionId, Zxid};
use crate::request::lists::LastList;
use crate::session::IdSource;
use crate::slots::Slots;
use crate::tree::DataTree;
use crate::watch::WatchManager;
use crate::wire::client::EventKind;
use crate::wire::records::Id;
use conn::{Conn, Pending, Stage, State};
use idle::IdleQueue;
use local::LocalSessions;
use orphans::Orphans;
use throttle::Throttle;
pub use view::{ConnectionView, FrontStats, Latency};

/// What the front wants from the rest of the server.
#[derive(Clone, PartialEq, Debug)]
pub enum FrontEffect {
    /// Give this request its place among all others: a write, sync, createSession, closeSession.
    Submit {
        /// Who asks.
        link: LinkId,
        /// Its session.
        session: SessionId,
        /// Its xid; 0 for createSession.
        cxid: i32,
        /// Its opcode.
        op: i32,
        /// Its body, in [`FrontEffects::arena`].
        body: Range<usize>,
        /// What the connection had proved when the request was read.
        ids: Arc<[Id<'static>]>,
    },
    /// Ask the leader whether the session lives; it moves to this server. [`Front::revalidated`] is the answer.
    Revalidate {
        /// Who asks.
        link: LinkId,
        /// Which session.
        session: SessionId,
        /// Newly negotiated, ms.
        timeout: i32,
    },
    /// A local session was resumed here, where it lives: the leader may take it for one that has ended. [`Front::returned`] is the
    /// answer; requests that are sent before it may be refused.
    ResumedAtHome(SessionId),
    /// The session was heard of.
    Touch {
        /// Which.
        session: SessionId,
        /// Its timeout as negotiated on this connection, ms.
        timeout: i32,
    },
    /// A four-letter word in the whitelist; the front forgets the link.
    FourLetter {
        /// Who asks.
        link: LinkId,
        /// What.
        word: [u8; 4],
    },
}

/// The effects of some inputs, in order, and the bytes they refer to. Reused.
#[derive(Clone, Debug, Default)]
pub struct FrontEffects {
    /// In order.
    pub list: Vec<FrontEffect>,
    /// Bodies of the submitted requests.
    pub arena: Vec<u8>,
}

/// How this server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServeInfo {
    /// As what.
    pub role: Role,
    /// A client that has seen more than this and more than what is applied is turned away (client-protocol 2.1, step 3).
    pub min_seen: Zxid,
}

/// What the front may look at and touch while it handles one input.
pub struct FrontCtx<'a> {
    /// When.
    pub now: Now,
    /// Where reads are answered from.
    pub tree: &'a DataTree,
    /// Whose watches fire.
    pub watches: &'a mut WatchManager,
    /// Bytes and actions.
    pub out: &'a mut Outbox,
    /// Requests to the rest of the server.
    pub effects: &'a mut FrontEffects,
    /// Timing, limits, features, planted bugs.
    pub cfg: &'a PeerConfig,
}

/// All client connections of one server.
#[derive(Clone, Debug)]
pub struct Front {
    conns: Slots<Conn>,
    by_link: IdMap<u64, u32>,
    by_session: IdMap<i64, u32>,
    by_address: BTreeMap<IpAddr, usize>,
    serving: Option<ServeInfo>,
    ids: IdSource,
    throttle: Throttle,
    local: LocalSessions,
    idle: IdleQueue,
    /// Requests of all connections that wait for the ensemble.
    in_flight: usize,
    in_flight_max: usize,
    /// Connections that wait for fewer requests in flight.
    throttled: VecDeque<LinkId>,
    /// Bytes of events that may wait, of all connections.
    events: usize,
    /// Writes in flight whose connections are gone.
    orphans: Orphans,
    /// Connections whose syncs a learner's leader has not answered, in order.
    syncs: VecDeque<LinkId>,
    stats: FrontStats,
    trace_mask: i64,
    /// What many ask for.
    lists: LastList,
    /// Whom a change concerns; reused.
    fired: Vec<(LinkId, EventKind)>,
}

/// ZooKeeper's trace mask at the start.
const TRACE_MASK: i64 = 306;
/// A connection that waits for more replies than this is not read from.
const PENDING_MAX: usize = 4096;
/// So many reads at most wait behind a write: they are answered with it, also to a client that takes nothing at the moment.
const READS_MAX: usize = 16;
/// A connection that lets this many times its output bound of events pile up is closed.
const SLOW_FACTOR: usize = 16;
/// When this many times the output bound of events have piled up on all connections together, the one with the most is closed.
const SLOW_TOGETHER: usize = 256;

impl Front {
    /// Without a connection, not serving.
    #[must_use]
    pub fn new(cfg: &PeerConfig, now: Now) -> Self {
        let voters = cfg.ensemble.as_ref().map_or(1, |e| e.voters().count());
        Self {
            conns: Slots::new(),
            by_link: IdMap::default(),
            by_session: IdMap::default(),
            by_address: BTreeMap::new(),
            serving: None,
            ids: IdSource::new(cfg, now),
            throttle: Throttle::new(&cfg.limits.connects, cfg.seed, now.mono_ms),
            local: LocalSessions::new(cfg.timing.tick_ms),
            idle: IdleQueue::new(cfg.timing.sessionless_ms),
            in_flight: 0,
            // globalOutstandingLimit is shared among the servers that submit (client-protocol 12).
            in_flight_max: if voters > 2 {
                (cfg.limits.outstanding / (voters - 1)).max(1)
            } else {
                cfg.limits.outstanding
            },
            throttled: VecDeque::new(),
            events: 0,
            orphans: Orphans::default(),
            syncs: VecDeque::new(),
            stats: FrontStats::new(),
            trace_mask: TRACE_MASK,
            lists: LastList::default(),
            fired: Vec::new(),
        }
    }

    /// Session ids given away from now on are above everything that this server may have given away before: above `newest`, and
    /// not below the ms `from` of the wall clock.
    pub fn set_id_floor(&mut self, newest: Option<SessionId>, from: Millis) {
        self.ids.raise(newest, from);
    }

    /// Whether this link is a client connection of ours.
    #[must_use]
    pub fn owns(&self, link: LinkId) -> bool {
        self.by_link.contains_key(&link.0)
    }

    /// What the connection has proved.
    #[must_use]
    pub fn identities(&self, link: LinkId) -> &[Id<'static>] {
        self.slot(link).map_or(&[], |slot| &self.conns[slot].ids)
    }

    /// How this server serves, if it does.
    #[must_use]
    pub const fn serving(&self) -> Option<ServeInfo> {
        self.serving
    }

    /// When [`Front::tick`] is due; ms of the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        [self.idle.next_deadline(), self.local.next_deadline()].into_iter().flatten().min()
    }

    // ----- connections come and go -------------------------------------------------------------------------------

    /// A client connected.
    pub fn opened(&mut self, link: LinkId, remote: SocketAddr, ctx: &mut FrontCtx<'_>) {
        let limits = &ctx.cfg.limits;
        let ip = remote.ip().to_canonical();
        let of_address = self.by_address.get(&ip).copied().unwrap_or(0);
        let full = limits.max_cnxns > 0 && self.conns.len() >= limits.max_cnxns;
        if full || (limits.max_client_cnxns > 0 && of_address >= limits.max_client_cnxns) {
            self.stats.rejected += 1;
            let what = if full { "maxCnxns" } else { "maxClientCnxns" };
            ctx.out.close(link, CloseReason::Refused(what));
            ctx.out.event(Event::LinkClosed { link, remote: Some(remote), sid: None, why: CloseReason::Refused(what) });
            return;
        }
        let idle_at = self.idle.deadline(ctx.now.mono_ms, ctx.cfg.timing.sessionless_ms);
        let slot = self.conns.insert(Conn::new(link, remote, ctx.now.mono_ms, idle_at));
        let slot = u32::try_from(slot).expect("fewer than 2^32 connections");
        assert!(self.by_link.insert(link.0, slot).is_none(), "a link opens once");
        *self.by_address.entry(ip).or_default() += 1;
        self.idle.file(link, idle_at);
    }

    /// The other side is gone.
    pub fn closed(&mut self, link: LinkId, ctx: &mut FrontCtx<'_>) {
        if let Some(slot) = self.slot(link) {
            self.forget(slot, ctx);
            self.relieve(ctx);
        }
    }

    /// Takes a connection out of every table.
    fn forget(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) -> Conn {
        let conn = self.conns.remove(slot);
        self.events -= conn.events;
        self.by_link.remove(&conn.link.0);
        if self.by_session.get(&conn.session.0) == Some(&(slot as u32)) {
            self.by_session.remove(&conn.session.0);
        }
        let ip = conn.remote.ip().to_canonical();
        let left = self.by_address.get_mut(&ip).expect("every connection is counted");
        *left -= 1;
        if *left == 0 {
            self.by_address.remove(&ip);
        }
        for p in &conn.pending {
            match p.state {
                State::Write { .. } | State::Upgrade => self.orphans.add(conn.session, p.xid, p.op),
                State::Sync { .. } => self.in_flight -= 1,
                _ => {}
            }
        }
        ctx.watches.remove_link(conn.link);
        conn
    }

    /// Closes a connection after what was sent has left.
    fn drop_conn(&mut self, slot: usize, why: CloseReason, ctx: &mut FrontCtx<'_>) {
        let conn = self.forget(slot, ctx);
        if why != CloseReason::Done {
            let (link, remote) = (conn.link, Some(conn.remote));
            ctx.out.event(Event::LinkClosed { link, remote, sid: None, why: why.clone() });
        }
        ctx.out.close(conn.link, why);
    }

    /// Clients may come.
    pub fn start_serving(&mut self, info: ServeInfo, ctx: &mut FrontCtx<'_>) {
        if self.serving.is_some() {
            self.stop_serving(ctx);
        }
        self.serving = Some(info);
    }

    /// The role is lost: every client connection is closed, without a frame.
    pub fn stop_serving(&mut self, ctx: &mut FrontCtx<'_>) {
        self.serving = None;
        let slots: Vec<usize> = self.conns.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.drop_conn(slot, CloseReason::Done, ctx);
        }
        self.in_flight -= self.orphans.clear();
        assert_eq!(self.in_flight, 0, "nothing else is in flight without a connection");
        self.local.clear();
        self.idle.clear();
        self.throttled.clear();
        self.syncs.clear();
        self.lists = LastList::default();
    }

    /// Does what time makes due.
    pub fn tick(&mut self, ctx: &mut FrontCtx<'_>) {
        let now = ctx.now.mono_ms;
        while let Some(links) = self.idle.due(now) {
            for link in links {
                let Some(slot) = self.slot(link) else { continue };
                let conn = &mut self.conns[slot];
                if conn.paused && conn.stage == Stage::Live {
                    // Silent because nothing is read from it.
                    conn.idle_at = self.idle.deadline(now, conn.timeout.into());
                }
                if conn.idle_at <= now {
                    let what =
                        if conn.timeout == 0 { "no session was asked for" } else { "nothing heard of the client" };
                    self.drop_conn(slot, CloseReason::Timeout(what), ctx);
                } else {
                    self.idle.file(link, conn.idle_at);
                }
            }
        }
        for session in self.local.expire(now) {
            self.end_session(session, CloseReason::Timeout("the local session expired"), ctx);
        }
        self.relieve(ctx);
    }

    /// The session was resumed on another server: its connection here ends with the next request (client-protocol 2.4).
    pub fn session_moved(&mut self, session: SessionId) {
        if let Some(slot) = self.by_session.get(&session.0) {
            self.conns[*slot as usize].moved = true;
        }
    }

    /// The close of the session has its place in the order: what its client asks for from now on is dropped, unanswered, until the
    /// close is applied and ends the connection (client-protocol 2.3).
    pub fn session_closing(&mut self, session: SessionId) {
        if let Some(slot) = self.by_session.get(&session.0) {
            let conn = &mut self.conns[*slot as usize];
            if conn.stage == Stage::Live {
                conn.stage = Stage::Ending;
            }
        }
    }

    /// Closes the connection of a session, without a frame.
    fn end_session(&mut self, session: SessionId, why: CloseReason, ctx: &mut FrontCtx<'_>) {
        if let Some(slot) = self.by_session.get(&session.0) {
            self.drop_conn(*slot as usize, why, ctx);
        }
    }

    fn slot(&self, link: LinkId) -> Option<usize> {
        self.by_link.get(&link.0).map(|slot| *slot as usize)
    }

    fn is_read_only(&self) -> bool {
        self.serving.is_some_and(|s| s.role == Role::ReadOnly)
    }

    fn is_learner(&self) -> bool {
        self.serving.is_some_and(|s| matches!(s.role, Role::Following | Role::Observing))
    }

    // ----- bytes --------------------------------------------------------------------------------------------------

    /// Bytes arrived.
    pub fn bytes(&mut self, link: LinkId, bytes: &[u8], ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.slot(link) else { return };
        self.alive(slot, ctx);
        let conn = &mut self.conns[slot];
        if conn.inbox.is_empty() {
            // A whole frame is never copied.
            if let Some(used) = self.scan(slot, bytes, ctx) {
                self.conns[slot].inbox.push(&bytes[used..]);
                self.flow(slot, ctx);
            }
        } else {
            conn.inbox.push(bytes);
            self.rescan(slot, ctx);
        }
        // A connection that was dropped may have had a sync in flight.
        self.relieve(ctx);
    }

    /// So many bytes of what was sent have left.
    pub fn drained(&mut self, link: LinkId, bytes: usize, ctx: &mut FrontCtx<'_>) {
        let Some(slot) = self.slot(link) else { return };
        let conn = &mut self.conns[slot];
        let was_full = conn.undrained > ctx.cfg.limits.client_output_bytes;
        conn.undrained = conn.undrained.saturating_sub(bytes);
        let events = conn.events.min(conn.undrained);
        self.events -= conn.events - events;
        conn.events = events;
        if was_full {
            self.alive(slot, ctx);
            self.progress(slot, ctx);
        }
    }

    /// A sign of life: the connection counts as dead later. A connection without a session gets no extension.
    fn alive(&mut self, slot: usize, ctx: &FrontCtx<'_>) {
        let conn = &mut self.conns[slot];
        if conn.timeout > 0 {
            conn.idle_at = self.idle.deadline(ctx.now.mono_ms, conn.timeout.into());
        }
    }

    /// Reads on in what was kept.
    fn rescan(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) {
        let mut inbox = core::mem::take(&mut self.conns[slot].inbox);
        if let Some(used) = self.scan(slot, inbox.bytes(), ctx) {
            inbox.consume(used);
            self.conns[slot].inbox = inbox;
            self.flow(slot, ctx);
        }
    }

    /// Tells the driver to stop reading, or to go on.
    fn flow(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) {
        let pause = match self.conns[slot].stage {
            Stage::Fresh => false,
            Stage::Creating(_) | Stage::Revalidating(_) | Stage::Returning(_) => !self.conns[slot].inbox.is_empty(),
            Stage::Live => {
                // A throttled connection is listed, and so resumed, only when something of it waits.
                let held = self.is_throttled(&ctx.cfg.limits.requests) && !self.conns[slot].inbox.is_empty();
                held || self.is_blocked(slot, ctx)
            }
            Stage::Ending => true,
        };
        let conn = &mut self.conns[slot];
        if pause != conn.paused {
            conn.paused = pause;
            ctx.out.push(if pause { Action::Pause(conn.link) } else { Action::Resume(conn.link) });
        }
    }

    /// Whether nothing more may be read from this connection for now.
    fn is_blocked(&self, slot: usize, ctx: &FrontCtx<'_>) -> bool {
        let (conn, limits) = (&self.conns[slot], &ctx.cfg.limits);
        conn.undrained > limits.client_output_bytes
            || conn.pending.len() >= PENDING_MAX
            || conn.bodies.len() > limits.frame_max
            || conn.reads >= READS_MAX
            || (self.in_flight >= self.in_flight_max && !conn.pending.is_empty())
            // A later write must not be done before the sync is: the sync shows everything that is applied when it is answered.
            || matches!(conn.pending.back(), Some(Pending { state: State::Sync { .. }, .. }))
    }
}

impl State {
    /// Whether the ensemble's answer is awaited.
    const fn is_in_flight(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Upgrade | Self::Sync { .. })
    }
}
