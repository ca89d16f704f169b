//! Access control lists: who may do what, which lists may be stored, what of them may be shown (client-protocol 9).

use alloc::borrow::{Cow, ToOwned};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::error::ErrorCode;
use crate::wire::records::{Acl, Id};

/// Whether one who has proved `ids` may do `wanted` (one bit or several of which any suffices).
#[must_use]
pub fn check(acl: &[Acl<'_>], wanted: i32, ids: &[Id<'_>], skip_acl: bool) -> bool {
    if skip_acl || acl.is_empty() {
        return true;
    }
    let granting = |entry: &&Acl<'_>| entry.perms & wanted != 0;
    if acl.iter().filter(granting).any(|entry| is_anyone(&entry.id)) || is_super(ids) {
        return true;
    }
    acl.iter().filter(granting).any(|entry| ids.iter().any(|id| matches(id, &entry.id)))
}

/// Whether these identities pass every check.
#[must_use]
pub fn is_super(ids: &[Id<'_>]) -> bool {
    ids.iter().any(|id| id.scheme() == "super")
}

fn is_anyone(id: &Id<'_>) -> bool {
    id.scheme() == "world" && id.id() == "anyone"
}

fn matches(proved: &Id<'_>, named: &Id<'_>) -> bool {
    proved.scheme() == named.scheme()
        && match named.scheme() {
            "digest" | "x509" | "sasl" => proved.id() == named.id(),
            "ip" => ip_matches(proved.id(), named.id()),
            _ => false,
        }
}

/// What identities in place of `auth` may add to a list at most, bytes: each of many entries would otherwise repeat all of them.
pub const GROWTH_MAX: usize = 256 << 10;

/// Bytes of an entry beside its id: permissions, scheme, lengths.
const ENTRY: usize = 24;

/// The list that is stored for what a client sent: no duplicates, `auth` replaced by the identities of the requester.
///
/// [`ErrorCode::InvalidAcl`] for a list that is null, empty, grows too long or has an entry that no scheme accepts; a null id trips the schemes
/// that look at it ([`ErrorCode::MarshallingError`]).
pub fn fix_up<'a>(
    list: Option<&[Acl<'a>]>,
    ids: &[Id<'a>],
    digest_auth: bool,
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
            let proved = ids.iter().filter(|id| authenticates(id.scheme(), digest_auth));
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
        if !is_valid(&entry.id, digest_auth)? {
            return Err(ErrorCode::InvalidAcl);
        }
        stored.push(entry.clone());
    }
    Ok(stored)
}

/// Whether the scheme proves who somebody is, rather than where.
fn authenticates(scheme: &str, digest_auth: bool) -> bool {
    scheme == "digest" && digest_auth
}

fn is_valid(id: &Id<'_>, digest_auth: bool) -> Result<bool, ErrorCode> {
    let text = || id.id.as_deref().ok_or(ErrorCode::MarshallingError);
    Ok(match id.scheme() {
        "world" => text()? == "anyone",
        "digest" if digest_auth => is_digest(text()?),
        "ip" => is_ip(text()?),
        // super is never valid; x509 and sasl need a provider.
        _ => false,
    })
}

/// Exactly two parts as Java's `split(":")` counts them: it drops empty parts at the end.
fn is_digest(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split(':').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.len() == 2
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

/// The id that "user:password" proves: the user and the base64 of the SHA-1 of the whole text.
#[must_use]
pub fn digest_id(auth: &[u8]) -> String {
    let text = String::from_utf8_lossy(auth);
    let user = text.split(':').next().unwrap_or_default();
    let mut id = user.to_owned();
    id.push(':');
    STANDARD.encode_string(Sha1::digest(text.as_bytes()), &mut id);
    id
}

/// Address bytes: 4 or 16 of them.
fn address(text: &str) -> Option<([u8; 16], u32)> {
    let mut bytes = [0; 16];
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|v6| (v6.octets(), 128));
    }
    let mut parts = text.split('.');
    for byte in &mut bytes[..4] {
        let part = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))?;
        *byte = part.parse().ok()?;
    }
    if parts.next().is_some() { None } else { Some((bytes, 32)) }
}

/// Address and number of leading bits that count.
fn network(text: &str) -> Option<([u8; 16], u32, u32)> {
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (bytes, len) = address(host)?;
    let bits = bits.unwrap_or(len);
    if bits <= len { Some((bytes, len, bits)) } else { None }
}

fn is_ip(text: &str) -> bool {
    network(text).is_some()
}

fn ip_matches(peer: &str, named: &str) -> bool {
    let (Some((peer, peer_len)), Some((net, len, bits))) = (address(peer), network(named)) else { return false };
    let prefix = |bytes: [u8; 16]| u128::from_be_bytes(bytes).checked_shr(128 - bits).unwrap_or(0);
    peer_len == len && prefix(peer) == prefix(net)
}
