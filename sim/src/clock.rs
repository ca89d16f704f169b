//! The clocks of one server: skew, jumps and drift of what it reads, never of what happens.

use quorate_core::ids::{Millis, Now};

use crate::queue::Micros;

/// 2026-01-01T00:00:00Z: where the wall clocks stand when a run starts.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// A million: rate of a good clock.
pub(crate) const TRUE_RATE: u64 = 1_000_000;

/// The clocks of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The monotonic clock read this, µs, …
    mono_us: u64,
    /// … at this instant, and has run at `rate` since.
    at: Micros,
    /// Parts per million.
    rate: u64,
    wall_skew_ms: Millis,
}

impl Clock {
    /// A clock whose monotonic side reads this now.
    pub(crate) const fn new(at: Micros, mono_us: u64) -> Self {
        Self { mono_us, at, rate: TRUE_RATE, wall_skew_ms: 0 }
    }
    /// The machine starts again: the monotonic clock begins anew, the wall clock goes on.
    pub(crate) const fn reboot(&mut self, at: Micros) {
        self.mono_us = 0;
        self.at = at;
    }
    /// Moves the wall clock, both ways.
    pub(crate) const fn jump(&mut self, by_ms: Millis) {
        self.wall_skew_ms += by_ms;
    }
    /// The monotonic clock's rate, parts per million.
    pub(crate) const fn rate(&self) -> u64 {
        self.rate
    }
    /// From now on the monotonic clock runs at this rate, parts per million.
    pub(crate) fn set_rate(&mut self, at: Micros, rate: u64) {
        self.mono_us = self.mono(at);
        self.at = at;
        self.rate = rate.max(1);
    }
    fn mono(&self, at: Micros) -> u64 {
        self.mono_us + ((u128::from(at - self.at) * u128::from(self.rate)) / u128::from(TRUE_RATE)) as u64
    }
    /// What the server reads.
    pub(crate) fn now(&self, at: Micros) -> Now {
        Now {
            mono_ms: (self.mono(at) / 1000) as Millis,
            wall_ms: WALL_START_MS + (at / 1000) as Millis + self.wall_skew_ms,
        }
    }
    /// The first instant at which the monotonic clock shows this many ms; now if it does already.
    pub(crate) fn when(&self, at: Micros, mono_ms: Millis) -> Micros {
        let want = u64::try_from(mono_ms).unwrap_or(0).saturating_mul(1000);
        let have = self.mono(at);
        if want <= have {
            return at;
        }
        let rest = u128::from(want - self.mono_us) * u128::from(TRUE_RATE);
        let elapsed = rest.div_ceil(u128::from(self.rate));
        self.at.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_exactly_when_the_clock_shows_it() {
        for rate in [1, 799_999, 1_000_000, 1_234_567] {
            let mut clock = Clock::new(0, 123_456);
            clock.set_rate(1_000, rate);
            for ms in [124, 500, 10_001] {
                let due = clock.when(2_000, ms);
                assert!(clock.now(due).mono_ms >= ms);
                assert!(due == 2_000 || clock.now(due - 1).mono_ms < ms);
            }
        }
    }

    #[test]
    fn a_jump_moves_the_wall_clock_only() {
        let mut clock = Clock::new(0, 0);
        let before = clock.now(5_000);
        clock.jump(-3_600_000);
        let after = clock.now(5_000);
        assert_eq!((after.mono_ms, after.wall_ms), (before.mono_ms, before.wall_ms - 3_600_000));
    }
}
