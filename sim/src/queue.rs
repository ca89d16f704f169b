//! The event queue: everything that will happen, by time, then by the order in which it was planned.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

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
    /// Whoever opened a connection from outside goes.
    Gone(ConnId),
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
    /// A schedule goes on.
    Stage(u32),
    /// A server outside the core shows itself, or hides again.
    Flap { node: u32, on: bool },
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

/// A bucket holds what happens within so many microseconds, as a power of two.
const BUCKET_BITS: u32 = 14;
/// Emptied buckets that are kept for use again.
const SPARE_MAX: usize = 64;
/// In the lower half of a place: behind what happens first in its microsecond.
const BEHIND: u64 = 1 << 63;

/// See the module.
///
/// Only what happens soon is kept in order: with a thousand servers a million things are planned at a time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Everything of bucket `bucket` and before.
    soon: BinaryHeap<Entry>,
    bucket: u64,
    later: BTreeMap<u64, Vec<Entry>>,
    spare: Vec<Vec<Entry>>,
    seq: u64,
}

impl Queue {
    /// Plans something.
    pub(crate) fn push(&mut self, at: Micros, plan: Plan) {
        self.put(at, BEHIND, plan);
    }
    /// Plans something that happens before everything else of its microsecond. Faults do: those that a seed has drawn and the same
    /// ones read from a list are planned at different times.
    pub(crate) fn push_first(&mut self, at: Micros, plan: Plan) {
        self.put(at, 0, plan);
    }
    fn put(&mut self, at: Micros, class: u64, plan: Plan) {
        self.seq += 1;
        let entry = Entry { place: u128::from(at) << 64 | u128::from(class | self.seq), plan };
        let bucket = at >> BUCKET_BITS;
        if bucket <= self.bucket {
            self.soon.push(entry);
        } else {
            let spare = &mut self.spare;
            self.later.entry(bucket).or_insert_with(|| spare.pop().unwrap_or_default()).push(entry);
        }
    }
    /// The next thing.
    pub(crate) fn pop(&mut self) -> Option<(Micros, Plan)> {
        self.fill();
        self.soon.pop().map(|entry| ((entry.place >> 64) as Micros, entry.plan))
    }
    /// When the next thing happens.
    pub(crate) fn next_at(&mut self) -> Option<Micros> {
        self.fill();
        self.soon.peek().map(|entry| (entry.place >> 64) as Micros)
    }
    fn fill(&mut self) {
        if !self.soon.is_empty() {
            return;
        }
        let Some((bucket, mut entries)) = self.later.pop_first() else { return };
        self.bucket = bucket;
        self.soon.extend(entries.drain(..));
        if self.spare.len() < SPARE_MAX && entries.capacity() <= 1024 {
            self.spare.push(entries);
        }
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

    #[test]
    fn buckets_do_not_change_the_order() {
        let mut q = Queue::default();
        let mut model: Vec<(Micros, u32)> = Vec::new();
        let (mut x, mut now) = (7_u64, 0);
        for n in 0..20_000_u32 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if x >> 63 == 0 || model.is_empty() {
                let at = now + ((x >> 40) % 3000) * ((x >> 20) % 2);
                q.push(at, Plan::Strike(n));
                model.push((at, n));
            } else {
                let first = model.iter().min().copied().unwrap();
                model.retain(|m| *m != first);
                assert_eq!(q.pop(), Some((first.0, Plan::Strike(first.1))));
                now = first.0;
            }
        }
    }
}
