//! A small ensemble in every order of events: the narrow checker beside the wide one.
//!
//! Three real Peers with an established leader and one session have so many writes, crashes and cuts ahead of them. What is
//! under way between leader and learners, each fsync, each write, crash (with all or nothing of what was not synced), restart
//! and cut is a [`Choice`]; [`State::choices`] lists those of an instant, [`State::take`] makes one, the checks of the simulator
//! watch. [`search`] tries all of them, each state once.
//!
//! What is no choice, so that the space stays small: elections (their bytes arrive at once; safety never depends on them),
//! connections are made at once, disk operations other than fsyncs are done when they are asked for, and time stands still
//! while anything is under way (unless a lapse is spent on it). A crash loses what its server had sent: that it had arrived
//! before is another order.

mod choice;
mod client;
mod file;
mod machine;
mod memo;
mod search;
mod state;

pub use choice::Choice;
pub use file::{Choices, Replayed, SCHEMA};
pub use search::{Found, Progress, Root, Seen, roots, search, shorten};
pub use state::State;

use serde::{Deserialize, Serialize};

/// How much may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Servers, all of them voters.
    pub servers: u32,
    /// Writes of a client.
    pub writes: u32,
    /// Power cuts.
    pub crashes: u32,
    /// Connections between leader and learner that break while both live.
    pub cuts: u32,
    /// Times that time passes although something is under way.
    pub lapses: u32,
}

impl Bounds {
    /// Whether they make sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=9).contains(&self.servers) {
            return Err(format!("servers: {} is not from 1 to 9", self.servers));
        }
        Ok(())
    }
}
