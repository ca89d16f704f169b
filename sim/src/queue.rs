//! The event queue: everything that will happen, by time, then by the order in which it was planned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::network::ConnId;

/// Virtual time since the start of a run, microseconds.
pub(crate) type Micros = u64;

/// Something planned. Plans are never taken back: each carries what it needs to recognise that it is void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// A server's deadline.
    Wake { node: u32, life: u32 },
    /// A server's process starts.
    Boot { node: u32, life: u32 },
    /// A paused server goes on.
    Resume { node: u32, life: u32 },
    /// The operation at the head of a disk lane ends.
    Disk { node: u32, life: u32, lane: u8 },
    /// What a server has sent has left.
    Drain { host: u32, life: u32 },
    /// A connection request arrives.
    Syn(ConnId),
    /// A connection request is refused, or given up.
    Refuse(ConnId),
    /// Bytes, the opening or the end of one direction of a connection arrive.
    Deliver { conn: ConnId, dir: u8 },
    /// A client has something to do.
    Client { client: u32, turn: u32 },
    /// A generator of faults strikes.
    Generate(u32),
    /// An explicit fault strikes.
    Strike(u32),
    /// A fault's hold is over.
    Release(u32),
    /// An explicit operation of a client.
    Operation(u32),
    /// The fault period ends.
    Heal,
    /// Progress is judged.
    Judge,
}

/// A plan with its place in the order: time in the upper half, number in the lower.
#[derive(Clone, Copy, Debug)]
struct Entry {
    place: u128,
    plan: Plan,
}

impl Ord for Entry {
    /// The heap's greatest is what comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.place.cmp(&self.place)
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}
impl Eq for Entry {}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    seq: u64,
}

impl Queue {
    /// Plans something.
    pub(crate) fn push(&mut self, at: Micros, plan: Plan) {
        self.seq += 1;
        self.heap.push(Entry { place: u128::from(at) << 64 | u128::from(self.seq), plan });
    }
    /// The next thing.
    pub(crate) fn pop(&mut self) -> Option<(Micros, Plan)> {
        self.heap.pop().map(|entry| ((entry.place >> 64) as Micros, entry.plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_planning() {
        let mut q = Queue::default();
        q.push(5, Plan::Judge);
        q.push(3, Plan::Generate(9));
        q.push(3, Plan::Generate(1));
        let order: Vec<_> = std::iter::from_fn(|| q.pop()).collect();
        assert_eq!(order, [(3, Plan::Generate(9)), (3, Plan::Generate(1)), (5, Plan::Judge)]);
    }
}
