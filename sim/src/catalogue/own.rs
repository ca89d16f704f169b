//! Rules that our own fuzzing has found (Q01 on), and rules of the client protocol (Q10 on), each as the mistake that it forbids.

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
    Row {
        id: "Q10",
        source: "client-protocol 10",
        mutation: "A hard quota is compared with what is used already, without what the request adds",
        applies: Applies::AsIs,
        violates: &["C2"],
    },
    Row {
        id: "Q11",
        source: "client-protocol 4.1",
        mutation: "A delete asks for rights on the znode itself instead of its parent",
        applies: Applies::AsIs,
        violates: &["C2"],
    },
    Row {
        id: "Q12",
        source: "client-protocol 7.5",
        mutation: "removeWatches takes the watches of every connection at the path",
        applies: Applies::AsIs,
        violates: &["C4", "C5", "C3"],
    },
    Row {
        id: "Q13",
        source: "client-protocol 9.2",
        mutation: "getACL shows the secrets of digest identities to whoever may read",
        applies: Applies::AsIs,
        violates: &["C3"],
    },
    Row {
        id: "Q14",
        source: "client-protocol 7.2",
        mutation: "Watch events are told to connections that may not read the znode",
        applies: Applies::AsIs,
        violates: &["C5"],
    },
    Row {
        id: "Q15",
        source: "found by a seed",
        mutation: "A learner takes the answer about an earlier connection of a session for one about its present connection",
        applies: Applies::AsIs,
        violates: &["C1", "C2"],
    },
    Row {
        id: "Q16",
        source: "quorum-protocol 11",
        mutation: "Heads are counted, whatever groups they are in and whatever they weigh",
        applies: Applies::AsIs,
        violates: &["Z11", "U1"],
    },
    Row {
        id: "Q17",
        source: "found by seeds (379021, 376815)",
        mutation: "A record of the trust in the own disk that cannot be read is taken for trust",
        applies: Applies::AsIs,
        violates: &["Z13", "U1"],
    },
];
