//! The DataTree: znodes, sessions and ephemerals, the ACL table, quotas, the digest, and walks into snapshots.
//!
//! Applying a transaction is total and sees no clock: the same code serves live transactions and replay over a fuzzy snapshot.

pub mod acl;
mod acls;
mod applied;
mod apply;
mod arena;
mod digest;
mod index;
mod load;
mod node_ref;
mod nodes;
pub mod quota;
mod reap;
mod walk;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;

use bytes::Bytes;

pub use crate::wire::client::{Change, SharedAcl};
pub use applied::{Applied, Changes, OpResult};
pub use digest::{content_crc, is_counted, node_digest, stat_digest};
pub use node_ref::NodeRef;

use crate::config::TtlForms;
use crate::ids::{Millis, SessionId, Zxid};
use crate::mutant::{Mutant, Mutants};
use crate::wire::records::{Acl, StatPersisted, perm};
use acls::AclTable;
use arena::{Arena, Node, NodeId};
use index::PathIndex;
use load::Loading;
use quota::Quotas;
use reap::Reapable;
use walk::Walk;

/// Holds the dynamic configuration.
pub const CONFIG_NODE: &str = "/zookeeper/config";

/// A keyed hash of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PathHash(u32);

impl PathHash {
    /// The 64 bits that a table wants.
    pub(crate) const fn spread(self) -> u64 {
        index::spread(self.0)
    }
}

/// The replicated state of one server.
#[derive(Clone)]
pub struct DataTree {
    ttl_forms: TtlForms,
    nodes: Arena,
    index: PathIndex,
    acls: AclTable,
    sessions: BTreeMap<SessionId, i32>,
    ephemerals: BTreeMap<SessionId, BTreeSet<NodeId>>,
    reapable: Reapable,
    quotas: Quotas,
    last_zxid: Zxid,
    digest: u64,
    /// Of all paths and data.
    bytes: usize,
    walk: Option<Walk>,
    loading: Option<Loading>,
    /// Planted bug K25: what the first part of a multi gave.
    begun: Option<(Changes, alloc::vec::Vec<OpResult>)>,
    /// What is being applied takes a session's znodes along, or is a later part of a multi (planted bugs B46, B48).
    aside: Option<Mutant>,
    mutants: Mutants,
}

impl fmt::Debug for DataTree {
    /// Not every znode: the digest stands for them, but for those below `/zookeeper`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataTree")
            .field("last_zxid", &self.last_zxid)
            .field("nodes", &self.nodes.len())
            .field("sessions", &self.sessions)
            .field("digest", &self.digest)
            .field("walked", &self.walk.is_some())
            .field("loading", &self.loading.is_some())
            .finish_non_exhaustive()
    }
}

impl DataTree {
    /// The empty tree. The hash keys come from `seed`; `ttl_forms`: which stored owners are TTLs.
    #[must_use]
    pub fn new(seed: u64, ttl_forms: impl Into<TtlForms>) -> Self {
        let mut tree = Self {
            ttl_forms: ttl_forms.into(),
            nodes: Arena::default(),
            index: PathIndex::new((seed, !seed)),
            acls: AclTable::new((!seed, seed)),
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            reapable: Reapable::default(),
            quotas: Quotas::default(),
            last_zxid: Zxid::ZERO,
            digest: 0,
            bytes: 0,
            walk: None,
            loading: None,
            begun: None,
            aside: None,
            mutants: Mutants::default(),
        };
        tree.clear();
        tree
    }

    /// With these planted bugs.
    #[must_use]
    pub const fn planted(mut self, mutants: Mutants) -> Self {
        self.mutants = mutants;
        self
    }

    /// Back to the empty tree at zxid 0: the reserved znodes (storage-format section 4).
    pub fn clear(&mut self) {
        self.forget();
        self.add_reserved();
    }

    /// Only a bare root is left.
    fn forget(&mut self) {
        self.nodes = Arena::default();
        self.index.clear();
        self.acls.clear();
        self.sessions.clear();
        self.ephemerals.clear();
        self.reapable = Reapable::default();
        self.quotas = Quotas::default();
        self.last_zxid = Zxid::ZERO;
        self.digest = 0;
        self.bytes = 0;
        self.walk = None;
        self.loading = None;
        self.begun = None;
        self.acls.retain(acls::OPEN);
        let root = self.nodes.insert(Node::new("", Some(&[]), acls::OPEN, &StatPersisted::default(), false));
        assert_eq!(root, NodeId::ROOT, "the first znode");
        self.count_content(NodeId::ROOT, "");
    }

    fn add_reserved(&mut self) {
        let plain = StatPersisted::default();
        let config = StatPersisted { aversion: -1, ..plain };
        let reserved = [
            ("/zookeeper", perm::ALL, plain),
            (CONFIG_NODE, perm::READ, config),
            ("/zookeeper/quota", perm::ALL, plain),
        ];
        for (path, perms, stat) in reserved {
            if self.find(path).is_none() {
                let acl = self.acls.acquire(&[Acl::world(perms)]);
                let (parent, name) = self.place(path).expect("parents come first");
                self.attach(parent, path, name, Some(&[]), acl, &stat);
            }
        }
    }

    /// The znode with this path; "" and "/" are the root.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<NodeRef<'_>> {
        self.find(path).map(|id| self.at(id))
    }

    /// The same for who has [`DataTree::path_hash`] of it already.
    #[must_use]
    pub(crate) fn node_hashed(&self, path: &str, hash: PathHash) -> Option<NodeRef<'_>> {
        debug_assert_eq!(hash, self.path_hash(path), "of this tree");
        self.index.find_hashed(path, hash.0, &self.nodes).map(|id| self.at(id))
    }

    /// The hash by which this tree finds a path. Clients choose paths: its key is secret to them.
    #[must_use]
    pub(crate) fn path_hash(&self, path: &str) -> PathHash {
        PathHash(self.index.hash(path))
    }

    fn find(&self, path: &str) -> Option<NodeId> {
        self.index.find(path, &self.nodes)
    }

    fn at(&self, id: NodeId) -> NodeRef<'_> {
        NodeRef { tree: self, node: self.nodes.get(id), id }
    }

    /// Number of znodes, the root included.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of all paths and data (`approximate_data_size`).
    #[must_use]
    pub const fn data_size(&self) -> usize {
        self.bytes
    }

    /// Number of ephemeral znodes.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(BTreeSet::len).sum()
    }

    /// The newest transaction in the tree.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The digest of the whole tree, version 2 (storage-format section 7).
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Which stored owners are TTLs.
    #[must_use]
    pub const fn ttl_forms(&self) -> TtlForms {
        self.ttl_forms
    }

    /// Global sessions and their timeouts in ms.
    #[must_use]
    pub const fn sessions(&self) -> &BTreeMap<SessionId, i32> {
        &self.sessions
    }

    /// Sessions that own ephemerals.
    pub fn ephemeral_sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.ephemerals.keys().copied()
    }

    /// Paths of the ephemerals of a session.
    pub fn ephemerals_of(&self, session: SessionId) -> impl Iterator<Item = String> + '_ {
        let ids = self.ephemerals.get(&session);
        ids.into_iter().flatten().map(|id| node_ref::path_text(&self.nodes, *id))
    }

    /// Number of all descendants. "/" leaves out the root; "" does not (client-protocol 5.5).
    #[must_use]
    pub fn all_children_number(&self, path: &str) -> usize {
        let below = self.find(path).map_or(0, |id| self.nodes.get(id).below as usize);
        below + usize::from(path.is_empty())
    }

    /// Writes the configuration into its znode, unlogged, as every server does for itself (storage-format section 4).
    pub fn set_config_text(&mut self, text: Bytes, version: i64, wall_ms: Millis) {
        let Some(id) = self.find(CONFIG_NODE) else { return };
        self.set_data(id, CONFIG_NODE, Some(&[]), |node| {
            node.version = -1;
            node.mzxid = Zxid(version);
            node.mtime = wall_ms;
        });
        self.nodes.share(id, text);
    }
}
