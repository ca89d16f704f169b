//! Requests that change nothing: answered from the tree of the server that holds the connection (client-protocol 4.1, 5.5, 7).

use alloc::vec::Vec;

use crate::config::Auth;
use crate::error::ErrorCode;
use crate::ids::{LinkId, SessionId, Zxid};
use crate::jute::{JStr, Put, frame};
use crate::mutant::{Mutant, Mutants};
use crate::request::lists::LastList;
use crate::tree::{DataTree, NodeRef, acl};
use crate::watch::{WatchManager, WatchMode, WatcherType};
use crate::wire::client::{EventKind, MultiHeader, ReplyHeader, Request, encode_event};
use crate::wire::records::{Acl, Id, op, perm};

/// What a read may look at, and who asks.
pub struct Reading<'a> {
    /// Where it is answered from.
    pub tree: &'a DataTree,
    /// Where that tree stands: the zxid of the reply.
    pub zxid: Zxid,
    /// The long list that was asked for last.
    pub lists: &'a mut LastList,
    /// Where it may leave a watch.
    pub watches: &'a mut WatchManager,
    /// The asking connection: watches belong to it.
    pub link: LinkId,
    /// Its session.
    pub session: SessionId,
    /// What it has proved.
    pub ids: &'a [Id<'static>],
    /// What that is worth.
    pub auth: &'a Auth,
    /// Planted bugs.
    pub mutants: Mutants,
}

/// What the results of one multiRead may take, bytes. A few bytes of request name a znode of a megabyte, and again, and again: without a
/// bound a frame could ask for all memory there is.
const RESULTS_MAX: usize = 64 << 20;
/// The same for a single list: the length of a frame is an int.
const LIST_MAX: usize = 1 << 30;

/// Why a read has no body: its error, and what was built before it (multiRead only).
type Refusal = ErrorCode;

/// Whether this opcode only reads.
#[must_use]
pub const fn is_read(op: i32) -> bool {
    matches!(
        op,
        op::EXISTS
            | op::GET_DATA
            | op::GET_ACL
            | op::GET_CHILDREN
            | op::GET_CHILDREN2
            | op::MULTI_READ
            | op::CHECK_WATCHES
            | op::REMOVE_WATCHES
            | op::SET_WATCHES
            | op::SET_WATCHES2
            | op::ADD_WATCH
            | op::GET_EPHEMERALS
            | op::GET_ALL_CHILDREN_NUMBER
            | op::WHO_AM_I
    )
}

impl<'a> Reading<'a> {
    /// Appends the reply's frame, and before it the events that setWatches finds out. Returns the reply's error and how many
    /// frames were appended.
    pub fn answer(&mut self, xid: i32, op: i32, body: &[u8], out: &mut Vec<u8>) -> (ErrorCode, u64) {
        let zxid = self.zxid;
        let request = Request::decode(op, body);
        let mut frames = 1;
        if let Ok(Request::SetWatches { .. } | Request::SetWatches2 { .. }) = &request {
            frames += self.catch_up(request.as_ref().expect("just matched"), out);
        }
        let start = out.len();
        let mut err = ErrorCode::Ok;
        frame(out, |out| {
            let head = out.len();
            ReplyHeader { xid, zxid, err }.encode(out);
            let behind = out.len();
            err = match request {
                Ok(Request::MultiRead(parts)) => self.multi(&parts, out),
                Ok(request) => {
                    let result = self.single(&request, out);
                    if result.is_err() {
                        // With an error there is no body (1.4).
                        out.truncate(behind);
                    }
                    result.err().unwrap_or_default()
                }
                Err(_) => ErrorCode::MarshallingError,
            };
            out[head + 12..head + 16].copy_from_slice(&err.code().to_be_bytes());
        });
        debug_assert!(out.len() >= start + 4 + ReplyHeader::LEN);
        (err, frames)
    }

    fn single(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match request {
            Request::Exists { path, watch } => {
                let path = text(path)?;
                if path.contains('\0') {
                    return Err(ErrorCode::BadArguments);
                }
                let node = self.tree.node(path);
                if let Some(node) = &node {
                    self.require(node, perm::READ)?;
                }
                if *watch {
                    self.watches.add(path, self.link, WatchMode::Data);
                }
                node.ok_or(ErrorCode::NoNode)?.stat().encode(out);
            }
            Request::GetData { path, watch } => {
                let path = text(path)?;
                self.data(path, out)?;
                if *watch {
                    self.watches.add(path, self.link, WatchMode::Data);
                }
            }
            Request::GetChildren { path, watch } | Request::GetChildren2 { path, watch } => {
                let path = text(path)?;
                let node = self.children(path, out)?;
                if matches!(request, Request::GetChildren2 { .. }) {
                    node.stat().encode(out);
                }
                if *watch {
                    self.watches.add(path, self.link, WatchMode::Child);
                }
            }
            Request::GetAcl { path } => self.acl(text(path)?, out)?,
            Request::GetAllChildrenNumber { path } => {
                let path = text(path)?;
                let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
                self.require(&node, perm::READ)?;
                out.put_i32(i32::try_from(self.tree.all_children_number(path)).unwrap_or(i32::MAX));
            }
            Request::GetEphemerals { prefix } => self.ephemerals(prefix.as_deref(), out)?,
            Request::WhoAmI => {
                out.put_len(self.ids.len());
                for id in self.ids {
                    let user = match id.scheme() {
                        "digest" => id.id().split(':').next().unwrap_or_default(),
                        "super" => "",
                        _ => id.id(),
                    };
                    out.put_string(id.scheme());
                    out.put_string(user);
                }
            }
            Request::AddWatch { path, mode } => {
                let mode = match mode {
                    0 => WatchMode::Persistent,
                    1 => WatchMode::Recursive,
                    _ => return Err(ErrorCode::MarshallingError),
                };
                self.watches.add(text(path)?, self.link, mode);
                out.put_i32(0);
            }
            Request::CheckWatches { path, kind } => {
                let (path, kind) = (text(path)?, watcher_type(*kind)?);
                if !self.watches.contains(path, self.link, kind) {
                    return Err(ErrorCode::NoWatcher);
                }
            }
            Request::RemoveWatches { path, kind } => {
                let (path, kind) = (text(path)?, watcher_type(*kind)?);
                if !self.watches.remove(path, self.link, kind) {
                    return Err(ErrorCode::NoWatcher);
                }
            }
            Request::SetWatches { .. } | Request::SetWatches2 { .. } => {}
            other => unreachable!("opcode {} is no read", other.op()),
        }
        Ok(())
    }

    fn data(&self, path: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::READ)?;
        out.put_buffer(node.data());
        node.stat().encode(out);
        Ok(())
    }

    fn children(&mut self, path: &str, out: &mut Vec<u8>) -> Result<NodeRef<'a>, Refusal> {
        let tree: &'a DataTree = self.tree;
        let node = tree.node(path).ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::READ)?;
        let start = out.len();
        self.lists.append(path, &node, out);
        if out.len() - start > LIST_MAX {
            return Err(ErrorCode::MarshallingError);
        }
        Ok(node)
    }

    fn acl(&self, path: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
        self.require(&node, perm::READ | perm::ADMIN)?;
        if self.allowed(&node, perm::ADMIN) || self.mutants.has(Mutant::Q13) {
            Acl::encode_list(node.acl(), out);
        } else {
            Acl::encode_list(&acl::masked(node.acl()), out);
        }
        node.stat().encode(out);
        Ok(())
    }

    fn ephemerals(&self, prefix: Option<&str>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let prefix = match prefix.map(str::trim) {
            None | Some("" | "/") => "",
            Some(_) => prefix.expect("just matched"),
        };
        let at = out.len();
        out.put_len(0);
        let n = put_names(self.tree.ephemerals_of(self.session).filter(|p| p.starts_with(prefix)), out)?;
        out[at..at + 4].copy_from_slice(&i32::to_be_bytes(n));
        Ok(())
    }

    /// multiRead: errors of single ops do not stop the rest; an op of another kind does, and what was built so far stays in
    /// the reply (1.4, section 6).
    fn multi(&mut self, parts: &[Request<'_>], out: &mut Vec<u8>) -> ErrorCode {
        let reads = parts.iter().filter(|p| is_read(p.op())).count();
        if reads != 0 && reads != parts.len() {
            // Does not even decode: reads and writes are mixed.
            return ErrorCode::MarshallingError;
        }
        let mut err = ErrorCode::Ok;
        let first = out.len();
        for part in parts {
            let start = out.len();
            if start - first > RESULTS_MAX {
                out.truncate(first);
                return ErrorCode::MarshallingError;
            }
            MultiHeader { op: part.op(), done: false, err: 0 }.encode(out);
            let result = match part {
                Request::GetData { path, .. } => text(path).and_then(|path| self.data(path, out)),
                Request::GetChildren { path, .. } => text(path).and_then(|path| self.children(path, out).map(|_| ())),
                _ => Err(ErrorCode::MarshallingError),
            };
            if let Err(code) = result {
                out.truncate(start);
                if code == ErrorCode::MarshallingError {
                    err = code;
                    break;
                }
                MultiHeader { op: op::ERROR, done: false, err: code.code() }.encode(out);
                out.put_i32(code.code());
            }
        }
        MultiHeader::END.encode(out);
        err
    }

    /// setWatches, setWatches2 (7.4): what was missed is told at once, not filtered by ACLs; the rest is watched again.
    /// Returns the number of events.
    fn catch_up(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> u64 {
        let (Request::SetWatches { seen, data, exist, child } | Request::SetWatches2 { seen, data, exist, child, .. }) =
            request
        else {
            return 0;
        };
        let seen = if self.mutants.has(Mutant::K17) { &i64::MAX } else { seen };
        let mut told = 0;
        let mut tell = |kind, path: &str| {
            encode_event(kind, path, Zxid::NONE, out);
            told += 1;
        };
        for path in data {
            match self.tree.node(path) {
                None => tell(EventKind::Deleted, path),
                Some(node) if node.stat().mzxid.0 > *seen => tell(EventKind::DataChanged, path),
                Some(_) => self.watches.add(path, self.link, WatchMode::Data),
            }
        }
        for path in exist {
            match self.tree.node(path) {
                Some(_) => tell(EventKind::Created, path),
                None => self.watches.add(path, self.link, WatchMode::Data),
            }
        }
        for path in child {
            match self.tree.node(path) {
                None => tell(EventKind::Deleted, path),
                Some(node) if node.stat().pzxid.0 > *seen => tell(EventKind::ChildrenChanged, path),
                Some(_) => self.watches.add(path, self.link, WatchMode::Child),
            }
        }
        if let Request::SetWatches2 { persistent, recursive, .. } = request {
            persistent.iter().for_each(|path| self.watches.add(path, self.link, WatchMode::Persistent));
            recursive.iter().for_each(|path| self.watches.add(path, self.link, WatchMode::Recursive));
        }
        told
    }

    fn allowed(&self, node: &NodeRef<'_>, wanted: i32) -> bool {
        acl::check(node.acl(), wanted, self.ids, self.auth)
    }

    fn require(&self, node: &NodeRef<'_>, wanted: i32) -> Result<(), Refusal> {
        if self.allowed(node, wanted) { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }
}

/// Appends names; returns how many.
fn put_names(names: impl Iterator<Item = impl AsRef<str>>, out: &mut Vec<u8>) -> Result<i32, Refusal> {
    let (start, mut n) = (out.len(), 0);
    for name in names {
        out.put_string(name.as_ref());
        n += 1;
        if out.len() - start > LIST_MAX {
            return Err(ErrorCode::MarshallingError);
        }
    }
    Ok(n)
}

/// A null path is what Java trips over: -5 (section 4).
fn text<'a>(path: &'a Option<JStr<'_>>) -> Result<&'a str, Refusal> {
    path.as_deref().ok_or(ErrorCode::MarshallingError)
}

fn watcher_type(code: i32) -> Result<WatcherType, Refusal> {
    WatcherType::from_code(code).ok_or(ErrorCode::MarshallingError)
}
