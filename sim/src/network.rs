//! Connections: byte streams with a delay, in order, that may stall, be cut in the middle, or be believed in by one side only.
//!
//! This file keeps their state; [`crate::world`] moves it on. Nothing is lost on a connection that stays: a partition is silence.

mod chunk;
mod noise;

pub(crate) use chunk::{Chunk, Sent};
pub(crate) use noise::{Delay, Noise, NoiseKind, Path, Tap};

use core::net::{IpAddr, Ipv4Addr};
use std::collections::{BTreeSet, VecDeque};

use quorate_core::event::Port;
use quorate_core::ids::LinkId;

use crate::queue::Micros;
use crate::report::{Fate, Wire};
use crate::rng::{Purpose, Stream};
use crate::spec::{Dist, Network as NetworkSpec};

/// What fits between a sender's `Drained` and its receiver's reading, bytes.
const WINDOW: u64 = 256 << 10;

/// The address of a server or client that has moved so often.
pub(crate) const fn address_of(host: u32, moves: u8) -> IpAddr {
    let [_, high, mid, low] = host.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, high.wrapping_add(moves), mid, low))
}

/// A connection, for ever: the slot is used again, the number is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ConnId {
    slot: u32,
    generation: u32,
}

impl ConnId {
    /// In one number.
    pub(crate) const fn number(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Server, or servers + client.
    pub(crate) host: u32,
    /// Of the process that holds it.
    pub(crate) life: u32,
    pub(crate) link: LinkId,
    /// The process has it open.
    pub(crate) alive: bool,
    /// The process knows that it is open.
    pub(crate) opened: bool,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Dir {
    pub(crate) chunks: VecDeque<(Micros, Chunk)>,
    /// Arrival of the newest chunk, or of the opening.
    pub(crate) last: Micros,
    sent_at: Micros,
    pub(crate) sent: u64,
    pub(crate) taken: u64,
    pub(crate) drained: u64,
    /// The sender has closed: arrival of that.
    pub(crate) fin: Option<Micros>,
    /// A [`crate::queue::Plan::Deliver`] is planned.
    pub(crate) armed: bool,
    /// Waits for a release: partition, pause, a machine that is off.
    pub(crate) stalled: bool,
    /// The receiving process does not want to read.
    pub(crate) unread: bool,
    /// The sender is in its host's list of what has left.
    pub(crate) draining: bool,
    /// Nothing has left before it was taken.
    pub(crate) narrow: bool,
}

impl Dir {
    /// Bytes that have left the sender and were not reported.
    pub(crate) fn to_report(&self) -> u64 {
        let window = if self.narrow { 0 } else { WINDOW };
        self.sent.min(self.taken + window).saturating_sub(self.drained)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    generation: u32,
    pub(crate) port: Port,
    /// The one that asked, the one that accepted.
    pub(crate) ends: [End; 2],
    /// From each end to the other.
    pub(crate) dirs: [Dir; 2],
    /// The request has not arrived.
    pub(crate) asking: bool,
    /// Whoever has gone says nothing, not even that it has gone.
    pub(crate) silent: bool,
}

/// Who cannot reach whom.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) id: u32,
    /// By host.
    pub(crate) from: Vec<bool>,
    pub(crate) to: Vec<bool>,
    /// This kind of port only.
    pub(crate) port: Option<Port>,
}

/// Extra delay.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) id: u32,
    pub(crate) from: Vec<bool>,
    pub(crate) to: Vec<bool>,
    pub(crate) how: Delay,
}

/// All connections and what is wrong with the network.
#[derive(Debug)]
pub(crate) struct Network {
    conns: Vec<Conn>,
    free: Vec<u32>,
    spare: chunk::Spare,
    delay: Dist,
    special: Vec<(Vec<bool>, Vec<bool>, Dist)>,
    stream: Stream,
    /// Some direction may be stalled.
    pub(crate) stalls: bool,
    pub(crate) blocks: Vec<Block>,
    pub(crate) slow: Vec<Slow>,
    pub(crate) paths: Vec<Path>,
    pub(crate) noise: Vec<Noise>,
    pub(crate) tap: Option<Tap>,
    /// Faults that something has met, for the world to count.
    pub(crate) took: BTreeSet<u32>,
    /// A narrow path has overflowed.
    pub(crate) burst: Option<ConnId>,
    /// Where names of servers lead, where not to themselves.
    names: Vec<usize>,
    wire: Stream,
    /// By host, once it is healed: among these nothing is wrong any more.
    pub(crate) core: Vec<bool>,
    /// Whoever wants to know about messages.
    pub(crate) messages: Option<Box<Wire>>,
}

impl Network {
    pub(crate) fn new(
        spec: &NetworkSpec,
        seed: u64,
        hosts: &dyn Fn(&str) -> Vec<bool>,
        messages: Option<Box<Wire>>,
    ) -> Self {
        Self {
            conns: Vec::new(),
            free: Vec::new(),
            spare: chunk::Spare::default(),
            delay: spec.delay,
            special: spec.links.iter().map(|l| (hosts(&l.from), hosts(&l.to), l.delay)).collect(),
            stream: Stream::new(seed, Purpose::Delay, 0),
            stalls: false,
            blocks: Vec::new(),
            slow: Vec::new(),
            paths: Vec::new(),
            noise: Vec::new(),
            tap: None,
            took: BTreeSet::new(),
            burst: None,
            names: Vec::new(),
            wire: Stream::new(seed, Purpose::Wire, 0),
            core: Vec::new(),
            messages,
        }
    }

    /// Whether bytes do not get from one host to the other.
    pub(crate) fn blocked(&mut self, from: u32, to: u32, port: Port) -> bool {
        if self.blocks.is_empty() || self.healed(from, to) {
            return false;
        }
        let fits = |b: &&Block| b.from[from as usize] && b.to[to as usize] && b.port.is_none_or(|only| only == port);
        let Some(block) = self.blocks.iter().find(fits) else { return false };
        self.took.insert(block.id);
        true
    }

    fn healed(&self, from: u32, to: u32) -> bool {
        let whole = |host: u32| self.core.get(host as usize).is_some_and(|core| *core);
        whole(from) && whole(to)
    }

    /// True `n` times in a thousand.
    pub(crate) fn chance(&mut self, n: u64) -> bool {
        self.stream.permille(n)
    }

    /// A one-way delay.
    pub(crate) fn delay(&mut self, from: u32, to: u32, now: Micros) -> Micros {
        let (f, t) = (from as usize, to as usize);
        let special = self.special.iter().find(|(a, b, _)| a[f] && b[t]).map(|(_, _, dist)| *dist);
        let mut extra: Micros = 0;
        if !self.slow.is_empty() && !self.healed(from, to) {
            for slow in self.slow.iter().filter(|s| s.from[f] && s.to[t]) {
                extra += slow.how.at(now);
                self.took.insert(slow.id);
            }
        }
        self.stream.draw(&special.unwrap_or(self.delay)) + extra
    }

    pub(crate) fn open(&mut self, port: Port, from: End, to: u32) -> ConnId {
        let other = End { host: to, life: 0, link: LinkId(0), alive: false, opened: false };
        let ends = [from, other];
        let id = self.put(port, ends);
        if self.tap.is_some() {
            self.tap_opened(id, port, from.host, to);
        }
        if let Some(messages) = &mut self.messages {
            messages.opened(id.number(), port, from.host, to);
        }
        id
    }

    fn put(&mut self, port: Port, ends: [End; 2]) -> ConnId {
        if let Some(slot) = self.free.pop() {
            let conn = &mut self.conns[slot as usize];
            let generation = conn.generation;
            *conn = Conn { generation, port, ends, dirs: Default::default(), asking: true, silent: false };
            return ConnId { slot, generation };
        }
        let slot = self.conns.len() as u32;
        self.conns.push(Conn { generation: 0, port, ends, dirs: Default::default(), asking: true, silent: false });
        ConnId { slot, generation: 0 }
    }

    pub(crate) fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.slot as usize).filter(|c| c.generation == id.generation)
    }

    /// Forgets a connection that nobody holds any more.
    pub(crate) fn release(&mut self, id: ConnId) {
        let Some(conn) = self.get(id) else { return };
        if conn.ends.iter().any(|e| e.alive) {
            return;
        }
        conn.generation += 1;
        for dir in &mut conn.dirs {
            *dir = Dir::default();
        }
        self.free.push(id.slot);
        if let Some(messages) = &mut self.messages {
            messages.released(id.number());
        }
    }

    /// Bytes are sent, and this becomes of them.
    fn report(&mut self, id: ConnId, dir: usize, bytes: &[u8], fate: impl FnOnce() -> Fate) {
        if let Some(messages) = &mut self.messages {
            messages.sent(id.number(), dir, bytes, fate());
        }
    }

    /// All connections that somebody holds, in slot order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.ends.iter().any(|e| e.alive))
            .map(|(slot, c)| (ConnId { slot: slot as u32, generation: c.generation }, c))
    }

    /// Queues bytes. Returns when a delivery must be planned, if it must.
    pub(crate) fn send(&mut self, id: ConnId, dir: u8, now: Micros, sent: &Sent<'_>) -> Option<Micros> {
        let bytes = sent.bytes;
        let d = usize::from(dir);
        let conn = self.get(id)?;
        if bytes.is_empty() || !conn.ends[d].alive {
            return None;
        }
        let (from, to, asking) = (conn.ends[d].host, conn.ends[1 - d].host, conn.asking);
        let dir = &mut conn.dirs[d];
        dir.sent += bytes.len() as u64;
        if dir.fin.is_some() {
            // Cut: what is sent from now on never arrives, though it leaves.
            dir.taken += bytes.len() as u64;
            self.report(id, d, bytes, || Fate::Lost);
            return None;
        }
        // Large shared bytes stay shared: a thousand servers send their configuration to each other at once.
        let rough = self.is_rough();
        if rough {
            self.overhear(id, d, bytes);
        }
        let waits = if rough { self.overflows(id, d) } else { None };
        if waits == Some(true) {
            self.burst = Some(id);
        }
        let delay_more = if waits == Some(false) { self.delay(from, to, now) } else { 0 };
        let dir = &mut self.get(id)?.dirs[d];
        if waits == Some(false)
            && let Some((at, newest)) = dir.chunks.back_mut()
        {
            newest.append(sent);
            dir.last = dir.last.max(now + delay_more);
            *at = dir.last;
            self.report(id, d, bytes, || Fate::whole(bytes));
            return None;
        }
        let copies = sent.shared.is_none() || bytes.len() <= 1024;
        if dir.sent_at == now
            && copies
            && let Some((_, newest)) = dir.chunks.back_mut()
            && newest.is_own()
        {
            newest.append(sent);
            self.report(id, d, bytes, || Fate::whole(bytes));
            return None;
        }
        dir.sent_at = now;
        let delay = self.delay(from, to, now);
        let mut chunk = Chunk::new(sent, &mut self.spare);
        if rough && !self.noise.is_empty() {
            let port = self.get(id)?.port;
            let arrives = self.rough(from, to, port, &mut chunk);
            let dir = &mut self.get(id)?.dirs[d];
            if !arrives {
                dir.taken += bytes.len() as u64;
                self.report(id, d, bytes, || Fate::Lost);
                return None;
            }
        }
        self.report(id, d, bytes, || Fate::of(bytes, chunk.bytes()));
        let dir = &mut self.get(id)?.dirs[d];
        dir.last = dir.last.max(now + delay);
        let at = dir.last;
        dir.chunks.push_back((at, chunk));
        (!asking && !dir.armed && !dir.stalled && !dir.unread).then(|| {
            dir.armed = true;
            dir.chunks.front().map_or(at, |(first, _)| *first)
        })
    }

    /// Takes back the memory of a delivered chunk.
    pub(crate) fn recycle(&mut self, chunk: Chunk) {
        self.spare.keep(chunk);
    }

    /// One side closes: nothing is read there any more, what it has sent still arrives, and then the end does. Returns when a
    /// delivery must be planned.
    pub(crate) fn close(&mut self, id: ConnId, side: usize, now: Micros, tell: bool) -> Option<Micros> {
        let conn = self.get(id)?;
        if !conn.ends[side].alive {
            return None;
        }
        conn.ends[side].alive = false;
        conn.dirs[1 - side].chunks.clear();
        if let Some(messages) = &mut self.messages {
            messages.cut(id.number(), 1 - side, 0);
        }
        let conn = self.get(id)?;
        let (from, to, other) = (conn.ends[side].host, conn.ends[1 - side].host, conn.ends[1 - side].alive);
        if !other {
            // Still asking: the request is void when it arrives.
            self.release(id);
            return None;
        }
        if !tell {
            return None;
        }
        let delay = self.delay(from, to, now);
        self.end_direction(id, side, now + delay)
    }

    /// The end of a direction arrives at its receiver at `at`, or after what is under way.
    pub(crate) fn end_direction(&mut self, id: ConnId, side: usize, at: Micros) -> Option<Micros> {
        let dir = &mut self.get(id)?.dirs[side];
        if dir.fin.is_some() {
            return None;
        }
        dir.last = dir.last.max(at);
        dir.fin = Some(dir.last);
        let first = dir.chunks.front().map_or(dir.last, |(t, _)| *t);
        (!dir.armed && !dir.stalled && !dir.unread).then(|| {
            dir.armed = true;
            first
        })
    }

    /// Cuts what is under way in one direction to this many bytes.
    pub(crate) fn cut(&mut self, id: ConnId, side: usize, keep: u64) {
        if let Some(messages) = &mut self.messages {
            messages.cut(id.number(), side, keep as usize);
        }
        let Some(conn) = self.get(id) else { return };
        let mut left = keep as usize;
        for (_, chunk) in &mut conn.dirs[side].chunks {
            let n = chunk.bytes().len().min(left);
            left -= n;
            chunk.truncate(n);
        }
    }

    /// Bytes under way in one direction.
    pub(crate) fn under_way(&mut self, id: ConnId, side: usize) -> u64 {
        self.get(id).map_or(0, |c| c.dirs[side].chunks.iter().map(|(_, c)| c.bytes().len() as u64).sum())
    }
}
