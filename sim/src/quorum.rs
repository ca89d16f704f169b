//! Which sets of voters decide (quorum-protocol 11), written independently of the core's arithmetic: it judges that.

use crate::spec::Topology;

/// Groups of voters and their weights. Plain ensembles are one group in which everybody weighs 1.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Quorum {
    /// Members, from 0, and what each weighs.
    groups: Vec<Vec<(usize, u64)>>,
}

impl Quorum {
    pub(crate) fn of(topology: &Topology) -> Self {
        let member = |name: &str| {
            let n = name.trim().strip_prefix('s')?.parse::<usize>().ok()?.checked_sub(1)?;
            Some((n, topology.weights.get(name.trim()).copied().unwrap_or(1)))
        };
        let groups = topology.groups.iter().map(|names| names.split(',').filter_map(member).collect());
        let groups: Vec<Vec<(usize, u64)>> = groups.collect();
        if groups.is_empty() { Self::plain(topology.voters as usize) } else { Self { groups } }
    }

    /// The first so many servers vote, and heads are counted.
    pub(crate) fn plain(voters: usize) -> Self {
        Self { groups: vec![(0..voters).map(|n| (n, 1)).collect()] }
    }

    /// How many decide, whoever they are; none where it matters who.
    pub(crate) fn heads(&self) -> Option<usize> {
        let [all] = self.groups.as_slice() else { return None };
        all.iter().all(|(_, weight)| *weight == 1).then(|| all.len() / 2 + 1)
    }

    /// Whether those who `are` in it decide: in more than half of the groups that weigh anything they have more than half of the weight.
    pub(crate) fn decides(&self, are: impl Fn(usize) -> bool) -> bool {
        let (mut counted, mut won) = (0, 0);
        for group in &self.groups {
            let all: u64 = group.iter().map(|(_, weight)| weight).sum();
            let theirs: u64 = group.iter().filter(|(n, _)| are(*n)).map(|(_, weight)| weight).sum();
            counted += usize::from(all > 0);
            won += usize::from(theirs * 2 > all);
        }
        won * 2 > counted
    }

    /// The group of a voter, from 0, and what it weighs there.
    pub(crate) fn place(&self, node: usize) -> Option<(usize, u64)> {
        let found = |group: &Vec<(usize, u64)>| group.iter().find(|(n, _)| *n == node).map(|(_, weight)| *weight);
        self.groups.iter().enumerate().find_map(|(g, group)| Some((g, found(group)?)))
    }

    /// Of all voters, in this order, as many as can be missed together: the others decide without them.
    pub(crate) fn can_miss(&self, order: &[usize]) -> Vec<usize> {
        if let Some(heads) = self.heads() {
            return order[..order.len().saturating_sub(heads)].to_vec();
        }
        let mut missed = Vec::new();
        let mut there = vec![true; order.len()];
        for n in order {
            there[*n] = false;
            if self.decides(|n| there[n]) {
                missed.push(*n);
            } else {
                there[*n] = true;
            }
        }
        missed
    }

    /// How many voters it takes to decide when they come in this order.
    pub(crate) fn first(&self, order: &[usize]) -> usize {
        if let Some(heads) = self.heads() {
            return heads.min(order.len());
        }
        let mut there = vec![false; order.len()];
        let decide = |n: &usize| {
            there[*n] = true;
            self.decides(|n| there[n])
        };
        order.iter().position(decide).map_or(order.len(), |last| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(list: &[&str], weights: &[(&str, u64)]) -> Quorum {
        let groups = list.iter().map(|s| (*s).to_owned()).collect();
        let weights = weights.iter().map(|(s, w)| ((*s).to_owned(), *w)).collect();
        Quorum::of(&Topology { voters: 9, groups, weights, ..Topology::default() })
    }
    fn decide(q: &Quorum, these: &[usize]) -> bool {
        q.decides(|n| these.contains(&(n + 1)))
    }

    #[test]
    fn heads_count_where_there_are_no_groups() {
        let q = groups(&[], &[]);
        assert_eq!(q.heads(), Some(5));
        assert!(decide(&q, &[1, 2, 3, 4, 9]) && !decide(&q, &[1, 2, 3, 4]));
        assert_eq!(Quorum::plain(4).can_miss(&[3, 2, 1, 0]), [3]);
        assert_eq!((Quorum::plain(4).first(&[3, 2, 1, 0]), Quorum::plain(5).first(&[3, 2, 1, 0, 4])), (3, 3));
    }

    #[test]
    fn groups_decide_by_most_of_them() {
        let q = groups(&["s1,s2,s3", "s4,s5,s6", "s7,s8,s9"], &[]);
        assert_eq!((q.heads(), q.place(4)), (None, Some((1, 1))));
        assert!(decide(&q, &[1, 2, 4, 5]), "fewer than half of the heads");
        assert!(!decide(&q, &[1, 2, 3, 4, 7]), "more than half of the heads");
        assert_eq!(q.can_miss(&[0, 1, 2, 3, 4, 6, 5, 7, 8]), [0, 1, 2, 3, 6], "a whole group, and one of each other");
        assert_eq!(q.first(&[0, 3, 6, 1, 2, 4, 5, 7, 8]), 6);
    }

    #[test]
    fn what_weighs_nothing_counts_nowhere() {
        let q = groups(&["s1,s2", "s3,s4,s5"], &[("s1", 0), ("s3", 3)]);
        assert!(decide(&q, &[2, 3]) && !decide(&q, &[1, 3, 4, 5]) && !decide(&q, &[2, 4, 5]));
        let q = groups(&["s1,s2,s3", "s4"], &[("s4", 0)]);
        assert!(decide(&q, &[1, 2]), "a group without any weight is none");
        assert!(!decide(&groups(&["s1,s2", "s3,s4"], &[]), &[1, 2]), "half of the groups is not more than half");
    }
}
