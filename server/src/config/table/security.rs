//! Who a client is and what it may do. Where ignoring a key would leave open what its operator meant to close, another
//! value than the server's own behaviour is refused.

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Rule, TRUE_OR_FALSE};
use crate::config::schemes::{digest_algorithm, list, provider};

const NO_TLS: &str = "there is no TLS yet";
const NO_SASL: &str = "there is no SASL yet";
const NO_X509: &str = "there is no TLS yet, so no client has a certificate";

const fn absent(same: &'static [&'static str], why: &'static str) -> Rule {
    Rule::NoEffect { same, why }
}

const fn only(values: &'static [&'static str], why: &'static str) -> Rule {
    Rule::Only { values, why }
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    Key::new("skipACL", Zookeeper, "", "no", Rule::YesNo(|s, v| s.peer.features.auth.skip_acl = v),
        "yes = no ACL is checked."),
    Key::new("DigestAuthenticationProvider.superDigest", Zookeeper, "super:base64(hash)", "none", Rule::Text(|s, v| {
            s.peer.features.auth.super_digest = match v.split_once(':') {
                _ if v.is_empty() => None,
                Some((user, digest)) if !user.is_empty() && !digest.is_empty() => Some(v.to_owned()),
                _ => return Err("expected super:<base64 of the hash of super:password, SHA-1 unless digestAlg says otherwise>".to_owned()),
            };
            Ok(())
        }),
        "The user that passes every ACL.").secret(),
    Key::new("DigestAuthenticationProvider.enabled", Zookeeper, "", "true", Rule::Flag(|s, v| s.peer.features.auth.digest = v),
        "The scheme digest."),
    Key::new("DigestAuthenticationProvider.digestAlg", Zookeeper, "", "SHA1", Rule::Text(digest_algorithm),
        "Hash of the scheme digest: SHA1 or one of SHA-2 by Java's name. The same on every server; stored ACLs of another hash match no more.")
        .java("MD2, MD5 and SHA-3 are refused."),
    Key::new("enforce.auth.enabled", Zookeeper, "", "false", Rule::Flag(|s, v| s.enforce_auth = v),
        "Clients must authenticate by one of enforce.auth.schemes."),
    Key::new("enforce.auth.schemes", Zookeeper, "schemes", "none", Rule::Text(|s, v| { s.enforced_schemes = list(v); Ok(()) }),
        "Schemes that satisfy enforce.auth.enabled, separated by commas."),
    Key::new("sessionRequireClientSASLAuth", Zookeeper, "", "false", only(&["false"], "there is no SASL yet: to enforce it would lock every client out, and without it none would be held back; enforce.auth.enabled with enforce.auth.schemes=digest is there"),
        "Every client must authenticate by SASL."),
    Key::new("allowSaslFailedClients", Zookeeper, "", "false", absent(&["false"], NO_SASL), "Clients whose SASL failed may go on."),
    Key::new("authProvider.*", Zookeeper, "class", "none", Rule::Text(provider),
        "A further authentication provider: with Java's classes for x509 and sasl, ACLs of these schemes are accepted and matched.")
        .java("Nobody can log in by x509 or sasl yet. Only ZooKeeper's own classes are known."),
    Key::new("superUser*", Zookeeper, "name", "none", absent(&[], NO_SASL), "SASL names that become super.").secret(),
    Key::new("X509AuthenticationProvider.superUser", Zookeeper, "name", "none", Rule::Text(|s, v| {
            s.peer.features.auth.x509_super = (!v.is_empty()).then(|| v.to_owned());
            Ok(())
        }),
        "The certificate name that matches every ACL entry of the scheme x509.")
        .java("Nobody can log in by x509 yet; it counts for requests that Java's followers forward."),
    Key::new("X509AuthenticationProvider.*", Zookeeper, "", "", absent(&[], NO_X509), "Tuning of the scheme x509."),
    Key::new("IPAuthenticationProvider.usexforwardedfor", Zookeeper, "", "false", absent(&["false"], "it concerns the admin server, which does not exist yet"), "Trust X-Forwarded-For."),
    Key::new("kerberos.*", Zookeeper, "", "", absent(&[], NO_SASL), "Names of Kerberos principals."),
    Key::new("sasl.*", Zookeeper, "", "", absent(&[], NO_SASL), "JAAS section of the server."),
    Key::new("java.security.auth.login.config", Named("java.security.auth.login.config"), "path", "none", absent(&[], NO_SASL), "JAAS file."),
    Key::new("ensembleAuthName", Zookeeper, "names", "none", only(&[""], "there is no check of ensemble names yet, and clients meant for another ensemble would be let in"),
        "Names of this ensemble that clients may ask for."),
    Key::new("quorum.auth.enableSasl", File, "", "false", only(&["false"], "there is no SASL yet, and servers would accept each other without it"), "Servers authenticate each other by SASL."),
    Key::new("quorum.auth.learnerRequireSasl", File, "", "false", only(&["false"], "there is no SASL yet, and servers would accept each other without it"), "A learner insists on SASL."),
    Key::new("quorum.auth.serverRequireSasl", File, "", "false", only(&["false"], "there is no SASL yet, and servers would accept each other without it"), "A leader insists on SASL."),
    Key::new("quorum.auth.*", File, "", "", absent(&[], NO_SASL), "JAAS sections of quorum SASL."),
    Key::new("secureClientPort", File, "port", "none", Rule::Int { min: -1, max: 65535, set: |s, v| s.secure_client_port = v > 0 },
        "Where TLS clients connect; makes the scheme x509 known to ACLs.")
        .java("There is no TLS yet: nothing listens on this port.")
        .show(|_| "-1".into()),
    Key::new("secureClientPortAddress", File, "host", "any address", absent(&[], NO_TLS), "The address of the TLS listener."),
    Key::new("sslQuorum", File, "", "false", only(&["false"], "there is no TLS yet, and servers would talk in plain text"), "TLS between servers."),
    Key::new("portUnification", File, "", "false", Rule::Choice { works: &["false"], no_effect: &["true"], why: "there is no TLS yet: servers that insist on it cannot connect", expected: TRUE_OR_FALSE },
        "Quorum ports take TLS and plain text."),
    Key::new("client.portUnification", Zookeeper, "", "false", absent(&["false"], NO_TLS), "The client port takes TLS too."),
    Key::new("client.certReload", Zookeeper, "", "false", absent(&["false"], NO_TLS), "Reload certificates."),
    Key::new("sslQuorumReloadCertFiles", File, "", "false", absent(&["false"], NO_TLS), "Reload certificates."),
    Key::new("fips-mode", Zookeeper, "", "true", absent(&["true"], "there is neither TLS nor SASL yet"), "Restrictions of Java's TLS and SASL."),
    Key::new("ssl.authProvider", Zookeeper, "", "x509", absent(&["x509"], NO_X509), "Scheme of certificates."),
    Key::new("ssl.*", Zookeeper, "", "", absent(&[], NO_TLS), "Keys, trust and protocols of TLS.").secret(),
];
