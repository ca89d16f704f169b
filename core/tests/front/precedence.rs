//! The order of checks (client-protocol 4.1): where two of them fail, the first one is the answer.

use crate::standalone::Standalone;
use crate::standalone::client::{Client, server};
use quorate_core::config::{Features, PeerConfig};
use quorate_core::error::ErrorCode::{self, *};
use quorate_core::ids::{Now, SessionId, Sid, Zxid};
use quorate_core::jute::Reader;
use quorate_core::request::prepare::{Incoming, Outcome, Preparer};
use quorate_core::session::{Origin, Tracker};
use quorate_core::tree::DataTree;
use quorate_core::wire::client::{Create, MultiHeader, Request};
use quorate_core::wire::records::{Acl, Id, op, perm};
use quorate_core::wire::txn::{Txn, decode_record};

type List = Vec<Acl<'static>>;

fn open() -> List {
    vec![Acl::world(perm::ALL)]
}
fn nobody() -> List {
    vec![Acl { perms: perm::ALL, id: Id::new("digest", "no:body") }]
}
fn make<'a>(kind: i32, path: &'a str, flags: i32, ttl: i64, acl: List, data: &'a [u8]) -> Request<'a> {
    Request::Create(Create { op: kind, path: Some(path.into()), data: Some(data), acl: Some(acl), flags, ttl })
}
fn create<'a>(path: &'a str, acl: List) -> Request<'a> {
    make(op::CREATE, path, 0, -1, acl, b"")
}
fn delete(path: &str, version: i32) -> Request<'_> {
    Request::Delete { path: Some(path.into()), version }
}
fn set<'a>(path: &'a str, data: &'a [u8], version: i32) -> Request<'a> {
    Request::SetData { path: Some(path.into()), data: Some(data), version }
}
fn set_acl(path: &str, acl: List, version: i32) -> Request<'_> {
    Request::SetAcl { path: Some(path.into()), acl: Some(acl), version }
}
fn check(path: &str, version: i32) -> Request<'_> {
    Request::Check { path: Some(path.into()), version }
}

const BIG: &[u8] = &[0; 100];

/// A server with znodes at which every check can fail: `/open` grants everything, `/shown` READ, `/hidden` nothing, each with the
/// children `child` and `full`; `/eph` and `/shut` are ephemerals; below `/q` both hard limits are reached.
fn world(extended_types: bool) -> (Standalone, Client) {
    let features = Features { extended_types, enforce_quota: true, ..Features::default() };
    let (mut s, mut c) = server(PeerConfig { features, ..PeerConfig::default() });
    let limits = b"count=-1,bytes=-1=;byteHardLimit=3;countHardLimit=7";
    let mut requests = vec![create("/q", open())];
    for path in [
        "/open",
        "/open/child",
        "/open/full",
        "/open/full/x",
        "/shown",
        "/shown/child",
        "/shown/full",
        "/shown/full/x",
        "/hidden",
        "/hidden/child",
        "/hidden/full",
        "/hidden/full/x",
        "/q/a",
        "/q/shown",
        "/q/shown/child",
        "/q/hidden",
    ] {
        requests.push(create(path, open()));
    }
    for (path, acl) in [("/eph", open()), ("/shut", vec![Acl::world(perm::READ)]), ("/q/eph", open())] {
        requests.push(make(op::CREATE, path, 1, -1, acl, b""));
    }
    for (path, data) in [
        ("/zookeeper/quota/q", &b""[..]),
        ("/zookeeper/quota/q/zookeeper_limits", limits),
        ("/zookeeper/quota/q/zookeeper_stats", b""),
    ] {
        requests.push(make(op::CREATE, path, 0, -1, open(), data));
    }
    for path in ["/shown", "/q/shown"] {
        requests.push(set_acl(path, vec![Acl::world(perm::READ)], -1));
    }
    for path in ["/hidden", "/q/hidden"] {
        requests.push(set_acl(path, nobody(), -1));
    }
    requests.push(set("/q/a", b"abc", -1));
    requests.push(make(op::CREATE, "/q/last", 0, -1, open(), b""));
    for request in &requests {
        assert_eq!(c.err(&mut s, request), Ok, "{request:?}");
    }
    (s, c)
}

#[track_caller]
fn all(extended_types: bool, rows: &[(Request<'_>, ErrorCode)]) {
    let (mut s, mut c) = world(extended_types);
    for (request, err) in rows {
        let before = s.zxid();
        let reply = c.ask(&mut s, request);
        assert_eq!(reply.err, *err, "{request:?}");
        assert!(reply.body.is_empty(), "{request:?}");
        // A failed write uses a zxid up, and its reply carries it (1.4); a read uses none.
        let write =
            !matches!(request.op(), op::EXISTS | op::GET_DATA | op::GET_ACL | op::GET_CHILDREN | op::GET_CHILDREN2);
        let write = write && request.op() != op::GET_ALL_CHILDREN_NUMBER;
        let used = if write { before.next() } else { before };
        assert_eq!((reply.zxid, s.zxid()), (used, used), "{request:?}");
    }
    assert!(!s.is_closed(c.link));
}

#[test]
fn create_in_the_order_of_its_checks() {
    let ttl = |path, flags, ttl| make(op::CREATE_TTL, path, flags, ttl, vec![], b"");
    all(
        false,
        &[
            // flag value > TTL flag while extended types are off > everything else
            (ttl("x", 9, 0), BadArguments),
            (ttl("x", 5, 0), Unimplemented),
            (make(op::CREATE, "x", 5, -1, vec![], b""), Unimplemented),
            (make(op::CREATE, "/none/x", 7, -1, vec![], b""), BadArguments),
        ],
    );
    all(
        true,
        &[
            // ttl or flag mismatch > list, parent, node
            (ttl("/none/x", 5, 0), BadArguments),
            (make(op::CREATE, "/none/x", 6, -1, vec![], b""), BadArguments),
            (ttl("/open", 0, 5), BadArguments),
            // no '/', or NUL > list, parent, ACL, node, ephemeral parent, quota
            (create("x", vec![]), BadArguments),
            (create("x", open()), BadArguments),
            (create("/none/x\0", vec![]), BadArguments),
            (create("/none/x\0", open()), BadArguments),
            (create("/shown/x\0", open()), BadArguments),
            (create("/eph/x\0", open()), BadArguments),
            (create("/q/x\0", open()), BadArguments),
            // list > parent, ACL, rules of paths, node, ephemeral parent, quota
            (create("/none/x", vec![]), InvalidAcl),
            (create("/shown/x", vec![]), InvalidAcl),
            (create("/open/\u{1}", vec![]), InvalidAcl),
            (create("/open/child", vec![]), InvalidAcl),
            (create("/eph/x", vec![]), InvalidAcl),
            (create("/q/x", vec![]), InvalidAcl),
            // parent > rules of paths, quota
            (create("/none/\u{1}", open()), NoNode),
            (create("/q/none/x", open()), NoNode),
            // CREATE on the parent > rules of paths, node, ephemeral parent, quota
            (create("/shown/\u{1}", open()), NoAuth),
            (create("/shown/child", open()), NoAuth),
            (create("/shut/x", open()), NoAuth),
            (create("/q/shown/x", open()), NoAuth),
            // rules of paths > ephemeral parent, quota
            (create("/eph/\u{1}", open()), BadArguments),
            (create("/q/\u{1}", open()), BadArguments),
            // node > quota; ephemeral parent > quota
            (create("/q/a", open()), NodeExists),
            (create("/q/eph/x", open()), NoChildrenForEphemerals),
            // each of them alone
            (create("/open/", open()), BadArguments),
            (create("/open", open()), NodeExists),
            (create("/eph/x", open()), NoChildrenForEphemerals),
            (create("/q/x", open()), QuotaExceeded),
        ],
    );
}

#[test]
fn the_suffix_comes_before_the_rules_of_paths() {
    let (mut s, mut c) = world(false);
    // What a suffix makes valid is valid, and what it does not save is not.
    assert_eq!(c.err(&mut s, &make(op::CREATE, "/open/", 2, -1, open(), b"")), Ok);
    assert_eq!(c.err(&mut s, &make(op::CREATE, "/open//", 2, -1, open(), b"")), NoNode);
    assert_eq!(c.err(&mut s, &make(op::CREATE, "/open/\u{1}", 2, -1, open(), b"")), BadArguments);
    assert!(s.tree().node("/open/0000000002").is_some());
}

#[test]
fn delete_in_the_order_of_its_checks() {
    all(
        false,
        &[
            // path > parent, ACL, node, version, children
            (delete("x", -1), BadArguments),
            (delete("/none/x\0", 7), BadArguments),
            (delete("/shown/x\0", -1), BadArguments),
            (delete("/zookeeper", 7), BadArguments),
            (delete("/zookeeper/config", -1), BadArguments),
            (delete("/", 7), BadArguments),
            // parent > version; ACL of the parent > node, version, children
            (delete("/none/x", 7), NoNode),
            (delete("/shown/none", -1), NoAuth),
            (delete("/shown/child", 7), NoAuth),
            (delete("/shown/full", -1), NoAuth),
            // node > version > children
            (delete("/open/none", 7), NoNode),
            (delete("/open/full", 7), BadVersion),
            (delete("/open/full", -1), NotEmpty),
            (delete("/open/child", 7), BadVersion),
            // The full rules of paths are not asked.
            (delete("/open/", -1), NoNode),
            (delete("//", -1), NoNode),
        ],
    );
    // Nothing is needed on the znode itself.
    let (mut s, mut c) = world(false);
    assert_eq!(c.err(&mut s, &set_acl("/open/child", nobody(), -1)), Ok);
    assert_eq!(c.err(&mut s, &delete("/open/child", -1)), Ok);
}

#[test]
fn set_data_in_the_order_of_its_checks() {
    all(
        false,
        &[
            (set("/none/", b"", 7), BadArguments),
            (set("/q/a/", BIG, 7), BadArguments),
            (set("", b"", 7), BadArguments),
            (set("/none", b"", 7), NoNode),
            (set("/q/none", BIG, 7), NoNode),
            (set("/q/shown", BIG, -1), NoAuth),
            (set("/hidden", b"", 7), NoAuth),
            (set("/shown", b"", 7), NoAuth),
            (set("/q/a", BIG, 7), QuotaExceeded),
            (set("/q/a", BIG, -1), QuotaExceeded),
            (set("/q/a", b"xyz", 7), BadVersion),
            (set("/open", BIG, 7), BadVersion),
        ],
    );
}

#[test]
fn set_acl_in_the_order_of_its_checks() {
    all(
        false,
        &[
            (set_acl("/none/", vec![], 7), BadArguments),
            (set_acl("/none/", open(), 7), BadArguments),
            (set_acl("/none", vec![], 7), InvalidAcl),
            (set_acl("/shown", vec![], 7), InvalidAcl),
            (set_acl("/open", vec![], 7), InvalidAcl),
            (set_acl("/none", open(), 7), NoNode),
            (set_acl("/shown", open(), 7), NoAuth),
            (set_acl("/hidden", open(), 7), NoAuth),
            (set_acl("/open", open(), 7), BadVersion),
        ],
    );
}

#[test]
fn reads_in_the_order_of_their_checks() {
    let path = |p: &'static str| Some(p.into());
    let mut rows = vec![
        (Request::Exists { path: path("/hidden\0"), watch: false }, BadArguments),
        (Request::Exists { path: path("/none"), watch: false }, NoNode),
        (Request::Exists { path: path("/hidden"), watch: false }, NoAuth),
        (Request::GetAcl { path: path("/hidden/none") }, NoNode),
        (Request::GetAcl { path: path("/hidden") }, NoAuth),
    ];
    // A parent that may not be read hides nothing.
    for (p, err) in [("/hidden/none", NoNode), ("/none\0", NoNode), ("/hidden", NoAuth)] {
        rows.push((Request::GetData { path: path(p), watch: true }, err));
        rows.push((Request::GetChildren { path: path(p), watch: true }, err));
        rows.push((Request::GetChildren2 { path: path(p), watch: true }, err));
        rows.push((Request::GetAllChildrenNumber { path: path(p) }, err));
    }
    all(false, &rows);
    // READ or ADMIN shows a list.
    let (mut s, mut c) = world(false);
    for (perms, err) in [(perm::READ, Ok), (perm::ADMIN, Ok), (perm::ALL & !(perm::READ | perm::ADMIN), NoAuth)] {
        let (mut s2, mut c2) = world(false);
        assert_eq!(c2.err(&mut s2, &set_acl("/open", vec![Acl::world(perms)], -1)), Ok);
        assert_eq!(c2.err(&mut s2, &Request::GetAcl { path: path("/open") }), err, "{perms}");
    }
    // Which of them leave a watch: exists does on a missing znode, and nothing that was refused does.
    for request in [
        Request::Exists { path: path("/hidden"), watch: true },
        Request::GetData { path: path("/hidden"), watch: true },
        Request::GetChildren { path: path("/hidden"), watch: true },
        Request::GetData { path: path("/none"), watch: true },
        Request::GetChildren { path: path("/none"), watch: true },
    ] {
        c.ask(&mut s, &request);
    }
    let any = |p| Request::CheckWatches { path: path(p), kind: 3 };
    assert_eq!(c.err(&mut s, &any("/hidden")), NoWatcher);
    assert_eq!(c.err(&mut s, &any("/none")), NoWatcher);
    c.ask(&mut s, &Request::Exists { path: path("/none"), watch: true });
    assert_eq!(c.err(&mut s, &any("/none")), Ok);
}

/// Errors of the ops of a multi.
fn results(body: &[u8]) -> Vec<ErrorCode> {
    let mut r = Reader::new(body);
    let mut list = Vec::new();
    loop {
        let header = MultiHeader::decode(&mut r).expect("a header");
        if header.done {
            return list;
        }
        assert_eq!(header.op, op::ERROR, "a failed multi has errors only");
        let code = ErrorCode::from_code(r.i32().expect("a code"));
        assert_eq!(code.code(), header.err);
        list.push(code);
    }
}

#[test]
fn check_in_the_order_of_its_checks() {
    let (mut s, mut c) = world(false);
    for (request, err) in [
        (check("/none/", 7), BadArguments),
        (check("relative", 7), BadArguments),
        (check("/none", 7), NoNode),
        (check("/hidden", 7), NoAuth),
        (check("/shown", 7), BadVersion),
        // The same checks as outside, for each op (4.1).
        (set("/q/a", BIG, 7), QuotaExceeded),
        (create("/none/\u{1}", vec![]), InvalidAcl),
        (delete("/shown/none", 7), NoAuth),
    ] {
        let multi = Request::Multi(vec![check("/open", 0), request.clone(), set("/none", b"", -1)]);
        let reply = c.ask(&mut s, &multi);
        assert_eq!((reply.err, results(&reply.body)), (Ok, vec![Ok, err, RuntimeInconsistency]), "{request:?}");
    }
}

#[test]
fn what_does_not_decode_fails_first_and_without_a_transaction() {
    let (mut s, mut c) = world(false);
    let reconfig = Request::Reconfig { joining: None, leaving: None, new_members: None, config_id: 0 };
    let requests = [
        make(op::CREATE, "x", 9, -1, vec![], b""),
        make(op::CREATE2, "/none/x\0", 9, -1, vec![], b""),
        make(op::CREATE_CONTAINER, "x", 9, -1, vec![], b""),
        make(op::CREATE_TTL, "x", 9, 0, vec![], b""),
        delete("x", 7),
        set("x", b"", 7),
        set_acl("x", vec![], 7),
        reconfig,
        Request::Exists { path: Some("\0".into()), watch: true },
    ];
    for request in requests {
        let before = s.zxid();
        let mut body = Vec::new();
        request.encode_body(&mut body);
        body.pop();
        let xid = c.send_raw(&mut s, request.op(), &body);
        let reply = c.take(&mut s).pop().expect("a reply");
        assert_eq!((reply.xid, reply.err, reply.zxid), (xid, MarshallingError, before), "{request:?}");
        assert_eq!(s.zxid(), before, "{request:?}");
        assert!(!s.is_closed(c.link));
    }
}

/// What a leader logs for a request of this session that came through a learner.
fn logged(session: SessionId, request: &Request<'_>, origin: Origin) -> ErrorCode {
    let cfg = PeerConfig { sid: Sid(1), ..PeerConfig::default() };
    let mut tree = DataTree::new(1, false);
    let (mut prepare, mut tracker) = (Preparer::new(&cfg, &tree), Tracker::new(1000));
    let mut zxid = Zxid::ZERO;
    let mut ask = |session, request: &Request<'_>, origin| {
        let mut body = Vec::new();
        request.encode_body(&mut body);
        zxid = zxid.next();
        let incoming = Incoming { session, cxid: 1, op: request.op(), body: &body, ids: &[], origin };
        let now = Now { mono_ms: 5, wall_ms: 5 };
        let mut record = Vec::new();
        let outcome = prepare.prepare(&incoming, zxid, now, &tree, &mut tracker, &mut record);
        assert_eq!(outcome, Outcome::Txn, "{request:?}");
        let (header, txn, _) = decode_record(&record).expect("a record");
        tree.apply(&header, &txn, &mut Default::default());
        prepare.applied(zxid, &tree);
        if let Txn::Error(code) = txn { code } else { Ok }
    };
    let learner = Origin::Learner(Sid(2));
    ask(SessionId(7), &Request::CreateSession { timeout: 4000 }, learner);
    ask(SessionId(7), &make(op::CREATE, "/e", 1, -1, open(), b""), learner);
    ask(SessionId(7), &create("/p", open()), learner);
    ask(SessionId(7), &create("/p/x", open()), learner);
    ask(session, request, origin)
}

#[test]
fn the_session_stands_between_the_flags_and_the_path() {
    let through = Origin::Learner(Sid(2));
    let gone = |request: &Request<'_>| logged(SessionId(8), request, through);
    assert_eq!(gone(&make(op::CREATE, "x", 9, -1, vec![], b"")), BadArguments);
    assert_eq!(gone(&make(op::CREATE, "x", 5, -1, vec![], b"")), Unimplemented);
    assert_eq!(gone(&make(op::CREATE, "x", 0, -1, vec![], b"")), SessionExpired);
    for request in [delete("x", 7), set("x", b"", 7), set_acl("x", vec![], 7)] {
        assert_eq!(gone(&request), SessionExpired, "{request:?}");
    }
    // One that has moved is told so before anything else.
    let moved = |request: &Request<'_>| logged(SessionId(7), request, Origin::Learner(Sid(3)));
    for request in [delete("x", 7), set("x", b"", 7), set_acl("x", vec![], 7), create("x", vec![])] {
        assert_eq!(moved(&request), SessionMoved, "{request:?}");
    }
    // reconfigEnabled is the first of its checks.
    let reconfig = Request::Reconfig { joining: None, leaving: None, new_members: None, config_id: 9 };
    assert_eq!((gone(&reconfig), moved(&reconfig)), (ReconfigDisabled, ReconfigDisabled));
}

#[test]
fn a_local_session_that_may_not_become_global_is_told_before_its_path_is_looked_at() {
    let features = Features { local_sessions: true, ..Features::default() };
    let (mut s, mut c) = server(PeerConfig { features, ..PeerConfig::default() });
    let ephemeral = |path, acl| make(op::CREATE, path, 1, -1, acl, b"");
    for request in [ephemeral("x", vec![]), ephemeral("/none/x", vec![]), ephemeral("/e", open())] {
        let before = s.zxid();
        let reply = c.ask(&mut s, &request);
        assert_eq!((reply.err, reply.zxid), (EphemeralOnLocalSession, before.next()), "{request:?}");
    }
    assert_eq!(c.err(&mut s, &create("x", vec![])), BadArguments);
    assert_eq!(c.err(&mut s, &create("/plain", open())), Ok);
    let reply = c.ask(&mut s, &Request::Multi(vec![create("/x", open()), ephemeral("/none/e", vec![])]));
    assert_eq!((reply.err, results(&reply.body)), (Ok, vec![Ok, EphemeralOnLocalSession]));
}

#[test]
fn delete_container_in_the_order_of_its_checks() {
    let reap = |path: &str| {
        logged(SessionId::NONE, &Request::DeleteContainer { path: Some(path.to_owned().into()) }, Origin::Local)
    };
    for (path, err) in [
        ("x", BadArguments),
        ("/zookeeper", BadArguments),
        ("/none\0", BadArguments),
        ("/none", NoNode),
        ("/none/x", NoNode),
        ("/p", NotEmpty),
        ("/e", BadVersion),
        ("/p/x", BadVersion),
    ] {
        assert_eq!(reap(path), err, "{path}");
    }
}
