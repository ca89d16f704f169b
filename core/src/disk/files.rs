//! Names and what is known of the files behind them (storage-format section 1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::Compression;
use crate::event::{Dir, FileName};
use crate::ids::Zxid;

/// Files of the data directory and of ours.
pub(super) mod name {
    pub(in crate::disk) const ACCEPTED: &str = "acceptedEpoch";
    pub(in crate::disk) const ACCEPTED_TMP: &str = "acceptedEpoch.tmp";
    pub(in crate::disk) const CURRENT: &str = "currentEpoch";
    /// The intent to raise currentEpoch, under the name at which ZooKeeper looks for it.
    pub(in crate::disk) const CURRENT_TMP: &str = "currentEpoch.tmp";
    /// The intent on its way; an older one stays until it has arrived.
    pub(in crate::disk) const INTENT_NEW: &str = "currentEpoch.tmp.new";
    /// currentEpoch on its way; the intent stays until it has arrived.
    pub(in crate::disk) const CURRENT_NEW: &str = "currentEpoch.new";
    /// Epochs, trust and an unfinished installation, in one checksummed record.
    pub(in crate::disk) const STATE: &str = "state";
    pub(in crate::disk) const STATE_TMP: &str = "state.tmp";
    pub(in crate::disk) const WATERMARK: &str = "watermark";
    /// The operator's word that an empty directory is meant to be empty.
    pub(in crate::disk) const INITIALIZE: &str = "initialize";
    /// Snapshots being written. ZooKeeper takes everything that begins with `snapshot.` for a snapshot.
    pub(in crate::disk) const OWN_TMP: &str = "own-snapshot.tmp";
    pub(in crate::disk) const INCOMING_TMP: &str = "incoming-snapshot.tmp";
}

pub(super) fn data(name: &str) -> FileName {
    FileName::new(Dir::Data, name)
}

pub(super) fn side(name: &str) -> FileName {
    FileName::new(Dir::Side, name)
}

pub(super) fn log_name(first: Zxid) -> FileName {
    FileName::new(Dir::Log, &format!("log.{:x}", first.0))
}

pub(super) fn snapshot_name(zxid: Zxid, packed: Compression) -> FileName {
    data(&format!("snapshot.{:x}{}", zxid.0, packed.suffix()))
}

fn hex(text: &str) -> Option<Zxid> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    i64::from_str_radix(text, 16).ok().filter(|_| digits).map(Zxid)
}

/// A log file.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub(super) name: FileName,
    /// Zxid in its name: the first record's.
    pub(super) first: Zxid,
    /// Where its data ends; as long as it was not read, its length.
    pub(super) end: u64,
}

impl LogFile {
    pub(super) fn parse(name: &str, len: u64) -> Option<Self> {
        let first = hex(name.strip_prefix("log.")?)?;
        Some(Self { name: FileName::new(Dir::Log, name), first, end: len })
    }
}

/// A snapshot file.
#[derive(Clone, Debug)]
pub(super) struct SnapFile {
    pub(super) name: FileName,
    pub(super) zxid: Zxid,
    /// Its length, of the plain bytes where they were read.
    pub(super) bytes: u64,
    /// The adapter decompresses it; its plain length is known only after reading.
    pub(super) packed: bool,
    /// Read or written by this server since it started: its seals are right.
    pub(super) trusted: bool,
    /// Newest zxid that may have left traces in it, where known.
    pub(super) end: Zxid,
    /// Where its body ends; known when trusted.
    pub(super) body_end: u64,
}

impl SnapFile {
    pub(super) fn parse(name: &str, len: u64) -> Option<Self> {
        let text = name.strip_prefix("snapshot.")?;
        let (digits, packed) = match text.split_once('.') {
            None => (text, false),
            Some((digits, "gz" | "snappy")) => (digits, true),
            Some(_) => return None,
        };
        let zxid = hex(digits)?;
        Some(Self { name: data(name), zxid, bytes: len, packed, trusted: false, end: zxid, body_end: 0 })
    }
    /// The length to read, where it is known.
    pub(super) fn length(&self) -> Option<u64> {
        (!self.packed || self.trusted).then_some(self.bytes)
    }
}

/// What is in the directories.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Ascending.
    pub(super) logs: Vec<LogFile>,
    /// Ascending; of two with one zxid the plain one is the later.
    pub(super) snaps: Vec<SnapFile>,
    /// From here on the log is known to be without holes.
    pub(super) chain: Zxid,
    /// The next stream's number.
    pub(super) streams: u64,
}

impl Files {
    pub(super) fn set_logs(&mut self, list: &[(String, u64)]) {
        self.logs = list.iter().filter_map(|(name, len)| LogFile::parse(name, *len)).collect();
        self.logs.sort_by(|a, b| (a.first, &a.name).cmp(&(b.first, &b.name)));
    }
    pub(super) fn set_snaps(&mut self, list: &[(String, u64)]) {
        self.snaps = list.iter().filter_map(|(name, len)| SnapFile::parse(name, *len)).collect();
        self.snaps.sort_by(|a, b| (a.zxid, !a.packed, &a.name).cmp(&(b.zxid, !b.packed, &b.name)));
    }
    pub(super) fn next_stream(&mut self) -> u64 {
        self.streams += 1;
        self.streams
    }
    /// Index of the first log file that may hold a record above `zxid`.
    pub(super) fn log_from(&self, zxid: Zxid) -> usize {
        self.logs.partition_point(|f| f.first.0 <= zxid.0.saturating_add(1)).saturating_sub(1)
    }
    pub(super) fn newest_trusted(&self) -> Option<&SnapFile> {
        self.snaps.iter().rev().find(|s| s.trusted)
    }
    /// This snapshot has turned out to be unreadable: an older one is sent until there is a new one, which may take its name.
    pub(super) fn distrust(&mut self, name: &FileName) {
        for snap in self.snaps.iter_mut().filter(|s| s.name == *name) {
            snap.trusted = false;
        }
    }
    /// Adds a snapshot that was just written, in place of one with the same name.
    pub(super) fn add_snap(&mut self, snap: SnapFile) {
        self.snaps.retain(|s| s.name != snap.name);
        let at = self.snaps.partition_point(|s| (s.zxid, !s.packed) <= (snap.zxid, !snap.packed));
        self.snaps.insert(at, snap);
    }
}

/// Whether `next` may follow `last` in a log: the next of its epoch, or the first of a later one.
pub(super) fn follows(last: Zxid, next: Zxid) -> bool {
    next.0 == last.0.wrapping_add(1) || (next.epoch() > last.epoch() && next.counter() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(LogFile::parse("log.1f", 5).map(|f| f.first), Some(Zxid(0x1f)));
        assert_eq!(&*log_name(Zxid::new(2, 1)).name, "log.200000001");
        for bad in ["log.", "log.x", "log.1.tmp", "log.-1", "log.+1", "log", "snapshot.1", "log.11111111111111111"] {
            assert!(LogFile::parse(bad, 5).is_none(), "{bad}");
        }
        let zxid = |n: &str| SnapFile::parse(n, 5).map(|f| (f.zxid.0, f.packed));
        assert_eq!(zxid("snapshot.24"), Some((0x24, false)));
        assert_eq!(zxid("snapshot.24.gz"), Some((0x24, true)));
        assert_eq!(zxid("snapshot.24.snappy"), Some((0x24, true)));
        assert_eq!(zxid("snapshot.24.tmp"), None);
        assert_eq!(zxid("snapshot."), None);
    }

    #[test]
    fn what_may_follow() {
        let z = Zxid::new;
        assert!(follows(z(1, 4), z(1, 5)) && follows(z(1, 4), z(3, 1)) && follows(z(2, 0), z(2, 1)));
        assert!(!follows(z(1, 4), z(1, 6)) && !follows(z(1, 4), z(3, 2)) && !follows(z(1, 4), z(1, 4)));
        assert!(!follows(z(2, 4), z(1, 1)));
    }
}
