//! A server that can be copied: its process, its disk, and the queues between them. And the connections between servers.

use std::collections::VecDeque;
use std::hash::Hasher as _;
use std::rc::Rc;

use bytes::Bytes;
use quorate_core::event::{DiskOp, Event, Lane, Port, Role};
use quorate_core::ids::{LinkId, Millis, Ticket, Zxid};

use super::memo::{Drive, Mark, Process};
use crate::disk::SimDisk;

/// An operation in the queue of a disk.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) ticket: Ticket,
    pub(super) op: DiskOp,
    /// Of the operation.
    pub(super) mark: u64,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) process: Option<Rc<Process>>,
    pub(super) drive: Rc<Drive>,
    /// Log, bulk.
    pub(super) lanes: [VecDeque<Rc<Queued>>; 2],
    pub(super) listening: [bool; 3],
    pub(super) life: u32,
    /// What the next link that it accepts in this life is called.
    accepted: u64,
    pub(super) role: Role,
    /// A leader that is established, a learner that is up to date.
    pub(super) serves: bool,
    /// Its tree has moved since the checks looked at it.
    pub(super) moved: Option<(Zxid, bool)>,
}

impl Machine {
    pub(super) fn new(sector: usize) -> Self {
        Self {
            process: None,
            drive: Drive::new(SimDisk::new(sector)),
            lanes: Default::default(),
            listening: [false; 3],
            life: 0,
            accepted: LinkId::ACCEPTED,
            role: Role::Recovering,
            serves: false,
            moved: None,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it is an established leader.
    pub(super) fn leads(&self) -> bool {
        self.is_up() && self.serves && self.role == Role::Leading
    }

    pub(super) const fn accept(&mut self) -> LinkId {
        self.accepted += 1;
        LinkId(self.accepted - 1)
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.process.as_ref().and_then(|p| p.peer.next_deadline())
    }

    /// Tells states of this server apart.
    pub(super) fn mark(&self, mark: &mut Mark) {
        let Self { process, drive, lanes, listening, life, accepted, role, serves, moved: _ } = self;
        mark.write_u64(process.as_ref().map_or(0, |p| p.mark));
        mark.write_u64(drive.mark);
        for lane in lanes {
            mark.write_usize(lane.len());
            for queued in lane {
                mark.write_u64(queued.ticket.0);
                mark.write_u64(queued.mark);
            }
        }
        let [client, election, quorum] = listening.map(u32::from);
        mark.write_u32(client | election << 1 | quorum << 2 | u32::from(*serves) << 3 | (*role as u32) << 4);
        mark.write_u32(*life);
        mark.write_u64(*accepted);
    }

    /// The process ends; the disk stays.
    pub(super) fn end(&mut self) {
        self.process = None;
        self.lanes = Default::default();
        self.listening = [false; 3];
        self.life += 1;
        self.accepted = LinkId::ACCEPTED;
        self.role = Role::Recovering;
        self.serves = false;
        self.moved = None;
    }

    /// Whether the head of this lane is an fsync: when that ends is a choice, everything else is done at once.
    pub(super) fn syncs(&self, lane: usize) -> bool {
        self.lanes[lane].front().is_some_and(|queued| matches!(queued.op, DiskOp::Fsync(_) | DiskOp::FsyncDir(_)))
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
