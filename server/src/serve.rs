//! `quorate serve` and `quorate dev`, from arguments to exit code.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use quorate_core::event::AdminCommand;
use tracing::{Level, error, info, warn};

use crate::cli::{Dev, Serve};
use crate::config::problem::ConfigError;
use crate::config::{Environment, ServerConfig, from_arguments, load};
use crate::crew::Crew;
use crate::data_dir::{self, Claim};
use crate::dev::Plan;
use crate::exit::Exit;
use crate::logging::{self, LogTarget};
use crate::member;
use crate::recording::{DEFAULT_MIB, RecordTo};
use crate::signals;
use crate::version;

/// A build with planted bugs is for the fuzzer only.
fn refuse_mutants() -> Result<(), Exit> {
    if cfg!(feature = "mutants") {
        error!("this binary was built with the feature `mutants`: it can plant bugs, and does not serve");
        return Err(Exit::Invalid);
    }
    Ok(())
}

/// Logs why a server does not start, as ZooKeeper does.
fn report(e: &ConfigError) -> Exit {
    let headline = match e.exit {
        Exit::DataDir => "Unable to access datadir, exiting abnormally",
        _ => "Invalid config, exiting abnormally",
    };
    error!("{headline}");
    for problem in &e.problems {
        error!("{problem}");
    }
    e.exit
}

/// Makes a configuration ready to run: warnings are logged, directories made.
fn prepare(config: &ServerConfig) -> Result<Claim, Exit> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    data_dir::prepare(config).map_err(|e| report(&e))
}

/// `quorate serve`.
#[must_use]
pub fn serve(options: &Serve) -> Exit {
    logging::start(options.log_format, LogTarget::Stdout, Level::INFO);
    logging::log_panics();
    try_serve(options).unwrap_or_else(|exit| exit)
}

fn try_serve(options: &Serve) -> Result<Exit, Exit> {
    refuse_mutants()?;
    let environment = Environment::of_process();
    let config = match &options.arguments[..] {
        [file] => {
            info!("Reading configuration from: {file}");
            load(Path::new(file), &environment)
        }
        arguments => from_arguments(arguments, &environment),
    };
    let mut config = config.map_err(|e| report(&e))?;
    if let Some(file) = &options.record {
        let mib = options.record_size.map_or(DEFAULT_MIB.unsigned_abs(), u64::from);
        config.record = Some(RecordTo { file: file.clone(), size: mib << 20 });
    }
    logging::set_process_id(config.peer.sid);
    info!("Starting quorate {}, ZooKeeper {}", version::QUORATE, version::ZOOKEEPER);
    let _claim = prepare(&config)?;
    run(config)
}

/// Runs one server on this thread until it is told to stop.
fn run(config: ServerConfig) -> Result<Exit, Exit> {
    let unexpected = |what: &str, e: &dyn std::fmt::Display| {
        error!("{what}: {e}");
        Exit::Unexpected
    };
    let member = member::build(config, 1, None).map_err(|e| unexpected("this server cannot start", &e))?;
    let remote = member.remote();
    signals::on_stop(move || remote.send(AdminCommand::Shutdown)).map_err(|e| unexpected("no signal handler", &e))?;
    // The panic has been logged with its reason.
    let ended = catch_unwind(AssertUnwindSafe(|| member.run())).map_err(|_| Exit::Unexpected)?;
    Ok(member::report(&ended))
}

/// `quorate dev`.
#[must_use]
pub fn dev(options: &Dev) -> Exit {
    logging::start(options.log_format, LogTarget::Stderr, options.log_level);
    logging::log_panics();
    try_dev(options).unwrap_or_else(|exit| exit)
}

fn try_dev(options: &Dev) -> Result<Exit, Exit> {
    refuse_mutants()?;
    let plan = Plan::new(options).map_err(|e| {
        error!("{e}");
        Exit::Unexpected
    })?;
    plan.write().map_err(|e| {
        error!("{}: {e}", options.dir.display());
        Exit::DataDir
    })?;
    let environment = Environment::default();
    let (mut configs, mut claims) = (Vec::new(), Vec::new());
    for member in &plan.members {
        let config = load(&member.config_file(), &environment).map_err(|e| report(&e))?;
        claims.push(prepare(&config)?);
        configs.push(config);
    }
    let unexpected = |e| {
        error!("the servers cannot be started: {e}");
        Exit::Unexpected
    };
    let crew = Crew::start(configs).map_err(unexpected)?;
    let stopper = crew.stopper();
    signals::on_stop(move || stopper.stop()).map_err(unexpected)?;
    let exit = crew.wait(|| print(&plan.greeting(&options.dir)));
    drop(claims);
    Ok(exit)
}

/// To standard output; a reader that went away is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
