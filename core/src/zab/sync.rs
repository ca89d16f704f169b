//! How a learner catches up: DIFF, TRUNC or SNAP (quorum-protocol section 5.1, with the rules of section 15).

use crate::ids::Zxid;
use crate::mutant::{Mutant, Mutants};
use crate::zab::history::{History, Place};

/// The way to bring one learner up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// It has everything up to `from`; send what follows, from memory.
    Diff {
        /// The learner's newest zxid, found in our history.
        from: Zxid,
    },
    /// It has something that we do not have; cut to `to`, then send what follows, from memory.
    Trunc {
        /// Newest common zxid.
        to: Zxid,
    },
    /// It may be in the log on disk: read there from `from`; if it is not found, SNAP.
    LogThenSnap {
        /// The learner's newest zxid.
        from: Zxid,
    },
    /// Send a snapshot file and what follows it.
    Snap,
}

/// Decides for a learner whose newest logged zxid is `peer`; `end` is the newest decided one here. `ours`: it is a Quorate server.
///
/// A zxid counts as common only when it is *found* in the history (B01, ZOOKEEPER-4352). A cut is offered only within the
/// epoch of `peer`: both servers hold that epoch's proposals without holes from its first one, so the newest entry of that
/// epoch here is in the learner's log too. Everything else gets a snapshot.
#[must_use]
pub fn plan(history: &History, end: Zxid, peer: Zxid, ours: bool, mutants: Mutants) -> Plan {
    if peer == Zxid::NONE {
        return Plan::Snap;
    }
    if peer == end {
        return Plan::Diff { from: peer };
    }
    match history.place(peer) {
        Place::Held if peer <= end => Plan::Diff { from: peer },
        // Proposed in this term and undecided: the learner has it from this leader, and may have acknowledged it. Nothing is cut
        // from a Quorate learner, which takes as decided only what DIFF names; others know a cut to what is decided.
        Place::Held if ours => Plan::Diff { from: peer },
        Place::Held => Plan::Trunc { to: end },
        Place::Below if mutants.has(Mutant::B22) => Plan::Diff { from: history.floor() },
        Place::Below => Plan::LogThenSnap { from: peer },
        Place::Foreign { prev } => {
            if mutants.has(Mutant::B01) && peer < end {
                return Plan::Diff { from: prev };
            }
            if mutants.has(Mutant::K08) {
                return Plan::Trunc { to: end };
            }
            // (e, 0) is only ever reported after syncing with an established leader of e: that history is committed, and
            // whatever it ended with is `prev`.
            if peer.counter() == 0 {
                return Plan::Diff { from: prev };
            }
            if prev.epoch() == peer.epoch() && prev.counter() > 0 { Plan::Trunc { to: prev } } else { Plan::Snap }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::txnlog::Record;
    use bytes::Bytes;

    fn z(epoch: i64, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    fn history(zxids: &[Zxid]) -> History {
        let mut h = History::new(100, 1 << 20);
        for zxid in zxids {
            h.push(Record { zxid: *zxid, payload: Bytes::new() });
        }
        h
    }

    #[test]
    fn the_decision_table() {
        let h = history(&[z(1, 1), z(1, 2), z(1, 3), z(3, 1), z(3, 2)]);
        let end = z(3, 2);
        let plan = |peer| plan(&h, end, peer, true, Mutants::default());
        assert_eq!(plan(z(3, 2)), Plan::Diff { from: z(3, 2) });
        assert_eq!(plan(z(1, 2)), Plan::Diff { from: z(1, 2) });
        assert_eq!(plan(z(0, 0)), Plan::Diff { from: z(0, 0) });
        assert_eq!(plan(z(1, 5)), Plan::Trunc { to: z(1, 3) });
        assert_eq!(plan(z(3, 9)), Plan::Trunc { to: z(3, 2) });
        assert_eq!(plan(z(2, 1)), Plan::Snap);
        assert_eq!(plan(z(4, 1)), Plan::Snap);
        assert_eq!(plan(Zxid::NONE), Plan::Snap);
    }

    #[test]
    fn below_the_window_the_disk_is_asked() {
        let mut h = History::new(1, 1 << 20);
        for i in 1..=3 {
            h.push(Record { zxid: z(1, i), payload: Bytes::new() });
            h.commit_to(z(1, i));
            h.applied_first();
        }
        assert_eq!(plan(&h, z(1, 3), z(1, 1), true, Mutants::default()), Plan::LogThenSnap { from: z(1, 1) });
    }
}
