//! What the runs of a campaign have reached, and in how many of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quorate_sim::reach::Tuple;

use super::one::Ran;

/// In how many runs a tuple was reached, and the least seed of those.
type Hits = (u64, u64);

/// Sums over runs.
#[derive(Debug, Default)]
pub struct Reach {
    runs: u64,
    tuples: BTreeMap<Tuple, Hits>,
}

impl Reach {
    /// Adds a run.
    pub fn add(&mut self, ran: &Ran) {
        self.runs += 1;
        let Some(reached) = ran.outcome.as_ref().and_then(|o| o.reached.as_ref()) else { return };
        for tuple in reached.tuples() {
            let (hits, first) = self.tuples.entry(tuple).or_insert((0, ran.seed));
            *hits += 1;
            *first = ran.seed.min(*first);
        }
    }

    /// For people: how many there are, and whether more runs would find more.
    #[must_use]
    pub fn words(&self, from: u64) -> String {
        let once = self.tuples.values().filter(|(hits, _)| *hits == 1).count();
        let late = self.tuples.values().filter(|(_, first)| *first >= from + self.runs / 2).count();
        format!(
            "reached {} tuples, {once} in one run only, {late} in the second half of the seeds only",
            self.tuples.len()
        )
    }

    /// A line for each tuple, the rarest first: runs, least seed, role, phase, log, faults, event.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut list: Vec<(Hits, Tuple)> = self.tuples.iter().map(|(tuple, hits)| (*hits, *tuple)).collect();
        list.sort_unstable_by_key(|((hits, _), tuple)| (*hits, *tuple));
        let mut text = String::new();
        for ((hits, first), tuple) in list {
            let _ = writeln!(text, "{hits} {first} {tuple}");
        }
        text
    }
}
