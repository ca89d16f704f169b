//! Walking the tree into a snapshot while it changes: what is written is the state at the start (design, "Snapshots").
//!
//! Order is free as long as parents come before children. So there is no second copy of anything: a znode that is about to
//! change and is not written yet is written first, together with its unwritten ancestors.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Bound;

use super::arena::{Arena, NodeId};
use super::index::push_path;
use super::{DataTree, acls};
use crate::ids::SessionId;
use crate::jute::Put;
use crate::mutant::Mutant;
use crate::wire::records::Acl;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Sessions behind this one.
    Sessions(Option<SessionId>),
    /// ACL lists from this number on.
    Acls(u32),
    /// Znodes from this place on.
    Nodes(u32),
    /// Nothing is left to be made ready.
    End,
}

/// A walk under way.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    stage: Stage,
    /// Sessions that have changed since the start, as they were then; `None`: not there.
    old_sessions: BTreeMap<SessionId, Option<i32>>,
    /// ACL numbers below this were there at the start.
    acl_numbers: u32,
    acl_count: usize,
    /// One bit for each place that there was at the start: written.
    written: Vec<u64>,
    places: u32,
    /// Bytes that are next to go out, from `ready_from` on.
    ready: Vec<u8>,
    ready_from: usize,
    /// Znodes that changed before the stage of znodes.
    early: Vec<u8>,
}

impl Walk {
    /// Whether the znode at this place is written or was not there at the start.
    fn is_done(&self, id: NodeId) -> bool {
        id.0 >= self.places || self.written[id.0 as usize / 64] & (1 << (id.0 % 64)) != 0
    }

    fn mark(&mut self, id: NodeId) {
        if id.0 < self.places {
            self.written[id.0 as usize / 64] |= 1 << (id.0 % 64);
        }
    }

    /// A znode was created: it is none of ours.
    pub(super) fn born(&mut self, id: NodeId) {
        self.mark(id);
    }

    fn is_finished(&self) -> bool {
        self.stage == Stage::End && self.ready.is_empty()
    }

    /// Moves at most `n` ready bytes.
    fn hand_over(&mut self, n: usize, out: &mut Vec<u8>) {
        let to = self.ready.len().min(self.ready_from + n);
        out.extend_from_slice(&self.ready[self.ready_from..to]);
        self.ready_from = to;
        if to == self.ready.len() {
            self.ready.clear();
            self.ready_from = 0;
        }
    }

    /// The next session as it was at the start (`None`: it was not there yet).
    fn next_session(
        &self,
        after: Option<SessionId>,
        now: &BTreeMap<SessionId, i32>,
    ) -> Option<(SessionId, Option<i32>)> {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let old = self.old_sessions.range(behind).next().map(|(id, timeout)| (*id, *timeout));
        let new = now.range(behind).next().map(|(id, timeout)| (*id, Some(*timeout)));
        match (old, new) {
            (Some(old), Some(new)) => Some(if new.0 < old.0 { new } else { old }),
            (old, new) => old.or(new),
        }
    }

    /// Appends a znode behind its unwritten ancestors.
    fn write(&mut self, id: NodeId, nodes: &Arena, out: &mut Vec<u8>) {
        let mut chain = vec![id];
        let mut at = nodes.get(id).parent;
        while !at.is_none() && !self.is_done(at) {
            chain.push(at);
            at = nodes.get(at).parent;
        }
        for id in chain.into_iter().rev() {
            self.mark(id);
            write_node(nodes, id, out);
        }
    }

    /// The next unwritten znode from this place on.
    fn next_place(&self, from: u32, nodes: &Arena) -> Option<NodeId> {
        let mut at = from;
        while at < self.places {
            let word = self.written[at as usize / 64] >> (at % 64);
            let skip = (!word).trailing_zeros();
            if skip > 0 {
                // Written ones, up to the end of this word.
                at += skip.min(64 - at % 64);
            } else if nodes.get(NodeId(at)).is_vacant() {
                at += 1;
            } else {
                return Some(NodeId(at));
            }
        }
        None
    }
}

fn write_node(nodes: &Arena, id: NodeId, out: &mut Vec<u8>) {
    let node = nodes.get(id);
    let start = out.len();
    out.put_len(0);
    push_path(nodes, id, out);
    let len = i32::try_from(out.len() - start - 4).expect("a path is shorter than 2 GiB");
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    out.put_buffer(nodes.data(id));
    out.put_i64(if node.acl == acls::OPEN { -1 } else { node.acl.into() });
    node.persisted().encode(out);
}

impl DataTree {
    /// Starts a walk of the state as it is now; one that was under way is given up.
    pub fn begin_walk(&mut self) {
        self.cancel_walk();
        let (acl_numbers, acl_count) = self.acls.freeze(!self.mutants.has(Mutant::B49));
        let places = self.nodes.places();
        let mut ready = Vec::new();
        ready.put_len(self.sessions.len());
        self.walk = Some(Walk {
            stage: Stage::Sessions(None),
            old_sessions: BTreeMap::new(),
            acl_numbers,
            acl_count,
            written: vec![0; places.div_ceil(64)],
            places: u32::try_from(places).expect("places are 32 bits"),
            ready,
            ready_from: 0,
            early: Vec::new(),
        });
    }

    /// Whether a walk is under way.
    #[must_use]
    pub const fn is_walking(&self) -> bool {
        self.walk.is_some()
    }

    /// Gives the walk up.
    pub fn cancel_walk(&mut self) {
        if self.walk.take().is_some() {
            self.acls.thaw();
        }
    }

    /// Appends the next bytes of the snapshot's body (storage-format section 4, from the number of sessions to the closing
    /// "/"), at most `chunk` of them. Returns whether that was the end; without a walk there is nothing.
    pub fn walk(&mut self, chunk: usize, out: &mut Vec<u8>) -> bool {
        let Some(mut walk) = self.walk.take() else { return true };
        let end = out.len() + chunk.max(1);
        loop {
            walk.hand_over(end - out.len(), out);
            if walk.is_finished() {
                self.acls.thaw();
                return true;
            }
            if out.len() == end {
                self.walk = Some(walk);
                return false;
            }
            self.step(&mut walk);
        }
    }

    /// Makes at least one more byte ready.
    fn step(&self, walk: &mut Walk) {
        match walk.stage {
            Stage::Sessions(after) => match walk.next_session(after, &self.sessions) {
                Some((id, timeout)) => {
                    walk.stage = Stage::Sessions(Some(id));
                    if let Some(timeout) = timeout {
                        walk.ready.put_i64(id.0);
                        walk.ready.put_i32(timeout);
                    }
                }
                None => {
                    walk.ready.put_len(walk.acl_count);
                    walk.stage = Stage::Acls(acls::OPEN + 1);
                }
            },
            Stage::Acls(number) if number < walk.acl_numbers => {
                if let Some(list) = self.acls.entry(number) {
                    walk.ready.put_i64(number.into());
                    Acl::encode_list(list, &mut walk.ready);
                }
                walk.stage = Stage::Acls(number + 1);
            }
            Stage::Acls(_) => {
                walk.ready.append(&mut walk.early);
                walk.stage = Stage::Nodes(0);
            }
            Stage::Nodes(from) => {
                if let Some(id) = walk.next_place(from, &self.nodes) {
                    let mut ready = core::mem::take(&mut walk.ready);
                    walk.write(id, &self.nodes, &mut ready);
                    walk.ready = ready;
                    walk.stage = Stage::Nodes(id.0);
                } else {
                    walk.ready.put_string("/");
                    walk.stage = Stage::End;
                }
            }
            Stage::End => {}
        }
    }

    /// This znode is about to change or to go: a walk writes it now if it has not yet.
    pub(super) fn touch(&mut self, id: NodeId) {
        let Some(walk) = &mut self.walk else { return };
        if walk.is_done(id) || self.aside.is_some_and(|what| self.mutants.has(what)) {
            return;
        }
        let in_turn = matches!(walk.stage, Stage::Nodes(_));
        let mut to = core::mem::take(if in_turn { &mut walk.ready } else { &mut walk.early });
        walk.write(id, &self.nodes, &mut to);
        *(if in_turn { &mut walk.ready } else { &mut walk.early }) = to;
    }

    /// This session is about to change or to go.
    pub(super) fn touch_session(&mut self, id: SessionId) {
        if let Some(walk) = &mut self.walk
            && !self.mutants.has(Mutant::B47)
            && let Stage::Sessions(after) = walk.stage
            && after.is_none_or(|after| after < id)
        {
            walk.old_sessions.entry(id).or_insert_with(|| self.sessions.get(&id).copied());
        }
    }
}
