//! Randomness: one stream per purpose, all derived from the seed, so that one generator more does not reshuffle the others.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::spec::Dist;

/// What a stream is for. A number of its own keeps streams of one purpose apart (a server, a client).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Purpose {
    Spec = 1,
    Faults,
    Delay,
    Disk,
    Crash,
    Client,
    Workload,
    Peer,
    Core,
    Rot,
    Swarm,
    Schedule,
    Wire,
    Sizes,
    Loop,
    Haste,
    Shrink,
    Manner,
    Linger,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&number.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }
    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }
    /// A number between, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high.max(low) - low).saturating_add(1))
    }
    /// True `n` times in a thousand.
    pub fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
    /// An index into something that long, which must not be empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
    /// One of them.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        (!list.is_empty()).then(|| list[self.index(list.len())])
    }
    /// In random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.index(i + 1));
        }
    }
    /// A number whose logarithm is spread evenly between those of `low` and `high` (both above 0).
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let doublings = u64::from((high / low).max(1).ilog2());
        let shift = self.below(doublings + 1);
        let base = low << shift;
        self.between(base, (base * 2).min(high).max(base))
    }
    /// Exponentially distributed with this mean, cut at twenty means. Integers only: the same everywhere.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // -ln(u) = ln 2 · -log2(u), with log2 of the mantissa by a quadratic that is exact at both ends.
        let u = self.0.next_u64() | 1;
        let zeros = u64::from(u.leading_zeros());
        let fraction = (u << zeros << 1) >> 48;
        let log2 = fraction + ((fraction * (65_536 - fraction)) >> 16) * 22_485 / 65_536;
        let minus_log2 = ((zeros + 1) << 16) - log2;
        let minus_ln = minus_log2 * 45_426 / 65_536;
        ((u128::from(mean) * u128::from(minus_ln)) >> 16).min(u128::from(mean) * 20) as u64
    }
    /// A duration, µs.
    pub fn draw(&mut self, dist: &Dist) -> u64 {
        match *dist {
            Dist::Const { us } => us,
            Dist::Uniform { min_us, max_us } => self.between(min_us, max_us),
            Dist::Exp { min_us, mean_us } => min_us + self.exponential(mean_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_number_and_repeat() {
        let first = |p, n| Stream::new(7, p, n).any();
        assert_eq!(first(Purpose::Disk, 1), first(Purpose::Disk, 1));
        assert_ne!(first(Purpose::Disk, 1), first(Purpose::Disk, 2));
        assert_ne!(first(Purpose::Disk, 1), first(Purpose::Crash, 1));
    }

    #[test]
    fn an_exponential_has_its_mean_and_its_median() {
        let mut s = Stream::new(1, Purpose::Delay, 0);
        let mut draws: Vec<u64> = (0..100_000).map(|_| s.exponential(1_000_000)).collect();
        draws.sort_unstable();
        let mean = draws.iter().sum::<u64>() / 100_000;
        assert!((980_000..1_020_000).contains(&mean), "{mean}");
        assert!((680_000..705_000).contains(&draws[50_000]), "{}", draws[50_000]);
    }

    #[test]
    fn a_logarithmic_draw_stays_between() {
        let mut s = Stream::new(1, Purpose::Faults, 0);
        assert!((0..1000).all(|_| (10..=5000).contains(&s.log_between(10, 5000))));
    }
}
