//! What a read had to answer at the zxid in its header (client-protocol sections 3 to 6).

use std::cmp::Ordering;

use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::JStr;
use quorate_core::wire::client::{EventKind, MultiResult, Request, Response};
use quorate_core::wire::records::{Acl, Id, perm};

use super::acl::{masked, permits};
use super::{Model, State};

/// What the answer to a read must hold.
#[derive(Debug)]
enum Answer<'a> {
    Stat(&'a State),
    Data(&'a State),
    /// As it is stored, or with secrets hidden.
    Acl(&'a State, bool),
    Names(Vec<Name<'a>>, Option<&'a State>),
    Number(i32),
}

/// A name, in the order of its bytes; the first eight of them are compared at once, and mostly there are no more.
#[derive(Clone, Copy)]
struct Name<'a>(u64, &'a str);

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let rest = || match (self.1.len(), other.1.len()) {
            (a @ ..=8, b @ ..=8) => a.cmp(&b),
            _ => self.1.cmp(other.1),
        };
        self.0.cmp(&other.0).then_with(rest)
    }
}
impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Name<'_> {}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Self {
        let (mut first, n) = ([0; 8], name.len().min(8));
        first[..n].copy_from_slice(&name.as_bytes()[..n]);
        Self(u64::from_be_bytes(first), name)
    }
}

impl core::fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self.1, f)
    }
}

impl Model {
    /// Checks a read that was answered at `at`. `Ok(false)`: nothing that the model can judge. `Err`: what is wrong, in words.
    pub fn check_read(
        &self,
        at: Zxid,
        session: SessionId,
        ids: &[Id<'_>],
        request: &Request<'_>,
        err: ErrorCode,
        body: Option<&Response<'_>>,
    ) -> Result<bool, String> {
        if at.0 < self.horizon || at.0 > self.last {
            return Ok(false);
        }
        if let (Request::MultiRead(parts), Some(Response::Multi(results))) = (request, body) {
            return self.check_multi_read(at, session, ids, parts, results, err);
        }
        if let Request::MultiRead(parts) = request {
            // Reads and writes are mixed: that does not even decode.
            let reads =
                parts.iter().filter(|p| matches!(p, Request::GetData { .. } | Request::GetChildren { .. })).count();
            let mixed = reads > 0 && reads < parts.len();
            let fine = mixed && err == ErrorCode::MarshallingError;
            return if fine { Ok(true) } else { Err(format!("{request:?} is answered {err:?} without results")) };
        }
        let Some(want) = self.answer(at.0, session, ids, request) else { return Ok(false) };
        match (&want, body) {
            (Err(code), _) if *code == err => Ok(true),
            (Ok(answer), Some(got)) if err == ErrorCode::Ok && same(answer, got) => Ok(true),
            _ => Err(format!("{request:?} at {at} must give {want:?}, the reply is {err:?} {body:?}")),
        }
    }

    fn check_multi_read(
        &self,
        at: Zxid,
        session: SessionId,
        ids: &[Id<'_>],
        parts: &[Request<'_>],
        results: &[MultiResult<'_>],
        err: ErrorCode,
    ) -> Result<bool, String> {
        // An op of another kind or without a path ends it: what was built before comes with the error (1.4).
        let fine = |part: &&Request<'_>| {
            matches!(part, Request::GetData { path: Some(_), .. } | Request::GetChildren { path: Some(_), .. })
        };
        let built = parts.iter().take_while(fine).count();
        let want = if built == parts.len() { ErrorCode::Ok } else { ErrorCode::MarshallingError };
        if (built, want) != (results.len(), err) {
            return Err(format!(
                "{parts:?} in a multiRead must give {want:?} and {built} results: {err:?} {results:?}"
            ));
        }
        for (part, result) in parts.iter().zip(results) {
            let Some(want) = self.answer(at.0, session, ids, part) else { continue };
            let fine = match (&want, result) {
                (Err(code), MultiResult::Error(got)) => code == got,
                (Ok(answer), MultiResult::Data { data, stat }) => {
                    same(answer, &Response::Data { data: *data, stat: *stat })
                }
                (Ok(answer), MultiResult::Children(names)) => {
                    same(answer, &Response::Names { names: names.clone(), stat: None })
                }
                _ => false,
            };
            if !fine {
                return Err(format!("{part:?} in a multiRead at {at} must give {want:?}, the result is {result:?}"));
            }
        }
        Ok(true)
    }

    fn at(&self, path: &str, at: i64) -> Option<&State> {
        let path = if path.is_empty() { "/" } else { path };
        self.znodes.get(path).and_then(|n| n.at(at))
    }

    fn find<'a>(
        &self,
        at: i64,
        path: &'a Option<JStr<'_>>,
        wanted: i32,
        ids: &[Id<'_>],
    ) -> Result<(&'a str, &State), ErrorCode> {
        // Null is what Java trips over (section 4).
        let path = path.as_deref().ok_or(ErrorCode::MarshallingError)?;
        let state = self.at(path, at).ok_or(ErrorCode::NoNode)?;
        if permits(&state.acl, wanted, ids) { Ok((path, state)) } else { Err(ErrorCode::NoAuth) }
    }

    fn answer(
        &self,
        at: i64,
        session: SessionId,
        ids: &[Id<'_>],
        request: &Request<'_>,
    ) -> Option<Result<Answer<'_>, ErrorCode>> {
        // Each server writes the configuration for itself: of that znode only the rights are known.
        let own = |path: &Option<JStr<'_>>| path.as_deref() == Some("/zookeeper/config");
        let known = |path: &Option<JStr<'_>>| !(own(path) && self.find(at, path, perm::READ, ids).is_ok());
        let readable = |path: &Option<JStr<'_>>| self.find(at, path, perm::READ, ids).map(|(_, state)| state);
        let listed = |path: &Option<JStr<'_>>| {
            self.find(at, path, perm::READ, ids).map(|(path, state)| (self.names(path, at), state))
        };
        Some(match request {
            Request::Exists { path: Some(path), .. } if path.contains('\0') => Err(ErrorCode::BadArguments),
            Request::Exists { path, .. } if known(path) => readable(path).map(Answer::Stat),
            Request::GetData { path, .. } if known(path) => readable(path).map(Answer::Data),
            Request::GetAcl { path } if known(path) => self
                .find(at, path, perm::READ | perm::ADMIN, ids)
                .map(|(_, state)| Answer::Acl(state, !permits(&state.acl, perm::ADMIN, ids))),
            Request::GetChildren { path, .. } => listed(path).map(|(names, _)| Answer::Names(names, None)),
            Request::GetChildren2 { path, .. } if known(path) => {
                listed(path).map(|(names, state)| Answer::Names(names, Some(state)))
            }
            Request::GetAllChildrenNumber { path } => self.find(at, path, perm::READ, ids).map(|(path, _)| {
                let prefix = path.trim_end_matches('/');
                // The empty path counts the root too (5.5).
                Answer::Number(self.below(&format!("{prefix}/"), at) + i32::from(path.is_empty()))
            }),
            Request::GetEphemerals { prefix } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                let prefix = if matches!(prefix.trim(), "" | "/") { "/" } else { prefix };
                Ok(Answer::Names(self.ephemerals(session, prefix, at), None))
            }
            _ => return None,
        })
    }

    /// The children at a zxid: those of now, with what came later undone.
    fn names(&self, path: &str, at: i64) -> Vec<Name<'_>> {
        let path = if path.is_empty() { "/" } else { path };
        let Some(node) = self.znodes.get(path) else { return Vec::new() };
        let mut names: Vec<Name<'_>> = node.children.iter().map(|n| Name::of(n)).collect();
        for (_, name, born) in node.births.iter().rev().take_while(|(z, ..)| *z > at) {
            let name = Name::of(name);
            match names.binary_search(&name) {
                Ok(i) if *born => _ = names.remove(i),
                Err(i) if !*born => names.insert(i, name),
                _ => {}
            }
        }
        names
    }

    fn below(&self, prefix: &str, at: i64) -> i32 {
        let range = self.znodes.range((std::ops::Bound::Excluded(prefix), std::ops::Bound::Unbounded));
        range.take_while(|(p, _)| p.starts_with(prefix)).filter(|(_, n)| n.at(at).is_some()).count() as i32
    }

    fn ephemerals(&self, session: SessionId, prefix: &str, at: i64) -> Vec<Name<'_>> {
        let range = self.znodes.range((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        range
            .take_while(|(p, _)| p.starts_with(prefix))
            .filter(|(_, n)| n.at(at).is_some_and(|s| s.ephemeral() == Some(session)))
            .map(|(p, _)| Name::of(p))
            .collect()
    }

    /// What setWatches has to find out at `at` for a client that has seen everything up to `seen`; `None`: the watch is armed.
    #[must_use]
    pub fn catch_up(&self, at: Zxid, seen: Zxid, kind: WatchList, path: &str) -> Option<EventKind> {
        let state = self.at(path, at.0);
        match (kind, state) {
            (WatchList::Data | WatchList::Child, None) => Some(EventKind::Deleted),
            (WatchList::Data, Some(s)) if s.mzxid > seen.0 => Some(EventKind::DataChanged),
            (WatchList::Child, Some(s)) if s.pzxid > seen.0 => Some(EventKind::ChildrenChanged),
            (WatchList::Exist, Some(_)) => Some(EventKind::Created),
            _ => None,
        }
    }

    /// Whether the znode exists at `at`.
    #[must_use]
    pub fn exists_at(&self, at: Zxid, path: &str) -> bool {
        self.at(path, at.0).is_some()
    }
}

/// The one-shot lists of setWatches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchList {
    /// Armed by getData, or by exists on a znode that was there.
    Data,
    /// Armed by exists on a missing znode.
    Exist,
    /// Armed by getChildren.
    Child,
}

fn same(want: &Answer<'_>, got: &Response<'_>) -> bool {
    match (want, got) {
        (Answer::Stat(s), Response::Stat(stat)) => s.stat() == *stat,
        (Answer::Data(s), Response::Data { data, stat }) => s.data.as_deref() == *data && s.stat() == *stat,
        (Answer::Acl(s, hidden), Response::Acl { acl, stat }) => {
            let equal = |list: &[Acl<'static>]| list.len() == acl.len() && list.iter().zip(acl).all(|(a, b)| a == b);
            s.stat() == *stat && if *hidden { equal(&masked(&s.acl)) } else { equal(&s.acl) }
        }
        (Answer::Names(want, stat), Response::Names { names, stat: got }) => {
            // Each of them, and none twice, in whatever order.
            let sorted = || {
                let mut names: Vec<Name<'_>> = names.iter().map(|n| Name::of(n)).collect();
                names.sort_unstable();
                names
            };
            names.len() == want.len() && *got == stat.map(State::stat) && sorted() == *want
        }
        (Answer::Number(n), Response::Number(got)) => n == got,
        _ => false,
    }
}
