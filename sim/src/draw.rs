//! What a seed stands for when nothing else is said: topology, timing, network, workload, and the swarm of faults.

use std::collections::BTreeMap;

use crate::rng::{Purpose, Stream};
use crate::spec::{
    At, Budget, Core, Dist, Explicit, FaultKind, Generator, Limits, Mode, RunSpec, SCHEDULES, Schedule, Target,
};
use crate::workload::{FIRST_OF_ITS_OWN, OPS, RARE};

/// One seed in so many is run twice.
const TWICE: u64 = 16;

/// The default run of this seed.
pub(crate) fn seeded(seed: u64) -> RunSpec {
    let mut s = Stream::new(seed, Purpose::Spec, 0);
    let mut spec = RunSpec { seed, ..RunSpec::default() };
    spec.topology.voters = [3, 3, 3, 5, 5][s.index(5)];
    spec.topology.observers = [0, 0, 0, 1, 2][s.index(5)];
    groups(seed, &mut spec);
    spec.topology.clients = s.between(2, 5) as u32;
    spec.network.delay = Dist::Exp { min_us: s.log_between(1, 30_000), mean_us: s.log_between(50, 100_000) };
    spec.disk.fsync = Dist::Exp { min_us: 50, mean_us: s.log_between(100, 20_000) };
    spec.disk.write = Dist::Exp { min_us: 5, mean_us: s.log_between(10, 2000) };
    spec.timing.fault_ticks = s.between(100, 400) as i64;
    spec.workload.generate.rate = s.log_between(20, 200) as u32;
    spec.workload.generate.pipeline = s.between(1, 8) as u32;
    spec.limits = limits(seed);
    knobs(seed, &mut spec);
    spec.topology.local_sessions = Stream::new(seed, Purpose::Spec, 20).permille(120);
    let feature = |number, permille| Stream::new(seed, Purpose::Spec, number).permille(permille);
    spec.topology.local_forever = feature(40, 250);
    spec.topology.enforce_quota = feature(41, 500);
    spec.topology.plain_types = feature(42, 150);
    spec.topology.super_digest = feature(43, 150);
    spec.topology.enforced_auth = feature(44, 60);
    spec.timing.never_used_ticks = if feature(45, 300) { 30 } else { 0 };
    alone(seed, &mut spec);
    let mut s = Stream::new(seed, Purpose::Spec, 30);
    spec.disk.budget = match s.below(100) {
        0..3 => Budget::OneGoodCopy,
        3..5 => Budget::Unlimited,
        _ => Budget::GoodQuorum,
    };
    spec.faults.hostile = s.below(100) < 3;
    if feature(48, 300) {
        spec.disk.sector = 4096;
    }
    if feature(47, 100) {
        spec.checks.core = Core::All;
    }
    spec.checks.twice = seed.is_multiple_of(TWICE);
    spec
}

/// Now and then most of the groups decide, and heads do not count; here and there somebody weighs nothing, or more than others.
fn groups(seed: u64, spec: &mut RunSpec) {
    let mut s = Stream::new(seed, Purpose::Spec, 50);
    if !s.permille(40) {
        return;
    }
    let mut rest: Vec<usize> = (1..=[5, 6, 6, 9][s.index(4)]).collect();
    spec.topology.voters = rest.len() as u32;
    s.shuffle(&mut rest);
    for left in (1..=3).rev() {
        let mut group: Vec<usize> = rest.drain(..rest.len() / left).collect();
        group.sort_unstable();
        let names: Vec<String> = group.into_iter().map(|n| format!("s{n}")).collect();
        if names.len() > 1 {
            // One of them weighs nothing, or as much as two.
            let (there, name) = (s.permille(400), &names[s.index(names.len())]);
            let weight = if s.permille(600) { 0 } else { 2 };
            if there {
                spec.topology.weights.insert(name.clone(), weight);
            }
        }
        spec.topology.groups.push(names.join(","));
    }
}

/// A server is cut off from the others, and its clients are not: it serves them reads alone.
fn alone(seed: u64, spec: &mut RunSpec) {
    let mut s = Stream::new(seed, Purpose::Spec, 46);
    if !spec.topology.read_only || s.permille(250) {
        return;
    }
    let sid = s.between(1, u64::from(spec.topology.voters)) as usize;
    let others: Vec<String> = (1..=spec.servers()).filter(|n| *n != sid).map(|n| format!("s{n}")).collect();
    let (from, to) = (Some(format!("s{sid}")), Some(others.join(",")));
    let at = At::Us { us: s.between(1_000_000, 8_000_000) };
    let hold_ms = Some(s.between(3000, 15_000) as i64);
    spec.faults.explicit.push(Explicit { from, to, hold_ms, ..Explicit::new(2, at, FaultKind::Partition) });
}

/// Rare-branch knobs: what takes a run where few get by themselves.
fn knobs(seed: u64, spec: &mut RunSpec) {
    let mut s = Stream::new(seed, Purpose::Spec, 5);
    spec.topology.read_only = s.permille(100);
    let late = s.permille(100);
    let (sid, after_ms) = (s.between(1, u64::from(spec.topology.voters)), s.log_between(1000, 40_000) as i64);
    if late {
        // One voter has nothing when the others have a history already.
        let (at, node) = (At::Us { us: 20_001 }, Some(format!("s{sid}")));
        let hold_ms = Some(after_ms);
        spec.faults.explicit.push(Explicit { node, hold_ms, ..Explicit::new(1, at, FaultKind::Kill) });
    }
    if s.permille(40) {
        // Slow, and busy until everybody must be back: whoever joins meets proposals in flight, each time.
        spec.network.delay = Dist::Exp { min_us: 2000, mean_us: s.between(5000, 25_000) };
        spec.timing.fault_ticks = s.between(30, 100) as i64;
        let seconds = spec.timing.fault_ticks * spec.timing.tick_ms / 1000 + 28;
        spec.workload.generate.rate = s.between(60, 150) as u32;
        spec.workload.generate.ops = spec.workload.generate.rate * seconds as u32;
    }
    let mut s = Stream::new(seed, Purpose::Spec, 8);
    if s.permille(40) {
        // Many sessions that come and go, and snapshots that take long to be written.
        spec.topology.clients = s.between(16, 40) as u32;
        spec.timing.snap_count = s.between(4, 24);
        spec.disk.write = Dist::Exp { min_us: 100, mean_us: s.between(300, 2000) };
        spec.limits.chunk = s.between(64, 192) as usize;
        spec.limits.max_connections = 0;
        spec.limits.connect_tokens = 0;
        more(seed, spec, &[("acl", 6), ("renew", 2), ("create-eph", 2)]);
    }
    let mut s = Stream::new(seed, Purpose::Spec, 9);
    if s.permille(40) {
        // Clients that leave a server before it has answered; it is a slow one now and then.
        spec.network.delay = Dist::Exp { min_us: 100, mean_us: s.between(4000, 20_000) };
        spec.workload.generate.hasty = s.between(100, 600) as u32;
        more(seed, spec, &[("move", 3)]);
    }
    let mut s = Stream::new(seed, Purpose::Spec, 51);
    if s.permille(60) {
        // Clients that move on and go on using the connection that they have left.
        spec.workload.generate.lingering = s.between(300, 1000) as u32;
        more(seed, spec, &[("move", 3)]);
    }
}

/// The operations of this seed, with more of some.
fn more(seed: u64, spec: &mut RunSpec, ops: &[(&str, u32)]) {
    let given = &mut spec.workload.generate.mix;
    if given.is_empty() {
        *given = mix(seed);
    }
    for (op, weight) in ops {
        *given.entry((*op).to_owned()).or_default() += weight;
    }
}

/// Sizes for this seed: those of the default, and now and then a tiny one. Each has a stream of its own.
fn limits(seed: u64) -> Limits {
    let mut number = 0;
    let mut draw = |permille: u64, low: u64, high: u64| {
        number += 1;
        let mut s = Stream::new(seed, Purpose::Sizes, number);
        s.permille(permille).then(|| s.log_between(low, high))
    };
    let d = Limits::default();
    let size = |drawn: Option<u64>, otherwise: usize| drawn.map_or(otherwise, |n| n as usize);
    Limits {
        log_size: draw(250, 300, 20_000).unwrap_or(d.log_size),
        prealloc: draw(300, 1, 4096).unwrap_or(d.prealloc),
        purge_ticks: draw(300, 2, 40).map_or(d.purge_ticks, |n| n as i64),
        retain: d.retain,
        chunk: size(draw(200, 64, 4096), d.chunk),
        snap_chunk: size(draw(200, 64, 4096), d.snap_chunk),
        max_snap_syncs: size(draw(150, 1, 2), d.max_snap_syncs),
        max_diff_syncs: size(draw(150, 1, 2), d.max_diff_syncs),
        diff_log_permille: match draw(300, 1, 3000) {
            Some(n) if n % 5 == 0 => -1,
            Some(n) => n as i64,
            None => d.diff_log_permille,
        },
        window_bytes: size(draw(200, 200, 20_000), d.window_bytes),
        learner_queue: size(draw(100, 20_000, 200_000), d.learner_queue),
        client_output: size(draw(150, 100, 5000), d.client_output),
        outstanding: size(draw(200, 1, 20), d.outstanding),
        max_connections: size(draw(100, 2, 5), d.max_connections),
        connections_of_address: size(draw(60, 1, 3), d.connections_of_address),
        requests: size(draw(120, 1, 6), d.requests),
        request_wait_ms: draw(600, 1, 200).map_or(d.request_wait_ms, |n| n as i64),
        drop_late: draw(300, 1, 1).is_some(),
        connect_tokens: draw(60, 1, 8).map_or(d.connect_tokens, |n| n as u32),
        connect_fill_ms: draw(1000, 10, 300).map_or(d.connect_fill_ms, |n| n as i64),
        connect_freeze_ms: draw(400, 5, 100).map_or(d.connect_freeze_ms, |n| n as i64),
    }
}

/// Weights of operations, by name, where the spec gives none: each operation is there or not.
pub(crate) fn mix(seed: u64) -> BTreeMap<String, u32> {
    let mut s = Stream::new(seed, Purpose::Spec, 1);
    let mut mix = BTreeMap::new();
    for op in &OPS[..FIRST_OF_ITS_OWN] {
        let most = if RARE.contains(op) { 1 } else { 8 };
        let weight = if s.permille(600) { s.log_between(1, most) as u32 } else { 0 };
        mix.insert((*op).to_owned(), weight);
    }
    for op in &OPS[FIRST_OF_ITS_OWN..] {
        let mut s = Stream::new(seed, Purpose::Spec, number_of(op));
        let weight = if s.permille(500) { s.log_between(1, 4) as u32 } else { 0 };
        mix.insert((*op).to_owned(), weight);
    }
    // Work must be done: registers are always there.
    for op in ["set", "create"] {
        *mix.entry(op.to_owned()).or_default() += 4;
    }
    mix
}

/// Transactions between two snapshots: small, so that every run has some. Now and then tiny: one stands at every seam of epochs.
pub(crate) fn snap_count(seed: u64) -> u64 {
    let mut knob = Stream::new(seed, Purpose::Spec, 6);
    if knob.permille(200) {
        return knob.between(1, 12);
    }
    Stream::new(seed, Purpose::Spec, 2).log_between(20, 400)
}

/// Committed proposals in memory. Now and then so few that nobody is brought up to date from there.
pub(crate) fn window(seed: u64) -> u64 {
    let mut knob = Stream::new(seed, Purpose::Spec, 7);
    if knob.permille(150) {
        return knob.between(1, 4);
    }
    Stream::new(seed, Purpose::Spec, 3).log_between(5, 500)
}

/// Transactions of one epoch: now and then so few that leaders give up for a new counter.
pub(crate) fn epoch_len(seed: u64) -> u64 {
    let mut s = Stream::new(seed, Purpose::Spec, 21);
    if s.permille(100) { s.log_between(50, 400) } else { u64::from(u32::MAX - 1) }
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
    (FaultKind::NewestFirst, 60, 1200),
    (FaultKind::Bounded, 60, 600),
    (FaultKind::AddressChange, 60, 600),
    (FaultKind::Garbage, 60, 2400),
    (FaultKind::Corrupt, 60, 600),
    (FaultKind::SlowNode, 60, 600),
    (FaultKind::Wipe, 20, 120),
    (FaultKind::Reconfigure, 60, 600),
    (FaultKind::LatentError, 10, 120),
    (FaultKind::Misdirected, 10, 120),
    (FaultKind::StaleRead, 10, 120),
    (FaultKind::Leftovers, 60, 600),
    (FaultKind::LoseSnapshots, 10, 120),
    (FaultKind::Suspend, 60, 600),
    (FaultKind::LateTimers, 60, 600),
];

/// Kinds of hostile runs only.
const HOSTILE: &[(FaultKind, u64, u64)] = &[
    (FaultKind::Lose, 60, 600),
    (FaultKind::Duplicate, 60, 600),
    (FaultKind::Replay, 120, 1200),
    (FaultKind::LyingDisk, 60, 600),
    (FaultKind::Clone, 20, 240),
];

/// A number that belongs to a name, whatever else exists (FNV-1a).
pub(crate) fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// What tells generators apart.
pub(crate) fn generator_name(g: &Generator) -> String {
    let schedule = g.schedule.map_or("", Schedule::name);
    format!("{} {schedule} {}", g.kind.name(), g.effect.as_deref().unwrap_or_default())
}

/// Effects at which crashes are aimed.
const AIMS: &[&str] = &[
    "looking",
    "elected",
    "following",
    "ack-epoch",
    "ack-newleader",
    "established",
    "persist-epoch",
    "truncate",
    "snapshot-write",
    "snapshot",
    "sync",
    "propose",
];

/// The swarm of this seed: a part of the kinds and schedules, with rates spread over orders of magnitude. Each has a stream of its
/// own: one kind more or less changes nothing for the others.
#[must_use]
pub fn swarm(spec: &RunSpec) -> Vec<Generator> {
    let mut s = Stream::new(spec.seed, Purpose::Spec, 4);
    let share = s.between(40, 360);
    let mut list = Vec::new();
    let mut add = |mut g: Generator, share: u64, low: u64, high: u64| {
        let mut s = Stream::new(spec.seed, Purpose::Swarm, number_of(&generator_name(&g)));
        let there = s.permille(share);
        g.rate_per_h = s.log_between(low, high);
        g.on = [Target::Servers, Target::Servers, Target::Leader, Target::Voters][s.index(4)];
        // Now and then longer than any timeout, or for all of the fault period.
        let longest = if s.permille(80) { 1000 } else { 128 };
        g.hold_ticks = [1, s.log_between(4, longest) as i64];
        if g.kind == FaultKind::Partition && s.permille(700) {
            g.mode = s.pick(MODES);
        }
        if there {
            list.push(g);
        }
    };
    for (kind, low, high) in SWARM {
        add(Generator::new(*kind, 0), share, *low, *high);
    }
    for aim in AIMS {
        for kind in [FaultKind::PowerCut, FaultKind::Kill] {
            add(Generator { effect: Some((*aim).into()), ..Generator::new(kind, 0) }, share / 8, 60, 1200);
        }
    }
    for (schedule, _) in SCHEDULES {
        let outside = *schedule == Schedule::OldDisk;
        let share = if outside && !spec.faults.hostile { 0 } else { share / 3 };
        add(Generator { schedule: Some(*schedule), ..Generator::new(FaultKind::Schedule, 0) }, share, 60, 600);
    }
    if spec.faults.hostile {
        for (kind, low, high) in HOSTILE {
            add(Generator::new(*kind, 0), 400, *low, *high);
        }
    }
    list
}

/// Shapes of partitions.
pub(crate) const MODES: &[Mode] =
    &[Mode::Isolate, Mode::Split, Mode::Leader, Mode::LeaderMinority, Mode::Partial, Mode::Bridge, Mode::Sides];
