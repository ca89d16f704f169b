//! The server around the core: configuration, command line, what operators see.

pub mod config;
pub mod exit;
