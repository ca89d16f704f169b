//! Arbitrary bytes and arbitrary damage: recovery never panics, never claims what is not there, and never takes the memory.

use bytes::Bytes;
use quickcheck::{QuickCheck, TestResult};
use quorate_core::disk::{Disk, DiskEvent};
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, Health};
use quorate_core::ids::Zxid;
use quorate_core::wire::snapshot::{FileDecoder, NullSink};
use quorate_core::wire::txnlog::{Found, Scanner, Search, file_header};

use crate::harness::{Rig, alone, config, payload, z};
use crate::recorded::directory;
use crate::store::Store;

fn check<A: quickcheck::Testable>(tests: u64, property: A) {
    QuickCheck::new().tests(tests).quickcheck(property);
}

/// Where files of a data directory come from: names that mean something, arbitrary content.
const NAMES: &[(Dir, &str)] = &[
    (Dir::Data, "snapshot.0"),
    (Dir::Data, "snapshot.24"),
    (Dir::Data, "snapshot.24.gz"),
    (Dir::Data, "snapshot.ffffffffffffffff"),
    (Dir::Data, "snapshot.7fffffffffffffff"),
    (Dir::Data, "acceptedEpoch"),
    (Dir::Data, "currentEpoch"),
    (Dir::Data, "currentEpoch.tmp"),
    (Dir::Data, "incoming-snapshot.tmp"),
    (Dir::Log, "log.1"),
    (Dir::Log, "log.25"),
    (Dir::Log, "log.7fffffffffffffff"),
    (Dir::Side, "state"),
    (Dir::Side, "watermark"),
    (Dir::Base, "initialize"),
];

#[test]
fn arbitrary_directories() {
    fn property(files: Vec<(usize, Vec<u8>)>, headers: bool) -> bool {
        let mut store = Store::default();
        for (i, bytes) in files {
            let (dir, name) = NAMES[i % NAMES.len()];
            let mut content = Vec::new();
            if headers && dir == Dir::Log {
                content.extend_from_slice(&file_header());
            }
            if headers && name.starts_with("snapshot") {
                content.extend_from_slice(b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff");
            }
            content.extend(bytes);
            store.put(dir, name, &content);
        }
        for cfg in [config(), alone()] {
            let rig = Rig::recover(&cfg, store.clone());
            let told = |e: &DiskEvent| matches!(e, DiskEvent::Recovered(_) | DiskEvent::Fatal(_));
            assert_eq!(rig.count(told), 1, "{:?}", rig.events);
        }
        true
    }
    check(1500, property as fn(Vec<(usize, Vec<u8>)>, bool) -> bool);
}

/// One wound: a file by number, an offset, what happens there.
type Wound = (usize, usize, u8, u8);

fn wound(store: &mut Store, (file, at, kind, with): Wound) {
    let mut names: Vec<(Dir, String)> = Vec::new();
    for dir in [Dir::Data, Dir::Log, Dir::Side] {
        names.extend(store.names(dir).into_iter().map(|n| (dir, n)));
    }
    let Some((dir, name)) = names.get(file % names.len().max(1)) else { return };
    if kind % 8 == 7 {
        store.remove(*dir, name);
        return;
    }
    store.edit(*dir, name, |b| {
        let data = b.iter().rposition(|x| *x != 0).map_or(0, |i| i + 1);
        if data == 0 {
            return;
        }
        let at = at % data;
        let end = (at + 1 + usize::from(with)).min(b.len());
        match kind % 8 {
            0 => b[at] ^= 1 << (with % 8),
            1 => b[at] = with,
            2 => b.truncate(at),
            3 => b[at..end].fill(0),
            4 => drop(b.drain(at..end)),
            5 => {
                let copy = b[at..end].to_vec();
                b.splice(at..at, copy);
            }
            _ => b[at..end].fill(with),
        }
    });
}

#[test]
fn wounded_directories_of_java_are_loaded_in_part_or_refused() {
    fn property(which: usize, wounds: Vec<Wound>) -> TestResult {
        let names = ["v395-standalone", "v395-quorum-multi-epoch", "v395-quorum-observer", "v380-standalone"];
        let name = names[which % names.len()];
        let whole = Rig::recover(&config(), directory(name));
        let mut store = directory(name);
        wounds.iter().take(3).for_each(|w| wound(&mut store, *w));
        let rig = Rig::recover(&config(), store);
        if rig.count(|e| matches!(e, DiskEvent::Fatal(_))) > 0 {
            return TestResult::passed();
        }
        let r = rig.recovered();
        // Whatever is loaded is a part of the true history: records are as they were written.
        for (zxid, payload) in &rig.memory.records {
            if let Some((_, true_one)) = whole.memory.records.iter().find(|(z, _)| z == zxid) {
                assert_eq!(payload, true_one, "{name}: {zxid}");
            }
        }
        // A server that calls itself whole lacks nothing (a clean cut at a record boundary cannot be seen without a watermark).
        let end = whole.recovered().last_logged;
        let cut = wounds.iter().take(3).any(|w| matches!(w.2 % 8, 2 | 3 | 4 | 6 | 7));
        if r.health == Health::Intact && !cut {
            assert_eq!(r.last_logged, end, "{name}: {wounds:?} {:?}", rig.events);
        }
        TestResult::passed()
    }
    check(800, property as fn(usize, Vec<Wound>) -> TestResult);
}

/// A directory of ours with several files, everything vouched for.
fn ours() -> Rig {
    let mut rig = Rig::recover(&config(), Store::default());
    rig.snapshot(z(0, 0));
    rig.call(|d, out| d.write_accepted(2, out));
    rig.call(|d, out| d.write_current(2, out));
    rig.settle().expect("no budget");
    for c in 1..=12 {
        rig.append(&[z(2, c)]);
        rig.settle().expect("no budget");
        if c % 4 == 0 {
            rig.snapshot(z(2, c - 1));
            rig.settle().expect("no budget");
        }
        rig.now.mono_ms += 2000;
    }
    let now = rig.now;
    rig.call(|d, out| d.tick(now, out));
    rig.settle().expect("no budget");
    rig
}

#[test]
fn wounds_of_a_vouched_log_are_never_taken_for_its_end() {
    let whole = ours().store;
    fn property(whole: &Store, wounds: &[Wound]) {
        let mut store = whole.clone();
        let sides =
            [store.get(Dir::Side, "watermark").map(<[u8]>::to_vec), store.get(Dir::Side, "state").map(<[u8]>::to_vec)];
        wounds.iter().take(2).for_each(|w| wound(&mut store, *w));
        // Our own files are whole: rot hit what they vouch for.
        for (name, bytes) in ["watermark", "state"].into_iter().zip(sides) {
            store.put(Dir::Side, name, &bytes.expect("written"));
        }
        let rig = Rig::recover(&config(), store);
        if rig.count(|e| matches!(e, DiskEvent::Fatal(_))) > 0 {
            return;
        }
        let r = rig.recovered();
        for (zxid, bytes) in &rig.memory.records {
            assert_eq!(*bytes, payload(*zxid));
        }
        if r.last_logged < z(2, 12) && !rig.events.iter().any(java) {
            assert_eq!(r.health, Health::Damaged, "{wounds:?}: {:?}", rig.events);
        }
        assert!(r.accepted >= 2, "a promise survives the loss of one copy");
    }
    fn java(e: &DiskEvent) -> bool {
        // A wound that makes an epoch file hold a larger number looks like Java's work.
        matches!(e, DiskEvent::Recovered(r) if r.accepted > 2 || r.current > 2)
    }
    let mut generator = quickcheck::Gen::new(20);
    for _ in 0..1200 {
        let wounds: Vec<Wound> = quickcheck::Arbitrary::arbitrary(&mut generator);
        property(&whole, &wounds);
    }
}

#[test]
fn reads_that_fail_now_and_then_and_for_good() {
    let whole = ours().store;
    for n in 0..40 {
        // Every n-th operation fails once: a retry may help.
        let mut rig = Rig::new(&config(), whole.clone());
        rig.call(Disk::start);
        let mut i = 0;
        loop {
            i += 1;
            rig.fail = (i == n)
                .then_some(|op: &DiskOp| matches!(op, DiskOp::ReadRange(..)).then(|| DiskError::Io("EIO".into())));
            if !rig.step().expect("no budget") {
                break;
            }
        }
        let r = rig.recovered();
        assert_eq!((r.last_logged, r.health), (z(2, 12), Health::Intact), "one failure at {n}");
    }
    let mut rig = Rig::new(&config(), whole);
    rig.fail = Some(|op| match op {
        DiskOp::ReadRange(n, ..) if n.name.starts_with("log.") => Some(DiskError::Io("EIO".into())),
        _ => None,
    });
    rig.call(Disk::start);
    rig.settle().expect("no budget");
    assert_eq!(rig.recovered().health, Health::Damaged);
}

#[test]
fn arbitrary_bytes_into_the_decoders() {
    fn property(bytes: Vec<u8>, zeros: usize, header: bool) -> bool {
        let mut all = if header { file_header().to_vec() } else { Vec::new() };
        all.extend(&bytes);
        all.resize(all.len() + zeros % 50, 0);
        let mut scanner = Scanner::new(1 << 16);
        scanner.feed(Bytes::from(all.clone()));
        while matches!(scanner.next(true), Found::Record { .. }) {}
        let mut search = Search::new(0, 1 << 16);
        search.feed(&Bytes::from(all.clone()), true);
        assert_eq!(search.nonzero, all.iter().any(|b| *b != 0));
        let mut decoder = FileDecoder::new();
        if all.chunks(5).try_for_each(|c| decoder.feed(c, &mut NullSink)).is_ok() {
            assert!(decoder.finish().is_err());
        }
        true
    }
    check(5000, property as fn(Vec<u8>, usize, bool) -> bool);
}

#[test]
fn a_search_finds_a_record_wherever_the_pieces_end() {
    fn property(rubbish: Vec<u8>, zeros: usize, piece: usize, counter: u32) -> bool {
        let mut all = rubbish;
        all.retain(|b| *b != b'B');
        all.resize(all.len() + zeros % 100, 0);
        quorate_core::wire::txnlog::encode(&payload(z(1, counter)), &mut all);
        let mut search = Search::new(0, 1 << 16);
        let pieces: Vec<_> = all.chunks(piece % 100 + 1).collect();
        for (i, p) in pieces.iter().enumerate() {
            search.feed(&Bytes::copy_from_slice(p), i + 1 == pieces.len());
        }
        search.found.map(|f| f.0) == Some(z(1, counter)) || z(1, counter) <= Zxid::ZERO
    }
    check(3000, property as fn(Vec<u8>, usize, usize, u32) -> bool);
}
