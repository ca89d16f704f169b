//! What a scenario means must be possible: nodes that exist, instants that come, faults that have something to strike.

use std::collections::BTreeSet;

use quorate_core::ids::Zxid;
use quorate_core::mutant::Mutant;

use super::{Expect, Scenario, invariants, is_mutant, takes};
use crate::effect::Effect;
use crate::initial::{Histories, parse_zxid};
use crate::quorum::Quorum;
use crate::spec::{At, Dist, FaultKind, Generator, RunSpec, Target};
use crate::workload::OPS;

/// Field and what is wrong with it.
pub(super) type Wrong = (String, String);

/// Verdicts that a run can end with.
const VERDICTS: &[&str] = &["pass", "violation", "liveness-failure", "excused", "panic"];

pub(super) fn wrong<T>(field: impl Into<String>, what: impl Into<String>) -> Result<T, Wrong> {
    Err((field.into(), what.into()))
}

pub(super) fn validate(scenario: &Scenario) -> Result<(), Wrong> {
    let spec = &scenario.spec;
    if scenario.name.is_empty() {
        return wrong("name", "a scenario needs a name");
    }
    if !VERDICTS.contains(&scenario.expect.verdict.as_str()) {
        let what = format!("{:?} is none of {}", scenario.expect.verdict, VERDICTS.join(", "));
        return wrong("expect.verdict", what);
    }
    if let Some(id) = spec.mutant.as_deref().filter(|id| !is_mutant(id)) {
        return wrong("build.mutant", unknown_mutant(id));
    }
    for (id, broken) in &scenario.expect.mutants {
        let field = format!("expect.mutants.{id}");
        if spec.mutant.is_some() {
            return wrong(field, "build.mutant plants a bug already");
        }
        if !is_mutant(id) {
            return wrong(field, unknown_mutant(id));
        }
        if broken.is_empty() {
            return wrong(field, "no invariant that it breaks");
        }
        for (i, invariant) in broken.iter().enumerate() {
            invariants::unknown(invariant, true).map_or(Ok(()), |what| wrong(format!("{field}[{i}]"), what))?;
        }
    }
    for (i, invariant) in spec.checks.skip.iter().enumerate() {
        invariants::unknown(invariant, false).map_or(Ok(()), |what| wrong(format!("checks.skip[{i}]"), what))?;
    }
    expect(&scenario.expect)?;
    numbers(spec)?;
    network(spec)?;
    let explicit = &spec.faults.explicit;
    let mut ids = BTreeSet::new();
    for (i, fault) in explicit.iter().enumerate() {
        let field = format!("faults.explicit[{i}]");
        if !ids.insert(fault.id) {
            return wrong(format!("{field}.id"), format!("another fault has the id {}", fault.id));
        }
        takes::fault(spec, fault, &field)?;
    }
    for (i, fault) in explicit.iter().enumerate() {
        instant(spec, &fault.at, &ids, Some(fault.id), &format!("faults.explicit[{i}].at"))?;
    }
    for (i, generator) in spec.faults.generate.iter().enumerate() {
        self::generator(spec, generator, &format!("faults.generate[{i}]"))?;
    }
    workload(spec, &ids)
}

fn expect(e: &Expect) -> Result<(), Wrong> {
    if let Some(what) = e.invariant.as_deref().and_then(|id| invariants::unknown(id, true)) {
        return wrong("expect.invariant", what);
    }
    if let Some(tick) = e.before_tick.filter(|tick| *tick < 0) {
        return wrong("expect.before_tick", format!("{tick} is below 0"));
    }
    match &e.trace_hash {
        Some(text) if hash(text).is_none() => {
            wrong("expect.trace_hash", format!("{text:?} is no digest: 0x and 16 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// A digest as files have it.
pub(super) fn hash(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|d| d.len() == 16 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

fn unknown_mutant(id: &str) -> String {
    let known: Vec<&str> = Mutant::ALL.iter().map(|(id, _)| *id).collect();
    format!("there is no planted bug {id:?}; there are {}", known.join(" "))
}

fn numbers(spec: &RunSpec) -> Result<(), Wrong> {
    let (top, time) = (&spec.topology, &spec.timing);
    if top.voters == 0 {
        return wrong("topology.voters", "at least one server must vote");
    }
    if top.attachable == 0 {
        return wrong("topology.attachable", "0 is not above 0: no client could attach to anybody");
    }
    if spec.servers() > 10_000 {
        return wrong("topology", "more than 10000 servers");
    }
    for (field, value) in [
        ("timing.tick_ms", time.tick_ms),
        ("timing.initLimit", time.init_limit),
        ("timing.syncLimit", time.sync_limit),
        ("timing.max_ticks", time.max_ticks),
        ("timing.session_ms[0]", time.session_ms[0]),
    ] {
        if value <= 0 {
            return wrong(field, format!("{value} is not above 0"));
        }
    }
    if time.session_ms[1] < time.session_ms[0] {
        return wrong("timing.session_ms", "the upper bound is below the lower one");
    }
    if time.fault_ticks < 0 || time.fault_ticks > time.max_ticks {
        return wrong("timing.fault_ticks", format!("{} is outside 0 to max_ticks", time.fault_ticks));
    }
    if time.never_used_ticks < 0 {
        return wrong("timing.never_used_ticks", format!("{} is below 0", time.never_used_ticks));
    }
    let l = &spec.limits;
    for (field, value) in [
        ("limits.chunk", l.chunk),
        ("limits.snap_chunk", l.snap_chunk),
        ("limits.max_snap_syncs", l.max_snap_syncs),
        ("limits.max_diff_syncs", l.max_diff_syncs),
        ("limits.outstanding", l.outstanding),
    ] {
        if value == 0 {
            return wrong(field, "0 is not above 0");
        }
    }
    if l.purge_ticks < 0 {
        return wrong("limits.purge_ticks", format!("{} is below 0", l.purge_ticks));
    }
    for (field, value) in [("limits.request_wait_ms", l.request_wait_ms), ("limits.connect_fill_ms", l.connect_fill_ms)]
    {
        if value < 0 {
            return wrong(field, format!("{value} is below 0"));
        }
    }
    if spec.disk.sector == 0 {
        return wrong("disk.sector", "0 is not above 0");
    }
    groups(spec)?;
    initial(spec)
}

/// Every voter is in one group, and some of it weighs something.
fn groups(spec: &RunSpec) -> Result<(), Wrong> {
    let top = &spec.topology;
    let voter = |name: &str, field: String| match numbered(name, 's') {
        Some(n) if n <= top.voters as usize => Ok(n),
        _ => wrong(field, format!("{name:?} is no voter: there are s1 to s{}", top.voters)),
    };
    let mut seen = BTreeSet::new();
    for (i, group) in top.groups.iter().enumerate() {
        let field = format!("topology.groups[{i}]");
        if group.trim().is_empty() {
            return wrong(field, "a group without members");
        }
        for name in group.split(',').map(str::trim) {
            if !seen.insert(voter(name, field.clone())?) {
                return wrong(field, format!("{name} is in a group already"));
            }
        }
    }
    if let Some(n) = (1..=top.voters as usize).find(|n| !top.groups.is_empty() && !seen.contains(n)) {
        return wrong("topology.groups", format!("s{n} is in no group"));
    }
    for name in top.weights.keys() {
        let field = format!("topology.weights.{name}");
        voter(name, field.clone())?;
        if top.groups.is_empty() {
            return wrong(field, "where there are no groups, nobody weighs more than others");
        }
    }
    if !top.groups.is_empty() && (1..=top.voters).all(|n| top.weights.get(&format!("s{n}")) == Some(&0)) {
        return wrong("topology.weights", "nobody weighs anything");
    }
    Ok(())
}

/// Initial disks that a run of ensembles could have left.
fn initial(spec: &RunSpec) -> Result<(), Wrong> {
    for (name, disk) in &spec.topology.initial {
        let field = format!("topology.initial.{name}");
        server(spec, name, &field)?;
        if disk.snapshot.is_some() && !disk.snapshots.is_empty() {
            return wrong(format!("{field}.snapshot"), "either `snapshot` or `snapshots`");
        }
        let list = if disk.snapshot.is_some() { "snapshot" } else { "snapshots" };
        let newest = ascending(&disk.log, |i| format!("{field}.log[{i}]"))?;
        let snapshots: Vec<String> = disk.snapshots.iter().chain(&disk.snapshot).cloned().collect();
        let newest = newest.max(ascending(&snapshots, |i| match list {
            "snapshot" => format!("{field}.snapshot"),
            _ => format!("{field}.snapshots[{i}]"),
        })?);
        for (key, epoch) in [("acc", disk.acc), ("cur", disk.cur)] {
            if epoch < 0 {
                return wrong(format!("{field}.{key}"), format!("{epoch} is below 0"));
            }
        }
        if disk.cur > disk.acc || newest.epoch() > disk.acc {
            return wrong(
                format!("{field}.acc"),
                "acceptedEpoch is below currentEpoch or below the newest entry's epoch",
            );
        }
    }
    let decided = Histories::new(&spec.topology);
    let tip = decided.tip();
    for (name, zxid, history) in decided.snapshots() {
        let field = format!("topology.initial.{name}");
        if decided.is_left(name) {
            if spec.topology.read_only && !tip.starts_with(&history) {
                return wrong(field, "a server without a quorum would serve what was never decided: drop read_only");
            }
            continue;
        }
        if !tip.starts_with(&history) {
            let newest = tip.last().copied().unwrap_or_default();
            return wrong(field, format!("the snapshot at {zxid} is none of the history behind the one at {newest}"));
        }
    }
    let holds = |n: usize| decided.holds(&crate::node::host_name(n), &tip);
    if !tip.is_empty() && !Quorum::of(&spec.topology).decides(holds) {
        let holders = (0..spec.topology.voters as usize).filter(|n| holds(*n)).count();
        let newest = tip.last().copied().unwrap_or_default();
        let what = format!(
            "what a snapshot holds is decided, but only {holders} of {} voters have {newest}, which is no quorum",
            spec.topology.voters
        );
        return wrong("topology.initial", what);
    }
    Ok(())
}

/// The last of these zxids, which must ascend.
fn ascending(zxids: &[String], field: impl Fn(usize) -> String) -> Result<Zxid, Wrong> {
    let mut last = Zxid::ZERO;
    for (i, text) in zxids.iter().enumerate() {
        let Some(zxid) = parse_zxid(text) else {
            return wrong(field(i), format!("{text:?} is not EPOCH.COUNTER"));
        };
        if zxid <= last {
            return wrong(field(i), format!("{text:?} does not follow on the one before it"));
        }
        last = zxid;
    }
    Ok(last)
}

fn network(spec: &RunSpec) -> Result<(), Wrong> {
    dist(&spec.network.delay, "network.delay")?;
    dist(&spec.disk.write, "disk.write")?;
    dist(&spec.disk.fsync, "disk.fsync")?;
    for (i, link) in spec.network.links.iter().enumerate() {
        side(spec, &link.from, &format!("network.links[{i}].from"))?;
        side(spec, &link.to, &format!("network.links[{i}].to"))?;
        takes::apart(spec, &link.from, &link.to, &format!("network.links[{i}].to"))?;
        dist(&link.delay, &format!("network.links[{i}].delay"))?;
    }
    Ok(())
}

fn dist(d: &Dist, field: &str) -> Result<(), Wrong> {
    match d {
        Dist::Uniform { min_us, max_us } if min_us > max_us => wrong(field, "min_us is above max_us"),
        _ => Ok(()),
    }
}

pub(super) fn numbered(name: &str, prefix: char) -> Option<usize> {
    let digits = name.strip_prefix(prefix)?;
    digits.parse().ok().filter(|n: &usize| *n > 0 && n.to_string() == digits)
}

pub(super) fn server(spec: &RunSpec, name: &str, field: &str) -> Result<(), Wrong> {
    match numbered(name, 's') {
        Some(n) if n <= spec.servers() => Ok(()),
        _ => wrong(field, format!("{name:?} is no server: there are s1 to s{}", spec.servers())),
    }
}

/// One side of a network fault: names separated by commas, or `*`.
pub(super) fn side(spec: &RunSpec, text: &str, field: &str) -> Result<(), Wrong> {
    for name in text.split(',') {
        let client = numbered(name, 'c').is_some_and(|n| n <= spec.topology.clients as usize);
        let named = numbered(name, 's').is_some_and(|n| n <= spec.servers());
        if name != "*" && !client && !named {
            let (servers, clients) = (spec.servers(), spec.topology.clients);
            return wrong(field, format!("{name:?} is none of s1 to s{servers}, c1 to c{clients}, *"));
        }
    }
    Ok(())
}

fn instant(spec: &RunSpec, at: &At, ids: &BTreeSet<u32>, own: Option<u32>, field: &str) -> Result<(), Wrong> {
    match at {
        At::Tick { tick } if *tick < 0 => wrong(field, format!("tick {tick} is in the past")),
        At::Tick { tick } if *tick >= spec.timing.max_ticks => {
            wrong(field, format!("tick {tick} is behind the end of the run ({})", spec.timing.max_ticks))
        }
        At::Us { us } if us / 1000 >= (spec.timing.max_ticks * spec.timing.tick_ms) as u64 => {
            wrong(field, format!("{us} us is behind the end of the run"))
        }
        At::Effect { node, effect, n, .. } => {
            server(spec, node, field)?;
            self::effect(effect, field)?;
            if *n == 0 { wrong(field, "effects are counted from 1") } else { Ok(()) }
        }
        At::After { after, .. } if !ids.contains(after) || own == Some(*after) => {
            let others: Vec<String> = ids.iter().filter(|id| own != Some(**id)).map(u32::to_string).collect();
            wrong(field, format!("there is no fault {after} to come after; there are {}", others.join(", ")))
        }
        At::After { ticks, .. } if *ticks > spec.timing.max_ticks => {
            wrong(field, format!("{ticks} ticks after is behind the end of the run ({})", spec.timing.max_ticks))
        }
        At::After { ticks, .. } if *ticks < 0 => wrong(field, format!("{ticks} ticks after is in the past")),
        _ => Ok(()),
    }
}

pub(super) fn effect(name: &str, field: &str) -> Result<(), Wrong> {
    if Effect::by_name(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = Effect::names().collect();
    wrong(field, format!("{name:?} is none of {}", known.join(", ")))
}

fn generator(spec: &RunSpec, g: &Generator, field: &str) -> Result<(), Wrong> {
    if g.hold_ticks[0] < 0 || g.hold_ticks[1] < g.hold_ticks[0] {
        return wrong(format!("{field}.hold_ticks"), "not a range");
    }
    if (g.kind == FaultKind::Schedule) != g.schedule.is_some() {
        return wrong(field, "`schedule` and the kind schedule belong together");
    }
    if let Some(effect) = &g.effect {
        if !matches!(g.kind, FaultKind::PowerCut | FaultKind::Kill) {
            return wrong(format!("{field}.effect"), "only power cuts and kills are aimed at effects");
        }
        self::effect(effect, &format!("{field}.effect"))?;
    }
    if g.on == Target::Observers && spec.topology.observers == 0 {
        return wrong(format!("{field}.on"), "there are no observers");
    }
    if g.rate_per_h == 0 {
        return wrong(format!("{field}.rate_per_h"), "0 is not above 0");
    }
    if g.mode.is_some() && g.kind != FaultKind::Partition {
        return wrong(format!("{field}.mode"), "only partitions have a mode");
    }
    Ok(())
}

fn workload(spec: &RunSpec, ids: &BTreeSet<u32>) -> Result<(), Wrong> {
    for op in spec.workload.generate.mix.keys() {
        if !OPS.contains(&op.as_str()) {
            return wrong(format!("workload.generate.mix.{op}"), format!("{op:?} is none of {}", OPS.join(", ")));
        }
    }
    for (i, op) in spec.workload.explicit.iter().enumerate() {
        let field = format!("workload.explicit[{i}]");
        if op.client == 0 || op.client > spec.topology.clients {
            return wrong(format!("{field}.client"), format!("there are clients 1 to {}", spec.topology.clients));
        }
        let Some(flags) = crate::workload::flags_of(&op.op) else {
            let known: Vec<&str> = crate::workload::names().collect();
            return wrong(format!("{field}.op"), format!("{:?} is none of {}", op.op, known.join(", ")));
        };
        if let Some(flag) = op.flags.chars().find(|c| !flags.contains(*c)) {
            let what = format!("{flag:?} means nothing to {:?}, which knows {flags:?}", op.op);
            return wrong(format!("{field}.flags"), what);
        }
        if op.op == "attach" {
            server(spec, &op.path, &format!("{field}.path"))?;
        }
        if matches!(op.at, At::Effect { .. }) {
            return wrong(format!("{field}.at"), "operations are timed by tick, us or after");
        }
        instant(spec, &op.at, ids, None, &format!("{field}.at"))?;
    }
    Ok(())
}
