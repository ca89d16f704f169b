//! Faults of what stands on a disk: spoiled, gone, old, or left behind.

use quorate_core::event::Dir;
use quorate_core::ids::Zxid;

use crate::observe::Down;
use crate::rng::{Purpose, Stream};
use crate::spec::{Budget, Explicit, FaultKind};
use crate::world::World;

/// They have no checksum. Both changed alike between two starts look like the work of another implementation, and nothing on
/// this server could tell: the budget leaves one of them alone (simulation-catalogue 1.3, "Fault budget").
const EPOCH_FILES: [&str; 2] = ["acceptedEpoch", "currentEpoch"];

impl World<'_> {
    /// What happens to the disk of a server. Where files come or go the server is down meanwhile.
    pub(super) fn strike_storage(&mut self, f: &Explicit, n: usize) -> bool {
        let mut s = Stream::new(self.spec.seed, Purpose::Rot, 1 + f.value.unwrap_or(0).unsigned_abs());
        let what = match f.kind {
            FaultKind::BitRot => return self.rot(n, &mut s),
            FaultKind::Backup => {
                let copy = self.nodes[n].disk.copy();
                self.nodes[n].backup = Some(copy);
                return true;
            }
            FaultKind::LatentError => self.nodes[n].disk.spoil_sector(false, f.id, &mut s),
            FaultKind::StaleRead => self.nodes[n].disk.spoil_sector(true, f.id, &mut s),
            FaultKind::Misdirected => self.nodes[n].disk.misdirect(&mut s),
            FaultKind::Wipe => {
                self.down(n, Down::Kill);
                let node = &mut self.nodes[n];
                node.disk.wipe();
                node.durable = Zxid::ZERO;
                (node.wiped, node.rotten) = (true, false);
                self.watcher.note_of(n, format_args!("disk: everything is gone"));
                self.lasting(n);
                return true;
            }
            FaultKind::LoseSnapshots => {
                self.down(n, Down::Kill);
                let value = f.value.unwrap_or(1);
                self.nodes[n].disk.lose_snapshots(value.unsigned_abs() as usize, value < 0)
            }
            FaultKind::Leftovers => {
                if self.nodes[n].durable == Zxid::ZERO {
                    return false;
                }
                self.down(n, Down::Kill);
                let after = self.nodes[n].durable.0;
                let what = self.nodes[n].disk.leave(after, &mut s);
                self.watcher.note_of(n, format_args!("left behind: {what}"));
                return true;
            }
            FaultKind::Restore => {
                let Some(copy) = self.nodes[n].backup.take() else { return false };
                self.down(n, Down::Kill);
                self.nodes[n].disk.restore(copy);
                self.outside("an old disk was put back");
                Some("an old copy was put back".into())
            }
            _ => return false,
        };
        let Some(what) = what else { return false };
        self.watcher.note_of(n, format_args!("disk: {what}"));
        self.lasting(n);
        true
    }

    fn rot(&mut self, n: usize, stream: &mut Stream) -> bool {
        let node = &mut self.nodes[n];
        let spared = match self.spec.disk.budget {
            Budget::GoodQuorum | Budget::OneGoodCopy => {
                node.rotten_epoch.map(|other| 1 - other).map(|i| EPOCH_FILES[i])
            }
            Budget::Unlimited => None,
        };
        let Some(what) = node.disk.rot(&[Dir::Data, Dir::Log], spared, stream) else { return false };
        let struck = EPOCH_FILES.iter().position(|f| what.starts_with(f));
        node.rotten_epoch = node.rotten_epoch.or(struck);
        self.watcher.note_of(n, format_args!("bit rot in {what}"));
        self.lasting(n);
        true
    }
}
