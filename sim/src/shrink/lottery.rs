//! Random small runs: a few of the operations and faults, settings under which less does the same, other seeds, moved instants.
//!
//! Delta debugging stops where two things must change at once (half of the operations and a snapshot after half as many). Here
//! several change at a time, and what fails as it must is smaller by construction. The draws are the same each time.

use super::{Shrinker, times};
use crate::node::host_name;
use crate::rng::{Purpose, Stream};
use crate::spec::{At, Dist, Explicit, FaultKind, LinkDelay, RunSpec};

/// So many are drawn at a time.
const BATCH: u64 = 64;

impl Shrinker<'_> {
    /// Draws until so many in a row do not fail as they must.
    pub(super) fn lottery(&mut self, patience: u64) {
        let mut misses = 0;
        while misses < patience && !self.trial.is_over() && !self.is_small() {
            let candidates: Vec<RunSpec> = (0..BATCH).filter_map(|_| self.drawn()).collect();
            let seeds = std::mem::take(&mut self.seeds);
            misses = if self.attempt(candidates).is_some() { 0 } else { misses + BATCH };
            self.seeds = seeds;
        }
    }

    /// A run that is smaller than the best one, if the draw gives one.
    fn drawn(&mut self) -> Option<RunSpec> {
        self.draws += 1;
        let s = &mut Stream::new(0, Purpose::Shrink, self.draws);
        let before = cost(&self.best);
        let mut spec =
            if self.best.topology.voters > 3 && s.permille(500) { self.three_voters(s) } else { self.best.clone() };
        if s.permille(700) {
            let ops = &mut spec.workload.explicit;
            let left = s.log_between(1, ops.len().max(1) as u64) as usize - 1;
            if s.permille(500) {
                let from = s.index(ops.len() - left.min(ops.len()) + 1);
                let mut i = 0..;
                ops.retain(|op| i.next().is_some_and(|i| (from..from + left).contains(&i)) || op.op == "attach");
            } else {
                thin(ops, left, s);
            }
        }
        if s.permille(500) {
            let faults = &mut spec.faults.explicit;
            let left = s.log_between(1, faults.len() as u64 + 1) as usize - 1;
            thin(faults, left, s);
        }
        super::lists::mend(&mut spec);
        for _ in 0..s.below(3) {
            help(&mut spec, s);
        }
        for _ in 0..s.below(3) {
            times::moved(&mut spec, s);
        }
        if s.permille(500) {
            spec.seed = s.below(64);
        }
        (cost(&spec) < before).then_some(spec)
    }
}

/// So many of them stay, in their order.
fn thin<T>(list: &mut Vec<T>, left: usize, s: &mut Stream) {
    while list.len() > left {
        list.remove(s.index(list.len()));
    }
}

/// What a run costs its reader.
fn cost(spec: &RunSpec) -> usize {
    let faults = spec.faults.explicit.len();
    let attached = spec.workload.explicit.iter().filter(|op| op.op == "attach").count();
    let ops = spec.workload.explicit.len() - attached;
    20 * spec.servers() + 6 * faults + 4 * ops + attached + spec.network.links.len()
}

/// Something under which less does the same: snapshots and windows of a few transactions, a slow or late server.
fn help(spec: &mut RunSpec, s: &mut Stream) {
    let server = host_name(s.index(spec.servers()));
    match s.below(8) {
        0 | 1 => spec.timing.snap_count = s.log_between(1, 32),
        2 => spec.timing.window = s.log_between(1, 8),
        3 => spec.limits.diff_log_permille = -1,
        4 => spec.disk.fsync = Dist::Const { us: [200, 5000, 20_000, 50_000][s.index(4)] },
        5 => spec.network.delay = Dist::Const { us: [100, 5000, 20_000, 50_000][s.index(4)] },
        6 => {
            let delay = Dist::Const { us: [20_000, 100_000, 300_000][s.index(3)] };
            let (from, to) = if s.permille(700) { ("*".to_owned(), server) } else { (server, "*".to_owned()) };
            spec.network.links = vec![LinkDelay { from, to, delay }];
        }
        _ => {
            // A server that has nothing when the others have a history.
            let id = spec.faults.explicit.iter().map(|f| f.id).max().unwrap_or(0) + 1;
            let hold_ms = Some(s.log_between(100, 2000) as i64 / 100 * 100);
            let fault =
                Explicit { node: Some(server), hold_ms, ..Explicit::new(id, At::Us { us: 30_000 }, FaultKind::Kill) };
            spec.faults.explicit.insert(0, fault);
        }
    }
}
