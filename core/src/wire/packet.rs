//! Quorum packets: what leader and learners say to each other (quorum-protocol section 3).

use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::ids::{Epoch, SessionId, Sid, Zxid};
use crate::jute::{Put, Reader};
use crate::message::{Data, Message};
use crate::wire::records::Id;

/// Packet types.
#[allow(missing_docs)]
pub mod kind {
    pub const REQUEST: i32 = 1;
    pub const PROPOSAL: i32 = 2;
    pub const ACK: i32 = 3;
    pub const COMMIT: i32 = 4;
    pub const PING: i32 = 5;
    pub const REVALIDATE: i32 = 6;
    pub const SYNC: i32 = 7;
    pub const INFORM: i32 = 8;
    pub const COMMIT_AND_ACTIVATE: i32 = 9;
    pub const NEWLEADER: i32 = 10;
    pub const FOLLOWERINFO: i32 = 11;
    pub const UPTODATE: i32 = 12;
    pub const DIFF: i32 = 13;
    pub const TRUNC: i32 = 14;
    pub const SNAP: i32 = 15;
    pub const OBSERVERINFO: i32 = 16;
    pub const LEADERINFO: i32 = 17;
    pub const ACKEPOCH: i32 = 18;
    pub const INFORM_AND_ACTIVATE: i32 = 19;
}

/// The name of a packet type, for reasons and traces.
#[must_use]
pub fn kind_name(k: i32) -> &'static str {
    const NAMES: [&str; 19] = [
        "REQUEST",
        "PROPOSAL",
        "ACK",
        "COMMIT",
        "PING",
        "REVALIDATE",
        "SYNC",
        "INFORM",
        "COMMITANDACTIVATE",
        "NEWLEADER",
        "FOLLOWERINFO",
        "UPTODATE",
        "DIFF",
        "TRUNC",
        "SNAP",
        "OBSERVERINFO",
        "LEADERINFO",
        "ACKEPOCH",
        "INFORMANDACTIVATE",
    ];
    usize::try_from(k - 1).ok().and_then(|i| NAMES.get(i)).copied().unwrap_or("UNKNOWN")
}

/// One packet, borrowed from the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// One of [`kind`].
    pub kind: i32,
    /// Meaning by type.
    pub zxid: Zxid,
    /// Meaning by type; `None` is null.
    pub data: Option<&'a [u8]>,
    /// Identities of the session in a REQUEST; `None` is null.
    pub auth: Option<Vec<Id<'a>>>,
    /// The same data where it is shared already.
    pub shared: Option<&'a Bytes>,
}

/// Bytes before `data`.
const HEAD: usize = 16;
/// Bytes behind it when there are no identities.
const TAIL: usize = 4;
/// Bounds the identities of one REQUEST.
const AUTH_MAX: usize = 1 << 20;

impl<'a> Packet<'a> {
    /// A packet without identities.
    #[must_use]
    pub const fn new(kind: i32, zxid: Zxid, data: Option<&'a [u8]>) -> Self {
        Self { kind, zxid, data, auth: None, shared: None }
    }

    /// Appends what comes before the bytes of its data.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        out.put_i32(self.kind);
        out.put_i64(self.zxid.0);
        match self.data {
            Some(data) => out.put_len(data.len()),
            None => out.put_i32(-1),
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        out.extend_from_slice(self.data.unwrap_or_default());
        self.encode_tail(out);
    }

    /// Appends what comes behind the bytes of its data.
    pub fn encode_tail(&self, out: &mut Vec<u8>) {
        match &self.auth {
            None => out.put_i32(-1),
            Some(ids) => {
                out.put_len(ids.len());
                ids.iter().for_each(|id| id.encode(out));
            }
        }
    }

    /// As [`Packet::decode`], where what is at the start of `buf` may be known, with its length.
    pub fn read(
        buf: &'a [u8],
        known: Option<(&'a Message, usize)>,
        data_max: usize,
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        if let Some((Message::Packet { kind, zxid, data }, len)) = known {
            let (data, shared) = match data {
                Data::None => (None, None),
                Data::Inside => (buf.get(HEAD..len.saturating_sub(TAIL)), None),
                Data::Shared(bytes) => (Some(&bytes[..]), Some(bytes)),
            };
            if data.is_none_or(|d| d.len() <= data_max) {
                return Ok(Some((Self { kind: *kind, zxid: *zxid, data, auth: None, shared }, len)));
            }
        }
        Self::decode(buf, data_max)
    }

    /// Reads the packet at the start of `buf`; `Ok(None)` until all of it is there. `data_max` bounds its data, in bytes.
    ///
    /// Returns the packet and its length. Packets have no outer length: the caller goes on right behind.
    pub fn decode(buf: &'a [u8], data_max: usize) -> Result<Option<(Self, usize)>, DecodeError> {
        if buf.len() < HEAD {
            return Ok(None);
        }
        let mut r = Reader::new(buf);
        let (kind, zxid) = (r.i32()?, Zxid(r.i64()?));
        let len = r.clone().i32()?;
        if len < -1 {
            return Err(r.error("negative data length in a quorum packet"));
        }
        let len = usize::try_from(len).unwrap_or(0);
        if len > data_max {
            return Err(r.error("quorum packet longer than jute.maxbuffer allows"));
        }
        if buf.len() < HEAD + len + 4 {
            return Ok(None);
        }
        let data = r.buffer()?;
        let start = r.position();
        let auth = match r.count()? {
            None => None,
            Some(n) => {
                let mut ids = Vec::new();
                for _ in 0..n {
                    if r.position() - start > AUTH_MAX {
                        return Err(r.error("too many identities in a quorum packet"));
                    }
                    match Id::decode(&mut r) {
                        Ok(id) => ids.push(id),
                        Err(e) if e.what == "record ends early" && buf.len() - start <= AUTH_MAX => return Ok(None),
                        Err(e) => return Err(e),
                    }
                }
                Some(ids)
            }
        };
        Ok(Some((Self { kind, zxid, data, auth, shared: None }, r.position())))
    }
}

/// What a learner says of itself in FOLLOWERINFO and OBSERVERINFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerInfo {
    /// Who.
    pub sid: Sid,
    /// 0x10000; less is older than ZAB 1.0.
    pub protocol: i32,
    /// Version of its configuration.
    pub config_version: i64,
}

impl LearnerInfo {
    /// The protocol version that we speak.
    pub const PROTOCOL: i32 = 0x10000;
    /// Reads one; 8 and 12 byte forms are those of old learners.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        let sid = Sid(r.i64()?);
        let protocol = if r.remaining() >= 4 { r.i32()? } else { 0 };
        let config_version = if r.remaining() >= 8 { r.i64()? } else { 0 };
        Ok(Self { sid, protocol, config_version })
    }
    /// Its 20 bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.put_i64(self.sid.0);
        out.put_i32(self.protocol);
        out.put_i64(self.config_version);
        out
    }
}

/// The data of a REQUEST: whose, which, what, and the client's own record behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ForwardedRequest<'a> {
    pub session: SessionId,
    pub cxid: i32,
    pub op: i32,
    pub body: &'a [u8],
}

impl<'a> ForwardedRequest<'a> {
    /// Reads one.
    pub fn decode(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(Self { session: SessionId(r.i64()?), cxid: r.i32()?, op: r.i32()?, body: r.rest() })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.session.0);
        out.put_i32(self.cxid);
        out.put_i32(self.op);
        out.extend_from_slice(self.body);
    }
}

/// The data of an ACKEPOCH: the learner's current epoch, -1 when it must not be counted.
pub fn decode_ack_epoch(data: Option<&[u8]>) -> Result<Epoch, DecodeError> {
    Reader::new(data.unwrap_or_default()).i32().map(Epoch::from)
}

/// The touches in a PING reply: sessions with their timeouts in ms.
pub fn decode_touches(data: Option<&[u8]>) -> Result<Vec<(SessionId, i32)>, DecodeError> {
    let mut r = Reader::new(data.unwrap_or_default());
    let mut out = Vec::with_capacity(r.remaining() / 12);
    while r.remaining() > 0 {
        out.push((SessionId(r.i64()?), r.i32()?));
    }
    Ok(out)
}
