//! Every measured damage, and what a safe server makes of it (storage-format section 9).

use quorate_core::disk::DiskEvent;
use quorate_core::event::{Dir, Halt, Health};
use quorate_core::ids::Zxid;
use serde_json::Value;

use crate::harness::{Rig, alone, config};
use crate::recorded::{directory, vectors};
use crate::store::Store;

/// What is expected: trust, newest zxid, and where the loaded snapshot stands.
const EXPECTED: &[(&str, Health, i64, i64)] = &[
    ("torn-tail-cut", Health::Doubtful, 0x34, 0x24),
    ("torn-tail-zero-filled", Health::Doubtful, 0x34, 0x24),
    ("torn-tail-half-header", Health::Doubtful, 0x34, 0x24),
    ("flip-payload-mid", Health::Damaged, 0x2c, 0x24),
    ("flip-payload-last", Health::Doubtful, 0x34, 0x24),
    // A file that the snapshot covers is not needed, so it is not read.
    ("flip-payload-old-log", Health::Intact, 0x35, 0x24),
    ("flip-crc-field", Health::Damaged, 0x2c, 0x24),
    ("flip-length-high", Health::Damaged, 0x2c, 0x24),
    ("flip-length-negative", Health::Damaged, 0x2c, 0x24),
    ("flip-length-low-longer", Health::Damaged, 0x2c, 0x24),
    ("flip-length-low-shorter", Health::Damaged, 0x2c, 0x24),
    ("flip-end-marker", Health::Damaged, 0x2c, 0x24),
    ("zeroed-record-mid", Health::Damaged, 0x2c, 0x24),
    ("zeroed-length-mid", Health::Damaged, 0x2c, 0x24),
    ("record-removed-mid", Health::Damaged, 0x2c, 0x24),
    ("record-duplicated", Health::Intact, 0x35, 0x24),
    ("no-newest-snapshot", Health::Intact, 0x35, 0),
    ("old-log-cut-and-no-snap", Health::Damaged, 0x14, 0),
    ("old-log-zeroed-and-no-snap", Health::Damaged, 0x14, 0),
    ("old-log-missing-and-no-snap", Health::Damaged, 0, 0),
    ("old-log-empty-and-no-snap", Health::Damaged, 0, 0),
    ("snap-body-flip", Health::Intact, 0x35, 0),
    ("snap-seal-cut", Health::Intact, 0x35, 0),
    ("snap-body-cut", Health::Intact, 0x35, 0),
    ("snap-no-trailers", Health::Intact, 0x35, 0x24),
    ("snap-digest-flip", Health::Intact, 0x35, 0),
    ("snap-lastzxid-flip", Health::Intact, 0x35, 0),
    ("snap-lastzxid-cut", Health::Intact, 0x35, 0x24),
    ("snaps-all-bad", Health::Damaged, 0, 0),
    ("snaps-all-missing", Health::Damaged, 0, 0),
    ("snap-bad-and-log1-missing", Health::Damaged, 0, 0),
    ("log-magic-flip", Health::Damaged, 0x24, 0x24),
    ("log-version-flip", Health::Intact, 0x35, 0x24),
    ("log-dbid-flip", Health::Intact, 0x35, 0x24),
    ("tail-log-0-bytes", Health::Doubtful, 0x24, 0x24),
    ("tail-log-8-bytes", Health::Doubtful, 0x24, 0x24),
    ("tail-log-header-only", Health::Intact, 0x24, 0x24),
    ("old-log-missing", Health::Intact, 0x35, 0x24),
    ("everything-missing", Health::Empty, 0, 0),
    ("digest-toggle-on", Health::Intact, 0x35, 0x24),
    ("digest-toggle-off", Health::Intact, 0x35, 0x24),
    ("serializeLastZxid-off", Health::Intact, 0x35, 0x24),
];

fn cases() -> Vec<Value> {
    let text = std::fs::read(vectors().join("corruption-matrix.json")).expect("matrix");
    serde_json::from_slice(&text).expect("JSON")
}

fn damaged(case: &Value) -> Store {
    let on = case["case"] == "digest-toggle-on";
    let mut store = directory(if on { "v395-digest-disabled" } else { "v395-standalone" });
    for op in case["ops"].as_array().expect("operations") {
        let file = op["file"].as_str().expect("file");
        let dir = if file.starts_with("log") { Dir::Log } else { Dir::Data };
        let n = |key: &str| op[key].as_u64().unwrap_or_else(|| panic!("{key} of {op}")) as usize;
        match op["op"].as_str().expect("operation") {
            "xor" => store.edit(dir, file, |b| b[n("offset")] ^= n("mask") as u8),
            "zero" => store.edit(dir, file, |b| b[n("offset")..n("offset") + n("length")].fill(0)),
            "truncate" => store.edit(dir, file, |b| b.truncate(n("length"))),
            "cut" => store.edit(dir, file, |b| drop(b.drain(n("offset")..n("offset") + n("length")))),
            "insert_copy" => store.edit(dir, file, |b| {
                let copy = b[n("from")..n("from") + n("length")].to_vec();
                let rest = b.split_off(n("offset"));
                b.extend(copy);
                b.extend(rest);
            }),
            "delete" => store.remove(dir, file),
            other => panic!("unknown operation {other}"),
        }
    }
    store
}

#[test]
fn every_measured_damage_is_met_safely() {
    let cases = cases();
    assert_eq!(cases.len(), EXPECTED.len());
    for case in &cases {
        let name = case["case"].as_str().expect("case");
        let (_, health, last, snapshot) = EXPECTED.iter().find(|e| e.0 == name).expect("every case has its line");
        let mut rig = Rig::recover(&config(), damaged(case));
        let r = rig.recovered();
        assert_eq!((r.health, r.last_logged, r.snapshot), (*health, Zxid(*last), Zxid(*snapshot)), "{name}");
        let told = rig.count(|e| matches!(e, DiskEvent::Warning(_))) > 0;
        assert!(told || matches!(health, Health::Intact | Health::Empty), "{name}: an operator is told");
        assert_eq!(rig.memory.replay(), 0, "{name}: what is loaded is a prefix of the history");
        if *last == 0x35 && name != "digest-toggle-on" {
            assert_eq!(rig.memory.tree.digest(), 0x11_5b78_fc81, "{name}");
        }
        // The next start knows what this one found.
        let again = Rig::recover(&config(), rig.store.clone());
        assert_eq!(again.recovered().health, *health, "{name}: after another start");
        assert_eq!(again.recovered().last_logged, r.last_logged, "{name}: after another start");
    }
}

#[test]
fn a_server_alone_refuses_damage_and_says_where_it_is() {
    for case in &cases() {
        let name = case["case"].as_str().expect("case");
        let health = EXPECTED.iter().find(|e| e.0 == name).expect("every case has its line").1;
        let before = damaged(case);
        let rig = Rig::recover(&alone(), before.clone());
        let text = rig.events.iter().find_map(|e| match e {
            DiskEvent::Fatal(Halt::BadData(text)) => Some(text.clone()),
            _ => None,
        });
        assert_eq!(text.is_some(), health == Health::Damaged, "{name}: {:?}", rig.events);
        if let Some(text) = text {
            assert!(text.contains("restore a backup"), "{name}: {text}");
            assert!(text.contains("log.") || text.contains("snapshot") || text.contains("ends at"), "{name}: {text}");
            assert_eq!(before.names(Dir::Log), rig.store.names(Dir::Log), "{name}: nothing is touched");
        }
    }
}

#[test]
fn a_torn_tail_is_gone_before_anything_is_appended() {
    for case in cases().iter().filter(|c| c["case"].as_str().is_some_and(|n| n.starts_with("torn-tail"))) {
        let mut rig = Rig::recover(&config(), damaged(case));
        assert_eq!(rig.store.get(Dir::Log, "log.25").map(<[u8]>::len), Some(1549));
        rig.append(&[Zxid(0x35), Zxid(0x36)]);
        rig.settle().expect("no budget");
        let again = Rig::recover(&config(), rig.store);
        assert_eq!(again.recovered().last_logged, Zxid(0x36));
        assert_eq!(again.recovered().health, Health::Doubtful, "no leader has synchronised it yet");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn the_planted_bug_that_takes_damage_for_the_end_is_seen() {
    use quorate_core::mutant::{Mutant, Mutants};
    let cases = cases();
    let case = cases.iter().find(|c| c["case"] == "flip-payload-mid").expect("the case");
    let cfg = quorate_core::config::PeerConfig { mutants: Mutants::planted(Mutant::K21), ..config() };
    let r = Rig::recover(&cfg, damaged(case)).recovered();
    assert_eq!((r.health, r.last_logged), (Health::Intact, Zxid(0x2c)), "nine transactions are gone, without a word");
}
