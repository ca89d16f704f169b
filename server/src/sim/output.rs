//! Files that are written when all is done: what keeps them from that is said before.

use std::fs::{self, OpenOptions};
use std::path::Path;

/// Makes the directories of these files and sees that each can be written. None is changed, and none is left where there was none.
///
/// # Errors
/// Which cannot be, and why.
pub fn ready<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), String> {
    files.into_iter().try_for_each(|file| {
        let is_new = fs::symlink_metadata(file).is_err();
        let made = file.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| OpenOptions::new().append(true).create(true).open(file).map(drop))
            .and_then(|()| if is_new { fs::remove_file(file) } else { Ok(()) })
            .map_err(|e| format!("{}: {e}", file.display()))
    })
}

/// Makes a directory and sees that files can be written there.
///
/// # Errors
/// Why not.
pub fn ready_dir(dir: &Path) -> Result<(), String> {
    ready([dir.join(format!(".quorate-{}", std::process::id())).as_path()])
}
