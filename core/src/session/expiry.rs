//! Which sessions end when nothing is heard of them: buckets of one `tickTime` (client-protocol 2.3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::hash::IdMap;
use crate::ids::{Millis, SessionId};
use crate::slots::Slots;

const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    session: SessionId,
    bucket: Millis,
    before: u32,
    behind: u32,
}

/// The ends of a bucket's list.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    first: u32,
    last: u32,
}

/// Sessions by the instant at which they expire, in ms of the monotonic clock.
///
/// A session is in one bucket; moving it is constant time, and its order within a bucket is that of arrival. There are as many
/// buckets as the longest timeout has ticks.
#[derive(Clone, Debug)]
pub struct Expiry {
    tick: Millis,
    entries: Slots<Entry>,
    by_session: IdMap<SessionId, u32>,
    buckets: BTreeMap<Millis, Bucket>,
}

impl Expiry {
    /// Without a session; buckets are `tick` ms wide.
    #[must_use]
    pub fn new(tick: Millis) -> Self {
        Self { tick: tick.max(1), entries: Slots::new(), by_session: IdMap::default(), buckets: BTreeMap::new() }
    }

    /// When a session expires that is heard of at `now`: more than `timeout` and at most `timeout` + tick later.
    #[must_use]
    pub fn deadline(&self, now: Millis, timeout: Millis) -> Millis {
        (now.saturating_add(timeout).div_euclid(self.tick) + 1).saturating_mul(self.tick)
    }

    /// The session was heard of: it is known from now on and expires `timeout` ms later at the earliest.
    pub fn touch(&mut self, now: Millis, session: SessionId, timeout: Millis) {
        let bucket = self.deadline(now, timeout);
        if let Some(&slot) = self.by_session.get(&session) {
            if self.entries[slot as usize].bucket != bucket {
                self.unlink(slot);
                self.link(slot, bucket);
            }
            return;
        }
        let slot = self.entries.insert(Entry { session, bucket, before: NIL, behind: NIL });
        let slot = u32::try_from(slot).ok().filter(|s| *s != NIL).expect("fewer than 2^32 sessions");
        self.by_session.insert(session, slot);
        self.link(slot, bucket);
    }

    /// Forgets the session.
    pub fn remove(&mut self, session: SessionId) {
        if let Some(slot) = self.by_session.remove(&session) {
            self.unlink(slot);
            self.entries.remove(slot as usize);
        }
    }

    /// Takes out every session whose bucket has ended, earliest bucket first.
    pub fn expire(&mut self, now: Millis) -> Vec<SessionId> {
        let mut gone = Vec::new();
        while self.next_deadline().is_some_and(|at| at <= now) {
            let (_, bucket) = self.buckets.pop_first().expect("just seen");
            let mut at = bucket.first;
            while at != NIL {
                let entry = self.entries.remove(at as usize);
                self.by_session.remove(&entry.session);
                gone.push(entry.session);
                at = entry.behind;
            }
        }
        gone
    }

    /// When [`Expiry::expire`] has something to take out.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(at, _)| *at)
    }

    /// How many sessions are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sessions by the instant at which they expire, for `dump`.
    #[must_use]
    pub fn buckets(&self) -> Vec<(Millis, Vec<SessionId>)> {
        let sessions = |bucket: &Bucket| {
            let mut list = Vec::new();
            let mut at = bucket.first;
            while at != NIL {
                let entry = &self.entries[at as usize];
                list.push(entry.session);
                at = entry.behind;
            }
            list
        };
        self.buckets.iter().map(|(at, bucket)| (*at, sessions(bucket))).collect()
    }

    fn link(&mut self, slot: u32, at: Millis) {
        let bucket = self.buckets.entry(at).or_insert(Bucket { first: slot, last: NIL });
        let before = core::mem::replace(&mut bucket.last, slot);
        if before != NIL {
            self.entries[before as usize].behind = slot;
        }
        let entry = &mut self.entries[slot as usize];
        (entry.bucket, entry.before, entry.behind) = (at, before, NIL);
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { bucket: at, before, behind, .. } = self.entries[slot as usize];
        if before == NIL && behind == NIL {
            self.buckets.remove(&at);
            return;
        }
        let bucket = self.buckets.get_mut(&at).expect("an entry's bucket exists");
        if before == NIL {
            bucket.first = behind;
        } else {
            self.entries[before as usize].behind = behind;
        }
        if behind == NIL {
            bucket.last = before;
        } else {
            self.entries[behind as usize].before = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    const A: SessionId = SessionId(0x0100_0000_0000_0001);
    const B: SessionId = SessionId(0x0100_0000_0000_0002);
    const C: SessionId = SessionId(-5);

    #[test]
    fn the_bucket_is_the_end_of_the_tick_behind_the_timeout() {
        let mut expiry = Expiry::new(1000);
        // (floor((now + timeout) / tick) + 1) * tick
        for (now, timeout, at) in [(0, 2000, 3000), (999, 2000, 3000), (1000, 2000, 4000), (1, 2999, 4000)] {
            expiry.touch(now, A, timeout);
            assert_eq!(expiry.next_deadline(), Some(at), "touched at {now} for {timeout}");
        }
        assert_eq!(expiry.expire(3999), []);
        assert_eq!(expiry.expire(4000), [A]);
        assert_eq!(expiry.next_deadline(), None);
    }

    #[test]
    fn touching_moves_and_removing_forgets() {
        let mut expiry = Expiry::new(100);
        for session in [A, B, C] {
            expiry.touch(0, session, 50);
        }
        assert_eq!(expiry.buckets(), [(100, alloc::vec![A, B, C])]);
        expiry.touch(60, B, 50);
        assert_eq!(expiry.buckets(), [(100, alloc::vec![A, C]), (200, alloc::vec![B])]);
        expiry.remove(A);
        expiry.remove(A);
        assert_eq!(expiry.expire(250), [C, B]);
        assert!(expiry.is_empty());
        // A shorter timeout on a new connection may bring the end nearer.
        expiry.touch(300, A, 1000);
        expiry.touch(300, A, 10);
        assert_eq!(expiry.next_deadline(), Some(400));
    }

    quickcheck! {
        fn as_a_plain_list_would_do(steps: Vec<(u8, u8, u8)>) -> bool {
            let mut expiry = Expiry::new(7);
            let mut plain: BTreeMap<SessionId, Millis> = BTreeMap::new();
            let mut now = 0;
            steps.iter().all(|(session, timeout, dt)| {
                now += Millis::from(dt % 16);
                let session = SessionId(i64::from(session % 8));
                if *timeout == 0 {
                    expiry.remove(session);
                    plain.remove(&session);
                } else {
                    expiry.touch(now, session, (*timeout).into());
                    plain.insert(session, ((now + Millis::from(*timeout)) / 7 + 1) * 7);
                }
                let mut gone = expiry.expire(now + 20);
                gone.sort_unstable();
                let due: Vec<SessionId> = plain.iter().filter(|(_, at)| **at <= now + 20).map(|(s, _)| *s).collect();
                plain.retain(|_, at| *at > now + 20);
                gone == due && expiry.len() == plain.len() && expiry.next_deadline() == plain.values().min().copied()
            })
        }
    }
}
