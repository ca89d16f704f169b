//! Writes whose connection ended before they were decided: their transactions are still to come, and none of them may answer a
//! request that the session has asked under the same xid on its next connection (client-protocol 1.3, 12).

use alloc::collections::{BTreeMap, VecDeque};

use crate::front::applied::could_become;
use crate::ids::SessionId;

/// By session, in the order in which they were asked: xid and opcode.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans(BTreeMap<SessionId, VecDeque<(i32, i32)>>);

impl Orphans {
    pub(super) fn add(&mut self, session: SessionId, xid: i32, op: i32) {
        self.0.entry(session).or_default().push_back((xid, op));
    }

    /// Whether a transaction is what became of the oldest one of this session; then that is forgotten.
    pub(super) fn take(&mut self, session: SessionId, xid: i32, txn: i32) -> bool {
        let Some(queue) = self.0.get_mut(&session) else { return false };
        let oldest = queue.front().is_some_and(|(cxid, op)| *cxid == xid && could_become(*op, txn));
        if oldest {
            queue.pop_front();
            if queue.is_empty() {
                self.0.remove(&session);
            }
        }
        oldest
    }

    /// The leader has put this request aside: nothing comes of it. Returns whether it was one of these.
    pub(super) fn forget(&mut self, session: SessionId, xid: i32) -> bool {
        let Some(queue) = self.0.get_mut(&session) else { return false };
        let Some(at) = queue.iter().position(|(cxid, _)| *cxid == xid) else { return false };
        queue.remove(at);
        if queue.is_empty() {
            self.0.remove(&session);
        }
        true
    }

    /// The session is over: nothing more comes of what it has asked. Returns how many requests that were.
    pub(super) fn end(&mut self, session: SessionId) -> usize {
        self.0.remove(&session).map_or(0, |queue| queue.len())
    }

    /// Returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        core::mem::take(&mut self.0).values().map(VecDeque::len).sum()
    }
}
