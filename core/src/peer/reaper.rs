//! When the reaper looks for containers and TTL znodes to delete, and how many it takes at a time (client-protocol section 11).

use crate::config::Timing;
use crate::ids::{Millis, Zxid};

const MINUTE: Millis = 60_000;
/// What may go in a minute goes in so many portions: no burst holds up the clients.
const PORTIONS: u32 = 600;

/// The clock of the reaper; only a leader and a server alone have one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reaper {
    next: Millis,
    /// The newest deletion that was asked for.
    asked: Zxid,
}

impl Reaper {
    /// Not before [`Reaper::start`].
    pub(super) const fn new() -> Self {
        Self { next: Millis::MAX, asked: Zxid::ZERO }
    }

    /// A term begins: it looks for the first time an interval later.
    pub(super) const fn start(&mut self, now: Millis, timing: &Timing) {
        self.next = now.saturating_add(timing.container_check_ms);
    }

    /// When it looks next; ms of the monotonic clock.
    pub(super) const fn next_deadline(&self) -> Millis {
        self.next
    }

    /// How many znodes it may delete now. None before what it asked for last is applied: the tree still shows those.
    pub(super) fn allowance(&mut self, now: Millis, applied: Zxid, timing: &Timing) -> usize {
        if self.next > now {
            return 0;
        }
        let (portion, pause) = pace(timing.container_max_per_minute);
        if self.asked > applied {
            self.next = now.saturating_add(pause);
            return 0;
        }
        portion
    }

    /// It has asked for the deletion of `found` znodes, the last one in the transaction `last`.
    pub(super) fn took(&mut self, now: Millis, found: usize, last: Zxid, timing: &Timing) {
        let (portion, pause) = pace(timing.container_max_per_minute);
        let interval = timing.container_check_ms;
        let wait = match found {
            0 => interval,
            // There may be more.
            found if found >= portion => pause,
            _ => interval.max(pause),
        };
        self.next = now.saturating_add(wait.max(1));
        if found > 0 {
            self.asked = last;
        }
    }
}

/// The size of a portion, and the pause behind one, ms.
fn pace(per_minute: u32) -> (usize, Millis) {
    let per_minute = per_minute.max(1);
    let portion = (per_minute / PORTIONS).max(1);
    (portion as usize, (MINUTE * Millis::from(portion)).div_euclid(per_minute.into()).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is deleted in five minutes of `there` znodes. `slow`: so many ms pass until a deletion is applied.
    fn deleted(timing: &Timing, mut there: usize, slow: Millis) -> usize {
        let (mut reaper, mut gone, mut zxid) = (Reaper::new(), 0, Zxid::ZERO);
        let mut applied = (0, Zxid::ZERO);
        reaper.start(0, timing);
        for now in 0..5 * MINUTE {
            if zxid > applied.1 && now >= applied.0 {
                applied.1 = zxid;
            }
            let may = reaper.allowance(now, applied.1, timing);
            if may == 0 {
                continue;
            }
            let found = may.min(there);
            if found > 0 {
                zxid = Zxid(zxid.0 + found as i64);
                applied.0 = now + slow;
            }
            (there, gone) = (there - found, gone + found);
            reaper.took(now, found, zxid, timing);
        }
        gone
    }

    fn timing(check_ms: Millis, per_minute: u32) -> Timing {
        Timing { container_check_ms: check_ms, container_max_per_minute: per_minute, ..Timing::default() }
    }

    #[test]
    fn no_minute_deletes_more_than_it_may() {
        for (check_ms, per_minute) in [(1, 10_000), (1000, 10_000), (60_000, 10_000), (1, 7), (1000, 1), (1, 599)] {
            let gone = deleted(&timing(check_ms, per_minute), usize::MAX, 0);
            let most = 5 * per_minute as usize + 20;
            assert!(gone <= most && gone + most / 3 >= most - 20, "{gone} of {most}, every {check_ms} ms");
        }
        // Neither when fewer than a portion are found at a time, again and again.
        let t = timing(1, 10_000);
        let mut reaper = Reaper::new();
        reaper.start(0, &t);
        let mut gone = 0;
        for now in 0..MINUTE {
            if reaper.allowance(now, Zxid::ZERO, &t) > 0 {
                gone += 15;
                reaper.took(now, 15, Zxid::ZERO, &t);
            }
        }
        assert!(gone <= 10_000, "{gone}");
    }

    #[test]
    fn nothing_is_asked_for_twice() {
        // Every deletion takes ten seconds: one portion each time, and none in between.
        assert_eq!(deleted(&timing(1000, 10_000), usize::MAX, 10_000), 16 * 30);
        assert_eq!(deleted(&timing(1000, 10_000), 20, 10_000), 20);
    }

    #[test]
    fn it_looks_an_interval_after_the_start_and_after_a_look_that_found_nothing() {
        let t = timing(60_000, 10_000);
        let mut reaper = Reaper::new();
        assert_eq!(reaper.allowance(Millis::MAX - 1, Zxid::ZERO, &t), 0);
        reaper.start(500, &t);
        assert_eq!((reaper.next_deadline(), reaper.allowance(60_499, Zxid::ZERO, &t)), (60_500, 0));
        assert_eq!(reaper.allowance(60_500, Zxid::ZERO, &t), 16);
        reaper.took(60_500, 0, Zxid::ZERO, &t);
        assert_eq!(reaper.next_deadline(), 120_500);
    }
}
