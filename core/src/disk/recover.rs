//! Recovery: directories, small files, the newest valid snapshot, the log behind it (storage-format section 8).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::epochs::write_state;
use crate::disk::files::{data, name, side, snapshot_name};
use crate::disk::io::{Done, Io, Job, LogJob, Task};
use crate::disk::scan::{LogScan, Setup};
use crate::disk::state::State;
use crate::disk::stream::{Got, Stream};
use crate::disk::watermark::{self, Mark};
use crate::disk::{Disk, DiskEvent, Phase, RecoverySink};
use crate::error::DiskError;
use crate::event::{Dir, DiskOp, DiskReply, FileName, Halt, Lane, Outbox};
use crate::ids::{Ticket, Zxid};
use crate::mutant::Mutant;
use crate::wire::snapshot::{FileDecoder, Trailer};
use crate::wire::txn::TxnDigest;
use crate::wire::txnlog::HEADER_LEN;

/// Java tries this many snapshots.
const CANDIDATES: usize = 100;
/// No small file is longer.
const SMALL_MAX: u64 = 4096;
const SMALL_TRIES: u32 = 3;
const DIRS: [Dir; 4] = [Dir::Data, Dir::Log, Dir::Side, Dir::Base];
/// Places in [`DIRS`].
pub(super) const BASE: usize = 3;

/// The small files, by their places.
pub(super) mod small {
    pub(in crate::disk) const ACCEPTED: usize = 0;
    pub(in crate::disk) const ACCEPTED_TMP: usize = 1;
    pub(in crate::disk) const CURRENT: usize = 2;
    pub(in crate::disk) const CURRENT_TMP: usize = 3;
    pub(in crate::disk) const STATE: usize = 4;
    pub(in crate::disk) const WATERMARK: usize = 5;
}

fn small_files() -> [FileName; 6] {
    [
        data(name::ACCEPTED),
        data(name::ACCEPTED_TMP),
        data(name::CURRENT),
        data(name::CURRENT_TMP),
        side(name::STATE),
        side(name::WATERMARK),
    ]
}

fn lost(behind: Zxid) -> String {
    format!("the snapshot {behind} or a later one is missing: the log from before it is gone")
}

/// What a small file holds.
#[derive(Clone, Debug, Default)]
pub(super) enum Small {
    #[default]
    Absent,
    Bytes(Bytes),
    Unreadable,
}

#[derive(Clone, Debug)]
enum Step {
    /// Directory listings, then small files.
    Names,
    /// An interrupted installation is being completed.
    Resuming,
    Snapshot(usize, Stream, Box<FileDecoder>),
    Log(usize, Stream),
    /// What follows from it is being written.
    Writing,
}

/// The state of a recovery.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    step: Step,
    pub(super) lists: [Vec<(String, u64)>; 4],
    pub(super) small: [Small; 6],
    tries: u32,
    waiting: usize,
    /// Our record, if it is whole.
    pub(super) record: Option<State>,
    /// Java has been here since the record was written.
    pub(super) java_since: bool,
    /// currentEpoch says what nobody can vouch for.
    pub(super) foreign_epoch: Option<String>,
    pub(super) mark: Option<(i64, usize, Mark)>,
    /// Snapshots that could not be used.
    pub(super) unread: Vec<Zxid>,
    /// The snapshot that was loaded, and what stands behind its body.
    pub(super) base: Option<(usize, Trailer)>,
    /// See [`super::Recovered::exact`].
    pub(super) exact: bool,
    pub(super) scan: Option<LogScan>,
    pub(super) loaded: u64,
    /// What [`DiskEvent::Recovered`] will say.
    pub(super) outcome: Option<super::Recovered>,
    pub(super) fatal: Option<String>,
}

impl Recovery {
    fn new() -> Self {
        Self {
            step: Step::Names,
            lists: Default::default(),
            small: Default::default(),
            tries: 0,
            waiting: 0,
            record: None,
            java_since: false,
            foreign_epoch: None,
            mark: None,
            unread: Vec::new(),
            base: None,
            exact: false,
            scan: None,
            loaded: 0,
            outcome: None,
            fatal: None,
        }
    }

    /// The log from before this zxid is gone, as our record says.
    fn behind(&self) -> Zxid {
        self.record.filter(|_| !self.java_since).unwrap_or_default().behind
    }

    pub(super) fn has(&self, dir: usize, name: &str) -> bool {
        self.lists[dir].iter().any(|(n, _)| n == name)
    }
}

impl Disk {
    /// Lists the directories; everything else follows from the replies.
    pub(super) fn begin_recovery(&mut self, io: &mut Io<'_>) {
        let mut recovery = Recovery::new();
        recovery.waiting = DIRS.len();
        for (i, dir) in DIRS.into_iter().enumerate() {
            io.op(Lane::Bulk, DiskOp::List(dir), Job::List(i));
        }
        self.phase = Phase::Recovering(Box::new(recovery));
    }

    /// One directory is listed.
    pub(super) fn listed(
        &mut self,
        r: &mut Recovery,
        dir: usize,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
    ) -> Result<(), Halt> {
        r.lists[dir] = match result {
            Ok(DiskReply::Files(list)) => list,
            Err(DiskError::NotFound) => Vec::new(),
            Err(e) => return Err(Halt::Disk(format!("cannot list the directory {:?}: {e}", DIRS[dir]))),
            Ok(_) => unreachable!("a listing answers with names"),
        };
        r.waiting -= 1;
        if r.waiting > 0 {
            return Ok(());
        }
        self.files.set_snaps(&r.lists[0]);
        self.files.set_logs(&r.lists[1]);
        for (i, file) in small_files().into_iter().enumerate() {
            if r.has(if file.dir == Dir::Side { 2 } else { 0 }, &file.name) {
                r.waiting += 1;
                io.op(Lane::Bulk, DiskOp::ReadRange(file, 0, SMALL_MAX), Job::Small(i));
            }
        }
        if r.waiting == 0 { self.understand(r, sink, io) } else { Ok(()) }
    }

    /// One small file is read.
    pub(super) fn small_read(
        &mut self,
        r: &mut Recovery,
        i: usize,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
    ) -> Result<(), Halt> {
        r.small[i] = match result {
            Ok(DiskReply::Data(bytes)) => Small::Bytes(bytes),
            Err(DiskError::NotFound) => Small::Absent,
            Err(_) if r.tries < SMALL_TRIES => {
                r.tries += 1;
                let file = small_files()[i].clone();
                io.op(Lane::Bulk, DiskOp::ReadRange(file, 0, SMALL_MAX), Job::Small(i));
                return Ok(());
            }
            Err(_) => Small::Unreadable,
            Ok(_) => unreachable!("a read answers with bytes"),
        };
        r.waiting -= 1;
        if r.waiting == 0 { self.understand(r, sink, io) } else { Ok(()) }
    }

    /// All names and small files are here.
    fn understand(&mut self, r: &mut Recovery, sink: &mut dyn RecoverySink, io: &mut Io<'_>) -> Result<(), Halt> {
        self.read_epochs(r)?;
        if let Small::Bytes(bytes) = &r.small[small::WATERMARK] {
            r.mark = watermark::read(bytes);
        }
        if let Some(install) = self.state.install.take()
            && !r.java_since
            && self.resume_install(r, install, io)
        {
            return Ok(());
        }
        for tmp in [name::OWN_TMP, name::INCOMING_TMP] {
            if r.has(0, tmp) {
                io.op(Lane::Bulk, DiskOp::Unlink(data(tmp)), Job::Nobody);
            }
        }
        let first = self.files.snaps.len().checked_sub(1);
        self.load_snapshot(r, first, sink, io);
        Ok(())
    }

    /// Completes an installation that a crash had interrupted. Returns false when there is nothing to complete.
    fn resume_install(&mut self, r: &mut Recovery, install: super::state::Install, io: &mut Io<'_>) -> bool {
        let target = snapshot_name(install.zxid, self.cfg.storage.compression);
        let written = r.has(0, name::INCOMING_TMP);
        if !written && !r.has(0, &target.name) {
            return false;
        }
        self.state.behind = install.zxid;
        // The name of the record that was read may be in the page cache only: nothing is removed before it is durable.
        let mut task = Task::new(Done::Resumed).step(vec![DiskOp::FsyncDir(Dir::Side)]);
        if written {
            let rename = DiskOp::Rename(data(name::INCOMING_TMP), target);
            task = task.step(vec![rename, DiskOp::FsyncDir(Dir::Data)]);
        }
        let [write, rename] = write_state(&self.state);
        self.tasks.push(task.step(self.void_ops(install)).step(write).step(rename), io);
        r.step = Step::Resuming;
        true
    }

    /// Reads the snapshot with this index; `None`: there is none left.
    fn load_snapshot(&mut self, r: &mut Recovery, index: Option<usize>, sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        let Some(i) = index.filter(|_| r.unread.len() < CANDIDATES) else {
            sink.begin_empty();
            r.exact = true;
            self.load_without_snapshot(r, sink, io);
            return;
        };
        let id = self.files.next_stream();
        let snap = &self.files.snaps[i];
        let mut stream = Stream::new(id, snap.name.clone(), 0, snap.length(), self.cfg.storage.chunk_bytes);
        stream.pump(io);
        sink.begin_snapshot(snap.zxid);
        r.loaded = 0;
        r.step = Step::Snapshot(i, stream, Box::new(FileDecoder::new()));
    }

    fn load_without_snapshot(&mut self, r: &mut Recovery, sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        let (logs, snaps) = (!self.files.logs.is_empty(), !self.files.snaps.is_empty());
        let trusting = self.cfg.mutants.has(Mutant::B42);
        if !trusting && r.behind() > Zxid::ZERO {
            self.conclude(r, Some(lost(r.behind())), io);
            return;
        }
        if !trusting && logs && (snaps || !(self.cfg.storage.trust_empty || self.state.fresh)) {
            let what = if snaps { "no snapshot can be read" } else { "there are logs, but no snapshot" };
            let hint = if snaps { "" } else { " (snapshot.trust.empty accepts that)" };
            r.scan = None;
            self.conclude(r, Some(format!("{what}{hint}")), io);
            return;
        }
        // A server that has started once has a snapshot, or its record says that it is about to write the first one.
        let started = self.state.current > 0 || r.record.is_some();
        if !trusting && (snaps || (!logs && started && !self.state.fresh)) {
            let what = if snaps { "no snapshot can be read" } else { "snapshots and logs are gone" };
            self.conclude(r, Some(what.to_string()), io);
            return;
        }
        self.scan_logs(r, Zxid::ZERO, 0, sink, io);
    }

    /// A piece of the stream that is being read arrived.
    pub(super) fn streamed(
        &mut self,
        r: &mut Recovery,
        ticket: Ticket,
        id: u64,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
    ) {
        let (Step::Snapshot(_, stream, _) | Step::Log(_, stream)) = &mut r.step else { return };
        if !stream.owns(id) {
            return;
        }
        let mut got = stream.on_reply(ticket, super::into_bytes(result), io);
        loop {
            match (&r.step, got) {
                (_, Got::Wait) => return,
                (Step::Snapshot(..), got) => self.snapshot_piece(r, got, sink, io),
                (Step::Log(..), got) => self.log_piece(r, got, sink, io),
                _ => return,
            }
            // Another stream may have begun: what it gives comes with replies of its own.
            match &mut r.step {
                Step::Snapshot(_, stream, _) | Step::Log(_, stream) if stream.owns(id) => got = stream.poll(io),
                _ => return,
            }
        }
    }

    fn snapshot_piece(&mut self, r: &mut Recovery, got: Got, sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        let Step::Snapshot(i, _, decoder) = &mut r.step else { return };
        let i = *i;
        let problem = match got {
            Got::Failed(e) => Some(format!("cannot be read: {e}")),
            Got::Bytes(bytes, end) => {
                r.loaded += bytes.len() as u64;
                match decoder.feed(&bytes, sink) {
                    Err(e) => Some(e.to_string()),
                    Ok(()) if !end => return,
                    Ok(()) => match core::mem::take(&mut **decoder).finish() {
                        Err(e) => Some(e.to_string()),
                        Ok(trailer) => {
                            self.snapshot_loaded(r, i, trailer, sink, io);
                            None
                        }
                    },
                }
            }
            Got::Wait => return,
        };
        if let Some(problem) = problem {
            let snap = &self.files.snaps[i];
            self.late.push(DiskEvent::Warning(format!("{} is not used: {problem}", snap.name.name)));
            r.unread.push(snap.zxid);
            self.load_snapshot(r, i.checked_sub(1), sink, io);
        }
    }

    fn snapshot_loaded(
        &mut self,
        r: &mut Recovery,
        i: usize,
        trailer: Trailer,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
    ) {
        let snap = &mut self.files.snaps[i];
        let zxid = snap.zxid;
        snap.trusted = true;
        snap.bytes = r.loaded;
        snap.body_end = trailer.body_end;
        snap.end = trailer.end(zxid);
        let stored = trailer.digest.filter(|(at, _)| *at == zxid).map(|(_, digest)| digest);
        let digest = sink.end_snapshot(zxid, stored);
        r.exact = stored == Some(digest) || (zxid == Zxid::ZERO && digest == TxnDigest::INITIAL);
        if let Some(stored) = stored.filter(|stored| *stored != digest) {
            // Java's snapshots may hold half of the next transaction, so this proves nothing by itself.
            let text = format!("{}: digest {stored:#x} stored, {digest:#x} loaded", snap.name.name);
            self.late.push(DiskEvent::Warning(text));
        }
        r.base = Some((i, trailer));
        if zxid < r.behind() {
            self.conclude(r, Some(lost(r.behind())), io);
            return;
        }
        let from = self.files.log_from(zxid);
        self.scan_logs(r, zxid, from, sink, io);
    }

    fn scan_logs(&mut self, r: &mut Recovery, base: Zxid, from: usize, sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        self.log.count = 0;
        self.log.bytes = 0;
        let setup = Setup {
            base,
            mark: r.mark.map(|m| m.2).filter(|_| !r.java_since),
            unread: r.unread.iter().copied().filter(|s| *s > base).collect(),
            max: self.record_max(),
            mutants: self.cfg.mutants,
        };
        r.scan = Some(LogScan::new(setup));
        self.scan_file(r, from, sink, io);
    }

    fn scan_file(&mut self, r: &mut Recovery, i: usize, _sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        let over = r.scan.as_ref().is_none_or(LogScan::is_over);
        let Some(file) = self.files.logs.get(i).filter(|_| !over) else {
            self.conclude(r, None, io);
            return;
        };
        let (name, first, end) = (file.name.clone(), file.first, file.end);
        if end < HEADER_LEN as u64 && self.cfg.mutants.has(Mutant::B43) {
            r.fatal = Some(format!("{} has no header", name.name));
            self.conclude(r, None, io);
            return;
        }
        if let Some(scan) = &mut r.scan {
            scan.begin_file(i, &name.name, first, i + 1 == self.files.logs.len());
        }
        let id = self.files.next_stream();
        let mut stream = Stream::new(id, name, 0, Some(end), self.cfg.storage.chunk_bytes);
        stream.pump(io);
        r.step = Step::Log(i, stream);
    }

    fn log_piece(&mut self, r: &mut Recovery, got: Got, sink: &mut dyn RecoverySink, io: &mut Io<'_>) {
        let (Step::Log(i, _), Some(scan)) = (&r.step, &mut r.scan) else { return };
        let i = *i;
        let log = &mut self.log;
        let mut deliver = |zxid: Zxid, payload: Bytes| {
            log.count += 1;
            log.bytes += payload.len() as u64;
            sink.record(zxid, payload)
        };
        let end = match got {
            Got::Wait => return,
            Got::Failed(e) => {
                scan.unreadable(&format!("{e}"));
                true
            }
            Got::Bytes(bytes, end) => {
                scan.feed(bytes, end, &mut deliver);
                end || scan.is_over()
            }
        };
        for (at, bytes) in scan.take_rewrite() {
            let write = DiskOp::WriteAt(self.files.logs[i].name.clone(), at, bytes.into());
            io.op(Lane::Log, write, Job::Log(LogJob::Step));
        }
        if end {
            self.scan_file(r, i + 1, sink, io);
        }
    }

    /// What recovery had to write is written.
    pub(super) fn recovery_written(&mut self, done: Done, io: &mut Io<'_>, events: &mut Vec<DiskEvent>) {
        let Phase::Recovering(r) = core::mem::replace(&mut self.phase, Phase::Ready) else { return };
        if done == Done::Resumed {
            self.begin_recovery(io);
            return;
        }
        events.append(&mut self.late);
        if let Some(why) = r.fatal {
            self.dead = true;
            events.push(DiskEvent::Fatal(Halt::BadData(why)));
            return;
        }
        self.accepted = self.state.accepted;
        self.current = self.state.current;
        if r.has(BASE, name::INITIALIZE) {
            // The operator's word counts for one start (storage-format section 8.2); the record remembers it.
            io.op(Lane::Log, DiskOp::Unlink(FileName::new(Dir::Base, name::INITIALIZE)), Job::Nobody);
        }
        events.extend(r.outcome.map(DiskEvent::Recovered));
    }

    pub(super) fn writing(r: &mut Recovery) {
        r.step = Step::Writing;
    }

    /// Reads everything again, once what is on its way has arrived: the tree holds what the disk does not.
    pub fn reload(&mut self, out: &mut Outbox) {
        if self.dead {
            return;
        }
        self.give_up_own(out);
        self.incoming_abort(out);
        self.readers.clear();
        self.purge = None;
        self.phase = Phase::Draining;
        self.drained(out);
    }

    /// Starts the reload that waited, if nothing is on its way any more.
    pub(super) fn drained(&mut self, out: &mut Outbox) {
        let quiet = self.own.is_none()
            && self.log.is_quiet()
            && self.tasks.is_idle()
            && self.cut.is_none()
            && self.incoming.is_none();
        if matches!(self.phase, Phase::Draining) && quiet {
            let mut jobs = core::mem::take(&mut self.jobs);
            self.begin_recovery(&mut Io { out, jobs: &mut jobs });
            self.jobs = jobs;
        }
    }
}
