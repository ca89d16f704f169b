//! Connections move on: asked for, accepted, delivered, drained, closed.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use quorate_core::event::{Input, LinkEvent, Port};
use quorate_core::ids::{LinkId, Sid};

use super::World;
use crate::ballot::own_votes;
use crate::network::{Chunk, ConnId, End, Sent, address_of};
use crate::node;
use crate::observe::Obs;
use crate::queue::{Micros, Plan};

/// A connection that could not be made is given up after this.
const SYN_TIMEOUT_US: Micros = 5_000_000;
/// What was sent is reported as drained after this, all of it that has left by then.
const DRAIN_US: Micros = 300;
/// A slow receiver takes what it takes in this time, at once.
const SLOW_US: Micros = 20_000;
/// Of a thousand chunks so many are cut in two on arrival.
const SPLIT_PERMILLE: u64 = 8;
/// The name of a connection at an end where no process of ours is.
const NOBODY: LinkId = LinkId(0);
/// A stranger stays so long.
const STRANGER_US: Micros = 3_000_000;

impl World<'_> {
    fn servers(&self) -> usize {
        self.nodes.len()
    }

    fn remote(&self, end: End) -> SocketAddr {
        let port = 40_000 + (end.link.0 % 20_000) as u16;
        SocketAddr::new(self.address(end.host), port)
    }

    /// A server that has moved is seen at another address.
    fn address(&self, host: u32) -> IpAddr {
        if host as usize == self.visitors_host() {
            return IpAddr::V4(Ipv4Addr::LOCALHOST);
        }
        address_of(host, self.nodes.get(host as usize).map_or(0, |n| n.moves))
    }

    /// A server connects.
    pub(super) fn dial(&mut self, n: usize, link: LinkId, port: Port, address: &str) {
        let life = self.nodes[n].life;
        let from = End { host: n as u32, life, link, alive: true, opened: false };
        let found = node::resolve(address).map(|(name, port)| (self.net.host_of(name), port));
        // Each port is where the configuration has it: nobody listens for this kind elsewhere.
        let target = found.filter(|(node, there)| *node < self.servers() && *there == port);
        let to = target.map_or(n, |(node, _)| node) as u32;
        let conn = self.net.open(port, from, to);
        self.nodes[n].dialed(link, conn, port);
        let delay = self.net.delay(n as u32, to, self.now);
        let plan = if target.is_some() { Plan::Syn(conn) } else { Plan::Refuse(conn) };
        self.queue.push(self.now + delay, plan);
    }

    /// A client connects.
    pub(super) fn dial_as_client(&mut self, client: usize, name: usize) -> ConnId {
        let node = self.net.host_of(name);
        let node = if node < self.servers() { node } else { name };
        self.dial_from((self.servers() + client) as u32, node)
    }

    /// Somebody who is no server connects to a client port.
    pub(super) fn dial_from(&mut self, host: u32, node: usize) -> ConnId {
        let from = End { host, life: 0, link: LinkId(0), alive: true, opened: false };
        let conn = self.net.open(Port::Client, from, node as u32);
        let delay = self.net.delay(host, node as u32, self.now);
        self.queue.push(self.now + delay, Plan::Syn(conn));
        conn
    }

    /// Somebody who is no process of ours says this to a server.
    pub(crate) fn say(&mut self, from: usize, to: usize, port: Port, bytes: &[u8]) {
        let end = End { host: from as u32, life: u32::MAX, link: NOBODY, alive: true, opened: true };
        let id = self.net.open(port, end, to as u32);
        self.net.send(id, 0, self.now, &Sent::bytes(bytes));
        let delay = self.net.delay(from as u32, to as u32, self.now);
        self.queue.push(self.now + delay, Plan::Syn(id));
        // Whoever it was goes again, if it is not sent away before.
        self.queue.push(self.now + STRANGER_US, Plan::Gone(id));
    }

    /// Whether nothing answers there: the machine is off, or the process stands still.
    fn hangs(&self, host: u32) -> bool {
        match self.nodes.get(host as usize) {
            Some(n) => !n.power || n.paused,
            None => self.clients.get(host as usize - self.servers()).is_some_and(|c| c.paused),
        }
    }

    /// Whether a process reads nothing at all.
    fn deaf(&mut self, host: u32) -> bool {
        let Some(slow) = self.nodes.get(host as usize).and_then(|n| n.slow_receiver) else { return false };
        if slow.value == 0 {
            self.plans.took(slow.by);
        }
        slow.value == 0
    }

    /// Whether no process of ours is at this end.
    fn is_nobody(&self, end: End) -> bool {
        end.link == NOBODY && (end.host as usize) < self.servers()
    }

    /// A slow process that has not done with what came before: until when.
    fn busy(&mut self, host: usize) -> Option<Micros> {
        let node = self.nodes.get(host)?;
        let slow = node.slow?;
        let until = node.busy_until;
        (until > self.now).then(|| {
            self.plans.took(slow.by);
            until
        })
    }

    pub(super) fn syn(&mut self, id: ConnId) {
        let Some(conn) = self.net.get(id) else { return };
        let (from, to, port) = (conn.ends[0].host, conn.ends[1].host, conn.port);
        if self.net.blocked(from, to, port) || self.net.blocked(to, from, port) || self.hangs(to) {
            let Some(conn) = self.net.get(id) else { return };
            if !conn.dirs[0].draining {
                // Marks that the time-out is planned: a connection that is asked for has nothing to drain.
                conn.dirs[0].draining = true;
                self.queue.push(self.now + SYN_TIMEOUT_US, Plan::Refuse(id));
            }
            conn.dirs[0].stalled = true;
            self.net.stalls = true;
            return;
        }
        let delay = self.net.delay(to, from, self.now);
        let node = &mut self.nodes[to as usize];
        if !node.is_up() || !node.listens(port) {
            self.queue.push(self.now + delay, Plan::Refuse(id));
            return;
        }
        let link = node.accept(id, port);
        let life = node.life;
        let Some(conn) = self.net.get(id) else { return };
        conn.asking = false;
        conn.ends[1] = End { host: to, life, link, alive: true, opened: true };
        conn.dirs[0].draining = false;
        conn.dirs[1].last = self.now + delay;
        conn.dirs[1].armed = true;
        conn.dirs[0].armed = !conn.dirs[0].chunks.is_empty();
        let (remote, waiting) = (conn.ends[0], conn.dirs[0].armed);
        if waiting {
            self.queue.push(self.now, Plan::Deliver { conn: id, dir: 0 });
        }
        self.queue.push(self.now + delay, Plan::Deliver { conn: id, dir: 1 });
        let event = LinkEvent::Opened { port, remote: self.remote(remote) };
        self.step(to as usize, Input::Link { link, event });
    }

    pub(super) fn refuse(&mut self, id: ConnId) {
        let Some(conn) = self.net.get(id) else { return };
        let end = conn.ends[0];
        if !conn.asking && (end.opened || !end.alive) {
            return;
        }
        if !self.is_nobody(end) && self.hangs(end.host) {
            // A process that stands still hears of it later.
            self.queue.push(self.now + 10_000, Plan::Refuse(id));
            return;
        }
        // Accepted, perhaps, and the answer has not come through.
        self.hang_up(id, 0, true);
        self.net.release(id);
        self.tell_closed(id, end);
    }

    fn tell_closed(&mut self, id: ConnId, end: End) {
        let host = end.host as usize;
        if let Some(visitor) = self.visitors.get_mut(&id) {
            visitor.closed = true;
        } else if host < self.servers() {
            if !self.is_nobody(end) && self.nodes[host].life == end.life {
                self.step(host, Input::Link { link: end.link, event: LinkEvent::Closed });
            }
        } else {
            self.client_closed(host - self.servers(), id);
        }
    }

    fn arm(&mut self, id: ConnId, dir: usize, at: Option<Micros>) {
        if let Some(at) = at {
            self.queue.push(at.max(self.now), Plan::Deliver { conn: id, dir: dir as u8 });
        }
    }

    /// A server sends.
    pub(super) fn send(&mut self, n: usize, link: LinkId, sent: &Sent<'_>) {
        let Some((id, side)) = self.nodes[n].find(link) else { return };
        if self.net.get(id).is_some_and(|c| !c.ends[side].opened) {
            return;
        }
        if !self.garbled && self.nodes[n].port_of(link) == Some(Port::Election) {
            for (zxid, epoch) in own_votes(sent.bytes, Sid(self.nodes[n].identity as i64 + 1)) {
                self.watcher.tell(Obs::Voted { node: n, zxid, epoch });
            }
        }
        let at = self.net.send(id, side as u8, self.now, sent);
        self.tell_wire();
        self.arm(id, side, at);
        self.list_drain(n, id, side);
        if let Some(full) = self.net.burst.take() {
            self.cut(full, self.now);
        }
    }

    /// A client or a visitor sends.
    pub(crate) fn send_as_client(&mut self, id: ConnId, bytes: &[u8]) {
        let at = self.net.send(id, 0, self.now, &Sent::bytes(bytes));
        self.tell_wire();
        self.arm(id, 0, at);
    }

    fn list_drain(&mut self, n: usize, id: ConnId, side: usize) {
        let Some(conn) = self.net.get(id) else { return };
        if conn.ends[side].link == NOBODY {
            return;
        }
        let dir = &mut conn.dirs[side];
        if dir.draining || conn.asking || dir.to_report() == 0 {
            return;
        }
        dir.draining = true;
        let node = &mut self.nodes[n];
        node.drains.push((id, side as u8));
        if !node.drain_planned {
            node.drain_planned = true;
            self.queue.push(self.now + DRAIN_US, Plan::Drain { host: n as u32, life: node.life });
        }
    }

    /// Reports what has left.
    pub(crate) fn drain(&mut self, n: usize, life: u32) {
        let node = &mut self.nodes[n];
        if node.life != life || !node.drain_planned {
            return;
        }
        node.drain_planned = false;
        if node.paused {
            return;
        }
        let mut list = std::mem::take(&mut node.drains);
        for (id, side) in list.drain(..) {
            if self.nodes[n].life != life {
                return;
            }
            let Some(conn) = self.net.get(id) else { continue };
            let side = usize::from(side);
            let (end, dir) = (conn.ends[side], &mut conn.dirs[side]);
            dir.draining = false;
            let gone = dir.to_report();
            dir.drained += gone;
            if gone > 0 && end.alive {
                self.step(n, Input::Link { link: end.link, event: LinkEvent::Drained(gone as usize) });
            }
        }
        let node = &mut self.nodes[n];
        if node.life == life && node.drains.is_empty() {
            node.drains = list;
        }
    }

    /// A server closes.
    pub(super) fn close(&mut self, n: usize, link: LinkId) {
        if let Some((id, side)) = self.nodes[n].find(link) {
            self.hang_up(id, side, true);
        }
    }

    /// One side goes; the other learns it if `tell`.
    pub(crate) fn hang_up(&mut self, id: ConnId, side: usize, tell: bool) {
        let at = self.net.close(id, side, self.now, tell);
        self.tell_wire();
        self.arm(id, side, at);
    }

    /// A server stops reading, or begins again.
    pub(super) fn read(&mut self, n: usize, link: LinkId, on: bool) {
        let Some((id, side)) = self.nodes[n].find(link) else { return };
        let Some(conn) = self.net.get(id) else { return };
        let dir = &mut conn.dirs[1 - side];
        dir.unread = !on;
        if on && !dir.armed && !dir.stalled && (!dir.chunks.is_empty() || dir.fin.is_some()) {
            dir.armed = true;
            let at = dir.chunks.front().map_or(dir.last, |(t, _)| *t);
            self.arm(id, 1 - side, Some(at));
        }
    }

    /// What waited for a partition, a pause or a machine goes on, if it can.
    pub(crate) fn rearm(&mut self) {
        if !std::mem::take(&mut self.net.stalls) {
            return;
        }
        let stalled: Vec<(ConnId, usize)> = self
            .net
            .all()
            .flat_map(|(id, c)| [0, 1].into_iter().filter(|d| c.dirs[*d].stalled).map(move |d| (id, d)))
            .collect();
        for (id, d) in stalled {
            let Some(conn) = self.net.get(id) else { continue };
            conn.dirs[d].stalled = false;
            let (asking, from, to) = (conn.asking, conn.ends[d].host, conn.ends[1 - d].host);
            let delay = self.net.delay(from, to, self.now);
            if asking {
                self.queue.push(self.now + delay, Plan::Syn(id));
            } else if let Some(conn) = self.net.get(id)
                && !conn.dirs[d].armed
            {
                conn.dirs[d].armed = true;
                self.arm(id, d, Some(self.now + delay));
            }
        }
    }

    pub(super) fn deliver(&mut self, id: ConnId, d: usize) {
        let Some(conn) = self.net.get(id) else { return };
        conn.dirs[d].armed = false;
        let (from, to, port) = (conn.ends[d].host, conn.ends[1 - d].host, conn.port);
        if self.net.blocked(from, to, port) || self.hangs(to) || self.deaf(to) {
            if let Some(conn) = self.net.get(id) {
                conn.dirs[d].stalled = true;
                let unanswered = d == 1 && !conn.ends[0].opened;
                self.net.stalls = true;
                if unanswered {
                    self.queue.push(self.now + SYN_TIMEOUT_US, Plan::Refuse(id));
                }
            }
            return;
        }
        while self.deliver_next(id, d) {
            if self.over.is_some() || self.watcher.violation.is_some() || self.hangs(to) {
                break;
            }
        }
    }

    /// Delivers one thing of a direction. `false`: nothing more now.
    fn deliver_next(&mut self, id: ConnId, d: usize) -> bool {
        let now = self.now;
        let Some(conn) = self.net.get(id) else { return false };
        let (sender, receiver) = (conn.ends[d], conn.ends[1 - d]);
        let dir = &mut conn.dirs[d];
        if dir.armed || dir.stalled {
            return false;
        }
        if !receiver.alive {
            self.reset(id, d, sender);
            return false;
        }
        if !receiver.opened {
            conn.ends[1 - d].opened = true;
            let port = conn.port;
            self.tell_opened(id, receiver, port);
            return true;
        }
        if dir.unread {
            return false;
        }
        if let Some(until) = self.busy(receiver.host as usize) {
            let dir = &mut self.net.get(id).expect("it was there").dirs[d];
            dir.armed = true;
            self.arm(id, d, Some(until));
            return false;
        }
        let Some(conn) = self.net.get(id) else { return false };
        let dir = &mut conn.dirs[d];
        let Some((at, _)) = dir.chunks.front() else { return self.deliver_end(id, d, receiver) };
        if *at > now {
            dir.armed = true;
            let at = *at;
            self.arm(id, d, Some(at));
            return false;
        }
        let slow = self.nodes.get(receiver.host as usize).and_then(|n| n.slow_receiver);
        let most = slow.map_or(usize::MAX, |s| ((s.value * SLOW_US / 1_000_000) as usize).max(1));
        let Some((at, mut chunk)) = self.net.get(id).and_then(|c| c.dirs[d].chunks.pop_front()) else { return false };
        if let Some(slow) = slow
            && chunk.bytes().len() > most
        {
            self.plans.took(slow.by);
            let (first, rest) = chunk.split(most);
            chunk = first;
            if let Some(conn) = self.net.get(id) {
                conn.dirs[d].chunks.push_front((at, rest));
            }
        }
        let more = self.take(id, d, sender, receiver, chunk);
        if slow.is_some()
            && more
            && let Some(conn) = self.net.get(id)
            && !conn.dirs[d].armed
            && !conn.dirs[d].stalled
        {
            conn.dirs[d].armed = true;
            self.arm(id, d, Some(now + SLOW_US));
            return false;
        }
        more
    }

    /// The receiving process reads a chunk.
    fn take(&mut self, id: ConnId, d: usize, sender: End, receiver: End, chunk: Chunk) -> bool {
        if let Some(conn) = self.net.get(id) {
            conn.dirs[d].taken += chunk.bytes().len() as u64;
        }
        if (sender.host as usize) < self.servers() && sender.alive {
            self.list_drain(sender.host as usize, id, d);
        }
        let host = receiver.host as usize;
        if self.is_nobody(receiver) {
            // Nobody listens there.
            self.arrived(id, d, chunk.bytes());
        } else if host >= self.servers() {
            self.client_messages += 1;
            self.arrived(id, d, chunk.bytes());
            self.client_bytes(host - self.servers(), id, chunk.bytes());
        } else {
            if (sender.host as usize) < self.servers() {
                self.messages += 1;
            } else {
                self.client_messages += 1;
            }
            let bytes = chunk.bytes();
            let cut = if bytes.len() > 1 && self.net.chance(SPLIT_PERMILLE) { bytes.len() / 2 } else { 0 };
            if cut > 0 {
                let (first, rest) = chunk.split(cut);
                self.hand_over(id, d, receiver, &first);
                match self.net.get(id).map(|c| &mut c.dirs[d]).filter(|dir| dir.unread) {
                    Some(dir) => {
                        // The first part has made it stop reading.
                        dir.taken -= rest.bytes().len() as u64;
                        dir.chunks.push_front((self.now, rest));
                    }
                    None => self.hand_over(id, d, receiver, &rest),
                }
            } else {
                self.hand_over(id, d, receiver, &chunk);
            }
        }
        self.net.recycle(chunk);
        true
    }

    /// Bytes have come to the other end.
    fn arrived(&mut self, id: ConnId, d: usize, bytes: &[u8]) {
        if let Some(messages) = &mut self.net.messages {
            messages.delivered(id.number(), d, bytes.len());
            self.tell_wire();
        }
    }

    /// A server gets bytes, if it still wants any.
    fn hand_over(&mut self, id: ConnId, d: usize, receiver: End, chunk: &Chunk) {
        let host = receiver.host as usize;
        let same = self.nodes[host].life == receiver.life;
        let (bytes, messages) = (chunk.bytes(), chunk.messages());
        self.arrived(id, d, bytes);
        let Some(port) = self.net.get(id).filter(|c| c.ends[1 - d].alive).map(|c| c.port) else { return };
        if bytes.is_empty() || !same {
            return;
        }
        if let Some(reach) = &mut self.watcher.reach {
            reach.read(host, port, bytes);
        }
        self.typed += messages.len() as u64;
        let event = match messages {
            [] => LinkEvent::Bytes(bytes),
            _ => LinkEvent::Messages { bytes, messages },
        };
        self.step(host, Input::Link { link: receiver.link, event });
    }

    /// Bytes for a process that does not hold the connection any more: the sender is told.
    fn reset(&mut self, id: ConnId, d: usize, sender: End) {
        let Some(conn) = self.net.get(id) else { return };
        let had = !conn.dirs[d].chunks.is_empty() || conn.dirs[d].fin.is_some();
        conn.dirs[d].chunks.clear();
        let (silent, from) = (conn.silent, conn.ends[1 - d].host);
        if let Some(messages) = &mut self.net.messages {
            messages.cut(id.number(), d, 0);
        }
        if sender.alive && had && !silent {
            let to = sender.host;
            let delay = self.net.delay(from, to, self.now);
            let at = self.net.end_direction(id, 1 - d, self.now + delay);
            self.arm(id, 1 - d, at);
        }
        self.net.release(id);
    }

    fn deliver_end(&mut self, id: ConnId, d: usize, receiver: End) -> bool {
        let Some(conn) = self.net.get(id) else { return false };
        let Some(at) = conn.dirs[d].fin else { return false };
        if at > self.now {
            conn.dirs[d].armed = true;
            self.arm(id, d, Some(at));
            return false;
        }
        conn.ends[1 - d].alive = false;
        // A reset ends both ways.
        let other_alive = conn.ends[d].alive;
        if !other_alive {
            self.net.release(id);
        } else {
            let (from, to) = (receiver.host, conn.ends[d].host);
            let delay = self.net.delay(from, to, self.now);
            let at = self.net.end_direction(id, 1 - d, self.now + delay);
            self.arm(id, 1 - d, at);
        }
        self.tell_closed(id, receiver);
        false
    }

    fn tell_opened(&mut self, id: ConnId, end: End, port: Port) {
        let host = end.host as usize;
        if host >= self.servers() {
            self.client_opened(host - self.servers(), id);
            return;
        }
        let Some(other) = self.net.get(id).map(|c| c.ends[1]) else { return };
        if !self.is_nobody(end) && self.nodes[host].life == end.life {
            let remote = SocketAddr::new(self.address(other.host), node::port_number(port));
            self.step(host, Input::Link { link: end.link, event: LinkEvent::Opened { port, remote } });
            self.list_drain(host, id, 0);
        }
    }
}
