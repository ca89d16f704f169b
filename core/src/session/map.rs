//! A hash map by session id. Ids are given away by servers, never chosen by clients, so a fixed mixing hash will do.

use core::hash::{BuildHasherDefault, Hasher};

use crate::ids::SessionId;

/// Mixes once: ids of one server differ in their low 56 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i64(i64::from(*byte)));
    }
    fn write_i64(&mut self, id: i64) {
        let mixed = (self.0 ^ id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Never iterated.
pub(super) type SessionMap<V> = hashbrown::HashMap<SessionId, V, BuildHasherDefault<IdHasher>>;
