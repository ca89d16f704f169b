//! Authentication schemes: which are configured, which are enforced, and whether anybody can meet them (client-protocol 9.1).

use quorate_core::config::DigestAlgorithm;

use super::build::Input;
use super::settings::Settings;

const PACKAGE: &str = "org.apache.zookeeper.server.auth.";

/// Takes a value of `authProvider.*`.
pub(super) fn provider(s: &mut Settings, class: &str) -> Result<(), String> {
    match class.strip_prefix(PACKAGE) {
        // These two are there anyway.
        Some("DigestAuthenticationProvider" | "IPAuthenticationProvider") => {}
        Some("X509AuthenticationProvider") => s.x509_provider = true,
        Some("SASLAuthenticationProvider") => s.peer.features.auth.sasl = true,
        _ => return Err("expected one of ZooKeeper's own providers; Java classes cannot be loaded".to_owned()),
    }
    Ok(())
}

/// Takes the name of a hash.
pub(super) fn digest_algorithm(s: &mut Settings, name: &str) -> Result<(), String> {
    let algorithm = DigestAlgorithm::named(name).ok_or_else(|| {
        let names: Vec<&str> = DigestAlgorithm::names().collect();
        format!(
            "expected one of {}; with another hash no stored ACL of the scheme digest would match",
            names.join(", ")
        )
    })?;
    s.peer.features.auth.digest_algorithm = algorithm;
    Ok(())
}

/// Takes a list of schemes.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

impl Input<'_> {
    /// What depends on several keys.
    pub(super) fn authentication(&mut self) {
        let s = &mut self.settings;
        let auth = &mut s.peer.features.auth;
        // In Java a TLS listener brings the provider of its certificates along.
        auth.x509 = s.x509_provider || s.secure_client_port;
        let (x509_provider, secure_client_port, sasl) = (s.x509_provider, s.secure_client_port, auth.sasl);
        if secure_client_port {
            self.warn(
                "secureClientPort",
                "there is no TLS yet: nothing listens on this port; ACLs of the scheme x509 are accepted and matched",
            );
        }
        for (configured, scheme, missing) in [(x509_provider, "x509", "TLS"), (sasl, "sasl", "SASL")] {
            if configured {
                let what = format!(
                    "there is no {missing} yet: ACLs of the scheme {scheme} are accepted and matched, but nobody can log in by it \
                     on this server"
                );
                self.warn("authProvider.*", what);
            }
        }
        self.enforcement();
    }

    /// Enforced authentication that nobody can pass is refused before it locks everybody out.
    fn enforcement(&mut self) {
        let schemes = self.settings.enforced_schemes.clone();
        if !self.settings.enforce_auth {
            if !schemes.is_empty() {
                self.warn("enforce.auth.schemes", "no effect without enforce.auth.enabled=true");
            }
            return;
        }
        let auth = &self.settings.peer.features.auth;
        let key = "enforce.auth.schemes";
        let unknown = schemes.iter().find(|s| *s != "ip" && !auth.proves(s)).cloned();
        let usable = schemes.iter().any(|s| s == "ip" || s == "digest");
        if schemes.is_empty() {
            let what = "enforce.auth.schemes is empty; expected at least one scheme, as in digest";
            self.problem("enforce.auth.enabled", what);
        } else if let Some(scheme) = unknown {
            let what = format!(
                "no provider for the scheme {scheme}; expected digest, ip, or one that authProvider.N configures"
            );
            self.problem(key, what);
        } else if !usable {
            let what = format!(
                "nobody can log in by {} on this server yet (there is neither TLS nor SASL), so every client would be locked out; \
                 add digest",
                schemes.join(" or ")
            );
            self.problem(key, what);
        } else if schemes.iter().any(|s| s == "ip") {
            self.warn(key, "with ip among the schemes the check is void: every connection has an ip identity");
        }
        self.settings.peer.features.auth.enforced = schemes;
    }
}
