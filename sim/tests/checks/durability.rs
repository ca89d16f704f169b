//! What was acknowledged, what disks have lost, what may be purged.

use quorate_core::error::ErrorCode;
use quorate_core::event::{Dir, Event, FileName, Health, Role};
use quorate_core::ids::Zxid;
use quorate_sim::Obs;
use quorate_sim::disk::SimDisk;
use quorate_sim::model::Model;
use quorate_sim::observe::DiskFault;

use crate::history::{History, create, created, z};

#[test]
fn u1_a_restart_that_forgets() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.see(Obs::Stopped { node: 0, how: quorate_sim::observe::Down::PowerCut });
    h.recovered(0, Zxid::ZERO, 1, 1);
    h.breaks("U1");
}

#[test]
fn u1_an_answer_before_the_decision() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/a"));
    h.answer(2, &create("/a"), z(1), ErrorCode::Ok, Some(&created("/a")));
    h.breaks("U1");
}

/// A history with one acknowledged write, on s1 and s3.
pub(crate) fn acknowledged() -> History {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/a"));
    let r = h.create(z(2), 2, "/a");
    h.write(z(2), &r);
    h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
    h.fine();
    h
}

impl History {
    pub(crate) fn spoil(&mut self, node: usize) {
        self.see(Obs::Disk { node, fault: DiskFault::Lasting, log: false });
    }
    pub(crate) fn comes_back(&mut self, n: usize, zxid: Zxid, health: Health) {
        self.see(Obs::Stopped { node: n, how: quorate_sim::observe::Down::Kill });
        self.event(n, Event::TreeReplaced { zxid: Zxid::ZERO, digest: Model::new(false).digest() });
        let applied = Zxid::ZERO;
        self.event(n, Event::Recovered { last_logged: zxid, applied, accepted_epoch: 1, current_epoch: 1, health });
    }
}

#[test]
fn u1_what_was_acknowledged_is_lost_disk_by_disk() {
    // One disk of three may be lost; the write is on another one.
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, Zxid::ZERO, Health::Damaged);
    h.fine();
    // With the second one nobody has it.
    h.spoil(2);
    h.comes_back(2, Zxid::ZERO, Health::Damaged);
    h.breaks("U1");
}

#[test]
fn u2_damage_that_passes_for_the_end_of_the_log() {
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, z(1), Health::Doubtful);
    h.fine();
    let mut h = acknowledged();
    h.spoil(0);
    h.comes_back(0, z(1), Health::Intact);
    h.breaks("U2");
}

/// Disk with these snapshots and logs, of which s1 then removes the last one named.
pub(crate) fn removes(snapshots: &[u32], logs: &[u32], gone: &str) -> Option<&'static str> {
    let mut h = acknowledged();
    h.event(0, Event::RoleChanged { role: Role::Following, epoch: 1 });
    let mut disk = SimDisk::new(512);
    for counter in snapshots {
        disk.install(&FileName::new(Dir::Data, &format!("snapshot.{:x}", z(*counter).0)), b"whole");
    }
    for counter in logs {
        disk.install(&FileName::new(Dir::Log, &format!("log.{:x}", z(*counter).0)), b"log");
    }
    let dir = if gone.starts_with("log") { Dir::Log } else { Dir::Data };
    h.see(Obs::Unlinked { node: 0, name: &FileName::new(dir, gone), disk: &disk });
    h.broken
}

#[test]
fn u4_a_purge_that_takes_too_much() {
    assert_eq!(removes(&[1], &[2], "log.100000001"), None);
    assert_eq!(removes(&[2], &[], "log.100000001"), None);
    assert_eq!(removes(&[0], &[2], "log.100000001"), Some("U4"));
    assert_eq!(removes(&[], &[2], "snapshot.100000001"), Some("U4"));
    assert_eq!(removes(&[], &[], "own-snapshot.tmp"), None);
}

#[test]
fn u5_a_promise_without_a_log() {
    let acknowledged = || {
        let mut h = acknowledged();
        h.event(2, Event::RoleChanged { role: Role::Leading, epoch: 1 });
        h
    };
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Full, log: false });
    let r = h.create(z(3), 3, "/b");
    h.propose(z(3), &r);
    h.durable(2, z(3));
    h.fine();
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Error, log: true });
    h.event(2, Event::Durable(z(2)));
    h.breaks("U5");
    // It leads on, and says nothing else.
    let mut h = acknowledged();
    h.see(Obs::Disk { node: 2, fault: DiskFault::Full, log: true });
    h.time = 10_000;
    h.event(2, Event::FsyncTook(1));
    h.breaks("U5");
}
