//! Fast leader election against the rules of quorum-protocol 2.4 to 2.6, over every combination of small vote sets.
//!
//! [`Model`] says the rules once more, plainly: a list of votes, counted each time. The two are asked,
//! after each notification, who would be elected if silence followed.

use alloc::vec::Vec;

use super::*;
use crate::config::{Ensemble, Member, MemberKind};
use crate::mutant::Mutants;

/// An ensemble: id, group (0: majority), weight; whether it votes.
type Servers = &'static [(i64, i64, i64, bool)];

const THREE: Servers = &[(1, 0, 1, true), (2, 0, 1, true), (3, 0, 1, true), (4, 0, 1, false)];
const FIVE: Servers = &[(1, 0, 1, true), (2, 0, 1, true), (3, 0, 1, true), (4, 0, 1, true), (5, 0, 1, true)];
/// The best id has no weight.
const WEIGHED: Servers = &[(1, 1, 1, true), (2, 1, 1, true), (3, 1, 1, true), (4, 1, 0, true)];
const GROUPS: Servers = &[(1, 1, 1, true), (2, 1, 1, true), (3, 2, 2, true), (4, 2, 1, true), (5, 3, 1, true)];

const OBSERVER: i64 = 4;
const STRANGER: i64 = 9;

fn ensemble(servers: Servers) -> Ensemble {
    let members = servers.iter().map(|(sid, group, weight, votes)| Member {
        sid: Sid(*sid),
        quorum: "h:1".into(),
        election: "h:2".into(),
        client: None,
        kind: if *votes { MemberKind::Participant } else { MemberKind::Observer },
        weight: *weight,
        group: (*group > 0).then_some(*group),
    });
    Ensemble { members: members.collect(), version: 0 }
}

fn verifier(servers: Servers) -> Verifier {
    Verifier::new(&ensemble(servers), Mutants::default())
}

fn is_voter(servers: Servers, sid: i64) -> bool {
    servers.iter().any(|(s, .., votes)| *s == sid && *votes)
}

fn weight(servers: Servers, sid: i64) -> i64 {
    servers.iter().find(|(s, ..)| *s == sid).map_or(0, |(_, _, weight, _)| *weight)
}

/// Quorum-protocol section 11: more than half of the voters, or of the groups with weight more than half, each by more than half
/// of its weight.
fn is_quorum(servers: Servers, said_yes: &[i64]) -> bool {
    let voters: Vec<_> = servers.iter().filter(|(.., votes)| *votes).collect();
    let yes = |sid: i64| said_yes.contains(&sid);
    if voters.iter().all(|(_, group, ..)| *group == 0) {
        return 2 * voters.iter().filter(|(sid, ..)| yes(*sid)).count() > voters.len();
    }
    let mut groups: Vec<i64> =
        voters.iter().filter(|(_, _, weight, _)| *weight > 0).map(|(_, group, ..)| *group).collect();
    groups.sort_unstable();
    groups.dedup();
    let weight_of = |group: i64, only: &dyn Fn(i64) -> bool| -> i64 {
        voters.iter().filter(|(sid, g, ..)| *g == group && only(*sid)).map(|(_, _, weight, _)| weight).sum()
    };
    let won = groups.iter().filter(|g| 2 * weight_of(**g, &yes) > weight_of(**g, &|_| true)).count();
    2 * won > groups.len()
}

fn vote(leader: i64, zxid: i64, epoch: Epoch) -> Vote {
    Vote { leader: Sid(leader), zxid: Zxid(zxid), epoch }
}

/// Whether a candidate beats another: (epoch, zxid, sid), and never without weight.
fn beats(servers: Servers, new: &Vote, old: &Vote) -> bool {
    weight(servers, new.leader.0) > 0
        && (new.epoch > old.epoch
            || (new.epoch == old.epoch
                && (new.zxid > old.zxid || (new.zxid == old.zxid && new.leader.0 > old.leader.0))))
}

/// The rules. Of each voter the newest word is kept, and no other: what was heard in another order comes to the same.
#[derive(Clone)]
struct Model {
    servers: Servers,
    me: i64,
    round: i64,
    initial: Vote,
    proposal: Vote,
    words: Vec<Arrival>,
    joined: Option<i64>,
}

const fn is_settled(n: &Arrival) -> bool {
    matches!(n.state, VoterState::Following | VoterState::Leading)
}

impl Model {
    fn new(servers: Servers, me: i64, own: Vote, round: i64) -> Self {
        Self { servers, me, round, initial: own, proposal: own, words: Vec::new(), joined: None }
    }

    fn hear(&mut self, n: &Arrival) {
        if !is_voter(self.servers, n.sid.0) || !is_voter(self.servers, n.vote.leader.0) {
            return;
        }
        let looking = n.state == VoterState::Looking;
        if (looking && n.round < self.round) || n.state == VoterState::Observing {
            return;
        }
        self.words.retain(|m| m.sid != n.sid);
        self.words.push(*n);
        if looking && n.round > self.round {
            self.round = n.round;
            self.proposal = if beats(self.servers, &n.vote, &self.initial) { n.vote } else { self.initial };
        } else if looking && beats(self.servers, &n.vote, &self.proposal) {
            self.proposal = n.vote;
        } else if is_settled(n) {
            self.join(n);
        }
    }

    /// A leader that says so itself, with a quorum behind it: that agrees on its epoch, or was elected in this very round.
    fn join(&mut self, n: &Arrival) {
        let leader = n.vote.leader;
        let leads = self.words.iter().any(|m| m.sid == leader && m.state == VoterState::Leading);
        let followers = || self.words.iter().filter(|m| is_settled(m) && m.vote.leader == leader);
        let is_quorum = |sids: Vec<i64>| is_quorum(self.servers, &sids);
        let of_epoch = is_quorum(followers().filter(|m| m.vote.epoch == n.vote.epoch).map(|m| m.sid.0).collect());
        let of_round = is_quorum(followers().filter(|m| m.round == self.round).map(|m| m.sid.0).collect());
        if leads && leader.0 != self.me && (of_epoch || (n.round == self.round && of_round)) {
            self.joined = Some(leader.0);
        }
    }

    /// Who is elected if nothing more is heard.
    fn elected(&self) -> Option<i64> {
        let same = |m: &&Arrival| m.round == self.round && m.vote == self.proposal;
        let mut behind: Vec<i64> = self.words.iter().filter(same).map(|m| m.sid.0).collect();
        behind.push(self.me);
        self.joined.or_else(|| is_quorum(self.servers, &behind).then_some(self.proposal.leader.0))
    }
}

/// The real one, with what it has come to.
#[derive(Clone)]
struct Real {
    fle: Fle,
    joined: Option<i64>,
}

/// When everything that waits for silence is over.
const LATE: Millis = 1_000_000;

impl Real {
    fn new(servers: Servers, me: i64, own: Vote, round: i64) -> Self {
        let mut fle = Fle::new(Sid(me), verifier(servers), &Timing::default());
        for _ in 0..round {
            fle.look(0, OwnHistory { zxid: own.zxid, epoch: own.epoch, damaged: false, empty: false });
        }
        Self { fle, joined: None }
    }
    fn hear(&mut self, n: &Arrival) -> Reaction {
        let reaction = self.fle.on_notification(0, n);
        if let Reaction::Join(d) = reaction {
            self.joined = Some(d.leader.0);
        }
        reaction
    }
    fn elected(&self) -> Option<i64> {
        self.joined.or_else(|| self.fle.clone().conclude(LATE, |_| false).map(|d| d.leader.0))
    }
}

fn arrival(sid: i64, state: VoterState, vote: Vote, round: i64) -> Arrival {
    Arrival { sid: Sid(sid), state, vote, round, version: 2 }
}

const STATES: [VoterState; 4] =
    [VoterState::Looking, VoterState::Following, VoterState::Leading, VoterState::Observing];

/// Every notification of this server: states, leaders, two epochs, two zxids, three rounds.
fn notifications(sid: i64, leaders: &[i64]) -> Vec<Arrival> {
    let mut all = Vec::new();
    for state in STATES {
        for leader in leaders {
            for (epoch, zxid) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                all.extend((1..=3).map(|round| arrival(sid, state, vote(*leader, zxid, epoch), round)));
            }
        }
    }
    all
}

/// Both hear the same; after each notification both say the same.
fn compare(servers: Servers, me: i64, own: Vote, round: i64, heard: &[Arrival]) -> Option<i64> {
    let mut model = Model::new(servers, me, own, round);
    let mut real = Real::new(servers, me, own, round);
    for (i, n) in heard.iter().enumerate() {
        model.hear(n);
        real.hear(n);
        let (want, got) = (model.elected(), real.elected());
        assert_eq!(want, got, "server {me}, {own:?} in round {round}, hears {:#?}", &heard[..=i]);
        if model.joined.is_some() || real.joined.is_some() {
            return got;
        }
        let said = real.fle.announcement();
        assert_eq!((said.round, said.vote), (model.round, model.proposal), "{me} hears {:#?}", &heard[..=i]);
    }
    real.elected()
}

#[test]
fn three_voters_hear_every_pair_of_notifications_in_both_orders() {
    let (mut cases, mut elections) = (0, 0);
    // The first in the order of ids, and the last; in the middle nothing else happens.
    for (me, a, b) in [(1, 2, 3), (3, 1, 2)] {
        let (first, second) = (notifications(a, &[1, 2, 3]), notifications(b, &[1, 2, 3]));
        for (own, round) in [(vote(me, 1, 1), 1), (vote(me, 2, 1), 2), (vote(me, 1, 2), 2)] {
            for x in &first {
                for y in &second {
                    for heard in [[*x, *y], [*y, *x]] {
                        cases += 1;
                        elections += usize::from(compare(THREE, me, own, round, &heard).is_some());
                    }
                }
            }
        }
    }
    assert_eq!(cases, 2 * 3 * 144 * 144 * 2);
    assert!(elections > cases / 10, "{elections} of {cases}");
}

#[test]
fn what_was_said_before_is_forgotten() {
    let few = |sid| {
        let kept = |n: &Arrival| n.round < 3 && n.vote.zxid.0 == n.vote.epoch && n.vote.leader.0 != 1;
        notifications(sid, &[1, 2, 3]).into_iter().filter(kept).collect::<Vec<_>>()
    };
    let mut cases = 0;
    for x in few(2) {
        for y in few(3) {
            for z in few(2) {
                cases += 1;
                compare(THREE, 1, vote(1, 1, 1), 1, &[x, y, z]);
            }
        }
    }
    assert_eq!(cases, 32 * 32 * 32);
}

#[test]
fn five_voters_and_groups_hear_everybody() {
    let mut cases = 0;
    for servers in [FIVE, GROUPS, WEIGHED] {
        let others: Vec<i64> = servers.iter().map(|s| s.0).filter(|sid| *sid != 2).collect();
        // Of each: for the best or for itself, by itself or settled, now or a round earlier; or nothing.
        let kinds = |sid: i64, best: i64| {
            let settled = if sid == best { VoterState::Leading } else { VoterState::Following };
            [
                None,
                Some(arrival(sid, VoterState::Looking, vote(best, 2, 2), 2)),
                Some(arrival(sid, VoterState::Looking, vote(sid, 1, 2), 2)),
                Some(arrival(sid, VoterState::Looking, vote(best, 2, 2), 1)),
                Some(arrival(sid, settled, vote(best, 2, 2), 2)),
                Some(arrival(sid, settled, vote(best, 1, 3), 1)),
            ]
        };
        for best in servers.iter().map(|s| s.0) {
            for number in 0..6_usize.pow(others.len() as u32) {
                let chosen =
                    others.iter().enumerate().map(|(i, sid)| kinds(*sid, best)[number / 6_usize.pow(i as u32) % 6]);
                let heard: Vec<Arrival> = chosen.flatten().collect();
                let backwards: Vec<Arrival> = heard.iter().rev().copied().collect();
                for heard in [heard, backwards] {
                    cases += 1;
                    compare(servers, 2, vote(2, 1, 2), 2, &heard);
                }
            }
        }
    }
    assert_eq!(cases, 2 * (5 * 6_usize.pow(4) * 2 + 4 * 6_usize.pow(3)));
}

/// Those that do not vote are answered and change nothing; nor is one elected that does not vote.
#[test]
fn nothing_of_observers_and_strangers_counts() {
    let mut cases = 0;
    let mut all: Vec<Arrival> =
        [OBSERVER, STRANGER].iter().flat_map(|sid| notifications(*sid, &[1, 3, 4, 9])).collect();
    all.extend([2, 3].iter().flat_map(|sid| notifications(*sid, &[OBSERVER, STRANGER])));
    for n in &all {
        for friend in notifications(3, &[3]) {
            let own = vote(1, 1, 1);
            let (mut with, mut without) = (Real::new(THREE, 1, own, 1), Real::new(THREE, 1, own, 1));
            without.hear(&friend);
            let reaction = with.hear(n);
            let asks = n.state == VoterState::Looking && [OBSERVER, STRANGER].contains(&n.sid.0);
            assert_eq!(reaction, if asks { Reaction::Answer(n.sid) } else { Reaction::Nothing }, "{n:?}");
            with.hear(&friend);
            with.hear(n);
            assert_eq!(with.elected(), without.elected(), "{n:?} beside {friend:?}");
            assert_eq!(with.fle.announcement().vote, without.fle.announcement().vote);
            assert!(with.elected().is_none_or(|leader| is_voter(THREE, leader)));
            cases += 1;
        }
    }
    assert_eq!(cases, (2 * 192 + 2 * 96) * 48);
}

/// However often it speaks, and whatever it said before, a voter counts once.
#[test]
fn one_vote_each() {
    let mut cases = 0;
    for first in notifications(2, &[1, 2, 3]) {
        for again in notifications(2, &[1, 2, 3]) {
            let mut real = Real::new(FIVE, 1, vote(1, 1, 1), 1);
            for n in [first, again, first, again] {
                real.hear(&n);
                assert_eq!(real.elected(), None, "two of five: {first:?} {again:?}");
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 144 * 144);
}

#[test]
fn votes_are_totally_ordered() {
    let mut cases = 0;
    for servers in [THREE, WEIGHED] {
        let real = Fle::new(Sid(1), verifier(servers), &Timing::default());
        let mut votes = Vec::new();
        for leader in servers.iter().filter(|s| s.3).map(|s| s.0) {
            for epoch in 0..3 {
                votes.extend((0..3).map(|zxid| vote(leader, zxid, epoch)));
            }
        }
        for a in &votes {
            for b in &votes {
                assert_eq!(real.better(a, b), beats(servers, a, b), "{a:?} {b:?}");
                assert!(!(real.better(a, b) && real.better(b, a)), "antisymmetric: {a:?} {b:?}");
                let weighed = weight(servers, a.leader.0) > 0 && weight(servers, b.leader.0) > 0;
                assert!(!weighed || a == b || real.better(a, b) || real.better(b, a), "total: {a:?} {b:?}");
                for c in &votes {
                    cases += 1;
                    let chain = real.better(a, b) && real.better(b, c);
                    assert!(!chain || real.better(a, c), "transitive: {a:?} {b:?} {c:?}");
                }
            }
        }
    }
    assert_eq!(cases, 27_usize.pow(3) + 36_usize.pow(3));
}

/// Any two quorums have a voter in common, so one vote each elects one leader at most.
#[test]
fn no_two_winners() {
    for servers in [THREE, FIVE, WEIGHED, GROUPS] {
        let v = verifier(servers);
        let sets: Vec<u32> = (0..1 << servers.len()).collect();
        let members = |set: u32| servers.iter().enumerate().filter(move |(i, _)| set >> i & 1 == 1).map(|(_, s)| s.0);
        let quorum = |set: u32| {
            let mut tally = Tally::new();
            members(set).for_each(|sid| {
                tally.add(&v, Sid(sid));
                tally.add(&v, Sid(sid));
            });
            assert_eq!(tally.is_quorum(&v), is_quorum(servers, &members(set).collect::<Vec<_>>()), "{set:b}");
            tally.is_quorum(&v)
        };
        let quorums: Vec<u32> = sets.iter().copied().filter(|set| quorum(*set)).collect();
        assert!(!quorums.is_empty());
        for a in &quorums {
            for b in &quorums {
                assert!(members(a & b).any(|sid| is_voter(servers, sid)), "{a:b} and {b:b}");
            }
            assert!(sets.iter().all(|more| quorums.contains(&(a | more))), "more of them are a quorum too");
        }
    }
}

/// A whole election: everybody who is up hears everybody, first in first out, until nobody has anything to say.
fn elect(servers: Servers, up: &[i64], own: &[Vote], rounds: &[i64]) -> Vec<Option<i64>> {
    let mut all: Vec<Real> =
        up.iter().zip(own).zip(rounds).map(|((sid, own), round)| Real::new(servers, *sid, *own, *round)).collect();
    let said = |r: &Real| {
        let a = r.fle.announcement();
        arrival(r.fle.me.0, a.state, a.vote, a.round)
    };
    let mut queue: alloc::collections::VecDeque<(usize, Arrival)> = alloc::collections::VecDeque::new();
    for (i, r) in all.iter().enumerate() {
        queue.extend((0..up.len()).filter(|j| *j != i).map(|j| (j, said(r))));
    }
    while let Some((to, n)) = queue.pop_front() {
        match all[to].hear(&n) {
            Reaction::Broadcast => {
                let said = said(&all[to]);
                queue.extend((0..up.len()).filter(|j| *j != to).map(|j| (j, said)));
            }
            Reaction::Answer(sid) => {
                let at = up.iter().position(|s| *s == sid.0).expect("it has spoken");
                queue.push_back((at, said(&all[to])));
            }
            Reaction::Nothing | Reaction::Join(_) => {}
        }
    }
    all.iter().map(Real::elected).collect()
}

#[test]
fn whoever_has_most_of_those_that_are_up_wins() {
    const HISTORIES: [(Epoch, i64); 4] = [(1, 1), (1, 2), (2, 1), (2, 2)];
    let mut cases = 0;
    for servers in [THREE, FIVE, WEIGHED, GROUPS] {
        let voters: Vec<i64> = servers.iter().filter(|s| s.3).map(|s| s.0).collect();
        for set in 1..1_u32 << voters.len() {
            let up: Vec<i64> = (0..voters.len()).filter(|i| set >> i & 1 == 1).map(|i| voters[i]).collect();
            for number in 0..4_usize.pow(up.len() as u32) {
                let history = |i: usize| HISTORIES[number / 4_usize.pow(i as u32) % 4];
                let own: Vec<Vote> = up.iter().enumerate().map(|(i, s)| vote(*s, history(i).1, history(i).0)).collect();
                let mut best: Option<&Vote> = None;
                for v in own.iter().filter(|v| weight(servers, v.leader.0) > 0) {
                    best = best.filter(|b| beats(servers, b, v)).or(Some(v));
                }
                let winner = best.filter(|_| is_quorum(servers, &up)).map(|v| v.leader.0);
                for skew in 0..2 {
                    let rounds: Vec<i64> = (0..up.len()).map(|i| 1 + (i as i64 * skew) % 3).collect();
                    let got = elect(servers, &up, &own, &rounds);
                    for (sid, got) in up.iter().zip(got) {
                        // One without weight stays by its own vote until those who have elected say so.
                        let waits = weight(servers, *sid) == 0 && got.is_none();
                        assert!(got == winner || waits, "{own:?} in {rounds:?}: s{sid} {got:?}, not {winner:?}");
                    }
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 2 * (124 + 3124 + 624 + 3124));
}

/// The planted bugs of the predicate do not survive the same comparison.
#[test]
#[cfg(feature = "mutants")]
fn the_wrong_predicates_are_noticed() {
    let wrong = |servers: Servers, mutant: Mutant, own: Vote, heard: &[Arrival]| {
        let mut real = Real::new(servers, 1, own, 1);
        real.fle.verifier = Verifier::new(&ensemble(servers), Mutants::planted(mutant));
        real.fle.look(0, OwnHistory { zxid: own.zxid, epoch: own.epoch, damaged: false, empty: false });
        let mut model = Model::new(servers, 1, own, 2);
        heard.iter().any(|n| {
            model.hear(n);
            real.hear(n);
            model.elected() != real.elected() || model.proposal != real.fle.announcement().vote
        })
    };
    let mut all = notifications(2, &[1, 2, 3]);
    all.extend(notifications(OBSERVER, &[1, 2, 3, OBSERVER]));
    for (servers, mutant) in
        [(THREE, Mutant::K02), (FIVE, Mutant::K04), (THREE, Mutant::B33), (THREE, Mutant::B34), (THREE, Mutant::B35)]
    {
        let noticed = all.iter().any(|x| {
            notifications(3, &[3]).iter().any(|y| {
                let own = [vote(1, 1, 1), vote(1, 1, 2)];
                own.iter().any(|own| wrong(servers, mutant, *own, &[*x, *y]) || wrong(servers, mutant, *own, &[*x, *x]))
            })
        });
        assert!(noticed, "{mutant:?}");
    }
}
