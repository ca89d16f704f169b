//! The connection throttle: a bucket of tokens, and a chance of refusal that grows while the bucket stays empty (client-protocol
//! 2.1, step 1; operations 2.2).

use crate::config::ConnectThrottle;
use crate::ids::Millis;

/// A chance of one, in parts per million.
const CERTAIN: u32 = 1_000_000;

/// What of the bucket is left, and how likely a refusal is by now.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    tokens: u32,
    filled: Millis,
    /// When the chance was last looked at, or the bucket was last too empty.
    frozen: Millis,
    drop_ppm: u32,
    /// Draws are made from these.
    seed: u64,
    draws: u64,
}

impl Throttle {
    pub(super) const fn new(cfg: &ConnectThrottle, seed: u64, now: Millis) -> Self {
        Self { tokens: cfg.tokens, filled: now, frozen: now, drop_ppm: 0, seed, draws: 0 }
    }

    /// How likely a refusal is beside that for lack of tokens, in parts per million.
    pub(super) const fn drop_ppm(&self) -> u32 {
        self.drop_ppm
    }

    /// Takes `need` tokens. `false`: the handshake is refused.
    pub(super) fn admit(&mut self, need: u32, now: Millis, cfg: &ConnectThrottle) -> bool {
        if cfg.tokens == 0 {
            return true;
        }
        let passed = (now - self.filled).max(0);
        if passed > cfg.fill_ms {
            let more = passed.saturating_mul(cfg.fill_count.into()) / cfg.fill_ms.max(1);
            self.tokens = self.tokens.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(cfg.tokens);
            self.filled = now;
        }
        if cfg.freeze_ms >= 0 && self.is_unlucky(now, cfg) {
            return false;
        }
        if self.tokens < need {
            self.frozen = now;
            return false;
        }
        self.tokens -= need;
        true
    }

    /// Moves the chance, at most once in a freeze time, and draws.
    fn is_unlucky(&mut self, now: Millis, cfg: &ConnectThrottle) -> bool {
        if now - self.frozen > cfg.freeze_ms {
            let taken = u64::from(cfg.tokens - self.tokens);
            let calm = u64::from(cfg.tokens) * u64::from(cfg.decrease_ppm) / u64::from(CERTAIN);
            if self.tokens == 0 {
                self.drop_ppm = self.drop_ppm.saturating_add(cfg.drop_increase_ppm).min(CERTAIN);
            } else if taken <= calm {
                self.drop_ppm = self.drop_ppm.saturating_sub(cfg.drop_decrease_ppm);
            }
            self.frozen = now;
        }
        self.drop_ppm > 0 && self.draw() < self.drop_ppm
    }

    /// Below a million.
    fn draw(&mut self) -> u32 {
        self.draws += 1;
        let mut x = self.seed ^ self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % u64::from(CERTAIN)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: ConnectThrottle = ConnectThrottle { tokens: 10, fill_ms: 100, fill_count: 2, ..ConnectThrottle::OFF };

    fn admitted(throttle: &mut Throttle, tries: usize, now: Millis, cfg: &ConnectThrottle) -> usize {
        (0..tries).filter(|_| throttle.admit(1, now, cfg)).count()
    }

    #[test]
    fn without_tokens_nothing_is_refused() {
        let mut throttle = Throttle::new(&ConnectThrottle::OFF, 1, 0);
        assert_eq!(admitted(&mut throttle, 1000, 0, &ConnectThrottle::OFF), 1000);
    }

    #[test]
    fn a_full_bucket_is_a_burst_and_it_fills_with_time() {
        let mut throttle = Throttle::new(&BUCKET, 1, 0);
        assert_eq!(admitted(&mut throttle, 50, 0, &BUCKET), 10);
        assert_eq!(admitted(&mut throttle, 50, 100, &BUCKET), 0, "more than a fill time must pass");
        assert_eq!(admitted(&mut throttle, 50, 250, &BUCKET), 5);
        assert_eq!(admitted(&mut throttle, 50, 100_000, &BUCKET), 10, "never more than the bucket holds");
        // Sessions may weigh differently.
        assert!(throttle.admit(3, 200_000, &BUCKET) && throttle.admit(7, 200_000, &BUCKET));
        assert!(!throttle.admit(1, 200_000, &BUCKET));
    }

    #[test]
    fn an_empty_bucket_makes_refusals_likely_and_a_calm_one_takes_that_back() {
        let cfg = ConnectThrottle {
            fill_count: 1,
            freeze_ms: 10,
            drop_increase_ppm: 200_000,
            drop_decrease_ppm: 100_000,
            decrease_ppm: 500_000,
            ..BUCKET
        };
        let mut throttle = Throttle::new(&cfg, 1, 0);
        assert_eq!((admitted(&mut throttle, 10, 0, &cfg), throttle.drop_ppm()), (10, 0));
        // Looked at once in a freeze time only, and never above certainty.
        for now in [11, 12, 13] {
            admitted(&mut throttle, 1, now, &cfg);
        }
        assert_eq!(throttle.drop_ppm(), 200_000);
        // A refusal for lack of tokens starts the freeze time anew.
        for n in 1..10 {
            admitted(&mut throttle, 1, 13 + 11 * n, &cfg);
        }
        assert_eq!(throttle.drop_ppm(), 1_000_000);
        assert_eq!(admitted(&mut throttle, 100, 112, &cfg), 0);
        // Full again: each look takes a step back, and some get through.
        let mut through = 0;
        for n in 0..20 {
            through += admitted(&mut throttle, 1, 100_000 + 1000 * n, &cfg);
        }
        assert_eq!(throttle.drop_ppm(), 0);
        assert!((10..20).contains(&through), "{through}");
        assert_eq!(admitted(&mut throttle, 1, 200_000, &cfg), 1);
    }
}
