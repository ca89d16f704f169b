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
    }
}
