//! Named orders of faults: each is a few stages, and what a stage does are single faults that are reported as such.

use super::{hosts, names, server};
use crate::effect::Effect;
use crate::queue::{Micros, Plan};
use crate::report::Who;
use crate::rng::{Purpose, Stream};
use crate::spec::{At, Explicit, FaultKind, Schedule, When};
use crate::world::World;

/// A server is to end at an effect that is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doom {
    kind: FaultKind,
    /// First an effect of this kind.
    wait: Option<Effect>,
    /// Then so many of any kind; once nothing is waited for: the number of the last one.
    left: u64,
    when: When,
    hold_ms: i64,
    /// So many times more, each time somewhere in what the server does when it has come back.
    again: u32,
}

/// A schedule under way.
#[derive(Clone, Debug)]
pub(super) struct Running {
    schedule: Schedule,
    stage: u32,
    victim: usize,
    hold_ms: i64,
    stream: Stream,
}

/// It makes sense at the beginning only, once.
pub(super) const fn is_once(schedule: Schedule) -> bool {
    matches!(schedule, Schedule::ClockSkew)
}

/// Effects at which a learner's synchronisation turns.
const SYNC: &[Effect] = &[
    Effect::Following,
    Effect::AckEpoch,
    Effect::Truncate,
    Effect::SnapshotWrite,
    Effect::PersistEpoch,
    Effect::AckNewLeader,
    Effect::UpToDate,
    Effect::Unlink,
];

impl World<'_> {
    /// A power cut or kill that names an effect without a number is aimed at what comes: `value` effects after the next one.
    pub(super) fn is_aimed(&mut self, f: &Explicit) -> bool {
        let aimed = matches!(f.kind, FaultKind::PowerCut | FaultKind::Kill);
        let (Some(effect), Some(n)) = (f.effect.as_deref(), f.node.as_deref().and_then(server)) else { return false };
        if aimed && n < self.nodes.len() {
            let wait = Effect::by_name(effect).filter(|e| *e != Effect::Any);
            let left = f.value.unwrap_or(0).unsigned_abs();
            let hold_ms = f.hold_ms.unwrap_or(1000);
            self.aim(n, Doom { kind: f.kind, wait, left, when: When::After, hold_ms, again: 0 });
        }
        aimed
    }

    fn aim(&mut self, n: usize, mut doom: Doom) {
        if doom.wait.is_none() {
            doom.left += self.nodes[n].effects[Effect::Any as usize];
        }
        self.nodes[n].doomed = Some(doom);
    }

    /// An effect of a server that is to end.
    pub(super) fn doom(&mut self, n: usize, effect: Effect, when: When) {
        let count = self.nodes[n].effects[Effect::Any as usize];
        let Some(doom) = &mut self.nodes[n].doomed else { return };
        if let Some(wait) = doom.wait {
            if when == When::Before && (wait == effect || wait == effect.wider()) {
                doom.wait = None;
                doom.left += count;
            } else {
                return;
            }
        }
        if doom.when != when || count < doom.left || effect == Effect::SetTimer {
            return;
        }
        let doom = *doom;
        self.nodes[n].doomed = None;
        let at = At::Effect { node: names(&[n]), effect: Effect::Any.name().into(), n: count, when };
        let id = self.plans.next_id;
        self.plans.next_id += 1;
        let node = Some(names(&[n]));
        self.inject(Explicit { node, hold_ms: Some(doom.hold_ms), ..Explicit::new(id, at, doom.kind) });
        if doom.again > 0 && !self.plans.over {
            // Of its own: what nodes draw must not depend on whether this fault was drawn or read.
            let left = Stream::new(self.spec.seed, Purpose::Loop, u64::from(id)).log_between(1, 128);
            self.aim(n, Doom { left, again: doom.again - 1, ..doom });
        }
    }

    /// A schedule begins.
    pub(super) fn begin(&mut self, f: &Explicit) {
        let Some(schedule) = f.schedule else { return };
        let mut stream = Stream::new(self.spec.seed, Purpose::Schedule, u64::from(f.id));
        let victim = f.node.as_deref().and_then(server).filter(|n| *n < self.nodes.len());
        let victim = victim.unwrap_or_else(|| stream.index(self.nodes.len()));
        let hold_ms = f.hold_ms.unwrap_or(10 * self.spec.timing.tick_ms).max(1);
        *self.plans.begun.entry(schedule.name()).or_default() += 1;
        self.watcher.note(Who::World, format_args!("schedule {} begins", schedule.name()));
        self.plans.running.push(Running { schedule, stage: 0, victim, hold_ms, stream });
        self.stage(self.plans.running.len() - 1);
    }

    /// A schedule goes on.
    pub(crate) fn stage(&mut self, i: usize) {
        let Some(mut running) = self.plans.running.get(i).cloned() else { return };
        let next = self.play(&mut running);
        running.stage += 1;
        let Some(slot) = self.plans.running.get_mut(i) else { return };
        *slot = running;
        if let Some(ms) = next {
            let at = self.now + ms.max(0) as Micros * 1000;
            self.queue.push_first(at, Plan::Stage(i as u32));
        }
    }

    fn on(&mut self, kind: FaultKind, n: usize, hold_ms: i64, value: Option<i64>) {
        let (node, hold_ms) = (Some(names(&[n])), (hold_ms > 0).then_some(hold_ms));
        self.strike_now(Explicit { node, hold_ms, value, ..Explicit::new(0, At::Us { us: 0 }, kind) });
    }

    fn between(&mut self, kind: FaultKind, from: &[usize], to: &[usize], hold_ms: i64, value: Option<i64>) {
        let (from, to) = (Some(names(from)), Some(names(to)));
        let hold_ms = Some(hold_ms);
        self.strike_now(Explicit { from, to, hold_ms, value, ..Explicit::new(0, At::Us { us: 0 }, kind) });
    }

    fn others(&self, n: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|o| *o != n).collect()
    }

    /// Does one stage. Returns how long to wait for the next one, ms.
    #[allow(clippy::too_many_lines)]
    fn play(&mut self, r: &mut Running) -> Option<i64> {
        let tick = self.spec.timing.tick_ms;
        let (v, hold, s) = (r.victim, r.hold_ms, &mut r.stream);
        let few = |s: &mut Stream| s.between(1, 10) as i64 * tick / 2;
        match (r.schedule, r.stage) {
            (Schedule::IsolateActHeal, 0) => {
                let v = if s.permille(500) { self.leader().unwrap_or(v) } else { v };
                self.between(FaultKind::Partition, &[v], &self.others(v), hold, None);
                Some(hold / 2)
            }
            (Schedule::IsolateActHeal, _) => {
                if s.permille(500) {
                    let leader = self.leader().unwrap_or(v);
                    self.on(FaultKind::PowerCut, leader, few(s), None);
                }
                None
            }
            (Schedule::CrashInSync, 0) => {
                let wait = s.pick(SYNC);
                let kind = if s.permille(700) { FaultKind::PowerCut } else { FaultKind::Kill };
                let when = if s.permille(300) { When::Before } else { When::After };
                let v = if Some(v) == self.leader() { *self.others(v).first()? } else { v };
                if s.permille(500) {
                    self.on(FaultKind::Kill, v, hold, None);
                } else {
                    self.between(FaultKind::Partition, &[v], &self.others(v), hold.max(8 * tick), None);
                }
                let (left, again) = (s.log_between(1, 32) - 1, s.below(4) as u32);
                self.aim(v, Doom { kind, wait, left, when, hold_ms: few(s), again });
                None
            }
            (Schedule::LeaderDiesInSync, 0) => {
                let v = if Some(v) == self.leader() { *self.others(v).first()? } else { v };
                self.on(FaultKind::Kill, v, hold, None);
                Some(hold)
            }
            (Schedule::LeaderDiesInSync, _) => {
                let leader = self.leader()?;
                let (left, hold_ms) = (s.log_between(1, 64) - 1, few(s));
                let kind = if s.permille(500) { FaultKind::PowerCut } else { FaultKind::Kill };
                let wait = Some(Effect::Sync);
                self.aim(leader, Doom { kind, wait, left, when: When::After, hold_ms, again: 0 });
                None
            }
            (Schedule::DoubleElection, 0) => {
                let leader = self.leader()?;
                for n in self.others(leader) {
                    let wait = s.pick(&[Effect::Leading, Effect::Established, Effect::Elected]);
                    let (left, hold_ms) = (s.log_between(1, 32) - 1, few(s));
                    self.aim(n, Doom { kind: FaultKind::PowerCut, wait, left, when: When::After, hold_ms, again: 0 });
                }
                self.on(FaultKind::PowerCut, leader, hold, None);
                Some(40 * tick)
            }
            (Schedule::DoubleElection, _) => {
                self.nodes.iter_mut().for_each(|n| n.doomed = None);
                None
            }
            (Schedule::SlowLearner, 0) => {
                let v = if Some(v) == self.leader() { *self.others(v).first()? } else { v };
                r.victim = v;
                self.between(FaultKind::SlowLink, &self.others(v), &[v], hold * 2, Some(s.between(50, 400) as i64));
                self.on(FaultKind::SlowDisk, v, hold * 2, Some(s.between(8, 64) as i64));
                Some(hold)
            }
            (Schedule::SlowLearner, _) => {
                let leader = self.leader().filter(|l| *l != v)?;
                self.on(FaultKind::PowerCut, leader, hold, None);
                None
            }
            (Schedule::LeaderChange, 0..8) => {
                let leader = self.leader().unwrap_or(v);
                match s.below(4) {
                    0 => self.on(FaultKind::Kill, leader, few(s), None),
                    1 => self.on(FaultKind::Pause, leader, 7 * tick + few(s), None),
                    2 => self.between(FaultKind::OneWay, &[leader], &self.others(leader), 7 * tick + few(s), None),
                    _ => self.between(FaultKind::Partition, &[leader], &self.others(leader), 7 * tick + few(s), None),
                }
                Some(few(s) + 4 * tick)
            }
            (Schedule::RollingRestart, i) if (i as usize) < self.nodes.len() => {
                let n = (v + i as usize) % self.nodes.len();
                let kind = if s.permille(500) { FaultKind::PowerCut } else { FaultKind::Kill };
                self.on(kind, n, few(s), None);
                Some(few(s) + s.between(0, 30) as i64 * tick)
            }
            (Schedule::CrashLoop, 0) => {
                let (left, again) = (s.log_between(1, 64), s.between(1, 7) as u32);
                let kind = if s.permille(700) { FaultKind::PowerCut } else { FaultKind::Kill };
                self.aim(
                    v,
                    Doom { kind, wait: None, left, when: When::After, hold_ms: s.between(0, 300) as i64, again },
                );
                None
            }
            (Schedule::Swizzle, i) => {
                let n = self.nodes.len();
                if n < 2 || i as usize >= s.between(2, 2 * n as u64) as usize {
                    return None;
                }
                let from = s.index(n);
                let to = (from + 1 + s.index(n - 1)) % n;
                self.between(FaultKind::Clog, &[from], &[to], s.between(1, hold as u64) as i64, None);
                Some(s.below(hold as u64 / 4 + 1) as i64)
            }
            (Schedule::Ring, 0) => {
                let n = self.nodes.len();
                for a in 0..n {
                    let far: Vec<usize> = (a + 2..n).filter(|b| (b + 1) % n != a).collect();
                    if !far.is_empty() {
                        self.between(FaultKind::Partition, &[a], &far, hold, None);
                    }
                }
                if n == 3 {
                    self.between(FaultKind::Partition, &[v], &[(v + 1) % n], hold, None);
                }
                None
            }
            (Schedule::TwoWipes, 0) => {
                let v = self.spoilable(s).filter(|v| self.may_wipe(*v))?;
                r.victim = v;
                self.on(FaultKind::Wipe, v, hold, None);
                Some(hold + s.between(10, 100) as i64 * tick)
            }
            (Schedule::TwoWipes, _) => {
                let next = s.pick(&self.others(v))?;
                // The first one must have everything again.
                if self.can_be_missed(next) {
                    self.on(FaultKind::Wipe, next, hold, None);
                }
                None
            }
            (Schedule::UncommittedTail, 0) => {
                let leader = self.leader()?;
                r.victim = leader;
                self.between(FaultKind::OneWay, &[leader], &self.others(leader), 4 * tick, None);
                Some(s.between(1, 3) as i64 * tick)
            }
            (Schedule::UncommittedTail, _) => {
                for n in 0..self.nodes.len() {
                    let ms = if n == v { hold + few(s) } else { few(s) };
                    self.on(FaultKind::PowerCut, n, ms, None);
                }
                None
            }
            (Schedule::SnapInterrupted, 0) => {
                self.on(FaultKind::Kill, v, hold.max(30 * tick), None);
                let (left, again) = (s.log_between(1, 24) - 1, s.below(3) as u32);
                let wait = Some(Effect::SnapshotWrite);
                let doom = Doom { kind: FaultKind::PowerCut, wait, left, when: When::After, hold_ms: few(s), again };
                self.aim(v, doom);
                None
            }
            (Schedule::ClockSkew, 0) => {
                for n in 0..self.nodes.len() {
                    let size = s.log_between(1, 315_360_000_000) as i64;
                    self.on(FaultKind::ClockJump, n, 0, Some(if s.permille(500) { size } else { -size }));
                }
                None
            }
            (Schedule::ClockSmear, 0..16) => {
                let step = s.log_between(1, 10_000) as i64;
                self.on(FaultKind::ClockJump, v, 0, Some(if v % 2 == 0 { step } else { -step }));
                Some((hold / 16).max(1))
            }
            (Schedule::ClockSwing, i @ 0..10) => {
                // What is added now is taken away by the next stage.
                let size = 1000 << (self.spec.seed % 16);
                self.on(FaultKind::ClockJump, v, 0, Some(if i % 2 == 0 { size } else { -size }));
                Some((hold / 5).max(1))
            }
            (Schedule::OldDisk, 0) => {
                self.on(FaultKind::Backup, v, 0, None);
                Some(hold + s.between(10, 100) as i64 * tick)
            }
            (Schedule::OldDisk, 1) => {
                self.on(FaultKind::Restore, v, few(s), None);
                None
            }
            (Schedule::CutFails, 0) => {
                let leader = self.leader()?;
                r.victim = leader;
                self.between(FaultKind::OneWay, &[leader], &self.others(leader), 4 * tick, None);
                Some(s.between(1, 3) as i64 * tick)
            }
            (Schedule::CutFails, 1) => {
                let (down, effect) = (8 * tick + few(s), s.pick(&["truncate", "truncate", "truncate", "unlink"])?);
                self.on(FaultKind::PowerCut, v, down, None);
                let fault = Explicit {
                    node: Some(names(&[v])),
                    effect: Some(effect.into()),
                    ..Explicit::new(0, At::Us { us: 0 }, FaultKind::DiskError)
                };
                self.strike_now(fault);
                Some(down + s.between(10, 40) as i64 * tick)
            }
            (Schedule::CutFails, 2) => {
                self.on(FaultKind::PowerCut, v, few(s), None);
                None
            }
            (Schedule::LeftBehind, 0) => {
                let voters = self.spec.topology.voters as usize;
                let rest: Vec<usize> = self.others(v).into_iter().filter(|n| *n >= voters || voters > 3).collect();
                let other = s.pick(&rest)?;
                let v = v % voters;
                r.victim = v;
                self.on(FaultKind::Kill, v, hold, None);
                self.on(FaultKind::Kill, other, hold + 40 * tick, None);
                Some(hold / 2)
            }
            (Schedule::LeftBehind, 1) => {
                let leader = self.leader().unwrap_or(v);
                self.on(FaultKind::Kill, leader, few(s), None);
                Some(hold / 2 + 30 * tick)
            }
            (Schedule::LeftBehind, 2) => {
                // As few as can elect: it is one of them.
                let voters = self.spec.topology.voters as usize;
                let up: Vec<usize> = (0..voters).filter(|n| *n != v && self.nodes[*n].is_up()).collect();
                let gone = up.len().saturating_sub(voters / 2);
                for n in up.into_iter().rev().take(gone.max(1)) {
                    self.on(FaultKind::Kill, n, 20 * tick, None);
                }
                None
            }
            (Schedule::BadSnapshots, 0) => {
                let v = self.spoilable(s).filter(|v| self.can_be_missed(*v))?;
                r.victim = v;
                let hold_ms = Some(few(s));
                let node = Some(names(&[v]));
                let value = Some(-(s.between(2, 4) as i64));
                self.strike_now(Explicit {
                    node,
                    hold_ms,
                    value,
                    ..Explicit::new(0, At::Us { us: 0 }, FaultKind::LoseSnapshots)
                });
                Some(s.between(5, 60) as i64 * tick)
            }
            (Schedule::BadSnapshots, 1) => {
                self.on(FaultKind::Kill, v, few(s), None);
                None
            }
            _ => None,
        }
    }

    /// Hosts that a text names.
    pub(super) fn named(&self, text: Option<&String>) -> Vec<bool> {
        let all = self.nodes.len() + self.clients.len();
        text.map_or_else(|| vec![false; all], |t| hosts(t, self.nodes.len(), all))
    }
}
