//! The transactions that a server holds in memory: a window of applied ones for DIFF, and the tail that is logged but not applied.

use alloc::collections::VecDeque;

use crate::ids::Zxid;
use crate::wire::txnlog::Record;

/// Where a learner's newest zxid lies in a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It is the newest one, or one that is held here: what follows it can be sent from memory.
    Held,
    /// Older than everything held.
    Below,
    /// Not part of this history, though inside or above its range. `prev` is the newest entry before it.
    Foreign {
        /// Newest held entry below it (or the zxid before the first one held).
        prev: Zxid,
    },
}

/// What is committed, what is only logged, and the recent part of what is applied. Ascending throughout, one contiguous run.
#[derive(Clone, Debug)]
pub struct History {
    /// Applied, newest last; bounded in number and bytes.
    window: VecDeque<Record>,
    window_bytes: usize,
    max_count: usize,
    max_bytes: usize,
    /// The zxid right before the first record of the window (or of the tail, when the window is empty).
    floor: Zxid,
    /// Logged (or being logged), not applied.
    tail: VecDeque<Record>,
    tail_bytes: usize,
    committed: Zxid,
    applied: Zxid,
}

impl History {
    /// Nothing, with these bounds of the window.
    #[must_use]
    pub fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            window: VecDeque::new(),
            window_bytes: 0,
            max_count,
            max_bytes,
            floor: Zxid::ZERO,
            tail: VecDeque::new(),
            tail_bytes: 0,
            committed: Zxid::ZERO,
            applied: Zxid::ZERO,
        }
    }

    /// Forgets everything: the tree now stands at `applied`.
    pub fn reset(&mut self, applied: Zxid) {
        self.window.clear();
        self.window_bytes = 0;
        self.tail.clear();
        self.tail_bytes = 0;
        self.floor = applied;
        self.committed = applied;
        self.applied = applied;
    }

    /// Newest zxid known here, applied or not.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.tail.back().map_or(self.applied, |r| r.zxid)
    }
    /// Newest zxid that is known to be decided.
    #[must_use]
    pub const fn committed(&self) -> Zxid {
        self.committed
    }
    /// Zxid at which the tree stands.
    #[must_use]
    pub const fn applied(&self) -> Zxid {
        self.applied
    }
    /// The zxid right before the oldest record held.
    #[must_use]
    pub const fn floor(&self) -> Zxid {
        self.floor
    }
    /// Bytes of the tail.
    #[must_use]
    pub const fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }
    /// Records of the tail.
    #[must_use]
    pub fn tail_len(&self) -> usize {
        self.tail.len()
    }
    /// The records of the tail, ascending.
    pub fn tail(&self) -> impl Iterator<Item = &Record> {
        self.tail.iter()
    }
    /// Records of the window, and the zxids at its ends.
    #[must_use]
    pub fn window_span(&self) -> (usize, Zxid, Zxid) {
        (self.window.len(), self.window.front().map_or(self.applied, |r| r.zxid), self.applied)
    }

    /// Adds a logged record behind the last one.
    pub fn push(&mut self, record: Record) {
        assert!(record.zxid > self.last(), "ZAB: a log ascends: {} after {}", record.zxid, self.last());
        self.tail_bytes += record.payload.len();
        self.tail.push_back(record);
    }

    /// Learns that everything up to `zxid` is decided.
    pub fn commit_to(&mut self, zxid: Zxid) {
        if zxid > self.committed {
            self.committed = zxid;
        }
    }

    /// The zxid that the next COMMIT must name: the first record of the tail that is not yet decided.
    #[must_use]
    pub fn next_undecided(&self) -> Option<Zxid> {
        let i = self.tail.partition_point(|r| r.zxid <= self.committed);
        self.tail.get(i).map(|r| r.zxid)
    }

    /// The next record to apply: decided, and durable up to `durable`.
    #[must_use]
    pub fn next_to_apply(&self, durable: Zxid) -> Option<&Record> {
        self.tail.front().filter(|r| r.zxid <= self.committed && r.zxid <= durable)
    }

    /// The first record of the tail was applied: it moves into the window.
    pub fn applied_first(&mut self) {
        self.applied_into(true);
    }

    /// As [`History::applied_first`]; not `kept`, it is gone.
    pub fn applied_into(&mut self, kept: bool) {
        let record = self.tail.pop_front().expect("something was applied");
        self.tail_bytes -= record.payload.len();
        self.applied = record.zxid;
        if !kept {
            return;
        }
        self.window_bytes += record.payload.len();
        self.window.push_back(record);
        while self.window.len() > self.max_count || self.window_bytes > self.max_bytes {
            let old = self.window.pop_front().expect("a window over its bound is not empty");
            self.window_bytes -= old.payload.len();
            self.floor = old.zxid;
        }
    }

    /// Planted bug B21: forgets the window, not where it began.
    pub fn empty_window(&mut self) {
        self.window.clear();
        self.window_bytes = 0;
    }

    /// Drops every record above `zxid` from the tail. Returns false when the tree itself stands above it.
    pub fn truncate(&mut self, zxid: Zxid) -> bool {
        while self.tail.back().is_some_and(|r| r.zxid > zxid) {
            let record = self.tail.pop_back().expect("just seen");
            self.tail_bytes -= record.payload.len();
        }
        self.committed = self.committed.min(zxid).max(self.applied);
        self.applied <= zxid
    }

    /// Where `zxid` lies, by membership, never by range alone (ZOOKEEPER-1154, ZOOKEEPER-4352).
    #[must_use]
    pub fn place(&self, zxid: Zxid) -> Place {
        if zxid == self.last() || zxid == self.floor {
            return Place::Held;
        }
        if zxid < self.floor {
            return Place::Below;
        }
        let (held, before) =
            if zxid > self.applied { Self::find(&self.tail, zxid) } else { Self::find(&self.window, zxid) };
        if held || zxid == self.applied {
            return Place::Held;
        }
        let prev = before.unwrap_or(if zxid > self.applied { self.applied } else { self.floor });
        Place::Foreign { prev }
    }

    fn find(records: &VecDeque<Record>, zxid: Zxid) -> (bool, Option<Zxid>) {
        let i = records.partition_point(|r| r.zxid < zxid);
        let held = records.get(i).is_some_and(|r| r.zxid == zxid);
        (held, i.checked_sub(1).map(|i| records[i].zxid))
    }

    /// The records above `zxid`, ascending, window and tail. `zxid` is not below the floor.
    pub fn after(&self, zxid: Zxid) -> impl Iterator<Item = &Record> {
        debug_assert!(zxid >= self.floor, "what follows is held");
        self.window.range(upto(&self.window, zxid)..).chain(self.tail.range(upto(&self.tail, zxid)..))
    }
}

/// How many of these are not above `zxid`: mostly all, so the newest is asked first.
fn upto(records: &VecDeque<Record>, zxid: Zxid) -> usize {
    if records.back().is_none_or(|r| r.zxid <= zxid) {
        return records.len();
    }
    records.partition_point(|r| r.zxid <= zxid)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn z(epoch: i64, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }
    fn record(zxid: Zxid) -> Record {
        Record { zxid, payload: Bytes::from_static(b"0123456789") }
    }

    #[test]
    fn a_window_is_bounded_in_number_and_bytes() {
        let mut h = History::new(3, 1000);
        for i in 1..=5 {
            h.push(record(z(1, i)));
            h.commit_to(z(1, i));
            assert!(h.next_to_apply(z(1, i)).is_some());
            h.applied_first();
        }
        assert_eq!(h.window_span(), (3, z(1, 3), z(1, 5)));
        assert_eq!(h.floor(), z(1, 2));
        let mut h = History::new(100, 25);
        for i in 1..=5 {
            h.push(record(z(1, i)));
            h.commit_to(z(1, i));
            h.applied_first();
        }
        assert_eq!(h.window_span().0, 2);
    }

    #[test]
    fn membership_decides_not_range() {
        let mut h = History::new(10, 1000);
        h.push(record(z(1, 1)));
        h.push(record(z(1, 2)));
        h.push(record(z(2, 1)));
        h.commit_to(z(1, 2));
        h.applied_first();
        assert_eq!(h.place(z(1, 1)), Place::Held);
        assert_eq!(h.place(z(1, 2)), Place::Held);
        assert_eq!(h.place(z(1, 3)), Place::Foreign { prev: z(1, 2) });
        assert_eq!(h.place(z(2, 5)), Place::Foreign { prev: z(2, 1) });
        assert_eq!(h.place(z(2, 1)), Place::Held);
        assert_eq!(h.after(z(1, 1)).count(), 2);
    }

    #[test]
    fn nothing_is_applied_before_it_is_decided_and_durable() {
        let mut h = History::new(10, 1000);
        h.push(record(z(1, 1)));
        assert!(h.next_to_apply(z(1, 1)).is_none());
        h.commit_to(z(1, 1));
        assert!(h.next_to_apply(z(0, 0)).is_none());
        assert!(h.next_to_apply(z(1, 1)).is_some());
    }

    #[test]
    fn a_cut_takes_the_tail_but_never_what_is_applied() {
        let mut h = History::new(10, 1000);
        for i in 1..=4 {
            h.push(record(z(1, i)));
        }
        h.commit_to(z(1, 2));
        h.applied_first();
        h.applied_first();
        assert!(h.truncate(z(1, 3)));
        assert_eq!(h.last(), z(1, 3));
        assert!(!h.truncate(z(1, 1)));
    }
}
