//! What clients see: C1 session order, C2 linearizable writes, C3 single system image, C8 sync, U1 acknowledged writes are decided.
//!
//! When: at each request, reply and decision. Every reply carries the zxid it was served at, so one look at the model's history
//! judges it: no search, O(log n).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use quorate_core::error::ErrorCode;
use quorate_core::ids::{Millis, SessionId, Sid, Zxid};
use quorate_core::wire::client::{EventKind, MultiResult, Request, Response};
use quorate_core::wire::records::{Id, op};
use quorate_core::wire::txn::{Txn, TxnHeader};

use super::watch::{Mode, Watches};
use super::{Checked, broken, broken_by};
use crate::model::{Model, Outcome, WatchList};
use crate::report::{Earlier, Kind};
use crate::workload::PEOPLE;

/// A reply, as its client reads it.
#[derive(Clone, Copy)]
pub(super) struct Reply<'a> {
    pub(super) conn: u64,
    pub(super) xid: i32,
    pub(super) request: &'a Request<'a>,
    pub(super) zxid: Zxid,
    pub(super) err: ErrorCode,
    pub(super) body: Option<&'a Response<'a>>,
    /// Virtual time of the request.
    pub(super) asked_ms: Millis,
}

/// Most bodies of requests are smaller.
const BODY: usize = 256;

/// Identities, in the order in which they were proved.
type Proved = Rc<[Id<'static>]>;

/// A request that has no reply yet.
#[derive(Clone, Debug)]
struct Pending {
    xid: i32,
    op: i32,
    /// Newest zxid that anybody knew of when this was asked.
    known_before: Zxid,
    /// What the connection has proved by then.
    ids: Proved,
}

#[derive(Clone, Debug)]
struct Conn {
    session: SessionId,
    ids: Proved,
    /// The server, where it is known for certain.
    server: Option<Sid>,
    pending: VecDeque<Pending>,
    /// Events with zxid -1, which setWatches gives, since the last reply.
    caught_up: Vec<(EventKind, Rc<str>)>,
}

/// A write on its way.
#[derive(Clone, Debug)]
struct Write {
    op: i32,
    body: Vec<u8>,
    known_before: Zxid,
    ids: Proved,
    decided: Option<(Zxid, Vec<Outcome>, bool)>,
}

#[derive(Clone, Debug, Default)]
struct Session {
    /// Newest zxid in a reply.
    seen: Zxid,
    /// Highest xid among its decided writes.
    last_cxid: i32,
    writes: BTreeMap<i32, Write>,
    closing: bool,
    /// The server that answered last, and when that request was asked: no sooner than then it heard of the session.
    heard: Option<(Option<Sid>, Millis)>,
}

/// All simulated clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    conns: BTreeMap<u64, Conn>,
    sessions: BTreeMap<i64, Session>,
    /// Newest zxid that any client knows of: by an answer, an event, or the end of a session.
    known: Zxid,
    /// Sessions that a leader has proposed to close.
    ending: BTreeSet<SessionId>,
    /// Reads that the model has judged.
    pub(super) reads: u64,
    /// Writes that were acknowledged.
    pub(super) writes: u64,
}

/// Whether this opcode becomes a transaction.
fn is_write(code: i32) -> bool {
    matches!(
        code,
        op::CREATE
            | op::CREATE2
            | op::CREATE_CONTAINER
            | op::CREATE_TTL
            | op::DELETE
            | op::SET_DATA
            | op::SET_ACL
            | op::MULTI
            | op::CLOSE_SESSION
            | op::RECONFIG
    )
}

/// Whether this only says that the session has moved to another server.
fn moved(txn: &Txn<'_>) -> bool {
    match txn {
        Txn::Error(code) => *code == ErrorCode::SessionMoved,
        Txn::Multi(parts) => parts.first().is_some_and(|p| {
            p.kind == op::ERROR && p.body.get(..4) == Some(&ErrorCode::SessionMoved.code().to_be_bytes()[..])
        }),
        _ => false,
    }
}

impl Clients {
    /// A handshake succeeded. `fresh`: a new session, and the server whose id it is.
    pub(super) fn attached(
        &mut self,
        conn: u64,
        session: SessionId,
        fresh: Option<Option<Sid>>,
        model: &Model,
    ) -> Checked {
        let what = || format!("connection {conn} is told that session {session} is its own");
        if fresh.is_some() && self.sessions.contains_key(&session.0) {
            return broken("C10", what(), "a client had this session before".into());
        }
        // What keeps the ids of two servers apart.
        if fresh == Some(None) {
            return broken("C10", what(), "no server may give that id away".into());
        }
        if !model.was_granted(session) && !model.has_local_sessions() {
            return broken("U1", what(), "no transaction has created it".into());
        }
        self.sessions.entry(session.0).or_default();
        let ids = Proved::from([]);
        let pending = VecDeque::new();
        self.conns.insert(conn, Conn { session, ids, server: fresh.flatten(), pending, caught_up: Vec::new() });
        Ok(())
    }

    /// A connection is gone.
    pub(super) fn detached(&mut self, conn: u64) {
        self.conns.remove(&conn);
    }

    /// A client asks.
    pub(super) fn asked(&mut self, conn: u64, xid: i32, request: &Request<'_>) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let (op, known_before) = (request.op(), self.known);
        if let Request::Auth { auth: Some(auth), .. } = request {
            // Whoever says this is known to be this; everything asked behind it counts on it.
            let person = PEOPLE.iter().find(|(said, _)| said.as_bytes() == *auth);
            c.ids = c.ids.iter().cloned().chain(person.map(|(_, id)| Id::new("digest", id))).collect();
        }
        let ids = c.ids.clone();
        c.pending.push_back(Pending { xid, op, known_before, ids: ids.clone() });
        if is_write(op) {
            let mut body = Vec::with_capacity(BODY);
            request.encode_body(&mut body);
            let session = self.sessions.entry(c.session.0).or_default();
            session.closing |= op == op::CLOSE_SESSION;
            session.writes.insert(xid, Write { op, body, known_before, ids, decided: None });
        }
    }

    /// A ping was answered.
    pub(super) fn ponged(&mut self, conn: u64, zxid: Zxid, model: &Model, watches: &mut Watches) -> Checked {
        let Some(c) = self.conns.get(&conn) else { return unknown(conn) };
        let Some(session) = self.sessions.get_mut(&c.session.0) else { return Ok(()) };
        session.sees(c.session, zxid, model, || format!("a ping is answered at {zxid} on connection {conn}"))?;
        self.known = self.known.max(zxid);
        watches.replied(conn, zxid)
    }

    /// A server has told a client that its session is gone: then it is, or its end has been proposed.
    pub(super) fn refused(&mut self, session: SessionId, model: &Model) -> Checked {
        if let Some(ended) = model.ended(session) {
            self.known = self.known.max(ended);
            return Ok(());
        }
        if self.ending.contains(&session) || !model.was_granted(session) {
            return Ok(());
        }
        let second = format!("it lives at {}, and no leader has proposed to close it", model.last());
        broken("C6", format!("a client is told that session {session} is expired"), second)
    }

    /// A leader has proposed to close this session.
    pub(super) fn ends(&mut self, session: SessionId) {
        self.ending.insert(session);
    }

    /// Since when this server must have heard of the session, if it was the last one to answer it.
    pub(super) fn heard(&self, session: SessionId, sid: Sid) -> Option<Millis> {
        let (server, at) = self.sessions.get(&session.0)?.heard?;
        (server == Some(sid)).then_some(at)
    }

    /// Whether the client of this session has asked for its end.
    pub(super) fn is_closing(&self, session: SessionId) -> bool {
        self.sessions.get(&session.0).is_some_and(|s| s.closing)
    }

    /// A transaction is decided, the model stands right before it: it must be what its request had to become.
    pub(super) fn explain(&mut self, header: &TxnHeader, txn: &Txn<'_>, model: &Model) -> Checked {
        if header.session == SessionId::NONE {
            return reaped(header, txn, model);
        }
        let own = matches!(txn, Txn::CreateSession { .. })
            || (matches!(txn, Txn::CloseSession { .. } | Txn::Error(_)) && header.cxid == 0)
            // Late from a connection that was left: refused without an answer, no effect and no place in the order (2.4).
            || moved(txn)
            // The same of a session that has ended since.
            || (matches!(txn, Txn::Error(ErrorCode::SessionExpired)) && !model.is_alive(header.session));
        if own {
            return Ok(());
        }
        let what = || format!("{} is decided for xid {} of session {}", header.zxid, header.cxid, header.session);
        let nobody = || broken("C2", what(), format!("no client has asked for that: {txn:?}"));
        let Some(session) = self.sessions.get_mut(&header.session.0) else { return nobody() };
        let last = session.last_cxid;
        if header.cxid <= last {
            // A close that its connection had on its way ends the session wherever it has moved to.
            if session.closing && matches!(txn, Txn::CloseSession { .. }) {
                return Ok(());
            }
            return broken("C1", what(), format!("its xid {last} was decided before: {txn:?}"));
        }
        let Some(write) = session.writes.get_mut(&header.cxid) else { return nobody() };
        session.last_cxid = header.cxid;
        if header.zxid <= write.known_before {
            let second = format!("a client knew of {} before this was asked", write.known_before);
            return broken_by("C2", what(), second, Earlier::about(Kind::Decided, write.known_before.0));
        }
        let Ok(request) = Request::decode(write.op, &write.body) else { return Ok(()) };
        match model.explain(header.session, &write.ids, &request, txn) {
            Ok(()) => Ok(()),
            Err(why) => {
                let sequential = matches!(&request, Request::Create(c) if matches!(c.flags, 2 | 3 | 6));
                let id = if !model.is_alive(header.session) {
                    "D5"
                } else if sequential {
                    "D4"
                } else {
                    "C2"
                };
                broken(id, what(), why)
            }
        }
    }

    /// The model has applied it.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>, outcomes: Vec<Outcome>) -> Checked {
        if let Some(session) = self.sessions.get_mut(&header.session.0)
            && let Some(write) = session.writes.get_mut(&header.cxid)
        {
            write.decided = Some((header.zxid, outcomes, matches!(txn, Txn::Multi(_))));
        }
        Ok(())
    }

    /// An event arrived. Those with zxid -1 are judged with the reply of setWatches.
    pub(super) fn event(
        &mut self,
        conn: u64,
        zxid: Zxid,
        kind: EventKind,
        path: &str,
        watches: &mut Watches,
    ) -> Checked {
        if zxid.0 >= 0 {
            self.known = self.known.max(zxid);
            return watches.received(conn, zxid, kind, path);
        }
        if let Some(c) = self.conns.get_mut(&conn) {
            c.caught_up.push((kind, path.into()));
        }
        Ok(())
    }

    /// A reply arrived. Returns the zxid of a write that it acknowledges.
    pub(super) fn replied(
        &mut self,
        reply: &Reply<'_>,
        model: &Model,
        watches: &mut Watches,
    ) -> Result<Option<Zxid>, super::Broken> {
        let Reply { conn, xid, request, zxid, err, body, .. } = *reply;
        let Some(c) = self.conns.get_mut(&conn) else { return unknown(conn) };
        let what = || format!("{request:?}, xid {xid} on connection {conn}, is answered at {zxid}: {err:?} {body:?}");
        let Some(p) = c.pending.pop_front() else {
            return broken("C1", what(), "every request has its reply already".into());
        };
        if p.xid != xid {
            return broken("C1", what(), format!("the oldest request without a reply is xid {} (op {})", p.xid, p.op));
        }
        let caught_up = std::mem::take(&mut c.caught_up);
        let (id, server) = (c.session, c.server);
        let Some(session) = self.sessions.get_mut(&id.0) else { return Ok(None) };
        session.heard = Some((server, reply.asked_ms));
        if err == ErrorCode::SessionMoved {
            return broken("C10", what(), "the client has left every other connection of this session".into());
        }
        if p.op == op::CLOSE_SESSION && !model.was_granted(id) {
            // Known to its server only: no transaction ends it.
            return Ok(None);
        }
        if p.op == op::AUTH {
            // Its answer speaks of no state: zxid 0.
            return Ok(None);
        }
        // A session that no transaction has made may read before the first one.
        let nowhere = zxid.0 < 0 || (zxid == Zxid::ZERO && !model.has_local_sessions());
        if nowhere || matches!(err, ErrorCode::ThrottledOp | ErrorCode::NotReadOnly) {
            return Ok(None);
        }
        let seen = session.seen;
        session.sees(id, zxid, model, what)?;
        self.known = self.known.max(zxid);
        watches.replied(conn, zxid)?;
        if is_write(p.op) {
            let done = judge_write(session, &p, reply, seen).or_else(|(id, why)| broken(id, what(), why))?;
            self.writes += u64::from(done.is_some());
            return Ok(done);
        }
        if p.op == op::SYNC && zxid < p.known_before {
            let second = format!("a client knew of {} before the sync was asked", p.known_before);
            return broken_by("C8", what(), second, Earlier::about(Kind::Decided, p.known_before.0));
        }
        if matches!(p.op, op::SET_WATCHES | op::SET_WATCHES2) && err == ErrorCode::Ok {
            set_watches(conn, zxid, request, &caught_up, model, watches).or_else(|why| broken("C5", what(), why))?;
            return Ok(None);
        }
        match model.check_read(zxid, id, &p.ids, request, err, body) {
            Ok(judged) => self.reads += u64::from(judged),
            Err(why) => return broken_by("C3", what(), why, Earlier::about(Kind::Decided, zxid.0)),
        }
        arm(reply, model, watches);
        Ok(None)
    }
}

impl Session {
    /// A header names this zxid.
    fn sees(&mut self, id: SessionId, zxid: Zxid, model: &Model, what: impl Fn() -> String) -> Checked {
        if zxid < self.seen {
            let second = format!("session {id} has seen {}", self.seen);
            return broken_by("C3", what(), second, Earlier::about(Kind::Decided, self.seen.0));
        }
        if zxid > model.last() {
            let second = format!("decided so far: {}", model.last());
            return broken_by("C3", what(), second, Earlier::about(Kind::Decided, model.last().0));
        }
        self.seen = zxid;
        Ok(())
    }
}

/// A leader deletes by itself what nobody uses: it is explained by the znode (D7). Initial disks hold creates of nobody, too.
fn reaped(header: &TxnHeader, txn: &Txn<'_>, model: &Model) -> Checked {
    let what = || format!("{} is decided for nobody's session: {txn:?}", header.zxid);
    match txn {
        Txn::Delete { path } if header.kind == op::DELETE_CONTAINER => {
            model.may_reap(path, header.time).or_else(|why| broken("D7", what(), why))
        }
        Txn::Error(_) => Ok(()),
        Txn::Create { path, .. } if path.starts_with("/log-") => Ok(()),
        _ => broken("C2", what(), "no client has asked for that".into()),
    }
}

/// The world speaks of a connection that it has never reported as attached: a mistake of the simulator.
fn unknown<T>(conn: u64) -> Result<T, super::Broken> {
    broken("harness", format!("something arrives on connection {conn}"), "no such connection is attached".into())
}

/// The watch that a successful read has armed.
fn arm(reply: &Reply<'_>, model: &Model, watches: &mut Watches) {
    let Reply { conn, zxid, err, .. } = *reply;
    let ok = err == ErrorCode::Ok;
    let (path, mode) = match reply.request {
        Request::GetData { path, watch: true } if ok => (path, Mode::Data),
        Request::Exists { path, watch: true } if ok || err == ErrorCode::NoNode => (path, Mode::Data),
        Request::GetChildren { path, watch: true } | Request::GetChildren2 { path, watch: true } if ok => {
            (path, Mode::Child)
        }
        Request::AddWatch { path, mode: 0 } if ok => (path, Mode::Persistent),
        Request::AddWatch { path, mode: 1 } if ok => (path, Mode::Recursive),
        Request::RemoveWatches { path, kind } if ok => {
            let path = path.as_deref().unwrap_or_default();
            for (mode, kinds) in
                [(Mode::Child, [1, 3]), (Mode::Data, [2, 3]), (Mode::Persistent, [4, 3]), (Mode::Recursive, [5, 3])]
            {
                if kinds.contains(kind) {
                    watches.remove(conn, path, mode);
                }
            }
            return;
        }
        _ => return,
    };
    if let Some(path) = path {
        watches.arm(conn, path, mode, zxid, model);
    }
}

/// What setWatches had to find out, and what it has armed (7.4).
fn set_watches(
    conn: u64,
    at: Zxid,
    request: &Request<'_>,
    got: &[(EventKind, Rc<str>)],
    model: &Model,
    watches: &mut Watches,
) -> Result<(), String> {
    let empty = Vec::new();
    let (seen, data, exist, child, persistent, recursive) = match request {
        Request::SetWatches { seen, data, exist, child } => (seen, data, exist, child, &empty, &empty),
        Request::SetWatches2 { seen, data, exist, child, persistent, recursive } => {
            (seen, data, exist, child, persistent, recursive)
        }
        _ => return Ok(()),
    };
    let mut want: Vec<(EventKind, Rc<str>)> = Vec::new();
    for (list, kind, mode) in [
        (data, WatchList::Data, Mode::Data),
        (exist, WatchList::Exist, Mode::Data),
        (child, WatchList::Child, Mode::Child),
    ] {
        for path in list {
            match model.catch_up(at, Zxid(*seen), kind, path) {
                Some(event) => want.push((event, (**path).into())),
                None => watches.arm(conn, path, mode, at, model),
            }
        }
    }
    for path in persistent {
        watches.arm(conn, path, Mode::Persistent, at, model);
    }
    for path in recursive {
        watches.arm(conn, path, Mode::Recursive, at, model);
    }
    if want == got {
        Ok(())
    } else {
        Err(format!("setWatches at {at}, seen {seen}: {want:?} had to come, {got:?} came"))
    }
}

type Judgement = Result<Option<Zxid>, (&'static str, String)>;

/// `seen`: what the session had seen before; a reply that waited behind a later read names that (client-protocol 16, quirk 6).
fn judge_write(session: &mut Session, p: &Pending, reply: &Reply<'_>, seen: Zxid) -> Judgement {
    let Some(write) = session.writes.remove(&p.xid) else {
        return Err(("C2", format!("no write with xid {} is known", p.xid)));
    };
    let Some((zxid, outcomes, multi)) = write.decided else {
        // Undecodable bodies get no transaction (8.3).
        let refused = matches!(reply.err, ErrorCode::MarshallingError | ErrorCode::Unimplemented);
        if refused {
            return Ok(None);
        }
        return Err(("U1", format!("the write (op {}) is not decided", p.op)));
    };
    if reply.zxid != zxid.max(seen) {
        return Err(("C2", format!("the write was decided at {zxid}")));
    }
    let fine = match (reply.body, outcomes.as_slice()) {
        (_, [Outcome::Error(code)]) if !multi => *code == reply.err,
        _ if reply.err != ErrorCode::Ok => false,
        (Some(Response::Multi(results)), outcomes) if multi => {
            results.len() == outcomes.len() && results.iter().zip(outcomes).all(|(r, o)| part_matches(r, o))
        }
        (Some(Response::Created { path, stat }), [Outcome::Created(p, s)]) => {
            **path == **p && stat.is_none_or(|x| x == *s)
        }
        (Some(Response::Stat(got)), [Outcome::Stat(want)]) => got == want,
        (None | Some(Response::Empty), [Outcome::Done]) => true,
        _ => false,
    };
    if fine { Ok(Some(zxid)) } else { Err(("C2", format!("the model says {outcomes:?}"))) }
}

fn part_matches(result: &MultiResult<'_>, outcome: &Outcome) -> bool {
    match (result, outcome) {
        (MultiResult::Created { path, stat }, Outcome::Created(p, s)) => **path == **p && stat.is_none_or(|x| x == *s),
        (MultiResult::Deleted | MultiResult::Checked, Outcome::Done) => true,
        (MultiResult::SetData(got), Outcome::Stat(want)) => got == want,
        (MultiResult::Error(got), Outcome::Error(want)) => got == want,
        _ => false,
    }
}
