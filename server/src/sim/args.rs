//! The command line of `quorate sim`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::campaign::Shard;
use super::one::Connections;

const EXAMPLES: &str = "Examples:
  quorate sim run --seed 7                       one run, everything in it drawn from the seed
  quorate sim fuzz --seeds 0..2000 --jobs 4      many runs; a failing one writes its scenario file
  quorate sim replay quorate-seed-7.json         the same run again
  quorate sim fuzz --seeds 0..50 --json          one line of JSON for each seed
  quorate sim bench --check                      how fast the simulator is; exit code 1 when a floor is broken

Exit codes: 0 clean; 1 a safety violation; 2 usage, or a scenario file that is not valid; 3 a liveness failure; 4 a panic in a run;
5 a campaign below its floors; 6 a seed that did not do the same twice; 7 a replay in which nothing is wrong, and that is not as its file
expects; 130 ended by a signal, nothing wrong so far.";

const FREEZE_HELP: &str = "Examples:
  quorate sim freeze 7 -o seed-7.json
  quorate sim freeze scenarios/election/paused-leader.json -o paused-leader-frozen.json

The file that is written draws no fault and no operation: each one that took place is an entry with its instant, target and size, and
every default and every size that the seed had drawn is a number. Its run has the same digest as the one that it was made of; it is
made at once to see that (exit code 6 when not).";

const MINIMISE_HELP: &str = "Examples:
  quorate sim minimise 1000008 --mutant B01 -o B01.json
  quorate sim minimise quorate-seed-7.json --budget 120s --jobs 2

The run is frozen (`quorate sim freeze`); then faults, operations, clients and servers are left out, delays and sizes become those of
the defaults, waits become short, as long as the same property is broken. With a planted bug a run without it must pass, and the file
says in `expect.mutants` what breaks with it. The result does not depend on --jobs unless the time runs out. Ctrl-C ends the search
with the smallest run so far (exit code 130).

Exit codes: 0 written; 2 usage, or a run that does not fail; 6 the file does not do the same again; 130 stopped.";

const FUZZ_HELP: &str = "Examples:
  quorate sim fuzz --seeds 0..2000 --jobs 4
  quorate sim fuzz --for 120s --jobs 2                     fresh seeds; the first one is printed and can be given with --base
  quorate sim fuzz --seeds 0..200 --twice                  each seed twice: the digests must be equal
  quorate sim fuzz --seeds 0..200 --connections both       each seed with and without decoding: the digests must be equal
  quorate sim fuzz --seeds 0..200 --digests a.txt          one digest a seed, to compare two builds with diff
  quorate sim fuzz --for 120s --jobs 2 --minimise          and a small scenario of what was found
  quorate sim fuzz --seeds 0..400 --reach reached.txt      how far the generators get around
  quorate sim fuzz --seeds 0..100000 --shard 3/16 --report 3.json
  quorate sim merge *.json                                 the sixteen reports as one

Ctrl-C and SIGTERM end a campaign with the results so far; a second one ends it at once.

Floors: with 200 runs or more a campaign fails (exit code 5) when fewer than 95 % of its runs reach 100 commits, when its mean is
under one leader change or three effective faults a run, when more than 1 % of its runs are excused, or when more
than 4 % pass after a doubt; --no-floors switches that off, --mutant too.

A panic inside a run is a finding like any other: it has a seed and a scenario file, and the campaign goes on. What aborts the
process (a stack overflow, no memory left) cannot be caught: run the seeds from the last progress line on with --jobs 1 --json, the
seed behind the last line printed is it.

--reach: what a server does or reads counts once for each role, phase of its term, state of its log (behind, equal to, ahead of what
was ever decided, or diverged from it) and mixture of faults around it. A line of the file: runs that reached it, the least seed of
those, and the tuple. What generators should bring about and no line names, they do not.

--json writes an object for each seed as its run ends, and last of all the summary, the only line with the key `kind`; --report
writes the summary alone:
  kind (campaign), schema (1), settings {version, mutant, connections, twice, floors, whole}, shard {index, of}, ended (complete,
  time, first, stopped), seeds [{from, to}] that ran (to not included), seconds, exit (the exit code);
  runs, pass, violations, liveness_failures, excused, panics, nondeterministic, worked (runs with 100 commits), widened (of pass:
    a bound was missed and forgiven for a doubt, and met when more servers had come back);
  commits, leader_changes, faults_effective, messages, virtual_ms, reads, writes: each {sum, min, mean} over the runs;
  operations {OPERATION: {ERROR: times}}: what the model judged of clients' requests, by the error of the answer, 0 for success;
    also ops of multi and multiRead, flags of creates, connects, events;
  faults {KIND: {drawn (runs whose swarm had it), effective (times it changed what happened; a schedule: times it began),
    runs (in which it did)}};
  failures [{seed, verdict, invariant, at_ms, text, file}] and shortfalls [text].";

const TRACE_HELP: &str = "Examples:
  quorate sim run --seed 7 --html seven.html         the run as a picture: open the file in a browser, it needs no network
  quorate sim run --seed 7 --trace | grep ' s3 '     the life of one server

A line of --trace is one transition; zxids are epoch.counter, columns are separated by blanks, `##` is the world, `!!` the violation:
     602.680 s4   leading         1/1     1.39     1.39      1.38    1.38  has 1.39 durable
  virtual ms, who, role (down, recovering, looking, following, leading? until it has its quorum, leading, observing), acceptedEpoch and
  currentEpoch, the newest zxid in its log, durable, known to be committed, applied; then what happened.
  Lines of clients leave the columns of servers empty. --messages adds what is sent, received and lost.

--html keeps the newest 200,000 facts; what it has left out it says at the top.";

const REPLAY_HELP: &str = "The exit code is that of the run: 1 a safety violation, 3 a liveness failure, 4 a panic, also where the file expects just that (`as
expected` says so). A run in which nothing is wrong ends with 0 if it is as the file expects (for a list of choices: `breaks`), otherwise
with 7: a violation that did not come, another digest, too few commits. Each difference is told with file, line, column and field.

A recording (`quorate serve --record FILE`) holds what the core of a real server was told. Replaying it steps the same core with the
same configuration, clocks and inputs; each step must ask for the same actions. Exit code 0: the same; 6: it diverged, and where;
4: the core panicked, as it may have done when it was recorded; 2: the file cannot be used, or is damaged at some byte (what is
before it was replayed). A recording whose end is cut is replayed up to there. FILE.1 and FILE.2 begin in the middle of a server's
life: --trace reads them, nothing is compared. One that another build has made says so and is stepped nevertheless.";

const MERGE_HELP: &str = "The files are those of `fuzz --report`, or the output of `fuzz --json`. Parts of different versions or with different options, and
seeds that are in two files, are refused (exit code 2); shards and seeds that are missing are named (exit code 2, after the table of
what is there). Otherwise the exit code is that of the campaign as a whole, floors included.";

const EXHAUST_HELP: &str = "From an established leader with one session on, everything that is under way between leader and learners may arrive next, every
fsync may end next, and a client may write, a server lose its power (with all or nothing of what was not synced), start again, or a
connection break: all orders of that are tried, each state once, with the checks of the other runs. Elections are no choice (what
they send arrives at once), and time stands still while anything is under way, unless a lapse is spent on it.

First with no crash, then with one, up to --crashes, each with its part of --budget; a search that the time ends says how much of the tree of choices it has covered
(if what is below each choice of a state weighs the same), 100 % only when nothing is left. A state takes about 20 bytes of memory,
what a thread remembers of servers under 1 GB. The number of states hardly depends on the number of threads
(3 in 10,000 among 7 million, none among 600,000).

What is found is shortened and written as a list of choices, which `quorate sim replay` makes again, with --trace step by step.

Examples:
  quorate sim exhaust --crashes 1 --writes 1             to the end
  quorate sim exhaust --jobs 2                           two writes, two crashes, to the end: half an hour, 4 GB
  quorate sim exhaust --budget 10m --jobs 4              the same, as far as ten minutes take it
  quorate sim exhaust --mutant B13                       finds the planted bug (a build with --features mutants)

Exit codes: 0 nothing was broken; 1 a safety violation; 2 usage; 3 a server is never let in; 4 a panic of a server; 130 ended by a signal.";

const MUTANTS_EXAMPLES: &str = "A row is killed by the first seed that fails with the bug and does not without. It needs a build that can plant bugs:
  cargo build --release -p quorate --features mutants

Examples:
  quorate sim mutants                                  all rows, each with up to 10 minutes of CPU time
  quorate sim mutants --ids K01,B13 --budget 90s       two of them
  quorate sim mutants --seeds 5000000..9000000         the same from other seeds
  quorate sim mutants --table sim/MUTANTS.md           and the table as a file
  quorate sim mutants --resume rows.json --table M.md  in pieces: end it at any time, the next call goes on with the next row

Exit codes: 0 all killed; 1 a planted bug survived; 2 usage, or a build that cannot plant bugs; 130 ended by a signal before all rows were
through: the table is not written.";

/// Far from the seeds that are fuzzed by hand and by tests; always the same, so that a result can be had again.
const DEFAULT_SEEDS: &str = "1000000..2000000";
const DEFAULT_BUDGET: Duration = Duration::from_secs(600);
const DEFAULT_TRIALS: u64 = 200;

/// `quorate sim`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sim {
    /// What to do.
    #[command(subcommand)]
    pub command: SimCommand,
}

/// The subcommands of `quorate sim`.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Run one seed
    #[command(after_help = TRACE_HELP)]
    Run(Run),
    /// Run a scenario file, or what a real server has recorded, and compare
    #[command(after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Turn a seed or a file into a scenario that says everything itself
    #[command(after_help = FREEZE_HELP)]
    Freeze(Freeze),
    /// Make a failing seed or file small
    #[command(after_help = MINIMISE_HELP)]
    Minimise(Minimise),
    /// Run many seeds on several threads
    #[command(after_help = FUZZ_HELP)]
    Fuzz(Fuzz),
    /// Join the reports of a campaign's shards
    #[command(after_help = MERGE_HELP)]
    Merge(Merge),
    /// Plant each bug in turn and see that some seed finds it
    Mutants(Mutants),
    /// Try every order of events of a small ensemble, within bounds
    #[command(after_help = EXHAUST_HELP)]
    Exhaust(Exhaust),
    /// Measure how fast the simulator is, and how far it scales
    Bench(SimBench),
}

/// `quorate sim run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The seed, decimal or 0x…
    #[arg(long, value_parser = seed)]
    pub seed: u64,
    /// What is common to runs
    #[command(flatten)]
    pub common: Common,
    /// What is shown of it
    #[command(flatten)]
    pub shown: Shown,
    /// Count the tuples of (role, phase, log, faults, event) that the run reaches
    #[arg(long)]
    pub reach: bool,
    /// Write the scenario file whatever comes out
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// What `run` and `replay` show of a run.
#[derive(Debug, Args)]
pub struct Shown {
    /// A line for each transition: time, who, role, epochs, zxids, what
    #[arg(long)]
    pub trace: bool,
    /// In the trace, messages too
    #[arg(long, requires = "trace")]
    pub messages: bool,
    /// Draw the run: a space-time diagram in one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `quorate sim bench`.
#[derive(Debug, Args)]
pub struct SimBench {
    /// Only these measurements, separated by commas: `servers`, `start`, `ratio`, `idle`, `rate`, `observers`, `history`, `scale`
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<String>,
    /// Voters of `scale`
    #[arg(long, value_name = "N", default_value_t = 1001, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub voters: u32,
    /// Servers of `servers`: five voters, the others observe
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(6..=50_000))]
    pub servers: u32,
    /// A JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Servers get messages of each other beside their bytes, as with `fuzz --connections typed`
    #[arg(long)]
    pub typed: bool,
    /// Exit code 1 when a floor is broken
    #[arg(long)]
    pub check: bool,
}

/// What `run` and `fuzz` share.
#[derive(Debug, Args)]
pub struct Common {
    /// One JSON object a seed on standard output
    #[arg(long)]
    pub json: bool,
    /// Plant this bug (needs a build with the feature `mutants`)
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// How servers hear each other; the digest of a seed does not depend on it
    #[arg(long, value_enum, default_value_t)]
    pub connections: Connections,
    /// Where failing seeds write their scenario files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `quorate sim replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A scenario file, or a recording of `quorate serve --record`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Plant this bug as well; what the file's `expect.mutants` says of it must come out
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// A JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// What is shown of it
    #[command(flatten)]
    pub shown: Shown,
}

/// `quorate sim freeze`.
#[derive(Debug, Args)]
pub struct Freeze {
    /// A seed, decimal or 0x…, or a scenario file
    #[arg(value_name = "SEED|FILE")]
    pub source: String,
    /// Where the scenario is written
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: PathBuf,
    /// Plant this bug (needs a build with the feature `mutants`)
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// A JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `quorate sim minimise`.
#[derive(Debug, Args)]
pub struct Minimise {
    /// A failing seed, decimal or 0x…, or a failing scenario file
    #[arg(value_name = "SEED|FILE")]
    pub source: String,
    /// Plant this bug (needs a build with the feature `mutants`)
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// Real time at most: 60s, 5m; what is smallest then is written
    #[arg(long, value_name = "TIME", value_parser = budget, default_value = "60s")]
    pub budget: Duration,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// Where the scenario is written; NAME-min.json otherwise
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `quorate sim fuzz`.
#[derive(Debug, Args)]
pub struct Fuzz {
    /// Seeds A to B, B not included
    #[arg(long, value_name = "A..B", value_parser = seeds, required_unless_present = "duration")]
    pub seeds: Option<Range<u64>>,
    /// For so long: 90s, 10m, 2h; without --seeds fresh ones, as many as there is time for
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// The first seed of --for; the wall clock decides otherwise
    #[arg(long, value_name = "SEED", value_parser = seed, conflicts_with = "seeds", requires = "duration")]
    pub base: Option<u64>,
    /// Only the part I (from 0) of N equal parts of --seeds
    #[arg(long, value_name = "I/N", value_parser = shard, requires = "seeds")]
    pub shard: Option<Shard>,
    /// Run each seed twice and compare the digests
    #[arg(long)]
    pub twice: bool,
    /// Do not demand that the runs did enough to mean something
    #[arg(long)]
    pub no_floors: bool,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write a line `SEED DIGEST` for each seed, in order
    #[arg(long, value_name = "FILE")]
    pub digests: Option<PathBuf>,
    /// Write what the runs reached: a line for each tuple, the rarest first
    #[arg(long, value_name = "FILE")]
    pub reach: Option<PathBuf>,
    /// Show how often each operation, and each of its errors, was judged by the model
    #[arg(long)]
    pub operations: bool,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// What is common to runs
    #[command(flatten)]
    pub common: Common,
    /// Draw each failing run: a space-time diagram beside its scenario file
    #[arg(long)]
    pub html: bool,
    /// End at the first failing seed
    #[arg(long)]
    pub first: bool,
    /// Afterwards make a small scenario (NAME-min.json) for each property that was broken and each place of a panic, of the first seed that
    /// did it, in at most 60 s each
    #[arg(long)]
    pub minimise: bool,
}

/// `quorate sim exhaust`.
#[derive(Debug, Args)]
pub struct Exhaust {
    /// Servers, all of them voters
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub servers: u32,
    /// Writes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub writes: u32,
    /// Power cuts at most
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub crashes: u32,
    /// Broken connections between a leader and a learner that both live on
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub cuts: u32,
    /// Times that time passes, to the next deadline of anybody, although something is under way
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub lapses: u32,
    /// For so long at most: 90s, 10m, 2h; without it to the end
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// One JSON object for each number of crashes on standard output
    #[arg(long)]
    pub json: bool,
    /// Plant this bug (needs a build with the feature `mutants`)
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// Where the list of choices that broke something is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `quorate sim merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Reports of `quorate sim fuzz`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The summary as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `quorate sim mutants`.
#[derive(Debug, Args)]
#[command(after_help = MUTANTS_EXAMPLES)]
pub struct Mutants {
    /// Only these rows of the catalogue, separated by commas
    #[arg(long, alias = "only", value_delimiter = ',', value_name = "ID")]
    pub ids: Vec<String>,
    /// CPU time for each until it counts as alive: 10m, 90s
    #[arg(long, value_name = "TIME", value_parser = budget, default_value = "10m")]
    pub budget: Duration,
    /// Seeds in the order in which they are tried, B not included
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = DEFAULT_SEEDS)]
    pub seeds: Range<u64>,
    /// Measure the failure rate over so many seeds, fewer where the first kill was slow
    #[arg(long, value_name = "N", default_value_t = DEFAULT_TRIALS, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub trials: u64,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// One JSON object for each on standard output
    #[arg(long)]
    pub json: bool,
    /// Where the scenario file of each first failing seed is written
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the table as markdown
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Take the rows that this file has (JSON, of the same build) as they are, and add the others to it
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}

impl Mutants {
    /// The command line, without what does not change the result.
    #[must_use]
    pub fn command(&self) -> String {
        let mut out = "quorate sim mutants".to_owned();
        if !self.ids.is_empty() {
            out.push_str(&format!(" --ids {}", self.ids.join(",")));
        }
        if self.budget != DEFAULT_BUDGET {
            out.push_str(&format!(" --budget {}s", self.budget.as_secs()));
        }
        if seeds(DEFAULT_SEEDS).as_ref() != Ok(&self.seeds) {
            out.push_str(&format!(" --seeds {}..{}", self.seeds.start, self.seeds.end));
        }
        if self.trials != DEFAULT_TRIALS {
            out.push_str(&format!(" --trials {}", self.trials));
        }
        if let Some(name) = self.table.as_ref().and_then(|t| t.file_name()) {
            out.push_str(&format!(" --table {}", name.display()));
        }
        out
    }
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    parsed.map_err(|_| "not a 64-bit number".into())
}

fn budget(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| (1..=86_400).contains(n));
    seconds.map(Duration::from_secs).ok_or_else(|| "not a time from 1s to 1440m".into())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("not A..B")?;
    let range = seed(from)?..seed(to)?;
    if range.is_empty() { Err("no seeds in this range".into()) } else { Ok(range) }
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(i, n)| Some(Shard { index: i.parse().ok()?, of: n.parse().ok()? }));
    parsed.filter(|s| s.index < s.of).ok_or_else(|| "not I/N with I from 0 to N - 1".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a unit other than s, m, h".into()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    // Longer than a year is a mistake.
    let seconds = seconds.filter(|s| (1..=365 * 24 * 3600).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(|| "not a time such as 90s, 10m, 2h".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: SimCommand,
    }

    fn mutants(arguments: &[&str]) -> Option<Mutants> {
        match Line::try_parse_from(["sim", "mutants"].iter().chain(arguments)).ok()?.command {
            SimCommand::Mutants(options) => Some(options),
            _ => None,
        }
    }

    #[test]
    fn mutants_by_default_and_in_full() {
        let plain = mutants(&[]).expect("defaults");
        assert_eq!((plain.budget, plain.trials, plain.jobs), (DEFAULT_BUDGET, DEFAULT_TRIALS, 1));
        assert_eq!((plain.seeds.start, plain.ids.len()), (1_000_000, 0));
        assert_eq!(plain.command(), "quorate sim mutants");
        let line = "--ids K01,B13 --budget 20m --seeds 3..9 --jobs 4 --trials 50 --json --out d --table t/M.md";
        let full = mutants(&line.split(' ').collect::<Vec<_>>()).expect("valid");
        assert_eq!((full.budget.as_secs(), full.jobs, full.json), (1200, 4, true));
        let again = "quorate sim mutants --ids K01,B13 --budget 1200s --seeds 3..9 --trials 50 --table M.md";
        assert_eq!(full.command(), again);
        assert_eq!(mutants(&["--only", "K01", "--budget", "90s"]).expect("valid").ids, ["K01"]);
        for bad in [["--budget", "0s"], ["--budget", "2h"], ["--budget", "99999m"], ["--trials", "0"], ["--jobs", "0"]]
        {
            assert!(mutants(&bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(seeds("3..7"), Ok(3..7));
        assert_eq!(seeds("0x10..0x20"), Ok(16..32));
        for bad in ["7..3", "7", "a..b", "1..=2", "-1..2"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shards_and_times() {
        assert_eq!(shard("2/3"), Ok(Shard { index: 2, of: 3 }));
        for bad in ["3/3", "0/0", "1", "a/2", "-1/2", ""] {
            assert!(shard(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["0s", "5d", "s", "", "1.5s", "99999999999999999999h", "9999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
