//! Appending: group commit, preallocation, rolling (storage-format section 2).
//!
//! ```text
//! append* ─► buffer ─flush─► [create, extend] write fsync ─► durable
//! ```
//!
//! One group is on its way at a time; meanwhile the next one gathers. A file is closed only when everything in it is durable,
//! so a crash can tear the newest file only.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::disk::files::{LogFile, log_name};
use crate::disk::io::{Io, Job, LogJob};
use crate::event::{Dir, DiskOp, FileName, Lane};
use crate::ids::{Millis, Zxid};
use crate::mutant::{Mutant, Mutants};
use crate::wire::txnlog::{self, HEADER_LEN};

/// The file that is being written.
#[derive(Clone, Debug)]
struct Active {
    name: FileName,
    first: Zxid,
    /// Where the next group goes.
    end: u64,
    /// Its length, with what was preallocated.
    allocated: u64,
}

/// A group of records on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Group {
    last: Zxid,
    end: u64,
    sum: u32,
    since: Millis,
}

/// What became durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) file: Zxid,
    pub(super) last: Zxid,
    pub(super) end: u64,
    pub(super) sum: u32,
    pub(super) since: Millis,
}

/// The writer of the log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    force_sync: bool,
    prealloc: u64,
    size_limit: u64,
    buffer: BytesMut,
    scratch: Vec<u8>,
    buffered_first: Option<Zxid>,
    buffered_sum: u32,
    /// Newest zxid appended.
    pub(super) last: Zxid,
    /// Newest zxid that is durable.
    pub(super) durable: Zxid,
    active: Option<Active>,
    group: Option<Group>,
    roll: bool,
    /// Something was appended since the last flush, whether that could do anything or not (planted bug B41).
    asked: bool,
    mutants: Mutants,
    /// Records and bytes since the last roll.
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Log {
    pub(super) fn new(storage: &crate::config::Storage, mutants: Mutants) -> Self {
        Self {
            force_sync: storage.force_sync,
            prealloc: storage.prealloc_bytes,
            size_limit: storage.log_size_limit,
            buffer: BytesMut::new(),
            scratch: Vec::new(),
            buffered_first: None,
            buffered_sum: 0,
            last: Zxid::ZERO,
            durable: Zxid::ZERO,
            active: None,
            group: None,
            roll: false,
            asked: false,
            mutants,
            count: 0,
            bytes: 0,
        }
    }

    /// The log ends here, all of it durable: after recovery, a cut, an installation. The next record opens a new file, unless the
    /// present one is `kept`.
    pub(super) fn reset(&mut self, last: Zxid, kept: bool) {
        assert!(self.is_quiet(), "nothing is on its way when the end of the log is set");
        self.last = last;
        self.durable = last;
        self.active.take_if(|_| !kept);
        self.roll = false;
    }

    /// Whether everything that was appended is durable.
    pub(super) fn is_quiet(&self) -> bool {
        self.group.is_none() && self.buffered_first.is_none()
    }
    /// Whether records wait for [`Log::flush`].
    pub(super) fn has_buffered(&self) -> bool {
        self.buffered_first.is_some()
    }

    pub(super) fn append(&mut self, zxid: Zxid, payload: &Bytes) {
        assert!(zxid > self.last, "a log ascends: {zxid} after {}", self.last);
        self.last = zxid;
        self.asked = true;
        self.buffered_first.get_or_insert(zxid);
        self.scratch.clear();
        self.buffered_sum = txnlog::encode(payload, &mut self.scratch);
        self.buffer.extend_from_slice(&self.scratch);
        self.count += 1;
        self.bytes += self.scratch.len() as u64;
        if self.scratch.capacity() > 1 << 20 {
            self.scratch = Vec::new();
        }
    }

    /// The next group goes into a new file.
    pub(super) fn roll(&mut self) {
        self.roll = true;
        self.count = 0;
        self.bytes = 0;
    }

    /// Sends what was gathered on its way, unless a group is on its way already.
    pub(super) fn flush(&mut self, now: Millis, files: &mut Vec<LogFile>, io: &mut Io<'_>) {
        let asked = core::mem::take(&mut self.asked);
        if !asked && self.mutants.has(Mutant::B41) {
            return;
        }
        let Some(first) = self.buffered_first.filter(|_| self.group.is_none()) else { return };
        self.buffered_first = None;
        let records = self.buffer.split().freeze();
        let limit = self.size_limit;
        self.roll |= limit > 0 && self.active.as_ref().is_some_and(|a| a.end > limit);
        if core::mem::take(&mut self.roll) {
            self.close(files, io);
        }
        let fresh = self.active.is_none();
        if fresh {
            self.open(first, files, io);
        }
        let prealloc = self.prealloc;
        let active = self.active.as_mut().expect("opened above");
        let end = active.end + records.len() as u64;
        if prealloc > 0 && end > active.allocated {
            active.allocated = end.max(active.allocated + prealloc);
            io.op(Lane::Log, DiskOp::Extend(active.name.clone(), active.allocated), Job::Log(LogJob::Extend));
        }
        let write = DiskOp::WriteAt(active.name.clone(), active.end, records);
        active.end = end;
        self.group = Some(Group { last: self.last, end, sum: self.buffered_sum, since: now });
        if !self.force_sync {
            io.op(Lane::Log, write, Job::Log(LogJob::Group));
            return;
        }
        io.op(Lane::Log, write, Job::Log(LogJob::Step));
        let sync = DiskOp::Fsync(active.name.clone());
        if fresh {
            io.op(Lane::Log, sync, Job::Log(LogJob::Step));
            io.op(Lane::Log, DiskOp::FsyncDir(Dir::Log), Job::Log(LogJob::Group));
        } else {
            io.op(Lane::Log, sync, Job::Log(LogJob::Group));
        }
    }

    fn open(&mut self, first: Zxid, files: &mut Vec<LogFile>, io: &mut Io<'_>) {
        let name = log_name(first);
        let end = HEADER_LEN as u64;
        io.op(Lane::Log, DiskOp::Create(name.clone()), Job::Log(LogJob::Step));
        let header = Bytes::copy_from_slice(&txnlog::file_header());
        io.op(Lane::Log, DiskOp::WriteAt(name.clone(), 0, header), Job::Log(LogJob::Step));
        files.retain(|f| f.first < first);
        files.push(LogFile { name: name.clone(), first, end });
        self.active = Some(Active { name, first, end, allocated: end });
    }

    /// Ends the present file; what was preallocated behind its data is given back.
    fn close(&mut self, files: &mut [LogFile], io: &mut Io<'_>) {
        let Some(active) = self.active.take() else { return };
        if let Some(file) = files.iter_mut().find(|f| f.first == active.first) {
            file.end = active.end;
        }
        if active.allocated > active.end {
            io.op(Lane::Log, DiskOp::Truncate(active.name, active.end), Job::Nobody);
        }
    }

    /// Planted bug K22: what the failed fsync has let go of is not written again.
    pub(super) fn sync_again(&self, io: &mut Io<'_>) {
        let Some(active) = &self.active else { return };
        io.op(Lane::Log, DiskOp::Fsync(active.name.clone()), Job::Log(LogJob::Step));
        io.op(Lane::Log, DiskOp::FsyncDir(Dir::Log), Job::Log(LogJob::Group));
    }

    /// The group is durable.
    pub(super) fn committed(&mut self, files: &mut [LogFile]) -> Committed {
        let group = self.group.take().expect("one group is on its way");
        let active = self.active.as_ref().expect("a group has a file");
        if let Some(file) = files.iter_mut().rev().find(|f| f.first == active.first) {
            file.end = group.end;
        }
        assert!(group.last > self.durable, "what is durable only grows");
        self.durable = group.last;
        Committed { file: active.first, last: group.last, end: group.end, sum: group.sum, since: group.since }
    }
}
