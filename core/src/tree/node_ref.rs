//! Reading one znode.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::DataTree;
use super::arena::{Arena, Node, NodeId};
use super::index::push_path;
use crate::config::TtlForms;
use crate::wire::client::SharedAcl;
use crate::wire::records::{Acl, Owner, Stat, StatPersisted};

/// A znode of a tree.
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    pub(super) tree: &'a DataTree,
    pub(super) node: &'a Node,
    pub(super) id: NodeId,
}

impl<'a> NodeRef<'a> {
    /// What clients see.
    #[must_use]
    pub fn stat(&self) -> Stat {
        wire_stat(&self.tree.nodes, self.id, self.tree.ttl_forms)
    }
    /// What snapshots and the digest see.
    #[must_use]
    pub fn persisted(&self) -> StatPersisted {
        self.node.persisted()
    }
    /// Data; null is not empty.
    #[must_use]
    pub fn data(&self) -> Option<&'a [u8]> {
        self.tree.nodes.data(self.id)
    }
    /// The access control list.
    #[must_use]
    pub fn acl(&self) -> &'a [Acl<'static>] {
        self.tree.acls.get(self.node.acl)
    }
    /// The same, to keep.
    #[must_use]
    pub fn shared_acl(&self) -> &'a SharedAcl {
        self.tree.acls.get(self.node.acl)
    }
    /// Number of direct children.
    #[must_use]
    pub const fn num_children(&self) -> u32 {
        self.node.children
    }
    /// Names of the direct children, oldest first (after a restart: in the order of the snapshot).
    pub fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.child_nodes().map(Node::name)
    }
    /// The same names as bytes, which are UTF-8: long lists are not looked at once more.
    pub fn children_bytes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.child_nodes().map(Node::name_bytes)
    }
    fn child_nodes(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        Children { nodes: &self.tree.nodes, next: self.node.first_child }
    }
    /// Persistent, ephemeral, container or TTL.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner::of(self.node.owner, self.tree.ttl_forms)
    }
    /// What it adds to the tree's digest: [`super::node_digest`] of it.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.node.crc as u64
    }
    /// [`super::content_crc`] of it; 0 where the digest does not count.
    #[must_use]
    pub const fn content_crc(&self) -> u32 {
        self.node.content_crc
    }
    /// Its path; the root's is "/".
    #[must_use]
    pub fn path(&self) -> String {
        path_text(&self.tree.nodes, self.id)
    }
}

impl fmt::Debug for NodeRef<'_> {
    /// Not the tree around it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRef").field("path", &self.path()).field("stat", &self.stat()).finish()
    }
}

struct Children<'a> {
    nodes: &'a Arena,
    next: NodeId,
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a Node;
    #[inline]
    fn next(&mut self) -> Option<&'a Node> {
        if self.next.is_none() {
            return None;
        }
        let node = self.nodes.get(self.next);
        self.next = node.next;
        Some(node)
    }
}

/// What clients see of a znode (client-protocol 5.1).
pub(super) fn wire_stat(nodes: &Arena, id: NodeId, ttl_forms: TtlForms) -> Stat {
    let node = nodes.get(id);
    let children = node.children as i32;
    Stat {
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: node.cversion.wrapping_mul(2).wrapping_sub(children),
        aversion: node.aversion,
        ephemeral_owner: Owner::of(node.owner, ttl_forms).on_wire(),
        data_length: i32::try_from(nodes.data(id).map_or(0, <[u8]>::len)).unwrap_or(i32::MAX),
        num_children: children,
        pzxid: node.pzxid,
    }
}

/// The path of a znode; the root's is "/".
pub(super) fn path_text(nodes: &Arena, id: NodeId) -> String {
    if id == NodeId::ROOT {
        return "/".into();
    }
    let mut bytes = Vec::new();
    push_path(nodes, id, &mut bytes);
    String::from_utf8(bytes).expect("names are text")
}
