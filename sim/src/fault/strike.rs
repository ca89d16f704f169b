//! Faults take effect, and end.

use quorate_core::event::{Dir, Input, LinkEvent, Port};

use super::{hosts, server};
use crate::clock::TRUE_RATE;
use crate::effect::Effect;
use crate::network::{Block, ConnId, Slow};
use crate::node::{Failing, Lane, NEVER};
use crate::observe::{DiskFault, Down, Obs};
use crate::queue::Plan;
use crate::rng::{Purpose, Stream};
use crate::spec::{Budget, Explicit, FaultKind};
use crate::world::World;

/// They have no checksum. Both changed alike between two starts look like the work of another implementation, and nothing on
/// this server could tell: the budget leaves one of them alone (simulation-catalogue 1.3, "Fault budget").
const EPOCH_FILES: [&str; 2] = ["acceptedEpoch", "currentEpoch"];

impl World<'_> {
    fn named(&self, text: Option<&String>) -> Vec<bool> {
        let all = self.nodes.len() + self.clients.len();
        text.map_or_else(|| vec![false; all], |t| hosts(t, self.nodes.len(), all))
    }

    /// `false`: there was nothing to strike.
    pub(super) fn apply_fault(&mut self, f: &Explicit) -> bool {
        let node = f.node.as_deref().and_then(server).filter(|n| *n < self.nodes.len());
        match (f.kind, node) {
            (FaultKind::PowerCut, Some(n)) => self.down(n, Down::PowerCut),
            (FaultKind::Kill, Some(n)) => self.down(n, Down::Kill),
            (FaultKind::PowerCutAll, _) => {
                let set = self.named(f.from.as_ref());
                let mut any = false;
                for n in (0..self.nodes.len()).filter(|n| set[*n]) {
                    any |= self.down(n, Down::PowerCut);
                }
                any
            }
            (FaultKind::Pause, Some(n)) => {
                let node = &mut self.nodes[n];
                let strikes = node.is_up() && !node.paused;
                node.paused |= strikes;
                strikes
            }
            (FaultKind::Start, Some(n)) => {
                let down = !self.nodes[n].is_up();
                self.boot_after(n, 0);
                down
            }
            (FaultKind::Partition, _) => self.block(f, true, None),
            (FaultKind::OneWay | FaultKind::Clog, _) => self.block(f, false, None),
            (FaultKind::PortBlock, _) => {
                let port = match f.value {
                    Some(0) => Port::Election,
                    Some(1) => Port::Quorum,
                    _ => Port::Client,
                };
                self.block(f, true, Some(port))
            }
            (FaultKind::SlowLink, _) => {
                let (from, to) = (self.named(f.from.as_ref()), self.named(f.to.as_ref()));
                let extra_us = f.value.unwrap_or(100).max(0) as u64 * 1000;
                self.net.slow.push(Slow { id: f.id, from, to, extra_us });
                true
            }
            (FaultKind::Cut, _) => self.cut_one(f),
            (FaultKind::HalfOpen, _) => self.half_open(f),
            (FaultKind::Heal, _) => {
                self.end_all();
                true
            }
            (_, Some(n)) => self.strike_node(f, n),
            (_, None) => false,
        }
    }

    fn down(&mut self, n: usize, how: Down<'_>) -> bool {
        let up = self.nodes[n].is_up();
        self.stop(n, how);
        up
    }

    fn strike_node(&mut self, f: &Explicit, n: usize) -> bool {
        let node = &mut self.nodes[n];
        match f.kind {
            FaultKind::SlowReceiver => node.slow_receiver = true,
            FaultKind::SlowDisk => {
                node.slow_disk = f.value.unwrap_or(20).max(1) as u64;
                self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Slow });
            }
            FaultKind::DiskError => {
                let effect = f.effect.as_deref().and_then(Effect::by_name);
                node.failing = Some(Failing { effect, left: f.value.unwrap_or(1).max(1) as u32 });
            }
            FaultKind::DiskFull => node.disk.full = true,
            FaultKind::BitRot => return self.rot(f, n),
            FaultKind::ClockJump => node.clock.jump(f.value.unwrap_or(1000)),
            FaultKind::ClockDrift => {
                let rate = TRUE_RATE as i64 + f.value.unwrap_or(1000);
                node.clock.set_rate(self.now, rate.max(1) as u64);
                self.replan(n);
            }
            _ => return false,
        }
        true
    }

    fn rot(&mut self, f: &Explicit, n: usize) -> bool {
        let mut stream = Stream::new(self.spec.seed, Purpose::Rot, 1 + f.value.unwrap_or(0).unsigned_abs());
        let node = &mut self.nodes[n];
        let spared = match self.spec.disk.budget {
            Budget::OneGoodCopy => node.rotten_epoch.map(|other| 1 - other).map(|i| EPOCH_FILES[i]),
            Budget::Unlimited => None,
        };
        let Some(what) = node.disk.rot(&[Dir::Data, Dir::Log], spared, &mut stream) else { return false };
        let struck = EPOCH_FILES.iter().position(|f| what.starts_with(f));
        node.rotten_epoch = node.rotten_epoch.or(struck);
        node.rotten = true;
        self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Lasting });
        self.watcher.line(format_args!("s{}", n + 1), format_args!("bit rot in {what}"));
        true
    }

    /// A clock runs differently: deadlines stand elsewhere.
    fn replan(&mut self, n: usize) {
        self.nodes[n].wake_at = NEVER;
        self.plan_wake(n);
    }

    fn block(&mut self, f: &Explicit, both: bool, port: Option<Port>) -> bool {
        let (from, to) = (self.named(f.from.as_ref()), self.named(f.to.as_ref()));
        if !from.contains(&true) || !to.contains(&true) {
            return false;
        }
        if both {
            self.net.blocks.push(Block { id: f.id, from: to.clone(), to: from.clone(), port });
        }
        self.net.blocks.push(Block { id: f.id, from, to, port });
        true
    }

    /// One of the connections between two sets of hosts.
    fn connection(&self, f: &Explicit) -> Option<ConnId> {
        let (from, to) = (self.named(f.from.as_ref()), self.named(f.to.as_ref()));
        let fits = |a: u32, b: u32| from[a as usize] && to[b as usize];
        let list: Vec<ConnId> = self
            .net
            .all()
            .filter(|(_, c)| !c.asking && c.ends.iter().all(|e| e.alive))
            .filter(|(_, c)| fits(c.ends[0].host, c.ends[1].host) || fits(c.ends[1].host, c.ends[0].host))
            .map(|(id, _)| id)
            .collect();
        let at = f.value.unwrap_or(0).unsigned_abs() as usize;
        (!list.is_empty()).then(|| list[at % list.len()])
    }

    fn cut_one(&mut self, f: &Explicit) -> bool {
        let Some(id) = self.connection(f) else { return false };
        for side in 0..2 {
            let under_way = self.net.under_way(id, side);
            let mut luck = f.value.unwrap_or(0).unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            luck %= under_way + 1;
            self.net.cut(id, side, luck);
            if let Some(at) = self.net.end_direction(id, side, self.now) {
                self.queue.push(at.max(self.now), Plan::Deliver { conn: id, dir: side as u8 });
            }
        }
        true
    }

    /// One side hears that the connection is gone, the other does not until it writes.
    fn half_open(&mut self, f: &Explicit) -> bool {
        let Some(id) = self.connection(f) else { return false };
        let side = usize::from(f.value.unwrap_or(0) >> 19 & 1 == 1);
        let Some(end) = self.net.get(id).map(|c| c.ends[side]) else { return false };
        let host = end.host as usize;
        if self.nodes.get(host).is_some_and(|n| n.paused) {
            // A process that stands still cannot hear it now, and would never hear it afterwards.
            return false;
        }
        self.hang_up(id, side, false);
        if host < self.nodes.len() {
            self.step(host, Input::Link { link: end.link, event: LinkEvent::Closed });
        } else {
            self.client_closed(host - self.nodes.len());
        }
        true
    }

    /// A hold is over.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(i) = self.plans.active.iter().position(|f| f.id == id) else { return };
        let fault = self.plans.active.remove(i);
        self.end_fault(&fault);
        self.rearm();
    }

    fn end_fault(&mut self, f: &Explicit) {
        self.net.blocks.retain(|b| b.id != f.id);
        self.net.slow.retain(|s| s.id != f.id);
        if self.watcher.traces() && f.hold_ms.is_some() {
            self.watcher.line(format_args!("##"), format_args!("fault {} ends", f.id));
        }
        if f.kind == FaultKind::PowerCutAll {
            let set = self.named(f.from.as_ref());
            for n in (0..self.nodes.len()).filter(|n| set[*n]) {
                self.start_again(n);
            }
        }
        let Some(n) = f.node.as_deref().and_then(server).filter(|n| *n < self.nodes.len()) else { return };
        match f.kind {
            FaultKind::PowerCut | FaultKind::Kill => self.start_again(n),
            FaultKind::Pause => self.go_on(n),
            FaultKind::SlowReceiver => self.nodes[n].slow_receiver = false,
            FaultKind::SlowDisk => self.nodes[n].slow_disk = 1,
            FaultKind::DiskFull => self.nodes[n].disk.full = false,
            FaultKind::DiskError => self.nodes[n].failing = None,
            FaultKind::ClockDrift => {
                self.nodes[n].clock.set_rate(self.now, TRUE_RATE);
                self.replan(n);
            }
            _ => {}
        }
    }

    fn start_again(&mut self, n: usize) {
        if !self.nodes[n].is_up() && !self.nodes[n].booting {
            self.boot_after(n, 0);
        }
    }

    /// A paused process goes on.
    fn go_on(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if node.paused {
            self.queue.push(self.now, Plan::Resume { node: n as u32, life: node.life });
        }
    }

    pub(crate) fn resume(&mut self, n: usize, life: u32) {
        let node = &mut self.nodes[n];
        if node.life != life || !node.paused {
            return;
        }
        node.paused = false;
        for lane in 0..2 {
            if node.lanes[lane].due == Some(NEVER) {
                node.lanes[lane].due = Some(self.now);
                self.queue.push(self.now, Plan::Disk { node: n as u32, life, lane: lane as u8 });
            }
        }
        if !node.drains.is_empty() && !node.drain_planned {
            node.drain_planned = true;
            self.queue.push(self.now, Plan::Drain { host: n as u32, life });
        }
        self.replan(n);
        self.rearm();
    }

    /// Ends everything that holds.
    fn end_all(&mut self) {
        for fault in std::mem::take(&mut self.plans.active) {
            self.end_fault(&fault);
        }
        self.rearm();
    }

    /// Ends what holds on one server of the core: it runs, its disk and clock are right.
    pub(crate) fn heal_node(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.slow_receiver = false;
        node.slow_disk = 1;
        node.disk.full = false;
        node.failing = None;
        node.doomed = None;
        node.clock.set_rate(self.now, TRUE_RATE);
        // What began while the disk was slow would go on for a minute; the disk is right from now on.
        for lane in 0..2 {
            let Lane { due, slow, .. } = &self.nodes[n].lanes[lane];
            if *slow && due.is_some_and(|due| due != NEVER) {
                self.begin_disk(n, lane);
            }
        }
        self.replan(n);
        self.start_again(n);
        self.go_on(n);
    }
}
