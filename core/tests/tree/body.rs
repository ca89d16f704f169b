//! A snapshot's body, read and written by hand.

use std::collections::BTreeMap;

use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::{Put, Reader};
use quorate_core::tree::DataTree;
use quorate_core::wire::records::{Acl, StatPersisted};
use quorate_core::wire::snapshot::SnapSink;

use crate::model::{Model, Znode, open_acl};

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Body {
    pub(crate) sessions: Vec<(i64, i32)>,
    pub(crate) acls: Vec<(i64, Vec<Acl<'static>>)>,
    /// In the order of the bytes.
    pub(crate) nodes: Vec<(String, Option<Vec<u8>>, i64, StatPersisted)>,
}

impl Body {
    /// Reads a body; returns it and the number of bytes that it took.
    pub(crate) fn read(bytes: &[u8]) -> (Self, usize) {
        let mut r = Reader::new(bytes);
        let mut body = Self::default();
        for _ in 0..r.i32().expect("sessions") {
            body.sessions.push((r.i64().expect("id"), r.i32().expect("timeout")));
        }
        for _ in 0..r.i32().expect("lists") {
            let id = r.i64().expect("ACL id");
            let list = Acl::decode_list(&mut r).expect("list").expect("not null");
            body.acls.push((id, list.into_iter().map(Acl::into_owned).collect()));
        }
        loop {
            let path = r.string().expect("path").expect("not null").to_string();
            if path == "/" {
                return (body, r.position());
            }
            let data = r.buffer().expect("data").map(<[u8]>::to_vec);
            let acl = r.i64().expect("ACL id");
            body.nodes.push((path, data, acl, StatPersisted::decode(&mut r).expect("stat")));
        }
    }

    /// The bytes again.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_len(self.sessions.len());
        for (id, timeout) in &self.sessions {
            out.put_i64(*id);
            out.put_i32(*timeout);
        }
        out.put_len(self.acls.len());
        for (id, list) in &self.acls {
            out.put_i64(*id);
            Acl::encode_list(list, &mut out);
        }
        for (path, data, acl, stat) in &self.nodes {
            out.put_string(path);
            out.put_buffer(data.as_deref());
            out.put_i64(*acl);
            stat.encode(&mut out);
        }
        out.put_string("/");
        out
    }

    /// Loads it, as recovery does a fuzzy one.
    pub(crate) fn load(&self, tree: &mut DataTree, zxid: Zxid) -> Result<(), &'static str> {
        self.load_as(tree, zxid, false)
    }

    /// Loads it; `exact`: as recovery does one of our own.
    pub(crate) fn load_as(&self, tree: &mut DataTree, zxid: Zxid, exact: bool) -> Result<(), &'static str> {
        tree.begin_load();
        for (id, timeout) in &self.sessions {
            SnapSink::session(tree, SessionId(*id), *timeout)?;
        }
        for (id, list) in &self.acls {
            SnapSink::acl(tree, *id, list.clone())?;
        }
        for (path, data, acl, stat) in &self.nodes {
            SnapSink::node(tree, path, data.as_deref(), *acl, stat)?;
        }
        tree.finish_load(zxid, exact);
        Ok(())
    }

    /// What it says; every list must be in its table.
    pub(crate) fn model(&self) -> Model {
        let table: BTreeMap<i64, Vec<Acl<'static>>> = self.acls.iter().cloned().collect();
        let mut nodes = BTreeMap::new();
        for (path, data, acl, stat) in &self.nodes {
            if let Some((parent, _)) = path.rsplit_once('/') {
                assert!(nodes.contains_key(parent), "{path} comes before its parent");
            }
            let acl = if *acl == -1 { open_acl() } else { table[acl].clone() };
            assert!(
                nodes.insert(path.clone(), Znode { data: data.clone(), acl, stat: *stat }).is_none(),
                "{path} twice"
            );
        }
        Model { nodes, sessions: self.sessions.iter().copied().collect() }
    }
}
