//! Watches: C4 the event before the data, C5 no event without a watch, none missing, none twice, each in its place.
//!
//! When: at each change (who is owed an event), at each event (was it owed?), at each reply (is something owed that it already
//! shows?). Cost: the watches on the path that changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use quorate_core::ids::Zxid;
use quorate_core::wire::client::EventKind;
use quorate_core::wire::records::{Acl, Id, perm};

use super::{Checked, broken};
use crate::model::{Change, Model, parent_of, permits};
use crate::past::after;

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

impl Mode {
    const fn is_one_shot(self) -> bool {
        matches!(self, Self::Data | Self::Child)
    }
}

/// The modes that a watcher type of checkWatches and removeWatches names; `None`: there is no such type (7.5).
pub(super) fn modes_of(kind: i32) -> Option<&'static [Mode]> {
    Some(match kind {
        1 => &[Mode::Child],
        2 => &[Mode::Data],
        3 => &[Mode::Data, Mode::Child, Mode::Persistent, Mode::Recursive],
        4 => &[Mode::Persistent],
        5 => &[Mode::Recursive],
        _ => return None,
    })
}

/// The place of an event among all of one connection: zxid, number of the change, 1 for what its parent's watchers hear.
type Place = (Zxid, u32, u8);

/// What one connection watches.
type Watch = (Rc<str>, Mode);

/// An event that a connection must get.
#[derive(Clone, PartialEq, Debug)]
struct Due {
    place: Place,
    kind: EventKind,
    path: Rc<str>,
    /// Whether the places within its transaction mean something.
    ordered: bool,
    /// Who may see it.
    acl: Rc<[Acl<'static>]>,
    /// What the connection had certainly proved by then is enough.
    sure: bool,
    /// The watches that it comes from.
    by: Vec<Watch>,
}

impl Due {
    fn words(&self) -> String {
        let may = if self.sure { "" } else { " (if its rights suffice)" };
        format!("{:?} of {} at {}{may}", self.kind, self.path, self.place.0)
    }
}

#[derive(Clone, Debug)]
struct Owed {
    /// By place.
    due: VecDeque<Due>,
    /// Zxid of the newest event received.
    newest: Zxid,
    paths: BTreeSet<Rc<str>>,
    /// One-shot watches that have fired at a zxid which the client may not know yet.
    spent: Vec<(Watch, Zxid)>,
    /// Identities that the server has certainly taken note of.
    sure: Rc<[Id<'static>]>,
    /// Identities that the client has told it.
    told: Rc<[Id<'static>]>,
}

impl Owed {
    fn owe(&mut self, change: &Change, (kind, part, acl): Fired<'_>, by: Watch) {
        let place = (change.zxid, change.number, part);
        let i = after(&self.due, |d| d.place < place);
        if let Some(there) = self.due.get_mut(i).filter(|d| d.place == place) {
            if !there.by.contains(&by) {
                there.by.push(by);
            }
            return;
        }
        let path = match kind {
            EventKind::ChildrenChanged => parent_of(&change.path).unwrap_or("/").into(),
            _ => change.path.clone(),
        };
        let sure = permits(acl, perm::READ, &self.sure);
        self.due
            .insert(i, Due { place, kind, path, ordered: change.ordered, acl: acl.clone(), sure, by: Vec::from([by]) });
    }
}

/// The watches of all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    at: BTreeMap<Rc<str>, BTreeSet<(u64, Mode)>>,
    owed: BTreeMap<u64, Owed>,
    recursive: usize,
}

impl Watches {
    pub(super) fn open(&mut self, conn: u64, ids: Rc<[Id<'static>]>) {
        let owed = Owed {
            due: VecDeque::new(),
            newest: Zxid::ZERO,
            paths: BTreeSet::new(),
            spent: Vec::new(),
            sure: ids.clone(),
            told: ids,
        };
        self.owed.insert(conn, owed);
    }

    pub(super) fn close(&mut self, conn: u64) {
        let Some(owed) = self.owed.remove(&conn) else { return };
        for path in owed.paths {
            for mode in [Mode::Data, Mode::Child, Mode::Persistent, Mode::Recursive] {
                self.take(conn, &path, mode);
            }
        }
    }

    /// The client says who it is.
    pub(super) fn proves(&mut self, conn: u64, ids: Rc<[Id<'static>]>) {
        if let Some(owed) = self.owed.get_mut(&conn) {
            owed.told = ids;
        }
    }

    /// Forgets one watch. Returns whether it was there.
    fn take(&mut self, conn: u64, path: &str, mode: Mode) -> bool {
        let Some(set) = self.at.get_mut(path) else { return false };
        let there = set.remove(&(conn, mode));
        if there && mode == Mode::Recursive {
            self.recursive -= 1;
        }
        if set.is_empty() {
            self.at.remove(path);
        }
        there
    }

    /// Whether one of these watches stood at `at`.
    pub(super) fn stood(&self, conn: u64, path: &str, modes: &[Mode], at: Zxid) -> bool {
        let now = self.at.get(path).is_some_and(|set| modes.iter().any(|mode| set.contains(&(conn, *mode))));
        let spent = |o: &Owed| o.spent.iter().any(|((p, mode), z)| **p == *path && modes.contains(mode) && *z > at);
        now || self.owed.get(&conn).is_some_and(spent)
    }

    /// They are removed at `at`: what happened later was for nobody.
    pub(super) fn remove(&mut self, conn: u64, path: &str, modes: &[Mode], at: Zxid) {
        modes.iter().for_each(|mode| _ = self.take(conn, path, *mode));
        let Some(owed) = self.owed.get_mut(&conn) else { return };
        let removed = |watch: &Watch| *watch.0 == *path && modes.contains(&watch.1);
        owed.spent.retain(|(watch, _)| !removed(watch));
        for due in owed.due.iter_mut().filter(|d| d.place.0 > at) {
            due.by.retain(|watch| !removed(watch));
        }
        owed.due.retain(|d| !d.by.is_empty());
    }

    /// A reply at `at` says that a watch is armed. Changes since then that the model knows already are owed at once.
    pub(super) fn arm(&mut self, conn: u64, path: &str, mode: Mode, at: Zxid, model: &Model) {
        let Some(owed) = self.owed.get_mut(&conn) else { return };
        let shared: Rc<str> = path.into();
        if let Some(changes) = model.changes_after(at) {
            for change in changes {
                let Some(fired) = fires(mode, path, change) else { continue };
                owed.owe(change, fired, (shared.clone(), mode));
                if mode.is_one_shot() {
                    owed.spent.push(((shared, mode), change.zxid));
                    return;
                }
            }
        }
        owed.paths.insert(shared.clone());
        if self.at.entry(shared).or_default().insert((conn, mode)) && mode == Mode::Recursive {
            self.recursive += 1;
        }
    }

    /// A decided change: who is owed an event from now on.
    pub(super) fn changed(&mut self, change: &Change) {
        if self.at.is_empty() {
            return;
        }
        let mut watched: Vec<(Rc<str>, u64, Mode)> = Vec::new();
        let mut look = |path: &str, wanted: &dyn Fn(Mode) -> bool| {
            if let Some((path, set)) = self.at.get_key_value(path) {
                watched.extend(set.iter().filter(|(_, m)| wanted(*m)).map(|(conn, m)| (path.clone(), *conn, *m)));
            }
        };
        look(&change.path, &|_| true);
        let mut above = parent_of(&change.path);
        // Data alone is nothing to whoever watches the parent, and that is many.
        if let Some(parent) = above.filter(|_| is_structural(change.kind)) {
            look(parent, &|mode| mode != Mode::Recursive);
        }
        while let (Some(ancestor), true) = (above, self.recursive > 0) {
            look(ancestor, &|mode| mode == Mode::Recursive);
            above = parent_of(ancestor);
        }
        for (path, conn, mode) in watched {
            let Some(fired) = fires(mode, &path, change) else { continue };
            if mode.is_one_shot() {
                self.take(conn, &path, mode);
            }
            if let Some(owed) = self.owed.get_mut(&conn) {
                if mode.is_one_shot() {
                    owed.spent.push(((path.clone(), mode), change.zxid));
                }
                owed.owe(change, fired, (path, mode));
            }
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
        let found = owed.due.iter().position(|d| d.place.0 == zxid && d.kind == kind && *d.path == *path);
        let Some(i) = found else {
            let first: Vec<String> = owed.due.iter().take(3).map(Due::words).collect();
            return broken("C5", what(), format!("owed are {first:?}"));
        };
        let (due, told) = (&owed.due[i], &owed.told);
        if !due.sure && !permits(&due.acl, perm::READ, told) {
            return broken("C5", what(), format!("its rights are {:?}, the client has proved {told:?}", due.acl));
        }
        let before = |d: &Due| d.place.0 < zxid || d.ordered;
        if let Some(missed) = owed.due.iter().take(i).find(|d| before(d) && d.sure) {
            return broken("C5", what(), format!("{} is owed and did not come before it", missed.words()));
        }
        owed.due.remove(i);
        let mut left = i;
        while left > 0 {
            left -= 1;
            if before(&owed.due[left]) {
                owed.due.remove(left);
            }
        }
        Ok(())
    }

    /// A reply that shows the state at `zxid` arrived; `sure`: what its request was asked with.
    pub(super) fn replied(&mut self, conn: u64, zxid: Zxid, sure: Option<&Rc<[Id<'static>]>>) -> Checked {
        let Some(owed) = self.owed.get_mut(&conn) else { return Ok(()) };
        while let Some(due) = owed.due.front().filter(|d| d.place.0 <= zxid) {
            if due.sure {
                let second = format!("{} is owed to it and has not come", due.words());
                return broken("C4", format!("a reply at {zxid} arrives on connection {conn}"), second);
            }
            owed.due.pop_front();
        }
        owed.spent.retain(|(_, z)| *z > zxid);
        if let Some(ids) = sure {
            owed.sure = ids.clone();
        }
        Ok(())
    }
}

/// An event: its kind, 1 for what a parent's watchers hear, and who may see it.
type Fired<'a> = (EventKind, u8, &'a Rc<[Acl<'static>]>);

/// The event that this watch on `path` gives for this change (7.2).
fn fires<'a>(mode: Mode, path: &str, change: &'a Change) -> Option<Fired<'a>> {
    let same = *change.path == *path;
    let own = (change.kind, 0, &change.acl);
    let data = matches!(mode, Mode::Data | Mode::Persistent);
    let child = matches!(mode, Mode::Child | Mode::Persistent);
    if mode == Mode::Recursive {
        // The empty path is the root for reads only.
        let below = change.path.strip_prefix(path).is_some_and(|rest| path == "/" || rest.starts_with('/'));
        return (same || (below && !path.is_empty())).then_some(own);
    }
    if same {
        return (data || (child && change.kind == EventKind::Deleted)).then_some(own);
    }
    (child && is_structural(change.kind) && parent_of(&change.path) == Some(path)).then_some((
        EventKind::ChildrenChanged,
        1,
        &change.parent_acl,
    ))
}

/// Whether it changes the children of a parent.
fn is_structural(kind: EventKind) -> bool {
    matches!(kind, EventKind::Created | EventKind::Deleted)
}
