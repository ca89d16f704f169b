//! Faults of the network: who does not reach whom, what arrives late, damaged, twice or not at all.

use quorate_core::event::Port;

use crate::network::{Block, Delay, Noise, NoiseKind, Path, Slow, Tap};
use crate::queue::Plan;
use crate::rng::{Purpose, Stream};
use crate::spec::{Explicit, FaultKind};
use crate::world::World;

/// Corruption touches so many pieces in a thousand.
const CORRUPT_PERMILLE: u64 = 60;

/// How reasons begin that break what connections promise.
pub(crate) const NETWORK: &str = "the network ";

impl World<'_> {
    /// `false`: nobody is named, or there is no connection.
    pub(super) fn strike_network(&mut self, f: &Explicit) -> bool {
        if f.kind == FaultKind::Cut {
            return self.cut_one(f);
        }
        let (from, to) = (self.named(f.from.as_ref()), self.named(f.to.as_ref()));
        if !from.contains(&true) || !to.contains(&true) {
            return false;
        }
        let id = f.id;
        let value = f.value.unwrap_or(100);
        let slow = |how| Slow { id, from: from.clone(), to: to.clone(), how };
        match f.kind {
            FaultKind::Partition => self.block(f, true, None),
            FaultKind::OneWay | FaultKind::Clog => self.block(f, false, None),
            FaultKind::PortBlock => self.block(f, true, Some(Self::port_of(f))),
            FaultKind::SlowLink => self.net.slow.push(slow(Delay::More(value.max(0) as u64 * 1000))),
            FaultKind::NewestFirst => self.net.slow.push(slow(Delay::Mirror(value.max(1) as u64 * 1000))),
            FaultKind::Bounded => {
                let (packets, cuts) = (value.unsigned_abs().max(1) as usize, value < 0);
                self.net.paths.push(Path { id, from, to, packets, cuts });
            }
            FaultKind::Replay => {
                if self.net.tap.is_some() {
                    return false;
                }
                self.net.tap = Some(Tap { id, from, to, conn: None, bytes: Vec::new() });
            }
            kind => {
                let (what, port, permille) = match kind {
                    FaultKind::Corrupt => (NoiseKind::Corrupt, Some(Self::port_of(f)), CORRUPT_PERMILLE),
                    FaultKind::Lose => (NoiseKind::Lose, None, value.unsigned_abs()),
                    _ => (NoiseKind::Duplicate, None, value.unsigned_abs()),
                };
                self.garbled |= f.kind == FaultKind::Corrupt;
                if port != Some(Port::Election) {
                    self.outside("the network breaks what a connection promises");
                }
                self.net.noise.push(Noise { id, from, to, port, what, permille });
            }
        }
        true
    }

    fn block(&mut self, f: &Explicit, both: bool, port: Option<Port>) {
        let (from, to) = (self.named(f.from.as_ref()), self.named(f.to.as_ref()));
        if both {
            self.net.blocks.push(Block { id: f.id, from: to.clone(), to: from.clone(), port });
        }
        self.net.blocks.push(Block { id: f.id, from, to, port });
    }

    fn cut_one(&mut self, f: &Explicit) -> bool {
        let Some(id) = self.connection(f) else { return false };
        self.cut(id, f.value.unwrap_or(0).unsigned_abs());
        true
    }

    /// The bytes of a connection are said once more, by nobody.
    pub(super) fn replay(&mut self, f: &Explicit) {
        let Some(tap) = self.net.tap.take_if(|tap| tap.id == f.id) else { return };
        let Some((port, from, to)) = tap.conn.map(|(_, port, from, to)| (port, from, to)) else { return };
        if tap.bytes.is_empty() {
            return;
        }
        self.plans.took(f.id);
        self.outside("the network repeats what was said on another connection");
        self.say(from as usize, to as usize, port, &tap.bytes);
    }

    /// A server moves, or something strange is said to one.
    pub(super) fn strike_address(&mut self, f: &Explicit, n: usize) -> bool {
        let value = f.value.unwrap_or(0).unsigned_abs();
        if f.kind == FaultKind::Garbage {
            let mut s = Stream::new(self.spec.seed, Purpose::Wire, 1 + value);
            let port = [Port::Election, Port::Quorum, Port::Client][s.index(3)];
            let bytes = garbage(&mut s);
            let from = (n + 1 + s.index(self.nodes.len().max(2) - 1)) % self.nodes.len();
            self.say(from, n, port, &bytes);
            return true;
        }
        // Its name leads to another server, and that one's to it; or nowhere, until the name is known again.
        let other = f.to.as_deref().and_then(super::server).filter(|o| *o < self.nodes.len() && *o != n);
        for moved in std::iter::once(n).chain(other) {
            self.cut_off(moved, value);
        }
        match other {
            Some(other) => {
                self.net.name_leads(n, other);
                self.net.name_leads(other, n);
            }
            None => self.net.name_leads(n, usize::MAX),
        }
        true
    }

    /// A server gets another address: what was connected to the old one is cut.
    fn cut_off(&mut self, n: usize, value: u64) {
        let here = |c: &crate::network::Conn| c.ends.iter().any(|e| e.host as usize == n);
        let held: Vec<_> = self.net.all().filter(|(_, c)| here(c)).map(|(id, c)| (id, c.asking)).collect();
        for (id, asking) in held {
            if asking {
                self.queue.push(self.now, Plan::Refuse(id));
            } else {
                self.cut(id, value);
            }
        }
        self.nodes[n].moves = self.nodes[n].moves.wrapping_add(1);
    }

    /// A server's name leads to it again. Where it led to another one the addresses change once more, and so no connection
    /// outlives the mistake: nothing in ZooKeeper's protocol says who a leader is, and its learner would never know.
    pub(crate) fn move_back(&mut self, n: usize) {
        let led = self.net.host_of(n);
        self.net.name_leads(n, n);
        if led != n && led < self.nodes.len() {
            self.cut_off(n, 0);
        }
    }

    /// Ends a connection in the middle of what is under way.
    pub(crate) fn cut(&mut self, id: crate::network::ConnId, value: u64) {
        for side in 0..2 {
            let under_way = self.net.under_way(id, side);
            let mut luck = value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            luck %= under_way + 1;
            self.net.cut(id, side, luck);
            if let Some(at) = self.net.end_direction(id, side, self.now) {
                self.queue.push(at.max(self.now), Plan::Deliver { conn: id, dir: side as u8 });
            }
        }
    }
}

/// Something that nobody who knows the protocol would say.
fn garbage(s: &mut Stream) -> Vec<u8> {
    let length = s.log_between(1, 2048) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| s.below(256) as u8).collect();
    let head: &[u8] = match s.below(6) {
        // A frame without an end, a negative length, an election hello of a stranger, a hello without its address.
        0 => &[0x7f, 0xff, 0xff, 0xff],
        1 => &[0xff, 0xff, 0xff, 0xfe],
        2 => &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x7f, 0xff, 0, 0],
        3 => &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4],
        // FOLLOWERINFO, half of it.
        4 => &[0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1],
        _ => &[],
    };
    bytes.splice(0..0, head.iter().copied());
    bytes
}
