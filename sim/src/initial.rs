//! What is on the disks before the run.

use bytes::Bytes;
use quorate_core::event::{Dir, FileName};
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::wire::records::{Acl, op, perm};
use quorate_core::wire::txn::{CreateMode, Txn, TxnHeader, encode_record};
use quorate_core::wire::txnlog;

use crate::disk::SimDisk;
use crate::spec::RunSpec;

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

/// Puts the files of server `n` on its disk.
pub(crate) fn install(spec: &RunSpec, n: usize, disk: &mut SimDisk) {
    let Some(initial) = spec.topology.initial.get(&crate::node::host_name(n)) else { return };
    let mut file = |dir, name: &str, bytes: &[u8]| disk.install(&FileName::new(dir, name), bytes);
    file(Dir::Data, "acceptedEpoch", initial.acc.to_string().as_bytes());
    file(Dir::Data, "currentEpoch", initial.cur.to_string().as_bytes());
    let zxids: Vec<Zxid> = initial.log.iter().filter_map(|z| parse_zxid(z)).collect();
    let Some(first) = zxids.first() else { return };
    let mut log = txnlog::file_header().to_vec();
    for zxid in &zxids {
        txnlog::encode(&record(*zxid), &mut log);
    }
    file(Dir::Log, &format!("log.{:x}", first.0), &log);
}
