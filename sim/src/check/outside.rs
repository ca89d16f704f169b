//! U6: outside the fault budget a server stops or reports, and never diverges silently.
//!
//! When: from the fault that broke what everything rests on, at each apply; judged once, at the end of the run. O(log servers) each.
//! Nothing else is checked from then on, but where two servers have one id (P9) that no leader is established by counting both.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::{Event, Health};
use quorate_core::ids::{Epoch, Zxid};

use super::ghost::Ghost;
use super::{Checked, broken};
use crate::fault::TWO_OF_ONE;
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
}

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
}

impl Outside {
    pub(super) fn new(ghost: &Ghost, identities: &BTreeMap<usize, usize>, why: &str) -> Self {
        Self {
            servers: BTreeMap::new(),
            identities: identities.clone(),
            quorum: ghost.quorum().clone(),
            joined: BTreeMap::new(),
            floor: ghost.servers.iter().map(|s| s.accepted.max(s.promised)).max().unwrap_or(0),
            counts: why == TWO_OF_ONE,
            digests: ghost.digests,
        }
    }

    pub(super) fn observe(&mut self, what: &Obs<'_>) -> Checked {
        match what {
            Obs::Server { node, event } => {
                self.event(*node, event);
                return self.count(*node, event);
            }
            Obs::Stopped { node, .. } => {
                // What was told once is told: a snapshot that is taken of such a tree does not know it after the next start.
                let reported = self.servers.get(node).is_some_and(|s| s.reported);
                self.servers.insert(*node, Standing { reported, ..Standing::default() });
            }
            Obs::Started { digests, .. } => self.digests &= *digests,
            Obs::Cloned { node, of } => _ = self.identities.insert(*node, *of),
            Obs::Outside { why } => self.counts &= *why == TWO_OF_ONE,
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

    fn event(&mut self, n: usize, event: &Event) {
        let s = self.servers.entry(n).or_default();
        match event {
            Event::Applied { zxid, digest, .. } => {
                (s.zxid, s.digest) = (*zxid, *digest);
                s.applied += 1;
            }
            Event::TreeReplaced { zxid, digest } => (s.zxid, s.digest, s.applied) = (*zxid, *digest, 0),
            Event::DigestMismatch { .. } => s.reported = true,
            Event::Recovered { health, .. } => s.reported |= *health != Health::Intact,
            _ => {}
        }
    }

    fn judge(&self) -> Checked {
        if !self.digests {
            return Ok(());
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

    #[test]
    fn where_bytes_are_lost_nothing_is_counted() {
        let mut outside = five();
        assert!(outside.observe(&Obs::Outside { why: "bytes were lost" }).is_ok());
        assert!(establish(&mut outside, &[1, 2]).is_ok());
    }
}
