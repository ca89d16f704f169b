//! Quotas: what refuses a write, and what is only told to the log (client-protocol section 10).

use alloc::format;
use alloc::string::String;

use crate::error::ErrorCode;
use crate::ids::Millis;
use crate::mutant::Mutant;
use crate::request::prepare::Step;

/// A quota that stays exceeded is told once in so many ms.
const TOLD_EVERY: Millis = 10_000;

/// What is to be told of exceeded quotas, not too often.
#[derive(Clone, Debug, Default)]
pub(super) struct Exceeded {
    /// Nothing is told before this; ms of the monotonic clock.
    next: Millis,
    /// Writes that were passed over in silence since the last that was told.
    silent: u64,
    text: Option<String>,
}

impl Exceeded {
    fn tell(&mut self, now: Millis, text: impl FnOnce() -> String) {
        if now < self.next {
            self.silent += 1;
            return;
        }
        self.next = now.saturating_add(TOLD_EVERY);
        let mut text = text();
        if self.silent > 0 {
            text.push_str(&format!(", and {} other writes since the last message", self.silent));
        }
        self.silent = 0;
        self.text = Some(text);
    }

    /// What is to be told now.
    pub(super) fn take(&mut self) -> Option<String> {
        self.text.take()
    }
}

impl Step<'_> {
    /// The deepest quota, against what is used in the applied tree. A hard limit refuses where quotas are enforced; otherwise, as
    /// a soft one, it is told. Where there is a hard limit the soft one of that kind is not looked at. Count comes before bytes.
    pub(super) fn check_quota(&mut self, path: &str, count: i64, bytes: i64) -> Result<(), ErrorCode> {
        let tree = self.tree;
        let Some(quota) = tree.quota(path) else { return Ok(()) };
        let (used, limit) = (&quota.used, &quota.limit);
        let kinds = [
            ("count", "Count", count, used.count, limit.count_hard, limit.count),
            ("bytes", "Bytes", bytes, used.bytes, limit.bytes_hard, limit.bytes),
        ];
        for (name, title, more, used, hard, soft) in kinds {
            let is_limit = |limit: &i64| *limit > -1;
            let (hard, soft) = (hard.filter(is_limit), soft.filter(is_limit));
            let (Some(used), Some(limit), true) = (used, hard.or(soft), more != 0) else { continue };
            let new = used.saturating_add(if self.rules.mutants.has(Mutant::Q10) { 0 } else { more });
            if new <= limit {
                continue;
            }
            let strength = if hard.is_some() { "hard" } else { "soft" };
            let prefix = quota.prefix;
            self.exceeded.tell(self.mono_ms, || {
                format!("Quota exceeded: {prefix} [current {name}={new}, {strength}{title}Limit={limit}]")
            });
            if hard.is_some() && self.rules.enforce_quota {
                return Err(ErrorCode::QuotaExceeded);
            }
        }
        Ok(())
    }
}
