//! Clients that send anything at all, against real Peers, and a judge who knows the protocol from its page alone.
//!
//! Used by `core/tests/hostile` (quickcheck, the corpus) and, by path, by the targets of `fuzz/`. A [`Program`] is what hostile clients
//! do; [`run`] does it and panics where the server breaks a rule: a panic of its own, no end, memory beyond the bound, a reply that
//! is missing, surplus, out of order or malformed, a connection that ends otherwise than the recorded server's, a refused request
//! that changed something.
#![allow(unreachable_pub, dead_code)] // Included by path in two crates, each of which uses a part.

mod cluster;
mod conn;
mod expect;
mod grammar;
mod meter;
mod program;
mod run;
pub mod seeds;

pub use cluster::{ClientEvent, Cluster};
pub use grammar::{request_shape, requests};
pub use program::{Op, Profile, Program, SLOTS};
pub use run::{request, run};
