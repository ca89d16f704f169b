//! Identities of a connection: auth and sasl frames, enforced authentication (client-protocol 9.1).
//!
//! An identity counts for everything that is read behind its frame and for nothing before it; its reply keeps its place in the
//! order, which suits every client library (section 16, quirk 3).

use crate::config::{Auth, PeerConfig};
use crate::error::{CloseReason, ErrorCode};
use crate::event::Role;
use crate::front::conn::{Conn, HeaderZxid, State, host_text};
use crate::front::{Front, FrontCtx};
use crate::tree::acl;
use crate::wire::client::{Create, Request, Undecodable};
use crate::wire::records::{Id, op, perm};

/// What the identities of one connection may take, bytes: they travel with every request to the leader, whose packets have room for
/// `frame_extra` behind the longest request.
const IDENTITIES_MAX: usize = 64 << 10;

impl Front {
    /// Returns whether the connection is still there.
    pub(super) fn on_auth(&mut self, slot: usize, xid: i32, body: &[u8], ctx: &mut FrontCtx<'_>) -> bool {
        let (scheme, auth) = match Request::decode(op::AUTH, body) {
            Ok(Request::Auth { scheme, auth }) => (scheme, auth),
            Ok(_) | Err(Undecodable::Opcode) => unreachable!("an auth frame decodes as nothing else"),
            Err(Undecodable::Body(e)) => return self.end(slot, xid, op::AUTH, None, CloseReason::Undecodable(e), ctx),
        };
        if prove(&mut self.conns[slot], scheme.as_deref().unwrap_or(""), auth, ctx.cfg) {
            let state = State::Header { zxid: HeaderZxid::Fixed(0), err: ErrorCode::Ok };
            self.enqueue(slot, xid, op::AUTH, state, ctx)
        } else {
            self.stats.auth_failed += 1;
            let reply = Some((HeaderZxid::Fixed(0), ErrorCode::AuthFailed));
            self.end(slot, xid, op::AUTH, reply, CloseReason::Refused("authentication failed"), ctx)
        }
    }

    /// There is no SASL server here: a null token tells the client so. Returns whether the connection is still there.
    pub(super) fn on_sasl(&mut self, slot: usize, xid: i32, body: &[u8], ctx: &mut FrontCtx<'_>) -> bool {
        match Request::decode(op::SASL, body) {
            Ok(_) | Err(Undecodable::Opcode) => self.enqueue(slot, xid, op::SASL, State::NullToken, ctx),
            Err(Undecodable::Body(e)) => self.end(slot, xid, op::SASL, None, CloseReason::Undecodable(e), ctx),
        }
    }

    /// enableEagerACLCheck: what the ACLs of this server's tree say about a write of its own client, before it is handed on. Only in
    /// an ensemble, and only these opcodes; what is not there yet may come with a write in flight (client-protocol 4.1).
    pub(super) fn refuses_early(&self, slot: usize, op: i32, body: &[u8], ctx: &FrontCtx<'_>) -> Option<ErrorCode> {
        let auth = &ctx.cfg.features.auth;
        if !auth.eager_check || self.serving.is_none_or(|s| s.role == Role::Standalone) {
            return None;
        }
        let request = Request::decode(op, body).ok()?;
        let (path, wanted, list) = match &request {
            Request::Create(Create { op: op::CREATE | op::CREATE2, path, acl, .. }) => (path, perm::CREATE, Some(acl)),
            Request::Delete { path, .. } => (path, perm::DELETE, None),
            Request::SetData { path, .. } => (path, perm::WRITE, None),
            Request::SetAcl { path, acl, .. } => (path, perm::ADMIN, Some(acl)),
            _ => return None,
        };
        let path = path.as_deref()?;
        let path = if matches!(wanted, perm::CREATE | perm::DELETE) { parent(path)? } else { path };
        let ids = &self.conns[slot].ids;
        if let Some(list) = list
            && acl::fix_up(list.as_deref(), ids, auth, acl::growth_max(&ctx.cfg.limits)) == Err(ErrorCode::InvalidAcl)
        {
            return Some(ErrorCode::InvalidAcl);
        }
        let node = ctx.tree.node(path)?;
        (!acl::check(node.acl(), wanted, ids, auth)).then_some(ErrorCode::NoAuth)
    }

    /// Whether an enforced scheme is missing: every frame but auth and sasl is refused then.
    pub(super) fn lacks_enforced_auth(&self, slot: usize, auth: &Auth) -> bool {
        let enforced = &auth.enforced;
        !enforced.is_empty()
            && !self.conns[slot].ids.iter().any(|id| enforced.iter().any(|scheme| scheme == id.scheme()))
    }
}

/// The path above, where there can be one.
fn parent(path: &str) -> Option<&str> {
    let above = path.rsplit_once('/').map(|(above, _)| above).filter(|_| !path.contains('\0'))?;
    Some(if above.is_empty() { "/" } else { above })
}

/// Adds what `data` proves, if it proves something.
fn prove(conn: &mut Conn, scheme: &str, data: Option<&[u8]>, cfg: &PeerConfig) -> bool {
    let auth = &cfg.features.auth;
    match (scheme, data) {
        ("digest", Some(data)) if auth.digest => {
            let id = acl::digest_id(data, auth.digest_algorithm);
            let taken: usize = conn.ids.iter().map(|id| id.scheme().len() + id.id().len() + 8).sum();
            // Who logs in once more takes no more.
            let known = conn.ids.iter().any(|of| of.scheme() == "digest" && of.id() == id);
            if !known && taken + "digest".len() + id.len() + 8 > IDENTITIES_MAX.min(cfg.limits.frame_extra) {
                return false;
            }
            if auth.super_digest.as_deref() == Some(&*id) {
                conn.prove(Id::new("super", ""));
            }
            conn.prove(Id { scheme: Some("digest".into()), id: Some(id.into()) });
            true
        }
        ("ip", _) => {
            conn.prove(Id { scheme: Some("ip".into()), id: Some(host_text(conn.remote.ip()).into()) });
            true
        }
        // world and auth are no logins; x509 takes a certificate and sasl frames of its own.
        _ => false,
    }
}
