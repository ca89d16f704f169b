//! `quorate sim fuzz`: many seeds on several threads, progress, totals.

use std::io::IsTerminal as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::args::Fuzz;
use super::one::{self, Ran};
use super::{SimExit, replay, report};
use crate::serve::print;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);

/// Floors of a fuzz that means something: commits of a run, how many runs in a thousand reach that, means per run.
const MIN_COMMITS: u64 = 100;
const RUNS_PERMILLE: u64 = 950;
const MEAN_LEADER_CHANGES: u64 = 1;
const MEAN_FAULTS: u64 = 3;

/// Sums over runs.
#[derive(Debug, Default)]
pub struct Totals {
    runs: u64,
    failed: u64,
    excused: u64,
    worked: u64,
    commits: u64,
    leader_changes: u64,
    faults: u64,
    messages: u64,
    virtual_ms: u64,
    exit: Option<SimExit>,
}

impl Totals {
    fn add(&mut self, ran: &Ran) {
        self.runs += 1;
        self.failed += u64::from(ran.failed());
        self.excused += u64::from(ran.verdict == "excused");
        if let Some(o) = &ran.outcome {
            self.worked += u64::from(o.commits >= MIN_COMMITS || ran.failed());
            self.commits += o.commits;
            self.leader_changes += o.leader_changes;
            self.faults += o.faults_effective;
            self.messages += o.messages;
            self.virtual_ms += o.end_ms.unsigned_abs();
        }
        self.exit = Some(self.exit.unwrap_or(SimExit::Clean).worse(SimExit::of(ran.verdict)));
    }

    /// What is below its floor.
    fn shortfalls(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.worked * 1000 < self.runs * RUNS_PERMILLE {
            out.push(format!("only {} of {} runs reached {MIN_COMMITS} commits", self.worked, self.runs));
        }
        if self.leader_changes < self.runs * MEAN_LEADER_CHANGES {
            out.push("less than one leader change a run".into());
        }
        if self.faults < self.runs * MEAN_FAULTS {
            out.push("less than three effective faults a run".into());
        }
        out
    }

    fn table(&self, took: Duration, colour: bool) -> String {
        let mean = |sum: u64| sum as f64 / self.runs.max(1) as f64;
        let (red, green, plain) = if colour { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        let tint = if self.failed > 0 { red } else { green };
        let mut out = format!("{tint}{} runs, {} failed{plain}, {} excused\n", self.runs, self.failed, self.excused);
        for (what, sum) in [
            ("commits", self.commits),
            ("leader changes", self.leader_changes),
            ("effective faults", self.faults),
            ("quorum messages", self.messages),
            ("virtual ms", self.virtual_ms),
        ] {
            out.push_str(&format!("  {what:<18} {sum:>14} {:>12.1} a run\n", mean(sum)));
        }
        let seconds = took.as_secs_f64();
        out.push_str(&format!("  {:<18} {seconds:>14.1} {:>12.0} runs/s\n", "seconds", self.runs as f64 / seconds));
        for shortfall in self.shortfalls() {
            out.push_str(&format!("  {red}{shortfall}{plain}\n"));
        }
        out
    }
}

/// What ends a fuzz early.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by Ctrl-C and SIGTERM; a second one ends the process.
    #[must_use]
    pub fn on_signals() -> Self {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop.0));
            let _ = signal_hook::flag::register(signal, Arc::clone(&stop.0));
        }
        stop
    }
    fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Whether it is time to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs these seeds on `jobs` threads; `each` gets every result as it comes and says whether to go on.
pub fn run_all(
    seeds: &Range<u64>,
    mutant: Option<&str>,
    jobs: u16,
    stop: &Stop,
    mut each: impl FnMut(Ran) -> bool,
) -> Result<(), String> {
    one::spec_of(seeds.start, mutant)?;
    let next = AtomicU64::new(seeds.start);
    let ended = Stop::default();
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..jobs {
            let send = send.clone();
            let (next, ended) = (&next, &ended);
            scope.spawn(move || {
                while !stop.is_set() && !ended.is_set() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let Ok(spec) = one::spec_of(seed, mutant) else { break };
                    if send.send(one::run(&spec, None, false)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for ran in results {
            if !each(ran) {
                ended.now();
            }
        }
    });
    Ok(())
}

/// `quorate sim fuzz`.
#[must_use]
pub fn fuzz(options: &Fuzz) -> SimExit {
    let stop = Stop::on_signals();
    let mutant = options.common.mutant.as_deref();
    let began = Instant::now();
    let mut totals = Totals::default();
    let mut told = Instant::now();
    let count = options.seeds.end - options.seeds.start;
    let result = run_all(&options.seeds, mutant, options.jobs, &stop, |ran| {
        totals.add(&ran);
        tell(&ran, mutant, &options.common.out, options.common.json);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let rate = totals.runs as f64 / began.elapsed().as_secs_f64();
            eprintln!("{} of {count} runs, {} failed, {rate:.0} runs/s", totals.runs, totals.failed);
        }
        !(options.first && ran.failed())
    });
    if let Err(e) = result {
        eprintln!("error: {e}");
        return SimExit::Usage;
    }
    if stop.is_set() {
        eprintln!("stopped: these are the results so far");
    }
    eprint!("{}", totals.table(began.elapsed(), std::io::stderr().is_terminal()));
    totals.exit.unwrap_or(SimExit::Clean)
}

fn tell(ran: &Ran, mutant: Option<&str>, out: &Path, as_json: bool) {
    let file = one::spec_of(ran.seed, mutant).ok().and_then(|spec| replay::save_failure(ran, &spec, out));
    if as_json {
        print(&report::json(ran, mutant, file.as_deref(), None));
    } else if ran.failed() {
        print(&report::words(ran, file.as_deref()));
    }
}
