//! Reading the log files behind a snapshot and telling torn from damaged (storage-format sections 9 and 10). Pure: bytes in,
//! records and a verdict out.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::files::follows;
use crate::disk::watermark::Mark;
use crate::ids::Zxid;
use crate::mutant::{Mutant, Mutants};
use crate::wire::records::op;
use crate::wire::txn::TxnHeader;
use crate::wire::txnlog::{self, Found, HEADER_LEN, Record, Scanner, Search};

/// Where the good part of a file ends, and what follows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tear {
    /// Index of the file.
    pub(super) file: usize,
    /// Zxid in its name.
    pub(super) first: Zxid,
    /// Where the bad part begins.
    pub(super) at: u64,
    /// What is wrong.
    pub(super) what: String,
    /// A valid record follows in the same file.
    pub(super) within: bool,
}

/// How the log can be trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Complete.
    Whole,
    /// A tail above everything vouched for is torn: it is cut here.
    Torn(Tear),
    /// Something durable is gone: why, and where the good part ends, if it ends inside a file.
    Damaged(String, Option<(usize, u64)>),
}

/// What a scan is told before it begins.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// The snapshot's zxid: records up to it are skipped.
    pub(super) base: Zxid,
    /// The watermark, unless Java has been here since.
    pub(super) mark: Option<Mark>,
    /// Names of snapshots that could not be read, above the base: a step over one of them proves nothing.
    pub(super) unread: Vec<Zxid>,
    /// Longest payload.
    pub(super) max: usize,
    pub(super) mutants: Mutants,
}

#[derive(Clone, Debug)]
enum Mode {
    Records(Scanner),
    /// The data ended at this offset; `Some`: it is damage.
    Behind(Search, u64, Option<&'static str>),
    /// The log is damaged; nothing more is read.
    Over,
}

/// The state of reading one log.
#[derive(Clone, Debug)]
pub(super) struct LogScan {
    setup: Setup,
    file: usize,
    /// Name of the file being read.
    name: String,
    first: Zxid,
    mode: Mode,
    /// Newest zxid delivered; at first the snapshot's.
    pub(super) last: Zxid,
    /// The record before, delivered or skipped.
    previous: Option<Record>,
    tear: Option<Tear>,
    damaged: Option<(String, Option<(usize, u64)>)>,
    /// Where the last record ends: zxid in the name of its file, offset, checksum.
    pub(super) end: (Zxid, u64, u32),
    /// Data ends of the files read.
    pub(super) ends: Vec<(usize, u64)>,
    pub(super) warnings: Vec<String>,
    /// Where what is not known to be durable begins in the present file.
    unsure: u64,
    /// Whole records of it, where they stand: only writing them again makes them durable for certain.
    rewrite: Vec<(u64, Vec<u8>)>,
    /// The header of the present file.
    header: Vec<u8>,
}

impl LogScan {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            last: setup.base,
            setup,
            file: 0,
            name: String::new(),
            first: Zxid::ZERO,
            mode: Mode::Over,
            previous: None,
            tear: None,
            damaged: None,
            end: (Zxid::ZERO, 0, 0),
            ends: Vec::new(),
            warnings: Vec::new(),
            unsure: 0,
            rewrite: Vec::new(),
            header: Vec::new(),
        }
    }

    /// The bytes of this file follow; `newest`: no other file does.
    pub(super) fn begin_file(&mut self, index: usize, name: &str, first: Zxid, newest: bool) {
        self.file = index;
        self.name = name.into();
        self.first = first;
        self.header.clear();
        self.unsure = match self.setup.mark {
            Some(mark) if mark.file == first => mark.offset,
            Some(mark) if mark.file < first => 0,
            // A file is closed only when everything in it is durable.
            None if newest => 0,
            _ => u64::MAX,
        };
        self.mode = Mode::Records(Scanner::new(self.setup.max));
    }

    /// Whether nothing that follows can change the verdict.
    pub(super) fn is_over(&self) -> bool {
        self.damaged.is_some()
    }

    /// Takes bytes of the present file; `eof` with the last ones. Records above the snapshot go to `deliver`, which may refuse.
    pub(super) fn feed(&mut self, bytes: Bytes, eof: bool, deliver: &mut dyn FnMut(Zxid, Bytes) -> Result<(), String>) {
        let missing = HEADER_LEN.saturating_sub(self.header.len()).min(bytes.len());
        self.header.extend_from_slice(&bytes[..missing]);
        match &mut self.mode {
            Mode::Over => return,
            Mode::Records(scanner) => scanner.feed(bytes),
            Mode::Behind(search, ..) => search.feed(&bytes, eof),
        }
        while let Mode::Records(scanner) = &mut self.mode {
            match scanner.next(eof) {
                Found::More => return,
                Found::Record { record, start, end, sum } => {
                    if end > self.unsure {
                        self.keep(&record, start);
                    }
                    self.record(record, start, end, sum, deliver);
                }
                Found::End { at } => self.behind(at, None, eof),
                Found::Broken { at, what } => self.behind(at, Some(what), eof),
            }
        }
        if eof {
            self.end_file();
        }
    }

    /// Keeps a record to be written again: after an fsync that failed, a kernel takes what it could not write for written, and
    /// an fsync that succeeds later says nothing about it.
    fn keep(&mut self, record: &Record, start: u64) {
        let next = self.rewrite.last().map(|(at, bytes)| at + bytes.len() as u64);
        if next != Some(start) {
            let whole = start == HEADER_LEN as u64;
            self.rewrite.push(if whole { (0, self.header.clone()) } else { (start, Vec::new()) });
        }
        if let Some((_, bytes)) = self.rewrite.last_mut() {
            txnlog::encode(&record.payload, bytes);
        }
    }

    /// What must be written again of what was read since the last call: where, and which bytes.
    pub(super) fn take_rewrite(&mut self) -> Vec<(u64, Vec<u8>)> {
        core::mem::take(&mut self.rewrite)
    }

    /// The present file cannot be read any further.
    pub(super) fn unreadable(&mut self, why: &str) {
        let at = match &self.mode {
            Mode::Records(scanner) => scanner.offset(),
            Mode::Behind(_, at, _) => *at,
            Mode::Over => 0,
        };
        self.damage(format!("{}: cannot be read: {why}", self.name), Some((self.file, at)));
    }

    fn damage(&mut self, what: String, at: Option<(usize, u64)>) {
        // Damage behind a tear: the good part ends at the tear.
        let at = self.tear.as_ref().map(|t| (t.file, t.at)).or(at);
        self.damaged.get_or_insert((what, at));
        self.mode = Mode::Over;
    }

    fn behind(&mut self, at: u64, broken: Option<&'static str>, eof: bool) {
        let Mode::Records(scanner) = &mut self.mode else { return };
        let rest = scanner.take_rest();
        let mut search = Search::new(at, self.setup.max);
        // The broken record itself is no record; what it covers may hold others.
        search.feed(&rest, eof);
        self.mode = Mode::Behind(search, at, broken);
    }

    fn end_file(&mut self) {
        let Mode::Behind(search, at, broken) = core::mem::replace(&mut self.mode, Mode::Over) else { return };
        self.ends.push((self.file, at));
        let within = search.found.is_some();
        let what = match (broken, search.found) {
            (Some(what), None) => format!("{what} at byte {at}"),
            (Some(what), Some((zxid, _))) => format!("{what} at byte {at}, and a valid record {zxid} behind it"),
            (None, Some((zxid, _))) => format!("a hole at byte {at}, and a valid record {zxid} behind it"),
            (None, None) if search.nonzero => format!("rubbish behind byte {at}"),
            (None, None) => return,
        };
        if within && self.setup.mutants.has(Mutant::K21) {
            return;
        }
        let what = format!("{}: {what}", self.name);
        match &self.tear {
            None => self.tear = Some(Tear { file: self.file, first: self.first, at, what, within }),
            // Two torn files in a row: the first one is where the good part ends.
            Some(_) if within => self.damage(what, None),
            Some(_) => {}
        }
    }

    fn record(
        &mut self,
        record: Record,
        start: u64,
        end: u64,
        sum: u32,
        deliver: &mut dyn FnMut(Zxid, Bytes) -> Result<(), String>,
    ) {
        let zxid = record.zxid;
        let here = Some((self.file, start));
        if let Some(previous) = &self.previous
            && zxid <= previous.zxid
        {
            // An error under the zxid before it is what a Java leader leaves after an undecodable write (quorum-protocol 15).
            let twin = zxid == previous.zxid && (record.payload == previous.payload || is_error(&record));
            if !twin {
                let what = format!("{}: record {zxid} at byte {start} after {}", self.name, previous.zxid);
                self.damage(what, here);
            }
            return;
        }
        if let Some(mark) = self.setup.mark
            && (mark.zxid, mark.file, mark.offset) == (zxid, self.first, end)
            && mark.sum != sum
        {
            self.damage(format!("{}: record {zxid} is not the one that was written there", self.name), here);
            return;
        }
        if zxid > self.setup.base {
            if let Err(what) = self.check_order(zxid) {
                self.damage(format!("{}: {what}", self.name), here);
                return;
            }
            // A broken end in front of a new epoch: nobody can tell what was there, and the counter cannot show a hole.
            if let Some(tear) = &self.tear
                && zxid != self.last.next()
            {
                let (what, at) =
                    (format!("{}, and {zxid} does not follow directly on {}", tear.what, self.last), tear.at);
                let place = Some((tear.file, at));
                self.damage(what, place);
                return;
            }
            if let Err(what) = deliver(zxid, record.payload.clone()) {
                self.damage(format!("{}: record {zxid} at byte {start}: {what}", self.name), here);
                return;
            }
            self.last = zxid;
            if let Some(tear) = self.tear.take() {
                self.warnings.push(format!("{}; nothing is missing, the next file goes on", tear.what));
            }
        }
        self.end = (self.first, end, sum);
        self.previous = Some(record);
    }

    fn check_order(&self, zxid: Zxid) -> Result<(), String> {
        let last = self.last;
        if self.setup.mutants.has(Mutant::B42) && self.setup.base == Zxid::ZERO && self.previous.is_none() {
            return Ok(());
        }
        if !follows(last, zxid) {
            return Err(format!("record {zxid} follows {last}: what was between them is missing"));
        }
        if let Some(tear) = self.tear.as_ref().filter(|t| t.within) {
            return Err(format!("record {zxid} follows a damaged file ({})", tear.what));
        }
        let jump = zxid.epoch() != last.epoch();
        if jump && let Some(unread) = self.setup.unread.iter().find(|s| **s > last && **s < zxid) {
            return Err(format!("record {zxid} follows {last}, but the snapshot {unread} between them cannot be read"));
        }
        Ok(())
    }

    /// All files are read. `newest`: the newest state that a snapshot's name or content speaks of.
    pub(super) fn finish(&mut self, newest: Zxid) -> Verdict {
        if let Some((what, at)) = self.damaged.take() {
            return Verdict::Damaged(what, at);
        }
        let tear = self.tear.take();
        let at = tear.as_ref().map(|t| (t.file, t.at));
        let also = |what: String| match &tear {
            Some(t) => format!("{}; {what}", t.what),
            None => what,
        };
        if self.last < newest {
            let what = format!("the log ends at {}, but a snapshot speaks of {newest}", self.last);
            return Verdict::Damaged(also(what), at);
        }
        if let Some(mark) = self.setup.mark
            && mark.zxid > self.last
            && !self.setup.mutants.has(Mutant::K21)
        {
            let what = format!("the log ends at {}, but it was durable up to {}", self.last, mark.zxid);
            return Verdict::Damaged(also(what), at);
        }
        match tear {
            None => Verdict::Whole,
            // At or below the watermark it was durable; without one, valid records behind a hole say the same.
            Some(t) if self.was_durable(&t) => Verdict::Damaged(t.what, at),
            Some(t) => Verdict::Torn(t),
        }
    }

    fn was_durable(&self, tear: &Tear) -> bool {
        match self.setup.mark {
            Some(mark) => (tear.first, tear.at) < (mark.file, mark.offset),
            None => tear.within,
        }
    }
}

fn is_error(record: &Record) -> bool {
    let header = TxnHeader::decode(&mut crate::jute::Reader::new(&record.payload));
    header.is_ok_and(|h| h.kind == op::ERROR)
}
