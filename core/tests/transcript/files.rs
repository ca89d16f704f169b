//! Data directories made and read by hand, from the storage format's page alone: an independent second opinion on `core::disk`.

use std::borrow::Cow;

use quorate_core::event::{Dir, FileName};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::{Put, Reader};
use quorate_core::wire::records::{Acl, StatPersisted, op, perm};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, decode_record, encode_record};

/// Milliseconds since 1970 at which every transcript begins.
pub const WALL: i64 = 1_700_000_000_000;

/// The payload of a record that creates `path` as the n-th child of its parent, by a session that nobody knows.
pub fn create(zxid: Zxid, path: &str, n: i32) -> Vec<u8> {
    let header = TxnHeader { session: SessionId(0x77), cxid: n, zxid, time: WALL, kind: op::CREATE };
    let txn = Txn::Create {
        path: Cow::Borrowed(path),
        data: Some(b""),
        acl: vec![Acl::world(perm::ALL)],
        mode: CreateMode::Plain { ephemeral: false },
        parent_cversion: n,
    };
    let mut out = Vec::new();
    encode_record(&header, &txn, None, &mut out);
    out
}

/// The path that the record with this zxid creates in seeded logs.
pub fn path_of(zxid: Zxid) -> String {
    format!("/{}-{}", zxid.epoch(), zxid.counter())
}

fn log_record(payload: &[u8], out: &mut Vec<u8>) {
    out.put_i64(i64::from(simd_adler32::adler32(&payload)));
    out.put_buffer(Some(payload));
    out.push(b'B');
}

/// A log file with these records. `n`: children of the root before the first of them.
pub fn log(zxids: &[Zxid], n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i32(0x5A4B_4C47);
    out.put_i32(2);
    out.put_i64(0);
    for (i, zxid) in zxids.iter().enumerate() {
        log_record(&create(*zxid, &path_of(*zxid), (n + i + 1) as i32), &mut out);
    }
    out
}

/// The body of a snapshot as a SNAP packet is followed by it, up to and with the end mark: the empty tree and these znodes.
pub fn snapshot_body(zxids: &[Zxid]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(1);
    out.put_i64(1);
    Acl::encode_list(&[Acl::world(perm::READ)], &mut out);
    let mut node = |path: &str, acl: i64, stat: &StatPersisted| {
        out.put_string(path);
        out.put_buffer(Some(b""));
        out.put_i64(acl);
        stat.encode(&mut out);
    };
    let last = zxids.last().copied().unwrap_or_default();
    let root = StatPersisted { cversion: zxids.len() as i32, pzxid: last, ..StatPersisted::default() };
    node("", -1, &root);
    node("/zookeeper", -1, &StatPersisted::default());
    node("/zookeeper/config", 1, &StatPersisted { aversion: -1, ..StatPersisted::default() });
    node("/zookeeper/quota", -1, &StatPersisted::default());
    for zxid in zxids {
        let stat = StatPersisted {
            czxid: *zxid,
            mzxid: *zxid,
            pzxid: *zxid,
            ctime: WALL,
            mtime: WALL,
            ..StatPersisted::default()
        };
        node(&path_of(*zxid), -1, &stat);
    }
    out.put_string("/");
    out
}

/// A snapshot file: header, body, seal, unknown digest, seal, last zxid, seal.
pub fn snapshot(zxids: &[Zxid]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i32(0x5A4B_534E);
    out.put_i32(2);
    out.put_i64(-1);
    out.extend_from_slice(&snapshot_body(zxids));
    let seal = |out: &mut Vec<u8>| {
        let sum = simd_adler32::adler32(&&out[..]);
        out.put_i64(i64::from(sum));
        out.put_string("/");
    };
    seal(&mut out);
    out.put_i64(0);
    out.put_i32(0);
    out.put_i64(0);
    seal(&mut out);
    out.put_i64(zxids.last().map_or(0, |z| z.0));
    seal(&mut out);
    out
}

/// Whether a snapshot file says what the digest of its tree is: behind the body's seal stand zxid, version, digest.
pub fn names_digest(file: &[u8]) -> bool {
    const SEAL: usize = 8 + 4 + 1;
    let at = file.len() - 20 - SEAL - 8 - SEAL;
    file[at..at + 8].iter().any(|byte| *byte != 0)
}

/// The records of a log file as far as they are whole: offset of the payload, and the payload.
pub fn records(file: &[u8]) -> Vec<(usize, &[u8])> {
    let mut r = Reader::new(file);
    let mut out = Vec::new();
    if r.take(16).is_err() {
        return out;
    }
    while let (Ok(sum), Ok(Some(payload))) = (r.i64(), r.buffer()) {
        if payload.is_empty() || sum != i64::from(simd_adler32::adler32(&payload)) || r.take(1) != Ok(b"B") {
            break;
        }
        out.push((r.position() - 1 - payload.len(), payload));
    }
    out
}

/// One line about a transaction.
pub fn summary(payload: &[u8]) -> String {
    let Ok((header, txn, _)) = decode_record(payload) else { return "undecodable".into() };
    match txn {
        Txn::CreateSession { timeout } => format!("createSession {} {timeout} ms", header.session),
        Txn::CloseSession { paths } => match paths.filter(|p| !p.is_empty()) {
            None => format!("closeSession {}", header.session),
            Some(paths) => format!("closeSession {} deletes {}", header.session, paths.join(" ")),
        },
        Txn::Create { path, mode: CreateMode::Plain { ephemeral: true }, .. } => format!("create {path} ephemeral"),
        Txn::Create { path, .. } => format!("create {path}"),
        Txn::Delete { path } => format!("delete {path}"),
        Txn::SetData { path, version, .. } => format!("setData {path} version {version}"),
        Txn::SetAcl { path, .. } => format!("setACL {path}"),
        Txn::Check { path, .. } => format!("check {path}"),
        Txn::Multi(parts) => format!("multi of {}", parts.len()),
        Txn::Error(code) => format!("error {}", code.code()),
    }
}

pub fn zxid_of(payload: &[u8]) -> Zxid {
    decode_record(payload).map_or(Zxid::NONE, |(header, _, _)| header.zxid)
}

/// The name of a log file or snapshot by its zxid.
pub fn named(dir: Dir, kind: &str, zxid: Zxid) -> FileName {
    FileName::new(dir, &format!("{kind}.{:x}", zxid.0))
}
