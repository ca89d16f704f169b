//! The leader's side of one learner: what it said, what was sent to it, how far it is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::disk::ReaderId;
use crate::event::Outbox;
use crate::ids::{Epoch, LinkId, Millis, Sid, Zxid};
use crate::wire::inbuf::InBuf;
use crate::wire::packet::{Packet, kind};
use crate::wire::txnlog::Record;
use crate::zab::{send_packet, send_record};

/// Longer data that goes to many is shared, in bytes.
const COPY_MAX: usize = 1024;

/// Where the bytes of a learner's catching up come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feed {
    /// The log on disk, to see whether it holds the learner's newest zxid.
    Probe(ReaderId),
    /// A finished snapshot file.
    Snapshot(ReaderId, Zxid),
    /// The log on disk.
    Log(ReaderId),
}

/// How far the conversation with a learner is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Its FOLLOWERINFO or OBSERVERINFO is awaited.
    Info,
    /// The new epoch is not fixed, or not durable, yet.
    EpochPending,
    /// LEADERINFO was sent, its ACKEPOCH is awaited.
    AckEpoch,
    /// It waits for a quorum of ACKEPOCH.
    Waiting,
    /// It is being brought up to date from disk.
    Feeding(Feed),
    /// NEWLEADER was queued; live packets are forwarded.
    Forwarding,
    /// It acknowledged NEWLEADER, the leader is not established yet.
    Acked,
    /// UPTODATE was queued.
    Up,
}

/// One learner's connection at the leader.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Its link.
    pub link: LinkId,
    /// Its address.
    pub remote: SocketAddr,
    /// Incomplete packets.
    pub inbuf: InBuf,
    /// Who it is, once it said so.
    pub sid: Option<Sid>,
    /// It does not vote by its own word.
    pub observer: bool,
    /// It is a Quorate server (our own marker behind the LearnerInfo).
    pub ours: bool,
    /// It said that its tail is doubtful.
    pub doubtful: bool,
    /// It said that it has no history and nobody vouches for that.
    pub empty: bool,
    /// How far.
    pub stage: Stage,
    /// Its newest logged zxid, from ACKEPOCH.
    pub peer_last: Zxid,
    /// Its promise, from its info packet.
    pub accepted: Epoch,
    /// When its last packet came.
    pub heard_ms: Millis,
    /// Bytes queued and not yet on their way.
    pub undrained: usize,
    /// Newest history entry that was queued.
    pub sent: Zxid,
    /// COMMITs and INFORMs between NEWLEADER and UPTODATE (3.8 learners crash on them, ZOOKEEPER-4394).
    pub held: Vec<u8>,
    /// Syncs that are not answered yet, oldest first: the newest proposal when each arrived, and the COMMITs and INFORMs that
    /// must not overtake its answer. Empty for Quorate learners, which do not mind.
    syncs: VecDeque<(Zxid, Vec<u8>)>,
    /// ACKs of transactions that overtook ACK(NEWLEADER) (ZOOKEEPER-4685).
    pub early_acks: Vec<Zxid>,
    /// PINGs queued since UPTODATE and echoes received.
    pub pings: (u64, u64),
    /// The echo that confirms the round of syncs in progress.
    pub confirm_at: Option<u64>,
    /// The link was closed from here; the handler is about to go.
    pub closed: bool,
}

impl Handler {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(link: LinkId, remote: SocketAddr, now: Millis) -> Self {
        Self {
            link,
            remote,
            inbuf: InBuf::default(),
            sid: None,
            observer: false,
            ours: false,
            doubtful: false,
            empty: false,
            stage: Stage::Info,
            peer_last: Zxid::ZERO,
            accepted: 0,
            heard_ms: now,
            undrained: 0,
            sent: Zxid::ZERO,
            held: Vec::new(),
            syncs: VecDeque::new(),
            early_acks: Vec::new(),
            pings: (0, 0),
            confirm_at: None,
            closed: false,
        }
    }

    /// Whether live packets go to it.
    #[must_use]
    pub fn forwarding(&self) -> bool {
        matches!(self.stage, Stage::Forwarding | Stage::Acked | Stage::Up)
    }

    /// Whether it has everything up to NEWLEADER on its disk.
    #[must_use]
    pub fn synced(&self) -> bool {
        matches!(self.stage, Stage::Acked | Stage::Up)
    }

    /// Queues a packet.
    pub fn send(&mut self, out: &mut Outbox, packet_kind: i32, zxid: Zxid, data: Option<&[u8]>) {
        self.undrained += send_packet(out, self.link, packet_kind, zxid, data);
    }

    /// Queues a packet whose data is sent to thousands: it is not copied for each.
    pub fn send_shared(&mut self, out: &mut Outbox, packet_kind: i32, zxid: Zxid, data: &Bytes) {
        if data.len() <= COPY_MAX {
            return self.send(out, packet_kind, zxid, Some(data));
        }
        let packet = Packet::new(packet_kind, zxid, Some(data));
        let head = out.send_with(self.link, |buf| packet.encode_head(buf));
        out.send_shared(self.link, data.clone());
        let tail = out.send_with(self.link, |buf| packet.encode_tail(buf));
        self.undrained += head + data.len() + tail;
    }

    /// Queues PROPOSAL and COMMIT of a history entry.
    pub fn send_history(&mut self, out: &mut Outbox, record: &Record) {
        debug_assert!(record.zxid > self.sent, "history goes out in order, once");
        self.undrained += super::send_pair(out, self.link, record);
        self.sent = record.zxid;
    }

    /// Queues a live proposal; observers hear of it when it is decided.
    pub fn propose(&mut self, out: &mut Outbox, record: &Record) {
        if !self.observer {
            self.undrained += send_record(out, self.link, kind::PROPOSAL, record);
        }
    }

    /// Bytes that wait for this learner.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.undrained + self.held.len() + self.syncs.iter().map(|(_, behind)| behind.len()).sum::<usize>()
    }

    /// A sync was forwarded while `last_proposed` was the newest proposal.
    ///
    /// A Java learner has one queue for its clients' syncs and writes, and takes a COMMIT whose request is not at the head for
    /// somebody else's: the request is then never answered, nor is any behind it (quorum-protocol section 6). So what is
    /// decided later stays behind the SYNC, which here waits for a round of PINGs.
    pub fn sync_arrived(&mut self, last_proposed: Zxid) {
        if !self.ours {
            self.syncs.push_back((last_proposed, Vec::new()));
        }
    }

    /// Queues the answer to the oldest sync, and what was held behind it.
    pub fn sync_done(&mut self, out: &mut Outbox) {
        self.send(out, kind::SYNC, Zxid::ZERO, None);
        if let Some((_, behind)) = self.syncs.pop_front()
            && !behind.is_empty()
        {
            self.undrained += behind.len();
            out.send(self.link, &behind);
        }
    }

    /// Queues the news that a proposal is decided, or holds it until UPTODATE or behind a sync.
    pub fn decide(&mut self, out: &mut Outbox, record: &Record) {
        let (packet_kind, data) =
            if self.observer { (kind::INFORM, Some(&record.payload[..])) } else { (kind::COMMIT, None) };
        let behind = self.syncs.iter_mut().rev().find(|(last_proposed, _)| *last_proposed < record.zxid);
        if let Some((_, held)) = behind {
            Packet::new(packet_kind, record.zxid, data).encode(held);
        } else if self.stage == Stage::Up {
            self.undrained += match data {
                Some(_) => send_record(out, self.link, packet_kind, record),
                None => send_packet(out, self.link, packet_kind, record.zxid, None),
            };
        } else {
            Packet::new(packet_kind, record.zxid, data).encode(&mut self.held);
        }
    }

    /// Queues UPTODATE and what was held for it.
    pub fn up_to_date(&mut self, out: &mut Outbox) {
        assert_eq!(self.stage, Stage::Acked, "UPTODATE follows ACK(NEWLEADER)");
        self.stage = Stage::Up;
        // What was queued before UPTODATE is not echoed.
        self.pings = (0, 0);
        self.send(out, kind::UPTODATE, Zxid::NONE, None);
        let held = core::mem::take(&mut self.held);
        self.undrained += held.len();
        out.send(self.link, &held);
    }

    /// Queues a PING.
    pub fn ping(&mut self, out: &mut Outbox, last_proposed: Zxid) {
        self.pings.0 += 1;
        self.send(out, kind::PING, last_proposed, None);
    }
}
