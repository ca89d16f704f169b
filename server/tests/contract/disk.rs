//! Disk primitives: what each does, what it answers, and that both disks answer everything alike.

use bytes::Bytes;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName, Lane};

use crate::both;
use crate::disks::{Answer, Disk, Real, Simulated, plain};

const DIRS: [Dir; 4] = [Dir::Data, Dir::Log, Dir::Side, Dir::Base];

fn name(name: &str) -> FileName {
    FileName::new(Dir::Log, name)
}

fn write(file: &str, at: u64, bytes: &'static [u8]) -> DiskOp {
    DiskOp::WriteAt(name(file), at, Bytes::from_static(bytes))
}

fn one(disk: &mut dyn Disk, op: DiskOp) -> Answer {
    plain(disk.run(Lane::Log, &[op]).remove(0))
}

fn done(disk: &mut dyn Disk, ops: &[DiskOp]) {
    for (op, answer) in ops.iter().zip(disk.run(Lane::Log, ops)) {
        assert_eq!(answer, Ok(DiskReply::Done), "{op:?}");
    }
}

fn read(disk: &mut dyn Disk, file: &str, at: u64, length: u64) -> Vec<u8> {
    match one(disk, DiskOp::ReadRange(name(file), at, length)) {
        Ok(DiskReply::Data(bytes)) => bytes.to_vec(),
        other => panic!("{file}: {other:?}"),
    }
}

fn list(disk: &mut dyn Disk, dir: Dir) -> Vec<(String, u64)> {
    match one(disk, DiskOp::List(dir)) {
        Ok(DiskReply::Files(files)) => files,
        other => panic!("{dir:?}: {other:?}"),
    }
}

fn begin(disk: &mut dyn Disk) {
    for dir in DIRS {
        assert!(list(disk, dir).is_empty());
    }
}

both!(Simulated, Real:
    an_absent_directory_is_made_by_listing_it,
    bytes_are_read_where_they_were_written,
    holes_and_what_extend_adds_are_zeros,
    lengths_change_in_one_direction_each,
    nothing_written_is_nothing_changed,
    creating_empties,
    a_rename_replaces,
    a_name_that_was_given_up_is_free,
    directories_are_apart,
    what_is_missing_is_named_as_that,
    names_are_names,
    a_full_disk_is_told_from_a_broken_one,
    the_other_lane_sees_what_has_ended,
);

fn an_absent_directory_is_made_by_listing_it(disk: &mut dyn Disk) {
    for op in [DiskOp::Create(name("log.1")), DiskOp::FsyncDir(Dir::Log)] {
        assert_eq!(one(disk, op.clone()), Err(DiskError::NotFound), "{op:?}");
    }
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), DiskOp::FsyncDir(Dir::Log)]);
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 0)]);
}

fn bytes_are_read_where_they_were_written(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), write("log.1", 0, b"hello"), write("log.1", 5, b" world")]);
    done(disk, &[DiskOp::Fsync(name("log.1")), write("log.1", 6, b"W")]);
    assert_eq!(read(disk, "log.1", 0, 11), b"hello World");
    assert_eq!(read(disk, "log.1", 4, 3), b"o W");
    // Fewer only at the end.
    assert_eq!(read(disk, "log.1", 6, 100), b"World");
    assert_eq!(read(disk, "log.1", 6, u64::MAX), b"World");
    for at in [11, 12, 1 << 40] {
        assert_eq!(read(disk, "log.1", at, 5), b"");
    }
    assert_eq!(read(disk, "log.1", 3, 0), b"");
}

fn holes_and_what_extend_adds_are_zeros(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), write("log.1", 3, b"x"), DiskOp::Extend(name("log.1"), 6)]);
    assert_eq!(read(disk, "log.1", 0, 99), b"\0\0\0x\0\0");
    // What was cut does not come back.
    done(disk, &[DiskOp::Truncate(name("log.1"), 2), DiskOp::Extend(name("log.1"), 5)]);
    assert_eq!(read(disk, "log.1", 0, 99), b"\0\0\0\0\0");
}

fn lengths_change_in_one_direction_each(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), write("log.1", 0, b"hello"), DiskOp::Extend(name("log.1"), 3)]);
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 5)]);
    done(disk, &[DiskOp::Truncate(name("log.1"), 9)]);
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 5)]);
    done(disk, &[DiskOp::Extend(name("log.1"), 8), DiskOp::Truncate(name("log.1"), 7)]);
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 7)]);
}

fn nothing_written_is_nothing_changed(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), write("log.1", 100, b"")]);
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 0)]);
}

fn creating_empties(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("log.1")), write("log.1", 0, b"old"), DiskOp::Create(name("log.1"))]);
    assert_eq!(read(disk, "log.1", 0, 9), b"");
    done(disk, &[write("log.1", 1, b"n")]);
    assert_eq!(read(disk, "log.1", 0, 9), b"\0n");
}

fn a_rename_replaces(disk: &mut dyn Disk) {
    begin(disk);
    let (a, b) = (name("a"), name("b"));
    done(disk, &[DiskOp::Create(a.clone()), DiskOp::Create(b.clone())]);
    done(disk, &[write("a", 0, b"new"), write("b", 0, b"older")]);
    done(disk, &[DiskOp::Rename(a.clone(), b.clone()), DiskOp::FsyncDir(Dir::Log)]);
    assert_eq!(read(disk, "b", 0, 9), b"new");
    assert_eq!(list(disk, Dir::Log), [("b".to_owned(), 3)]);
    done(disk, &[DiskOp::Rename(b.clone(), b)]);
    assert_eq!(read(disk, "b", 0, 9), b"new");
    let elsewhere = FileName::new(Dir::Data, "c");
    done(disk, &[DiskOp::Rename(name("b"), elsewhere.clone())]);
    assert!(list(disk, Dir::Log).is_empty());
    let moved = one(disk, DiskOp::ReadRange(elsewhere, 0, 9));
    assert_eq!(moved, Ok(DiskReply::Data(Bytes::from_static(b"new"))));
}

fn a_name_that_was_given_up_is_free(disk: &mut dyn Disk) {
    begin(disk);
    for give_up in [DiskOp::Unlink(name("a")), DiskOp::Rename(name("a"), name("b"))] {
        done(disk, &[DiskOp::Create(name("a")), write("a", 0, b"first"), give_up]);
        assert_eq!(one(disk, DiskOp::ReadRange(name("a"), 0, 9)), Err(DiskError::NotFound));
        done(disk, &[DiskOp::Create(name("a"))]);
        assert_eq!(read(disk, "a", 0, 9), b"", "the same name is another file");
        done(disk, &[write("a", 0, b"x"), DiskOp::Unlink(name("a"))]);
    }
    assert_eq!(read(disk, "b", 0, 9), b"first");
}

fn directories_are_apart(disk: &mut dyn Disk) {
    begin(disk);
    for (i, dir) in DIRS.into_iter().enumerate() {
        let file = FileName::new(dir, "same");
        done(disk, &[DiskOp::Create(file.clone()), DiskOp::Extend(file, i as u64)]);
    }
    for (i, dir) in DIRS.into_iter().enumerate() {
        assert_eq!(list(disk, dir), [("same".to_owned(), i as u64)], "{dir:?}");
    }
}

fn what_is_missing_is_named_as_that(disk: &mut dyn Disk) {
    begin(disk);
    let absent = name("log.9");
    done(disk, &[DiskOp::Create(name("log.1"))]);
    for op in [
        write("log.9", 0, b""),
        write("log.9", 0, b"x"),
        DiskOp::Extend(absent.clone(), 1),
        DiskOp::Truncate(absent.clone(), 1),
        DiskOp::Fsync(absent.clone()),
        DiskOp::Rename(absent.clone(), name("log.1")),
        DiskOp::Unlink(absent.clone()),
        DiskOp::ReadRange(absent, 0, 1),
    ] {
        assert_eq!(one(disk, op.clone()), Err(DiskError::NotFound), "{op:?}");
    }
    assert_eq!(list(disk, Dir::Log), [("log.1".to_owned(), 0)], "nothing came about");
}

fn names_are_names(disk: &mut dyn Disk) {
    begin(disk);
    done(disk, &[DiskOp::Create(name("a"))]);
    for bad in ["", ".", "..", "../up", "a/b", "/a"] {
        for op in [
            DiskOp::Create(name(bad)),
            write(bad, 0, b"x"),
            DiskOp::ReadRange(name(bad), 0, 1),
            DiskOp::Rename(name("a"), name(bad)),
            DiskOp::Rename(name(bad), name("a")),
            DiskOp::Rename(name("absent"), name(bad)),
            DiskOp::Unlink(name(bad)),
        ] {
            assert!(matches!(one(disk, op.clone()), Err(DiskError::Io(_))), "{op:?}");
        }
    }
}

fn a_full_disk_is_told_from_a_broken_one(disk: &mut dyn Disk) {
    begin(disk);
    if disk.fill(&name("log.1")) {
        assert_eq!(one(disk, write("log.1", 0, b"x")), Err(DiskError::Full));
        assert_eq!(one(disk, write("log.1", 0, b"")), Ok(DiskReply::Done));
    }
}

fn the_other_lane_sees_what_has_ended(disk: &mut dyn Disk) {
    begin(disk);
    let other = |disk: &mut dyn Disk, op: DiskOp| plain(disk.run(Lane::Bulk, &[op]).remove(0));
    let data = |bytes: &'static [u8]| Ok(DiskReply::Data(Bytes::from_static(bytes)));
    let look = DiskOp::ReadRange(name("a"), 0, 9);
    for (file, text) in [("a", &b"old"[..]), ("b", b"new")] {
        done(disk, &[DiskOp::Create(name(file)), write(file, 0, text)]);
    }
    assert_eq!(other(disk, look.clone()), data(b"old"));
    done(disk, &[DiskOp::Rename(name("b"), name("a"))]);
    assert_eq!(other(disk, look.clone()), data(b"new"));
    assert_eq!(other(disk, DiskOp::Truncate(name("a"), 1)), Ok(DiskReply::Done));
    assert_eq!(one(disk, look.clone()), data(b"n"));
    assert_eq!(other(disk, DiskOp::Unlink(name("a"))), Ok(DiskReply::Done));
    assert_eq!(one(disk, look.clone()), Err(DiskError::NotFound));
    assert_eq!(other(disk, DiskOp::Create(name("a"))), Ok(DiskReply::Done));
    assert_eq!(one(disk, look), data(b""), "a file that was kept open is not the one of that name");
}

/// Any operation on a few files, near the ends of what they hold.
#[derive(Clone, Debug)]
struct Any(Lane, DiskOp);

impl Arbitrary for Any {
    fn arbitrary(g: &mut Gen) -> Self {
        let pick = |g: &mut Gen, n: u64| u64::arbitrary(g) % n;
        let file = |g: &mut Gen| {
            let dir = *g.choose(&DIRS[..2]).unwrap();
            FileName::new(dir, g.choose(&["log.1", "log.2", "tmp"]).unwrap())
        };
        let op = match pick(g, 20) {
            0..3 => DiskOp::Create(file(g)),
            3..8 => {
                let bytes = vec![u8::arbitrary(g); pick(g, 40) as usize];
                DiskOp::WriteAt(file(g), pick(g, 80), bytes.into())
            }
            8 | 9 => DiskOp::Extend(file(g), pick(g, 120)),
            10 | 11 => DiskOp::Truncate(file(g), pick(g, 120)),
            12 => DiskOp::Fsync(file(g)),
            13 | 14 => DiskOp::Rename(file(g), file(g)),
            15 => DiskOp::Unlink(file(g)),
            16 => DiskOp::FsyncDir(*g.choose(&DIRS).unwrap()),
            17 => DiskOp::List(*g.choose(&DIRS[..2]).unwrap()),
            _ => DiskOp::ReadRange(file(g), pick(g, 100), pick(g, 100)),
        };
        Self(*g.choose(&[Lane::Log, Lane::Bulk]).unwrap(), op)
    }
}

fn agree(ops: Vec<Any>) -> bool {
    let (mut simulated, mut real) = (Simulated::default(), Real::default());
    // The last word: everything that is there.
    let looks = DIRS.into_iter().flat_map(|dir| {
        let files = ["log.1", "log.2", "tmp"].map(|n| DiskOp::ReadRange(FileName::new(dir, n), 0, u64::MAX));
        [DiskOp::List(dir)].into_iter().chain(files).map(|op| Any(Lane::Log, op))
    });
    for (i, Any(lane, op)) in ops.into_iter().chain(looks).enumerate() {
        let [a, b] = [&mut simulated as &mut dyn Disk, &mut real]
            .map(|d| plain(d.run(lane, std::slice::from_ref(&op)).remove(0)));
        assert_eq!(a, b, "operation {i}, {op:?}: simulated, then real");
    }
    true
}

#[test]
fn both_answer_any_sequence_alike() {
    QuickCheck::new().rng(Gen::new(120)).tests(150).quickcheck(agree as fn(Vec<Any>) -> bool);
}
