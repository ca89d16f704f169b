//! `quorate sim run` and `quorate sim replay`.

use std::path::{Path, PathBuf};

use quorate_sim::exhaust::Choices;
use quorate_sim::report::{HEADER, Picture};
use quorate_sim::scenario::{Difference, Problem, Scenario};
use quorate_sim::{Options, RunSpec};

use super::args::{Replay, Run, Shown};
use super::one::{self, Connections, Ran};
use super::{SimExit, exhaust, output, picture, report, source};
use crate::recording;
use crate::serve::print;

/// Says what cannot be.
pub(super) fn usage(what: &str) -> SimExit {
    eprintln!("error: {what}");
    SimExit::Usage
}

/// Makes a run of this spec and shows what is wanted of it. `false`: a file could not be written.
fn shown(spec: &RunSpec, name: &str, shown: &Shown, run: impl FnOnce(Options<'_>) -> Ran) -> (Ran, bool) {
    let mut line = |text: &str| println!("{text}");
    if shown.trace {
        line(HEADER);
    }
    let mut picture = shown.html.as_ref().map(|_| Picture::default());
    let trace = shown.trace.then_some(&mut line as &mut dyn FnMut(&str));
    let ran = run(Options { trace, messages: shown.messages, picture: picture.as_mut(), ..Options::default() });
    let drawn = picture.zip(shown.html.as_ref()).is_none_or(|(mut picture, file)| {
        picture::write(file, &picture::About::of_run(name, spec, &ran), &mut picture)
    });
    (ran, drawn)
}

/// Runs a failing seed again to draw it. `false`: the file could not be written.
#[must_use]
pub fn draw(spec: &RunSpec, file: &Path) -> bool {
    let name = file.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let only = Shown { trace: false, messages: false, html: Some(file.to_path_buf()) };
    shown(spec, &name, &only, |options| one::run_seen(spec, options)).1
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
    let files = [&options.shown.html, &options.save].into_iter().filter_map(|file| file.as_deref());
    if let Err(e) = output::ready(files) {
        return usage(&e);
    }
    let connections = options.common.connections;
    spec.network.typed = connections == Connections::Typed;
    let (ran, drawn) = shown(&spec, &format!("seed {}", options.seed), &options.shown, |shown| {
        one::run_ways(&spec, connections, false, Options { reach: options.reach, ..shown })
    });
    let file = save_failure(&ran, &spec, &options.common.out);
    let mut written = drawn && (file.is_some() || !ran.failed());
    if let Some(save) = &options.save {
        written &= report::save(&ran.scenario(&format!("seed-{}", options.seed), &spec), save);
    }
    if options.common.json {
        print(&report::json(&ran, mutant, file.as_deref(), None));
    } else {
        print(&report::words(&ran, file.as_deref()));
    }
    written_or(written, SimExit::of(ran.verdict))
}

/// The exit code, unless a file could not be written.
fn written_or(written: bool, exit: SimExit) -> SimExit {
    if written { exit } else { exit.worse(SimExit::Usage) }
}

/// `quorate sim replay`.
#[must_use]
pub fn replay(options: &Replay) -> SimExit {
    let name = options.file.display().to_string();
    let bytes = match std::fs::read(&options.file) {
        Ok(bytes) => bytes,
        Err(e) => return usage(&format!("{name}: {e}")),
    };
    if let Err(e) = output::ready(options.shown.html.as_deref()) {
        return usage(&e);
    }
    if recording::replay::is_recording(&bytes) {
        return recorded(options, &bytes);
    }
    if let Some(text) = std::str::from_utf8(&bytes).ok().filter(|text| Choices::claims(text)) {
        return exhaust::replay(options, text);
    }
    let (scenario, text) = match source::read(&options.file, &bytes, options.mutant.as_deref()) {
        Ok(read) => read,
        Err(e) => return usage(&e),
    };
    let place = |d: Difference| Problem::at(&name, text, d.field, d.what).to_string();
    let spec = &scenario.spec;
    let (ran, drawn) = shown(spec, &scenario.name, &options.shown, |shown| one::run_seen(spec, shown));
    let differences: Vec<String> = differences(&scenario, &ran).into_iter().map(place).collect();
    let expected = if differences.is_empty() { SimExit::Clean } else { SimExit::Unexpected };
    let note = scenario.other_version().map(place);
    if options.json {
        let replayed = report::Replayed { differences, note };
        print(&report::json(&ran, scenario.spec.mutant.as_deref(), Some(&options.file), Some(replayed)));
    } else {
        print(&format!("{}: ", scenario.name));
        print(&report::words(&ran, None));
        let text: String = differences.iter().map(|d| format!("  not as expected: {d}\n")).collect();
        print(if text.is_empty() { "  as expected\n" } else { &text });
        print(&note.map_or_else(String::new, |note| format!("  note: {note}\n")));
    }
    written_or(drawn, SimExit::of(ran.verdict).worse(expected))
}

/// A recording of `quorate serve`.
fn recorded(options: &Replay, bytes: &[u8]) -> SimExit {
    let name = options.file.display();
    if options.shown.messages {
        return usage(&format!(
            "{name}: a recording has what one server was told: --trace shows it; --messages is for simulated runs"
        ));
    }
    if options.mutant.is_some() {
        return usage(&format!("{name}: a recording is of a server as it was: no bug can be planted in it"));
    }
    let mut line = |text: &str| println!("{text}");
    let trace = options.shown.trace.then_some(&mut line as &mut dyn FnMut(&str));
    let mut facts = options.shown.html.as_ref().map(|_| Picture::default());
    let replayed = match recording::replay::replay(bytes, recording::build(), trace, facts.as_mut()) {
        Ok(replayed) => replayed,
        Err(e) => return usage(&format!("{name}: {e}")),
    };
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&replayed).unwrap_or_default()));
    } else {
        print(&replayed.words(&options.file));
    }
    let drawn = facts.zip(options.shown.html.as_ref()).is_none_or(|(mut facts, file)| {
        picture::write(file, &picture::About::of_recording(&options.file, &replayed), &mut facts)
    });
    let exit = match replayed.verdict {
        "diverged" => SimExit::Determinism,
        "panic" => SimExit::Panic,
        _ if replayed.flaw.is_some_and(|f| f.contains("damaged")) => SimExit::Usage,
        _ => SimExit::Clean,
    };
    written_or(drawn, exit)
}

/// What is not as the scenario expects of a run of its spec, in which a bug of `expect.mutants` may be planted.
#[must_use]
pub fn differences(scenario: &Scenario, ran: &Ran) -> Vec<Difference> {
    let planted = scenario.spec.mutant.as_deref().zip(ran.outcome.as_ref());
    if let Some(differences) = planted.and_then(|(id, outcome)| scenario.differences_with(id, outcome)) {
        return differences;
    }
    match &ran.outcome {
        Some(outcome) => scenario.differences(outcome, one::binary()),
        None if scenario.expect.verdict == ran.verdict => Vec::new(),
        None => {
            let what = format!("expected {}, got {}", scenario.expect.verdict, ran.verdict);
            vec![Difference { field: "expect.verdict".into(), what }]
        }
    }
}
