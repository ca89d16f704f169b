//! Access control, with the answers of a real 3.9.5 (client vectors, `acl.json`).

use quorate_core::error::ErrorCode;
use quorate_core::tree::acl::{self, GROWTH_MAX, check, digest_id, masked};
use quorate_core::wire::records::{Acl, Id, perm};

fn fix_up<'a>(list: Option<&[Acl<'a>]>, ids: &[Id<'a>], digest_auth: bool) -> Result<Vec<Acl<'a>>, ErrorCode> {
    acl::fix_up(list, ids, digest_auth, GROWTH_MAX)
}

fn entry(scheme: &'static str, id: &'static str) -> Acl<'static> {
    Acl { perms: perm::ALL, id: Id::new(scheme, id) }
}

#[test]
fn digests() {
    assert_eq!(digest_id(b"bob:pw"), "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=");
    assert_eq!(digest_id(b"super:secret"), "super:lK75jTNcA+U9vtVEw5vB51mj/w4=");
    // Neither a colon nor any text is needed; all of it is hashed.
    assert!(digest_id(b"nocolon").starts_with("nocolon:"));
    assert_eq!(digest_id(b""), ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    assert_eq!(digest_id(b"a:b:c").split(':').next(), Some("a"));
}

#[test]
fn which_entries_may_be_stored() {
    let accepted = [
        ("digest", ":b"),
        ("digest", "a:b"),
        ("ip", "1.2.3.4/0"),
        ("ip", "::1"),
        ("ip", "fe80::/128"),
        ("ip", "10.0.0.0/8"),
        ("world", "anyone"),
    ];
    for (scheme, id) in accepted {
        let list = [entry(scheme, id)];
        assert_eq!(fix_up(Some(&list), &[], true).as_deref(), Ok(&list[..]), "{scheme}:{id}");
    }
    let refused = [
        ("digest", "nocolon"),
        ("digest", "a:b:c"),
        ("digest", "a:"),
        ("ip", "1.2.3"),
        ("ip", "1.2.3.4/33"),
        ("ip", "1.2.3.4.5"),
        ("ip", "1.2.3.256"),
        ("ip", "::1/129"),
        ("ip", "host"),
        ("ip", ""),
        ("world", "nobody"),
        ("sasl", "u"),
        ("x509", "CN=a"),
        ("super", ""),
        ("bogus", "x"),
        ("", "x"),
    ];
    for (scheme, id) in refused {
        let list = [Acl::world(perm::ALL), entry(scheme, id)];
        assert_eq!(fix_up(Some(&list), &[], true), Err(ErrorCode::InvalidAcl), "{scheme}:{id}");
    }
    assert_eq!(fix_up(None, &[], true), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[]), &[], true), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[entry("digest", "a:b")]), &[], false), Err(ErrorCode::InvalidAcl));
    let null = |scheme: Option<&'static str>, id: Option<&'static str>| Acl {
        perms: 1,
        id: Id { scheme: scheme.map(Into::into), id: id.map(Into::into) },
    };
    assert_eq!(fix_up(Some(&[null(None, Some("x"))]), &[], true), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[null(Some("digest"), None)]), &[], true), Err(ErrorCode::MarshallingError));
}

#[test]
fn duplicates_go_and_auth_becomes_who_asked() {
    let (world, net) = (Acl::world(perm::READ), entry("ip", "10.0.0.0/8"));
    let list = [world.clone(), world.clone(), net.clone()];
    assert_eq!(fix_up(Some(&list), &[], true), Ok(vec![world.clone(), net]));
    let auth = [Acl { perms: perm::READ, id: Id::new("auth", "ignored") }];
    let ip = Id::new("ip", "127.0.0.1");
    assert_eq!(fix_up(Some(&auth), std::slice::from_ref(&ip), true), Err(ErrorCode::InvalidAcl));
    let ids = [ip, Id::new("digest", "bob:x"), Id::new("super", ""), Id::new("digest", "eve:y")];
    let both = ["bob:x", "eve:y"].map(|id| Acl { perms: perm::READ, id: Id::new("digest", id) });
    assert_eq!(fix_up(Some(&auth), &ids, true), Ok(both.to_vec()));
}

#[test]
fn who_may() {
    let bob = [Id::new("ip", "127.0.0.1"), Id::new("digest", "bob:x")];
    let private = [Acl { perms: perm::READ | perm::WRITE, id: Id::new("digest", "bob:x") }];
    assert!(check(&private, perm::READ, &bob, false));
    assert!(check(&private, perm::READ | perm::ADMIN, &bob, false), "any of the wanted bits suffices");
    assert!(!check(&private, perm::ADMIN, &bob, false));
    assert!(check(&private, perm::ADMIN, &bob, true), "skipACL");
    assert!(check(&private, perm::ADMIN, &[Id::new("super", "")], false));
    assert!(!check(&private, perm::READ, &[Id::new("digest", "eve:x")], false));
    assert!(!check(&private, perm::READ, &[], false));
    assert!(check(&[], perm::ADMIN, &[], false), "an empty list refuses nobody");
    assert!(check(&[Acl::world(perm::READ)], perm::READ, &[], false));
    assert!(!check(&[Acl::world(0)], perm::READ, &[], false));
    let networks = [
        ("127.0.0.0/8", true),
        ("127.0.0.1", true),
        ("127.0.0.1/32", true),
        ("0.0.0.0/0", true),
        ("10.0.0.1", false),
        ("126.0.0.0/8", false),
        ("126.0.0.0/7", true),
        ("::/0", false),
    ];
    for (network, matches) in networks {
        assert_eq!(check(&[entry("ip", network)], perm::READ, &bob, false), matches, "{network}");
    }
    let six = [Id::new("ip", "fe80::1")];
    assert!(check(&[entry("ip", "fe80::/10")], perm::READ, &six, false));
    assert!(!check(&[entry("ip", "fe81::/16")], perm::READ, &six, false));
}

#[test]
fn passwords_are_not_shown() {
    let list = [Acl::world(perm::READ), entry("digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="), entry("ip", "10.0.0.0/8")];
    let shown = [list[0].clone(), entry("digest", "bob:x"), list[2].clone()];
    assert_eq!(masked(&list), shown);
}
