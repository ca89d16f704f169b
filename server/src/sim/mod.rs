//! `quorate sim`: drivers of the simulator. Files, threads, signals and exit codes are here; `quorate-sim` has none of them.

pub mod args;
pub mod bench;
pub mod campaign;
pub mod exhaust;
pub mod freeze;
pub mod fuzz;
pub mod merge;
pub mod minimise;
pub mod mutants;
pub mod one;
pub mod output;
pub mod picture;
pub mod reach;
pub mod replay;
pub mod report;
pub mod source;

use std::process::ExitCode;

use args::{Sim, SimCommand};

/// Why the process ends; the numbers are a promise to scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SimExit {
    /// Nothing was wrong.
    Clean = 0,
    /// Safety is broken.
    Violation = 1,
    /// The command line or a scenario file is not valid.
    Usage = 2,
    /// An ensemble did not come back.
    Liveness = 3,
    /// A panic inside a run.
    Panic = 4,
    /// A campaign that did too little to mean anything.
    Floors = 5,
    /// A seed did not do the same twice.
    Determinism = 6,
    /// A replay in which nothing was wrong, and that is not as its file expects.
    Unexpected = 7,
    /// Ended by a signal; nothing was wrong until then.
    Stopped = 130,
}

impl SimExit {
    /// For runs that ended with this verdict.
    #[must_use]
    pub fn of(verdict: &str) -> Self {
        match verdict {
            "violation" => Self::Violation,
            "liveness-failure" => Self::Liveness,
            "panic" => Self::Panic,
            "determinism" => Self::Determinism,
            _ => Self::Clean,
        }
    }
    /// The one that says more: safety before determinism before panics before liveness.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |e: Self| match e {
            Self::Clean => 0,
            Self::Unexpected => 1,
            Self::Stopped => 2,
            Self::Floors => 3,
            Self::Liveness => 4,
            Self::Panic => 5,
            Self::Determinism => 6,
            Self::Violation => 7,
            Self::Usage => 8,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Runs the subcommand.
#[must_use]
pub fn sim(options: &Sim) -> ExitCode {
    one::quiet_panics();
    let exit = match &options.command {
        SimCommand::Run(o) => replay::run(o),
        SimCommand::Replay(o) => replay::replay(o),
        SimCommand::Freeze(o) => freeze::run(o),
        SimCommand::Minimise(o) => minimise::run(o),
        SimCommand::Fuzz(o) => fuzz::fuzz(o),
        SimCommand::Merge(o) => merge::merge(o),
        SimCommand::Mutants(o) => mutants::mutants(o),
        SimCommand::Exhaust(o) => exhaust::exhaust(o),
        SimCommand::Bench(o) => bench::bench(o),
    };
    ExitCode::from(exit as u8)
}
