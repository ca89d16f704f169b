//! The clients' side of the loop: what they want is carried out, when they are due is planned.

use super::World;
use crate::client::{Client, Lent, Wants};
use crate::network::ConnId;
use crate::node::NEVER;
use crate::queue::{Micros, Plan};
use crate::spec::{At, ExplicitOp};
use crate::workload::Op;

impl World<'_> {
    fn with_client(&mut self, c: usize, f: impl FnOnce(&mut Client, &mut Lent<'_, '_>)) {
        let mut wants = Wants::default();
        let client = &mut self.clients[c];
        let (conn, left) = (client.conn, client.left_conn());
        let mut lent = Lent {
            now: self.now,
            watcher: &mut self.watcher,
            wants: &mut wants,
            servers: &self.attachable,
            left: &mut self.ops_left,
            refilled: self.refilled,
            ops: self.ops.as_mut(),
        };
        f(client, &mut lent);
        if let Some(id) = conn {
            if !wants.send.is_empty() {
                self.send_as_client(id, &wants.send);
            }
            if wants.close {
                self.hang_up(id, 0, true);
            }
        }
        if let Some(id) = left {
            if !wants.send_left.is_empty() {
                self.send_as_client(id, &wants.send_left);
            }
            if wants.close_left {
                self.hang_up(id, 0, true);
            }
        }
        if let Some(node) = wants.connect {
            let id = self.dial_as_client(c, node);
            self.clients[c].conn = Some(id);
        }
        self.plan_client(c);
    }

    /// An operation that a client is told of beforehand.
    pub(super) fn list_operation(&mut self, at: Micros, explicit: &ExplicitOp) {
        if let Some((client, op)) = self.named_operation(explicit) {
            client.list(at, op);
        }
    }

    /// An explicit operation is to be asked.
    pub(super) fn operation(&mut self, i: usize) {
        let explicit = &self.spec.workload.explicit[i];
        let at = match explicit.at {
            At::Tick { tick } => At::Tick { tick },
            _ => At::Us { us: self.now },
        };
        if let Some((client, op)) = self.named_operation(explicit) {
            client.give(at, op);
            self.plan_client(explicit.client as usize - 1);
        }
    }

    fn named_operation(&mut self, explicit: &ExplicitOp) -> Option<(&mut Client, Op)> {
        let client = self.clients.get_mut((explicit.client as usize).checked_sub(1)?)?;
        Some((client, Op::from_explicit(explicit)?))
    }

    /// Plans a client's next turn.
    pub(crate) fn plan_client(&mut self, c: usize) {
        let work = self.ops_left > 0;
        let client = &mut self.clients[c];
        let at = client.deadline(work);
        if at == NEVER {
            return;
        }
        let at = at.max(self.now);
        if at < client.planned || client.planned < self.now {
            client.planned = at;
            client.turn += 1;
            self.queue.push(at, Plan::Client { client: c as u32, turn: client.turn });
        }
    }

    pub(super) fn client_turn(&mut self, c: usize, turn: u32) {
        if self.clients[c].turn != turn {
            return;
        }
        self.clients[c].planned = NEVER;
        let due = self.clients[c].deadline(self.ops_left > 0);
        if due <= self.now {
            self.with_client(c, |client, lent| client.wake(lent));
        } else {
            self.plan_client(c);
        }
    }

    pub(super) fn client_bytes(&mut self, c: usize, id: ConnId, bytes: &[u8]) {
        if let Some(visitor) = self.visitors.get_mut(&id) {
            visitor.received.extend_from_slice(bytes);
        } else if self.clients[c].conn == Some(id) {
            self.with_client(c, |client, lent| client.bytes(bytes, lent));
        } else if self.clients[c].left_conn() == Some(id) {
            self.with_client(c, |client, lent| client.left_bytes(bytes, lent));
        }
    }

    pub(super) fn client_opened(&mut self, c: usize, id: ConnId) {
        if self.visitors.contains_key(&id) {
            return;
        }
        if self.clients[c].conn == Some(id) {
            // Addresses move: whoever has accepted is asked.
            let served_by = self.net.get(id).map(|conn| conn.ends[1].host as usize);
            self.with_client(c, |client, lent| client.opened(served_by, lent));
        } else {
            self.hang_up(id, 0, true);
        }
    }

    pub(crate) fn client_closed(&mut self, c: usize, id: ConnId) {
        let left = self.clients[c].left_conn() == Some(id);
        self.with_client(c, |client, lent| if left { client.left_closed(lent) } else { client.closed(lent) });
    }
}
