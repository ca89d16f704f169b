//! A disk in memory: what programs see, what a power failure leaves, and what may or may not have reached the platter.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName};

/// Something that was done to a file's bytes and is not synced.
#[derive(Clone, Debug)]
enum Change {
    Write(u64, Bytes),
    Length(u64),
}

#[derive(Clone, Default, Debug)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// Something that was done to a directory and is not synced.
#[derive(Clone, Debug)]
enum Entry {
    Link(FileName, usize),
    Unlink(FileName),
    Rename(FileName, FileName),
}

impl Entry {
    fn dir(&self) -> Dir {
        match self {
            Self::Link(name, _) | Self::Unlink(name) | Self::Rename(_, name) => name.dir,
        }
    }
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Store {
    inodes: Vec<Inode>,
    names: BTreeMap<FileName, usize>,
    durable: BTreeMap<FileName, usize>,
    pending: Vec<Entry>,
}

fn change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(len) => bytes.resize(*len as usize, 0),
        Change::Write(at, data) => {
            let (at, end) = (*at as usize, *at as usize + data.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[at..end].copy_from_slice(data);
        }
    }
}

fn sectors(change: Change, sector: usize) -> Vec<Change> {
    let Change::Write(at, data) = &change else { return vec![change] };
    let mut parts = Vec::new();
    let mut from = 0;
    while from < data.len() {
        let to = (from + sector - (*at as usize + from) % sector).min(data.len());
        parts.push(Change::Write(at + from as u64, data.slice(from..to)));
        from = to;
    }
    parts
}

fn relink(names: &mut BTreeMap<FileName, usize>, entry: &Entry) {
    match entry {
        Entry::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Entry::Unlink(name) => {
            names.remove(name);
        }
        Entry::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

impl Store {
    /// Puts a file there, durably.
    pub(crate) fn put(&mut self, dir: Dir, name: &str, bytes: &[u8]) {
        let name = FileName::new(dir, name);
        self.inodes.push(Inode { bytes: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() });
        self.names.insert(name.clone(), self.inodes.len() - 1);
        self.durable.insert(name, self.inodes.len() - 1);
    }

    pub(crate) fn get(&self, dir: Dir, name: &str) -> Option<&[u8]> {
        self.names.get(&FileName::new(dir, name)).map(|i| &self.inodes[*i].bytes[..])
    }

    pub(crate) fn remove(&mut self, dir: Dir, name: &str) {
        self.names.remove(&FileName::new(dir, name)).expect("it was there");
        self.durable.remove(&FileName::new(dir, name));
    }

    pub(crate) fn names(&self, dir: Dir) -> Vec<String> {
        self.names.keys().filter(|n| n.dir == dir).map(|n| n.name.to_string()).collect()
    }

    /// Changes a file at rest.
    pub(crate) fn edit(&mut self, dir: Dir, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let i = self.names[&FileName::new(dir, name)];
        let inode = &mut self.inodes[i];
        edit(&mut inode.bytes);
        inode.durable = inode.bytes.clone();
    }

    fn inode(&mut self, name: &FileName) -> Result<&mut Inode, DiskError> {
        let i = *self.names.get(name).ok_or(DiskError::NotFound)?;
        Ok(&mut self.inodes[i])
    }

    fn change(&mut self, name: &FileName, what: Change) -> Result<DiskReply, DiskError> {
        let inode = self.inode(name)?;
        change(&mut inode.bytes, &what);
        inode.pending.push(what);
        Ok(DiskReply::Done)
    }

    fn entry(&mut self, entry: Entry) {
        relink(&mut self.names, &entry);
        self.pending.push(entry);
    }

    pub(crate) fn execute(&mut self, op: &DiskOp) -> Result<DiskReply, DiskError> {
        match op {
            DiskOp::Create(name) => {
                if self.names.contains_key(name) {
                    return self.change(name, Change::Length(0));
                }
                self.inodes.push(Inode::default());
                let inode = self.inodes.len() - 1;
                self.entry(Entry::Link(name.clone(), inode));
                Ok(DiskReply::Done)
            }
            DiskOp::WriteAt(name, at, bytes) => self.change(name, Change::Write(*at, bytes.clone())),
            DiskOp::Extend(name, len) => {
                let len = (*len).max(self.inode(name)?.bytes.len() as u64);
                self.change(name, Change::Length(len))
            }
            DiskOp::Truncate(name, len) => self.change(name, Change::Length(*len)),
            DiskOp::Fsync(name) => {
                let inode = self.inode(name)?;
                for pending in inode.pending.drain(..) {
                    change(&mut inode.durable, &pending);
                }
                Ok(DiskReply::Done)
            }
            DiskOp::Rename(from, to) => {
                self.inode(from)?;
                self.entry(Entry::Rename(from.clone(), to.clone()));
                Ok(DiskReply::Done)
            }
            DiskOp::Unlink(name) => {
                self.inode(name)?;
                self.entry(Entry::Unlink(name.clone()));
                Ok(DiskReply::Done)
            }
            DiskOp::FsyncDir(dir) => {
                let (synced, rest) = std::mem::take(&mut self.pending).into_iter().partition(|e| e.dir() == *dir);
                self.pending = rest;
                let synced: Vec<Entry> = synced;
                synced.iter().for_each(|e| relink(&mut self.durable, e));
                Ok(DiskReply::Done)
            }
            DiskOp::ReadRange(name, at, len) => {
                let bytes = &self.inode(name)?.bytes;
                let from = (*at as usize).min(bytes.len());
                let to = (*at + *len).min(bytes.len() as u64) as usize;
                Ok(DiskReply::Data(Bytes::copy_from_slice(&bytes[from..to])))
            }
            DiskOp::List(dir) => {
                let here = self.names.iter().filter(|(n, _)| n.dir == *dir);
                let list = here.map(|(n, i)| (n.name.to_string(), self.inodes[*i].bytes.len() as u64));
                Ok(DiskReply::Files(list.collect()))
            }
        }
    }

    /// An fsync of this file fails, and the kernel takes what it could not write for written: it is read as long as the power
    /// stays, and only writing it again brings it to the platter. Lengths are the file system's own affair.
    pub(crate) fn lose(&mut self, name: &FileName) {
        let Ok(inode) = self.inode(name) else { return };
        let mut length = inode.durable.len() as u64;
        for pending in std::mem::take(&mut inode.pending) {
            let longer = match &pending {
                Change::Length(n) => *n,
                Change::Write(at, data) => length.max(at + data.len() as u64),
            };
            if longer != length {
                length = longer;
                inode.pending.push(Change::Length(length));
            }
        }
    }

    /// The same disk, but every unsynced write is one of its own for each sector that it touches.
    pub(crate) fn in_sectors(&self, sector: usize) -> Self {
        let mut out = self.clone();
        for inode in &mut out.inodes {
            let whole = std::mem::take(&mut inode.pending);
            inode.pending = whole.into_iter().flat_map(|change| sectors(change, sector)).collect();
        }
        out
    }

    /// How many things a power failure now may or may not take away.
    pub(crate) fn unsynced(&self) -> usize {
        self.pending.len() + self.inodes.iter().map(|i| i.pending.len()).sum::<usize>()
    }

    /// The power fails. Of what was not synced that survives which `keep` says, asked once for each; a write may survive in
    /// its first or in its second half only.
    pub(crate) fn crash(&self, mut keep: impl FnMut() -> u32) -> Self {
        let mut names = self.durable.clone();
        for entry in &self.pending {
            if keep() > 0 {
                relink(&mut names, entry);
            }
        }
        let mut after = Self::default();
        for (name, i) in names {
            let inode = &self.inodes[i];
            let mut bytes = inode.durable.clone();
            for pending in &inode.pending {
                let kept = keep();
                match pending {
                    _ if kept == 0 => {}
                    Change::Write(at, data) if kept > 1 => {
                        let half = data.len() / 2;
                        let part = if kept == 2 {
                            Change::Write(*at, data.slice(..half))
                        } else {
                            Change::Write(*at + half as u64, data.slice(half..))
                        };
                        change(&mut bytes, &part);
                    }
                    whole => change(&mut bytes, whole),
                }
            }
            after.put(name.dir, &name.name, &bytes);
        }
        after
    }
}
