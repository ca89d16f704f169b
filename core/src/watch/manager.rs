//! Adding, removing and firing watches.

use alloc::vec::Vec;

use crate::ids::LinkId;
use crate::mutant::{Mutant, Mutants};
use crate::watch::mode::{Modes, WatchMode, WatcherType};
use crate::watch::table::{NIL, Table};
use crate::wire::client::{Change, EventKind};

/// All watches of one server. They belong to connections and vanish with them.
#[derive(Clone, Debug)]
pub struct WatchManager {
    pub(super) table: Table,
    /// Recursive watches: while there is none, nobody looks at ancestors.
    recursive: usize,
    /// Entries of the data table and of the child table.
    pub(super) data_watches: usize,
    pub(super) child_watches: usize,
    /// The number of the last event.
    event: u64,
    mutants: Mutants,
}

impl WatchManager {
    /// Without a watch; hash keys come from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            table: Table::new(seed),
            recursive: 0,
            data_watches: 0,
            child_watches: 0,
            event: 0,
            mutants: Mutants::none(),
        }
    }

    /// With these planted bugs.
    #[must_use]
    pub fn planted(mut self, mutants: Mutants) -> Self {
        self.mutants = mutants;
        self
    }

    /// Watches `path` for `link`. Adding a mode again changes nothing.
    pub fn add(&mut self, path: &str, link: LinkId, mode: WatchMode) {
        let at = self.table.find_or_add(path, link);
        let modes = self.table.watches[at as usize].modes;
        let kept = if self.mutants.has(Mutant::B61) { Modes::default() } else { modes };
        self.set(at, kept.with(mode.into()));
    }

    /// Whether `link` watches `path` in a way that `kind` names.
    #[must_use]
    pub fn contains(&self, path: &str, link: LinkId, kind: WatcherType) -> bool {
        let at = self.table.find(path, link);
        at.is_some_and(|at| self.table.watches[at as usize].modes.has(kind.into()))
    }

    /// Removes the watches of `link` at `path` that `kind` names. Returns whether there was one.
    pub fn remove(&mut self, path: &str, link: LinkId, kind: WatcherType) -> bool {
        let Some(at) = self.table.find(path, link) else { return false };
        let modes = self.table.watches[at as usize].modes;
        if self.mutants.has(Mutant::Q12) && modes.has(kind.into()) {
            self.use_up(self.table.watches[at as usize].path, kind.into());
            return true;
        }
        self.set(at, modes.without(kind.into()));
        modes.has(kind.into())
    }

    /// The connection is gone, and its watches with it.
    pub fn remove_link(&mut self, link: LinkId) {
        let Some(conn) = self.table.conn(link) else { return };
        let mut at = self.table.conns[conn as usize].first;
        while at != NIL {
            let behind = self.table.watches[at as usize].conn_behind;
            self.set(at, Modes::default());
            at = behind;
        }
    }

    /// Tells who has to hear of a change, each connection once, and uses up one-shot watches ([`WatchManager::fire_at`]).
    pub fn fire(&mut self, change: &Change, fired: &mut Vec<(LinkId, EventKind)>) {
        self.fire_at(change.kind, &change.path, fired);
    }

    /// Tells who has to hear that `kind` happened to `path`, each connection once, and uses up one-shot watches.
    ///
    /// The order is fixed: watchers of the path itself by registration, then recursive watchers of its ancestors from the
    /// nearest upward; of a deleted path last those who only watch its children. Appends to `fired`.
    pub fn fire_at(&mut self, kind: EventKind, path: &str, fired: &mut Vec<(LinkId, EventKind)>) {
        self.event += 1;
        let at = self.table.path(path);
        if kind != EventKind::ChildrenChanged {
            if let Some(at) = at {
                self.tell(at, kind, Modes::DATA_TABLE, fired);
            }
            if self.recursive > 0 {
                let mut below = path;
                while let Some(above) = parent(below) {
                    if let Some(at) = self.table.path(above) {
                        self.tell(at, kind, Modes::RECURSIVE, fired);
                    }
                    below = above;
                }
            }
        }
        let Some(at) = at else { return };
        let used = match kind {
            EventKind::Created | EventKind::DataChanged => Modes::DATA,
            EventKind::ChildrenChanged => {
                let leak = if self.mutants.has(Mutant::B62) { Modes::RECURSIVE } else { Modes::default() };
                self.tell(at, kind, Modes::CHILD_TABLE.with(leak), fired);
                Modes::CHILD
            }
            EventKind::Deleted => {
                self.tell(at, kind, Modes::CHILD_TABLE, fired);
                Modes::DATA.with(Modes::CHILD)
            }
        };
        self.use_up(at, used);
    }

    /// Adds the connections that watch this path with one of `modes` and were not told of this event yet.
    fn tell(&mut self, path: u32, kind: EventKind, modes: Modes, fired: &mut Vec<(LinkId, EventKind)>) {
        let table = &mut self.table;
        let mut at = table.paths[path as usize].first;
        while at != NIL {
            let watch = &table.watches[at as usize];
            if watch.modes.has(modes) {
                let conn = &mut table.conns[watch.conn as usize];
                if core::mem::replace(&mut conn.told, self.event) != self.event {
                    fired.push((conn.link, kind));
                }
            }
            at = watch.path_behind;
        }
    }

    /// Removes one-shot modes at a path.
    fn use_up(&mut self, path: u32, used: Modes) {
        let mut at = self.table.paths[path as usize].first;
        while at != NIL {
            let watch = self.table.watches[at as usize];
            if watch.modes.has(used) {
                self.set(at, watch.modes.without(used));
            }
            at = watch.path_behind;
        }
    }

    /// Gives a watch these modes; without any it goes.
    fn set(&mut self, at: u32, modes: Modes) {
        let old = core::mem::replace(&mut self.table.watches[at as usize].modes, modes);
        let count = |number: &mut usize, of: Modes| {
            *number = *number + usize::from(modes.has(of)) - usize::from(old.has(of));
        };
        count(&mut self.data_watches, Modes::DATA_TABLE);
        count(&mut self.child_watches, Modes::CHILD_TABLE);
        count(&mut self.recursive, Modes::RECURSIVE);
        if modes.is_empty() {
            self.table.remove(at);
        }
    }
}

/// The path above; of "/a" it is "/", above that there is nothing.
fn parent(path: &str) -> Option<&str> {
    if path == "/" {
        return None;
    }
    let slash = path.rfind('/')?;
    Some(if slash == 0 { "/" } else { &path[..slash] })
}
