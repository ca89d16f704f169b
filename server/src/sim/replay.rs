//! `quorate sim run` and `quorate sim replay`.

use std::path::{Path, PathBuf};

use quorate_sim::exhaust::Choices;
use quorate_sim::scenario::Scenario;
use quorate_sim::{Options, RunSpec};

use super::args::{Replay, Run};
use super::one::{self, Connections, Ran};
use super::{SimExit, exhaust, report, source};
use crate::recording;
use crate::serve::print;

/// Says what cannot be.
pub(super) fn usage(what: &str) -> SimExit {
    eprintln!("error: {what}");
    SimExit::Usage
}

/// The file of a failing seed.
#[must_use]
pub fn file_of(out: &Path, seed: u64, mutant: Option<&str>) -> PathBuf {
    out.join(match mutant {
        Some(id) => format!("quorate-{id}-seed-{seed}.json"),
        None => format!("quorate-seed-{seed}.json"),
    })
}

/// Writes the scenario of a failing run; the file's name if that worked.
#[must_use]
pub fn save_failure(ran: &Ran, spec: &RunSpec, out: &Path) -> Option<PathBuf> {
    if !ran.failed() {
        return None;
    }
    let file = file_of(out, ran.seed, spec.mutant.as_deref());
    let name = file.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    report::save(&ran.scenario(&name, spec), &file).then_some(file)
}

/// `quorate sim run`.
#[must_use]
pub fn run(options: &Run) -> SimExit {
    let mutant = options.common.mutant.as_deref();
    let mut spec = match one::spec_of(options.seed, mutant) {
        Ok(spec) => spec,
        Err(e) => return usage(&e),
    };
    let connections = options.common.connections;
    let mut line = |text: &str| println!("{text}");
    let trace = options.trace.then_some(&mut line as &mut dyn FnMut(&str));
    let ran = one::run_ways(&spec, connections, false, Options { trace, reach: options.reach, ..Options::default() });
    spec.network.typed = connections == Connections::Typed;
    let file = save_failure(&ran, &spec, &options.common.out);
    if let Some(save) = &options.save {
        report::save(&ran.scenario(&format!("seed-{}", options.seed), &spec), save);
    }
    if options.common.json {
        print(&report::json(&ran, mutant, file.as_deref(), None));
    } else {
        print(&report::words(&ran, file.as_deref()));
    }
    SimExit::of(ran.verdict)
}

/// `quorate sim replay`.
#[must_use]
pub fn replay(options: &Replay) -> SimExit {
    match std::fs::read(&options.file) {
        Ok(bytes) if recording::replay::is_recording(&bytes) => return recorded(options, &bytes),
        Ok(bytes) => {
            if let Some(text) = std::str::from_utf8(&bytes).ok().filter(|text| Choices::claims(text)) {
                return exhaust::replay(options, text);
            }
        }
        Err(_) => {}
    }
    let scenario = match source::file(&options.file, options.mutant.as_deref()) {
        Ok(scenario) => scenario,
        Err(e) => return usage(&e),
    };
    let mut line = |text: &str| println!("{text}");
    let trace = options.trace.then_some(&mut line as &mut dyn FnMut(&str));
    let ran = one::run(&scenario.spec, trace, false);
    let differences = differences(&scenario, &ran);
    if options.json {
        print(&report::json(&ran, scenario.spec.mutant.as_deref(), Some(&options.file), Some(differences)));
    } else {
        print(&format!("{}: ", scenario.name));
        print(&report::words(&ran, None));
        let text: String = differences.iter().map(|d| format!("  not as expected: {d}\n")).collect();
        print(if text.is_empty() { "  as expected\n" } else { &text });
    }
    SimExit::of(ran.verdict)
}

/// A recording of `quorate serve`.
fn recorded(options: &Replay, bytes: &[u8]) -> SimExit {
    let name = options.file.display();
    let mut line = |text: &str| println!("{text}");
    let trace = options.trace.then_some(&mut line as &mut dyn FnMut(&str));
    let replayed = match recording::replay::replay(bytes, recording::build(), trace) {
        Ok(replayed) => replayed,
        Err(e) => return usage(&format!("{name}: {e}")),
    };
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&replayed).unwrap_or_default()));
    } else {
        print(&replayed.words(&options.file));
    }
    match replayed.verdict {
        "diverged" => SimExit::Determinism,
        "panic" => SimExit::Panic,
        _ if replayed.flaw.is_some_and(|f| f.contains("damaged")) => SimExit::Usage,
        _ => SimExit::Clean,
    }
}

/// What is not as the scenario expects of a run of its spec, in which a bug of `expect.mutants` may be planted.
#[must_use]
pub fn differences(scenario: &Scenario, ran: &Ran) -> Vec<String> {
    let planted = scenario.spec.mutant.as_deref().zip(ran.outcome.as_ref());
    if let Some(differences) = planted.and_then(|(id, outcome)| scenario.differences_with(id, outcome)) {
        return differences;
    }
    match &ran.outcome {
        Some(outcome) => scenario.differences(outcome),
        None if scenario.expect.verdict == ran.verdict => Vec::new(),
        None => vec![format!("verdict: expected {}, got {}", scenario.expect.verdict, ran.verdict)],
    }
}
