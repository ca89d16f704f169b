//! One client with one session that outlives every leader: it asks each established leader it is sent to for a write.

use std::collections::VecDeque;
use std::hash::Hasher as _;

use quorate_core::error::ErrorCode;
use quorate_core::ids::{LinkId, SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::{ConnectRequest, ConnectResponse, ReplyHeader, Request, RequestHeader, Response};
use quorate_core::wire::records::{Acl, op, perm};

use super::memo::Mark;
use crate::observe::Obs;

/// Where it comes from.
pub(super) const ADDRESS: &str = "10.0.0.0";

/// A request without an answer.
#[derive(Clone, Debug)]
struct Asked {
    /// Header and body.
    frame: Vec<u8>,
    at_ms: i64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Client {
    session: SessionId,
    password: [u8; 16],
    seen: Zxid,
    next_xid: i32,
    /// Server and link there.
    pub(super) at: Option<(usize, LinkId)>,
    attached: bool,
    /// Number of its connection, for the checks.
    conn: u64,
    asked: VecDeque<Asked>,
    /// Znodes to create once it is attached.
    wanted: VecDeque<String>,
    made: u32,
    inbuf: Vec<u8>,
    /// Of everything that it has been told: it is a function of that, and so is what the checks know of it.
    pub(super) told: Mark,
}

/// What a client does: observations for the checks, bytes for its server.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Obs<'_>);

impl Client {
    pub(super) fn new() -> Self {
        Self {
            session: SessionId::NONE,
            password: [0; 16],
            seen: Zxid::ZERO,
            next_xid: 0,
            at: None,
            attached: false,
            conn: 0,
            asked: VecDeque::new(),
            wanted: VecDeque::new(),
            made: 0,
            inbuf: Vec::new(),
            told: Mark::default(),
        }
    }

    /// Whether it has a session and no request in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.attached && self.asked.is_empty() && self.wanted.is_empty()
    }

    /// Its connection is gone.
    pub(super) fn lost(&mut self, tell: Tell<'_>) {
        self.told.write_u8(0);
        if self.at.take().is_some() && self.attached {
            tell(Obs::Detached { conn: self.conn, client: 0 });
        }
        self.attached = false;
        self.asked.clear();
        self.wanted.clear();
        self.inbuf.clear();
    }

    /// It is connected to this server: the handshake.
    pub(super) fn connected(&mut self, node: usize, link: LinkId) -> Vec<u8> {
        self.at = Some((node, link));
        self.told.write_usize(node);
        self.conn += 1;
        let mut out = Vec::new();
        ConnectRequest {
            protocol: 0,
            last_zxid_seen: self.seen,
            timeout: 1_000_000,
            session: self.session,
            password: Some(&self.password),
            read_only: Some(false),
        }
        .encode(&mut out);
        out
    }

    /// It wants one more znode.
    pub(super) fn write(&mut self, now: i64, tell: Tell<'_>) -> Vec<u8> {
        self.made += 1;
        self.told.write_u8(1);
        self.wanted.push_back(format!("/{}", self.made));
        self.ask(now, tell)
    }

    fn ask(&mut self, now: i64, tell: Tell<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        while self.attached
            && let Some(path) = self.wanted.pop_front()
        {
            self.next_xid += 1;
            let request = Request::Create(quorate_core::wire::client::Create {
                op: op::CREATE,
                path: Some(path.into()),
                data: Some(b"x"),
                acl: Some(vec![Acl::world(perm::ALL)]),
                flags: 0,
                ttl: -1,
            });
            let start = out.len();
            request.encode(self.next_xid, &mut out);
            self.asked.push_back(Asked { frame: out[start + 4..].to_vec(), at_ms: now });
            let (conn, session, xid) = (self.conn, self.session, self.next_xid);
            tell(Obs::Asked { conn, client: 0, session, xid, request: &request });
        }
        out
    }

    /// Bytes from its server. Returns bytes for it; `None`: it hangs up.
    pub(super) fn bytes(&mut self, node: usize, now: i64, bytes: &[u8], tell: Tell<'_>) -> Option<Vec<u8>> {
        self.inbuf.extend_from_slice(bytes);
        self.told.write(bytes);
        let mut out = Vec::new();
        while let Some(head) = self.inbuf.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*head) as usize;
            let Some(frame) = self.inbuf.get(4..end).map(<[u8]>::to_vec) else { break };
            self.inbuf.drain(..end);
            if self.attached {
                self.reply(&frame, tell)?;
            } else {
                self.greeted(node, &frame, tell)?;
                out.extend(self.ask(now, tell));
            }
        }
        Some(out)
    }

    fn greeted(&mut self, node: usize, frame: &[u8], tell: Tell<'_>) -> Option<()> {
        let answer = ConnectResponse::decode(frame).ok()?;
        if answer.session == SessionId::NONE {
            tell(Obs::Refused { client: 0, node, session: self.session });
            return None;
        }
        let fresh = self.session == SessionId::NONE;
        (self.session, self.password, self.attached) = (answer.session, answer.password, true);
        let (conn, session, timeout_ms, seen) = (self.conn, self.session, i64::from(answer.timeout), self.seen);
        let (address, read_only) = (ADDRESS, answer.read_only == Some(true));
        tell(Obs::Attached { conn, client: 0, node, session, timeout_ms, fresh, seen, address, read_only });
        Some(())
    }

    fn reply(&mut self, frame: &[u8], tell: Tell<'_>) -> Option<()> {
        let header = ReplyHeader::decode(&mut Reader::new(frame)).ok()?;
        let asked = self.asked.pop_front()?;
        let head = RequestHeader::decode(&mut Reader::new(&asked.frame)).ok()?;
        let request = Request::decode(head.op, &asked.frame[RequestHeader::LEN..]).ok()?;
        let body = &frame[ReplyHeader::LEN..];
        let response = if header.err == ErrorCode::Ok { Some(Response::decode(head.op, body).ok()?) } else { None };
        self.seen = self.seen.max(header.zxid);
        tell(Obs::Replied {
            conn: self.conn,
            client: 0,
            session: self.session,
            xid: header.xid,
            request: &request,
            zxid: header.zxid,
            err: header.err,
            body: response.as_ref(),
            bytes: Some(body),
            asked_ms: asked.at_ms,
            asked_seq: 0,
        });
        Some(())
    }
}
