//! Reading old log and snapshot files for learners, in bounded steps; what is being read is pinned against the purge.
//!
//! Continuity is checked while reading (ZOOKEEPER-2846): below the snapshot that this server started from nobody has checked it
//! before, and there a step from one epoch to the next proves nothing, so it counts as a gap. So does
//! such a step behind a file that does not end with its last record.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::files::{Files, follows};
use crate::disk::io::{Io, Job};
use crate::disk::snapwriter::SEAL;
use crate::disk::{Disk, DiskEvent, ReaderId};
use crate::error::DiskError;
use crate::event::{DiskOp, FileName, Lane, Outbox};
use crate::ids::Zxid;
use crate::mutant::{Mutant, Mutants};
use crate::wire::adler::Adler;
use crate::wire::snapshot::FILE_HEADER_LEN;
use crate::wire::txnlog::{Found, Record, Scanner};

/// A reader of the log.
#[derive(Clone, Debug)]
struct LogReader {
    after: Zxid,
    /// `after` is a point of this history.
    found: bool,
    last: Zxid,
    /// Zxid in the name of the file being read.
    file: Zxid,
    scanner: Scanner,
    at: u64,
    /// The file before this one did not end with its last record.
    torn: bool,
}

/// A reader of a snapshot.
#[derive(Clone, Debug)]
struct SnapReader {
    name: FileName,
    at: u64,
    body_end: u64,
    sum: Adler,
}

#[derive(Clone, Debug)]
enum Kind {
    Log(LogReader),
    Snapshot(SnapReader),
}

/// Something that reads on behalf of a learner.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    kind: Kind,
    busy: bool,
    /// Nothing follows.
    over: bool,
}

/// What a log reader does next.
enum Next {
    /// Read this much here.
    Read(FileName, u64, u64),
    /// Everything durable was read.
    End,
    /// The file is gone.
    Gone,
}

impl LogReader {
    fn next(&mut self, files: &Files, chunk: u64, max: usize) -> Next {
        loop {
            let Some(i) = files.logs.iter().position(|f| f.first == self.file) else {
                return if self.file == Zxid::NONE { Next::End } else { Next::Gone };
            };
            let file = &files.logs[i];
            if self.at < file.end {
                return Next::Read(file.name.clone(), self.at, chunk.min(file.end - self.at));
            }
            // Every file ends with a record, unless a flipped bit hides some: a length that is too great, or one that is zero.
            let short = self.scanner.offset() < file.end;
            let Some(next) = files.logs.get(i + 1) else { return if short { Next::Gone } else { Next::End } };
            self.torn |= short;
            self.file = next.first;
            self.at = 0;
            self.scanner = Scanner::new(max);
        }
    }

    /// Takes bytes. Returns whether there is a gap; an error when the file is damaged.
    fn take(
        &mut self,
        bytes: Bytes,
        files: &Files,
        mutants: Mutants,
        records: &mut Vec<Record>,
    ) -> Result<bool, &'static str> {
        self.at += bytes.len() as u64;
        self.scanner.feed(bytes);
        loop {
            match self.scanner.next(false) {
                Found::More => return Ok(false),
                // Padding, or a tear that the next file goes on from: only the very next zxid shows that.
                Found::End { .. } => {
                    self.at = u64::MAX;
                    return Ok(false);
                }
                Found::Broken { what, .. } => return Err(what),
                Found::Record { record, .. } if record.zxid < self.after => {}
                Found::Record { record, .. } if record.zxid == self.after => self.found = true,
                Found::Record { record, .. } if record.zxid <= self.last => {}
                Found::Record { record, .. } => {
                    let unproved = record.zxid.epoch() != self.last.epoch() && (self.last < files.chain || self.torn);
                    let gap = unproved || !follows(self.last, record.zxid);
                    if !self.found || (gap && !mutants.has(Mutant::B20)) {
                        return Ok(true);
                    }
                    self.torn = false;
                    self.last = record.zxid;
                    records.push(record);
                }
            }
        }
    }
}

impl SnapReader {
    /// The read that comes next: the last one takes the seal along.
    fn next(&self, chunk: u64) -> (u64, u64) {
        let left = self.body_end - self.at;
        (self.at, if left <= chunk { left + SEAL } else { chunk })
    }

    /// Takes bytes. Returns the part to hand on and whether it is the last; `None` when the file is not what was sealed.
    fn take(&mut self, bytes: &Bytes, asked: u64) -> Option<(Bytes, bool)> {
        if bytes.len() as u64 != asked {
            return None;
        }
        let body = usize::try_from(self.body_end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        self.sum.write(&bytes[..body]);
        let header = usize::try_from((FILE_HEADER_LEN as u64).saturating_sub(self.at)).unwrap_or(0).min(body);
        self.at += body as u64;
        let last = self.at == self.body_end;
        if last && bytes[body..body + 8] != i64::from(self.sum.sum()).to_be_bytes() {
            return None;
        }
        Some((bytes.slice(header..body), last))
    }
}

impl Disk {
    fn add_reader(&mut self, kind: Kind) -> ReaderId {
        self.next_reader += 1;
        let id = ReaderId(self.next_reader);
        self.readers.insert(id, Reader { kind, busy: false, over: false });
        id
    }

    /// Reads the log behind `after`; the first [`DiskEvent::LogRecords`] comes without being asked for, the others after
    /// [`Disk::read_next`].
    pub fn open_log(&mut self, after: Zxid, out: &mut Outbox) -> ReaderId {
        let files = &self.files;
        let start = files.logs.partition_point(|f| f.first <= after).saturating_sub(1);
        let file = files.logs.get(start).map_or(Zxid::NONE, |f| f.first);
        // A point of this history without being in the log: what a snapshot stands for, or the start of an epoch.
        let snapshot = files.snaps.iter().any(|s| s.trusted && s.zxid == after);
        let found = after == files.chain || (after > files.chain && (snapshot || after.counter() == 0));
        let scanner = Scanner::new(self.record_max());
        let reader = LogReader { after, found, last: after, file, scanner, at: 0, torn: false };
        let id = self.add_reader(Kind::Log(reader));
        self.read_next(id, out);
        id
    }

    /// Reads the newest finished snapshot; `None` when there is none yet. [`DiskEvent::SnapData`] follows each
    /// [`Disk::read_next`].
    pub fn open_snapshot(&mut self, _out: &mut Outbox) -> Option<(ReaderId, Zxid)> {
        let snap = self.files.newest_trusted()?;
        let (zxid, name, body_end) = (snap.zxid, snap.name.clone(), snap.body_end);
        let reader = SnapReader { name, at: 0, body_end, sum: Adler::new() };
        Some((self.add_reader(Kind::Snapshot(reader)), zxid))
    }

    /// Asks for more. Asking again before it came changes nothing.
    pub fn read_next(&mut self, reader: ReaderId, out: &mut Outbox) {
        if !self.dead {
            let mut io = Io { out, jobs: &mut self.jobs };
            let (chunk, max) = (self.cfg.storage.chunk_bytes.max(1) as u64, super::record_max(&self.cfg));
            Self::advance(&mut self.readers, &self.files, reader, chunk, max, &mut io);
        }
    }

    fn advance(
        readers: &mut alloc::collections::BTreeMap<ReaderId, Reader>,
        files: &Files,
        id: ReaderId,
        chunk: u64,
        max: usize,
        io: &mut Io<'_>,
    ) {
        let Some(reader) = readers.get_mut(&id).filter(|r| !r.busy && !r.over) else { return };
        reader.busy = true;
        let (name, at, len) = match &mut reader.kind {
            Kind::Snapshot(s) => {
                let (at, len) = s.next(chunk);
                (s.name.clone(), at, len)
            }
            // Nothing to read: the answer must come as an answer all the same, and a listing always succeeds.
            Kind::Log(l) => match l.next(files, chunk, max) {
                Next::Read(name, at, len) => (name, at, len),
                Next::End | Next::Gone => {
                    io.op(Lane::Bulk, DiskOp::List(crate::event::Dir::Log), Job::Reader(id));
                    return;
                }
            },
        };
        io.op(Lane::Bulk, DiskOp::ReadRange(name, at, len), Job::Reader(id));
    }

    /// Forgets the reader; what it read may be purged.
    pub fn close_reader(&mut self, reader: ReaderId) {
        self.readers.remove(&reader);
    }

    /// A read ended. `None`: it was only a turn for a reader at its end.
    pub(super) fn reader_ended(
        &mut self,
        id: ReaderId,
        result: Result<Option<Bytes>, DiskError>,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) {
        let (chunk, max) = (self.cfg.storage.chunk_bytes.max(1) as u64, self.record_max());
        let Some(reader) = self.readers.get_mut(&id) else { return };
        reader.busy = false;
        let Ok(bytes) = result else {
            reader.over = true;
            if let Kind::Snapshot(s) = &reader.kind {
                self.files.distrust(&s.name);
            }
            events.push(DiskEvent::ReaderFailed { reader: id });
            return;
        };
        match &mut reader.kind {
            Kind::Snapshot(s) => {
                let (_, asked) = s.next(chunk);
                match bytes.and_then(|b| s.take(&b, asked)) {
                    Some((bytes, end)) => {
                        reader.over = end;
                        events.push(DiskEvent::SnapData { reader: id, bytes, end });
                    }
                    None => {
                        reader.over = true;
                        self.files.distrust(&s.name);
                        events.push(DiskEvent::ReaderFailed { reader: id });
                    }
                }
            }
            Kind::Log(l) => {
                let mut records = Vec::new();
                let taken = match bytes {
                    Some(bytes) => l.take(bytes, &self.files, self.cfg.mutants, &mut records),
                    None => Ok(false),
                };
                let Ok(gap) = taken else {
                    reader.over = true;
                    events.push(DiskEvent::ReaderFailed { reader: id });
                    return;
                };
                let next = l.next(&self.files, chunk, max);
                let end = matches!(next, Next::End);
                let gap = gap || matches!(next, Next::Gone) || (end && !l.found);
                if records.is_empty() && !gap && !end {
                    Self::advance(&mut self.readers, &self.files, id, chunk, max, io);
                    return;
                }
                reader.over = gap;
                events.push(DiskEvent::LogRecords { reader: id, records, end, gap });
            }
        }
    }

    /// The oldest log file that somebody still reads.
    pub(super) fn oldest_pinned_log(&self) -> Option<Zxid> {
        let file = |r: &Reader| match &r.kind {
            Kind::Log(l) if !r.over => Some(l.file),
            _ => None,
        };
        self.readers.values().filter_map(file).min()
    }

    /// Whether somebody reads this snapshot.
    pub(super) fn is_pinned(&self, name: &FileName) -> bool {
        self.readers.values().any(|r| matches!(&r.kind, Kind::Snapshot(s) if !r.over && s.name == *name))
    }
}
