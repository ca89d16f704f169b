//! Elections, epochs, logs, order; what is owed after healing.

use quorate_core::error::CloseReason;
use quorate_core::event::{Event, Health, Role};
use quorate_core::ids::{LinkId, Sid, Zxid};
use quorate_sim::check::Checks;
use quorate_sim::model::Model;
use quorate_sim::spec::{At, Core, Explicit, FaultKind, RunSpec};
use quorate_sim::{Obs, Options, Verdict};

use crate::durability::acknowledged;
use crate::history::{History, z};

#[test]
fn z1_two_leaders_of_one_epoch() {
    let mut h = History::led();
    h.event(1, Event::Established { epoch: 1, last_logged: Zxid::ZERO });
    h.breaks("Z1");
}

#[test]
fn z2_an_epoch_goes_back() {
    let mut h = History::led();
    h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::Kill });
    h.recovered(0, Zxid::ZERO, 0, 0);
    h.breaks("Z2");
}

#[test]
fn z3_a_promise_before_it_is_durable() {
    let mut h = History::led();
    h.event(0, Event::EpochAcked(2));
    h.breaks("Z3");
}

#[test]
fn z3_an_ack_to_an_older_leader() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.event(0, Event::Durable(z(1)));
    h.event(0, Event::EpochAccepted(2));
    h.event(0, Event::EpochAcked(2));
    h.event(0, Event::Acked(z(1)));
    h.breaks("Z3");
}

#[test]
fn z4_a_payload_that_nobody_proposed() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.event(0, Event::Logged { zxid: z(1), hash: 1 });
    h.breaks("Z4");
}

#[test]
fn z5_applied_before_it_is_decided() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.durable(0, z(1));
    h.apply(0, z(1), &r);
    h.breaks("Z5");
}

#[test]
fn z10_a_cut_of_something_decided() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.event(0, Event::Truncated(Zxid::ZERO));
    h.breaks("Z10");
}

#[test]
fn z11_decided_without_a_quorum() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.durable(2, z(1));
    // An observer does not count.
    h.log(3, z(1), &r);
    h.event(3, Event::Durable(z(1)));
    h.event(2, Event::Decided(z(1)));
    h.breaks("Z11");
}

#[test]
fn z12_decided_out_of_order() {
    let mut h = History::led();
    let (a, b) = (h.session(z(1)), h.create(z(2), 0, "/a"));
    h.propose(z(1), &a);
    h.propose(z(2), &b);
    h.durable(2, z(2));
    h.log(0, z(1), &a);
    h.log(0, z(2), &b);
    h.durable(0, z(2));
    h.event(2, Event::Decided(z(2)));
    h.breaks("Z12");
}

#[test]
fn z13_an_ack_before_fsync_and_an_epoch_before_its_history() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.propose(z(1), &r);
    h.log(0, z(1), &r);
    h.event(0, Event::Acked(z(1)));
    h.breaks("Z13");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    // s1 leads epoch 2 with that history, s2 vouches for the epoch without it.
    for n in [0, 1] {
        h.event(n, Event::EpochAccepted(2));
    }
    h.event(0, Event::EpochCurrent(2));
    h.event(1, Event::EpochAcked(2));
    h.fine();
    h.event(1, Event::EpochCurrent(2));
    h.breaks("Z13");
}

/// What a power cut left without its fsync is read again, and may be applied where it is known to be decided.
#[test]
fn z13_recovery_applies_what_it_has_read_and_no_more() {
    for (last, fine) in [(z(1), true), (Zxid::ZERO, false)] {
        let mut h = History::led();
        let r = h.session(z(1));
        h.propose(z(1), &r);
        h.durable(2, z(1));
        h.log(0, z(1), &r);
        h.log(1, z(1), &r);
        h.durable(1, z(1));
        h.event(2, Event::Decided(z(1)));
        h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::PowerCut });
        h.event(0, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        h.apply(0, z(1), &r);
        let (applied, health) = (z(1), Health::Intact);
        h.event(0, Event::Recovered { last_logged: last, applied, accepted_epoch: 1, current_epoch: 1, health });
        if fine {
            h.fine();
        } else {
            h.breaks("Z13");
        }
    }
}

#[test]
fn z14_a_hole_in_a_log() {
    let mut h = History::led();
    let (a, b) = (h.session(z(1)), h.create(z(2), 0, "/a"));
    h.propose(z(1), &a);
    h.propose(z(2), &b);
    h.log(0, z(2), &b);
    h.breaks("Z14");
}

#[test]
fn z16_a_vote_that_is_not_true() {
    let mut h = History::led();
    h.event(0, Event::ElectionStarted { round: 2, zxid: z(1), epoch: 1 });
    h.breaks("Z16");
}

#[test]
fn z9_a_leader_without_what_is_decided() {
    let leads = |says: Zxid| {
        let mut h = acknowledged();
        // s1 has lost what only s3 has now, and s2 never had it: the two must not open an epoch.
        h.spoil(0);
        h.comes_back(0, Zxid::ZERO, Health::Damaged);
        for n in [0, 1] {
            h.event(n, Event::EpochAccepted(2));
        }
        h.event(0, Event::EpochAcked(2));
        h.event(1, Event::EpochCurrent(2));
        h.event(0, Event::EpochCurrent(2));
        h.event(0, Event::NewLeaderAcked { epoch: 2, last_logged: Zxid::ZERO });
        h.fine();
        h.event(1, Event::Established { epoch: 2, last_logged: says });
        h
    };
    leads(Zxid::ZERO).breaks("Z9");
    // What it says of its log is not so.
    leads(z(2)).breaks("Z9");
}

#[test]
fn z15_a_follower_with_more_than_its_leader() {
    let mut h = acknowledged();
    let r = h.create(z(3), 3, "/b");
    h.propose(z(3), &r);
    h.durable(2, z(3));
    // s1 leads epoch 2 and has what is decided; s3 joins it with one more, which nobody else has.
    h.event(0, Event::RoleChanged { role: Role::Leading, epoch: 2 });
    for n in [0, 2] {
        h.event(n, Event::EpochAccepted(2));
    }
    h.event(0, Event::EpochCurrent(2));
    h.event(2, Event::RoleChanged { role: Role::Following, epoch: 2 });
    h.event(2, Event::EpochAcked(2));
    h.event(2, Event::EpochCurrent(2));
    h.fine();
    h.event(2, Event::NewLeaderAcked { epoch: 2, last_logged: z(3) });
    h.breaks("Z15");
}

#[test]
fn l3_and_l7_what_is_owed_after_healing() {
    let core = [0, 1, 2];
    let healed = || {
        let mut h = History::led();
        for n in [0, 1] {
            h.event(n, Event::UpToDate { epoch: 1, applied: Zxid::ZERO });
        }
        h.see(Obs::Healed { core: &core });
        h.fine();
        h
    };
    let owed = |h: &History, writing| h.checks.owed(&core, writing).map(|b| b.invariant);
    // A leader, both follow it, and clients ask for writes that nobody answers.
    assert_eq!((owed(&healed(), false), owed(&healed(), true)), (None, Some("L3")));
    // One leader after the other.
    let mut h = healed();
    for epoch in 2..=5 {
        assert_ne!(owed(&h, false), Some("L7"));
        for n in [0, 2] {
            h.event(n, Event::EpochAccepted(epoch));
        }
        h.event(2, Event::EpochCurrent(epoch));
        h.event(0, Event::EpochAcked(epoch));
        h.event(0, Event::EpochCurrent(epoch));
        h.event(0, Event::NewLeaderAcked { epoch, last_logged: Zxid::ZERO });
        h.event(2, Event::Established { epoch, last_logged: Zxid::ZERO });
        h.fine();
    }
    assert_eq!(owed(&h, false), Some("L7"));
}

/// L6 is the world's: here nobody purges, and snapshots pile up.
#[test]
fn l6_garbage_that_stays() {
    let kept = |purge_ticks| {
        let mut spec = RunSpec { seed: 1, ..RunSpec::default() };
        spec.faults.swarm = false;
        spec.timing.fault_ticks = 20;
        spec.timing.snap_count = 8;
        spec.limits.purge_ticks = purge_ticks;
        spec.checks.core = Core::All;
        let mut checks = Checks::new(&spec);
        let outcome = quorate_sim::run(&spec, &mut checks, Options::default());
        (outcome.verdict, outcome.violation.map(|v| v.invariant))
    };
    assert_eq!(kept(20), (Verdict::Pass, None));
    assert_eq!(kept(1_000_000), (Verdict::LivenessFailure, Some("L6")));
}

#[test]
fn z18_something_illegal_is_said() {
    let closed = |what| Event::LinkClosed {
        link: LinkId(1),
        remote: None,
        sid: Some(Sid(3)),
        why: CloseReason::Misbehaved(what),
    };
    let mut h = History::led();
    h.event(0, closed("leader offers an epoch older than the one promised"));
    h.fine();
    h.event(0, closed("PROPOSAL with a gap before it"));
    h.breaks("Z18");
    // Some things need a fault that makes them.
    let what = "notification frame of impossible length";
    let mut h = History::led();
    h.see(Obs::Fault(&Explicit::new(1, At::Us { us: 1 }, FaultKind::Corrupt)));
    h.event(0, closed(what));
    h.fine();
    let mut h = History::led();
    h.event(0, closed(what));
    h.breaks("Z18");
}
