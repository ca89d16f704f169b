//! The table of planted bugs: a line, a JSON object or a row of markdown for each.

use std::path::PathBuf;

use quorate_sim::catalogue::{self, Applies, Row};
use serde::{Deserialize, Serialize};

use super::super::one::Ran;
use super::{Cost, Hunted};

/// A green run of a fix is credible when a bug like this would have escaped with less than this probability.
const DOUBT: f64 = 0.01;

/// What a hunt found, in the names of the JSON rows.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Kill {
    /// What the first failing seed broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invariant: Option<String>,
    /// The first failing seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Virtual time of the violation within that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// The violation in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// CPU seconds to the first kill, or spent in vain.
    pub cpu_s: f64,
    /// Seeds to the first kill, this one included, or tried in vain.
    pub runs: u64,
    /// Simulated time of those.
    pub virtual_ms: u64,
    /// Seeds over which the rate was measured.
    pub trials: u64,
    /// How many of those failed.
    pub failures: u64,
    /// Everything that fired among them.
    pub invariants: Vec<String>,
    /// Whether the scenario file of the first one gives the same again.
    pub replays: bool,
    /// That file, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

impl Kill {
    /// A hunt in vain.
    #[must_use]
    pub fn survived(found: &Hunted) -> Self {
        let Cost { runs, cpu, virtual_ms } = found.total;
        Self { cpu_s: cpu.as_secs_f64(), runs, virtual_ms, trials: runs, ..Self::default() }
    }
    /// A hunt that ended with this run.
    #[must_use]
    pub fn new(found: &Hunted, ran: &Ran, cost: &Cost, replays: bool, file: Option<PathBuf>) -> Self {
        let violation = ran.violation.as_ref();
        Self {
            invariant: violation.map(|v| v.invariant.to_owned()),
            seed: Some(ran.seed),
            at_ms: violation.map(|v| v.at_ms),
            text: violation.map(|v| v.text.clone()),
            cpu_s: cost.cpu.as_secs_f64(),
            runs: cost.runs,
            virtual_ms: cost.virtual_ms,
            trials: found.total.runs,
            failures: found.failures,
            invariants: found.invariants.iter().map(|i| (*i).to_owned()).collect(),
            replays,
            file,
        }
    }
    fn rate(&self) -> f64 {
        self.failures as f64 / self.trials.max(1) as f64
    }
}

/// How many seeds without a failure make a fix credible: n with (1-p)^n below a hundredth.
fn green_seeds(rate: f64) -> Option<u64> {
    match rate {
        r if r <= 0.0 => None,
        r if r >= 1.0 => Some(1),
        r => Some((DOUBT.ln() / (1.0 - r).ln()).ceil() as u64),
    }
}

/// A row of the catalogue with what came out.
#[derive(Clone, Debug)]
pub struct Entry {
    row: &'static Row,
    kill: Option<Kill>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    source: &'a str,
    mutation: &'a str,
    applies: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    violates: &'a [&'a str],
    killed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    green_seeds: Option<u64>,
    #[serde(flatten)]
    kill: Option<&'a Kill>,
}

/// The word for it, and why not.
fn applies(applies: Applies) -> (&'static str, Option<&'static str>) {
    match applies {
        Applies::AsIs => ("as is", None),
        Applies::Variant => ("variant", None),
        Applies::Absent(reason) => ("absent", Some(reason)),
        Applies::Later(reason) => ("later", Some(reason)),
    }
}

fn minutes(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 60_000.0)
}

impl Entry {
    /// `kill`: of rows that are planted.
    #[must_use]
    pub const fn new(row: &'static Row, kill: Option<Kill>) -> Self {
        Self { row, kill }
    }
    /// Whether a seed found it.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.kill.as_ref().is_some_and(|k| k.seed.is_some())
    }
    /// Whether it was looked for in vain.
    #[must_use]
    pub fn survived(&self) -> bool {
        self.kill.is_some() && !self.killed()
    }
    /// Whether the first invariant that fired is one of those that the row names.
    fn expected(&self) -> Option<bool> {
        let invariant = self.kill.as_ref()?.invariant.as_deref()?;
        Some(self.row.violates.contains(&invariant))
    }

    /// Whether one of the failing seeds of the sample broke an invariant that the row names.
    fn named(&self) -> bool {
        self.kill.as_ref().is_some_and(|k| k.invariants.iter().any(|i| self.row.violates.contains(&i.as_str())))
    }

    /// From a line of JSON; `None` where it is of no row that is planted as the line says.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let row = catalogue::rows().find(|row| row.is_planted() && value["id"] == row.id)?;
        let same = value["mutation"] == row.mutation && value["applies"] == applies(row.applies).0;
        same.then(|| Some(Self::new(row, Some(serde_json::from_value(value).ok()?)))).flatten()
    }

    /// Which row.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.row.id
    }

    /// One line of JSON, newline included.
    #[must_use]
    pub fn json(&self) -> String {
        let (applies, reason) = applies(self.row.applies);
        let rate = self.kill.as_ref().map(Kill::rate);
        let line = Line {
            id: self.row.id,
            source: self.row.source,
            mutation: self.row.mutation,
            applies,
            reason,
            violates: self.row.violates,
            killed: self.killed(),
            expected: self.expected(),
            rate,
            green_seeds: rate.and_then(green_seeds),
            kill: self.kill.as_ref(),
        };
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }

    /// One line for people.
    #[must_use]
    pub fn words(&self) -> String {
        let (word, reason) = applies(self.row.applies);
        let id = self.row.id;
        let Some(kill) = &self.kill else { return format!("{id}  {word}: {}\n", reason.unwrap_or_default()) };
        let Kill { cpu_s, runs, .. } = kill;
        let (Some(invariant), Some(seed)) = (kill.invariant.as_deref(), kill.seed) else {
            return format!("{id}  {word}  ALIVE after {runs} seeds, {cpu_s:.1} CPU s\n");
        };
        let note = if self.expected() == Some(true) { "" } else { " (not named by the row)" };
        let again = if kill.replays { "" } else { ", DOES NOT REPLAY" };
        format!(
            "{id}  {word}  killed by {invariant}{note}, seed {seed}, {runs} seeds, {cpu_s:.2} CPU s, {} simulated min, \
             {} of {} seeds fail, {} green seeds say fixed{again}\n",
            minutes(kill.virtual_ms),
            kill.failures,
            kill.trials,
            green_seeds(kill.rate()).unwrap_or_default(),
        )
    }

    fn markdown(&self) -> String {
        let (word, reason) = applies(self.row.applies);
        let Row { id, source, mutation, violates, .. } = self.row;
        let head = format!("| {id} | {source} | {mutation} | {word} | {} |", violates.join(" "));
        let Some(kill) = &self.kill else {
            return format!("{head} {} | | | | | | |\n", reason.unwrap_or_default());
        };
        let (Some(invariant), Some(seed)) = (kill.invariant.as_deref(), kill.seed) else {
            return format!(
                "{head} **alive** | | {:.1} | {} | 0 of {} | | |\n",
                kill.cpu_s,
                minutes(kill.virtual_ms),
                kill.trials
            );
        };
        let others: Vec<&str> = kill.invariants.iter().map(String::as_str).filter(|i| *i != invariant).collect();
        let note = if self.expected() == Some(true) { "" } else { " (not named)" };
        format!(
            "{head} {invariant}{note} | {seed} | {:.2} | {} | {} of {} | {} | {} |\n",
            kill.cpu_s,
            minutes(kill.virtual_ms),
            kill.failures,
            kill.trials,
            green_seeds(kill.rate()).unwrap_or_default(),
            others.join(" "),
        )
    }
}

/// The median; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Killed of how many, how long that takes, what does not apply: one line.
#[must_use]
pub fn totals(entries: &[Entry]) -> String {
    let planted: Vec<&Entry> = entries.iter().filter(|e| e.kill.is_some()).collect();
    let killed: Vec<&Kill> = planted.iter().filter(|e| e.killed()).filter_map(|e| e.kill.as_ref()).collect();
    let seconds: Vec<f64> = killed.iter().map(|k| k.cpu_s).collect();
    let simulated: Vec<f64> = killed.iter().map(|k| k.virtual_ms as f64 / 60_000.0).collect();
    let most = seconds.iter().copied().fold(0.0, f64::max);
    let count = |what: &str| entries.iter().filter(|e| applies(e.row.applies).0 == what).count();
    let alive: Vec<&str> = planted.iter().filter(|e| e.survived()).map(|e| e.row.id).collect();
    let named = planted.iter().filter(|e| e.named()).count();
    let at_once = planted.iter().filter(|e| e.expected() == Some(true)).count();
    let otherwise: Vec<&str> = planted.iter().filter(|e| e.killed() && !e.named()).map(|e| e.row.id).collect();
    let mut out = format!(
        "{} of {} killed, {named} of them by an invariant that the row names ({at_once} by the first failing seed), \
         median {:.2} CPU s and {:.1} simulated min to the first kill, at most {most:.1} CPU s; {} as is, \
         {} variants, {} absent, {} later",
        killed.len(),
        planted.len(),
        median(seconds),
        median(simulated),
        count("as is"),
        count("variant"),
        count("absent"),
        count("later"),
    );
    for (what, ids) in [("only by others", otherwise), ("alive", alive)] {
        if !ids.is_empty() {
            out.push_str(&format!("; {what}: {}", ids.join(" ")));
        }
    }
    out
}

/// The whole table, headed by the command that makes it.
#[must_use]
pub fn markdown(entries: &[Entry], command: &str) -> String {
    let mut out = format!(
        "# Planted bugs\n\n\
         Made by `{command}` in a build with `--features mutants` (`cargo build --release -p quorate --features mutants`); do not edit.\n\n\
         Each bug of the catalogue that this design can express is planted behind a switch; the fuzzer runs seed after seed and is not \
         told which bug it is. CPU seconds and simulated minutes are those up to the first failing seed, which does not fail without \
         the bug. Failing seeds: measured over a sample. Green seeds: so many without a failure make a fix credible, as a bug that \
         fails as often would escape them in one case of a hundred. \"Must break\": what the row names; another invariant that fires \
         first ends the run as well, and is marked as not named.\n\n\
         {}.\n\n\
         | id | known from | planted here, or what the mistake was | applies | must break | killed by, or why not here | seed | CPU s \
         | simulated min | failing seeds | green seeds | also fired |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        totals(entries)
    );
    entries.iter().for_each(|e| out.push_str(&e.markdown()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    static PLANTED: Row =
        Row { id: "K01", source: "textbook", mutation: "ACK before fsync", applies: Applies::AsIs, violates: &["Z13"] };
    static ABSENT: Row = Row { id: "B40", applies: Applies::Absent("no threads"), ..PLANTED };

    fn killed(invariant: &'static str, cpu_s: f64) -> Entry {
        let kill = Kill {
            invariant: Some(invariant.into()),
            seed: Some(7),
            cpu_s,
            runs: 8,
            virtual_ms: 90_000,
            trials: 200,
            failures: 20,
            invariants: vec![invariant.into()],
            replays: true,
            ..Kill::default()
        };
        Entry::new(&PLANTED, Some(kill))
    }

    fn alive() -> Entry {
        Entry::new(&PLANTED, Some(Kill { runs: 300, trials: 300, cpu_s: 600.0, ..Kill::default() }))
    }

    #[test]
    fn green_seeds_for_a_rate() {
        // 0.99^458 = 0.01003, 0.99^459 = 0.0099.
        assert_eq!(green_seeds(0.01), Some(459));
        assert_eq!(green_seeds(0.5), Some(7));
        assert_eq!((green_seeds(1.0), green_seeds(0.0)), (Some(1), None));
    }

    #[test]
    fn a_json_row_says_what_scripts_ask_for() {
        let row: serde_json::Value = serde_json::from_str(&killed("Z13", 0.5).json()).expect("JSON");
        let expected = [("id", "K01"), ("applies", "as is"), ("invariant", "Z13")];
        assert!(expected.iter().all(|(key, value)| row[*key] == *value), "{row}");
        assert_eq!((&row["killed"], &row["expected"]), (&true.into(), &true.into()));
        assert_eq!((&row["seed"], &row["cpu_s"], &row["rate"]), (&7.into(), &0.5.into(), &0.1.into()));
        assert_eq!(row["green_seeds"], 44);
        let row: serde_json::Value = serde_json::from_str(&Entry::new(&ABSENT, None).json()).expect("JSON");
        assert_eq!((&row["applies"], &row["reason"]), (&"absent".into(), &"no threads".into()));
        assert_eq!((&row["killed"], row.get("seed")), (&false.into(), None));
        let row: serde_json::Value = serde_json::from_str(&alive().json()).expect("JSON");
        assert_eq!((&row["killed"], &row["runs"], row.get("green_seeds")), (&false.into(), &300.into(), None));
    }

    #[test]
    fn a_json_row_is_read_again() {
        let row = catalogue::rows().find(|r| r.is_planted()).expect("one at least");
        let entry = Entry::new(row, killed("Z13", 0.5).kill);
        let again = Entry::parse(&entry.json()).expect("its own line");
        assert_eq!((again.id(), again.json()), (row.id, entry.json()));
        // Another mutation than today's is nobody's result.
        assert!(Entry::parse(&entry.json().replace(row.mutation, "something else")).is_none());
        assert!(Entry::parse(&Entry::new(&ABSENT, None).json()).is_none() && Entry::parse("{").is_none());
    }

    #[test]
    fn another_invariant_than_the_row_names_is_pointed_out() {
        assert!(killed("Z5", 1.0).words().contains("killed by Z5 (not named by the row), seed 7"));
        assert!(killed("Z5", 1.0).markdown().contains("| Z13 | Z5 (not named) | 7 |"));
        assert!(killed("Z13", 1.0).markdown().contains("| Z13 | Z13 | 7 |"));
        assert!(killed("Z13", 1.0).words().contains("killed by Z13, seed 7, 8 seeds, 1.00 CPU s, 1.5 simulated min"));
    }

    #[test]
    fn the_last_line_counts() {
        let entries = [killed("Z13", 1.0), killed("Z13", 4.0), alive(), Entry::new(&ABSENT, None)];
        let line = totals(&entries);
        assert!(
            line.starts_with("2 of 3 killed, 2 of them by an invariant that the row names (2 by the first"),
            "{line}"
        );
        assert!(line.contains("failing seed), median 2.50 CPU s and 1.5 simulated min"), "{line}");
        assert!(line.contains("at most 4.0 CPU s; 3 as is, 0 variants, 1 absent, 0 later; alive: K01"), "{line}");
        assert!(totals(&[]).starts_with("0 of 0 killed, 0 of them"));
        // One where it fires later in the sample, one where it never does.
        let mut late = killed("Z5", 1.0);
        late.kill.iter_mut().for_each(|k| k.invariants.push("Z13".into()));
        let line = totals(&[late, killed("Z5", 1.0), killed("Z13", 1.0)]);
        assert!(line.starts_with("3 of 3 killed, 2 of them by an invariant that the row names (1 by"), "{line}");
        assert!(line.ends_with("0 later; only by others: K01"), "{line}");
    }

    #[test]
    fn the_table_has_a_row_for_each_and_as_many_columns() {
        let entries = [killed("Z13", 1.0), alive(), Entry::new(&ABSENT, None)];
        let text = markdown(&entries, "quorate sim mutants");
        assert!(text.contains("Made by `quorate sim mutants` in"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        assert_eq!(rows.len(), 2 + entries.len());
        assert!(rows.iter().all(|r| r.matches('|').count() == 13), "{text}");
    }
}
