//! Sessions: two connections of one (C10), requests that waited too long (-127), ends that come early (C6), by histories of our own.

use bytes::Bytes;
use quorate_core::error::ErrorCode;
use quorate_core::event::{Event, Health, Role};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::wire::client::{Request, Response};
use quorate_core::wire::records::op;
use quorate_core::wire::txn::{Txn, TxnHeader, encode_record};
use quorate_core::zab::payload_hash;
use quorate_sim::check::Checks;
use quorate_sim::model::Model;
use quorate_sim::spec::{At, Explicit, FaultKind, RunSpec};
use quorate_sim::{Check, Obs, Observation};

const SESSION: SessionId = SessionId(0x0100_0000_0000_0077);

/// One voter, which leads, and one session. The first broken property is kept.
struct History {
    checks: Checks,
    tree: Model,
    time: i64,
    seq: u64,
    next: u32,
    /// When the last request was asked.
    asked: i64,
    broken: Option<&'static str>,
}

fn set() -> Request<'static> {
    Request::SetData { path: Some("/".into()), data: Some(b"v"), version: -1 }
}
fn get() -> Request<'static> {
    Request::Exists { path: Some("/none".into()), watch: false }
}
fn z(counter: u32) -> Zxid {
    Zxid::new(1, counter)
}

impl History {
    fn new(change: impl FnOnce(&mut RunSpec)) -> Self {
        let mut spec = RunSpec::default();
        spec.topology.voters = 1;
        change(&mut spec);
        let tree = Model::new(false);
        let mut h = Self { checks: Checks::new(&spec), tree, time: 0, seq: 0, next: 1, asked: 0, broken: None };
        let (zxid, digest, health) = (Zxid::ZERO, h.tree.digest(), Health::Intact);
        h.event(Event::RoleChanged { role: Role::Recovering, epoch: 0 });
        h.event(Event::TreeReplaced { zxid, digest });
        h.event(Event::Recovered { last_logged: zxid, applied: zxid, accepted_epoch: 0, current_epoch: 0, health });
        h.event(Event::EpochAccepted(1));
        h.event(Event::EpochCurrent(1));
        h.event(Event::Established { epoch: 1, last_logged: zxid });
        h.decide(0, op::CREATE_SESSION, &Txn::CreateSession { timeout: 4000 });
        h.attach(1);
        h
    }
    /// The same, and the session is attached by another connection, while the first one stays.
    fn moved() -> Self {
        let mut h = Self::new(|_| {});
        h.see(Obs::Left { conn: 1, client: 0 });
        h.attach(2);
        h
    }

    fn see(&mut self, what: Obs<'_>) {
        self.seq += 1;
        if let Err(v) = self.checks.observe(&Observation { time_ms: self.time, seq: self.seq, what }) {
            self.broken.get_or_insert(v.invariant);
        }
    }
    fn event(&mut self, event: Event) {
        self.see(Obs::Server { node: 0, event: &event });
    }
    fn decide(&mut self, cxid: i32, kind: i32, txn: &Txn<'_>) -> Zxid {
        let zxid = z(self.next);
        self.next += 1;
        let header = TxnHeader { session: SESSION, cxid, zxid, time: 5, kind };
        self.tree.apply(&header, txn).expect("a legal history");
        let mut record = Vec::new();
        encode_record(&header, txn, Some(self.tree.digest()), &mut record);
        let record = Bytes::from(record);
        let (hash, digest) = (payload_hash(&record), self.tree.digest());
        self.event(Event::Proposed { zxid, hash, record });
        self.event(Event::Logged { zxid, hash });
        self.event(Event::Durable(zxid));
        self.event(Event::Decided(zxid));
        self.event(Event::Applied { zxid, hash, digest });
        zxid
    }
    fn decide_set(&mut self, cxid: i32) -> Zxid {
        self.decide(cxid, op::SET_DATA, &Txn::SetData { path: "/".into(), data: Some(b"v"), version: 1 })
    }
    fn attach(&mut self, conn: u64) {
        let (client, node, session, timeout_ms, seen) = (0, 0, SESSION, 4000, Zxid::ZERO);
        let (fresh, address, read_only) = (conn == 1, "10.0.0.9", false);
        self.see(Obs::Attached { conn, client, node, session, timeout_ms, fresh, seen, address, read_only });
    }
    fn ask(&mut self, conn: u64, xid: i32, request: &Request<'_>) {
        self.asked = self.time;
        self.see(Obs::Asked { conn, client: 0, session: SESSION, xid, request });
    }
    fn answer(&mut self, conn: u64, xid: i32, request: &Request<'_>, zxid: Zxid, err: ErrorCode) {
        let (client, session, bytes, asked_ms, asked_seq) = (0, SESSION, None, self.asked, 0);
        let body: Option<&Response<'_>> = None;
        self.see(Obs::Replied { conn, client, session, xid, request, zxid, err, body, bytes, asked_ms, asked_seq });
    }
    #[track_caller]
    fn ends_with(&self, broken: Option<&str>) {
        assert_eq!(self.broken, broken);
    }
}

#[test]
fn c10_a_write_on_a_connection_that_was_left() {
    let mut h = History::moved();
    h.ask(1, 5, &set());
    h.decide(5, op::ERROR, &Txn::Error(ErrorCode::SessionMoved));
    h.ends_with(None);

    let mut h = History::moved();
    h.ask(1, 5, &set());
    h.decide_set(5);
    h.ends_with(Some("C10"));

    for err in [ErrorCode::SessionMoved, ErrorCode::Ok] {
        let mut h = History::moved();
        h.ask(1, 5, &set());
        h.answer(1, 5, &set(), z(1), err);
        h.ends_with(Some("C10"));
    }

    let mut h = History::new(|_| {});
    h.see(Obs::Left { conn: 1, client: 0 });
    h.ask(1, 5, &set());
    h.decide_set(5);
    h.ends_with(None);
}

#[test]
fn c3_each_server_that_a_session_hears_goes_forward() {
    let mut h = History::moved();
    h.ask(2, 2, &get());
    h.answer(2, 2, &get(), z(1), ErrorCode::NoNode);
    let later = h.decide(0, op::ERROR, &Txn::Error(ErrorCode::SessionMoved));
    h.ask(2, 3, &get());
    h.answer(2, 3, &get(), later, ErrorCode::NoNode);
    h.ask(1, 4, &get());
    h.answer(1, 4, &get(), z(1), ErrorCode::NoNode);
    h.ends_with(None);
    h.ask(2, 5, &get());
    h.answer(2, 5, &get(), z(1), ErrorCode::NoNode);
    h.ends_with(Some("C3"));
}

#[test]
fn a_request_that_waited_is_refused_where_that_is_told_and_not_done() {
    let throttled = || History::new(|spec| (spec.limits.requests, spec.limits.request_wait_ms) = (1, 100));
    let mut h = throttled();
    h.ask(1, 1, &set());
    h.time = 200;
    h.answer(1, 1, &set(), z(1), ErrorCode::ThrottledOp);
    h.ends_with(None);
    h.decide_set(1);
    h.ends_with(Some("C2"));

    let mut h = throttled();
    h.ask(1, 1, &set());
    h.time = 20;
    h.answer(1, 1, &set(), z(1), ErrorCode::ThrottledOp);
    h.ends_with(Some("C3"));

    let mut h = throttled();
    h.ask(1, 1, &Request::CloseSession);
    h.time = 200;
    h.answer(1, 1, &Request::CloseSession, z(1), ErrorCode::ThrottledOp);
    h.ends_with(Some("C3"));

    let mut h = History::new(|_| {});
    h.ask(1, 1, &set());
    h.time = 200;
    h.answer(1, 1, &set(), z(1), ErrorCode::ThrottledOp);
    h.ends_with(Some("C3"));
}

#[test]
fn c6_to_the_millisecond_unless_a_clock_drifts() {
    let expire = |ms, drifts| {
        let mut h = History::new(|_| {});
        if drifts {
            let fault = Explicit::new(1, At::Us { us: 0 }, FaultKind::ClockDrift);
            h.see(Obs::Fault(&fault));
        }
        h.time = ms;
        h.event(Event::SessionExpired { session: SESSION, idle_ms: 4000, timeout_ms: 4000 });
        h.broken
    };
    assert_eq!((expire(3990, false), expire(3999, false)), (Some("C6"), None));
    assert_eq!((expire(2990, true), expire(3010, true)), (Some("C6"), None));

    // What it has answered counts from when it was asked.
    let mut h = History::new(|_| {});
    h.time = 3000;
    h.ask(1, 1, &get());
    h.answer(1, 1, &get(), z(1), ErrorCode::NoNode);
    h.time = 6900;
    h.event(Event::SessionExpired { session: SESSION, idle_ms: 4000, timeout_ms: 4000 });
    h.ends_with(Some("C6"));
}
