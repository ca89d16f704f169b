//! A snapshot that a leader sends, persisted while it streams in.
//!
//! ```text
//! temporary file, synced ─► record "installing" ─► rename ─► older log and foreign snapshots removed ─► record cleared
//! ```
//!
//! From the record on recovery completes the installation; before it nothing has happened.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::epochs::write_state;
use crate::disk::files::{name, snapshot_name};
use crate::disk::io::{Done, Io, Job, Task};
use crate::disk::own::written;
use crate::disk::snapwriter::SnapWriter;
use crate::disk::state::{Install, Trust};
use crate::disk::watermark::Mark;
use crate::disk::{Disk, DiskEvent};
use crate::error::DiskError;
use crate::event::{Dir, DiskOp, Halt, Outbox};
use crate::ids::Zxid;
use crate::mutant::Mutant;

/// A snapshot on its way in.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    writer: SnapWriter,
    /// The point of no return is passed.
    installing: bool,
}

impl Incoming {
    /// Whether it can no longer be given up.
    pub(super) fn is_installing(&self) -> bool {
        self.installing
    }
}

impl Disk {
    /// A snapshot with this zxid follows. Its body comes with [`Disk::incoming_bytes`].
    pub fn incoming_begin(&mut self, zxid: Zxid, out: &mut Outbox) {
        if self.dead {
            return;
        }
        self.incoming_abort(out);
        // The tree that is being walked is about to be replaced.
        self.give_up_own(out);
        assert!(self.incoming.is_none(), "an installation ends before the next snapshot comes");
        let id = self.files.next_stream();
        let mut io = Io { out, jobs: &mut self.jobs };
        let writer = SnapWriter::begin(id, zxid, name::INCOMING_TMP, Job::Incoming, &mut io);
        self.incoming = Some(Incoming { writer, installing: false });
    }

    /// The bytes of the body that follow.
    pub fn incoming_bytes(&mut self, bytes: Bytes, out: &mut Outbox) {
        if let Some(incoming) = &mut self.incoming {
            incoming.writer.body(bytes, Job::Incoming, &mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// Bytes of the incoming snapshot that are not written yet.
    #[must_use]
    pub fn incoming_backlog(&self) -> usize {
        self.incoming.as_ref().map_or(0, |i| i.writer.backlog)
    }

    /// The snapshot is complete and its tree has this digest; [`DiskEvent::Installed`] follows.
    pub fn incoming_finish(&mut self, digest: Option<u64>, out: &mut Outbox) {
        if let Some(incoming) = &mut self.incoming {
            let sync = !self.cfg.mutants.has(Mutant::B09);
            incoming.writer.seal(digest, sync, Job::Incoming, &mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// Gives the incoming snapshot up. An installation that has begun is completed all the same.
    pub fn incoming_abort(&mut self, out: &mut Outbox) {
        if let Some(incoming) = self.incoming.take_if(|i| !i.installing) {
            incoming.writer.abandon(&mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// An operation of the incoming snapshot ended.
    pub(super) fn incoming_ended(
        &mut self,
        id: u64,
        bytes: usize,
        result: Result<(), DiskError>,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) -> Result<(), Halt> {
        let Some(incoming) = self.incoming.as_mut().filter(|i| i.writer.id == id) else { return Ok(()) };
        if let Err(e) = result {
            let zxid = incoming.writer.zxid;
            return Err(Halt::Disk(alloc::format!("the snapshot {zxid} from the leader cannot be written: {e}")));
        }
        let last = incoming.writer.ended(bytes);
        if last && incoming.writer.is_sealed() {
            self.install(io);
        } else if bytes > 0 {
            events.push(DiskEvent::IncomingProgress);
        }
        Ok(())
    }

    /// Installs the file when nothing else is on its way to the log.
    pub(super) fn install(&mut self, io: &mut Io<'_>) {
        let Some(incoming) = &self.incoming else { return };
        let ready = incoming.writer.is_sealed() && incoming.writer.pending == 0;
        if incoming.installing || !ready || !self.log.is_quiet() || !self.tasks.is_idle() {
            return;
        }
        let (zxid, tmp) = (incoming.writer.zxid, incoming.writer.tmp.clone());
        let newest_log = self.files.logs.last().filter(|_| !self.keeps_log(zxid)).map_or(Zxid::ZERO, |f| f.first);
        let newest_snap = self.files.snaps.last().map_or(Zxid::ZERO, |s| s.zxid);
        let install = Install { zxid, logs_to: newest_log, snaps_to: newest_snap };
        self.state.fresh = false;
        if zxid < self.log.last && self.state.trust != Trust::Damaged {
            // What was acknowledged above it is gone until the history behind it is logged: a crash in between may not pass
            // for a whole history.
            self.state.trust = Trust::Doubtful;
        }
        let mut begun = self.state;
        if !self.keeps_log(zxid) {
            self.state.behind = zxid;
        }
        begun.install = Some(install);
        let [write, rename] = write_state(&begun);
        let [clear_write, clear_rename] = write_state(&self.state);
        let task = Task::new(Done::Installed(zxid))
            .step(self.mark.lower(Mark::default()))
            .step(write)
            .step(rename)
            .step(vec![
                DiskOp::Rename(tmp, snapshot_name(zxid, self.cfg.storage.compression)),
                DiskOp::FsyncDir(Dir::Data),
            ])
            .step(self.void_ops(install))
            .step(clear_write)
            .step(clear_rename);
        self.tasks.push(task, io);
        if let Some(incoming) = &mut self.incoming {
            incoming.installing = true;
        }
    }

    /// Planted bug B20: the log that ends before an installed snapshot is taken to lead to it.
    fn keeps_log(&self, snapshot: Zxid) -> bool {
        self.cfg.mutants.has(Mutant::B20) && snapshot >= self.log.last
    }

    /// The installation is durable.
    pub(super) fn installed(&mut self, zxid: Zxid, events: &mut Vec<DiskEvent>) {
        let Some(incoming) = self.incoming.take() else { return };
        if !self.keeps_log(zxid) {
            self.files.logs.clear();
            self.files.chain = zxid;
            self.files.holed = Zxid::ZERO;
        }
        self.files.snaps.retain(|s| s.zxid <= zxid);
        self.files.add_snap(written(&incoming.writer, self.cfg.storage.compression));
        self.stale = None;
        self.first_start = false;
        self.log.reset(zxid, false);
        self.log.count = 0;
        self.log.bytes = 0;
        events.push(DiskEvent::Installed(zxid));
    }
}
