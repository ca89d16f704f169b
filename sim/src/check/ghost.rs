//! What only the simulator knows: every proposal ever made, the order in which they were decided, and where each server stands.
//!
//! Each log of each server is a path in one tree of proposals: a proposal's parent is what stood before it in its leader's log.
//! So a whole log is one index, "contains" is a look at the newest decided ancestor, and no check compares two logs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use quorate_core::event::{Health, Role};
use quorate_core::ids::{Epoch, Millis, SessionId, Sid, Zxid};

use crate::past::after;
use crate::quorum::Quorum;

/// Index of a proposal in [`Ghost`]. [`ROOT`] stands before the first.
pub(super) type At = u32;

/// The empty history.
pub(super) const ROOT: At = 0;

/// One proposal.
#[derive(Clone, Hash, Debug)]
pub(super) struct Entry {
    pub(super) zxid: Zxid,
    pub(super) hash: u64,
    pub(super) parent: At,
    pub(super) depth: u32,
    /// Voters that have it durable.
    pub(super) copies: u32,
    pub(super) decided: bool,
    /// A snapshot that another implementation left holds it, decided or not.
    pub(super) left: bool,
    /// Of the model's tree right after it; valid once decided.
    pub(super) digest: u64,
    /// Until it is decided.
    pub(super) record: Bytes,
}

/// What one server has reported.
#[derive(Clone, Hash, Debug)]
pub(super) struct Server {
    pub(super) sid: Sid,
    pub(super) voter: bool,
    pub(super) role: Role,
    /// Newest entry in the log, durable or not.
    pub(super) logged: At,
    pub(super) durable: At,
    pub(super) applied: At,
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    /// Highest epoch of an ACKEPOCH in this life.
    pub(super) promised: Epoch,
    /// Newest epoch for which its ACK(NEWLEADER) was sent, in any life.
    pub(super) newleader: Epoch,
    /// Epoch of the term in which it may acknowledge: from ACK(NEWLEADER) or from being established.
    pub(super) term: Epoch,
    /// Established as leader of `term`, since.
    pub(super) leads: Option<Millis>,
    /// A leader has ordered a cut or a snapshot that may or may not be on disk when this server dies.
    pub(super) resync: Option<Zxid>,
    /// A leader has cut its log since its current epoch was written: that epoch vouches for nothing until the next one.
    pub(super) cut: bool,
    /// A snapshot is in memory that is not known to be installed.
    pub(super) snapshot: bool,
    /// Its disk has lost or spoiled something that was durable: recovery may report less.
    pub(super) excused: bool,
    /// What it reads of its spoiled disk has a hole: it must say so when it has read everything, and its tree is nobody's.
    pub(super) holed: bool,
    /// The same has happened since its process began: what it had verified may be no good any more.
    pub(super) spoiled: bool,
    /// Its disk has refused an operation: it may end by itself.
    pub(super) failing: bool,
    /// It has ended because of what it found on its spoiled disk, and has not come further since.
    pub(super) refuses: bool,
    /// Its log could not be written in this life, since then.
    pub(super) log_failed: Option<Millis>,
    /// What recovery said of its disk, until a leader has synchronised it.
    pub(super) health: Health,
    /// UPTODATE came in this term.
    pub(super) serves: bool,
    /// Its tree was found equal to the model's up to here; `None`: it was replaced since.
    pub(super) compared: Option<Zxid>,
    /// Sessions whose expiry it has announced in this term.
    pub(super) expired: BTreeSet<SessionId>,
}

/// See the module.
#[derive(Clone, Hash, Debug)]
pub(super) struct Ghost {
    pub(super) entries: Vec<Entry>,
    /// The newest entry with each zxid, ascending.
    by_zxid: VecDeque<(Zxid, At)>,
    /// Newest decided.
    pub(super) tip: At,
    /// The newest of which a client was told that it is done.
    pub(super) told: At,
    /// Whether a disk that no fault had spoiled held it then.
    pub(super) sound: bool,
    pub(super) servers: Vec<Server>,
    pub(super) voters: u32,
    quorum: Quorum,
    /// How many copies are a quorum, where heads are counted.
    heads: Option<u32>,
    /// Established leaders, by epoch.
    pub(super) leaders: BTreeMap<Epoch, usize>,
    /// Who opened an epoch (made its current epoch durable first), and the end of its log then.
    pub(super) opened: BTreeMap<Epoch, (usize, At)>,
    /// Where the counter of an epoch ends.
    pub(super) epoch_len: u32,
    /// Whether all servers write digests.
    pub(super) digests: bool,
}

impl Ghost {
    /// Voters come first.
    pub(super) fn new(servers: impl Iterator<Item = (Sid, bool)>, quorum: Quorum, digest: u64) -> Self {
        let servers: Vec<Server> = servers
            .map(|(sid, voter)| Server {
                sid,
                voter,
                role: Role::Recovering,
                logged: ROOT,
                durable: ROOT,
                applied: ROOT,
                accepted: 0,
                current: 0,
                promised: 0,
                newleader: 0,
                term: 0,
                leads: None,
                resync: None,
                cut: false,
                snapshot: false,
                excused: false,
                holed: false,
                spoiled: false,
                failing: false,
                refuses: false,
                log_failed: None,
                health: Health::Intact,
                serves: false,
                compared: None,
                expired: BTreeSet::new(),
            })
            .collect();
        let voters = servers.iter().filter(|s| s.voter).count() as u32;
        let root = Entry {
            zxid: Zxid::ZERO,
            hash: 0,
            parent: ROOT,
            depth: 0,
            copies: voters,
            decided: true,
            left: false,
            digest,
            record: Bytes::new(),
        };
        Self {
            entries: vec![root],
            by_zxid: VecDeque::from([(Zxid::ZERO, ROOT)]),
            tip: ROOT,
            told: ROOT,
            sound: true,
            servers,
            voters,
            heads: quorum.heads().map(|heads| heads as u32),
            quorum,
            leaders: BTreeMap::new(),
            opened: BTreeMap::new(),
            epoch_len: u32::MAX - 1,
            digests: true,
        }
    }

    pub(super) const fn quorum(&self) -> &Quorum {
        &self.quorum
    }
    /// Whether the voters that `are` in it are a quorum.
    pub(super) fn decides(&self, are: impl Fn(&Server) -> bool) -> bool {
        self.quorum.decides(|n| self.servers.get(n).is_some_and(|s| s.voter && are(s)))
    }
    /// Whether a quorum has this durable.
    pub(super) fn is_safe(&self, at: At) -> bool {
        let counted = |heads| self.entry(at).copies >= heads;
        self.heads.map_or_else(|| self.decides(|s| self.contains(s.durable, at)), counted)
    }
    /// Whether this server can tip the scales: who weighs nothing never leads either.
    pub(super) fn counts(&self, n: usize) -> bool {
        self.servers[n].voter && self.quorum.place(n).is_some_and(|(_, weight)| weight > 0)
    }
    pub(super) fn entry(&self, at: At) -> &Entry {
        &self.entries[at as usize]
    }
    pub(super) fn zxid(&self, at: At) -> Zxid {
        self.entry(at).zxid
    }

    /// The proposal with this zxid; `near`: what probably stands before it.
    pub(super) fn find(&self, zxid: Zxid, near: At) -> Option<At> {
        for at in [near + 1, near] {
            if self.entries.get(at as usize).is_some_and(|e| e.zxid == zxid) {
                return Some(at);
            }
        }
        let (found, at) = self.by_zxid[after(&self.by_zxid, |(z, _)| *z <= zxid).checked_sub(1)?];
        (found == zxid).then_some(at)
    }

    pub(super) fn propose(&mut self, zxid: Zxid, hash: u64, parent: At, record: Bytes) -> At {
        let at = self.entries.len() as At;
        let depth = self.entry(parent).depth + 1;
        self.entries.push(Entry {
            zxid,
            hash,
            parent,
            depth,
            copies: 0,
            decided: false,
            left: false,
            digest: 0,
            record,
        });
        let i = after(&self.by_zxid, |(z, _)| *z <= zxid);
        match i.checked_sub(1).map(|i| &mut self.by_zxid[i]) {
            Some((there, newer)) if *there == zxid => *newer = at,
            _ => self.by_zxid.insert(i, (zxid, at)),
        }
        at
    }

    /// Whether the history that ends at `end` contains `at`.
    pub(super) fn contains(&self, end: At, at: At) -> bool {
        let depth = self.entry(at).depth;
        let mut end = end;
        while self.entry(end).depth > depth {
            // Everything decided is one path: below its newest common entry nothing branches.
            if self.entry(end).decided && self.entry(at).decided {
                return true;
            }
            end = self.entry(end).parent;
        }
        end == at
    }

    /// The newest entry of this history that is not above `zxid`.
    pub(super) fn cut(&self, end: At, zxid: Zxid) -> At {
        let mut end = end;
        while self.zxid(end) > zxid {
            end = self.entry(end).parent;
        }
        end
    }

    /// The newest decided entry of this history.
    pub(super) fn decided_part(&self, end: At) -> At {
        let mut end = end;
        while !self.entry(end).decided {
            end = self.entry(end).parent;
        }
        end
    }

    /// Whether this history holds everything that was ever decided.
    pub(super) fn complete(&self, end: At) -> bool {
        self.decided_part(end) == self.tip
    }

    /// Whether this is a decided history, and everything decided behind it is of epochs above this one: its quorum was there
    /// before theirs, and its leader only hears of it late. It can decide nothing more.
    pub(super) fn overtaken(&self, end: At, epoch: Epoch) -> bool {
        let mut at = self.tip;
        while at != end && at != ROOT && self.zxid(at).epoch() > epoch {
            at = self.entry(at).parent;
        }
        at == end
    }

    /// A snapshot that another implementation left holds everything up to here.
    pub(super) fn leave(&mut self, mut at: At) {
        while !self.entry(at).decided {
            self.entries[at as usize].left = true;
            at = self.entry(at).parent;
        }
    }

    /// Whether the tree of server `n` may stand at an undecided entry: a snapshot that another implementation left holds it, no
    /// client can see it, and the log does not end before it.
    pub(super) fn may_stand_at(&self, n: usize, at: At) -> bool {
        let s = &self.servers[n];
        let held = s.role != Role::Recovering || s.durable == ROOT || self.contains(s.durable, at);
        self.entry(at).left && !s.serves && s.leads.is_none() && held
    }

    /// Reports that the histories of initial disks begin with.
    pub(super) fn open_before(&mut self, n: usize, epoch: Epoch) {
        self.opened.insert(epoch, (n, ROOT));
    }

    /// Server `n` has a durable log that ends at `to`: keeps the numbers of copies.
    pub(super) fn set_durable(&mut self, n: usize, to: At) {
        let (mut a, mut b) = (self.servers[n].durable, to);
        self.servers[n].durable = to;
        if !self.servers[n].voter {
            return;
        }
        while a != b {
            if self.entry(a).depth > self.entry(b).depth {
                self.entries[a as usize].copies -= 1;
                a = self.entry(a).parent;
            } else if self.entry(b).depth > self.entry(a).depth {
                self.entries[b as usize].copies += 1;
                b = self.entry(b).parent;
            } else {
                self.entries[a as usize].copies -= 1;
                self.entries[b as usize].copies += 1;
                (a, b) = (self.entry(a).parent, self.entry(b).parent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Topology;

    fn ghost() -> Ghost {
        let servers = [(Sid(1), true), (Sid(2), true), (Sid(3), true), (Sid(4), false)];
        Ghost::new(servers.into_iter(), Quorum::plain(3), 7)
    }
    fn z(epoch: Epoch, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    #[test]
    fn logs_are_paths() {
        let mut g = ghost();
        let a = g.propose(z(1, 1), 1, ROOT, Bytes::new());
        let b = g.propose(z(1, 2), 2, a, Bytes::new());
        let c = g.propose(z(2, 1), 3, a, Bytes::new());
        assert!(g.contains(b, a) && g.contains(c, a) && !g.contains(c, b) && !g.contains(a, b));
        assert_eq!(g.cut(c, z(1, 7)), a);
        assert_eq!(g.find(z(2, 1), ROOT), Some(c));
        g.entries[a as usize].decided = true;
        g.tip = a;
        assert!(g.complete(b) && g.complete(c) && !g.complete(ROOT));
    }

    #[test]
    fn copies_follow_durable_logs_of_voters() {
        let mut g = ghost();
        let a = g.propose(z(1, 1), 1, ROOT, Bytes::new());
        let b = g.propose(z(1, 2), 2, a, Bytes::new());
        let c = g.propose(z(2, 1), 3, a, Bytes::new());
        g.set_durable(0, b);
        g.set_durable(1, a);
        g.set_durable(3, b);
        assert_eq!((g.entry(a).copies, g.entry(b).copies), (2, 1));
        g.set_durable(0, c);
        assert_eq!((g.entry(a).copies, g.entry(b).copies, g.entry(c).copies), (2, 0, 1));
        g.set_durable(0, ROOT);
        assert_eq!((g.entry(a).copies, g.entry(c).copies), (1, 0));
    }

    #[test]
    fn groups_keep_what_heads_would_not_and_the_other_way_round() {
        let topology =
            Topology { voters: 6, groups: vec!["s1".into(), "s2".into(), "s3,s4,s5,s6".into()], ..Topology::default() };
        let mut g = Ghost::new((1..=6).map(|n| (Sid(n), true)), Quorum::of(&topology), 7);
        let a = g.propose(z(1, 1), 1, ROOT, Bytes::new());
        (2..6).for_each(|n| g.set_durable(n, a));
        assert!(!g.is_safe(a), "four of six, of one group");
        g.set_durable(0, a);
        assert!(g.is_safe(a));
        (2..6).for_each(|n| g.set_durable(n, ROOT));
        g.set_durable(1, a);
        assert!(g.is_safe(a), "two of six, of two groups");
    }
}
