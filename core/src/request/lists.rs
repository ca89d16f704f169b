//! Long lists of children, encoded once for the many who ask for the same one after a change.

use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::Zxid;
use crate::jute::Put;
use crate::tree::NodeRef;

/// From so many children on, a list is worth keeping.
const LONG: u32 = 1000;
/// A longer one is not kept. Bytes.
const KEPT_MAX: usize = 16 << 20;

/// The long list that was asked for last.
#[derive(Clone, Debug, Default)]
pub struct LastList {
    path: String,
    /// Which znode it was, its last change of children, and their number: pzxid stands still only where nothing is deleted.
    state: Option<(Zxid, Zxid, u32)>,
    /// Its names as they are sent; empty until they are asked for again.
    names: Vec<u8>,
}

impl LastList {
    /// Appends the vector of the names of the children of `node`, which is at `path`.
    pub fn append(&mut self, path: &str, node: &NodeRef<'_>, out: &mut Vec<u8>) {
        if node.num_children() < LONG {
            encode(node, out);
            return;
        }
        let stat = node.persisted();
        let state = Some((stat.czxid, stat.pzxid, node.num_children()));
        let known = self.state == state && self.path == path;
        if known && !self.names.is_empty() {
            out.extend_from_slice(&self.names);
            return;
        }
        let start = out.len();
        encode(node, out);
        self.names.clear();
        if known && out.len() - start <= KEPT_MAX {
            self.names.extend_from_slice(&out[start..]);
        } else {
            (self.path, self.state) = (path.into(), state);
        }
    }
}

fn encode(node: &NodeRef<'_>, out: &mut Vec<u8>) {
    out.put_len(node.num_children() as usize);
    node.children_bytes().for_each(|name| out.put_buffer(Some(name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Applied, DataTree};
    use crate::wire::records::{Acl, op};
    use crate::wire::txn::{CreateMode, Txn, TxnHeader};

    struct Server {
        tree: DataTree,
        lists: LastList,
        zxid: Zxid,
    }

    impl Server {
        fn apply(&mut self, txn: &Txn<'_>) {
            self.zxid = self.zxid.next();
            let header =
                TxnHeader { session: crate::ids::SessionId(1), cxid: 1, zxid: self.zxid, time: 0, kind: op::CREATE };
            self.tree.apply(&header, txn, &mut Applied::default());
        }
        fn create(&mut self, path: &str) {
            let acl = alloc::vec![Acl::world(31)];
            let mode = CreateMode::Plain { ephemeral: false };
            self.apply(&Txn::Create { path: path.into(), data: None, acl, mode, parent_cversion: -1 });
        }
        /// Three times, as whoever asks in between changes nothing; beside what the tree says.
        fn list(&mut self, path: &str) {
            let node = self.tree.node(path).unwrap();
            let mut expected = Vec::new();
            encode(&node, &mut expected);
            for _ in 0..3 {
                let mut out = alloc::vec![7];
                self.lists.append(path, &node, &mut out);
                assert!(out[1..] == expected[..]);
            }
        }
    }

    #[test]
    fn what_is_kept_is_what_the_tree_says() {
        let mut s = Server { tree: DataTree::new(1, true), lists: LastList::default(), zxid: Zxid::ZERO };
        for parent in ["/a", "/b"] {
            s.create(parent);
            (0..LONG + 5).for_each(|n| s.create(&alloc::format!("{parent}/{n}")));
        }
        s.list("/a");
        assert!(!s.lists.names.is_empty(), "a long list that is asked for again is kept");
        s.list("/b");
        s.list("/a");
        s.create("/a/more");
        s.list("/a");
        // As many as before, but others.
        s.apply(&Txn::Delete { path: "/a/17".into() });
        s.create("/a/again");
        s.list("/a");
        s.apply(&Txn::Delete { path: "/a/again".into() });
        s.list("/a");
        // Another znode at the same path.
        (0..LONG + 5).for_each(|n| s.apply(&Txn::Delete { path: alloc::format!("/b/{n}").into() }));
        s.apply(&Txn::Delete { path: "/b".into() });
        s.create("/b");
        (0..LONG + 5).for_each(|n| s.create(&alloc::format!("/b/other-{n}")));
        s.list("/b");
    }
}
