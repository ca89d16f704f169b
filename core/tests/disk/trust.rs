//! What recovery makes of damage, doubt and emptiness.

use crate::harness::{Rig, alone, config, fatal, lived, payload, z};
use crate::store::Store;
use quorate_core::event::{Dir, Halt, Health};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::wire::txn::{Txn, TxnHeader, encode_record};
use quorate_core::wire::txnlog;

#[test]
fn who_cannot_read_what_it_knew_of_its_trust_has_none() {
    for (config, health) in [(config(), Health::Doubtful), (alone(), Health::Intact)] {
        let mut rig = lived(&config, 4);
        rig.store.edit(Dir::Side, "state", |b| b[9] ^= 1);
        let rig = Rig::recover(&config, rig.store);
        assert_eq!((rig.recovered().health, rig.recovered().last_logged), (health, z(1, 4)));
        let again = Rig::recover(&config, rig.store);
        assert_eq!(again.recovered().health, health, "it is written down");
    }
    let mut java = lived(&config(), 4).store;
    java.remove(Dir::Side, "state");
    assert_eq!(
        Rig::recover(&config(), java).recovered().health,
        Health::Intact,
        "a directory of ZooKeeper has no such file"
    );
}

#[test]
fn damage_below_the_watermark_is_damage_and_above_it_doubt() {
    let mut rig = lived(&config(), 4);
    rig.now.mono_ms += 5000;
    rig.append(&[z(1, 5)]);
    rig.settle().expect("no budget");
    rig.call(|d, out| d.tick(quorate_core::ids::Now { mono_ms: 10_000, wall_ms: 0 }, out));
    rig.settle().expect("no budget");
    let at = |n: u32| 16 + (1..n).map(|c| payload(z(1, c)).len() + 13).sum::<usize>();
    let file = "log.100000001";
    // The last record is vouched for: its loss is damage, though it looks like a torn tail.
    let mut store = rig.store.clone();
    store.edit(Dir::Log, file, |b| b[at(5) + 20] ^= 1);
    let r = Rig::recover(&config(), store.clone()).recovered();
    assert_eq!((r.health, r.last_logged), (Health::Damaged, z(1, 4)));
    // Without a watermark nobody can tell: doubt.
    store.remove(Dir::Side, "watermark");
    let r = Rig::recover(&config(), store).recovered();
    assert_eq!((r.health, r.last_logged), (Health::Doubtful, z(1, 4)));
    // The log ends early without a trace.
    let mut store = rig.store.clone();
    store.edit(Dir::Log, file, |b| b[at(4)..].fill(0));
    assert_eq!(Rig::recover(&config(), store).recovered().health, Health::Damaged);
    // A record that is valid and not the one that was written there.
    let mut store = rig.store.clone();
    let header = TxnHeader { session: SessionId(9), cxid: 9, zxid: z(1, 5), time: 0, kind: 5 };
    let mut other = Vec::new();
    let data = z(1, 5).0.to_be_bytes().repeat(6);
    encode_record(&header, &Txn::SetData { path: "/a".into(), data: Some(&data), version: 1 }, None, &mut other);
    assert_eq!(other.len(), payload(z(1, 5)).len());
    let mut frame = Vec::new();
    txnlog::encode(&other, &mut frame);
    store.edit(Dir::Log, file, |b| b[at(5)..at(5) + frame.len()].copy_from_slice(&frame));
    assert_eq!(Rig::recover(&config(), store).recovered().health, Health::Damaged);
    // All log files are gone.
    let mut store = rig.store.clone();
    store.remove(Dir::Log, file);
    assert_eq!(Rig::recover(&config(), store).recovered().health, Health::Damaged);
    // Java has been here since, and its log ends earlier: the watermark says nothing.
    let mut store = rig.store.clone();
    store.edit(Dir::Log, file, |b| b.truncate(at(4)));
    store.edit(Dir::Data, "currentEpoch", |b| *b = b"2".to_vec());
    store.edit(Dir::Data, "acceptedEpoch", |b| *b = b"2".to_vec());
    let rig = Rig::recover(&config(), store);
    assert_eq!((rig.recovered().health, rig.recovered().last_logged), (Health::Intact, z(1, 3)));
    assert_eq!(Rig::recover(&config(), rig.store).recovered().health, Health::Intact);
}

/// Java writes acceptedEpoch before currentEpoch, and both have no checksum.
#[test]
fn an_epoch_that_only_one_file_knows_is_no_work_of_java() {
    let mut store = lived(&config(), 5).store;
    store.edit(Dir::Data, "acceptedEpoch", |b| *b = b"3".to_vec());
    let rig = Rig::recover(&config(), store);
    let r = rig.recovered();
    assert_eq!((r.accepted, r.current, r.health), (3, 1, Health::Intact));
    // It is in the record now: a vote in epoch 3 would win against histories that this one lacks.
    let mut store = rig.store.clone();
    store.edit(Dir::Data, "currentEpoch", |b| *b = b"3".to_vec());
    let r = Rig::recover(&config(), store).recovered();
    assert_eq!((r.accepted, r.current, r.health), (3, 1, Health::Damaged));
    // A promise alone says nothing about the log: the watermark counts.
    let mut store = lived(&config(), 5).store;
    store.edit(Dir::Data, "acceptedEpoch", |b| *b = b"3".to_vec());
    store.remove(Dir::Log, "log.100000001");
    assert_eq!(Rig::recover(&config(), store).recovered().health, Health::Damaged);
}

#[test]
fn doubt_ends_when_a_leader_has_synchronised_this_server_and_not_before() {
    let mut store = lived(&config(), 3).store;
    store.remove(Dir::Side, "watermark");
    let len = store.get(Dir::Log, "log.100000001").expect("a log").iter().rposition(|b| *b != 0).expect("data");
    store.edit(Dir::Log, "log.100000001", |b| b.truncate(len - 3));
    let rig = Rig::recover(&config(), store);
    assert_eq!(rig.recovered().health, Health::Doubtful);
    let mut rig = Rig::recover(&config(), rig.store);
    assert_eq!(rig.recovered().health, Health::Doubtful);
    rig.append(&[z(1, 3)]);
    rig.settle().expect("no budget");
    rig.call(|d, _| d.synchronised());
    assert!(rig.disk.is_busy(), "it is being written");
    rig.settle().expect("no budget");
    assert!(!rig.disk.is_busy());
    assert_eq!(Rig::recover(&config(), rig.store).recovered().health, Health::Intact);
}

#[test]
fn empty_is_empty_until_meant_or_synchronised() {
    let mut rig = Rig::recover(&config(), Store::default());
    assert_eq!(rig.recovered().health, Health::Empty);
    assert!(rig.disk.is_first_start());
    rig.snapshot(z(0, 0));
    rig.settle().expect("no budget");
    assert!(!rig.disk.is_first_start());
    let mut again = Rig::recover(&config(), rig.store);
    assert_eq!(again.recovered().health, Health::Empty, "a snapshot of nothing changes nothing");
    again.call(|d, out| d.write_current(1, out));
    again.settle().expect("no budget");
    assert_eq!(again.disk.health(), Health::Intact);

    let mut meant = Store::default();
    meant.put(Dir::Base, "initialize", b"");
    let rig = Rig::recover(&config(), meant);
    assert_eq!(rig.recovered().health, Health::Intact);
    assert!(rig.store.names(Dir::Base).is_empty(), "it is consumed");
    assert_eq!(Rig::recover(&config(), rig.store).recovered().health, Health::Intact);

    let mut strict = config();
    strict.storage.autocreate = false;
    assert_eq!(Rig::recover(&strict, Store::default()).recovered().health, Health::Damaged);
    strict.ensemble = None;
    assert!(matches!(fatal(&Rig::recover(&strict, Store::default())), Some(Halt::BadData(_))));
}

#[test]
fn a_wiped_data_directory_beside_our_files_is_no_empty_server() {
    let mut store = lived(&config(), 3).store;
    for name in store.names(Dir::Data) {
        store.remove(Dir::Data, &name);
    }
    store.remove(Dir::Log, "log.100000001");
    store.remove(Dir::Side, "watermark");
    let r = Rig::recover(&config(), store).recovered();
    assert_eq!((r.health, r.last_logged, r.accepted), (Health::Damaged, Zxid::ZERO, 1));
}

#[test]
fn writes_before_the_first_snapshot_are_not_lost() {
    let mut rig = Rig::recover(&alone(), Store::default());
    rig.append(&[z(0, 1), z(0, 2)]);
    rig.settle().expect("no budget");
    let r = Rig::recover(&alone(), rig.store).recovered();
    assert_eq!((r.last_logged, r.has_snapshot, r.health), (z(0, 2), false, Health::Intact));
}

#[test]
fn logs_without_snapshot_need_the_operators_word() {
    let mut store = lived(&config(), 3).store;
    store.remove(Dir::Data, "snapshot.0");
    assert_eq!(Rig::recover(&config(), store.clone()).recovered().health, Health::Damaged);
    let mut trusting = config();
    trusting.storage.trust_empty = true;
    let r = Rig::recover(&trusting, store).recovered();
    assert_eq!((r.health, r.last_logged), (Health::Intact, z(1, 3)));
}

#[test]
fn an_error_under_the_zxid_before_it_is_ignored() {
    let mut store = lived(&config(), 0).store;
    let mut log = txnlog::file_header().to_vec();
    txnlog::encode(&payload(z(1, 1)), &mut log);
    let header = TxnHeader { session: SessionId(9), cxid: 9, zxid: z(1, 1), time: 0, kind: -1 };
    let mut twin = Vec::new();
    let code = quorate_core::error::ErrorCode::MarshallingError;
    encode_record(&header, &Txn::Error(code), None, &mut twin);
    txnlog::encode(&twin, &mut log);
    txnlog::encode(&payload(z(1, 2)), &mut log);
    store.put(Dir::Log, "log.100000001", &log);
    let rig = Rig::recover(&config(), store.clone());
    assert_eq!((rig.recovered().last_logged, rig.recovered().health), (z(1, 2), Health::Intact));
    assert_eq!(rig.memory.records[0].1, payload(z(1, 1)));
    // The same zxid with other content that is no error is two histories in one log.
    let mut other = Vec::new();
    encode_record(&TxnHeader { kind: 2, ..header }, &Txn::Delete { path: "/a".into() }, None, &mut other);
    let mut log = txnlog::file_header().to_vec();
    txnlog::encode(&payload(z(1, 1)), &mut log);
    txnlog::encode(&other, &mut log);
    store.put(Dir::Log, "log.100000001", &log);
    assert_eq!(Rig::recover(&config(), store).recovered().health, Health::Damaged);
}
