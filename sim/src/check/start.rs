//! Where a run begins: the histories that initial disks hold.

use quorate_core::zab::payload_hash;

use super::Checks;
use super::ghost::ROOT;
use crate::initial::{parse_zxid, record};
use crate::spec::RunSpec;

impl Checks {
    /// Knows what the initial disks hold: proposals of leaders that nobody has seen.
    pub(super) fn start_from(&mut self, spec: &RunSpec) {
        let g = &mut self.ghost;
        for (n, disk) in spec.topology.initial.values().enumerate() {
            let mut parent = ROOT;
            for zxid in disk.log.iter().filter_map(|z| parse_zxid(z)) {
                parent = g.find(zxid, parent).unwrap_or_else(|| {
                    let record = record(zxid);
                    g.propose(zxid, payload_hash(&record), parent, record)
                });
            }
            if disk.cur > 0 {
                g.open_before(n, disk.cur);
            }
        }
    }
}
