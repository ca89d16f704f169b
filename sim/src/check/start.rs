//! Where a run begins: the histories that initial disks hold.

use bytes::Bytes;
use quorate_core::ids::Zxid;
use quorate_core::zab::payload_hash;

use super::Checks;
use super::ghost::ROOT;
use crate::spec::RunSpec;

impl Checks {
    /// Knows what the initial disks hold: proposals of leaders that nobody has seen.
    pub(super) fn start_from(&mut self, spec: &RunSpec) {
        let g = &mut self.ghost;
        for (n, disk) in spec.topology.initial.values().enumerate() {
            let mut parent = ROOT;
            for zxid in disk.log.iter().filter_map(|z| parse_zxid(z)) {
                parent = g.find(zxid, parent).unwrap_or_else(|| {
                    let record = initial_record(zxid);
                    g.propose(zxid, payload_hash(&record), parent, record)
                });
            }
            if disk.cur > 0 {
                g.open_before(n, disk.cur);
            }
        }
    }
}

fn parse_zxid(text: &str) -> Option<Zxid> {
    let (epoch, counter) = text.split_once('.')?;
    Some(Zxid::new(epoch.parse().ok()?, counter.parse().ok()?))
}

fn initial_record(_zxid: Zxid) -> Bytes {
    Bytes::new()
}
