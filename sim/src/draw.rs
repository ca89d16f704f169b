//! What a seed stands for when nothing else is said: topology, timing, network, workload, and the swarm of faults.

use std::collections::BTreeMap;

use crate::rng::{Purpose, Stream};
use crate::spec::{Dist, FaultKind, Generator, Mode, RunSpec, Target};
use crate::workload::OPS;

/// The default run of this seed.
pub(crate) fn seeded(seed: u64) -> RunSpec {
    let mut s = Stream::new(seed, Purpose::Spec, 0);
    let mut spec = RunSpec { seed, ..RunSpec::default() };
    spec.topology.voters = [3, 3, 3, 5, 5][s.index(5)];
    spec.topology.observers = [0, 0, 0, 1, 2][s.index(5)];
    spec.topology.clients = s.between(2, 5) as u32;
    spec.network.delay = Dist::Exp { min_us: s.log_between(1, 5000), mean_us: s.log_between(50, 20_000) };
    spec.disk.fsync = Dist::Exp { min_us: 50, mean_us: s.log_between(100, 20_000) };
    spec.disk.write = Dist::Exp { min_us: 5, mean_us: s.log_between(10, 2000) };
    spec.timing.fault_ticks = s.between(100, 400) as i64;
    spec.workload.generate.rate = s.log_between(20, 200) as u32;
    spec.workload.generate.pipeline = s.between(1, 8) as u32;
    spec
}

/// Weights of operations, by name, where the spec gives none: each operation is there or not.
pub(crate) fn mix(seed: u64) -> BTreeMap<String, u32> {
    let mut s = Stream::new(seed, Purpose::Spec, 1);
    let mut mix = BTreeMap::new();
    for op in OPS {
        let weight = if s.permille(600) { s.log_between(1, 8) as u32 } else { 0 };
        // Little work is done by whoever begins a session again, sleeps, or sets a quota.
        let weight = if matches!(*op, "renew" | "nap" | "quota") { weight / 4 } else { weight };
        mix.insert((*op).to_owned(), weight);
    }
    // Work must be done: registers are always there.
    for op in ["set", "create"] {
        *mix.entry(op.to_owned()).or_default() += 4;
    }
    mix
}

/// Transactions between two snapshots: small, so that every run has some.
pub(crate) fn snap_count(seed: u64) -> u64 {
    Stream::new(seed, Purpose::Spec, 2).log_between(20, 400)
}

/// Committed proposals in memory.
pub(crate) fn window(seed: u64) -> u64 {
    Stream::new(seed, Purpose::Spec, 3).log_between(5, 500)
}

/// Kinds of the swarm, with the least and greatest rate per hour of virtual time.
const SWARM: &[(FaultKind, u64, u64)] = &[
    (FaultKind::PowerCut, 60, 2400),
    (FaultKind::Kill, 60, 1200),
    (FaultKind::PowerCutAll, 30, 600),
    (FaultKind::Pause, 60, 1200),
    (FaultKind::Partition, 60, 1200),
    (FaultKind::OneWay, 60, 1200),
    (FaultKind::Cut, 60, 7200),
    (FaultKind::Clog, 60, 3600),
    (FaultKind::PortBlock, 60, 600),
    (FaultKind::HalfOpen, 60, 2400),
    (FaultKind::SlowReceiver, 60, 600),
    (FaultKind::SlowLink, 60, 1200),
    (FaultKind::SlowDisk, 60, 1200),
    (FaultKind::DiskError, 20, 600),
    (FaultKind::DiskFull, 20, 300),
    (FaultKind::BitRot, 20, 600),
    (FaultKind::ClockJump, 60, 1200),
    (FaultKind::ClockDrift, 60, 600),
];

/// The swarm of this seed: about a third of the kinds, with rates spread over orders of magnitude.
#[must_use]
pub fn swarm(seed: u64) -> Vec<Generator> {
    let mut s = Stream::new(seed, Purpose::Spec, 4);
    let share = s.between(100, 600);
    let mut list = Vec::new();
    for (kind, low, high) in SWARM {
        let there = s.permille(share);
        let rate_per_h = s.log_between(*low, *high);
        let on = [Target::Servers, Target::Servers, Target::Leader, Target::Voters][s.index(4)];
        let longest = s.log_between(4, 128) as i64;
        let mode =
            [Mode::Isolate, Mode::Split, Mode::Leader, Mode::LeaderMinority, Mode::Partial, Mode::Bridge][s.index(6)];
        if there {
            let mode = (*kind == FaultKind::Partition && s.permille(700)).then_some(mode);
            list.push(Generator { kind: *kind, rate_per_h, on, hold_ticks: [1, longest], mode });
        }
    }
    list
}
