//! Votes: who is proposed by whom, and when that is enough (quorum-protocol 2.4 to 2.6).

use alloc::collections::{BTreeMap, BTreeSet};

use crate::config::Timing;
use crate::election::OwnHistory;
use crate::election::links::{Announcement, Arrival};
use crate::ids::{Epoch, Millis, Sid, Zxid};
use crate::mutant::Mutant;
use crate::quorum::{Tally, Verifier};
use crate::wire::notification::{Vote, VoterState};

/// The end of an election: whom to lead or follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Elected.
    pub leader: Sid,
    /// The vote that elected it.
    pub vote: Vote,
    /// Logical clock.
    pub round: i64,
    /// Every voter was heard LOOKING without a history: nothing can be lost, so the empty ones count.
    pub nothing_anywhere: bool,
}

/// What a notification leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Nothing to send.
    Nothing,
    /// The proposal changed: tell every voter.
    Broadcast,
    /// Tell this server where we stand.
    Answer(Sid),
    /// An established leader has a quorum behind it.
    Join(Decision),
}

/// What became of the own vote of an empty server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    None,
    /// Somebody has data: this server only joins.
    OnlyJoins,
    /// Nobody has: it counts.
    MayVote,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    state: VoterState,
    vote: Vote,
    round: i64,
}

/// The election of one server. `Vote.leader == NOBODY` is the vote of a server that does not vote.
#[derive(Clone, Debug)]
pub struct Fle {
    me: Sid,
    verifier: Verifier,
    min_interval: Millis,
    max_interval: Millis,
    state: VoterState,
    /// LOOKING: logical clock. Otherwise the round that elected `vote`.
    round: i64,
    own: OwnHistory,
    /// LOOKING: the proposal. Otherwise the vote that is answered.
    vote: Vote,
    /// Latest notification of each voter in this election.
    seen: BTreeMap<Sid, Seen>,
    /// Voters whose vote and round equal the proposal, this server included.
    agree: Tally,
    /// Voters that follow or lead, by leader and epoch.
    settled: BTreeMap<(Sid, Epoch), Tally>,
    /// The same by leader and round: within one round the leader alone decides whether votes are equal (2.6), because its
    /// followers learn of its epoch one by one.
    same_round: BTreeMap<(Sid, i64), Tally>,
    /// Latest notification of each other voter that is LOOKING and has no history.
    blank: BTreeMap<Sid, Arrival>,
    /// LEADING: voters whose last word, since this server settled, was for another leader.
    elsewhere: BTreeSet<Sid>,
    /// A server with data was heard, ever, so an empty one does not vote.
    data_heard: bool,
    /// When the quiet time began: a quorum agrees since then.
    quorum_since: Option<Millis>,
    interval: Millis,
    resend_at: Millis,
}

/// The leader proposed by servers that do not vote.
pub const NOBODY: Sid = Sid(i64::MIN);

impl Fle {
    /// A server that has not looked yet.
    #[must_use]
    pub fn new(me: Sid, verifier: Verifier, timing: &Timing) -> Self {
        Self {
            me,
            verifier,
            min_interval: timing.min_notification_ms,
            max_interval: timing.max_notification_ms,
            state: VoterState::Looking,
            round: 0,
            own: OwnHistory { zxid: Zxid::ZERO, epoch: 0, damaged: false, empty: false },
            vote: Vote { leader: NOBODY, zxid: Zxid::NONE, epoch: 0 },
            seen: BTreeMap::new(),
            agree: Tally::new(),
            settled: BTreeMap::new(),
            same_round: BTreeMap::new(),
            blank: BTreeMap::new(),
            elsewhere: BTreeSet::new(),
            data_heard: false,
            quorum_since: None,
            interval: timing.min_notification_ms,
            resend_at: 0,
        }
    }

    /// The logical clock.
    #[must_use]
    pub fn round(&self) -> i64 {
        self.round
    }
    /// Whether an election is going on.
    #[must_use]
    pub fn looking(&self) -> bool {
        self.state == VoterState::Looking
    }
    /// The present wait between two notifications.
    #[must_use]
    pub fn interval(&self) -> Millis {
        self.interval
    }
    /// What others hear.
    #[must_use]
    pub fn announcement(&self) -> Announcement {
        Announcement { state: self.state, vote: self.vote, round: self.round }
    }

    /// Whether this server's vote counts: a voter with a history that it can vouch for.
    fn votes(&self) -> bool {
        self.verifier.is_voter(self.me)
            && !self.own.damaged
            && !(self.own.empty && self.data_heard && !self.nothing_anywhere())
    }

    /// Whether every voter is LOOKING without a history, this one included: a first start that was interrupted. An epoch without
    /// a transaction holds nothing that could be lost.
    fn nothing_anywhere(&self) -> bool {
        !self.own.damaged && self.own.zxid <= Zxid::ZERO && self.blank.len() + 1 == self.verifier.voters().len()
    }

    fn initial_vote(&self) -> Vote {
        if !self.verifier.is_electable(self.me) {
            return Vote { leader: NOBODY, zxid: Zxid(i64::MIN), epoch: i64::MIN };
        }
        let votes = self.votes() || !self.verifier.is_voter(self.me);
        let zxid = if votes { self.own.zxid } else { Zxid::NONE };
        Vote { leader: self.me, zxid, epoch: self.own.epoch }
    }

    /// A new election. Everything heard in an earlier one is forgotten.
    pub fn look(&mut self, now: Millis, own: OwnHistory) -> Reaction {
        self.state = VoterState::Looking;
        if self.round > 0 {
            self.blank.clear();
        }
        self.round = self.round.saturating_add(1);
        self.own = own;
        self.seen.clear();
        self.settled.clear();
        self.same_round.clear();
        self.interval = self.min_interval;
        self.resend_at = now + self.interval;
        self.vote = self.initial_vote();
        self.recount(now);
        Reaction::Broadcast
    }

    /// The role is decided.
    pub fn settle(&mut self, state: VoterState, vote: Vote) {
        assert_ne!(state, VoterState::Looking, "LOOKING begins with look()");
        self.state = state;
        self.vote = vote;
        self.seen.clear();
        self.settled.clear();
        self.same_round.clear();
        self.elsewhere.clear();
        self.agree = Tally::new();
        self.quorum_since = None;
    }

    /// Whether the voters that may still follow this server, itself among them, are no quorum.
    #[must_use]
    pub fn outvoted(&self) -> bool {
        let mut left = Tally::new();
        for sid in self.verifier.voters().iter().filter(|sid| !self.elsewhere.contains(sid)) {
            left.add(&self.verifier, *sid);
        }
        !left.is_quorum(&self.verifier)
    }

    fn recount(&mut self, now: Millis) {
        self.agree = Tally::new();
        if self.votes() {
            self.agree.add(&self.verifier, self.me);
        }
        for (sid, seen) in &self.seen {
            if seen.round == self.round && seen.vote == self.vote && seen.state != VoterState::Observing {
                self.agree.add(&self.verifier, *sid);
            }
        }
        self.quorum_since = self.agree.is_quorum(&self.verifier).then_some(now);
    }

    fn better(&self, new: &Vote, old: &Vote) -> bool {
        let electable = self.verifier.weight(new.leader) > 0 || !self.verifier.is_voter(new.leader);
        // A total order: epoch, then zxid, then id (ZOOKEEPER-1419).
        let by_id = (new.zxid, new.leader) > (old.zxid, old.leader) && new.zxid == old.zxid;
        electable && (new.key() > old.key() || (by_id && self.verifier.mutants().has(Mutant::B33)))
    }

    /// A notification arrived.
    pub fn on_notification(&mut self, now: Millis, n: &Arrival) -> Reaction {
        let news = self.hear_of_data(now, n);
        if news == News::MayVote {
            // What the others had proposed while this server had no vote is looked at now.
            for earlier in self.blank.clone().values() {
                self.on_looking(now, earlier);
            }
            return Reaction::Broadcast;
        }
        if self.round == 0 {
            // The log is still being read: there is no vote to give, or to compare with.
            return Reaction::Nothing;
        }
        if !self.verifier.is_electable(n.sid) {
            // Observers and strangers are told where we stand; nothing of theirs counts.
            return if n.state == VoterState::Looking { Reaction::Answer(n.sid) } else { Reaction::Nothing };
        }
        if !self.looking() {
            if n.vote.leader == self.vote.leader {
                self.elsewhere.remove(&n.sid);
            } else if self.state == VoterState::Leading {
                self.elsewhere.insert(n.sid);
            }
            return if n.state == VoterState::Looking { Reaction::Answer(n.sid) } else { Reaction::Nothing };
        }
        if !self.verifier.is_electable(n.vote.leader) {
            return Reaction::Nothing;
        }
        let reaction = match n.state {
            VoterState::Looking => self.on_looking(now, n),
            VoterState::Observing => Reaction::Nothing,
            VoterState::Following | VoterState::Leading => self.on_settled(now, n),
        };
        // From now on this server only joins: whoever has data decides.
        if news == News::OnlyJoins && reaction == Reaction::Nothing { Reaction::Broadcast } else { reaction }
    }

    /// Remembers who has data and who has none, also while the own log is still being read: it may not be said again before this
    /// server would decide with others that are as empty.
    fn hear_of_data(&mut self, now: Millis, n: &Arrival) -> News {
        if !self.verifier.is_voter(n.sid) || n.sid == self.me {
            return News::None;
        }
        // A settled server announces the epoch of its leader, durable or not; one that is LOOKING, its own durable one.
        let data = n.vote.zxid > Zxid::ZERO || (n.state == VoterState::Looking && n.vote.epoch > 0);
        let before = self.votes();
        self.data_heard |= data;
        if n.state == VoterState::Looking && n.vote.zxid <= Zxid::ZERO {
            self.blank.insert(n.sid, *n);
        } else {
            self.blank.remove(&n.sid);
        }
        if self.round == 0 || !self.looking() || before == self.votes() {
            return News::None;
        }
        self.vote = self.initial_vote();
        self.recount(now);
        if before { News::OnlyJoins } else { News::MayVote }
    }

    fn on_looking(&mut self, now: Millis, n: &Arrival) -> Reaction {
        let stale = n.round < self.round;
        if !self.votes() && self.verifier.is_voter(self.me) {
            return Reaction::Nothing;
        }
        if n.vote.zxid == Zxid::NONE {
            return if stale { Reaction::Answer(n.sid) } else { Reaction::Nothing };
        }
        if stale {
            return Reaction::Answer(n.sid);
        }
        let mut changed = false;
        if n.round > self.round {
            self.round = n.round;
            let own = self.initial_vote();
            self.vote = if own.leader == NOBODY || self.better(&n.vote, &own) { n.vote } else { own };
            changed = true;
        } else if self.better(&n.vote, &self.vote) {
            self.vote = n.vote;
            changed = true;
        }
        self.note(n);
        if changed {
            self.recount(now);
            return Reaction::Broadcast;
        }
        self.count(now, n.sid, n.vote == self.vote);
        Reaction::Nothing
    }

    /// This voter's newest word is for the proposal in this round, or not.
    fn count(&mut self, now: Millis, sid: Sid, agrees: bool) {
        if agrees {
            self.agree.add(&self.verifier, sid);
        } else {
            self.agree.remove(&self.verifier, sid);
        }
        if !self.agree.is_quorum(&self.verifier) {
            self.quorum_since = None;
        } else if self.quorum_since.is_none() {
            self.quorum_since = Some(now);
        }
    }

    /// Remembers the latest notification of a voter and keeps the tallies of settled ones.
    fn note(&mut self, n: &Arrival) {
        let seen = Seen { state: n.state, vote: n.vote, round: n.round };
        let settled = |s: &Seen| matches!(s.state, VoterState::Following | VoterState::Leading);
        if let Some(old) = self.seen.insert(n.sid, seen)
            && settled(&old)
        {
            let tallies = [
                self.settled.get_mut(&(old.vote.leader, old.vote.epoch)),
                self.same_round.get_mut(&(old.vote.leader, old.round)),
            ];
            for tally in tallies.into_iter().flatten() {
                tally.remove(&self.verifier, n.sid);
            }
        }
        if settled(&seen) {
            self.settled.entry((n.vote.leader, n.vote.epoch)).or_default().add(&self.verifier, n.sid);
            self.same_round.entry((n.vote.leader, n.round)).or_default().add(&self.verifier, n.sid);
        }
    }

    fn on_settled(&mut self, now: Millis, n: &Arrival) -> Reaction {
        self.note(n);
        let leader = n.vote.leader;
        // A leader counts for itself only by its own word; this server leads only what was elected in this very round.
        let leads = if leader == self.me {
            n.round == self.round
        } else {
            self.seen.get(&leader).is_some_and(|s| s.state == VoterState::Leading)
        };
        let quorum = |tally: Option<&Tally>| tally.is_some_and(|t| t.is_quorum(&self.verifier));
        let any_round = !self.verifier.mutants().has(Mutant::B34);
        // One without a vote is in no round: a leader may wait for it before its followers learn of the epoch.
        let same_round = n.round == self.round || !self.votes();
        let behind = (any_round && quorum(self.settled.get(&(leader, n.vote.epoch))))
            || (same_round && quorum(self.same_round.get(&(leader, n.round))));
        if leads && behind && leader != self.me {
            self.round = n.round;
            return Reaction::Join(Decision { leader, vote: n.vote, round: n.round, nothing_anywhere: false });
        }
        // Votes of the same round and the same content count for a proposal that is still being agreed upon; another one takes back
        // what was said before.
        self.count(now, n.sid, n.round == self.round && n.vote == self.vote);
        Reaction::Nothing
    }

    /// Decides when the proposal has a quorum and either nobody is left who could object (everyone agrees, or cannot be
    /// reached), or the quiet time has passed. A hasty decision costs a round, never safety: only epochs decide.
    pub fn conclude(&mut self, now: Millis, unreachable: impl Fn(Sid) -> bool) -> Option<Decision> {
        let since = self.quorum_since?;
        let quiet = now - since >= self.min_interval;
        let everyone = || {
            let v = &self.verifier;
            v.voters().iter().all(|s| self.agree.contains(v, *s) || unreachable(*s))
        };
        let nothing_anywhere = self.nothing_anywhere();
        let (leader, vote, round) = (self.vote.leader, self.vote, self.round);
        (quiet || everyone()).then_some(Decision { leader, vote, round, nothing_anywhere })
    }

    /// Whether notifications should be sent again now; then waits twice as long.
    pub fn resend_due(&mut self, now: Millis) -> bool {
        if now < self.resend_at {
            return false;
        }
        self.interval = (self.interval * 2).min(self.max_interval);
        self.resend_at = now + self.interval;
        true
    }

    /// When something is due; `None` unless LOOKING.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        if !self.looking() {
            return None;
        }
        let quiet = self.quorum_since.map(|s| s + self.min_interval);
        Some(quiet.map_or(self.resend_at, |q| q.min(self.resend_at)))
    }
}

#[cfg(test)]
mod narrow;
