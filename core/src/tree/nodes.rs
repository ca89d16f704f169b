//! Changing znodes: every change goes through here, so that digest, indexes and the walk of a snapshot never miss one.

use super::arena::{MAX_NAME, Node, NodeId};
use super::digest::{content_crc, is_counted, stat_digest};
use super::index::path_len;
use super::{DataTree, reap};
use crate::ids::SessionId;
use crate::mutant::Mutant;
use crate::wire::records::{Owner, StatPersisted};

impl DataTree {
    /// The parent and the name that make this path; `None` when it is no path of a child or the parent is missing.
    pub(super) fn place<'p>(&self, path: &'p str) -> Option<(NodeId, &'p str)> {
        let (parent, name) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty() && name.len() <= MAX_NAME)?;
        self.find(parent).map(|parent| (parent, name))
    }

    /// Adds a znode that is not there yet. The caller has acquired `acl` for it.
    pub(super) fn attach(
        &mut self,
        parent: NodeId,
        path: &str,
        name: &str,
        data: Option<&[u8]>,
        acl: u32,
        stat: &StatPersisted,
    ) -> NodeId {
        let mut node = Node::new(name, data, acl, stat, !is_counted(path));
        node.hash = self.index.hash(path);
        node.parent = parent;
        let id = self.nodes.insert(node);
        if let Some(walk) = &mut self.walk {
            walk.born(id);
        }
        self.index.insert(id, &self.nodes);
        self.link(parent, id);
        self.bytes += path.len() + self.nodes.get(id).data_len();
        self.count_content(id, path);
        if let Some(session) = self.ephemeral_owner(id) {
            self.ephemerals.entry(session).or_default().insert(id);
        }
        let key = reap::key(self.nodes.get(id), self.ttl_forms);
        self.reapable.moved(id, None, key);
        id
    }

    /// Removes a childless znode.
    pub(super) fn detach(&mut self, id: NodeId) {
        assert!(id != NodeId::ROOT && self.nodes.get(id).children == 0, "only leaves are removed");
        self.touch(id);
        if let Some(session) = self.ephemeral_owner(id)
            && let Some(owned) = self.ephemerals.get_mut(&session)
        {
            owned.remove(&id);
            if owned.is_empty() {
                self.ephemerals.remove(&session);
            }
        }
        let key = reap::key(self.nodes.get(id), self.ttl_forms);
        self.reapable.moved(id, key, None);
        self.index.remove(id, &self.nodes);
        self.unlink(id);
        let node = self.nodes.get(id);
        self.bytes -= path_len(&self.nodes, id) + node.data_len();
        self.digest = self.digest.wrapping_sub(node.crc.into());
        self.acls.release(node.acl);
        self.nodes.remove(id);
    }

    fn ephemeral_owner(&self, id: NodeId) -> Option<SessionId> {
        match Owner::of(self.nodes.get(id).owner, self.ttl_forms) {
            Owner::Session(session) => Some(session),
            Owner::None | Owner::Container | Owner::Ttl(_) => None,
        }
    }

    /// The youngest child goes to the end of the circle.
    fn link(&mut self, parent: NodeId, id: NodeId) {
        let first = self.nodes.get(parent).first_child;
        if first.is_none() {
            self.nodes.get_mut(id).prev = id;
        } else {
            let last = self.nodes.get(first).prev;
            self.nodes.get_mut(last).next = id;
            self.nodes.get_mut(id).prev = last;
            self.nodes.get_mut(first).prev = id;
        }
        self.recount(parent, |node| {
            if first.is_none() {
                node.first_child = id;
            }
            node.children += 1;
        });
        self.count_below(parent, 1);
    }

    fn unlink(&mut self, id: NodeId) {
        let node = self.nodes.get(id);
        let (parent, prev, next) = (node.parent, node.prev, node.next);
        let first = self.nodes.get(parent).first_child;
        if first != id {
            self.nodes.get_mut(prev).next = next;
        }
        let successor = if !next.is_none() {
            Some(next)
        } else if first != id {
            Some(first)
        } else {
            None
        };
        if let Some(successor) = successor {
            self.nodes.get_mut(successor).prev = prev;
        }
        self.recount(parent, |node| {
            if first == id {
                node.first_child = next;
            }
            node.children -= 1;
        });
        self.count_below(parent, -1);
    }

    /// A leaf came or went below this znode.
    fn count_below(&mut self, mut at: NodeId, by: i32) {
        while !at.is_none() {
            let node = self.nodes.get_mut(at);
            node.below = node.below.checked_add_signed(by).expect("as many go as came");
            at = node.parent;
        }
    }

    /// Changes what is neither in snapshots nor in the digest.
    fn recount(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let node = self.nodes.get_mut(id);
        let before = reap::key(node, self.ttl_forms);
        change(node);
        let after = reap::key(node, self.ttl_forms);
        self.reapable.moved(id, before, after);
    }

    /// Changes the stat of a znode.
    pub(super) fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        self.touch(id);
        self.recount(id, change);
        self.count_stat(id);
    }

    /// Changes data and stat of a znode.
    pub(super) fn set_data(&mut self, id: NodeId, path: &str, data: Option<&[u8]>, change: impl FnOnce(&mut Node)) {
        if !self.mutants.has(Mutant::B45) {
            self.touch(id);
        }
        self.nodes.unshare(id);
        self.bytes -= self.nodes.get(id).data_len();
        self.recount(id, |node| {
            node.set_data(data);
            change(node);
        });
        self.bytes += self.nodes.get(id).data_len();
        self.count_content(id, path);
    }

    /// Exchanges the access control list of a znode. The caller has acquired `acl` for it.
    pub(super) fn set_acl(&mut self, id: NodeId, acl: u32) {
        self.touch(id);
        let old = core::mem::replace(&mut self.nodes.get_mut(id).acl, acl);
        self.acls.release(old);
    }

    /// Path or data of this znode are new.
    pub(super) fn count_content(&mut self, id: NodeId, path: &str) {
        let node = self.nodes.get_mut(id);
        if !node.is_uncounted() {
            node.content_crc = content_crc(path, node.data());
            self.count_stat(id);
        }
    }

    fn count_stat(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(id);
        if !node.is_uncounted() {
            let crc = stat_digest(node.content_crc, &node.persisted()) as u32;
            self.digest = self.digest.wrapping_sub(node.crc.into()).wrapping_add(crc.into());
            node.crc = crc;
        }
    }

    /// A znode and everything below it, parents first.
    pub(super) fn subtree(&self, top: NodeId) -> impl Iterator<Item = (NodeId, &Node)> {
        let after = move |id: NodeId| {
            let first = self.nodes.get(id).first_child;
            if !first.is_none() {
                return Some(first);
            }
            let mut at = id;
            while at != top {
                let node = self.nodes.get(at);
                if !node.next.is_none() {
                    return Some(node.next);
                }
                at = node.parent;
            }
            None
        };
        core::iter::successors(Some(top), move |id| after(*id)).map(|id| (id, self.nodes.get(id)))
    }

    /// Removes everything below a znode, deepest first.
    pub(super) fn prune(&mut self, top: NodeId) {
        let mut at = top;
        loop {
            let node = self.nodes.get(at);
            if !node.first_child.is_none() {
                at = node.first_child;
            } else if at == top {
                return;
            } else {
                let parent = node.parent;
                self.detach(at);
                at = parent;
            }
        }
    }
}
