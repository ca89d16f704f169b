//! Sessions: where ids come from, when they expire, who owns them, and what a learner tells of them (client-protocol 2.2 to 2.4).

mod expiry;
mod ids;
mod map;
mod touches;
mod tracker;

pub use expiry::Expiry;
pub use ids::IdSource;
pub use touches::TouchTable;
pub use tracker::{Expired, Origin, Standing, Tracker};
