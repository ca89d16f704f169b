//! `quorate bench`: what this binary costs, beside Apache ZooKeeper in the same run.
//!
//! Servers are processes of their own on loopback with fsync on; server CPU and memory are what the system says of these processes.
//! Both sides run at the same time and are measured in turn, after a warm-up of both (Java compiles while it runs); a result is
//! the median of its rounds.

pub mod bare;
pub mod client;
pub mod crowd;
pub mod failover;
pub mod footprint;
pub mod latency;
pub mod load;
pub mod report;
pub mod request;
pub mod servers;
pub mod storm;
pub mod throughput;
pub mod watchers;
pub mod watches;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::Bench;
use crate::exit::Exit;
use report::{Report, Row};
use servers::Side;

/// A value as of the rows.
pub const VALUE: [u8; 100] = [b'v'; 100];

/// What all measurements share.
#[derive(Debug)]
pub struct Setting {
    /// Who is measured; ours first.
    pub sides: Vec<Side>,
    /// How many rounds; a result is their median.
    pub rounds: usize,
    /// How long one side is loaded in a round.
    pub round: Duration,
    /// How long a side is loaded before the first round.
    pub warm_up: Duration,
    /// Where the servers keep their data; removed at the end.
    pub dir: PathBuf,
    /// Whether our servers record.
    pub record: bool,
    stop: Arc<AtomicBool>,
}

impl Setting {
    fn new(options: &Bench) -> io::Result<Self> {
        let sides = Side::choose(options)?;
        let base = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let dir = base.join(format!("quorate-bench-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let round = Duration::from_secs(options.seconds);
        Ok(Self { sides, rounds: options.rounds, round, warm_up: round * 2, dir, record: options.record, stop })
    }

    /// An error as soon as somebody wants this to end; servers end and files go on the way out.
    pub fn go_on(&self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        Ok(())
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A group of rows that come from the same servers.
type Measure = fn(&Setting) -> io::Result<Vec<Row>>;

const GROUPS: [(&str, Measure); 15] = [
    ("get", throughput::get),
    ("set", throughput::set),
    ("ensemble", throughput::ensemble),
    ("latency", latency::measure),
    ("footprint", footprint::measure),
    ("failover", failover::measure),
    ("recording", throughput::recording),
    ("multi", throughput::multi),
    ("children", throughput::children),
    ("ephemeral", throughput::ephemeral),
    ("visits", storm::visits),
    ("storm", storm::measure),
    ("fan-out", watchers::fan_out),
    ("recursive", watchers::recursive),
    ("watches", watches::measure),
];

/// The names of the groups, for the command line.
pub const GROUP_NAMES: [&str; GROUPS.len()] = {
    let mut names = [""; GROUPS.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = GROUPS[n].0;
        n += 1;
    }
    names
};

/// Measures, prints, and says whether the floors held.
#[must_use]
pub fn bench(options: &Bench) -> Exit {
    match measure(options) {
        Ok(report) => {
            crate::serve::print(&if options.json { report.json() } else { report.table() });
            if options.check && !report.floors_hold() { Exit::Unexpected } else { Exit::Clean }
        }
        Err(e) => {
            eprintln!("quorate bench: {e}");
            Exit::Unexpected
        }
    }
}

fn measure(options: &Bench) -> io::Result<Report> {
    let setting = Setting::new(options)?;
    let mut report = Report::new(&setting);
    for (name, group) in GROUPS {
        if options.rows.is_empty() || options.rows.iter().any(|r| r == name) {
            eprintln!("{name}");
            report.rows.extend(group(&setting).map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?);
        }
    }
    Ok(report)
}

/// Runs `work` for every side in turn, `rounds` times over; what it returns is collected by side.
///
/// The order of the sides changes from round to round, so that neither always follows the other.
pub fn rounds<S>(
    setting: &Setting,
    rounds: usize,
    states: &mut [S],
    mut work: impl FnMut(&mut S) -> io::Result<f64>,
) -> io::Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::new(); states.len()];
    for round in 0..rounds {
        for turn in 0..states.len() {
            setting.go_on()?;
            let side = (turn + round) % states.len();
            let value = work(&mut states[side])?;
            eprintln!("  round {}: {} {value:.3}", round + 1, setting.sides[side]);
            samples[side].push(value);
        }
    }
    Ok(samples)
}
