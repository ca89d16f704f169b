//! Identities and rights (client-protocol 9), written from the specification.

use quorate_core::error::ErrorCode;
use quorate_core::wire::records::{Acl, Id};

/// What clients say in auth frames of scheme digest, and the identity that it proves: the user, and the base64 of the SHA-1 of
/// the whole text.
pub const DIGESTS: &[(&str, &str)] = &[
    ("ann:a", "ann:i9V/d2HTT0sehGWzvQcFNipywIQ="),
    ("bob:b", "bob:LcrmCNs/wfVD+i5a5yaz89GyjIM="),
    ("super:s", SUPER),
    ("guest", "guest:NWdeaPS1r3uZXZIFrQ/EOELxZFA="),
    ("eve:e:x", "eve:FVpGsFydBlZBFxmRD7ViSx90Veo="),
    ("", ":2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
];

/// The superDigest of runs that have one.
pub const SUPER: &str = "super:BDYfsKZtexvW+zRgsJ2N0pMNlLY=";

/// What an auth frame proves to a server; `None`: it fails, and the connection ends (9.1). `Err`: nothing that the model knows.
pub fn proves(
    scheme: Option<&str>,
    auth: Option<&[u8]>,
    address: &str,
    super_digest: bool,
) -> Result<Option<Vec<Id<'static>>>, String> {
    Ok(match (scheme, auth) {
        (Some("ip"), _) => Some(vec![ip(address)]),
        (Some("digest"), Some(said)) => {
            let known = DIGESTS.iter().find(|(text, _)| text.as_bytes() == said);
            let Some((_, id)) = known else { return Err(format!("nobody has worked out what {said:?} proves")) };
            let mut ids = vec![Id::new("digest", id)];
            if super_digest && *id == SUPER {
                ids.insert(0, Id::new("super", ""));
            }
            Some(ids)
        }
        _ => None,
    })
}

/// The identity that every connection has.
#[must_use]
pub fn ip(address: &str) -> Id<'static> {
    Id { scheme: Some("ip".into()), id: Some(address.to_owned().into()) }
}

/// What whoAmI shows of an identity.
#[must_use]
pub fn shown<'a>(id: &'a Id<'_>) -> (&'a str, &'a str) {
    let user = match id.scheme() {
        "digest" => id.id().split(':').next().unwrap_or_default(),
        "super" => "",
        _ => id.id(),
    };
    (id.scheme(), user)
}

/// Whether an ACL gives one of these permissions to one of these identities (9.2).
#[must_use]
pub fn permits(acl: &[Acl<'_>], wanted: i32, ids: &[Id<'_>]) -> bool {
    acl.is_empty()
        || ids.iter().any(|id| id.scheme() == "super")
        || acl.iter().filter(|entry| entry.perms & wanted != 0).any(|entry| {
            let named = (entry.id.scheme(), entry.id.id());
            named == ("world", "anyone")
                || ids.iter().any(|id| match id.scheme() {
                    "ip" => named.0 == "ip" && within(id.id(), named.1),
                    "digest" => named == ("digest", id.id()),
                    _ => false,
                })
        })
}

/// An address as a number, and how many bits it has.
fn number(text: &str) -> Option<(u128, u32)> {
    if text.contains(':') {
        return text.parse::<core::net::Ipv6Addr>().ok().map(|a| (a.into(), 128));
    }
    text.parse::<core::net::Ipv4Addr>().ok().map(|a| (u128::from(u32::from(a)), 32))
}

/// An address or a network: its number, the bits of an address, the bits that count.
fn network(text: &str) -> Option<(u128, u32, u32)> {
    let (host, mask) = text.split_once('/').map_or((text, None), |(host, mask)| (host, Some(mask)));
    let (net, bits) = number(host)?;
    let counted = mask.map_or(Some(bits), |m| m.parse().ok().filter(|m| *m <= bits))?;
    Some((net, bits, counted))
}

fn within(address: &str, named: &str) -> bool {
    let (Some((address, length)), Some((net, bits, counted))) = (number(address), network(named)) else {
        return false;
    };
    let free = bits - counted;
    length == bits && (free >= 128 || address >> free == net >> free)
}

/// What is stored of the ACL that a client sends (9.2).
pub(super) fn stored(acl: Option<&[Acl<'_>]>, ids: &[Id<'_>]) -> Result<Vec<Acl<'static>>, ErrorCode> {
    let mut kept: Vec<Acl<'static>> = Vec::new();
    let list = acl.unwrap_or_default();
    for (i, entry) in list.iter().enumerate() {
        if list[..i].contains(entry) {
            continue;
        }
        let text = || entry.id.id.as_deref().ok_or(ErrorCode::MarshallingError);
        let fine = match entry.id.scheme() {
            "world" => text()? == "anyone",
            "ip" => network(text()?).is_some(),
            "digest" => {
                // Java's split(":") drops empty parts at the end.
                let parts = text()?.trim_end_matches(':');
                !parts.is_empty() && parts.matches(':').count() == 1
            }
            "auth" => {
                let before = kept.len();
                let proved = ids.iter().filter(|id| id.scheme() == "digest").cloned().map(Id::into_owned);
                kept.extend(proved.map(|id| Acl { perms: entry.perms, id }));
                if kept.len() == before {
                    return Err(ErrorCode::InvalidAcl);
                }
                continue;
            }
            _ => false,
        };
        if !fine {
            return Err(ErrorCode::InvalidAcl);
        }
        kept.push(entry.clone().into_owned());
    }
    if kept.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(kept) }
}

/// What getACL shows to one without ADMIN: the secret part of digest identities is hidden.
#[must_use]
pub(super) fn masked(acl: &[Acl<'static>]) -> Vec<Acl<'static>> {
    let hide = |entry: &Acl<'static>| {
        let mut entry = entry.clone();
        if entry.id.scheme() == "digest" {
            entry.id.id = Some(format!("{}:x", entry.id.id().split(':').next().unwrap_or_default()).into());
        }
        entry
    };
    acl.iter().map(hide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert!(within("10.0.0.5", "10.0.0.0/24") && within("10.0.0.5", "10.0.0.5") && within("1.2.3.4", "9.9.9.9/0"));
        assert!(!within("10.0.1.5", "10.0.0.0/24") && !within("10.0.0.5", "::1") && !within("10.0.0.5", "10.0.0.0/33"));
        assert!(within("::1", "::/0") && !within("::1", "::2"));
    }

    #[test]
    fn lists() {
        let entry = |scheme, id| Acl { perms: 31, id: Id::new(scheme, id) };
        let ann = Id::new("digest", DIGESTS[0].1);
        let auth = stored(Some(&[entry("auth", ""), entry("auth", "")]), &[ip("1.1.1.1"), ann.clone()]);
        assert_eq!(auth, Ok(vec![Acl { perms: 31, id: ann }]));
        for bad in [entry("digest", "a"), entry("digest", "a:"), entry("digest", "a:b:c"), entry("super", "x")] {
            assert_eq!(stored(Some(&[bad]), &[]), Err(ErrorCode::InvalidAcl));
        }
        for good in [entry("digest", "a:b"), entry("digest", ":b"), entry("ip", "10.0.0.0/8"), entry("ip", "::1")] {
            assert_eq!(stored(Some(std::slice::from_ref(&good)), &[]), Ok(vec![good.clone()]));
        }
        assert_eq!(stored(None, &[]), Err(ErrorCode::InvalidAcl));
        let null = Acl { perms: 1, id: Id { scheme: Some("world".into()), id: None } };
        assert_eq!(stored(Some(&[null]), &[]), Err(ErrorCode::MarshallingError));
    }
}
