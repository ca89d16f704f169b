//! Rules that our own fuzzing has found, each as the mistake that it forbids.

use super::{Applies, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "Q01",
        source: "fresh seeds, 2026-11 (s)",
        mutation: "A leader says at once that a session which it does not know is gone, though it may be deposed",
        applies: Applies::AsIs,
        violates: &["C6"],
    },
    Row {
        id: "Q02",
        source: "fresh seeds, 2026-11 (s)",
        mutation: "Where sessions may be local, what an ended session had asked for on a connection that it left still writes",
        applies: Applies::AsIs,
        violates: &["C1", "C2"],
    },
];
