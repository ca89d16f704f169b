//! Retention: the newest valid snapshots stay, and every log that they need (storage-format section 11).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::disk::io::{Io, Job};
use crate::disk::state::Trust;
use crate::disk::stream::{Got, Stream};
use crate::disk::{Disk, DiskEvent, Phase};
use crate::error::DiskError;
use crate::event::{Dir, DiskOp, DiskReply, FileName, Lane, Outbox};
use crate::ids::{Ticket, Zxid};
use crate::mutant::Mutant;
use crate::wire::snapshot::{FileDecoder, NullSink};

/// Fewer are never kept.
const RETAIN_MIN: usize = 3;

/// A purge under way: snapshots are verified from the newest on until enough are good.
#[derive(Clone, Debug)]
pub(super) struct Purge {
    good: usize,
    /// Snapshots with this zxid and above are dealt with.
    done_from: Zxid,
    verifying: Option<(FileName, Stream, Box<FileDecoder>)>,
}

impl Disk {
    /// Removes what no kept snapshot needs, once enough kept ones are known to be good.
    pub fn purge(&mut self, out: &mut Outbox) {
        let calm = matches!(self.phase, Phase::Ready) && self.cut.is_none() && self.incoming.is_none();
        if self.dead || self.purge.is_some() || !calm {
            return;
        }
        self.purge = Some(Purge { good: 0, done_from: Zxid(i64::MAX), verifying: None });
        let mut jobs = core::mem::take(&mut self.jobs);
        self.continue_purge(&mut Io { out, jobs: &mut jobs });
        self.jobs = jobs;
    }

    fn continue_purge(&mut self, io: &mut Io<'_>) {
        let retain = self.cfg.storage.retain_count.max(RETAIN_MIN);
        let Some(purge) = &mut self.purge else { return };
        while purge.good < retain {
            let from = purge.done_from;
            let Some(snap) = self.files.snaps.iter().rev().find(|s| s.zxid < from) else {
                // Fewer good ones than are to be kept: nothing goes.
                self.purge = None;
                return;
            };
            if !(snap.trusted || self.cfg.mutants.has(Mutant::B42)) {
                let (name, length) = (snap.name.clone(), snap.length());
                let id = self.files.next_stream();
                let mut stream = Stream::new(id, name.clone(), 0, length, self.cfg.storage.chunk_bytes);
                stream.pump(io);
                purge.verifying = Some((name, stream, Box::new(FileDecoder::new())));
                return;
            }
            purge.done_from = snap.zxid;
            purge.good += 1;
        }
        let keep_from = purge.done_from;
        self.purge = None;
        self.remove_before(keep_from, io);
    }

    fn remove_before(&mut self, zxid: Zxid, io: &mut Io<'_>) {
        let mut logs = self.files.log_from(zxid);
        if let Some(pinned) = self.oldest_pinned_log() {
            logs = logs.min(self.files.logs.partition_point(|f| f.first < pinned));
        }
        let gone: Vec<FileName> = self.files.logs.drain(..logs).map(|f| f.name).collect();
        let old: Vec<FileName> = self.files.snaps.iter().filter(|s| s.zxid < zxid).map(|s| s.name.clone()).collect();
        let old: Vec<FileName> = old.into_iter().filter(|name| !self.is_pinned(name)).collect();
        self.files.snaps.retain(|s| !old.contains(&s.name));
        for name in gone.into_iter().chain(old) {
            io.op(Lane::Bulk, DiskOp::Unlink(name), Job::Nobody);
        }
        io.op(Lane::Bulk, DiskOp::FsyncDir(Dir::Log), Job::Nobody);
        io.op(Lane::Bulk, DiskOp::FsyncDir(Dir::Data), Job::Nobody);
        self.files.chain = self.files.chain.max(zxid.min(self.log.durable));
        if zxid > self.state.behind && self.state.trust != Trust::Damaged {
            self.state.behind = zxid;
            self.trust_dirty = true;
        }
    }

    /// A piece of a snapshot that is being verified arrived.
    pub(super) fn purge_streamed(
        &mut self,
        ticket: Ticket,
        id: u64,
        result: Result<DiskReply, DiskError>,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) {
        let Some(Purge { verifying: Some((name, stream, decoder)), .. }) = &mut self.purge else { return };
        if !stream.owns(id) {
            return;
        }
        let mut got = stream.on_reply(ticket, super::into_bytes(result), io);
        let verdict = loop {
            match got {
                Got::Wait => return,
                Got::Failed(_) => break None,
                Got::Bytes(bytes, end) => match decoder.feed(&bytes, &mut NullSink) {
                    Err(_) => break None,
                    Ok(()) if end => break core::mem::take(&mut **decoder).finish().ok(),
                    Ok(()) => got = stream.poll(io),
                },
            }
        };
        let name = name.clone();
        if let Some(snap) = self.files.snaps.iter_mut().find(|s| s.name == name) {
            if let Some(trailer) = verdict {
                snap.trusted = true;
                snap.end = trailer.end(snap.zxid);
                snap.body_end = trailer.body_end;
            } else {
                let text = alloc::format!("{}: damaged, does not count among the snapshots to keep", name.name);
                events.push(DiskEvent::Warning(text));
                let zxid = snap.zxid;
                if let Some(purge) = &mut self.purge {
                    purge.done_from = zxid;
                }
            }
        }
        if let Some(purge) = &mut self.purge {
            purge.verifying = None;
        }
        self.continue_purge(io);
    }
}
