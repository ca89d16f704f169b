//! When things happen and how long they hold: sooner, shorter, at even instants, after effects.

use std::collections::BTreeMap;

use super::Shrinker;
use crate::effect::Effect;
use crate::rng::Stream;
use crate::spec::{At, ExplicitOp, RunSpec, When};

/// Servers have elected one of them by then, if nothing goes wrong.
const STARTED_US: u64 = 400_000;

/// Holds that are tried, ms, before halves of what there is.
const HOLDS: &[i64] = &[100, 500, 1000, 2000, 4000];

/// The instant, where it is one of the clock.
pub(super) fn start_us(at: &At, tick_ms: i64) -> Option<u64> {
    match at {
        At::Tick { tick } => Some((tick * tick_ms * 1000) as u64),
        At::Us { us } => Some(*us),
        At::Effect { .. } | At::After { .. } => None,
    }
}

fn instants(spec: &mut RunSpec) -> impl Iterator<Item = &mut At> {
    let faults = spec.faults.explicit.iter_mut().map(|f| &mut f.at);
    faults.chain(spec.workload.explicit.iter_mut().map(|op| &mut op.at))
}

/// The instants of a run, ascending, each once.
fn times(spec: &RunSpec) -> Vec<u64> {
    let mut spec = spec.clone();
    let tick = spec.timing.tick_ms;
    let mut list: Vec<u64> = instants(&mut spec).filter_map(|at| start_us(at, tick)).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Everything from `from` on happens so much sooner.
fn sooner(spec: &mut RunSpec, from: u64, by: u64) {
    let tick = spec.timing.tick_ms;
    for at in instants(spec) {
        if let Some(us) = start_us(at, tick).filter(|us| *us >= from) {
            *at = At::Us { us: us - by };
        }
    }
    let ticks = (by / 1000) as i64 / tick.max(1);
    if from / 1000 < (spec.timing.fault_ticks * tick) as u64 {
        spec.timing.fault_ticks = (spec.timing.fault_ticks - ticks).max(1);
    }
}

/// One thing happens at another time.
pub(super) fn moved(spec: &mut RunSpec, s: &mut Stream) {
    let tick = spec.timing.tick_ms;
    if s.permille(250) {
        return aimed(spec, s);
    }
    let count = instants(spec).count();
    let (by, sooner) = (s.log_between(500, 1_000_000), s.permille(500));
    if count > 0
        && let Some(at) = instants(spec).nth(s.index(count))
        && let Some(us) = start_us(at, tick)
    {
        *at = At::Us { us: if sooner { us.saturating_sub(by) } else { us + by } };
    }
    let holds = &mut spec.faults.explicit;
    if !holds.is_empty() && s.permille(300) {
        let i = s.index(holds.len());
        holds[i].hold_ms = holds[i].hold_ms.map(|_| s.log_between(100, 5000) as i64);
    }
}

/// One fault strikes at an early effect of some kind.
fn aimed(spec: &mut RunSpec, s: &mut Stream) {
    let servers = spec.servers();
    let faults = &mut spec.faults.explicit;
    if faults.is_empty() {
        return;
    }
    let i = s.index(faults.len());
    let any = crate::node::host_name(s.index(servers));
    let node = faults[i].node.clone().filter(|node| node.starts_with('s')).unwrap_or(any);
    let effect = MILESTONES[s.index(MILESTONES.len())].name().into();
    let when = if s.permille(700) { When::After } else { When::Before };
    faults[i].at = At::Effect { node, effect, n: s.log_between(1, 16), when };
}

impl Shrinker<'_> {
    /// Holds: none at all, short ones, half of it.
    pub(super) fn holds(&mut self) {
        for i in 0..self.best.faults.explicit.len() {
            let Some(fault) = self.best.faults.explicit.get(i) else { break };
            let Some(hold) = fault.hold_ms else { continue };
            let mut shorter: Vec<Option<i64>> = vec![None];
            shorter.extend(HOLDS.iter().filter(|ms| **ms < hold).map(|ms| Some(*ms)));
            shorter.extend([hold / 2, hold * 3 / 4].into_iter().filter(|ms| *ms > 100).map(Some));
            let candidates = shorter.into_iter().map(|ms| self.with(|spec| spec.faults.explicit[i].hold_ms = ms));
            let candidates = candidates.collect();
            self.attempt(candidates);
        }
    }

    /// Waits between what happens: none, or half of it. The fault period ends sooner.
    pub(super) fn gaps(&mut self) {
        if !self.safety {
            let ticks = self.best.timing.fault_ticks;
            let ends = [1, 10, 30, ticks / 2, ticks * 3 / 4].into_iter().filter(|end| *end < ticks);
            let candidates = ends.map(|end| self.with(|spec| spec.timing.fault_ticks = end)).collect();
            self.attempt(candidates);
        }
        for i in 0.. {
            let times = times(&self.best);
            let Some(at) = times.get(i).copied() else { break };
            let before = if i == 0 { 0 } else { times[i - 1] };
            let gap = at - before;
            let by = [gap, gap * 3 / 4, gap / 2, gap / 4].into_iter().filter(|by| *by >= 1000);
            let candidates = by.map(|by| self.with(|spec| sooner(spec, at, by))).collect();
            self.attempt(candidates);
        }
    }

    /// Whole ticks, tens of milliseconds, milliseconds in place of microseconds.
    pub(super) fn rounded(&mut self) {
        let tick_us = (self.best.timing.tick_ms * 1000).max(1) as u64;
        for i in 0..self.best.faults.explicit.len() + self.best.workload.explicit.len() {
            let mut copy = self.best.clone();
            let Some(At::Us { us }) = instants(&mut copy).nth(i).map(|at| at.clone()) else { continue };
            let set = |at: At| {
                self.with(|spec| {
                    if let Some(slot) = instants(spec).nth(i) {
                        *slot = at;
                    }
                })
            };
            let whole = [us / tick_us, us / tick_us + 1].map(|ticks| set(At::Tick { tick: ticks as i64 }));
            let even = [10_000, 1000].map(|unit| set(At::Us { us: us / unit * unit }));
            let done = us % 10_000 == 0;
            let candidates = whole.into_iter().chain(even.into_iter().filter(|_| !done)).collect();
            self.attempt(candidates);
        }
    }

    /// Faults that strike at an instant of the clock or a number of effects of any kind strike at the n-th effect of a kind instead: that
    /// survives changes of the code best.
    pub(super) fn by_effects(&mut self) {
        for i in 0..self.best.faults.explicit.len() {
            let Some(fault) = self.best.faults.explicit.get(i).cloned() else { break };
            if matches!(&fault.at, At::Effect { effect, .. } if effect != Effect::Any.name()) {
                continue;
            }
            let Some(struck) = self.outcome.struck.get(&fault.id) else { continue };
            let mut candidates = Vec::new();
            for (server, counts) in struck.effects.iter().enumerate() {
                let node = crate::node::host_name(server);
                if fault.node.as_ref().is_some_and(|own| *own != node) {
                    continue;
                }
                for effect in MILESTONES {
                    let n = counts[*effect as usize];
                    for (n, when) in [(n, When::After), (n + 1, When::Before)].into_iter().filter(|(n, _)| *n > 0) {
                        let at = At::Effect { node: node.clone(), effect: effect.name().into(), n, when };
                        candidates.push(self.with(|spec| spec.faults.explicit[i].at = at));
                    }
                }
            }
            self.attempt(candidates);
        }
    }

    /// The start is cut: what happens in the last so many milliseconds happens soon after the servers have started.
    pub(super) fn end_only(&self, last_ms: i64) -> RunSpec {
        let end_ms = self.outcome.violation.as_ref().map_or(self.outcome.end_ms, |v| v.at_ms);
        let from = (end_ms - last_ms).max(0) as u64 * 1000;
        let tick = self.best.timing.tick_ms;
        let Some(by) = from.checked_sub(STARTED_US) else { return self.best.clone() };
        self.with(|spec| {
            spec.faults.explicit.retain_mut(|f| {
                let struck = self.outcome.struck.get(&f.id).map(|s| s.us);
                if let (At::Effect { .. }, Some(us)) = (&f.at, struck) {
                    f.at = At::Us { us };
                }
                start_us(&f.at, tick).is_none_or(|us| us >= from)
            });
            // Where each client was before is where it begins.
            let mut homes = BTreeMap::new();
            spec.workload.explicit.retain(|op| {
                let early = start_us(&op.at, tick).is_some_and(|us| us < from);
                if early && op.op == "attach" {
                    homes.insert(op.client, ExplicitOp { at: At::Tick { tick: 0 }, ..op.clone() });
                }
                !early
            });
            sooner(spec, from, by);
            spec.workload.explicit.splice(0..0, homes.into_values());
            super::lists::mend(spec);
        })
    }

    /// Only the last seconds, or less.
    pub(super) fn late_start(&mut self) {
        let candidates = [500, 1000, 2000, 4000, 8000, 16_000].map(|ms| self.end_only(ms));
        self.attempt(candidates.into());
    }

    /// Numbers of effects of any kind change with everything that is left out: faults that wait for one strike at the instant of
    /// the clock, where that is enough.
    pub(super) fn by_clock(&mut self) {
        for i in 0..self.best.faults.explicit.len() {
            let Some(fault) = self.best.faults.explicit.get(i) else { break };
            if let At::Effect { .. } = &fault.at
                && let Some(struck) = self.outcome.struck.get(&fault.id)
            {
                let us = struck.us;
                let candidates =
                    [us, us + 1, us + 1000].map(|us| self.with(|spec| spec.faults.explicit[i].at = At::Us { us }));
                self.attempt(candidates.into());
            }
        }
    }

    /// A run that ends soon after it fails would miss the same failure a little later: it gets room.
    pub(super) fn room(&mut self) {
        if !self.safety {
            return;
        }
        let room = |spec: &mut RunSpec| {
            let end = (spec.timing.max_ticks * 2).max(100);
            if spec.timing.fault_ticks == spec.timing.max_ticks {
                spec.timing.fault_ticks = end;
            }
            spec.timing.max_ticks = end;
        };
        let candidate = self.with(room);
        if let Some((_, outcome)) = self.trial.first(std::slice::from_ref(&candidate)) {
            (self.best, self.outcome) = (candidate, outcome);
        }
    }
}

/// Effects that happen now and then, the rarest first.
const MILESTONES: &[Effect] = &[
    Effect::Truncate,
    Effect::Snapshot,
    Effect::SnapshotWrite,
    Effect::PersistEpoch,
    Effect::Established,
    Effect::AckNewLeader,
    Effect::AckEpoch,
    Effect::UpToDate,
    Effect::Sync,
    Effect::Leading,
    Effect::Following,
    Effect::Elected,
    Effect::Propose,
    Effect::Decide,
    Effect::Apply,
    Effect::Log,
    Effect::Ack,
    Effect::Append,
    Effect::Rename,
    Effect::Fsync,
    Effect::Reply,
    Effect::SendQuorum,
    Effect::SendElection,
];
