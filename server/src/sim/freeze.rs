//! `quorate sim freeze`: a seed, or a file with generated parts, becomes a file that says everything itself.

use std::path::Path;

use quorate_sim::freeze::freeze;
use quorate_sim::scenario::Scenario;
use serde::Serialize;

use super::args::Freeze;
use super::one::{self, Ran};
use super::replay::usage;
use super::{SimExit, output, report, source};
use crate::serve::print;

/// What `--json` says.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<&'a str>,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<&'a str>,
    faults: usize,
    operations: usize,
    digest: String,
    frozen_digest: String,
    same: bool,
}

/// A scenario without generators, the run that it was made of, and a run of itself.
#[derive(Debug)]
pub struct Frozen {
    /// What can be written.
    pub scenario: Scenario,
    /// The run with generators.
    pub first: Ran,
    /// The run without.
    pub again: Ran,
}

impl Frozen {
    /// Freezes what this scenario runs; `None` when a run ended in a panic that left nothing of it.
    #[must_use]
    pub fn new(from: &Scenario) -> Option<Self> {
        let mut spec = from.spec.clone();
        spec.checks.twice = false;
        let first = one::run(&spec, None, true);
        let mut frozen = freeze(&spec, first.outcome.as_ref()?);
        let again = one::run(&frozen, None, false);
        frozen.checks.twice = from.spec.checks.twice;
        let found = Scenario::found(&from.name, frozen, again.outcome.as_ref()?);
        let mut scenario = Scenario { note: from.note.clone(), binary: one::binary(), ..found };
        if scenario.note.is_empty() {
            scenario.note = again.violation.as_ref().map(|v| v.text.clone()).unwrap_or_default();
        }
        let (expect, asked) = (&mut scenario.expect, &from.expect);
        (expect.min_commits, expect.min_faults) = (asked.min_commits, asked.min_faults);
        expect.min_leader_changes = asked.min_leader_changes;
        if from.spec.mutant.is_none() {
            expect.mutants.clone_from(&asked.mutants);
        }
        Some(Self { scenario, first, again })
    }

    fn digests(&self) -> [Option<u64>; 2] {
        [&self.first, &self.again].map(|ran| ran.outcome.as_ref().map(|o| o.digest))
    }

    /// Whether the two runs were the same, message by message.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let [first, again] = self.digests();
        first == again
    }
}

/// `quorate sim freeze`.
#[must_use]
pub fn run(options: &Freeze) -> SimExit {
    let mut from = match source::seed_or_file(&options.source, options.mutant.as_deref()) {
        Ok(from) => from,
        Err(e) => return usage(&e),
    };
    if let Err(e) = output::ready([options.out.as_path()]) {
        return usage(&e);
    }
    from.name = name_of(&options.out);
    let Some(frozen) = Frozen::new(&from) else {
        return usage(&format!("{}: the run ended in a panic that left nothing to freeze", options.source));
    };
    if !report::save(&frozen.scenario, &options.out) {
        return SimExit::Usage;
    }
    let (file, spec) = (options.out.display(), &frozen.scenario.spec);
    let [first, again] = frozen.digests().map(|digest| format!("{:#018x}", digest.unwrap_or_default()));
    let (faults, operations) = (spec.faults.explicit.len(), spec.workload.explicit.len());
    if options.json {
        let line = Line {
            file: file.to_string(),
            seed: spec.seed,
            mutant: spec.mutant.as_deref(),
            verdict: frozen.again.verdict,
            invariant: frozen.again.violation.as_ref().map(|v| v.invariant),
            faults,
            operations,
            digest: first,
            frozen_digest: again,
            same: frozen.is_same(),
        };
        print(&format!("{}\n", serde_json::to_string(&line).unwrap_or_default()));
    } else {
        let same =
            if frozen.is_same() { format!("digest {first} as before") } else { format!("digest {again}, was {first}") };
        let verdict = frozen.again.verdict;
        print(&format!("{file}: {faults} faults, {operations} operations, {verdict}, {same}\n"));
    }
    if frozen.is_same() {
        return SimExit::Clean;
    }
    eprintln!("error: {file}: the frozen run is not the same as the generated one; the file is written all the same");
    SimExit::Determinism
}

/// A scenario is called as its file.
pub(super) fn name_of(file: &Path) -> String {
    file.file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy().into_owned())
}
