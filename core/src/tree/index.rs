//! From a path to its znode: one keyed hash of the whole path, one probe, then the names are compared up to the root.

use alloc::vec::Vec;
use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use super::arena::{Arena, Node, NodeId};

/// The index is cut into parts that grow one by one: rehashing a part is short, rehashing everything would be a pause.
const PARTS: usize = 64;

/// Finds znodes by path. The root is not in it.
#[derive(Clone, Debug)]
pub(super) struct PathIndex {
    key: (u64, u64),
    parts: Vec<HashTable<NodeId>>,
}

/// The 64 bits that the table wants: its low bits are the bucket, its highest seven the tag.
pub(super) const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const fn part(hash: u32) -> usize {
    hash as usize >> 26
}

impl PathIndex {
    /// Clients choose paths: the key is secret to them.
    pub(super) fn new(key: (u64, u64)) -> Self {
        Self { key, parts: (0..PARTS).map(|_| HashTable::new()).collect() }
    }

    pub(super) fn clear(&mut self) {
        self.parts.iter_mut().for_each(|part| *part = HashTable::new());
    }

    pub(super) fn hash(&self, path: &str) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(path.as_bytes());
        hasher.finish() as u32
    }

    /// The znode with this path; "" and "/" are the root.
    pub(super) fn find(&self, path: &str, nodes: &Arena) -> Option<NodeId> {
        self.find_hashed(path, self.hash(path), nodes)
    }

    /// The same for who has the hash already; the root's does not matter.
    pub(super) fn find_hashed(&self, path: &str, hash: u32, nodes: &Arena) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(NodeId::ROOT);
        }
        let found =
            self.parts[part(hash)].find(spread(hash), |id| nodes.get(*id).hash == hash && is_at(nodes, *id, path));
        found.copied()
    }

    /// Adds a znode whose hash is set and whose path is not in the index.
    pub(super) fn insert(&mut self, id: NodeId, nodes: &Arena) {
        let hash = nodes.get(id).hash;
        self.parts[part(hash)].insert_unique(spread(hash), id, |other| spread(nodes.get(*other).hash));
    }

    pub(super) fn remove(&mut self, id: NodeId, nodes: &Arena) {
        let hash = nodes.get(id).hash;
        let entry = self.parts[part(hash)].find_entry(spread(hash), |other| *other == id);
        entry.expect("every znode is in the index").remove();
    }
}

/// Whether this znode has this path.
fn is_at(nodes: &Arena, mut id: NodeId, path: &str) -> bool {
    let mut rest = path.as_bytes();
    while id != NodeId::ROOT {
        let node = nodes.get(id);
        let Some(above) = rest.strip_suffix(node.name_bytes()).and_then(|rest| rest.strip_suffix(b"/")) else {
            return false;
        };
        rest = above;
        id = node.parent;
    }
    rest.is_empty()
}

/// A znode and its ancestors, without the root.
fn upward(nodes: &Arena, id: NodeId) -> impl Iterator<Item = &Node> {
    let below_root = |id: NodeId| if id == NodeId::ROOT { None } else { Some(nodes.get(id)) };
    core::iter::successors(below_root(id), move |node| below_root(node.parent))
}

/// Length of the path of a znode in bytes; the root's is 0.
pub(super) fn path_len(nodes: &Arena, id: NodeId) -> usize {
    upward(nodes, id).map(|node| 1 + node.name_bytes().len()).sum()
}

/// Appends the path of a znode; the root's is "".
pub(super) fn push_path(nodes: &Arena, id: NodeId, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + path_len(nodes, id), b'/');
    let mut end = out.len();
    for node in upward(nodes, id) {
        let name = node.name_bytes();
        out[end - name.len()..end].copy_from_slice(name);
        end -= name.len() + 1;
    }
    debug_assert_eq!(end, start);
}
