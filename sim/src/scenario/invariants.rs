//! The properties that files may name.

/// Ids of the invariants (simulation-catalogue section 2). `tests/strict.rs` holds them to the checks.
pub const INVARIANTS: &[&str] = &[
    "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9",
    "L1", "L2", "L3", "L4", "L5", "L6", "L7", "U1", "U2", "U3", "U4", "U5", "U6", "Z1", "Z2", "Z3", "Z4", "Z5", "Z6",
    "Z7", "Z8", "Z9", "Z10", "Z11", "Z12", "Z13", "Z14", "Z15", "Z16", "Z17", "Z18",
];

/// What a run can break besides: no check says it.
pub(super) const OTHERS: &[&str] = &["panic", super::DETERMINISM];

/// Why this is none that a check knows, or, where `others` may stand, none that a run can break.
pub(super) fn unknown(id: &str, others: bool) -> Option<String> {
    let more = if others { OTHERS } else { &[] };
    let known = INVARIANTS.contains(&id) || more.contains(&id);
    let all = || [INVARIANTS, more].concat().join(" ");
    (!known).then(|| format!("there is no invariant {id:?}; there are {}", all()))
}
