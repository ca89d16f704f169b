//! The `quorate` binary.

use std::process::ExitCode;

use clap::Parser;
use quorate_server::cli::{Cli, Command};
use quorate_server::exit::Exit;
use quorate_server::{bench, config, serve, sim};

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Serve(options) => serve::serve(&options),
        Command::Dev(options) => serve::dev(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Sim(options) => return sim::sim(&options),
        Command::ConfigReference => {
            serve::print(&config::reference::page());
            Exit::Clean
        }
    };
    exit.into()
}
