//! Rounds of confirmation that make `sync` linearizable, and the end of a session certain: a quorum of voters echoes a PING that
//! left after the question arrived (design page; the Java leader answers at once, so that a deposed one can lie).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::{LinkId, SessionId, Sid, Zxid};
use crate::quorum::{Tally, Verifier};

/// Who waits for a confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncOrigin {
    /// A client of this server that syncs.
    Client(LinkId),
    /// A learner, for one of its clients that syncs.
    Learner(LinkId),
    /// A client of this server that resumes a session of which this leader knows nothing: a later one may.
    Gone(SessionId),
    /// A learner, for such a client.
    GoneAt(LinkId, SessionId),
    /// A learner, for a client that resumes a session that lives, while an earlier answer about it waits here.
    ThereAt(LinkId, SessionId),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    origin: SyncOrigin,
    /// Newest proposal when it arrived.
    after: Zxid,
}

/// Syncs on their way: waiting for a round, in a round, or waiting for commits.
#[derive(Clone, Debug, Default)]
pub struct Confirm {
    next: Vec<Waiting>,
    round: Vec<Waiting>,
    echoed: Tally,
    ready: VecDeque<Waiting>,
}

impl Confirm {
    /// A sync arrived while `last` was the newest proposal.
    pub fn add(&mut self, origin: SyncOrigin, last: Zxid) {
        self.next.push(Waiting { origin, after: last });
    }
    /// Planted bug Q03: it waits for commits only, for no round.
    pub fn believe(&mut self, origin: SyncOrigin, last: Zxid) {
        self.ready.push_back(Waiting { origin, after: last });
    }
    /// Starts a round for everything that waits; this server counts itself. The caller sends the PINGs.
    pub fn start(&mut self, verifier: &Verifier, me: Sid) {
        assert!(self.round.is_empty(), "one round at a time");
        core::mem::swap(&mut self.round, &mut self.next);
        self.echoed = Tally::new();
        self.echo(verifier, me);
    }
    /// This server echoed a PING of the round.
    pub fn echo(&mut self, verifier: &Verifier, sid: Sid) {
        self.echoed.add(verifier, sid);
        if self.echoed.is_quorum(verifier) {
            self.ready.extend(self.round.drain(..));
        }
    }
    /// How many wait, for a round, in it, or for commits.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.next.len() + self.round.len() + self.ready.len()
    }
    /// Whether an answer about that session waits for this learner.
    #[must_use]
    pub fn owes(&self, link: LinkId, session: SessionId) -> bool {
        let answers = [SyncOrigin::GoneAt(link, session), SyncOrigin::ThereAt(link, session)];
        self.next.iter().chain(&self.round).chain(&self.ready).any(|waiting| answers.contains(&waiting.origin))
    }
    /// Whether a round is under way.
    #[must_use]
    pub fn in_round(&self) -> bool {
        !self.round.is_empty()
    }
    /// Whether another round should start.
    #[must_use]
    pub fn wants_round(&self) -> bool {
        self.round.is_empty() && !self.next.is_empty()
    }
    /// The next sync that is confirmed and whose proposals are all decided.
    pub fn pop(&mut self, committed: Zxid) -> Option<SyncOrigin> {
        if self.ready.front()?.after > committed {
            return None;
        }
        self.ready.pop_front().map(|w| w.origin)
    }
}
