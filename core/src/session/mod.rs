//! Sessions: where ids come from, when they expire, who owns them, and what a learner tells of them (client-protocol 2.2 to 2.4).

mod expiry;
mod ids;
mod touches;
mod tracker;

pub use expiry::Expiry;
pub use ids::IdSource;
pub use touches::TouchTable;
pub use tracker::{Expired, Origin, Standing, Tracker};

use crate::ids::{Millis, Now};
use crate::mutant::{Mutant, Mutants};

/// The clock by which sessions expire: it runs on whatever is done to the time of day (ZOOKEEPER-1366).
#[must_use]
pub fn clock(now: Now, mutants: Mutants) -> Millis {
    if mutants.has(Mutant::B58) { now.wall_ms } else { now.mono_ms }
}
