//! The server around the core: configuration, command line, what operators see.

pub mod config;
pub mod exit;
pub mod four_letter;
pub mod metrics;
pub mod process;
pub mod time_text;
pub mod version;
pub mod views;
