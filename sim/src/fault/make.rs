//! Generators: whom a fault strikes, how long, how hard.

use quorate_core::event::Role;
use quorate_core::ids::Millis;

use super::names;
use crate::rng::Stream;
use crate::spec::{At, Explicit, FaultKind, Generator, Mode, Target};
use crate::world::World;

/// Disk errors strike these kinds of operations; an fsync more often, as it is the one that loses what was written before.
const FAILING: &[&str] = &[
    "write",
    "append",
    "append",
    "read",
    "fsync",
    "fsync",
    "fsync",
    "fsync",
    "create",
    "rename",
    "fsync-dir",
    "truncate",
    "extend",
    "persist-epoch",
];

impl World<'_> {
    /// Who leads, of those that are up.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |n: &usize| self.nodes[*n].server().is_some_and(|p| p.role() == Role::Leading);
        (0..self.nodes.len()).rev().find(leads)
    }

    fn victim(&self, on: Target, stream: &mut Stream) -> Option<usize> {
        let voters = self.spec.topology.voters as usize;
        let any = stream.index(self.nodes.len());
        match on {
            Target::Servers => Some(any),
            Target::Voters => Some(any % voters),
            Target::Leader => self.leader().or(Some(any)),
            Target::Observers => (voters < self.nodes.len()).then(|| voters + any % (self.nodes.len() - voters)),
        }
    }

    /// What generator `i` does now.
    pub(super) fn make(&mut self, i: usize) -> Option<Explicit> {
        let generator = self.plans.sources[i].generator.clone();
        let mut stream = self.plans.sources[i].stream.clone();
        let fault = self.draw(&generator, &mut stream);
        self.plans.sources[i].stream = stream;
        fault
    }

    fn draw(&mut self, g: &Generator, s: &mut Stream) -> Option<Explicit> {
        let hold = self.draw_hold(g, s);
        let victim = self.victim(g.on, s)?;
        let mut fault = Explicit { hold_ms: Some(hold), ..Explicit::new(0, At::Us { us: self.now }, g.kind) };
        let on = |fault: &mut Explicit| fault.node = Some(names(&[victim]));
        match g.kind {
            FaultKind::PowerCut | FaultKind::Kill => {
                on(&mut fault);
                if let Some(effect) = &g.effect {
                    fault.effect = Some(effect.clone());
                    fault.value = Some(s.log_between(1, 64) as i64 - 1);
                } else if g.kind == FaultKind::PowerCut && s.permille(500) && self.nodes[victim].is_up() {
                    fault.effect = Some("any".into());
                    fault.value = Some(s.log_between(1, 256) as i64);
                }
            }
            FaultKind::PowerCutAll => {
                let mut all: Vec<usize> = (0..self.nodes.len()).collect();
                s.shuffle(&mut all);
                let majority = all.len() / 2 + 1;
                all.truncate(if s.permille(500) {
                    all.len()
                } else {
                    s.between(majority as u64, all.len() as u64) as usize
                });
                all.sort_unstable();
                fault.from = Some(names(&all));
            }
            FaultKind::Partition => self.draw_partition(g.mode, victim, s, &mut fault)?,
            FaultKind::OneWay => {
                let other = self.other(victim, s)?;
                fault.from = Some(names(&[victim]));
                fault.to = Some(if s.permille(400) { "*".into() } else { names(&[other]) });
                if s.permille(400) {
                    std::mem::swap(&mut fault.from, &mut fault.to);
                }
            }
            FaultKind::Clog | FaultKind::SlowLink => {
                fault.from = Some(names(&[victim]));
                fault.to = Some(names(&[self.other(victim, s)?]));
                fault.value = (g.kind == FaultKind::SlowLink).then(|| s.log_between(5, 800) as i64);
            }
            FaultKind::Cut | FaultKind::HalfOpen => {
                fault.from = Some(names(&[victim]));
                fault.to = Some("*".into());
                fault.value = Some(s.below(1 << 21) as i64);
                fault.hold_ms = None;
            }
            FaultKind::PortBlock => {
                fault.value = Some(s.below(3) as i64);
                fault.from = Some(names(&[victim]));
                fault.to = Some("*".into());
            }
            FaultKind::SlowDisk => {
                on(&mut fault);
                // Now and then nothing ends while it holds.
                fault.value = Some(if s.permille(150) { 1_000_000 } else { s.log_between(4, 512) as i64 });
            }
            FaultKind::DiskError => {
                on(&mut fault);
                fault.effect = s.permille(700).then(|| FAILING[s.index(FAILING.len())].into());
                if s.permille(700) {
                    fault.hold_ms = None;
                } else {
                    // Again and again, also after the next starts, until it is over.
                    fault.value = Some(s.log_between(2, 1 << 20) as i64);
                }
            }
            FaultKind::BitRot
            | FaultKind::Wipe
            | FaultKind::LatentError
            | FaultKind::Misdirected
            | FaultKind::StaleRead
            | FaultKind::LoseSnapshots => {
                let victim = self.spoilable(s)?;
                if g.kind == FaultKind::Wipe && !self.may_wipe(victim) {
                    return None;
                }
                fault.node = Some(names(&[victim]));
                fault.value = Some(s.below(1 << 30) as i64);
                match g.kind {
                    FaultKind::Wipe => {}
                    FaultKind::LoseSnapshots => fault.value = Some([0, 1, 1, 2, -1, -1, -2][s.index(7)]),
                    _ => fault.hold_ms = None,
                }
            }
            FaultKind::Leftovers => {
                on(&mut fault);
                fault.value = Some(s.below(1 << 30) as i64);
            }
            FaultKind::NewestFirst | FaultKind::Bounded => {
                let other = names(&[self.other(victim, s)?]);
                let ends = if s.permille(400) { ("*".to_owned(), "*".to_owned()) } else { (names(&[victim]), other) };
                (fault.from, fault.to) = (Some(ends.0), Some(ends.1));
                fault.value = Some(if g.kind == FaultKind::NewestFirst {
                    s.log_between(2, 200) as i64
                } else {
                    let packets = s.between(2, 20) as i64;
                    if s.permille(300) { -packets } else { packets }
                });
            }
            FaultKind::Corrupt | FaultKind::Lose | FaultKind::Duplicate | FaultKind::Replay => {
                fault.from = Some(names(&[victim]));
                fault.to = Some(if s.permille(400) { "*".into() } else { names(&[self.other(victim, s)?]) });
                fault.value = Some(match g.kind {
                    FaultKind::Corrupt if self.spec.faults.hostile => s.below(3) as i64,
                    FaultKind::Corrupt => 0,
                    _ => s.log_between(1, 500) as i64,
                });
            }
            FaultKind::Garbage => {
                on(&mut fault);
                fault.value = Some(s.below(1 << 30) as i64);
                fault.hold_ms = None;
            }
            FaultKind::AddressChange => {
                on(&mut fault);
                fault.value = Some(s.below(1 << 30) as i64);
                // Two that swap (`to`) are for scenarios: a learner of a leader at a swapped address follows another one, and nothing
                // in the protocol tells it.
            }
            FaultKind::Clone => {
                on(&mut fault);
                fault.to = Some(names(&[self.other(victim, s)?]));
                fault.value = Some(i64::from(s.permille(300)));
            }
            FaultKind::SlowNode => {
                on(&mut fault);
                fault.value = Some(s.log_between(50, 20_000) as i64);
            }
            FaultKind::LateTimers => {
                on(&mut fault);
                fault.value = Some(s.log_between(10, 2000) as i64);
            }
            FaultKind::Reconfigure => {
                on(&mut fault);
                fault.value = Some(s.between(1, 3) as i64);
            }
            FaultKind::SlowReceiver => {
                on(&mut fault);
                fault.value = Some(if s.permille(200) { 0 } else { s.log_between(500, 50_000) as i64 });
            }
            FaultKind::Pause => {
                on(&mut fault);
                if s.permille(200) && !self.clients.is_empty() {
                    fault.node = Some(format!("c{}", 1 + s.index(self.clients.len())));
                }
            }
            FaultKind::Schedule => {
                on(&mut fault);
                fault.schedule = g.schedule;
            }
            FaultKind::ClockJump => {
                on(&mut fault);
                let size = s.log_between(1, 86_400_000) as i64;
                fault.value = Some(if s.permille(500) { size } else { -size });
                fault.hold_ms = None;
            }
            FaultKind::ClockDrift => {
                on(&mut fault);
                let size = s.log_between(100, 200_000) as i64;
                fault.value = Some(if s.permille(500) { size } else { -size });
            }
            FaultKind::DiskFull
            | FaultKind::Start
            | FaultKind::Suspend
            | FaultKind::LyingDisk
            | FaultKind::Backup
            | FaultKind::Restore => on(&mut fault),
            FaultKind::Heal => fault.hold_ms = None,
        }
        Some(fault)
    }

    /// Mostly within the range that was drawn for the generator. Some kinds now and then shorter than a tick, or not at all.
    fn draw_hold(&self, g: &Generator, s: &mut Stream) -> Millis {
        let tick = self.spec.timing.tick_ms;
        let [low, high] = g.hold_ticks.map(|n| n.max(1) as u64);
        let ticks = s.log_between(low, high) as i64;
        match g.kind {
            // Up again at once, and down again.
            FaultKind::PowerCut | FaultKind::Kill if s.permille(50) => 0,
            FaultKind::Pause if s.permille(200) => s.log_between(10, 100) as i64,
            _ => ticks * tick,
        }
    }

    fn other(&self, not: usize, s: &mut Stream) -> Option<usize> {
        let n = self.nodes.len();
        (n > 1).then(|| (not + 1 + s.index(n - 1)) % n)
    }

    fn draw_partition(&self, mode: Option<Mode>, victim: usize, s: &mut Stream, fault: &mut Explicit) -> Option<()> {
        let mode = mode.or_else(|| s.pick(crate::draw::MODES))?;
        let n = self.nodes.len();
        let mut rest: Vec<usize> = (0..n).collect();
        s.shuffle(&mut rest);
        let first = if matches!(mode, Mode::Leader | Mode::LeaderMinority) { self.leader()? } else { victim };
        rest.retain(|x| *x != first);
        let mut side = vec![first];
        let take = match mode {
            Mode::Isolate | Mode::Leader | Mode::Partial => 0,
            Mode::Split | Mode::Bridge => s.index(n.saturating_sub(1).max(1)),
            Mode::Sides => (0..n.saturating_sub(1)).filter(|_| s.permille(500)).count(),
            Mode::LeaderMinority => n.saturating_sub(1) / 2,
        };
        side.extend(rest.drain(..take.min(rest.len())));
        match mode {
            Mode::Partial => rest.truncate(1),
            Mode::Bridge if rest.len() > 1 => {
                rest.pop();
            }
            _ => {}
        }
        side.sort_unstable();
        rest.sort_unstable();
        fault.from = Some(names(&side));
        let mut to = names(&rest);
        // Clients stand on the one side or the other.
        for c in 0..self.clients.len() {
            if mode != Mode::Partial && s.permille(400) {
                to += &format!(",c{}", c + 1);
            }
        }
        fault.to = Some(to);
        Some(())
    }
}
