//! Bodies of replies as a client reads them, by the opcode of the request (client-protocol sections 3 and 6).

use alloc::vec::Vec;

use crate::error::{DecodeError, ErrorCode};
use crate::jute::{JStr, Reader};
use crate::wire::client::MultiHeader;
use crate::wire::records::{Acl, Id, Stat, op};

/// The body of a reply without error.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Response<'a> {
    /// No body.
    Empty,
    /// create; the Stat from create2, createContainer and createTTL.
    Created {
        path: JStr<'a>,
        stat: Option<Stat>,
    },
    /// exists, setData, setACL.
    Stat(Stat),
    /// getData, reconfig.
    Data {
        data: Option<&'a [u8]>,
        stat: Stat,
    },
    Acl {
        acl: Vec<Acl<'a>>,
        stat: Stat,
    },
    /// getChildren, getChildren2 (with Stat), getEphemerals.
    Names {
        names: Vec<JStr<'a>>,
        stat: Option<Stat>,
    },
    /// sync.
    Path(Option<JStr<'a>>),
    /// multi, multiRead.
    Multi(Vec<MultiResult<'a>>),
    /// sasl.
    Token(Option<&'a [u8]>),
    /// getAllChildrenNumber; addWatch (always 0).
    Number(i32),
    /// whoAmI: scheme and user.
    Ids(Vec<Id<'a>>),
}

/// One op's result in a multi or multiRead.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum MultiResult<'a> {
    Created {
        path: JStr<'a>,
        stat: Option<Stat>,
    },
    Deleted,
    SetData(Stat),
    Checked,
    Data {
        data: Option<&'a [u8]>,
        stat: Stat,
    },
    Children(Vec<JStr<'a>>),
    /// 0 for ops in front of the one that failed.
    Error(ErrorCode),
}

impl<'a> Response<'a> {
    /// Reads the reply to a request of this opcode, behind its header.
    pub fn decode(op: i32, body: &'a [u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        Ok(match op {
            op::CREATE => Self::Created { path: path(r)?, stat: None },
            op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                Self::Created { path: path(r)?, stat: Some(Stat::decode(r)?) }
            }
            op::EXISTS | op::SET_DATA | op::SET_ACL => Self::Stat(Stat::decode(r)?),
            op::GET_DATA | op::RECONFIG => Self::Data { data: r.buffer()?, stat: Stat::decode(r)? },
            op::GET_ACL => Self::Acl { acl: Acl::decode_list(r)?.unwrap_or_default(), stat: Stat::decode(r)? },
            op::GET_CHILDREN | op::GET_EPHEMERALS => {
                Self::Names { names: r.strings()?.unwrap_or_default(), stat: None }
            }
            op::GET_CHILDREN2 => Self::Names { names: r.strings()?.unwrap_or_default(), stat: Some(Stat::decode(r)?) },
            op::SYNC => Self::Path(r.string()?),
            op::MULTI | op::MULTI_READ => Self::Multi(results(r)?),
            op::SASL => Self::Token(r.buffer()?),
            op::GET_ALL_CHILDREN_NUMBER | op::ADD_WATCH => Self::Number(r.i32()?),
            op::WHO_AM_I => {
                let n = r.count()?.unwrap_or(0);
                let mut ids = Vec::with_capacity(n.min(r.remaining() / 8));
                for _ in 0..n {
                    ids.push(Id::decode(r)?);
                }
                Self::Ids(ids)
            }
            _ => Self::Empty,
        })
    }
}

fn path<'a>(r: &mut Reader<'a>) -> Result<JStr<'a>, DecodeError> {
    Ok(r.string()?.unwrap_or_default())
}

fn results<'a>(r: &mut Reader<'a>) -> Result<Vec<MultiResult<'a>>, DecodeError> {
    let mut list = Vec::new();
    loop {
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(list);
        }
        list.push(match header.op {
            op::CREATE => MultiResult::Created { path: path(r)?, stat: None },
            op::CREATE2 => MultiResult::Created { path: path(r)?, stat: Some(Stat::decode(r)?) },
            op::DELETE => MultiResult::Deleted,
            op::SET_DATA => MultiResult::SetData(Stat::decode(r)?),
            op::CHECK => MultiResult::Checked,
            op::GET_DATA => MultiResult::Data { data: r.buffer()?, stat: Stat::decode(r)? },
            op::GET_CHILDREN => MultiResult::Children(r.strings()?.unwrap_or_default()),
            op::ERROR => MultiResult::Error(ErrorCode::from_code(r.i32()?)),
            _ => return Err(r.error("unknown type of result in a multi")),
        });
    }
}
