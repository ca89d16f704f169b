//! The own snapshot: the walk's bytes, on the bulk lane, under a temporary name until they are durable.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::Compression;
use crate::disk::epochs::write_state;
use crate::disk::files::{SnapFile, name, snapshot_name};
use crate::disk::io::{Done, Io, Job, Task};
use crate::disk::snapwriter::SnapWriter;
use crate::disk::{Disk, DiskEvent, Phase};
use crate::error::DiskError;
use crate::event::{Dir, DiskOp, Lane, Outbox};
use crate::ids::{Millis, Zxid};
use crate::mutant::Mutant;

/// After a failure the next snapshot waits this long: a full disk is not freed within a moment.
const RETRY_AFTER: Millis = 10_000;

impl Disk {
    /// Starts a snapshot at this zxid; the digest is the tree's there. The log rolls, so that old files can be purged.
    pub fn snapshot_begin(&mut self, zxid: Zxid, digest: u64, out: &mut Outbox) {
        if self.dead {
            return;
        }
        assert!(self.own.is_none(), "one snapshot at a time");
        self.own_since = (self.log.count, self.log.bytes);
        self.log.roll();
        self.draw_due();
        let id = self.files.next_stream();
        let mut io = Io { out, jobs: &mut self.jobs };
        self.own = Some(SnapWriter::begin(id, zxid, name::OWN_TMP, Job::Own, &mut io));
        self.own_digest = digest;
        self.own_renaming = false;
    }

    /// The bytes of the walk that follow.
    pub fn snapshot_bytes(&mut self, bytes: Bytes, out: &mut Outbox) {
        if let Some(own) = &mut self.own {
            own.body(bytes, Job::Own, &mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// Bytes of the own snapshot that are not written yet.
    #[must_use]
    pub fn snapshot_backlog(&self) -> usize {
        self.own.as_ref().map_or(0, |own| own.backlog)
    }

    /// The walk is over; [`DiskEvent::SnapshotDone`] or [`DiskEvent::SnapshotFailed`] follows.
    pub fn snapshot_finish(&mut self, out: &mut Outbox) {
        let digest = self.own_digest;
        // A name that appears before its content is durable says something untrue after a power failure.
        let early = self.cfg.mutants.has(Mutant::K23);
        if let Some(own) = &mut self.own {
            own.seal(Some(digest), !early, Job::Own, &mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// Gives the own snapshot up, unless it is about to be finished.
    pub fn snapshot_abort(&mut self, out: &mut Outbox) {
        if let Some(own) = self.own.take_if(|_| !self.own_renaming) {
            own.abandon(&mut Io { out, jobs: &mut self.jobs });
            self.owe_snapshot();
        }
    }

    /// The snapshot failed: it stays due.
    fn owe_snapshot(&mut self) {
        self.log.count += self.own_since.0;
        self.log.bytes += self.own_since.1;
    }

    /// As [`Disk::snapshot_abort`], and the Peer hears of it.
    pub(super) fn give_up_own(&mut self, out: &mut Outbox) {
        if self.own.is_some() && !self.own_renaming {
            self.snapshot_abort(out);
            self.late.push(DiskEvent::SnapshotFailed);
        }
    }

    /// An operation of the own snapshot ended.
    pub(super) fn own_ended(
        &mut self,
        id: u64,
        bytes: usize,
        result: Result<(), DiskError>,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) {
        let Some(own) = self.own.as_mut().filter(|own| own.id == id) else { return };
        if let Err(e) = result {
            let text = alloc::format!("the snapshot at {} could not be written: {e}", own.zxid);
            events.push(DiskEvent::Warning(text));
            own.abandon(io);
            self.own = None;
            self.own_renaming = false;
            self.owe_snapshot();
            self.snapshot_retry = Some(self.now + RETRY_AFTER);
            events.push(DiskEvent::SnapshotFailed);
            return;
        }
        let last = own.ended(bytes);
        if !(last && own.is_sealed()) {
            if bytes > 0 {
                events.push(DiskEvent::SnapshotProgress);
            }
            return;
        }
        if self.own_renaming {
            self.own_done(io, events);
            return;
        }
        self.own_renaming = true;
        let (tmp, target) = (own.tmp.clone(), snapshot_name(own.zxid, self.cfg.storage.compression));
        // The same state under the same name is there already, and may be on its way to a learner: it stays.
        let same = self.files.snaps.iter().any(|s| s.trusted && s.name == target);
        let ops = if same {
            [DiskOp::Unlink(tmp), DiskOp::FsyncDir(Dir::Data)]
        } else {
            [DiskOp::Rename(tmp, target), DiskOp::FsyncDir(Dir::Data)]
        };
        own.pending = ops.len();
        for op in ops {
            io.op(Lane::Bulk, op, Job::Own(id, 0));
        }
    }

    fn own_done(&mut self, io: &mut Io<'_>, events: &mut Vec<DiskEvent>) {
        self.own_renaming = false;
        let Some(own) = self.own.take() else { return };
        let (zxid, bytes) = (own.zxid, own.offset);
        let snap = written(&own, self.cfg.storage.compression);
        if !self.files.snaps.iter().any(|s| s.trusted && s.name == snap.name) {
            self.files.add_snap(snap);
        }
        self.first_start = false;
        self.snapshot_retry = None;
        if self.state.fresh {
            self.state.fresh = false;
            let [write, rename] = write_state(&self.state);
            self.tasks.push(Task::new(Done::Health).step(write).step(rename), io);
        }
        events.push(DiskEvent::SnapshotDone { zxid, bytes });
    }

    /// Whether a snapshot should be taken: after between half and all of snapCount records, or of the bytes (storage-format 5).
    #[must_use]
    pub fn snapshot_due(&self) -> bool {
        let storage = &self.cfg.storage;
        let part = |whole: u64| whole / 2 + ((whole / 2).saturating_mul(self.due_permille) / 1000);
        let by_count = self.log.count > part(storage.snap_count);
        let by_size = storage.snap_size_bytes > 0 && self.log.bytes > part(storage.snap_size_bytes);
        // Without any there is nothing to bring a learner up to date with that has nothing.
        let none = matches!(self.phase, Phase::Ready) && self.newest_snapshot().is_none();
        let may = self.own.is_none() && self.snapshot_retry.is_none_or(|at| at <= self.now);
        may && (none || by_count || by_size)
    }

    /// Draws how long the next snapshot waits: servers of one ensemble take theirs at different times.
    pub(super) fn draw_due(&mut self) {
        self.draws += 1;
        let mut x = self.cfg.seed ^ self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.due_permille = (x ^ (x >> 31)) % 1000;
    }
}

/// What is known of a file that was just written.
pub(super) fn written(w: &SnapWriter, compression: Compression) -> SnapFile {
    SnapFile {
        name: snapshot_name(w.zxid, compression),
        zxid: w.zxid,
        bytes: w.offset,
        packed: compression != Compression::None,
        trusted: true,
        end: w.zxid,
        body_end: w.body_end(),
    }
}
