//! What is on the disks before the run.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::event::{Dir, FileName};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::records::{Acl, op, perm};
use quorate_core::wire::snapshot::{FileEncoder, SEAL_LEN};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, decode_record, encode_record};
use quorate_core::wire::txnlog;

use crate::disk::SimDisk;
use crate::spec::{InitialDisk, LeftBy, RunSpec, Topology};

/// Zeros behind the last record of a log that another implementation left.
const PADDING: usize = 4096;

/// `epoch.counter`, decimal.
#[must_use]
pub fn parse_zxid(text: &str) -> Option<Zxid> {
    let (epoch, counter) = text.split_once('.')?;
    Some(Zxid::new(epoch.parse().ok()?, counter.parse().ok()?))
}

/// The record of this zxid: a znode `/log-EPOCH-COUNTER`, made by nobody's session.
#[must_use]
pub fn record(zxid: Zxid) -> Bytes {
    let path = format!("/log-{}-{}", zxid.epoch(), zxid.counter());
    let header = TxnHeader { session: SessionId::NONE, cxid: 0, zxid, time: 0, kind: op::CREATE };
    let txn = Txn::Create {
        path: path.into(),
        data: Some(b"initial"),
        acl: vec![Acl::world(perm::ALL)],
        mode: CreateMode::Plain { ephemeral: false },
        parent_cversion: -1,
    };
    let mut out = Vec::new();
    encode_record(&header, &txn, None, &mut out);
    out.into()
}

/// The disk of one server.
#[derive(Debug)]
struct Held {
    /// Ascending.
    log: Vec<Zxid>,
    /// Ascending.
    snapshots: Vec<Zxid>,
    /// Another implementation left it.
    left: bool,
}

impl Held {
    fn new(disk: &InitialDisk) -> Self {
        let zxids = |list: &[String]| list.iter().filter_map(|z| parse_zxid(z)).collect();
        let snapshots: Vec<String> = disk.snapshots.iter().chain(&disk.snapshot).cloned().collect();
        Self { log: zxids(&disk.log), snapshots: zxids(&snapshots), left: disk.left_by.is_some() }
    }

    /// The snapshot behind which this entry of the log goes on, where it does not follow on the one before it.
    fn base(&self, i: usize) -> Option<Zxid> {
        let (before, zxid) = (i.checked_sub(1).map(|i| self.log[i]), self.log[i]);
        let follows = before.is_some_and(|b| zxid == b.next() || (zxid.epoch() > b.epoch() && zxid.counter() == 1));
        let between = |z: &&Zxid| **z < zxid && before.is_none_or(|b| b < **z);
        self.snapshots.iter().rev().find(between).filter(|_| !follows).copied()
    }
}

/// The histories that initial disks hold, by server.
#[derive(Debug)]
pub struct Histories {
    disks: BTreeMap<String, Held>,
}

impl Histories {
    /// Of these initial disks.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self { disks: topology.initial.iter().map(|(name, d)| (name.clone(), Held::new(d))).collect() }
    }

    /// Everything up to the end of this server's log: behind a snapshot, where the log does not begin before it or leaves
    /// something out, goes on what that holds.
    #[must_use]
    pub fn log(&self, name: &str) -> Vec<Zxid> {
        self.log_up_to(name, Zxid(i64::MAX))
    }

    fn log_up_to(&self, name: &str, to: Zxid) -> Vec<Zxid> {
        let Some(disk) = self.disks.get(name) else { return Vec::new() };
        let mut out = Vec::new();
        for (i, zxid) in disk.log.iter().enumerate().take_while(|(_, z)| **z <= to) {
            if let Some(base) = disk.base(i) {
                out = self.up_to(name, base);
            }
            out.push(*zxid);
        }
        out
    }

    /// What a snapshot of this server holds: what a log has up to there, its own server's first.
    fn up_to(&self, name: &str, zxid: Zxid) -> Vec<Zxid> {
        let own = self.disks.get(name).is_some_and(|disk| disk.log.contains(&zxid));
        let other = || self.disks.iter().find(|(_, disk)| disk.log.contains(&zxid)).map(|(name, _)| name.as_str());
        if let Some(name) = own.then_some(name).or_else(other) {
            return self.log_up_to(name, zxid);
        }
        let mut out = self.log_up_to(name, zxid);
        out.push(zxid);
        out
    }

    /// Whether another implementation left this server's directory.
    #[must_use]
    pub fn is_left(&self, name: &str) -> bool {
        self.disks.get(name).is_some_and(|disk| disk.left)
    }

    /// Every snapshot: whose, at which zxid, and all that it holds.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(&str, Zxid, Vec<Zxid>)> {
        let all = self.disks.iter().flat_map(|(name, disk)| disk.snapshots.iter().map(move |z| (name.as_str(), *z)));
        all.map(|(name, z)| (name, z, self.up_to(name, z))).collect()
    }

    /// What is decided: the longest history of a snapshot of ours.
    #[must_use]
    pub fn tip(&self) -> Vec<Zxid> {
        let ours = self.snapshots().into_iter().filter(|(name, ..)| !self.is_left(name));
        ours.map(|(_, _, history)| history).max_by_key(Vec::len).unwrap_or_default()
    }

    /// Whether this server's log or a snapshot has all of `history`.
    #[must_use]
    pub fn holds(&self, name: &str, history: &[Zxid]) -> bool {
        let snapshot = |(whose, _, held): &(&str, Zxid, Vec<Zxid>)| *whose == name && held.starts_with(history);
        self.log(name).starts_with(history) || self.snapshots().iter().any(snapshot)
    }
}

/// The bytes of a snapshot file that holds these records.
fn snapshot(history: &[Zxid], left_by: Option<LeftBy>) -> Vec<u8> {
    let (mut tree, mut applied) = (DataTree::new(0, false), Applied::default());
    for zxid in history {
        let record = record(*zxid);
        if let Ok((header, txn, _)) = decode_record(&record) {
            tree.apply(&header, &txn, &mut applied);
        }
    }
    let (mut encoder, header) = FileEncoder::new();
    let mut file = header.to_vec();
    tree.begin_walk();
    while !tree.walk(1 << 16, &mut file) {}
    encoder.body(&file[header.len()..]);
    let trailers = encoder.finish(tree.last_zxid(), Some(tree.digest()));
    let sealed = if left_by == Some(LeftBy::Java35) { SEAL_LEN } else { trailers.len() };
    file.extend(&trailers[..sealed]);
    file
}

/// Puts the files of server `n` on its disk.
pub(crate) fn install(spec: &RunSpec, n: usize, disk: &mut SimDisk) {
    let name = crate::node::host_name(n);
    let Some(initial) = spec.topology.initial.get(&name) else { return };
    let mut file = |dir, name: &str, bytes: &[u8]| disk.install(&FileName::new(dir, name), bytes);
    file(Dir::Data, "acceptedEpoch", initial.acc.to_string().as_bytes());
    file(Dir::Data, "currentEpoch", initial.cur.to_string().as_bytes());
    let histories = Histories::new(&spec.topology);
    for (_, zxid, history) in histories.snapshots().iter().filter(|(whose, ..)| *whose == name) {
        file(Dir::Data, &format!("snapshot.{:x}", zxid.0), &snapshot(history, initial.left_by));
    }
    let Some(held) = histories.disks.get(&name) else { return };
    let mut logs: Vec<(Zxid, Vec<u8>)> = Vec::new();
    for (i, zxid) in held.log.iter().enumerate() {
        // ZooKeeper begins a new file behind each snapshot.
        let rolled = held.left && i.checked_sub(1).is_some_and(|i| held.snapshots.contains(&held.log[i]));
        if logs.is_empty() || rolled || held.base(i).is_some() {
            logs.push((*zxid, txnlog::file_header().to_vec()));
        }
        if let Some((_, log)) = logs.last_mut() {
            txnlog::encode(&record(*zxid), log);
        }
    }
    for (first, mut log) in logs {
        if held.left {
            log.resize(log.len() + PADDING, 0);
        }
        file(Dir::Log, &format!("log.{:x}", first.0), &log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_holds_what_a_log_has_up_to_there() {
        let text = r#"{"initial": {
            "s1": {"log": ["1.1", "1.2", "1.3", "2.1"], "snapshot": "1.2", "acc": 2, "cur": 2},
            "s2": {"log": ["1.4"], "snapshots": ["1.3", "1.7"], "acc": 2, "cur": 2},
            "s3": {"snapshot": "2.1", "acc": 2, "cur": 2}}}"#;
        let topology: Topology = serde_json::from_str(text).expect("valid");
        let histories = Histories::new(&topology);
        let z = |list: &[(u32, u32)]| list.iter().map(|(e, c)| Zxid::new((*e).into(), *c)).collect::<Vec<_>>();
        let held: Vec<Vec<Zxid>> = histories.snapshots().into_iter().map(|(.., history)| history).collect();
        assert_eq!(held[0], z(&[(1, 1), (1, 2)]));
        assert_eq!(held[1], z(&[(1, 1), (1, 2), (1, 3)]), "the log of s1 has it");
        assert_eq!(held[2], z(&[(1, 1), (1, 2), (1, 3), (1, 4), (1, 7)]), "no log has it");
        assert_eq!(held[3], z(&[(1, 1), (1, 2), (1, 3), (2, 1)]));
        assert_eq!(histories.log("s2"), z(&[(1, 1), (1, 2), (1, 3), (1, 4)]));
        assert!(histories.holds("s3", &held[0]) && !histories.holds("s3", &held[2]));
    }

    #[test]
    fn a_log_goes_on_behind_a_snapshot_over_a_gap_and_what_others_left_decides_nothing() {
        let text = r#"{"initial": {
            "s1": {"log": ["1.1", "1.2", "1.3", "1.4"], "snapshots": ["1.2", "1.4"], "acc": 1, "cur": 1, "left_by": "java"},
            "s2": {"log": ["1.1", "1.7", "2.1"], "snapshot": "1.6", "acc": 2, "cur": 2}}}"#;
        let topology: Topology = serde_json::from_str(text).expect("valid");
        let histories = Histories::new(&topology);
        let z = |list: &[(u32, u32)]| list.iter().map(|(e, c)| Zxid::new((*e).into(), *c)).collect::<Vec<_>>();
        assert_eq!(histories.log("s1"), z(&[(1, 1), (1, 2), (1, 3), (1, 4)]));
        assert_eq!(histories.log("s2"), z(&[(1, 1), (1, 6), (1, 7), (2, 1)]));
        assert_eq!(histories.tip(), z(&[(1, 1), (1, 6)]));

        let spec = RunSpec { topology, ..RunSpec::default() };
        let logs = |n| {
            let mut disk = SimDisk::new(512);
            install(&spec, n, &mut disk);
            let list = disk.execute(&quorate_core::event::DiskOp::List(Dir::Log)).expect("a directory");
            let quorate_core::event::DiskReply::Files(files) = list else { unreachable!("it is a listing") };
            files.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(logs(0), ["log.100000001", "log.100000003"], "a new file behind each snapshot");
        assert_eq!(logs(1), ["log.100000001", "log.100000007"], "a new file behind the gap");
    }
}
