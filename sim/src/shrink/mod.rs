//! From a failing run to a small one that fails in the same way (simulation-catalogue section 6).
//!
//! Every step is a list of smaller runs in the order in which they are wanted; a [`Trial`] says which is the first that still fails.
//! What is taken does not depend on how many of them are tried at a time. Runs are frozen ([`crate::freeze`]), so that what is left
//! out of one changes little of the rest; where that is not enough, the same is tried with other seeds.

mod lists;
mod lottery;
mod servers;
mod settings;
mod size;
mod times;
mod words;

use std::collections::BTreeSet;

pub use size::Size;

use crate::observe::{Outcome, Verdict};
use crate::spec::RunSpec;

/// So many seeds are tried beside a run's own, and so many draws of the lottery, once nothing else helps; each pair after the one
/// before it.
const EFFORT: &[(u64, u64)] = &[(0, 2_000), (4, 5_000), (24, 20_000), (120, 50_000), (600, 200_000)];

/// So many seeds for a run that is small already.
const SEEDS_IF_SMALL: u64 = 24;

/// Runs candidates.
pub trait Trial {
    /// The first of these runs that fails as it must, and what came out of it; `None` where none does or the time is over.
    fn first(&mut self, candidates: &[RunSpec]) -> Option<(usize, Outcome)>;
    /// The time is over.
    fn is_over(&self) -> bool;
    /// There is a smaller run.
    fn found(&mut self, size: &Size);
}

/// Shrinks `spec`, an explicit run that fails with `outcome`. Returns the smallest run that was found and what comes out of it.
pub fn shrink(spec: &RunSpec, outcome: &Outcome, trial: &mut dyn Trial) -> (RunSpec, Outcome) {
    let mut shrinker = Shrinker {
        best: spec.clone(),
        outcome: outcome.clone(),
        safety: outcome.verdict == Verdict::Violation,
        seeds: 0,
        draws: 0,
        tried: BTreeSet::new(),
        trial,
    };
    shrinker.best.checks.twice = false;
    shrinker.tidy();
    shrinker.leap();
    for (seeds, draws) in EFFORT {
        if *seeds > SEEDS_IF_SMALL && shrinker.is_small() {
            break;
        }
        shrinker.seeds = *seeds;
        while !shrinker.trial.is_over() && shrinker.round() {}
        shrinker.lottery(*draws);
    }
    shrinker.finish();
    (shrinker.best, shrinker.outcome)
}

/// The smallest run so far, and what makes it smaller.
struct Shrinker<'a> {
    best: RunSpec,
    outcome: Outcome,
    /// What is broken is safety: it is seen in the instant in which it happens.
    safety: bool,
    /// So many other seeds are tried with each candidate.
    seeds: u64,
    /// So many random candidates have been drawn.
    draws: u64,
    /// Digests of candidates that do not fail.
    tried: BTreeSet<u64>,
    trial: &'a mut dyn Trial,
}

impl Shrinker<'_> {
    /// Bold steps while there is much to lose: with constant delays, few servers and few faults what is left out later changes little
    /// of the rest.
    fn leap(&mut self) {
        self.checks();
        self.seeds = 40;
        self.settings();
        self.seeds = 8;
        self.by_clock();
        self.late_start();
        self.servers();
        self.lottery(3_000);
    }

    fn is_small(&self) -> bool {
        Size::of(&self.best, &self.outcome).is_small()
    }

    /// Everything once, large parts first. Whether something became smaller.
    fn round(&mut self) -> bool {
        let before = self.best.clone();
        self.checks();
        self.faults();
        self.operations();
        self.clients();
        self.servers();
        self.settings();
        self.holds();
        self.gaps();
        self.words();
        self.rounded();
        self.best != before
    }

    /// The last polish: what does not make a run smaller, but easier to read and longer to live.
    fn finish(&mut self) {
        self.seeds = 0;
        self.by_effects();
        self.small_seed();
        self.room();
    }

    /// Takes the first of these runs that fails as it must; its place in the list.
    fn attempt(&mut self, candidates: Vec<RunSpec>) -> Option<usize> {
        let mut list = Vec::new();
        let mut places = Vec::new();
        for (place, candidate) in candidates.into_iter().enumerate() {
            let own = candidate.seed;
            if candidate == self.best {
                continue;
            }
            for seed in std::iter::once(own).chain((0..self.seeds).filter(|seed| *seed != own)) {
                let candidate = RunSpec { seed, ..candidate.clone() };
                if !self.tried.contains(&digest(&candidate)) {
                    list.push(candidate);
                    places.push(place);
                }
            }
        }
        let found = if list.is_empty() || self.trial.is_over() { None } else { self.trial.first(&list) };
        let failed = found.as_ref().map_or(list.len(), |(at, _)| *at);
        if !self.trial.is_over() {
            self.tried.extend(list[..failed].iter().map(digest));
        }
        let (at, outcome) = found?;
        self.best = list.swap_remove(at);
        self.outcome = outcome;
        self.tidy();
        self.trial.found(&Size::of(&self.best, &self.outcome));
        Some(places[at])
    }

    /// Leaves out what the run did not come to. Nothing else changes in it.
    fn tidy(&mut self) {
        let end_ms = self.outcome.violation.as_ref().map_or(self.outcome.end_ms, |v| v.at_ms);
        let struck: BTreeSet<u32> = self.outcome.faults.iter().map(|f| f.id).collect();
        self.best.faults.explicit.retain(|f| struck.contains(&f.id));
        let tick_ms = self.best.timing.tick_ms.max(1);
        self.best
            .workload
            .explicit
            .retain(|op| times::start_us(&op.at, tick_ms).is_none_or(|us| us / 1000 <= end_ms as u64));
        if self.safety {
            let end = end_ms / tick_ms + 2;
            self.best.timing.max_ticks = self.best.timing.max_ticks.min(end);
            self.best.timing.fault_ticks = self.best.timing.fault_ticks.min(self.best.timing.max_ticks);
        }
    }

    /// A run with one thing changed.
    fn with(&self, change: impl FnOnce(&mut RunSpec)) -> RunSpec {
        let mut spec = self.best.clone();
        change(&mut spec);
        spec
    }
}

fn digest(spec: &RunSpec) -> u64 {
    crate::draw::number_of(&serde_json::to_string(spec).unwrap_or_default())
}
