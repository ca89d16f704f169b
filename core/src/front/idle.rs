//! Connections that nothing is heard of are closed: a bucketed queue beside that of the sessions (client-protocol 2.3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{LinkId, Millis};

/// Which connections to look at when. A connection keeps its own deadline, which moves with every sign of life; here it is
/// filed under an earlier one and moved on when that passes.
#[derive(Clone, Debug)]
pub(super) struct IdleQueue {
    interval: Millis,
    buckets: BTreeMap<Millis, Vec<LinkId>>,
}

impl IdleQueue {
    pub(super) fn new(interval: Millis) -> Self {
        Self { interval: interval.max(1), buckets: BTreeMap::new() }
    }
    /// The end of the bucket in which something falls that is alive now.
    pub(super) fn deadline(&self, now: Millis, timeout: Millis) -> Millis {
        ((now + timeout).div_euclid(self.interval) + 1) * self.interval
    }
    pub(super) fn file(&mut self, link: LinkId, deadline: Millis) {
        self.buckets.entry(deadline).or_default().push(link);
    }
    /// Takes out what is filed under deadlines that have passed.
    pub(super) fn due(&mut self, now: Millis) -> Option<Vec<LinkId>> {
        if self.next_deadline()? > now { None } else { self.buckets.pop_first().map(|(_, links)| links) }
    }
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(at, _)| *at)
    }
    pub(super) fn clear(&mut self) {
        self.buckets.clear();
    }
}
