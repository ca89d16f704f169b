//! The scheme digest: users by a hash of name and password.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

use crate::config::DigestAlgorithm;

/// The id that "user:password" proves: the user and the base64 of the hash of the whole text.
#[must_use]
pub fn digest_id(auth: &[u8], algorithm: DigestAlgorithm) -> String {
    let text = String::from_utf8_lossy(auth);
    let user = text.split(':').next().unwrap_or_default();
    let mut id = user.to_owned();
    id.push(':');
    let text = text.as_bytes();
    match algorithm {
        DigestAlgorithm::Sha1 => STANDARD.encode_string(Sha1::digest(text), &mut id),
        DigestAlgorithm::Sha224 => STANDARD.encode_string(Sha224::digest(text), &mut id),
        DigestAlgorithm::Sha256 => STANDARD.encode_string(Sha256::digest(text), &mut id),
        DigestAlgorithm::Sha384 => STANDARD.encode_string(Sha384::digest(text), &mut id),
        DigestAlgorithm::Sha512 => STANDARD.encode_string(Sha512::digest(text), &mut id),
        DigestAlgorithm::Sha512Over224 => STANDARD.encode_string(Sha512_224::digest(text), &mut id),
        DigestAlgorithm::Sha512Over256 => STANDARD.encode_string(Sha512_256::digest(text), &mut id),
    }
    id
}

/// Exactly two parts as Java's `split(":")` counts them: it drops empty parts at the end.
pub(super) fn is_digest(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split(':').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.len() == 2
}
