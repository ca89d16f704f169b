//! What single operations do to stats, to the reserved znodes and to the reaper's candidates.

use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::Put;
use quorate_core::tree::{Applied, DataTree, OpResult, node_digest};
use quorate_core::wire::records::{Acl, StatPersisted, op, perm};
use quorate_core::wire::snapshot::SnapSink;
use quorate_core::wire::txn::{CreateMode, SubTxn, Txn, TxnHeader, decode_record};

use crate::body::Body;
use crate::model::{Op, open_acl};
use crate::random::Pair;

pub(crate) fn create(path: &str, data: &[u8]) -> Op {
    create_as(path, data, op::CREATE, CreateMode::Plain { ephemeral: false })
}

fn create_as(path: &str, data: &[u8], kind: i32, mode: CreateMode) -> Op {
    Op::Create { kind, path: path.into(), data: Some(data.into()), acl: open_acl(), mode, cversion: -1 }
}

#[test]
fn the_empty_tree() {
    let tree = DataTree::new(1, true);
    assert_eq!(tree.digest(), 0x51c6_d660);
    assert_eq!(tree.node_count(), 4);
    assert_eq!((tree.all_children_number("/"), tree.all_children_number("")), (3, 4));
    let root = tree.node("/").expect("the root").stat();
    assert_eq!((root.cversion, root.num_children), (-1, 1));
    assert_eq!(tree.node("").expect("an alias").stat(), root);
    let zookeeper = tree.node("/zookeeper").expect("reserved").stat();
    assert_eq!((zookeeper.cversion, zookeeper.num_children), (-2, 2));
    let config = tree.node("/zookeeper/config").expect("reserved");
    assert_eq!(
        (config.stat().aversion, config.data(), config.acl()),
        (-1, Some(&[][..]), &[Acl::world(perm::READ)][..])
    );
    assert!(tree.node("/zookeeper/").is_none() && tree.node("zookeeper").is_none() && tree.node("//").is_none());
}

#[test]
fn the_configuration_is_written_unlogged_and_uncounted() {
    let mut tree = DataTree::new(1, true);
    tree.set_config_text("server.1=h:2888:3888:participant\nversion=0".into(), 0x1_0000_0005, 77);
    let config = tree.node("/zookeeper/config").expect("reserved");
    let stat = config.stat();
    assert_eq!((stat.version, stat.mzxid, stat.mtime, stat.aversion), (-1, Zxid(0x1_0000_0005), 77, -1));
    assert_eq!(config.data().map(<[u8]>::len), Some(42));
    assert_eq!(tree.digest(), 0x51c6_d660);
}

#[test]
fn the_digest_of_one_znode_is_what_it_adds() {
    let mut pair = Pair::new();
    let before = pair.tree.digest();
    pair.apply(1, &create("/a", b"x"));
    let (a, root) = (pair.tree.node("/a").expect("created"), pair.tree.node("/").expect("the root"));
    assert_eq!(a.digest(), node_digest("/a", a.data(), &a.persisted()));
    assert_eq!(root.digest(), node_digest("", root.data(), &root.persisted()));
    assert_eq!(root.digest(), node_digest("/", root.data(), &root.persisted()));
    let old_root = node_digest("/", Some(&[]), &StatPersisted::default());
    assert_eq!(pair.tree.digest(), before + a.digest() + root.digest() - old_root);
    assert_eq!(node_digest("/zookeeper/quota", None, &StatPersisted::default()), 0);
    assert_ne!(node_digest("/zookeeper", None, &StatPersisted::default()), 0);
}

#[test]
fn children_stay_in_the_order_of_their_birth() {
    let mut pair = Pair::new();
    for name in ["/q", "/b", "/x", "/a"] {
        pair.apply(1, &create(name, b""));
    }
    pair.apply(1, &Op::Delete("/b".into()));
    pair.apply(1, &create("/b", b""));
    let names: Vec<&str> = pair.tree.node("/").expect("the root").children().collect();
    assert_eq!(names, ["zookeeper", "q", "x", "a", "b"]);
}

#[test]
fn a_parent_with_many_children_and_a_very_deep_path() {
    let mut tree = DataTree::new(2, true);
    let mut applied = Applied::default();
    let mut apply = |tree: &mut DataTree, zxid: i64, op: &Op| {
        let payload = op.payload(1, zxid);
        let (header, txn, _) = decode_record(&payload).expect("well formed");
        tree.apply(&header, &txn, &mut applied);
    };
    for i in 0..20_000 {
        apply(&mut tree, i + 1, &create(&format!("/{i}"), b""));
    }
    assert_eq!(tree.node("/").expect("the root").num_children(), 20_001);
    let mut path = String::new();
    for i in 0..2_000 {
        path.push_str("/d");
        apply(&mut tree, 30_000 + i, &create(&path, b""));
    }
    assert_eq!(tree.all_children_number("/d"), 1_999);
    assert_eq!(tree.node(&path).expect("there").path(), path);
    // In replay a delete takes what is below with it.
    apply(&mut tree, 40_000, &Op::Delete("/d".into()));
    assert_eq!((tree.node_count(), tree.node(&path).is_none()), (20_004, true));
}

#[test]
fn texts_that_are_no_paths_change_nothing() {
    let mut tree = DataTree::new(2, true);
    let mut applied = Applied::default();
    for (i, path) in ["", "/", "a", "/a/", "//", "/zookeeper//x", "a/b"].into_iter().enumerate() {
        let header = |kind| TxnHeader { session: SessionId(1), cxid: 1, zxid: Zxid(i as i64), time: 1, kind };
        let mode = CreateMode::Plain { ephemeral: false };
        let create = Txn::Create { path: path.into(), data: None, acl: open_acl(), mode, parent_cversion: 9 };
        tree.apply(&header(op::CREATE), &create, &mut applied);
        assert_eq!(applied.result, OpResult::Error(ErrorCode::NoNode), "create {path:?}");
        tree.apply(&header(op::DELETE), &Txn::Delete { path: path.into() }, &mut applied);
        assert_eq!(applied.result, OpResult::Error(ErrorCode::NoNode), "delete {path:?}");
        assert!(applied.changes.is_empty());
    }
    assert_eq!((tree.digest(), tree.node_count()), (0x51c6_d660, 4));
}

#[test]
fn a_multi_with_undecodable_or_foreign_parts_does_not_panic() {
    let mut tree = DataTree::new(2, true);
    let mut applied = Applied::default();
    let mut close = Vec::new();
    close.put_len(0);
    let parts = vec![
        SubTxn { kind: op::CREATE, body: &[0, 0, 0, 9] },
        SubTxn { kind: 77, body: &[] },
        SubTxn { kind: op::CLOSE_SESSION, body: &close },
        SubTxn { kind: op::MULTI, body: &close },
    ];
    let header = TxnHeader { session: SessionId(1), cxid: 1, zxid: Zxid(1), time: 1, kind: op::MULTI };
    tree.apply(&header, &Txn::Multi(parts), &mut applied);
    let refused = OpResult::Error(ErrorCode::MarshallingError);
    assert_eq!(applied.result, OpResult::Multi(vec![refused.clone(), refused.clone(), refused.clone(), refused]));
}

#[test]
fn a_failed_multi_tells_each_op_its_part() {
    let mut pair = Pair::new();
    let parts = vec![create("/a", b""), Op::Error(ErrorCode::NoNode), Op::Error(ErrorCode::RuntimeInconsistency)];
    pair.apply(1, &Op::Multi(parts));
    assert!(pair.tree.node("/a").is_none());
}

#[test]
fn reaping() {
    let mut pair = Pair::new();
    let container = |path| create_as(path, b"", op::CREATE_CONTAINER, CreateMode::Container);
    for path in ["/used", "/unused", "/full"] {
        pair.apply(1, &container(path));
    }
    pair.apply(1, &create("/used/x", b""));
    pair.apply(1, &create("/full/x", b""));
    pair.apply(1, &create_as("/ttl", b"", op::CREATE_TTL, CreateMode::Ttl(100)));
    let due = |pair: &Pair, wall, never| pair.tree.reapable(wall, never, 100);
    let birth = |pair: &Pair, path: &str| pair.tree.node(path).expect("there").stat().mtime;
    assert!(due(&pair, i64::MAX / 2, 0).contains(&"/ttl".into()) && due(&pair, 0, 0).is_empty());
    pair.apply(1, &Op::Delete("/used/x".into()));
    assert_eq!(due(&pair, 0, 0), ["/used"]);
    let (unused, ttl) = (birth(&pair, "/unused"), birth(&pair, "/ttl"));
    assert_eq!(due(&pair, unused + 50, 50), ["/used"]);
    assert_eq!(due(&pair, unused + 51, 50), ["/used", "/unused"]);
    assert_eq!(due(&pair, ttl + 100, 0), ["/used"]);
    assert_eq!(due(&pair, ttl + 101, 0), ["/used", "/ttl"]);
    assert_eq!(pair.tree.reapable(ttl + 101, 0, 1), ["/used"]);
    // New data starts the time anew; a child stops it.
    pair.apply(1, &Op::SetData("/ttl".into(), None, 1));
    assert_eq!(due(&pair, ttl + 101, 0), ["/used"]);
    let ttl = birth(&pair, "/ttl");
    assert_eq!(due(&pair, ttl + 101, 0), ["/used", "/ttl"]);
    pair.apply(1, &create("/ttl/x", b""));
    assert_eq!(due(&pair, ttl + 101, 0), ["/used"]);
    pair.apply(1, &Op::Delete("/used".into()));
    assert!(due(&pair, ttl + 101, 0).is_empty());
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    let stat = StatPersisted::default();
    let mut tree = DataTree::new(2, true);
    tree.begin_load();
    assert!(SnapSink::node(&mut tree, "/a/b", None, -1, &stat).is_err(), "no parent");
    assert!(SnapSink::node(&mut tree, "a", None, -1, &stat).is_err(), "no path");
    assert!(SnapSink::node(&mut tree, "/a", None, -1, &stat).is_ok());
    assert!(SnapSink::node(&mut tree, "/a", None, -1, &stat).is_err(), "twice");
    assert!(SnapSink::acl(&mut tree, 5, open_acl()).is_ok());
    assert!(SnapSink::acl(&mut tree, 5, open_acl()).is_err(), "twice");
    // A list that the table lacks: nobody gets in until replay brings it.
    assert!(SnapSink::node(&mut tree, "/b", None, 9, &stat).is_ok());
    tree.finish_load(Zxid(5), false);
    assert_eq!(tree.node("/b").expect("loaded").acl(), [Acl::world(0)]);
    // Snapshots before 3.5 lack the configuration node.
    assert!(tree.node("/zookeeper/config").is_some());
}

#[test]
fn lists_that_no_znode_uses_leave_the_table() {
    let mut tree = DataTree::new(2, true);
    let stat = StatPersisted::default();
    let list = |perms| vec![Acl::world(perms)];
    tree.begin_load();
    for (id, perms) in [(7, 3), (8, 5), (9, perm::ALL)] {
        SnapSink::acl(&mut tree, id, list(perms)).expect("new");
    }
    for (path, id) in [("/used", 7), ("/unknown", 77), ("/open", 9)] {
        SnapSink::node(&mut tree, path, None, id, &stat).expect("new");
    }
    tree.finish_load(Zxid(5), false);
    let table = |tree: &mut DataTree| {
        let mut bytes = Vec::new();
        tree.begin_walk();
        assert!(tree.walk(1 << 20, &mut bytes));
        let mut perms: Vec<i32> = Body::read(&bytes).0.acls.iter().map(|(_, list)| list[0].perms).collect();
        perms.sort_unstable();
        perms
    };
    // /zookeeper/config has READ.
    assert_eq!(table(&mut tree), [0, perm::READ, 3]);
    let mut applied = Applied::default();
    for (i, path) in ["/used", "/unknown"].into_iter().enumerate() {
        let payload = Op::SetAcl(path.into(), open_acl(), 1).payload(1, 6 + i as i64);
        let (header, txn, _) = decode_record(&payload).expect("well formed");
        tree.apply(&header, &txn, &mut applied);
    }
    assert_eq!(table(&mut tree), [perm::READ]);
}
