//! Records shared by clients, transactions and snapshots: Id, ACL, Stat, opcodes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::config::TtlForms;
use crate::error::DecodeError;
use crate::ids::{Millis, SessionId, Zxid};
use crate::jute::{JStr, Put, Reader};

/// Opcodes of client requests and transaction types.
#[allow(missing_docs)]
pub mod op {
    pub const ERROR: i32 = -1;
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const DELETE_CONTAINER: i32 = 20;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const GET_EPHEMERALS: i32 = 103;
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CREATE_SESSION: i32 = -10;
    pub const CLOSE_SESSION: i32 = -11;
}

/// Permission bits of an ACL.
#[allow(missing_docs)]
pub mod perm {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;
}

/// An identity: what an ACL names and what a connection has proved.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Id<'a> {
    /// Scheme; `None` as null on the wire.
    pub scheme: Option<JStr<'a>>,
    /// The scheme's own text; `None` as null on the wire.
    pub id: Option<JStr<'a>>,
}

impl<'a> Id<'a> {
    /// From two texts.
    #[must_use]
    pub const fn new(scheme: &'a str, id: &'a str) -> Self {
        Self { scheme: Some(Cow::Borrowed(scheme)), id: Some(Cow::Borrowed(id)) }
    }
    /// Scheme, empty for null.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.scheme.as_deref().unwrap_or("")
    }
    /// Id text, empty for null.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("")
    }
    /// Reads one.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { scheme: r.string()?, id: r.string()? })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_buffer(self.scheme.as_deref().map(str::as_bytes));
        out.put_buffer(self.id.as_deref().map(str::as_bytes));
    }
    /// Without borrows.
    #[must_use]
    pub fn into_owned(self) -> Id<'static> {
        Id { scheme: self.scheme.map(|s| Cow::Owned(s.into_owned())), id: self.id.map(|s| Cow::Owned(s.into_owned())) }
    }
}

/// One entry of an access control list.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Acl<'a> {
    /// Bits of [`perm`], stored as given.
    pub perms: i32,
    /// For whom.
    pub id: Id<'a>,
}

impl<'a> Acl<'a> {
    /// world:anyone with these permissions.
    #[must_use]
    pub const fn world(perms: i32) -> Self {
        Self { perms, id: Id::new("world", "anyone") }
    }
    /// Reads a vector of entries; `None` for null.
    pub fn decode_list(r: &mut Reader<'a>) -> Result<Option<Vec<Self>>, DecodeError> {
        let Some(n) = r.count()? else { return Ok(None) };
        let mut list = Vec::with_capacity(n.min(r.remaining() / 12));
        for _ in 0..n {
            list.push(Self { perms: r.i32()?, id: Id::decode(r)? });
        }
        Ok(Some(list))
    }
    /// Appends a vector of entries.
    pub fn encode_list(list: &[Acl<'_>], out: &mut Vec<u8>) {
        out.put_len(list.len());
        for acl in list {
            out.put_i32(acl.perms);
            acl.id.encode(out);
        }
    }
    /// Without borrows.
    #[must_use]
    pub fn into_owned(self) -> Acl<'static> {
        Acl { perms: self.perms, id: self.id.into_owned() }
    }
}

/// What a snapshot stores of a znode's stat: 60 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct StatPersisted {
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub ctime: Millis,
    pub mtime: Millis,
    pub version: i32,
    /// Number of child creates ever (the *internal* counter), not the wire's cversion.
    pub cversion: i32,
    pub aversion: i32,
    /// Session id, 0, or the container and TTL marks.
    pub ephemeral_owner: i64,
    pub pzxid: Zxid,
}

impl StatPersisted {
    /// Encoded size.
    pub const LEN: usize = 60;
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: Zxid(r.i64()?),
            mzxid: Zxid(r.i64()?),
            ctime: r.i64()?,
            mtime: r.i64()?,
            version: r.i32()?,
            cversion: r.i32()?,
            aversion: r.i32()?,
            ephemeral_owner: r.i64()?,
            pzxid: Zxid(r.i64()?),
        })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.czxid.0);
        out.put_i64(self.mzxid.0);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        out.put_i64(self.ephemeral_owner);
        out.put_i64(self.pzxid.0);
    }
}

/// The stored owner of a container.
pub const CONTAINER_OWNER: i64 = i64::MIN;

/// What a stored `ephemeralOwner` means (client-protocol 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A persistent znode.
    None,
    /// An ephemeral of this session.
    Session(SessionId),
    /// A container.
    Container,
    /// A TTL znode with this time to live.
    Ttl(Millis),
}

impl Owner {
    /// Reads the stored value.
    #[must_use]
    pub fn of(stored: i64, forms: TtlForms) -> Self {
        if stored == 0 {
            Self::None
        } else if stored == CONTAINER_OWNER {
            Self::Container
        } else if forms != TtlForms::None && (stored as u64 >> 56) == 0xff {
            Self::Ttl(stored & 0xff_ffff_ffff)
        } else if forms == TtlForms::With353 && (stored as u64 >> 60) == 0x8 {
            Self::Ttl(stored & 0x0fff_ffff_ffff_ffff)
        } else {
            Self::Session(SessionId(stored))
        }
    }
    /// The stored value.
    #[must_use]
    pub fn stored(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Session(s) => s.0,
            Self::Container => CONTAINER_OWNER,
            Self::Ttl(ttl) => (0xff_u64 << 56) as i64 | ttl,
        }
    }
    /// The value clients see: the session id of a real ephemeral, otherwise 0.
    #[must_use]
    pub fn on_wire(self) -> i64 {
        if let Self::Session(s) = self { s.0 } else { 0 }
    }
}

/// The stat that clients see: 68 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Stat {
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub ctime: Millis,
    pub mtime: Millis,
    pub version: i32,
    /// 2 * internal counter - children.
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: Zxid,
}

impl Stat {
    /// Encoded size.
    pub const LEN: usize = 68;
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.czxid.0);
        out.put_i64(self.mzxid.0);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        out.put_i64(self.ephemeral_owner);
        out.put_i32(self.data_length);
        out.put_i32(self.num_children);
        out.put_i64(self.pzxid.0);
    }
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: Zxid(r.i64()?),
            mzxid: Zxid(r.i64()?),
            ctime: r.i64()?,
            mtime: r.i64()?,
            version: r.i32()?,
            cversion: r.i32()?,
            aversion: r.i32()?,
            ephemeral_owner: r.i64()?,
            data_length: r.i32()?,
            num_children: r.i32()?,
            pzxid: Zxid(r.i64()?),
        })
    }
}
