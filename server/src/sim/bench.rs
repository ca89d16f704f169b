//! `quorate sim bench`: how many quorum messages a CPU second carries, and how many voters a run can have.
//!
//! All runs are safety-checked, without faults, on one thread; times are those of that thread. A measurement is one function that
//! returns rows, listed in [`MEASUREMENTS`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use quorate_sim::check::Checks;
use quorate_sim::spec::Core;
use quorate_sim::{Check, Observation, Options, Outcome, RunSpec, Verdict, Violation};
use serde::Serialize;

use super::SimExit;
use super::args::SimBench;
use crate::process;
use crate::serve::print;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
/// A rate is measured over at least so much CPU time.
const LEAST_CPU: Duration = Duration::from_secs(5);
/// Writes that a large ensemble must commit.
const WRITES: u64 = 100;

type Measurement = fn(&SimBench) -> Result<Vec<Row>, String>;

/// By name.
const MEASUREMENTS: &[(&str, Measurement)] = &[("rate", rate), ("scale", scale)];

/// What a row must keep.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Floor {
    AtLeast(f64),
    AtMost(f64),
}

/// One measured quantity.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
}

impl Row {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, floor: None, held: None }
    }
    fn floor(mut self, floor: Floor) -> Self {
        self.floor = Some(floor);
        self.held = Some(match floor {
            Floor::AtLeast(least) => self.value >= least,
            Floor::AtMost(most) => self.value <= most,
        });
        self
    }
}

/// Tells that a run goes on; everything else is another check's.
struct Progress<'a> {
    inner: &'a mut dyn Check,
    name: &'a str,
    began: Instant,
    told: Instant,
}

impl Check for Progress<'_> {
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation> {
        if what.seq.is_multiple_of(1024) && self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            let real = self.began.elapsed().as_secs();
            eprintln!("{}: {} virtual ms in {real} s, {} observations", self.name, what.time_ms, what.seq);
        }
        self.inner.observe(what)
    }
    fn unmet(&self, core: &[usize], writing: bool) -> Option<Violation> {
        self.inner.unmet(core, writing)
    }
    fn undead(&self) -> Option<Violation> {
        self.inner.undead()
    }
    fn excuse(&self, core: &[usize]) -> Option<String> {
        self.inner.excuse(core)
    }
}

/// A clean run and what it cost.
struct Timed {
    outcome: Outcome,
    cpu: Duration,
    wall: Duration,
}

fn timed(name: &str, spec: &RunSpec) -> Result<Timed, String> {
    eprintln!("{name}: {} voters, {} operations", spec.topology.voters, spec.workload.generate.ops);
    let (began, cpu) = (Instant::now(), process::thread_cpu());
    let mut checks = Checks::new(spec);
    let mut progress = Progress { inner: &mut checks, name, began, told: began };
    let outcome = quorate_sim::run(spec, &mut progress, Options::default());
    let (cpu, wall) = (process::thread_cpu() - cpu, began.elapsed());
    if outcome.verdict != Verdict::Pass {
        let why = outcome.violation.map(|v| format!(": {}: {}", v.invariant, v.text)).unwrap_or_default();
        return Err(format!("{name}: the run ended with {}{why}", outcome.verdict.name()));
    }
    Ok(Timed { outcome, cpu, wall })
}

/// Clients that write as fast as they are answered, no faults, everybody healthy to the end.
fn busy(voters: u32, clients: u32, ops: u32) -> RunSpec {
    let mut spec = RunSpec { seed: 1, ..RunSpec::default() };
    spec.topology.voters = voters;
    spec.topology.clients = clients;
    spec.faults.swarm = false;
    spec.timing.fault_ticks = 1;
    spec.timing.max_ticks = 1_000_000;
    spec.checks.core = Core::All;
    spec.timing.snap_count = 10_000;
    spec.timing.window = 500;
    let g = &mut spec.workload.generate;
    let mix = [("set", 8), ("create", 1), ("delete", 1), ("get", 1)];
    g.mix = mix.into_iter().map(|(op, weight)| (op.to_owned(), weight)).collect::<BTreeMap<_, _>>();
    g.paths = 100;
    g.data_max = 100;
    g.rate = u32::MAX;
    g.ops = ops;
    g.min_commits = 0;
    spec
}

/// Runs `busy(5, …)` with so many operations that it takes long enough to be measured.
fn long_run(clients: u32, pipeline: u32) -> Result<Timed, String> {
    let mut ops = 50_000;
    loop {
        let mut spec = busy(5, clients, ops);
        spec.workload.generate.pipeline = pipeline;
        let run = timed("rate", &spec)?;
        if run.cpu >= LEAST_CPU {
            return Ok(run);
        }
        let factor = 1.2 * LEAST_CPU.as_secs_f64() / run.cpu.as_secs_f64().max(0.01);
        ops = (f64::from(ops) * factor) as u32;
    }
}

/// Delivered quorum messages a CPU second at five servers: under load, and with five clients that ask one thing at a time.
///
/// A message is a quorum packet (PROPOSAL, ACK, COMMIT, PING, REQUEST, …) that the server it was sent to has decoded; batches are
/// what the simulated network delivers between servers at once, a read of a socket as it were. The fewer clients, the fewer
/// packets are in a batch and the more a packet costs.
fn rate(_: &SimBench) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (load, clients, pipeline) in
        [("20 clients, 16 requests each in flight", 20, 16), ("5 clients, 1 request", 5, 1)]
    {
        let run = long_run(clients, pipeline)?;
        let per_second = |n: u64| n as f64 / run.cpu.as_secs_f64();
        let o = &run.outcome;
        rows.extend([
            Row::new(format!("quorum messages, 5 servers, {load}"), per_second(o.packets), "per CPU s")
                .floor(Floor::AtLeast(300_000.0)),
            Row::new("  in batches", per_second(o.messages), "per CPU s"),
            Row::new("  commits", per_second(o.commits), "per CPU s"),
            Row::new("  CPU time of the run", run.cpu.as_secs_f64(), "s"),
        ]);
    }
    Ok(rows)
}

/// A large ensemble from cold start to writes that every server has applied.
fn scale(options: &SimBench) -> Result<Vec<Row>, String> {
    let voters = options.voters;
    let run = timed("scale", &busy(voters, 3, 150))?;
    if run.outcome.commits < WRITES {
        return Err(format!("scale: only {} transactions were committed", run.outcome.commits));
    }
    let peak = process::memory().peak as f64 / f64::from(1 << 30);
    let commits = run.outcome.commits;
    Ok(vec![
        Row::new(format!("{voters} voters, {commits} commits"), run.wall.as_secs_f64(), "s")
            .floor(Floor::AtMost(180.0)),
        Row::new("  CPU time", run.cpu.as_secs_f64(), "s"),
        Row::new("  peak memory", peak, "GiB").floor(Floor::AtMost(8.0)),
        Row::new("  virtual time", run.outcome.end_ms as f64 / 1000.0, "s"),
        Row::new("  quorum messages", run.outcome.packets as f64, ""),
        Row::new("  batches between servers", run.outcome.messages as f64, ""),
    ])
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let _ = write!(out, "{:width$}  {:>12}  {:9}", row.name, number(row.value), row.unit);
        let floor = match row.floor {
            Some(Floor::AtLeast(n)) => format!("  at least {}", number(n)),
            Some(Floor::AtMost(n)) => format!("  at most {}", number(n)),
            None => String::new(),
        };
        let verdict = match row.held {
            Some(true) => "  holds",
            Some(false) => "  BROKEN",
            None => "",
        };
        out.truncate(out.trim_end().len());
        let _ = writeln!(out, "{floor}{verdict}");
    }
    out
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// `quorate sim bench`.
#[must_use]
pub fn bench(options: &SimBench) -> SimExit {
    let known = |name: &String| MEASUREMENTS.iter().any(|(known, _)| known == name);
    if let Some(name) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
        eprintln!("error: there is no measurement {name:?}; there are {}", names.join(" "));
        return SimExit::Usage;
    }
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        match measure(options) {
            Ok(more) => rows.extend(more),
            Err(why) => {
                eprintln!("error: {why}");
                return SimExit::Violation;
            }
        }
    }
    if options.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows }));
        print(&text.map_or_else(|e| e.to_string(), |text| text + "\n"));
    } else {
        print(&table(&rows));
    }
    let broken = rows.iter().any(|row| row.held == Some(false));
    if options.check && broken { SimExit::Violation } else { SimExit::Clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors() {
        let row = |value, floor| Row::new("x", value, "s").floor(floor);
        assert_eq!(row(2.0, Floor::AtLeast(2.0)).held, Some(true));
        assert_eq!(row(1.9, Floor::AtLeast(2.0)).held, Some(false));
        assert_eq!(row(2.1, Floor::AtMost(2.0)).held, Some(false));
        let text = table(&[row(181.0, Floor::AtMost(180.0)), Row::new("longer", 0.5, "s")]);
        assert_eq!(text, "x                181  s  at most 180  BROKEN\nlonger          0.50  s\n");
    }

    #[test]
    fn a_small_ensemble_is_measured() {
        // Enough for a configuration whose text is shared by all notifications.
        let options = SimBench { only: Vec::new(), voters: 31, json: false, check: false };
        let rows = scale(&options).unwrap();
        assert!(rows[0].name.starts_with("31 voters"), "{rows:?}");
        assert!(rows.iter().all(|r| r.value > 0.0 && r.held != Some(false)), "{rows:?}");
    }
}
