//! A server that can be copied: its process, its disk, and the queues between them. And the connections between servers.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::hash::{Hash as _, Hasher};

use bytes::Bytes;
use quorate_core::event::{DiskOp, Event, Input, Lane, LinkEvent, Outbox, Port, Role};
use quorate_core::ids::{LinkId, Millis, Ticket, Zxid};
use quorate_core::peer::Peer;

use crate::disk::SimDisk;
use crate::watcher::Digest;

/// Digest of a value by all its fields: what derives `Debug` hides none. Slow.
fn digest_of(value: &dyn fmt::Debug) -> u64 {
    let mut mark = Mark::default();
    // A mark takes everything.
    let written = write!(mark, "{value:?}");
    debug_assert!(written.is_ok());
    mark.finish()
}

/// A digest of everything that is put into it, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(Digest);

impl Default for Mark {
    fn default() -> Self {
        Self(Digest::new(0))
    }
}

impl fmt::Write for Mark {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.bytes(s.as_bytes());
        Ok(())
    }
}

impl Hasher for Mark {
    fn finish(&self) -> u64 {
        self.0.value()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }
    fn write_u8(&mut self, n: u8) {
        self.0.number(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.0.number(n.into());
    }
    fn write_u64(&mut self, n: u64) {
        self.0.number(n);
    }
    fn write_i64(&mut self, n: i64) {
        self.0.number(n as u64);
    }
    fn write_usize(&mut self, n: usize) {
        self.0.number(n as u64);
    }
    fn write_isize(&mut self, n: isize) {
        self.0.number(n as u64);
    }
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) peer: Option<Box<Peer>>,
    pub(super) out: Outbox,
    pub(super) disk: SimDisk,
    /// Log, bulk.
    pub(super) lanes: [VecDeque<(Ticket, DiskOp)>; 2],
    pub(super) listening: [bool; 3],
    pub(super) life: u32,
    /// Links that it has accepted in this life.
    accepted: u64,
    pub(super) role: Role,
    /// A leader that is established, a learner that is up to date.
    pub(super) serves: bool,
    /// Its tree has moved since the checks looked at it.
    pub(super) moved: Option<(Zxid, bool)>,
    /// Of its disk when it went down, and of everything that it has been told since: a Peer is a function of that.
    pub(super) told: Mark,
}

impl Machine {
    pub(super) fn new(sector: usize) -> Self {
        Self {
            peer: None,
            out: Outbox::new(),
            disk: SimDisk::new(sector),
            lanes: Default::default(),
            listening: [false; 3],
            life: 0,
            accepted: LinkId::ACCEPTED,
            role: Role::Recovering,
            serves: false,
            moved: None,
            told: Mark::default(),
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether it is an established leader.
    pub(super) fn leads(&self) -> bool {
        self.is_up() && self.serves && self.role == Role::Leading
    }

    pub(super) fn accept(&mut self) -> LinkId {
        self.accepted += 1;
        LinkId(self.accepted - 1)
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.peer.as_ref().and_then(|p| p.next_deadline())
    }

    /// Tells states of this server apart by all that is in them: what derives `Debug` hides nothing, and of a tree there is its
    /// digest. This takes long, so it is done once for each thing that a server can have been told.
    pub(super) fn mark(&self, known: &mut Marks) -> u64 {
        let told = self.told.finish() ^ u64::from(self.is_up());
        let Self { peer, disk, lanes, listening, life, accepted, role, serves, .. } = self;
        *known.0.entry(told).or_insert_with(|| {
            let mut mark = Mark::default();
            disk.hash(&mut mark);
            mark.write_u64(digest_of(&(peer, lanes, listening, life, accepted, role, serves)));
            mark.finish()
        })
    }

    /// It is told this.
    pub(super) fn tell(&mut self, now: Millis, input: &Input<'_>) {
        let told = &mut self.told;
        told.write_i64(now);
        match input {
            Input::Tick => told.write_u8(0),
            Input::Link { link, event } => {
                told.write_u64(link.0);
                match event {
                    LinkEvent::Opened { port, .. } => told.write_usize(3 + number(*port)),
                    LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => told.write(bytes),
                    LinkEvent::Closed => told.write_u8(2),
                    LinkEvent::Drained(n) => told.write_usize(*n),
                }
            }
            Input::Disk { ticket, .. } => told.write_u64(ticket.0 ^ 1 << 63),
            Input::Admin(_) => {}
        }
    }

    /// The process ends; the disk stays.
    pub(super) fn end(&mut self) {
        self.peer = None;
        self.out = Outbox::new();
        self.lanes = Default::default();
        self.listening = [false; 3];
        self.life += 1;
        self.accepted = LinkId::ACCEPTED;
        self.role = Role::Recovering;
        self.serves = false;
        self.moved = None;
        self.told = Mark::default();
        self.told.write_u32(self.life);
        self.disk.hash(&mut self.told);
    }

    /// Whether the head of this lane is an fsync: when that ends is a choice, everything else is done at once.
    pub(super) fn syncs(&self, lane: usize) -> bool {
        matches!(self.lanes[lane].front(), Some((_, DiskOp::Fsync(_) | DiskOp::FsyncDir(_))))
    }

    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::RoleChanged { role, .. } => {
                self.role = *role;
                self.serves = false;
            }
            Event::Established { .. } | Event::UpToDate { .. } => self.serves = true,
            Event::Applied { zxid, .. } => {
                let replaced = self.moved.is_some_and(|(_, replaced)| replaced);
                self.moved = Some((*zxid, replaced));
            }
            Event::TreeReplaced { zxid, .. } => self.moved = Some((*zxid, true)),
            _ => {}
        }
    }
}

/// The marks of servers, by what they have been told. One for each thread.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<u64, u64>);

/// Position of a port in a list.
pub(super) const fn number(port: Port) -> usize {
    match port {
        Port::Client => 0,
        Port::Election => 1,
        Port::Quorum => 2,
    }
}

/// Position of a lane in a list.
pub(super) fn lane_number(lane: Lane) -> usize {
    usize::from(lane == Lane::Bulk)
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) link: LinkId,
    pub(super) open: bool,
    pub(super) paused: bool,
    /// On its way to this end, oldest first; `None`: the other side has closed.
    pub(super) inbound: VecDeque<Option<Bytes>>,
}

/// A connection between servers; end 0 asked for it.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    /// Never used again.
    pub(super) id: u64,
    pub(super) port: Port,
    pub(super) ends: [End; 2],
}

impl Conn {
    pub(super) fn new(id: u64, port: Port, asks: (usize, LinkId), accepts: (usize, LinkId)) -> Self {
        let end = |(node, link)| End { node, link, open: true, paused: false, inbound: VecDeque::new() };
        Self { id, port, ends: [end(asks), end(accepts)] }
    }

    /// Whether something can arrive at this end.
    pub(super) fn arrives(&self, e: usize) -> bool {
        let end = &self.ends[e];
        end.open && !end.paused && !end.inbound.is_empty()
    }

    /// This end closes; the other one hears of it behind what was sent, unless that is lost.
    pub(super) fn close(&mut self, e: usize, lost: bool) {
        if std::mem::replace(&mut self.ends[e].open, false) {
            self.ends[e].inbound.clear();
            let other = &mut self.ends[1 - e];
            if lost {
                other.inbound.clear();
            }
            other.inbound.push_back(None);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.open)
    }
}
