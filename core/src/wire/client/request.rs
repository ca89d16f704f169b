//! Bodies of requests, by opcode (client-protocol section 3).

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::jute::{JStr, Put, Reader, frame};
use crate::wire::client::RequestHeader;
use crate::wire::records::{Acl, op};

/// The create family. Opcode and flags are interpreted together (section 3), so both are kept as they came.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Create<'a> {
    /// 1, 15, 19 or 21.
    pub op: i32,
    pub path: Option<JStr<'a>>,
    pub data: Option<&'a [u8]>,
    pub acl: Option<Vec<Acl<'a>>>,
    pub flags: i32,
    /// ms; -1 where the opcode has none.
    pub ttl: i64,
}

impl<'a> Create<'a> {
    /// Reads the body of this opcode.
    pub fn decode(op: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (path, data, acl, flags) = (r.string()?, r.buffer()?, Acl::decode_list(r)?, r.i32()?);
        let ttl = if op == op::CREATE_TTL { r.i64()? } else { -1 };
        Ok(Self { op, path, data, acl, flags, ttl })
    }
    fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.put_buffer(self.data);
        match &self.acl {
            Some(acl) => Acl::encode_list(acl, out),
            None => out.put_i32(-1),
        }
        out.put_i32(self.flags);
        if self.op == op::CREATE_TTL {
            out.put_i64(self.ttl);
        }
    }
}

/// One request, borrowed from its frame. Paths are `None` where they are null on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Request<'a> {
    Create(Create<'a>),
    Delete {
        path: Option<JStr<'a>>,
        version: i32,
    },
    /// Internal; a client that sends it is refused (8.4).
    DeleteContainer {
        path: Option<JStr<'a>>,
    },
    Exists {
        path: Option<JStr<'a>>,
        watch: bool,
    },
    GetData {
        path: Option<JStr<'a>>,
        watch: bool,
    },
    SetData {
        path: Option<JStr<'a>>,
        data: Option<&'a [u8]>,
        version: i32,
    },
    GetAcl {
        path: Option<JStr<'a>>,
    },
    /// `version` is the ACL's.
    SetAcl {
        path: Option<JStr<'a>>,
        acl: Option<Vec<Acl<'a>>>,
        version: i32,
    },
    GetChildren {
        path: Option<JStr<'a>>,
        watch: bool,
    },
    GetChildren2 {
        path: Option<JStr<'a>>,
        watch: bool,
    },
    Sync {
        path: Option<JStr<'a>>,
    },
    Ping,
    /// Only inside multi.
    Check {
        path: Option<JStr<'a>>,
        version: i32,
    },
    Multi(Vec<Self>),
    MultiRead(Vec<Self>),
    Reconfig {
        joining: Option<JStr<'a>>,
        leaving: Option<JStr<'a>>,
        new_members: Option<JStr<'a>>,
        config_id: i64,
    },
    CheckWatches {
        path: Option<JStr<'a>>,
        kind: i32,
    },
    RemoveWatches {
        path: Option<JStr<'a>>,
        kind: i32,
    },
    Auth {
        scheme: Option<JStr<'a>>,
        auth: Option<&'a [u8]>,
    },
    SetWatches {
        seen: i64,
        data: Vec<JStr<'a>>,
        exist: Vec<JStr<'a>>,
        child: Vec<JStr<'a>>,
    },
    SetWatches2 {
        seen: i64,
        data: Vec<JStr<'a>>,
        exist: Vec<JStr<'a>>,
        child: Vec<JStr<'a>>,
        persistent: Vec<JStr<'a>>,
        recursive: Vec<JStr<'a>>,
    },
    AddWatch {
        path: Option<JStr<'a>>,
        mode: i32,
    },
    Sasl {
        token: Option<&'a [u8]>,
    },
    GetEphemerals {
        prefix: Option<JStr<'a>>,
    },
    GetAllChildrenNumber {
        path: Option<JStr<'a>>,
    },
    WhoAmI,
    /// Internal; a client that sends it is refused (8.4). ms.
    CreateSession {
        timeout: i32,
    },
    CloseSession,
}

/// Why bytes are no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undecodable {
    /// No such opcode: -6, then the connection is closed.
    Opcode,
    /// The body ends early or holds an impossible length: -5.
    Body(DecodeError),
}

impl From<DecodeError> for Undecodable {
    fn from(e: DecodeError) -> Self {
        Self::Body(e)
    }
}

/// The header of one op of a multi, in requests and in results. The done byte alone ends a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct MultiHeader {
    pub op: i32,
    pub done: bool,
    pub err: i32,
}

impl MultiHeader {
    /// The end of a list.
    pub const END: Self = Self { op: -1, done: true, err: -1 };
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { op: r.i32()?, done: r.bool()?, err: r.i32()? })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.op);
        out.put_bool(self.done);
        out.put_i32(self.err);
    }
}

impl<'a> Request<'a> {
    /// Its opcode.
    #[must_use]
    pub const fn op(&self) -> i32 {
        match self {
            Self::Create(c) => c.op,
            Self::Delete { .. } => op::DELETE,
            Self::DeleteContainer { .. } => op::DELETE_CONTAINER,
            Self::Exists { .. } => op::EXISTS,
            Self::GetData { .. } => op::GET_DATA,
            Self::SetData { .. } => op::SET_DATA,
            Self::GetAcl { .. } => op::GET_ACL,
            Self::SetAcl { .. } => op::SET_ACL,
            Self::GetChildren { .. } => op::GET_CHILDREN,
            Self::GetChildren2 { .. } => op::GET_CHILDREN2,
            Self::Sync { .. } => op::SYNC,
            Self::Ping => op::PING,
            Self::Check { .. } => op::CHECK,
            Self::Multi(_) => op::MULTI,
            Self::MultiRead(_) => op::MULTI_READ,
            Self::Reconfig { .. } => op::RECONFIG,
            Self::CheckWatches { .. } => op::CHECK_WATCHES,
            Self::RemoveWatches { .. } => op::REMOVE_WATCHES,
            Self::Auth { .. } => op::AUTH,
            Self::SetWatches { .. } => op::SET_WATCHES,
            Self::SetWatches2 { .. } => op::SET_WATCHES2,
            Self::AddWatch { .. } => op::ADD_WATCH,
            Self::Sasl { .. } => op::SASL,
            Self::GetEphemerals { .. } => op::GET_EPHEMERALS,
            Self::GetAllChildrenNumber { .. } => op::GET_ALL_CHILDREN_NUMBER,
            Self::WhoAmI => op::WHO_AM_I,
            Self::CreateSession { .. } => op::CREATE_SESSION,
            Self::CloseSession => op::CLOSE_SESSION,
        }
    }

    /// Reads the body of this opcode; bytes behind it are ignored.
    pub fn decode(op: i32, body: &'a [u8]) -> Result<Self, Undecodable> {
        let mut r = Reader::new(body);
        Ok(match op {
            op::MULTI => Self::Multi(decode_parts(&mut r)?),
            op::MULTI_READ => Self::MultiRead(decode_parts(&mut r)?),
            _ => Self::decode_single(op, &mut r)?,
        })
    }

    /// Everything but multi and multiRead.
    fn decode_single(op: i32, r: &mut Reader<'a>) -> Result<Self, Undecodable> {
        Ok(match op {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => Self::Create(Create::decode(op, r)?),
            op::DELETE => Self::Delete { path: r.string()?, version: r.i32()? },
            op::DELETE_CONTAINER => Self::DeleteContainer { path: r.string()? },
            op::EXISTS => Self::Exists { path: r.string()?, watch: r.bool()? },
            op::GET_DATA => Self::GetData { path: r.string()?, watch: r.bool()? },
            op::SET_DATA => Self::SetData { path: r.string()?, data: r.buffer()?, version: r.i32()? },
            op::GET_ACL => Self::GetAcl { path: r.string()? },
            op::SET_ACL => Self::SetAcl { path: r.string()?, acl: Acl::decode_list(r)?, version: r.i32()? },
            op::GET_CHILDREN => Self::GetChildren { path: r.string()?, watch: r.bool()? },
            op::GET_CHILDREN2 => Self::GetChildren2 { path: r.string()?, watch: r.bool()? },
            op::SYNC => Self::Sync { path: r.string()? },
            op::PING => Self::Ping,
            op::CHECK => Self::Check { path: r.string()?, version: r.i32()? },
            op::RECONFIG => Self::Reconfig {
                joining: r.string()?,
                leaving: r.string()?,
                new_members: r.string()?,
                config_id: r.i64()?,
            },
            op::CHECK_WATCHES => Self::CheckWatches { path: r.string()?, kind: r.i32()? },
            op::REMOVE_WATCHES => Self::RemoveWatches { path: r.string()?, kind: r.i32()? },
            op::AUTH => {
                r.i32()?;
                Self::Auth { scheme: r.string()?, auth: r.buffer()? }
            }
            op::SET_WATCHES => Self::SetWatches { seen: r.i64()?, data: paths(r)?, exist: paths(r)?, child: paths(r)? },
            op::SET_WATCHES2 => Self::SetWatches2 {
                seen: r.i64()?,
                data: paths(r)?,
                exist: paths(r)?,
                child: paths(r)?,
                persistent: paths(r)?,
                recursive: paths(r)?,
            },
            op::ADD_WATCH => Self::AddWatch { path: r.string()?, mode: r.i32()? },
            op::SASL => Self::Sasl { token: r.buffer()? },
            op::GET_EPHEMERALS => Self::GetEphemerals { prefix: r.string()? },
            op::GET_ALL_CHILDREN_NUMBER => Self::GetAllChildrenNumber { path: r.string()? },
            op::WHO_AM_I => Self::WhoAmI,
            op::CREATE_SESSION => Self::CreateSession { timeout: r.i32()? },
            op::CLOSE_SESSION => Self::CloseSession,
            _ => return Err(Undecodable::Opcode),
        })
    }

    /// Appends the frame.
    pub fn encode(&self, xid: i32, out: &mut Vec<u8>) {
        frame(out, |out| {
            RequestHeader { xid, op: self.op() }.encode(out);
            self.encode_body(out);
        });
    }

    /// Appends the body: what a REQUEST packet carries behind its own header.
    pub fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(c) => c.encode(out),
            Self::Delete { path, version } | Self::Check { path, version } => {
                put_path(out, path);
                out.put_i32(*version);
            }
            Self::DeleteContainer { path }
            | Self::GetAcl { path }
            | Self::Sync { path }
            | Self::GetAllChildrenNumber { path }
            | Self::GetEphemerals { prefix: path } => put_path(out, path),
            Self::Exists { path, watch }
            | Self::GetData { path, watch }
            | Self::GetChildren { path, watch }
            | Self::GetChildren2 { path, watch } => {
                put_path(out, path);
                out.put_bool(*watch);
            }
            Self::SetData { path, data, version } => {
                put_path(out, path);
                out.put_buffer(*data);
                out.put_i32(*version);
            }
            Self::SetAcl { path, acl, version } => {
                put_path(out, path);
                match acl {
                    Some(acl) => Acl::encode_list(acl, out),
                    None => out.put_i32(-1),
                }
                out.put_i32(*version);
            }
            Self::Multi(parts) | Self::MultiRead(parts) => {
                for part in parts {
                    MultiHeader { op: part.op(), done: false, err: -1 }.encode(out);
                    part.encode_body(out);
                }
                MultiHeader::END.encode(out);
            }
            Self::Reconfig { joining, leaving, new_members, config_id } => {
                put_path(out, joining);
                put_path(out, leaving);
                put_path(out, new_members);
                out.put_i64(*config_id);
            }
            Self::CheckWatches { path, kind } | Self::RemoveWatches { path, kind } => {
                put_path(out, path);
                out.put_i32(*kind);
            }
            Self::Auth { scheme, auth } => {
                out.put_i32(0);
                put_path(out, scheme);
                out.put_buffer(*auth);
            }
            Self::SetWatches { seen, data, exist, child } => {
                out.put_i64(*seen);
                [data, exist, child].into_iter().for_each(|list| put_paths(out, list));
            }
            Self::SetWatches2 { seen, data, exist, child, persistent, recursive } => {
                out.put_i64(*seen);
                [data, exist, child, persistent, recursive].into_iter().for_each(|list| put_paths(out, list));
            }
            Self::AddWatch { path, mode } => {
                put_path(out, path);
                out.put_i32(*mode);
            }
            Self::Sasl { token } => out.put_buffer(*token),
            Self::CreateSession { timeout } => out.put_i32(*timeout),
            Self::Ping | Self::WhoAmI | Self::CloseSession => {}
        }
    }
}

fn put_path(out: &mut Vec<u8>, path: &Option<JStr<'_>>) {
    out.put_buffer(path.as_deref().map(str::as_bytes));
}

fn put_paths(out: &mut Vec<u8>, list: &[JStr<'_>]) {
    out.put_len(list.len());
    list.iter().for_each(|p| out.put_string(p));
}

/// A vector of paths; null is refused (7.4).
fn paths<'a>(r: &mut Reader<'a>) -> Result<Vec<JStr<'a>>, DecodeError> {
    r.strings()?.ok_or(r.error("null where a list of paths must be"))
}

/// The ops of a multi or multiRead, whichever they are: what may be there is the caller's to say.
fn decode_parts<'a>(r: &mut Reader<'a>) -> Result<Vec<Request<'a>>, DecodeError> {
    // A guess that no sender can make large.
    let mut parts = Vec::with_capacity((r.remaining() / 64).min(256));
    loop {
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(parts);
        }
        let part = match header.op {
            op::CREATE
            | op::CREATE2
            | op::CREATE_CONTAINER
            | op::CREATE_TTL
            | op::DELETE
            | op::SET_DATA
            | op::CHECK
            | op::GET_DATA
            | op::GET_CHILDREN => Request::decode_single(header.op, r),
            _ => Err(Undecodable::Opcode),
        };
        parts.push(part.map_err(|e| match e {
            Undecodable::Body(e) => e,
            Undecodable::Opcode => r.error("not an op of a multi"),
        })?);
    }
}

/// Whether the body of a single write decodes, without building anything from it (8.3: what does not is never ordered).
///
/// Multi is not looked at: it consumes a zxid even when it is malformed.
pub fn check_body(op: i32, body: &[u8]) -> Result<(), DecodeError> {
    let mut r = Reader::new(body);
    match op {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            r.buffer()?;
            r.buffer()?;
            skip_acl(&mut r)?;
            r.i32()?;
            if op == op::CREATE_TTL {
                r.i64()?;
            }
        }
        op::DELETE => {
            r.buffer()?;
            r.i32()?;
        }
        op::SET_DATA => {
            r.buffer()?;
            r.buffer()?;
            r.i32()?;
        }
        op::SET_ACL => {
            r.buffer()?;
            skip_acl(&mut r)?;
            r.i32()?;
        }
        op::SYNC => {
            r.buffer()?;
        }
        op::RECONFIG => {
            for _ in 0..3 {
                r.buffer()?;
            }
            r.i64()?;
        }
        _ => {}
    }
    Ok(())
}

fn skip_acl(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..r.count()?.unwrap_or(0) {
        r.i32()?;
        r.buffer()?;
        r.buffer()?;
    }
    Ok(())
}
