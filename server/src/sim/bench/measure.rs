//! The measurements of `quorate sim bench`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quorate_sim::check::Checks;
use quorate_sim::spec::Core;
use quorate_sim::{Check, Obs, Observation, Options, Outcome, RunSpec, Verdict, Violation};

use super::super::args::SimBench;
use super::{Floor, Row, history};
use crate::process;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
/// A rate is measured over at least so much CPU time.
const LEAST_CPU: Duration = Duration::from_secs(5);
/// Runs of a campaign.
const SEEDS: u64 = 32;
/// Writes that a large ensemble must commit.
const WRITES: u64 = 100;

/// Of the history that is checked.
const OPERATIONS: u32 = 1_000_000;

/// Tells that a run goes on, and keeps what memory it took; everything else is another check's.
struct Progress<'a> {
    inner: &'a mut dyn Check,
    name: &'a str,
    began: Instant,
    told: Instant,
    /// Resident bytes when faults were over.
    resident: u64,
}

impl Check for Progress<'_> {
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation> {
        if what.seq.is_multiple_of(1024) && self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            let real = self.began.elapsed().as_secs();
            eprintln!("{}: {} virtual ms in {real} s, {} observations", self.name, what.time_ms, what.seq);
        }
        if matches!(what.what, Obs::End) {
            self.resident = process::memory().resident;
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
    /// Resident bytes at its end.
    resident: u64,
}

fn timed(options: &SimBench, name: &str, mut spec: RunSpec) -> Result<Timed, String> {
    spec.network.typed = options.typed;
    let spec = &spec;
    let (began, cpu) = (Instant::now(), process::thread_cpu());
    let mut checks = Checks::new(spec);
    let mut progress = Progress { inner: &mut checks, name, began, told: began, resident: 0 };
    let outcome = quorate_sim::run(spec, &mut progress, Options::default());
    let (wall, resident) = (began.elapsed(), progress.resident);
    let cpu = process::thread_cpu() - cpu;
    if !matches!(outcome.verdict, Verdict::Pass | Verdict::Excused) {
        let why = outcome.violation.map(|v| format!(": {}: {}", v.invariant, v.text)).unwrap_or_default();
        return Err(format!("{name}: the run of seed {} ended with {}{why}", spec.seed, outcome.verdict.name()));
    }
    Ok(Timed { outcome, cpu, wall, resident })
}

/// Sums over the runs of several seeds.
#[derive(Default)]
struct Sum {
    runs: u64,
    cpu: Duration,
    virtual_s: f64,
    packets: u64,
    commits: u64,
    replies: u64,
    leader_changes: u64,
    faults: u64,
}

/// Runs so many seeds, the same ones on every machine: what a run costs depends on its faults.
/// Three times, the middle one counts.
fn campaign(options: &SimBench, name: &str, spec_of: impl Fn(u64) -> RunSpec) -> Result<Sum, String> {
    eprintln!("{name}: three times {SEEDS} runs");
    let all = (0..3).map(|_| once(options, name, &spec_of)).collect::<Result<Vec<_>, _>>()?;
    Ok(middle(all, |sum| sum.cpu))
}

fn once(options: &SimBench, name: &str, spec_of: impl Fn(u64) -> RunSpec) -> Result<Sum, String> {
    let mut sum = Sum::default();
    for seed in 1..=SEEDS {
        let run = timed(options, name, spec_of(seed))?;
        let o = &run.outcome;
        sum.runs += 1;
        sum.cpu += run.cpu;
        sum.virtual_s += o.end_ms as f64 / 1000.0;
        sum.packets += o.packets;
        sum.commits += o.commits;
        sum.replies += o.replies;
        sum.leader_changes += o.leader_changes;
        sum.faults += o.faults_effective;
    }
    Ok(sum)
}

impl Sum {
    fn per_cpu(&self, n: f64) -> f64 {
        n / self.cpu.as_secs_f64()
    }
    fn per_run(&self, n: u64) -> f64 {
        n as f64 / self.runs as f64
    }
    fn per_virtual_second(&self, n: u64) -> f64 {
        n as f64 / self.virtual_s
    }
}

/// Ticks of 2 s, sessions of 30 s, ten clients, the swarm of faults of this seed for this long.
fn usual(seed: u64, seconds: i64, ops: u32) -> RunSpec {
    let mut spec = RunSpec { seed, ..RunSpec::default() };
    spec.topology.voters = 5;
    spec.topology.clients = 10;
    spec.timing.tick_ms = 2000;
    spec.timing.session_ms = [30_000, 30_000];
    spec.timing.fault_ticks = seconds / 2;
    spec.timing.snap_count = 10_000;
    spec.timing.window = 500;
    let g = &mut spec.workload.generate;
    g.mix = mix(&[("set", 4), ("create", 1), ("get", 3), ("exists", 1), ("children", 1)]);
    g.rate = 100;
    g.ops = ops;
    g.min_commits = 0;
    spec
}

fn mix(weights: &[(&str, u32)]) -> BTreeMap<String, u32> {
    weights.iter().map(|(op, weight)| ((*op).to_owned(), *weight)).collect()
}

/// Virtual time against CPU time, 100 operations a second, half of them writes.
pub(super) fn ratio(options: &SimBench) -> Result<Vec<Row>, String> {
    let sum = campaign(options, "ratio", |seed| usual(seed, 600, 60_000))?;
    Ok(vec![
        Row::new("simulated : real, 5 servers, 100 op/s", sum.per_cpu(sum.virtual_s), "x")
            .floor(Floor::AtLeast(1000.0)),
        Row::new("  answers", sum.per_virtual_second(sum.replies), "per virtual s"),
        Row::new("  commits", sum.per_virtual_second(sum.commits), "per virtual s"),
        Row::new("  leader changes", sum.per_run(sum.leader_changes), "a run"),
        Row::new("  effective faults", sum.per_run(sum.faults), "a run"),
    ])
}

/// The same without operations.
pub(super) fn idle(options: &SimBench) -> Result<Vec<Row>, String> {
    let sum = campaign(options, "idle", |seed| usual(seed, 3600, 0))?;
    Ok(vec![
        Row::new("simulated : real, 5 servers, no operations", sum.per_cpu(sum.virtual_s), "x")
            .floor(Floor::AtLeast(5000.0)),
        Row::new("  leader changes", sum.per_run(sum.leader_changes), "a run"),
        Row::new("  effective faults", sum.per_run(sum.faults), "a run"),
    ])
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
    g.mix = mix(&[("set", 8), ("create", 1), ("delete", 1), ("get", 1)]);
    g.paths = 100;
    g.data_max = 100;
    g.rate = u32::MAX;
    g.ops = ops;
    g.min_commits = 0;
    spec
}

/// The one of these with the middle cost: whoever shares the machine makes some of them slower.
fn middle<T>(all: impl IntoIterator<Item = T>, cost: impl Fn(&T) -> Duration) -> T {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort_by_key(cost);
    all.swap_remove(all.len() / 2)
}

/// Runs `spec` with so many operations that it takes long enough to be measured, three times.
fn long_run(options: &SimBench, name: &str, mut spec: RunSpec) -> Result<Timed, String> {
    eprintln!("{name}");
    loop {
        let run = timed(options, name, spec.clone())?;
        if run.cpu >= LEAST_CPU {
            let others = [timed(options, name, spec.clone())?, timed(options, name, spec)?];
            return Ok(middle([run].into_iter().chain(others), |run| run.cpu));
        }
        let factor = 1.2 * LEAST_CPU.as_secs_f64() / run.cpu.as_secs_f64().max(0.01);
        let g = &mut spec.workload.generate;
        g.ops = (f64::from(g.ops) * factor.max(1.2)) as u32;
    }
}

fn rates(what: &str, run: &Timed, messages: f64, commits: Option<f64>) -> Vec<Row> {
    let per_second = |n: u64| n as f64 / run.cpu.as_secs_f64();
    let o = &run.outcome;
    let committed = Row::new("  commits", per_second(o.commits), "per CPU s");
    vec![
        Row::new(format!("quorum messages, {what}"), per_second(o.packets), "per CPU s")
            .floor(Floor::AtLeast(messages)),
        match commits {
            Some(least) => committed.floor(Floor::AtLeast(least)),
            None => committed,
        },
        Row::new("  in batches", per_second(o.messages), "per CPU s"),
    ]
}

/// Delivered quorum messages a CPU second at five servers: under load, and with five clients that ask one thing at a time.
///
/// A message is a quorum packet (PROPOSAL, ACK, COMMIT, PING, REQUEST, …) that the server it was sent to has decoded; batches are
/// what the simulated network delivers between servers at once, a read of a socket as it were. The fewer clients, the fewer
/// packets are in a batch and the more a packet costs.
pub(super) fn rate(options: &SimBench) -> Result<Vec<Row>, String> {
    let mut many = busy(5, 20, 50_000);
    many.workload.generate.pipeline = 16;
    let mut few = busy(5, 5, 50_000);
    few.workload.generate.pipeline = 1;
    let mut rows = rates("5 servers, 20 clients", &long_run(options, "rate", many)?, 800_000.0, Some(60_000.0));
    rows.extend(rates("5 clients, 1 request each", &long_run(options, "rate", few)?, 300_000.0, None));
    Ok(rows)
}

/// The same with 1,000 servers, of which five vote.
pub(super) fn observers(options: &SimBench) -> Result<Vec<Row>, String> {
    let mut spec = busy(5, 20, 2000);
    spec.topology.observers = 995;
    spec.workload.generate.pipeline = 16;
    Ok(rates("1,000 servers (995 observers)", &long_run(options, "observers", spec)?, 300_000.0, None))
}

/// What a run costs in which five servers elect a leader and one client writes once.
pub(super) fn start(options: &SimBench) -> Result<Vec<Row>, String> {
    let sum = campaign(options, "start", |seed| {
        let mut spec = busy(5, 1, 1);
        spec.seed = seed;
        spec
    })?;
    let ms = 1000.0 * sum.cpu.as_secs_f64() / sum.runs as f64;
    Ok(vec![
        Row::new("start and end of one run, 5 servers", ms, "ms").floor(Floor::AtMost(3.0)),
        Row::new("  commits", sum.per_run(sum.commits), "a run"),
        Row::new("  virtual time", 1000.0 * sum.virtual_s / sum.runs as f64, "ms"),
    ])
}

/// Five voters and thousands of observers; a write reaches all of them, and then they are idle.
pub(super) fn servers(options: &SimBench) -> Result<Vec<Row>, String> {
    let before = process::memory().resident;
    let mut spec = busy(5, 1, 3);
    spec.topology.observers = options.servers - 5;
    eprintln!("servers: {}", options.servers);
    let run = timed(options, "servers", spec)?;
    let each = run.resident.saturating_sub(before) as f64 / f64::from(options.servers) / 1024.0;
    Ok(vec![
        Row::new(
            format!("{} servers, {} writes reach all", options.servers, run.outcome.commits),
            run.cpu.as_secs_f64(),
            "CPU s",
        ),
        Row::new("  memory of each when idle", each, "KiB").floor(Floor::AtMost(64.0)),
        Row::new("  virtual time", run.outcome.end_ms as f64 / 1000.0, "s"),
    ])
}

/// A million operations of clients, half of them writes, checked against the history that they make.
pub(super) fn history(_: &SimBench) -> Result<Vec<Row>, String> {
    eprintln!("history");
    let mut spec = busy(1, 20, OPERATIONS);
    spec.workload.generate.mix = usual(1, 0, 0).workload.generate.mix;
    spec.workload.generate.pipeline = 16;
    // The median of three: other work on the machine slows what waits for memory.
    let mut runs = (0..3).map(|_| history::check(&spec)).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by_key(|run| run.cpu);
    let checked = &runs[1];
    let operations = checked.tally.reads + checked.tally.writes;
    let million = 1e6 * checked.cpu.as_secs_f64() / operations as f64;
    Ok(vec![
        Row::new("history check, a million operations", million, "CPU s").floor(Floor::AtMost(2.0)),
        Row::new("  reads judged", checked.tally.reads as f64, ""),
        Row::new("  writes judged", checked.tally.writes as f64, ""),
        Row::new("  observations", checked.judged as f64, ""),
    ])
}

/// A large ensemble from cold start to writes that every server has applied.
pub(super) fn scale(options: &SimBench) -> Result<Vec<Row>, String> {
    let voters = options.voters;
    eprintln!("scale: {voters} voters");
    let run = timed(options, "scale", busy(voters, 3, 150))?;
    if run.outcome.commits < WRITES {
        return Err(format!("scale: only {} transactions were committed", run.outcome.commits));
    }
    let peak = process::memory().peak as f64 / f64::from(1 << 30);
    let commits = run.outcome.commits;
    Ok(vec![
        Row::new(format!("{voters} voters elect, {commits} commits"), run.cpu.as_secs_f64(), "CPU s")
            .floor(Floor::AtMost(60.0)),
        Row::new("  real time", run.wall.as_secs_f64(), "s"),
        Row::new("  peak memory", peak, "GiB").floor(Floor::AtMost(8.0)),
        Row::new("  virtual time", run.outcome.end_ms as f64 / 1000.0, "s"),
        Row::new("  quorum messages", run.outcome.packets as f64, ""),
        Row::new("  batches between servers", run.outcome.messages as f64, ""),
    ])
}
