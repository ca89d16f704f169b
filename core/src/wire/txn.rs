//! Transactions: the payload of a log record and of a PROPOSAL, one encoding for both (storage-format section 3).

use alloc::vec::Vec;

use crate::error::{DecodeError, ErrorCode};
use crate::ids::{Millis, SessionId, Zxid};
use crate::jute::{JStr, Put, Reader};
use crate::wire::records::{Acl, op};

/// Who asked, which request of theirs, which zxid, when, what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnHeader {
    /// Session of the request; 0 for the leader's own.
    pub session: SessionId,
    /// The request's xid.
    pub cxid: i32,
    /// The transaction's id.
    pub zxid: Zxid,
    /// Leader's wall clock.
    pub time: Millis,
    /// One of [`op`].
    pub kind: i32,
}

impl TxnHeader {
    /// Encoded size.
    pub const LEN: usize = 32;
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { session: SessionId(r.i64()?), cxid: r.i32()?, zxid: Zxid(r.i64()?), time: r.i64()?, kind: r.i32()? })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.session.0);
        out.put_i32(self.cxid);
        out.put_i64(self.zxid.0);
        out.put_i64(self.time);
        out.put_i32(self.kind);
    }
}

/// What a create makes beside an ordinary or ephemeral znode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateMode {
    /// Types 1 and 15: persistent, or owned by the header's session.
    Plain {
        /// Owned by the session.
        ephemeral: bool,
    },
    /// Type 19.
    Container,
    /// Type 21.
    Ttl(Millis),
}

/// A transaction's body, borrowed from its encoding.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Txn<'a> {
    CreateSession {
        timeout: i32,
    },
    /// Paths of the session's ephemerals; `None` in logs before 3.6.
    CloseSession {
        paths: Option<Vec<JStr<'a>>>,
    },
    /// Types 1, 15, 19, 21.
    Create {
        path: JStr<'a>,
        data: Option<&'a [u8]>,
        acl: Vec<Acl<'a>>,
        mode: CreateMode,
        /// The parent's internal counter after this create; -1 = not recorded (3.3).
        parent_cversion: i32,
    },
    /// Types 2 and 20.
    Delete {
        path: JStr<'a>,
    },
    /// Types 5 and 16; the new version.
    SetData {
        path: JStr<'a>,
        data: Option<&'a [u8]>,
        version: i32,
    },
    /// The new aversion.
    SetAcl {
        path: JStr<'a>,
        acl: Vec<Acl<'a>>,
        version: i32,
    },
    /// Only inside a multi.
    Check {
        path: JStr<'a>,
        version: i32,
    },
    /// Type and body of each part.
    Multi(Vec<SubTxn<'a>>),
    Error(ErrorCode),
}

/// One part of a multi: its type and its encoded body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct SubTxn<'a> {
    pub kind: i32,
    pub body: &'a [u8],
}

impl<'a> Txn<'a> {
    /// Reads a body of this type. Trailing bytes are left to the caller.
    pub fn decode(kind: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let path = |r: &mut Reader<'a>| r.string().map(Option::unwrap_or_default);
        Ok(match kind {
            op::CREATE_SESSION => Self::CreateSession { timeout: r.i32()? },
            op::CLOSE_SESSION => {
                let absent = r.remaining() == 0 || (r.remaining() == 12 && r.rest()[..4] == [0, 0, 0, 2]);
                let paths = if absent { None } else { Some(r.strings()?.unwrap_or_default()) };
                Self::CloseSession { paths }
            }
            op::CREATE | op::CREATE2 => {
                let (path, data) = (path(r)?, r.buffer()?);
                let acl = Acl::decode_list(r)?.unwrap_or_default();
                let ephemeral = r.bool()?;
                let parent_cversion = if r.remaining() < 4 { -1 } else { r.i32()? };
                Self::Create { path, data, acl, mode: CreateMode::Plain { ephemeral }, parent_cversion }
            }
            op::CREATE_CONTAINER | op::CREATE_TTL => {
                let (path, data) = (path(r)?, r.buffer()?);
                let acl = Acl::decode_list(r)?.unwrap_or_default();
                let parent_cversion = r.i32()?;
                let mode = if kind == op::CREATE_TTL { CreateMode::Ttl(r.i64()?) } else { CreateMode::Container };
                Self::Create { path, data, acl, mode, parent_cversion }
            }
            op::DELETE | op::DELETE_CONTAINER => Self::Delete { path: path(r)? },
            op::SET_DATA | op::RECONFIG => Self::SetData { path: path(r)?, data: r.buffer()?, version: r.i32()? },
            op::SET_ACL => {
                Self::SetAcl { path: path(r)?, acl: Acl::decode_list(r)?.unwrap_or_default(), version: r.i32()? }
            }
            op::CHECK => Self::Check { path: path(r)?, version: r.i32()? },
            op::MULTI => {
                let n = r.count()?.unwrap_or(0);
                let mut parts = Vec::with_capacity(n.min(r.remaining() / 8));
                for _ in 0..n {
                    parts.push(SubTxn { kind: r.i32()?, body: r.buffer()?.unwrap_or_default() });
                }
                Self::Multi(parts)
            }
            op::ERROR => Self::Error(ErrorCode::from_code(r.i32()?)),
            _ => return Err(r.error("unknown transaction type")),
        })
    }

    /// Appends the body. `kind` is the header's type.
    pub fn encode(&self, kind: i32, out: &mut Vec<u8>) {
        match self {
            Self::CreateSession { timeout } => out.put_i32(*timeout),
            Self::CloseSession { paths: None } => {}
            Self::CloseSession { paths: Some(paths) } => {
                out.put_len(paths.len());
                paths.iter().for_each(|p| out.put_string(p));
            }
            Self::Create { path, data, acl, mode, parent_cversion } => {
                out.put_string(path);
                out.put_buffer(*data);
                Acl::encode_list(acl, out);
                match mode {
                    CreateMode::Plain { ephemeral } => {
                        debug_assert!(kind == op::CREATE || kind == op::CREATE2);
                        out.put_bool(*ephemeral);
                        out.put_i32(*parent_cversion);
                    }
                    CreateMode::Container => out.put_i32(*parent_cversion),
                    CreateMode::Ttl(ttl) => {
                        out.put_i32(*parent_cversion);
                        out.put_i64(*ttl);
                    }
                }
            }
            Self::Delete { path } => out.put_string(path),
            Self::SetData { path, data, version } => {
                out.put_string(path);
                out.put_buffer(*data);
                out.put_i32(*version);
            }
            Self::SetAcl { path, acl, version } => {
                out.put_string(path);
                Acl::encode_list(acl, out);
                out.put_i32(*version);
            }
            Self::Check { path, version } => {
                out.put_string(path);
                out.put_i32(*version);
            }
            Self::Multi(parts) => {
                out.put_len(parts.len());
                for part in parts {
                    out.put_i32(part.kind);
                    out.put_buffer(Some(part.body));
                }
            }
            Self::Error(code) => out.put_i32(code.code()),
        }
    }
}

/// The tree's digest after a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnDigest {
    /// 2 in all versions since 3.6.
    pub version: i32,
    /// 64-bit sum over znodes (storage-format section 7).
    pub digest: u64,
}

impl TxnDigest {
    /// The version that we compute.
    pub const VERSION: i32 = 2;
    /// That of the tree before the first transaction, as recorded; snapshots of it leave it out.
    pub const INITIAL: u64 = 0x51c6_d660;
}

/// Reads a record payload: header, body, and the digest when bytes remain for it.
pub fn decode_record(payload: &[u8]) -> Result<(TxnHeader, Txn<'_>, Option<TxnDigest>), DecodeError> {
    let mut r = Reader::new(payload);
    let header = TxnHeader::decode(&mut r)?;
    let txn = Txn::decode(header.kind, &mut r)?;
    let digest =
        if r.remaining() >= 12 { Some(TxnDigest { version: r.i32()?, digest: r.i64()? as u64 }) } else { None };
    Ok((header, txn, digest))
}

/// Appends a record payload.
pub fn encode_record(header: &TxnHeader, txn: &Txn<'_>, digest: Option<u64>, out: &mut Vec<u8>) {
    header.encode(out);
    txn.encode(header.kind, out);
    if let Some(digest) = digest {
        out.put_i32(TxnDigest::VERSION);
        out.put_i64(digest as i64);
    }
}
