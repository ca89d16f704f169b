//! What applying a transaction gave: changes for watchers and the result for the reply.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

use crate::error::ErrorCode;
use crate::wire::client::{Change, EventKind, SharedAcl};
use crate::wire::records::Stat;

/// The result of a transaction or of one op of a multi. Stats are those right after that op.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpResult {
    /// Nothing was done; inside a failed multi also [`ErrorCode::Ok`], for the ops before the one that failed.
    Error(ErrorCode),
    /// create in all its kinds.
    Created(Stat),
    /// delete, deleteContainer.
    Deleted,
    /// setData, reconfig.
    SetData(Stat),
    /// setACL.
    SetAcl(Stat),
    /// check, inside a multi.
    Checked,
    /// One for each op.
    Multi(Vec<Self>),
    /// createSession.
    SessionCreated,
    /// closeSession.
    SessionClosed,
}

impl Default for OpResult {
    fn default() -> Self {
        Self::Error(ErrorCode::Ok)
    }
}

/// Changes in the order in which watchers hear of them. Texts are kept for the next transaction.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    all: Vec<Change>,
    used: usize,
}

impl Deref for Changes {
    type Target = [Change];
    fn deref(&self) -> &[Change] {
        &self.all[..self.used]
    }
}

/// Texts longer than this are not kept.
const KEPT_TEXT: usize = 1 << 10;
/// Nor are longer lists.
const KEPT_ACL: usize = 8;
/// More changes than this are not kept.
const KEPT: usize = 128;

impl Changes {
    /// Forgets the changes.
    pub fn clear(&mut self) {
        for change in &mut self.all[..self.used] {
            if change.path.capacity() > KEPT_TEXT {
                change.path = String::new();
            }
            if change.acl.len() > KEPT_ACL {
                change.acl = SharedAcl::default();
            }
        }
        if self.all.len() > KEPT {
            self.all.truncate(KEPT);
            self.all.shrink_to_fit();
        }
        self.used = 0;
    }

    /// Adds a change.
    pub(super) fn push(&mut self, kind: EventKind, path: &str, acl: &SharedAcl) {
        let path = if path.is_empty() { "/" } else { path };
        match self.all.get_mut(self.used) {
            Some(old) => {
                old.kind = kind;
                old.path.clear();
                old.path.push_str(path);
                old.acl.clone_from(acl);
            }
            None => self.all.push(Change { kind, path: path.into(), acl: acl.clone() }),
        }
        self.used += 1;
    }
}

/// What a transaction did; used again for the next one.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// For watchers, in order.
    pub changes: Changes,
    /// For the reply.
    pub result: OpResult,
}
