//! Data directories of real servers: their snapshot is loaded, their log replayed, and the result is theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::records::Owner;
use quorate_core::wire::txn::decode_record;
use serde_json::Value;

use crate::body::Body;

fn number(text: &Value) -> i64 {
    let text = text.as_str().expect("a hex text");
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex") as i64
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

struct Directory {
    expected: Value,
    /// zxid and content of each snapshot.
    snapshots: BTreeMap<i64, Vec<u8>>,
}

fn directory(name: &str) -> Directory {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/storage").join(name);
    let expected = std::fs::read_to_string(dir.join("expected.json")).expect("readable");
    let mut snapshots = BTreeMap::new();
    for file in std::fs::read_dir(dir.join("version-2")).expect("a directory") {
        let path = file.expect("readable").path();
        if let Some(zxid) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("snapshot.")) {
            let zxid = i64::from_str_radix(zxid, 16).expect("a hex name");
            snapshots.insert(zxid, std::fs::read(&path).expect("readable"));
        }
    }
    Directory { expected: serde_json::from_str(&expected).expect("JSON"), snapshots }
}

fn load(file: &[u8], zxid: i64) -> DataTree {
    assert_eq!(&file[..4], b"ZKSN");
    let (body, _) = Body::read(&file[16..]);
    let mut tree = DataTree::new(11, true);
    body.load(&mut tree, Zxid(zxid)).expect("a real snapshot loads");
    tree
}

/// The digest of the file's own trailer: zxid and digest behind seal 1.
fn trailer(file: &[u8]) -> Option<(i64, u64)> {
    let behind = &file[16 + Body::read(&file[16..]).1..];
    let long = |at: usize| Some(i64::from_be_bytes(behind.get(at..at + 8)?.try_into().ok()?));
    // Seal (8 + 5), zxid, version, digest.
    Some((long(13)?, long(25)? as u64))
}

/// Replays the log; the digests must be those of the records from zxid `exact` on.
fn replay(tree: &mut DataTree, expected: &Value, exact: i64) -> usize {
    let (mut applied, mut compared) = (Applied::default(), 0);
    for record in expected["logs"].as_array().expect("logs").iter().flat_map(|l| l["txns"].as_array().expect("txns")) {
        let payload = unhex(record["hex"].as_str().expect("hex"));
        let (header, txn, digest) = decode_record(&payload).expect("a real record");
        if header.zxid <= tree.last_zxid() {
            continue;
        }
        tree.apply(&header, &txn, &mut applied);
        if let Some(digest) = digest.filter(|_| header.zxid.0 >= exact) {
            assert_eq!(tree.digest(), digest.digest, "after {:?}", header.zxid);
            compared += 1;
        }
    }
    compared
}

fn assert_as_java_has_it(tree: &DataTree, expected: &Value) {
    assert_eq!(tree.last_zxid().0, number(&expected["lastProcessedZxid"]));
    assert_eq!(tree.digest() as i64, number(&expected["treeDigest"]));
    let nodes = expected["nodes"].as_array().expect("nodes");
    assert_eq!(tree.node_count(), nodes.len());
    let (mut containers, mut ttls) = (BTreeSet::new(), BTreeSet::new());
    for want in nodes {
        let path = want["path"].as_str().expect("path");
        let node = tree.node(path).unwrap_or_else(|| panic!("{path} is missing"));
        let stat = node.persisted();
        let longs = [
            ("czxid", stat.czxid.0),
            ("mzxid", stat.mzxid.0),
            ("pzxid", stat.pzxid.0),
            ("ephemeralOwner", stat.ephemeral_owner),
        ];
        for (name, value) in longs {
            assert_eq!(value, number(&want[name]), "{path} {name}");
        }
        let ints = [
            ("ctime", stat.ctime),
            ("mtime", stat.mtime),
            ("version", stat.version.into()),
            ("cversion", stat.cversion.into()),
            ("aversion", stat.aversion.into()),
            ("numChildren", node.num_children().into()),
        ];
        for (name, value) in ints {
            assert_eq!(Some(value), want[name].as_i64(), "{path} {name}");
        }
        assert_eq!(node.data().map(<[u8]>::to_vec), want["data"].as_str().map(unhex), "{path} data");
        let acl: Vec<Value> =
            node.acl().iter().map(|a| serde_json::json!([a.perms, a.id.scheme(), a.id.id()])).collect();
        assert_eq!(Value::Array(acl), want["acl"], "{path} acl");
        match node.owner() {
            Owner::Container => _ = containers.insert(path),
            Owner::Ttl(_) => _ = ttls.insert(path),
            Owner::None | Owner::Session(_) => {}
        }
    }
    let texts = |v: &'_ Value| -> BTreeSet<String> {
        v.as_array().expect("a list").iter().map(|t| t.as_str().expect("text").to_string()).collect()
    };
    let same = |ours: &BTreeSet<&str>, theirs: &Value| {
        ours.iter().map(ToString::to_string).collect::<BTreeSet<_>>() == texts(theirs)
    };
    assert!(same(&containers, &expected["containers"]) && same(&ttls, &expected["ttls"]));
    let sessions: BTreeMap<i64, i64> = tree.sessions().iter().map(|(id, t)| (id.0, (*t).into())).collect();
    let want = expected["sessions"].as_object().expect("sessions");
    let want: BTreeMap<i64, i64> =
        want.iter().map(|(id, t)| (number(&Value::String(id.clone())), t.as_i64().expect("ms"))).collect();
    assert_eq!(sessions, want);
    for (id, paths) in expected["ephemerals"].as_object().expect("ephemerals") {
        let session = SessionId(number(&Value::String(id.clone())));
        assert_eq!(tree.ephemerals_of(session).collect::<BTreeSet<_>>(), texts(paths));
    }
    assert_eq!(tree.ephemeral_sessions().count(), expected["ephemerals"].as_object().expect("ephemerals").len());
}

fn check(name: &str, from_each_snapshot: bool) {
    let dir = directory(name);
    for (zxid, file) in &dir.snapshots {
        if !from_each_snapshot && dir.snapshots.keys().next_back() != Some(zxid) {
            continue;
        }
        let mut tree = load(file, *zxid);
        if let Some((at, digest)) = trailer(file).filter(|(at, digest)| at == zxid && *digest != 0) {
            assert_eq!(tree.digest(), digest, "{name}: snapshot {at:#x}");
        }
        let compared = replay(&mut tree, &dir.expected, *zxid);
        assert!(compared > 0 || number(&dir.expected["lastProcessedZxid"]) == *zxid, "{name}: nothing compared");
        assert_as_java_has_it(&tree, &dir.expected);
    }
}

#[test]
fn standalone_3_9_5_from_its_birth_and_from_its_snapshot() {
    check("v395-standalone", true);
}

#[test]
fn standalone_3_8_0_from_its_birth_and_from_its_snapshot() {
    check("v380-standalone", true);
}

#[test]
fn containers_and_ttl_znodes_that_were_reaped() {
    check("v395-container-ttl-expiry", true);
}

#[test]
fn ensemble_member_over_three_epochs() {
    check("v395-quorum-multi-epoch", false);
}

#[test]
fn the_fuzzy_snapshot_converges_to_the_clean_run() {
    let dir = directory("v395-fuzzy-snapshot-crafted");
    let (zxid, file) = dir.snapshots.first_key_value().expect("one");
    let mut tree = load(file, *zxid);
    // Fuzzy until replay passes the zxid of the digest section.
    let (exact, _) = trailer(file).expect("a digest section");
    assert!(exact > *zxid);
    assert!(replay(&mut tree, &dir.expected, exact) > 100);
    assert_as_java_has_it(&tree, &dir.expected);
}
