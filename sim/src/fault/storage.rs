//! Faults of what stands on a disk: spoiled, gone, old, or left behind.

use quorate_core::event::Dir;
use quorate_core::ids::Zxid;

use crate::observe::Down;
use crate::rng::{Purpose, Stream};
use crate::spec::{Budget, Explicit, FaultKind};
use crate::world::World;

/// What says which epochs a server has promised. The first two have no checksum: changed alike between two starts they look like the
/// work of another implementation, and so does one of them without the third, and nothing on this server could tell. The budget
/// spoils one of the three (simulation-catalogue 1.3, "Fault budget").
const EPOCH_FILES: [&str; 3] = ["acceptedEpoch", "currentEpoch", "state"];

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
            FaultKind::LatentError if s.permille(200) => return self.spoil_small(n, f.id, &mut s),
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
        let spared = self.spared(n);
        let what = self.nodes[n].disk.rot(&[Dir::Data, Dir::Log, Dir::Side], spared, stream);
        self.rotten(n, "bit rot in", what)
    }

    fn spoil_small(&mut self, n: usize, by: u32, stream: &mut Stream) -> bool {
        let spared = self.spared(n);
        let what = self.nodes[n].disk.spoil_file(&[Dir::Data, Dir::Side], spared, by, stream);
        self.rotten(n, "nobody can read", what)
    }

    /// Which files of this server's disk the budget leaves alone.
    fn spared(&self, n: usize) -> impl Fn(&str) -> bool + use<> {
        let other = self.nodes[n].rotten_epoch.filter(|_| self.spec.disk.budget != Budget::Unlimited);
        move |file| {
            let at = EPOCH_FILES.iter().position(|f| file.starts_with(f));
            other.is_some() && at.is_some() && at != other
        }
    }

    fn rotten(&mut self, n: usize, how: &str, what: Option<String>) -> bool {
        let Some(what) = what else { return false };
        let struck = EPOCH_FILES.iter().position(|f| what.starts_with(f));
        let node = &mut self.nodes[n];
        node.rotten_epoch = node.rotten_epoch.or(struck);
        self.watcher.note_of(n, format_args!("{how} {what}"));
        self.lasting(n);
        true
    }
}
