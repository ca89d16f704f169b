//! Applying transactions, live and in replay over a fuzzy snapshot: total, idempotent, without a clock (storage-format 6).

use alloc::vec::Vec;

use super::applied::{Applied, Changes, OpResult};
use super::arena::NodeId;
use super::node_ref::wire_stat;
use super::{DataTree, node_ref};
use crate::error::ErrorCode;
use crate::ids::{SessionId, Zxid};
use crate::jute::Reader;
use crate::mutant::Mutant;
use crate::wire::client::EventKind;
use crate::wire::records::{Acl, Owner, Stat, StatPersisted, op};
use crate::wire::txn::{CreateMode, SubTxn, Txn, TxnHeader};

impl DataTree {
    /// Applies a transaction. Whatever it holds, the tree stays sound: what cannot be done is an [`OpResult::Error`], as on every
    /// other server.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn<'_>, applied: &mut Applied) {
        applied.changes.clear();
        match txn {
            Txn::Multi(parts) => {
                let mut results = match core::mem::take(&mut applied.result) {
                    OpResult::Multi(results) => results,
                    _ => Vec::new(),
                };
                results.clear();
                if let Some(begun) = self.begun.take() {
                    (applied.changes, results) = begun;
                }
                self.multi(header, &parts[results.len()..], &mut applied.changes, &mut results);
                applied.result = OpResult::Multi(results);
            }
            txn => applied.result = self.single(header, txn, &mut applied.changes),
        }
        self.last_zxid = self.last_zxid.max(header.zxid);
    }

    /// Planted bug K25: the first part of a multi takes effect, and the others only when it is applied. Returns whether that was
    /// to be done.
    pub fn begin_multi(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> bool {
        let Txn::Multi(parts) = txn else { return false };
        if self.begun.is_some() || parts.len() < 2 || parts.iter().any(|part| part.kind == op::ERROR) {
            return false;
        }
        let (mut changes, mut results) = (Changes::default(), Vec::new());
        self.multi(header, &parts[..1], &mut changes, &mut results);
        self.begun = Some((changes, results));
        true
    }

    fn single(&mut self, header: &TxnHeader, txn: &Txn<'_>, changes: &mut Changes) -> OpResult {
        match txn {
            Txn::CreateSession { timeout } => {
                self.touch_session(header.session);
                self.sessions.insert(header.session, *timeout);
                OpResult::SessionCreated
            }
            Txn::CloseSession { paths } => {
                self.close_session(header, paths.as_deref().unwrap_or_default(), changes);
                OpResult::SessionClosed
            }
            Txn::Multi(_) => OpResult::Error(ErrorCode::MarshallingError),
            Txn::Error(code) => OpResult::Error(*code),
            part => self.part(header, part, changes).unwrap_or_else(OpResult::Error),
        }
    }

    /// What may also stand in a multi.
    fn part(&mut self, header: &TxnHeader, txn: &Txn<'_>, changes: &mut Changes) -> Result<OpResult, ErrorCode> {
        match txn {
            Txn::Create { path, data, acl, mode, parent_cversion } => {
                let stat = newborn(header, *mode);
                self.create(path, *data, acl, &stat, *parent_cversion, changes).map(OpResult::Created)
            }
            Txn::Delete { path } => self.delete(path, header.zxid, changes).map(|()| OpResult::Deleted),
            Txn::SetData { path, data, version } => {
                self.write_data(path, *data, *version, header, changes).map(OpResult::SetData)
            }
            Txn::SetAcl { path, acl, version } => self.write_acl(path, acl, *version).map(OpResult::SetAcl),
            Txn::Check { .. } => Ok(OpResult::Checked),
            Txn::CreateSession { .. } | Txn::CloseSession { .. } | Txn::Multi(_) => Err(ErrorCode::MarshallingError),
            Txn::Error(code) => Err(*code),
        }
    }

    fn multi(&mut self, header: &TxnHeader, parts: &[SubTxn<'_>], changes: &mut Changes, results: &mut Vec<OpResult>) {
        if parts.iter().any(|part| part.kind == op::ERROR) {
            let mut behind = ErrorCode::Ok;
            for part in parts {
                let own = if part.kind == op::ERROR { Reader::new(part.body).i32().ok() } else { None };
                results.push(OpResult::Error(own.map_or(behind, ErrorCode::from_code)));
                if part.kind == op::ERROR {
                    behind = ErrorCode::RuntimeInconsistency;
                }
            }
            return;
        }
        for part in parts {
            let txn = Txn::decode(part.kind, &mut Reader::new(part.body)).map_err(|_| ErrorCode::MarshallingError);
            let result = txn.and_then(|txn| self.part(header, &txn, changes));
            results.push(result.unwrap_or_else(OpResult::Error));
            self.aside = Some(Mutant::B46);
        }
        self.aside = None;
    }

    fn create(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'_>],
        stat: &StatPersisted,
        parent_cversion: i32,
        changes: &mut Changes,
    ) -> Result<Stat, ErrorCode> {
        let (parent, name) = self.place(path).ok_or(ErrorCode::NoNode)?;
        let acl = self.acls.acquire(acl);
        let existing = self.find(path);
        if let Some(id) = existing {
            // Replay: the rest of the znode is as new as this transaction or newer; its list may be older.
            self.set_acl(id, acl);
        }
        let counter = self.nodes.get(parent).cversion;
        let counted = if parent_cversion == -1 { counter.wrapping_add(1) } else { parent_cversion };
        if counted > counter {
            self.change(parent, |parent| {
                parent.cversion = counted;
                parent.pzxid = parent.pzxid.max(stat.czxid);
            });
        }
        if existing.is_some() {
            return Err(ErrorCode::NodeExists);
        }
        let id = self.attach(parent, path, name, data, acl, stat);
        self.quota_created(path, data.map_or(0, <[u8]>::len));
        changes.push(EventKind::Created, path, self.acls.get(acl));
        self.tell_parent(parent, path, changes);
        Ok(self.stat_of(id))
    }

    fn delete(&mut self, path: &str, zxid: Zxid, changes: &mut Changes) -> Result<(), ErrorCode> {
        let (parent, _) = self.place(path).ok_or(ErrorCode::NoNode)?;
        // In replay the znode may be gone already, or a younger one with this path may have raised its parent further.
        if zxid > self.nodes.get(parent).pzxid {
            self.change(parent, |parent| parent.pzxid = zxid);
        }
        let id = self.find(path).ok_or(ErrorCode::NoNode)?;
        // In replay there may be children of a younger znode with this path; their own transactions follow.
        self.prune(id);
        let node = self.nodes.get(id);
        let (bytes, acl) = (node.data_len(), node.acl);
        changes.push(EventKind::Deleted, path, self.acls.get(acl));
        self.detach(id);
        self.quota_deleted(path, bytes);
        self.tell_parent(parent, path, changes);
        Ok(())
    }

    fn write_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        header: &TxnHeader,
        changes: &mut Changes,
    ) -> Result<Stat, ErrorCode> {
        let id = self.find(path).ok_or(ErrorCode::NoNode)?;
        let before = self.nodes.get(id).data_len();
        self.set_data(id, path, data, |node| {
            node.version = version;
            node.mzxid = header.zxid;
            node.mtime = header.time;
        });
        let node = self.nodes.get(id);
        let (after, acl) = (node.data_len(), node.acl);
        self.quota_used(path, after as i64 - before as i64, 0);
        changes.push(EventKind::DataChanged, path, self.acls.get(acl));
        Ok(self.stat_of(id))
    }

    fn write_acl(&mut self, path: &str, acl: &[Acl<'_>], version: i32) -> Result<Stat, ErrorCode> {
        let id = self.find(path).ok_or(ErrorCode::NoNode)?;
        let acl = self.acls.acquire(acl);
        self.set_acl(id, acl);
        self.change(id, |node| node.aversion = version);
        Ok(self.stat_of(id))
    }

    /// Deletes what the transaction lists, then whatever else the session owns (logs before 3.6 list nothing).
    fn close_session<P: AsRef<str>>(&mut self, header: &TxnHeader, paths: &[P], changes: &mut Changes) {
        let session = header.session;
        self.touch_session(session);
        self.sessions.remove(&session);
        self.aside = Some(Mutant::B48);
        for path in paths {
            // Absent ones were deleted before: replay.
            let _ = self.delete(path.as_ref(), header.zxid, changes);
        }
        self.delete_owned(session, header.zxid, changes);
        self.aside = None;
    }

    fn delete_owned(&mut self, session: SessionId, zxid: Zxid, changes: &mut Changes) {
        while let Some(id) = self.ephemerals.get(&session).and_then(|owned| owned.first()).copied() {
            let path = node_ref::path_text(&self.nodes, id);
            self.delete(&path, zxid, changes).expect("an owned znode is in the tree");
        }
    }

    fn tell_parent(&self, parent: NodeId, path: &str, changes: &mut Changes) {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        changes.push(EventKind::ChildrenChanged, above, self.acls.get(self.nodes.get(parent).acl));
    }

    fn stat_of(&self, id: NodeId) -> Stat {
        wire_stat(&self.nodes, id, self.ttl_forms)
    }
}

/// The stat of a znode at its birth.
fn newborn(header: &TxnHeader, mode: CreateMode) -> StatPersisted {
    let owner = match mode {
        CreateMode::Plain { ephemeral: false } => Owner::None,
        CreateMode::Plain { ephemeral: true } => Owner::Session(header.session),
        CreateMode::Container => Owner::Container,
        CreateMode::Ttl(ttl) => Owner::Ttl(ttl),
    };
    StatPersisted {
        czxid: header.zxid,
        mzxid: header.zxid,
        pzxid: header.zxid,
        ctime: header.time,
        mtime: header.time,
        ephemeral_owner: owner.stored(),
        ..StatPersisted::default()
    }
}
