//! Access control lists: who may do what, which lists may be stored, what of them may be shown (client-protocol 9).

mod digest;
mod ip;
mod names;

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use crate::config::{Auth, Limits};
use crate::error::ErrorCode;
use crate::wire::records::{Acl, Id};
pub use digest::digest_id;

/// Whether one who has proved `ids` may do `wanted` (one bit or several of which any suffices).
#[must_use]
pub fn check(acl: &[Acl<'_>], wanted: i32, ids: &[Id<'_>], auth: &Auth) -> bool {
    if auth.skip_acl || acl.is_empty() {
        return true;
    }
    let granting = |entry: &&Acl<'_>| entry.perms & wanted != 0;
    if acl.iter().filter(granting).any(|entry| is_anyone(&entry.id)) || is_super(ids) {
        return true;
    }
    acl.iter().filter(granting).any(|entry| ids.iter().any(|id| matches(id, &entry.id, auth)))
}

/// Whether these identities pass every check.
#[must_use]
pub fn is_super(ids: &[Id<'_>]) -> bool {
    ids.iter().any(|id| id.scheme() == "super")
}

fn is_anyone(id: &Id<'_>) -> bool {
    id.scheme() == "world" && id.id() == "anyone"
}

/// A scheme without a provider matches nobody.
fn matches(proved: &Id<'_>, named: &Id<'_>, auth: &Auth) -> bool {
    proved.scheme() == named.scheme()
        && match named.scheme() {
            "ip" => ip::ip_matches(proved.id(), named.id()),
            scheme if !auth.proves(scheme) => false,
            "x509" if auth.x509_super.as_deref() == Some(proved.id()) => true,
            "sasl" if proved.id() == "super" => true,
            _ => proved.id() == named.id(),
        }
}

/// What identities in place of `auth` may add to a list at most, bytes: each of many entries would otherwise repeat all of them.
const GROWTH_MAX: usize = 256 << 10;

/// The same for a server with these limits: the transaction must fit into what its peers and its log take.
#[must_use]
pub fn growth_max(limits: &Limits) -> usize {
    GROWTH_MAX.min(limits.frame_extra / 2)
}

/// Bytes of an entry beside its id: permissions, scheme, lengths.
const ENTRY: usize = 24;

/// The list that is stored for what a client sent: no duplicates, `auth` replaced by the identities of the requester.
///
/// [`ErrorCode::InvalidAcl`] for a list that is null, empty, grows too long or has an entry that no scheme accepts; a null id trips the schemes
/// that look at it ([`ErrorCode::MarshallingError`]).
pub fn fix_up<'a>(
    list: Option<&[Acl<'a>]>,
    ids: &[Id<'a>],
    auth: &Auth,
    growth_max: usize,
) -> Result<Vec<Acl<'a>>, ErrorCode> {
    let list = list.filter(|list| !list.is_empty()).ok_or(ErrorCode::InvalidAcl)?;
    let mut stored = Vec::with_capacity(list.len());
    let mut seen = BTreeSet::new();
    let mut grown = 0;
    for entry in list {
        if !seen.insert((entry.perms, &entry.id)) {
            continue;
        }
        if entry.id.scheme() == "auth" {
            let before = stored.len();
            let proved = ids.iter().filter(|id| auth.proves(id.scheme()));
            grown += proved.clone().map(|id| id.id().len() + ENTRY).sum::<usize>();
            if grown > growth_max {
                return Err(ErrorCode::InvalidAcl);
            }
            stored.extend(proved.map(|id| Acl { perms: entry.perms, id: id.clone() }));
            if stored.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
            continue;
        }
        if !is_valid(&entry.id, auth)? {
            return Err(ErrorCode::InvalidAcl);
        }
        stored.push(entry.clone());
    }
    Ok(stored)
}

/// super is never valid, and neither is what has no provider.
fn is_valid(id: &Id<'_>, auth: &Auth) -> Result<bool, ErrorCode> {
    let text = || id.id.as_deref().ok_or(ErrorCode::MarshallingError);
    Ok(match id.scheme() {
        "world" => text()? == "anyone",
        "ip" => ip::is_ip(text()?),
        scheme if !auth.proves(scheme) => false,
        "digest" => digest::is_digest(text()?),
        "x509" => names::is_x500(text()?),
        "sasl" => names::is_kerberos(text()?),
        _ => false,
    })
}

/// The list as it is shown to one without ADMIN: passwords of digest ids are hidden.
#[must_use]
pub fn masked<'a>(acl: &[Acl<'a>]) -> Vec<Acl<'a>> {
    let hide = |entry: &Acl<'a>| {
        let mut shown = entry.clone();
        if entry.id.scheme() == "digest" {
            let user = entry.id.id().split(':').next().unwrap_or_default();
            shown.id.id = Some(Cow::Owned(format!("{user}:x")));
        }
        shown
    };
    acl.iter().map(hide).collect()
}
