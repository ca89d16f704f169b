//! Scenario files (simulation-catalogue section 5): JSON in, JSON out, strict.
//!
//! A file holds a whole [`RunSpec`], who it is and what must come out. What a run cannot honour is an error that names file,
//! line, column and field, never ignored; what is left out has the value that [`RunSpec::default`] gives it.

mod bounds;
mod brief;
mod invariants;
mod problem;
mod strict;
mod takes;
mod validate;

use std::collections::BTreeMap;
use std::fmt;

use quorate_core::mutant::Mutant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use bounds::{BOUNDS, Bound};
pub use invariants::INVARIANTS;
pub use problem::{Problem, text};

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
    /// Digest of the binary that wrote it, as recordings name it; 0: unknown.
    pub binary: u64,
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
    /// For people: nothing depends on it, and nothing writes it.
    #[serde(skip_serializing_if = "String::is_empty")]
    commit: String,
    #[serde(with = "crate::spec::hex", skip_serializing_if = "is_unknown")]
    binary: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_unknown(binary: &u64) -> bool {
    *binary == 0
}

/// The features that a file may ask for.
const FEATURES: &[&str] = &["mutants"];

/// Something in an outcome that is not as expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What the file says about it, as `expect.verdict`.
    pub field: String,
    /// In words.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
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

impl Scenario {
    /// Reads a file's text. `file` is for messages only.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let unreadable = |e: serde_json::Error| Problem::unreadable(file, text, &e);
        let problem = |(field, what): (String, String)| Problem::at(file, text, field, what);
        let value: Value = serde_json::from_str(text).map_err(unreadable)?;
        if let Some((byte, field)) = strict::twice(text) {
            return Err(Problem::byte(file, text, byte, field, "this key stands here twice".into()));
        }
        strict::version(&value).map_err(problem)?;
        strict::instants(&value).map_err(problem)?;
        bounds::check(&value).map_err(problem)?;
        let parsed: File = serde_json::from_str(text).map_err(unreadable)?;
        if let Some(i) = parsed.build.features.iter().position(|name| !FEATURES.contains(&name.as_str())) {
            let what = format!("{:?} is no feature that a run needs; there is mutants", parsed.build.features[i]);
            return Err(problem((format!("build.features[{i}]"), what)));
        }
        let scenario = Self::from(parsed);
        validate::validate(&scenario).map_err(problem)?;
        strict::circles(&scenario).map_err(problem)?;
        takes::in_time(&scenario.spec).map_err(problem)?;
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
            binary: 0,
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
            build: Build {
                version: self.version.clone(),
                commit: String::new(),
                binary: self.binary,
                features,
                mutant: spec.mutant,
            },
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
        Self { name: name.into(), note, version: VERSION.into(), binary: 0, spec, expect }
    }

    /// What there is to know about a file that another version wrote.
    #[must_use]
    pub fn other_version(&self) -> Option<Difference> {
        let other = !self.version.is_empty() && self.version != VERSION;
        let what = || {
            format!(
                "written by {}, this is {VERSION}: what a seed draws may differ between them; explicit faults and operations replay all \
                 the same",
                self.version
            )
        };
        other.then(|| Difference { field: "build.version".into(), what: what() })
    }

    /// What a digest that the run does not have says of it. `binary`: that of this build.
    fn other_hash(&self, wanted: &str, got: u64, binary: u64) -> String {
        let got = format!("this run has {got:#018x}");
        if self.other_version().is_some() {
            return format!("{wanted} is the hash of another version ({}, this is {VERSION}); {got}", self.version);
        }
        match (self.binary, binary) {
            (0, _) | (_, 0) => format!("expected {wanted}, perhaps of another build (the file does not say); {got}"),
            (a, b) if a == b => format!("the run differs: this build had {wanted} when it wrote the file; {got}"),
            (a, b) => {
                format!(
                    "{wanted} is the hash of another build of {VERSION} (binary {a:#018x}, this is {b:#018x}); {got}"
                )
            }
        }
    }

    /// What of an outcome is not as expected with this bug planted; empty: all is. `None` when nothing is said about it.
    #[must_use]
    pub fn differences_with(&self, mutant: &str, outcome: &Outcome) -> Option<Vec<Difference>> {
        let any_of = self.expect.mutants.get(mutant)?;
        let got = outcome.violation.as_ref().map_or("none", |v| v.invariant);
        let found = outcome.verdict != Verdict::Excused && any_of.iter().any(|id| id == got);
        let what = format!("expected any of {} with {mutant} planted, got {got}", any_of.join(" "));
        Some(if found { Vec::new() } else { vec![Difference { field: format!("expect.mutants.{mutant}"), what }] })
    }

    /// What of an outcome is not as expected; empty: all is. `binary` is that of this build, 0 if it is not known.
    #[must_use]
    pub fn differences(&self, outcome: &Outcome, binary: u64) -> Vec<Difference> {
        let e = &self.expect;
        let mut out = Vec::new();
        let mut say = |key: &str, what: String| out.push(Difference { field: format!("expect.{key}"), what });
        let verdict = verdict_of(outcome);
        if e.verdict != verdict {
            say("verdict", format!("expected {}, got {verdict}", e.verdict));
        }
        let got = outcome.violation.as_ref().map_or("none", |v| v.invariant);
        if let Some(wanted) = e.invariant.as_ref().filter(|wanted| *wanted != got) {
            say("invariant", format!("expected {wanted}, got {got}"));
        }
        let at = outcome.violation.as_ref().map_or(outcome.end_ms, |v| v.at_ms) / self.spec.timing.tick_ms.max(1);
        if let Some(tick) = e.before_tick.filter(|tick| at >= *tick) {
            say("before_tick", format!("expected {tick}, got {at}"));
        }
        if let Some(wanted) = e.trace_hash.as_ref().filter(|text| validate::hash(text) != Some(outcome.digest)) {
            say("trace_hash", self.other_hash(wanted, outcome.digest, binary));
        }
        for (what, wanted, got) in [
            ("min_commits", e.min_commits, outcome.commits),
            ("min_leader_changes", e.min_leader_changes, outcome.leader_changes),
            ("min_faults", e.min_faults, outcome.faults_effective),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| got < *wanted) {
                say(what, format!("expected {wanted}, got {got}"));
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
        let (version, binary) = (f.build.version, f.build.binary);
        Self { name: f.name, note: f.note, version, binary, spec, expect: f.expect }
    }
}

/// Why no run can break a property of this name; `None`: one can.
#[must_use]
pub fn unknown_invariant(id: &str) -> Option<String> {
    invariants::unknown(id, true)
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
