//! What a write has to become: from the request and the tree before it to the transaction (client-protocol sections 4 to 6).

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::{Create, Request};
use quorate_core::wire::records::{Acl, CONTAINER_OWNER, Id, op, perm};
use quorate_core::wire::txn::{CreateMode, SubTxn, Txn};

use super::acl::{permits, stored};
use super::path::{split, valid_path};
use super::{Model, State, next_version};

/// What one write must become.
#[derive(Debug)]
enum Want {
    Create { path: String, data: Option<Bytes>, acl: Vec<Acl<'static>>, mode: CreateMode, counter: i32 },
    Delete(String),
    SetData { path: String, data: Option<Bytes>, version: i32 },
    SetAcl { path: String, acl: Vec<Acl<'static>>, version: i32 },
    Check(String),
}

type Judged = Result<Want, ErrorCode>;

/// The tree as it will be: what earlier ops of the same request have changed, over the model.
struct Projection<'a> {
    model: &'a Model,
    changed: BTreeMap<String, Option<State>>,
    /// Whether the session may own znodes.
    global: bool,
    /// Where the leader's own tree stood: quotas are looked up there.
    applied: i64,
}

impl Projection<'_> {
    fn get(&self, path: &str) -> Option<&State> {
        let path = if path.is_empty() { "/" } else { path };
        match self.changed.get(path) {
            Some(state) => state.as_ref(),
            None => self.model.state(path),
        }
    }
    fn edit(&mut self, path: &str, f: impl FnOnce(&mut State)) {
        let path = if path.is_empty() { "/" } else { path };
        let mut state = self.get(path).cloned();
        if let Some(state) = &mut state {
            f(state);
        }
        self.changed.insert(path.into(), state);
    }
    fn take_effect(&mut self, want: &Want, session: SessionId) {
        match want {
            Want::Create { path, data, acl, mode, .. } => {
                let owner = match mode {
                    CreateMode::Plain { ephemeral: true } => session.0,
                    CreateMode::Plain { ephemeral: false } => 0,
                    CreateMode::Container => CONTAINER_OWNER,
                    CreateMode::Ttl(ttl) => (0xff_u64 << 56) as i64 | *ttl,
                };
                if let Some((parent, _)) = split(path) {
                    self.edit(parent, |s| {
                        s.created += 1;
                        s.children += 1;
                    });
                }
                self.changed.insert(path.clone(), Some(State::born(0, 0, data.clone(), acl.clone(), owner)));
            }
            Want::Delete(path) => {
                if let Some((parent, _)) = split(path) {
                    self.edit(parent, |s| s.children -= 1);
                }
                self.changed.insert(path.clone(), None);
            }
            Want::SetData { path, version, data } => self.edit(path, |s| {
                s.version = *version;
                s.data = data.clone();
            }),
            Want::SetAcl { path, acl, version } => self.edit(path, |s| {
                s.acl = acl.clone().into();
                s.aversion = *version;
            }),
            Want::Check(_) => {}
        }
    }
}

impl Model {
    /// Checks that `txn`, which follows directly on the model's tree, is what the request of this session had to become.
    /// `applied`: where the tree of the leader stood that made it. `None` as the request: its body does not decode.
    pub fn explain(
        &self,
        session: SessionId,
        ids: &[Id<'_>],
        request: Option<&Request<'_>>,
        txn: &Txn<'_>,
        applied: Zxid,
    ) -> Result<(), String> {
        match (request, txn) {
            // Whose connection it was is nothing that the tree knows: it is refused without an answer (2.4).
            (_, Txn::Error(ErrorCode::SessionMoved)) => return Ok(()),
            (Some(Request::CloseSession), Txn::CloseSession { .. })
            | (Some(Request::CreateSession { .. }), Txn::CreateSession { .. })
            // The first check of all.
            | (Some(Request::Reconfig { .. }), Txn::Error(ErrorCode::ReconfigDisabled)) => return Ok(()),
            _ => {}
        }
        let global = self.is_alive(session);
        let mut view = Projection { model: self, changed: BTreeMap::new(), global, applied: applied.0 };
        // Flags are looked at before the session (4.1).
        if let Some(Request::Create(c)) = request
            && let Err(code) = view.mode(c, false)
        {
            return matches(&Err(code), txn).map_err(|e| format!("{request:?}: {e}"));
        }
        if !global && self.was_granted(session) {
            if matches!(txn, Txn::Error(ErrorCode::SessionExpired)) {
                return Ok(());
            }
            // What does not decode is refused before anybody asks whose it is.
            if request.is_some() {
                return Err(format!("session {session} is not alive, yet its write became {txn:?}"));
            }
        }
        // A session that is known to its server only may do anything but own znodes.
        if !global && !self.rules.local_sessions && request.is_some() {
            return Err(format!("session {session} is not alive, yet its write became {txn:?}"));
        }
        let want = match request {
            Some(Request::Multi(parts)) => return explain_multi(&mut view, session, ids, parts, txn),
            Some(Request::Create(c)) => view.create(c, ids, false),
            Some(other) => view.other(other, ids),
            None => Err(ErrorCode::MarshallingError),
        };
        matches(&want, txn).map_err(|e| format!("{request:?}: {e}"))
    }
}

/// Whether a request makes a local session global (2.6): opcodes 1 and 15 with an ephemeral flag, alone or in a multi.
#[must_use]
pub fn makes_ephemeral(request: &Request<'_>) -> bool {
    match request {
        Request::Create(c) => matches!(c.op, op::CREATE | op::CREATE2) && matches!(c.flags, 1 | 3),
        Request::Multi(parts) => parts.iter().any(makes_ephemeral),
        _ => false,
    }
}

/// The type of the result of one op of a multi (section 6): 1 has no Stat, 15 has one.
#[must_use]
pub fn part_code(part: &Request<'_>) -> i32 {
    match part {
        Request::Create(c) if matches!(c.op, op::CREATE | op::CREATE_TTL) && matches!(c.flags, 0..=3) => op::CREATE,
        Request::Create(_) => op::CREATE2,
        other => other.op(),
    }
}

fn explain_multi(
    view: &mut Projection<'_>,
    session: SessionId,
    ids: &[Id<'_>],
    parts: &[Request<'_>],
    txn: &Txn<'_>,
) -> Result<(), String> {
    if parts.iter().any(malformed) {
        return match txn {
            Txn::Error(ErrorCode::MarshallingError) => Ok(()),
            other => Err(format!("a malformed multi became {other:?}")),
        };
    }
    let Txn::Multi(subs) = txn else { return Err(format!("a multi became {txn:?}")) };
    let mut wants: Vec<Judged> = Vec::new();
    for part in parts {
        let want = match part {
            Request::Create(c) => view.create(c, ids, true),
            other => view.other(other, ids),
        };
        if let Ok(want) = &want {
            view.take_effect(want, session);
        }
        let failed = want.is_err();
        wants.push(want);
        if failed {
            break;
        }
    }
    // What came before the failing op stays in the record; nothing of it takes effect.
    wants.resize_with(parts.len(), || Err(ErrorCode::RuntimeInconsistency));
    if subs.len() != wants.len() {
        return Err(format!("a multi of {} ops became {} parts", wants.len(), subs.len()));
    }
    for (i, (want, sub)) in wants.iter().zip(subs).enumerate() {
        let SubTxn { kind, body } = sub;
        let txn = Txn::decode(*kind, &mut Reader::new(body)).map_err(|e| format!("part {i}: {e}"))?;
        matches(want, &txn).map_err(|e| format!("part {i} of {parts:?}: {e}"))?;
    }
    Ok(())
}

/// What spoils a whole multi (section 6).
fn malformed(part: &Request<'_>) -> bool {
    match part {
        Request::Create(c) => c.path.is_none() || (c.op != op::CREATE_TTL && !(0..=4).contains(&c.flags)),
        Request::Delete { path, .. } | Request::SetData { path, .. } | Request::Check { path, .. } => path.is_none(),
        _ => true,
    }
}

impl Projection<'_> {
    fn create(&self, c: &Create<'_>, ids: &[Id<'_>], in_multi: bool) -> Judged {
        let mode = self.mode(c, in_multi)?;
        if matches!(c.flags, 1 | 3) && !self.global {
            return Err(ErrorCode::SessionExpired);
        }
        let path = c.path.as_deref().ok_or(ErrorCode::MarshallingError)?;
        if !path.contains('/') || path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let acl = stored(c.acl.as_deref(), ids)?;
        let (parent, _) = split(path).unwrap_or(("/", ""));
        let above = self.get(parent).ok_or(ErrorCode::NoNode)?;
        allowed(above, perm::CREATE, ids)?;
        let sequential = matches!(c.flags, 2 | 3 | 6);
        let path = if sequential { format!("{path}{:010}", above.created) } else { path.to_string() };
        if !valid_path(&path) {
            return Err(ErrorCode::BadArguments);
        }
        if self.get(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if above.ephemeral().is_some() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        self.model.check_quota(self.applied, &path, 1, c.data.map_or(0, |d| d.len() as i64))?;
        let counter = above.created + 1;
        Ok(Want::Create { path, data: c.data.map(Bytes::copy_from_slice), acl, mode, counter })
    }

    fn mode(&self, c: &Create<'_>, in_multi: bool) -> Result<CreateMode, ErrorCode> {
        let ttl_flag = matches!(c.flags, 5 | 6);
        if !(0..=6).contains(&c.flags) {
            return Err(ErrorCode::BadArguments);
        }
        if ttl_flag && !self.model.rules.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        let plain = CreateMode::Plain { ephemeral: matches!(c.flags, 1 | 3) };
        let ttl_ok = (1..=0xff_ffff_ffff).contains(&c.ttl);
        Ok(match c.op {
            _ if in_multi && c.flags == 4 => CreateMode::Container,
            op::CREATE_TTL if ttl_flag && ttl_ok => CreateMode::Ttl(c.ttl),
            op::CREATE_TTL if in_multi && !ttl_flag => plain,
            op::CREATE_CONTAINER if !ttl_flag => CreateMode::Container,
            op::CREATE | op::CREATE2 if !ttl_flag => plain,
            _ => return Err(ErrorCode::BadArguments),
        })
    }

    fn other(&self, request: &Request<'_>, ids: &[Id<'_>]) -> Judged {
        match request {
            Request::Delete { path, version } => self.delete(path.as_deref(), *version, ids),
            Request::SetData { path, data, version } => {
                let (path, state) = self.existing(path.as_deref())?;
                allowed(state, perm::WRITE, ids)?;
                let length = |data: Option<&[u8]>| data.map_or(0, |d| d.len() as i64);
                let more = length(*data) - length(state.data.as_deref());
                self.model.check_quota(self.applied, &path, 0, more)?;
                let version = agreed(*version, state.version)?;
                Ok(Want::SetData { path, data: data.map(Bytes::copy_from_slice), version })
            }
            Request::SetAcl { path, acl, version } => {
                let text = path.as_deref().ok_or(ErrorCode::MarshallingError)?;
                if !valid_path(text) {
                    return Err(ErrorCode::BadArguments);
                }
                let acl = stored(acl.as_deref(), ids)?;
                let (path, state) = self.existing(Some(text))?;
                allowed(state, perm::ADMIN, ids)?;
                Ok(Want::SetAcl { path, acl, version: agreed(*version, state.aversion)? })
            }
            Request::Check { path, version } => {
                let (path, state) = self.existing(path.as_deref())?;
                allowed(state, perm::READ, ids)?;
                agreed(*version, state.version)?;
                Ok(Want::Check(path))
            }
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn existing(&self, path: Option<&str>) -> Result<(String, &State), ErrorCode> {
        let path = path.ok_or(ErrorCode::MarshallingError)?;
        if !valid_path(path) {
            return Err(ErrorCode::BadArguments);
        }
        Ok((path.to_string(), self.get(path).ok_or(ErrorCode::NoNode)?))
    }

    fn delete(&self, path: Option<&str>, version: i32, ids: &[Id<'_>]) -> Judged {
        let path = path.ok_or(ErrorCode::MarshallingError)?;
        let special = matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | "/zookeeper/config");
        if special || path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let (parent, _) = split(path).ok_or(ErrorCode::BadArguments)?;
        allowed(self.get(parent).ok_or(ErrorCode::NoNode)?, perm::DELETE, ids)?;
        let state = self.get(path).ok_or(ErrorCode::NoNode)?;
        agreed(version, state.version)?;
        if state.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        Ok(Want::Delete(path.to_string()))
    }
}

/// The version after a change, when the expected one is the current one or -1.
fn agreed(expected: i32, current: i32) -> Result<i32, ErrorCode> {
    if expected == -1 || expected == current { Ok(next_version(current)) } else { Err(ErrorCode::BadVersion) }
}

fn allowed(state: &State, wanted: i32, ids: &[Id<'_>]) -> Result<(), ErrorCode> {
    if permits(&state.acl, wanted, ids) { Ok(()) } else { Err(ErrorCode::NoAuth) }
}

fn matches(want: &Judged, txn: &Txn<'_>) -> Result<(), String> {
    let same = match (want, txn) {
        (Err(want), Txn::Error(got)) => want == got,
        (
            Ok(Want::Create { path, data, acl, mode, counter }),
            Txn::Create { path: p, data: d, acl: a, mode: m, parent_cversion },
        ) => {
            *path == **p
                && data.as_deref() == *d
                && acl.len() == a.len()
                && acl.iter().zip(a).all(|(x, y)| x == y)
                && mode == m
                && (*parent_cversion == -1 || parent_cversion == counter)
        }
        (Ok(Want::Delete(path)), Txn::Delete { path: p }) | (Ok(Want::Check(path)), Txn::Check { path: p, .. }) => {
            *path == **p
        }
        (Ok(Want::SetData { path, data, version }), Txn::SetData { path: p, data: d, version: v }) => {
            *path == **p && data.as_deref() == *d && version == v
        }
        (Ok(Want::SetAcl { path, acl, version }), Txn::SetAcl { path: p, acl: a, version: v }) => {
            *path == **p && acl.len() == a.len() && acl.iter().zip(a).all(|(x, y)| x == y) && version == v
        }
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("expected {want:?}, the transaction is {txn:?}")) }
}
