//! Applying what is decided and durable, loading from disk, and walking the tree into snapshots.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::RecoverySink;
use crate::error::ErrorCode;
use crate::event::{Event, Outbox};
use crate::ids::{Now, SessionId, Zxid};
use crate::mutant::{Mutant, Mutants};
use crate::peer::{Peer, State, Walk};
use crate::session;
use crate::tree::DataTree;
use crate::wire::records::{Acl, StatPersisted};
use crate::wire::snapshot::SnapSink;
use crate::wire::txn::{Txn, decode_record};
use crate::wire::txnlog::Record;
use crate::zab::history::History;
use crate::zab::payload_hash;

/// Takes what recovery reads: snapshots into the tree, log records into the tail.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    pub(super) tree: &'a mut DataTree,
    pub(super) history: &'a mut History,
    pub(super) mutants: Mutants,
}

impl SnapSink for Loader<'_> {
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str> {
        self.tree.session(id, timeout)
    }
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str> {
        self.tree.acl(id, acl)
    }
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str> {
        self.tree.node(path, data, acl, stat)
    }
}

impl RecoverySink for Loader<'_> {
    fn begin_snapshot(&mut self, zxid: Zxid) {
        self.tree.begin_load();
        self.history.reset(zxid);
    }
    fn end_snapshot(&mut self, zxid: Zxid, digest: Option<u64>) -> u64 {
        self.tree.finish_load(zxid, digest == Some(self.tree.digest()));
        self.tree.digest()
    }
    fn begin_empty(&mut self) {
        self.tree.clear();
        self.history.reset(Zxid::ZERO);
    }
    fn record(&mut self, zxid: Zxid, payload: Bytes) -> Result<(), String> {
        let (_, txn, _) = decode_record(&payload).map_err(|e| e.to_string())?;
        if matches!(txn, Txn::Error(ErrorCode::NoNode)) && self.mutants.has(Mutant::B50) {
            return Err("it speaks of a znode that does not exist".into());
        }
        self.history.push(Record { zxid, payload });
        Ok(())
    }
}

impl Peer {
    /// Applies what is decided and durable. Returns whether there was something.
    pub(super) fn apply_ready(&mut self, now: Now, out: &mut Outbox) -> bool {
        let mut any = false;
        // A tree that is being loaded anew takes nothing.
        while let Some(record) = self.history.next_to_apply(self.applicable()) {
            let payload = record.payload.clone();
            if self.cfg.mutants.has(Mutant::K25)
                && decode_record(&payload).is_ok_and(|(header, txn, _)| self.tree.begin_multi(&header, &txn))
            {
                break;
            }
            self.apply(now, &payload, out);
            any = true;
        }
        if any {
            self.disk.committed_hint(self.history.applied());
        }
        any
    }

    /// Up to where decided transactions may be applied: what the own log holds durably.
    fn applicable(&self) -> Zxid {
        match &self.state {
            State::Following(l) if l.keeps_no_log() => Zxid(i64::MAX),
            _ => self.disk.durable(),
        }
    }

    fn apply(&mut self, now: Now, payload: &Bytes, out: &mut Outbox) {
        let (header, txn, digest) = decode_record(payload).expect("checked before it was logged");
        self.tree.apply(&header, &txn, &mut self.applied);
        let early = self.front.serving().is_none() && !matches!(self.state, State::Recovering);
        self.history.applied_into(!(early && self.cfg.mutants.has(Mutant::B18)));
        if self.cfg.trace {
            let hash = payload_hash(payload);
            out.event(Event::Applied { zxid: header.zxid, hash, digest: self.tree.digest() });
        }
        if let Some(digest) = digest
            && digest.version == crate::wire::txn::TxnDigest::VERSION
            && digest.digest != self.tree.digest()
            && header.zxid > self.fuzzy_until
        {
            self.digest_mismatches += 1;
            if self.digest_mismatches == 1 || self.cfg.trace {
                let (ours, theirs) = (self.tree.digest(), digest.digest);
                out.event(Event::DigestMismatch { zxid: header.zxid, ours, theirs });
            }
        }
        if let State::Leading(p) | State::Standalone(p) = &mut self.state {
            // The initial history was prepared by nobody here.
            if header.zxid > p.zab.initial() {
                p.prepare.applied(header.zxid, &self.tree);
            }
            if matches!(txn, Txn::CloseSession { .. }) {
                p.tracker.remove(session::clock(now, self.cfg.mutants), header.session);
            }
        }
        if let Some(expiry) = &mut self.own_expiry {
            match &txn {
                Txn::CreateSession { timeout } => expiry.touch(now.mono_ms, header.session, (*timeout).into()),
                Txn::CloseSession { .. } => expiry.remove(header.session),
                _ => {}
            }
        }
        let applied = core::mem::take(&mut self.applied);
        let (front, mut ctx) = self.front_ctx(now, out);
        front.applied(&header, &txn, &applied, &mut ctx);
        self.applied = applied;
    }

    // ----- snapshots of the own tree -----------------------------------------------------------------------------

    /// Starts a snapshot when one is due, and feeds the one under way in bounded steps.
    pub(super) fn continue_walk(&mut self, now: Now, out: &mut Outbox) {
        if self.walk.is_none() && (self.walk_wanted || self.disk.snapshot_due()) && self.may_walk() {
            self.walk_wanted = false;
            if self.cfg.mutants.has(Mutant::B05) || self.cfg.mutants.has(Mutant::B25) {
                self.history.commit_to(self.disk.durable());
                self.apply_ready(now, out);
            }
            let label = if self.cfg.mutants.has(Mutant::B10) { self.history.last() } else { self.tree.last_zxid() };
            let zxid = label;
            self.tree.begin_walk();
            self.disk.snapshot_begin(zxid, self.tree.digest(), out);
            self.walk = Some(Walk { zxid, since: now.mono_ms, complete: false });
        }
        let Some(walk) = &mut self.walk else { return };
        if !walk.complete && !self.tree.is_walking() {
            // The tree was replaced under it.
            self.walk = None;
            self.disk.snapshot_abort(out);
            return;
        }
        let chunk = self.cfg.storage.chunk_bytes;
        while !walk.complete && self.disk.snapshot_backlog() < chunk * 2 {
            let mut bytes = Vec::with_capacity(chunk.min(64 << 10));
            walk.complete = self.tree.walk(chunk, &mut bytes);
            self.disk.snapshot_bytes(Bytes::from(bytes), out);
            if walk.complete {
                debug_assert!(walk.zxid <= self.history.applied() || self.cfg.mutants.has(Mutant::B10));
                self.disk.snapshot_finish(out);
            }
        }
    }

    /// A snapshot of the present tree would help, unless that is what the newest one holds already.
    pub(super) fn want_snapshot(&mut self) {
        self.walk_wanted |= self.walk.is_none() && self.disk.newest_snapshot() < Some(self.tree.last_zxid());
    }

    /// A snapshot holds decided state only, and none is taken while the tree is being replaced.
    fn may_walk(&self) -> bool {
        match &self.state {
            State::Following(l) => l.is_up(),
            State::Leading(_) | State::Standalone(_) => true,
            State::Looking { .. } => self.disk.is_first_start(),
            State::Recovering | State::Settling | State::Stopped => false,
        }
    }
}
