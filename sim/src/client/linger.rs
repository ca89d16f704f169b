//! A connection that a client keeps when its session moves to another server (client-protocol 2.4).
//!
//! From the moment at which the session is attached elsewhere it is used now and then: reads, syncs and pings may be answered as before,
//! a write must end it without an answer and without an effect, and the new connection must not feel any of it.

use std::collections::VecDeque;

use quorate_core::ids::SessionId;
use quorate_core::jute::{JStr, Reader};
use quorate_core::wire::client::{EventKind, ReplyHeader, Request, Response, WatcherEvent, xid};
use quorate_core::wire::records::op;

use super::hear::ask_of;
use super::{Asked, Client, Lent, State};
use crate::network::ConnId;
use crate::node::NEVER;
use crate::observe::Obs;
use crate::queue::Micros;
use crate::report::Who;

/// See the module.
#[derive(Debug)]
pub(super) struct Left {
    conn: ConnId,
    /// Of the connection in observations.
    name: u64,
    asked: VecDeque<Asked>,
    inbuf: Vec<u8>,
    /// When it is used next, once the session is attached elsewhere.
    next: Micros,
    /// It is hung up then.
    until: Micros,
}

impl Client {
    /// The connection that it has left and keeps.
    pub(crate) fn left_conn(&self) -> Option<ConnId> {
        self.left.as_ref().map(|left| left.conn)
    }

    /// Goes to another server, now and then with this connection kept. Returns whether it is.
    pub(super) fn linger(&mut self, lent: &mut Lent<'_, '_>) -> bool {
        let free = self.state == State::Attached && self.asked.is_empty() && self.pings == 0 && self.left.is_none();
        if self.lingering == 0 || !free || self.read_only.is_some() || self.leaving.is_some() {
            return false;
        }
        let (Some(conn), true) = (self.conn, self.linger.permille(self.lingering)) else { return false };
        lent.watcher.note(Who::Client(self.number as u32), format_args!("keeps its connection to s{}", self.node + 1));
        lent.watcher.tell(Obs::Left { conn: self.conn_name, client: self.number });
        let until = lent.now + self.linger.between(500_000, 5_000_000);
        let (asked, inbuf) = (VecDeque::new(), std::mem::take(&mut self.inbuf));
        self.left = Some(Left { conn, name: self.conn_name, asked, inbuf, next: 0, until });
        self.conn = None;
        self.state = State::Down(lent.now + self.linger.below(20_000));
        true
    }

    /// When the connection that was left is to be used, or hung up.
    pub(super) fn left_due(&self) -> Micros {
        self.left.as_ref().map_or(NEVER, |left| left.next.min(left.until))
    }

    /// Uses it, or hangs it up, if that is due.
    pub(super) fn use_left(&mut self, lent: &mut Lent<'_, '_>) {
        if self.left_due() > lent.now {
            return;
        }
        let draw = self.linger.below(100);
        let Some(left) = &mut self.left else { return };
        if lent.now >= left.until {
            return self.drop_left(lent);
        }
        left.next = lent.now + self.linger.between(10_000, 600_000);
        let path = || Some(JStr::Borrowed("/e"));
        let request = match draw {
            0..20 => return Request::Ping.encode(xid::PING, &mut lent.wants.send_left),
            20..50 => Request::GetData { path: path(), watch: false },
            50..65 => Request::Sync { path: path() },
            _ => Request::SetData { path: path(), data: Some(b"moved"), version: -1 },
        };
        self.next_xid += 1;
        let mut frame = Vec::from(self.next_xid.to_be_bytes());
        frame.extend_from_slice(&request.op().to_be_bytes());
        request.encode_body(&mut frame);
        lent.wants.send_left.extend_from_slice(&(frame.len() as i32).to_be_bytes());
        lent.wants.send_left.extend_from_slice(&frame);
        let (conn, client, session, xid) = (left.name, self.number, self.session, self.next_xid);
        let seq = lent.watcher.tell(Obs::Asked { conn, client, session, xid, request: &request });
        left.asked.push_back(Asked { frame, at: lent.now, seq });
    }

    /// Hangs it up, if there is one.
    pub(super) fn drop_left(&mut self, lent: &mut Lent<'_, '_>) {
        lent.wants.close_left |= self.left.is_some();
        self.left_closed(lent);
    }

    /// It is gone.
    pub(crate) fn left_closed(&mut self, lent: &mut Lent<'_, '_>) {
        if let Some(left) = self.left.take() {
            lent.watcher.tell(Obs::Detached { conn: left.name, client: self.number });
        }
    }

    /// Bytes arrived on it.
    pub(crate) fn left_bytes(&mut self, bytes: &[u8], lent: &mut Lent<'_, '_>) {
        let Some(mut left) = self.left.take() else { return };
        left.inbuf.extend_from_slice(bytes);
        let (mut start, mut sane) = (0, true);
        while let Some(head) = left.inbuf.get(start..start + 4).filter(|_| sane) {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some(frame) = left.inbuf.get(start + 4..start + 4 + length) else { break };
            start += 4 + length;
            sane = heard(frame, (left.name, self.number, self.session), &mut left.asked, lent);
        }
        left.inbuf.drain(..start);
        self.left = Some(left);
        if !sane {
            self.drop_left(lent);
        }
    }
}

/// Tells what a frame says. What it says of watches is no news: the new connection hears it too. `false`: it makes no sense.
fn heard(
    frame: &[u8],
    (conn, client, session): (u64, usize, SessionId),
    asked: &mut VecDeque<Asked>,
    lent: &mut Lent<'_, '_>,
) -> bool {
    let mut reader = Reader::new(frame);
    let Ok(ReplyHeader { xid, zxid, err }) = ReplyHeader::decode(&mut reader) else { return false };
    let body = &frame[ReplyHeader::LEN..];
    match xid {
        xid::EVENT => {
            let Ok(WatcherEvent { kind, path, .. }) = WatcherEvent::decode(&mut Reader::new(body)) else {
                return false;
            };
            let kind: EventKind = kind;
            lent.watcher.tell(Obs::Watch { conn, client, zxid, kind, path: &path });
            return true;
        }
        xid::PING => {
            lent.watcher.tell(Obs::Ponged { conn, client, zxid });
            return true;
        }
        _ => {}
    }
    let Some(asked) = asked.pop_front() else { return false };
    let (code, _, Ok(request)) = ask_of(&asked.frame) else { return false };
    debug_assert!(code != op::CLOSE_SESSION, "never asked there");
    let response = (err == quorate_core::error::ErrorCode::Ok).then(|| Response::decode(code, body));
    let response = match &response {
        Some(Ok(response)) => Some(response),
        Some(Err(_)) => return false,
        None => None,
    };
    lent.watcher.tell(Obs::Replied {
        conn,
        client,
        session,
        xid,
        request: &request,
        zxid,
        err,
        body: response,
        bytes: Some(body),
        asked_ms: (asked.at / 1000) as i64,
        asked_seq: asked.seq,
    });
    true
}
