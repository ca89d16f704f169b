//! What clients see: C1 session order, C2 linearizable writes, C3 single system image, C8 sync, U1 acknowledged writes are decided.
//!
//! When: at each request, reply and decision. Every reply carries the zxid it was served at, so one look at the model's history
//! judges it: no search, O(log n). What a reply has to say is `answers`' subject.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use quorate_core::error::ErrorCode;
use quorate_core::ids::{Millis, SessionId, Sid, Zxid};
use quorate_core::wire::client::{EventKind, Request, Response};
use quorate_core::wire::records::{Id, op};
use quorate_core::wire::txn::{Txn, TxnHeader};

use super::judged::Judged;
use super::watch::Watches;
use super::{Checked, answers, broken, broken_by};
use crate::model::{self, Model, Outcome, Rules};
use crate::report::{Earlier, Kind};

/// A reply, as its client reads it.
#[derive(Clone, Copy)]
pub(super) struct Reply<'a> {
    pub(super) conn: u64,
    pub(super) xid: i32,
    /// `None`: what was asked does not decode.
    pub(super) request: Option<&'a Request<'a>>,
    pub(super) zxid: Zxid,
    pub(super) err: ErrorCode,
    pub(super) body: Option<&'a Response<'a>>,
    /// Behind the header, where they were kept.
    pub(super) bytes: Option<&'a [u8]>,
    /// Virtual time of the request, and of its answer.
    pub(super) asked_ms: Millis,
    pub(super) now: Millis,
}

/// Most bodies of requests are smaller.
const BODY: usize = 256;

/// Identities, in the order in which they were proved.
pub(super) type Proved = Rc<[Id<'static>]>;

/// What a request may expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// To be answered as what it asks for.
    Served,
    /// A header with this error; `None`: at the zxid where its server stands.
    Header(Option<Zxid>, ErrorCode),
    /// Nothing: its connection ends with it, or with what was asked before it.
    Unanswered,
}

/// A request that has no reply yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) xid: i32,
    pub(super) op: i32,
    /// Newest zxid that anybody knew of when this was asked.
    pub(super) known_before: Zxid,
    /// What the connection has proved by then.
    pub(super) ids: Proved,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) session: SessionId,
    ids: Proved,
    /// As the server sees it.
    address: String,
    /// The server, where it is known for certain.
    server: Option<Sid>,
    /// It has no quorum.
    read_only: bool,
    /// Something was asked with which the connection ends.
    ending: bool,
    /// Its client has taken the session elsewhere: what this server has told it since.
    left: Option<Zxid>,
    /// The session is attached elsewhere, too.
    superseded: bool,
    pending: VecDeque<Pending>,
    /// Events with zxid -1, which setWatches gives, since the last reply.
    caught_up: Vec<(EventKind, Rc<str>)>,
}

/// A new connection.
pub(super) struct Opened<'a> {
    pub(super) conn: u64,
    pub(super) session: SessionId,
    /// A new session, and the server whose id it is.
    pub(super) fresh: Option<Option<Sid>>,
    pub(super) address: &'a str,
    pub(super) read_only: bool,
}

/// A write on its way.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) op: i32,
    body: Vec<u8>,
    known_before: Zxid,
    ids: Proved,
    pub(super) decided: Option<(Zxid, Vec<Outcome>, bool)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// Newest zxid in a reply.
    pub(super) seen: Zxid,
    /// Highest xid among its decided writes.
    last_cxid: i32,
    pub(super) writes: BTreeMap<i32, Write>,
    closing: bool,
    /// What was asked on a connection that it had left.
    strays: BTreeSet<i32>,
    /// The server that answered last, and when that request was asked: no sooner than then it heard of the session.
    heard: Option<(Option<Sid>, Millis)>,
}

/// All simulated clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    conns: BTreeMap<u64, Conn>,
    pub(super) sessions: BTreeMap<i64, Session>,
    /// Newest zxid that any client knows of: by an answer, an event, or the end of a session.
    known: Zxid,
    /// Sessions that a leader has proposed to close.
    ending: BTreeSet<SessionId>,
    /// Where the tree of the leader stood that proposed a transaction, by its zxid; only where quotas are enforced.
    stood: BTreeMap<Zxid, Zxid>,
    /// Reads that the model has judged.
    pub(super) reads: u64,
    /// Writes that were acknowledged.
    pub(super) writes: u64,
    /// The same by operation and error.
    pub(super) judged: Judged,
    /// Who waited for so long may be refused (-127), ms; 0: nobody is.
    pub(super) wait_ms: Millis,
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
    /// A handshake succeeded.
    pub(super) fn attached(&mut self, opened: &Opened<'_>, model: &Model, watches: &mut Watches) -> Checked {
        let Opened { conn, session, fresh, read_only, .. } = *opened;
        let what = || format!("connection {conn} is told that session {session} is its own");
        if fresh.is_some() && self.sessions.contains_key(&session.0) {
            return broken("C10", what(), "a client had this session before".into());
        }
        // What keeps the ids of two servers apart.
        if fresh == Some(None) {
            return broken("C10", what(), "no server may give that id away".into());
        }
        if !model.was_granted(session) && !model.rules().local_sessions && !read_only {
            return broken("U1", what(), "no transaction has created it".into());
        }
        if read_only && model.was_granted(session) {
            return broken(
                "C10",
                what(),
                "a server without a quorum cannot know whether a global session lives".into(),
            );
        }
        self.judged.connected(read_only, fresh.is_some(), model.was_granted(session));
        self.sessions.entry(session.0).or_default();
        let ids = Proved::from([model::ip(opened.address)]);
        watches.open(conn, ids.clone());
        let conn_state = Conn {
            session,
            ids,
            address: opened.address.to_owned(),
            server: fresh.flatten(),
            read_only,
            ending: false,
            left: None,
            superseded: false,
            pending: VecDeque::new(),
            caught_up: Vec::new(),
        };
        self.conns.values_mut().filter(|c| c.session == session).for_each(|c| c.superseded = true);
        self.conns.insert(conn, conn_state);
        Ok(())
    }

    /// A client keeps this connection and goes elsewhere with its session: from now on it sees two servers.
    pub(super) fn left(&mut self, conn: u64) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.left = self.sessions.get(&c.session.0).map(|session| session.seen);
        }
    }

    /// A connection is gone.
    pub(super) fn detached(&mut self, conn: u64) {
        self.conns.remove(&conn);
    }

    /// A client asks. `request`: `None` for a body that does not decode, or an opcode that does not exist.
    pub(super) fn asked(
        &mut self,
        conn: u64,
        xid: i32,
        (op, request, body): (i32, Option<&Request<'_>>, &[u8]),
        rules: &Rules,
        watches: &mut Watches,
    ) -> Checked {
        let Some(c) = self.conns.get_mut(&conn) else { return Ok(()) };
        let fate = c.fate(op, request, rules).or_else(|why| broken("harness", format!("{request:?} is asked"), why))?;
        if op == op::AUTH {
            watches.proves(conn, c.ids.clone());
        }
        let (ids, known_before) = (c.ids.clone(), self.known);
        c.pending.push_back(Pending { xid, op, known_before, ids: ids.clone(), fate });
        if is_write(op) && fate == Fate::Served {
            let mut kept = Vec::with_capacity(BODY);
            match request {
                Some(request) => request.encode_body(&mut kept),
                None => kept.extend_from_slice(body),
            }
            let session = self.sessions.entry(c.session.0).or_default();
            session.closing |= op == op::CLOSE_SESSION;
            if c.superseded {
                session.strays.insert(xid);
                return Ok(());
            }
            session.writes.insert(xid, Write { op, body: kept, known_before, ids, decided: None });
        }
        Ok(())
    }

    /// A ping was answered.
    pub(super) fn ponged(&mut self, conn: u64, zxid: Zxid, model: &Model, watches: &mut Watches) -> Checked {
        let Some(c) = self.conns.get_mut(&conn) else { return unknown(conn) };
        let what = || format!("a ping is answered at {zxid} on connection {conn}");
        if let Some((kind, path)) = c.caught_up.first() {
            return broken("C5", what(), format!("{kind:?} of {path} came without a zxid and without setWatches"));
        }
        let Some(session) = self.sessions.get_mut(&c.session.0) else { return Ok(()) };
        c.sees(session, zxid, model, what)?;
        self.known = self.known.max(zxid);
        self.judged.answer("ping", ErrorCode::Ok);
        watches.replied(conn, zxid, None)
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

    /// A leader whose tree stands at `applied` proposes this.
    pub(super) fn proposed(&mut self, zxid: Zxid, applied: Zxid, rules: &Rules) {
        if rules.enforce_quota {
            self.stood.insert(zxid, applied);
        }
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
        let applied = self.stood.remove(&header.zxid).unwrap_or_default();
        if header.session == SessionId::NONE {
            reaped(header, txn, model)?;
            if let Txn::Delete { .. } = txn {
                self.judged.answer("deleteContainer (reaped)", ErrorCode::Ok);
            }
            return Ok(());
        }
        if let Txn::CreateSession { .. } = txn
            && self.sessions.contains_key(&header.session.0)
        {
            self.judged.answer("createSession (upgraded)", ErrorCode::Ok);
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
        if session.strays.contains(&header.cxid) {
            return broken("C10", what(), format!("it was asked where the session had moved away from: {txn:?}"));
        }
        let last = session.last_cxid;
        if header.cxid <= last {
            // A close that its connection had on its way ends the session wherever it has moved to.
            if session.closing && matches!(txn, Txn::CloseSession { .. }) {
                return Ok(());
            }
            // What is wrong in itself is refused before anybody asks whose it is (4.1, 8.3), also late.
            let form = [ErrorCode::BadArguments, ErrorCode::Unimplemented, ErrorCode::MarshallingError];
            let off = session.writes.get(&header.cxid).is_none_or(|write| write.op == op::RECONFIG);
            let fine = |code| form.contains(&code) || (code == ErrorCode::ReconfigDisabled && off);
            if matches!(txn, Txn::Error(code) if fine(*code)) {
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
        let request = Request::decode(write.op, &write.body).ok();
        match model.explain(header.session, &write.ids, request.as_ref(), txn, applied) {
            Ok(()) => Ok(()),
            Err(why) => {
                let sequential = matches!(&request, Some(Request::Create(c)) if matches!(c.flags, 2 | 3 | 6));
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
        self.judged.event(kind);
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
        if err == ErrorCode::ThrottledOp {
            // Not done, in its place in the order, and neither the throttler's business nor a sign of life otherwise (1.4).
            let exempt = p.op == op::CLOSE_SESSION || !matches!(p.fate, Fate::Served | Fate::Header(None, _));
            // Clocks may run at another rate than the world's.
            let waited = reply.now - reply.asked_ms;
            if exempt || self.wait_ms == 0 || waited * 2 < self.wait_ms || body.is_some() {
                let known = format!("it waited {waited} ms, and {} are allowed", self.wait_ms);
                return broken("C3", what(), known);
            }
            if session.writes.remove(&xid).is_some_and(|write| write.decided.is_some()) {
                return broken("C2", what(), "it is decided".into());
            }
            self.judged.reply(&p, reply);
            c.sees(session, zxid, model, what)?;
            self.known = self.known.max(zxid);
            watches.replied(conn, zxid, Some(&p.ids))?;
            return Ok(None);
        }
        if c.superseded && p.fate == Fate::Served && is_write(p.op) {
            return broken("C10", what(), "the session had moved away from there: that ends the connection".into());
        }
        // What proves who asks, and what is refused for want of that, is no sign of life (client-protocol 2.3).
        if !c.superseded && !matches!(p.op, op::AUTH | op::SASL) && err != ErrorCode::SessionClosedRequireSaslAuth {
            session.heard = Some((server, reply.asked_ms));
        }
        if err == ErrorCode::SessionMoved {
            return broken("C10", what(), "the client has left every other connection of this session".into());
        }
        if let Some(bytes) = reply.bytes {
            model::exact(body, bytes).or_else(|why| broken("C3", what(), why))?;
        }
        if let (Some((kind, path)), false) = (caught_up.first(), matches!(p.op, op::SET_WATCHES | op::SET_WATCHES2)) {
            return broken("C5", what(), format!("{kind:?} of {path} came without a zxid and without setWatches"));
        }
        self.judged.reply(&p, reply);
        match p.fate {
            Fate::Unanswered => {
                return broken("C1", what(), "its connection had to end without an answer to it".into());
            }
            Fate::Header(_, want) if err != want || body.is_some_and(|b| *b != Response::Empty) => {
                return broken("C3", what(), format!("it must be {want:?} and nothing else"));
            }
            Fate::Header(Some(fixed), _) => {
                let fine = zxid == fixed;
                return if fine { Ok(None) } else { broken("C3", what(), format!("its header must say {fixed}")) };
            }
            Fate::Served if p.op == op::SASL => {
                let fine = zxid == Zxid::ZERO && body == Some(&Response::Token(None));
                return if fine { Ok(None) } else { broken("C3", what(), "there is no SASL server".into()) };
            }
            Fate::Header(None, _) | Fate::Served => {}
        }
        let seen = c.left.unwrap_or(session.seen);
        c.sees(session, zxid, model, what)?;
        self.known = self.known.max(zxid);
        watches.replied(conn, zxid, Some(&p.ids))?;
        if p.fate != Fate::Served {
            return Ok(None);
        }
        if p.op == op::CLOSE_SESSION && !model.was_granted(id) {
            // Known to its server only: no transaction ends it.
            let fine = err == ErrorCode::Ok;
            return if fine {
                Ok(None)
            } else {
                broken("C3", what(), "its server only knows it, and can end it".into())
            };
        }
        if is_write(p.op) {
            let local = !model.was_granted(id) && !model.rules().upgrading;
            let done =
                answers::judge_write(session, &p, reply, seen, local).or_else(|(id, why)| broken(id, what(), why))?;
            self.writes += u64::from(done.is_some());
            return Ok(done);
        }
        if p.op == op::SYNC && zxid < p.known_before {
            let second = format!("a client knew of {} before the sync was asked", p.known_before);
            return broken_by("C8", what(), second, Earlier::about(Kind::Decided, p.known_before.0));
        }
        if matches!(p.op, op::SET_WATCHES | op::SET_WATCHES2) {
            answers::set_watches(reply, &caught_up, model, watches).or_else(|why| broken("C5", what(), why))?;
            return Ok(None);
        }
        if let Some(judged) = answers::judge_own(reply, &p, model, watches) {
            return judged.map(|()| None).or_else(|(id, why)| broken(id, what(), why));
        }
        let Some(read) = request else { return Ok(None) };
        match model.check_read(zxid, id, &p.ids, read, err, body) {
            Ok(judged) => self.reads += u64::from(judged),
            Err(why) => return broken_by("C3", what(), why, Earlier::about(Kind::Decided, zxid.0)),
        }
        answers::arm(reply, model, watches);
        Ok(None)
    }
}

impl Conn {
    /// A header names this zxid: of its session's, or of one server alone where the session has left.
    fn sees(&mut self, session: &mut Session, zxid: Zxid, model: &Model, what: impl Fn() -> String) -> Checked {
        let seen = self.left.as_mut().unwrap_or(&mut session.seen);
        if zxid < *seen {
            let second = format!("session {} has seen {seen}", self.session);
            return broken_by("C3", what(), second, Earlier::about(Kind::Decided, seen.0));
        }
        if zxid > model.last() {
            let second = format!("decided so far: {}", model.last());
            return broken_by("C3", what(), second, Earlier::about(Kind::Decided, model.last().0));
        }
        *seen = zxid;
        Ok(())
    }

    /// What a request may expect on this connection. `Err`: nothing that the simulator can know.
    fn fate(&mut self, op: i32, request: Option<&Request<'_>>, rules: &Rules) -> Result<Fate, String> {
        if self.ending {
            return Ok(Fate::Unanswered);
        }
        let (fate, ends) = self.fate_of(op, request, rules)?;
        self.ending = ends;
        Ok(fate)
    }

    /// The same, and whether the connection ends with it.
    fn fate_of(&mut self, op: i32, request: Option<&Request<'_>>, rules: &Rules) -> Result<(Fate, bool), String> {
        match request {
            Some(Request::Auth { scheme, auth }) => {
                let proved = model::proves(scheme.as_deref(), *auth, &self.address, rules.super_digest)?;
                let Some(proved) = proved else {
                    return Ok((Fate::Header(Some(Zxid::ZERO), ErrorCode::AuthFailed), true));
                };
                let new: Vec<Id<'static>> = proved.into_iter().filter(|id| !self.ids.contains(id)).collect();
                self.ids = self.ids.iter().cloned().chain(new).collect();
                return Ok((Fate::Header(Some(Zxid::ZERO), ErrorCode::Ok), false));
            }
            None if matches!(op, op::AUTH | op::SASL) => return Ok((Fate::Unanswered, true)),
            Some(Request::Sasl { .. }) => return Ok((Fate::Served, false)),
            _ => {}
        }
        if rules.enforced_auth && !self.ids.iter().any(|id| id.scheme() == "digest") {
            return Ok((Fate::Header(Some(Zxid::ZERO), ErrorCode::SessionClosedRequireSaslAuth), true));
        }
        let writes = is_write(op) && op != op::CLOSE_SESSION;
        if self.read_only && (writes || matches!(op, op::SYNC | op::CHECK)) {
            return Ok((Fate::Header(None, ErrorCode::NotReadOnly), false));
        }
        // Nobody may ask for these, and the others do not exist.
        if matches!(op, op::CHECK | op::DELETE_CONTAINER | op::CREATE_SESSION) || !exists(op) {
            return Ok((Fate::Header(Some(Zxid(-1)), ErrorCode::Unimplemented), true));
        }
        if request.is_none() && op != op::MULTI {
            return Ok((Fate::Header(None, ErrorCode::MarshallingError), false));
        }
        Ok((Fate::Served, op == op::CLOSE_SESSION))
    }
}

/// Whether a client may use this opcode (section 3).
const fn exists(op: i32) -> bool {
    matches!(op, 1..=9 | 11 | 12 | 14..=19 | 21 | 22 | 100..=107 | op::CLOSE_SESSION)
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
