//! Deterministic simulator of Quorate ensembles: the real `Peer`s of `quorate-core` in one thread, with a network, disks,
//! clocks, clients and an adversary that one seed decides.

#![forbid(unsafe_code)]

mod ballot;
mod client;
mod clock;
mod fault;
mod liveness;
mod network;
mod node;
mod past;
mod platter;
mod queue;
mod quorum;
mod watcher;
mod world;

pub mod catalogue;
pub mod check;
pub mod conversation;
pub mod disk;
pub mod draw;
pub mod effect;
pub mod exhaust;
pub mod freeze;
pub mod initial;
pub mod json_position;
pub mod machine;
pub mod model;
pub mod observe;
pub mod reach;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod spec;
pub mod workload;

pub use observe::{Check, Obs, Observation, Outcome, Verdict, Violation};
pub use spec::RunSpec;
pub use world::run;

/// How a run is driven; nothing in it changes what happens.
#[derive(Default)]
pub struct Options<'a> {
    /// Gets each line of the trace; [`report::HEADER`] names its columns.
    pub trace: Option<&'a mut dyn FnMut(&str)>,
    /// Keep what it takes to make the run explicit: [`Outcome::ops`] and [`Outcome::struck`].
    pub record: bool,
    /// Record what the run reaches, in [`Outcome::reached`].
    pub reach: bool,
    /// Keep so many last lines of the trace in [`Outcome::tail`].
    pub tail: usize,
    /// The trace has lines for messages too.
    pub messages: bool,
    /// Gets the facts of the run.
    pub picture: Option<&'a mut report::Picture>,
}
