//! What a fault says must mean something to its kind: keys, hosts, values, instants.

use std::collections::BTreeSet;

use super::validate::{Wrong, effect, numbered, server, side, wrong};
use crate::fault::hosts;
use crate::spec::{At, Explicit, FaultKind, RunSpec};

/// Keys that a kind needs, and keys that it may have. Generators give a hold to `start` and `backup` too, and a value to `wipe` and
/// `replay`, where it changes nothing.
const fn keys(kind: FaultKind) -> (&'static [&'static str], &'static [&'static str]) {
    use FaultKind as K;
    match kind {
        K::PowerCut | K::Kill | K::DiskError => (&["node"], &["hold_ms", "value", "effect"]),
        K::Pause | K::Suspend | K::DiskFull | K::LyingDisk | K::Restore | K::Start | K::Backup => {
            (&["node"], &["hold_ms"])
        }
        K::SlowReceiver
        | K::SlowDisk
        | K::ClockDrift
        | K::SlowNode
        | K::LateTimers
        | K::Wipe
        | K::Reconfigure
        | K::Leftovers
        | K::LoseSnapshots => (&["node"], &["hold_ms", "value"]),
        K::BitRot | K::ClockJump | K::Garbage | K::LatentError | K::Misdirected | K::StaleRead => {
            (&["node"], &["value"])
        }
        K::AddressChange => (&["node"], &["to", "hold_ms", "value"]),
        K::Clone => (&["node", "to"], &["hold_ms", "value"]),
        K::PowerCutAll => (&["from"], &["hold_ms"]),
        K::Partition | K::OneWay | K::Clog => (&["from", "to"], &["hold_ms"]),
        K::PortBlock | K::SlowLink | K::NewestFirst | K::Bounded | K::Corrupt | K::Lose | K::Duplicate | K::Replay => {
            (&["from", "to"], &["hold_ms", "value"])
        }
        K::Cut | K::HalfOpen => (&["from", "to"], &["value"]),
        K::Schedule => (&["schedule"], &["node", "hold_ms"]),
        K::Heal => (&[], &[]),
    }
}

/// Values that mean something of their own.
const fn values(kind: FaultKind) -> (i64, i64) {
    use FaultKind as K;
    match kind {
        K::PortBlock | K::Corrupt => (0, 2),
        K::Clone => (0, 1),
        K::Reconfigure => (1, 3),
        K::Lose | K::Duplicate => (0, 1000),
        K::SlowReceiver | K::SlowDisk | K::SlowLink | K::SlowNode | K::LateTimers | K::NewestFirst | K::DiskError => {
            (0, i64::MAX)
        }
        _ => (i64::MIN, i64::MAX),
    }
}

/// The keys that a fault has.
fn given(f: &Explicit) -> impl Iterator<Item = &'static str> {
    let list = [
        ("node", f.node.is_some()),
        ("from", f.from.is_some()),
        ("to", f.to.is_some()),
        ("hold_ms", f.hold_ms.is_some()),
        ("value", f.value.is_some()),
        ("effect", f.effect.is_some()),
        ("schedule", f.schedule.is_some()),
    ];
    list.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key)
}

pub(super) fn fault(spec: &RunSpec, f: &Explicit, field: &str) -> Result<(), Wrong> {
    use FaultKind as K;
    let (must, may) = keys(f.kind);
    if (f.kind == K::Schedule) != f.schedule.is_some() {
        return wrong(field, "`schedule` and the kind schedule belong together");
    }
    if let Some(missing) = must.iter().find(|key| !given(f).any(|k| k == **key)) {
        return match *missing {
            "to" if f.kind == K::Clone => no_other(field),
            _ => wrong(field, format!("{:?} needs `{missing}`", f.kind)),
        };
    }
    if let Some(key) = given(f).find(|key| !must.contains(key) && !may.contains(key)) {
        let known = [must, may].concat().iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "takes nothing".into() } else { format!("takes {known}") };
        return wrong(format!("{field}.{key}"), format!("means nothing to {}, which {known}", f.kind.name()));
    }
    if f.kind == K::Clone && f.to == f.node {
        return no_other(field);
    }
    if let Some(node) = &f.node {
        let client = numbered(node, 'c').is_some_and(|n| n <= spec.topology.clients as usize);
        if f.kind != K::Pause || !client {
            server(spec, node, &format!("{field}.node"))?;
        }
    }
    if matches!(f.kind, K::Clone | K::AddressChange)
        && let Some(to) = &f.to
    {
        server(spec, to, &format!("{field}.to"))?;
        if f.to == f.node {
            return wrong(format!("{field}.to"), format!("{to:?} is the server itself"));
        }
    }
    if let Some(effect) = &f.effect {
        self::effect(effect, &format!("{field}.effect"))?;
    } else if f.value.is_some() && matches!(f.kind, K::PowerCut | K::Kill) {
        return wrong(format!("{field}.value"), "counts what comes after an effect: it needs `effect`");
    }
    for (key, text) in [("from", &f.from), ("to", &f.to)] {
        if let Some(text) = text {
            side(spec, text, &format!("{field}.{key}"))?;
        }
    }
    if let (Some(from), Some(to)) = (&f.from, &f.to) {
        apart(spec, from, to, &format!("{field}.to"))?;
    }
    if f.hold_ms.is_some_and(|ms| ms < 0) {
        return wrong(format!("{field}.hold_ms"), "a fault cannot end before it begins");
    }
    let (least, most) = values(f.kind);
    if let Some(value) = f.value.filter(|value| !(least..=most).contains(value)) {
        let allowed = if most == i64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
        return wrong(format!("{field}.value"), format!("{value} means nothing to {}: {allowed}", f.kind.name()));
    }
    Ok(())
}

fn no_other(field: &str) -> Result<(), Wrong> {
    wrong(field, "clone needs `to`: the other server whose id the machine gets")
}

/// Between a host and itself there is no network.
pub(super) fn apart(spec: &RunSpec, from: &str, to: &str, field: &str) -> Result<(), Wrong> {
    let (servers, all) = (spec.servers(), spec.servers() + spec.topology.clients as usize);
    let (a, b) = (hosts(from, servers, all), hosts(to, servers, all));
    let both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count();
    let count = |set: &[bool]| set.iter().filter(|here| **here).count();
    if both == 1 && count(&a) == 1 && count(&b) == 1 {
        return wrong(field, format!("{to:?} is the host itself: nothing goes over the network"));
    }
    Ok(())
}

/// When faults end everything is healed: what is planned for later does not come. `instants` have no circles.
pub(super) fn in_time(spec: &RunSpec) -> Result<(), Wrong> {
    let faults = &spec.faults.explicit;
    let (tick_us, end) = (spec.timing.tick_ms.unsigned_abs() * 1000, spec.timing.fault_ticks.unsigned_abs());
    for (i, fault) in faults.iter().enumerate() {
        let (mut at, mut ticks, mut seen) = (&fault.at, 0_u64, BTreeSet::new());
        // At the earliest: what it waits for may come later.
        while let At::After { after, ticks: more } = at
            && seen.insert(*after)
            && let Some(before) = faults.iter().find(|f| f.id == *after)
        {
            ticks = ticks.saturating_add(more.unsigned_abs());
            at = &before.at;
        }
        let us = match at {
            At::Tick { tick } => tick.unsigned_abs().saturating_mul(tick_us),
            At::Us { us } => *us,
            At::Effect { .. } | At::After { .. } => 0,
        };
        if us.saturating_add(ticks.saturating_mul(tick_us)) > end * tick_us {
            let what =
                format!("this is behind the end of the faults: everything is healed at timing.fault_ticks ({end})");
            return wrong(format!("faults.explicit[{i}].at"), what);
        }
    }
    Ok(())
}
