//! [`plan`] against every pair of short histories that ZAB can produce.
//!
//! Three past epochs of up to two proposals each, every one begun on any prefix of an older history, and a fourth whose leader
//! decides. What the decision leads to is carried out on plain lists and compared with the leader's history.

use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::wire::txnlog::Record;

type Log = Vec<Zxid>;

/// Proposals of one epoch at most.
const MOST: u32 = 2;

/// The histories of the leaders of epochs 1 to `epochs`, in every way in which they can have come about.
fn worlds(epochs: i64) -> Vec<Vec<Log>> {
    let mut all: Vec<Vec<Log>> = alloc::vec![Vec::new()];
    for epoch in 1..=epochs {
        let mut next = Vec::new();
        for world in &all {
            let mut begins: Vec<Log> = world.iter().flat_map(prefixes).collect();
            begins.push(Log::new());
            begins.sort();
            begins.dedup();
            for begin in begins {
                for proposals in 0..=MOST {
                    let mut log = begin.clone();
                    log.extend((1..=proposals).map(|c| Zxid::new(epoch, c)));
                    let mut world = world.clone();
                    world.push(log);
                    next.push(world);
                }
            }
        }
        all = next;
    }
    all
}

fn prefixes(log: &Log) -> impl Iterator<Item = Log> + '_ {
    (0..=log.len()).map(|n| log[..n].to_vec())
}

/// What a leader keeps in memory of this history; the first `decided` entries are applied.
fn in_memory(log: &Log, decided: usize, window: usize) -> History {
    let mut h = History::new(window, 1 << 20);
    for zxid in log {
        h.push(Record { zxid: *zxid, payload: Bytes::new() });
    }
    if let Some(last) = decided.checked_sub(1) {
        h.commit_to(log[last]);
        for _ in 0..decided {
            h.applied_first();
        }
    }
    h
}

/// The learner's log after this plan, up to what is decided; `None`: a snapshot replaces it.
fn carried_out(plan: Plan, leader: &Log, learner: &Log) -> Option<Log> {
    let rest = |from: Zxid| leader.iter().filter(move |z| **z > from).copied();
    match plan {
        Plan::Snap => None,
        // The log on disk has everything that the leader has: it is found there, or a snapshot goes.
        Plan::LogThenSnap { from } if !leader.contains(&from) && from != Zxid::ZERO => None,
        Plan::Diff { from } | Plan::LogThenSnap { from } => {
            assert_eq!(from, learner.last().copied().unwrap_or_default(), "DIFF begins where the learner ends");
            Some(learner.iter().copied().chain(rest(from)).collect())
        }
        Plan::Trunc { to } => {
            assert!(to == Zxid::ZERO || learner.contains(&to), "a cut is made at an entry that the learner has");
            Some(learner.iter().copied().filter(|z| *z <= to).chain(rest(to)).collect())
        }
    }
}

#[test]
fn every_pair_of_short_histories_ends_as_the_leader_has_it() {
    let (mut pairs, mut snaps) = (0, 0);
    for world in worlds(4) {
        let leader = world.last().expect("four epochs");
        let begun = leader.iter().filter(|z| z.epoch() < 4).count();
        // Everybody's log is part of some leader's; the present leader's own learners may have its proposals.
        let mut learners: Vec<Log> = world.iter().flat_map(prefixes).collect();
        learners.sort();
        learners.dedup();
        for decided in begun..=leader.len() {
            let end = decided.checked_sub(1).map_or(Zxid::ZERO, |i| leader[i]);
            for window in [1, 100] {
                let history = in_memory(leader, decided, window);
                for learner in &learners {
                    let peer = learner.last().copied().unwrap_or_default();
                    for ours in [false, true] {
                        let plan = plan(&history, end, peer, ours, Mutants::default());
                        pairs += 1;
                        let Some(log) = carried_out(plan, leader, learner) else {
                            snaps += 1;
                            continue;
                        };
                        assert_eq!(&log, leader, "{plan:?} for {learner:?}, decided up to {end}");
                    }
                }
            }
        }
    }
    assert!(pairs > 100_000, "{pairs} pairs");
    // A snapshot is always right, and never needed where the learner has a part of the leader's history and a window covers it.
    assert!(snaps * 2 < pairs, "{snaps} of {pairs} need a snapshot");
}

/// The planted bugs of this decision do not survive the same comparison.
#[test]
#[cfg(feature = "mutants")]
fn the_wrong_decisions_are_noticed() {
    for mutant in [Mutant::B01, Mutant::K08] {
        let wrong = worlds(3).into_iter().any(|world| {
            let leader = world.last().expect("three epochs");
            let end = leader.last().copied().unwrap_or_default();
            let history = in_memory(leader, leader.len(), 100);
            world.iter().flat_map(prefixes).any(|learner| {
                let peer = learner.last().copied().unwrap_or_default();
                match plan(&history, end, peer, true, Mutants::planted(mutant)) {
                    Plan::Diff { from } => from != peer,
                    Plan::Trunc { to } => to != Zxid::ZERO && !learner.contains(&to),
                    Plan::LogThenSnap { .. } | Plan::Snap => false,
                }
            })
        });
        assert!(wrong, "{mutant:?}");
    }
}
