//! What servers report of their trees.

use quorate_core::event::{Event, Role};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::client::{Create, Request};
use quorate_core::wire::records::{Acl, op};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader};
use quorate_core::zab::payload_hash;
use quorate_sim::Obs;

use crate::history::{History, SESSION, create, z};

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

/// The tree of s1, which applies what it is given, right or wrong.
pub(crate) struct Tree(DataTree);

impl Tree {
    pub(crate) fn new() -> Self {
        let mut tree = Self(DataTree::new(1, false));
        tree.apply(z(1), op::CREATE_SESSION, &Txn::CreateSession { timeout: 4000 });
        tree
    }
    pub(crate) fn apply(&mut self, zxid: Zxid, kind: i32, txn: &Txn<'_>) {
        let header = TxnHeader { session: SESSION, cxid: 0, zxid, time: 5, kind };
        self.0.apply(&header, txn, &mut Applied::default());
    }
    pub(crate) fn create(&mut self, zxid: Zxid, path: &'static str, right: i32, ephemeral: bool) {
        let (acl, mode) = (vec![Acl::world(right)], CreateMode::Plain { ephemeral });
        let txn = Txn::Create { path: path.into(), data: Some(b"v"), acl, mode, parent_cversion: -1 };
        self.apply(zxid, op::CREATE, &txn);
    }
}

impl History {
    pub(crate) fn looks(&mut self, tree: &Tree, at: Zxid, replaced: bool) {
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
