//! What a campaign adds up to: a table for people, one JSON object for machines, and whether it means anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quorate_sim::RunSpec;
use quorate_sim::spec::FaultKind;
use serde::{Deserialize, Serialize};

use super::SimExit;
use super::one::{Connections, Ran};
use crate::version;

/// Of the summary's JSON; a change that a reader could trip over makes a new number.
pub const SCHEMA: u32 = 1;

/// Floors of a campaign that means something: commits of a run, how many runs in a thousand reach that, means per run.
const MIN_COMMITS: u64 = 100;
const RUNS_PERMILLE: u64 = 950;
const MEAN_LEADER_CHANGES: u64 = 1;
const MEAN_FAULTS: u64 = 3;
/// More excused runs than one in so many: the generator breaks what it must not break.
const EXCUSED_ONE_IN: u64 = 100;
/// More runs than one in so many that pass only because more servers came back: 2.1 % of 3,000 seeds did when this was written.
const WIDENED_ONE_IN: u64 = 25;
/// Fewer runs than this say nothing about means.
pub const FLOOR_RUNS: u64 = 200;

/// Sum and least over runs.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Of all runs.
    pub sum: u64,
    /// Of the run that had least.
    pub min: u64,
    /// A run, on average.
    pub mean: f64,
}

impl Amount {
    fn add(&mut self, n: u64, runs_before: u64) {
        self.min = if runs_before == 0 { n } else { self.min.min(n) };
        self.sum += n;
        self.mean = self.sum as f64 / (runs_before + 1) as f64;
    }
    fn join(&mut self, other: Self, runs: u64, others: u64) {
        self.min = match (runs, others) {
            (0, _) => other.min,
            (_, 0) => self.min,
            _ => self.min.min(other.min),
        };
        self.sum += other.sum;
        self.mean = self.sum as f64 / (runs + others).max(1) as f64;
    }
}

/// One kind of fault over a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindCount {
    /// Runs whose swarm had it.
    pub drawn: u64,
    /// Times that it changed something that would have happened; of schedules, times that one began.
    pub effective: u64,
    /// Runs in which it did.
    pub runs: u64,
}

/// A run that failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// The word of scenario files.
    pub verdict: String,
    /// What was broken.
    pub invariant: String,
    /// Virtual time.
    pub at_ms: i64,
    /// Both facts, in words.
    pub text: String,
    /// The scenario that makes it happen again.
    pub file: Option<String>,
}

/// Seeds, the second one not included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// First.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
}

/// Which part of a campaign this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

impl Shard {
    /// This part of these seeds.
    #[must_use]
    pub fn part(self, whole: Span) -> Span {
        let count = u128::from(whole.to - whole.from);
        let edge = |i: u64| whole.from + u64::try_from(count * u128::from(i) / u128::from(self.of)).unwrap_or(0);
        Span { from: edge(self.index), to: edge(self.index + 1) }
    }
}

/// What a campaign was told; parts of one campaign agree in it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Version of the binary.
    pub version: String,
    /// Planted bug.
    pub mutant: Option<String>,
    /// How servers heard each other.
    #[serde(default)]
    pub connections: Connections,
    /// Each seed ran twice.
    pub twice: bool,
    /// Whether the floors are demanded.
    pub floors: bool,
    /// The seeds of all shards together; absent with `--for` alone.
    pub whole: Option<Span>,
}

/// Why a campaign ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All its seeds have run.
    #[default]
    Complete,
    /// `--for` is over.
    Time,
    /// `--first` has found one.
    First,
    /// A signal.
    Stopped,
}

/// See the module. `quorate sim fuzz --help` describes the JSON.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Always `campaign`: no other line has this key.
    pub kind: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it was told.
    pub settings: Settings,
    /// Which part it is.
    pub shard: Option<Shard>,
    /// Why it ended.
    pub ended: Ended,
    /// The seeds that have run.
    pub seeds: Vec<Span>,
    /// Real time; of merged parts, the sum.
    pub seconds: f64,
    /// Runs.
    pub runs: u64,
    /// Nothing was wrong.
    pub pass: u64,
    /// Safety is broken.
    pub violations: u64,
    /// The ensemble did not come back.
    pub liveness_failures: u64,
    /// It could not come back.
    pub excused: u64,
    /// Runs that passed after a first doubt: what was late was forgiven, and more servers came back.
    #[serde(default)]
    pub widened: u64,
    /// Panics in a run.
    pub panics: u64,
    /// Two runs of one seed differed.
    pub nondeterministic: u64,
    /// Runs with a hundred commits, and those that a failure ended before.
    pub worked: u64,
    /// Transactions decided.
    pub commits: Amount,
    /// Leaders established beyond the first.
    pub leader_changes: Amount,
    /// Faults that found something to strike.
    pub faults_effective: Amount,
    /// Batches of bytes between servers.
    pub messages: Amount,
    /// Virtual time.
    pub virtual_ms: Amount,
    /// Reads that the model has judged.
    pub reads: Amount,
    /// Writes whose outcome a client was told.
    pub writes: Amount,
    /// How often each operation was judged, by what came of it: the number of an error, 0 for success.
    #[serde(default)]
    pub operations: BTreeMap<String, BTreeMap<i32, u64>>,
    /// By kind of fault.
    pub faults: BTreeMap<String, KindCount>,
    /// Ascending by seed.
    pub failures: Vec<Failure>,
    /// What is below its floor.
    pub shortfalls: Vec<String>,
    /// The exit code.
    pub exit: u8,
}

/// The word of scenario files.
fn name_of(kind: FaultKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Summary {
    /// Nothing has run yet.
    #[must_use]
    pub fn new(mut settings: Settings, shard: Option<Shard>) -> Self {
        settings.version = version::QUORATE.into();
        Self { kind: "campaign".into(), schema: SCHEMA, settings, shard, ..Self::default() }
    }

    /// How many runs failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.violations + self.liveness_failures + self.panics + self.nondeterministic
    }

    /// Counts a run of this spec.
    pub fn add(&mut self, ran: &Ran, spec: &RunSpec, file: Option<String>) {
        match ran.verdict {
            "violation" => self.violations += 1,
            "liveness-failure" => self.liveness_failures += 1,
            "excused" => self.excused += 1,
            "panic" => self.panics += 1,
            "determinism" => self.nondeterministic += 1,
            _ => self.pass += 1,
        }
        let before = self.runs;
        self.runs += 1;
        if let Some(v) = ran.violation.as_ref().filter(|_| ran.failed()) {
            self.failures.push(Failure {
                seed: ran.seed,
                verdict: ran.verdict.into(),
                invariant: v.invariant.into(),
                at_ms: v.at_ms,
                text: v.text.clone(),
                file,
            });
        }
        let o = ran.outcome.as_ref();
        self.widened += u64::from(ran.verdict == "pass" && o.is_some_and(|o| o.widened));
        let commits = o.map_or(0, |o| o.commits);
        self.worked += u64::from(commits >= MIN_COMMITS || ran.failed());
        self.commits.add(commits, before);
        self.leader_changes.add(o.map_or(0, |o| o.leader_changes), before);
        self.faults_effective.add(o.map_or(0, |o| o.faults_effective), before);
        self.messages.add(o.map_or(0, |o| o.messages), before);
        self.virtual_ms.add(o.map_or(0, |o| o.end_ms.unsigned_abs()), before);
        self.reads.add(ran.reads, before);
        self.writes.add(ran.writes, before);
        for (name, err, count) in ran.judged.iter() {
            *self.operations.entry(name.to_owned()).or_default().entry(err).or_default() += count;
        }
        self.count_faults(ran, spec);
    }

    fn count_faults(&mut self, ran: &Ran, spec: &RunSpec) {
        let swarm = if spec.faults.swarm { quorate_sim::draw::swarm(spec) } else { Vec::new() };
        for generator in swarm.iter().chain(&spec.faults.generate) {
            let name = generator.schedule.map_or_else(|| name_of(generator.kind), |s| s.name().to_owned());
            self.faults.entry(name).or_default().drawn += 1;
        }
        for (name, times) in ran.outcome.iter().flat_map(|o| &o.effective) {
            let count = self.faults.entry((*name).to_owned()).or_default();
            count.effective += times;
            count.runs += 1;
        }
    }

    /// What makes this campaign worth little.
    fn judge(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.runs < FLOOR_RUNS || !self.settings.floors {
            return out;
        }
        if self.worked * 1000 < self.runs * RUNS_PERMILLE {
            out.push(format!(
                "only {} of {} runs reached {MIN_COMMITS} commits, fewer than 95 %",
                self.worked, self.runs
            ));
        }
        if self.leader_changes.sum < self.runs * MEAN_LEADER_CHANGES {
            out.push(format!("{:.2} leader changes a run, fewer than one", self.leader_changes.mean));
        }
        if self.faults_effective.sum < self.runs * MEAN_FAULTS {
            out.push(format!("{:.2} effective faults a run, fewer than three", self.faults_effective.mean));
        }
        if self.excused * EXCUSED_ONE_IN > self.runs {
            out.push(format!(
                "{} of {} runs were excused, more than 1 %: the generator breaks what it must not break",
                self.excused, self.runs
            ));
        }
        if self.widened * WIDENED_ONE_IN > self.runs {
            out.push(format!(
                "{} of {} runs passed after a doubt, more than 4 %: availability is missing where it was promised",
                self.widened, self.runs
            ));
        }
        out
    }

    /// No more runs come: orders, judges, and says how the process ends.
    pub fn finish(&mut self) -> SimExit {
        self.failures.sort_by_key(|f| f.seed);
        self.shortfalls = self.judge();
        let mut exit = SimExit::Clean;
        for (count, how) in [
            (self.liveness_failures, SimExit::Liveness),
            (self.panics, SimExit::Panic),
            (self.nondeterministic, SimExit::Determinism),
            (self.violations, SimExit::Violation),
        ] {
            if count > 0 {
                exit = exit.worse(how);
            }
        }
        if exit == SimExit::Clean && !self.shortfalls.is_empty() {
            exit = SimExit::Floors;
        }
        if exit == SimExit::Clean && self.ended == Ended::Stopped {
            exit = SimExit::Stopped;
        }
        self.exit = exit as u8;
        exit
    }

    /// One line of JSON, newline included.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The table for people.
    #[must_use]
    pub fn table(&self, colour: bool) -> String {
        let (red, green, plain) = if colour { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        let tint = if self.failed() > 0 { red } else { green };
        let mut out = format!(
            "{tint}{} runs, {} failed{plain}: {} passed ({} after a doubt), {} excused, {} violations, {} liveness failures, {} panics",
            self.runs,
            self.failed(),
            self.pass,
            self.widened,
            self.excused,
            self.violations,
            self.liveness_failures,
            self.panics
        );
        if self.settings.twice || self.settings.connections == Connections::Both {
            let _ = write!(out, ", {} not the same twice", self.nondeterministic);
        }
        let _ = writeln!(out, "\n  {:<18} {:>14} {:>10} {:>12}", "", "all runs", "least", "mean");
        for (what, a) in [
            ("commits", self.commits),
            ("leader changes", self.leader_changes),
            ("effective faults", self.faults_effective),
            ("reads judged", self.reads),
            ("writes answered", self.writes),
            ("quorum messages", self.messages),
            ("virtual ms", self.virtual_ms),
        ] {
            let _ = writeln!(out, "  {what:<18} {:>14} {:>10} {:>12.1}", a.sum, a.min, a.mean);
        }
        if self.seconds > 0.0 {
            let rate = self.runs as f64 / self.seconds;
            let _ = writeln!(out, "  {:<18} {:>14.1} {:>10} {rate:>10.1}/s", "seconds", self.seconds, "");
        }
        if !self.faults.is_empty() {
            let _ = writeln!(out, "  {:<18} {:>14} {:>10} {:>12}", "fault", "runs drawn in", "runs", "effective");
            for (name, f) in &self.faults {
                let _ = writeln!(out, "  {name:<18} {:>14} {:>10} {:>12}", f.drawn, f.runs, f.effective);
            }
        }
        for f in &self.failures {
            let file = f.file.as_deref().unwrap_or("no file");
            let _ = writeln!(out, "  {red}seed {}: {} {}{plain}, {file}", f.seed, f.verdict, f.invariant);
        }
        for shortfall in &self.shortfalls {
            let _ = writeln!(out, "  {red}{shortfall}{plain}");
        }
        out
    }

    /// How often each operation was judged: those that a client was answered 0, then each error.
    #[must_use]
    pub fn operations_table(&self) -> String {
        let mut out = format!("  {:<40} {:>10}  errors\n", "judged", "0");
        for (name, counts) in &self.operations {
            let _ = write!(out, "  {name:<40} {:>10} ", counts.get(&0).copied().unwrap_or(0));
            for (err, count) in counts.iter().rev().filter(|(err, _)| **err != 0) {
                let _ = write!(out, " {err}: {count}");
            }
            out.push('\n');
        }
        let all: u64 = self.operations.values().flat_map(BTreeMap::values).sum();
        let _ = writeln!(out, "  {all} in all, of {} operations", self.operations.len());
        out
    }

    /// Takes in another part of the same campaign; the caller has seen that it is one.
    pub fn join(&mut self, other: Self) {
        let (runs, others) = (self.runs, other.runs);
        self.runs += other.runs;
        self.pass += other.pass;
        self.violations += other.violations;
        self.liveness_failures += other.liveness_failures;
        self.excused += other.excused;
        self.widened += other.widened;
        self.panics += other.panics;
        self.nondeterministic += other.nondeterministic;
        self.worked += other.worked;
        self.seconds += other.seconds;
        for (a, b) in [
            (&mut self.commits, other.commits),
            (&mut self.leader_changes, other.leader_changes),
            (&mut self.faults_effective, other.faults_effective),
            (&mut self.messages, other.messages),
            (&mut self.virtual_ms, other.virtual_ms),
            (&mut self.reads, other.reads),
            (&mut self.writes, other.writes),
        ] {
            a.join(b, runs, others);
        }
        for (name, counts) in other.operations {
            let mine = self.operations.entry(name).or_default();
            counts.into_iter().for_each(|(err, count)| *mine.entry(err).or_default() += count);
        }
        for (name, count) in other.faults {
            let mine = self.faults.entry(name).or_default();
            mine.drawn += count.drawn;
            mine.effective += count.effective;
            mine.runs += count.runs;
        }
        self.failures.extend(other.failures);
        if self.ended == Ended::Complete {
            self.ended = other.ended;
        }
        self.seeds.extend(other.seeds);
        self.seeds.sort_unstable();
        self.seeds.retain(|s| s.from < s.to);
        self.seeds.dedup_by(|next, last| {
            let touches = next.from == last.to;
            if touches {
                last.to = next.to;
            }
            touches
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_the_whole_and_nothing_twice() {
        for whole in [Span { from: 5, to: 5 + 17 }, Span { from: 0, to: 3 }, Span { from: 7, to: u64::MAX }] {
            let mut at = whole.from;
            for index in 0..6 {
                let part = Shard { index, of: 6 }.part(whole);
                assert_eq!(part.from, at);
                at = part.to;
            }
            assert_eq!(at, whole.to);
        }
    }

    fn summary(runs: u64) -> Summary {
        let mut s = Summary::new(Settings { floors: true, ..Settings::default() }, None);
        s.runs = runs;
        s.pass = runs;
        s.worked = runs;
        s.leader_changes.sum = runs;
        s.faults_effective.sum = 3 * runs;
        s
    }

    #[test]
    fn floors() {
        assert_eq!(summary(1000).finish(), SimExit::Clean);
        let lacking: [fn(&mut Summary); 5] = [
            |s| s.worked = 949,
            |s| s.leader_changes.sum = 999,
            |s| s.faults_effective.sum = 2999,
            |s| s.excused = 11,
            |s| s.widened = 41,
        ];
        for spoil in lacking {
            let mut s = summary(1000);
            spoil(&mut s);
            assert_eq!(s.finish(), SimExit::Floors);
            assert_eq!(s.shortfalls.len(), 1, "{:?}", s.shortfalls);
            s.settings.floors = false;
            assert_eq!(s.finish(), SimExit::Clean);
        }
        let mut few = summary(FLOOR_RUNS - 1);
        few.worked = 0;
        assert_eq!(few.finish(), SimExit::Clean);
        let mut worse = summary(1000);
        (worse.worked, worse.liveness_failures) = (0, 1);
        assert_eq!(worse.finish(), SimExit::Liveness);
    }

    #[test]
    fn joining_adds_up() {
        let (mut a, mut b) = (summary(2), summary(3));
        a.commits = Amount { sum: 30, min: 10, mean: 15.0 };
        b.commits = Amount { sum: 30, min: 5, mean: 10.0 };
        a.seeds = vec![Span { from: 3, to: 5 }];
        b.seeds = vec![Span { from: 0, to: 3 }];
        a.join(b);
        assert_eq!(a.commits, Amount { sum: 60, min: 5, mean: 12.0 });
        assert_eq!(a.seeds, [Span { from: 0, to: 5 }]);
        assert_eq!(a.runs, 5);
    }

    #[test]
    fn json_comes_back() {
        let mut s = summary(1000);
        s.finish();
        assert_eq!(serde_json::from_str::<Summary>(&s.json()).ok(), Some(s));
    }
}
