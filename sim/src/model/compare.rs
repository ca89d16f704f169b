//! A server's tree against the model's at the same zxid: every znode with all that is stored of it, sessions, the index of
//! ephemerals, the usage of quotas. Java's digest leaves out the lists of rights, sessions and everything below `/zookeeper`.

use std::collections::BTreeSet;

use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{DataTree, NodeRef};
use quorate_core::wire::records::{Acl, StatPersisted};

use super::quota::ROOT as QUOTA;
use super::{Model, State, Sums};
use crate::past::after;

/// How a tree differs from the model's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The invariant that names this part of the state.
    pub invariant: &'static str,
    /// What is different, in words.
    pub text: String,
}

/// A znode as somebody else has it.
struct Stored<'a> {
    data: Option<&'a [u8]>,
    stat: StatPersisted,
    acl: &'a [Acl<'a>],
}

/// Each server writes it for itself.
fn is_local(path: &str) -> bool {
    path == "/zookeeper/config"
}

/// Its data changes without a transaction of its own.
fn is_usage(path: &str) -> bool {
    path.strip_prefix(QUOTA).is_some_and(|rest| rest.ends_with("/zookeeper_stats"))
}

fn differs<T>(invariant: &'static str, text: String) -> Result<T, Difference> {
    Err(Difference { invariant, text })
}

impl Model {
    /// Compares a tree with the model's at `at`. `after`: up to there it was found equal before; only what has changed since is
    /// looked at. `Ok(false)`: the model has forgotten how it was.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, tree: &DataTree, at: Zxid, after: Option<Zxid>) -> Result<bool, Difference> {
        if at.0 < self.horizon || at.0 > self.last || after.is_some_and(|after| after.0 < self.horizon) {
            return Ok(false);
        }
        match after {
            Some(after) => self.compare_changes(tree, at.0, after.0)?,
            None => self.compare_all(tree, at.0)?,
        }
        let sums = self.sums_at(at.0);
        let theirs = Sums {
            znodes: tree.node_count() as u32,
            ephemerals: tree.ephemeral_count() as u32,
            sessions: tree.sessions().len() as u32,
        };
        if theirs != sums {
            let id = if theirs.znodes == sums.znodes { "D5" } else { "D1" };
            return differs(id, format!("it holds {theirs:?}, the model {sums:?}"));
        }
        Ok(true)
    }

    fn sums_at(&self, at: i64) -> Sums {
        if self.past_sums.back().is_none_or(|(z, _)| *z <= at) {
            return self.sums;
        }
        let i = after(&self.past_sums, |(z, _)| *z <= at);
        let none = Sums { znodes: 4, ..Sums::default() };
        i.checked_sub(1).map_or(none, |i| self.past_sums[i].1)
    }

    fn compare_changes(&self, tree: &DataTree, at: i64, after: i64) -> Result<(), Difference> {
        // What is new is at the end.
        for (z, path) in self.aging.iter().rev().take_while(|(z, _)| *z > after) {
            if *z > at {
                continue;
            }
            let Some(znode) = self.znodes.get(path) else { continue };
            let state = if at == self.last { znode.now() } else { znode.at(at) };
            self.compare_znode(tree, path, state)?;
            if let Some(owner) = state.and_then(State::ephemeral)
                && at == self.last
            {
                self.compare_owned(tree, owner)?;
            }
        }
        for (z, session) in self.lives.iter().rev().take_while(|(z, _)| *z > after) {
            if *z <= at {
                self.compare_session(tree, SessionId(*session), at)?;
            }
        }
        Ok(())
    }

    fn compare_all(&self, tree: &DataTree, at: i64) -> Result<(), Difference> {
        for (path, znode) in self.znodes.all() {
            let state = znode.at(at);
            self.compare_znode(tree, path, state)?;
        }
        for session in self.granted.keys() {
            self.compare_session(tree, SessionId(*session), at)?;
            if at == self.last && self.sessions.contains_key(session) {
                self.compare_owned(tree, SessionId(*session))?;
            }
        }
        if at == self.last { self.compare_usage(tree) } else { Ok(()) }
    }

    fn compare_znode(&self, tree: &DataTree, path: &str, want: Option<&State>) -> Result<(), Difference> {
        let got = tree.node(path);
        match (want, got) {
            (None, None) => Ok(()),
            (Some(state), Some(node)) => {
                if node.num_children() as i32 != state.children {
                    let text = format!("{path} has {} children, the model's {}", node.num_children(), state.children);
                    return differs("D4", text);
                }
                same(path, state, &stored(&node))
            }
            (Some(_), None) => differs("D1", format!("{path} is missing")),
            (None, Some(node)) => differs("D1", format!("{node:?} is there, the model has no such znode")),
        }
    }

    fn compare_session(&self, tree: &DataTree, session: SessionId, at: i64) -> Result<(), Difference> {
        let want = self.timeout_at(session, Zxid(at));
        let got = tree.sessions().get(&session).copied();
        if want != got {
            let text = format!("session {session} has the timeout {got:?} (None: gone), the model says {want:?}");
            return differs("D1", text);
        }
        if want.is_none() && tree.ephemerals_of(session).next().is_some() {
            return differs("C7", format!("session {session} is gone and still owns znodes"));
        }
        Ok(())
    }

    fn compare_owned(&self, tree: &DataTree, session: SessionId) -> Result<(), Difference> {
        let Some(want) = self.sessions.get(&session.0).map(|s| &s.owns) else { return Ok(()) };
        let got: BTreeSet<String> = tree.ephemerals_of(session).collect();
        if got.len() == want.len() && want.iter().all(|path| got.contains(&**path)) {
            return Ok(());
        }
        differs("D5", format!("its index has {got:?} for session {session}, the model {want:?}"))
    }

    /// D6: what each quota says is used, against a count. Only for a tree that stands where the model stands.
    ///
    /// # Errors
    /// The first quota that is wrong.
    pub fn compare_usage(&self, tree: &DataTree) -> Result<(), Difference> {
        let range = self.znodes.range((std::ops::Bound::Excluded(QUOTA), std::ops::Bound::Unbounded));
        for (path, _) in
            range.take_while(|(p, _)| p.starts_with(QUOTA)).filter(|(p, n)| is_usage(p) && n.now().is_some())
        {
            let Some(subtree) = path[QUOTA.len()..].strip_suffix("/zookeeper_stats") else { continue };
            // Without its limits a subtree is not watched.
            if self.state(&format!("{QUOTA}{subtree}/zookeeper_limits")).is_none() {
                continue;
            }
            let (count, bytes) = self.usage(subtree);
            let want = format!("count={count},bytes={bytes}");
            let node = tree.node(path);
            let got = node.and_then(|n| n.data()).map(String::from_utf8_lossy).unwrap_or_default();
            if got != want {
                return differs("D6", format!("{path} says {got:?}, below {subtree} there are {want:?}"));
            }
        }
        Ok(())
    }

    /// A znode of a snapshot against the model's at the snapshot's zxid.
    ///
    /// # Errors
    /// What is different.
    pub fn compare_stored(
        &self,
        path: &str,
        at: Zxid,
        data: Option<&[u8]>,
        stat: &StatPersisted,
        acl: &[Acl<'_>],
    ) -> Result<(), Difference> {
        let path = if path.is_empty() { "/" } else { path };
        match self.znodes.get(path).and_then(|n| n.at(at.0)) {
            Some(state) => same(path, state, &Stored { data, stat: *stat, acl }),
            None => differs("D2", format!("{path} is in it, the model has no such znode")),
        }
    }

    /// Whether the state at this zxid is known.
    #[must_use]
    pub fn remembers(&self, at: Zxid) -> bool {
        (self.horizon..=self.last).contains(&at.0)
    }

    /// How many znodes and sessions there were.
    #[must_use]
    pub fn counts_at(&self, at: Zxid) -> (usize, usize) {
        let sums = self.sums_at(at.0);
        (sums.znodes as usize, sums.sessions as usize)
    }

    /// The timeout of a session at a zxid, ms; `None`: it is not born or gone.
    #[must_use]
    pub fn timeout_at(&self, session: SessionId, at: Zxid) -> Option<i32> {
        let life = self.granted.get(&session.0)?;
        (life.born <= at.0 && at.0 < life.died).then_some(life.timeout)
    }
}

fn stored<'a>(node: &NodeRef<'a>) -> Stored<'a> {
    Stored { data: node.data(), stat: node.persisted(), acl: node.acl() }
}

fn same(path: &str, want: &State, got: &Stored<'_>) -> Result<(), Difference> {
    if is_local(path) {
        return Ok(());
    }
    let stat = StatPersisted {
        czxid: Zxid(want.czxid),
        mzxid: Zxid(want.mzxid),
        ctime: want.ctime,
        mtime: want.mtime,
        version: want.version,
        cversion: want.created,
        aversion: want.aversion,
        ephemeral_owner: want.owner,
        pzxid: Zxid(want.pzxid),
    };
    if got.stat != stat {
        return differs("D3", format!("{path} has {:?}, the model {stat:?}", got.stat));
    }
    if got.data != want.data.as_deref() {
        return differs("D1", format!("{path} holds {:?}, the model {:?}", got.data, want.data));
    }
    if got.acl.len() != want.acl.len() || !got.acl.iter().zip(&*want.acl).all(|(a, b)| a == b) {
        return differs("D9", format!("{path} has the rights {:?}, the model {:?}", got.acl, want.acl));
    }
    Ok(())
}
