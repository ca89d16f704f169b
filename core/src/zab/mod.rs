//! ZAB: discovery, synchronisation, broadcast (quorum-protocol sections 4 to 6). A role is a type: [`leader::Leader`], [`learner::Learner`].

pub mod confirm;
pub mod handler;
pub mod history;
mod inbound;
pub mod leader;
pub mod learner;
pub mod sync;

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::config::PeerConfig;
use crate::disk::Disk;
use crate::event::{Event, Outbox};
use crate::ids::{Epoch, LinkId, Now, SessionId, Sid, Zxid};
use crate::jute::{Put, Reader};
use crate::message::{Data, Message};
use crate::mutant::Mutant;
use crate::quorum::Verifier;
use crate::tree::DataTree;
use crate::wire::packet::{Packet, kind};
use crate::wire::records::{Id, op};
use crate::wire::txn::TxnHeader;
use crate::wire::txnlog::Record;
use history::History;

/// What a role may touch while it handles one input.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The time of this input.
    pub now: Now,
    /// What this server was told before it started.
    pub cfg: &'a PeerConfig,
    /// Quorums of the configuration in force.
    pub verifier: &'a Verifier,
    /// Log, snapshots, epochs.
    pub disk: &'a mut Disk,
    /// The tree: a received snapshot is loaded into it.
    pub tree: &'a mut DataTree,
    /// Transactions in memory.
    pub history: &'a mut History,
    /// Actions.
    pub out: &'a mut Outbox,
    /// What only the Peer can do.
    pub effects: &'a mut Effects,
}

/// What a role asks of the Peer, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Back to LOOKING.
    StepDown(&'static str),
    /// The leader has its quorum: its history is committed, clients may be served.
    Established,
    /// The learner is up to date: clients may be served.
    UpToDate,
    /// The epoch of this term is known (answers in the election carry it).
    EpochKnown(Epoch),
    /// Leader: what is on disk does not lead a learner up to the present; a snapshot of the tree does.
    SnapshotWanted,
    /// Leader: a learner forwarded a request.
    Request {
        /// Who.
        from: Sid,
        /// Through which link.
        link: LinkId,
        /// Whose.
        session: SessionId,
        /// Which.
        cxid: i32,
        /// Opcode.
        op: i32,
        /// The client's record, in [`Effects::arena`].
        body: Range<usize>,
        /// What the client has proved.
        ids: Vec<Id<'static>>,
    },
    /// Leader: a learner's client resumes this session.
    Revalidate {
        /// Who.
        from: Sid,
        /// Through which link.
        link: LinkId,
        /// Which session.
        session: SessionId,
        /// With which timeout in ms.
        timeout: i32,
    },
    /// Leader: a learner's client has resumed a local session at home.
    ResumedAtHome(LinkId, SessionId),
    /// Leader: a learner heard of this session.
    Touch(SessionId, i32),
    /// Leader: a learner forwarded a sync.
    LearnerSync(LinkId),
    /// Leader: the sync of a client of this server is done.
    SyncDone(LinkId),
    /// The leader's answer to a revalidation.
    Revalidated(SessionId, bool),
    /// Learner: the leader knows that this local session is back.
    Returned(SessionId),
    /// Learner: the leader's answer to the oldest sync.
    SyncReply,
}

/// Effects of one input, with the bytes that they speak of.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// In order.
    pub list: Vec<Effect>,
    /// Bodies of requests.
    pub arena: Vec<u8>,
    /// Quorum packets read so far, in every role; [`Effects::clear`] leaves it.
    pub packets: u64,
}

impl Effects {
    /// Adds one.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
    /// Forgets all; the Peer has acted on them.
    pub fn clear(&mut self) {
        self.list.clear();
        self.arena.clear();
    }
}

/// Hands a record to the log.
fn log(record: &Record, cfg: &PeerConfig, disk: &mut Disk, out: &mut Outbox) {
    if cfg.mutants.has(Mutant::K26)
        && TxnHeader::decode(&mut Reader::new(&record.payload)).is_ok_and(|h| h.kind == op::ERROR)
    {
        return;
    }
    if cfg.trace {
        out.event(Event::Logged { zxid: record.zxid, hash: payload_hash(&record.payload) });
    }
    disk.append(record.zxid, record.payload.clone());
}

/// Payloads up to this many bytes are copied into the outbox, larger ones are shared.
const COPY_MAX: usize = 4096;

/// Sends a packet that carries a transaction. Returns the bytes queued.
pub(crate) fn send_record(out: &mut Outbox, link: LinkId, packet_kind: i32, record: &Record) -> usize {
    if record.payload.len() <= COPY_MAX {
        let (zxid, payload) = (record.zxid, &record.payload);
        let message = || Message::Packet { kind: packet_kind, zxid, data: Data::Shared(payload.clone()) };
        return out.send_message(link, message, |buf| Packet::new(packet_kind, zxid, Some(payload)).encode(buf));
    }
    let head = out.send_with(link, |buf| {
        buf.put_i32(packet_kind);
        buf.put_i64(record.zxid.0);
        buf.put_len(record.payload.len());
    });
    out.send_shared(link, record.payload.clone());
    let end = out.send_with(link, |buf| buf.put_i32(-1));
    head + record.payload.len() + end
}

/// Sends a packet. Returns the bytes queued.
pub(crate) fn send_packet(out: &mut Outbox, link: LinkId, packet_kind: i32, zxid: Zxid, data: Option<&[u8]>) -> usize {
    let inside = if data.is_some() { Data::Inside } else { Data::None };
    let message = || Message::Packet { kind: packet_kind, zxid, data: inside };
    out.send_message(link, message, |buf| Packet::new(packet_kind, zxid, data).encode(buf))
}

/// Sends PROPOSAL and COMMIT of one history entry. Returns the bytes queued.
pub(crate) fn send_pair(out: &mut Outbox, link: LinkId, record: &Record) -> usize {
    send_record(out, link, kind::PROPOSAL, record) + send_packet(out, link, kind::COMMIT, record.zxid, None)
}

/// A stable hash of a transaction's header and body, for checks that compare histories.
#[must_use]
pub fn payload_hash(payload: &Bytes) -> u64 {
    use core::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(0, 0);
    hasher.write(payload);
    hasher.finish()
}

/// Bound of the data of a quorum packet: the largest transaction that a client frame can become, plus its header.
pub(crate) fn packet_max(cfg: &PeerConfig) -> usize {
    cfg.limits.frame_max + cfg.limits.frame_extra + 4096
}
