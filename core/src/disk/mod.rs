//! Log, snapshots, epoch files, watermark: durable state, recovery and group commit, out of [`DiskOp`] primitives.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::PeerConfig;
use crate::error::DiskError;
use crate::event::{DiskReply, Halt, Health, Outbox};
use crate::ids::{Epoch, Millis, Now, Ticket, Zxid};
use crate::wire::snapshot::SnapSink;
use crate::wire::txnlog::Record;

/// Where recovery puts what it reads.
pub trait RecoverySink: SnapSink {
    /// A snapshot follows: forget everything, also what an earlier `begin_snapshot` of this recovery has brought.
    fn begin_snapshot(&mut self, zxid: Zxid);
    /// The snapshot is whole and all its seals are right. Returns the digest of the loaded tree.
    fn end_snapshot(&mut self, zxid: Zxid) -> u64;
    /// There is no snapshot: forget everything and start with the empty tree at zxid 0.
    fn begin_empty(&mut self);
    /// The next record of the log, in zxid order, all above the snapshot. An error is a reason why the record cannot be used.
    fn record(&mut self, zxid: Zxid, payload: Bytes) -> Result<(), String>;
}

/// What recovery found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Newest zxid in log and snapshots.
    pub last_logged: Zxid,
    /// Zxid of the snapshot that was loaded; zero without one.
    pub snapshot: Zxid,
    /// Whether a snapshot file was loaded. Without one the peer writes one (`snapshot.0` at the first start) when it may.
    pub has_snapshot: bool,
    /// Durable promise.
    pub accepted: Epoch,
    /// Epoch of the last leader that this server has synchronised with.
    pub current: Epoch,
    /// Trust.
    pub health: Health,
    /// Everything up to this zxid is known to be committed; at least the snapshot's zxid.
    pub committed_hint: Zxid,
}

/// A reader of old log or of a snapshot file; the files that it may still read are pinned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ReaderId(pub u64);

/// What the disk tells the Peer.
#[derive(Clone, PartialEq, Debug)]
pub enum DiskEvent {
    /// Recovery (or a reload) is over.
    Recovered(Recovered),
    /// Every record up to this zxid is durable.
    Durable(Zxid),
    /// acceptedEpoch is durable.
    AcceptedDurable(Epoch),
    /// currentEpoch.tmp is durable.
    IntentDurable(Epoch),
    /// currentEpoch is durable.
    CurrentDurable(Epoch),
    /// The log was cut and the cut is durable.
    Truncated {
        /// Whether what is left ends exactly there (quorum-protocol section 15, "TRUNC to an absent zxid").
        ok: bool,
    },
    /// Bytes of the incoming snapshot were written: [`Disk::incoming_backlog`] is smaller.
    IncomingProgress,
    /// The incoming snapshot is durable and is what recovery will load; older log is out of the way.
    Installed(Zxid),
    /// Bytes of the own snapshot were written: [`Disk::snapshot_backlog`] is smaller.
    SnapshotProgress,
    /// The own snapshot is durable under its name.
    SnapshotDone {
        /// Its zxid.
        zxid: Zxid,
        /// Size of the file.
        bytes: u64,
    },
    /// The own snapshot was given up (disk full, an error, a reload): the walk may be cancelled; snapshots stay due.
    SnapshotFailed,
    /// Records for an [`Disk::open_log`] reader.
    LogRecords {
        /// Whose.
        reader: ReaderId,
        /// Ascending, following what was asked for.
        records: Vec<Record>,
        /// Everything that was durable when the reader reached it has been delivered.
        end: bool,
        /// The log does not contain what follows: it was purged, has a hole, or the zxid asked for is not in it.
        gap: bool,
    },
    /// Bytes for an [`Disk::open_snapshot`] reader: the body of the file, ending with the ustring "/".
    SnapData {
        /// Whose.
        reader: ReaderId,
        /// The bytes.
        bytes: Bytes,
        /// These are the last ones.
        end: bool,
    },
    /// The reader cannot go on: its file cannot be read or is damaged.
    ReaderFailed {
        /// Whose.
        reader: ReaderId,
    },
    /// An fsync of the log took this many ms.
    FsyncTook(Millis),
    /// Something that an operator should read.
    Warning(String),
    /// This server must stop.
    Fatal(Halt),
}

/// The durable state of one server.
#[derive(Debug)]
pub struct Disk {
    _cfg: PeerConfig,
}

#[allow(missing_docs, clippy::missing_const_for_fn, unused_variables)]
impl Disk {
    #[must_use]
    pub fn new(cfg: &PeerConfig) -> Self {
        Self { _cfg: cfg.clone() }
    }
    pub fn start(&mut self, out: &mut Outbox) {}
    pub fn reload(&mut self, out: &mut Outbox) {}
    pub fn on_disk(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        out: &mut Outbox,
        events: &mut Vec<DiskEvent>,
    ) {
    }
    pub fn next_deadline(&self) -> Option<Millis> {
        None
    }
    pub fn tick(&mut self, now: Now, out: &mut Outbox) {}
    pub fn append(&mut self, zxid: Zxid, payload: Bytes) {}
    pub fn flush(&mut self, now: Now, out: &mut Outbox) {}
    pub fn last_logged(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn durable(&self) -> Zxid {
        Zxid::ZERO
    }
    pub fn is_busy(&self) -> bool {
        false
    }
    pub fn is_first_start(&self) -> bool {
        false
    }
    pub fn health(&self) -> Health {
        Health::Intact
    }
    pub fn accepted_epoch(&self) -> Epoch {
        0
    }
    pub fn current_epoch(&self) -> Epoch {
        0
    }
    pub fn write_accepted(&mut self, epoch: Epoch, out: &mut Outbox) {}
    pub fn write_intent(&mut self, epoch: Epoch, out: &mut Outbox) {}
    pub fn write_current(&mut self, epoch: Epoch, out: &mut Outbox) {}
    pub fn synchronised(&mut self) {}
    pub fn committed_hint(&mut self, zxid: Zxid) {}
    pub fn truncate(&mut self, to: Zxid, out: &mut Outbox) {}
    pub fn incoming_begin(&mut self, zxid: Zxid, out: &mut Outbox) {}
    pub fn incoming_bytes(&mut self, bytes: Bytes, out: &mut Outbox) {}
    pub fn incoming_backlog(&self) -> usize {
        0
    }
    pub fn incoming_finish(&mut self, digest: u64, out: &mut Outbox) {}
    pub fn incoming_abort(&mut self, out: &mut Outbox) {}
    pub fn snapshot_due(&self) -> bool {
        false
    }
    pub fn snapshot_begin(&mut self, zxid: Zxid, digest: u64, out: &mut Outbox) {}
    pub fn snapshot_bytes(&mut self, bytes: Bytes, out: &mut Outbox) {}
    pub fn snapshot_backlog(&self) -> usize {
        0
    }
    pub fn snapshot_finish(&mut self, out: &mut Outbox) {}
    pub fn snapshot_abort(&mut self, out: &mut Outbox) {}
    pub fn newest_snapshot_bytes(&self) -> u64 {
        0
    }
    pub fn log_bytes_since(&self, after: Zxid) -> u64 {
        0
    }
    pub fn open_log(&mut self, after: Zxid, out: &mut Outbox) -> ReaderId {
        ReaderId(0)
    }
    pub fn open_snapshot(&mut self, out: &mut Outbox) -> Option<(ReaderId, Zxid)> {
        None
    }
    pub fn read_next(&mut self, reader: ReaderId, out: &mut Outbox) {}
    pub fn close_reader(&mut self, reader: ReaderId) {}
    pub fn purge(&mut self, out: &mut Outbox) {}
}
