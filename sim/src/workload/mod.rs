//! What simulated clients do: operations, and which comes next.

mod choose;
mod odd;
mod op;

pub(crate) use choose::Chooser;
pub use op::is_write;
pub(crate) use op::{Kind, Op, flags_of, names};

use crate::spec::RunSpec;

/// Names of operations in a mix; some stand for several of those that a list of operations names.
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
    "lists",
    "watching",
    "login",
    "kinds",
    "multi-kinds",
    "hard-quota",
    "odd",
];

/// Those that change the connection or the session itself, and quotas: rare in any mix.
pub(crate) const RARE: &[&str] = &["check", "move", "renew", "quota", "nap"];

/// The first of those whose weights are drawn each by itself, so that one more changes nothing for the others.
pub(crate) const FIRST_OF_ITS_OWN: usize = 21;

/// Who clients can prove to be: what they say, and the identity that it makes (base64 of the SHA-1 of it).
pub const PEOPLE: &[(&str, &str)] =
    &[("ann:a", "ann:i9V/d2HTT0sehGWzvQcFNipywIQ="), ("bob:b", "bob:LcrmCNs/wfVD+i5a5yaz89GyjIM=")];

/// Which of [`PEOPLE`] a client is; half of them are nobody.
#[must_use]
pub(crate) const fn person(client: usize) -> Option<usize> {
    if client % 2 == 1 { Some(client / 2 % PEOPLE.len()) } else { None }
}

/// Whether the client of this number knows the password of the superDigest.
#[must_use]
pub(crate) fn is_super(spec: &RunSpec, client: usize) -> bool {
    spec.topology.super_digest && client + 1 == spec.topology.clients as usize
}

/// What a client says in its auth frames as it begins.
pub(crate) fn sayings(spec: &RunSpec, client: usize) -> Vec<&'static str> {
    let own = person(client).map(|person| PEOPLE[person].0);
    let guest = (spec.topology.enforced_auth && own.is_none()).then_some("guest");
    own.or(guest).into_iter().chain(is_super(spec, client).then_some("super:s")).collect()
}
