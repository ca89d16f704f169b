//! delete, setData, setACL, check, deleteContainer: the checks of client-protocol 4.1 in their order, then the body.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::ids::Millis;
use crate::mutant::Mutant;
use crate::request::prepare::projection::{Node, Place, View};
use crate::request::prepare::{Step, paths};
use crate::tree::{acl, content_crc, is_counted};
use crate::wire::client::SharedAcl;
use crate::wire::records::{Acl, Owner, op, perm};
use crate::wire::txn::Txn;

type Checked = Result<(), ErrorCode>;

impl Step<'_> {
    pub(super) fn delete(&mut self, path: Option<&str>, version: i32, out: &mut Vec<u8>) -> Checked {
        let path = text(path)?;
        if !paths::has_place(path) || paths::is_reserved(path) {
            return Err(ErrorCode::BadArguments);
        }
        let above = paths::parent(path);
        let (parent_place, parent) = self.get(above);
        let parent = parent.ok_or(ErrorCode::NoNode)?;
        let own = self.rules.mutants.has(Mutant::Q11);
        if !own {
            self.require(&parent, perm::DELETE)?;
        }
        let (place, node) = self.get(path);
        let node = node.ok_or(ErrorCode::NoNode)?;
        if own {
            self.require(&node, perm::DELETE)?;
        }
        expect_version(node.stat().version, version)?;
        if node.children() > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let parent = parent.node();
        self.remove((place, path), (parent_place, above), parent);
        Txn::Delete { path: Cow::Borrowed(path) }.encode(op::DELETE, out);
        Ok(())
    }

    /// What the reaper asked for is looked at again: meanwhile the znode may have been used, or be another one.
    pub(super) fn delete_container(&mut self, path: Option<&str>, out: &mut Vec<u8>) -> Checked {
        let path = text(path)?;
        if !paths::has_place(path) || paths::is_reserved(path) {
            return Err(ErrorCode::BadArguments);
        }
        let (place, node) = self.get(path);
        let node = node.ok_or(ErrorCode::NoNode)?;
        if node.children() > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if !self.is_due(&node) {
            return Err(ErrorCode::BadVersion);
        }
        let above = paths::parent(path);
        let (parent_place, parent) = self.get(above);
        let parent = parent.ok_or(ErrorCode::NoNode)?.node();
        self.remove((place, path), (parent_place, above), parent);
        Txn::Delete { path: Cow::Borrowed(path) }.encode(op::DELETE_CONTAINER, out);
        Ok(())
    }

    /// Whether a childless container or TTL znode may go (section 11).
    fn is_due(&self, node: &View<'_>) -> bool {
        let stat = node.stat();
        let older_than = |age: Millis| self.time.saturating_sub(stat.mtime) > age;
        let never_used = self.rules.container_never_used_ms;
        match Owner::of(stat.ephemeral_owner, self.tree.ttl_forms()) {
            Owner::Container => stat.cversion > 0 || (never_used > 0 && older_than(never_used)),
            Owner::Ttl(ttl) => older_than(ttl),
            Owner::None | Owner::Session(_) => false,
        }
    }

    fn remove(&mut self, gone: (Place, &str), above: (Place, &str), mut parent: Node) {
        self.flying.put(gone.0, gone.1, self.zxid, None);
        parent.children -= 1;
        parent.stat.pzxid = self.zxid;
        self.flying.put(above.0, above.1, self.zxid, Some(parent));
    }

    pub(super) fn set_data(
        &mut self,
        path: Option<&str>,
        data: Option<&[u8]>,
        version: i32,
        out: &mut Vec<u8>,
    ) -> Checked {
        let path = valid(path)?;
        let (place, node) = self.get(path);
        let node = node.ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::WRITE)?;
        let mut node = node.node();
        self.check_quota(path, 0, len(data) - node.data_len as i64)?;
        expect_version(node.stat.version, version)?;
        let version = next_version(node.stat.version);
        (node.stat.version, node.stat.mzxid, node.stat.mtime) = (version, self.zxid, self.time);
        node.data_len = data.map_or(0, <[u8]>::len);
        if is_counted(path) {
            node.content_crc = content_crc(path, data);
        }
        self.flying.put(place, path, self.zxid, Some(node));
        Txn::SetData { path: Cow::Borrowed(path), data, version }.encode(op::SET_DATA, out);
        Ok(())
    }

    pub(super) fn set_acl(
        &mut self,
        path: Option<&str>,
        list: Option<&[Acl<'_>]>,
        version: i32,
        out: &mut Vec<u8>,
    ) -> Checked {
        let path = valid(path)?;
        let list = self.fix_up(list)?;
        let (place, node) = self.get(path);
        let node = node.ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::ADMIN)?;
        expect_version(node.stat().aversion, version)?;
        let mut node = node.node();
        let version = next_version(node.stat.aversion);
        node.stat.aversion = version;
        node.acl = self.share(&list);
        self.flying.put(place, path, self.zxid, Some(node));
        Txn::SetAcl { path: Cow::Borrowed(path), acl: list, version }.encode(op::SET_ACL, out);
        Ok(())
    }

    pub(super) fn check(&mut self, path: Option<&str>, version: i32, out: &mut Vec<u8>) -> Checked {
        let path = valid(path)?;
        let (_, node) = self.get(path);
        let node = node.ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::READ)?;
        let present = node.stat().version;
        expect_version(present, version)?;
        // As the reference logs it; nobody reads it.
        Txn::Check { path: Cow::Borrowed(path), version: next_version(present) }.encode(op::CHECK, out);
        Ok(())
    }

    // ----- shared by the ops -------------------------------------------------------------------------------------

    pub(super) fn get(&self, path: &str) -> (Place, Option<View<'_>>) {
        self.flying.get(self.tree, path)
    }

    pub(super) fn require(&self, node: &View<'_>, wanted: i32) -> Checked {
        let allowed = acl::check(node.acl(), wanted, self.ids, &self.rules.auth);
        if allowed { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    /// The list as it is stored.
    pub(super) fn fix_up<'b>(&self, list: Option<&[Acl<'b>]>) -> Result<Vec<Acl<'b>>, ErrorCode>
    where
        'static: 'b,
    {
        acl::fix_up(list, self.ids, &self.rules.auth, self.rules.growth_max)
    }

    /// The list to keep: the last one again, where it is the same.
    pub(super) fn share(&mut self, list: &[Acl<'_>]) -> SharedAcl {
        if **self.last_acl != *list {
            *self.last_acl = list.iter().map(|acl| acl.clone().into_owned()).collect::<Vec<_>>().into();
        }
        self.last_acl.clone()
    }
}

/// A null path is what Java trips over: -5 (section 4).
pub(super) fn text(path: Option<&str>) -> Result<&str, ErrorCode> {
    path.ok_or(ErrorCode::MarshallingError)
}

fn valid(path: Option<&str>) -> Result<&str, ErrorCode> {
    text(path).and_then(|path| if paths::is_valid(path) { Ok(path) } else { Err(ErrorCode::BadArguments) })
}

pub(super) fn len(data: Option<&[u8]>) -> i64 {
    data.map_or(0, <[u8]>::len) as i64
}

/// -1 is any version.
fn expect_version(present: i32, expected: i32) -> Checked {
    if expected == -1 || expected == present { Ok(()) } else { Err(ErrorCode::BadVersion) }
}

/// Versions wrap around, past the -1 that means any (4.2).
const fn next_version(present: i32) -> i32 {
    match present.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}
