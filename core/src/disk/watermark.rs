//! The watermark: "the log is durable up to here", beside the log, so that damage can be told from a torn tail.
//!
//! Two slots in one file. A slot that was synced is not touched until the other one has been synced with newer content:
//! whatever a crash leaves, the newest valid slot is true.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::files::{name, side};
use crate::disk::io::{Io, Job, MarkJob};
use crate::event::{Dir, DiskOp, Lane};
use crate::ids::{Millis, Zxid};
use crate::jute::{Put as _, Reader};

/// Least time between two writes of a slot.
const WRITE_EVERY: Millis = 50;
/// Least time between two syncs.
const SYNC_EVERY: Millis = 1000;
const MAGIC: i32 = 0x5152_574d;
const LEN: usize = 60;
/// A slot has a sector of its own.
const SLOT: u64 = 512;

/// What the log reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    /// Zxid in the name of the log file.
    pub(super) file: Zxid,
    /// The newest durable record; zero: nothing is vouched for.
    pub(super) zxid: Zxid,
    /// Where that record ends in the file.
    pub(super) offset: u64,
    /// Its checksum.
    pub(super) sum: u32,
    /// Known to be committed.
    pub(super) committed: Zxid,
}

fn encode(seq: i64, mark: &Mark) -> Vec<u8> {
    let mut out = Vec::with_capacity(LEN);
    out.put_i32(MAGIC);
    out.put_i64(seq);
    out.put_i64(mark.file.0);
    out.put_i64(mark.zxid.0);
    out.put_i64(mark.offset as i64);
    out.put_i64(i64::from(mark.sum));
    out.put_i64(mark.committed.0);
    out.put_i32(0);
    let crc = crc32fast::hash(&out);
    out.put_i32(crc as i32);
    out
}

fn decode(slot: &[u8]) -> Option<(i64, Mark)> {
    let slot = slot.get(..LEN)?;
    let mut r = Reader::new(slot);
    if r.i32().ok()? != MAGIC {
        return None;
    }
    let seq = r.i64().ok()?;
    let mark = Mark {
        file: Zxid(r.i64().ok()?),
        zxid: Zxid(r.i64().ok()?),
        offset: u64::try_from(r.i64().ok()?).ok()?,
        sum: u32::try_from(r.i64().ok()?).ok()?,
        committed: Zxid(r.i64().ok()?),
    };
    r.i32().ok()?;
    (r.i32().ok()? as u32 == crc32fast::hash(&slot[..LEN - 4])).then_some((seq, mark))
}

/// The newest valid slot of the file.
pub(super) fn read(bytes: &[u8]) -> Option<(i64, usize, Mark)> {
    let slots = [decode(bytes), bytes.get(SLOT as usize..).and_then(decode)];
    let valid = slots.into_iter().enumerate().filter_map(|(i, s)| s.map(|(seq, mark)| (seq, i, mark)));
    valid.max_by_key(|(seq, ..)| *seq)
}

/// Writes the watermark, late and rarely, and never in anybody's way.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermark {
    value: Mark,
    seq: i64,
    /// The slot that must not be touched.
    stable: usize,
    exists: bool,
    dirty: bool,
    unsynced: bool,
    in_flight: usize,
    last_write: Option<Millis>,
    last_sync: Option<Millis>,
    /// The file cannot be written: what it says stays true, and old.
    broken: bool,
}

impl Watermark {
    /// After recovery: what the file says, or that there is none.
    pub(super) fn reset(&mut self, found: Option<(i64, usize, Mark)>, exists: bool) {
        let (seq, stable, value) = found.unwrap_or_default();
        *self = Self { value, seq, stable, exists, ..Self::default() };
    }
    /// The log is durable up to here.
    pub(super) fn advance(&mut self, file: Zxid, zxid: Zxid, offset: u64, sum: u32) {
        self.value = Mark { file, zxid, offset, sum, ..self.value };
        self.dirty = true;
    }
    pub(super) fn committed(&mut self, zxid: Zxid) {
        if zxid > self.value.committed {
            self.value.committed = zxid;
            self.dirty = true;
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        if self.broken || self.in_flight > 0 {
            return None;
        }
        let write = self.dirty.then(|| self.last_write.map_or(0, |at| at + WRITE_EVERY));
        let sync = self.unsynced.then(|| self.last_sync.map_or(0, |at| at + SYNC_EVERY));
        match (write, sync) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn create(&mut self, ops: &mut Vec<DiskOp>) {
        if !self.exists {
            self.exists = true;
            ops.push(DiskOp::Create(side(name::WATERMARK)));
            ops.push(DiskOp::FsyncDir(Dir::Side));
        }
    }

    fn slot(&mut self, slot: usize) -> DiskOp {
        self.seq += 1;
        DiskOp::WriteAt(side(name::WATERMARK), SLOT * slot as u64, Bytes::from(encode(self.seq, &self.value)))
    }

    /// Writes and syncs what is due.
    pub(super) fn pump(&mut self, now: Millis, io: &mut Io<'_>) {
        if self.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut ops = Vec::new();
        self.create(&mut ops);
        let free = 1 - self.stable;
        if self.dirty {
            self.dirty = false;
            self.unsynced = true;
            self.last_write = Some(now);
            let op = self.slot(free);
            ops.push(op);
        }
        let mut sync = None;
        if self.last_sync.is_none_or(|at| at + SYNC_EVERY <= now) {
            self.last_sync = Some(now);
            self.unsynced = false;
            sync = Some(DiskOp::Fsync(side(name::WATERMARK)));
        }
        self.in_flight += ops.len() + usize::from(sync.is_some());
        for op in ops {
            io.op(Lane::Log, op, Job::Watermark(MarkJob::Write));
        }
        if let Some(op) = sync {
            io.op(Lane::Log, op, Job::Watermark(MarkJob::Sync(free)));
        }
    }

    /// An operation ended. Returns true when the file has just become unusable.
    pub(super) fn ended(&mut self, job: MarkJob, ok: bool) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let (MarkJob::Sync(slot), true) = (job, ok) {
            self.stable = slot;
        }
        let breaks = !ok && !self.broken;
        self.broken |= !ok;
        breaks
    }

    /// The operations that vouch for less than before, in both slots and durably: the log is about to be cut.
    pub(super) fn lower(&mut self, mark: Mark) -> Vec<DiskOp> {
        self.value = Mark { committed: self.value.committed, ..mark };
        self.dirty = false;
        let mut ops = Vec::new();
        self.create(&mut ops);
        for slot in [1 - self.stable, self.stable] {
            let op = self.slot(slot);
            ops.push(op);
            ops.push(DiskOp::Fsync(side(name::WATERMARK)));
        }
        // A sync in flight is for a slot that this has overwritten with the same content as the other one.
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_valid_slot_counts() {
        let mark = |n| Mark { file: Zxid(1), zxid: Zxid(n), offset: 99, sum: 7, committed: Zxid(2) };
        let mut file = encode(4, &mark(4));
        file.resize(512, 0);
        assert_eq!(read(&file), Some((4, 0, mark(4))));
        file.extend_from_slice(&encode(5, &mark(5)));
        assert_eq!(read(&file), Some((5, 1, mark(5))));
        file[512 + 20] ^= 1;
        assert_eq!(read(&file), Some((4, 0, mark(4))));
        file[3] ^= 1;
        assert_eq!(read(&file), None);
        assert_eq!(read(&[]), None);
    }
}
