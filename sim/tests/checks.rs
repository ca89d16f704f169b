//! The checks against histories written by hand: the right ones pass, each wrong one breaks the property that is meant.

use bytes::Bytes;
use quorate_core::error::{CloseReason, ErrorCode};
use quorate_core::event::{Dir, Event, FileName, Health, Role};
use quorate_core::ids::{Epoch, LinkId, SessionId, Sid, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::client::{Create, EventKind, Request, Response};
use quorate_core::wire::records::{Acl, op};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, encode_record};
use quorate_core::zab::payload_hash;
use quorate_sim::check::Checks;
use quorate_sim::disk::SimDisk;
use quorate_sim::model::Model;
use quorate_sim::observe::DiskFault;
use quorate_sim::spec::{At, Core, Explicit, FaultKind, RunSpec};
use quorate_sim::{Check, Obs, Observation, Options, Verdict};

const SESSION: SessionId = SessionId(0x0100_0000_0000_0077);

/// Three voters and an observer, s3 leads. The first broken property is kept.
struct History {
    checks: Checks,
    /// Follows what is proposed, decided or not: its digests are what servers report.
    tree: Model,
    time: i64,
    seq: u64,
    broken: Option<&'static str>,
}

fn z(counter: u32) -> Zxid {
    Zxid::new(1, counter)
}

impl History {
    fn new() -> Self {
        let mut spec = RunSpec::default();
        spec.topology.observers = 1;
        let mut h = Self { checks: Checks::new(&spec), tree: Model::new(false), time: 0, seq: 0, broken: None };
        for n in 0..4 {
            h.recovered(n, Zxid::ZERO, 0, 0);
        }
        h
    }

    /// The same with s3 established in epoch 1, followed by all.
    fn led() -> Self {
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

    fn see(&mut self, what: Obs<'_>) {
        self.seq += 1;
        if let Err(v) = self.checks.observe(&Observation { time_ms: self.time, seq: self.seq, what }) {
            self.broken.get_or_insert(v.invariant);
        }
    }
    fn event(&mut self, node: usize, event: Event) {
        self.see(Obs::Server { node, event: &event });
    }
    fn recovered(&mut self, n: usize, last_logged: Zxid, accepted: Epoch, current: Epoch) {
        self.event(n, Event::RoleChanged { role: Role::Recovering, epoch: 0 });
        self.event(n, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        let (accepted_epoch, current_epoch) = (accepted, current);
        let applied = Zxid::ZERO;
        let health = Health::Intact;
        self.event(n, Event::Recovered { last_logged, applied, accepted_epoch, current_epoch, health });
    }

    fn record(&mut self, zxid: Zxid, session: SessionId, cxid: i32, kind: i32, txn: &Txn<'_>) -> Bytes {
        let header = TxnHeader { session, cxid, zxid, time: 5, kind };
        self.tree.apply(&header, txn).expect("a legal history");
        let mut record = Vec::new();
        encode_record(&header, txn, Some(self.tree.digest()), &mut record);
        record.into()
    }
    fn session(&mut self, zxid: Zxid) -> Bytes {
        self.record(zxid, SESSION, 0, op::CREATE_SESSION, &Txn::CreateSession { timeout: 4000 })
    }
    fn create(&mut self, zxid: Zxid, cxid: i32, path: &str) -> Bytes {
        let txn = Txn::Create {
            path: path.into(),
            data: Some(b"v"),
            acl: vec![Acl::world(31)],
            mode: CreateMode::Plain { ephemeral: false },
            parent_cversion: -1,
        };
        self.record(zxid, SESSION, cxid, op::CREATE, &txn)
    }

    fn propose(&mut self, zxid: Zxid, record: &Bytes) {
        let hash = payload_hash(record);
        self.event(2, Event::Proposed { zxid, hash, record: record.clone() });
        self.event(2, Event::Logged { zxid, hash });
    }
    fn log(&mut self, n: usize, zxid: Zxid, record: &Bytes) {
        self.event(n, Event::Logged { zxid, hash: payload_hash(record) });
    }
    fn durable(&mut self, n: usize, zxid: Zxid) {
        self.event(n, Event::Durable(zxid));
        self.event(n, Event::Acked(zxid));
    }
    fn apply(&mut self, n: usize, zxid: Zxid, record: &Bytes) {
        let digest = self.tree.digest();
        self.event(n, Event::Applied { zxid, hash: payload_hash(record), digest });
    }
    /// The whole way of a write, on s3 and s1.
    fn write(&mut self, zxid: Zxid, record: &Bytes) {
        self.propose(zxid, record);
        self.durable(2, zxid);
        self.log(0, zxid, record);
        self.durable(0, zxid);
        self.event(2, Event::Decided(zxid));
        self.apply(2, zxid, record);
        self.apply(0, zxid, record);
    }

    fn attach(&mut self) {
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
    fn ask(&mut self, xid: i32, request: &Request<'_>) {
        self.see(Obs::Asked { conn: 1, client: 0, session: SESSION, xid, request });
    }
    fn answer(&mut self, xid: i32, request: &Request<'_>, zxid: Zxid, err: ErrorCode, body: Option<&Response<'_>>) {
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

    fn fine(&self) {
        assert_eq!(self.broken, None);
    }
    fn breaks(&self, invariant: &str) {
        assert_eq!(self.broken, Some(invariant));
    }
}

fn create(path: &'static str) -> Request<'static> {
    Request::Create(Create {
        op: op::CREATE,
        path: Some(path.into()),
        data: Some(b"v"),
        acl: Some(vec![Acl::world(31)]),
        flags: 0,
        ttl: -1,
    })
}

fn created(path: &'static str) -> Response<'static> {
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

#[test]
fn z1_two_leaders_of_one_epoch() {
    let mut h = History::led();
    h.event(1, Event::Established { epoch: 1, last_logged: Zxid::ZERO });
    h.breaks("Z1");
}

#[test]
fn z2_an_epoch_goes_back() {
    let mut h = History::led();
    h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::Kill });
    h.recovered(0, Zxid::ZERO, 0, 0);
    h.breaks("Z2");
}

#[test]
fn z3_a_promise_before_it_is_durable() {
    let mut h = History::led();
    h.event(0, Event::EpochAcked(2));
    h.breaks("Z3");
}

#[test]
fn z3_an_ack_to_an_older_leader() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.event(0, Event::Durable(z(1)));
    h.event(0, Event::EpochAccepted(2));
    h.event(0, Event::EpochAcked(2));
    h.event(0, Event::Acked(z(1)));
    h.breaks("Z3");
}

#[test]
fn z4_a_payload_that_nobody_proposed() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.event(0, Event::Logged { zxid: z(1), hash: 1 });
    h.breaks("Z4");
}

#[test]
fn z5_applied_before_it_is_decided() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.durable(0, z(1));
    h.apply(0, z(1), &r);
    h.breaks("Z5");
}

#[test]
fn z10_a_cut_of_something_decided() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.event(0, Event::Truncated(Zxid::ZERO));
    h.breaks("Z10");
}

#[test]
fn z11_decided_without_a_quorum() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.durable(2, z(1));
    // An observer does not count.
    h.log(3, z(1), &r);
    h.event(3, Event::Durable(z(1)));
    h.event(2, Event::Decided(z(1)));
    h.breaks("Z11");
}

#[test]
fn z12_decided_out_of_order() {
    let mut h = History::led();
    let (a, b) = (h.session(z(1)), h.create(z(2), 0, "/a"));
    h.propose(z(1), &a);
    h.propose(z(2), &b);
    h.durable(2, z(2));
    h.log(0, z(1), &a);
    h.log(0, z(2), &b);
    h.durable(0, z(2));
    h.event(2, Event::Decided(z(2)));
    h.breaks("Z12");
}

#[test]
fn z13_an_ack_before_fsync_and_an_epoch_before_its_history() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.event(0, Event::Acked(z(1)));
    h.breaks("Z13");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    // s1 leads epoch 2 with that history, s2 vouches for the epoch without it.
    for n in [0, 1] {
        h.event(n, Event::EpochAccepted(2));
    }
    h.event(0, Event::EpochCurrent(2));
    h.event(1, Event::EpochAcked(2));
    h.fine();
    h.event(1, Event::EpochCurrent(2));
    h.breaks("Z13");
}

/// What a power cut left without its fsync is read again, and may be applied where it is known to be decided.
#[test]
fn z13_recovery_applies_what_it_has_read_and_no_more() {
    for (last, fine) in [(z(1), true), (Zxid::ZERO, false)] {
        let mut h = History::led();
        let r = h.session(z(1));
        h.propose(z(1), &r);
        h.durable(2, z(1));
        h.log(0, z(1), &r);
        h.log(1, z(1), &r);
        h.durable(1, z(1));
        h.event(2, Event::Decided(z(1)));
        h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::PowerCut });
        h.event(0, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        h.apply(0, z(1), &r);
        let (applied, health) = (z(1), Health::Intact);
        h.event(0, Event::Recovered { last_logged: last, applied, accepted_epoch: 1, current_epoch: 1, health });
        if fine {
            h.fine();
        } else {
            h.breaks("Z13");
        }
    }
}

#[test]
fn z14_a_hole_in_a_log() {
    let mut h = History::led();
    let (a, b) = (h.session(z(1)), h.create(z(2), 0, "/a"));
    h.propose(z(1), &a);
    h.propose(z(2), &b);
    h.log(0, z(2), &b);
    h.breaks("Z14");
}

#[test]
fn z16_a_vote_that_is_not_true() {
    let mut h = History::led();
    h.event(0, Event::ElectionStarted { round: 2, zxid: z(1), epoch: 1 });
    h.breaks("Z16");
}

#[test]
fn d1_another_digest() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.log(1, z(1), &r);
    h.durable(1, z(1));
    h.event(1, Event::RoleChanged { role: Role::Following, epoch: 1 });
    h.event(1, Event::Applied { zxid: z(1), hash: payload_hash(&r), digest: 1 });
    h.breaks("D1");
}

#[test]
fn u1_a_restart_that_forgets() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::PowerCut });
    h.recovered(0, Zxid::ZERO, 1, 1);
    h.breaks("U1");
}

#[test]
fn u1_an_answer_before_the_decision() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/a"));
    h.answer(2, &create("/a"), z(1), ErrorCode::Ok, Some(&created("/a")));
    h.breaks("U1");
}

#[test]
fn c1_replies_in_another_order() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let read = Request::Exists { path: Some("/a".into()), watch: false };
    h.ask(1, &read);
    h.ask(2, &read);
    h.answer(2, &read, z(1), ErrorCode::NoNode, None);
    h.breaks("C1");
}

#[test]
fn c2_a_transaction_that_is_not_what_was_asked() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/b"));
    let r = h.create(z(2), 2, "/a");
    h.write(z(2), &r);
    h.breaks("C2");
}

#[test]
fn c3_a_read_from_the_past_and_a_zxid_that_goes_back() {
    let history = || {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        h.ask(2, &create("/a"));
        let r = h.create(z(2), 2, "/a");
        h.write(z(2), &r);
        h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
        h.fine();
        h
    };
    let read = Request::Exists { path: Some("/a".into()), watch: false };
    for at in [z(1), z(2)] {
        let mut h = history();
        h.ask(3, &read);
        h.answer(3, &read, at, ErrorCode::NoNode, None);
        h.breaks("C3");
    }
}

#[test]
fn c4_and_c5_events() {
    let history = || {
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
        h.fine();
        h
    };
    let mut h = history();
    h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
    h.breaks("C4");
    let mut h = history();
    h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/b" });
    h.breaks("C5");
    let mut h = history();
    for _ in 0..2 {
        h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/a" });
    }
    h.breaks("C5");
}

#[test]
fn c6_a_session_that_ends_early() {
    let expired = Event::SessionExpired { session: SESSION, idle_ms: 4500, timeout_ms: 4000 };
    let mut h = History::led();
    h.event(0, expired.clone());
    h.breaks("C6");
    let mut h = History::led();
    h.time = 1000;
    h.event(2, expired.clone());
    h.breaks("C6");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.time = 9000;
    let close = h.record(z(2), SESSION, 0, op::CLOSE_SESSION, &Txn::CloseSession { paths: Some(Vec::new()) });
    h.propose(z(2), &close);
    h.breaks("C6");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.time = 9000;
    h.event(2, expired);
    let close = h.record(z(2), SESSION, 0, op::CLOSE_SESSION, &Txn::CloseSession { paths: Some(Vec::new()) });
    h.write(z(2), &close);
    h.fine();
}

/// A history with one acknowledged write, on s1 and s3.
fn acknowledged() -> History {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/a"));
    let r = h.create(z(2), 2, "/a");
    h.write(z(2), &r);
    h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
    h.fine();
    h
}

impl History {
    fn spoil(&mut self, node: usize) {
        self.see(Obs::Disk { node, fault: DiskFault::Lasting, log: false });
    }
    fn comes_back(&mut self, n: usize, zxid: Zxid, health: Health) {
        self.see(Obs::Stopped { node: n, how: quorate_sim::observe::Down::Kill });
        self.event(n, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        let applied = Zxid::ZERO;
        self.event(n, Event::Recovered { last_logged: zxid, applied, accepted_epoch: 1, current_epoch: 1, health });
    }
}

#[test]
fn u1_what_was_acknowledged_is_lost_disk_by_disk() {
    // One disk of three may be lost; the write is on another one.
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, Zxid::ZERO, Health::Damaged);
    h.fine();
    // With the second one nobody has it.
    h.spoil(2);
    h.comes_back(2, Zxid::ZERO, Health::Damaged);
    h.breaks("U1");
}

#[test]
fn u2_damage_that_passes_for_the_end_of_the_log() {
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, z(1), Health::Doubtful);
    h.fine();
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, z(1), Health::Intact);
    h.breaks("U2");
}

/// Disk with these snapshots and logs, of which s1 then removes the last one named.
fn removes(snapshots: &[u32], logs: &[u32], gone: &str) -> Option<&'static str> {
    let mut h = acknowledged();
    h.event(0, Event::RoleChanged { role: Role::Following, epoch: 1 });
    let mut disk = SimDisk::new(512);
    for counter in snapshots {
        disk.install(&FileName::new(Dir::Data, &format!("snapshot.{:x}", z(*counter).0)), b"whole");
    }
    for counter in logs {
        disk.install(&FileName::new(Dir::Log, &format!("log.{:x}", z(*counter).0)), b"log");
    }
    let dir = if gone.starts_with("log") { Dir::Log } else { Dir::Data };
    h.see(Obs::Unlinked { node: 0, name: &FileName::new(dir, gone), disk: &disk });
    h.broken
}

#[test]
fn u4_a_purge_that_takes_too_much() {
    assert_eq!(removes(&[1], &[2], "log.100000001"), None);
    assert_eq!(removes(&[2], &[], "log.100000001"), None);
    assert_eq!(removes(&[0], &[2], "log.100000001"), Some("U4"));
    assert_eq!(removes(&[], &[2], "snapshot.100000001"), Some("U4"));
    assert_eq!(removes(&[], &[], "own-snapshot.tmp"), None);
}

#[test]
fn u5_a_promise_without_a_log() {
    let acknowledged = || {
        let mut h = acknowledged();
        h.event(2, Event::RoleChanged { role: Role::Leading, epoch: 1 });
        h
    };
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Full, log: false });
    let r = h.create(z(3), 3, "/b");
    h.propose(z(3), &r);
    h.durable(2, z(3));
    h.fine();
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Error, log: true });
    h.event(2, Event::Durable(z(2)));
    h.breaks("U5");
    // It leads on, and says nothing else.
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Full, log: true });
    h.time = 10_000;
    h.event(2, Event::FsyncTook(1));
    h.breaks("U5");
}

#[test]
fn z9_a_leader_without_what_is_decided() {
    let leads = |says: Zxid| {
        let mut h = acknowledged();
        // s1 has lost what only s3 has now, and s2 never had it: the two must not open an epoch.
        h.spoil(0);
        h.comes_back(0, Zxid::ZERO, Health::Damaged);
        for n in [0, 1] {
            h.event(n, Event::EpochAccepted(2));
        }
        h.event(0, Event::EpochAcked(2));
        h.event(1, Event::EpochCurrent(2));
        h.event(0, Event::EpochCurrent(2));
        h.event(0, Event::NewLeaderAcked { epoch: 2, last_logged: Zxid::ZERO });
        h.fine();
        h.event(1, Event::Established { epoch: 2, last_logged: says });
        h
    };
    leads(Zxid::ZERO).breaks("Z9");
    // What it says of its log is not so.
    leads(z(2)).breaks("Z9");
}

#[test]
fn z15_a_follower_with_more_than_its_leader() {
    let mut h = acknowledged();
    let r = h.create(z(3), 3, "/b");
    h.propose(z(3), &r);
    h.durable(2, z(3));
    // s1 leads epoch 2 and has what is decided; s3 joins it with one more, which nobody else has.
    h.event(0, Event::RoleChanged { role: Role::Leading, epoch: 2 });
    for n in [0, 2] {
        h.event(n, Event::EpochAccepted(2));
    }
    h.event(0, Event::EpochCurrent(2));
    h.event(2, Event::RoleChanged { role: Role::Following, epoch: 2 });
    h.event(2, Event::EpochAcked(2));
    h.event(2, Event::EpochCurrent(2));
    h.fine();
    h.event(2, Event::NewLeaderAcked { epoch: 2, last_logged: z(3) });
    h.breaks("Z15");
}

/// The tree of s1, which applies what it is given, right or wrong.
struct Tree(DataTree);

impl Tree {
    fn new() -> Self {
        let mut tree = Self(DataTree::new(1, false));
        tree.apply(z(1), op::CREATE_SESSION, &Txn::CreateSession { timeout: 4000 });
        tree
    }
    fn apply(&mut self, zxid: Zxid, kind: i32, txn: &Txn<'_>) {
        let header = TxnHeader { session: SESSION, cxid: 0, zxid, time: 5, kind };
        self.0.apply(&header, txn, &mut Applied::default());
    }
    fn create(&mut self, zxid: Zxid, path: &'static str, right: i32, ephemeral: bool) {
        let (acl, mode) = (vec![Acl::world(right)], CreateMode::Plain { ephemeral });
        let txn = Txn::Create { path: path.into(), data: Some(b"v"), acl, mode, parent_cversion: -1 };
        self.apply(zxid, op::CREATE, &txn);
    }
}

impl History {
    fn looks(&mut self, tree: &Tree, at: Zxid, replaced: bool) {
        self.see(Obs::Tree { node: 0, tree: &tree.0, at, replaced });
    }
}

#[test]
fn d3_d9_and_c7_a_tree_that_differs() {
    // The session at 1, and /a at 2, as the tree of s1 has them.
    let looked = |change: &dyn Fn(&mut Tree)| {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let mut tree = Tree::new();
        h.looks(&tree, z(1), false);
        h.ask(2, &create("/a"));
        let r = h.create(z(2), 2, "/a");
        h.write(z(2), &r);
        h.fine();
        change(&mut tree);
        h.looks(&tree, z(2), false);
        h
    };
    looked(&|tree| tree.create(z(2), "/a", 31, false)).fine();
    looked(&|tree| tree.create(z(2), "/a", 1, false)).breaks("D9");
    looked(&|tree| {
        tree.create(z(2), "/a", 31, false);
        tree.apply(z(2), op::SET_DATA, &Txn::SetData { path: "/a".into(), data: Some(b"v"), version: 1 });
    })
    .breaks("D3");

    // The session has ended at 2, and there is an ephemeral znode of it.
    for late in [false, true] {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let mut tree = Tree::new();
        h.looks(&tree, z(1), false);
        h.ask(2, &Request::CloseSession);
        let close = Txn::CloseSession { paths: Some(Vec::new()) };
        let r = h.record(z(2), SESSION, 2, op::CLOSE_SESSION, &close);
        h.write(z(2), &r);
        tree.apply(z(2), op::CLOSE_SESSION, &close);
        if late {
            tree.create(z(2), "/e", 31, true);
        }
        h.looks(&tree, z(2), false);
        if late {
            h.breaks("C7");
        } else {
            h.fine();
        }
    }
}

/// What one server counts otherwise than the model differs as data does: D1, or D2 of a tree that was loaded. D6 is what both hold
/// and the znodes do not bear out.
#[test]
fn d6_a_quota_that_counts_wrong() {
    for (said, right) in [(&b"count=1,bytes=1"[..], true), (b"count=2,bytes=1", false)] {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let mut tree = Tree::new();
        let stats = "/zookeeper/quota/a/zookeeper_stats";
        let znodes = [
            ("/a", &b"v"[..]),
            ("/zookeeper/quota/a", b""),
            ("/zookeeper/quota/a/zookeeper_limits", b"count=5,bytes=100"),
            (stats, b""),
        ];
        let mut at = 1;
        for (path, data) in znodes {
            at += 1;
            let (acl, data) = (vec![Acl::world(31)], Some(data));
            let (op, ttl) = (op::CREATE, -1);
            let request = Create { op, path: Some(path.into()), data, acl: Some(acl.clone()), flags: 0, ttl };
            h.ask(at as i32, &Request::Create(request));
            let mode = CreateMode::Plain { ephemeral: false };
            let txn = Txn::Create { path: path.into(), data, acl, mode, parent_cversion: -1 };
            let r = h.record(z(at), SESSION, at as i32, op, &txn);
            h.write(z(at), &r);
            tree.apply(z(at), op, &txn);
        }
        h.looks(&tree, z(at), false);
        h.fine();
        at += 1;
        h.ask(at as i32, &Request::SetData { path: Some(stats.into()), data: Some(said), version: -1 });
        let txn = Txn::SetData { path: stats.into(), data: Some(said), version: 1 };
        let r = h.record(z(at), SESSION, at as i32, op::SET_DATA, &txn);
        h.write(z(at), &r);
        tree.apply(z(at), op::SET_DATA, &txn);
        h.looks(&tree, z(at), true);
        if right {
            h.fine();
        } else {
            h.breaks("D6");
        }
    }
}

#[test]
fn d7_a_znode_that_is_deleted_though_it_is_in_use() {
    // Neither a container nor with a time to live; then a container, before it ever had a child.
    for (op, flags, mode) in
        [(op::CREATE, 0, CreateMode::Plain { ephemeral: false }), (op::CREATE_CONTAINER, 4, CreateMode::Container)]
    {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let acl = vec![Acl::world(31)];
        let (path, data) = (Some("/a".into()), Some(&b"v"[..]));
        h.ask(2, &Request::Create(Create { op, path, data, acl: Some(acl.clone()), flags, ttl: -1 }));
        let txn = Txn::Create { path: "/a".into(), data, acl, mode, parent_cversion: -1 };
        let r = h.record(z(2), SESSION, 2, op, &txn);
        h.write(z(2), &r);
        h.fine();
        let r = h.record(z(3), SessionId::NONE, 0, op::DELETE_CONTAINER, &Txn::Delete { path: "/a".into() });
        h.write(z(3), &r);
        h.breaks("D7");
    }
}

#[test]
fn l3_and_l7_what_is_owed_after_healing() {
    let core = [0, 1, 2];
    let healed = || {
        let mut h = History::led();
        for n in [0, 1] {
            h.event(n, Event::UpToDate { epoch: 1, applied: Zxid::ZERO });
        }
        h.see(Obs::Healed { core: &core });
        h.fine();
        h
    };
    let owed = |h: &History, writing| h.checks.owed(&core, writing).map(|b| b.invariant);
    // A leader, both follow it, and clients ask for writes that nobody answers.
    assert_eq!((owed(&healed(), false), owed(&healed(), true)), (None, Some("L3")));
    // One leader after the other.
    let mut h = healed();
    for epoch in 2..=5 {
        assert_ne!(owed(&h, false), Some("L7"));
        for n in [0, 2] {
            h.event(n, Event::EpochAccepted(epoch));
        }
        h.event(2, Event::EpochCurrent(epoch));
        h.event(0, Event::EpochAcked(epoch));
        h.event(0, Event::EpochCurrent(epoch));
        h.event(0, Event::NewLeaderAcked { epoch, last_logged: Zxid::ZERO });
        h.event(2, Event::Established { epoch, last_logged: Zxid::ZERO });
        h.fine();
    }
    assert_eq!(owed(&h, false), Some("L7"));
}

/// L6 is the world's: here nobody purges, and snapshots pile up.
#[test]
fn l6_garbage_that_stays() {
    let kept = |purge_ticks| {
        let mut spec = RunSpec { seed: 1, ..RunSpec::default() };
        spec.faults.swarm = false;
        spec.timing.fault_ticks = 20;
        spec.timing.snap_count = 8;
        spec.limits.purge_ticks = purge_ticks;
        spec.checks.core = Core::All;
        let mut checks = Checks::new(&spec);
        let outcome = quorate_sim::run(&spec, &mut checks, Options::default());
        (outcome.verdict, outcome.violation.map(|v| v.invariant))
    };
    assert_eq!(kept(20), (Verdict::Pass, None));
    assert_eq!(kept(1_000_000), (Verdict::LivenessFailure, Some("L6")));
}

#[test]
fn z18_something_illegal_is_said() {
    let closed = |what| Event::LinkClosed {
        link: LinkId(1),
        remote: None,
        sid: Some(Sid(3)),
        why: CloseReason::Misbehaved(what),
    };
    let mut h = History::led();
    h.event(0, closed("leader offers an epoch older than the one promised"));
    h.fine();
    h.event(0, closed("PROPOSAL with a gap before it"));
    h.breaks("Z18");
    // Some things need a fault that makes them.
    let what = "notification frame of impossible length";
    let mut h = History::led();
    h.see(Obs::Fault(&Explicit::new(1, At::Us { us: 1 }, FaultKind::Corrupt)));
    h.event(0, closed(what));
    h.fine();
    let mut h = History::led();
    h.event(0, closed(what));
    h.breaks("Z18");
}

#[test]
fn c3_a_body_is_judged_byte_for_byte() {
    let answered = |bytes: &[u8]| {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let request = Request::AddWatch { path: Some("/a".into()), mode: 0 };
        h.ask(1, &request);
        h.see(Obs::Replied {
            conn: 1,
            client: 0,
            session: SESSION,
            xid: 1,
            request: &request,
            zxid: z(1),
            err: ErrorCode::Ok,
            body: Some(&Response::Number(0)),
            bytes: Some(bytes),
            asked_ms: 0,
            asked_seq: 0,
        });
        h
    };
    answered(&[0; 4]).fine();
    answered(&[0; 5]).breaks("C3");
    answered(&[]).breaks("C3");
}

#[test]
fn c1_nothing_is_answered_behind_an_opcode_that_does_not_exist() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.see(Obs::AskedNonsense { conn: 1, client: 0, xid: 1, op: 99, body: &[] });
    let read = Request::WhoAmI;
    h.ask(2, &read);
    let (xid, zxid, err) = (1, Zxid(-1), ErrorCode::Unimplemented);
    h.see(Obs::RepliedNonsense { conn: 1, client: 0, xid, zxid, err, bytes: &[], asked_ms: 0 });
    h.fine();
    let ids = Response::Ids(vec![quorate_core::wire::records::Id::new("ip", "10.0.0.9")]);
    h.answer(2, &read, z(1), ErrorCode::Ok, Some(&ids));
    h.breaks("C1");
}

#[test]
fn c5_a_watch_that_was_removed_is_silent() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let watch = Request::Exists { path: Some("/a".into()), watch: true };
    h.ask(1, &watch);
    h.answer(1, &watch, z(1), ErrorCode::NoNode, None);
    let remove = Request::RemoveWatches { path: Some("/a".into()), kind: 2 };
    h.ask(2, &remove);
    // Created before the client hears that its watch is gone, but behind it.
    h.ask(3, &create("/a"));
    let r = h.create(z(2), 3, "/a");
    h.write(z(2), &r);
    h.answer(2, &remove, z(1), ErrorCode::Ok, None);
    h.fine();
    h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/a" });
    h.breaks("C5");
}

#[test]
fn c3_whose_watch_it_was_is_known() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let check = Request::CheckWatches { path: Some("/a".into()), kind: 3 };
    h.ask(1, &check);
    h.answer(1, &check, z(1), ErrorCode::NoWatcher, None);
    h.fine();
    h.ask(2, &check);
    h.answer(2, &check, z(1), ErrorCode::Ok, None);
    h.breaks("C3");
}
