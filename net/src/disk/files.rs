//! Disk primitives on real files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName};
#[cfg(target_os = "linux")]
use rustix::fs::{Advice, fadvise};

use super::DataDirs;
use super::snapshots::{Compressed, Packed};

/// Files kept open.
const OPEN_MAX: usize = 8;

type Result<T> = std::result::Result<T, DiskError>;

/// An open file.
#[derive(Debug)]
struct Open {
    name: FileName,
    file: File,
    writable: bool,
    /// The length was set since the last fsync: everything about the inode must reach the disk.
    resized: bool,
    /// Where the furthest write ended.
    written: u64,
    /// The system's cache was told to let go of what is before this.
    let_go: u64,
}

impl Open {
    fn new(name: &FileName, file: File, writable: bool, resized: bool) -> Self {
        Self { name: name.clone(), file, writable, resized, written: 0, let_go: 0 }
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.written == 0 {
            self.let_go = at;
        }
        self.written = self.written.max(at + bytes.len() as u64);
        self.file.write_all_at(bytes, at)
    }

    /// What is in the log for good needs no memory: nobody reads it before the next start, but for a learner that is far
    /// behind. A log that grows through the system's cache takes a new page of memory for every page of its own; one that
    /// lets go of them has the same few again. Snapshots stay: a learner may be sent one that was just written.
    fn let_go_of_synced(&mut self) {
        if self.name.dir != Dir::Log {
            return;
        }
        // The newest pages may still be on their way to the lists from which the system can take them.
        let until = self.written.saturating_sub(STAYS_BYTES) & !(PAGE - 1);
        if let Some(len) = NonZeroU64::new(until.saturating_sub(self.let_go)).filter(|len| len.get() >= LET_GO_BYTES) {
            // Advice: where it can't be taken, nothing is lost.
            #[cfg(target_os = "linux")]
            let _ = fadvise(&self.file, self.let_go, Some(len), Advice::DontNeed);
            self.let_go += len.get();
        }
    }

    /// The file is not longer than this any more.
    fn shortened(&mut self, length: u64) {
        self.resized = true;
        self.written = self.written.min(length);
        self.let_go = self.let_go.min(length);
    }
}

/// Synchronised bytes that the system's cache may hold of a file that is being written.
const LET_GO_BYTES: u64 = 256 << 10;
/// And those at its end that are left alone.
const STAYS_BYTES: u64 = 128 << 10;
const PAGE: u64 = 4096;

/// Carries out the operations of one lane.
#[derive(Debug)]
pub struct Files {
    dirs: DataDirs,
    /// Newest last.
    open: Vec<Open>,
    /// Counts renames and unlinks of both lanes: a file kept open may have lost its name to another lane.
    names: Arc<AtomicU64>,
    seen: u64,
    packed: Option<Packed>,
}

impl Files {
    /// For these directories; `names` is shared by all that work in them.
    #[must_use]
    pub fn new(dirs: DataDirs, names: Arc<AtomicU64>) -> Self {
        Self { dirs, open: Vec::new(), names, seen: 0, packed: None }
    }

    /// Carries out one operation.
    pub fn execute(&mut self, op: &DiskOp) -> Result<DiskReply> {
        let names = self.names.load(Ordering::Acquire);
        if names != self.seen {
            self.seen = names;
            self.open.clear();
            self.packed = None;
        }
        match op {
            DiskOp::Create(name) => self.create(name),
            DiskOp::WriteAt(name, at, bytes) => {
                self.with(name, true, |open| open.write(bytes, *at)).map(|()| DiskReply::Done)
            }
            DiskOp::Extend(name, length) => self.extend(name, *length),
            DiskOp::Truncate(name, length) => self.truncate(name, *length),
            DiskOp::Fsync(name) => self.fsync(name),
            DiskOp::Rename(from, to) => self.rename(from, to),
            DiskOp::Unlink(name) => self.unlink(name),
            DiskOp::FsyncDir(dir) => self.fsync_dir(*dir),
            DiskOp::ReadRange(name, at, length) => self.read(name, *at, *length),
            DiskOp::List(dir) => self.list(*dir),
        }
    }

    fn path(&self, name: &FileName) -> Result<PathBuf> {
        let plain = Path::new(&*name.name).file_name().is_some_and(|n| n == &*name.name);
        if !plain {
            return Err(DiskError::Io(format!("{:?} is not the name of a file", name.name)));
        }
        Ok(self.dirs.path(name.dir).join(&*name.name))
    }

    /// Calls `f` with the file, which is opened where it is not open yet.
    fn with<T>(&mut self, name: &FileName, write: bool, f: impl FnOnce(&mut Open) -> io::Result<T>) -> Result<T> {
        let path = |files: &Self| files.path(name);
        if let Some(i) = self.open.iter().position(|o| o.name == *name && (o.writable || !write)) {
            if i + 1 != self.open.len() {
                let open = self.open.remove(i);
                self.open.push(open);
            }
        } else {
            let path = path(self)?;
            let file = OpenOptions::new().read(true).write(write).open(&path).map_err(|e| explain(&path, &e))?;
            self.keep(Open::new(name, file, write, false));
        }
        let Some(open) = self.open.last_mut() else { return Err(DiskError::NotFound) };
        f(open).map_err(|e| match path(self) {
            Ok(path) => explain(&path, &e),
            Err(e) => e,
        })
    }

    fn keep(&mut self, open: Open) {
        self.open.retain(|o| o.name != open.name);
        if self.open.len() >= OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push(open);
    }

    fn forget(&mut self, name: &FileName) {
        self.open.retain(|o| o.name != *name);
        self.packed = None;
        // Other lanes look again; this one has.
        self.seen = self.names.fetch_add(1, Ordering::AcqRel) + 1;
    }

    fn create(&mut self, name: &FileName) -> Result<DiskReply> {
        let path = self.path(name)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|e| explain(&path, &e))?;
        self.packed = None;
        self.keep(Open::new(name, file, true, true));
        Ok(DiskReply::Done)
    }

    /// By a hole: measured on ext4, a small write into a hole and its fdatasync take as long as into allocated or zeroed space,
    /// and 60% of what they take at the end of a growing file.
    fn extend(&mut self, name: &FileName, length: u64) -> Result<DiskReply> {
        self.with(name, true, |open| {
            if open.file.metadata()?.len() < length {
                open.file.set_len(length)?;
                open.resized = true;
            }
            Ok(DiskReply::Done)
        })
    }

    fn truncate(&mut self, name: &FileName, length: u64) -> Result<DiskReply> {
        self.with(name, true, |open| {
            if open.file.metadata()?.len() > length {
                open.file.set_len(length)?;
                open.shortened(length);
            }
            Ok(DiskReply::Done)
        })
    }

    /// A length that grew by writing is made durable by fdatasync too: without it the bytes could not be read back.
    fn fsync(&mut self, name: &FileName) -> Result<DiskReply> {
        self.with(name, true, |open| {
            if open.resized {
                open.file.sync_all()?
            } else {
                open.file.sync_data()?
            }
            open.resized = false;
            open.let_go_of_synced();
            Ok(DiskReply::Done)
        })
    }

    fn rename(&mut self, from: &FileName, to: &FileName) -> Result<DiskReply> {
        let (old, new) = (self.path(from)?, self.path(to)?);
        match Compressed::of(to).filter(|_| Compressed::of(from).is_none()) {
            None => fs::rename(&old, &new).map_err(|e| explain(&old, &e))?,
            // A snapshot gets the name of a packed one: that is the moment to pack it.
            Some(kind) => {
                let packing = self.dirs.path(to.dir).join("packing.tmp");
                kind.pack(&old, &packing).map_err(|e| explain(&packing, &e))?;
                fs::rename(&packing, &new).map_err(|e| explain(&packing, &e))?;
                fs::remove_file(&old).map_err(|e| explain(&old, &e))?;
            }
        }
        self.open.retain(|o| o.name != *from);
        self.forget(to);
        Ok(DiskReply::Done)
    }

    fn unlink(&mut self, name: &FileName) -> Result<DiskReply> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|e| explain(&path, &e))?;
        self.forget(name);
        Ok(DiskReply::Done)
    }

    fn fsync_dir(&self, dir: Dir) -> Result<DiskReply> {
        let path = self.dirs.path(dir);
        File::open(path).and_then(|d| d.sync_all()).map_err(|e| explain(path, &e))?;
        Ok(DiskReply::Done)
    }

    fn read(&mut self, name: &FileName, at: u64, length: u64) -> Result<DiskReply> {
        if let Some(kind) = Compressed::of(name) {
            return self.read_packed(name, kind, at, length);
        }
        self.with(name, false, |open| {
            let there = open.file.metadata()?.len().saturating_sub(at);
            let mut bytes = vec![0; usize::try_from(length.min(there)).unwrap_or(usize::MAX)];
            let mut filled = 0;
            while filled < bytes.len() {
                match open.file.read_at(&mut bytes[filled..], at + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            bytes.truncate(filled);
            Ok(DiskReply::Data(Bytes::from(bytes)))
        })
    }

    /// Reads on where the last read ended, from the beginning otherwise.
    fn read_packed(&mut self, name: &FileName, kind: Compressed, at: u64, length: u64) -> Result<DiskReply> {
        let path = self.path(name)?;
        let mut packed = match self.packed.take() {
            Some(packed) if packed.is(name) && packed.position() <= at => packed,
            _ => Packed::open(name, kind, &path).map_err(|e| explain(&path, &e))?,
        };
        let bytes = packed.read(at, length).map_err(|e| explain(&path, &e))?;
        self.packed = Some(packed);
        Ok(DiskReply::Data(bytes))
    }

    fn list(&self, dir: Dir) -> Result<DiskReply> {
        let path = self.dirs.path(dir);
        let entries = match fs::read_dir(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                make_dir(path).map_err(|e| explain(path, &e))?;
                return Ok(DiskReply::Files(Vec::new()));
            }
            other => other.map_err(|e| explain(path, &e))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let found = entry.map(|e| (e.file_name(), fs::metadata(e.path())));
            let (name, meta) = found.map_err(|e| explain(path, &e))?;
            // What vanished meanwhile is not there; a name that is no text is none of ours.
            if let (Ok(name), Ok(meta)) = (name.into_string(), meta)
                && meta.is_file()
            {
                files.push((name, meta.len()));
            }
        }
        Ok(DiskReply::Files(files))
    }
}

/// Makes a directory, durably.
fn make_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// What an error is to the core; an operator needs the name.
fn explain(path: &Path, e: &io::Error) -> DiskError {
    match e.kind() {
        ErrorKind::NotFound => DiskError::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Io(format!("{}: {e}", path.display())),
    }
}
