//! Server CPU time per operation under full load.

use std::io;
use std::time::Instant;

use super::client::Session;
use super::load::{Kind, Load, MULTI, Until, WIDE, WIDE_CHILDREN};
use super::report::{Floor, Row};
use super::servers::{Ensemble, Shape, Side, cpu_seconds};
use super::{Setting, rounds};

struct Loaded {
    ensemble: Ensemble,
    load: Load,
    rates: Vec<f64>,
    client_cpu: Vec<f64>,
}

/// Reads.
pub fn get(setting: &Setting) -> io::Result<Vec<Row>> {
    per_operation(setting, "get", Kind::Get, Shape::STANDALONE, Floor::OfOther(0.2))
}

/// Writes.
pub fn set(setting: &Setting) -> io::Result<Vec<Row>> {
    per_operation(setting, "set", Kind::Set, Shape::STANDALONE, Floor::OfOther(0.25))
}

/// Writes to three servers; the CPU time is that of the three.
pub fn ensemble(setting: &Setting) -> io::Result<Vec<Row>> {
    per_operation(setting, "set, three servers", Kind::Set, Shape::THREE, Floor::OfOther(0.25))
}

/// Many writes in one transaction.
pub fn multi(setting: &Setting) -> io::Result<Vec<Row>> {
    let name = format!("multi of {MULTI} sets");
    per_operation(setting, &name, Kind::Multi, Shape::STANDALONE, Floor::OfOther(1.0 / 6.0))
}

/// A long list, asked for again and again, and asked for after every change of it.
pub fn children(setting: &Setting) -> io::Result<Vec<Row>> {
    let name = format!("getChildren of {WIDE_CHILDREN}");
    let mut rows = per_operation(setting, &name, Kind::Children, Shape::STANDALONE, Floor::OfOther(0.2))?;
    let name = format!("half changes, half {name}");
    rows.extend(per_operation(setting, &name, Kind::ChangeAndList, Shape::STANDALONE, Floor::OfOther(0.4))?);
    Ok(rows)
}

/// Ephemeral znodes that come and go, on sessions that stay.
pub fn ephemeral(setting: &Setting) -> io::Result<Vec<Row>> {
    per_operation(setting, "ephemeral create or delete", Kind::Ephemeral, Shape::STANDALONE, Floor::OfOther(0.25))
}

fn per_operation(setting: &Setting, name: &str, kind: Kind, shape: Shape, floor: Floor) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, &format!("{kind:?}{}", shape.servers), shape)?;
        if matches!(kind, Kind::Children | Kind::ChangeAndList) {
            eprintln!("  {side}: {WIDE_CHILDREN} children");
            Session::open(ensemble.addresses()[0])?.ensure(WIDE)?;
            Load::open(&ensemble.addresses(), Kind::Widen)?.run(setting, Until::Sent(WIDE_CHILDREN))?;
        }
        let mut load = Load::open(&ensemble.addresses(), kind)?;
        eprintln!("  warming up {side}");
        load.run(setting, Until::Elapsed(setting.warm_up))?;
        states.push(Loaded { ensemble, load, rates: Vec::new(), client_cpu: Vec::new() });
    }
    let cpu = rounds(setting, setting.rounds, &mut states, |state| one_round(setting, state))?;
    let of = |pick: fn(&Loaded) -> &Vec<f64>| states.iter().map(|s| pick(s).clone()).collect::<Vec<_>>();
    Ok(vec![
        Row::new(format!("{name}: server CPU"), "µs/op", cpu, floor),
        Row::new(format!("{name}: rate"), "op/s", of(|s| &s.rates), Floor::None),
        Row::new(format!("{name}: CPU of the load itself"), "µs/op", of(|s| &s.client_cpu), Floor::None),
    ])
}

/// What `serve --record` costs: the server's CPU time with it, divided by that without it. Rounds of both take turns.
pub fn recording(setting: &Setting) -> io::Result<Vec<Row>> {
    let Some(side) = setting.sides.iter().find(|side| matches!(side, Side::Quorate(_))) else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for (name, kind) in [("get", Kind::Get), ("set", Kind::Set)] {
        let mut states = Vec::new();
        for recorded in [false, true] {
            let shape = Shape { recorded, ..Shape::STANDALONE };
            let ensemble = Ensemble::start(setting, side, &format!("{kind:?}-recorded-{recorded}"), shape)?;
            let mut load = Load::open(&ensemble.addresses(), kind)?;
            load.run(setting, Until::Elapsed(setting.warm_up))?;
            states.push(Loaded { ensemble, load, rates: Vec::new(), client_cpu: Vec::new() });
        }
        let mut ratios = Vec::new();
        for round in 0..setting.rounds {
            let mut cpu = [0.0; 2];
            for turn in 0..2 {
                setting.go_on()?;
                let which = (turn + round) % 2;
                cpu[which] = one_round(setting, &mut states[which])?;
            }
            eprintln!("  round {}: {name} {:.3} µs/op, recorded {:.3}", round + 1, cpu[0], cpu[1]);
            ratios.push(cpu[1] / cpu[0]);
        }
        rows.push(Row::new(format!("{name}, recorded : not: server CPU"), "x", vec![ratios], Floor::AtMost(1.05)));
    }
    Ok(rows)
}

/// Microseconds of server CPU per operation.
fn one_round(setting: &Setting, state: &mut Loaded) -> io::Result<f64> {
    let (began, server, own) = (Instant::now(), state.ensemble.cpu_seconds()?, cpu_seconds("self")?);
    let operations = state.load.run(setting, Until::Elapsed(setting.round))? as f64;
    state.rates.push(operations / began.elapsed().as_secs_f64());
    state.client_cpu.push((cpu_seconds("self")? - own) * 1e6 / operations);
    Ok((state.ensemble.cpu_seconds()? - server) * 1e6 / operations)
}
