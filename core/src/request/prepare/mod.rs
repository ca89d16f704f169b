//! On the leader: a request becomes one transaction (client-protocol 4.1, 5, 6).
//!
//! A request is validated against the tree *as it will be* when everything in flight is applied: the tree and, over it, the
//! znodes that transactions in flight change. The digest of that projected tree travels with each transaction, so that every
//! server can tell whether it came to the same state.

mod create;
mod multi;
mod ops;
mod paths;
mod projection;
mod quota;
mod sessions;

use alloc::string::String;
use alloc::vec::Vec;

use crate::config::{Auth, PeerConfig};
use crate::error::ErrorCode;
use crate::ids::{Millis, Now, SessionId, Sid, Zxid};
use crate::jute::Put;
use crate::mutant::{Mutant, Mutants};
use crate::session::{self, Origin, Tracker};
use crate::tree::{DataTree, acl};
use crate::wire::client::{Request, SharedAcl, Undecodable};
use crate::wire::records::{Id, op};
use crate::wire::txn::{Txn, TxnDigest, TxnHeader, encode_record};
use projection::Projection;
use quota::Exceeded;

/// A request that asks for its place in the order.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Who asks; [`SessionId::NONE`] for the leader itself.
    pub session: SessionId,
    /// The request's xid.
    pub cxid: i32,
    /// Its opcode.
    pub op: i32,
    /// Its body.
    pub body: &'a [u8],
    /// What the connection has proved.
    pub ids: &'a [Id<'static>],
    /// Through which server it came.
    pub origin: Origin,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A transaction, perhaps one that says why not: the finished record was appended.
    Txn,
    /// Nothing: its session is gone, nobody waits for an answer.
    Dropped,
    /// This error, without a transaction.
    Refused(ErrorCode),
}

/// What the configuration says about requests.
#[derive(Clone, Debug)]
struct Rules {
    sid: Sid,
    extended_types: bool,
    enforce_quota: bool,
    auth: Auth,
    tree_digest: bool,
    local_sessions: bool,
    container_never_used_ms: Millis,
    /// A longer record would be refused by every learner, now and whenever it is offered again.
    record_max: usize,
    /// What a list may grow by when identities take the place of "auth": a record must stay below that.
    growth_max: usize,
    mutants: Mutants,
}

/// Turns requests into transactions, one after the other.
#[derive(Clone, Debug)]
pub struct Preparer {
    rules: Rules,
    flying: Projection,
    /// The list of the last create or setACL: most are the same.
    last_acl: SharedAcl,
    exceeded: Exceeded,
}

/// One request at work: the state it is checked against, who asks, what the transaction's header says.
struct Step<'a> {
    rules: &'a Rules,
    flying: &'a mut Projection,
    last_acl: &'a mut SharedAcl,
    exceeded: &'a mut Exceeded,
    tree: &'a DataTree,
    ids: &'a [Id<'static>],
    session: SessionId,
    /// Whether the session is known to the whole ensemble: only then may it own ephemerals.
    global: bool,
    zxid: Zxid,
    time: Millis,
    mono_ms: Millis,
}

impl Preparer {
    /// With nothing in flight above `tree`, which is the one that the other calls are given too.
    #[must_use]
    pub fn new(cfg: &PeerConfig, tree: &DataTree) -> Self {
        let features = &cfg.features;
        let rules = Rules {
            sid: cfg.sid,
            extended_types: features.extended_types,
            enforce_quota: features.enforce_quota,
            auth: features.auth.clone(),
            tree_digest: features.tree_digest,
            local_sessions: features.local_sessions,
            container_never_used_ms: cfg.timing.container_never_used_ms,
            record_max: cfg.limits.frame_max + cfg.limits.frame_extra,
            growth_max: acl::growth_max(&cfg.limits),
            mutants: cfg.mutants,
        };
        Self { rules, flying: Projection::new(tree), last_acl: SharedAcl::from([]), exceeded: Exceeded::default() }
    }

    /// Makes the transaction `zxid` of this request and appends its record to `out`. With another outcome than
    /// [`Outcome::Txn`] nothing is appended and the zxid is not used. What was prepared must be proposed: the requests behind
    /// it are checked as if it had happened.
    #[allow(clippy::too_many_arguments)]
    pub fn prepare(
        &mut self,
        incoming: &Incoming<'_>,
        zxid: Zxid,
        now: Now,
        tree: &DataTree,
        tracker: &mut Tracker,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let start = out.len();
        let mut header =
            TxnHeader { session: incoming.session, cxid: incoming.cxid, zxid, time: now.wall_ms, kind: incoming.op };
        header.encode(out);
        match self.body(incoming, &header, now, tree, tracker, out) {
            Ok(()) => {
                if self.rules.tree_digest {
                    out.put_i32(TxnDigest::VERSION);
                    out.put_i64(self.flying.digest() as i64);
                }
                Outcome::Txn
            }
            Err(Failure::Logged(code)) => {
                out.truncate(start);
                header.kind = op::ERROR;
                encode_record(&header, &Txn::Error(code), None, out);
                Outcome::Txn
            }
            Err(Failure::Dropped) => {
                out.truncate(start);
                Outcome::Dropped
            }
            Err(Failure::Refused(code)) => {
                out.truncate(start);
                Outcome::Refused(code)
            }
        }
    }

    /// What the log should say of a quota that the last request exceeds.
    pub fn quota_warning(&mut self) -> Option<String> {
        self.exceeded.take()
    }

    /// Everything up to `zxid` is applied to `tree`.
    pub fn applied(&mut self, zxid: Zxid, tree: &DataTree) {
        self.flying.applied(zxid, tree);
    }

    /// Appends the body of the transaction.
    fn body(
        &mut self,
        incoming: &Incoming<'_>,
        header: &TxnHeader,
        now: Now,
        tree: &DataTree,
        tracker: &mut Tracker,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        match incoming.op {
            op::CREATE_SESSION => return create_session(incoming, now, self.rules.mutants, tracker, out),
            op::CLOSE_SESSION => {
                self.close_session(header, tree, out);
                tracker.close(incoming.session);
                return Ok(());
            }
            // As a server whose reconfigEnabled is false: the first check of all.
            op::RECONFIG => return Err(Failure::Logged(ErrorCode::ReconfigDisabled)),
            // Only the leader's own reaper deletes containers (8.4).
            op::DELETE_CONTAINER if incoming.session != SessionId::NONE || incoming.origin != Origin::Local => {
                return Err(Failure::Logged(ErrorCode::Unimplemented));
            }
            // Only inside a multi.
            op::CHECK if !self.rules.mutants.has(Mutant::B44) => {
                return Err(Failure::Refused(ErrorCode::Unimplemented));
            }
            _ => {}
        }
        let request = match Request::decode(incoming.op, incoming.body) {
            Ok(request) => request,
            // It consumes a zxid even so (8.3).
            Err(Undecodable::Body(_)) if incoming.op == op::MULTI => {
                return Err(Failure::Logged(ErrorCode::MarshallingError));
            }
            Err(Undecodable::Body(_)) => return Err(Failure::Refused(ErrorCode::MarshallingError)),
            Err(Undecodable::Opcode) => return Err(Failure::Refused(ErrorCode::Unimplemented)),
        };
        let standing = self.rules.standing(incoming, tracker);
        if let Err(Failure::Dropped) = standing {
            return Err(Failure::Dropped);
        }
        let mut step = Step {
            rules: &self.rules,
            flying: &mut self.flying,
            last_acl: &mut self.last_acl,
            exceeded: &mut self.exceeded,
            tree,
            ids: incoming.ids,
            session: incoming.session,
            global: matches!(standing, Ok(true)),
            zxid: header.zxid,
            time: header.time,
            mono_ms: now.mono_ms,
        };
        if let Request::Create(create) = &request {
            // Flags are looked at before the session (4.1).
            let form = step.form(create)?;
            standing?;
            step.create(create, form, out)?;
            return Ok(());
        }
        standing?;
        match &request {
            Request::Delete { path, version } => step.delete(path.as_deref(), *version, out)?,
            Request::DeleteContainer { path } => step.delete_container(path.as_deref(), out)?,
            Request::SetData { path, data, version } => step.set_data(path.as_deref(), *data, *version, out)?,
            Request::SetAcl { path, acl, version } => step.set_acl(path.as_deref(), acl.as_deref(), *version, out)?,
            Request::Multi(parts) => step.multi(parts, out)?,
            Request::Check { path, version } => step.check(path.as_deref(), *version, out)?,
            // A sync needs no transaction, a read neither.
            _ => return Err(Failure::Refused(ErrorCode::Unimplemented)),
        }
        Ok(())
    }
}

/// Why a request has no transaction of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    /// An error transaction is logged: failing consumes a zxid (1.4).
    Logged(ErrorCode),
    Dropped,
    Refused(ErrorCode),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Logged(code)
    }
}

/// createSession: a leader refuses an id that exists.
fn create_session(
    incoming: &Incoming<'_>,
    now: Now,
    mutants: Mutants,
    tracker: &mut Tracker,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let Ok(Request::CreateSession { timeout }) = Request::decode(op::CREATE_SESSION, incoming.body) else {
        return Err(Failure::Refused(ErrorCode::MarshallingError));
    };
    let used = tracker.contains(incoming.session) || tracker.has_ended(incoming.session);
    if incoming.session == SessionId::NONE || used {
        return Err(Failure::Refused(ErrorCode::SessionExpired));
    }
    tracker.add(session::clock(now, mutants), incoming.session, timeout, Some(incoming.origin));
    out.put_i32(timeout);
    Ok(())
}
