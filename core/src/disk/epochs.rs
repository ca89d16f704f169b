//! acceptedEpoch and currentEpoch: Java's two files and our record in step (quorum-protocol section 15, 1653 and its kin).
//!
//! The record is durable before Java's file is renamed: where a file says more than the record, Java has been here since.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::Disk;
use crate::disk::files::{data, name, side};
use crate::disk::io::{Done, Io, Task};
use crate::disk::state::State;
use crate::event::{Dir, DiskOp, FileName, Outbox};
use crate::ids::Epoch;
use crate::mutant::Mutant;

/// Writes a small file from its start and makes its bytes durable.
pub(super) fn write_small(file: &FileName, bytes: Vec<u8>) -> Vec<DiskOp> {
    let write = DiskOp::WriteAt(file.clone(), 0, Bytes::from(bytes));
    vec![DiskOp::Create(file.clone()), write, DiskOp::Fsync(file.clone())]
}

/// The two steps that replace our record.
pub(super) fn write_state(state: &State) -> [Vec<DiskOp>; 2] {
    let (tmp, file) = (side(name::STATE_TMP), side(name::STATE));
    [write_small(&tmp, state.encode()), vec![DiskOp::Rename(tmp, file), DiskOp::FsyncDir(Dir::Side)]]
}

/// The two steps that replace one of Java's files.
pub(super) fn write_epoch(tmp: &str, file: &str, epoch: Epoch) -> [Vec<DiskOp>; 2] {
    let (tmp, file) = (data(tmp), data(file));
    let write = write_small(&tmp, epoch.to_string().into_bytes());
    [write, vec![DiskOp::Rename(tmp, file), DiskOp::FsyncDir(Dir::Data)]]
}

/// A number as Java reads it: the first line, decimal. Epochs have 31 bits.
pub(super) fn parse(bytes: &[u8]) -> Option<Epoch> {
    let text = core::str::from_utf8(bytes).ok()?;
    let number: Epoch = text.lines().next()?.trim().parse().ok()?;
    (0..=i64::from(i32::MAX)).contains(&number).then_some(number)
}

impl Disk {
    fn epoch_task(&mut self, tmp: &str, file: &str, epoch: Epoch, done: Done, io: &mut Io<'_>) {
        let [mut write, rename_state] = write_state(&self.state);
        let [write_java, mut rename_java] = write_epoch(tmp, file, epoch);
        if file == name::CURRENT {
            rename_java.push(DiskOp::Unlink(data(name::CURRENT_TMP)));
        }
        write.extend(write_java);
        if self.cfg.mutants.has(Mutant::B31) {
            write.retain(|op| !matches!(op, DiskOp::Fsync(_)));
        }
        self.tasks.push(Task::new(done).step(write).step(rename_state).step(rename_java), io);
    }

    /// Makes the promise durable that no leader of an epoch before this one will be followed; [`super::DiskEvent::AcceptedDurable`]
    /// follows. Never lowers what was promised before.
    pub fn write_accepted(&mut self, epoch: Epoch, out: &mut Outbox) {
        if self.dead {
            return;
        }
        self.state.accepted = self.state.accepted.max(epoch);
        let accepted = self.state.accepted;
        let file = if self.cfg.mutants.has(Mutant::B32) { name::CURRENT } else { name::ACCEPTED };
        let mut jobs = core::mem::take(&mut self.jobs);
        let mut io = Io { out, jobs: &mut jobs };
        self.epoch_task(name::ACCEPTED_TMP, file, accepted, Done::Accepted(accepted), &mut io);
        self.jobs = jobs;
    }

    /// Says durably that the log is about to hold transactions of this epoch: recovery may then raise currentEpoch to it.
    /// [`super::DiskEvent::IntentDurable`] follows.
    ///
    /// A synchronisation that was interrupted may have left a log that needs the intent of before: that is replaced as a whole,
    /// and by none that vouches for less.
    pub fn write_intent(&mut self, epoch: Epoch, out: &mut Outbox) {
        if self.dead {
            return;
        }
        let [write, rename] = write_epoch(name::INTENT_NEW, name::CURRENT_TMP, epoch.max(self.log.last.epoch()));
        let mut io = Io { out, jobs: &mut self.jobs };
        self.tasks.push(Task::new(Done::Intent(epoch)).step(write).step(rename), &mut io);
    }

    /// Makes it durable that this server is synchronised with the leader of this epoch; [`super::DiskEvent::CurrentDurable`]
    /// follows.
    pub fn write_current(&mut self, epoch: Epoch, out: &mut Outbox) {
        if self.dead {
            return;
        }
        self.state.current = self.state.current.max(epoch);
        // Accepted is never below current, whoever wrote it.
        self.state.accepted = self.state.accepted.max(epoch);
        let current = self.state.current;
        let mut jobs = core::mem::take(&mut self.jobs);
        let mut io = Io { out, jobs: &mut jobs };
        self.epoch_task(name::CURRENT_NEW, name::CURRENT, current, Done::Current(current), &mut io);
        self.jobs = jobs;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_as_java_writes_them() {
        assert_eq!(parse(b"4"), Some(4));
        assert_eq!(parse(b"17\n"), Some(17));
        for bad in [&b""[..], b"-1", b"x", b"4294967296", b"\xff", b"1 2"] {
            assert_eq!(parse(bad), None);
        }
    }
}
