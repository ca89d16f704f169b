//! The ACL table: every distinct list once, counted, so that a znode holds four bytes.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::wire::client::SharedAcl;
use crate::wire::records::{Acl, perm};

/// world:anyone with everything: never in a snapshot's table (storage-format section 4).
pub(super) const OPEN: u32 = 0;

#[derive(Clone, Debug)]
struct Entry {
    list: SharedAcl,
    hash: u64,
    /// Znodes with this list.
    uses: u32,
}

/// Lists by number.
#[derive(Clone, Debug)]
pub(super) struct AclTable {
    key: (u64, u64),
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_list: HashTable<u32>,
    /// While a snapshot is written nothing leaves the table and no number is used again: these wait.
    unused: Option<Vec<u32>>,
}

impl AclTable {
    pub(super) fn new(key: (u64, u64)) -> Self {
        let mut table = Self { key, entries: Vec::new(), free: Vec::new(), by_list: HashTable::new(), unused: None };
        table.clear();
        table
    }

    /// Only the open list remains.
    pub(super) fn clear(&mut self) {
        *self = Self { key: self.key, entries: Vec::new(), free: Vec::new(), by_list: HashTable::new(), unused: None };
        let open = self.acquire(&[Acl::world(perm::ALL)]);
        assert_eq!(open, OPEN, "the first entry");
    }

    pub(super) fn get(&self, id: u32) -> &SharedAcl {
        &self.entries[id as usize].as_ref().expect("a list in use is in the table").list
    }

    /// The number of this list, with one use more.
    pub(super) fn acquire(&mut self, list: &[Acl<'_>]) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        list.hash(&mut hasher);
        let hash = hasher.finish();
        let entries = &self.entries;
        let same = |id: &u32| entries[*id as usize].as_ref().is_some_and(|e| e.hash == hash && e.list[..] == *list);
        if let Some(id) = self.by_list.find(hash, same).copied() {
            self.retain(id);
            return id;
        }
        let list: SharedAcl = list.iter().map(|acl| acl.clone().into_owned()).collect::<Vec<_>>().into();
        let entry = Some(Entry { list, hash, uses: 1 });
        let recycled = if self.unused.is_none() { self.free.pop() } else { None };
        let id = if let Some(id) = recycled {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("no more lists than znodes")
        };
        let entries = &self.entries;
        self.by_list.insert_unique(hash, id, |id| entries[*id as usize].as_ref().map_or(0, |e| e.hash));
        id
    }

    /// One use more.
    pub(super) fn retain(&mut self, id: u32) {
        self.entries[id as usize].as_mut().expect("a list in use is in the table").uses += 1;
    }

    /// One use less.
    pub(super) fn release(&mut self, id: u32) {
        let entry = self.entries[id as usize].as_mut().expect("a list in use is in the table");
        entry.uses -= 1;
        if entry.uses == 0 && id != OPEN {
            match &mut self.unused {
                Some(waiting) => waiting.push(id),
                None => self.purge(id),
            }
        }
    }

    fn purge(&mut self, id: u32) {
        let Some(entry) = self.entries[id as usize].take_if(|e| e.uses == 0) else { return };
        self.by_list.find_entry(entry.hash, |other| *other == id).expect("every list is found by its content").remove();
        self.free.push(id);
    }

    /// From now on every list keeps its number. Returns how many numbers there are and how many entries a snapshot has.
    pub(super) fn freeze(&mut self, holds: bool) -> (u32, usize) {
        self.unused = holds.then(Vec::new);
        let numbers = u32::try_from(self.entries.len()).expect("no more lists than znodes");
        (numbers, self.entries.iter().skip(1).flatten().count())
    }

    /// The list with this number, if there is one.
    pub(super) fn entry(&self, id: u32) -> Option<&SharedAcl> {
        self.entries[id as usize].as_ref().map(|e| &e.list)
    }

    /// The snapshot is written or given up.
    pub(super) fn thaw(&mut self) {
        for id in self.unused.take().unwrap_or_default() {
            self.purge(id);
        }
    }
}
