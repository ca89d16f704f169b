//! Files that are written when all is done: what keeps them from that is said before.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Makes the directories of these files and sees that each can be written. None is changed, and none is left where there was none.
///
/// # Errors
/// Which cannot be, and why.
pub fn ready<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), String> {
    files.into_iter().try_for_each(|file| try_out(file).map_err(|e| format!("{}: {e}", file.display())))
}

fn try_out(file: &Path) -> io::Result<()> {
    let known = fs::metadata(file);
    if known.as_ref().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        // Whoever reads a pipe would take it for ended.
        return Ok(());
    }
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    OpenOptions::new().append(true).create(true).open(file)?;
    if known.is_ok() {
        return Ok(());
    }
    match fs::remove_file(file) {
        // Another process tries the same name.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a directory and sees that files can be written there.
///
/// # Errors
/// Why not.
pub fn ready_dir(dir: &Path) -> Result<(), String> {
    ready([dir.join(format!(".quorate-{}", std::process::id())).as_path()])
}
