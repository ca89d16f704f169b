//! The pure state machine of Quorate.
//!
//! Inputs go in (bytes that arrived, a disk operation that ended, that time has come), actions come out. Nothing here owns a
//! socket, a file, a clock, a thread or hidden randomness; `no_std` is the proof.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
pub mod disk;
pub mod election;
pub mod error;
pub mod event;
pub mod front;
mod hash;
pub mod ids;
pub mod jute;
pub mod message;
pub mod mutant;
pub mod peer;
pub mod quorum;
pub mod request;
pub mod session;
mod slots;
pub mod tree;
pub mod watch;
pub mod wire;
pub mod zab;
