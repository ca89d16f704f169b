//! Where `violates` names more than the simulation catalogue's text does for that row, and why.
//!
//! The principle: the catalogue names the damage that reports tell of. The checks look at each effect as it happens and see the
//! mistake itself, which comes first, and the first contradiction ends the run. So an invariant is added to a row only where it is
//! the mistake that breaks it, on the way to what the catalogue names. Nothing else that fires counts as named by the row.

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Wider {
    /// Which.
    pub id: &'static str,
    /// What `violates` has beyond the catalogue's text.
    pub also: &'static [&'static str],
    /// Why.
    pub why: &'static str,
    /// Whether something that the catalogue itself names has been seen to break: in `sim/MUTANTS.md`, by a scenario, or by one
    /// that leaves out the checks that see the mistake earlier (`checks.skip`).
    pub seen: bool,
}

const fn row(id: &'static str, also: &'static [&'static str], seen: bool, why: &'static str) -> Wider {
    Wider { id, also, why, seen }
}

/// In the catalogue's order.
pub const WIDER: &[Wider] = &[
    row(
        "B01",
        &["Z14"],
        true,
        "the foreign transaction shows as the next one is logged behind it, before anything is applied",
    ),
    row(
        "B02",
        &["U3"],
        false,
        "the record that lacks a byte is damage to the next start, and no fault has damaged the disk",
    ),
    row(
        "B03",
        &["Z1", "Z4"],
        true,
        "zxids of the old epoch are proposed by whoever does not lead it, or a second time",
    ),
    row("B04", &["U3"], false, "the hole is damage to the next start, and no fault has damaged the disk"),
    row("B05", &["Z5"], false, "what is not decided is seen as it is applied, before any snapshot is read again"),
    row("B06", &["U3", "U1"], true, "the next start finds a log that does not go on where the snapshot ends"),
    row(
        "B07",
        &["Z6", "Z8"],
        false,
        "the next delivery leaves the tail out; a leader proposes before it has delivered the tail",
    ),
    row("B08", &["Z16", "U3"], false, "the vote speaks of what is in memory only"),
    row(
        "B09",
        &["U3", "Z13"],
        false,
        "the platter lacks the content as it is acknowledged; without it the file is damage to the next start",
    ),
    row("B10", &["Z5"], true, "the newest logged zxid need not be decided"),
    row("B13", &["Z13"], false, "the epoch becomes durable before its history: no power cut has to come in between"),
    row(
        "B15",
        &["Z18", "L1", "L7"],
        false,
        "the learner says at the first COMMIT that its leader misbehaves; repeated, it costs leaders too",
    ),
    row(
        "B16",
        &["Z18", "L2"],
        false,
        "the leader says at the first ACK that its learner misbehaves; repeated, nobody can follow",
    ),
    row("B17", &["Z16"], false, "the vote speaks of what is still being written"),
    row(
        "B18",
        &["Z10", "Z13"],
        true,
        "with a hole in its window a leader orders cuts of what is decided, or leaves a learner without it",
    ),
    row("B19", &["Z18", "L2"], false, "the learner closes the connection at the gap, each time anew"),
    row("B20", &["Z18", "Z14", "Z5", "L2"], true, "the learner closes the connection at the gap, or logs across it"),
    row(
        "B21",
        &["Z13"],
        true,
        "a cut without a decided part is no Z10; what it took is missing as the epoch becomes durable",
    ),
    row(
        "B22",
        &["Z14", "Z18"],
        true,
        "the missing base is a gap in the learner's log, or the learner closes the connection at it",
    ),
    row("B23", &["Z16"], false, "the vote speaks of what is in memory only"),
    row("B24", &["Z5"], false, "what is not decided is seen as it is applied, before trees can be compared"),
    row(
        "B26",
        &["Z4", "Z5", "Z14", "U3"],
        true,
        "what was to be cut is applied, logged behind, or found by the next start",
    ),
    row("B27", &["Z5"], false, "what is not decided is seen as it is applied, or its absence as the next is"),
    row("B29", &["Z13"], false, "ACK(NEWLEADER) leaves before the current epoch is durable"),
    row("B30", &["Z14", "Z6"], false, "the gap shows as the observer logs or delivers what comes behind it"),
    row("B31", &["Z13"], true, "the platter lacks the content as the server vouches for the epoch"),
    row(
        "B32",
        &["U3", "Z13"],
        false,
        "the platter has another epoch than the server vouches for; the next start finds the two at odds and refuses",
    ),
    row("B35", &["L2"], true, "nobody can follow an observer"),
    row("B37", &["L2"], true, "the others may have a leader, which the one that waits does not follow"),
    row("B39", &["L4"], true, "what cannot be written is not applied either"),
    row(
        "B40",
        &["U1", "C10"],
        false,
        "the answer has the xid that is due, but acknowledges a write that is not decided, or one of a connection that was left",
    ),
    row("B41", &["L1"], true, "an election begins when the log of the last term is written, which it never is"),
    row("B42", &["U2"], false, "a start that leaves out what the log began with says that it is whole"),
    row(
        "B44",
        &["C2"],
        true,
        "the transaction is none that its request could become, which is asked before it is applied",
    ),
    row(
        "B48",
        &["D2"],
        false,
        "a finished snapshot is compared with the tree at its zxid before anybody starts from it",
    ),
    row(
        "B49",
        &["D2"],
        false,
        "a finished snapshot is compared with the tree at its zxid before anybody starts from it",
    ),
    row("B52", &["C6"], true, "the leader tells clients of sessions that it does not know that these are gone"),
    row("B61", &["C4"], true, "the event of the watch that was lost is missed by the next reply"),
    row(
        "K07",
        &["Z11"],
        false,
        "the earlier one has no quorum at the instant at which it is decided with the later one",
    ),
    row(
        "K08",
        &["Z13"],
        false,
        "the learner's history is not the one that its epoch begins with as that becomes durable",
    ),
    row("K09", &["Z10"], false, "what is dropped is a cut that no leader has asked for"),
    row("K11", &["Z13", "Z15"], false, "two servers open one epoch with two histories before either is established"),
    row(
        "K20",
        &["L2"],
        false,
        "whoever goes on without a quorum counts as the leader, and the others do not follow it",
    ),
    row("K22", &["U3", "U5"], false, "what the log has refused is called durable, or is missing at the next start"),
    row("K23", &["Z13"], true, "the platter lacks the content as the server says that it has a snapshot"),
    row("K25", &["C3", "D8", "D2"], false, "the half multi shows in the leader's digest, in a read or in a snapshot"),
    row("K28", &["L2"], true, "the others may have a leader, which the one that never gives up does not follow"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::rows;

    #[test]
    fn what_is_wider_is_in_the_row_and_is_not_all_of_it() {
        let order = |id: &str| rows().position(|r| r.id == id).expect("a row of the catalogue");
        assert!(WIDER.windows(2).all(|w| order(w[0].id) < order(w[1].id)));
        for Wider { id, also, why, .. } in WIDER {
            let row = rows().find(|r| r.id == *id).expect("a row of the catalogue");
            assert!(also.iter().all(|i| row.violates.contains(i)), "{id}");
            assert!(!also.is_empty() && also.len() < row.violates.len() && !why.is_empty(), "{id}");
        }
    }
}
