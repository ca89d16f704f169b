//! Every znode that the model knows, by path: found by hash, walked in order.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::RangeBounds;
use std::rc::Rc;

use hashbrown::HashMap;
use slab::Slab;

use super::Znode;

/// See the module. A path is looked for several times in each operation that is judged, and walked to hardly ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Znodes {
    slots: Slab<Znode>,
    /// Keyed alike in every run, and never iterated.
    found: HashMap<Rc<str>, usize, BuildHasherDefault<DefaultHasher>>,
    order: BTreeMap<Rc<str>, usize>,
}

impl Znodes {
    pub(super) fn get(&self, path: &str) -> Option<&Znode> {
        self.found.get(path).map(|slot| &self.slots[*slot])
    }
    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut Znode> {
        self.found.get(path).map(|slot| &mut self.slots[*slot])
    }
    /// The znode at this path, which is made if there is none.
    pub(super) fn make(&mut self, path: &Rc<str>) -> &mut Znode {
        let slot = match self.found.get(path) {
            Some(slot) => *slot,
            None => {
                let slot = self.slots.insert(Znode::default());
                self.found.insert(path.clone(), slot);
                self.order.insert(path.clone(), slot);
                slot
            }
        };
        &mut self.slots[slot]
    }
    pub(super) fn remove(&mut self, path: &str) {
        if let Some(slot) = self.found.remove(path) {
            self.order.remove(path);
            self.slots.remove(slot);
        }
    }
    /// By path, ascending.
    pub(super) fn range(&self, paths: impl RangeBounds<str>) -> impl Iterator<Item = (&Rc<str>, &Znode)> {
        self.order.range::<str, _>(paths).map(|(path, slot)| (path, &self.slots[*slot]))
    }
    /// All, by path.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Rc<str>, &Znode)> {
        self.order.iter().map(|(path, slot)| (path, &self.slots[*slot]))
    }
}
