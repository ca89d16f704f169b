//! Counters and summaries of one server, under ZooKeeper's names, fed by the core's events.

mod names;

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use quorate_core::event::{Event, Role, SyncKind};

pub use self::names::{Advanced, Basic, Counter};

/// Significant digits of the percentiles.
const DIGITS: u8 = 2;

/// Minimum, maximum, sum and number of values, and their distribution where it is wanted.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
    histogram: Option<Box<Histogram<u64>>>,
}

impl Summary {
    fn record(&mut self, value: i64, percentiles: bool) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if percentiles {
            if self.histogram.is_none() {
                self.histogram = Histogram::new(DIGITS).ok().map(Box::new);
            }
            if let Some(histogram) = &mut self.histogram {
                histogram.saturating_record(u64::try_from(value).unwrap_or(0));
            }
        }
    }
    /// The mean, as ZooKeeper rounds it.
    #[must_use]
    pub fn average(&self) -> f64 {
        average(self.sum, self.count)
    }
    fn percentile(&self, quantile: f64) -> u64 {
        self.histogram.as_ref().map_or(0, |h| h.value_at_quantile(quantile))
    }
    fn print(&self, out: &mut String, name: &str) {
        let Self { min, max, count, sum, .. } = self;
        let _ = writeln!(out, "zk_avg_{name}\t{:?}", self.average());
        let _ =
            writeln!(out, "zk_min_{name}\t{min}\nzk_max_{name}\t{max}\nzk_cnt_{name}\t{count}\nzk_sum_{name}\t{sum}");
    }
}

/// A mean with four digits behind the point, 0 of nothing.
#[must_use]
pub fn average(sum: i64, count: i64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss)] // a figure for people
    let mean = sum as f64 / count as f64;
    (mean * 10_000.0).round() / 10_000.0
}

/// All metrics of one server.
#[derive(Clone, Debug)]
pub struct Metrics {
    counters: Vec<i64>,
    basic: Vec<Summary>,
    advanced: Vec<Summary>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            counters: vec![0; Counter::ALL.len()],
            basic: vec![Summary::default(); Basic::ALL.len()],
            advanced: vec![Summary::default(); Advanced::ALL.len()],
        }
    }
}

impl Metrics {
    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, by: i64) {
        self.counters[counter as usize] += by;
    }
    /// A counter's value.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> i64 {
        self.counters[counter as usize]
    }
    /// One more value of a summary.
    pub fn record(&mut self, summary: Basic, value: i64) {
        self.basic[summary as usize].record(value, false);
    }
    /// One more value of a summary with percentiles.
    pub fn record_advanced(&mut self, summary: Advanced, value: i64) {
        self.advanced[summary as usize].record(value, true);
    }
    /// `srst`.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
    /// Counts what an event means.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::RoleChanged { role: Role::Looking, .. } => self.add(Counter::LookingCount, 1),
            Event::Elected { took_ms, .. } => self.record(Basic::ElectionTime, *took_ms),
            Event::SyncChosen { kind: SyncKind::Snap, .. } => self.add(Counter::SnapCount, 1),
            Event::SyncChosen { .. } => self.add(Counter::DiffCount, 1),
            Event::Proposed { .. } => self.add(Counter::ProposalCount, 1),
            Event::Decided(_) => self.add(Counter::CommitCount, 1),
            Event::SnapshotTaken { took_ms, .. } => self.record(Basic::Snapshottime, *took_ms),
            Event::SessionExpired { .. } => self.add(Counter::StaleSessionsExpired, 1),
            Event::DigestMismatch { .. } => self.add(Counter::DigestMismatchesCount, 1),
            Event::FsyncTook(ms) => self.record(Basic::Fsynctime, *ms),
            _ => {}
        }
    }
    /// Appends the lines of `mntr`.
    pub fn print(&self, out: &mut String) {
        for counter in Counter::ALL {
            let _ = writeln!(out, "zk_{}\t{}", counter.name(), self.counter(*counter));
        }
        for (name, summary) in Basic::ALL.iter().zip(&self.basic) {
            summary.print(out, name.name());
        }
        for (name, summary) in Advanced::ALL.iter().zip(&self.advanced) {
            let name = name.name();
            summary.print(out, name);
            for (label, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
                let _ = writeln!(out, "zk_{label}_{name}\t{}", summary.percentile(quantile));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let mut metrics = Metrics::default();
        for ms in [4, 8, 20] {
            metrics.record_advanced(Advanced::Updatelatency, ms);
        }
        metrics.observe(&Event::FsyncTook(21));
        let mut text = String::new();
        metrics.print(&mut text);
        for line in [
            "zk_avg_updatelatency\t10.6667",
            "zk_min_updatelatency\t4",
            "zk_max_updatelatency\t20",
            "zk_cnt_updatelatency\t3",
            "zk_sum_updatelatency\t32",
            "zk_p50_updatelatency\t8",
            "zk_p999_updatelatency\t20",
            "zk_avg_fsynctime\t21.0",
            "zk_avg_jvm_pause_time_ms\t0.0",
            "zk_p99_jvm_pause_time_ms\t0",
            "zk_commit_count\t0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        metrics.reset();
        assert!(metrics.basic.iter().all(|s| s.count == 0));
    }
}
