//! The data directories before anything is opened in them: made, writable, and not mixed up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use crate::config::ServerConfig;
use crate::config::problem::{ConfigError, Problem};
use crate::exit::Exit;

/// Where Java keeps its files.
pub const VERSION_DIR: &str = "version-2";
/// Where we keep ours.
pub const SIDE_DIR: &str = "quorate";

/// A data directory that belongs to this process until this is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Makes the directories of a server where that is allowed, and checks that they can be used and that nobody else does.
pub fn prepare(config: &ServerConfig) -> Result<Claim, ConfigError> {
    let (data, log) = (config.data_dir.join(VERSION_DIR), config.data_log_dir.join(VERSION_DIR));
    for (key, dir) in [("dataDir", &data), ("dataLogDir", &log)] {
        usable(dir, config.datadir_autocreate).map_err(|what| refuse(key, what))?;
    }
    if !same(&data, &log) {
        if has(&log, "snapshot.") {
            let what = "Log directory has snapshot files. Check if dataLogDir and dataDir configuration is correct.";
            return Err(refuse("dataLogDir", format!("{}: {what}", log.display())));
        }
        if has(&data, "log.") {
            let what = "Snapshot directory has log files. Check if dataLogDir and dataDir configuration is correct.";
            return Err(refuse("dataDir", format!("{}: {what}", data.display())));
        }
    }
    claim(&config.data_dir).map_err(|what| refuse("dataDir", what))
}

/// Two servers on one directory would each write over what the other has promised.
fn claim(data_dir: &Path) -> Result<Claim, String> {
    let side = data_dir.join(SIDE_DIR);
    usable(&side, true)?;
    let path = side.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = file.map_err(|e| format!("Cannot open {}: {e}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(format!(
            "{} is used by another server that runs: stop it, or give this one a dataDir of its own",
            data_dir.display()
        )),
        // A file system without locks: the directory cannot be protected, and the server can run.
        Err(TryLockError::Error(e)) => {
            tracing::warn!("{} cannot be locked ({e}): see to it that only one server uses it", data_dir.display());
            Ok(Claim { _lock: lock })
        }
    }
}

fn refuse(key: &str, what: String) -> ConfigError {
    ConfigError { problems: vec![Problem::new(what).key(key)], exit: Exit::DataDir }
}

fn usable(dir: &Path, create: bool) -> Result<(), String> {
    let shown = dir.display();
    if !dir.exists() {
        if !create {
            return Err(format!(
                "Missing data directory {shown}, automatic data directory creation is disabled \
                 (zookeeper.datadir.autocreate is false). Please create this directory manually."
            ));
        }
        fs::create_dir_all(dir).map_err(|e| format!("Unable to create data directory {shown}: {e}"))?;
    }
    if !dir.is_dir() {
        return Err(format!("{shown} is not a directory"));
    }
    // A look at permission bits would miss a read-only file system: try.
    let probe = dir.join(format!("quorate-probe.{}.tmp", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    made.map_err(|e| format!("Cannot write to data directory {shown}: {e}"))?;
    fs::remove_file(&probe).map_err(|e| format!("Cannot write to data directory {shown}: {e}"))?;
    Ok(())
}

fn same(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn has(dir: &Path, prefix: &str) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with(prefix))
}
