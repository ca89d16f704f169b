//! A disk of bytes with two views of every file: what a process reads back, and what is still there after a power loss.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{DiskOp, DiskReply, FileName, Lane};
use quorate_core::ids::Ticket;

/// One file, whatever its name is at present.
#[derive(Clone, Default)]
struct Inode {
    volatile: Vec<u8>,
    durable: Vec<u8>,
}

/// The disk of one server with its two queues.
#[derive(Default)]
pub struct Disk {
    inodes: Vec<Inode>,
    volatile: BTreeMap<FileName, usize>,
    durable: BTreeMap<FileName, usize>,
    pub lanes: [VecDeque<(Ticket, DiskOp)>; 2],
    pub held: [bool; 2],
    /// The next operation of this kind on the lane fails.
    pub fail: [Option<String>; 2],
}

pub fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Log => 0,
        Lane::Bulk => 1,
    }
}

impl Disk {
    /// Does one primitive.
    pub fn execute(&mut self, op: &DiskOp) -> Result<DiskReply, DiskError> {
        match op {
            DiskOp::Create(name) => match self.volatile.get(name) {
                // The worst that a file system does: what was there is gone at once, what replaces it only counts once fsynced.
                Some(i) => self.inodes[*i] = Inode::default(),
                None => {
                    self.inodes.push(Inode::default());
                    self.volatile.insert(name.clone(), self.inodes.len() - 1);
                }
            },
            DiskOp::WriteAt(name, at, bytes) => {
                let file = self.file(name)?;
                let (at, end) = (*at as usize, *at as usize + bytes.len());
                file.volatile.resize(file.volatile.len().max(end), 0);
                file.volatile[at..end].copy_from_slice(bytes);
            }
            DiskOp::Extend(name, len) => {
                let file = self.file(name)?;
                file.volatile.resize(file.volatile.len().max(*len as usize), 0);
            }
            DiskOp::Truncate(name, len) => self.file(name)?.volatile.truncate(*len as usize),
            DiskOp::Fsync(name) => {
                let file = self.file(name)?;
                file.durable.clone_from(&file.volatile);
            }
            DiskOp::Rename(from, to) => {
                let i = self.volatile.remove(from).ok_or(DiskError::NotFound)?;
                self.volatile.insert(to.clone(), i);
            }
            DiskOp::Unlink(name) => {
                self.volatile.remove(name).ok_or(DiskError::NotFound)?;
            }
            DiskOp::FsyncDir(dir) => {
                self.durable.retain(|name, _| name.dir != *dir);
                let names = self.volatile.iter().filter(|(name, _)| name.dir == *dir);
                self.durable.extend(names.map(|(name, i)| (name.clone(), *i)));
            }
            DiskOp::ReadRange(name, at, len) => {
                let bytes = &self.file(name)?.volatile;
                let at = (*at as usize).min(bytes.len());
                let end = at.saturating_add(*len as usize).min(bytes.len());
                return Ok(DiskReply::Data(Bytes::copy_from_slice(&bytes[at..end])));
            }
            DiskOp::List(dir) => {
                let files = self.volatile.iter().filter(|(name, _)| name.dir == *dir);
                let list = files.map(|(name, i)| (name.name.to_string(), self.inodes[*i].volatile.len() as u64));
                return Ok(DiskReply::Files(list.collect()));
            }
        }
        Ok(DiskReply::Done)
    }

    fn file(&mut self, name: &FileName) -> Result<&mut Inode, DiskError> {
        let i = self.volatile.get(name).ok_or(DiskError::NotFound)?;
        Ok(&mut self.inodes[*i])
    }

    /// The process is gone: operations that had not begun never happen.
    pub fn forget_queues(&mut self) {
        self.lanes = Default::default();
        self.held = [false; 2];
        self.fail = Default::default();
    }

    /// The power is gone: what was not made durable never happened.
    pub fn lose_power(&mut self) {
        self.volatile = self.durable.clone();
        for inode in &mut self.inodes {
            inode.volatile.clone_from(&inode.durable);
        }
    }

    /// Puts a file there, durable, as if another program had.
    pub fn put(&mut self, name: FileName, bytes: Vec<u8>) {
        self.inodes.push(Inode { volatile: bytes.clone(), durable: bytes });
        self.volatile.insert(name.clone(), self.inodes.len() - 1);
        self.durable.insert(name, self.inodes.len() - 1);
    }

    /// Changes a file behind the server's back, durably.
    pub fn edit(&mut self, name: &FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let i = *self.volatile.get(name).unwrap_or_else(|| panic!("no file {name:?}"));
        change(&mut self.inodes[i].volatile);
        self.inodes[i].durable = self.inodes[i].volatile.clone();
    }

    pub fn remove(&mut self, name: &FileName) {
        self.volatile.remove(name);
        self.durable.remove(name);
    }

    /// Files as a process sees them now, or as they would be after a power loss.
    pub fn files(&self, durable: bool) -> impl Iterator<Item = (&FileName, &[u8])> {
        let names = if durable { &self.durable } else { &self.volatile };
        names.iter().map(move |(name, i)| {
            let inode = &self.inodes[*i];
            (name, if durable { &inode.durable[..] } else { &inode.volatile[..] })
        })
    }
}
