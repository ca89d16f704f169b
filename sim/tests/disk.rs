//! What a power cut leaves on a simulated disk.

use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName};
use quorate_sim::disk::SimDisk;
use quorate_sim::rng::{Purpose, Stream};

fn file(name: &str) -> FileName {
    FileName::new(Dir::Log, name)
}

fn run(disk: &mut SimDisk, ops: &[DiskOp]) {
    for op in ops {
        disk.execute(op).unwrap_or_else(|e| panic!("{op:?}: {e:?}"));
    }
}

fn read(disk: &mut SimDisk, name: &str) -> Option<Vec<u8>> {
    match disk.execute(&DiskOp::ReadRange(file(name), 0, 1 << 20)) {
        Ok(DiskReply::Data(bytes)) => Some(bytes.to_vec()),
        Ok(other) => panic!("{other:?}"),
        Err(e) => {
            assert_eq!(e, DiskError::NotFound);
            None
        }
    }
}

fn write(name: &str, at: u64, byte: u8, length: usize) -> DiskOp {
    DiskOp::WriteAt(file(name), at, Bytes::from(vec![byte; length]))
}

/// A synced file of two sectors of `a`, and a directory that knows it.
fn durable() -> SimDisk {
    let mut disk = SimDisk::new(512);
    run(
        &mut disk,
        &[
            DiskOp::List(Dir::Log),
            DiskOp::Create(file("log")),
            write("log", 0, b'a', 1024),
            DiskOp::Fsync(file("log")),
            DiskOp::FsyncDir(Dir::Log),
        ],
    );
    disk
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for n in 0..200 {
        let mut disk = durable();
        run(&mut disk, &[DiskOp::Create(file("other")), write("log", 1024, b'b', 700)]);
        disk.power_cut(&mut Stream::new(1, Purpose::Crash, n));
        let bytes = read(&mut disk, "log").expect("its name was synced");
        assert!(bytes.len() >= 1024);
        assert!(bytes[..1024].iter().all(|b| *b == b'a'));
    }
}

#[test]
fn unsynced_sectors_survive_in_every_combination() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..400 {
        let mut disk = durable();
        run(&mut disk, &[write("log", 0, b'b', 1024)]);
        disk.power_cut(&mut Stream::new(2, Purpose::Crash, n));
        let bytes = read(&mut disk, "log").expect("its name was synced");
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])), "a sector is never torn");
        seen.insert((bytes[0], bytes[512]));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_although_the_bytes_were() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..100 {
        let mut disk = SimDisk::new(512);
        run(&mut disk, &[DiskOp::List(Dir::Log), DiskOp::Create(file("tmp"))]);
        run(&mut disk, &[write("tmp", 0, b'x', 3), DiskOp::Fsync(file("tmp"))]);
        disk.power_cut(&mut Stream::new(3, Purpose::Crash, n));
        seen.insert(read(&mut disk, "tmp"));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [None, Some(b"xxx".to_vec())]);
}

#[test]
fn a_rename_happens_wholly_or_not_at_all() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..200 {
        let mut disk = durable();
        run(
            &mut disk,
            &[
                DiskOp::Create(file("tmp")),
                write("tmp", 0, b'n', 3),
                DiskOp::Fsync(file("tmp")),
                DiskOp::FsyncDir(Dir::Log),
                DiskOp::Rename(file("tmp"), file("log")),
            ],
        );
        disk.power_cut(&mut Stream::new(4, Purpose::Crash, n));
        let (old, new) = (read(&mut disk, "tmp").is_some(), read(&mut disk, "log").expect("never nothing").len());
        seen.insert((old, new));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(false, 3), (true, 1024)]);
}

#[test]
fn a_kill_loses_nothing_and_a_full_disk_says_so() {
    let mut disk = durable();
    run(&mut disk, &[write("log", 1024, b'b', 10)]);
    assert_eq!(read(&mut disk, "log").map(|b| b.len()), Some(1034));
    disk.full = true;
    assert_eq!(disk.execute(&write("log", 1030, b'c', 10)), Err(DiskError::Full));
    assert_eq!(read(&mut disk, "log").map(|b| b[1030..].to_vec()), Some(b"cccc".to_vec()), "what fits is written");
    assert_eq!(disk.execute(&DiskOp::Create(file("new"))), Err(DiskError::Full));
}

#[test]
fn after_a_failed_fsync_only_writing_again_helps() {
    let seen = |disk: &mut SimDisk| read(disk, "log").map(|b| (b[0], b[511], b[512]));
    let mut disk = durable();
    run(&mut disk, &[write("log", 0, b'b', 1024)]);
    disk.lose_writes(&file("log"), false);
    run(&mut disk, &[DiskOp::Fsync(file("log"))]);
    assert_eq!(seen(&mut disk), Some((b'b', b'b', b'b')), "the cache still has it");
    // A write makes the whole sector dirty, and no other one.
    run(&mut disk, &[write("log", 500, b'c', 12), DiskOp::Fsync(file("log"))]);
    disk.power_cut(&mut Stream::new(1, Purpose::Crash, 0));
    assert_eq!(seen(&mut disk), Some((b'b', b'c', b'a')));
}

#[test]
fn after_a_failed_fsync_the_cache_may_forget() {
    let mut disk = durable();
    run(&mut disk, &[write("log", 1000, b'b', 100)]);
    disk.lose_writes(&file("log"), true);
    let bytes = read(&mut disk, "log").expect("there");
    assert_eq!((bytes.len(), bytes[1000], bytes[1099]), (1100, b'a', 0), "longer, and nothing in it");
}
