//! One client connection.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};

use crate::error::{CloseReason, ErrorCode};
use crate::front::bytequeue::ByteQueue;
use crate::front::view::Latency;
use crate::ids::{LinkId, Millis, SessionId, Zxid};
use crate::wire::records::Id;

/// How far the conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Its first frame is not complete.
    Fresh,
    /// createSession is on its way. The flag: the request had the readOnly byte.
    Creating(Option<bool>),
    /// The leader is being asked whether the session lives.
    Revalidating(Option<bool>),
    /// A local session is back; the leader is being told.
    Returning(Option<bool>),
    /// Requests are served.
    Live,
    /// The last frame that counts was read: what is pending is answered, nothing more is read.
    Ending,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) xid: i32,
    pub(super) op: i32,
    /// When it was read, ms of the monotonic clock.
    pub(super) since: Millis,
    pub(super) state: State,
}

/// What a pending request waits for.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Its transaction. The flag: -112 is -120 to this client (a local session that may not become global).
    Write { local_session: bool },
    /// The session of this connection becoming global; answered to nobody.
    Upgrade,
    /// The leader. Its path, this many bytes, is in the queue of bodies.
    Sync { len: usize },
    /// Its turn only, and this many bytes of path.
    Synced { len: usize },
    /// Its turn: a read, this many bytes in the queue of bodies, asked with the first `ids` identities.
    Read { len: usize, ids: usize },
    /// Its turn; then this reply.
    Done(Box<[u8]>),
    /// Its turn; then nothing but a header.
    Header { zxid: HeaderZxid, err: ErrorCode },
    /// Its turn; then a null token (sasl without a SASL server).
    NullToken,
    /// Its turn; then this header, if any, and the end of the connection.
    End { reply: Option<(HeaderZxid, ErrorCode)>, why: CloseReason },
}

/// Which zxid stands in a reply without transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeaderZxid {
    /// The last one applied when it leaves.
    Last,
    /// This.
    Fixed(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) link: LinkId,
    pub(super) remote: SocketAddr,
    pub(super) stage: Stage,
    pub(super) session: SessionId,
    /// Negotiated, ms; 0 before the handshake.
    pub(super) timeout: i32,
    /// The session is known to this server only.
    pub(super) local: bool,
    /// The session was seen on another server: the next request ends this connection.
    pub(super) moved: bool,
    /// What it has proved, in order; shared with the requests in flight.
    pub(super) ids: Arc<[Id<'static>]>,
    pub(super) inbox: ByteQueue,
    /// Bodies of the pending requests that need theirs, in order.
    pub(super) bodies: ByteQueue,
    pub(super) pending: VecDeque<Pending>,
    /// How many of them are reads.
    pub(super) reads: usize,
    /// Newest zxid in a reply: no later reply names an older one, as clients take over the last (section 16, quirk 6).
    pub(super) seen: Zxid,
    /// Bytes sent and not yet reported as drained.
    pub(super) undrained: usize,
    /// How many of them may be events, which nobody has asked for just now: an upper bound.
    pub(super) events: usize,
    /// The driver was told to stop reading.
    pub(super) paused: bool,
    /// Listed among the connections that wait for fewer requests in flight.
    pub(super) throttled: bool,
    /// Since when its next request waits in the throttler; ms of the monotonic clock.
    pub(super) held_since: Option<Millis>,
    /// When it counts as dead; ms of the monotonic clock.
    pub(super) idle_at: Millis,
    pub(super) stats: ConnStats,
}

/// What `cons` shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnStats {
    pub(super) established: Millis,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) last_op: Option<i32>,
    pub(super) last_cxid: i64,
    pub(super) last_zxid: Zxid,
    pub(super) last_response: Millis,
    pub(super) last_latency: Millis,
    pub(super) latency: Latency,
}

impl Conn {
    pub(super) fn new(link: LinkId, remote: SocketAddr, now: Millis, idle_at: Millis) -> Self {
        let ip = Id { scheme: Some("ip".into()), id: Some(host_text(remote.ip()).into()) };
        Self {
            link,
            remote,
            stage: Stage::Fresh,
            session: SessionId::NONE,
            timeout: 0,
            local: false,
            moved: false,
            ids: Arc::new([ip]),
            inbox: ByteQueue::default(),
            bodies: ByteQueue::default(),
            pending: VecDeque::new(),
            reads: 0,
            seen: Zxid::ZERO,
            undrained: 0,
            events: 0,
            paused: false,
            throttled: false,
            held_since: None,
            idle_at,
            stats: ConnStats {
                established: now,
                received: 0,
                sent: 0,
                last_op: None,
                last_cxid: -1,
                last_zxid: Zxid::NONE,
                last_response: 0,
                last_latency: 0,
                latency: Latency::default(),
            },
        }
    }

    /// Adds an identity; repeating one is harmless.
    pub(super) fn prove(&mut self, id: Id<'static>) {
        if !self.ids.contains(&id) {
            self.ids = self.ids.iter().cloned().chain([id]).collect();
        }
    }
}

/// An address as Java prints it: IPv6 in eight groups without shortening, IPv4 wherever it is one.
pub(super) fn host_text(ip: IpAddr) -> alloc::string::String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => alloc::format!("{v4}"),
        IpAddr::V6(v6) => {
            let groups: alloc::vec::Vec<_> = v6.segments().iter().map(|g| alloc::format!("{g:x}")).collect();
            groups.join(":")
        }
    }
}
