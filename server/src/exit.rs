//! Exit codes, with ZooKeeper's numbers (operations section 1).

use std::process::ExitCode;

/// Why the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Asked to stop, or nothing was wrong.
    Clean = 0,
    /// Something unexpected, the client port that cannot be bound among it.
    Unexpected = 1,
    /// The command line or the configuration is not valid.
    Invalid = 2,
    /// The data directory is missing, not accessible, or mixed up with the log directory.
    DataDir = 3,
    /// The transaction log or a snapshot cannot be used.
    TxnLog = 10,
    /// The election port cannot be bound after all tries.
    ElectionPort = 14,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
