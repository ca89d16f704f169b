//! What a driver owes to a machine: links, listeners, time, ends, disks. On loopback and in temporary directories.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod disk;
mod links;
mod world;
