//! Drives a Disk: carries out its operations one by one, collects what recovery reads and what it reports.

use std::collections::VecDeque;

use bytes::Bytes;
use quorate_core::config::{Configuration, Ensemble, PeerConfig};
use quorate_core::disk::{Disk, DiskEvent, Recovered, RecoverySink};
use quorate_core::error::DiskError;
use quorate_core::event::{Action, DiskOp, Halt, Lane, Outbox};
use quorate_core::ids::{Now, SessionId, Ticket, Zxid};
use quorate_core::jute::Put;
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::records::{Acl, StatPersisted};
use quorate_core::wire::snapshot::SnapSink;
use quorate_core::wire::txn::{Txn, TxnHeader, decode_record, encode_record};

use crate::store::Store;

/// What recovery brought.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) tree: DataTree,
    pub(crate) base: Zxid,
    pub(crate) records: Vec<(Zxid, Bytes)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { tree: DataTree::new(1, true), base: Zxid::ZERO, records: Vec::new() }
    }
}

impl Memory {
    /// Applies what was read behind the snapshot. Returns how many records' digests do not match.
    pub(crate) fn replay(&mut self) -> usize {
        let mut applied = Applied::default();
        let mut wrong = 0;
        for (_, payload) in &self.records {
            let (header, txn, digest) = decode_record(payload).expect("checked when it was read");
            self.tree.apply(&header, &txn, &mut applied);
            wrong += usize::from(digest.is_some_and(|d| d.digest != self.tree.digest()));
        }
        wrong
    }
}

impl SnapSink for Memory {
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str> {
        self.tree.session(id, timeout)
    }
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str> {
        self.tree.acl(id, acl)
    }
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str> {
        SnapSink::node(&mut self.tree, path, data, acl, stat)
    }
}

impl RecoverySink for Memory {
    fn begin_snapshot(&mut self, zxid: Zxid) {
        self.tree.begin_load();
        self.base = zxid;
        self.records.clear();
    }
    fn end_snapshot(&mut self, zxid: Zxid, digest: Option<u64>) -> u64 {
        self.tree.finish_load(zxid, digest == Some(self.tree.digest()));
        self.tree.digest()
    }
    fn begin_empty(&mut self) {
        self.tree.clear();
        self.base = Zxid::ZERO;
        self.records.clear();
    }
    fn record(&mut self, zxid: Zxid, payload: Bytes) -> Result<(), String> {
        decode_record(&payload).map_err(|e| e.to_string())?;
        let last = self.records.last().map_or(self.base, |r| r.0);
        assert!(zxid > last, "records ascend and lie above the snapshot");
        self.records.push((zxid, payload));
        Ok(())
    }
}

/// The power failed.
#[derive(Debug)]
pub(crate) struct Off;

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) disk: Disk,
    pub(crate) store: Store,
    pub(crate) memory: Memory,
    pub(crate) events: Vec<DiskEvent>,
    out: Outbox,
    queue: VecDeque<(Lane, Ticket, DiskOp)>,
    pub(crate) now: Now,
    /// Operations carried out so far, and after how many the power fails.
    pub(crate) done: usize,
    pub(crate) budget: usize,
    /// The operation with this number fails, an fsync that loses what it was to write, and the program ends there.
    pub(crate) lose: Option<usize>,
    /// Makes an operation fail.
    pub(crate) fail: Option<fn(&DiskOp) -> Option<DiskError>>,
    /// Carry out the lanes in turn instead of in the order of asking.
    pub(crate) bulk_first: bool,
    /// Every operation, for tests that look at the order.
    pub(crate) ops: Vec<DiskOp>,
}

impl Rig {
    pub(crate) fn new(cfg: &PeerConfig, store: Store) -> Self {
        Self {
            disk: Disk::new(cfg),
            store,
            memory: Memory::default(),
            events: Vec::new(),
            out: Outbox::new(),
            queue: VecDeque::new(),
            now: Now { mono_ms: 1, wall_ms: 1 },
            done: 0,
            budget: usize::MAX,
            lose: None,
            fail: None,
            bulk_first: false,
            ops: Vec::new(),
        }
    }

    /// Calls the disk, and collects what it wants done.
    pub(crate) fn call<R>(&mut self, f: impl FnOnce(&mut Disk, &mut Outbox) -> R) -> R {
        let r = f(&mut self.disk, &mut self.out);
        self.disk.flush(self.now, &mut self.out);
        for action in self.out.actions() {
            if let Action::Disk { lane, ticket, op } = action {
                self.queue.push_back((*lane, *ticket, op.clone()));
            }
        }
        self.out.clear();
        r
    }

    /// Carries out one operation. `Ok(false)`: there is none.
    pub(crate) fn step(&mut self) -> Result<bool, Off> {
        let wanted = if self.bulk_first { Lane::Bulk } else { Lane::Log };
        let at = self.queue.iter().position(|(lane, ..)| *lane == wanted).unwrap_or(0);
        if self.queue.is_empty() {
            return Ok(false);
        }
        if self.done == self.budget {
            return Err(Off);
        }
        let (_, ticket, op) = self.queue.remove(at).expect("just seen");
        if self.lose == Some(self.done)
            && let DiskOp::Fsync(name) = &op
        {
            self.store.lose(name);
            return Err(Off);
        }
        self.done += 1;
        let result = match self.fail.and_then(|f| f(&op)) {
            Some(e) => Err(e),
            None => self.store.execute(&op),
        };
        self.ops.push(op);
        let mut events = std::mem::take(&mut self.events);
        let mut memory = std::mem::take(&mut self.memory);
        let now = self.now;
        self.call(|disk, out| disk.on_disk(now, ticket, result, &mut memory, out, &mut events));
        self.memory = memory;
        self.events = events;
        assert!(self.disk.durable() <= self.disk.last_logged());
        Ok(true)
    }

    /// Goes on until nothing is left to do.
    pub(crate) fn settle(&mut self) -> Result<(), Off> {
        while self.step()? {}
        Ok(())
    }

    /// Recovers to the end.
    pub(crate) fn recover(cfg: &PeerConfig, store: Store) -> Self {
        let mut rig = Self::new(cfg, store);
        rig.call(Disk::start);
        rig.settle().expect("no budget");
        rig
    }

    pub(crate) fn recovered(&self) -> Recovered {
        let found = self.events.iter().find_map(|e| match e {
            DiskEvent::Recovered(r) => Some(*r),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("not recovered: {:?}", self.events))
    }

    pub(crate) fn count(&self, what: impl Fn(&DiskEvent) -> bool) -> usize {
        self.events.iter().filter(|e| what(e)).count()
    }

    pub(crate) fn append(&mut self, zxids: &[Zxid]) {
        let zxids = zxids.to_vec();
        self.call(|disk, _| zxids.iter().for_each(|z| disk.append(*z, payload(*z))));
    }

    /// Writes a whole own snapshot.
    pub(crate) fn snapshot(&mut self, zxid: Zxid) {
        self.call(|disk, out| {
            disk.snapshot_begin(zxid, 0, out);
            disk.snapshot_bytes(body(zxid), out);
            disk.snapshot_finish(out);
        });
    }

    pub(crate) fn incoming(&mut self, zxid: Zxid) {
        self.call(|disk, out| {
            disk.incoming_begin(zxid, out);
            disk.incoming_bytes(body(zxid), out);
            disk.incoming_finish(Some(0), out);
        });
    }
}

pub(crate) fn z(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

/// A transaction with this zxid; its content follows from it.
pub(crate) fn payload(zxid: Zxid) -> Bytes {
    let header = TxnHeader { session: SessionId(1), cxid: 1, zxid, time: zxid.0, kind: 5 };
    let data = zxid.0.to_be_bytes().repeat(1 + zxid.counter() as usize % 7);
    let mut out = Vec::new();
    encode_record(&header, &Txn::SetData { path: "/a".into(), data: Some(&data), version: 1 }, None, &mut out);
    out.into()
}

/// The body of a snapshot at this zxid: the root, and a znode whose data tells the zxid.
pub(crate) fn body(zxid: Zxid) -> Bytes {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(0);
    for (path, data) in [("", &[][..]), ("/a", &zxid.0.to_be_bytes()[..])] {
        out.put_string(path);
        out.put_buffer(Some(data));
        out.put_i64(-1);
        StatPersisted::default().encode(&mut out);
    }
    out.put_string("/");
    out.into()
}

/// A member of an ensemble; small preallocation, small chunks.
pub(crate) fn config() -> PeerConfig {
    let mut cfg = PeerConfig { ensemble: Some(Configuration::new(Ensemble::default())), ..PeerConfig::default() };
    cfg.storage.prealloc_bytes = 2000;
    cfg.storage.chunk_bytes = 300;
    cfg
}

pub(crate) fn alone() -> PeerConfig {
    PeerConfig { ensemble: None, ..config() }
}

/// A server that has lived: snapshot.0, epoch 1, these records.
pub(crate) fn lived(cfg: &PeerConfig, counters: u32) -> Rig {
    let mut rig = Rig::recover(cfg, Store::default());
    rig.snapshot(z(0, 0));
    rig.call(|d, out| d.write_accepted(1, out));
    rig.settle().expect("no budget");
    rig.call(|d, out| d.write_current(1, out));
    rig.settle().expect("no budget");
    for c in 1..=counters {
        rig.append(&[z(1, c)]);
        rig.settle().expect("no budget");
    }
    rig.events.clear();
    rig.ops.clear();
    rig
}

/// Why the server must end, if it must.
pub(crate) fn fatal(rig: &Rig) -> Option<Halt> {
    rig.events.iter().find_map(|e| if let DiskEvent::Fatal(h) = e { Some(h.clone()) } else { None })
}
