//! What spoils a disk beyond a power cut: unreadable, stale and misplaced sectors, lost files, leftovers, old copies.

use super::{File, Inode, SimDisk, slot};
use crate::rng::Stream;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, FileName};

/// How bytes are bad.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum How {
    /// They cannot be read.
    Unreadable,
    /// They read as they were before the last of them were written: so many of them are there.
    Stale(usize),
    /// What stands there is wrong, and is read so.
    Wrong,
}

/// Bytes that are not what was written.
#[derive(Clone, Hash, Copy, Debug)]
pub(super) struct Bad {
    inode: Inode,
    from: usize,
    to: usize,
    how: How,
    by: u32,
}

impl SimDisk {
    /// Files of the data and log directories whose bytes are durable, by name.
    fn durable_files(&self, fits: impl Fn(&str) -> bool) -> Vec<(String, Dir, Inode)> {
        let mut list = Vec::new();
        for dir in [Dir::Data, Dir::Log] {
            let names = &self.directories[slot(dir)].platter;
            list.extend(names.iter().filter(|(n, _)| fits(n)).map(|(n, i)| (n.to_string(), dir, *i)));
        }
        list.retain(|(_, _, i)| self.files.get(i).is_some_and(|f| f.platter.iter().any(|b| *b != 0)));
        list
    }

    /// One of the files of these directories whose bytes are durable, unless it is spared.
    pub(super) fn durable_file(
        &self,
        dirs: &[Dir],
        spared: impl Fn(&str) -> bool,
        stream: &mut Stream,
    ) -> Option<(String, Inode)> {
        let mut named: Vec<(String, Inode)> = Vec::new();
        for dir in dirs {
            named.extend(self.directories[slot(*dir)].platter.iter().map(|(n, i)| (n.to_string(), *i)));
        }
        named.retain(|(name, _)| !spared(name));
        named.retain(|(_, i)| self.files.get(i).is_some_and(|f| f.platter.iter().any(|b| *b != 0)));
        (!named.is_empty()).then(|| named.swap_remove(stream.index(named.len())))
    }

    /// From now on the first sector of a file, whatever its size, cannot be read. Says which.
    pub(crate) fn spoil_file(
        &mut self,
        dirs: &[Dir],
        spared: impl Fn(&str) -> bool,
        by: u32,
        stream: &mut Stream,
    ) -> Option<String> {
        let (name, inode) = self.durable_file(dirs, spared, stream)?;
        self.bad.push(Bad { inode, from: 0, to: self.sector, how: How::Unreadable, by });
        Some(name)
    }

    /// A sector of a log or snapshot, with something behind it in the same file: its tail is nobody's damage.
    fn sector_inside(&self, stream: &mut Stream) -> Option<(String, Inode, usize, usize)> {
        let files = self.durable_files(|n| n.starts_with("log.") || n.starts_with("snapshot."));
        if files.is_empty() {
            return None;
        }
        let (name, _, inode) = files[stream.index(files.len())].clone();
        let used = self.files.get(&inode)?.platter.iter().rposition(|b| *b != 0)?;
        let whole = used / self.sector;
        let at = stream.index(whole.max(1)) * self.sector;
        (whole > 0).then_some((name, inode, at, at + self.sector))
    }

    /// From now on a sector cannot be read, or (`stale`) reads as it was before it was written. Says which.
    pub(crate) fn spoil_sector(&mut self, stale: bool, by: u32, stream: &mut Stream) -> Option<String> {
        let (name, inode, from, to) = self.sector_inside(stream)?;
        let how = if stale { How::Stale(self.older(stream)) } else { How::Unreadable };
        self.bad.push(Bad { inode, from, to, how, by });
        let how = match how {
            How::Stale(there) => format!("reads as when {there} bytes of it were written"),
            _ => "cannot be read".to_owned(),
        };
        Some(format!("{name} bytes {from} to {to}: {how}"))
    }

    /// Files grow: an older version of a sector is its beginning, or nothing.
    fn older(&self, stream: &mut Stream) -> usize {
        if stream.permille(500) { 0 } else { stream.index(self.sector) }
    }

    /// What was to be written elsewhere lies over a sector; there, now and then, stands what stood there before. Says which.
    pub(crate) fn misdirect(&mut self, stream: &mut Stream) -> Option<String> {
        let (name, inode, from, to) = self.sector_inside(stream)?;
        let (other, source, at, end) = self.sector_inside(stream)?;
        if (inode, from) == (source, at) {
            return None;
        }
        let bytes = self.files.get(&source)?.platter.get(at..end)?.to_vec();
        self.is_wrong(inode, from, to);
        let file = self.files.get_mut(&inode)?;
        for old in [&mut file.platter, &mut file.cache] {
            if let Some(place) = old.get_mut(from..to) {
                place.copy_from_slice(&bytes);
            }
        }
        let mut what = format!("{name} bytes {from} to {to} hold what belongs to {other} at {at}");
        if stream.permille(500) {
            let there = self.older(stream);
            self.is_wrong(source, at + there, end);
            let file = self.files.get_mut(&source)?;
            for old in [&mut file.platter, &mut file.cache] {
                if let Some(place) = old.get_mut(at + there..end) {
                    place.fill(0);
                }
            }
            what += &format!(", of which {there} bytes are there");
        }
        Some(what)
    }

    /// Takes the newest snapshots away, or makes them unreadable. 0: all. Says which.
    pub(crate) fn lose_snapshots(&mut self, count: usize, unreadable: bool) -> Option<String> {
        let mut snaps = self.durable_files(|n| n.starts_with("snapshot."));
        let number = |n: &str| i64::from_str_radix(n.trim_start_matches("snapshot."), 16).unwrap_or(0);
        snaps.sort_by_key(|(n, ..)| std::cmp::Reverse(number(n)));
        snaps.truncate(if count == 0 { usize::MAX } else { count });
        for (name, dir, inode) in &snaps {
            if unreadable {
                self.is_wrong(*inode, 0, usize::MAX);
                if let Some(file) = self.files.get_mut(inode) {
                    let half = file.platter.len() / 2;
                    file.platter.truncate(half);
                    file.cache.truncate(half);
                    file.unsynced.clear();
                }
            } else {
                let directory = &mut self.directories[slot(*dir)];
                directory.platter.remove(name.as_str());
                directory.cache.remove(name.as_str());
            }
        }
        let names: Vec<&str> = snaps.iter().map(|(n, ..)| n.as_str()).collect();
        let how = if unreadable { "cut in half" } else { "gone" };
        (!names.is_empty()).then(|| format!("{}: {how}", names.join(", ")))
    }

    /// Leaves behind what an interrupted process may leave: temporary files with half of their bytes, an empty newest log.
    pub(crate) fn leave(&mut self, after: i64, stream: &mut Stream) -> String {
        let mut done = Vec::new();
        for (name, bytes) in [
            ("acceptedEpoch.tmp", &b""[..]),
            ("currentEpoch.tmp", b""),
            ("currentEpoch.new", b"9"),
            ("own-snapshot.tmp", b"ZKSN"),
            ("incoming-snapshot.tmp", b"ZKSN\0\0\0\x02"),
        ] {
            let file = FileName::new(Dir::Data, name);
            if stream.permille(500) && self.length(&file).is_none() {
                self.install(&file, bytes);
                done.push(name.to_owned());
            }
        }
        // The next log would have had a name above everything that was logged.
        let names = self.directories[slot(Dir::Log)].cache.keys();
        let newest = names.filter_map(|n| i64::from_str_radix(n.strip_prefix("log.")?, 16).ok()).max();
        let name = format!("log.{:x}", newest.unwrap_or(0).max(after) + 1000 + stream.below(1000) as i64);
        self.install(&FileName::new(Dir::Log, &name), b"");
        done.push(name);
        done.join(", ")
    }

    /// Everything is gone.
    pub(crate) fn wipe(&mut self) {
        let (sector, full, lying) = (self.sector, self.full, self.lying);
        *self = Self { full, lying, next: self.next, ..Self::new(sector) };
    }

    /// What a copy of the disk would hold now.
    pub(crate) fn copy(&self) -> Self {
        self.clone()
    }

    /// Puts a copy back.
    pub(crate) fn restore(&mut self, copy: Self) {
        let (full, lying) = (self.full, self.lying);
        *self = Self { full, lying, ..copy };
        for file in self.files.values_mut() {
            file.platter.clone_from(&file.cache);
            file.unsynced.clear();
        }
        for dir in &mut self.directories {
            dir.platter.clone_from(&dir.cache);
            dir.unsynced.clear();
        }
    }

    /// What a read gives where sectors are bad; `Ok(None)`: as it stands. The fault that a read has met is kept for the world.
    pub(super) fn read_bad(&mut self, inode: Inode, start: usize, end: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let mut bytes: Option<Vec<u8>> = None;
        for bad in self.bad.iter().filter(|b| b.inode == inode && b.from < end && start < b.to) {
            if bad.how == How::Wrong {
                continue;
            }
            self.met.push(bad.by);
            let How::Stale(there) = bad.how else {
                return Err(DiskError::Io(format!("sector at byte {} cannot be read", bad.from)));
            };
            let file: &File = self.files.get(&inode).ok_or(DiskError::NotFound)?;
            let read = bytes.get_or_insert_with(|| file.cache[start..end].to_vec());
            let from = (bad.from + there).clamp(start, end);
            read[from - start..bad.to.clamp(from, end) - start].fill(0);
        }
        Ok(bytes)
    }

    /// A sector that is written is a good one again.
    pub(super) fn written(&mut self, inode: Inode, from: usize, to: usize) {
        self.bad.retain(|b| b.inode != inode || b.from < from || b.to > to);
    }

    /// These bytes are wrong from now on.
    pub(super) fn is_wrong(&mut self, inode: Inode, from: usize, to: usize) {
        self.bad.push(Bad { inode, from, to, how: How::Wrong, by: 0 });
    }

    /// Whether no file is left in which a fault has spoiled bytes that were not written anew since. What it has taken away as a
    /// whole leaves nothing behind: only its server can miss that.
    pub(crate) fn is_sound(&self) -> bool {
        let inside =
            |bad: &&Bad| self.files.get(&bad.inode).is_some_and(|f| bad.from < f.cache.len().max(f.platter.len()));
        !self.bad.iter().any(|bad| inside(&bad))
    }
}
