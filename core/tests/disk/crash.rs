//! The power fails after every primitive, and of what was not synced everything, nothing and many mixtures survive.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::config::PeerConfig;
use quorate_core::disk::{Disk, DiskEvent};
use quorate_core::event::{Dir, DiskOp, FileName, Health};
use quorate_core::ids::{Epoch, Zxid};

use crate::harness::{Off, Rig, config, payload, z};
use crate::store::Store;

/// What the disk has been asked for and what it has reported, so far.
#[derive(Clone, Default, Debug)]
struct Truth {
    /// Everything that was ever appended and not cut away for certain.
    appended: BTreeMap<Zxid, Bytes>,
    durable: Zxid,
    accepted: Epoch,
    current: Epoch,
    /// What was appended before a snapshot was to be installed.
    old: BTreeMap<Zxid, Bytes>,
    /// A cut was asked for: what is above may be gone.
    cut: Option<Zxid>,
    /// A snapshot at this zxid was asked to be installed in place of the history.
    incoming: Option<Zxid>,
    installed: Option<Zxid>,
    asked_accepted: Epoch,
    asked_current: Epoch,
    snapshots: Vec<Zxid>,
}

struct Script {
    rig: Rig,
    truth: Truth,
    seen: usize,
}

impl Script {
    fn new(cfg: &PeerConfig, budget: usize, bulk_first: bool) -> Self {
        let mut rig = Rig::new(cfg, Store::default());
        rig.budget = budget;
        rig.bulk_first = bulk_first;
        Self { rig, truth: Truth::default(), seen: 0 }
    }

    fn listen(&mut self) {
        for event in &self.rig.events[self.seen..] {
            match event {
                DiskEvent::Durable(zxid) => {
                    assert!(*zxid > self.truth.durable, "durable only grows");
                    self.truth.durable = *zxid;
                }
                DiskEvent::AcceptedDurable(e) => self.truth.accepted = *e,
                DiskEvent::CurrentDurable(e) => self.truth.current = *e,
                DiskEvent::Truncated { ok } => {
                    assert!(ok);
                    let to = self.truth.cut.take().expect("asked for");
                    self.truth.appended.retain(|z, _| *z <= to);
                }
                DiskEvent::Installed(zxid) => {
                    self.truth.installed = Some(*zxid);
                    self.truth.durable = *zxid;
                }
                DiskEvent::SnapshotDone { zxid, .. } => self.truth.snapshots.push(*zxid),
                DiskEvent::Fatal(halt) => panic!("{halt:?}"),
                _ => {}
            }
        }
        self.seen = self.rig.events.len();
    }

    fn settle(&mut self) -> Result<(), Off> {
        loop {
            let more = self.rig.step();
            self.listen();
            if !more? {
                return Ok(());
            }
        }
    }

    fn steps(&mut self, n: usize) -> Result<(), Off> {
        for _ in 0..n {
            let more = self.rig.step();
            self.listen();
            more?;
        }
        Ok(())
    }

    fn append(&mut self, zxids: &[Zxid]) {
        for zxid in zxids {
            self.truth.appended.insert(*zxid, payload(*zxid));
        }
        // The watermark is written and synced each time.
        self.rig.now.mono_ms += 1100;
        self.rig.append(zxids);
    }

    /// A snapshot of another history, which ends at `zxid`; what is appended from now on follows it.
    fn install(&mut self, zxid: Zxid) {
        self.truth.incoming = Some(zxid);
        self.truth.old = std::mem::take(&mut self.truth.appended);
        self.rig.incoming(zxid);
    }

    fn accept(&mut self, epoch: Epoch) {
        self.truth.asked_accepted = epoch;
        self.rig.call(|d, out| d.write_accepted(epoch, out));
    }

    fn current(&mut self, epoch: Epoch) {
        self.truth.asked_current = epoch;
        self.rig.call(|d, out| d.write_current(epoch, out));
    }

    fn cut(&mut self, to: Zxid) {
        self.truth.cut = Some(to);
        self.truth.durable = self.truth.durable.min(to);
        self.rig.call(|d, out| d.truncate(to, out));
    }
}

/// A life: first start, epochs, writes in groups, a roll with a snapshot, a cut across files, a snapshot from a leader, writes.
fn life(s: &mut Script) -> Result<(), Off> {
    s.rig.call(Disk::start);
    s.settle()?;
    s.rig.snapshot(z(0, 0));
    s.accept(1);
    s.settle()?;
    s.current(1);
    s.settle()?;
    s.append(&[z(1, 1), z(1, 2)]);
    s.steps(2)?;
    s.append(&[z(1, 3)]);
    s.append(&[z(1, 4), z(1, 5)]);
    s.settle()?;
    s.rig.now.mono_ms += 2000;
    s.rig.snapshot(z(1, 4));
    s.append(&[z(1, 6)]);
    s.steps(3)?;
    s.append(&[z(1, 7), z(1, 8)]);
    s.settle()?;
    s.cut(z(1, 4));
    s.settle()?;
    s.accept(2);
    s.settle()?;
    s.rig.call(|d, out| d.write_intent(2, out));
    s.settle()?;
    s.append(&[z(2, 1), z(2, 2)]);
    s.settle()?;
    s.current(2);
    s.settle()?;
    s.accept(4);
    s.rig.call(|d, out| d.write_intent(4, out));
    s.settle()?;
    s.install(z(4, 3));
    s.settle()?;
    s.append(&[z(4, 4)]);
    s.append(&[z(4, 5)]);
    s.settle()?;
    s.current(4);
    s.settle()?;
    s.rig.call(|d, _| d.synchronised());
    s.append(&[z(4, 6)]);
    s.settle()
}

/// A life in which the leader's history is shorter than the own one: a tail and a newer snapshot must go.
fn shortened(s: &mut Script) -> Result<(), Off> {
    s.rig.call(Disk::start);
    s.settle()?;
    s.rig.snapshot(z(0, 0));
    s.accept(1);
    s.current(1);
    s.settle()?;
    for c in 1..=6 {
        s.append(&[z(1, c)]);
        s.settle()?;
    }
    s.rig.snapshot(z(1, 5));
    s.settle()?;
    s.append(&[z(1, 7)]);
    s.settle()?;
    s.install(z(1, 4));
    s.settle()?;
    s.append(&[z(1, 5), z(1, 6)]);
    s.settle()?;
    s.cut(z(1, 5));
    s.settle()
}

/// Synchronisations that are interrupted once the log has the new epoch: until one is over, the log needs the intent.
fn interrupted(s: &mut Script) -> Result<(), Off> {
    s.rig.call(Disk::start);
    s.settle()?;
    s.rig.snapshot(z(0, 0));
    s.current(1);
    s.settle()?;
    s.append(&[z(1, 1)]);
    s.settle()?;
    s.accept(2);
    s.rig.call(|d, out| d.write_intent(2, out));
    s.settle()?;
    s.append(&[z(2, 1)]);
    s.settle()?;
    s.accept(4);
    s.rig.call(|d, out| d.write_intent(3, out));
    s.settle()?;
    s.append(&[z(3, 1), z(3, 2)]);
    s.settle()?;
    // Another leader knows nothing of epoch 3, and its snapshot is not there yet.
    s.accept(5);
    s.rig.call(|d, out| d.write_intent(2, out));
    s.settle()?;
    s.install(z(2, 3));
    s.settle()?;
    s.current(5);
    s.settle()?;
    s.append(&[z(5, 1)]);
    s.settle()
}

/// Every way in which a power failure may choose among `n` unsynced things, if there are few; otherwise the plain ones and
/// many mixtures.
fn choices(n: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    if n <= 6 {
        for set in 0..1_u32 << n {
            all.push((0..n).map(|i| set >> i & 1).collect());
        }
    } else {
        all.push(vec![0; n]);
        all.push(vec![1; n]);
    }
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..if n == 0 { 0 } else { 12 } {
        all.push(
            (0..n)
                .map(|_| {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    (x >> 33) as u32 % 4
                })
                .collect(),
        );
    }
    all
}

fn judge(truth: &Truth, rig: &Rig, what: &str) {
    let r = rig.recovered();
    let context = || format!("{what}\n{truth:?}\n{:?}\n{:?}", rig.events, rig.store.names(Dir::Log));
    assert_ne!(r.health, Health::Damaged, "a power failure is no damage: {}", context());
    assert!(r.accepted >= truth.accepted, "a promise is kept: {}", context());
    assert!(r.accepted <= truth.asked_accepted.max(truth.asked_current), "no promise is invented: {}", context());
    assert!(r.current >= truth.current && r.accepted >= r.current, "{}", context());
    assert!(r.last_logged.epoch() <= r.current, "the epoch fits the history: {}", context());
    let memory = &rig.memory;
    let fresh = truth.incoming.filter(|s| memory.base == *s);
    let history = if truth.incoming.is_some() && fresh.is_none() { &truth.old } else { &truth.appended };
    for (zxid, bytes) in &memory.records {
        assert_eq!(Some(bytes), history.get(zxid), "nothing is invented, nothing mixed: {zxid} {}", context());
    }
    if let Some(installed) = truth.installed {
        assert_eq!(fresh, Some(installed), "what is installed is loaded: {}", context());
    }
    // No holes: every appended record between the base and the end is there.
    let between = history.keys().filter(|z| **z > memory.base && **z <= r.last_logged).count();
    assert_eq!(memory.records.len(), between, "no hole: {}", context());
    if fresh.is_none() || truth.installed.is_some() {
        assert!(r.last_logged >= truth.durable, "nothing durable is lost: {}", context());
        let used = |s: &Zxid| memory.base >= *s || truth.cut.is_some() || truth.installed.is_some();
        assert!(truth.snapshots.iter().all(used), "a finished snapshot is used: {}", context());
    }
}

/// Java would find what was promised.
fn judge_files(truth: &Truth, store: &Store) {
    for (file, promised) in [("acceptedEpoch", truth.accepted), ("currentEpoch", truth.current)] {
        let text = store.get(Dir::Data, file).map(|b| String::from_utf8_lossy(b).parse::<Epoch>());
        assert!(promised == 0 || text.is_some_and(|t| t.is_ok_and(|e| e >= promised)), "{file} {promised}");
    }
}

fn every_crash(cfg: &PeerConfig, bulk_first: bool, life: fn(&mut Script) -> Result<(), Off>) -> (usize, usize) {
    let mut whole = Script::new(cfg, usize::MAX, bulk_first);
    life(&mut whole).expect("no budget");
    let total = whole.rig.done;
    let mut recoveries = 0;
    for budget in 0..=total {
        let mut s = Script::new(cfg, budget, bulk_first);
        assert_eq!(life(&mut s).is_err(), budget < total);
        let n = s.rig.store.unsynced();
        for choice in choices(n, budget as u64) {
            let mut kept = choice.iter().copied();
            let store = s.rig.store.crash(|| kept.next().unwrap_or(0));
            judge_files(&s.truth, &store);
            let rig = Rig::recover(cfg, store);
            recoveries += 1;
            let what = format!("after {budget} of {total} operations, kept {choice:?}, last {:?}", s.rig.ops.last());
            judge(&s.truth, &rig, &what);
            // What recovery reports is durable: the power fails once more, right now, and nothing unsynced survives.
            let again = Rig::recover(cfg, rig.store.crash(|| 0));
            judge(&s.truth, &again, &format!("{what}, and again"));
            assert_eq!(rig.recovered().last_logged, again.recovered().last_logged, "{what}");
            assert_eq!(rig.recovered().health, again.recovered().health, "{what}");
        }
        // Only the program ends: what it wrote is still seen. What recovery reports of it must then be durable.
        let rig = Rig::recover(cfg, s.rig.store.clone());
        let again = Rig::recover(cfg, rig.store.crash(|| 0));
        judge(&s.truth, &again, "after a restart and a power failure");
        assert_eq!(rig.recovered().last_logged, again.recovered().last_logged, "after {budget}: what was voted for");
    }
    (total, recoveries)
}

#[test]
fn a_power_failure_anywhere_loses_nothing_durable_and_invents_nothing() {
    let (total, recoveries) = every_crash(&config(), false, life);
    assert!(total > 120 && recoveries > 1000, "{total} operations, {recoveries} recoveries");
}

#[test]
fn whatever_the_order_of_the_lanes() {
    let mut cfg = config();
    cfg.storage.prealloc_bytes = 0;
    cfg.storage.log_size_limit = 100;
    every_crash(&cfg, true, life);
}

#[test]
fn a_shorter_history_from_the_leader_replaces_a_longer_one() {
    let mut cfg = config();
    every_crash(&cfg, false, shortened);
    cfg.storage.log_size_limit = 100;
    every_crash(&cfg, true, shortened);
}

#[test]
fn a_synchronisation_begins_again_over_the_log_of_an_interrupted_one() {
    let mut cfg = config();
    every_crash(&cfg, false, interrupted);
    cfg.storage.log_size_limit = 100;
    every_crash(&cfg, true, interrupted);
}

/// Fsyncgate: after a failed fsync the pages count as clean. The program starts again, reads them, and its own fsync succeeds;
/// what it then reports must survive the next power failure all the same.
fn every_failed_fsync(cfg: &PeerConfig, bulk_first: bool, life: fn(&mut Script) -> Result<(), Off>) -> usize {
    let mut whole = Script::new(cfg, usize::MAX, bulk_first);
    life(&mut whole).expect("no budget");
    let syncs = (0..whole.rig.done).filter(|n| matches!(whole.rig.ops[*n], DiskOp::Fsync(_)));
    let mut tails = 0;
    for n in syncs {
        let mut s = Script::new(cfg, usize::MAX, bulk_first);
        s.rig.lose = Some(n);
        assert!(life(&mut s).is_err());
        let what = format!("{:?}, operation {n}, failed", whole.rig.ops[n]);
        let rig = Rig::recover(cfg, s.rig.store.clone());
        judge(&s.truth, &rig, &what);
        tails += usize::from(rig.recovered().last_logged > s.truth.durable);
        let again = Rig::recover(cfg, rig.store.crash(|| 0));
        judge(&s.truth, &again, &format!("{what}, and the power after the restart"));
        assert_eq!(rig.recovered().last_logged, again.recovered().last_logged, "{what}: what was voted for");
        assert_eq!(rig.recovered().health, again.recovered().health, "{what}");
    }
    tails
}

#[test]
fn what_is_read_after_a_failed_fsync_is_written_again() {
    let mut cfg = config();
    assert!(every_failed_fsync(&cfg, false, life) > 3);
    cfg.storage.prealloc_bytes = 0;
    cfg.storage.log_size_limit = 100;
    assert!(every_failed_fsync(&cfg, true, life) > 3);
    assert!(every_failed_fsync(&cfg, true, shortened) > 3);
}

#[test]
fn a_log_without_a_watermark_is_written_again_in_its_newest_file() {
    let cfg = config();
    let mut rig = Rig::recover(&cfg, Store::default());
    rig.snapshot(z(0, 0));
    rig.call(|d, out| d.write_current(1, out));
    rig.append(&[z(1, 1), z(1, 2)]);
    rig.settle().expect("no budget");
    rig.store.remove(Dir::Side, "watermark");
    let rewritten = |rig: &Rig| {
        let bytes = rig.ops.iter().map(|op| match op {
            DiskOp::WriteAt(name, 0, bytes) if name.dir == Dir::Log => bytes.len(),
            _ => 0,
        });
        bytes.sum::<usize>()
    };
    let again = Rig::recover(&cfg, rig.store.clone());
    assert_eq!(rewritten(&again), 16 + 2 * 13 + payload(z(1, 1)).len() + payload(z(1, 2)).len());
    // Now there is one, and it says that everything is durable.
    let third = Rig::recover(&cfg, again.store);
    assert_eq!(rewritten(&third), 0);
    assert_eq!(third.recovered().last_logged, z(1, 2));
}

#[test]
fn recovery_itself_may_be_interrupted_anywhere() {
    let cfg = config();
    // A torn tail, an epoch to be raised, an installation to be completed.
    let mut whole = Script::new(&cfg, usize::MAX, false);
    life(&mut whole).expect("no budget");
    let total = whole.rig.done;
    for budget in (0..total).step_by(3) {
        let mut s = Script::new(&cfg, budget, false);
        assert!(life(&mut s).is_err());
        let mut keep = 0_u32;
        let store = s.rig.store.crash(|| {
            keep += 1;
            keep * 7 % 4
        });
        for inner in 0..60 {
            let mut rig = Rig::new(&cfg, store.clone());
            rig.budget = inner;
            rig.call(Disk::start);
            let over = rig.settle().is_ok();
            let second = Rig::recover(&cfg, rig.store.crash(|| u32::from(inner % 2 == 0)));
            judge(&s.truth, &second, &format!("after {budget}, recovery interrupted after {inner}"));
            if over {
                break;
            }
        }
    }
}

#[test]
fn a_leftover_temporary_file_is_removed() {
    let mut rig = Rig::recover(&config(), Store::default());
    rig.call(|d, out| {
        d.snapshot_begin(z(0, 0), 0, out);
        d.incoming_begin(z(5, 5), out);
    });
    rig.settle().expect("no budget");
    let store = rig.store.crash(|| 1);
    assert!(!store.names(Dir::Data).is_empty());
    let rig = Rig::recover(&config(), store);
    let left = rig.store.names(Dir::Data);
    assert!(left.iter().all(|n| !n.contains("snapshot")), "{left:?}");
    let _ = FileName::new(Dir::Data, "x");
}
