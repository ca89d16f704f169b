//! What simulated clients do: operations, and which comes next.

mod choose;
mod op;

pub(crate) use choose::Chooser;
pub use op::is_write;
pub(crate) use op::{Kind, Op, flags_of, names};

/// Names of operations in a mix.
pub const OPS: &[&str] = &[
    "set",
    "get",
    "create",
    "create-seq",
    "create-eph",
    "delete",
    "multi",
    "multi-read",
    "exists",
    "children",
    "sync",
    "watch",
    "set-acl",
    "check",
    "move",
    "renew",
    "acl",
    "container",
    "ttl",
    "quota",
    "nap",
];

/// Those that change the connection or the session itself, and quotas: rare in any mix.
pub(crate) const RARE: &[&str] = &["check", "move", "renew", "quota", "nap"];

/// Who clients can prove to be: what they say, and the identity that it makes (base64 of the SHA-1 of it).
pub const PEOPLE: &[(&str, &str)] =
    &[("ann:a", "ann:i9V/d2HTT0sehGWzvQcFNipywIQ="), ("bob:b", "bob:LcrmCNs/wfVD+i5a5yaz89GyjIM=")];

/// Which of [`PEOPLE`] a client is; half of them are nobody.
#[must_use]
pub(crate) const fn person(client: usize) -> Option<usize> {
    if client % 2 == 1 { Some(client / 2 % PEOPLE.len()) } else { None }
}
