//! Directories written by real servers recover to what the real classes load from them.

use std::path::{Path, PathBuf};

use quorate_core::disk::{DiskEvent, Recovered};
use quorate_core::event::{Dir, Health};
use quorate_core::ids::Zxid;
use serde_json::Value;

use crate::harness::{Rig, alone, config};
use crate::store::Store;

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/storage")
}

/// The directory, with the zeros behind the logs that are not stored in the repository.
pub(crate) fn directory(name: &str) -> Store {
    let mut store = Store::default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(vectors().join(name).join("version-2"))
        .expect("recorded directory")
        .map(|e| e.expect("readable").path())
        .collect();
    files.sort();
    for path in files {
        let file = path.file_name().expect("a name").to_str().expect("plain").to_string();
        let mut bytes = std::fs::read(&path).expect("readable");
        let log = file.starts_with("log.");
        if log && file != "log.200000001" {
            bytes.resize(16400, 0);
        }
        store.put(if log { Dir::Log } else { Dir::Data }, &file, &bytes);
    }
    store
}

pub(crate) fn hex(v: &Value) -> i64 {
    let text = v.as_str().expect("a number as text").trim_start_matches("0x");
    u64::from_str_radix(text, 16).expect("hexadecimal") as i64
}

const DIRECTORIES: &[&str] = &[
    "v395-standalone",
    "v380-standalone",
    "v395-container-ttl-expiry",
    "v395-digest-disabled",
    "v395-fuzzy-snapshot-crafted",
    "v395-quorum-multi-epoch",
    "v395-quorum-observer",
    "v395-quorum-reconfig",
];

#[test]
fn recorded_directories_load() {
    for name in DIRECTORIES {
        let text = std::fs::read(vectors().join(name).join("expected.json")).expect("expected.json");
        let expected: Value = serde_json::from_slice(&text).expect("JSON");
        let cfg = if name.contains("quorum") { config() } else { alone() };
        let mut rig = Rig::recover(&cfg, directory(name));
        let r = rig.recovered();
        assert_eq!(r.last_logged, Zxid(hex(&expected["lastProcessedZxid"])), "{name}");
        assert_eq!(r.health, Health::Intact, "{name}");
        assert_eq!(rig.count(|e| matches!(e, DiskEvent::Warning(_))), 0, "{name}: {:?}", rig.events);
        let wrong = rig.memory.replay();
        let nodes = expected["nodes"].as_array().expect("nodes");
        for node in nodes {
            let path = node["path"].as_str().expect("path");
            assert!(rig.memory.tree.node(path).is_some(), "{name}: {path}");
        }
        if *name == "v395-digest-disabled" {
            assert_eq!(rig.memory.tree.digest(), 0xe_efa2_faa2, "{name}");
        } else {
            assert_eq!(rig.memory.tree.digest(), hex(&expected["treeDigest"]) as u64, "{name}");
        }
        if *name != "v395-fuzzy-snapshot-crafted" {
            assert_eq!(wrong, 0, "{name}: every record's digest matches");
        }
        assert!(r.committed_hint >= r.snapshot && r.committed_hint <= r.last_logged);
    }
}

#[test]
fn epochs_come_from_javas_files_and_a_fuzzy_snapshot_is_committed_to_its_end() {
    let rig = Rig::recover(&config(), directory("v395-quorum-multi-epoch"));
    let r = rig.recovered();
    assert_eq!((r.accepted, r.current), (4, 4));
    assert_eq!(r.snapshot, Zxid::new(3, 1));
    let rig = Rig::recover(&alone(), directory("v395-fuzzy-snapshot-crafted"));
    assert_eq!(rig.recovered().snapshot, Zxid(0x47));
    assert_eq!(rig.recovered().committed_hint, Zxid(0x6d));
}

#[test]
fn a_second_start_finds_the_same_and_javas_files_are_untouched() {
    for name in DIRECTORIES {
        let before = directory(name);
        let cfg = if name.contains("quorum") { config() } else { alone() };
        let first = Rig::recover(&cfg, before.clone());
        for file in before.names(Dir::Data) {
            assert_eq!(before.get(Dir::Data, &file), first.store.get(Dir::Data, &file), "{name}: {file}");
        }
        for file in before.names(Dir::Log) {
            assert_eq!(before.get(Dir::Log, &file), first.store.get(Dir::Log, &file), "{name}: {file}");
        }
        let second = Rig::recover(&cfg, first.store.clone()).recovered();
        assert!(second.ids_from > first.recovered().ids_from, "{name}: no session id comes again");
        assert_eq!(first.recovered(), Recovered { ids_from: first.recovered().ids_from, ..second }, "{name}");
    }
}
