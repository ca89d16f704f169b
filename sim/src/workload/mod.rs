//! What simulated clients do.

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
];
