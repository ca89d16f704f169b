//! The transaction log's file format (storage-format section 2).

use bytes::Bytes;

use crate::ids::Zxid;

/// One logged transaction: the payload of its log record and of its PROPOSAL. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its id.
    pub zxid: Zxid,
    /// Header, body, digest.
    pub payload: Bytes,
}
