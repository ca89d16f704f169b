//! Election, pipeline, storage (catalogue 4.2).

use super::{Applies, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "B33",
        source: "ZOOKEEPER-1419 (c,d)",
        mutation: "Ids are compared although the epochs differ: the order of votes is not total",
        applies: Applies::AsIs,
        violates: &["L1"],
    },
    Row {
        id: "B34",
        source: "ZOOKEEPER-1732 (c,d), 1818 (c)",
        mutation: "A server that joins late counts only answers of its own round",
        applies: Applies::Variant,
        violates: &["L2"],
    },
    Row {
        id: "B35",
        source: "ZOOKEEPER-764 (c,d)",
        mutation: "An observer may be proposed and elected",
        applies: Applies::AsIs,
        violates: &["Z16", "L2"],
    },
    Row {
        id: "B36",
        source: "ZOOKEEPER-569 (c)",
        mutation: "Whoever is elected and dies is waited for without end",
        applies: Applies::Variant,
        violates: &["L1"],
    },
    Row {
        id: "B37",
        source: "ZOOKEEPER-3109 (c)",
        mutation: "A leader that the voters have left waits for them without end",
        applies: Applies::Variant,
        violates: &["L1", "L2"],
    },
    Row {
        id: "B38",
        source: "ZOOKEEPER-1277 (c)",
        mutation: "An epoch goes on behind the end of its counter",
        applies: Applies::AsIs,
        violates: &["Z17", "Z7"],
    },
    Row {
        id: "B39",
        source: "ZOOKEEPER-2247 (c)",
        mutation: "A write to the log that failed ends nothing: the server keeps its role",
        applies: Applies::AsIs,
        violates: &["L1", "U5", "L4"],
    },
    Row {
        id: "B40",
        source: "ZOOKEEPER-1863 (c,d)",
        mutation: "A transaction answers the oldest write of its session, whatever its xid",
        applies: Applies::Variant,
        violates: &["C1", "U1", "C10"],
    },
    Row {
        id: "B41",
        source: "ZOOKEEPER-4537 (c,d)",
        mutation: "What was gathered during an fsync waits for the next append",
        applies: Applies::Variant,
        violates: &["L3", "L1"],
    },
    Row {
        id: "B42",
        source: "ZOOKEEPER-3231, 2325, 3644 (c,d)",
        mutation: "The purge counts snapshots that cannot be read, and logs without any are replayed over an empty tree",
        applies: Applies::AsIs,
        violates: &["U4", "U2", "U1"],
    },
    Row {
        id: "B43",
        source: "ZOOKEEPER-2332 (c,d)",
        mutation: "A log file without a whole header stops recovery",
        applies: Applies::AsIs,
        violates: &["U3"],
    },
    Row {
        id: "B44",
        source: "ZOOKEEPER-2623 (c,d)",
        mutation: "A check outside a multi becomes a transaction",
        applies: Applies::AsIs,
        violates: &["D1", "C9", "C2"],
    },
];
