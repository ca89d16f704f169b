//! Where znodes live: fixed chunks, so that a growing tree is never copied, and 32-bit ids instead of pointers.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::ids::{Millis, Zxid};
use crate::wire::records::StatPersisted;

/// A znode's place. Places of deleted znodes are used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    /// The root's place, always taken.
    pub(super) const ROOT: Self = Self(0);
    /// No znode.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

/// Data is null, which is not the same as empty.
const NULL_DATA: u32 = 1 << 31;
/// Below /zookeeper/: not part of the tree's digest.
const UNCOUNTED: u32 = 1 << 30;
/// The place is free.
const VACANT: u32 = 1 << 29;
const NAME_LEN: u32 = VACANT - 1;
/// A longer name is no name.
pub(super) const MAX_NAME: usize = NAME_LEN as usize;

/// A znode: 120 bytes and one allocation for name and data together.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: Millis,
    pub(super) mtime: Millis,
    pub(super) owner: i64,
    /// Name, then data, exact in size.
    blob: Box<[u8]>,
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    /// Place in the ACL table.
    pub(super) acl: u32,
    pub(super) parent: NodeId,
    /// The child that was created first.
    pub(super) first_child: NodeId,
    /// The next younger sibling; of a free place: the next free place.
    pub(super) next: NodeId,
    /// The next older sibling; the oldest has the youngest here, so that a parent finds its end.
    pub(super) prev: NodeId,
    pub(super) children: u32,
    /// Number of all descendants.
    pub(super) below: u32,
    /// Hash of the path: the index does not build paths when it grows.
    pub(super) hash: u32,
    /// CRC of path and data, so that a change of the stat alone does not read the data again.
    pub(super) content_crc: u32,
    /// What this znode adds to the tree's digest.
    pub(super) crc: u32,
    bits: u32,
}

impl Node {
    /// A childless znode that is linked to nothing yet.
    pub(super) fn new(name: &str, data: Option<&[u8]>, acl: u32, stat: &StatPersisted, uncounted: bool) -> Self {
        let mut node = Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            owner: stat.ephemeral_owner,
            blob: Box::default(),
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            acl,
            parent: NodeId::NONE,
            first_child: NodeId::NONE,
            next: NodeId::NONE,
            prev: NodeId::NONE,
            children: 0,
            below: 0,
            hash: 0,
            content_crc: 0,
            crc: 0,
            bits: if uncounted { UNCOUNTED } else { 0 },
        };
        node.set_content(name.as_bytes(), data);
        node
    }

    pub(super) const fn set_stat(&mut self, stat: &StatPersisted) {
        self.czxid = stat.czxid;
        self.mzxid = stat.mzxid;
        self.pzxid = stat.pzxid;
        self.ctime = stat.ctime;
        self.mtime = stat.mtime;
        self.owner = stat.ephemeral_owner;
        self.version = stat.version;
        self.cversion = stat.cversion;
        self.aversion = stat.aversion;
    }

    fn vacant(next: NodeId) -> Self {
        let mut node = Self::new("", None, 0, &StatPersisted::default(), true);
        node.bits |= VACANT;
        node.next = next;
        node
    }

    fn set_content(&mut self, name: &[u8], data: Option<&[u8]>) {
        assert!(name.len() <= MAX_NAME, "checked where a path is taken apart");
        let len = name.len() as u32;
        let bytes = data.unwrap_or_default();
        let mut blob = Vec::with_capacity(name.len() + bytes.len());
        blob.extend_from_slice(name);
        blob.extend_from_slice(bytes);
        self.blob = blob.into_boxed_slice();
        self.bits = (self.bits & UNCOUNTED) | len | if data.is_none() { NULL_DATA } else { 0 };
    }

    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let name_len = self.name_len();
        if let (Some(new), Some(old)) = (data, self.data())
            && new.len() == old.len()
        {
            // In place: no allocation.
            self.blob[name_len..].copy_from_slice(new);
            return;
        }
        let old = core::mem::take(&mut self.blob);
        self.set_content(&old[..name_len], data);
    }

    const fn name_len(&self) -> usize {
        (self.bits & NAME_LEN) as usize
    }
    pub(super) const fn is_vacant(&self) -> bool {
        self.bits & VACANT != 0
    }
    /// Not part of the tree's digest.
    pub(super) const fn is_uncounted(&self) -> bool {
        self.bits & UNCOUNTED != 0
    }
    pub(super) fn name_bytes(&self) -> &[u8] {
        &self.blob[..self.name_len()]
    }
    pub(super) fn name(&self) -> &str {
        core::str::from_utf8(self.name_bytes()).expect("made from a str")
    }
    pub(super) fn data(&self) -> Option<&[u8]> {
        if self.bits & NULL_DATA == 0 { Some(&self.blob[self.name_len()..]) } else { None }
    }
    pub(super) fn data_len(&self) -> usize {
        self.blob.len() - self.name_len()
    }
    pub(super) fn persisted(&self) -> StatPersisted {
        StatPersisted {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            ephemeral_owner: self.owner,
            pzxid: self.pzxid,
        }
    }
}

/// Znodes per chunk.
const CHUNK: usize = 64;

/// All znodes of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    /// Every chunk but the last is full.
    chunks: Vec<Vec<Node>>,
    free: Option<NodeId>,
    taken: usize,
    /// A znode whose data others hold too, in place of its own: the configuration of thousands of servers.
    shared: Option<(NodeId, Bytes)>,
}

impl Arena {
    /// Number of znodes.
    pub(super) const fn len(&self) -> usize {
        self.taken
    }
    /// One more than the highest place ever taken.
    pub(super) fn places(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }
    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        self.taken += 1;
        if let Some(id) = self.free {
            let next = self.get(id).next;
            self.free = if next.is_none() { None } else { Some(next) };
            *self.get_mut(id) = node;
            return id;
        }
        let id = u32::try_from(self.places()).ok().filter(|id| *id != u32::MAX).expect("fewer than 2^32 znodes");
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("just pushed").push(node);
        NodeId(id)
    }
    pub(super) fn remove(&mut self, id: NodeId) {
        self.unshare(id);
        let next = self.free.unwrap_or(NodeId::NONE);
        *self.get_mut(id) = Node::vacant(next);
        self.free = Some(id);
        self.taken -= 1;
    }
    /// The data of a znode; null is not empty.
    pub(super) fn data(&self, id: NodeId) -> Option<&[u8]> {
        match &self.shared {
            Some((at, data)) if *at == id => Some(data),
            _ => self.get(id).data(),
        }
    }
    /// Gives a znode data that others hold too.
    pub(super) fn share(&mut self, id: NodeId, data: Bytes) {
        self.shared = Some((id, data));
    }
    /// A znode has data of its own from now on.
    pub(super) fn unshare(&mut self, id: NodeId) {
        self.shared.take_if(|(at, _)| *at == id);
    }
    #[inline]
    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }
    #[inline]
    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }
}
