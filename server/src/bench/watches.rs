//! A million watches: what each holds, and what it costs to set them and to lose them with their connections.

use std::io;

use super::client::Session;
use super::load::{Kind, Load, Until};
use super::report::{Floor, Row};
use super::request::Request;
use super::servers::{Ensemble, Shape};
use super::{Setting, rounds};

/// Connections.
const CONNECTIONS: usize = 100;

/// Watches of each.
const EACH: usize = 10_000;

/// Paths in one setWatches: client libraries cut it at 128 KiB.
const BATCH: usize = 4000;

/// How the million is made up.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    persistent: bool,
    /// Every watch is at another path; otherwise all connections watch the same ones.
    own_paths: bool,
    /// Bytes.
    most: f64,
}

const CASES: [Case; 3] = [
    Case { name: "one-shot", persistent: false, own_paths: false, most: 64.0 },
    Case { name: "persistent", persistent: true, own_paths: false, most: 64.0 },
    Case { name: "persistent, a path each", persistent: true, own_paths: true, most: 160.0 },
];

/// Bytes a watch and microseconds a watch, of each case.
pub fn measure(setting: &Setting) -> io::Result<Vec<Row>> {
    let mut states = Vec::new();
    for side in &setting.sides {
        let ensemble = Ensemble::start(setting, side, "watches", Shape::STANDALONE)?;
        let address = ensemble.addresses()[0];
        let mut session = Session::open(address)?;
        (0..=EACH as u64 / 1000).try_for_each(|n| session.ensure(&Load::parent_of(n * 1000)))?;
        Load::open(&[address], Kind::Create)?.run(setting, Until::Sent(EACH as u64))?;
        states.push(ensemble);
    }
    let mut rows = Vec::new();
    for case in CASES {
        let mut cpu = vec![Vec::new(); states.len()];
        let mut side = 0;
        let bytes = rounds(setting, 1, &mut states, |ensemble| {
            let (bytes, microseconds) = one_case(setting, ensemble, case)?;
            cpu[side].push(microseconds);
            side += 1;
            Ok(bytes)
        })?;
        let name = format!("a million watches, {}", case.name);
        rows.push(Row::new(format!("{name}: resident memory per watch"), "B", bytes, Floor::AtMost(case.most)));
        rows.push(Row::new(format!("{name}: set and gone, server CPU"), "µs/op", cpu, Floor::OfOther(0.25)));
    }
    Ok(rows)
}

/// On a server that was just started: its memory must not hold what an earlier case has left.
fn one_case(setting: &Setting, ensemble: &mut Ensemble, case: Case) -> io::Result<(f64, f64)> {
    ensemble.kill(0)?;
    ensemble.spawn(0)?;
    ensemble.wait_until_serving(setting)?;
    let address = ensemble.addresses()[0];
    let sessions: Vec<Session> = (0..CONNECTIONS).map(|_| Session::open(address)).collect::<io::Result<_>>()?;
    let (fresh, before) = (ensemble.resident()?, ensemble.cpu_seconds()?);
    let shared: Vec<String> = (0..EACH as u64).map(Load::node_of).collect();
    let mut sessions = sessions;
    for (n, session) in sessions.iter_mut().enumerate() {
        setting.go_on()?;
        let own: Vec<String> =
            if case.own_paths { shared.iter().map(|p| format!("{p}-{n:02}")).collect() } else { Vec::new() };
        for paths in if case.own_paths { &own } else { &shared }.chunks(BATCH) {
            session.call(if case.persistent {
                Request::SetWatches(&[], paths)
            } else {
                Request::SetWatches(paths, &[])
            })?;
        }
    }
    let watches = (CONNECTIONS * EACH) as f64;
    let bytes = (ensemble.resident()? - fresh) / watches;
    sessions.into_iter().try_for_each(Session::close)?;
    // Answered behind the end of all of them.
    Session::open(address)?;
    Ok((bytes, (ensemble.cpu_seconds()? - before) * 1e6 / watches))
}
