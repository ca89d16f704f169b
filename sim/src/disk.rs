//! The disk of one server: bytes in the page cache, bytes on the platter, and what a power cut leaves of both.
//!
//! A write, a new length or a change of a directory stands in the cache until the fsync that covers it. At a power cut any
//! subset of what was not synced survives: sectors of data in any combination, directory operations one by one.

mod damage;
mod durable;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher};

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName};

use crate::rng::{Purpose, Stream};

/// A change of a file that is not synced.
#[derive(Clone, Hash, Debug)]
enum Change {
    Write(u64, Bytes),
    /// Longer (zeros) or shorter.
    Length(u64),
}

/// A file's bytes.
#[derive(Clone, Hash, Debug, Default)]
struct File {
    cache: Vec<u8>,
    platter: Vec<u8>,
    unsynced: Vec<Change>,
    /// Sectors whose bytes stand in the cache only although they count as written: a failed fsync has lost them. No fsync
    /// writes them before they are written to again.
    lost: BTreeSet<u64>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(_, data) if data.is_empty() => {}
        Change::Write(at, data) => {
            let (start, end) = (*at as usize, *at as usize + data.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(data);
        }
        Change::Length(n) => bytes.resize(*n as usize, 0),
    }
}

impl File {
    fn change(&mut self, change: Change, sector: usize) {
        apply(&mut self.cache, &change);
        let change = if self.lost.is_empty() { change } else { self.revive(change, sector as u64) };
        self.unsynced.push(change);
    }

    /// A write makes the whole sectors that it touches dirty, also what was lost of them.
    fn revive(&mut self, change: Change, sector: u64) -> Change {
        match change {
            Change::Length(n) => {
                self.lost.retain(|s| s * sector < n);
                change
            }
            Change::Write(at, ref data) if !data.is_empty() => {
                let (mut from, mut to) = (at, at + data.len() as u64);
                let (first, last) = (from / sector, (to - 1) / sector);
                if self.lost.contains(&first) {
                    from = first * sector;
                }
                if self.lost.contains(&last) {
                    to = ((last + 1) * sector).min(self.cache.len() as u64);
                }
                self.lost.retain(|s| !(first..=last).contains(s));
                Change::Write(from, Bytes::copy_from_slice(&self.cache[from as usize..to as usize]))
            }
            Change::Write(..) => change,
        }
    }

    /// A failed fsync: the bytes that were to be written count as written. Lengths are the file system's own, and stay dirty.
    fn lose(&mut self, sector: u64) {
        let mut length = self.platter.len() as u64;
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Length(n) => {
                    length = n;
                    self.unsynced.push(change);
                }
                Change::Write(at, data) if !data.is_empty() => {
                    let end = at + data.len() as u64;
                    self.lost.extend(at / sector..=(end - 1) / sector);
                    if end > length {
                        length = end;
                        self.unsynced.push(Change::Length(end));
                    }
                }
                Change::Write(..) => {}
            }
        }
    }

    /// The cache forgets what it does not have to keep: what a failed fsync has lost is read as the platter has it.
    fn evict(&mut self) {
        self.cache.clone_from(&self.platter);
        for change in &self.unsynced {
            apply(&mut self.cache, change);
        }
        self.lost.clear();
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.platter, &change);
        }
    }

    /// What a power cut leaves: each sector of each write with its own luck. Returns how many changes survive whole, and whether
    /// one does in part.
    fn power_cut(&mut self, luck: Luck, sector: usize, stream: &mut Stream) -> (usize, bool) {
        let changes = std::mem::take(&mut self.unsynced);
        let (mut whole, mut torn) = (0, false);
        for change in changes {
            let (mut kept, mut lost) = (false, false);
            match &change {
                Change::Length(_) => {
                    kept = luck.keeps(stream);
                    if kept {
                        apply(&mut self.platter, &change);
                    }
                }
                Change::Write(at, data) => {
                    let mut from = 0;
                    while from < data.len() {
                        let to = (from + sector - (*at as usize + from) % sector).min(data.len());
                        if luck.keeps(stream) {
                            apply(&mut self.platter, &Change::Write(at + from as u64, data.slice(from..to)));
                            kept = true;
                        } else {
                            lost = true;
                        }
                        from = to;
                    }
                }
            }
            whole += usize::from(kept && !lost);
            torn |= kept && lost;
        }
        self.evict();
        (whole, torn)
    }
}

/// How a power cut treats what was not synced.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Nothing,
    Everything,
    /// Each piece with this chance, in thousandths.
    Some(u64),
}

impl Luck {
    fn draw(stream: &mut Stream) -> Self {
        match stream.below(4) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some(stream.between(50, 950)),
        }
    }
    fn keeps(self, stream: &mut Stream) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(n) => stream.permille(n),
        }
    }
}

type Inode = u32;

/// A change of a directory that is not synced: names and what they stand for afterwards, all or nothing.
type Binding = Vec<(Box<str>, Option<Inode>)>;

#[derive(Clone, Debug, Default)]
struct Directory {
    /// It was listed once, which makes it, durably.
    exists: bool,
    cache: BTreeMap<Box<str>, Inode>,
    platter: BTreeMap<Box<str>, Inode>,
    unsynced: Vec<Binding>,
}

fn bind(names: &mut BTreeMap<Box<str>, Inode>, binding: &Binding) {
    for (name, inode) in binding {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

impl Directory {
    fn change(&mut self, binding: Binding) {
        bind(&mut self.cache, &binding);
        self.unsynced.push(binding);
    }
    /// Returns the files that may have lost a name.
    fn sync(&mut self) -> Vec<Inode> {
        let mut renamed = Vec::new();
        for binding in self.unsynced.drain(..) {
            for (name, inode) in &binding {
                renamed.extend(self.platter.get(name).filter(|old| Some(**old) != *inode));
            }
            bind(&mut self.platter, &binding);
        }
        renamed
    }
    fn names(&self, inode: Inode) -> bool {
        // New files have the last names, mostly.
        self.cache.values().rev().chain(self.platter.values().rev()).any(|i| *i == inode)
            || self.unsynced.iter().flatten().any(|(_, i)| *i == Some(inode))
    }
}

/// What a power cut has left of what was not synced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survived {
    /// Changes that no fsync had covered.
    pub at_stake: usize,
    /// Those of them that are whole.
    pub kept: usize,
    /// Files with a write of which some sectors are there and others are not.
    pub torn: Vec<String>,
}

impl std::fmt::Display for Survived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at_stake, kept, torn } = self;
        write!(f, "{kept} of {at_stake} changes that were not synced survive")?;
        if torn.is_empty() { Ok(()) } else { write!(f, "; torn: {}", torn.join(", ")) }
    }
}

/// The disk of one server.
#[derive(Clone, Debug)]
pub struct SimDisk {
    directories: [Directory; 4],
    files: BTreeMap<Inode, File>,
    next: Inode,
    sector: usize,
    /// Operations that need space fail.
    pub full: bool,
    /// Fsyncs answer without having synced.
    pub lying: bool,
    /// An fsync has answered without having synced, and nothing has synced everything since.
    lied: bool,
    bad: Vec<damage::Bad>,
    /// Faults that reads have met, for the world to count.
    pub(crate) met: Vec<u32>,
}

const fn slot(dir: Dir) -> usize {
    match dir {
        Dir::Data => 0,
        Dir::Log => 1,
        Dir::Side => 2,
        Dir::Base => 3,
    }
}

/// What is wrong with the name of a file that is not there.
fn missing(name: &FileName) -> DiskError {
    if is_plain(name) {
        DiskError::NotFound
    } else {
        DiskError::Io(format!("{:?} is not the name of a file", name.name))
    }
}

fn is_plain(name: &FileName) -> bool {
    !matches!(&*name.name, "" | "." | "..") && !name.name.contains('/')
}

impl SimDisk {
    /// An empty disk with sectors of this many bytes.
    #[must_use]
    pub fn new(sector: usize) -> Self {
        Self {
            directories: Default::default(),
            files: BTreeMap::new(),
            next: 0,
            sector: sector.max(1),
            full: false,
            lying: false,
            lied: false,
            bad: Vec::new(),
            met: Vec::new(),
        }
    }

    fn inode(&self, name: &FileName) -> Result<Inode, DiskError> {
        self.directories[slot(name.dir)].cache.get(&*name.name).copied().ok_or_else(|| missing(name))
    }

    /// Whether a file can have this name.
    fn can_be(&self, name: &FileName) -> Result<(), DiskError> {
        if is_plain(name) && self.directories[slot(name.dir)].exists { Ok(()) } else { Err(missing(name)) }
    }

    fn file(&mut self, name: &FileName) -> Result<&mut File, DiskError> {
        let inode = self.inode(name)?;
        self.files.get_mut(&inode).ok_or(DiskError::NotFound)
    }

    /// Whether the power would take what an fsync has vouched for.
    pub(crate) fn has_lied(&self) -> bool {
        self.lied && self.has_unsynced()
    }

    /// Carries out one operation in the page cache; fsyncs make durable what they cover.
    ///
    /// # Errors
    /// As a real disk: a file that does not exist, no space.
    pub fn execute(&mut self, op: &DiskOp) -> Result<DiskReply, DiskError> {
        let sector = self.sector;
        match op {
            DiskOp::Create(name) => {
                if self.full {
                    return Err(DiskError::Full);
                }
                match self.file(name) {
                    Ok(file) => file.change(Change::Length(0), sector),
                    Err(_) => {
                        self.can_be(name)?;
                        self.next += 1;
                        self.files.insert(self.next, File::default());
                        let inode = self.next;
                        self.directories[slot(name.dir)].change(vec![((*name.name).into(), Some(inode))]);
                    }
                }
            }
            DiskOp::WriteAt(name, at, data) => {
                let full = self.full;
                if !self.bad.is_empty() {
                    let inode = self.inode(name)?;
                    self.written(inode, *at as usize, *at as usize + data.len());
                }
                let file = self.file(name)?;
                let end = at + data.len() as u64;
                if full && !data.is_empty() && end > file.cache.len() as u64 {
                    // What still fits is written.
                    let fits = (file.cache.len() as u64).saturating_sub(*at) as usize;
                    if fits > 0 {
                        file.change(Change::Write(*at, data.slice(..fits)), sector);
                    }
                    return Err(DiskError::Full);
                }
                file.change(Change::Write(*at, data.clone()), sector);
            }
            DiskOp::Extend(name, length) => {
                let full = self.full;
                let file = self.file(name)?;
                if *length > file.cache.len() as u64 {
                    if full {
                        return Err(DiskError::Full);
                    }
                    file.change(Change::Length(*length), sector);
                }
            }
            DiskOp::Truncate(name, length) => {
                let full = self.full;
                let file = self.file(name)?;
                if *length < file.cache.len() as u64 {
                    if full {
                        // A file system that copies before it writes.
                        return Err(DiskError::Full);
                    }
                    file.change(Change::Length(*length), sector);
                }
            }
            DiskOp::Fsync(name) => {
                let lying = self.lying;
                let file = self.file(name)?;
                if !lying {
                    file.sync();
                } else if !file.unsynced.is_empty() {
                    self.lied = true;
                }
            }
            DiskOp::Rename(from, to) => self.rename(from, to)?,
            DiskOp::Unlink(name) => {
                self.file(name)?;
                self.directories[slot(name.dir)].change(vec![((*name.name).into(), None)]);
            }
            DiskOp::FsyncDir(dir) if !self.directories[slot(*dir)].exists => return Err(DiskError::NotFound),
            DiskOp::FsyncDir(dir) if self.lying => self.lied |= !self.directories[slot(*dir)].unsynced.is_empty(),
            DiskOp::FsyncDir(dir) => {
                for inode in self.directories[slot(*dir)].sync() {
                    if !self.directories.iter().any(|dir| dir.names(inode)) {
                        self.files.remove(&inode);
                    }
                }
            }
            DiskOp::ReadRange(name, at, length) => {
                let file = self.file(name)?;
                let start = (*at as usize).min(file.cache.len());
                let end = (start as u64).saturating_add(*length).min(file.cache.len() as u64) as usize;
                if !self.bad.is_empty() {
                    let inode = self.inode(name)?;
                    if let Some(bytes) = self.read_bad(inode, start, end)? {
                        return Ok(DiskReply::Data(bytes.into()));
                    }
                }
                let file = self.file(name)?;
                return Ok(DiskReply::Data(Bytes::copy_from_slice(&file.cache[start..end])));
            }
            DiskOp::List(dir) => {
                self.directories[slot(*dir)].exists = true;
                // It stands above these two.
                self.directories[slot(Dir::Base)].exists |= matches!(dir, Dir::Data | Dir::Side);
                let names = &self.directories[slot(*dir)].cache;
                let length = |inode| self.files.get(inode).map_or(0, |f| f.cache.len() as u64);
                return Ok(DiskReply::Files(names.iter().map(|(n, i)| (n.to_string(), length(i))).collect()));
            }
        }
        Ok(DiskReply::Done)
    }

    fn rename(&mut self, from: &FileName, to: &FileName) -> Result<(), DiskError> {
        if !is_plain(to) {
            return Err(missing(to));
        }
        let inode = self.inode(from)?;
        self.can_be(to)?;
        if self.full && !self.directories[slot(to.dir)].cache.contains_key(&*to.name) {
            return Err(DiskError::Full);
        }
        let (gone, there): (Binding, Binding) =
            (vec![((*from.name).into(), None)], vec![((*to.name).into(), Some(inode))]);
        if from.dir == to.dir {
            self.directories[slot(from.dir)].change(gone.into_iter().chain(there).collect());
        } else {
            self.directories[slot(to.dir)].change(there);
            self.directories[slot(from.dir)].change(gone);
        }
        Ok(())
    }

    /// Everything that operations and power cuts can show, so that disks with one digest go on alike. Which number a file has
    /// shows nowhere; a file goes in where its number first comes up.
    pub(crate) fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { directories, files, next: _, sector, full, lying, lied, bad, met } = self;
        let mut known: Vec<Inode> = Vec::new();
        let mut file = |inode: Inode, hasher: &mut H| {
            let at = known.iter().position(|i| *i == inode);
            at.unwrap_or(known.len()).hash(hasher);
            if at.is_none() {
                known.push(inode);
                files.get(&inode).hash(hasher);
            }
        };
        for Directory { exists, cache, platter, unsynced } in directories {
            (exists, cache.len(), platter.len(), unsynced.len()).hash(hasher);
            for (name, inode) in cache.iter().chain(platter) {
                name.hash(hasher);
                file(*inode, hasher);
            }
            for binding in unsynced {
                binding.len().hash(hasher);
                for (name, inode) in binding {
                    (name, inode.is_some()).hash(hasher);
                    if let Some(inode) = inode {
                        file(*inode, hasher);
                    }
                }
            }
        }
        (sector, full, lying, lied, bad, met).hash(hasher);
    }

    /// Forgets files without a name.
    fn collect(&mut self) {
        let mut named: Vec<Inode> = Vec::new();
        for dir in &self.directories {
            named.extend(dir.cache.values().chain(dir.platter.values()));
            named.extend(dir.unsynced.iter().flatten().filter_map(|(_, inode)| *inode));
        }
        named.sort_unstable();
        self.files.retain(|inode, _| named.binary_search(inode).is_ok());
    }

    /// The power goes: what was not synced survives in part.
    pub fn power_cut(&mut self, stream: &mut Stream) -> Survived {
        self.cut(Luck::draw, stream)
    }

    /// The power goes, and takes all that was not synced, or nothing of it.
    pub fn power_cut_whole(&mut self, survives: bool) {
        let luck = if survives { Luck::Everything } else { Luck::Nothing };
        // Nothing is drawn: such luck needs no chance.
        self.cut(|_| luck, &mut Stream::new(0, Purpose::Crash, 0));
    }

    /// Whether a power cut would have something to take.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        self.files.values().any(|f| !f.unsynced.is_empty()) || self.directories.iter().any(|d| !d.unsynced.is_empty())
    }

    fn cut(&mut self, draw: impl Fn(&mut Stream) -> Luck, stream: &mut Stream) -> Survived {
        let mut survived = Survived::default();
        for dir in &mut self.directories {
            let luck = draw(stream);
            survived.at_stake += dir.unsynced.len();
            for binding in std::mem::take(&mut dir.unsynced) {
                if luck.keeps(stream) {
                    survived.kept += 1;
                    bind(&mut dir.platter, &binding);
                }
            }
            dir.cache.clone_from(&dir.platter);
        }
        let luck = draw(stream);
        let sector = self.sector;
        let mut torn = Vec::new();
        for (inode, file) in &mut self.files {
            survived.at_stake += file.unsynced.len();
            let (whole, is_torn) = file.power_cut(luck, sector, stream);
            survived.kept += whole;
            if is_torn {
                torn.push(*inode);
            }
        }
        for dir in &self.directories {
            let named = dir.platter.iter().filter(|(_, inode)| torn.contains(inode));
            survived.torn.extend(named.map(|(name, _)| name.to_string()));
        }
        self.collect();
        survived
    }

    /// A failed fsync: what it could not write counts as written, and nothing remembers that it was to be written ("fsyncgate").
    ///
    /// A process that starts again without a power cut still reads it, and its own fsync succeeds, unless the cache was in need
    /// of the space (`evicted`). Only writing the same bytes once more brings them to the platter.
    pub fn lose_writes(&mut self, name: &FileName, evicted: bool) {
        let sector = self.sector as u64;
        if let Ok(file) = self.file(name) {
            file.lose(sector);
            if evicted {
                file.evict();
            }
        }
    }

    /// Whether this operation writes to the log, so that promises rest on it. Cuts do not count: one may only take padding away.
    pub(crate) fn is_log_path(op: &DiskOp) -> bool {
        match op {
            DiskOp::Create(name) | DiskOp::WriteAt(name, ..) | DiskOp::Fsync(name) => {
                name.dir == Dir::Log && name.name.starts_with("log.")
            }
            DiskOp::FsyncDir(dir) => *dir == Dir::Log,
            _ => false,
        }
    }

    /// Names of the files of a directory, in order.
    pub fn names(&self, dir: Dir) -> impl Iterator<Item = &str> {
        self.directories[slot(dir)].cache.keys().map(|name| &**name)
    }

    /// Whether an operation names a file that has bytes.
    #[must_use]
    pub fn length(&self, name: &FileName) -> Option<u64> {
        let inode = self.directories[slot(name.dir)].cache.get(&*name.name)?;
        self.files.get(inode).map(|f| f.cache.len() as u64)
    }

    /// The bytes of a file, as a process reads them.
    #[must_use]
    pub fn bytes(&self, name: &FileName) -> Option<&[u8]> {
        let inode = self.directories[slot(name.dir)].cache.get(&*name.name)?;
        self.files.get(inode).map(|f| f.cache.as_slice())
    }

    /// Flips bits, mostly one, of a file of `dirs` that lies on the platter and is not all zeros there, and is not spared. Returns
    /// where; `None` without such a file.
    pub fn rot(&mut self, dirs: &[Dir], spared: impl Fn(&str) -> bool, stream: &mut Stream) -> Option<String> {
        let (name, inode) = self.durable_file(dirs, spared, stream)?;
        let file = self.files.get_mut(&inode)?;
        // Behind the last byte in use there are only the zeros of preallocation.
        let used = file.platter.iter().rposition(|b| *b != 0)? + 1;
        let bits = if stream.permille(700) { 1 } else { stream.log_between(2, 64) };
        let mut places = Vec::new();
        for _ in 0..bits {
            let (at, bit) = (stream.index(used), 1 << stream.below(8));
            file.platter[at] ^= bit;
            if let Some(byte) = file.cache.get_mut(at) {
                *byte ^= bit;
            }
            places.push(at);
        }
        places.iter().for_each(|at| self.is_wrong(inode, *at, at + 1));
        let places: Vec<String> = places.iter().map(usize::to_string).collect();
        Some(format!("{name} byte {}", places.join(", ")))
    }

    /// Puts a durable file there, as if it had always been.
    pub fn install(&mut self, name: &FileName, bytes: &[u8]) {
        self.next += 1;
        let file = File { cache: bytes.to_vec(), platter: bytes.to_vec(), ..File::default() };
        self.files.insert(self.next, file);
        let dir = &mut self.directories[slot(name.dir)];
        dir.exists = true;
        dir.cache.insert((*name.name).into(), self.next);
        dir.platter.insert((*name.name).into(), self.next);
    }
}
