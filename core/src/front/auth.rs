//! Identities of a connection: auth and sasl frames, enforced authentication (client-protocol 9.1).
//!
//! An identity counts for everything that is read behind its frame and for nothing before it; its reply keeps its place in the
//! order, which suits every client library (section 16, quirk 3).

use crate::config::{Features, PeerConfig};
use crate::error::{CloseReason, ErrorCode};
use crate::front::conn::{Conn, HeaderZxid, State, host_text};
use crate::front::{Front, FrontCtx};
use crate::tree::acl;
use crate::wire::client::{Request, Undecodable};
use crate::wire::records::{Id, op};

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

    /// Whether an enforced scheme is missing: every frame but auth and sasl is refused then.
    pub(super) fn lacks_enforced_auth(&self, slot: usize, features: &Features) -> bool {
        let enforced = &features.enforced_auth;
        !enforced.is_empty()
            && !self.conns[slot].ids.iter().any(|id| enforced.iter().any(|scheme| scheme == id.scheme()))
    }
}

/// Adds what `auth` proves, if it proves something.
fn prove(conn: &mut Conn, scheme: &str, auth: Option<&[u8]>, cfg: &PeerConfig) -> bool {
    let PeerConfig { features, limits, .. } = cfg;
    match (scheme, auth) {
        ("digest", Some(auth)) if features.digest_auth => {
            let id = acl::digest_id(auth);
            let taken: usize = conn.ids.iter().map(|id| id.scheme().len() + id.id().len() + 8).sum();
            if taken + "digest".len() + id.len() + 8 > IDENTITIES_MAX.min(limits.frame_extra) {
                return false;
            }
            if features.super_digest.as_deref() == Some(&*id) {
                conn.prove(Id::new("super", ""));
            }
            conn.prove(Id { scheme: Some("digest".into()), id: Some(id.into()) });
            true
        }
        ("ip", _) => {
            conn.prove(Id { scheme: Some("ip".into()), id: Some(host_text(conn.remote.ip()).into()) });
            true
        }
        // world and auth are no logins; x509 and sasl need a provider.
        _ => false,
    }
}
