//! The two clocks.

use std::time::{Duration, Instant, SystemTime};

use quorate_core::ids::{Millis, Now};

/// Reads the monotonic clock each time, the wall clock once a batch.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Wall clock minus monotonic clock, µs.
    wall_offset: i64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        // A deadline of 0 would be in the past at the first step.
        let now = Instant::now();
        let origin = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let mut clock = Self { origin, wall_offset: 0 };
        clock.look_at_the_wall();
        clock
    }

    /// Notices that somebody has set the wall clock.
    pub(crate) fn look_at_the_wall(&mut self) {
        let wall = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        };
        self.wall_offset = wall - micros(self.origin.elapsed());
    }

    pub(crate) fn now(&self) -> Now {
        let mono = micros(self.origin.elapsed());
        Now { mono_ms: mono / 1000, wall_ms: (mono + self.wall_offset).div_euclid(1000) }
    }

    /// How long it is until this instant of the monotonic clock.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        let at = Duration::from_millis(u64::try_from(at).unwrap_or(0));
        at.saturating_sub(self.origin.elapsed())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
