//! How large a run is.

use serde::Serialize;

use crate::observe::Outcome;
use crate::spec::{FaultKind, RunSpec};
use crate::workload::is_write;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Size {
    /// Servers.
    pub servers: usize,
    /// Clients.
    pub clients: u32,
    /// Faults; what only ends others or prepares them is none.
    pub faults: usize,
    /// Those that stop a server or keep it from others.
    pub cuts: usize,
    /// Operations of clients; where they attach to is none.
    pub operations: usize,
    /// Those that ask for a transaction.
    pub writes: usize,
    /// Virtual time until it fails.
    pub ms: i64,
}

impl Size {
    /// As small as a schedule that is published for a bug.
    #[must_use]
    pub const fn is_small(&self) -> bool {
        self.servers <= 3 && self.faults <= 3 && self.operations <= 3
    }
    /// Of a run without generators.
    #[must_use]
    pub fn of(spec: &RunSpec, outcome: &Outcome) -> Self {
        let real = |kind: &FaultKind| !matches!(kind, FaultKind::Heal | FaultKind::Start | FaultKind::Backup);
        let kinds = || spec.faults.explicit.iter().map(|f| f.kind).filter(real);
        let ops = || spec.workload.explicit.iter().filter(|op| op.op != "attach");
        Self {
            servers: spec.servers(),
            clients: spec.topology.clients,
            faults: kinds().count(),
            cuts: kinds().filter(|kind| cuts(*kind)).count(),
            operations: ops().count(),
            writes: ops().filter(|op| is_write(&op.op)).count(),
            ms: outcome.violation.as_ref().map_or(outcome.end_ms, |v| v.at_ms),
        }
    }
}

/// Whether a fault of this kind stops a server or keeps it from others.
const fn cuts(kind: FaultKind) -> bool {
    use FaultKind as K;
    matches!(
        kind,
        K::PowerCut
            | K::Kill
            | K::PowerCutAll
            | K::Pause
            | K::Suspend
            | K::Partition
            | K::OneWay
            | K::Cut
            | K::Clog
            | K::PortBlock
            | K::HalfOpen
            | K::AddressChange
            | K::Wipe
            | K::Reconfigure
            | K::Leftovers
            | K::Restore
            | K::LoseSnapshots
    )
}
