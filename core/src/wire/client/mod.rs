//! The client port: frames, handshake, headers, events (client-protocol sections 1 to 3).

mod change;
mod reply;
mod request;
pub mod words;

use alloc::vec::Vec;

use crate::error::{DecodeError, ErrorCode};
use crate::ids::{SessionId, Zxid};
use crate::jute::{JStr, Put, Reader, frame};

pub use change::{Change, SharedAcl};
pub use reply::{MultiResult, Response};
pub use request::{Create, MultiHeader, Request, Undecodable, check_body};

/// Xids with a meaning (1.3).
#[allow(missing_docs)]
pub mod xid {
    pub const EVENT: i32 = -1;
    pub const PING: i32 = -2;
    pub const AUTH: i32 = -4;
    pub const SET_WATCHES: i32 = -8;
}

/// The first frame of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest<'a> {
    /// Ignored by servers; 0.
    pub protocol: i32,
    /// Newest zxid that the client has seen.
    pub last_zxid_seen: Zxid,
    /// Wanted session timeout, ms.
    pub timeout: i32,
    /// 0 for a new session.
    pub session: SessionId,
    /// 16 bytes; anything on a new session.
    pub password: Option<&'a [u8]>,
    /// Whether a read-only server will do; absent in clients before 3.4.
    pub read_only: Option<bool>,
}

impl<'a> ConnectRequest<'a> {
    /// Reads one; bytes behind it are ignored.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        Ok(Self {
            protocol: r.i32()?,
            last_zxid_seen: Zxid(r.i64()?),
            timeout: r.i32()?,
            session: SessionId(r.i64()?),
            password: r.buffer()?,
            read_only: if r.remaining() > 0 { Some(r.bool()?) } else { None },
        })
    }
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, |out| {
            out.put_i32(self.protocol);
            out.put_i64(self.last_zxid_seen.0);
            out.put_i32(self.timeout);
            out.put_i64(self.session.0);
            out.put_buffer(self.password);
            if let Some(read_only) = self.read_only {
                out.put_bool(read_only);
            }
        });
    }
}

/// The answer to the first frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// Negotiated timeout in ms; 0: the session is gone.
    pub timeout: i32,
    /// 0: the session is gone.
    pub session: SessionId,
    /// Zeros: the session is gone.
    pub password: [u8; 16],
    /// Whether this server is read-only; there iff the request had the byte.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// Says that the session is expired, in every way that clients look for (section 16, quirk 5).
    #[must_use]
    pub const fn expired(read_only: Option<bool>) -> Self {
        Self { timeout: 0, session: SessionId::NONE, password: [0; 16], read_only }
    }
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        r.i32()?;
        let (timeout, session) = (r.i32()?, SessionId(r.i64()?));
        let Some(Ok(password)) = r.buffer()?.map(<[u8; 16]>::try_from) else {
            return Err(r.error("a password that is not 16 bytes long"));
        };
        let read_only = if r.remaining() > 0 { Some(r.bool()?) } else { None };
        Ok(Self { timeout, session, password, read_only })
    }
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, |out| {
            out.put_i32(0);
            out.put_i32(self.timeout);
            out.put_i64(self.session.0);
            out.put_buffer(Some(&self.password));
            if let Some(read_only) = self.read_only {
                out.put_bool(read_only);
            }
        });
    }
}

/// In front of every request but the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct RequestHeader {
    pub xid: i32,
    pub op: i32,
}

impl RequestHeader {
    /// Encoded size.
    pub const LEN: usize = 8;
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: r.i32()?, op: r.i32()? })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.xid);
        out.put_i32(self.op);
    }
}

/// In front of every reply and event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    /// The request's, or one of [`xid`].
    pub xid: i32,
    /// Where the answering server stands (1.4).
    pub zxid: Zxid,
    /// With any error there is no body.
    pub err: ErrorCode,
}

impl ReplyHeader {
    /// Encoded size.
    pub const LEN: usize = 16;
    /// Reads one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: r.i32()?, zxid: Zxid(r.i64()?), err: ErrorCode::from_code(r.i32()?) })
    }
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.xid);
        out.put_i64(self.zxid.0);
        out.put_i32(self.err.code());
    }
    /// Appends a frame of nothing but this header.
    pub fn encode_frame(&self, out: &mut Vec<u8>) {
        frame(out, |out| self.encode(out));
    }
}

/// What happened to a watched znode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

impl EventKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Created),
            2 => Some(Self::Deleted),
            3 => Some(Self::DataChanged),
            4 => Some(Self::ChildrenChanged),
            _ => None,
        }
    }
}

/// The body of a notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatcherEvent<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Full path.
    pub path: JStr<'a>,
}

impl<'a> WatcherEvent<'a> {
    /// SyncConnected: the only state that servers send.
    const STATE: i32 = 3;
    /// Reads one.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let kind = EventKind::from_code(r.i32()?).ok_or(r.error("unknown type of event"))?;
        r.i32()?;
        Ok(Self { kind, path: r.string()?.unwrap_or_default() })
    }
    /// Appends the whole frame, header included.
    pub fn encode_frame(&self, zxid: Zxid, out: &mut Vec<u8>) {
        encode_event(self.kind, &self.path, zxid, out);
    }
}

/// Appends an event's frame. `zxid` is the change's; -1 for what setWatches finds out (7.2).
pub fn encode_event(kind: EventKind, path: &str, zxid: Zxid, out: &mut Vec<u8>) {
    frame(out, |out| {
        ReplyHeader { xid: xid::EVENT, zxid, err: ErrorCode::Ok }.encode(out);
        out.put_i32(kind as i32);
        out.put_i32(WatcherEvent::STATE);
        out.put_string(path);
    });
}

/// The length of the frame that `buf` begins with, its 4 bytes of length not counted; `Ok(None)` while those are incomplete.
///
/// Negative lengths and those above `max` are errors, before anything of the frame has to be there (8.1). Bytes.
pub fn frame_len(buf: &[u8], max: usize) -> Result<Option<usize>, DecodeError> {
    let Some(head) = buf.first_chunk::<4>() else { return Ok(None) };
    match usize::try_from(i32::from_be_bytes(*head)) {
        Ok(n) if n <= max => Ok(Some(n)),
        Ok(_) => Err(DecodeError { offset: 0, what: "frame longer than jute.maxbuffer" }),
        Err(_) => Err(DecodeError { offset: 0, what: "frame of negative length" }),
    }
}

/// The frame that `buf` begins with; `Ok(None)` until all of it is there.
pub fn next_frame(buf: &[u8], max: usize) -> Result<Option<&[u8]>, DecodeError> {
    Ok(frame_len(buf, max)?.and_then(|n| buf.get(4..4 + n)))
}
