//! What is on the disks before the run.

use bytes::Bytes;
use quorate_core::event::{Dir, FileName};
use quorate_core::ids::Zxid;

use crate::disk::SimDisk;
use crate::spec::RunSpec;

/// `epoch.counter`, decimal.
#[must_use]
pub fn parse_zxid(text: &str) -> Option<Zxid> {
    let (epoch, counter) = text.split_once('.')?;
    Some(Zxid::new(epoch.parse().ok()?, counter.parse().ok()?))
}

/// Puts the files of server `n` on its disk.
pub(crate) fn install(spec: &RunSpec, n: usize, disk: &mut SimDisk) {
    let Some(initial) = spec.topology.initial.get(&crate::node::host_name(n)) else { return };
    let mut file = |dir, name: &str, bytes: &[u8]| disk.install(&FileName::new(dir, name), bytes);
    file(Dir::Data, "acceptedEpoch", initial.acc.to_string().as_bytes());
    file(Dir::Data, "currentEpoch", initial.cur.to_string().as_bytes());
    let zxids: Vec<Zxid> = initial.log.iter().filter_map(|z| parse_zxid(z)).collect();
    let _ = (zxids, Bytes::new());
}
