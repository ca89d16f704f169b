//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench::GROUP_NAMES;
use crate::bench::servers::Against;
use crate::logging::LogFormat;
use crate::sim::args::Sim;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (ZooKeeper 3.9.5)");

const EXAMPLES: &str = "Examples:
  quorate dev                          three servers on this machine: try things out
  quorate serve zoo.cfg                one server, from a ZooKeeper configuration file
  quorate serve 2181 ./data            one server alone, without a file
  echo srvr | nc 127.0.0.1 2181        ask a server how it is
  quorate config-reference | less      every key, what it does, how it differs from Java

Any ZooKeeper client connects: kazoo, the Java and C clients, zkCli.sh -server 127.0.0.1:2181";

const SERVE_EXAMPLES: &str = "Examples:
  quorate serve /etc/zookeeper/conf/zoo.cfg
  quorate serve zoo.cfg --log-format json
  quorate serve 2181 ./data 2000 60    <clientPort> <dataDir> [tickTime] [maxClientCnxns]
  SERVER_JVMFLAGS=-Dzookeeper.snapCount=10000 quorate serve zoo.cfg

The smallest file:
  dataDir=./data
  clientPort=2181

Recording (--record FILE): everything that the core is told, in order, and a digest of what it answers. At most --record-size MiB:
half of it in FILE, from the start of the process, which `quorate sim replay FILE` steps through exactly; what comes later goes to
FILE.1 and FILE.2 by turns, which can be read (--trace) but not stepped, for their beginning is gone. Reading a large snapshot at the
start takes its place too: choose a bound above twice the size of the data. The recording of an earlier process is renamed to
FILE.old (as much disk again). When the process is killed, the last second is lost; when the disk of FILE is too slow, the recording
ends, not the server. WARNING: the files hold what clients send and what is on the disk, all data and the passwords of digest
authentication included; only their owner may read them (mode 0600). Look at them before you send them to anybody.

Exit codes: 0 asked to stop; 1 unexpected, or the client port cannot be bound; 2 invalid configuration or invocation;
3 data directory; 10 transaction log or snapshot; 14 the election port cannot be bound.
RUST_LOG sets the level of the log (default info).";

const DEV_EXAMPLES: &str = "Examples:
  quorate dev
  quorate dev --servers 5 --client-port 3181 --dir ./play
  quorate dev --servers 1

Each server's zoo.cfg and data are under the directory, in server-N; `quorate serve` can run them one by one.
Remove the directory to begin anew.";

const BENCH_EXAMPLES: &str = "Examples:
  quorate bench                                    this binary alone, about three minutes
  quorate bench --against java --check             beside ZooKeeper 3.8; exit code 1 when a floor is broken
  quorate bench --rows get,set --rounds 3 --seconds 2 --against java
  quorate bench --json > bench.json

Progress goes to standard error, the result to standard output. `--against java` needs Debian's packages libzookeeper-java and
default-jre-headless. Use a release build and a machine with nothing else to do.";

/// A coordination service that speaks ZooKeeper's protocols.
#[derive(Debug, Parser)]
#[command(name = "quorate", version = VERSION, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one server from a ZooKeeper configuration file
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Run an ensemble on this machine, to try things out
    #[command(after_help = DEV_EXAMPLES)]
    Dev(Dev),
    /// Measure CPU, latency, memory, start and failover of real servers on this machine
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Bench),
    /// Run ensembles in the deterministic simulator: faults, checks, replays
    Sim(Sim),
    /// Print every configuration key, as Markdown
    ConfigReference,
}

/// `quorate serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// A configuration file, or: <clientPort> <dataDir> [tickTime] [maxClientCnxns]
    #[arg(required = true, num_args = 1..=4, value_name = "ZOO.CFG")]
    pub arguments: Vec<String>,
    /// How a line of the log looks
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Record everything that the core is told, for `quorate sim replay`; as quorate.record in the file
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Bound of the recording; as quorate.recordSize in the file [default: 64]
    #[arg(long, value_name = "MIB", requires = "record", value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    pub record_size: Option<u32>,
}

/// `quorate dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// How many servers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=31))]
    pub servers: u16,
    /// Where their data is
    #[arg(long, default_value = "./quorate-data")]
    pub dir: PathBuf,
    /// The first server's client port; the others follow
    #[arg(long, default_value_t = 2181, value_parser = clap::value_parser!(u16).range(1..))]
    pub client_port: u16,
    /// Log to standard error from this level on: error, warn, info, debug, trace
    #[arg(long, default_value = "warn")]
    pub log_level: tracing::Level,
    /// How a line of the log looks
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// `quorate bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Measure another implementation in the same run, and compare
    #[arg(long, value_enum)]
    pub against: Option<Against>,
    /// Measure only the other implementation
    #[arg(long, requires = "against")]
    pub only_other: bool,
    /// Which measurements, comma-separated; all by default
    #[arg(long, value_delimiter = ',', value_parser = GROUP_NAMES)]
    pub rows: Vec<String>,
    /// How many rounds; results are their medians
    #[arg(long, default_value_t = 5, value_parser = rounds)]
    pub rounds: usize,
    /// How long a round loads each side
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Where the servers keep their data; the system's temporary directory by default
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Let our servers record (`serve --record`), to see what that costs
    #[arg(long)]
    pub record: bool,
    /// The result as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 when a floor is broken
    #[arg(long)]
    pub check: bool,
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1000) => Ok(n),
        _ => Err("a number from 1 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn definition() {
        super::Cli::command().debug_assert();
    }
}
