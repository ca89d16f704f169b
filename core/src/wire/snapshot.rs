//! The snapshot format: files and the stream behind a SNAP packet (storage-format section 4).

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::ids::SessionId;
use crate::wire::records::{Acl, StatPersisted};

/// Takes the content of a snapshot, in its order: sessions, ACL table, znodes with parents before children.
pub trait SnapSink {
    /// A session and its timeout in ms.
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str>;
    /// An entry of the ACL table.
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str>;
    /// A znode; the root's path is "". ACL id -1 is [`Acl::world`] with all permissions, without table entry.
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str>;
}

/// Decodes the stream behind a SNAP packet as it arrives.
#[derive(Debug, Default)]
pub struct StreamDecoder {}

#[allow(missing_docs, unused_variables)]
impl StreamDecoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Returns (bytes consumed, how many of them are snapshot body, whether the stream is complete).
    pub fn feed<S: SnapSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(usize, usize, bool), DecodeError> {
        Ok((0, 0, false))
    }
}
