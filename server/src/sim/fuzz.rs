//! `quorate sim fuzz`: many seeds on several threads, progress, totals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use quorate_sim::Options;
use quorate_sim::scenario::DETERMINISM;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::args::Fuzz;
use super::campaign::{Ended, Failure, Settings, Span, Summary};
use super::minimise::{self, Bounds};
use super::one::{self, Connections, Ran};
use super::reach::Reach;
use super::{SimExit, output, replay, report, source};
use crate::serve::print;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);

/// Real time for one finding that is minimised.
const MINIMISE: Duration = Duration::from_secs(60);

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

/// Which seeds run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// These, in this order; each that was begun ends.
    pub seeds: Span,
    /// With this planted bug.
    pub mutant: Option<&'a str>,
    /// On so many threads.
    pub jobs: u16,
    /// How servers hear each other.
    pub connections: Connections,
    /// What they reach is kept.
    pub reach: bool,
    /// Each twice: the digests must be equal.
    pub twice: bool,
    /// No seed begins after this.
    pub until: Option<Instant>,
}

/// Runs the seeds of a plan; `each` gets every result as it comes and `None` now and then, and says whether to go on. Returns the
/// seeds that have run.
pub fn run_plan(plan: &Plan<'_>, stop: &Stop, mut each: impl FnMut(Option<Ran>) -> bool) -> Result<Span, String> {
    one::spec_of(plan.seeds.from, plan.mutant)?;
    let next = AtomicU64::new(plan.seeds.from);
    let ended = Stop::default();
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..plan.jobs {
            let send = send.clone();
            let (next, ended) = (&next, &ended);
            scope.spawn(move || {
                while !stop.is_set() && !ended.is_set() && plan.until.is_none_or(|at| Instant::now() < at) {
                    // Never beyond the end, so that what has run is told by this number.
                    let claim = |at: u64| (at < plan.seeds.to).then_some(at + 1);
                    let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim) else { break };
                    if send.send(run_seed(seed, plan)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        loop {
            let news = match results.recv_timeout(PROGRESS / 4) {
                Ok(ran) => Some(ran),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if !each(news) {
                ended.now();
            }
        }
    });
    Ok(Span { from: plan.seeds.from, to: next.into_inner() })
}

fn run_seed(seed: u64, plan: &Plan<'_>) -> Ran {
    let spec = match one::spec_of(seed, plan.mutant) {
        Ok(spec) => spec,
        // The first seed has shown that this build can plant the bug.
        Err(e) => unreachable!("{e}"),
    };
    one::run_ways(&spec, plan.connections, plan.twice, Options { reach: plan.reach, ..Options::default() })
}

/// A first seed that nobody has run yet: ms of the wall clock.
fn fresh_base() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// The line that is told every two seconds.
struct Progress {
    began: Instant,
    told: Instant,
    count: Option<u64>,
    until: Option<Instant>,
}

impl Progress {
    fn tell(&mut self, totals: &Summary) {
        if self.told.elapsed() < PROGRESS {
            return;
        }
        self.told = Instant::now();
        let rate = totals.runs as f64 / self.began.elapsed().as_secs_f64();
        let mut line = format!("{} runs", totals.runs);
        let mut left = self.until.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64());
        if let Some(count) = self.count {
            line = format!("{} of {count} runs", totals.runs);
            if rate > 0.0 {
                let by_count = count.saturating_sub(totals.runs) as f64 / rate;
                left = Some(left.map_or(by_count, |by_time| by_time.min(by_count)));
            }
        }
        let _ = write!(line, ", {rate:.1}/s");
        if let Some(left) = left {
            let _ = write!(line, ", {left:.0} s left");
        }
        eprintln!("{line}, {} failed", totals.failed());
    }
}

/// `quorate sim fuzz`.
#[must_use]
pub fn fuzz(options: &Fuzz) -> SimExit {
    let files = [&options.report, &options.digests, &options.reach].into_iter().filter_map(|file| file.as_deref());
    if let Err(e) = output::ready(files).and_then(|()| output::ready_dir(&options.common.out)) {
        return replay::usage(&e);
    }
    let stop = Stop::on_signals();
    let began = Instant::now();
    let mutant = options.common.mutant.as_deref();
    let whole = options.seeds.as_ref().map(|s| Span { from: s.start, to: s.end });
    let seeds = match (whole, options.shard) {
        (Some(whole), Some(shard)) => shard.part(whole),
        (Some(whole), None) => whole,
        (None, _) => Span { from: options.base.unwrap_or_else(fresh_base), to: u64::MAX },
    };
    let until = options.duration.map(|d| began + d);
    if whole.is_none() {
        eprintln!("seeds from {}", seeds.from);
    }
    let floors = !options.no_floors && mutant.is_none();
    let connections = options.common.connections;
    let settings = Settings {
        mutant: options.common.mutant.clone(),
        connections,
        twice: options.twice,
        floors,
        whole,
        ..Settings::default()
    };
    let mut totals = Summary::new(settings, options.shard);
    let mut digests = options.digests.as_ref().map(|_| BTreeMap::new());
    let count = whole.map(|_| seeds.to - seeds.from);
    let mut progress = Progress { began, told: began, count, until };
    let mut first = false;
    let reach = options.reach.is_some();
    let plan = Plan { seeds, mutant, jobs: options.jobs, connections, reach, twice: options.twice, until };
    let mut reached = Reach::default();
    let result = run_plan(&plan, &stop, |ran| {
        if let Some(ran) = ran {
            first |= options.first && ran.failed();
            take(&ran, options, &mut totals);
            if reach {
                reached.add(&ran);
            }
            if let Some(digests) = &mut digests {
                digests.insert(ran.seed, ran.outcome.as_ref().map(|o| o.digest));
            }
        }
        progress.tell(&totals);
        !first
    });
    let span = match result {
        Ok(span) => span,
        Err(e) => return replay::usage(&e),
    };
    totals.ended = match span.to == seeds.to {
        true => Ended::Complete,
        false if first => Ended::First,
        false if stop.is_set() => Ended::Stopped,
        false => Ended::Time,
    };
    totals.seeds = Vec::from([span]);
    totals.seconds = began.elapsed().as_secs_f64();
    if options.minimise {
        minimise_findings(&totals, options, &stop);
    }
    let mut written = digests.is_none_or(|d| write_digests(options.digests.as_deref(), &d));
    if let Some(file) = &options.reach {
        eprintln!("{}", reached.words(span.from));
        written &= write(file, &reached.lines());
    }
    let exit = conclude(&mut totals, options.common.json, options.report.as_deref());
    if options.operations {
        eprint!("{}", totals.operations_table());
    }
    if totals.ended != Ended::Complete {
        eprintln!(
            "ended before its seeds were through; the same runs again: quorate sim fuzz --seeds {}..{}",
            span.from, span.to
        );
    }
    if written { exit } else { exit.worse(SimExit::Usage) }
}

/// A small scenario for each property that was broken, and for each place of a panic, made of the first seed that did it.
fn minimise_findings(totals: &Summary, options: &Fuzz, stop: &Stop) {
    for failure in first_of_each(&totals.failures) {
        if stop.is_set() {
            break;
        }
        let mutant = options.common.mutant.as_deref();
        let file = replay::file_of(&options.common.out, failure.seed, mutant);
        let bounds = Bounds { budget: MINIMISE, jobs: options.jobs, tell: true };
        let small_file = minimise::file_beside(&file);
        let name = minimise::name_of(&small_file);
        let small = source::file(&file, None).and_then(|from| minimise::minimise(&from, &name, &bounds, stop));
        match small {
            Ok(small) => {
                if report::save_text(&small.scenario.to_brief_json(), &small_file) {
                    eprint!("{}", small.words(&small_file));
                }
            }
            Err(e) => eprintln!("{}: {e}", file.display()),
        }
    }
}

/// The least seed of each property that was broken, and of each place of a panic.
fn first_of_each(failures: &[Failure]) -> Vec<&Failure> {
    let mut seen = BTreeSet::new();
    let mut list: Vec<&Failure> = failures.iter().filter(|f| f.verdict != DETERMINISM).collect();
    list.sort_by_key(|f| f.seed);
    list.retain(|f| seen.insert((&f.invariant, minimise::place_of(&f.invariant, &f.text))));
    list
}

/// Reports one run and counts it.
fn take(ran: &Ran, options: &Fuzz, totals: &mut Summary) {
    let mutant = options.common.mutant.as_deref();
    let Ok(mut spec) = one::spec_of(ran.seed, mutant) else { return };
    spec.network.typed = options.common.connections == Connections::Typed;
    let file = replay::save_failure(ran, &spec, &options.common.out);
    if options.html && ran.failed() {
        let picture = replay::file_of(&options.common.out, ran.seed, mutant).with_extension("html");
        if !replay::draw(&spec, &picture) {
            eprintln!("seed {} has no picture", ran.seed);
        }
    }
    totals.add(ran, &spec, file.as_ref().map(|f| f.display().to_string()));
    if options.common.json {
        print(&report::json(ran, mutant, file.as_deref(), None));
    } else if ran.failed() {
        print(&report::words(ran, file.as_deref()));
    }
}

/// The end of a campaign, or of several that were merged: table, JSON, report file.
pub fn conclude(totals: &mut Summary, as_json: bool, report: Option<&Path>) -> SimExit {
    let exit = totals.finish();
    eprint!("{}", totals.table(std::io::stderr().is_terminal()));
    if as_json {
        print(&totals.json());
    }
    if let Some(file) = report
        && let Err(e) = std::fs::write(file, totals.json())
    {
        eprintln!("error: {}: {e}", file.display());
        return exit.worse(SimExit::Usage);
    }
    exit
}

/// A line for each seed, ascending: `diff` shows where two builds differ.
fn write_digests(file: Option<&Path>, digests: &BTreeMap<u64, Option<u64>>) -> bool {
    let Some(file) = file else { return true };
    let mut text = String::new();
    for (seed, digest) in digests {
        let _ = match digest {
            Some(digest) => writeln!(text, "{seed} {digest:#018x}"),
            None => writeln!(text, "{seed} panic"),
        };
    }
    write(file, &text)
}

fn write(file: &Path, text: &str) -> bool {
    let written = std::fs::write(file, text);
    if let Err(e) = &written {
        eprintln!("error: {}: {e}", file.display());
    }
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_at_two_places_are_two_findings() {
        let failure = |seed, verdict: &str, invariant: &str, text: &str| Failure {
            seed,
            verdict: verdict.into(),
            invariant: invariant.into(),
            at_ms: 0,
            text: text.into(),
            file: None,
        };
        let failures = [
            failure(5, "panic", "panic", "panicked at a.rs:1:1:\nindex 3"),
            failure(4, "panic", "panic", "panicked at b.rs:2:1:\nindex 3"),
            failure(3, "panic", "panic", "panicked at a.rs:1:1:\nindex 7"),
            failure(2, "violation", "Z5", "two texts of one property"),
            failure(1, "violation", "Z5", "are one finding"),
            failure(0, DETERMINISM, DETERMINISM, "nothing to minimise"),
        ];
        assert_eq!(first_of_each(&failures).iter().map(|f| f.seed).collect::<Vec<_>>(), [1, 3, 4]);
    }
}
