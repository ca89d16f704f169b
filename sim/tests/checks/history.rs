//! A history written by hand, told to the checks step by step.

use bytes::Bytes;
use quorate_core::error::ErrorCode;
use quorate_core::event::{Event, Health, Role};
use quorate_core::ids::{Epoch, SessionId, Zxid};
use quorate_core::wire::client::{Create, EventKind, Request, Response};
use quorate_core::wire::records::{Acl, op};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, encode_record};
use quorate_core::zab::payload_hash;
use quorate_sim::check::Checks;
use quorate_sim::model::Model;
use quorate_sim::spec::RunSpec;
use quorate_sim::{Check, Obs, Observation};

pub(crate) const SESSION: SessionId = SessionId(0x0100_0000_0000_0077);

/// Three voters and an observer, s3 leads. The first broken property is kept.
pub(crate) struct History {
    pub(crate) checks: Checks,
    /// Follows what is proposed, decided or not: its digests are what servers report.
    pub(crate) tree: Model,
    pub(crate) time: i64,
    pub(crate) seq: u64,
    pub(crate) broken: Option<&'static str>,
}

pub(crate) fn z(counter: u32) -> Zxid {
    Zxid::new(1, counter)
}

impl History {
    pub(crate) fn new() -> Self {
        let mut spec = RunSpec::default();
        spec.topology.observers = 1;
        let mut h = Self { checks: Checks::new(&spec), tree: Model::new(false), time: 0, seq: 0, broken: None };
        for n in 0..4 {
            h.recovered(n, Zxid::ZERO, 0, 0);
        }
        h
    }

    /// The same with s3 established in epoch 1, followed by all.
    pub(crate) fn led() -> Self {
        let mut h = Self::new();
        for n in 0..4 {
            h.event(n, Event::EpochAccepted(1));
        }
        for n in [0, 1, 3] {
            h.event(n, Event::EpochAcked(1));
        }
        h.event(2, Event::EpochCurrent(1));
        for n in [0, 1, 3] {
            h.event(n, Event::EpochCurrent(1));
            h.event(n, Event::NewLeaderAcked { epoch: 1, last_logged: Zxid::ZERO });
        }
        h.event(2, Event::Established { epoch: 1, last_logged: Zxid::ZERO });
        h.fine();
        h
    }

    pub(crate) fn see(&mut self, what: Obs<'_>) {
        self.seq += 1;
        if let Err(v) = self.checks.observe(&Observation { time_ms: self.time, seq: self.seq, what }) {
            self.broken.get_or_insert(v.invariant);
        }
    }
    pub(crate) fn event(&mut self, node: usize, event: Event) {
        self.see(Obs::Server { node, event: &event });
    }
    pub(crate) fn recovered(&mut self, n: usize, last_logged: Zxid, accepted: Epoch, current: Epoch) {
        self.event(n, Event::RoleChanged { role: Role::Recovering, epoch: 0 });
        self.event(n, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        let (accepted_epoch, current_epoch) = (accepted, current);
        let applied = Zxid::ZERO;
        let health = Health::Intact;
        self.event(n, Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health });
    }

    pub(crate) fn record(&mut self, zxid: Zxid, session: SessionId, cxid: i32, kind: i32, txn: &Txn<'_>) -> Bytes {
        let header = TxnHeader { session, cxid, zxid, time: 5, kind };
        self.tree.apply(&header, txn).expect("a legal history");
        let mut record = Vec::new();
        encode_record(&header, txn, Some(self.tree.digest()), &mut record);
        record.into()
    }
    pub(crate) fn session(&mut self, zxid: Zxid) -> Bytes {
        self.record(zxid, SESSION, 0, op::CREATE_SESSION, &Txn::CreateSession { timeout: 4000 })
    }
    pub(crate) fn create(&mut self, zxid: Zxid, cxid: i32, path: &str) -> Bytes {
        let txn = Txn::Create {
            path: path.into(),
            data: Some(b"v"),
            acl: vec![Acl::world(31)],
            mode: CreateMode::Plain { ephemeral: false },
            parent_cversion: -1,
        };
        self.record(zxid, SESSION, cxid, op::CREATE, &txn)
    }

    pub(crate) fn propose(&mut self, zxid: Zxid, record: &Bytes) {
        let hash = payload_hash(record);
        self.event(2, Event::Proposed { zxid, hash, record: record.clone() });
        self.event(2, Event::Logged { zxid, hash });
    }
    pub(crate) fn log(&mut self, n: usize, zxid: Zxid, record: &Bytes) {
        self.event(n, Event::Logged { zxid, hash: payload_hash(record) });
    }
    pub(crate) fn durable(&mut self, n: usize, zxid: Zxid) {
        self.event(n, Event::Durable(zxid));
        self.event(n, Event::Acked(zxid));
    }
    pub(crate) fn apply(&mut self, n: usize, zxid: Zxid, record: &Bytes) {
        let digest = self.tree.digest();
        self.event(n, Event::Applied { zxid, hash: payload_hash(record), digest });
    }
    /// The whole way of a write, on s3 and s1.
    pub(crate) fn write(&mut self, zxid: Zxid, record: &Bytes) {
        self.propose(zxid, record);
        self.durable(2, zxid);
        self.log(0, zxid, record);
        self.durable(0, zxid);
        self.event(2, Event::Decided(zxid));
        self.apply(2, zxid, record);
        self.apply(0, zxid, record);
    }

    pub(crate) fn attach(&mut self) {
        let what = Obs::Attached {
            conn: 1,
            client: 0,
            node: 0,
            session: SESSION,
            timeout_ms: 4000,
            fresh: true,
            seen: Zxid::ZERO,
            address: "10.0.0.9",
            read_only: false,
        };
        self.see(what);
    }
    pub(crate) fn ask(&mut self, xid: i32, request: &Request<'_>) {
        self.see(Obs::Asked { conn: 1, client: 0, session: SESSION, xid, request });
    }
    pub(crate) fn answer(
        &mut self,
        xid: i32,
        request: &Request<'_>,
        zxid: Zxid,
        err: ErrorCode,
        body: Option<&Response<'_>>,
    ) {
        let (conn, client, session, asked_ms, asked_seq) = (1, 0, SESSION, 0, 0);
        self.see(Obs::Replied {
            conn,
            client,
            session,
            xid,
            request,
            zxid,
            err,
            body,
            bytes: None,
            asked_ms,
            asked_seq,
        });
    }

    pub(crate) fn fine(&self) {
        assert_eq!(self.broken, None);
    }
    pub(crate) fn breaks(&self, invariant: &str) {
        assert_eq!(self.broken, Some(invariant));
    }
}

pub(crate) fn create(path: &'static str) -> Request<'static> {
    Request::Create(Create {
        op: op::CREATE,
        path: Some(path.into()),
        data: Some(b"v"),
        acl: Some(vec![Acl::world(31)]),
        flags: 0,
        ttl: -1,
    })
}

pub(crate) fn created(path: &'static str) -> Response<'static> {
    Response::Created { path: path.into(), stat: None }
}

#[test]
fn a_right_history_passes() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let watch = Request::Exists { path: Some("/a".into()), watch: true };
    h.ask(1, &watch);
    h.answer(1, &watch, z(1), ErrorCode::NoNode, None);
    h.ask(2, &create("/a"));
    let r = h.create(z(2), 2, "/a");
    h.write(z(2), &r);
    h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/a" });
    h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
    h.fine();
    assert_eq!((h.checks.tally().commits, h.checks.tally().writes, h.checks.tally().reads), (2, 1, 1));
}
