//! The leader's view of the global sessions: who owns them, when they expire, which are being closed (client-protocol 2.3, 2.4).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::hash::IdMap;
use crate::ids::{Millis, SessionId, Sid};
use crate::mutant::{Mutant, Mutants};
use crate::session::expiry::Expiry;

/// Which server a request came through. Ownership is a server's, never a single connection's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The leader itself, or a server alone.
    Local,
    /// This learner.
    Learner(Sid),
}

/// What a request of a session may count on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It lives, and it is the asker's.
    Good,
    /// Nothing is known of it.
    Unknown,
    /// Its close is on its way: nothing of it is accepted any more (ZOOKEEPER-1208).
    Closing,
    /// It was resumed on another server.
    Moved,
}

/// A session that was not heard of for too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired {
    /// Which.
    pub session: SessionId,
    /// Since it was last heard of.
    pub idle_ms: Millis,
    /// Its timeout.
    pub timeout_ms: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    timeout: i32,
    heard: Millis,
    /// `None` after an election: the first request or revalidation claims it.
    owner: Option<Origin>,
    closing: bool,
}

/// How a session has ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// It is remembered until then.
    until: Millis,
    /// It was closed, or has expired. Otherwise its client was only told so: a local one was refused away from its home.
    closed: bool,
}

/// The sessions of the ensemble, as their leader knows them. Times are ms of the monotonic clock.
#[derive(Clone, Debug)]
pub struct Tracker {
    sessions: IdMap<SessionId, Session>,
    expiry: Expiry,
    /// Sessions that have ended lately, …
    ended: IdMap<SessionId, Ended>,
    /// … and until when they are remembered, in order.
    forget: VecDeque<(Millis, SessionId)>,
    remember: Millis,
    mutants: Mutants,
}

impl Tracker {
    /// Without a session; expiry buckets are `tick` ms wide.
    #[must_use]
    pub fn new(tick: Millis) -> Self {
        Self {
            sessions: IdMap::default(),
            expiry: Expiry::new(tick),
            ended: IdMap::default(),
            forget: VecDeque::new(),
            remember: 0,
            mutants: Mutants::default(),
        }
    }

    /// Ended sessions stay known as closing for `ms`. Where sessions may be local, an unknown one may write; what an ended one
    /// asked for before, on a connection that it left, must not pass for that.
    #[must_use]
    pub const fn remembering(mut self, ms: Millis) -> Self {
        self.remember = ms;
        self
    }

    /// With these planted bugs.
    #[must_use]
    pub fn planted(mut self, mutants: Mutants) -> Self {
        self.mutants = mutants;
        self
    }

    /// A session that is new, or known from the tree; `timeout` in ms. `owner`: who asked for it, `None` after an election.
    pub fn add(&mut self, now: Millis, session: SessionId, timeout: i32, owner: Option<Origin>) {
        self.sessions.insert(session, Session { timeout, heard: now, owner, closing: false });
        self.expiry.touch(now, session, timeout.into());
    }

    /// The session is gone.
    pub fn remove(&mut self, now: Millis, session: SessionId) {
        self.sessions.remove(&session);
        self.expiry.remove(session);
        self.note_end(now, session, true);
    }

    fn note_end(&mut self, now: Millis, session: SessionId, closed: bool) {
        while let Some((until, old)) = self.forget.front().filter(|(until, _)| *until <= now) {
            if self.ended.get(old).is_some_and(|end| end.until == *until) {
                self.ended.remove(old);
            }
            self.forget.pop_front();
        }
        if self.remember > 0 && self.ended.get(&session).is_none_or(|end| closed && !end.closed) {
            let until = now + self.remember;
            self.ended.insert(session, Ended { until, closed });
            self.forget.push_back((until, session));
        }
    }

    /// The session was heard of; `timeout` in ms is the one negotiated on that connection. One that is closing or unknown is
    /// not woken.
    pub fn touch(&mut self, now: Millis, session: SessionId, timeout: i32) {
        if let Some(known) = self.sessions.get_mut(&session)
            && (!known.closing || self.mutants.has(Mutant::B54))
        {
            (known.heard, known.timeout, known.closing) = (now, timeout, false);
            self.expiry.touch(now, session, timeout.into());
        }
    }

    /// A client resumes its session at `origin`: it moves there if it lives. Returns whether it does. One that does not is over,
    /// for its client hears of that: a local one whose upgrade is still on its way too, until it is resumed on its own server.
    pub fn revalidate(&mut self, now: Millis, session: SessionId, timeout: i32, origin: Origin) -> bool {
        let wakes = self.mutants.has(Mutant::B54);
        let known = self.sessions.get_mut(&session).filter(|s| !s.closing || wakes);
        let alive = known.map(|s| s.owner = Some(origin)).is_some();
        if alive {
            self.touch(now, session, timeout);
        } else {
            self.note_end(now, session, false);
        }
        alive
    }

    /// A local session was resumed on the server where it lives: that it was refused elsewhere is void. What it had asked for
    /// before came before this.
    pub fn resumed_at_home(&mut self, session: SessionId) {
        if self.ended.get(&session).is_some_and(|end| !end.closed) {
            self.ended.remove(&session);
        }
    }

    /// What a request that came through `origin` may count on. An unowned session becomes the asker's.
    pub fn check(&mut self, session: SessionId, origin: Origin) -> Standing {
        match self.sessions.get_mut(&session) {
            None if self.ended.contains_key(&session) => Standing::Closing,
            None => Standing::Unknown,
            Some(s) if s.closing => Standing::Closing,
            Some(s) => {
                if *s.owner.get_or_insert(origin) == origin {
                    Standing::Good
                } else {
                    Standing::Moved
                }
            }
        }
    }

    /// closeSession has its place in the order: nothing behind it is accepted.
    pub fn close(&mut self, session: SessionId) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.closing = true;
            self.expiry.remove(session);
        }
    }

    /// Appends the sessions that have expired; they are closing from now on.
    pub fn expire(&mut self, now: Millis, gone: &mut Vec<Expired>) {
        for session in self.expiry.expire(now) {
            let known = self.sessions.get_mut(&session).expect("what expires is known");
            known.closing = true;
            gone.push(Expired { session, idle_ms: now - known.heard, timeout_ms: known.timeout.into() });
        }
    }

    /// When [`Tracker::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.expiry.next_deadline()
    }

    /// Whether the session is known, closing ones included.
    #[must_use]
    pub fn contains(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Whether the session has ended lately.
    #[must_use]
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains_key(&session)
    }

    /// How many sessions are known, closing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }
    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The sessions by the instant at which they expire, for `dump`.
    #[must_use]
    pub fn buckets(&self) -> Vec<(Millis, Vec<SessionId>)> {
        self.expiry.buckets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(0x0100_0000_0000_0001);
    const ONE: Origin = Origin::Learner(Sid(1));
    const TWO: Origin = Origin::Learner(Sid(2));

    #[test]
    fn a_session_that_moved_is_the_new_servers_and_may_move_back() {
        let mut tracker = Tracker::new(1000);
        tracker.add(0, A, 4000, Some(ONE));
        assert_eq!(tracker.check(A, ONE), Standing::Good);
        assert!(tracker.revalidate(10, A, 4000, TWO));
        assert_eq!(tracker.check(A, ONE), Standing::Moved);
        assert_eq!(tracker.check(A, TWO), Standing::Good);
        assert!(tracker.revalidate(20, A, 4000, ONE));
        assert_eq!(tracker.check(A, ONE), Standing::Good);
        assert_eq!(tracker.check(A, Origin::Local), Standing::Moved);
    }

    #[test]
    fn after_an_election_the_first_request_claims_the_session() {
        let mut tracker = Tracker::new(1000);
        tracker.add(0, A, 4000, None);
        assert_eq!(tracker.check(A, TWO), Standing::Good);
        assert_eq!(tracker.check(A, ONE), Standing::Moved);
        assert_eq!(tracker.check(SessionId(9), ONE), Standing::Unknown);
    }

    #[test]
    fn what_is_closing_is_neither_woken_nor_moved() {
        let mut tracker = Tracker::new(1000);
        tracker.add(0, A, 2000, Some(ONE));
        let mut gone = Vec::new();
        tracker.expire(2999, &mut gone);
        assert_eq!(gone, []);
        tracker.expire(3100, &mut gone);
        assert_eq!(gone, [Expired { session: A, idle_ms: 3100, timeout_ms: 2000 }]);
        tracker.touch(3200, A, 2000);
        assert_eq!(tracker.next_deadline(), None);
        assert!(!tracker.revalidate(3200, A, 2000, ONE));
        assert_eq!(tracker.check(A, ONE), Standing::Closing);
        tracker.remove(3200, A);
        assert_eq!(tracker.check(A, ONE), Standing::Unknown);
        assert!(!tracker.revalidate(3300, A, 2000, ONE));
    }

    #[test]
    fn an_ended_session_is_remembered_for_a_while_where_unknown_ones_may_write() {
        let mut tracker = Tracker::new(1000).remembering(5000);
        let b = SessionId(A.0 + 1);
        tracker.add(0, A, 2000, Some(ONE));
        tracker.add(0, b, 2000, Some(ONE));
        tracker.remove(100, A);
        assert_eq!(tracker.check(A, ONE), Standing::Closing);
        assert!(!tracker.revalidate(200, A, 2000, ONE));
        assert!(!tracker.contains(A));
        tracker.remove(5100, b);
        assert_eq!((tracker.check(A, ONE), tracker.check(b, ONE)), (Standing::Unknown, Standing::Closing));
    }

    #[test]
    fn a_local_session_that_was_refused_elsewhere_goes_on_at_home() {
        let mut tracker = Tracker::new(1000).remembering(5000);
        assert!(!tracker.revalidate(0, A, 2000, TWO));
        assert_eq!(tracker.check(A, ONE), Standing::Closing);
        tracker.resumed_at_home(A);
        assert_eq!(tracker.check(A, ONE), Standing::Unknown);
        assert!(!tracker.revalidate(3000, A, 2000, TWO));
        tracker.remove(5500, SessionId(9));
        assert_eq!(tracker.check(A, ONE), Standing::Closing, "the newer refusal counts");
        tracker.remove(6000, A);
        tracker.resumed_at_home(A);
        tracker.remove(10_999, SessionId(10));
        assert_eq!(tracker.check(A, ONE), Standing::Closing, "it was closed, five seconds ago");
    }

    #[test]
    fn the_timeout_of_the_latest_connection_counts() {
        let mut tracker = Tracker::new(1000);
        tracker.add(0, A, 30_000, Some(ONE));
        assert!(tracker.revalidate(500, A, 4000, TWO));
        assert_eq!(tracker.buckets(), [(5000, alloc::vec![A])]);
        tracker.close(A);
        assert_eq!(tracker.buckets(), []);
    }
}
