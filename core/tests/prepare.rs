//! Requests in flight: whatever is pipelined gives the same transactions and digests as if each had been applied at once.

use std::collections::VecDeque;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use quorate_core::config::{Features, PeerConfig};
use quorate_core::error::ErrorCode;
use quorate_core::ids::{Now, SessionId, Sid, Zxid};
use quorate_core::request::prepare::{Incoming, Outcome, Preparer};
use quorate_core::session::{Origin, Tracker};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::client::{Create, Request};
use quorate_core::wire::packet::{ForwardedRequest, Packet};
use quorate_core::wire::records::{Acl, Id, op, perm};
use quorate_core::wire::txn::{CreateMode, SubTxn, Txn, TxnHeader, decode_record};
use serde_json::Value;

const A: SessionId = SessionId(0x0100_0000_0000_0001);
const B: SessionId = SessionId(0x0200_0000_0000_0001);
const HERE: Origin = Origin::Local;
const ONE: Origin = Origin::Learner(Sid(2));
const TWO: Origin = Origin::Learner(Sid(3));

/// A leader whose transactions are applied when it is told so.
struct Leader {
    tree: DataTree,
    prepare: Preparer,
    tracker: Tracker,
    zxid: Zxid,
    wall_ms: i64,
    in_flight: VecDeque<Vec<u8>>,
    digests: bool,
}

impl Leader {
    fn new(cfg: &PeerConfig) -> Self {
        let tree = DataTree::new(cfg.seed, cfg.features.extended_types);
        let (prepare, tracker) = (Preparer::new(cfg, &tree), Tracker::new(1000));
        let (zxid, in_flight, digests) = (Zxid::ZERO, VecDeque::new(), cfg.features.tree_digest);
        let mut leader = Self { tree, prepare, tracker, zxid, wall_ms: 1000, in_flight, digests };
        for (session, origin) in [(A, HERE), (B, ONE)] {
            leader.ask(origin, session, &Request::CreateSession { timeout: 4000 }).expect("a new session");
        }
        leader.catch_up();
        leader
    }

    fn ask_as(
        &mut self,
        ids: &[Id<'static>],
        origin: Origin,
        session: SessionId,
        request: &Request<'_>,
    ) -> Result<Vec<u8>, Outcome> {
        let mut body = Vec::new();
        request.encode_body(&mut body);
        self.wall_ms += 7;
        let now = Now { mono_ms: self.wall_ms, wall_ms: self.wall_ms };
        let incoming = Incoming { session, cxid: 5, op: request.op(), body: &body, ids, origin };
        let mut record = Vec::new();
        let zxid = self.zxid.next();
        match self.prepare.prepare(&incoming, zxid, now, &self.tree, &mut self.tracker, &mut record) {
            Outcome::Txn => {
                self.zxid = zxid;
                self.in_flight.push_back(record.clone());
                Ok(record)
            }
            other => {
                assert!(record.is_empty());
                Err(other)
            }
        }
    }

    fn ask(&mut self, origin: Origin, session: SessionId, request: &Request<'_>) -> Result<Vec<u8>, Outcome> {
        self.ask_as(&[Id::new("ip", "127.0.0.1")], origin, session, request)
    }

    /// The error of a write of session A; `Ok` for none.
    fn err(&mut self, request: &Request<'_>) -> ErrorCode {
        let record = self.ask(HERE, A, request).expect("a transaction");
        match decode_record(&record).expect("a record").1 {
            Txn::Error(code) => code,
            _ => ErrorCode::Ok,
        }
    }

    fn apply_one(&mut self) -> bool {
        let Some(record) = self.in_flight.pop_front() else { return false };
        let (header, txn, digest) = decode_record(&record).expect("what was prepared decodes");
        self.tree.apply(&header, &txn, &mut Applied::default());
        match digest {
            Some(digest) => assert_eq!(digest.digest, self.tree.digest(), "digest after {txn:?}"),
            None => assert!(!self.digests || matches!(txn, Txn::Error(_)), "only errors go without a digest"),
        }
        self.prepare.applied(header.zxid, &self.tree);
        if let Txn::CloseSession { .. } = txn {
            self.tracker.remove(header.time, header.session);
        }
        true
    }

    fn catch_up(&mut self) {
        while self.apply_one() {}
    }
}

fn create<'a>(path: &'a str, flags: i32) -> Request<'a> {
    create_with(op::CREATE2, path, flags, -1, vec![Acl::world(perm::ALL)])
}
fn create_with<'a>(op: i32, path: &'a str, flags: i32, ttl: i64, acl: Vec<Acl<'a>>) -> Request<'a> {
    Request::Create(Create { op, path: Some(path.into()), data: Some(b"d"), acl: Some(acl), flags, ttl })
}
fn set<'a>(path: &'a str, version: i32) -> Request<'a> {
    Request::SetData { path: Some(path.into()), data: Some(b"new"), version }
}
fn delete(path: &str, version: i32) -> Request<'_> {
    Request::Delete { path: Some(path.into()), version }
}
fn parts(record: &[u8]) -> Vec<SubTxn<'_>> {
    match decode_record(record).expect("a record").1 {
        Txn::Multi(parts) => parts,
        other => panic!("a multi, not {other:?}"),
    }
}

// ----- what is in flight counts -------------------------------------------------------------------------------------

#[test]
fn writes_see_those_before_them_that_are_not_applied_yet() {
    let mut leader = Leader::new(&PeerConfig::default());
    assert_eq!(leader.err(&create("/a", 0)), ErrorCode::Ok);
    assert_eq!(leader.err(&create("/a", 0)), ErrorCode::NodeExists);
    assert_eq!(leader.err(&set("/a", 0)), ErrorCode::Ok);
    assert_eq!(leader.err(&set("/a", 0)), ErrorCode::BadVersion);
    assert_eq!(leader.err(&create("/a/b", 0)), ErrorCode::Ok);
    assert_eq!(leader.err(&delete("/a", 1)), ErrorCode::NotEmpty);
    assert_eq!(leader.err(&delete("/a/b", -1)), ErrorCode::Ok);
    assert_eq!(leader.err(&delete("/a", 1)), ErrorCode::Ok);
    assert_eq!(leader.err(&set("/a", -1)), ErrorCode::NoNode);
    leader.catch_up();
    assert!(leader.tree.node("/a").is_none());
}

#[test]
fn an_ephemeral_in_flight_is_deleted_by_the_close_of_its_session() {
    // ZOOKEEPER-3145
    let mut leader = Leader::new(&PeerConfig::default());
    for path in ["/kept", "/gone", "/late"] {
        leader.ask(HERE, A, &create(path, 1)).expect("a transaction");
        if path != "/late" {
            leader.catch_up();
        }
    }
    leader.ask(ONE, B, &delete("/gone", -1)).expect("a transaction");
    let record = leader.ask(HERE, A, &Request::CloseSession).expect("a transaction");
    let (_, txn, digest) = decode_record(&record).expect("a record");
    assert_eq!(txn, Txn::CloseSession { paths: Some(vec!["/kept".into(), "/late".into()]) });
    assert!(digest.is_some());
    leader.catch_up();
    assert_eq!(leader.tree.ephemeral_count(), 0);
}

#[test]
fn nothing_of_a_session_comes_behind_its_close() {
    // ZOOKEEPER-1208
    let mut leader = Leader::new(&PeerConfig::default());
    leader.ask(HERE, A, &Request::CloseSession).expect("a transaction");
    assert_eq!(leader.ask(HERE, A, &create("/a", 1)), Err(Outcome::Dropped));
    leader.ask(ONE, B, &Request::CloseSession).expect("a transaction");
    // A learner waits for a transaction of its own.
    let record = leader.ask(ONE, B, &create("/b", 1)).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::Error(ErrorCode::SessionExpired));
    leader.catch_up();
    let record = leader.ask(ONE, B, &set("/", -1)).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::Error(ErrorCode::SessionExpired));
    assert_eq!(leader.tree.ephemeral_count(), 0);
}

#[test]
fn a_session_is_written_for_by_its_owner_only_and_made_once() {
    let mut leader = Leader::new(&PeerConfig::default());
    let record = leader.ask(TWO, B, &set("/", -1)).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::Error(ErrorCode::SessionMoved));
    assert!(leader.tracker.revalidate(0, B, 4000, TWO));
    let record = leader.ask(TWO, B, &set("/", -1)).expect("a transaction");
    assert!(matches!(decode_record(&record).expect("a record").1, Txn::SetData { .. }));
    let again = leader.ask(ONE, B, &Request::CreateSession { timeout: 4000 });
    assert_eq!(again, Err(Outcome::Refused(ErrorCode::SessionExpired)));
}

#[test]
fn local_sessions_of_others_write_but_own_no_ephemeral() {
    let features = Features { local_sessions: true, ..Features::default() };
    let mut leader = Leader::new(&PeerConfig { sid: Sid(9), features, ..PeerConfig::default() });
    let local = SessionId(0x0200_0000_0000_0077);
    let mut ask = |session, request: &Request<'_>| {
        let record = leader.ask(ONE, session, request).expect("a transaction");
        match decode_record(&record).expect("a record").1 {
            Txn::Error(code) => code,
            Txn::Multi(parts) => ErrorCode::from_code(i32::from_be_bytes(parts[0].body.try_into().expect("an int"))),
            _ => ErrorCode::Ok,
        }
    };
    assert_eq!(ask(local, &set("/", -1)), ErrorCode::Ok);
    assert_eq!(ask(local, &create("/e", 1)), ErrorCode::SessionExpired);
    assert_eq!(ask(local, &Request::Multi(vec![create("/e", 1)])), ErrorCode::SessionExpired);
    // It carries this server's byte, and this server does not know it.
    assert_eq!(ask(SessionId(0x0900_0000_0000_0077), &set("/", -1)), ErrorCode::SessionExpired);
}

// ----- as a real leader did ------------------------------------------------------------------------------------------

#[test]
fn recorded_requests_become_the_recorded_proposals() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/quorum/02-proposals.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a vector")).expect("JSON");
    let unhex = |m: &Value| -> Vec<u8> {
        let hex = m["hex"].as_str().expect("hex");
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex digits")).collect()
    };
    let cfg = PeerConfig::default();
    let mut tree = DataTree::new(0, false);
    let (mut prepare, mut tracker) = (Preparer::new(&cfg, &tree), Tracker::new(1000));
    let ids = [Id::new("ip", "127.0.0.1")];
    let mut asked: VecDeque<Vec<u8>> = VecDeque::new();
    let (mut last, mut compared) = (Zxid::ZERO, 0);
    for message in json["messages"].as_array().expect("messages") {
        let bytes = unhex(message);
        let kind = message["type"].as_str().expect("type");
        let data = |bytes: &[u8]| {
            let (packet, _) = Packet::decode(bytes, 1 << 20).expect("a packet").expect("a whole packet");
            packet.data.expect("data").to_vec()
        };
        if kind == "REQUEST" {
            let request = data(&bytes);
            if ForwardedRequest::decode(&request).expect("a request").op != op::SYNC {
                asked.push_back(request);
            }
        }
        if kind != "PROPOSAL" {
            continue;
        }
        let proposal = data(&bytes);
        let (header, txn, _) = decode_record(&proposal).expect("a record");
        if header.zxid <= last {
            // The same to the other learner.
            continue;
        }
        last = header.zxid;
        let Some(request) = asked.pop_front() else {
            // The leader's own clients come last.
            assert_eq!(header.session.0 as u64 >> 56, 3);
            break;
        };
        let ForwardedRequest { session, cxid, op, body } = ForwardedRequest::decode(&request).expect("a request");
        let incoming = Incoming { session, cxid, op, body, ids: &ids, origin: ONE };
        let now = Now { mono_ms: 0, wall_ms: header.time };
        let mut record = Vec::new();
        let outcome = prepare.prepare(&incoming, header.zxid, now, &tree, &mut tracker, &mut record);
        assert_eq!((outcome, &record), (Outcome::Txn, &proposal), "{txn:?}");
        compared += 1;
        tree.apply(&header, &txn, &mut Applied::default());
        prepare.applied(header.zxid, &tree);
    }
    assert_eq!(compared, 8);
}

// ----- multi ---------------------------------------------------------------------------------------------------------

#[test]
fn a_failed_multi_is_logged_and_changes_nothing() {
    let mut leader = Leader::new(&PeerConfig::default());
    leader.ask(HERE, A, &create("/p", 0)).expect("a transaction");
    let before = leader.prepare_digest();
    let multi = Request::Multi(vec![create("/p/e", 1), create("/p/s-", 2), delete("/p/none", -1), set("/p", -1)]);
    let record = leader.ask(HERE, A, &multi).expect("a transaction");
    let (header, _, digest) = decode_record(&record).expect("a record");
    assert_eq!((header.kind, digest.expect("a digest").digest), (op::MULTI, before));
    let logged = parts(&record);
    let kinds: Vec<i32> = logged.iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [op::CREATE2, op::CREATE2, op::ERROR, op::ERROR]);
    assert_eq!(logged[2].body, (-101_i32).to_be_bytes());
    assert_eq!(logged[3].body, (-2_i32).to_be_bytes());
    // Neither the number nor the ephemeral is left behind.
    let record = leader.ask(HERE, A, &create("/p/s-", 2)).expect("a transaction");
    let Txn::Create { path, parent_cversion, .. } = decode_record(&record).expect("a record").1 else { panic!() };
    assert_eq!((&*path, parent_cversion), ("/p/s-0000000000", 1));
    let record = leader.ask(HERE, A, &Request::CloseSession).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::CloseSession { paths: Some(vec![]) });
    leader.catch_up();
}

#[test]
fn ops_of_a_multi_see_those_before_them() {
    let mut leader = Leader::new(&PeerConfig::default());
    let multi = Request::Multi(vec![
        create("/q", 0),
        set("/q", 0),
        Request::Check { path: Some("/q".into()), version: 1 },
        delete("/q", 1),
        create("/q", 0),
        create("/q/n", 2),
        create("/q/n", 2),
    ]);
    let record = leader.ask(HERE, A, &multi).expect("a transaction");
    assert!(parts(&record).iter().all(|p| p.kind != op::ERROR));
    assert_eq!(leader.err(&Request::Multi(vec![])), ErrorCode::Ok);
    leader.catch_up();
    assert!(leader.tree.node("/q/n0000000001").is_some());
}

#[test]
fn a_malformed_multi_consumes_a_zxid_and_a_malformed_write_does_not() {
    let mut leader = Leader::new(&PeerConfig::default());
    let mixed = Request::Multi(vec![create("/a", 0), Request::GetData { path: Some("/".into()), watch: false }]);
    assert_eq!(leader.err(&mixed), ErrorCode::MarshallingError);
    assert_eq!(leader.err(&Request::Multi(vec![create("/a", 9)])), ErrorCode::MarshallingError);
    let null = Request::Multi(vec![Request::Delete { path: None, version: -1 }]);
    assert_eq!(leader.err(&null), ErrorCode::MarshallingError);
    assert_eq!(leader.err(&Request::Delete { path: None, version: -1 }), ErrorCode::MarshallingError);
    let now = Now { mono_ms: 0, wall_ms: 0 };
    for (kind, outcome) in [
        (op::SET_DATA, Outcome::Refused(ErrorCode::MarshallingError)),
        (op::CREATE, Outcome::Refused(ErrorCode::MarshallingError)),
        (op::MULTI, Outcome::Txn),
        (op::EXISTS, Outcome::Refused(ErrorCode::MarshallingError)),
        (999, Outcome::Refused(ErrorCode::Unimplemented)),
    ] {
        let incoming = Incoming { session: A, cxid: 1, op: kind, body: &[0, 0, 0], ids: &[], origin: HERE };
        let mut out = Vec::new();
        let got =
            leader.prepare.prepare(&incoming, leader.zxid.next(), now, &leader.tree, &mut leader.tracker, &mut out);
        assert_eq!(got, outcome, "opcode {kind}");
    }
}

// ----- kinds of create, in the order of their checks -----------------------------------------------------------------

#[test]
fn flags_and_opcode_give_the_kind() {
    let features = Features { extended_types: true, ..Features::default() };
    let mut leader = Leader::new(&PeerConfig { features, ..PeerConfig::default() });
    let open = || vec![Acl::world(perm::ALL)];
    let mut n = 0;
    let mut make = |kind, flags, ttl| {
        n += 1;
        let path = format!("/k{n}-");
        let record = leader.ask(HERE, A, &create_with(kind, &path, flags, ttl, open())).expect("a transaction");
        let (header, txn, _) = decode_record(&record).expect("a record");
        match txn {
            Txn::Create { mode, .. } => Ok((header.kind, mode)),
            Txn::Error(code) => Err(code),
            other => panic!("{other:?}"),
        }
    };
    let plain = |ephemeral| CreateMode::Plain { ephemeral };
    assert_eq!(make(op::CREATE, 0, -1), Ok((op::CREATE, plain(false))));
    assert_eq!(make(op::CREATE2, 3, -1), Ok((op::CREATE2, plain(true))));
    assert_eq!(make(op::CREATE2, 4, -1), Ok((op::CREATE2, plain(false))));
    assert_eq!(make(op::CREATE_CONTAINER, 1, -1), Ok((op::CREATE_CONTAINER, CreateMode::Container)));
    assert_eq!(make(op::CREATE_CONTAINER, 0, -1), Ok((op::CREATE_CONTAINER, CreateMode::Container)));
    assert_eq!(make(op::CREATE_TTL, 6, 0xff_ffff_ffff), Ok((op::CREATE_TTL, CreateMode::Ttl(0xff_ffff_ffff))));
    for (kind, flags, ttl) in [
        (op::CREATE, 5, -1),
        (op::CREATE, 7, -1),
        (op::CREATE, -1, -1),
        (op::CREATE_CONTAINER, 6, -1),
        (op::CREATE_TTL, 5, 0),
        (op::CREATE_TTL, 5, 0x100_0000_0000),
        (op::CREATE_TTL, 0, -1),
        (op::CREATE_TTL, 0, 5),
    ] {
        assert_eq!(make(kind, flags, ttl), Err(ErrorCode::BadArguments), "{kind} {flags} {ttl}");
    }
}

#[test]
fn without_extended_types_a_ttl_is_not_implemented() {
    let mut leader = Leader::new(&PeerConfig::default());
    assert_eq!(leader.err(&create_with(op::CREATE_TTL, "x", 5, 0, vec![])), ErrorCode::Unimplemented);
    assert_eq!(leader.err(&create_with(op::CREATE_TTL, "x", 8, 0, vec![])), ErrorCode::BadArguments);
}

#[test]
fn the_first_failing_check_of_create_is_the_answer() {
    let mut leader = Leader::new(&PeerConfig::default());
    let mut of = |path, acl| leader.err(&create_with(op::CREATE, path, 0, -1, acl));
    let open = || vec![Acl::world(perm::ALL)];
    assert_eq!(of("/e", open()), ErrorCode::Ok);
    assert_eq!(of("/deaf", vec![Acl::world(perm::READ)]), ErrorCode::Ok);
    assert_eq!(of("a", vec![]), ErrorCode::BadArguments);
    assert_eq!(of("/none/\u{1}", vec![]), ErrorCode::InvalidAcl);
    assert_eq!(of("/none/\u{1}", open()), ErrorCode::NoNode);
    assert_eq!(of("/deaf/\u{1}", open()), ErrorCode::NoAuth);
    assert_eq!(of("/e/\u{1}", open()), ErrorCode::BadArguments);
    assert_eq!(of("/e", open()), ErrorCode::NodeExists);
    assert_eq!(of("/", open()), ErrorCode::NodeExists);
    assert_eq!(leader.err(&create("/eph", 1)), ErrorCode::Ok);
    assert_eq!(leader.err(&create("/eph/x", 0)), ErrorCode::NoChildrenForEphemerals);
    leader.catch_up();
}

#[test]
fn acls_are_those_in_flight() {
    let mut leader = Leader::new(&PeerConfig::default());
    leader.ask(HERE, A, &create("/a", 0)).expect("a transaction");
    let me = [Id::new("digest", "me:x"), Id::new("ip", "127.0.0.1")];
    let auth = vec![Acl { perms: perm::ALL, id: Id::new("auth", "") }];
    let lock = Request::SetAcl { path: Some("/a".into()), acl: Some(auth), version: 0 };
    assert_eq!(leader.err(&lock), ErrorCode::InvalidAcl);
    let record = leader.ask_as(&me, HERE, A, &lock).expect("a transaction");
    let Txn::SetAcl { acl, version, .. } = decode_record(&record).expect("a record").1 else { panic!() };
    assert_eq!((acl, version), (vec![Acl { perms: perm::ALL, id: me[0].clone() }], 1));
    assert_eq!(leader.err(&set("/a", -1)), ErrorCode::NoAuth);
    leader.ask_as(&me, HERE, A, &set("/a", -1)).expect("a transaction");
    leader.catch_up();
    assert_eq!(leader.tree.node("/a").expect("made").stat().version, 1);
}

#[test]
fn the_reaper_deletes_only_what_is_still_due() {
    let features = Features { extended_types: true, ..Features::default() };
    let mut leader = Leader::new(&PeerConfig { features, ..PeerConfig::default() });
    let reap = |leader: &mut Leader, path: &'static str| {
        let request = Request::DeleteContainer { path: Some(path.into()) };
        let record = leader.ask(HERE, SessionId::NONE, &request).expect("a transaction");
        let (header, txn, _) = decode_record(&record).expect("a record");
        match txn {
            Txn::Error(code) => code,
            _ => {
                assert_eq!((header.kind, header.session), (op::DELETE_CONTAINER, SessionId::NONE));
                ErrorCode::Ok
            }
        }
    };
    let open = || vec![Acl::world(perm::ALL)];
    leader.err(&create_with(op::CREATE_CONTAINER, "/c", 4, -1, open()));
    assert_eq!(reap(&mut leader, "/c"), ErrorCode::BadVersion, "it never had a child");
    leader.err(&create("/c/x", 0));
    assert_eq!(reap(&mut leader, "/c"), ErrorCode::NotEmpty);
    leader.err(&delete("/c/x", -1));
    leader.catch_up();
    // Between the scan and here it became something else.
    leader.err(&delete("/c", -1));
    assert_eq!(reap(&mut leader, "/c"), ErrorCode::NoNode);
    leader.err(&create("/c", 0));
    assert_eq!(reap(&mut leader, "/c"), ErrorCode::BadVersion);
    leader.err(&create_with(op::CREATE_TTL, "/t", 5, 50, open()));
    leader.wall_ms += 100;
    leader.err(&set("/t", -1));
    assert_eq!(reap(&mut leader, "/t"), ErrorCode::BadVersion, "it was used again");
    leader.wall_ms += 100;
    assert_eq!(reap(&mut leader, "/t"), ErrorCode::Ok);
    let client = Request::DeleteContainer { path: Some("/c".into()) };
    assert_eq!(leader.err(&client), ErrorCode::Unimplemented);
    leader.catch_up();
}

#[test]
fn a_soft_limit_is_told_and_a_hard_one_refuses_where_quotas_are_enforced() {
    let limits = |text: &'static [u8], enforce: bool| {
        let features = Features { enforce_quota: enforce, ..Features::default() };
        let mut leader = Leader::new(&PeerConfig { features, ..PeerConfig::default() });
        for (path, data) in [
            ("/q", &b"12345"[..]),
            ("/zookeeper/quota/q", b""),
            ("/zookeeper/quota/q/zookeeper_limits", text),
            ("/zookeeper/quota/q/zookeeper_stats", b"count=0,bytes=0"),
        ] {
            let acl = Some(vec![Acl::world(perm::ALL)]);
            let create = Create { op: op::CREATE, path: Some(path.into()), data: Some(data), acl, flags: 0, ttl: -1 };
            assert_eq!(leader.err(&Request::Create(create)), ErrorCode::Ok, "{path}");
            leader.catch_up();
        }
        assert_eq!(leader.prepare.quota_warning(), None);
        leader
    };
    // A soft limit of two znodes: equal is allowed, and more is, with a word about it.
    let mut leader = limits(b"count=2,bytes=-1", true);
    let one_more = |leader: &mut Leader, path: &str| {
        let err = leader.err(&create(path, 0));
        leader.catch_up();
        (err, leader.prepare.quota_warning())
    };
    assert_eq!(one_more(&mut leader, "/q/a"), (ErrorCode::Ok, None));
    let told = |what: &str| Some(what.to_string());
    let first = told("Quota exceeded: /q [current count=3, softCountLimit=2]");
    assert_eq!(one_more(&mut leader, "/q/b"), (ErrorCode::Ok, first));
    // Not for every write, and those in between are counted.
    assert_eq!(one_more(&mut leader, "/q/c"), (ErrorCode::Ok, None));
    assert_eq!(leader.err(&set("/q/c", -1)), ErrorCode::Ok, "bytes have no limit");
    leader.wall_ms += 10_000;
    let second = "Quota exceeded: /q [current count=5, softCountLimit=2], and 1 other writes since the last message";
    assert_eq!(one_more(&mut leader, "/q/d"), (ErrorCode::Ok, told(second)));
    // Hard limits: of bytes here, and without a look at the soft one.
    let hard = b"count=-1,bytes=1=;byteHardLimit=6";
    let mut leader = limits(hard, true);
    assert_eq!(one_more(&mut leader, "/q/a"), (ErrorCode::Ok, None));
    let full = told("Quota exceeded: /q [current bytes=7, hardBytesLimit=6]");
    assert_eq!(one_more(&mut leader, "/q/b"), (ErrorCode::QuotaExceeded, full.clone()));
    // Where they are not enforced, a hard limit is told.
    let mut leader = limits(hard, false);
    assert_eq!(one_more(&mut leader, "/q/a"), (ErrorCode::Ok, None));
    assert_eq!(one_more(&mut leader, "/q/b"), (ErrorCode::Ok, full));
    // What cannot be read limits nothing and refuses nothing.
    let mut leader = limits(b"count=x,bytes=", true);
    assert_eq!(one_more(&mut leader, "/q/a"), (ErrorCode::Ok, None));
}

#[test]
fn versions_never_are_the_one_that_means_any() {
    let mut leader = Leader::new(&PeerConfig::default());
    leader.err(&create("/v", 0));
    leader.catch_up();
    let header = TxnHeader { session: A, cxid: 0, zxid: leader.zxid.next(), time: 1, kind: op::SET_DATA };
    for (present, next) in [(i32::MAX, i32::MIN), (-2, 0), (-3, -2)] {
        let txn = Txn::SetData { path: "/v".into(), data: None, version: present };
        leader.tree.apply(&header, &txn, &mut Applied::default());
        leader.prepare = Preparer::new(&PeerConfig::default(), &leader.tree);
        let record = leader.ask(HERE, A, &set("/v", -1)).expect("a transaction");
        let Txn::SetData { version, .. } = decode_record(&record).expect("a record").1 else { panic!() };
        assert_eq!(version, next);
    }
}

#[test]
fn the_last_number_of_a_parent_is_handed_out_and_then_taken() {
    let mut leader = Leader::new(&PeerConfig::default());
    leader.err(&create("/q", 0));
    leader.catch_up();
    let header = TxnHeader { session: A, cxid: 0, zxid: leader.zxid.next(), time: 1, kind: op::CREATE };
    let mode = CreateMode::Plain { ephemeral: false };
    let path = "/q/first".into();
    let txn = Txn::Create { path, data: None, acl: vec![Acl::world(31)], mode, parent_cversion: i32::MAX };
    leader.tree.apply(&header, &txn, &mut Applied::default());
    leader.zxid = header.zxid;
    leader.prepare = Preparer::new(&PeerConfig::default(), &leader.tree);
    let record = leader.ask(HERE, A, &create("/q/n", 2)).expect("a transaction");
    let Txn::Create { path, .. } = decode_record(&record).expect("a record").1 else { panic!() };
    assert_eq!(path, "/q/n2147483647");
    assert_eq!(leader.err(&create("/q/n", 2)), ErrorCode::NodeExists);
    assert_eq!(leader.err(&create("/q/other", 0)), ErrorCode::Ok);
    leader.catch_up();
    assert_eq!(leader.err(&create("/q/n", 2)), ErrorCode::NodeExists);
    leader.catch_up();
}

#[test]
fn reconfig_is_off_and_a_tree_without_digest_has_none() {
    let features = Features { tree_digest: false, ..Features::default() };
    let mut leader = Leader::new(&PeerConfig { features, ..PeerConfig::default() });
    let reconfig = Request::Reconfig { joining: None, leaving: None, new_members: None, config_id: -1 };
    assert_eq!(leader.err(&reconfig), ErrorCode::ReconfigDisabled);
    let record = leader.ask(HERE, A, &create("/a", 0)).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").2, None);
}

// ----- anything, in any rhythm ---------------------------------------------------------------------------------------

/// One step of a random history.
#[derive(Clone, Debug)]
struct Move {
    kind: u8,
    path: u8,
    more: u8,
    /// Transactions applied behind it, by the one that lags.
    applied: u8,
    parts: Vec<(u8, u8, u8)>,
}

impl Arbitrary for Move {
    fn arbitrary(g: &mut Gen) -> Self {
        let parts = Vec::<(u8, u8, u8)>::arbitrary(g).into_iter().take(3).collect();
        let byte = u8::arbitrary;
        Self { kind: byte(g), path: byte(g), more: byte(g), applied: byte(g), parts }
    }
}

const PATHS: [&str; 16] = [
    "/a",
    "/a",
    "/a",
    "/b",
    "/b",
    "/a/x",
    "/a/x",
    "/a/y",
    "/a/y",
    "/a/x/z",
    "/a/x/z",
    "/b/x",
    "/b/x",
    "/zookeeper/q",
    "/bad/",
    "/a/x/",
];

fn single(kind: u8, path: u8, more: u8) -> Request<'static> {
    let path = PATHS[usize::from(path) % PATHS.len()];
    let version = if more.is_multiple_of(5) { i32::from(more % 3) } else { -1 };
    let acl = match more % 16 {
        0 => vec![Acl::world(perm::READ | perm::CREATE)],
        1 => vec![Acl { perms: perm::ALL, id: Id::new("ip", "127.0.0.0/8") }],
        2 => vec![],
        _ => vec![Acl::world(perm::ALL)],
    };
    match kind % 12 {
        0..=3 => {
            let op = [1, 15, 19, 21][usize::from(more) % 4];
            let flags = match op {
                _ if more > 220 => more % 8,
                op::CREATE_CONTAINER => 4,
                op::CREATE_TTL => 5 + more / 4 % 2,
                _ => more / 4 % 4,
            };
            create_with(op, path, flags.into(), 40, acl)
        }
        4 | 5 => create_with(op::CREATE, path, i32::from(more % 4), -1, acl),
        6 | 7 => delete(path, version),
        8 | 9 => {
            let data = [Some(&b"one"[..]), None, Some(&[]), Some(&b"longer data"[..])][usize::from(more) % 4];
            Request::SetData { path: Some(path.into()), data, version }
        }
        10 => Request::Check { path: Some(path.into()), version },
        _ => Request::SetAcl { path: Some(path.into()), acl: Some(acl), version },
    }
}

impl Leader {
    fn play(&mut self, step: &Move) -> Result<Vec<u8>, Outcome> {
        let (session, origin) = if step.more & 1 == 0 { (A, HERE) } else { (B, ONE) };
        match step.kind {
            7..=9 => self.ask(origin, session, &Request::CloseSession),
            10..=30 => self.ask(origin, session, &Request::CreateSession { timeout: 4000 }),
            31..=90 => {
                let parts = step.parts.iter().map(|(kind, path, more)| single(kind % 11, *path, *more));
                self.ask(origin, session, &Request::Multi(parts.collect()))
            }
            91..=100 => {
                let path = PATHS[usize::from(step.path) % PATHS.len()];
                self.ask(HERE, SessionId::NONE, &Request::DeleteContainer { path: Some(path.into()) })
            }
            kind => self.ask(origin, session, &single(kind, step.path, step.more)),
        }
    }

    fn prepare_digest(&mut self) -> u64 {
        let record = self.ask(HERE, A, &Request::Multi(vec![])).expect("a transaction");
        decode_record(&record).expect("a record").2.expect("a digest").digest
    }
}

#[test]
fn hostile_bodies_are_refused_or_logged_and_never_break_the_digest() {
    const OPS: [i32; 12] = [1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21, -11];
    fn survives(steps: Vec<Move>, noise: Vec<(u8, u16, u8)>) -> bool {
        let features = Features { extended_types: true, enforce_quota: true, ..Features::default() };
        let mut leader = Leader::new(&PeerConfig { features, ..PeerConfig::default() });
        for (step, (kind, at, byte)) in steps.iter().zip(&noise) {
            let mut body = Vec::new();
            let request = match step.kind % 2 {
                0 => Request::Multi(step.parts.iter().map(|(k, p, m)| single(k % 11, *p, *m)).collect()),
                _ => single(step.kind, step.path, step.more),
            };
            request.encode_body(&mut body);
            let at = usize::from(*at) % (body.len() + 1);
            match body.get_mut(at) {
                Some(old) => *old = *byte,
                None => body.truncate(body.len() / 2),
            }
            let op = if kind % 4 == 0 { OPS[usize::from(*kind) % OPS.len()] } else { request.op() };
            leader.wall_ms += 1;
            let now = Now { mono_ms: leader.wall_ms, wall_ms: leader.wall_ms };
            let incoming = Incoming { session: B, cxid: 1, op, body: &body, ids: &[], origin: ONE };
            let (tree, zxid) = (&leader.tree, leader.zxid.next());
            let mut record = Vec::new();
            match leader.prepare.prepare(&incoming, zxid, now, tree, &mut leader.tracker, &mut record) {
                Outcome::Txn => {
                    leader.zxid = zxid;
                    leader.in_flight.push_back(record);
                }
                _ => assert!(record.is_empty()),
            }
            if step.applied > 100 {
                leader.apply_one();
            }
        }
        leader.catch_up();
        true
    }
    QuickCheck::new().tests(500).quickcheck(survives as fn(Vec<Move>, Vec<(u8, u16, u8)>) -> bool);
}

#[test]
fn a_late_apply_changes_no_transaction() {
    fn same(steps: Vec<Move>) -> bool {
        let features = Features { extended_types: true, ..Features::default() };
        let cfg = PeerConfig { features, ..PeerConfig::default() };
        let (mut prompt, mut late) = (Leader::new(&cfg), Leader::new(&cfg));
        for leader in [&mut prompt, &mut late] {
            for path in ["/a", "/b", "/a/x"] {
                leader.ask(HERE, A, &create(path, 0)).expect("a transaction");
            }
            leader.catch_up();
        }
        for step in &steps {
            if (10..=30).contains(&step.kind) {
                // No server gives an id away a second time while its close is in flight.
                late.catch_up();
            }
            let record = prompt.play(step);
            prompt.catch_up();
            let other = late.play(step);
            match (&record, &other) {
                (Ok(_), _) => assert_eq!(record, other, "{step:?}"),
                // Whether a session is closing or gone may differ, not what becomes of the request.
                (Err(_), _) => assert_eq!(record.is_err(), other.is_err(), "{step:?}"),
            }
            for _ in 0..step.applied.saturating_sub(200) {
                late.apply_one();
            }
        }
        late.catch_up();
        prompt.tree.digest() == late.tree.digest() && prompt.tree.node_count() == late.tree.node_count()
    }
    QuickCheck::new().tests(1000).quickcheck(same as fn(Vec<Move>) -> bool);
}

// ----- what no learner would take ------------------------------------------------------------------------------------

fn small() -> PeerConfig {
    let mut cfg = PeerConfig::default();
    (cfg.limits.frame_max, cfg.limits.frame_extra) = (4000, 4000);
    cfg
}

#[test]
fn a_multi_that_grows_beyond_what_learners_take_fails() {
    let mut leader = Leader::new(&small());
    let user = "u".repeat(500);
    let ids = [Id { scheme: Some("digest".into()), id: Some(format!("{user}:x").into()) }];
    let auth = || vec![Acl { perms: perm::ALL, id: Id::new("auth", "") }];
    let paths: Vec<String> = (0..40).map(|i| format!("/{i}")).collect();
    let multi = |n: usize| {
        let ops = paths[..n].iter().map(|p| create_with(op::CREATE, p, 0, -1, auth()));
        Request::Multi(ops.collect())
    };
    let record = leader.ask_as(&ids, HERE, A, &multi(40)).expect("a transaction");
    assert!(record.len() <= 8000 + 12, "{} bytes", record.len());
    assert!(parts(&record).iter().any(|part| part.kind == op::ERROR));
    leader.catch_up();
    assert!(leader.tree.node("/0").is_none(), "all or nothing");
    leader.ask_as(&ids, HERE, A, &multi(10)).expect("a transaction");
    leader.catch_up();
    assert!(leader.tree.node("/9").is_some());
}

#[test]
fn the_close_of_a_session_with_very_many_ephemerals_does_not_list_them() {
    let mut leader = Leader::new(&small());
    for i in 0..100 {
        assert_eq!(leader.err(&create(&format!("/{}{i}", "long".repeat(30)), 1)), ErrorCode::Ok);
    }
    let record = leader.ask(HERE, A, &Request::CloseSession).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::CloseSession { paths: Some(vec![]) });
    leader.catch_up();
    assert_eq!(leader.tree.ephemeral_count(), 0);
}

#[test]
fn many_entries_of_auth_do_not_repeat_all_identities_without_end() {
    let mut leader = Leader::new(&PeerConfig::default());
    let ids = [Id { scheme: Some("digest".into()), id: Some(format!("{}:x", "u".repeat(60_000)).into()) }];
    let acl = (0..1000)
        .map(|i| Acl { perms: perm::ALL, id: Id { scheme: Some("auth".into()), id: Some(i.to_string().into()) } });
    let record =
        leader.ask_as(&ids, HERE, A, &create_with(op::CREATE, "/a", 0, -1, acl.collect())).expect("a transaction");
    assert_eq!(decode_record(&record).expect("a record").1, Txn::Error(ErrorCode::InvalidAcl));
}
