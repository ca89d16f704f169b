//! `quorate sim mutants`: the fuzzer, not told which, must find each planted bug; and how long that takes.

pub mod table;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::catalogue::{self, Row};
use quorate_sim::scenario::Scenario;

use super::args::Mutants;
use super::fuzz::Stop;
use super::one::{self, Ran};
use super::{SimExit, output, replay};
use crate::process;
use crate::serve::print;
use table::{Entry, Kill};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
/// After the first kill the rest of the sample may take so much CPU time, or as much as the first kill took.
const SAMPLE_CPU: Duration = Duration::from_secs(20);

/// How to look for one planted bug.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Seeds in the order in which they are tried.
    pub seeds: Range<u64>,
    /// CPU time of all workers until the row counts as survived.
    pub budget: Duration,
    /// Seeds over which the failure rate is measured, at least; fewer where the first kill was slow.
    pub trials: u64,
    /// Worker threads.
    pub jobs: u16,
}

/// What came out of a hunt.
#[derive(Debug)]
pub struct Hunted {
    /// The failing run with the least seed, and what it took to come to it.
    pub kill: Option<(Ran, Cost)>,
    /// All runs.
    pub total: Cost,
    /// How many of them failed, and did not fail without the planted bug.
    pub failures: u64,
    /// Invariants that fired, the first kill's among them.
    pub invariants: BTreeSet<&'static str>,
}

/// Sums over runs.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cost {
    /// Seeds.
    pub runs: u64,
    /// CPU time of the workers, runs without the planted bug included.
    pub cpu: Duration,
    /// Simulated time.
    pub virtual_ms: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.cpu += other.cpu;
        self.virtual_ms += other.virtual_ms;
    }
}

/// One seed: failed because of the planted bug?
struct Trial {
    ran: Ran,
    killed: bool,
    cost: Cost,
}

/// Runs one seed with the bug and, when that fails, without: what fails by itself proves nothing.
fn trial(id: &str, seed: u64, cpu_before: &mut Duration) -> Result<Trial, String> {
    let ran = one::run(&one::spec_of(seed, Some(id))?, None, false);
    let killed = ran.failed() && !one::run(&one::spec_of(seed, None)?, None, false).failed();
    let cpu = process::thread_cpu();
    let virtual_ms = ran.outcome.as_ref().map_or(0, |o| o.end_ms.unsigned_abs());
    let cost = Cost { runs: 1, cpu: cpu.saturating_sub(*cpu_before), virtual_ms };
    *cpu_before = cpu;
    Ok(Trial { ran, killed, cost })
}

/// Tries seeds with this bug planted until one fails, then more of them for the rate. `progress` is told the sums so far.
///
/// # Errors
/// This build cannot plant that bug.
pub fn hunt(id: &str, how: &Hunt, stop: &Stop, mut progress: impl FnMut(&Cost, u64)) -> Result<Hunted, String> {
    one::can_plant(id)?;
    // Seeds from here on are not begun: lowered once the first kill is known.
    let end = AtomicU64::new(how.seeds.end);
    let next = AtomicU64::new(how.seeds.start);
    let mut hunted = Hunted { kill: None, total: Cost::default(), failures: 0, invariants: BTreeSet::new() };
    let mut costs: Vec<(u64, Cost)> = Vec::new();
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..how.jobs {
            let (send, next, end) = (send.clone(), &next, &end);
            scope.spawn(move || {
                let mut cpu = process::thread_cpu();
                while !stop.is_set() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    let Ok(trial) = trial(id, seed, &mut cpu) else { break };
                    if send.send(trial).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut first_cpu = None;
        for Trial { ran, killed, cost } in results {
            hunted.total.add(cost);
            costs.push((ran.seed, cost));
            if killed {
                hunted.failures += 1;
                hunted.invariants.extend(ran.violation.as_ref().map(|v| v.invariant));
                first_cpu.get_or_insert(hunted.total.cpu);
                let tried = ran.seed - how.seeds.start + 1;
                if hunted.kill.as_ref().is_none_or(|(k, _)| k.seed > ran.seed) {
                    // As many again as it took: one kill in so many would say little of the rate.
                    end.fetch_min(how.seeds.start + how.trials.max(2 * tried), Ordering::Relaxed);
                    hunted.kill = Some((ran, Cost::default()));
                }
            }
            let limit = first_cpu.map_or(how.budget, |cpu| cpu + cpu.max(SAMPLE_CPU).min(how.budget));
            if hunted.total.cpu >= limit {
                end.store(0, Ordering::Relaxed);
            }
            progress(&hunted.total, hunted.failures);
        }
    });
    if let Some((ran, cost)) = &mut hunted.kill {
        costs.iter().filter(|(seed, _)| *seed <= ran.seed).for_each(|(_, c)| cost.add(*c));
    }
    Ok(hunted)
}

/// `quorate sim mutants`: exit code 1 when a planted bug survives, 130 when it was ended before all were through.
#[must_use]
pub fn mutants(options: &Mutants) -> SimExit {
    let chosen = match chosen(&options.ids) {
        Ok(rows) => rows,
        Err(e) => return usage(&e),
    };
    let how = Hunt { seeds: options.seeds.clone(), budget: options.budget, trials: options.trials, jobs: options.jobs };
    let known = match options.resume.as_deref().map(known).transpose() {
        Ok(known) => known.unwrap_or_default(),
        Err(e) => return usage(&e),
    };
    let files = [&options.table, &options.resume].into_iter().filter_map(|file| file.as_deref());
    if let Err(e) = output::ready(files).and_then(|()| options.out.as_deref().map_or(Ok(()), output::ready_dir)) {
        return usage(&e);
    }
    let stop = Stop::on_signals();
    let (planted, rows) = (chosen.iter().filter(|r| r.is_planted()).count(), chosen.len());
    let (mut entries, mut hunted) = (Vec::new(), 0);
    for row in chosen {
        if stop.is_set() {
            break;
        }
        let entry = if let Some(entry) = known.iter().find(|e| e.id() == row.id) {
            hunted += 1;
            entry.clone()
        } else if row.is_planted() {
            hunted += 1;
            let result = hunt(row.id, &how, &stop, teller(row.id, hunted, planted, how.budget));
            match result {
                Ok(found) if found.kill.is_none() && stop.is_set() => break,
                Ok(found) => {
                    let entry = Entry::new(row, Some(kill(options, row.id, &found)));
                    if let Err(e) = options.resume.as_deref().map_or(Ok(()), |file| append(file, &entry.json())) {
                        return usage(&e);
                    }
                    entry
                }
                Err(e) => return usage(&e),
            }
        } else {
            Entry::new(row, None)
        };
        print(&if options.json { entry.json() } else { entry.words() });
        entries.push(entry);
    }
    let is_whole = entries.len() == rows;
    if !is_whole {
        eprintln!("stopped: these are the results so far");
    }
    let totals = table::totals(&entries);
    if options.json {
        eprintln!("{totals}");
    } else {
        print(&format!("{totals}\n"));
    }
    if let Some(file) = options.table.as_ref().filter(|_| !is_whole) {
        eprintln!("{}: a table of all rows is written only when all are through (see --resume)", file.display());
    } else if let Some(file) = &options.table
        && let Err(e) = std::fs::write(file, table::markdown(&entries, &options.command()))
    {
        return usage(&format!("{}: {e}", file.display()));
    }
    let exit = if is_whole { SimExit::Clean } else { SimExit::Stopped };
    if entries.iter().any(Entry::survived) { exit.worse(SimExit::Violation) } else { exit }
}

/// The rows that a file has from an earlier call; none where there is no such file yet.
fn known(file: &Path) -> Result<Vec<Entry>, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().filter_map(Entry::parse).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(format!("{}: {e}", file.display())),
    }
}

fn append(file: &Path, line: &str) -> Result<(), String> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.and_then(|mut f| f.write_all(line.as_bytes())).map_err(|e| format!("{}: {e}", file.display()))
}

fn usage(what: &str) -> SimExit {
    eprintln!("error: {what}");
    SimExit::Usage
}

/// The rows of these ids, all where none is named.
fn chosen(ids: &[String]) -> Result<Vec<&'static Row>, String> {
    if let Some(id) = ids.iter().find(|id| !catalogue::rows().any(|r| r.id == **id)) {
        let known: Vec<&str> = catalogue::rows().map(|r| r.id).collect();
        return Err(format!("no row {id:?} in the catalogue; there are {}", known.join(" ")));
    }
    Ok(catalogue::rows().filter(|r| ids.is_empty() || ids.iter().any(|id| id == r.id)).collect())
}

/// Says on standard error how a hunt goes.
fn teller(id: &'static str, n: usize, of: usize, budget: Duration) -> impl FnMut(&Cost, u64) {
    let mut told = Instant::now();
    move |cost, failures| {
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let (cpu, most) = (cost.cpu.as_secs_f64(), budget.as_secs());
            eprintln!("{id} ({n} of {of}): {} seeds, {failures} failed, {cpu:.0} of {most} CPU s", cost.runs);
        }
    }
}

fn kill(options: &Mutants, id: &str, found: &Hunted) -> Kill {
    let Some((ran, cost)) = &found.kill else { return Kill::survived(found) };
    let spec = one::spec_of(ran.seed, Some(id)).ok();
    let replays = spec.as_ref().is_some_and(|spec| replays(ran, spec));
    let file = options.out.as_ref().zip(spec).and_then(|(out, spec)| replay::save_failure(ran, &spec, out));
    Kill::new(found, ran, cost, replays, file)
}

/// Whether the file of this run, written and read again, gives the same.
#[must_use]
pub fn replays(ran: &Ran, spec: &quorate_sim::RunSpec) -> bool {
    let text = ran.scenario("again", spec).to_json();
    let Ok(scenario) = Scenario::parse("again", &text) else { return false };
    replay::differences(&scenario, &one::run(&scenario.spec, None, false)).is_empty()
}
