//! Sessions that only this server knows: `localSessionsEnabled`, and those of a read-only server (client-protocol 2.6, 14).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{Millis, SessionId};
use crate::session::Expiry;

#[derive(Clone, Debug)]
pub(super) struct LocalSessions {
    /// Timeouts in ms.
    timeouts: BTreeMap<SessionId, i32>,
    expiry: Expiry,
    tick: Millis,
}

impl LocalSessions {
    pub(super) fn new(tick: Millis) -> Self {
        Self { timeouts: BTreeMap::new(), expiry: Expiry::new(tick), tick }
    }
    pub(super) fn len(&self) -> usize {
        self.timeouts.len()
    }
    pub(super) fn buckets(&self) -> Vec<(Millis, Vec<SessionId>)> {
        self.expiry.buckets()
    }
    pub(super) fn add(&mut self, session: SessionId, timeout: i32, now: Millis) {
        self.timeouts.insert(session, timeout);
        self.expiry.touch(now, session, timeout.into());
    }
    /// Whether the session lives here; then it has this timeout now.
    pub(super) fn resume(&mut self, session: SessionId, timeout: i32, now: Millis) -> bool {
        let known = self.timeouts.contains_key(&session);
        if known {
            self.add(session, timeout, now);
        }
        known
    }
    pub(super) fn touch(&mut self, session: SessionId, timeout: i32, now: Millis) {
        if self.timeouts.contains_key(&session) {
            self.expiry.touch(now, session, timeout.into());
        }
    }
    pub(super) fn remove(&mut self, session: SessionId) {
        self.timeouts.remove(&session);
        self.expiry.remove(session);
    }
    pub(super) fn expire(&mut self, now: Millis) -> Vec<SessionId> {
        if self.next_deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let gone: Vec<SessionId> = self.expiry.expire(now);
        for session in &gone {
            self.timeouts.remove(session);
        }
        gone
    }
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.expiry.next_deadline()
    }
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.tick);
    }
}
