//! Who a client can prove to be, and what an ACL may name (client-protocol 9.1).

use alloc::string::String;
use alloc::vec::Vec;

/// Hash of the scheme digest, by the names of Java's MessageDigest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub enum DigestAlgorithm {
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Over224,
    Sha512Over256,
}

/// Java's names; "SHA1" and "SHA" are aliases there too.
const NAMES: &[(&str, DigestAlgorithm)] = &[
    ("SHA1", DigestAlgorithm::Sha1),
    ("SHA-1", DigestAlgorithm::Sha1),
    ("SHA", DigestAlgorithm::Sha1),
    ("SHA-224", DigestAlgorithm::Sha224),
    ("SHA-256", DigestAlgorithm::Sha256),
    ("SHA-384", DigestAlgorithm::Sha384),
    ("SHA-512", DigestAlgorithm::Sha512),
    ("SHA-512/224", DigestAlgorithm::Sha512Over224),
    ("SHA-512/256", DigestAlgorithm::Sha512Over256),
];

impl DigestAlgorithm {
    /// The algorithm with this name, in any case of letters as Java takes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, algorithm)| *algorithm)
    }
    /// What [`DigestAlgorithm::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

/// Authentication schemes and what they grant.
///
/// `x509` and `sasl` need a transport that this server does not have yet, so nobody logs in by them here. A learner of another
/// implementation forwards such identities all the same, and ACLs of them are data like others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// skipACL.
    pub skip_acl: bool,
    /// DigestAuthenticationProvider.enabled.
    pub digest: bool,
    /// DigestAuthenticationProvider.digestAlg.
    pub digest_algorithm: DigestAlgorithm,
    /// DigestAuthenticationProvider.superDigest: `super:base64(hash)`.
    pub super_digest: Option<String>,
    /// A provider of the scheme x509 is configured.
    pub x509: bool,
    /// X509AuthenticationProvider.superUser: matches every entry of the scheme.
    pub x509_super: Option<String>,
    /// A provider of the scheme sasl is configured.
    pub sasl: bool,
    /// enforce.auth.schemes, any of which suffices; empty = off.
    pub enforced: Vec<String>,
    /// enableEagerACLCheck: a server of an ensemble checks ACLs before it hands a write of its clients on.
    pub eager_check: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            skip_acl: false,
            digest: true,
            digest_algorithm: DigestAlgorithm::Sha1,
            super_digest: None,
            x509: false,
            x509_super: None,
            sasl: false,
            enforced: Vec::new(),
            eager_check: false,
        }
    }
}

impl Auth {
    /// Whether the scheme has a provider that proves who somebody is, rather than where: `auth` in an ACL stands for these.
    #[must_use]
    pub fn proves(&self, scheme: &str) -> bool {
        match scheme {
            "digest" => self.digest,
            "x509" => self.x509,
            "sasl" => self.sasl,
            _ => false,
        }
    }
}
