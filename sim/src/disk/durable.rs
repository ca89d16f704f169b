//! What a power cut would leave as it is read now, for whoever checks what a server vouches for.

use quorate_core::event::{Dir, FileName};

use super::{Change, Directory, File, SimDisk, slot};

impl File {
    /// Whether the first bytes, up to `upto`, are on the platter.
    fn keeps(&self, upto: u64, sector: u64) -> bool {
        let touches = |change: &Change| match change {
            Change::Write(at, data) => *at < upto && !data.is_empty(),
            Change::Length(n) => *n < upto,
        };
        let lost = self.lost.first().is_some_and(|s| s * sector < upto);
        self.platter.len() as u64 >= upto && !lost && !self.unsynced.iter().any(touches)
    }

    /// Whether the platter has everything that is read here, but for lengths.
    fn is_synced(&self, sector: usize) -> bool {
        let same = |from: usize, to: usize| {
            let read = self.cache.get(from..to.min(self.cache.len())).unwrap_or_default();
            let there = self.platter.get(from..).unwrap_or_default();
            read.iter().zip(there.iter().chain(std::iter::repeat(&0))).all(|(a, b)| a == b)
        };
        let written = self.unsynced.iter().all(|change| match change {
            Change::Write(at, data) => same(*at as usize, *at as usize + data.len()),
            Change::Length(_) => true,
        });
        written && self.lost.iter().all(|s| same(*s as usize * sector, (*s as usize + 1) * sector))
    }
}

impl SimDisk {
    /// Whether a power cut leaves this name and the file's first bytes, up to `upto`, as a process reads them. A disk that has lied
    /// is not asked: its server could not know.
    #[must_use]
    pub(crate) fn keeps(&self, name: &FileName, upto: u64) -> bool {
        let Directory { cache, platter, .. } = &self.directories[slot(name.dir)];
        let inode = platter.get(&*name.name).filter(|inode| cache.get(&*name.name) == Some(*inode));
        self.lied
            || inode.and_then(|inode| self.files.get(inode)).is_some_and(|file| file.keeps(upto, self.sector as u64))
    }

    /// The bytes of a file as a power cut would leave them; of a disk that has lied, as a process reads them.
    pub(crate) fn on_platter(&self, name: &FileName) -> Option<&[u8]> {
        if self.lied {
            return self.bytes(name);
        }
        let inode = self.directories[slot(name.dir)].platter.get(&*name.name)?;
        self.files.get(inode).map(|f| f.platter.as_slice())
    }

    /// A log file that a process reads otherwise than a power cut would leave it: its name, or bytes that are no padding.
    pub(crate) fn unsynced_log(&self) -> Option<String> {
        let Directory { cache, platter, .. } = &self.directories[slot(Dir::Log)];
        let logs = cache.iter().filter(|(name, _)| name.starts_with("log.") && !self.lied);
        logs.filter(|(name, inode)| {
            let file = self.files.get(inode);
            platter.get(*name) != Some(inode) || file.is_some_and(|file| !file.is_synced(self.sector))
        })
        .map(|(name, _)| format!("{name} is not on the platter as it was read"))
        .next()
    }
}
