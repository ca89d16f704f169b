//! One run, whatever happens in it.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use quorate_core::mutant::Mutant;
use quorate_sim::check::Checks;
use quorate_sim::observe::NoCheck;
use quorate_sim::scenario::{DETERMINISM, Expect, Scenario, VERSION, verdict_of};
use quorate_sim::{Check, Options, Outcome, RunSpec, Verdict, Violation};

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of runs are results: they are kept for the report, not printed.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        LAST_PANIC.with(|last| *last.borrow_mut() = Some(info.to_string()));
    }));
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
            return Scenario::found(name, spec.clone(), outcome);
        }
        let note = self.violation.as_ref().map(|v| v.text.clone()).unwrap_or_default();
        let expect = Expect { verdict: self.verdict.into(), ..Expect::default() };
        Scenario { name: name.into(), note, version: VERSION.into(), spec: spec.clone(), expect }
    }
}

/// Runs this spec. `trace` gets each step, if given. Where the spec asks for it the run is made again, and must be the same.
pub fn run(spec: &RunSpec, trace: Option<&mut dyn FnMut(&str)>, record_ops: bool) -> Ran {
    run_seen(spec, Options { trace, record_ops, ..Options::default() })
}

/// The same for whoever wants to see more of it.
pub fn run_seen(spec: &RunSpec, options: Options<'_>) -> Ran {
    let mut ran = once(spec, options);
    if !spec.checks.twice || ran.failed() {
        return ran;
    }
    let again = once(spec, Options::default());
    let digest = |ran: &Ran| ran.outcome.as_ref().map_or(0, |o| o.digest);
    let (first, second) = (digest(&ran), digest(&again));
    ran.took += again.took;
    if first != second {
        let text = format!("the same run again has digest {second:#018x}; but the first time it was {first:#018x}");
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

fn once(spec: &RunSpec, options: Options<'_>) -> Ran {
    let Options { mut trace, record_ops, tail, messages, mut picture } = options;
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
        let outcome = quorate_sim::run(spec, check, Options { trace, record_ops, tail, messages, picture });
        (outcome, checks.tally())
    }));
    let took = began.elapsed();
    match result {
        Ok((mut outcome, tally)) => {
            // The world has caught it; the hook knows where it was.
            let place = LAST_PANIC.with(|last| last.borrow_mut().take());
            if let (Some(v), Some(place)) = (outcome.violation.as_mut().filter(|v| v.invariant == "panic"), place) {
                v.text = place;
            }
            let (verdict, violation) = (verdict_of(&outcome), outcome.violation.clone());
            let (reads, writes) = (tally.reads, tally.writes);
            Ran { seed: spec.seed, verdict, violation, outcome: Some(outcome), reads, writes, took }
        }
        Err(_) => {
            let text = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "a panic".into());
            let violation = Violation { invariant: "panic", at_ms: 0, node: None, text, earlier: None };
            let violation = Some(violation);
            Ran { seed: spec.seed, verdict: "panic", outcome: None, violation, reads: 0, writes: 0, took }
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
