//! Excuses that end, promises that the world has looked into, and what is owed by whom.

use bytes::Bytes;
use quorate_core::event::{Event, Halt, Health, Role};
use quorate_core::ids::{Epoch, Zxid};

use super::Checks;
use super::ghost::{At, ROOT};
use crate::observe::{Check as _, DiskFault, Down, Obs, Observation};
use crate::spec::RunSpec;

fn see(checks: &mut Checks, what: Obs<'_>) -> Option<&'static str> {
    checks.observe(&Observation { time_ms: 1, seq: 1, what }).err().map(|v| v.invariant)
}
fn event(checks: &mut Checks, node: usize, event: Event) -> Option<&'static str> {
    see(checks, Obs::Server { node, event: &event })
}
fn halts(checks: &mut Checks, node: usize) -> Option<&'static str> {
    let halt = Halt::BadData("both copies are damaged".into());
    see(checks, Obs::Stopped { node, how: Down::Halt(&halt) })
}
fn starts(checks: &mut Checks, node: usize) {
    assert_eq!(see(checks, Obs::Started { node, digests: true }), None);
}
fn disk(checks: &mut Checks, fault: DiskFault) {
    assert_eq!(see(checks, Obs::Disk { node: 0, fault, log: false }), None);
}
fn recovered(last_logged: Zxid, current_epoch: Epoch) -> Event {
    let health = Health::Intact;
    Event::Recovered { last_logged, applied: Zxid::ZERO, accepted_epoch: 2, current_epoch, health }
}

/// Three voters; the third leads epoch 1, the others follow.
fn led() -> Checks {
    let mut checks = Checks::new(&RunSpec::default());
    let last_logged = Zxid::ZERO;
    let mut all = |n: usize, what: Event| assert_eq!(event(&mut checks, n, what), None);
    for n in 0..3 {
        all(n, Event::RoleChanged { role: Role::Looking, epoch: 0 });
        all(n, Event::EpochAccepted(1));
        all(n, Event::EpochCurrent(1));
    }
    for n in 0..2 {
        all(n, Event::NewLeaderAcked { epoch: 1, last_logged });
    }
    all(2, Event::Established { epoch: 1, last_logged });
    for n in 0..2 {
        all(n, Event::UpToDate { epoch: 1, applied: last_logged });
    }
    checks
}

/// Server 0 has a durable log that ends with a proposal of epoch 2.
fn ahead(checks: &mut Checks) -> At {
    let g = &mut checks.ghost;
    let at = g.propose(Zxid::new(2, 1), 7, ROOT, Bytes::new());
    g.servers[0].logged = at;
    g.set_durable(0, at);
    at
}

#[test]
fn an_error_excuses_the_life_that_met_it() {
    for fault in [DiskFault::Error, DiskFault::Full] {
        let mut checks = led();
        disk(&mut checks, fault);
        assert_eq!(halts(&mut checks, 0), None);
        starts(&mut checks, 0);
        assert_eq!(halts(&mut checks, 0), Some("U3"));
    }
}

#[test]
fn what_cannot_be_read_excuses_the_life_that_met_it() {
    let damaged = Event::Recovered {
        last_logged: Zxid::ZERO,
        applied: Zxid::ZERO,
        accepted_epoch: 1,
        current_epoch: 1,
        health: Health::Damaged,
    };
    let again = |met_before: bool, met_now: bool| {
        let mut checks = led();
        if met_before {
            disk(&mut checks, DiskFault::Error);
        }
        assert_eq!(see(&mut checks, Obs::Stopped { node: 0, how: Down::Kill }), None);
        starts(&mut checks, 0);
        if met_now {
            disk(&mut checks, DiskFault::Error);
        }
        event(&mut checks, 0, damaged.clone())
    };
    assert_eq!(again(false, true), None);
    assert_eq!(again(true, false), Some("U3"));
    assert_eq!(again(false, false), Some("U3"));
}

#[test]
fn spoiled_bytes_excuse_as_long_as_they_are_there() {
    let mut checks = led();
    disk(&mut checks, DiskFault::Lasting);
    assert_eq!(halts(&mut checks, 0), None);
    starts(&mut checks, 0);
    assert_eq!(halts(&mut checks, 0), None);
    starts(&mut checks, 0);
    assert_eq!(see(&mut checks, Obs::Mended { node: 0 }), None);
    assert_eq!(halts(&mut checks, 0), Some("U3"));
}

#[test]
fn who_refuses_rightly_owes_nothing_else() {
    let owed = |checks: &Checks| checks.unmet(&[0, 1, 2], false).map(|v| v.invariant);
    let mut checks = led();
    assert_eq!(owed(&checks), None);
    assert_eq!(see(&mut checks, Obs::Stopped { node: 0, how: Down::Kill }), None);
    assert_eq!(owed(&checks), Some("L2"));
    disk(&mut checks, DiskFault::Lasting);
    assert_eq!(halts(&mut checks, 0), None);
    starts(&mut checks, 0);
    assert_eq!(owed(&checks), None);
    assert_eq!(event(&mut checks, 0, Event::RoleChanged { role: Role::Looking, epoch: 0 }), None);
    assert_eq!(owed(&checks), Some("L2"), "it has come further");
}

#[test]
fn an_observer_waits_for_what_its_spoiled_disk_has_promised() {
    let owed = |checks: &Checks| checks.unmet(&[0, 1, 2], false).map(|v| v.invariant);
    let mut checks = led();
    checks.ghost.servers[0].voter = false;
    checks.ghost.servers[0].accepted = 3;
    assert_eq!(see(&mut checks, Obs::Stopped { node: 0, how: Down::Kill }), None);
    assert_eq!(owed(&checks), Some("L2"), "no fault has made that promise");
    disk(&mut checks, DiskFault::Lasting);
    assert_eq!(owed(&checks), None);
    checks.ghost.servers[0].accepted = 1;
    assert_eq!(owed(&checks), Some("L2"), "nothing keeps it away");
    checks.ghost.servers[0].accepted = 3;
    checks.ghost.servers[0].voter = true;
    assert_eq!(owed(&checks), Some("L2"), "a leader ends its term for a voter");
}

#[test]
fn who_refuses_is_not_heard() {
    let excused = |checks: &Checks| checks.excuse(&[0, 1, 2]).is_some();
    let mut checks = led();
    checks.ghost.servers[1].health = Health::Doubtful;
    checks.ghost.servers[2].health = Health::Intact;
    checks.ghost.servers[0].health = Health::Intact;
    assert!(!excused(&checks), "two can trust their disks");
    disk(&mut checks, DiskFault::Lasting);
    assert_eq!(halts(&mut checks, 0), None);
    assert!(excused(&checks), "one can, and the first one says nothing any more");
}

#[test]
fn l7_rounds_that_find_no_leader() {
    let mut checks = led();
    assert_eq!(see(&mut checks, Obs::Healed { core: &[0, 1, 2] }), None);
    let round = Event::ElectionStarted { round: 1, zxid: Zxid::ZERO, epoch: 1 };
    let vote = |checks: &mut Checks| {
        for _ in 0..60 {
            assert_eq!(event(checks, 0, round.clone()), None);
        }
    };
    let owed = |checks: &Checks, core: &[usize]| checks.unmet(core, false).map(|v| v.invariant);
    vote(&mut checks);
    let settled = Event::UpToDate { epoch: 1, applied: Zxid::ZERO };
    assert_eq!(event(&mut checks, 0, settled), None);
    vote(&mut checks);
    assert_eq!(owed(&checks, &[0, 1, 2]), Some("L2"), "a leader was found between them");
    vote(&mut checks);
    assert_eq!(owed(&checks, &[0, 1, 2]), Some("L7"));
    assert_eq!(owed(&checks, &[1, 2]), None, "outside the core nothing is promised");
}

#[test]
fn z16_each_word_about_oneself() {
    let mut checks = led();
    let vote = |epoch, counter| Obs::Voted { node: 0, zxid: Zxid(counter), epoch };
    assert_eq!(see(&mut checks, vote(1, 0)), None);
    assert_eq!(see(&mut checks, vote(2, 0)), Some("Z16"));
    assert_eq!(see(&mut checks, vote(1, 5)), Some("Z16"));
    // A leader has cut its log; somebody still votes for it with what it had.
    let g = &mut checks.ghost;
    let cut = g.propose(Zxid::new(1, 1), 7, ROOT, Bytes::new());
    let had = g.zxid(cut).0;
    g.servers[0].cut = true;
    assert_eq!(see(&mut checks, vote(1, had)), None);
    assert_eq!(see(&mut checks, vote(1, had + 1)), Some("Z16"), "it never had that");
    assert_eq!(see(&mut checks, vote(2, had)), Some("Z16"));
    let begins = Event::ElectionStarted { round: 1, zxid: Zxid(had), epoch: 1 };
    assert_eq!(event(&mut checks, 0, begins), Some("Z16"), "nobody has told it that");
    checks.ghost.servers[0].cut = false;
    assert_eq!(see(&mut checks, vote(1, had)), Some("Z16"));
}

#[test]
fn z13_the_disk_says_otherwise() {
    let mut checks = led();
    let event = Event::Durable(Zxid::new(1, 1));
    let what = Obs::Unkept { node: 0, invariant: "Z13", event: &event, lacks: "log.1 is not synced" };
    assert_eq!(see(&mut checks, what), Some("Z13"));
}

#[test]
fn z2_a_log_beyond_its_epoch() {
    let mut checks = led();
    ahead(&mut checks);
    let last_logged = Zxid::new(2, 1);
    assert_eq!(event(&mut checks, 0, Event::NewLeaderAcked { epoch: 1, last_logged }), Some("Z2"));

    let mut checks = led();
    ahead(&mut checks);
    assert_eq!(see(&mut checks, Obs::Stopped { node: 0, how: Down::Kill }), None);
    assert_eq!(event(&mut checks, 0, recovered(last_logged, 1)), Some("Z2"));

    let mut checks = led();
    let at = ahead(&mut checks);
    (checks.ghost.servers[0].logged, checks.ghost.servers[0].term) = (ROOT, 1);
    let zxid = checks.ghost.zxid(at);
    assert_eq!(event(&mut checks, 0, Event::Logged { zxid, hash: 7 }), Some("Z2"));
}
