//! What a Peer is told and what it answers: inputs, actions, typed events, and the buffer that carries them out.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Range;

use bytes::Bytes;

use crate::error::{CloseReason, DiskError};
use crate::ids::{Epoch, LinkId, Millis, SessionId, Sid, Ticket, Zxid};
use crate::message::{Framed, Message};

/// The listening ports of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Port {
    /// Clients.
    Client,
    /// Notifications of leader election; always open in an ensemble.
    Election,
    /// Learners; open only while leading.
    Quorum,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The deadline passed, or the driver felt like it: early is harmless.
    Tick,
    /// Something happened on a connection.
    Link {
        /// Which.
        link: LinkId,
        /// What.
        event: LinkEvent<'a>,
    },
    /// A disk operation ended.
    Disk {
        /// The ticket that [`Outbox::disk`] gave.
        ticket: Ticket,
        /// How it ended.
        result: Result<DiskReply, DiskError>,
    },
    /// An operator asks for something.
    Admin(AdminCommand),
}

/// What happens on a connection.
#[derive(Clone, Debug)]
pub enum LinkEvent<'a> {
    /// Accepted on `port`, or (for a link that the core asked for) connected.
    Opened {
        /// The port that accepted it, or the kind of port that it was connected to.
        port: Port,
        /// The other end.
        remote: SocketAddr,
    },
    /// Bytes arrived, cut anywhere.
    Bytes(&'a [u8]),
    /// Bytes arrived, and the driver knows messages in them: it has both from the [`Outbox::messages`] of the Peer that sent them. Does
    /// what `Bytes` does, but these messages need not be decoded. Not for what another process has sent.
    Messages {
        /// As in `Bytes`.
        bytes: &'a [u8],
        /// In their order; not all that are there need to be known.
        messages: &'a [Framed],
    },
    /// The connection is gone, or could not be made. Last event of a link that the core did not close itself.
    Closed,
    /// This many bytes of what was sent have left for the network.
    Drained(usize),
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Stop serving: a leader hands over, queues are flushed, then [`Action::Halt`].
    Shutdown,
    /// Take a snapshot now.
    Snapshot,
    /// Reset server statistics (`srst`).
    ResetStats,
    /// Reset connection statistics (`crst`).
    ResetConnectionStats,
}

/// A directory of a server's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Dir {
    /// `dataDir/version-2`: snapshots and epoch files.
    Data,
    /// `dataLogDir/version-2`: transaction logs. May be the same directory as `Data`.
    Log,
    /// `dataDir/quorate`: our own side files; a server without it still has a valid Java directory.
    Side,
    /// `dataDir` itself: `myid`, `initialize`.
    Base,
}

/// A file of a server's data. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// Where.
    pub dir: Dir,
    /// Its name there, without a separator.
    pub name: Arc<str>,
}

impl FileName {
    /// The file `name` in `dir`.
    #[must_use]
    pub fn new(dir: Dir, name: &str) -> Self {
        Self { dir, name: name.into() }
    }
}

/// The two queues of the disk: order holds within a lane, across lanes only by waiting for completions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Lane {
    /// The transaction log and the epoch files.
    Log,
    /// Snapshots, reading old logs, purging.
    Bulk,
}

/// A disk primitive. What survives a crash: written bytes and lengths after `Fsync` of the file; creations, renames and
/// unlinks after `FsyncDir`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskOp {
    /// Makes an empty file, or empties an existing one.
    Create(FileName),
    /// Writes at an offset, growing the file where needed.
    WriteAt(FileName, u64, Bytes),
    /// Makes the file at least this long; the new part reads as zeros.
    Extend(FileName, u64),
    /// Cuts the file to this length.
    Truncate(FileName, u64),
    /// Makes the file's bytes and length durable.
    Fsync(FileName),
    /// Renames, replacing the target.
    Rename(FileName, FileName),
    /// Removes a file.
    Unlink(FileName),
    /// Makes creations, renames and unlinks in this directory durable.
    FsyncDir(Dir),
    /// Reads up to this many bytes; fewer only at the end of the file.
    ReadRange(FileName, u64, u64),
    /// Lists the files of a directory with their lengths; an absent directory is created and empty.
    List(Dir),
}

/// The answer of a disk operation that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskReply {
    /// Done.
    Done,
    /// Bytes read.
    Data(Bytes),
    /// Names and lengths, in any order.
    Files(Vec<(String, u64)>),
}

/// Bytes of a [`Action::Send`]: a range of the outbox, or shared.
#[derive(Clone, Debug)]
pub enum Payload {
    /// In [`Outbox::bytes_of`].
    Inline(Range<usize>),
    /// Shared with other links or with the log.
    Shared(Bytes),
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Accept connections on this port. Repeating it is harmless.
    Listen(Port),
    /// Stop accepting on this port; its open links stay.
    Unlisten(Port),
    /// Open a connection; `LinkEvent::Opened` or `Closed` follows. The address is configuration text, resolved anew.
    Connect {
        /// The link's name from now on.
        link: LinkId,
        /// What kind of port it goes to.
        port: Port,
        /// `host:port`.
        address: Arc<str>,
    },
    /// Queue bytes on an open link; `LinkEvent::Drained` reports their departure. Before it is open they are dropped.
    Send {
        /// Where to.
        link: LinkId,
        /// What.
        payload: Payload,
    },
    /// Close after what was queued has left (bounded by the driver). No event follows.
    Close {
        /// Which.
        link: LinkId,
        /// Why, for the log.
        why: CloseReason,
    },
    /// Stop reading from a link.
    Pause(LinkId),
    /// Read from it again.
    Resume(LinkId),
    /// Do this on the disk; an `Input::Disk` with the ticket follows.
    Disk {
        /// In which queue.
        lane: Lane,
        /// Its name.
        ticket: Ticket,
        /// What.
        op: DiskOp,
    },
    /// A four-letter word was asked on a fresh client connection: the driver writes the text, then closes the link.
    FourLetter {
        /// Who asked. The core forgets this link.
        link: LinkId,
        /// The word.
        word: [u8; 4],
    },
    /// Something that logs, metrics, checks and diagrams want to know.
    Event(Event),
    /// This server ends: clean shutdown is done, or it must not go on. No input is handled after it.
    Halt(Halt),
}

/// Why a server ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Halt {
    /// An operator asked.
    Shutdown,
    /// The disk failed on a path that carries promises; recovery decides what is true.
    Disk(String),
    /// The data directory cannot be used: what is wrong and what to do.
    BadData(String),
}

/// What a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// Reading its disk.
    Recovering,
    /// LOOKING: in an election.
    Looking,
    /// FOLLOWING a leader (voting or not).
    Following,
    /// LEADING.
    Leading,
    /// OBSERVING a leader.
    Observing,
    /// Without a quorum, serving reads to clients that asked for that.
    ReadOnly,
    /// A server without an ensemble.
    Standalone,
}

impl Role {
    /// The word of ZooKeeper's logs and `srvr`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recovering => "recovering",
            Self::Looking => "looking",
            Self::Following => "follower",
            Self::Leading => "leader",
            Self::Observing => "observer",
            Self::ReadOnly => "read-only",
            Self::Standalone => "standalone",
        }
    }
}

/// How a learner is brought up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SyncKind {
    /// The transactions it lacks.
    Diff,
    /// First a cut of its log.
    Trunc,
    /// A whole snapshot.
    Snap,
}

/// How far the disk can be trusted after recovery (design page, "Disk").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Health {
    /// Complete.
    Intact,
    /// No history at all and no `initialize` file: counts only among servers as empty.
    Empty,
    /// A tail above the watermark was cut: possibly acknowledged.
    Doubtful,
    /// Something that was durable is gone: counted in no quorum until a leader has synced it.
    Damaged,
}

/// What happened inside, typed. Adapters log and count them; the simulator checks and draws them.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// Recovery is over.
    Recovered {
        /// Newest zxid in log and snapshots.
        last_logged: Zxid,
        /// Zxid up to which the tree stands.
        applied: Zxid,
        /// Durable promise.
        accepted_epoch: Epoch,
        /// Epoch of the last leader this server has synchronised with.
        current_epoch: Epoch,
        /// Trust.
        health: Health,
    },
    /// The role changed.
    RoleChanged {
        /// The new role.
        role: Role,
        /// The epoch in force, 0 while looking.
        epoch: Epoch,
    },
    /// A round of election began, with this own vote.
    ElectionStarted {
        /// Logical clock.
        round: i64,
        /// Own last logged zxid as announced.
        zxid: Zxid,
        /// Own current epoch as announced.
        epoch: Epoch,
    },
    /// A leader was elected as far as this server knows.
    Elected {
        /// Whom.
        leader: Sid,
        /// Milliseconds since LOOKING began.
        took_ms: Millis,
    },
    /// acceptedEpoch is durable.
    EpochAccepted(Epoch),
    /// currentEpoch is durable.
    EpochCurrent(Epoch),
    /// An ACKEPOCH for this epoch was sent.
    EpochAcked(Epoch),
    /// The leader chose how to bring this learner up to date.
    SyncChosen {
        /// Whom.
        learner: Sid,
        /// How.
        kind: SyncKind,
        /// Where the learner stood.
        from: Zxid,
        /// TRUNC and SNAP: to where.
        to: Zxid,
    },
    /// A learner sent ACK(NEWLEADER): its history of `last_logged` and its epoch are durable.
    NewLeaderAcked {
        /// Epoch.
        epoch: Epoch,
        /// Newest durable zxid.
        last_logged: Zxid,
    },
    /// A leader has its quorum of NEWLEADER acks.
    Established {
        /// Its epoch.
        epoch: Epoch,
        /// Its newest zxid: the end of its initial history.
        last_logged: Zxid,
    },
    /// A learner got UPTODATE and serves.
    UpToDate {
        /// Epoch.
        epoch: Epoch,
        /// Applied zxid.
        applied: Zxid,
    },
    /// A leader proposed.
    Proposed {
        /// The transaction's id.
        zxid: Zxid,
        /// Hash of header and body.
        hash: u64,
        /// Header, body and digest as logged and sent: the oracle of the simulator explains every one of them.
        record: Bytes,
    },
    /// A transaction was handed to the log.
    Logged {
        /// The transaction's id.
        zxid: Zxid,
        /// Hash of header and body.
        hash: u64,
    },
    /// Everything up to this zxid is fsynced in the log.
    Durable(Zxid),
    /// An ACK for this proposal was sent to the leader, or counted by the leader for itself.
    Acked(Zxid),
    /// The leader decided that this zxid is committed.
    Decided(Zxid),
    /// A committed transaction was applied to the tree.
    Applied {
        /// The transaction's id.
        zxid: Zxid,
        /// Hash of header and body.
        hash: u64,
        /// Tree digest afterwards.
        digest: u64,
    },
    /// The tree was replaced by a snapshot at this zxid.
    TreeReplaced {
        /// Zxid of the snapshot.
        zxid: Zxid,
        /// Tree digest afterwards.
        digest: u64,
    },
    /// Log entries above this zxid were removed.
    Truncated(Zxid),
    /// A snapshot became durable.
    SnapshotTaken {
        /// Its zxid.
        zxid: Zxid,
        /// Its size.
        bytes: u64,
        /// From the start of the walk to the rename.
        took_ms: Millis,
    },
    /// The leader decided that this session is over.
    SessionExpired {
        /// Which.
        session: SessionId,
        /// Milliseconds since its last touch.
        idle_ms: Millis,
        /// Its timeout.
        timeout_ms: Millis,
    },
    /// A record's digest does not match the tree: divergence or a bug.
    DigestMismatch {
        /// After which transaction.
        zxid: Zxid,
        /// Computed here.
        ours: u64,
        /// In the record.
        theirs: u64,
    },
    /// An fsync of the log took this long.
    FsyncTook(Millis),
    /// A connection was refused or closed for a reason that an operator should see.
    LinkClosed {
        /// Which.
        link: LinkId,
        /// The other end, where known.
        remote: Option<SocketAddr>,
        /// The other server, where known.
        sid: Option<Sid>,
        /// Why.
        why: CloseReason,
    },
    /// Something that an operator should read.
    Warning(String),
}

/// Messages that an [`Outbox`] has kept.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [Framed]);

impl<'a> Messages<'a> {
    /// Those of the next payload, and the place that they count their own from: the payload begins there.
    pub fn of(&mut self, payload: &Payload) -> (&'a [Framed], usize) {
        let (false, Payload::Inline(range)) = (self.0.is_empty(), payload) else { return (&[], 0) };
        let here = self.0.iter().take_while(|m| m.end <= range.end).count();
        let (these, later) = self.0.split_at(here);
        self.0 = later;
        (these, range.start)
    }
}

/// Memory that an [`Outbox`] keeps for the next step: the list of a hundred thousand children fits.
const ARENA_KEPT: usize = 4 << 20;

/// The buffer that carries actions out of a step; the driver keeps one for the life of its Peer and drains it after each step.
///
/// Consecutive [`Outbox::send`]s to one link become one action. No allocation in the steady state.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    actions: Vec<Action>,
    arena: Vec<u8>,
    /// What was sent as messages, by their places in the arena; `None`: nobody wants to know.
    messages: Option<Vec<Framed>>,
    next_ticket: u64,
    next_link: u64,
}

impl Outbox {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// A buffer that keeps the messages beside their bytes, for [`LinkEvent::Messages`].
    #[must_use]
    pub fn with_messages() -> Self {
        Self { messages: Some(Vec::new()), ..Self::default() }
    }
    /// The actions so far, in the order in which they must be carried out.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }
    /// The bytes of a payload.
    #[must_use]
    pub fn bytes_of<'a>(&'a self, payload: &'a Payload) -> &'a [u8] {
        match payload {
            Payload::Inline(range) => &self.arena[range.clone()],
            Payload::Shared(bytes) => bytes,
        }
    }
    /// The messages that were sent, for one pass over the actions.
    #[must_use]
    pub fn messages(&self) -> Messages<'_> {
        Messages(self.messages.as_deref().unwrap_or_default())
    }
    /// Forgets the actions after the driver has carried them out. Counters stay.
    pub fn clear(&mut self) {
        self.actions.clear();
        self.arena.clear();
        if let Some(messages) = &mut self.messages {
            messages.clear();
        }
        if self.arena.capacity() > ARENA_KEPT {
            self.arena.shrink_to(ARENA_KEPT);
        }
    }
    /// Adds any action.
    pub fn push(&mut self, action: Action) {
        self.actions.push(action);
    }
    /// Reports an event.
    pub fn event(&mut self, event: Event) {
        self.actions.push(Action::Event(event));
    }
    /// Sends a copy of these bytes.
    pub fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.send_with(link, |out| out.extend_from_slice(bytes));
    }
    /// Sends what `fill` appends to the buffer it is given; returns how many bytes that was. Nothing appended: nothing sent.
    pub fn send_with(&mut self, link: LinkId, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.arena.len();
        fill(&mut self.arena);
        let end = self.arena.len();
        assert!(end >= start, "a sender only appends");
        if end == start {
            return 0;
        }
        if let Some(Action::Send { link: last, payload: Payload::Inline(range) }) = self.actions.last_mut()
            && *last == link
            && range.end == start
        {
            range.end = end;
        } else {
            self.actions.push(Action::Send { link, payload: Payload::Inline(start..end) });
        }
        end - start
    }
    /// As [`Outbox::send_with`], where `fill` appends the bytes of this message.
    pub fn send_message(
        &mut self,
        link: LinkId,
        message: impl FnOnce() -> Message,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let sent = self.send_with(link, fill);
        if let Some(messages) = &mut self.messages {
            let end = self.arena.len();
            messages.push(Framed { start: end - sent, end, message: message() });
        }
        sent
    }
    /// Sends shared bytes without a copy.
    pub fn send_shared(&mut self, link: LinkId, bytes: Bytes) {
        if !bytes.is_empty() {
            self.actions.push(Action::Send { link, payload: Payload::Shared(bytes) });
        }
    }
    /// Closes a link after what was sent has left.
    pub fn close(&mut self, link: LinkId, why: CloseReason) {
        self.actions.push(Action::Close { link, why });
    }
    /// Opens a connection and names it.
    pub fn connect(&mut self, port: Port, address: &Arc<str>) -> LinkId {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.actions.push(Action::Connect { link, port, address: address.clone() });
        link
    }
    /// Queues a disk operation and names it.
    pub fn disk(&mut self, lane: Lane, op: DiskOp) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.actions.push(Action::Disk { lane, ticket, op });
        ticket
    }
}
