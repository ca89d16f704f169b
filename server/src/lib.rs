//! The server around the core: configuration, command line, what operators see.

pub mod bench;
pub mod cli;
pub mod config;
pub mod crew;
pub mod data_dir;
pub mod dev;
pub mod events;
pub mod exit;
pub mod four_letter;
pub mod host;
pub mod logging;
pub mod member;
pub mod metrics;
pub mod process;
pub mod recording;
pub mod serve;
pub mod signals;
pub mod sim;
pub mod source;
pub mod time_text;
pub mod version;
pub mod views;
