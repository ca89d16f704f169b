//! Containers and TTL znodes that may be deleted, found without looking at the others (client-protocol section 11).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::arena::{Node, NodeId};
use super::{DataTree, node_ref};
use crate::config::TtlForms;
use crate::ids::Millis;
use crate::wire::records::Owner;

/// Why a childless znode may go, and from when on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// A container that has had children: at once.
    Emptied,
    /// A container that never had one, by mtime.
    Unused(Millis),
    /// A TTL znode, by the time at which it ends.
    Ttl(Millis),
}

/// The candidate that a znode is.
pub(super) fn key(node: &Node, ttl_forms: TtlForms) -> Option<Key> {
    if node.owner == 0 || node.children != 0 || node.is_vacant() {
        return None;
    }
    match Owner::of(node.owner, ttl_forms) {
        Owner::None | Owner::Session(_) => None,
        Owner::Container if node.cversion > 0 => Some(Key::Emptied),
        Owner::Container => Some(Key::Unused(node.mtime)),
        Owner::Ttl(0) => None,
        Owner::Ttl(ttl) => Some(Key::Ttl(node.mtime.saturating_add(ttl))),
    }
}

/// The candidates.
#[derive(Clone, Debug, Default)]
pub(super) struct Reapable {
    emptied: BTreeSet<NodeId>,
    unused: BTreeSet<(Millis, NodeId)>,
    ttl: BTreeSet<(Millis, NodeId)>,
}

impl Reapable {
    /// A znode is another candidate than before, or none.
    pub(super) fn moved(&mut self, id: NodeId, before: Option<Key>, after: Option<Key>) {
        if before == after {
            return;
        }
        match before {
            None => {}
            Some(Key::Emptied) => _ = self.emptied.remove(&id),
            Some(Key::Unused(at)) => _ = self.unused.remove(&(at, id)),
            Some(Key::Ttl(at)) => _ = self.ttl.remove(&(at, id)),
        }
        match after {
            None => {}
            Some(Key::Emptied) => _ = self.emptied.insert(id),
            Some(Key::Unused(at)) => _ = self.unused.insert((at, id)),
            Some(Key::Ttl(at)) => _ = self.ttl.insert((at, id)),
        }
    }
}

impl DataTree {
    /// Paths of at most `limit` znodes whose time has come: containers first, then TTL znodes, the longest due first.
    ///
    /// `never_used`: ms after which a container goes that never had a child; 0 = never.
    #[must_use]
    pub fn reapable(&self, wall_ms: Millis, never_used: Millis, limit: usize) -> Vec<String> {
        let waited = |at: &Millis| never_used > 0 && wall_ms.saturating_sub(*at) > never_used;
        let emptied = self.reapable.emptied.iter();
        let unused = self.reapable.unused.iter().take_while(|(at, _)| waited(at)).map(|(_, id)| id);
        let ttl = self.reapable.ttl.iter().take_while(|(at, _)| *at < wall_ms).map(|(_, id)| id);
        emptied.chain(unused).chain(ttl).take(limit).map(|id| node_ref::path_text(&self.nodes, *id)).collect()
    }
}
