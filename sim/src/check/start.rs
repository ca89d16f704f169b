//! Where a run begins: the histories that initial disks hold.

use std::rc::Rc;

use quorate_core::ids::Zxid;
use quorate_core::zab::payload_hash;

use super::ghost::{At, Ghost, ROOT};
use super::{Checks, order, tree};
use crate::initial::{Histories, record};
use crate::spec::RunSpec;

impl Checks {
    /// Knows what the initial disks hold: proposals of leaders that nobody has seen.
    pub(super) fn start_from(&mut self, spec: &RunSpec) {
        let g = &mut self.ghost;
        let histories = Histories::new(&spec.topology);
        let know = |g: &mut Ghost, history: &[Zxid]| {
            history.iter().fold(ROOT, |parent, zxid| {
                g.find(*zxid, parent).unwrap_or_else(|| {
                    let record = record(*zxid);
                    g.propose(*zxid, payload_hash(&record), parent, record)
                })
            })
        };
        let tip = know(g, &histories.tip());
        let left: Vec<At> = histories.snapshots().iter().map(|(_, _, history)| know(g, history)).collect();
        for (n, (name, disk)) in spec.topology.initial.iter().enumerate() {
            know(g, &histories.log(name));
            if disk.cur > 0 {
                g.open_before(n, disk.cur);
            }
        }
        // Our snapshots hold what is decided and nothing else. Scenarios are valid: what is decided is one path.
        let begun = order::extend(g, tip).and_then(|new| {
            tree::decided(g, &new, Rc::make_mut(&mut self.model), &mut self.clients, &mut self.watches)
        });
        debug_assert!(begun.is_ok(), "{begun:?}");
        for at in left {
            self.ghost.leave(at);
        }
    }
}
