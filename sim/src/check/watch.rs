//! Watches: C4 the event before the data, C5 no event without a watch and none missing.
//!
//! When: at each change (who is owed an event), at each event (was it owed?), at each reply (is something owed that it already
//! shows?). Cost: the watches on the path that changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use quorate_core::ids::Zxid;
use quorate_core::wire::client::EventKind;

use super::{Checked, broken};
use crate::model::{Change, Model, parent_of};

/// What kind of watch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Mode {
    /// One-shot, from getData and exists.
    Data,
    /// One-shot, from getChildren.
    Child,
    /// addWatch 0.
    Persistent,
    /// addWatch 1.
    Recursive,
}

/// An event that a connection must get.
#[derive(Clone, PartialEq, Debug)]
struct Due {
    zxid: Zxid,
    kind: EventKind,
    path: Rc<str>,
    /// The ACL may hide it.
    optional: bool,
}

#[derive(Clone, Debug, Default)]
struct Owed {
    due: VecDeque<Due>,
    /// Zxid of the newest event received.
    newest: Zxid,
    paths: BTreeSet<Rc<str>>,
}

/// The watches of all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    at: BTreeMap<Rc<str>, BTreeSet<(u64, Mode)>>,
    owed: BTreeMap<u64, Owed>,
    recursive: usize,
}

impl Watches {
    pub(super) fn open(&mut self, conn: u64) {
        self.owed.insert(conn, Owed::default());
    }

    pub(super) fn close(&mut self, conn: u64) {
        let Some(owed) = self.owed.remove(&conn) else { return };
        for path in owed.paths {
            for mode in [Mode::Data, Mode::Child, Mode::Persistent, Mode::Recursive] {
                self.remove(conn, &path, mode);
            }
        }
    }

    /// Forgets one watch, as removeWatches does.
    pub(super) fn remove(&mut self, conn: u64, path: &str, mode: Mode) {
        let Some(set) = self.at.get_mut(path) else { return };
        if set.remove(&(conn, mode)) && mode == Mode::Recursive {
            self.recursive -= 1;
        }
        if set.is_empty() {
            self.at.remove(path);
        }
    }

    /// A reply at `at` says that a watch is armed. Changes since then that the model knows already are owed at once.
    pub(super) fn arm(&mut self, conn: u64, path: &str, mode: Mode, at: Zxid, model: &Model) {
        let Some(owed) = self.owed.get_mut(&conn) else { return };
        if let Some(changes) = model.changes_after(at) {
            // Another watch of this connection may be owed the same events: as many of a kind as changes give, not more.
            let mut mine: Vec<Due> = Vec::new();
            for change in changes {
                let Some((kind, open)) = fires(mode, path, change) else { continue };
                let due = Due { zxid: change.zxid, kind, path: event_path(kind, change), optional: !open };
                mine.push(due.clone());
                let count = |list: &mut dyn Iterator<Item = &Due>| list.filter(|d| **d == due).count();
                if count(&mut owed.due.iter()) < count(&mut mine.iter()) {
                    let i = owed.due.partition_point(|d| d.zxid <= due.zxid);
                    owed.due.insert(i, due);
                }
                if matches!(mode, Mode::Data | Mode::Child) {
                    return;
                }
            }
        }
        let path: Rc<str> = path.into();
        owed.paths.insert(path.clone());
        if self.at.entry(path).or_default().insert((conn, mode)) && mode == Mode::Recursive {
            self.recursive += 1;
        }
    }

    /// A decided change: who is owed an event from now on.
    pub(super) fn changed(&mut self, change: &Change) {
        if self.at.is_empty() {
            return;
        }
        let mut told: Vec<(u64, EventKind)> = Vec::new();
        let on_path: Vec<(u64, Mode)> = self.at.get(&change.path).into_iter().flatten().copied().collect();
        for (conn, mode) in on_path {
            self.fire(conn, mode, &change.path, change, &mut told);
        }
        let mut above = parent_of(&change.path);
        // Data alone is nothing to whoever watches the parent, and that is many.
        if let Some(parent) = above.filter(|_| is_structural(change.kind)) {
            let on_parent: Vec<(u64, Mode)> = self.at.get(parent).into_iter().flatten().copied().collect();
            for (conn, mode) in on_parent.into_iter().filter(|(_, m)| *m != Mode::Recursive) {
                self.fire(conn, mode, parent, change, &mut told);
            }
        }
        while let (Some(ancestor), true) = (above, self.recursive > 0) {
            let recursive: Vec<u64> =
                self.at.get(ancestor).into_iter().flatten().filter(|w| w.1 == Mode::Recursive).map(|w| w.0).collect();
            for conn in recursive {
                self.fire(conn, Mode::Recursive, ancestor, change, &mut told);
            }
            above = parent_of(ancestor);
        }
    }

    fn fire(&mut self, conn: u64, mode: Mode, path: &str, change: &Change, told: &mut Vec<(u64, EventKind)>) {
        let Some((kind, open)) = fires(mode, path, change) else { return };
        if matches!(mode, Mode::Data | Mode::Child) {
            self.remove(conn, path, mode);
        }
        if told.contains(&(conn, kind)) {
            return;
        }
        told.push((conn, kind));
        if let Some(owed) = self.owed.get_mut(&conn) {
            owed.due.push_back(Due { zxid: change.zxid, kind, path: event_path(kind, change), optional: !open });
        }
    }

    /// An event with a zxid arrived.
    pub(super) fn received(&mut self, conn: u64, zxid: Zxid, kind: EventKind, path: &str) -> Checked {
        let Some(owed) = self.owed.get_mut(&conn) else { return Ok(()) };
        let what = || format!("{kind:?} of {path} at {zxid} arrives on connection {conn}");
        if zxid < owed.newest {
            return broken("C5", what(), format!("the event before it was of {}", owed.newest));
        }
        owed.newest = zxid;
        let found = owed.due.iter().position(|d| d.zxid == zxid && d.kind == kind && *d.path == *path);
        let Some(i) = found else {
            return broken("C5", what(), format!("owed are {:?}", owed.due.iter().take(3).collect::<Vec<_>>()));
        };
        if let Some(missed) = owed.due.iter().take(i).find(|d| d.zxid < zxid && !d.optional) {
            return broken("C5", what(), format!("{missed:?} is owed and did not come before it"));
        }
        owed.due.remove(i);
        while owed.due.front().is_some_and(|d| d.zxid < zxid) {
            owed.due.pop_front();
        }
        Ok(())
    }

    /// A reply that shows the state at `zxid` arrived.
    pub(super) fn replied(&mut self, conn: u64, zxid: Zxid) -> Checked {
        let Some(owed) = self.owed.get_mut(&conn) else { return Ok(()) };
        while let Some(due) = owed.due.front().filter(|d| d.zxid <= zxid) {
            if !due.optional {
                let second = format!("{due:?} is owed to it and has not come");
                return broken("C4", format!("a reply at {zxid} arrives on connection {conn}"), second);
            }
            owed.due.pop_front();
        }
        Ok(())
    }
}

/// The event that this watch on `path` gives for this change, and whether everybody may see it (7.2).
fn fires(mode: Mode, path: &str, change: &Change) -> Option<(EventKind, bool)> {
    let same = *change.path == *path;
    let data = matches!(mode, Mode::Data | Mode::Persistent);
    let child = matches!(mode, Mode::Child | Mode::Persistent);
    if mode == Mode::Recursive {
        let below = change.path.strip_prefix(path).is_some_and(|rest| path == "/" || rest.starts_with('/'));
        return (same || below).then_some((change.kind, change.open));
    }
    if same {
        return (data || (child && change.kind == EventKind::Deleted)).then_some((change.kind, change.open));
    }
    (child && is_structural(change.kind) && parent_of(&change.path) == Some(path))
        .then_some((EventKind::ChildrenChanged, change.parent_open))
}

/// Whether it changes the children of a parent.
fn is_structural(kind: EventKind) -> bool {
    matches!(kind, EventKind::Created | EventKind::Deleted)
}

fn event_path(kind: EventKind, change: &Change) -> Rc<str> {
    match kind {
        EventKind::ChildrenChanged => parent_of(&change.path).unwrap_or("/").into(),
        _ => change.path.clone(),
    }
}
