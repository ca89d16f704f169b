//! What the network does to bytes beyond delay: paths that are too narrow, damage, loss, repetition. Nothing of it costs anything
//! while no such fault holds.

use quorate_core::event::Port;

use super::{Chunk, ConnId, Network};
use crate::queue::Micros;
use crate::spec::Dist;

/// Delays after the fault period. Bounds of liveness are in ticks, and a round of an election takes some of these.
const NEAR_MIN_US: u64 = 5000;
const NEAR_MEAN_US: u64 = 25_000;

/// A direction into which few packets fit.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) id: u32,
    pub(crate) from: Vec<bool>,
    pub(crate) to: Vec<bool>,
    pub(crate) packets: usize,
    /// One more ends the connection; otherwise it waits.
    pub(crate) cuts: bool,
}

/// What happens to single pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoiseKind {
    Corrupt,
    Lose,
    Duplicate,
}

/// Pieces that do not arrive as they were sent.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    pub(crate) id: u32,
    pub(crate) from: Vec<bool>,
    pub(crate) to: Vec<bool>,
    /// This kind of port only.
    pub(crate) port: Option<Port>,
    pub(crate) what: NoiseKind,
    pub(crate) permille: u64,
}

/// A listener on the wire: it keeps what the next connection says, to say it again.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    pub(crate) id: u32,
    pub(crate) from: Vec<bool>,
    pub(crate) to: Vec<bool>,
    /// Which one it listens to, and between whom.
    pub(crate) conn: Option<(ConnId, Port, u32, u32)>,
    pub(crate) bytes: Vec<u8>,
}

/// So many bytes of a connection are kept at most.
const TAP_MAX: usize = 64 << 10;

impl Network {
    /// Whether any of the faults of this file holds.
    pub(super) fn is_rough(&self) -> bool {
        !self.paths.is_empty() || !self.noise.is_empty() || self.tap.is_some()
    }

    /// A new connection: perhaps the one that a tap waits for.
    pub(super) fn tap_opened(&mut self, id: ConnId, port: Port, from: u32, to: u32) {
        if let Some(tap) = &mut self.tap
            && tap.conn.is_none()
            && port != Port::Client
            && tap.from[from as usize]
            && tap.to[to as usize]
        {
            tap.conn = Some((id, port, from, to));
        }
    }

    pub(super) fn overhear(&mut self, id: ConnId, d: usize, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap
            && d == 0
            && tap.conn.is_some_and(|(conn, ..)| conn == id)
            && tap.bytes.len() + bytes.len() <= TAP_MAX
        {
            tap.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether this direction is full. `Some(true)`: the connection ends; `Some(false)`: the bytes wait.
    pub(super) fn overflows(&mut self, id: ConnId, d: usize) -> Option<bool> {
        let conn = self.get(id).filter(|c| !c.asking)?;
        let (from, to, length) = (conn.ends[d].host, conn.ends[1 - d].host, conn.dirs[d].chunks.len());
        let fits = |p: &&Path| p.from[from as usize] && p.to[to as usize];
        let path = if self.healed(from, to) { None } else { self.paths.iter().find(fits) };
        let (full, narrow) = path.map_or((None, false), |p| ((length >= p.packets).then_some((p.id, p.cuts)), true));
        if let Some(conn) = self.get(id) {
            conn.dirs[d].narrow = narrow;
        }
        let (fault, cuts) = full?;
        self.took.insert(fault);
        Some(cuts)
    }

    /// What becomes of a piece: nothing, itself, or more than itself. `false`: it is lost.
    pub(super) fn rough(&mut self, from: u32, to: u32, port: Port, chunk: &mut Chunk) -> bool {
        if self.healed(from, to) {
            return true;
        }
        for i in 0..self.noise.len() {
            let noise = &self.noise[i];
            let here = noise.from[from as usize] && noise.to[to as usize] && noise.port.is_none_or(|p| p == port);
            let (id, what, permille) = (noise.id, noise.what, noise.permille);
            if !here || !self.wire.permille(permille) {
                continue;
            }
            self.took.insert(id);
            let mut bytes = chunk.bytes().to_vec();
            match what {
                NoiseKind::Lose => return false,
                NoiseKind::Duplicate => bytes.extend_from_within(..),
                NoiseKind::Corrupt => match self.wire.below(4) {
                    0 => {
                        let keep = self.wire.index(bytes.len());
                        bytes.truncate(keep);
                    }
                    1 => bytes.iter_mut().take(4).for_each(|b| *b |= 0x7f),
                    _ => {
                        for _ in 0..self.wire.between(1, 4) {
                            let at = self.wire.index(bytes.len());
                            bytes[at] ^= 1 << self.wire.below(8);
                        }
                    }
                },
            }
            if bytes.is_empty() {
                return false;
            }
            chunk.replace(bytes);
        }
        true
    }

    /// A fault is over.
    pub(crate) fn end(&mut self, id: u32) {
        self.blocks.retain(|b| b.id != id);
        self.slow.retain(|s| s.id != id);
        self.paths.retain(|p| p.id != id);
        self.noise.retain(|n| n.id != id);
    }

    /// Nobody is disturbed any more beyond delay and silence; who is far away comes nearer, so that answers come in time.
    pub(crate) fn calm(&mut self) {
        if let Dist::Exp { min_us, mean_us } = &mut self.delay {
            *min_us = NEAR_MIN_US.min(*min_us);
            *mean_us = NEAR_MEAN_US.min(*mean_us);
        }
        self.noise.clear();
        self.paths.clear();
        self.tap = None;
    }

    /// From now on this server's name leads to that host; beyond all hosts: nowhere.
    pub(crate) fn name_leads(&mut self, name: usize, host: usize) {
        if self.names.len() <= name {
            if name == host {
                return;
            }
            self.names.extend(self.names.len()..=name);
        }
        self.names[name] = host;
    }

    /// Where a name leads.
    pub(crate) fn host_of(&self, name: usize) -> usize {
        self.names.get(name).copied().unwrap_or(name)
    }
}

/// How a delay is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delay {
    /// So many microseconds more.
    More(Micros),
    /// Time is cut into pieces of so many microseconds: what is sent late in one arrives early after it.
    Mirror(Micros),
}

impl Delay {
    pub(super) fn at(self, now: Micros) -> Micros {
        match self {
            Self::More(us) => us,
            Self::Mirror(us) => 2 * (us - now % us),
        }
    }
}
