//! The command line of `quorate sim`.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Subcommand};

const EXAMPLES: &str = "Examples:
  quorate sim run --seed 7                       one run, everything in it drawn from the seed
  quorate sim fuzz --seeds 0..2000 --jobs 4      many runs; a failing one writes its scenario file
  quorate sim replay quorate-seed-7.json         the same run again
  quorate sim fuzz --seeds 0..50 --json          one line of JSON for each seed
  quorate sim bench --check                      how fast the simulator is; exit code 1 when a floor is broken

Exit codes: 0 clean; 1 a safety violation; 2 usage, or a scenario file that is not valid; 3 a liveness failure; 4 a panic in a run.";

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
    Run(Run),
    /// Run a scenario file and compare with what it expects
    Replay(Replay),
    /// Run many seeds on several threads
    Fuzz(Fuzz),
    /// Plant each bug in turn and see that some seed finds it
    Mutants(Mutants),
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
    /// Print every step
    #[arg(long)]
    pub trace: bool,
    /// Write the scenario file whatever comes out
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// `quorate sim bench`.
#[derive(Debug, Args)]
pub struct SimBench {
    /// Only these measurements, separated by commas: `servers`, `start`, `ratio`, `idle`, `rate`, `observers`, `scale`
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
    /// Exit code 1 when a floor is broken
    #[arg(long)]
    pub check: bool,
}

/// What `run`, `fuzz` and `mutants` share.
#[derive(Debug, Args)]
pub struct Common {
    /// One JSON object a seed on standard output
    #[arg(long)]
    pub json: bool,
    /// Plant this bug (needs a build with the feature `mutants`)
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// Where failing seeds write their scenario files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `quorate sim replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A scenario file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Print every step
    #[arg(long)]
    pub trace: bool,
    /// Write the file again with every default and, in place of generators, every fault and operation that took place
    #[arg(long, value_name = "FILE")]
    pub freeze: Option<PathBuf>,
}

/// `quorate sim fuzz`.
#[derive(Debug, Args)]
pub struct Fuzz {
    /// Seeds A to B, B not included
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// What is common to runs
    #[command(flatten)]
    pub common: Common,
    /// End at the first failing seed
    #[arg(long)]
    pub first: bool,
}

/// `quorate sim mutants`.
#[derive(Debug, Args)]
pub struct Mutants {
    /// Seeds that are tried for each
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..2000")]
    pub seeds: Range<u64>,
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub only: Vec<String>,
    /// Worker threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// One JSON object for each on standard output
    #[arg(long)]
    pub json: bool,
    /// Where the scenario file of each is written
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn seed(text: &str) -> Result<u64, String> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    parsed.map_err(|_| "not a 64-bit number".into())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("not A..B")?;
    let range = seed(from)?..seed(to)?;
    if range.is_empty() { Err("no seeds in this range".into()) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(seeds("3..7"), Ok(3..7));
        assert_eq!(seeds("0x10..0x20"), Ok(16..32));
        for bad in ["7..3", "7", "a..b", "1..=2", "-1..2"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }
}
