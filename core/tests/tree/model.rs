//! A slow, plain tree: a map from paths, written from the specification. It shares nothing with the real one but the records.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{DataTree, OpResult};
use quorate_core::wire::client::EventKind;
use quorate_core::wire::records::{Acl, Stat, StatPersisted, op, perm};
use quorate_core::wire::txn::{CreateMode, SubTxn, Txn, TxnHeader, encode_record};

pub(crate) type AclList = Vec<Acl<'static>>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    OpenSession(i32),
    /// With the paths that a leader lists, or as before 3.6.
    CloseSession(Option<Vec<String>>),
    Create {
        kind: i32,
        path: String,
        data: Option<Vec<u8>>,
        acl: AclList,
        mode: CreateMode,
        cversion: i32,
    },
    Delete(String),
    SetData(String, Option<Vec<u8>>, i32),
    SetAcl(String, AclList, i32),
    Check(String),
    Multi(Vec<Self>),
    Error(ErrorCode),
}

impl Op {
    pub(crate) fn kind(&self) -> i32 {
        match self {
            Self::OpenSession(_) => op::CREATE_SESSION,
            Self::CloseSession(_) => op::CLOSE_SESSION,
            Self::Create { kind, .. } => *kind,
            Self::Delete(_) => op::DELETE,
            Self::SetData(..) => op::SET_DATA,
            Self::SetAcl(..) => op::SET_ACL,
            Self::Check(_) => op::CHECK,
            Self::Multi(_) => op::MULTI,
            Self::Error(_) => op::ERROR,
        }
    }

    /// Calls `with` with the transaction.
    pub(crate) fn with_txn(&self, with: &mut dyn FnMut(&Txn<'_>)) {
        match self {
            Self::OpenSession(timeout) => with(&Txn::CreateSession { timeout: *timeout }),
            Self::CloseSession(paths) => with(&Txn::CloseSession {
                paths: paths.as_ref().map(|paths| paths.iter().map(|p| p.as_str().into()).collect()),
            }),
            Self::Create { path, data, acl, mode, cversion, .. } => with(&Txn::Create {
                path: path.as_str().into(),
                data: data.as_deref(),
                acl: acl.clone(),
                mode: *mode,
                parent_cversion: *cversion,
            }),
            Self::Delete(path) => with(&Txn::Delete { path: path.as_str().into() }),
            Self::SetData(path, data, version) => {
                with(&Txn::SetData { path: path.as_str().into(), data: data.as_deref(), version: *version })
            }
            Self::SetAcl(path, acl, version) => {
                with(&Txn::SetAcl { path: path.as_str().into(), acl: acl.clone(), version: *version })
            }
            Self::Check(path) => with(&Txn::Check { path: path.as_str().into(), version: -1 }),
            Self::Multi(parts) => {
                let bodies: Vec<(i32, Vec<u8>)> = parts
                    .iter()
                    .map(|part| {
                        let mut body = Vec::new();
                        part.with_txn(&mut |txn| txn.encode(part.kind(), &mut body));
                        (part.kind(), body)
                    })
                    .collect();
                with(&Txn::Multi(bodies.iter().map(|(kind, body)| SubTxn { kind: *kind, body }).collect()))
            }
            Self::Error(code) => with(&Txn::Error(*code)),
        }
    }

    pub(crate) fn header(&self, session: i64, zxid: i64) -> TxnHeader {
        let time = 1_000_000 + zxid * 10;
        TxnHeader { session: SessionId(session), cxid: 1, zxid: Zxid(zxid), time, kind: self.kind() }
    }

    pub(crate) fn payload(&self, session: i64, zxid: i64) -> Vec<u8> {
        let mut out = Vec::new();
        self.with_txn(&mut |txn| encode_record(&self.header(session, zxid), txn, None, &mut out));
        out
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Znode {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) acl: AclList,
    pub(crate) stat: StatPersisted,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    /// By path; the root's is "".
    pub(crate) nodes: BTreeMap<String, Znode>,
    pub(crate) sessions: BTreeMap<i64, i32>,
}

pub(crate) type Told = Vec<(EventKind, String, AclList)>;

pub(crate) fn open_acl() -> AclList {
    vec![Acl::world(perm::ALL)]
}

fn parent_of(path: &str) -> &str {
    &path[..path.rfind('/').expect("a path")]
}

impl Model {
    pub(crate) fn new() -> Self {
        let plain = Znode { data: Some(vec![]), acl: open_acl(), stat: StatPersisted::default() };
        let config = Znode {
            acl: vec![Acl::world(perm::READ)],
            stat: StatPersisted { aversion: -1, ..StatPersisted::default() },
            ..plain.clone()
        };
        let nodes =
            [("", &plain), ("/zookeeper", &plain), ("/zookeeper/config", &config), ("/zookeeper/quota", &plain)];
        Self { nodes: nodes.map(|(p, n)| (p.to_string(), n.clone())).into(), sessions: BTreeMap::new() }
    }

    pub(crate) fn children(&self, path: &str) -> BTreeSet<String> {
        let below = format!("{path}/");
        let names = self.nodes.keys().filter_map(|p| p.strip_prefix(&below));
        names.filter(|n| !n.contains('/')).map(str::to_string).collect()
    }

    pub(crate) fn owned(&self, session: i64) -> Vec<String> {
        let mine = self.nodes.iter().filter(|(_, n)| n.stat.ephemeral_owner == session && session != 0);
        mine.map(|(path, _)| path.clone()).collect()
    }

    pub(crate) fn stat(&self, path: &str) -> Stat {
        let node = &self.nodes[path];
        let (s, children) = (node.stat, self.children(path).len() as i32);
        let is_mark = s.ephemeral_owner as u64 >> 56 == 0xff || s.ephemeral_owner == i64::MIN;
        Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion * 2 - children,
            aversion: s.aversion,
            ephemeral_owner: if is_mark { 0 } else { s.ephemeral_owner },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: s.pzxid,
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        let counted = self.nodes.iter().filter(|(path, _)| !path.starts_with("/zookeeper/"));
        counted.fold(0, |sum, (path, node)| sum.wrapping_add(node_digest(path, node)))
    }

    pub(crate) fn apply(&mut self, header: &TxnHeader, op: &Op, told: &mut Told) -> OpResult {
        match op {
            Op::OpenSession(timeout) => {
                self.sessions.insert(header.session.0, *timeout);
                OpResult::SessionCreated
            }
            Op::CloseSession(paths) => {
                self.sessions.remove(&header.session.0);
                for path in paths.iter().flatten() {
                    self.delete(path, header.zxid, told);
                }
                for path in self.owned(header.session.0) {
                    self.delete(&path, header.zxid, told);
                }
                OpResult::SessionClosed
            }
            Op::Multi(parts) => {
                let failed = parts.iter().position(|part| matches!(part, Op::Error(_)));
                let one = |(i, part): (usize, &Op)| match (failed, part) {
                    (Some(_), Op::Error(code)) => OpResult::Error(*code),
                    (Some(at), _) if i < at => OpResult::Error(ErrorCode::Ok),
                    (Some(_), _) => OpResult::Error(ErrorCode::RuntimeInconsistency),
                    (None, part) => self.apply(header, part, told),
                };
                OpResult::Multi(parts.iter().enumerate().map(one).collect())
            }
            Op::Create { path, data, acl, mode, cversion, .. } => {
                let owner = match mode {
                    CreateMode::Plain { ephemeral } => i64::from(*ephemeral) * header.session.0,
                    CreateMode::Container => i64::MIN,
                    CreateMode::Ttl(ttl) => (0xff_u64 << 56) as i64 + ttl,
                };
                self.create(path, data, acl, owner, *cversion, header, told)
            }
            Op::Delete(path) => self.delete(path, header.zxid, told),
            Op::SetData(path, data, version) => {
                let Some(node) = self.nodes.get_mut(path) else { return OpResult::Error(ErrorCode::NoNode) };
                node.data.clone_from(data);
                node.stat.version = *version;
                node.stat.mzxid = header.zxid;
                node.stat.mtime = header.time;
                told.push((EventKind::DataChanged, shown(path), node.acl.clone()));
                OpResult::SetData(self.stat(path))
            }
            Op::SetAcl(path, acl, version) => {
                let Some(node) = self.nodes.get_mut(path) else { return OpResult::Error(ErrorCode::NoNode) };
                node.acl.clone_from(acl);
                node.stat.aversion = *version;
                OpResult::SetAcl(self.stat(path))
            }
            Op::Check(_) => OpResult::Checked,
            Op::Error(code) => OpResult::Error(*code),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn create(
        &mut self,
        path: &str,
        data: &Option<Vec<u8>>,
        acl: &AclList,
        owner: i64,
        cversion: i32,
        header: &TxnHeader,
        told: &mut Told,
    ) -> OpResult {
        let exists = self.nodes.contains_key(path);
        let Some(parent) = self.nodes.get_mut(parent_of(path)) else { return OpResult::Error(ErrorCode::NoNode) };
        let counted = if cversion == -1 { parent.stat.cversion + 1 } else { cversion };
        if counted > parent.stat.cversion {
            parent.stat.cversion = counted;
            parent.stat.pzxid = parent.stat.pzxid.max(header.zxid);
        }
        let parent_acl = parent.acl.clone();
        if exists {
            self.nodes.get_mut(path).expect("exists").acl.clone_from(acl);
            return OpResult::Error(ErrorCode::NodeExists);
        }
        let (zxid, time) = (header.zxid, header.time);
        let stat = StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        self.nodes.insert(path.into(), Znode { data: data.clone(), acl: acl.clone(), stat });
        told.push((EventKind::Created, path.into(), acl.clone()));
        told.push((EventKind::ChildrenChanged, shown(parent_of(path)), parent_acl));
        OpResult::Created(self.stat(path))
    }

    fn delete(&mut self, path: &str, zxid: Zxid, told: &mut Told) -> OpResult {
        let Some(parent) = self.nodes.get_mut(parent_of(path)) else { return OpResult::Error(ErrorCode::NoNode) };
        parent.stat.pzxid = parent.stat.pzxid.max(zxid);
        let parent_acl = parent.acl.clone();
        let Some(node) = self.nodes.remove(path) else { return OpResult::Error(ErrorCode::NoNode) };
        let below = format!("{path}/");
        self.nodes.retain(|p, _| !p.starts_with(&below));
        told.push((EventKind::Deleted, path.into(), node.acl));
        told.push((EventKind::ChildrenChanged, shown(parent_of(path)), parent_acl));
        OpResult::Deleted
    }

    /// Everything that the real tree shows.
    pub(crate) fn assert_same(&self, tree: &DataTree) {
        assert_eq!(tree.node_count(), self.nodes.len());
        for (path, node) in &self.nodes {
            let real = tree.node(path).unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(real.persisted(), node.stat, "{path}");
            assert_eq!(real.stat(), self.stat(path), "{path}");
            assert_eq!(real.data(), node.data.as_deref(), "{path}");
            assert_eq!(real.acl(), node.acl, "{path}");
            assert_eq!(real.path(), shown(path));
            let names: Vec<&str> = real.children().collect();
            assert_eq!(names.len(), real.num_children() as usize, "{path}");
            assert_eq!(names.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), self.children(path), "{path}");
            let below = self.nodes.keys().filter(|p| p.starts_with(&format!("{path}/"))).count();
            assert_eq!(tree.all_children_number(path), below + usize::from(path.is_empty()), "{path}");
        }
        assert_eq!(tree.digest(), self.digest());
        let sizes = self.nodes.iter().map(|(path, node)| path.len() + node.data.as_ref().map_or(0, Vec::len));
        assert_eq!(tree.data_size(), sizes.sum::<usize>());
        let sessions: BTreeMap<i64, i32> = tree.sessions().iter().map(|(id, timeout)| (id.0, *timeout)).collect();
        assert_eq!(sessions, self.sessions);
        for owner in tree.ephemeral_sessions() {
            assert!(!self.owned(owner.0).is_empty(), "{owner} owns nothing");
        }
        let owners: BTreeSet<i64> = self.nodes.values().map(|n| n.stat.ephemeral_owner).filter(|o| *o > 0).collect();
        for owner in owners {
            let mut owned: Vec<String> = tree.ephemerals_of(SessionId(owner)).collect();
            owned.sort();
            assert_eq!(owned, self.owned(owner));
        }
    }
}

fn shown(path: &str) -> String {
    if path.is_empty() { "/".into() } else { path.into() }
}

fn node_digest(path: &str, node: &Znode) -> u64 {
    let mut bytes = path.as_bytes().to_vec();
    bytes.extend(node.data.as_deref().unwrap_or_default());
    let s = &node.stat;
    for long in [s.czxid.0, s.mzxid.0, s.pzxid.0, s.ctime, s.mtime] {
        bytes.extend(long.to_be_bytes());
    }
    for int in [s.version, s.cversion, s.aversion] {
        bytes.extend(int.to_be_bytes());
    }
    bytes.extend(s.ephemeral_owner.to_be_bytes());
    u64::from(crc32(&bytes))
}

/// CRC-32 bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
