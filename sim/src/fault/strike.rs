//! Faults take effect, and end.

use quorate_core::event::{Input, LinkEvent, Port};

use super::server;
use crate::clock::TRUE_RATE;
use crate::effect::Effect;
use crate::network::ConnId;
use crate::node::{Failing, Hold, Lane, NEVER};
use crate::observe::{DiskFault, Down, Obs};
use crate::queue::Plan;
use crate::spec::{Explicit, FaultKind};
use crate::world::World;

/// How often something happens.
fn times(value: i64) -> u32 {
    u32::try_from(value.max(1)).unwrap_or(u32::MAX)
}

/// The monotonic clock of a machine that stands still, parts per million.
const STILL: u64 = 1;

/// Faults of this kind lie on links between hosts for as long as they hold.
const fn on_links(kind: FaultKind) -> bool {
    use FaultKind as K;
    matches!(
        kind,
        K::Partition
            | K::OneWay
            | K::Clog
            | K::PortBlock
            | K::SlowLink
            | K::NewestFirst
            | K::Bounded
            | K::Corrupt
            | K::Lose
            | K::Duplicate
            | K::Replay
    )
}

/// Faults of this kind change something in the instant in which they strike; others when something meets them.
pub(super) const fn at_once(kind: FaultKind) -> bool {
    use FaultKind as K;
    let waits = matches!(
        kind,
        K::SlowReceiver
            | K::SlowDisk
            | K::SlowNode
            | K::LateTimers
            | K::DiskError
            | K::DiskFull
            | K::LyingDisk
            | K::LatentError
            | K::StaleRead
    );
    !waits && !on_links(kind)
}

impl World<'_> {
    /// `false`: there was nothing to strike.
    pub(super) fn apply_fault(&mut self, f: &Explicit) -> bool {
        use FaultKind as K;
        let node = f.node.as_deref().and_then(server).filter(|n| *n < self.nodes.len());
        match (f.kind, node) {
            (K::PowerCut, Some(n)) => self.down(n, Down::PowerCut),
            (K::Kill, Some(n)) => self.down(n, Down::Kill),
            (K::Reconfigure, Some(n)) => {
                self.nodes[n].switches ^= f.value.unwrap_or(1).unsigned_abs() as u32;
                self.down(n, Down::Kill);
                true
            }
            (K::PowerCutAll, _) => {
                let set = self.named(f.from.as_ref());
                let mut any = false;
                for n in (0..self.nodes.len()).filter(|n| set[*n]) {
                    any |= self.down(n, Down::PowerCut);
                }
                any
            }
            (K::Pause | K::Suspend, Some(n)) => self.pause(n, f.kind == K::Suspend),
            (K::Pause, None) => self.pause_client(f),
            (K::Start, Some(n)) => {
                let down = !self.nodes[n].is_up();
                self.boot_after(n, 0);
                down
            }
            (K::Heal, _) => {
                self.end_all();
                true
            }
            (K::HalfOpen, _) => self.half_open(f),
            (kind, _) if kind == K::Cut || on_links(kind) => self.strike_network(f),
            (K::Clone, Some(n)) => self.strike_clone(f, n),
            (K::AddressChange | K::Garbage, Some(n)) => self.strike_address(f, n),
            (_, Some(n)) => self.strike_node(f, n),
            (_, None) => false,
        }
    }

    pub(super) fn down(&mut self, n: usize, how: Down<'_>) -> bool {
        let up = self.nodes[n].is_up();
        self.stop(n, how);
        up
    }

    fn pause(&mut self, n: usize, still: bool) -> bool {
        let now = self.now;
        let node = &mut self.nodes[n];
        let strikes = node.is_up() && !node.paused;
        if strikes {
            node.paused = true;
            if still {
                node.rate_before = Some(node.clock.rate());
                node.clock.set_rate(now, STILL);
            }
        }
        strikes
    }

    fn client_of(&self, f: &Explicit) -> Option<usize> {
        let number: usize = f.node.as_deref()?.strip_prefix('c')?.parse().ok()?;
        number.checked_sub(1).filter(|c| *c < self.clients.len())
    }

    fn pause_client(&mut self, f: &Explicit) -> bool {
        let Some(c) = self.client_of(f) else { return false };
        !std::mem::replace(&mut self.clients[c].paused, true)
    }

    fn strike_node(&mut self, f: &Explicit, n: usize) -> bool {
        let hold = |value: u64| Some(Hold { by: f.id, value });
        let now = self.now;
        let node = &mut self.nodes[n];
        match f.kind {
            FaultKind::SlowReceiver => node.slow_receiver = hold(f.value.unwrap_or(25_600).max(0) as u64),
            FaultKind::SlowDisk => {
                node.slow_disk = hold(f.value.unwrap_or(20).max(1) as u64);
                self.watcher.tell(Obs::Disk { node: n, fault: DiskFault::Slow, log: false });
            }
            FaultKind::SlowNode => node.slow = hold(f.value.unwrap_or(1000).max(1) as u64),
            FaultKind::LateTimers => {
                node.late = hold(f.value.unwrap_or(100).max(1) as u64 * 1000);
            }
            FaultKind::DiskError => {
                let effect = f.effect.as_deref().and_then(Effect::by_name);
                node.failing = Some(Failing { effect, left: f.value.map_or(1, times), by: f.id });
            }
            FaultKind::DiskFull => {
                node.disk.full = true;
                node.full_by = f.id;
            }
            FaultKind::LyingDisk => {
                node.disk.lying = true;
                node.lying_by = f.id;
            }
            FaultKind::ClockJump => node.clock.jump(f.value.unwrap_or(1000)),
            FaultKind::ClockDrift => {
                let rate = TRUE_RATE as i64 + f.value.unwrap_or(1000);
                node.clock.set_rate(now, rate.max(1) as u64);
                self.replan(n);
            }
            _ => return self.strike_storage(f, n),
        }
        true
    }

    /// A clock runs differently: deadlines stand elsewhere.
    fn replan(&mut self, n: usize) {
        self.nodes[n].wake_at = NEVER;
        self.plan_wake(n);
    }

    /// One of the connections between two sets of hosts.
    pub(super) fn connection(&self, f: &Explicit) -> Option<ConnId> {
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

    /// One side hears that the connection is gone, the other does not until it writes, or never.
    fn half_open(&mut self, f: &Explicit) -> bool {
        let Some(id) = self.connection(f) else { return false };
        let value = f.value.unwrap_or(0);
        let side = usize::from(value >> 19 & 1 == 1);
        let Some(conn) = self.net.get(id) else { return false };
        let end = conn.ends[side];
        let host = end.host as usize;
        if self.nodes.get(host).is_some_and(|node| node.paused) {
            // It hears nothing while it stands still, and every connection ends with a word to its process.
            return false;
        }
        if let Some(conn) = self.net.get(id) {
            conn.silent = value >> 20 & 1 == 1;
        }
        self.hang_up(id, side, false);
        if host < self.nodes.len() {
            self.step(host, Input::Link { link: end.link, event: LinkEvent::Closed });
        } else {
            self.client_closed(host - self.nodes.len(), id);
        }
        true
    }

    /// A hold is over.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(i) = self.plans.active.iter().position(|f| f.id == id) else { return };
        let fault = self.plans.active.remove(i);
        self.end_fault(&fault);
        self.note_wrong();
        self.rearm();
    }

    fn end_fault(&mut self, f: &Explicit) {
        self.net.end(f.id);
        if let Some(reporter) = self.watcher.reporter.as_mut().filter(|_| f.hold_ms.is_some()) {
            reporter.fault_ended(self.now, f.id);
        }
        match f.kind {
            FaultKind::PowerCutAll => {
                let set = self.named(f.from.as_ref());
                for n in (0..self.nodes.len()).filter(|n| set[*n]) {
                    self.start_again(n);
                }
            }
            FaultKind::Replay => self.replay(f),
            FaultKind::Pause => self.wake_client(f),
            _ => {}
        }
        let Some(n) = f.node.as_deref().and_then(server).filter(|n| *n < self.nodes.len()) else { return };
        let node = &mut self.nodes[n];
        match f.kind {
            FaultKind::PowerCut
            | FaultKind::Kill
            | FaultKind::Wipe
            | FaultKind::Reconfigure
            | FaultKind::Leftovers
            | FaultKind::Restore
            | FaultKind::LoseSnapshots => self.start_again(n),
            FaultKind::Clone => {
                self.end_clone(n);
                self.start_again(n);
            }
            FaultKind::Pause | FaultKind::Suspend => self.go_on(n),
            FaultKind::SlowReceiver => {
                node.slow_receiver = None;
                self.net.stalls = true;
            }
            FaultKind::SlowDisk => self.right_disk(n),
            FaultKind::SlowNode => node.slow = None,
            FaultKind::LateTimers => {
                node.late = None;
                self.replan(n);
            }
            FaultKind::DiskFull => node.disk.full = false,
            FaultKind::LyingDisk => node.disk.lying = false,
            FaultKind::DiskError => node.failing = None,
            FaultKind::ClockDrift => {
                if node.rate_before.is_some() {
                    node.rate_before = Some(TRUE_RATE);
                } else {
                    node.clock.set_rate(self.now, TRUE_RATE);
                }
                self.replan(n);
            }
            FaultKind::AddressChange => {
                self.move_back(n);
                if let Some(other) = f.to.as_deref().and_then(server).filter(|o| *o < self.nodes.len()) {
                    self.move_back(other);
                }
            }
            _ => {}
        }
    }

    fn start_again(&mut self, n: usize) {
        if !self.nodes[n].is_up() && !self.nodes[n].booting {
            self.boot_after(n, 0);
        }
    }

    /// The disk is as fast as it should be: what began while it was slow would go on for a minute.
    fn right_disk(&mut self, n: usize) {
        self.nodes[n].slow_disk = None;
        for lane in 0..2 {
            let Lane { due, slow, .. } = &self.nodes[n].lanes[lane];
            if *slow && due.is_some_and(|due| due != NEVER) {
                self.begin_disk(n, lane);
            }
        }
    }

    fn wake_client(&mut self, f: &Explicit) {
        if let Some(c) = self.client_of(f) {
            self.clients[c].paused = false;
            self.net.stalls = true;
            self.plan_client(c);
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
        node.right_clock(self.now);
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
        self.note_wrong();
        self.rearm();
    }

    /// Ends everything that holds.
    fn end_all(&mut self) {
        for fault in std::mem::take(&mut self.plans.active) {
            self.end_fault(&fault);
        }
        self.note_wrong();
        self.rearm();
    }

    /// Ends what holds on one server of the core: it runs, its disk and clock are right.
    pub(crate) fn heal_node(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.slow_receiver = None;
        node.slow = None;
        node.late = None;
        node.disk.full = false;
        node.disk.lying = false;
        node.failing = None;
        node.doomed = None;
        if node.rate_before.is_some() {
            node.rate_before = Some(TRUE_RATE);
        } else {
            node.clock.set_rate(self.now, TRUE_RATE);
        }
        self.right_disk(n);
        self.replan(n);
        self.start_again(n);
        self.go_on(n);
    }

    /// Clients outlive the fault period, whatever was done to them.
    pub(crate) fn heal_clients(&mut self) {
        for c in 0..self.clients.len() {
            self.clients[c].paused = false;
            self.plan_client(c);
        }
    }

    /// Which port a fault means.
    pub(super) const fn port_of(f: &Explicit) -> Port {
        match f.value {
            Some(0) => Port::Election,
            Some(1) => Port::Quorum,
            _ => Port::Client,
        }
    }
}
