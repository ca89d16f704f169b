//! Rules of our own, most of them found by our own fuzzing, each as the mistake that it forbids.

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
    Row {
        id: "Q03",
        source: "design page; the reference does it",
        mutation: "A leader answers a sync without hearing from a quorum, though it may be deposed",
        applies: Applies::AsIs,
        violates: &["C8"],
    },
];
