//! Hash maps by ids that servers or drivers gave away: no client can aim at them, so a fixed mixing hash will do.

use core::hash::{BuildHasherDefault, Hasher};

/// Multiplies once: the ids differ in their low bits (links) or their low 56 (sessions).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, id: u64) {
        let mixed = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
    fn write_i64(&mut self, id: i64) {
        self.write_u64(id as u64);
    }
}

/// Never iterated.
pub(crate) type IdMap<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<IdHasher>>;
