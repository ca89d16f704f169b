//! Loading a snapshot, whole and point in time or fuzzy (storage-format sections 4 and 6).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::arena::NodeId;
use super::{DataTree, acls};
use crate::ids::{SessionId, Zxid};
use crate::wire::records::{Acl, StatPersisted};
use crate::wire::snapshot::SnapSink;

/// A load under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Loading {
    /// The snapshot's ACL ids and the numbers that its lists have here, each held once until the end.
    acls: BTreeMap<i64, u32>,
}

/// The id of world:anyone with everything, without table entry.
const OPEN_ID: i64 = -1;

impl DataTree {
    /// A snapshot follows: forgets everything, a walk included.
    pub fn begin_load(&mut self) {
        self.forget();
        self.loading = Some(Loading::default());
    }

    /// The snapshot is complete and stands for this zxid. `exact`: it is the tree of that instant, not a fuzzy one, so that even
    /// what quotas say is used is what every other server says.
    pub fn finish_load(&mut self, zxid: Zxid, exact: bool) {
        for (_, acl) in self.loading.take().unwrap_or_default().acls {
            self.acls.release(acl);
        }
        // Snapshots of servers before 3.5 have no configuration node.
        self.add_reserved();
        self.load_quotas(exact);
        self.last_zxid = zxid;
    }

    /// The number here of a list in the snapshot, with one use more.
    fn loaded_acl(&mut self, id: i64) -> u32 {
        let known = self.loading.as_ref().and_then(|loading| loading.acls.get(&id)).copied();
        let number = if id == OPEN_ID { Some(acls::OPEN) } else { known };
        match number {
            Some(number) => {
                self.acls.retain(number);
                number
            }
            // Fuzzy: the list came into use after the table was written. Replay brings it; until then nobody gets in.
            None => self.acls.acquire(&[Acl::world(0)]),
        }
    }
}

impl SnapSink for DataTree {
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str> {
        self.sessions.insert(id, timeout);
        Ok(())
    }

    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str> {
        let loading = self.loading.get_or_insert_default();
        if id == OPEN_ID || loading.acls.contains_key(&id) {
            return Err("an ACL id twice");
        }
        loading.acls.insert(id, self.acls.acquire(&acl));
        Ok(())
    }

    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str> {
        if path.is_empty() || path == "/" {
            let acl = self.loaded_acl(acl);
            self.set_acl(NodeId::ROOT, acl);
            self.set_data(NodeId::ROOT, "", data, |node| node.set_stat(stat));
            return Ok(());
        }
        let (parent, name) = self.place(path).ok_or("a znode without its parent")?;
        if self.find(path).is_some() {
            return Err("a znode twice");
        }
        let acl = self.loaded_acl(acl);
        self.attach(parent, path, name, data, acl, stat);
        Ok(())
    }
}
