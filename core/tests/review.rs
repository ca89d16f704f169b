//! Schedules that once went wrong, each with what must be true at its end.

#![allow(unreachable_pub)] // Nothing is outside of a test.

mod transcript;

/// Runs a script; what is printed contains all of `with` and nothing of `without`.
#[track_caller]
fn check(script: &str, with: &[&str], without: &[&str]) {
    let text = transcript::run(script);
    for line in with {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    for line in without {
        assert!(!text.contains(line), "{line:?} is in\n{text}");
    }
}

#[test]
fn a_learner_is_never_taken_back_behind_what_it_has() {
    // The log since the learner's end is long beside the small snapshot, but the snapshot is older than the learner.
    check(
        "config window=2
         ensemble 1 2 3
         seed 1 log 0x100000001..2f0 accepted 1 current 1
         seed 2 log 0x100000001..400 accepted 1 current 1
         seed 3 log 0x100000001..400 accepted 1 current 1
         quiet start 2 3
         quiet time 1000
         hide disk quorum
         show sync
         start 1
         time 300
         state 1",
        &["chooses Diff for 1", "applied 0x100000400, serving, Intact"],
        &["chooses Snap"],
    );
}

#[test]
fn a_learner_that_was_fed_for_long_has_its_time_to_make_it_durable() {
    check(
        "config window=2 factor=-1
         ensemble 1 2 3
         seed 1 accepted 1 current 1
         seed 2 log 0x100000001..8 accepted 1 current 1
         seed 3 log 0x100000001..8 accepted 1 current 1
         quiet start 2 3
         quiet time 1000
         hide disk
         quiet hold disk 3 bulk
         quiet start 1
         quiet time 15000
         quiet step disk 3 bulk
         quiet hold disk 1 log
         quiet time 15000
         quiet release disk 3 bulk
         time 5000
         release disk 1 log
         time 300
         state 1",
        &["1 is up to date in epoch 2", "applied 0x100000008, serving"],
        &["learner silent"],
    );
}

#[test]
fn a_sync_does_not_wait_for_pings_from_before_uptodate() {
    check(
        "ensemble 1 2 3
         seed 1 log 0x100000001..2 accepted 2 current 1
         seed 2 log 0x100000001..8 accepted 1 current 1
         seed 3 log 0x100000001..8 accepted 1 current 1
         quiet start 2 3
         quiet time 1000
         hide disk
         quiet hold 3 -> 1 quorum
         quiet start 1
         quiet time 500
         quiet hold disk 1 log
         quiet release 3 -> 1 quorum
         quiet time 5000
         quiet release disk 1 log
         quiet time 300
         quiet client a connect 3
         quiet kill 2
         client a sync /",
        &["3 -> a client reply xid 1"],
        &[],
    );
}

#[test]
fn a_cut_that_is_refused_is_looked_at_again_before_the_next_vote() {
    check(
        "ensemble 1 8 9
         seed 1 log 0x100000001..4 0x300000001..2 accepted 3 current 3
         quiet start 1
         hide disk
         elect 9 for 1 epoch=4
         quiet raw 9 -> 1 quorum LEADERINFO epoch=4
         write 1 log/log.100000001 rubbish-where-there-was-a-log
         raw 9 -> 1 quorum TRUNC 0x100000004
         raw 9 -> 1 quorum LEADERINFO epoch=4
         raw 9 -x 1 quorum
         state 1",
        &["asking the leader for a whole snapshot", "1 looking", "Damaged"],
        &[],
    );
}

#[test]
fn a_leader_whose_history_was_taken_over_is_not_doubtful_any_more() {
    check(
        "ensemble 1 2 3
         seed 1 log 0x100000001..3 accepted 1 current 1
         seed 2 log 0x100000001..3 accepted 1 current 1
         seed 3 log 0x100000001..4 accepted 1 current 1
         tear 3 0x100000004
         quiet start 1 2 3
         quiet time 1000
         hide disk
         state 3
         crash 3
         quiet time 300
         quiet start 3
         quiet time 30
         state 3",
        &["3 leader of 3, epoch 2, logged 0x100000003, applied 0x100000003, serving, Intact"],
        &["Doubtful"],
    );
}

#[test]
fn a_history_with_a_gap_is_asked_for_as_a_whole_the_second_time() {
    check(
        "ensemble 1 8 9
         seed 1 log 0x100000001..3 accepted 1 current 1
         quiet start 1
         hide disk
         elect 9 for 1 epoch=2
         quiet raw 9 -> 1 quorum LEADERINFO epoch=2
         quiet raw 9 -> 1 quorum DIFF 0x100000006
         raw 9 -> 1 quorum PROPOSAL 0x100000005 create /1-5
         raw 9 -> 1 quorum LEADERINFO epoch=2
         quiet raw 9 -> 1 quorum SNAP 0x100000006
         quiet raw 9 -> 1 quorum stream 0x100000001..6
         quiet raw 9 -> 1 quorum NEWLEADER 0x200000000
         raw 9 -> 1 quorum UPTODATE
         state 1",
        &["1 -> 9 quorum ACKEPOCH current epoch -1 last zxid -1", "applied 0x100000006, serving, Intact"],
        &[],
    );
}

#[test]
fn numbers_at_the_end_of_their_range() {
    // A round that cannot be counted up.
    check(
        "ensemble 1 8 9
         quiet start 1
         quiet raw 8 -> 1 election hello
         quiet raw 9 -> 1 election hello
         quiet raw 8 -> 1 election LOOKING leader=1 round=9223372036854775807
         quiet raw 9 -> 1 election LOOKING leader=1 round=9223372036854775807
         quiet time 1000
         state 1
         quiet time 60000
         state 1",
        &["1 leader"],
        &[],
    );
    // A snapshot behind which no zxid is left.
    check(
        "ensemble 1 8 9
         quiet start 1
         elect 9 for 1 epoch=1
         quiet raw 9 -> 1 quorum LEADERINFO epoch=1
         raw 9 -> 1 quorum SNAP 0x7fffffffffffffff
         quiet raw 9 -> 1 quorum stream 0x100000001
         quiet raw 9 -> 1 quorum PROPOSAL 0x100000001 create /1
         state 1",
        &["1 looking"],
        &[],
    );
    // A transaction of an epoch that nobody leads.
    check(
        "ensemble 1 8 9
         quiet start 1
         elect 9 for 1 epoch=1
         quiet raw 9 -> 1 quorum LEADERINFO epoch=1
         quiet raw 9 -> 1 quorum DIFF 0x0
         raw 9 -> 1 quorum PROPOSAL 0x700000001 create /1
         state 1",
        &["1 looking"],
        &[],
    );
}

#[test]
fn an_artefact_before_the_first_transaction_of_an_epoch_is_ignored() {
    check(
        "ensemble 1 8 9
         seed 1 log 0x100000001..3 accepted 1 current 1
         quiet start 1
         hide disk
         elect 9 for 1 epoch=2
         quiet raw 9 -> 1 quorum LEADERINFO epoch=2
         quiet raw 9 -> 1 quorum DIFF 0x100000003
         quiet raw 9 -> 1 quorum NEWLEADER 0x200000000
         quiet raw 9 -> 1 quorum UPTODATE
         raw 9 -> 1 quorum PROPOSAL 0x200000000 error
         raw 9 -> 1 quorum PROPOSAL 0x200000001 create /1
         raw 9 -> 1 quorum COMMIT 0x200000001
         state 1
         crash 1
         start 1
         state 1",
        &[
            "1 -> 9 quorum ACK 0x200000001",
            "applied 0x200000001, serving",
            "logged 0x200000001, applied 0x100000003, Intact",
        ],
        &["Damaged"],
    );
}

#[test]
fn a_slow_own_disk_is_not_the_leaders_silence() {
    check(
        "config chunk=100
         ensemble 1 2 3
         seed 1 log 0x100000001..2 accepted 2 current 1
         seed 2 log 0x100000001..8 accepted 1 current 1
         seed 3 log 0x100000001..8 accepted 1 current 1
         quiet start 2 3
         quiet time 1000
         hide disk
         quiet client a connect 3
         quiet hold 3 -> 1 quorum
         quiet start 1
         quiet time 500
         quiet hold disk 1 log
         quiet release 3 -> 1 quorum
         quiet client a create /a
         quiet client a create /b
         quiet client a create /c
         quiet time 15000
         release disk 1 log
         time 300
         state 1",
        &["1 is up to date in epoch 2", "serving, Intact"],
        &["nothing heard"],
    );
}

#[test]
fn a_new_connection_for_a_whole_snapshot_has_time_of_its_own() {
    check(
        "ensemble 1 8 9
         seed 1 log 0x100000001..4 0x300000001..2 accepted 3 current 3
         quiet start 1
         hide disk
         elect 9 for 1 epoch=4
         quiet raw 9 -> 1 quorum LEADERINFO epoch=4
         quiet hold disk 1 log
         quiet raw 9 -> 1 quorum TRUNC 0x100000006
         quiet time 25000
         release disk 1 log
         time 10
         raw 9 -> 1 quorum LEADERINFO epoch=4",
        &["1 -> 9 quorum ACKEPOCH current epoch -1 last zxid -1"],
        &["could not be reached"],
    );
}
