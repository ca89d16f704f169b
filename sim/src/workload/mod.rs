//! What simulated clients do: operations, and which comes next.

mod choose;
mod op;

pub(crate) use choose::Chooser;
pub(crate) use op::{Kind, Op};

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
];

/// Those that change the connection or the session itself: rare in any mix.
pub(crate) const RARE: &[&str] = &["check", "move", "renew"];
