//! Quotas: usage is kept in the stats znode without touching its stat (client-protocol section 10).

use quorate_core::ids::Zxid;
use quorate_core::tree::quota::Numbers;
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::client::EventKind;
use quorate_core::wire::txn::decode_record;

use crate::body::Body;
use crate::model::Op;
use crate::shape::create;

struct Server {
    tree: DataTree,
    applied: Applied,
    zxid: i64,
}

impl Server {
    fn new() -> Self {
        Self { tree: DataTree::new(4, true), applied: Applied::default(), zxid: 0 }
    }
    fn apply(&mut self, op: &Op) {
        self.zxid += 1;
        let payload = op.payload(1, self.zxid);
        let (header, txn, _) = decode_record(&payload).expect("well formed");
        self.tree.apply(&header, &txn, &mut self.applied);
    }
    fn with_quota(prefix: &str, limits: &str) -> Self {
        let mut server = Self::new();
        server.set_quota(prefix, limits);
        server
    }
    fn set_quota(&mut self, prefix: &str, limits: &str) {
        let mut at = String::from("/zookeeper/quota");
        for name in prefix.split('/').skip(1) {
            at = format!("{at}/{name}");
            self.apply(&create(&at, b""));
        }
        self.apply(&create(&format!("{at}/zookeeper_limits"), limits.as_bytes()));
        self.apply(&create(&format!("{at}/zookeeper_stats"), b"count=0,bytes=0"));
    }
    fn usage(&self, prefix: &str) -> String {
        let stats = self.tree.node(&format!("/zookeeper/quota{prefix}/zookeeper_stats")).expect("a stats znode");
        String::from_utf8(stats.data().expect("data").to_vec()).expect("text")
    }
}

#[test]
fn usage_follows_every_write_and_the_stat_does_not() {
    let mut server = Server::new();
    server.apply(&create("/q", b"12345"));
    server.set_quota("/q", "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3");
    // The stats znode is recomputed when it is created.
    assert_eq!(server.usage("/q"), "count=1,bytes=5");
    let stat = server.tree.node("/zookeeper/quota/q/zookeeper_stats").expect("there").stat();
    server.apply(&create("/q/a", b"123"));
    assert_eq!(server.usage("/q"), "count=2,bytes=8");
    let told: Vec<_> = server.applied.changes.iter().map(|c| (c.kind, c.path.as_str())).collect();
    assert_eq!(told, [(EventKind::Created, "/q/a"), (EventKind::ChildrenChanged, "/q")], "none for the stats");
    server.apply(&Op::SetData("/q/a".into(), Some(b"1".to_vec()), 1));
    assert_eq!(server.usage("/q"), "count=2,bytes=6");
    server.apply(&Op::SetData("/q".into(), None, 1));
    assert_eq!(server.usage("/q"), "count=2,bytes=1");
    server.apply(&Op::Delete("/q/a".into()));
    server.apply(&create("/qq", b"not below /q"));
    assert_eq!(server.usage("/q"), "count=1,bytes=0");
    let now = server.tree.node("/zookeeper/quota/q/zookeeper_stats").expect("there").stat();
    assert_eq!((now.version, now.mzxid, now.mtime), (stat.version, stat.mzxid, stat.mtime));
    server.apply(&Op::Delete("/zookeeper/quota/q/zookeeper_limits".into()));
    server.apply(&create("/q/b", b"1"));
    assert_eq!(server.usage("/q"), "count=1,bytes=0", "without limits nobody counts");
    assert!(server.tree.quota("/q/b").is_none());
}

#[test]
fn the_deepest_quota_counts() {
    let mut server = Server::with_quota("/a", "count=10,bytes=-1");
    server.set_quota("/a/b", "count=-1,bytes=-1=;countHardLimit=2");
    server.apply(&create("/a", b""));
    server.apply(&create("/a/b", b"xy"));
    server.apply(&create("/a/c", b"z"));
    assert_eq!((server.usage("/a"), server.usage("/a/b")), ("count=2,bytes=1".into(), "count=1,bytes=2".into()));
    let quota = server.tree.quota("/a/b/c").expect("there is one");
    assert_eq!((quota.prefix, quota.limit.count_hard, quota.limit.count), ("/a/b", Some(2), None));
    assert_eq!((quota.used.count, quota.used.bytes), (Some(1), Some(2)));
    let quota = server.tree.quota("/a/x/y").expect("there is one");
    assert_eq!((quota.prefix, quota.limit.count, quota.limit.bytes), ("/a", Some(10), None));
    assert!(server.tree.quota("/ab").is_none() && server.tree.quota("/").is_none() && server.tree.quota("").is_none());
}

#[test]
fn nonsense_in_the_stats_is_counted_anew() {
    let mut server = Server::with_quota("/a", "no numbers here");
    server.apply(&create("/a", b"12"));
    for nonsense in ["", "count=,bytes=x", "\u{0}", "count=99999999999999999999999,bytes=1"] {
        let stats = "/zookeeper/quota/a/zookeeper_stats";
        server.apply(&Op::SetData(stats.into(), Some(nonsense.as_bytes().to_vec()), 1));
        server.apply(&create("/a/b", b"3"));
        assert_eq!(server.usage("/a"), "count=2,bytes=3", "{nonsense:?}");
        server.apply(&Op::Delete("/a/b".into()));
        assert_eq!(server.usage("/a"), "count=1,bytes=2", "{nonsense:?}");
    }
    assert_eq!(server.tree.quota("/a").expect("registered").limit, Numbers::default());
}

#[test]
fn a_loaded_tree_has_its_quotas() {
    let mut server = Server::with_quota("/a", "count=10,bytes=-1");
    server.apply(&create("/a", b"12"));
    server.apply(&Op::SetData("/zookeeper/quota/a/zookeeper_stats".into(), Some(b"count=70,bytes=9".to_vec()), 1));
    server.tree.begin_walk();
    let mut bytes = Vec::new();
    assert!(server.tree.walk(1 << 20, &mut bytes));
    let (body, _) = Body::read(&bytes);
    body.load(&mut server.tree, Zxid(server.zxid)).expect("our own bytes load");
    assert_eq!(server.usage("/a"), "count=1,bytes=2");
    server.apply(&create("/a/b", b"345"));
    assert_eq!(server.usage("/a"), "count=2,bytes=5");
}

#[test]
fn a_server_that_starts_anew_says_of_usage_what_the_others_say() {
    // The outer quota counts nothing that is written below the inner one from then on: its usage is no plain count.
    let mut server = Server::new();
    server.apply(&create("/a", b""));
    server.apply(&create("/a/b", b"12"));
    server.set_quota("/a", "count=10,bytes=-1");
    server.set_quota("/a/b", "count=10,bytes=-1");
    server.apply(&create("/a/b/c", b"345"));
    let says = |server: &Server| (server.usage("/a"), server.usage("/a/b"));
    assert_eq!(says(&server), ("count=2,bytes=2".into(), "count=2,bytes=5".into()));
    server.tree.begin_walk();
    let mut bytes = Vec::new();
    assert!(server.tree.walk(1 << 20, &mut bytes));
    let (body, _) = Body::read(&bytes);
    let mut other = Server::new();
    body.load_as(&mut other.tree, Zxid(server.zxid), true).expect("our own bytes load");
    other.zxid = server.zxid;
    assert_eq!(says(&other), says(&server));
    for at in [&mut server, &mut other] {
        at.apply(&create("/a/b/d", b"6"));
        at.apply(&create("/a/x", b"78"));
    }
    assert_eq!(says(&other), says(&server));
    assert_eq!(says(&other), ("count=3,bytes=4".into(), "count=3,bytes=6".into()));
}

#[test]
fn the_text_form() {
    let text = "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3";
    let numbers = Numbers::parse(Some(text.as_bytes()));
    assert_eq!((numbers.count, numbers.bytes), (None, None));
    assert_eq!((numbers.bytes_hard, numbers.count_hard), (Some(20), Some(3)));
    assert_eq!(numbers.text(), text);
    assert_eq!(Numbers::parse(Some(b"count=5,bytes=7")).text(), "count=5,bytes=7");
    assert_eq!(Numbers::parse(Some(b"count=5,bytes=7,,;zzz=1;aaa=2")).text(), "count=5,bytes=7=;aaa=2;zzz=1");
    assert_eq!(Numbers::parse(None), Numbers::default());
    assert_eq!(Numbers::parse(Some(b"\xff\xfe=1")), Numbers::default());
}
