//! What a transaction changed, as far as watchers may hear of it.

use alloc::string::String;
use alloc::sync::Arc;

use crate::wire::client::EventKind;
use crate::wire::records::Acl;

/// An access control list that several znodes share.
pub type SharedAcl = Arc<[Acl<'static>]>;

/// One change of one znode (client-protocol 7.2). A create or delete is two of them: the znode's own, then
/// [`EventKind::ChildrenChanged`] of its parent.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What happened.
    pub kind: EventKind,
    /// To which znode; the root is "/".
    pub path: String,
    /// Who may hear of it needs READ here: the new list of a created znode, the last one of a deleted znode.
    pub acl: SharedAcl,
}
