//! Memory, and time from start to first session: empty, and with many znodes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::client::Session;
use super::load::{Kind, Load, Until};
use super::report::{Floor, Row};
use super::servers::{Ensemble, Shape};
use super::{Setting, rounds};

/// How many znodes are many.
const ZNODES: u64 = 100_000;

/// No snapshot comes between: all of them are in the log.
const SHAPE: Shape = Shape { servers: 1, snap_count: 100 * ZNODES, recorded: false };

const MEGABYTE: f64 = 1e6;

struct Startable {
    ensemble: Ensemble,
    resident: f64,
}

/// Four rows.
pub fn measure(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::configure(setting, side, "footprint", SHAPE)?;
        states.push(Startable { ensemble, resident: 0.0 });
    }
    let mut fresh_memory = vec![Vec::new(); states.len()];
    let start = rounds(setting, setting.rounds, &mut states, |s| start(setting, s, None))?;
    let mut per_znode = Vec::new();
    for (n, state) in states.iter_mut().enumerate() {
        let fresh = state.resident;
        fresh_memory[n].push(fresh / MEGABYTE);
        eprintln!("  {}: {ZNODES} znodes", setting.sides[n]);
        fill(setting, state)?;
        per_znode.push(vec![(state.ensemble.resident()? - fresh) / ZNODES as f64]);
        state.ensemble.kill(0)?;
        fs::rename(state.ensemble.data(0), template(state))?;
    }
    let full = rounds(setting, setting.rounds, &mut states, |s| {
        let from = template(s);
        start_and_end(setting, s, &from)
    })?;
    let znodes = format!("{ZNODES} znodes");
    Ok(vec![
        Row::new("resident memory, fresh".into(), "MB", fresh_memory, Floor::AtMost(20.0)),
        Row::new(format!("resident memory per znode, at {znodes}"), "B", per_znode, Floor::AtMost(450.0)),
        Row::new("start to first session, fresh".into(), "s", start, Floor::AtMost(0.2)),
        Row::new(format!("start to first session, {znodes} in the log"), "s", full, Floor::AtMost(0.8)),
    ])
}

fn template(state: &Startable) -> std::path::PathBuf {
    state.ensemble.data(0).with_file_name("template")
}

/// Starts the server on a copy of `from`, or with nothing; seconds until it gave a session. It keeps running.
fn start(setting: &Setting, state: &mut Startable, from: Option<&Path>) -> io::Result<f64> {
    state.ensemble.kill(0)?;
    let data = state.ensemble.data(0);
    let _ = fs::remove_dir_all(&data);
    match from {
        Some(from) => copy(from, &data)?,
        None => fs::create_dir_all(&data)?,
    }
    let began = Instant::now();
    state.ensemble.spawn(0)?;
    Session::open_eventually(state.ensemble.addresses()[0], || setting.go_on())?;
    let seconds = began.elapsed().as_secs_f64();
    if from.is_none() {
        state.resident = state.ensemble.resident()?;
    }
    Ok(seconds)
}

fn start_and_end(setting: &Setting, state: &mut Startable, from: &Path) -> io::Result<f64> {
    let seconds = start(setting, state, Some(from))?;
    state.ensemble.kill(0)?;
    Ok(seconds)
}

fn fill(setting: &Setting, state: &mut Startable) -> io::Result<()> {
    let addresses = state.ensemble.addresses();
    let mut session = Session::open(addresses[0])?;
    for n in (0..=ZNODES + 1000).step_by(1000) {
        session.ensure(&Load::parent_of(n))?;
    }
    Load::open(&addresses, Kind::Create)?.run(setting, Until::Sent(ZNODES))?;
    Ok(())
}

/// A directory and what is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
