//! Access control, with the answers of a real 3.9.5 (client vectors, `acl.json`).

use quorate_core::config::{Auth, DigestAlgorithm, Limits};
use quorate_core::error::ErrorCode;
use quorate_core::tree::acl::{self, check, digest_id, masked};
use quorate_core::wire::records::{Acl, Id, perm};

fn fix_up<'a>(list: Option<&[Acl<'a>]>, ids: &[Id<'a>], auth: &Auth) -> Result<Vec<Acl<'a>>, ErrorCode> {
    acl::fix_up(list, ids, auth, acl::growth_max(&Limits::default()))
}

fn entry(scheme: &'static str, id: &'static str) -> Acl<'static> {
    Acl { perms: perm::ALL, id: Id::new(scheme, id) }
}

fn plain() -> Auth {
    Auth::default()
}
fn no_digest() -> Auth {
    Auth { digest: false, ..plain() }
}
fn all_providers() -> Auth {
    Auth { x509: true, sasl: true, ..plain() }
}

#[test]
fn digests() {
    assert_eq!(digest_id(b"bob:pw", DigestAlgorithm::Sha1), "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=");
    assert_eq!(digest_id(b"super:secret", DigestAlgorithm::Sha1), "super:lK75jTNcA+U9vtVEw5vB51mj/w4=");
    // Neither a colon nor any text is needed; all of it is hashed.
    assert!(digest_id(b"nocolon", DigestAlgorithm::Sha1).starts_with("nocolon:"));
    assert_eq!(digest_id(b"", DigestAlgorithm::Sha1), ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
    assert_eq!(digest_id(b"a:b:c", DigestAlgorithm::Sha1).split(':').next(), Some("a"));
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
        assert_eq!(fix_up(Some(&list), &[], &plain()).as_deref(), Ok(&list[..]), "{scheme}:{id}");
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
        assert_eq!(fix_up(Some(&list), &[], &plain()), Err(ErrorCode::InvalidAcl), "{scheme}:{id}");
    }
    assert_eq!(fix_up(None, &[], &plain()), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[]), &[], &plain()), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[entry("digest", "a:b")]), &[], &no_digest()), Err(ErrorCode::InvalidAcl));
    let null = |scheme: Option<&'static str>, id: Option<&'static str>| Acl {
        perms: 1,
        id: Id { scheme: scheme.map(Into::into), id: id.map(Into::into) },
    };
    assert_eq!(fix_up(Some(&[null(None, Some("x"))]), &[], &plain()), Err(ErrorCode::InvalidAcl));
    assert_eq!(fix_up(Some(&[null(Some("digest"), None)]), &[], &plain()), Err(ErrorCode::MarshallingError));
}

#[test]
fn duplicates_go_and_auth_becomes_who_asked() {
    let (world, net) = (Acl::world(perm::READ), entry("ip", "10.0.0.0/8"));
    let list = [world.clone(), world.clone(), net.clone()];
    assert_eq!(fix_up(Some(&list), &[], &plain()), Ok(vec![world.clone(), net]));
    let auth = [Acl { perms: perm::READ, id: Id::new("auth", "ignored") }];
    let ip = Id::new("ip", "127.0.0.1");
    assert_eq!(fix_up(Some(&auth), std::slice::from_ref(&ip), &plain()), Err(ErrorCode::InvalidAcl));
    let ids = [ip, Id::new("digest", "bob:x"), Id::new("super", ""), Id::new("digest", "eve:y")];
    let both = ["bob:x", "eve:y"].map(|id| Acl { perms: perm::READ, id: Id::new("digest", id) });
    assert_eq!(fix_up(Some(&auth), &ids, &plain()), Ok(both.to_vec()));
}

#[test]
fn who_may() {
    let skip = Auth { skip_acl: true, ..plain() };
    let bob = [Id::new("ip", "127.0.0.1"), Id::new("digest", "bob:x")];
    let private = [Acl { perms: perm::READ | perm::WRITE, id: Id::new("digest", "bob:x") }];
    assert!(check(&private, perm::READ, &bob, &plain()));
    assert!(check(&private, perm::READ | perm::ADMIN, &bob, &plain()), "any of the wanted bits suffices");
    assert!(!check(&private, perm::ADMIN, &bob, &plain()));
    assert!(check(&private, perm::ADMIN, &bob, &skip), "skipACL");
    assert!(check(&private, perm::ADMIN, &[Id::new("super", "")], &plain()));
    assert!(!check(&private, perm::READ, &[Id::new("digest", "eve:x")], &plain()));
    assert!(!check(&private, perm::READ, &[], &plain()));
    assert!(check(&[], perm::ADMIN, &[], &plain()), "an empty list refuses nobody");
    assert!(check(&[Acl::world(perm::READ)], perm::READ, &[], &plain()));
    assert!(!check(&[Acl::world(0)], perm::READ, &[], &plain()));
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
        assert_eq!(check(&[entry("ip", network)], perm::READ, &bob, &plain()), matches, "{network}");
    }
    let six = [Id::new("ip", "fe80::1")];
    assert!(check(&[entry("ip", "fe80::/10")], perm::READ, &six, &plain()));
    assert!(!check(&[entry("ip", "fe81::/16")], perm::READ, &six, &plain()));
}

#[test]
fn passwords_are_not_shown() {
    let list = [Acl::world(perm::READ), entry("digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="), entry("ip", "10.0.0.0/8")];
    let shown = [list[0].clone(), entry("digest", "bob:x"), list[2].clone()];
    assert_eq!(masked(&list), shown);
}

#[test]
fn other_hashes() {
    for (name, hash) in KNOWN {
        let algorithm = DigestAlgorithm::named(name).expect("a name of Java's");
        assert_eq!(digest_id(b"bob:pw", algorithm), format!("bob:{hash}"), "{name}");
        assert_eq!(DigestAlgorithm::named(&name.to_lowercase()), Some(algorithm), "Java does not look at case");
    }
    for name in ["SHA256", "MD5", "SHA3-256", ""] {
        assert_eq!(DigestAlgorithm::named(name), None, "{name}");
    }
}

#[test]
fn x509_and_sasl_are_identities_where_they_are_configured() {
    let auth = all_providers();
    for (scheme, id) in [("x509", "CN=a,O=b"), ("x509", ""), ("sasl", "u"), ("sasl", "svc/host@REALM"), ("sasl", "")] {
        let list = [entry(scheme, id)];
        assert_eq!(fix_up(Some(&list), &[], &auth).as_deref(), Ok(&list[..]), "{scheme}:{id}");
        assert_eq!(fix_up(Some(&list), &[], &plain()), Err(ErrorCode::InvalidAcl), "{scheme}:{id}");
        let who = [Id::new(scheme, id)];
        assert!(check(&list, perm::READ, &who, &auth), "{scheme}:{id}");
        assert!(!check(&list, perm::READ, &who, &plain()), "a scheme without a provider matches nobody");
        assert!(!check(&list, perm::READ, &[Id::new(scheme, "CN=other")], &auth));
    }
    for (scheme, id) in [("x509", "nobody"), ("sasl", "a@b@c"), ("super", ""), ("super", "x")] {
        assert_eq!(fix_up(Some(&[entry(scheme, id)]), &[], &auth), Err(ErrorCode::InvalidAcl), "{scheme}:{id}");
    }
    for scheme in ["x509", "sasl", "digest", "ip", "world"] {
        let null = [Acl { perms: 1, id: Id { scheme: Some(scheme.into()), id: None } }];
        assert_eq!(fix_up(Some(&null), &[], &auth), Err(ErrorCode::MarshallingError), "{scheme}");
    }
    // Who is super: the sasl id "super", and the X.500 name that the configuration says.
    assert!(check(&[entry("sasl", "u")], perm::READ, &[Id::new("sasl", "super")], &auth));
    let root = [Id::new("x509", "CN=root")];
    assert!(!check(&[entry("x509", "CN=a")], perm::READ, &root, &auth));
    let auth = Auth { x509_super: Some("CN=root".into()), ..auth };
    assert!(check(&[entry("x509", "CN=a")], perm::READ, &root, &auth));
    assert!(!check(&[entry("digest", "a:b")], perm::READ, &root, &auth), "only entries of its own scheme");
    // "auth" stands for them too, as far as they are configured.
    let list = [Acl { perms: perm::READ, id: Id::new("auth", "") }];
    let ids = [Id::new("sasl", "u"), Id::new("x509", "CN=a"), Id::new("ip", "127.0.0.1"), Id::new("digest", "a:b")];
    let stored = |of: &[usize]| of.iter().map(|i| Acl { perms: perm::READ, id: ids[*i].clone() }).collect::<Vec<_>>();
    assert_eq!(fix_up(Some(&list), &ids, &auth), Ok(stored(&[0, 1, 3])));
    assert_eq!(fix_up(Some(&list), &ids, &plain()), Ok(stored(&[3])));
    assert_eq!(fix_up(Some(&list), &ids, &no_digest()), Err(ErrorCode::InvalidAcl));
    assert!(!check(&[entry("digest", "a:b")], perm::READ, &ids, &no_digest()));
    // Only digests have something to hide.
    let shown = [entry("x509", "CN=a:b"), entry("sasl", "u:v")];
    assert_eq!(masked(&shown), shown);
}

#[test]
fn addresses_as_java_reads_them() {
    let accepted =
        ["::", "1::", "::1/0", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "FE80::aB/64", "01.2.3.4", "255.255.255.255/32"];
    let refused = [
        "::ffff:1.2.3.4",
        "1:2:3:4:5:6:7:8::",
        "1:2:3:4:5:6:7",
        "1::2::3",
        ":1::2",
        "12345::",
        "g::",
        "1.2.3.4/",
        "::/",
        "1.2.3.4/8/8",
        "::1/-1",
    ];
    for (list, fine) in [(&accepted[..], true), (&refused[..], false)] {
        for id in list {
            assert_eq!(fix_up(Some(&[entry("ip", id)]), &[], &plain()).is_ok(), fine, "{id}");
        }
    }
    // IPv6 peers are written as Java does, in eight groups; a mask need not end at a byte.
    let peer = [Id::new("ip", "2001:db8:0:0:0:0:0:1f")];
    for (network, may) in [
        ("2001:db8::1f", true),
        ("2001:db8::10/124", true),
        ("2001:db8::20/123", false),
        ("2001:db8::/31", true),
        ("2001:dba::/31", false),
        ("::/0", true),
        ("0.0.0.0/0", false),
    ] {
        assert_eq!(check(&[entry("ip", network)], perm::READ, &peer, &plain()), may, "{network}");
    }
}

/// Made by another implementation of the same hashes.
const KNOWN: &[(&str, &str)] = &[
    ("SHA1", "ikIaKsbtGweaHnb/jKn7OHqbunM="),
    ("SHA-1", "ikIaKsbtGweaHnb/jKn7OHqbunM="),
    ("SHA", "ikIaKsbtGweaHnb/jKn7OHqbunM="),
    ("SHA-224", "V2mvd2ffOcs02HpVY83ycSg9kqz4jTlMn1ET9Q=="),
    ("SHA-256", "lXdkgIa9O1CDDWAryQ0pe9wUYi2LkG6M7Uocn/Vyn2g="),
    ("SHA-384", "Pd/l06QeLk9MqD36VccOX0Fw1tgKhSdAl0mKINCHnwpI9R17BoWbdxukNC3K47Q1"),
    ("SHA-512", "jQFpfQMlS0Fkelz3cdxBlcfmOOApGvKAjybCSpc/oHQD7ouOUKaAFXPlHr/2XpjmwJ0yssqB0Mh7gRRVqmyALQ=="),
    ("SHA-512/224", "cqvSV2UbZ2q5COXLGv28T5tsr77x6AK7tzbGZg=="),
    ("SHA-512/256", "A9N1joy8pAxXpZyuKoYHmry5YD7X6ES6VJn8WVyn8xY="),
];
