//! What `cons`, `srvr` and `mntr` show of the client connections.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::front::Front;
use crate::front::conn::Stage;
use crate::ids::{LinkId, Millis, SessionId, Zxid};

/// Latencies of requests in ms since the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Smallest; 0 before the first request.
    pub min: Millis,
    /// Largest.
    pub max: Millis,
    /// Sum.
    pub total: Millis,
    /// Requests.
    pub count: u64,
}

impl Latency {
    pub(super) fn add(&mut self, ms: Millis) {
        self.min = if self.count == 0 { ms } else { self.min.min(ms) };
        self.max = self.max.max(ms);
        self.total += ms;
        self.count += 1;
    }
}

/// Counters of this server since the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontStats {
    /// Packets from clients.
    pub received: u64,
    /// Packets to clients.
    pub sent: u64,
    /// Of answered requests.
    pub latency: Latency,
    /// Refused identities.
    pub auth_failed: u64,
    /// Connections refused for their number, or by the connection throttle.
    pub rejected: u64,
    /// Handshakes asked for.
    pub handshakes: u64,
    /// Times that a connection came to wait in the request throttler.
    pub waited: u64,
    /// Requests that waited there longer than their session lives, dropped with their connections.
    pub stale: u64,
    /// Requests answered with ThrottledOp.
    pub throttled: u64,
    /// Size of the newest reply, bytes; -1 before the first. Events are not counted.
    pub response_last: i64,
    /// Smallest reply, bytes; -1 before the first.
    pub response_min: i64,
    /// Largest reply, bytes; -1 before the first.
    pub response_max: i64,
}

impl FrontStats {
    pub(super) const fn new() -> Self {
        Self {
            received: 0,
            sent: 0,
            latency: Latency { min: 0, max: 0, total: 0, count: 0 },
            auth_failed: 0,
            rejected: 0,
            handshakes: 0,
            waited: 0,
            stale: 0,
            throttled: 0,
            response_last: -1,
            response_min: -1,
            response_max: -1,
        }
    }
    pub(super) fn response(&mut self, bytes: usize) {
        let bytes = bytes as i64;
        self.response_last = bytes;
        self.response_min = if self.response_min < 0 { bytes } else { self.response_min.min(bytes) };
        self.response_max = self.response_max.max(bytes);
    }
}

/// One client connection at one instant.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionView {
    /// Its name.
    pub link: LinkId,
    /// The client's end.
    pub remote: SocketAddr,
    /// Its session, once it has one.
    pub session: Option<SessionId>,
    /// Negotiated timeout, ms; 0 before the handshake.
    pub timeout_ms: i32,
    /// Whether the session is known to this server only.
    pub local: bool,
    /// Whether it is being read from.
    pub reading: bool,
    /// Requests that wait for their reply.
    pub queued: usize,
    /// Bytes sent and not yet drained.
    pub undrained: usize,
    /// Packets from it.
    pub received: u64,
    /// Packets to it.
    pub sent: u64,
    /// Opcode of the last request.
    pub last_op: Option<i32>,
    /// When it was made, ms of the monotonic clock.
    pub established_mono_ms: Millis,
    /// Xid of the last request; -1 before the first.
    pub last_cxid: i64,
    /// Zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply left, ms of the monotonic clock; 0 before the first.
    pub last_response_mono_ms: Millis,
    /// Of the last request, ms.
    pub last_latency_ms: Millis,
    /// Of all of its requests.
    pub latency: Latency,
    /// When it is closed for silence, ms of the monotonic clock.
    pub idle_at_mono_ms: Millis,
}

impl Front {
    /// The client connections, in no order that means anything; the same in every run.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionView> + '_ {
        self.conns.iter().map(|(_, c)| ConnectionView {
            link: c.link,
            remote: c.remote,
            session: matches!(c.stage, Stage::Live | Stage::Ending).then_some(c.session),
            timeout_ms: c.timeout,
            local: c.local,
            reading: !c.paused,
            queued: c.pending.len(),
            undrained: c.undrained,
            received: c.stats.received,
            sent: c.stats.sent,
            last_op: c.stats.last_op,
            established_mono_ms: c.stats.established,
            last_cxid: c.stats.last_cxid,
            last_zxid: c.stats.last_zxid,
            last_response_mono_ms: c.stats.last_response,
            last_latency_ms: c.stats.last_latency,
            latency: c.stats.latency,
            idle_at_mono_ms: c.idle_at,
        })
    }
    /// How many client connections there are.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.conns.len()
    }
    /// Writes and syncs that wait for the ensemble.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.in_flight
    }
    /// Sessions known to this server only.
    #[must_use]
    pub fn local_session_count(&self) -> usize {
        self.local.len()
    }
    /// Those sessions by the instant at which they expire, ms of the monotonic clock, for `dump`.
    #[must_use]
    pub fn local_sessions(&self) -> Vec<(Millis, Vec<SessionId>)> {
        self.local.buckets()
    }
    /// The trace mask, as `stmk` has set it: ZooKeeper's tracing by mask is not there, the number is kept.
    #[must_use]
    pub const fn trace_mask(&self) -> i64 {
        self.trace_mask
    }
    /// How likely the connection throttle refuses a handshake beside what it refuses for lack of tokens, parts per million.
    #[must_use]
    pub const fn drop_ppm(&self) -> u32 {
        self.throttle.drop_ppm()
    }
    /// Counters since the last reset.
    #[must_use]
    pub const fn stats(&self) -> &FrontStats {
        &self.stats
    }
    /// The session behind a connection, for `wchc` and `wchp`.
    #[must_use]
    pub fn session_of(&self, link: LinkId) -> Option<SessionId> {
        self.slot(link).map(|slot| self.conns[slot].session).filter(|s| *s != SessionId::NONE)
    }
    /// `srst`.
    pub fn reset_stats(&mut self) {
        self.stats = FrontStats::new();
    }
    /// `crst`.
    pub fn reset_connection_stats(&mut self) {
        for (_, conn) in self.conns.iter_mut() {
            let s = &mut conn.stats;
            (s.received, s.sent, s.latency, s.last_latency) = (0, 0, Latency::default(), 0);
            (s.last_op, s.last_cxid, s.last_zxid, s.last_response) = (None, -1, Zxid::NONE, 0);
        }
    }
}
