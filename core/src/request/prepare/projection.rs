//! The tree as it will be when everything in flight is applied: the znodes that transactions in flight change, over the tree.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::config::TtlForms;
use crate::ids::{SessionId, Zxid};
use crate::slots::Slots;
use crate::tree::{DataTree, NodeRef, PathHash, is_counted, stat_digest};
use crate::wire::client::SharedAcl;
use crate::wire::records::{Owner, StatPersisted};

/// What is known of a znode that a transaction in flight changes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) stat: StatPersisted,
    pub(super) children: u32,
    pub(super) data_len: usize,
    pub(super) content_crc: u32,
    pub(super) acl: SharedAcl,
}

/// A znode as it will be: changed in flight, or as it stands in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    Flying(&'a Node),
    Standing(NodeRef<'a>),
}

impl View<'_> {
    pub(super) fn stat(&self) -> StatPersisted {
        match self {
            Self::Flying(node) => node.stat,
            Self::Standing(node) => node.persisted(),
        }
    }
    pub(super) const fn children(&self) -> u32 {
        match self {
            Self::Flying(node) => node.children,
            Self::Standing(node) => node.num_children(),
        }
    }
    pub(super) fn acl(&self) -> &SharedAcl {
        match self {
            Self::Flying(node) => &node.acl,
            Self::Standing(node) => node.shared_acl(),
        }
    }
    pub(super) fn data_len(&self) -> usize {
        match self {
            Self::Flying(node) => node.data_len,
            Self::Standing(node) => node.data().map_or(0, <[u8]>::len),
        }
    }
    /// A copy to change.
    pub(super) fn node(&self) -> Node {
        match self {
            Self::Flying(node) => (*node).clone(),
            Self::Standing(node) => Node {
                stat: node.persisted(),
                children: node.num_children(),
                data_len: self.data_len(),
                content_crc: node.content_crc(),
                acl: node.shared_acl().clone(),
            },
        }
    }
}

/// Where a path was found; good until the projection changes at that path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    hash: PathHash,
    slot: Option<u32>,
    /// What is there now adds this to the digest.
    digest: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    /// Of the path.
    hash: PathHash,
    /// The last transaction that changes it.
    zxid: Zxid,
    /// `None`: deleted.
    node: Option<Node>,
    digest: u64,
}

/// What an entry was before a part of a multi changed it; `None`: there was no entry.
type Before = Option<(Zxid, Option<Node>, u64)>;

/// Changed znodes by path, with the digest of the projected tree.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    ttl_forms: TtlForms,
    entries: Slots<Entry>,
    by_path: HashTable<u32>,
    /// Projected ephemerals of sessions.
    ephemerals: BTreeSet<(SessionId, u32)>,
    /// Which transaction changed which entry, in order.
    queue: VecDeque<(Zxid, u32)>,
    digest: u64,
    /// While a multi is prepared: the digest before it.
    begun: Option<u64>,
    /// How to take it back.
    undo: Vec<(u32, Before)>,
    /// Texts to use again: entries come and go with every transaction.
    spare: Vec<String>,
}

/// So many texts and steps back are kept for later.
const KEPT: usize = 256;
/// Longer texts are not kept.
const KEPT_TEXT: usize = 256;

impl Projection {
    /// With nothing in flight above this tree: paths are found by its keys.
    pub(super) fn new(tree: &DataTree) -> Self {
        Self {
            ttl_forms: tree.ttl_forms(),
            entries: Slots::new(),
            by_path: HashTable::new(),
            ephemerals: BTreeSet::new(),
            queue: VecDeque::new(),
            digest: tree.digest(),
            begun: None,
            undo: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The digest of the projected tree.
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    /// What will be at `path`, and where to put what becomes of it. The root is "/" only.
    pub(super) fn get<'a>(&'a self, tree: &'a DataTree, path: &str) -> (Place, Option<View<'a>>) {
        let hash = tree.path_hash(path);
        let slot = self.slot(path, hash);
        if let Some(at) = slot {
            let entry = &self.entries[at as usize];
            return (Place { hash, slot, digest: entry.digest }, entry.node.as_ref().map(View::Flying));
        }
        let node = tree.node_hashed(path, hash);
        (Place { hash, slot, digest: node.map_or(0, |n| n.digest()) }, node.map(View::Standing))
    }

    fn slot(&self, path: &str, hash: PathHash) -> Option<u32> {
        let same = |at: &u32| {
            let entry = &self.entries[*at as usize];
            entry.hash == hash && entry.path == path
        };
        self.by_path.find(hash.spread(), same).copied()
    }

    /// `zxid` makes this of what is at `path`; `None`: nothing is there any more.
    pub(super) fn put(&mut self, place: Place, path: &str, zxid: Zxid, node: Option<Node>) {
        let digest = match &node {
            Some(node) if is_counted(path) => stat_digest(node.content_crc, &node.stat),
            _ => 0,
        };
        self.digest = self.digest.wrapping_sub(place.digest).wrapping_add(digest);
        let owner = self.owner(node.as_ref());
        let at = match place.slot {
            Some(at) => {
                let entry = &mut self.entries[at as usize];
                let before = (entry.zxid, core::mem::replace(&mut entry.node, node), entry.digest);
                let repeated = entry.zxid == zxid;
                (entry.zxid, entry.digest) = (zxid, digest);
                let old_owner = self.owner(before.1.as_ref());
                if old_owner != owner
                    && let Some(session) = old_owner
                {
                    self.ephemerals.remove(&(session, at));
                }
                self.remember(at, Some(before));
                if !repeated {
                    self.queue.push_back((zxid, at));
                }
                at
            }
            None => {
                let mut text = self.spare.pop().unwrap_or_default();
                text.push_str(path);
                let at = self.add(Entry { path: text, hash: place.hash, zxid, node, digest });
                self.remember(at, None);
                self.queue.push_back((zxid, at));
                at
            }
        };
        if let Some(session) = owner {
            self.ephemerals.insert((session, at));
        }
    }

    fn add(&mut self, entry: Entry) -> u32 {
        let hash = entry.hash;
        let at = u32::try_from(self.entries.insert(entry)).expect("fewer than 2^32 znodes in flight");
        let entries = &self.entries;
        self.by_path.insert_unique(hash.spread(), at, |other| entries[*other as usize].hash.spread());
        at
    }

    fn remove(&mut self, at: u32) {
        let mut entry = self.entries.remove(at as usize);
        self.by_path.find_entry(entry.hash.spread(), |other| *other == at).expect("every entry is indexed").remove();
        if let Some(session) = self.owner(entry.node.as_ref()) {
            self.ephemerals.remove(&(session, at));
        }
        if self.spare.len() < KEPT && entry.path.capacity() <= KEPT_TEXT {
            entry.path.clear();
            self.spare.push(entry.path);
        }
    }

    fn owner(&self, node: Option<&Node>) -> Option<SessionId> {
        match Owner::of(node?.stat.ephemeral_owner, self.ttl_forms) {
            Owner::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Paths of the ephemerals that the session will own, in ascending order.
    pub(super) fn ephemerals_of(&self, session: SessionId, tree: &DataTree) -> Vec<String> {
        let changed = |path: &String| self.slot(path, tree.path_hash(path)).is_some();
        let mut paths: Vec<String> = tree.ephemerals_of(session).filter(|path| !changed(path)).collect();
        let flying = self.ephemerals.range((session, 0)..=(session, u32::MAX));
        paths.extend(flying.map(|(_, at)| self.entries[*at as usize].path.clone()));
        paths.sort_unstable();
        paths
    }

    /// Everything up to `zxid` is in the tree now.
    pub(super) fn applied(&mut self, zxid: Zxid, tree: &DataTree) {
        while let Some((changed, at)) = self.queue.front().copied()
            && changed <= zxid
        {
            self.queue.pop_front();
            // An entry that changed again stays; a place that was taken anew belongs to a later transaction.
            if self.entries.get(at as usize).is_some_and(|entry| entry.zxid <= zxid) {
                self.remove(at);
            }
        }
        if self.entries.is_empty() {
            debug_assert_eq!(self.digest, tree.digest(), "what was prepared is what was applied, {zxid}");
            self.digest = tree.digest();
        }
    }

    // ----- taking back -------------------------------------------------------------------------------------------

    /// From here on changes can be taken back.
    pub(super) fn begin(&mut self) {
        debug_assert!(self.begun.is_none() && self.undo.is_empty(), "one multi at a time");
        self.begun = Some(self.digest);
    }

    /// The changes since [`Projection::begin`] stay.
    pub(super) fn keep(&mut self) {
        self.begun = None;
        self.undo.clear();
        self.undo.shrink_to(KEPT);
    }

    /// The changes since [`Projection::begin`] never happened.
    pub(super) fn take_back(&mut self) {
        let digest = self.begun.take().expect("a multi is being prepared");
        while let Some((at, before)) = self.undo.pop() {
            let Some((zxid, node, digest)) = before else {
                self.remove(at);
                continue;
            };
            let (old, new) = (self.owner(self.entries[at as usize].node.as_ref()), self.owner(node.as_ref()));
            if let Some(session) = old {
                self.ephemerals.remove(&(session, at));
            }
            if let Some(session) = new {
                self.ephemerals.insert((session, at));
            }
            let entry = &mut self.entries[at as usize];
            (entry.zxid, entry.node, entry.digest) = (zxid, node, digest);
        }
        self.digest = digest;
        self.undo.shrink_to(KEPT);
    }

    fn remember(&mut self, at: u32, before: Before) {
        if self.begun.is_some() {
            self.undo.push((at, before));
        }
    }
}
