//! Watches indexed both ways: by path, by connection, and by the pair, with 32-bit places instead of pointers.
//!
//! A watch is 32 bytes and 6 to 12 of index, a watched path 24 bytes, its text and 6 to 12 of index. Nothing looks through the
//! watches of a path or of a connection to find one of them.

use alloc::boxed::Box;
use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::ids::LinkId;
use crate::slots::Slots;
use crate::watch::mode::Modes;

/// No place.
pub(super) const NIL: u32 = u32::MAX;

/// Everything that one connection watches one path for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) path: u32,
    pub(super) conn: u32,
    /// Neighbours at the path, in order of registration. The first has the last before it.
    path_before: u32,
    pub(super) path_behind: u32,
    /// Neighbours of the connection, likewise.
    conn_before: u32,
    pub(super) conn_behind: u32,
    pub(super) modes: Modes,
}

#[derive(Clone, Debug)]
pub(super) struct WatchedPath {
    pub(super) text: Box<str>,
    pub(super) first: u32,
    /// Of the text: the index does not read texts when it grows.
    hash: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Watcher {
    pub(super) link: LinkId,
    pub(super) first: u32,
    /// The last event that it was told of, so that it is told once.
    pub(super) told: u64,
}

/// The watches of one server.
#[derive(Clone, Debug)]
pub(super) struct Table {
    key: (u64, u64),
    pub(super) watches: Slots<Watch>,
    pub(super) paths: Slots<WatchedPath>,
    pub(super) conns: Slots<Watcher>,
    by_path: HashTable<u32>,
    by_link: HashTable<u32>,
    by_pair: HashTable<u32>,
}

impl Table {
    /// Clients choose paths: the keys of the hash come from `seed`.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            key: (seed, seed.rotate_left(32) ^ 0x7761_7463_6865_7321),
            watches: Slots::new(),
            paths: Slots::new(),
            conns: Slots::new(),
            by_path: HashTable::new(),
            by_link: HashTable::new(),
            by_pair: HashTable::new(),
        }
    }

    fn hash(&self, text: &str) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(text.as_bytes());
        hasher.finish() as u32
    }
    /// The 64 bits that the table wants.
    const fn spread(hash: u32) -> u64 {
        (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn pair_hash(path: u32, conn: u32) -> u64 {
        // Places are ours, no client chooses them.
        let mixed = ((u64::from(path) << 32) | u64::from(conn)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
    const fn link_hash(link: LinkId) -> u64 {
        let mixed = link.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }

    pub(super) fn path(&self, text: &str) -> Option<u32> {
        // Most servers hear of many more changes than anybody watches for.
        if self.paths.is_empty() { None } else { self.path_hashed(text, self.hash(text)) }
    }
    fn path_hashed(&self, text: &str, hash: u32) -> Option<u32> {
        let same = |at: &u32| {
            let path = &self.paths[*at as usize];
            path.hash == hash && *path.text == *text
        };
        self.by_path.find(Self::spread(hash), same).copied()
    }
    pub(super) fn conn(&self, link: LinkId) -> Option<u32> {
        self.by_link.find(Self::link_hash(link), |at| self.conns[*at as usize].link == link).copied()
    }
    fn pair(&self, path: u32, conn: u32) -> Option<u32> {
        let same = |at: &u32| {
            let w = &self.watches[*at as usize];
            w.path == path && w.conn == conn
        };
        self.by_pair.find(Self::pair_hash(path, conn), same).copied()
    }
    /// What `link` watches `text` for.
    pub(super) fn find(&self, text: &str, link: LinkId) -> Option<u32> {
        self.pair(self.path(text)?, self.conn(link)?)
    }

    /// The watch of `link` at `text`, a new one without modes if there is none.
    pub(super) fn find_or_add(&mut self, text: &str, link: LinkId) -> u32 {
        let hash = self.hash(text);
        let path = self.path_hashed(text, hash).unwrap_or_else(|| self.add_path(text, hash));
        let conn = self.conn(link).unwrap_or_else(|| self.add_conn(link));
        self.pair(path, conn).unwrap_or_else(|| self.add_watch(path, conn))
    }

    fn add_path(&mut self, text: &str, hash: u32) -> u32 {
        let at = place(self.paths.insert(WatchedPath { text: text.into(), first: NIL, hash }));
        let paths = &self.paths;
        self.by_path.insert_unique(Self::spread(hash), at, |at| Self::spread(paths[*at as usize].hash));
        at
    }

    fn add_conn(&mut self, link: LinkId) -> u32 {
        let at = place(self.conns.insert(Watcher { link, first: NIL, told: 0 }));
        let conns = &self.conns;
        self.by_link.insert_unique(Self::link_hash(link), at, |at| Self::link_hash(conns[*at as usize].link));
        at
    }

    fn add_watch(&mut self, path: u32, conn: u32) -> u32 {
        let blank = Watch {
            path,
            conn,
            path_before: NIL,
            path_behind: NIL,
            conn_before: NIL,
            conn_behind: NIL,
            modes: Modes::default(),
        };
        let at = place(self.watches.insert(blank));
        let first = self.paths[path as usize].first;
        if first == NIL {
            self.paths[path as usize].first = at;
            self.watches[at as usize].path_before = at;
        } else {
            let last = core::mem::replace(&mut self.watches[first as usize].path_before, at);
            self.watches[last as usize].path_behind = at;
            self.watches[at as usize].path_before = last;
        }
        let first = self.conns[conn as usize].first;
        if first == NIL {
            self.conns[conn as usize].first = at;
            self.watches[at as usize].conn_before = at;
        } else {
            let last = core::mem::replace(&mut self.watches[first as usize].conn_before, at);
            self.watches[last as usize].conn_behind = at;
            self.watches[at as usize].conn_before = last;
        }
        let watches = &self.watches;
        let rehash = |at: &u32| {
            let w = &watches[*at as usize];
            Self::pair_hash(w.path, w.conn)
        };
        self.by_pair.insert_unique(Self::pair_hash(path, conn), at, rehash);
        at
    }

    /// Takes a watch out; its path and its connection go with their last one.
    pub(super) fn remove(&mut self, at: u32) {
        let w = self.watches.remove(at as usize);
        let pair = self.by_pair.find_entry(Self::pair_hash(w.path, w.conn), |other| *other == at);
        pair.expect("every watch is indexed").remove();
        self.unlink_from_path(at, &w);
        self.unlink_from_conn(at, &w);
    }

    fn unlink_from_path(&mut self, at: u32, w: &Watch) {
        let first = self.paths[w.path as usize].first;
        if first == at {
            self.paths[w.path as usize].first = w.path_behind;
        } else {
            self.watches[w.path_before as usize].path_behind = w.path_behind;
        }
        if w.path_behind != NIL {
            self.watches[w.path_behind as usize].path_before = w.path_before;
        } else if first != at {
            // The last one left: the first knows the new last.
            self.watches[first as usize].path_before = w.path_before;
        }
        if self.paths[w.path as usize].first == NIL {
            let hash = Self::spread(self.paths.remove(w.path as usize).hash);
            self.by_path.find_entry(hash, |other| *other == w.path).expect("every path is indexed").remove();
        }
    }

    fn unlink_from_conn(&mut self, at: u32, w: &Watch) {
        let first = self.conns[w.conn as usize].first;
        if first == at {
            self.conns[w.conn as usize].first = w.conn_behind;
        } else {
            self.watches[w.conn_before as usize].conn_behind = w.conn_behind;
        }
        if w.conn_behind != NIL {
            self.watches[w.conn_behind as usize].conn_before = w.conn_before;
        } else if first != at {
            self.watches[first as usize].conn_before = w.conn_before;
        }
        if self.conns[w.conn as usize].first == NIL {
            let link = self.conns.remove(w.conn as usize).link;
            let entry = self.by_link.find_entry(Self::link_hash(link), |other| *other == w.conn);
            entry.expect("every connection is indexed").remove();
        }
    }
}

fn place(slot: usize) -> u32 {
    u32::try_from(slot).ok().filter(|at| *at != NIL).expect("fewer than 2^32 watches")
}
