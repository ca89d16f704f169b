//! One run, whatever happens in it.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use quorate_core::mutant::Mutant;
use quorate_sim::check::{Checks, Judged};
use quorate_sim::observe::NoCheck;
use quorate_sim::scenario::{DETERMINISM, Expect, Scenario, VERSION, verdict_of};
use quorate_sim::{Check, Options, Outcome, RunSpec, Verdict, Violation};
use serde::{Deserialize, Serialize};

use crate::recording;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of runs are results: they are kept for the report, not printed.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        LAST_PANIC.with(|last| *last.borrow_mut() = Some(info.to_string()));
    }));
}

/// How servers hear each other. Nothing that a run does depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Bytes, which they decode
    #[default]
    Encoded,
    /// Messages beside the bytes, which they need not decode
    Typed,
    /// Encoded, then typed: the digests must be equal
    Both,
}

impl Connections {
    /// Each way that a seed runs, as [`quorate_sim::spec::Network::typed`] says it.
    const fn ways(self) -> &'static [bool] {
        match self {
            Self::Encoded => &[false],
            Self::Typed => &[true],
            Self::Both => &[false, true],
        }
    }
}

const fn way(spec: &RunSpec) -> &'static str {
    if spec.network.typed { "typed" } else { "encoded" }
}

/// Which binary this is, as recordings say it. 0: it cannot be read.
pub fn binary() -> u64 {
    static BINARY: OnceLock<u64> = OnceLock::new();
    *BINARY.get_or_init(recording::build)
}

/// What came out of a run that may have panicked.
#[derive(Debug)]
pub struct Ran {
    /// The seed.
    pub seed: u64,
    /// One of the words of scenario files.
    pub verdict: &'static str,
    /// What came out; `None` after a panic that ended the run.
    pub outcome: Option<Outcome>,
    /// What was broken: by a check, or the panic's message.
    pub violation: Option<Violation>,
    /// Reads that the model has judged.
    pub reads: u64,
    /// Writes whose outcome a client was told.
    pub writes: u64,
    /// By operation and error, how often it was judged.
    pub judged: Judged,
    /// Real time.
    pub took: Duration,
}

impl Ran {
    /// Whether something was wrong.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.verdict, "violation" | "liveness-failure" | "panic" | "determinism")
    }
    /// The scenario file that makes this happen again.
    #[must_use]
    pub fn scenario(&self, name: &str, spec: &RunSpec) -> Scenario {
        if let Some(outcome) = &self.outcome {
            return Scenario { binary: binary(), ..Scenario::found(name, spec.clone(), outcome) };
        }
        let note = self.violation.as_ref().map(|v| v.text.clone()).unwrap_or_default();
        let expect = Expect { verdict: self.verdict.into(), ..Expect::default() };
        Scenario { name: name.into(), note, version: VERSION.into(), binary: 0, spec: spec.clone(), expect }
    }
}

/// Runs this spec. `trace` gets each step, if given.
pub fn run(spec: &RunSpec, trace: Option<&mut dyn FnMut(&str)>, record: bool) -> Ran {
    run_seen(spec, Options { trace, record, ..Options::default() })
}

/// The same for whoever wants to see more of it. Where the spec asks for it the run is made again, with connections of the other
/// kind, and must be the same.
pub fn run_seen(spec: &RunSpec, options: Options<'_>) -> Ran {
    let mut ran = once(spec, options);
    if !spec.checks.twice || ran.failed() {
        return ran;
    }
    let mut other = spec.clone();
    other.network.typed = !spec.network.typed;
    let again = once(&other, Options::default());
    let digest = |ran: &Ran| ran.outcome.as_ref().map_or(0, |o| o.digest);
    let (first, second) = (digest(&ran), digest(&again));
    ran.took += again.took;
    if first != second {
        let (way, before) = (way(&other), way(spec));
        let text = format!(
            "the same run again, connections {way}, has digest {second:#018x}; but the first time, connections {before}, it was \
             {first:#018x}"
        );
        let at_ms = ran.outcome.as_ref().map_or(0, |o| o.end_ms);
        let violation = Violation { invariant: DETERMINISM, at_ms, node: None, text, earlier: None };
        if let Some(outcome) = &mut ran.outcome {
            outcome.verdict = Verdict::Violation;
            outcome.violation = Some(violation.clone());
        }
        (ran.verdict, ran.violation) = (Verdict::Violation.name(), Some(violation));
    }
    ran
}

/// Runs this spec with these connections, each way twice if asked for: what came out first, unless another run differs from it.
pub fn run_ways(spec: &RunSpec, connections: Connections, twice: bool, options: Options<'_>) -> Ran {
    let times = if twice { 2 } else { 1 };
    let mut ways = connections.ways().iter().flat_map(|typed| std::iter::repeat_n(*typed, times));
    let mut spec = spec.clone();
    spec.network.typed = ways.next().unwrap_or_default();
    let mut ran = run_seen(&spec, options);
    for typed in ways {
        spec.network.typed = typed;
        if ran.verdict != DETERMINISM {
            compare(&mut ran, &run(&spec, None, false), way(&spec));
        }
    }
    ran
}

/// A seed that does not do the same twice proves nothing: that goes before whatever else was found.
fn compare(ran: &mut Ran, again: &Ran, way: &str) {
    let text = |r: &Ran| match &r.outcome {
        Some(o) => format!("{}, digest {:#018x}", r.verdict, o.digest),
        None => format!("{} ({})", r.verdict, r.violation.as_ref().map_or("", |v| &v.text)),
    };
    let (first, second) = (text(ran), text(again));
    if first != second {
        let text = format!("the first run: {first}; but another run of this seed, connections {way}: {second}");
        ran.verdict = DETERMINISM;
        ran.violation = Some(Violation { invariant: DETERMINISM, at_ms: 0, node: None, text, earlier: None });
    }
}

fn once(spec: &RunSpec, options: Options<'_>) -> Ran {
    let Options { mut trace, record, reach, tail, messages, mut picture } = options;
    let began = Instant::now();
    LAST_PANIC.with(|last| *last.borrow_mut() = None);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let (mut checks, mut nothing) = (Checks::new(spec), NoCheck);
        let check: &mut dyn Check = if spec.checks.safety { &mut checks } else { &mut nothing };
        let traced = trace.is_some();
        let mut line = |text: &str| {
            if let Some(trace) = &mut trace {
                trace(text);
            }
        };
        let trace: Option<&mut dyn FnMut(&str)> = if traced { Some(&mut line) } else { None };
        let picture = picture.as_deref_mut();
        let outcome = quorate_sim::run(spec, check, Options { trace, record, reach, tail, messages, picture });
        let judged = checks.judged().clone();
        (outcome, checks.tally(), judged)
    }));
    let took = began.elapsed();
    match result {
        Ok((mut outcome, tally, judged)) => {
            // The world has caught it; the hook knows where it was.
            let place = LAST_PANIC.with(|last| last.borrow_mut().take());
            if let (Some(v), Some(place)) = (outcome.violation.as_mut().filter(|v| v.invariant == "panic"), place) {
                v.text = place;
            }
            let (verdict, violation) = (verdict_of(&outcome), outcome.violation.clone());
            let (reads, writes) = (tally.reads, tally.writes);
            Ran { seed: spec.seed, verdict, violation, outcome: Some(outcome), reads, writes, judged, took }
        }
        Err(_) => {
            let text = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "a panic".into());
            let violation = Violation { invariant: "panic", at_ms: 0, node: None, text, earlier: None };
            let violation = Some(violation);
            let judged = Judged::default();
            Ran { seed: spec.seed, verdict: "panic", outcome: None, violation, reads: 0, writes: 0, judged, took }
        }
    }
}

/// The run of a seed, with a planted bug if asked for. `Err`: why that cannot be.
pub fn spec_of(seed: u64, mutant: Option<&str>) -> Result<RunSpec, String> {
    let mut spec = RunSpec::seeded(seed);
    if let Some(id) = mutant {
        can_plant(id)?;
        spec.mutant = Some(id.to_string());
    }
    Ok(spec)
}

/// Whether this build can plant that bug.
pub fn can_plant(id: &str) -> Result<(), String> {
    if Mutant::by_id(id).is_none() {
        let known: Vec<&str> = Mutant::ALL.iter().map(|(id, _)| *id).collect();
        return Err(format!("there is no planted bug {id:?}; there are {}", known.join(" ")));
    }
    if !cfg!(feature = "mutants") {
        return Err("this binary cannot plant bugs: build it with `--features mutants`".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::SimExit;
    use super::*;

    #[test]
    fn two_runs_that_differ_are_a_failure() {
        let spec = spec_of(3, None).unwrap();
        let mut ran = run_ways(&spec, Connections::Both, true, Options::default());
        assert_eq!(ran.verdict, "pass");
        let other = run(&spec_of(4, None).unwrap(), None, false);
        compare(&mut ran, &other, "typed");
        assert_eq!((ran.verdict, ran.failed()), ("determinism", true));
        assert!(ran.violation.unwrap().text.contains("connections typed: pass"));
        assert_eq!(SimExit::of(ran.verdict), SimExit::Determinism);
    }
}
