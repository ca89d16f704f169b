//! Two servers with one id: a machine comes back with the id of another one, and with a copy of its disk or an empty one (P9).
//!
//! The server whose machine it is stays away meanwhile. Connections are taken and made under the machine's own address.

use super::server;
use crate::observe::{Down, Obs};
use crate::spec::Explicit;
use crate::world::World;

/// Each of the two has what the other one lacks, and a quorum may hold either: what was acknowledged can be lost, and only that no
/// quorum counts both can be demanded.
pub(crate) const TWO_OF_ONE: &str = "two servers have one id";

impl World<'_> {
    /// Machine `n` comes back as the server that `to` names.
    pub(super) fn strike_clone(&mut self, f: &Explicit, n: usize) -> bool {
        let original = |o: &usize| *o < self.nodes.len() && *o != n && self.nodes[*o].own.is_none();
        let Some(other) = f.to.as_deref().and_then(server).filter(original) else { return false };
        if self.nodes[n].own.is_some() {
            return false;
        }
        self.down(n, Down::Kill);
        let copy = self.nodes[other].disk.copy();
        let node = &mut self.nodes[n];
        node.own = Some(node.disk.copy());
        if f.value == Some(1) {
            node.disk.wipe();
        } else {
            node.disk.restore(copy);
        }
        node.identity = other;
        self.watcher.tell(Obs::Cloned { node: n, of: other });
        self.outside(TWO_OF_ONE);
        self.boot_after(n, 0);
        true
    }

    /// The machine is what it was, with the disk that it had. It does not run.
    pub(crate) fn end_clone(&mut self, n: usize) {
        let Some(own) = self.nodes[n].own.take() else { return };
        self.stop(n, Down::Kill);
        let node = &mut self.nodes[n];
        node.booting = false;
        node.disk.restore(own);
        node.identity = n;
        self.watcher.tell(Obs::Cloned { node: n, of: n });
    }
}
