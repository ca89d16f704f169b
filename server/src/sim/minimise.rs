//! `quorate sim minimise`: a failing seed or file becomes a small scenario that fails in the same way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::scenario::{DETERMINISM, Expect, Scenario, VERSION};
use quorate_sim::shrink::{Size, Trial, shrink};
use quorate_sim::{Outcome, RunSpec};
use serde::Serialize;

use super::args::Minimise;
use super::freeze::Frozen;
pub(super) use super::freeze::name_of;
use super::fuzz::Stop;
use super::one::{self, Ran};
use super::replay::usage;
use super::{SimExit, output, report, source};
use crate::serve::print;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);

/// How a run fails.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Goal {
    verdict: &'static str,
    invariant: String,
    /// Where, if it is a panic.
    place: Option<String>,
    /// The bug that is planted, where the run passes without it.
    bug: Option<String>,
}

impl Goal {
    /// `None`: it does not fail.
    fn of(ran: &Ran, spec: &RunSpec) -> Option<Self> {
        if !ran.failed() {
            return None;
        }
        let violation = ran.violation.as_ref()?;
        let place = place_of(violation.invariant, &violation.text).map(str::to_owned);
        let bug = spec.mutant.clone().filter(|_| passes_without(spec));
        Some(Self { verdict: ran.verdict, invariant: violation.invariant.to_owned(), place, bug })
    }

    /// Whether this run fails so, and passes without the planted bug.
    fn is_met(&self, spec: &RunSpec) -> Option<Outcome> {
        if is_refused(spec) {
            return None;
        }
        let ran = one::run(spec, None, true);
        let violation = ran.violation.as_ref()?;
        let same = ran.verdict == self.verdict
            && violation.invariant == self.invariant
            && self.place.as_deref().is_none_or(|wanted| Some(wanted) == place_of("panic", &violation.text));
        (same && (self.bug.is_none() || passes_without(spec))).then_some(ran.outcome).flatten()
    }
}

/// Where it was, if it is a panic: that stands before its words.
pub(super) fn place_of<'a>(invariant: &str, text: &'a str) -> Option<&'a str> {
    (invariant == "panic").then(|| text.lines().next().unwrap_or_default())
}

/// Whether the reader of scenario files would refuse it: then nobody could run the file.
fn is_refused(spec: &RunSpec) -> bool {
    let expect = Expect { verdict: "pass".into(), ..Expect::default() };
    let (name, note) = ("candidate".into(), String::new());
    let scenario = Scenario { name, note, version: String::new(), binary: 0, spec: spec.clone(), expect };
    Scenario::parse("candidate", &scenario.to_json()).is_err()
}

fn passes_without(spec: &RunSpec) -> bool {
    let spec = RunSpec { mutant: None, ..spec.clone() };
    one::run(&spec, None, false).verdict == "pass"
}

/// Bounds of a search, and where it stands.
struct Search<'a> {
    goal: &'a Goal,
    jobs: u16,
    until: Instant,
    stop: &'a Stop,
    runs: AtomicU64,
    began: Instant,
    told: Instant,
    /// Whose search it is, if progress is told.
    name: Option<&'a str>,
    size: Size,
}

impl Search<'_> {
    fn tell(&mut self) {
        let Some(name) = self.name.filter(|_| self.told.elapsed() >= PROGRESS) else { return };
        self.told = Instant::now();
        let (runs, seconds) = (self.runs.load(Ordering::Relaxed), self.began.elapsed().as_secs());
        eprintln!("{name}: {seconds} s, {runs} runs; {}", words(&self.size));
    }

    /// The first of these that fails as it must.
    fn search(&self, candidates: &[RunSpec]) -> Option<(usize, Outcome)> {
        let next = AtomicUsize::new(0);
        let best: Mutex<Option<(usize, Outcome)>> = Mutex::new(None);
        let first = AtomicUsize::new(candidates.len());
        let work = || {
            while !self.is_over() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                // All that stand before the first one are claimed already, and each that is claimed ends.
                if at >= first.load(Ordering::Acquire) {
                    break;
                }
                self.runs.fetch_add(1, Ordering::Relaxed);
                if let Some(outcome) = self.goal.is_met(&candidates[at]) {
                    first.fetch_min(at, Ordering::AcqRel);
                    if let Ok(mut best) = best.lock()
                        && best.as_ref().is_none_or(|(other, _)| at < *other)
                    {
                        *best = Some((at, outcome));
                    }
                }
            }
        };
        let jobs = usize::from(self.jobs).min(candidates.len());
        thread::scope(|scope| {
            for _ in 1..jobs {
                scope.spawn(work);
            }
            work();
        });
        best.into_inner().ok().flatten()
    }
}

impl Trial for Search<'_> {
    fn first(&mut self, candidates: &[RunSpec]) -> Option<(usize, Outcome)> {
        // Progress is told between pieces of a long list; which one is the first does not change.
        let piece = 16 * usize::from(self.jobs);
        for (i, part) in candidates.chunks(piece).enumerate() {
            let found = self.search(part);
            self.tell();
            if let Some((at, outcome)) = found {
                return Some((i * piece + at, outcome));
            }
            if self.is_over() {
                break;
            }
        }
        None
    }
    fn is_over(&self) -> bool {
        self.stop.is_set() || Instant::now() >= self.until
    }
    fn found(&mut self, size: &Size) {
        self.size = *size;
    }
}

/// A small scenario, and what it was made of.
#[derive(Debug)]
pub struct Minimised {
    /// What can be written: it replays as it expects.
    pub scenario: Scenario,
    /// The broken property.
    pub invariant: String,
    /// The planted bug that breaks it, where nothing is broken without.
    pub bug: Option<String>,
    /// Of the run that failed.
    pub before: Size,
    /// Of the scenario.
    pub after: Size,
    /// Runs that were made.
    pub runs: u64,
    /// Real time.
    pub took: Duration,
    /// The file replays as it expects, twice.
    pub replays: bool,
}

/// How long and on how many threads.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Real time.
    pub budget: Duration,
    /// Threads.
    pub jobs: u16,
    /// Say on standard error how it goes.
    pub tell: bool,
}

/// Makes a failing scenario small, under this name.
///
/// # Errors
/// Why there is nothing to make small.
pub fn minimise(from: &Scenario, name: &str, bounds: &Bounds, stop: &Stop) -> Result<Minimised, String> {
    let began = Instant::now();
    let frozen = Frozen::new(from).ok_or("its run ends in a panic that leaves nothing to work with")?;
    let (ran, spec) = (&frozen.again, &frozen.scenario.spec);
    if ran.verdict == DETERMINISM {
        return Err("it does not do the same twice, so that no smaller run could be told from chance".into());
    }
    let goal = Goal::of(ran, spec).ok_or_else(|| {
        let planted = spec.mutant.as_ref().map_or_else(String::new, |id| format!(" with {id} planted"));
        format!("it does not fail{planted} ({}): there is nothing to minimise", ran.verdict)
    })?;
    let outcome = ran.outcome.as_ref().ok_or("its run leaves nothing to work with")?;
    let before = Size::of(spec, outcome);
    let mut search = Search {
        goal: &goal,
        jobs: bounds.jobs,
        until: began + bounds.budget,
        stop,
        runs: AtomicU64::new(0),
        began,
        told: began,
        name: bounds.tell.then_some(name),
        size: before,
    };
    let (small, outcome) = shrink(spec, outcome, &mut search);
    let runs = search.runs.into_inner();
    let after = Size::of(&small, &outcome);
    let scenario = scenario(&from.name, name, &goal, small, &outcome);
    let replays = replays(&scenario, &goal);
    let Goal { invariant, bug, .. } = goal;
    Ok(Minimised { scenario, invariant, bug, before, after, runs, took: began.elapsed(), replays })
}

/// The file: with a planted bug it names it as one that it finds, and passes by itself.
fn scenario(from: &str, name: &str, goal: &Goal, mut spec: RunSpec, outcome: &Outcome) -> Scenario {
    let violation = outcome.violation.as_ref();
    let what = violation.map_or_else(String::new, |v| format!("{} at {} ms: {}", v.invariant, v.at_ms, v.text));
    let mut expect = Expect { verdict: goal.verdict.into(), ..Expect::default() };
    let mut note = format!("{from} minimised: {what}");
    if let Some(bug) = &goal.bug {
        spec.mutant = None;
        expect.verdict = "pass".into();
        expect.mutants = BTreeMap::from([(bug.clone(), vec![goal.invariant.clone()])]);
        note = format!("{from} minimised. With {bug} planted: {what}");
    } else {
        expect.invariant = Some(goal.invariant.clone());
    }
    Scenario { name: name.into(), note, version: VERSION.into(), binary: 0, spec, expect }
}

/// Whether the text of this scenario, read again, does what it says, twice the same.
fn replays(scenario: &Scenario, goal: &Goal) -> bool {
    let Ok(read) = Scenario::parse(&scenario.name, &scenario.to_brief_json()) else { return false };
    let mut planted = read.clone();
    planted.spec.mutant = goal.bug.clone().or(planted.spec.mutant);
    let digest = |s: &Scenario| one::run(&s.spec, None, false).outcome.map(|o| o.digest);
    let fine = |s: &Scenario| super::replay::differences(s, &one::run(&s.spec, None, false)).is_empty();
    read.spec == scenario.spec && fine(&read) && fine(&planted) && digest(&planted) == digest(&planted)
}

fn words(s: &Size) -> String {
    let some = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}, {} ({} crashes or cuts), {} ({}), {} ms",
        some(s.servers, "server"),
        some(s.faults, "fault"),
        s.cuts,
        some(s.operations, "operation"),
        some(s.writes, "write"),
        s.ms
    )
}

/// What `--json` says.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<&'a str>,
    invariant: &'a str,
    before: Size,
    after: Size,
    runs: u64,
    seconds: f64,
    replays: bool,
}

impl Minimised {
    /// What was done, in words.
    #[must_use]
    pub fn words(&self, file: &Path) -> String {
        let (seconds, runs) = (self.took.as_secs_f64(), self.runs);
        let mut out = format!("{}: {} in {seconds:.1} s and {runs} runs\n", self.scenario.name, self.invariant);
        let _ = writeln!(out, "  before  {}", words(&self.before));
        let _ = writeln!(out, "  after   {}", words(&self.after));
        let mutant = self.bug.as_ref().map_or_else(String::new, |id| format!(" --mutant {id}"));
        let _ = writeln!(out, "  again   quorate sim replay {}{mutant}", file.display());
        out
    }

    fn json(&self, file: &Path) -> String {
        let line = Line {
            file: file.display().to_string(),
            seed: self.scenario.spec.seed,
            mutant: self.bug.as_deref().or(self.scenario.spec.mutant.as_deref()),
            invariant: &self.invariant,
            before: self.before,
            after: self.after,
            runs: self.runs,
            seconds: self.took.as_secs_f64(),
            replays: self.replays,
        };
        format!("{}\n", serde_json::to_string(&line).unwrap_or_default())
    }
}

/// Where the small scenario of a file is written.
#[must_use]
pub fn file_beside(file: &Path) -> PathBuf {
    file.with_file_name(format!("{}-min.json", name_of(file)))
}

/// `quorate sim minimise`.
#[must_use]
pub fn run(options: &Minimise) -> SimExit {
    let stop = Stop::on_signals();
    let from = match source::seed_or_file(&options.source, options.mutant.as_deref()) {
        Ok(from) => from,
        Err(e) => return usage(&e),
    };
    let file = options.out.clone().unwrap_or_else(|| file_beside(Path::new(&from.name)));
    if let Err(e) = output::ready([file.as_path()]) {
        return usage(&e);
    }
    let bounds = Bounds { budget: options.budget, jobs: options.jobs, tell: true };
    let small = match minimise(&from, &name_of(&file), &bounds, &stop) {
        Ok(small) => small,
        Err(e) => return usage(&format!("{}: {e}", options.source)),
    };
    if !report::save_text(&small.scenario.to_brief_json(), &file) {
        return SimExit::Usage;
    }
    print(&if options.json { small.json(&file) } else { small.words(&file) });
    if !small.replays {
        eprintln!("error: {}: it does not do the same again", file.display());
        return SimExit::Determinism;
    }
    if stop.is_set() {
        eprintln!("stopped: this is the smallest run so far");
        return SimExit::Stopped;
    }
    SimExit::Clean
}
