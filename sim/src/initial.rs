//! What is on the disks before the run.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::event::{Dir, FileName};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::records::{Acl, op, perm};
use quorate_core::wire::snapshot::FileEncoder;
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, decode_record, encode_record};
use quorate_core::wire::txnlog;

use crate::disk::SimDisk;
use crate::spec::{InitialDisk, RunSpec, Topology};

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

/// The histories that initial disks hold, by server.
#[derive(Debug)]
pub struct Histories {
    /// Log, then snapshots, both ascending.
    disks: BTreeMap<String, (Vec<Zxid>, Vec<Zxid>)>,
}

impl Histories {
    /// Of these initial disks.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let disk = |d: &InitialDisk| {
            let zxids = |list: &[String]| list.iter().filter_map(|z| parse_zxid(z)).collect();
            let snapshots: Vec<String> = d.snapshots.iter().chain(&d.snapshot).cloned().collect();
            (zxids(&d.log), zxids(&snapshots))
        };
        Self { disks: topology.initial.iter().map(|(name, d)| (name.clone(), disk(d))).collect() }
    }

    /// Everything up to the end of this server's log: behind a snapshot that is older than the log goes on what that holds.
    #[must_use]
    pub fn log(&self, name: &str) -> Vec<Zxid> {
        let Some((log, snapshots)) = self.disks.get(name) else { return Vec::new() };
        let base = log.first().and_then(|first| snapshots.iter().rev().find(|z| *z < first));
        let mut out = base.map_or_else(Vec::new, |z| self.up_to(name, *z));
        out.extend(log);
        out
    }

    /// What a snapshot of this server holds: what a log has up to there, its own server's first.
    fn up_to(&self, name: &str, zxid: Zxid) -> Vec<Zxid> {
        let own = self.disks.get(name).is_some_and(|(log, _)| log.contains(&zxid));
        let other = || self.disks.iter().find(|(_, (log, _))| log.contains(&zxid)).map(|(name, _)| name.as_str());
        if let Some(name) = own.then_some(name).or_else(other) {
            let mut out = self.log(name);
            out.retain(|z| *z <= zxid);
            return out;
        }
        let (log, _) = &self.disks[name];
        let mut out = if log.first().is_some_and(|first| *first < zxid) { self.log(name) } else { Vec::new() };
        out.retain(|z| *z < zxid);
        out.push(zxid);
        out
    }

    /// Every snapshot: whose, at which zxid, and all that it holds.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(&str, Zxid, Vec<Zxid>)> {
        let all = self.disks.iter().flat_map(|(name, (_, list))| list.iter().map(move |z| (name.as_str(), *z)));
        all.map(|(name, z)| (name, z, self.up_to(name, z))).collect()
    }

    /// What is decided: the longest history of a snapshot.
    #[must_use]
    pub fn tip(&self) -> Vec<Zxid> {
        self.snapshots().into_iter().map(|(_, _, history)| history).max_by_key(Vec::len).unwrap_or_default()
    }

    /// Whether this server's log or a snapshot has all of `history`.
    #[must_use]
    pub fn holds(&self, name: &str, history: &[Zxid]) -> bool {
        let snapshot = |(whose, _, held): &(&str, Zxid, Vec<Zxid>)| *whose == name && held.starts_with(history);
        self.log(name).starts_with(history) || self.snapshots().iter().any(snapshot)
    }
}

/// The bytes of a snapshot file that holds these records.
fn snapshot(history: &[Zxid]) -> Vec<u8> {
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
    file.extend(encoder.finish(tree.last_zxid(), tree.digest()));
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
        file(Dir::Data, &format!("snapshot.{:x}", zxid.0), &snapshot(history));
    }
    let zxids: Vec<Zxid> = initial.log.iter().filter_map(|z| parse_zxid(z)).collect();
    let Some(first) = zxids.first() else { return };
    let mut log = txnlog::file_header().to_vec();
    for zxid in &zxids {
        txnlog::encode(&record(*zxid), &mut log);
    }
    file(Dir::Log, &format!("log.{:x}", first.0), &log);
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
}
