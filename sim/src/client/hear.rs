//! What a client hears: replies, events, answers to pings.

use quorate_core::error::ErrorCode;
use quorate_core::jute::Reader;
use quorate_core::wire::client::{EventKind, ReplyHeader, Request, Response, Undecodable, WatcherEvent, xid};
use quorate_core::wire::records::op;

use super::{Client, Lent, State};
use crate::observe::Obs;

/// Opcode and body of a frame behind its length, and what they ask for.
pub(super) fn ask_of(frame: &[u8]) -> (i32, &[u8], Result<Request<'_>, Undecodable>) {
    let mut op = [0; 4];
    op.copy_from_slice(&frame[4..8]);
    let (op, body) = (i32::from_be_bytes(op), &frame[8..]);
    (op, body, Request::decode(op, body))
}

impl Client {
    pub(super) fn frame(&mut self, frame: &[u8], lent: &mut Lent<'_, '_>) {
        let mut reader = Reader::new(frame);
        let Ok(header) = ReplyHeader::decode(&mut reader) else { return self.give_up(lent) };
        let body = &frame[ReplyHeader::LEN..];
        match header.xid {
            xid::EVENT => self.event(&header, body, lent),
            xid::PING => {
                self.pings = self.pings.saturating_sub(1);
                if header.err != ErrorCode::Ok {
                    // It has not said who it is where that is demanded.
                    return;
                }
                self.seen = self.seen.max(header.zxid);
                lent.watcher.tell(Obs::Ponged { conn: self.conn_name, client: self.number, zxid: header.zxid });
            }
            _ => self.reply(&header, body, lent),
        }
    }

    fn event(&mut self, header: &ReplyHeader, body: &[u8], lent: &mut Lent<'_, '_>) {
        let Ok(event) = WatcherEvent::decode(&mut Reader::new(body)) else {
            return self.distrust("C5", &format!("an event does not decode: {body:02x?}"), lent);
        };
        // Type, state 3, path (7.2).
        let head = [[0, 0, 0, event.kind as u8], [0, 0, 0, 3], (event.path.len() as u32).to_be_bytes()].concat();
        if header.err != ErrorCode::Ok || *body != *[&head, event.path.as_bytes()].concat() {
            return self.distrust("C5", &format!("{event:?} comes as {body:02x?}, {:?}", header.err), lent);
        }
        let (conn, client, zxid, kind) = (self.conn_name, self.number, header.zxid, event.kind);
        lent.watcher.tell(Obs::Watch { conn, client, zxid, kind, path: &event.path });
        self.seen = self.seen.max(zxid);
        let spent: &[usize] = match kind {
            EventKind::Created | EventKind::DataChanged => &[0, 1],
            EventKind::Deleted => &[0, 1, 2],
            EventKind::ChildrenChanged => &[2],
        };
        spent.iter().for_each(|i| {
            self.watches[*i].remove(&*event.path);
        });
    }

    /// What no server may send.
    pub(super) fn distrust(&mut self, invariant: &'static str, text: &str, lent: &mut Lent<'_, '_>) {
        lent.watcher.tell(Obs::Malformed { client: self.number, node: self.node, invariant, text });
        self.give_up(lent);
    }

    fn reply(&mut self, header: &ReplyHeader, body: &[u8], lent: &mut Lent<'_, '_>) {
        let Some(asked) = self.asked.pop_front() else { return self.give_up(lent) };
        let (op, _, request) = ask_of(&asked.frame);
        let (conn, client, session) = (self.conn_name, self.number, self.session);
        let (xid, zxid, err, asked_ms, asked_seq) =
            (header.xid, header.zxid, header.err, (asked.at / 1000) as i64, asked.seq);
        self.replies += 1;
        let Ok(request) = request else {
            lent.watcher.tell(Obs::RepliedNonsense { conn, client, xid, zxid, err, bytes: body, asked_ms });
            self.seen = self.seen.max(zxid);
            return;
        };
        // A multiRead brings with its error what was built before (1.4).
        let has_body = err == ErrorCode::Ok || (op == op::MULTI_READ && !body.is_empty());
        let response = has_body.then(|| Response::decode(op, body));
        let response = match &response {
            Some(Ok(r)) => Some(r),
            Some(Err(e)) => {
                return self.distrust("C3", &format!("the answer to {request:?} does not decode: {e}"), lent);
            }
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
            asked_ms,
            asked_seq,
        });
        self.seen = self.seen.max(zxid);
        self.note(&request, err, response);
        if matches!(request, Request::CloseSession) {
            self.drop_left(lent);
            if self.renewing && self.leaving.is_none() {
                self.forget();
                return self.give_up(lent);
            }
            self.lost(lent);
            lent.wants.close = true;
            self.state = State::Gone;
        }
    }

    /// Remembers watches and own znodes.
    fn note(&mut self, request: &Request<'_>, err: ErrorCode, response: Option<&Response<'_>>) {
        let ok = err == ErrorCode::Ok;
        let (list, path) = match request {
            Request::GetData { path: Some(path), watch: true } if ok => (0, path),
            Request::Exists { path: Some(path), watch: true } if ok => (0, path),
            Request::Exists { path: Some(path), watch: true } if err == ErrorCode::NoNode => (1, path),
            Request::GetChildren { path: Some(path), watch: true }
            | Request::GetChildren2 { path: Some(path), watch: true }
                if ok =>
            {
                (2, path)
            }
            Request::AddWatch { path: Some(path), mode } if ok => (if *mode == 1 { 4 } else { 3 }, path),
            Request::RemoveWatches { path: Some(path), kind } if ok => {
                let lists: &[usize] = match kind {
                    1 => &[2],
                    2 => &[0, 1],
                    4 => &[3],
                    5 => &[4],
                    _ => &[0, 1, 2, 3, 4],
                };
                lists.iter().for_each(|i| _ = self.watches[*i].remove(&**path));
                return;
            }
            _ => {
                if let Some(Response::Created { path, .. }) = response {
                    self.chooser.created(path);
                }
                return;
            }
        };
        self.watches[list].insert(path.to_string());
    }
}
