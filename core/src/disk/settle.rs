//! What recovery concludes: epochs, trust, what is cut, what is written before anything else happens.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::disk::epochs::{parse, write_epoch, write_state};
use crate::disk::files::{LogFile, name};
use crate::disk::io::{Done, Io, Task};
use crate::disk::recover::{BASE, Recovery, Small, small};
use crate::disk::scan::Verdict;
use crate::disk::state::{Install, State, Trust};
use crate::disk::watermark::Mark;
use crate::disk::{Disk, DiskEvent, IDS_AHEAD, Recovered};
use crate::event::{Dir, DiskOp, Halt, Health};
use crate::ids::{Epoch, Zxid};
use crate::mutant::Mutant;

/// What an epoch's sources say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Absent,
    Good(Epoch),
    Bad,
}

fn source(small: &Small) -> Source {
    match small {
        Small::Absent => Source::Absent,
        Small::Unreadable => Source::Bad,
        Small::Bytes(bytes) => parse(bytes).map_or(Source::Bad, Source::Good),
    }
}

impl Disk {
    /// Reads our record and Java's files; the larger value counts. Neither readable where one was written: this server cannot
    /// know what it has promised.
    pub(super) fn read_epochs(&mut self, r: &mut Recovery) -> Result<(), Halt> {
        r.record = match &r.small[small::STATE] {
            Small::Bytes(bytes) => State::decode(bytes),
            _ => None,
        };
        let record_bad = r.record.is_none() && !matches!(r.small[small::STATE], Small::Absent);
        let mut record = r.record.unwrap_or_default();
        let alone = self.cfg.ensemble.is_none();
        if record_bad {
            let text = "the file state is damaged: ZooKeeper's own files count, and this server where every voter is heard, until a \
                        leader has synchronised it";
            self.late.push(DiskEvent::Warning(text.into()));
            if !alone && !self.cfg.mutants.has(Mutant::Q17) {
                // It may have said that this history is not all that was acknowledged.
                record.trust = Trust::Doubtful;
            }
        }
        let mut values = [None; 2];
        for (value, (at, tmp_at, recorded)) in values.iter_mut().zip([
            (small::ACCEPTED, Some(small::ACCEPTED_TMP), record.accepted),
            (small::CURRENT, None, record.current),
        ]) {
            let (file, tmp) = (source(&r.small[at]), tmp_at.map_or(Source::Absent, |t| source(&r.small[t])));
            let file_name = if at == small::ACCEPTED { name::ACCEPTED } else { name::CURRENT };
            *value = match (file, r.record.is_some()) {
                (Source::Good(v), true) => Some(v.max(recorded)),
                (Source::Good(v), false) => Some(v),
                (Source::Absent, true) => Some(recorded),
                (Source::Absent, false) if !record_bad => None,
                (Source::Bad, true) => {
                    let text = format!("{file_name} is damaged: our own record says {recorded}");
                    self.late.push(DiskEvent::Warning(text));
                    Some(recorded)
                }
                (Source::Absent | Source::Bad, false) if alone => None,
                (Source::Absent | Source::Bad, false) => {
                    return Err(Halt::BadData(format!(
                        "{file_name} in version-2 is damaged and so is its copy: what this server has promised is not known. \
                         Write the largest acceptedEpoch of the other servers into acceptedEpoch and currentEpoch, or give \
                         this server a new id and an empty data directory"
                    )));
                }
            };
            if let (Some(v), Source::Good(t)) = (value.as_mut(), tmp) {
                *v = (*v).max(t);
            }
        }
        if let ([Some(accepted), Some(current)], Some(record)) = (&values, &r.record) {
            let above = |at: usize, known: Epoch| matches!(source(&r.small[at]), Source::Good(v) if v > known);
            let promised = above(small::ACCEPTED, record.accepted);
            let synchronised = above(small::CURRENT, record.current);
            // Who follows a leader has accepted its epoch first, Java too. A promise alone may be a flipped bit, and whoever
            // gave it was not synchronised after it: the watermark and what we know of the trust still count.
            r.java_since = promised && synchronised && current <= accepted;
            if current > accepted {
                let text = format!(
                    "currentEpoch {current} is above acceptedEpoch {accepted}: our own record says {}",
                    record.current
                );
                self.late.push(DiskEvent::Warning(text));
                values[1] = Some(record.current);
            } else if synchronised && !promised && !alone {
                // A flipped bit, or Java's work under a promise of ours. The file has no checksum, and a vote with an epoch
                // that this history does not have wins against complete ones: a leader must bring the history.
                r.foreign_epoch = Some(format!(
                    "currentEpoch {current} was not written by this server, which has {}, and no newer epoch was accepted",
                    record.current
                ));
                values[1] = Some(record.current);
            }
        }
        // The sentinel -1: not known yet, the log decides.
        self.state = State { accepted: values[0].unwrap_or(-1), current: values[1].unwrap_or(-1), ..record };
        Ok(())
    }

    /// The operations that put older log, and snapshots of a history that is gone, out of the way of an installed snapshot.
    pub(super) fn void_ops(&self, install: Install) -> Vec<DiskOp> {
        let stays = self.cfg.mutants.has(Mutant::B06);
        let logs = self.files.logs.iter().filter(|f| f.first <= install.logs_to && !stays).map(|f| f.name.clone());
        let void = |z: Zxid| z > install.zxid && z <= install.snaps_to;
        let snaps = self.files.snaps.iter().filter(|s| void(s.zxid)).map(|s| s.name.clone());
        let mut ops: Vec<DiskOp> = logs.chain(snaps).map(DiskOp::Unlink).collect();
        ops.extend([DiskOp::FsyncDir(Dir::Log), DiskOp::FsyncDir(Dir::Data)]);
        ops
    }

    /// All is read. `problem`: there is nothing to build upon.
    pub(super) fn conclude(&mut self, r: &mut Recovery, problem: Option<String>, io: &mut Io<'_>) {
        let base = r.base.map(|(i, trailer)| (self.files.snaps[i].zxid, trailer.end(self.files.snaps[i].zxid)));
        let newest = r.unread.iter().copied().chain(base.map(|b| b.1)).max().unwrap_or(Zxid::ZERO);
        let mut last = base.map_or(Zxid::ZERO, |b| b.0);
        let useless = (self.files.log_from(last), 0);
        let useless = base.map(|_| useless).filter(|(file, _)| *file < self.files.logs.len());
        let mut verdict = problem.map_or(Verdict::Whole, |what| Verdict::Damaged(what, useless));
        let mut ends = Vec::new();
        if let Some(scan) = &mut r.scan {
            last = scan.last;
            verdict = scan.finish(newest);
            ends = core::mem::take(&mut scan.ends);
            self.late.extend(scan.warnings.drain(..).map(DiskEvent::Warning));
        }
        for (i, end) in &ends {
            self.files.logs[*i].end = *end;
        }
        if let Some(what) = self.settle_epochs(r, last).or(r.foreign_epoch.take())
            && !matches!(verdict, Verdict::Damaged(..))
        {
            verdict = Verdict::Damaged(what, None);
        }
        if r.base.is_some() && (r.record.is_none() || r.java_since) {
            // ZooKeeper purges too: nothing says that the log from before the oldest snapshot is still there.
            self.state.behind = self.files.snaps.first().map_or(Zxid::ZERO, |s| s.zxid);
        }
        let (health, cut) = self.settle_trust(r, &verdict, last);
        if let (Verdict::Damaged(what, _), true) = (&verdict, self.cfg.ensemble.is_none()) {
            r.fatal = Some(format!(
                "the data directory is damaged: {what}. A server alone has nobody to repair it from: restore a backup of \
                 the data directory, or start this server as a member of an ensemble"
            ));
        }
        // Ids of sessions never come again, even when the wall clock has gone back.
        let ids_from = self.wall.max(self.state.ids + 1);
        self.state.ids = ids_from + IDS_AHEAD;
        let mut steps = self.recovery_steps(r, &cut, health, &ends);
        self.files.chain = base.map_or(Zxid::ZERO, |b| b.0);
        self.files.holed = Zxid::ZERO;
        self.mark.reset(r.mark, r.has(2, name::WATERMARK));
        if health != Health::Damaged && r.fatal.is_none() {
            // What was read is whole up to here, and durable when these steps are done.
            let (file, offset, sum) = r.scan.as_ref().map_or((Zxid::ZERO, 0, 0), |scan| scan.end);
            let known = r.mark.map(|m| m.2);
            let mark = Mark { file, zxid: last, offset, sum, committed: known.unwrap_or_default().committed };
            if known != Some(mark) {
                steps.push(self.mark.lower(mark));
            }
        }
        self.settle_files(cut, health, last);
        self.log.reset(last, false);
        self.health = health;
        self.first_start = health != Health::Damaged && self.files.snaps.is_empty() && self.files.logs.is_empty();
        let known = r.mark.map_or(Zxid::ZERO, |m| m.2.committed).min(last);
        r.outcome = Some(Recovered {
            last_logged: last,
            snapshot: base.map_or(Zxid::ZERO, |b| b.0),
            has_snapshot: base.is_some(),
            accepted: self.state.accepted,
            current: self.state.current,
            health,
            committed_hint: known.max(base.map_or(Zxid::ZERO, |b| b.1.min(last))),
            exact: r.exact,
            ids_from,
        });
        Self::writing(r);
        let task = steps.into_iter().fold(Task::new(Done::Recovered), Task::step);
        self.tasks.push(task, io);
    }

    /// Fills in what the files did not say, and raises currentEpoch where an intent allows it. `Some`: the history does not
    /// fit the epoch.
    fn settle_epochs(&mut self, r: &Recovery, last: Zxid) -> Option<String> {
        let epoch = last.epoch().max(0);
        let state = &mut self.state;
        if state.current < 0 {
            state.current = epoch;
        }
        let mut problem = None;
        if epoch > state.current {
            let intent = source(&r.small[small::CURRENT_TMP]);
            if self.cfg.ensemble.is_none() || matches!(intent, Source::Good(e) if e >= epoch) {
                state.current = epoch;
            } else {
                problem = Some(format!("the log reaches {last}, but currentEpoch is {}", state.current));
            }
        }
        state.accepted = state.accepted.max(state.current).max(epoch);
        problem
    }

    fn settle_trust(&mut self, r: &mut Recovery, verdict: &Verdict, last: Zxid) -> (Health, Option<(usize, u64)>) {
        let mut trust = if r.java_since { Trust::Unknown } else { self.state.trust };
        let mut cut = None;
        match verdict {
            Verdict::Whole => {}
            Verdict::Torn(tear) => {
                let text =
                    format!("{}: the tail is cut; if it was acknowledged, it was within the last second", tear.what);
                self.late.push(DiskEvent::Warning(text));
                cut = Some((tear.file, tear.at));
                trust = if trust == Trust::Damaged { trust } else { Trust::Doubtful };
            }
            Verdict::Damaged(what, at) => {
                let text = format!(
                    "this server is damaged and counts in no quorum until a leader has synchronised it: {what}"
                );
                self.late.push(DiskEvent::Warning(text));
                cut = *at;
                trust = Trust::Damaged;
            }
        }
        let empty = last <= Zxid::ZERO && self.state.current <= 0 && trust == Trust::Unknown;
        let nothing = self.files.snaps.is_empty() && self.files.logs.is_empty();
        let initialize = r.has(BASE, name::INITIALIZE);
        if empty && initialize {
            trust = Trust::Trusted;
        }
        self.state.trust = trust;
        // What is written to an empty directory begins at zxid 0; the first snapshot may come later.
        self.state.fresh = r.base.is_none() && trust != Trust::Damaged && (nothing || self.state.fresh);
        let health = match trust {
            Trust::Damaged => Health::Damaged,
            Trust::Doubtful => Health::Doubtful,
            _ if empty && !initialize => {
                if nothing && !self.cfg.storage.autocreate {
                    if self.cfg.ensemble.is_none() {
                        r.fatal = Some(
                            "the data directory is empty: create the file initialize in dataDir if that is meant, or set \
                             db.autocreate"
                                .into(),
                        );
                    }
                    Health::Damaged
                } else {
                    Health::Empty
                }
            }
            _ => Health::Intact,
        };
        (health, cut)
    }

    /// What must be durable before anybody hears of this recovery.
    fn recovery_steps(
        &self,
        r: &Recovery,
        cut: &Option<(usize, u64)>,
        health: Health,
        ends: &[(usize, u64)],
    ) -> Vec<Vec<DiskOp>> {
        let mut steps = Vec::new();
        if r.fatal.is_some() {
            return vec![vec![DiskOp::FsyncDir(Dir::Log)]];
        }
        if r.record != Some(self.state) {
            steps.extend(write_state(&self.state));
        }
        if self.cfg.ensemble.is_some() {
            let differs = |at: usize, epoch| source(&r.small[at]) != Source::Good(epoch);
            if differs(small::ACCEPTED, self.state.accepted) || differs(small::CURRENT, self.state.current) {
                // The name of the record that was read may be in the page cache only: it comes before Java's files.
                steps.push(vec![DiskOp::FsyncDir(Dir::Side)]);
            }
            if differs(small::ACCEPTED, self.state.accepted) {
                steps.extend(write_epoch(name::ACCEPTED_TMP, name::ACCEPTED, self.state.accepted));
            }
            if differs(small::CURRENT, self.state.current) {
                steps.extend(write_epoch(name::CURRENT_NEW, name::CURRENT, self.state.current));
            }
        }
        if health != Health::Damaged {
            if let Some((file, at)) = cut {
                steps.extend(cut_steps(&self.files.logs, *file, *at));
            }
            // What was read may still be in the page cache only; a vote speaks of what a power failure leaves. What is above
            // the watermark was written again while it was read.
            let kept = ends.iter().filter(|(i, _)| cut.is_none_or(|(file, _)| *i < file));
            let mut sync: Vec<DiskOp> = kept.map(|(i, _)| DiskOp::Fsync(self.files.logs[*i].name.clone())).collect();
            if let Some((i, _)) = r.base
                && !self.files.snaps[i].packed
            {
                sync.push(DiskOp::Fsync(self.files.snaps[i].name.clone()));
            }
            steps.push(sync);
        }
        steps.push(vec![DiskOp::FsyncDir(Dir::Log), DiskOp::FsyncDir(Dir::Data)]);
        steps
    }

    /// Forgets the files that are cut. Of a damaged log nothing is touched that might still be of use: it goes when something
    /// is about to be written behind it.
    fn settle_files(&mut self, cut: Option<(usize, u64)>, health: Health, last: Zxid) {
        self.stale = None;
        if health == Health::Damaged {
            let mut steps = Vec::new();
            let snaps = self.files.snaps.iter().filter(|s| s.zxid > last || !s.trusted && last <= Zxid::ZERO);
            steps.push(snaps.map(|s| DiskOp::Unlink(s.name.clone())).collect());
            steps.extend(match cut {
                Some((file, at)) => cut_steps(&self.files.logs, file, at),
                None if last <= Zxid::ZERO => cut_steps(&self.files.logs, 0, 0),
                None => Vec::new(),
            });
            self.stale = Some(steps);
        } else if let Some((file, at)) = cut {
            forget_cut(&mut self.files.logs, file, at);
        }
    }
}

fn keeps_records(at: u64) -> bool {
    at > crate::wire::txnlog::HEADER_LEN as u64
}

/// Learns that the log was cut at this place.
pub(super) fn forget_cut(logs: &mut Vec<LogFile>, file: usize, at: u64) {
    if let Some(f) = logs.get_mut(file) {
        f.end = at;
    }
    logs.truncate(file + usize::from(keeps_records(at)));
}

/// Cuts the log at this place of this file, durably. From its end: whatever a crash leaves has no hole.
pub(super) fn cut_steps(logs: &[LogFile], file: usize, at: u64) -> Vec<Vec<DiskOp>> {
    // A file without a record is no file.
    let keep = keeps_records(at);
    let gone = logs.iter().skip(file + usize::from(keep)).rev();
    let mut steps: Vec<Vec<DiskOp>> =
        gone.map(|f| vec![DiskOp::Unlink(f.name.clone()), DiskOp::FsyncDir(Dir::Log)]).collect();
    if let (Some(first), true) = (logs.get(file), keep) {
        steps.push(vec![DiskOp::Truncate(first.name.clone(), at), DiskOp::Fsync(first.name.clone())]);
    }
    steps
}
