//! What the Peer relies on, one rule a test.

use bytes::Bytes;
use quorate_core::disk::{Disk, DiskEvent, IDS_AHEAD, ReaderId};
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, Halt, Health};
use quorate_core::ids::Zxid;
use quorate_core::wire::snapshot::StreamDecoder;

use crate::harness::{Memory, Rig, body, config, fatal, lived, payload, z};
use crate::store::Store;

fn kinds(ops: &[DiskOp]) -> Vec<String> {
    let name = |n: &quorate_core::event::FileName| n.name.to_string();
    ops.iter()
        .map(|op| match op {
            DiskOp::Create(n) => format!("create {}", name(n)),
            DiskOp::WriteAt(n, at, _) => format!("write {} {at}", name(n)),
            DiskOp::Extend(n, len) => format!("extend {} {len}", name(n)),
            DiskOp::Truncate(n, len) => format!("truncate {} {len}", name(n)),
            DiskOp::Fsync(n) => format!("fsync {}", name(n)),
            DiskOp::FsyncDir(d) => format!("fsync {d:?}"),
            other => format!("{other:?}"),
        })
        .filter(|t| !t.contains("watermark"))
        .collect()
}

// ----- the log ---------------------------------------------------------------------------------------------------------

#[test]
fn one_group_is_on_its_way_and_the_next_one_gathers() {
    let mut rig = lived(&config(), 0);
    rig.append(&[z(1, 1), z(1, 2)]);
    rig.append(&[z(1, 3)]);
    rig.append(&[z(1, 4)]);
    rig.settle().expect("no budget");
    let one = payload(z(1, 1)).len() + 13;
    let (two, end) = (16 + one + payload(z(1, 2)).len() + 13, 2016);
    assert_eq!(
        kinds(&rig.ops),
        [
            "create log.100000001".to_string(),
            "write log.100000001 0".into(),
            format!("extend log.100000001 {end}"),
            "write log.100000001 16".into(),
            "fsync log.100000001".into(),
            "fsync Log".into(),
            format!("write log.100000001 {two}"),
            "fsync log.100000001".into(),
        ]
    );
    let durable: Vec<_> = rig.events.iter().filter(|e| matches!(e, DiskEvent::Durable(_))).collect();
    assert_eq!(durable, [&DiskEvent::Durable(z(1, 2)), &DiskEvent::Durable(z(1, 4))]);
}

#[test]
fn without_force_sync_a_write_is_enough() {
    let mut cfg = config();
    cfg.storage.force_sync = false;
    let mut rig = lived(&cfg, 0);
    rig.append(&[z(1, 1)]);
    rig.settle().expect("no budget");
    assert_eq!(rig.disk.durable(), z(1, 1));
    assert!(!kinds(&rig.ops).iter().any(|op| op.contains("fsync log")));
}

#[test]
fn a_log_that_cannot_be_written_ends_the_server() {
    let broken: [fn(&DiskOp) -> Option<DiskError>; 3] = [
        |op| matches!(op, DiskOp::WriteAt(n, ..) if n.name.starts_with("log.")).then_some(DiskError::Full),
        |op| matches!(op, DiskOp::Fsync(n) if n.name.starts_with("log.")).then(|| DiskError::Io("EIO".into())),
        |op| matches!(op, DiskOp::Rename(_, n) if &*n.name == "acceptedEpoch").then(|| DiskError::Io("EIO".into())),
    ];
    for fail in broken {
        let mut rig = lived(&config(), 2);
        rig.fail = Some(fail);
        rig.append(&[z(1, 3)]);
        rig.call(|d, out| d.write_accepted(9, out));
        rig.settle().expect("no budget");
        assert!(matches!(fatal(&rig), Some(Halt::Disk(_))), "{:?}", rig.events);
        assert_eq!(rig.count(|e| matches!(e, DiskEvent::Fatal(_))), 1);
        assert!(rig.disk.durable() < z(1, 3) || rig.disk.accepted_epoch() < 9, "nothing is claimed after a failure");
        rig.fail = None;
        let done = rig.done;
        rig.append(&[z(1, 4)]);
        rig.settle().expect("no budget");
        assert_eq!(rig.done, done, "nothing goes out any more");
    }
}

#[test]
fn preallocation_may_fail_and_a_closed_file_gives_it_back() {
    let mut rig = lived(&config(), 2);
    rig.fail = Some(|op| matches!(op, DiskOp::Extend(..)).then_some(DiskError::Full));
    rig.snapshot(z(1, 2));
    rig.append(&[z(1, 3)]);
    rig.settle().expect("no budget");
    assert_eq!(fatal(&rig), None);
    assert_eq!(rig.disk.durable(), z(1, 3));
    let used: usize = 16 + [z(1, 1), z(1, 2)].iter().map(|x| payload(*x).len() + 13).sum::<usize>();
    assert_eq!(rig.store.get(Dir::Log, "log.100000001").map(<[u8]>::len), Some(used));
    assert!(rig.store.get(Dir::Log, "log.100000003").is_some());
}

#[test]
fn an_existing_file_is_never_appended_to_after_a_start() {
    let mut rig = Rig::recover(&config(), lived(&config(), 3).store);
    assert_eq!(rig.recovered().last_logged, z(1, 3));
    rig.append(&[z(1, 4)]);
    rig.settle().expect("no budget");
    assert_eq!(rig.store.names(Dir::Log), ["log.100000001", "log.100000004"]);
}

// ----- epochs ----------------------------------------------------------------------------------------------------------

#[test]
fn session_ids_of_an_earlier_life_never_come_again() {
    let mut store = Store::default();
    let mut from = 0;
    // The wall clock goes on, stands, goes back, and is years ahead once.
    for wall in [1_700_000_000_000, 1_700_000_000_000, 5, 2_000_000_000_000, 1_700_000_000_000] {
        let mut rig = Rig::new(&config(), store);
        rig.now.wall_ms = wall;
        rig.call(Disk::start);
        rig.settle().expect("no budget");
        let r = rig.recovered();
        assert!(r.ids_from >= wall && (from == 0 || r.ids_from >= from + IDS_AHEAD), "{from} {}", r.ids_from);
        from = r.ids_from;
        // Power is lost: what was not durable when the recovery was reported is gone.
        store = rig.store.crash(|| 0);
    }
}

#[test]
fn promises_are_in_javas_files_and_never_go_back() {
    let mut rig = lived(&config(), 1);
    assert_eq!(rig.store.get(Dir::Data, "acceptedEpoch"), Some(&b"1"[..]));
    assert_eq!(rig.store.get(Dir::Data, "currentEpoch"), Some(&b"1"[..]));
    rig.call(|d, out| d.write_accepted(7, out));
    assert_eq!(rig.disk.accepted_epoch(), 1, "a promise counts when it is durable");
    rig.call(|d, out| d.write_accepted(5, out));
    rig.settle().expect("no budget");
    assert_eq!(rig.store.get(Dir::Data, "acceptedEpoch"), Some(&b"7"[..]));
    assert_eq!(rig.disk.accepted_epoch(), 7);
}

#[test]
fn the_larger_of_two_copies_counts_and_without_any_a_server_stops() {
    let base = lived(&config(), 1).store;
    let mut java = base.clone();
    java.edit(Dir::Data, "acceptedEpoch", |b| *b = b"9".to_vec());
    assert_eq!(Rig::recover(&config(), java).recovered().accepted, 9);

    let mut torn = base.clone();
    torn.edit(Dir::Data, "acceptedEpoch", |b| *b = b"x".to_vec());
    let rig = Rig::recover(&config(), torn.clone());
    assert_eq!(rig.recovered().accepted, 1);
    assert_eq!(rig.store.get(Dir::Data, "acceptedEpoch"), Some(&b"1"[..]), "it is repaired");

    torn.edit(Dir::Side, "state", |b| b[9] ^= 1);
    let rig = Rig::recover(&config(), torn);
    let Some(Halt::BadData(text)) = fatal(&rig) else { panic!("{:?}", rig.events) };
    assert!(text.contains("acceptedEpoch"), "{text}");
}

#[test]
fn an_intent_raises_the_epoch_only_where_the_log_has_reached_it() {
    let mut rig = lived(&config(), 1);
    rig.call(|d, out| d.write_intent(3, out));
    rig.settle().expect("no budget");
    assert_eq!(Rig::recover(&config(), rig.store.clone()).recovered().current, 1);
    rig.append(&[z(3, 1)]);
    rig.settle().expect("no budget");
    let r = Rig::recover(&config(), rig.store.clone()).recovered();
    assert_eq!((r.current, r.accepted, r.last_logged, r.health), (3, 3, z(3, 1), Health::Intact));
    rig.store.remove(Dir::Data, "currentEpoch.tmp");
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.current, r.health), (1, Health::Damaged), "without an intent the epoch does not fit the history");
}

// ----- snapshots -------------------------------------------------------------------------------------------------------

#[test]
fn a_full_disk_costs_the_snapshot_only_and_it_stays_due() {
    let mut cfg = config();
    cfg.storage.snap_count = 4;
    let mut rig = lived(&cfg, 5);
    assert!(rig.disk.snapshot_due());
    rig.fail = Some(|op| matches!(op, DiskOp::WriteAt(n, ..) if n.dir == Dir::Data).then_some(DiskError::Full));
    rig.snapshot(z(1, 5));
    rig.append(&[z(1, 6)]);
    rig.settle().expect("no budget");
    assert_eq!(rig.count(|e| *e == DiskEvent::SnapshotFailed), 1);
    assert_eq!((fatal(&rig), rig.disk.durable()), (None, z(1, 6)));
    assert!(!rig.disk.snapshot_due(), "not at once");
    assert_eq!(rig.store.names(Dir::Data), ["acceptedEpoch", "currentEpoch", "snapshot.0"]);
    rig.fail = None;
    let at = rig.disk.next_deadline().expect("it will be tried again");
    rig.now.mono_ms = at.max(rig.now.mono_ms + 10_000);
    rig.call(|_, _| ());
    assert!(rig.disk.snapshot_due());
    rig.snapshot(z(1, 6));
    rig.settle().expect("no budget");
    assert_eq!(rig.count(|e| matches!(e, DiskEvent::SnapshotDone { zxid, .. } if *zxid == z(1, 6))), 1);
}

#[test]
fn a_reload_reads_what_is_durable_and_gives_the_snapshot_up() {
    let mut rig = lived(&config(), 2);
    rig.call(|d, out| d.snapshot_begin(z(1, 1), 0, out));
    rig.append(&[z(1, 3)]);
    rig.call(Disk::reload);
    assert!(rig.disk.is_busy());
    rig.settle().expect("no budget");
    assert_eq!(rig.count(|e| *e == DiskEvent::SnapshotFailed), 1);
    assert_eq!(rig.recovered().last_logged, z(1, 3), "what was on its way arrives first");
    assert!(!rig.disk.is_busy());
}

#[test]
fn a_snapshot_from_a_leader_replaces_the_history_and_clears_damage() {
    let mut rig = lived(&config(), 5);
    rig.snapshot(z(1, 5));
    rig.settle().expect("no budget");
    rig.store.edit(Dir::Log, "log.100000001", |b| b[40] ^= 1);
    rig.store.edit(Dir::Data, "snapshot.100000005", |b| b[30] ^= 1);
    let mut rig = Rig::recover(&config(), rig.store);
    assert_eq!(rig.recovered().health, Health::Damaged);
    rig.incoming(z(1, 3));
    rig.settle().expect("no budget");
    assert_eq!(rig.count(|e| *e == DiskEvent::Installed(z(1, 3))), 1);
    assert_eq!((rig.disk.last_logged(), rig.disk.durable()), (z(1, 3), z(1, 3)));
    assert_eq!(rig.store.names(Dir::Log), Vec::<String>::new());
    let r = Rig::recover(&config(), rig.store.clone()).recovered();
    assert_eq!((r.last_logged, r.health), (z(1, 3), Health::Damaged), "no leader has vouched for the whole yet");
    rig.call(|d, _| d.synchronised());
    rig.append(&[z(1, 4)]);
    rig.settle().expect("no budget");
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.last_logged, r.snapshot, r.health), (z(1, 4), z(1, 3), Health::Intact));
}

#[test]
fn an_aborted_snapshot_from_a_leader_leaves_nothing() {
    let mut rig = lived(&config(), 2);
    rig.call(|d, out| {
        d.incoming_begin(z(5, 1), out);
        d.incoming_bytes(body(z(5, 1)), out);
        assert!(d.incoming_backlog() > 0);
        d.incoming_abort(out);
    });
    rig.settle().expect("no budget");
    assert!(!rig.disk.is_busy());
    assert_eq!(rig.store.names(Dir::Data), ["acceptedEpoch", "currentEpoch", "snapshot.0"]);
    assert_eq!(Rig::recover(&config(), rig.store).recovered().last_logged, z(1, 2));
}

// ----- cuts ------------------------------------------------------------------------------------------------------------

fn cut(rig: &mut Rig, to: Zxid) -> bool {
    rig.events.clear();
    rig.call(|d, out| d.truncate(to, out));
    rig.settle().expect("no budget");
    let ok = rig.events.iter().find_map(|e| if let DiskEvent::Truncated { ok } = e { Some(*ok) } else { None });
    ok.unwrap_or_else(|| panic!("{:?}", rig.events))
}

#[test]
fn a_cut_takes_newer_snapshots_along() {
    let mut rig = lived(&config(), 5);
    rig.snapshot(z(1, 5));
    rig.append(&[z(1, 6)]);
    rig.settle().expect("no budget");
    assert!(cut(&mut rig, z(1, 3)));
    assert_eq!((rig.disk.last_logged(), rig.disk.durable()), (z(1, 3), z(1, 3)));
    assert_eq!(rig.store.names(Dir::Log), ["log.100000001"]);
    assert!(!rig.store.names(Dir::Data).contains(&"snapshot.100000005".to_string()));
    let r = Rig::recover(&config(), rig.store.clone()).recovered();
    assert_eq!((r.last_logged, r.snapshot, r.health), (z(1, 3), z(0, 0), Health::Intact));
    rig.append(&[z(2, 1)]);
    rig.settle().expect("no budget");
    assert_eq!(rig.store.names(Dir::Log), ["log.100000001", "log.200000001"]);
}

#[test]
fn a_cut_to_an_absent_transaction_says_so() {
    let mut rig = lived(&config(), 3);
    rig.append(&[z(2, 1), z(2, 2)]);
    rig.settle().expect("no budget");
    assert!(!cut(&mut rig, z(1, 7)), "the log ends at another one");
    assert_eq!(rig.disk.last_logged(), z(1, 3));
    let mut rig = lived(&config(), 3);
    assert!(cut(&mut rig, z(1, 3)), "nothing to cut");
    assert!(cut(&mut rig, z(1, 0)), "the start of an epoch that this server knows, and nothing of it left");
    assert_eq!(rig.disk.last_logged(), z(0, 0));
    let mut rig = lived(&config(), 3);
    assert!(!cut(&mut rig, z(2, 0)), "the start of an epoch that this server does not know");
}

#[test]
fn a_cut_below_the_only_snapshot_destroys_nothing_and_asks_for_help() {
    let mut rig = lived(&config(), 3);
    rig.snapshot(z(1, 2));
    rig.settle().expect("no budget");
    rig.store.remove(Dir::Data, "snapshot.0");
    let mut rig = Rig::recover(&config(), rig.store);
    let before = rig.store.names(Dir::Log);
    assert!(!cut(&mut rig, z(1, 1)));
    assert_eq!(rig.store.names(Dir::Log), before);
    assert_eq!(rig.disk.health(), Health::Damaged);
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.health, r.last_logged), (Health::Damaged, z(1, 3)));
}

#[test]
fn a_purge_under_way_does_not_move_the_files_under_a_cut() {
    let mut rig = lived(&config(), 1);
    for c in 2..=6 {
        rig.snapshot(z(1, c - 1));
        rig.append(&[z(1, c)]);
        rig.settle().expect("no budget");
    }
    rig.append(&(7..=60).map(|c| z(1, c)).collect::<Vec<_>>());
    rig.settle().expect("no budget");
    // A start forgets which snapshots are good: the purge verifies them, and meanwhile a leader asks for a cut.
    let mut rig = Rig::recover(&config(), rig.store);
    rig.call(Disk::purge);
    rig.call(|d, out| d.truncate(z(1, 40), out));
    rig.settle().expect("no budget");
    assert_eq!(rig.count(|e| *e == DiskEvent::Truncated { ok: true }), 1);
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.last_logged, r.health), (z(1, 40), Health::Intact));
}

#[test]
fn a_snapshot_older_than_the_own_history_leaves_doubt_until_the_rest_is_logged() {
    let mut rig = lived(&config(), 5);
    rig.incoming(z(1, 3));
    rig.settle().expect("no budget");
    // 4 and 5 were acknowledged; the power fails before they are logged again.
    let r = Rig::recover(&config(), rig.store.clone()).recovered();
    assert_eq!((r.last_logged, r.health), (z(1, 3), Health::Doubtful));
    rig.append(&[z(1, 4), z(1, 5)]);
    rig.call(|d, _| d.synchronised());
    rig.settle().expect("no budget");
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.last_logged, r.health), (z(1, 5), Health::Intact));
}

#[test]
fn without_any_snapshot_one_is_due() {
    let mut rig = Rig::recover(&config(), Store::default());
    assert!(rig.disk.snapshot_due());
    rig.fail = Some(|op| matches!(op, DiskOp::WriteAt(n, ..) if n.name.contains("own-")).then_some(DiskError::Full));
    rig.snapshot(z(0, 0));
    rig.settle().expect("no budget");
    assert!(!rig.disk.snapshot_due(), "not at once");
    rig.fail = None;
    rig.now.mono_ms += 10_000;
    rig.call(|_, _| ());
    assert!(rig.disk.snapshot_due(), "a learner that has nothing can be given nothing");
    rig.snapshot(z(0, 0));
    rig.settle().expect("no budget");
    assert!(!rig.disk.snapshot_due());
}

#[test]
fn a_flipped_bit_in_an_epoch_file_does_not_silence_the_watermark() {
    let mut rig = lived(&config(), 4);
    rig.now.mono_ms += 5000;
    rig.append(&[z(1, 5)]);
    rig.settle().expect("no budget");
    rig.call(|d, out| d.tick(quorate_core::ids::Now { mono_ms: 10_000, wall_ms: 0 }, out));
    rig.settle().expect("no budget");
    rig.store.edit(Dir::Data, "currentEpoch", |b| *b = b"9".to_vec());
    rig.store.edit(Dir::Log, "log.100000001", |b| {
        let end = 16 + (1..=5).map(|c| payload(z(1, c)).len() + 13).sum::<usize>();
        b.truncate(end - 3);
    });
    let r = Rig::recover(&config(), rig.store).recovered();
    assert_eq!((r.current, r.health), (1, Health::Damaged), "the last record was durable");
}

// ----- readers ---------------------------------------------------------------------------------------------------------

/// Reads everything behind `after`: records, whether the end was reached, whether there was a gap.
fn read(rig: &mut Rig, after: Zxid) -> (Vec<Zxid>, bool, bool) {
    rig.events.clear();
    let reader = rig.call(|d, out| d.open_log(after, out));
    let mut zxids = Vec::new();
    loop {
        rig.settle().expect("no budget");
        let Some(DiskEvent::LogRecords { reader: r, records, end, gap }) = rig.events.pop() else {
            panic!("an answer to every question")
        };
        assert_eq!(r, reader);
        for record in &records {
            assert_eq!(record.payload, payload(record.zxid));
            zxids.push(record.zxid);
        }
        if end || gap {
            rig.call(|d, _| d.close_reader(reader));
            return (zxids, end, gap);
        }
        rig.call(|d, out| {
            d.read_next(reader, out);
            d.read_next(reader, out);
        });
    }
}

#[test]
fn a_log_reader_gives_what_follows_and_knows_gaps() {
    let mut rig = lived(&config(), 6);
    rig.snapshot(z(1, 6));
    rig.append(&[z(1, 7), z(1, 8)]);
    rig.settle().expect("no budget");
    rig.append(&[z(3, 1)]);
    rig.settle().expect("no budget");
    let all: Vec<Zxid> = (1..=8).map(|c| z(1, c)).chain([z(3, 1)]).collect();
    assert_eq!(read(&mut rig, z(0, 0)), (all.clone(), true, false));
    assert_eq!(read(&mut rig, z(1, 4)), (all[4..].to_vec(), true, false));
    assert_eq!(read(&mut rig, z(1, 6)), (all[6..].to_vec(), true, false));
    assert_eq!(read(&mut rig, z(3, 1)), (vec![], true, false));
    assert!(read(&mut rig, z(1, 9)).2, "not in this history");
    assert!(read(&mut rig, z(2, 5)).2, "not in this history");
    assert!(read(&mut rig, z(4, 4)).2, "above everything");
    // After a restart the log below the snapshot is read too, but nobody has checked its beginning.
    let mut rig = Rig::recover(&config(), rig.store);
    assert_eq!(rig.recovered().snapshot, z(1, 6));
    assert_eq!(read(&mut rig, z(1, 2)), (all[2..].to_vec(), true, false));
    assert!(read(&mut rig, z(0, 0)).2);
    // What is not durable yet is not served.
    rig.append(&[z(3, 2)]);
    assert_eq!(read(&mut rig, z(1, 8)).0.first(), Some(&z(3, 1)));
}

#[test]
fn behind_an_installed_snapshot_the_log_begins_anew() {
    let mut rig = lived(&config(), 3);
    rig.incoming(z(2, 5));
    rig.settle().expect("no budget");
    rig.append(&[z(2, 6)]);
    rig.settle().expect("no budget");
    assert_eq!(read(&mut rig, z(2, 5)), (vec![z(2, 6)], true, false));
    assert!(read(&mut rig, z(1, 3)).2, "ZOOKEEPER-2846");
}

fn read_snapshot(rig: &mut Rig, reader: ReaderId) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        rig.events.clear();
        rig.call(|d, out| d.read_next(reader, out));
        rig.settle().expect("no budget");
        match rig.events.pop() {
            Some(DiskEvent::SnapData { bytes: b, end, .. }) => {
                bytes.extend_from_slice(&b);
                if end {
                    return Some(bytes);
                }
            }
            Some(DiskEvent::ReaderFailed { .. }) => return None,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_snapshot_reader_gives_the_body_and_never_the_end_of_a_damaged_one() {
    for chunk in [1, 7, 100, 220, 230, 4096] {
        let mut cfg = config();
        cfg.storage.chunk_bytes = chunk;
        let mut rig = lived(&cfg, 3);
        assert_eq!(rig.call(|d, out| d.open_snapshot(out)).map(|r| r.1), Some(z(0, 0)));
        rig.snapshot(z(1, 3));
        rig.settle().expect("no budget");
        let (reader, zxid) = rig.call(|d, out| d.open_snapshot(out)).expect("a snapshot");
        assert_eq!(zxid, z(1, 3));
        let mut stream = read_snapshot(&mut rig, reader).expect("whole");
        assert_eq!(stream, body(z(1, 3)), "chunks of {chunk}");
        stream.extend_from_slice(b"\0\0\0\x0aBenWasHere");
        let done = StreamDecoder::new().feed(&stream, &mut Memory::default()).expect("valid");
        assert_eq!(done, (stream.len(), stream.len() - 14, true));
        rig.store.edit(Dir::Data, "snapshot.100000003", |b| b[60] ^= 1);
        let (reader, _) = rig.call(|d, out| d.open_snapshot(out)).expect("a snapshot");
        assert_eq!(read_snapshot(&mut rig, reader), None, "chunks of {chunk}");
    }
}

// ----- retention -------------------------------------------------------------------------------------------------------

#[test]
fn the_purge_keeps_three_good_snapshots_and_their_logs() {
    let mut rig = lived(&config(), 1);
    for c in 2..=6 {
        rig.snapshot(z(1, c - 1));
        rig.append(&[z(1, c)]);
        rig.settle().expect("no budget");
    }
    // A start forgets which ones are good; one of the newest three is not.
    rig.store.edit(Dir::Data, "snapshot.100000004", |b| b[30] ^= 1);
    let mut rig = Rig::recover(&config(), rig.store);
    let (reader, _) = rig.call(|d, out| d.open_snapshot(out)).expect("a snapshot");
    rig.call(Disk::purge);
    rig.settle().expect("no budget");
    let snaps: Vec<String> = rig.store.names(Dir::Data).into_iter().filter(|n| n.starts_with("snapshot")).collect();
    assert_eq!(snaps, ["snapshot.100000002", "snapshot.100000003", "snapshot.100000004", "snapshot.100000005"]);
    assert_eq!(rig.store.names(Dir::Log).first().map(String::as_str), Some("log.100000003"));
    assert_eq!(read_snapshot(&mut rig, reader), Some(body(z(1, 5)).to_vec()));
    // Every kept snapshot leads to the end.
    for bad in ["snapshot.100000005", "snapshot.100000003"] {
        rig.store.edit(Dir::Data, bad, |b| b[30] ^= 1);
        let r = Rig::recover(&config(), rig.store.clone()).recovered();
        assert_eq!((r.last_logged, r.health), (z(1, 6), Health::Intact), "without {bad}");
    }
}

#[test]
fn what_is_being_read_is_not_purged() {
    let mut rig = lived(&config(), 1);
    for c in 2..=6 {
        rig.snapshot(z(1, c - 1));
        rig.append(&[z(1, c)]);
        rig.settle().expect("no budget");
    }
    let reader = rig.call(|d, out| d.open_log(z(0, 0), out));
    rig.call(Disk::purge);
    rig.settle().expect("no budget");
    assert_eq!(rig.store.names(Dir::Log).first().map(String::as_str), Some("log.100000001"));
    rig.call(|d, _| d.close_reader(reader));
    rig.call(Disk::purge);
    rig.settle().expect("no budget");
    assert_eq!(rig.store.names(Dir::Log).first().map(String::as_str), Some("log.100000004"));
    assert!(read(&mut rig, z(1, 1)).2, "it was purged");
}

#[test]
fn sizes_for_the_choice_between_log_and_snapshot() {
    let mut rig = lived(&config(), 3);
    let log: usize = 16 + (1..=3).map(|c| payload(z(1, c)).len() + 13).sum::<usize>();
    assert_eq!(rig.disk.log_bytes_since(z(1, 1)), log as u64, "data, not preallocation");
    rig.snapshot(z(1, 3));
    rig.settle().expect("no budget");
    assert_eq!(rig.disk.newest_snapshot_bytes(), (16 + body(z(1, 3)).len() + 67) as u64);
    let _ = Bytes::new();
}

/// The snapshot that a leader sent is lost, an older one is there, and an epoch that begins behind the gap: no zxid shows it.
#[test]
fn a_log_whose_snapshot_is_gone_is_no_whole_history() {
    for behind in [&[][..], &[z(2, 1), z(2, 2)]] {
        let mut rig = lived(&config(), 3);
        rig.incoming(z(1, 9));
        rig.settle().expect("no budget");
        rig.call(|d, out| d.write_accepted(2, out));
        rig.settle().expect("no budget");
        rig.call(|d, out| d.write_current(2, out));
        rig.settle().expect("no budget");
        rig.append(behind);
        rig.settle().expect("no budget");
        rig.call(|d, _| d.synchronised());
        rig.settle().expect("no budget");
        let whole = Rig::recover(&config(), rig.store.clone()).recovered();
        assert_eq!((whole.health, whole.last_logged), (Health::Intact, *behind.last().unwrap_or(&z(1, 9))));

        rig.store.remove(Dir::Data, "snapshot.100000009");
        let without = Rig::recover(&config(), rig.store.clone()).recovered();
        assert_eq!((without.health, without.last_logged), (Health::Damaged, Zxid::ZERO));
    }
}

/// The same in a directory that ZooKeeper has purged: no record of ours tells of the gap but the one that the first start writes.
#[test]
fn so_it_is_where_another_implementation_has_purged() {
    let mut rig = lived(&config(), 3);
    rig.incoming(z(1, 9));
    rig.call(|d, out| d.write_accepted(2, out));
    rig.call(|d, out| d.write_current(2, out));
    rig.settle().expect("no budget");
    rig.append(&[z(2, 1)]);
    rig.settle().expect("no budget");
    rig.store.remove(Dir::Side, "state");
    rig.store.remove(Dir::Side, "watermark");
    rig.store.remove(Dir::Data, "snapshot.0");
    let mut trusting = config();
    trusting.storage.trust_empty = true;
    let mut rig = Rig::recover(&trusting, rig.store);
    assert_eq!((rig.recovered().health, rig.recovered().last_logged), (Health::Intact, z(2, 1)));
    for name in rig.store.names(Dir::Data).into_iter().filter(|n| n.starts_with("snapshot.")) {
        rig.store.remove(Dir::Data, &name);
    }
    assert_eq!(Rig::recover(&trusting, rig.store).recovered().health, Health::Damaged);
}
