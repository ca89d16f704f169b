//! What clients of one server see, without sockets and without a disk.

#![allow(unreachable_pub)] // Nothing is outside of a test.

mod edges;
mod precedence;
mod quirks;
mod rules;
mod slow_watcher;
mod standalone;
mod throttle;
#[path = "../transcript/mod.rs"]
mod transcript;
