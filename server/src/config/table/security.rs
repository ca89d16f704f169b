//! Who a client is and what it may do. Where ignoring a key would leave open what its operator meant to close, another
//! value than the server's own behaviour is refused.

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Rule, TRUE_OR_FALSE};

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
    Key::new("skipACL", Zookeeper, "", "no", Rule::YesNo(|s, v| s.peer.features.skip_acl = v),
        "yes = no ACL is checked."),
    Key::new("DigestAuthenticationProvider.superDigest", Zookeeper, "super:base64(sha1)", "none", Rule::Text(|s, v| {
            s.peer.features.super_digest = match v.split_once(':') {
                _ if v.is_empty() => None,
                Some((user, digest)) if !user.is_empty() && !digest.is_empty() => Some(v.to_owned()),
                _ => return Err("expected super:<base64 of the SHA-1 of super:password>".to_owned()),
            };
            Ok(())
        }),
        "The user that passes every ACL.").secret(),
    Key::new("DigestAuthenticationProvider.enabled", Zookeeper, "", "true", Rule::Flag(|s, v| s.peer.features.digest_auth = v),
        "The scheme digest."),
    Key::new("DigestAuthenticationProvider.digestAlg", Zookeeper, "", "SHA1", only(&["SHA1", "SHA-1"], "only SHA1 is supported; with another algorithm no stored digest ACL would match"),
        "Hash of the scheme digest."),
    Key::new("enforce.auth.enabled", Zookeeper, "", "false", Rule::Flag(|s, v| s.enforce_auth = v),
        "Clients must authenticate by one of enforce.auth.schemes."),
    Key::new("enforce.auth.schemes", Zookeeper, "schemes", "none", Rule::Text(|s, v| {
            s.enforced_schemes = v.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect();
            match s.enforced_schemes.iter().find(|w| !["digest", "ip"].contains(&w.as_str())) {
                Some(other) => Err(format!("no provider for the scheme {other}; expected digest or ip")),
                None => Ok(()),
            }
        }),
        "Schemes that satisfy enforce.auth.enabled."),
    Key::new("sessionRequireClientSASLAuth", Zookeeper, "", "false", only(&["false"], "there is no SASL yet, and without it clients would not be held back"),
        "Every client must authenticate by SASL."),
    Key::new("allowSaslFailedClients", Zookeeper, "", "false", absent(&["false"], NO_SASL), "Clients whose SASL failed may go on."),
    Key::new("authProvider.*", Zookeeper, "class", "none", Rule::Choice {
            works: &["org.apache.zookeeper.server.auth.DigestAuthenticationProvider", "org.apache.zookeeper.server.auth.IPAuthenticationProvider"],
            no_effect: &["org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "org.apache.zookeeper.server.auth.X509AuthenticationProvider"],
            why: "there is neither SASL nor TLS yet: nobody can meet an ACL of these schemes",
            expected: "one of ZooKeeper's own providers; Java classes cannot be loaded",
        },
        "A further authentication provider."),
    Key::new("superUser*", Zookeeper, "name", "none", absent(&[], NO_SASL), "SASL names that become super.").secret(),
    Key::new("X509AuthenticationProvider.superUser", Zookeeper, "name", "none", absent(&[], NO_X509), "The certificate name that becomes super."),
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
    Key::new("secureClientPort", File, "port", "none", Rule::NoEffect { same: &["0", "-1"], why: "there is no TLS yet: nothing listens on this port" },
        "Where TLS clients connect.")
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
