//! A run without generators: what a seed has drawn, written out.

use crate::node;
use crate::observe::Outcome;
use crate::spec::RunSpec;

/// The spec in which every fault and every operation of this run is an explicit entry, and every size that the seed had drawn is a
/// number. `outcome` must come from a run of `spec` with [`crate::Options::record`].
///
/// The digest of the frozen spec is that of the run: faults keep targets, durations and values, operations are due at the instants
/// that were drawn for them, and what stays with the seed (delays, sectors that survive a power cut, elections) has streams of its
/// own that do not notice where faults and operations come from.
#[must_use]
pub fn freeze(spec: &RunSpec, outcome: &Outcome) -> RunSpec {
    let mut frozen = spec.clone();
    frozen.timing.snap_count = node::snap_count(spec);
    frozen.timing.window = node::window(spec);
    frozen.timing.epoch_len = u64::from(node::epoch_len(spec));
    freeze_faults(&mut frozen, outcome);
    frozen.workload.generate.mix.clear();
    frozen.workload.generate.ops = 0;
    frozen.workload.generate.min_commits = 0;
    frozen.workload.explicit.clone_from(&outcome.ops);
    frozen
}

/// In place of what makes faults, those that it has made in this run.
pub fn freeze_faults(spec: &mut RunSpec, outcome: &Outcome) {
    spec.faults.swarm = false;
    spec.faults.hostile = false;
    spec.faults.generate.clear();
    spec.faults.explicit.clone_from(&outcome.faults);
    // A side that was drawn may have no servers and begin with a comma.
    for side in spec.faults.explicit.iter_mut().flat_map(|f| [&mut f.from, &mut f.to]).flatten() {
        if side.split(',').any(str::is_empty) {
            *side = side.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",");
        }
    }
}
