//! U6: outside the fault budget a server stops or reports, and never diverges silently. U2: nor does it serve what nobody has said.
//!
//! When: from the fault that broke what everything rests on, at each apply of any life, O(log applied): the same record gives every
//! server the same tree, or one of them says so; and at the end of the run, where servers stand. A zxid alone may come twice here, with
//! another record: who has forgotten an epoch begins it anew, and nobody can tell.
//! Nothing else is checked from then on, but where two servers have one id (P9) that no leader is established by counting both.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::{Event, Health, Role};
use quorate_core::ids::{Epoch, Zxid};

use super::ghost::{Ghost, Server};
use super::{Checked, broken};
use crate::fault::{NETWORK, TWO_OF_ONE};
use crate::observe::Obs;
use crate::quorum::Quorum;

/// Where a server stands, as it says itself.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    zxid: Zxid,
    digest: u64,
    /// Applied since, one after the other: a record brings its digest, so that what differs is told with the next one.
    applied: u32,
    /// In any life.
    reported: bool,
    /// It says what it thinks of its log when it has read it.
    recovers: bool,
    /// What it has applied gave another server another tree: one of them has to say so …
    suspect: Option<Suspect>,
}

/// Two trees after one record.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    zxid: Zxid,
    digest: u64,
    other: usize,
    others: u64,
    /// … before this one has applied so many more.
    left: u32,
}

/// Applied records that are remembered: runs outside the guarantee are short.
const REMEMBERED: usize = 10_000;

/// A record brings its digest, so that a difference is told with the next one at the latest.
const PATIENCE: u32 = 2;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    servers: BTreeMap<usize, Standing>,
    /// Ids of servers that are not those of their machines.
    identities: BTreeMap<usize, usize>,
    /// What is a quorum of ids.
    quorum: Quorum,
    /// Ids that have acknowledged NEWLEADER of an epoch above `floor`.
    joined: BTreeMap<Epoch, BTreeSet<usize>>,
    /// Epochs up to here began when other checks were on.
    floor: Epoch,
    /// That two servers have one id is all that went wrong: nothing was lost or made up on the way to a leader.
    counts: bool,
    /// Every transaction brings the digest of its tree: without that, nothing in a log tells of a hole between two epochs.
    digests: bool,
    /// Digest of the tree after each record, by zxid and hash, and who had it first.
    trees: BTreeMap<(Zxid, u64), (u64, usize)>,
    /// Records that were proposed, by zxid and hash.
    proposed: BTreeSet<(Zxid, u64)>,
    /// Bytes between servers arrive as they were sent: what a server logs its leader has said.
    channels: bool,
}

impl Outside {
    pub(super) fn new(ghost: &Ghost, identities: &BTreeMap<usize, usize>, why: &str) -> Self {
        let standing = |s: &Server| {
            let (recovers, reported) = (s.role == Role::Recovering, s.health != Health::Intact);
            Standing { recovers, reported, ..Standing::default() }
        };
        Self {
            servers: ghost.servers.iter().map(standing).enumerate().collect(),
            identities: identities.clone(),
            quorum: ghost.quorum().clone(),
            joined: BTreeMap::new(),
            floor: ghost.servers.iter().map(|s| s.accepted.max(s.promised)).max().unwrap_or(0),
            counts: why == TWO_OF_ONE,
            digests: ghost.digests,
            trees: BTreeMap::new(),
            proposed: ghost.entries.iter().map(|e| (e.zxid, e.hash)).collect(),
            channels: !why.starts_with(NETWORK),
        }
    }

    pub(super) fn observe(&mut self, what: &Obs<'_>) -> Checked {
        match what {
            Obs::Server { node, event } => {
                self.event(*node, event)?;
                return self.count(*node, event);
            }
            Obs::Stopped { node, .. } => {
                // What was told once is told: a snapshot that is taken of such a tree does not know it after the next start.
                let reported = self.servers.get(node).is_some_and(|s| s.reported);
                self.servers.insert(*node, Standing { reported, recovers: true, ..Standing::default() });
            }
            Obs::Started { digests, .. } => self.digests &= *digests,
            Obs::Cloned { node, of } => _ = self.identities.insert(*node, *of),
            Obs::Outside { why } => {
                self.counts &= *why == TWO_OF_ONE;
                self.channels &= !why.starts_with(NETWORK);
            }
            Obs::End => return self.judge(),
            _ => {}
        }
        Ok(())
    }

    /// A leader is established by a quorum of ids, however many servers have them.
    fn count(&mut self, n: usize, event: &Event) -> Checked {
        let (Event::NewLeaderAcked { epoch, .. } | Event::Established { epoch, .. }) = event else { return Ok(()) };
        let id = self.identities.get(&n).copied().unwrap_or(n);
        if *epoch <= self.floor || !self.counts || self.quorum.place(id).is_none() {
            return Ok(());
        }
        let joined = self.joined.entry(*epoch).or_default();
        joined.insert(id);
        if matches!(event, Event::Established { .. }) && !self.quorum.decides(|id| joined.contains(&id)) {
            let ids: Vec<usize> = joined.iter().map(|id| id + 1).collect();
            let first = format!("server {} is established as leader of epoch {epoch}", id + 1);
            return broken("Z1", first, format!("only servers with the ids {ids:?} have followed, which is no quorum"));
        }
        Ok(())
    }

    fn event(&mut self, n: usize, event: &Event) -> Checked {
        let s = self.servers.entry(n).or_default();
        match event {
            Event::Proposed { zxid, hash, .. } => _ = self.proposed.insert((*zxid, *hash)),
            Event::Applied { zxid, hash, digest } => {
                (s.zxid, s.digest) = (*zxid, *digest);
                s.applied += 1;
                if self.channels && !self.proposed.contains(&(*zxid, *hash)) {
                    let first = format!("server {} applies {zxid} with hash {hash:#x}", n + 1);
                    return broken("U2", first, "nobody has proposed that".into());
                }
                if self.digests {
                    self.compare(n, (*zxid, *hash), *digest);
                    return self.overdue(n, false);
                }
            }
            Event::TreeReplaced { zxid, digest } => {
                (s.zxid, s.digest, s.applied) = (*zxid, *digest, 0);
                s.suspect = None;
            }
            Event::DigestMismatch { .. } => s.reported = true,
            Event::Recovered { health, .. } => {
                s.recovers = false;
                s.reported |= *health != Health::Intact;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether another server had another tree after the same record.
    fn compare(&mut self, n: usize, record: (Zxid, u64), digest: u64) {
        let (others, other) = *self.trees.entry(record).or_insert((digest, n));
        if self.trees.len() > REMEMBERED {
            self.trees.pop_first();
        }
        let Some(s) = self.servers.get_mut(&n) else { return };
        if others != digest && s.suspect.is_none() {
            s.suspect = Some(Suspect { zxid: record.0, digest, other, others, left: PATIENCE + 1 });
        }
    }

    /// Whether somebody should have said by now that two trees differ.
    fn overdue(&mut self, n: usize, end: bool) -> Checked {
        let Some(s) = self.servers.get_mut(&n) else { return Ok(()) };
        let (told, Some(suspect)) = (s.reported || s.recovers, &mut s.suspect) else { return Ok(()) };
        suspect.left = suspect.left.saturating_sub(1);
        let (suspect, late) = (*suspect, suspect.left == 0 || (end && suspect.left < PATIENCE));
        if told || !late || self.servers.get(&suspect.other).is_some_and(|other| other.reported) {
            return Ok(());
        }
        let Suspect { zxid, digest, other, others, .. } = suspect;
        let first = format!("server {} has a tree with digest {digest:#x} after {zxid}", n + 1);
        broken("U6", first, format!("the same record gave server {} {others:#x}, and neither says so", other + 1))
    }

    fn judge(&mut self) -> Checked {
        if !self.digests {
            return Ok(());
        }
        for n in self.servers.keys().copied().collect::<Vec<_>>() {
            self.overdue(n, true)?;
        }
        let told: Vec<(&usize, &Standing)> =
            self.servers.iter().filter(|(_, s)| s.applied > 2 && !s.reported).collect();
        for (i, (a, x)) in told.iter().enumerate() {
            for (b, y) in &told[i + 1..] {
                if x.zxid == y.zxid && x.digest != y.digest {
                    let first = format!("server {} has a tree with digest {:#x} at {}", *a + 1, x.digest, x.zxid);
                    return broken("U6", first, format!("server {} has {:#x}, and neither says so", *b + 1, y.digest));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::ids::Sid;

    fn five() -> Outside {
        let ghost = Ghost::new((1..=5).map(|n| (Sid(n), true)), Quorum::plain(5), 0);
        Outside::new(&ghost, &BTreeMap::from([(2, 1)]), TWO_OF_ONE)
    }
    fn establish(outside: &mut Outside, followers: &[usize]) -> Checked {
        let last_logged = Zxid::new(1, 1);
        for node in followers {
            let event = Event::NewLeaderAcked { epoch: 2, last_logged };
            outside.observe(&Obs::Server { node: *node, event: &event })?;
        }
        outside.observe(&Obs::Server { node: 0, event: &Event::Established { epoch: 2, last_logged } })
    }

    #[test]
    fn an_id_counts_once() {
        assert!(establish(&mut five(), &[1, 3]).is_ok());
        assert_eq!(establish(&mut five(), &[1, 2]).map_err(|b| b.invariant), Err("Z1"), "both of them are server 2");
        let mut own = five();
        assert!(own.observe(&Obs::Cloned { node: 2, of: 2 }).is_ok());
        assert!(establish(&mut own, &[1, 2]).is_ok(), "it is itself again");
    }

    fn disk() -> Outside {
        let mut ghost = Ghost::new((1..=3).map(|n| (Sid(n), true)), Quorum::plain(3), 0);
        ghost.servers.iter_mut().for_each(|s| s.role = Role::Following);
        Outside::new(&ghost, &BTreeMap::new(), "disks are spoiled")
    }
    fn sees(outside: &mut Outside, node: usize, event: Event) -> Option<&'static str> {
        outside.observe(&Obs::Server { node, event: &event }).err().map(|b| b.invariant)
    }
    /// Server `node` applies the record of this number, and has this tree then.
    fn apply(outside: &mut Outside, node: usize, counter: u32, digest: u64) -> Option<&'static str> {
        sees(outside, node, Event::Applied { zxid: Zxid::new(1, counter), hash: counter.into(), digest })
    }
    /// Five records; server 0 has applied them.
    fn history() -> Outside {
        let mut outside = disk();
        for n in 1..=5 {
            let event = Event::Proposed { zxid: Zxid::new(1, n), hash: n.into(), record: bytes::Bytes::new() };
            assert_eq!(sees(&mut outside, 0, event), None);
            assert_eq!(apply(&mut outside, 0, n, 100 + u64::from(n)), None);
        }
        outside
    }
    const MISMATCH: Event = Event::DigestMismatch { zxid: Zxid(1), ours: 1, theirs: 2 };

    #[test]
    fn another_tree_after_the_same_record() {
        let mut silent = history();
        let found: Vec<_> = (1..=5).map(|n| apply(&mut silent, 1, n, 200 + u64::from(n))).collect();
        assert_eq!(found[..3], [None, None, Some("U6")], "wherever server 0 stands meanwhile");

        for speaker in [0, 1] {
            let mut told = history();
            assert_eq!(apply(&mut told, 1, 1, 201), None);
            assert_eq!(sees(&mut told, speaker, MISMATCH), None);
            assert!((2..=5).all(|n| apply(&mut told, 1, n, 200).is_none()), "server {speaker} says so");
        }
        let mut same = history();
        assert!((1..=5).all(|n| apply(&mut same, 1, n, 100 + u64::from(n)).is_none()));
        assert!(same.observe(&Obs::End).is_ok());
    }

    #[test]
    fn a_life_ends_before_it_can_say_so() {
        let mut outside = history();
        assert_eq!(apply(&mut outside, 1, 1, 201), None);
        let how = crate::observe::Down::Kill;
        assert!(outside.observe(&Obs::Stopped { node: 1, how }).is_ok());
        assert!((1..=5).all(|n| apply(&mut outside, 1, n, 200).is_none()), "it reads its log");
        let (zxid, health) = (Zxid::new(1, 5), Health::Damaged);
        let event = Event::Recovered { last_logged: zxid, applied: zxid, accepted_epoch: 1, current_epoch: 1, health };
        assert_eq!(sees(&mut outside, 1, event), None);
        assert!(outside.observe(&Obs::End).is_ok());
    }

    #[test]
    fn what_nobody_has_proposed() {
        let mut outside = history();
        assert_eq!(apply(&mut outside, 1, 6, 106), Some("U2"));
        assert!(outside.observe(&Obs::Outside { why: "the network repeats itself" }).is_ok());
        assert_eq!(apply(&mut outside, 1, 6, 106), None, "who knows what has arrived");
    }

    #[test]
    fn where_bytes_are_lost_nothing_is_counted() {
        let mut outside = five();
        assert!(outside.observe(&Obs::Outside { why: "bytes were lost" }).is_ok());
        assert!(establish(&mut outside, &[1, 2]).is_ok());
    }
}
