//! `quorate sim`: drivers of the simulator. Files, threads, signals and exit codes are here; `quorate-sim` has none of them.

pub mod args;
pub mod bench;
pub mod fuzz;
pub mod mutants;
pub mod one;
pub mod replay;
pub mod report;

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
}

impl SimExit {
    /// For runs that ended with this verdict.
    #[must_use]
    pub fn of(verdict: &str) -> Self {
        match verdict {
            "violation" => Self::Violation,
            "liveness-failure" => Self::Liveness,
            "panic" => Self::Panic,
            _ => Self::Clean,
        }
    }
    /// The one that says more: safety before panics before liveness.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |e: Self| match e {
            Self::Clean => 0,
            Self::Liveness => 1,
            Self::Panic => 2,
            Self::Violation => 3,
            Self::Usage => 4,
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
        SimCommand::Fuzz(o) => fuzz::fuzz(o),
        SimCommand::Mutants(o) => mutants::mutants(o),
        SimCommand::Bench(o) => bench::bench(o),
    };
    ExitCode::from(exit as u8)
}
