//! What a server vouches for lies on its platter: Z13 with the disk itself as the witness, where `check` believes the server's word.
//!
//! When: as a server says that something is durable, and at each promise that rests on it. Each record that goes into the log is
//! looked at once; a claim asks about the end of what it covers. Recovery asks every log file once.

use std::collections::VecDeque;

use quorate_core::event::{Dir, DiskOp, Event, FileName, Health};
use quorate_core::ids::{Epoch, Zxid};

use crate::disk::SimDisk;

/// Length of a log file's header; of checksum and length before a payload; of both and the end mark around it.
const HEADER: usize = 16;
const PREFIX: usize = 12;
const FRAME: usize = 13;
/// Where a payload has its zxid, and where that ends.
const ZXID: usize = 12;
const ZXID_END: usize = 20;

/// A record in the page cache: its file and where it ends there.
#[derive(Debug)]
struct Written {
    zxid: Zxid,
    file: FileName,
    end: u64,
}

/// What one process has written and not vouched for yet.
#[derive(Debug, Default)]
pub(crate) struct Platter {
    /// Ascending.
    written: VecDeque<Written>,
    /// What recovery writes are pieces of files, not records.
    recovered: bool,
    /// A leader's snapshot that this process has loaded, until it has vouched for it or has a newer one.
    loaded: Option<Zxid>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Zxids of whole records, each with the offset behind it.
fn records(bytes: &[u8]) -> impl Iterator<Item = (Zxid, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = usize::try_from(i32::from_be_bytes(number(bytes, at + PREFIX - 4)?)).ok()?;
        let zxid = Zxid(i64::from_be_bytes(number(bytes, at + PREFIX + ZXID)?));
        at += length + FRAME;
        (length >= ZXID_END && at <= bytes.len()).then_some((zxid, at))
    })
}

fn log_file(first: Zxid) -> FileName {
    FileName::new(Dir::Log, &format!("log.{:x}", first.0))
}

impl Platter {
    /// This operation of the process has been carried out.
    pub(crate) fn done(&mut self, op: &DiskOp) {
        let DiskOp::WriteAt(name, at, bytes) = op else { return };
        if !self.recovered || name.dir != Dir::Log || !name.name.starts_with("log.") {
            return;
        }
        let header = if *at == 0 { HEADER } else { 0 };
        for (zxid, end) in records(bytes.get(header..).unwrap_or_default()) {
            while self.written.back().is_some_and(|w| w.zxid >= zxid) {
                self.written.pop_back();
            }
            self.written.push_back(Written { zxid, file: name.clone(), end: at + (header + end) as u64 });
        }
    }

    /// The process says this: what of it is not true of its disk.
    pub(crate) fn lacks(&mut self, event: &Event, disk: &SimDisk) -> Option<String> {
        match event {
            Event::Recovered { health, .. } => {
                self.recovered = true;
                if *health == Health::Damaged { None } else { disk.unsynced_log() }
            }
            Event::Truncated(to) => {
                self.written.retain(|w| w.zxid <= *to);
                None
            }
            Event::TreeReplaced { zxid, .. } if self.recovered => {
                self.written.clear();
                self.loaded = Some(*zxid);
                None
            }
            Event::Durable(zxid) => {
                let there = self.written.iter().any(|w| w.zxid == *zxid);
                let lost = self.log_lacks(*zxid, disk);
                lost.or_else(|| (!there).then(|| format!("no record of {zxid} was written")))
            }
            Event::Acked(zxid) | Event::ElectionStarted { zxid, .. } => self.log_lacks(*zxid, disk),
            Event::EpochAccepted(epoch) => epoch_lacks("acceptedEpoch", *epoch, disk),
            Event::EpochCurrent(epoch) => epoch_lacks("currentEpoch", *epoch, disk),
            Event::NewLeaderAcked { last_logged, .. } | Event::Established { last_logged, .. } => {
                let lost = self.log_lacks(*last_logged, disk);
                lost.or_else(|| self.loaded.take().and_then(|loaded| snapshot_lacks(loaded, disk)))
            }
            Event::SnapshotTaken { zxid, .. } => {
                // Nothing rests on an older one any more: it may go.
                self.loaded = self.loaded.filter(|loaded| loaded > zxid);
                snapshot_lacks(*zxid, disk)
            }
            _ => None,
        }
    }

    /// Everything that was written up to here has to be on the platter.
    fn log_lacks(&mut self, upto: Zxid, disk: &SimDisk) -> Option<String> {
        let mut lost = None;
        while self.written.front().is_some_and(|w| w.zxid <= upto)
            && let Some(w) = self.written.pop_front()
        {
            // A record further behind in the same file answers for this one.
            let answered = self.written.front().is_some_and(|next| next.zxid <= upto && next.file == w.file);
            // A file that is gone was put aside by whoever ordered it.
            if !answered && lost.is_none() && !disk.keeps(&w.file, w.end) && disk.length(&w.file).is_some() {
                lost = Some(format!("{} is not synced up to {}, where {} ends", w.file.name, w.end, w.zxid));
            }
        }
        lost
    }
}

fn named(name: &str, prefix: &str) -> Option<Zxid> {
    let digits = name.strip_prefix(prefix)?.split('.').next()?;
    i64::from_str_radix(digits, 16).ok().map(Zxid)
}

/// Where the records of a log that was found whole do not follow each other, above the newest snapshot. O(log), once a recovery.
pub(crate) fn hole(disk: &SimDisk) -> Option<String> {
    let newest = disk.names(Dir::Data).filter_map(|name| named(name, "snapshot.")).max().unwrap_or(Zxid::ZERO);
    let mut files: Vec<Zxid> = disk.names(Dir::Log).filter_map(|name| named(name, "log.")).collect();
    files.sort_unstable();
    let mut last = newest;
    for file in files {
        let name = log_file(file);
        for (zxid, _) in records(disk.bytes(&name)?.get(HEADER..).unwrap_or_default()) {
            if zxid <= newest {
                continue;
            }
            if zxid != last.next() && !(zxid.epoch() > last.epoch() && zxid.counter() == 1) {
                return Some(format!("{} has {zxid} behind {last}", name.name));
            }
            last = zxid;
        }
    }
    None
}

fn epoch_lacks(file: &str, epoch: Epoch, disk: &SimDisk) -> Option<String> {
    let name = FileName::new(Dir::Data, file);
    let text = epoch.to_string();
    // What has rotted meanwhile says nothing about what was synced.
    let whole = |name: &FileName| disk.length(name).is_some_and(|length| disk.keeps(name, length));
    let there = if disk.is_sound() { disk.on_platter(&name) == Some(text.as_bytes()) } else { whole(&name) };
    if !there {
        let there = disk.on_platter(&name).map_or_else(|| "nothing".into(), String::from_utf8_lossy);
        return Some(format!("{file} holds {there:?} after a power cut"));
    }
    let record = FileName::new(Dir::Side, "state");
    (!whole(&record)).then(|| "the record of epochs is not synced".into())
}

fn snapshot_lacks(zxid: Zxid, disk: &SimDisk) -> Option<String> {
    let plain = format!("snapshot.{:x}", zxid.0);
    // It may be packed.
    let is_it = |name: &str| name.strip_prefix(&*plain).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let whole = |name: &str| {
        let name = FileName::new(Dir::Data, name);
        disk.length(&name).is_some_and(|length| disk.keeps(&name, length))
    };
    let kept = disk.names(Dir::Data).any(|name| is_it(name) && whole(name));
    (!kept).then(|| format!("{plain} is not synced as a whole"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn z(counter: u32) -> Zxid {
        Zxid::new(1, counter)
    }
    fn log() -> FileName {
        log_file(z(1))
    }

    /// A group of records of this length, as the log has them.
    fn group(zxids: &[u32]) -> Bytes {
        let mut bytes = Vec::new();
        for n in zxids {
            let mut payload = vec![0; 40];
            payload[ZXID..ZXID_END].copy_from_slice(&z(*n).0.to_be_bytes());
            bytes.extend([7; 8]);
            bytes.extend((payload.len() as i32).to_be_bytes());
            bytes.extend(payload);
            bytes.push(b'B');
        }
        bytes.into()
    }

    struct Machine {
        disk: SimDisk,
        platter: Platter,
    }

    impl Machine {
        fn new() -> Self {
            let mut m = Self { disk: SimDisk::new(512), platter: Platter::default() };
            [Dir::Data, Dir::Log, Dir::Side].into_iter().for_each(|dir| m.op(DiskOp::List(dir)));
            let recovered = Event::Recovered {
                last_logged: Zxid::ZERO,
                applied: Zxid::ZERO,
                accepted_epoch: 0,
                current_epoch: 0,
                health: Health::Intact,
            };
            assert_eq!(m.says(recovered), None);
            m.op(DiskOp::Create(log()));
            m.op(DiskOp::WriteAt(log(), 0, Bytes::from(vec![0; HEADER])));
            m
        }
        fn op(&mut self, op: DiskOp) {
            self.disk.execute(&op).unwrap();
            self.platter.done(&op);
        }
        fn says(&mut self, event: Event) -> Option<String> {
            self.platter.lacks(&event, &self.disk)
        }
        fn write(&mut self, at: u64, zxids: &[u32]) {
            self.op(DiskOp::WriteAt(log(), at, group(zxids)));
        }
        fn sync(&mut self) {
            self.op(DiskOp::Fsync(log()));
            self.op(DiskOp::FsyncDir(Dir::Log));
        }
        fn small(&mut self, file: &FileName, text: &str) {
            self.op(DiskOp::Create(file.clone()));
            self.op(DiskOp::WriteAt(file.clone(), 0, Bytes::from(text.as_bytes().to_vec())));
        }
    }

    #[test]
    fn what_is_synced_may_be_vouched_for_while_more_is_written() {
        let mut m = Machine::new();
        m.write(16, &[1, 2]);
        m.sync();
        m.write(16 + 2 * 53, &[3]);
        assert_eq!(m.says(Event::Durable(z(2))), None);
        assert_eq!(m.says(Event::Acked(z(1))), None);
        assert!(m.says(Event::Durable(z(3))).is_some(), "written, not synced");
        assert!(m.says(Event::Durable(z(4))).is_some(), "never written");
    }

    #[test]
    fn promises_too_early() {
        let early: [fn(Zxid) -> Event; 4] = [
            Event::Durable,
            Event::Acked,
            |zxid| Event::ElectionStarted { round: 1, zxid, epoch: 1 },
            |last_logged| Event::NewLeaderAcked { epoch: 1, last_logged },
        ];
        for event in early {
            let mut m = Machine::new();
            m.write(16, &[1]);
            m.op(DiskOp::Fsync(log()));
            assert!(m.says(event(z(1))).is_some(), "the name of the file is not on the platter");
        }
    }

    #[test]
    fn a_failed_fsync_that_is_tried_again() {
        let mut m = Machine::new();
        m.sync();
        m.write(16, &[1]);
        m.disk.lose_writes(&log(), false);
        m.sync();
        assert!(m.says(Event::Durable(z(1))).is_some());
    }

    #[test]
    fn a_cut_takes_back_what_was_written() {
        let mut m = Machine::new();
        m.write(16, &[1, 2]);
        m.sync();
        assert_eq!(m.says(Event::Truncated(z(1))), None);
        m.write(16 + 53, &[2]);
        assert!(m.says(Event::Durable(z(2))).is_some(), "written anew");
        m.write(16 + 53, &[2]);
        m.sync();
        assert_eq!(m.says(Event::Durable(z(2))), None);
    }

    #[test]
    fn epochs_and_snapshots() {
        let mut m = Machine::new();
        let data = |name: &str| FileName::new(Dir::Data, name);
        let (tmp, file, state) = (data("tmp"), data("acceptedEpoch"), FileName::new(Dir::Side, "state"));
        m.small(&tmp, "5");
        m.op(DiskOp::Fsync(tmp.clone()));
        m.op(DiskOp::Rename(tmp, file));
        assert!(m.says(Event::EpochAccepted(5)).is_some(), "the rename may be lost");
        m.op(DiskOp::FsyncDir(Dir::Data));
        m.small(&state, "the record");
        assert!(m.says(Event::EpochAccepted(5)).is_some(), "our own record may be lost");
        m.op(DiskOp::Fsync(state));
        m.op(DiskOp::FsyncDir(Dir::Side));
        assert_eq!(m.says(Event::EpochAccepted(5)), None);
        assert!(m.says(Event::EpochAccepted(6)).is_some(), "another one");
        assert!(m.says(Event::EpochCurrent(5)).is_some(), "the other file");

        let snapshot = data("snapshot.100000009");
        m.small(&snapshot, "a tree");
        m.op(DiskOp::FsyncDir(Dir::Data));
        assert!(m.says(Event::SnapshotTaken { zxid: z(9), bytes: 6, took_ms: 1 }).is_some(), "its bytes may be lost");
        assert_eq!(m.says(Event::TreeReplaced { zxid: z(9), digest: 1 }), None);
        assert!(m.says(Event::NewLeaderAcked { epoch: 1, last_logged: z(9) }).is_some());
        m.op(DiskOp::Fsync(snapshot.clone()));
        assert_eq!(m.says(Event::TreeReplaced { zxid: z(9), digest: 1 }), None);
        assert_eq!(m.says(Event::NewLeaderAcked { epoch: 1, last_logged: z(9) }), None);

        // Loaded, and purged when there is a newer one, before any leader is followed to the end of its sync.
        assert_eq!(m.says(Event::TreeReplaced { zxid: z(9), digest: 1 }), None);
        let newer = data("snapshot.10000000b");
        m.small(&newer, "a tree");
        m.op(DiskOp::Fsync(newer));
        m.op(DiskOp::FsyncDir(Dir::Data));
        assert_eq!(m.says(Event::SnapshotTaken { zxid: z(11), bytes: 6, took_ms: 1 }), None);
        m.op(DiskOp::Unlink(snapshot));
        m.op(DiskOp::FsyncDir(Dir::Data));
        assert_eq!(m.says(Event::NewLeaderAcked { epoch: 2, last_logged: z(11) }), None);
    }

    #[test]
    fn a_hole_shows_above_the_newest_snapshot_only() {
        let mut m = Machine::new();
        m.write(16, &[1, 2]);
        assert_eq!(hole(&m.disk), None);
        m.write(16 + 2 * 53, &[4]);
        assert!(hole(&m.disk).is_some());
        m.small(&FileName::new(Dir::Data, "snapshot.100000003"), "a tree");
        assert_eq!(hole(&m.disk), None);
    }

    #[test]
    fn recovery_that_leaves_a_log_in_the_cache() {
        let mut m = Machine::new();
        m.write(16, &[1]);
        let recovered =
            |health| Event::Recovered { last_logged: z(1), applied: z(1), accepted_epoch: 1, current_epoch: 1, health };
        assert!(m.says(recovered(Health::Intact)).is_some());
        m.sync();
        assert_eq!(m.says(recovered(Health::Intact)), None);
    }
}
