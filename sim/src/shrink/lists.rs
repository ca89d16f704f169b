//! Leaving out faults and operations: all, by kind, then delta debugging.

use std::collections::BTreeSet;

use super::Shrinker;
use crate::spec::{At, Explicit, ExplicitOp, FaultKind, RunSpec};

/// Leaves out what comes after a fault that is not there.
pub(super) fn mend(spec: &mut RunSpec) {
    loop {
        let there: BTreeSet<u32> = spec.faults.explicit.iter().map(|f| f.id).collect();
        let lost = |at: &At| matches!(at, At::After { after, .. } if !there.contains(after));
        let count = spec.faults.explicit.len();
        spec.workload.explicit.retain(|op| !lost(&op.at));
        spec.faults.explicit.retain(|f| !lost(&f.at));
        if spec.faults.explicit.len() == count {
            return;
        }
    }
}

/// So many sets of faults are tried.
const FEW: usize = 400;

impl Shrinker<'_> {
    pub(super) fn faults(&mut self) {
        let kinds: BTreeSet<FaultKind> = self.best.faults.explicit.iter().map(|f| f.kind).collect();
        self.only_faults(|_, _| false);
        // One of them alone is often all that it takes.
        for kind in kinds {
            self.only_faults(|_, f| f.kind != kind);
        }
        self.without(
            |spec| spec.faults.explicit.len(),
            |spec, range| {
                spec.faults.explicit.drain(range);
            },
        );
    }

    /// One or two of the faults are often all that it takes.
    pub(super) fn few_faults(&mut self) {
        let count = self.best.faults.explicit.len();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        sets.extend((0..count).map(|a| vec![a]));
        sets.extend((0..count).flat_map(|a| (a + 1..count).map(move |b| vec![a, b])));
        sets.truncate(FEW);
        let candidates = sets.into_iter().map(|set| {
            self.with(|spec| {
                let mut i = 0..;
                spec.faults.explicit.retain(|_| i.next().is_some_and(|i| set.contains(&i)));
                mend(spec);
            })
        });
        let candidates = candidates.collect();
        self.attempt(candidates);
    }

    /// A few operations in a row, and where clients are.
    pub(super) fn few_operations(&mut self) {
        let count = self.best.workload.explicit.len();
        let mut candidates = vec![self.with(|spec| spec.workload.explicit.retain(|op| op.op == "attach"))];
        for part in [2, 4, 8, 16, 32, 64] {
            for from in (0..count).step_by(part).filter(|_| part < count) {
                candidates.push(self.with(|spec| {
                    let mut i = 0..;
                    let within = |i: usize| (from..from + part).contains(&i);
                    spec.workload.explicit.retain(|op| i.next().is_some_and(within) || op.op == "attach");
                }));
            }
        }
        self.attempt(candidates);
    }

    fn only_faults(&mut self, keep: impl Fn(usize, &Explicit) -> bool) {
        let candidate = self.with(|spec| {
            let mut i = 0;
            spec.faults.explicit.retain(|f| {
                i += 1;
                keep(i - 1, f)
            });
            mend(spec);
        });
        self.attempt(vec![candidate]);
    }

    pub(super) fn operations(&mut self) {
        self.only_operations(|_| false);
        self.only_operations(|op| op.op == "attach");
        for client in 1..=self.best.topology.clients {
            self.only_operations(|op| op.client != client);
        }
        self.without(
            |spec| spec.workload.explicit.len(),
            |spec, range| {
                spec.workload.explicit.drain(range);
            },
        );
    }

    fn only_operations(&mut self, keep: impl Fn(&ExplicitOp) -> bool) {
        let candidate = self.with(|spec| spec.workload.explicit.retain(|op| keep(op)));
        self.attempt(vec![candidate]);
    }

    /// Delta debugging of a list: parts of it are left out, large ones first.
    fn without(&mut self, length: fn(&RunSpec) -> usize, drain: fn(&mut RunSpec, std::ops::Range<usize>)) {
        let mut part = length(&self.best).div_ceil(2);
        while part > 0 {
            let mut from = 0;
            loop {
                let end = length(&self.best);
                let candidates = (from..end).step_by(part).map(|at| {
                    self.with(|spec| {
                        drain(spec, at..end.min(at + part));
                        mend(spec);
                    })
                });
                let candidates = candidates.collect();
                // What stands before the part that could go has been tried.
                match self.attempt(candidates) {
                    Some(place) => from += place * part,
                    None => break,
                }
            }
            part /= 2;
        }
        if self.seeds > 0 && length(&self.best) <= 24 {
            self.pairs(length, drain);
        }
    }

    /// Two that need each other.
    fn pairs(&mut self, length: fn(&RunSpec) -> usize, drain: fn(&mut RunSpec, std::ops::Range<usize>)) {
        loop {
            let end = length(&self.best);
            let pairs = (0..end).flat_map(|a| (a + 2..end).map(move |b| (a, b)));
            let candidates = pairs.map(|(a, b)| {
                self.with(|spec| {
                    drain(spec, b..b + 1);
                    drain(spec, a..a + 1);
                    mend(spec);
                })
            });
            let candidates = candidates.collect();
            if self.attempt(candidates).is_none() {
                return;
            }
        }
    }
}
