//! Quorum arithmetic: majority and hierarchical (quorum-protocol section 11). Nothing here knows about roles.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Ensemble;
use crate::ids::Sid;
use crate::mutant::{Mutant, Mutants};

/// Decides which sets of servers are a quorum of one configuration.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Ascending; shared by all who ask.
    voters: Arc<[Sid]>,
    groups: Option<Groups>,
    mutants: Mutants,
}

#[derive(Clone, Debug)]
struct Groups {
    /// Of each voter, by index: its group's index and its weight.
    member: Vec<Option<(usize, i64)>>,
    /// Total weight of each group.
    weight: Vec<i64>,
}

impl Verifier {
    /// The verifier of this configuration.
    #[must_use]
    pub fn new(ensemble: &Ensemble, mutants: Mutants) -> Self {
        let voters = ensemble.voters().map(|m| m.sid).collect();
        let mut ids: Vec<i64> = ensemble.voters().filter_map(|m| m.group).collect();
        ids.sort_unstable();
        ids.dedup();
        let groups = (!ids.is_empty()).then(|| {
            let mut weight = alloc::vec![0; ids.len()];
            let member = ensemble
                .voters()
                .map(|m| {
                    let group = ids.binary_search(&m.group?).ok()?;
                    weight[group] += m.weight;
                    Some((group, m.weight))
                })
                .collect();
            Groups { member, weight }
        });
        Self { voters, groups, mutants }
    }

    /// The verifier of a server alone.
    #[must_use]
    pub fn alone(sid: Sid) -> Self {
        Self { voters: Arc::new([sid]), groups: None, mutants: Mutants::default() }
    }

    /// The voters, ascending.
    #[must_use]
    pub fn voters(&self) -> &[Sid] {
        &self.voters
    }

    /// Position of a voter in [`Verifier::voters`].
    #[must_use]
    pub fn index(&self, sid: Sid) -> Option<usize> {
        // Ids mostly follow each other.
        let guess = usize::try_from(sid.0.wrapping_sub(self.voters.first()?.0)).ok();
        guess.filter(|i| self.voters.get(*i) == Some(&sid)).or_else(|| self.voters.binary_search(&sid).ok())
    }

    /// Whether this server votes.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.index(sid).is_some()
    }

    /// Whether this server may be proposed and elected.
    #[must_use]
    pub fn is_electable(&self, sid: Sid) -> bool {
        self.is_voter(sid) || self.mutants.has(Mutant::B35)
    }

    /// Planted bugs.
    pub(crate) const fn mutants(&self) -> Mutants {
        self.mutants
    }

    /// Weight of a voter; 0 for others and for voters outside every group. Weight 0 never wins an election.
    #[must_use]
    pub fn weight(&self, sid: Sid) -> i64 {
        match (self.index(sid), &self.groups) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(i), Some(groups)) => groups.member[i].map_or(0, |(_, w)| w),
        }
    }

    /// How many voters make a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

/// A set of servers that said yes, kept incrementally: adding is O(1), so is the majority test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    low: u64,
    high: Vec<u64>,
    count: usize,
}

impl Tally {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { low: 0, high: Vec::new(), count: 0 }
    }

    /// Counts this server once, if it votes. Returns whether it was new.
    pub fn add(&mut self, verifier: &Verifier, sid: Sid) -> bool {
        let Some(i) = verifier.index(sid) else {
            if verifier.mutants.has(Mutant::K05) {
                self.count += 1;
            }
            return false;
        };
        if self.bit(i) {
            self.count += usize::from(verifier.mutants.has(Mutant::K04));
            return false;
        }
        if i < 64 {
            self.low |= 1 << i;
        } else {
            let word = i / 64 - 1;
            if self.high.len() <= word {
                self.high.resize(word + 1, 0);
            }
            self.high[word] |= 1 << (i % 64);
        }
        self.count += 1;
        true
    }

    /// Takes this server out again.
    pub fn remove(&mut self, verifier: &Verifier, sid: Sid) {
        let Some(i) = verifier.index(sid).filter(|i| self.bit(*i)) else { return };
        if i < 64 {
            self.low &= !(1 << i);
        } else {
            self.high[i / 64 - 1] &= !(1 << (i % 64));
        }
        self.count -= 1;
    }

    /// Whether this server is in it.
    #[must_use]
    pub fn contains(&self, verifier: &Verifier, sid: Sid) -> bool {
        verifier.index(sid).is_some_and(|i| self.bit(i))
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the set is a quorum of the verifier that it was built with.
    #[must_use]
    pub fn is_quorum(&self, verifier: &Verifier) -> bool {
        let Some(groups) = verifier.groups.as_ref().filter(|_| !verifier.mutants.has(Mutant::Q16)) else {
            let needed =
                if verifier.mutants.has(Mutant::K02) { verifier.voters.len() / 2 } else { verifier.majority() };
            return self.count >= needed;
        };
        let mut have = alloc::vec![0_i64; groups.weight.len()];
        for (i, member) in groups.member.iter().enumerate() {
            if let Some((group, weight)) = member
                && self.bit(i)
            {
                have[*group] += weight;
            }
        }
        let live = groups.weight.iter().filter(|w| **w > 0).count();
        let won = have.iter().zip(&groups.weight).filter(|(have, all)| **all > 0 && **have > **all / 2).count();
        won > live / 2
    }

    fn bit(&self, i: usize) -> bool {
        if i < 64 { self.low >> i & 1 == 1 } else { self.high.get(i / 64 - 1).is_some_and(|w| w >> (i % 64) & 1 == 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Member, MemberKind};

    fn ensemble(groups: &[(i64, Option<i64>, i64)]) -> Ensemble {
        let members = groups
            .iter()
            .map(|(sid, group, weight)| Member {
                sid: Sid(*sid),
                quorum: "h:1".into(),
                election: "h:2".into(),
                client: None,
                kind: MemberKind::Participant,
                weight: *weight,
                group: *group,
            })
            .collect();
        Ensemble { members, version: 0 }
    }

    fn quorum(v: &Verifier, sids: &[i64]) -> bool {
        let mut t = Tally::new();
        sids.iter().for_each(|s| {
            t.add(v, Sid(*s));
        });
        t.is_quorum(v)
    }

    #[test]
    fn a_majority_counts_each_voter_once() {
        let v = Verifier::new(&ensemble(&[(1, None, 1), (2, None, 1), (3, None, 1)]), Mutants::default());
        assert!(!quorum(&v, &[1, 1, 1]));
        assert!(!quorum(&v, &[1, 9]));
        assert!(quorum(&v, &[1, 3]));
    }

    #[test]
    fn beyond_sixty_four_voters() {
        let all: Vec<_> = (1..=201).map(|i| (i, None, 1)).collect();
        let v = Verifier::new(&ensemble(&all), Mutants::default());
        assert!(!quorum(&v, &(1..=100).collect::<Vec<_>>()));
        assert!(quorum(&v, &(101..=201).collect::<Vec<_>>()));
    }

    #[test]
    fn a_majority_of_groups_with_weight_each_by_majority_of_weight() {
        let e = ensemble(&[
            (1, Some(1), 1),
            (2, Some(1), 1),
            (3, Some(1), 1),
            (4, Some(2), 1),
            (5, Some(2), 1),
            (6, Some(2), 1),
            (7, Some(3), 0),
        ]);
        let v = Verifier::new(&e, Mutants::default());
        assert!(!quorum(&v, &[1, 2, 4]));
        assert!(quorum(&v, &[1, 2, 4, 5]));
        assert!(!quorum(&v, &[1, 2, 3, 7]));
        assert_eq!(v.weight(Sid(7)), 0);
    }
}
