//! TRUNC: cutting the log behind a common transaction (quorum-protocol section 15: 4837, TRUNC durability, TRUNC to an absent
//! zxid).
//!
//! Before anything is cut, a snapshot at or below the cut is verified, and the log from it up to the cut is read: what is left
//! must load. Without such a snapshot nothing is cut; this server is damaged until it gets a whole one.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::disk::files::follows;
use crate::disk::io::{Done, Io, Task};
use crate::disk::settle::{cut_steps, forget_cut};
use crate::disk::state::Trust;
use crate::disk::stream::{Got, Stream};
use crate::disk::watermark::Mark;
use crate::disk::{Disk, DiskEvent, Phase};
use crate::error::DiskError;
use crate::event::{Dir, DiskOp, DiskReply, Health, Outbox};
use crate::ids::{Ticket, Zxid};
use crate::mutant::Mutant;
use crate::wire::snapshot::{FileDecoder, NullSink};
use crate::wire::txnlog::{Found, Scanner};

#[derive(Clone, Debug)]
enum Step {
    /// What is on its way to the log arrives first.
    Waiting,
    /// The snapshot with this index is being verified.
    Verify(usize, Stream, Box<FileDecoder>),
    /// The log file with this index is being read.
    Scan(usize, Stream, Scanner),
    /// The cut is being written.
    Writing,
}

/// A cut under way.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    to: Zxid,
    step: Step,
    /// Zxid of the snapshot that what is left builds upon.
    base: Zxid,
    /// Newest record that is left.
    last: Zxid,
    /// Where the log ends after the cut.
    end: Option<(usize, u64)>,
    sum: u32,
}

impl Cut {
    /// Whether it has not begun.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.step, Step::Waiting)
    }
}

impl Disk {
    /// Cuts the log behind `to`, and drops every snapshot that may hold more; [`DiskEvent::Truncated`] follows.
    pub fn truncate(&mut self, to: Zxid, out: &mut Outbox) {
        if self.dead {
            return;
        }
        assert!(self.cut.is_none(), "one cut at a time");
        if self.own.as_ref().is_some_and(|own| own.zxid > to) {
            self.give_up_own(out);
        }
        // It would move the files under the places that the cut remembers; the next purge comes by itself.
        self.purge = None;
        self.cut = Some(Cut { to, step: Step::Waiting, base: Zxid::ZERO, last: Zxid::ZERO, end: None, sum: 0 });
        let mut jobs = core::mem::take(&mut self.jobs);
        self.continue_cut(&mut Io { out, jobs: &mut jobs });
        self.jobs = jobs;
    }

    /// Begins the cut that waited for the log.
    pub(super) fn continue_cut(&mut self, io: &mut Io<'_>) {
        let ready = !self.own_renaming
            && self.log.is_quiet()
            && self.tasks.is_idle()
            && matches!(self.phase, Phase::Ready | Phase::Draining);
        if let Some(cut) = &self.cut
            && ready
            && matches!(cut.step, Step::Waiting)
        {
            let newest = self.files.snaps.len();
            self.choose_base(newest, io);
        }
    }

    /// Looks for a snapshot below this index that ends at or below the cut.
    fn choose_base(&mut self, below: usize, io: &mut Io<'_>) {
        let Some(cut) = &mut self.cut else { return };
        let to = cut.to;
        let Some(i) = self.files.snaps[..below].iter().rposition(|s| s.zxid <= to && s.end <= to) else {
            // The history begins here, or there is nothing to build upon.
            if self.state.fresh {
                cut.base = Zxid::ZERO;
                self.scan_for_cut(Zxid::ZERO, io);
            } else {
                self.refuse_cut(io);
            }
            return;
        };
        let snap = &self.files.snaps[i];
        if snap.trusted {
            let base = snap.zxid;
            self.scan_for_cut(base, io);
            return;
        }
        let (name, length) = (snap.name.clone(), snap.length());
        let mut stream = Stream::new(self.files.next_stream(), name, 0, length, self.cfg.storage.chunk_bytes);
        stream.pump(io);
        cut.step = Step::Verify(i, stream, Box::new(FileDecoder::new()));
    }

    fn scan_for_cut(&mut self, base: Zxid, io: &mut Io<'_>) {
        let Some(cut) = &mut self.cut else { return };
        cut.base = base;
        cut.last = base;
        let from = self.files.log_from(base);
        cut.end = Some((from, 0));
        self.cut_file(from, io);
    }

    fn cut_file(&mut self, i: usize, io: &mut Io<'_>) {
        let max = self.record_max();
        let Some(cut) = &mut self.cut else { return };
        match self.files.logs.get(i) {
            Some(file) if file.first <= cut.to => {
                let (name, end) = (file.name.clone(), file.end);
                let mut stream =
                    Stream::new(self.files.next_stream(), name, 0, Some(end), self.cfg.storage.chunk_bytes);
                stream.pump(io);
                cut.step = Step::Scan(i, stream, Scanner::new(max));
            }
            _ => self.write_cut(io),
        }
    }

    /// Whether this stream belongs to the cut; then its reply is handled.
    pub(super) fn cut_streamed(
        &mut self,
        ticket: Ticket,
        id: u64,
        result: &Result<DiskReply, DiskError>,
        io: &mut Io<'_>,
    ) -> bool {
        let Some(Cut { step: Step::Verify(_, stream, _) | Step::Scan(_, stream, _), .. }) = &mut self.cut else {
            return false;
        };
        if !stream.owns(id) {
            return false;
        }
        let mut got = stream.on_reply(ticket, super::into_bytes(result.clone()), io);
        while !matches!(got, Got::Wait) {
            self.cut_piece(got, io);
            match &mut self.cut {
                Some(Cut { step: Step::Verify(_, stream, _) | Step::Scan(_, stream, _), .. }) if stream.owns(id) => {
                    got = stream.poll(io);
                }
                _ => break,
            }
        }
        true
    }

    fn cut_piece(&mut self, got: Got, io: &mut Io<'_>) {
        let Some(cut) = &mut self.cut else { return };
        match &mut cut.step {
            Step::Verify(i, _, decoder) => {
                let i = *i;
                let verified = match got {
                    Got::Bytes(bytes, end) => match decoder.feed(&bytes, &mut NullSink) {
                        Ok(()) if !end => return,
                        Ok(()) => core::mem::take(&mut **decoder).finish().ok(),
                        Err(_) => None,
                    },
                    _ => None,
                };
                let Some(trailer) = verified else {
                    self.choose_base(i, io);
                    return;
                };
                let (to, snap) = (cut.to, &mut self.files.snaps[i]);
                // Without a bound a snapshot of another implementation may hold anything that was logged when it was made.
                snap.end = if trailer.bounded { trailer.end(snap.zxid) } else { Zxid(i64::MAX) };
                if snap.end > to {
                    self.choose_base(i, io);
                } else {
                    let base = snap.zxid;
                    self.scan_for_cut(base, io);
                }
            }
            Step::Scan(i, _, scanner) => {
                let i = *i;
                let Got::Bytes(bytes, eof) = got else {
                    self.refuse_cut(io);
                    return;
                };
                scanner.feed(bytes);
                loop {
                    match scanner.next(eof) {
                        Found::More => return,
                        Found::End { at } => {
                            cut.end = Some((i, at));
                            self.cut_file(i + 1, io);
                            return;
                        }
                        Found::Broken { .. } => {
                            self.refuse_cut(io);
                            return;
                        }
                        Found::Record { record, start, .. } if record.zxid > cut.to => {
                            cut.end = Some((i, start));
                            self.write_cut(io);
                            return;
                        }
                        Found::Record { record, .. } if record.zxid <= cut.last => {}
                        Found::Record { record, .. } if !follows(cut.last, record.zxid) => {
                            self.refuse_cut(io);
                            return;
                        }
                        Found::Record { record, end, sum, .. } => {
                            cut.last = record.zxid;
                            cut.end = Some((i, end));
                            cut.sum = sum;
                        }
                    }
                }
            }
            Step::Waiting | Step::Writing => {}
        }
    }

    /// Everything is known: the watermark is lowered first, then snapshots above the cut go, then the log is cut.
    fn write_cut(&mut self, io: &mut Io<'_>) {
        let Some(cut) = &mut self.cut else { return };
        cut.step = Step::Writing;
        let (to, last, base) = (cut.to, cut.last, cut.base);
        let (file, at) = cut.end.unwrap_or((0, 0));
        let at = if self.cfg.mutants.has(Mutant::B02) { at.saturating_sub(1) } else { at };
        let mark = match self.files.logs.get(file) {
            Some(f) if last > base => {
                Mark { file: f.first, zxid: last, offset: at, sum: cut.sum, committed: Zxid::ZERO }
            }
            _ => Mark { zxid: last, ..Mark::default() },
        };
        let above = !self.cfg.mutants.has(Mutant::B25);
        let gone = |s: &super::files::SnapFile| above && (s.zxid > to || s.end > to);
        let mut snaps: Vec<DiskOp> =
            self.files.snaps.iter().filter(|s| gone(s)).map(|s| DiskOp::Unlink(s.name.clone())).collect();
        snaps.push(DiskOp::FsyncDir(Dir::Data));
        let epoch_start = to.counter() == 0 && self.current >= to.epoch() && last.epoch() < to.epoch();
        let ok = last == to || epoch_start;
        let mut task = Task::new(Done::Truncated { last, ok }).step(self.mark.lower(mark)).step(snaps);
        for step in cut_steps(&self.files.logs, file, at) {
            task = task.step(step);
        }
        self.tasks.push(task, io);
        self.files.snaps.retain(|s| !gone(s));
        forget_cut(&mut self.files.logs, file, at);
        self.files.chain = self.files.chain.min(base);
    }

    /// What would be left does not load: nothing is cut, and this server counts as damaged until it gets a whole snapshot.
    fn refuse_cut(&mut self, io: &mut Io<'_>) {
        let Some(cut) = &mut self.cut else { return };
        cut.step = Step::Writing;
        let text = alloc::format!("the log cannot be cut at {}: no snapshot at or below it leads there", cut.to);
        self.late.push(DiskEvent::Warning(text));
        self.state.trust = Trust::Damaged;
        self.health = Health::Damaged;
        let done = Done::Truncated { last: self.log.last, ok: false };
        let [write, rename] = super::epochs::write_state(&self.state);
        self.tasks.push(Task::new(done).step(write).step(rename), io);
    }

    /// The cut is durable.
    pub(super) fn truncated(&mut self, last: Zxid, ok: bool, events: &mut Vec<DiskEvent>) {
        self.cut = None;
        self.log.reset(last, self.cfg.mutants.has(Mutant::B04));
        events.append(&mut self.late);
        events.extend(vec![DiskEvent::Truncated { ok }]);
    }
}
