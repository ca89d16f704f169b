//! Scenario files (simulation-catalogue section 5): JSON in, JSON out, strict.
//!
//! A file holds a whole [`RunSpec`], who it is and what must come out. What a run cannot honour is an error that names file,
//! line, column and field, never ignored; what is left out has the value that [`RunSpec::default`] gives it.

mod brief;
mod strict;
mod validate;

use std::collections::BTreeMap;
use std::fmt;

use quorate_core::mutant::Mutant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json_position::{Position, field_at, locate, position};
use crate::observe::{Outcome, Verdict};
use crate::spec::{Checks, DiskSpec, Faults, Limits, Network, RunSpec, Timing, Topology, Workload};

/// The invariant that two runs of one spec break when they differ.
pub const DETERMINISM: &str = "determinism";

/// The schema that is read and written.
pub const SCHEMA: &str = "quorate-scenario/1";

/// The version of this build, as files name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A scenario: a run and what must come out of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Its name; by convention that of its file.
    pub name: String,
    /// What it shows.
    pub note: String,
    /// Version of the build that wrote it; empty: unknown.
    pub version: String,
    /// The run.
    pub spec: RunSpec,
    /// What must come out.
    pub expect: Expect,
}

/// What a run of a scenario must give. What is absent is not asked.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// One of `pass`, `violation`, `liveness-failure`, `excused`, `panic`.
    pub verdict: String,
    /// The broken property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invariant: Option<String>,
    /// The run must have ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_tick: Option<i64>,
    /// [`Outcome::digest`] as `0x…`. Changes with the code, so kept only in files of found failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_hash: Option<String>,
    /// Transactions that must have been decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_commits: Option<u64>,
    /// Leaders that must have been established beyond the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_leader_changes: Option<u64>,
    /// Faults that must have found something to strike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_faults: Option<u64>,
    /// Planted bugs (catalogue ids) that this run must find, each with the properties of which one must be broken then. The file
    /// itself plants nothing: without them it gives [`Expect::verdict`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mutants: BTreeMap<String, Vec<String>>,
}

/// Which build a file was made by.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Build {
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    commit: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<String>,
}

/// The file as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(default, with = "crate::spec::hex")]
    seed: u64,
    #[serde(default)]
    build: Build,
    #[serde(default)]
    topology: Topology,
    #[serde(default)]
    timing: Timing,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    disk: DiskSpec,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    workload: Workload,
    #[serde(default)]
    checks: Checks,
    expect: Expect,
}

/// Why a text is no scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// Which field, as `faults.explicit[2].at`; empty at the top.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl Scenario {
    /// Reads a file's text. `file` is for messages only.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let unreadable = |e: serde_json::Error| {
            let message = e.to_string();
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_string();
            let (line, column) = (e.line().max(1), e.column().max(1));
            Problem { file: file.into(), line, column, field: field_at(text, line, column), what }
        };
        let at = |position: Position, field: String, what: String| Problem {
            file: file.into(),
            line: position.line,
            column: position.column,
            field,
            what,
        };
        let problem = |(field, what): (String, String)| at(locate(text, &field), field, what);
        let value: Value = serde_json::from_str(text).map_err(unreadable)?;
        if let Some((byte, field)) = strict::twice(text) {
            return Err(at(position(text, byte), field, "this key stands here twice".into()));
        }
        strict::version(&value).map_err(problem)?;
        strict::instants(&value).map_err(problem)?;
        let parsed: File = serde_json::from_str(text).map_err(unreadable)?;
        let scenario = Self::from(parsed);
        validate::validate(&scenario).map_err(problem)?;
        strict::circles(&scenario).map_err(problem)?;
        Ok(scenario)
    }

    /// The text of a file with every default written out.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.to_file()).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The text of a file with nothing but what is not as by default.
    #[must_use]
    pub fn to_brief_json(&self) -> String {
        let silent = Self {
            name: String::new(),
            note: String::new(),
            version: String::new(),
            spec: RunSpec::default(),
            expect: Expect::default(),
        };
        let value = |s: &Self| serde_json::to_value(s.to_file()).unwrap_or_default();
        brief::text(&value(self), &value(&silent))
    }

    fn to_file(&self) -> File {
        let spec = self.spec.clone();
        let features = if spec.mutant.is_some() { vec!["mutants".to_string()] } else { Vec::new() };
        File {
            schema: SCHEMA.into(),
            name: self.name.clone(),
            note: self.note.clone(),
            seed: spec.seed,
            build: Build { version: self.version.clone(), commit: String::new(), features, mutant: spec.mutant },
            topology: spec.topology,
            timing: spec.timing,
            network: spec.network,
            disk: spec.disk,
            limits: spec.limits,
            faults: spec.faults,
            workload: spec.workload,
            checks: spec.checks,
            expect: self.expect.clone(),
        }
    }

    /// The scenario of a run that was made, expecting what came out.
    #[must_use]
    pub fn found(name: &str, spec: RunSpec, outcome: &Outcome) -> Self {
        let tick = spec.timing.tick_ms.max(1);
        let expect = Expect {
            verdict: verdict_of(outcome).into(),
            invariant: outcome.violation.as_ref().map(|v| v.invariant.to_string()),
            before_tick: outcome.violation.as_ref().map(|v| v.at_ms / tick + 1),
            trace_hash: Some(format!("{:#018x}", outcome.digest)),
            ..Expect::default()
        };
        let differs = outcome.violation.as_ref().is_some_and(|v| v.invariant == DETERMINISM);
        let expect = Expect { trace_hash: expect.trace_hash.filter(|_| !differs), ..expect };
        let note = outcome.violation.as_ref().map(|v| v.text.clone()).unwrap_or_default();
        Self { name: name.into(), note, version: VERSION.into(), spec, expect }
    }

    /// Whether another version wrote it: its digest is not compared.
    #[must_use]
    pub fn is_of_another_build(&self) -> bool {
        !self.version.is_empty() && self.version != VERSION
    }

    /// What a digest of another build means.
    #[must_use]
    pub fn other_build(&self) -> String {
        let wrote = if self.version.is_empty() { "another build" } else { self.version.as_str() };
        format!(
            "written by {wrote}, this is {VERSION}: what a seed draws may differ between them; explicit faults and operations replay all the same"
        )
    }

    /// What of an outcome is not as expected with this bug planted, in words; empty: all is. `None` when nothing is said about it.
    #[must_use]
    pub fn differences_with(&self, mutant: &str, outcome: &Outcome) -> Option<Vec<String>> {
        let any_of = self.expect.mutants.get(mutant)?;
        let got = outcome.violation.as_ref().map_or("none", |v| v.invariant);
        let found = outcome.verdict != Verdict::Excused && any_of.iter().any(|id| id == got);
        let what = format!("invariant with {mutant} planted: expected any of {}, got {got}", any_of.join(" "));
        Some(if found { Vec::new() } else { vec![what] })
    }

    /// What of an outcome is not as expected, in words; empty: all is.
    #[must_use]
    pub fn differences(&self, outcome: &Outcome) -> Vec<String> {
        let e = &self.expect;
        let mut out = Vec::new();
        let mut demand = |what: &str, fine: bool, wanted: &dyn fmt::Display, got: &dyn fmt::Display| {
            if !fine {
                out.push(format!("{what}: expected {wanted}, got {got}"));
            }
        };
        let verdict = verdict_of(outcome);
        demand("verdict", e.verdict == verdict, &e.verdict, &verdict);
        if let Some(wanted) = &e.invariant {
            let got = outcome.violation.as_ref().map_or("none", |v| v.invariant);
            demand("invariant", wanted == got, wanted, &got);
        }
        if let Some(tick) = e.before_tick {
            let at = outcome.violation.as_ref().map_or(outcome.end_ms, |v| v.at_ms) / self.spec.timing.tick_ms.max(1);
            demand("before_tick", at < tick, &tick, &at);
        }
        if let Some(wanted) = &e.trace_hash {
            let got = format!("{:#018x}", outcome.digest);
            let got = format!("{got} ({})", self.other_build());
            demand("trace_hash", got.starts_with(wanted.as_str()) || self.is_of_another_build(), wanted, &got);
        }
        for (what, wanted, got) in [
            ("min_commits", e.min_commits, outcome.commits),
            ("min_leader_changes", e.min_leader_changes, outcome.leader_changes),
            ("min_faults", e.min_faults, outcome.faults_effective),
        ] {
            if let Some(wanted) = wanted {
                demand(what, got >= wanted, &wanted, &got);
            }
        }
        out
    }
}

/// The word for an outcome: a broken assertion has one of its own.
#[must_use]
pub fn verdict_of(outcome: &Outcome) -> &'static str {
    match &outcome.violation {
        Some(v) if v.invariant == "panic" && outcome.verdict == Verdict::Violation => "panic",
        _ => outcome.verdict.name(),
    }
}

impl From<File> for Scenario {
    fn from(f: File) -> Self {
        let spec = RunSpec {
            seed: f.seed,
            mutant: f.build.mutant,
            topology: f.topology,
            timing: f.timing,
            network: f.network,
            disk: f.disk,
            limits: f.limits,
            faults: f.faults,
            workload: f.workload,
            checks: f.checks,
        };
        Self { name: f.name, note: f.note, version: f.build.version, spec, expect: f.expect }
    }
}

/// Whether a planted bug of this id exists.
fn is_mutant(id: &str) -> bool {
    Mutant::by_id(id).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "{\n \"schema\": \"quorate-scenario/1\",\n \"name\": \"a\",\n \"expect\": {\"verdict\": \"pass\"}\n}";

    fn problem(text: &str) -> Problem {
        Scenario::parse("x.json", text).expect_err("it must be refused")
    }

    #[test]
    fn defaults_are_written_out_and_read_back() {
        let s = Scenario::parse("x.json", MINIMAL).expect("valid");
        let text = s.to_json();
        assert!(text.contains("\"max_ticks\"") && text.contains("\"swarm\""));
        assert_eq!(Scenario::parse("y.json", &text).expect("own text"), s);
    }

    #[test]
    fn every_mistake_has_a_place() {
        let with = |extra: &str| MINIMAL.replace("\"name\": \"a\",", &format!("\"name\": \"a\",\n {extra},"));
        for (text, line, field, word) in [
            (MINIMAL.replace("scenario/1", "scenario/2"), 2, "schema", "quorate-scenario/1"),
            (with("\"colour\": 3"), 4, "colour", "unknown field"),
            (with("\"topology\": {\"voters\": \"x\"}"), 4, "topology.voters", "invalid type"),
            (with("\"topology\": {\"voters\": 0}"), 4, "topology.voters", "at least one"),
            (MINIMAL[..60].to_string(), 4, "expect", "EOF"),
            (with("\"seed\": \"0xzz\""), 4, "seed", ""),
            (
                with(
                    "\"faults\": {\"explicit\": [\n {\"id\": 1, \"at\": {\"tick\": 3}, \"do\": \"kill\", \"node\": \"s4\"}]}",
                ),
                5,
                "faults.explicit[0].node",
                "s4",
            ),
            (
                with(
                    "\"faults\": {\"explicit\": [\n {\"id\": 1, \"at\": {\"tick\": -3}, \"do\": \"kill\", \"node\": \"s1\"}]}",
                ),
                5,
                "faults.explicit[0].at",
                "past",
            ),
            (
                with(
                    "\"faults\": {\"explicit\": [{\"id\": 1, \"at\": {\"after\": 2, \"ticks\": 1}, \"do\": \"kill\", \"node\": \"s1\"}]}",
                ),
                4,
                "faults.explicit[0].at",
                "no fault",
            ),
            (with("\"workload\": {\"generate\": {\"mix\": {\"jump\": 1}}}"), 4, "workload.generate.mix.jump", "jump"),
            (MINIMAL.replace("\"pass\"", "\"maybe\""), 4, "expect.verdict", "maybe"),
        ] {
            let p = problem(&text);
            assert_eq!((p.line, p.field.as_str()), (line, field), "{p} of {text}");
            assert!(p.what.contains(word), "{p}");
            assert!(p.to_string().starts_with("x.json:"), "{p}");
        }
    }
}
