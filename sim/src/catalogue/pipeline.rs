//! Election, pipeline, storage (catalogue 4.2).

use super::{Applies, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "B33",
        source: "ZOOKEEPER-1419 (c,d)",
        mutation: "vote order not total (id compared although epochs differ)",
        applies: Applies::Later("not planted yet"),
        violates: &["L1"],
    },
    Row {
        id: "B34",
        source: "ZOOKEEPER-1732 (c,d), 1818 (c)",
        mutation: "members of one ensemble report different rounds/zxids; late joiner finds no agreeing quorum",
        applies: Applies::Later("not planted yet"),
        violates: &["L2"],
    },
    Row {
        id: "B35",
        source: "ZOOKEEPER-764 (c,d)",
        mutation: "inconsistent voting view: observer counted or elected",
        applies: Applies::Later("not planted yet"),
        violates: &["Z16"],
    },
    Row {
        id: "B36",
        source: "ZOOKEEPER-569 (c)",
        mutation: "elected leader dies before leading; others wait for ever",
        applies: Applies::Later("not planted yet"),
        violates: &["L1"],
    },
    Row {
        id: "B37",
        source: "ZOOKEEPER-3109 (c)",
        mutation: "voter changes its mind; leader starts alone and times out",
        applies: Applies::Later("not planted yet"),
        violates: &["L1"],
    },
    Row {
        id: "B38",
        source: "ZOOKEEPER-1277 (c)",
        mutation: "32-bit counter rolls over into the epoch",
        applies: Applies::Later("not planted yet"),
        violates: &["Z17", "Z7"],
    },
    Row {
        id: "B39",
        source: "ZOOKEEPER-2247 (c)",
        mutation: "leader cannot write its log yet keeps the role",
        applies: Applies::Later("not planted yet"),
        violates: &["L1", "U5"],
    },
    Row {
        id: "B40",
        source: "ZOOKEEPER-1863 (c,d)",
        mutation: "commit stage matches by queue position → replies swapped",
        applies: Applies::Later("not planted yet"),
        violates: &["C1"],
    },
    Row {
        id: "B41",
        source: "ZOOKEEPER-4537 (c,d)",
        mutation: "lost wake-up between log thread and commit thread",
        applies: Applies::Later("not planted yet"),
        violates: &["L3"],
    },
    Row {
        id: "B42",
        source: "ZOOKEEPER-3231, 2325, 3644 (c,d)",
        mutation: "purge counts invalid snapshots; empty database trusted although logs exist",
        applies: Applies::Later("not planted yet"),
        violates: &["U4", "U1"],
    },
    Row {
        id: "B43",
        source: "ZOOKEEPER-2332 (c,d)",
        mutation: "zero-length newest log aborts start-up",
        applies: Applies::Later("not planted yet"),
        violates: &["U3"],
    },
    Row {
        id: "B44",
        source: "ZOOKEEPER-2623 (c,d)",
        mutation: "a stand-alone check request is turned into a transaction",
        applies: Applies::Later("not planted yet"),
        violates: &["D1", "C9"],
    },
];
