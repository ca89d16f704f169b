//! Where new session ids come from (client-protocol 2.2).

use alloc::collections::BTreeMap;

use crate::config::PeerConfig;
use crate::ids::{Millis, Now, SessionId, Sid};
use crate::mutant::{Mutant, Mutants};

const LOW_56: i64 = (1 << 56) - 1;
const COUNTER_BITS: u32 = 16;
/// Ids that one request may use up: so many are not given away while a leader remembers one of them.
const PASSED_MAX: i64 = 1 << 20;
const CLOCK_MASK: i64 = (1 << 40) - 1;

/// Gives ids away: low byte of the sid, 40 bits of a millisecond clock, a 16-bit counter that may carry upward.
///
/// The clock bits never go back: they start from the wall clock, but always above what this server has set aside on its disk in
/// an earlier life, and above the newest id that the tree knows of it ([`IdSource::raise`]). The counter begins anywhere: it is
/// all that differs where that record was thrown away.
#[derive(Clone, Debug)]
pub struct IdSource {
    /// Low byte of the sid, in place.
    server: i64,
    /// The next id without its server byte.
    next: i64,
    /// Where counters begin.
    salt: i64,
    mutants: Mutants,
}

impl IdSource {
    /// A source that starts at the wall clock of `now`.
    ///
    /// # Panics
    /// A server byte of 0xff with extended types: its ids would be TTL marks. The configuration refuses that before.
    #[must_use]
    pub fn new(cfg: &PeerConfig, now: Now) -> Self {
        let byte = cfg.sid.0 & 0xff;
        assert!(!(cfg.features.extended_types && byte == 0xff), "server ids end at 254 with extended types");
        let mut source = Self { server: byte << 56, next: 0, salt: salt(cfg.seed), mutants: cfg.mutants };
        source.next = source.base(now.wall_ms);
        source
    }

    /// The newest of `sessions` whose id was given away by the server `sid`: what [`IdSource::raise`] wants to know.
    #[must_use]
    pub fn newest<T>(sid: Sid, sessions: &BTreeMap<SessionId, T>) -> Option<SessionId> {
        let first = (sid.0 & 0xff) << 56;
        sessions.range(SessionId(first)..=SessionId(first | LOW_56)).next_back().map(|(session, _)| *session)
    }

    /// Ids given away from now on are above `newest`, if that is one of this server's, and not below those of the ms `from`.
    pub fn raise(&mut self, newest: Option<SessionId>, from: Millis) {
        let clock = self.base(from);
        self.next = self.next.max(clock);
        if self.mutants.has(Mutant::K16) {
            self.next = clock;
            return;
        }
        if let Some(SessionId(newest)) = newest
            && newest & !LOW_56 == self.server
        {
            // A whole millisecond above: ids of a term that never reached the tree may lie in between.
            let floor = ((((newest & LOW_56) >> COUNTER_BITS) + 1) << COUNTER_BITS) | self.salt;
            self.next = self.next.max(floor);
        }
    }

    /// A new id.
    pub fn next_id(&mut self) -> SessionId {
        loop {
            let wide = if self.mutants.has(Mutant::B59) { (self.next << 8) >> 8 } else { self.next & LOW_56 };
            let id = self.server | wide;
            self.next = (self.next & LOW_56) + 1;
            // The mark of containers, and the id of nobody.
            if id != i64::MIN && id != SessionId::NONE.0 {
                return SessionId(id);
            }
        }
    }

    /// A client has asked for this session: should it be one of the next ones, it is given to nobody. Ids are no secret, and the
    /// leader is about to remember it as one that is gone.
    pub fn pass(&mut self, session: SessionId) {
        let ahead = (session.0 & LOW_56) - (self.next & LOW_56);
        if session.0 & !LOW_56 == self.server && (0..PASSED_MAX).contains(&ahead) {
            self.next = (session.0 & LOW_56) + 1;
        }
    }

    fn base(&self, wall_ms: Millis) -> i64 {
        if self.mutants.has(Mutant::K16) {
            return 1 << COUNTER_BITS;
        }
        (wall_ms & CLOCK_MASK) << COUNTER_BITS | self.salt
    }
}

/// 16 bits of a seed that is another one at every start.
fn salt(seed: u64) -> i64 {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - COUNTER_BITS)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: Millis) -> Now {
        Now { mono_ms: 0, wall_ms }
    }
    fn source(sid: i64, wall_ms: Millis) -> IdSource {
        IdSource::new(&PeerConfig { sid: Sid(sid), ..PeerConfig::default() }, at(wall_ms))
    }

    #[test]
    fn byte_clock_and_counter_stand_where_java_has_them() {
        let mut ids = source(0x101, 0x15a_2ea);
        assert_eq!(ids.next_id(), SessionId(0x0100_0015_a2ea_0000));
        assert_eq!(ids.next_id(), SessionId(0x0100_0015_a2ea_0001));
        assert_eq!(source(1, (7 << 40) | 5).next_id(), SessionId(0x0100_0000_0005_0000));
        assert_eq!(source(0xff, 0).next_id().0 as u64, 0xff00_0000_0000_0000);
    }

    #[test]
    fn the_counter_carries_into_the_clock_and_never_into_the_server() {
        let mut ids = source(3, 9);
        ids.next += 0xffff;
        assert_eq!(ids.next_id(), SessionId(0x0300_0000_0009_ffff));
        assert_eq!(ids.next_id(), SessionId(0x0300_0000_000a_0000));
        ids.next = LOW_56;
        assert_eq!(ids.next_id(), SessionId(0x03ff_ffff_ffff_ffff));
        assert_eq!(ids.next_id(), SessionId(0x0300_0000_0000_0000));
    }

    #[test]
    fn a_clock_that_went_back_repeats_no_id() {
        let newest = source(2, 5000).next_id();
        let mut ids = source(2, 1000);
        ids.raise(Some(newest), 1000);
        assert_eq!(ids.next_id().0, newest.0 + (1 << 16));
        // Another server's id is no floor, nor is an old one of our own.
        let mut ids = source(2, 1000);
        ids.raise(Some(SessionId(0x0300_0000_ffff_0000)), 1000);
        ids.raise(Some(SessionId(0x0200_0000_0001_0000)), 1001);
        assert_eq!(ids.next_id(), SessionId(0x0200_0000_03e9_0000));
        // Raising never lowers.
        ids.raise(None, 0);
        assert_eq!(ids.next_id(), SessionId(0x0200_0000_03e9_0001));
    }

    #[test]
    fn two_lives_of_a_server_whose_clock_went_back_begin_with_different_ids() {
        let first = |seed| IdSource::new(&PeerConfig { sid: Sid(1), seed, ..PeerConfig::default() }, at(7)).next_id();
        assert_ne!(first(1), first(2));
        assert_eq!(first(1).0 >> COUNTER_BITS, first(2).0 >> COUNTER_BITS);
    }

    #[test]
    fn the_newest_of_this_servers_sessions_is_found_among_all() {
        let ids = [0x0100_0000_0009_0000, 0x0200_0000_0001_0000, 0x0200_0000_0002_0000, 0x0300_0000_0005_0000, -1];
        let sessions: BTreeMap<SessionId, ()> = ids.iter().map(|id| (SessionId(*id), ())).collect();
        assert_eq!(IdSource::newest(Sid(2), &sessions), Some(SessionId(ids[2])));
        assert_eq!(IdSource::newest(Sid(0x1ff), &sessions), Some(SessionId(-1)));
        assert_eq!(IdSource::newest(Sid(9), &sessions), None);
    }

    #[test]
    fn an_id_that_was_asked_for_is_given_to_nobody() {
        let mut ids = source(2, 5000);
        let first = ids.next_id();
        for (ahead, next) in [(0, 1), (2, 3), (3, 4), (-1, 5), (PASSED_MAX + 9, 6)] {
            ids.pass(SessionId(first.0 + ahead));
            assert_eq!(ids.next_id().0 - first.0, next, "{ahead}");
        }
        ids.pass(SessionId(first.0 + 7 + (1 << 56)));
        assert_eq!(ids.next_id().0 - first.0, 7, "of another server");
    }

    #[test]
    fn neither_zero_nor_the_mark_of_containers_is_an_id() {
        assert_eq!(source(0x80, 0).next_id().0, i64::MIN + 1);
        assert_eq!(source(0, 0).next_id(), SessionId(1));
    }
}
