//! Bounds on what waits for the ensemble: the outstanding limit, the request throttler (client-protocol 4, row -127; operations 10).
//!
//! A request waits unread in its connection's buffer, so it takes no memory beyond what that buffer may hold; the first to wait is
//! the first to go on. Reads are answered at once and count for nothing.

use crate::config::RequestThrottle;
use crate::error::CloseReason;
use crate::front::{Front, FrontCtx};
use crate::ids::Millis;
use crate::request::read::is_read;
use crate::wire::records::op;

impl Front {
    /// So many requests wait for the ensemble that nobody's next one may join them.
    pub(super) const fn is_throttled(&self, throttle: &RequestThrottle) -> bool {
        throttle.max_requests > 0 && self.in_flight >= throttle.max_requests
    }

    /// At a bound. Who waits for fewer requests in flight is listed.
    pub(super) fn must_wait(&mut self, slot: usize, ctx: &FrontCtx<'_>) -> bool {
        let throttled = self.is_throttled(&ctx.cfg.limits.requests);
        let blocked = throttled || self.is_blocked(slot, ctx);
        let conn = &mut self.conns[slot];
        if throttled && conn.held_since.is_none() {
            conn.held_since = Some(ctx.now.mono_ms);
            self.stats.waited += 1;
        }
        if blocked && (throttled || self.in_flight >= self.in_flight_max) && !conn.throttled {
            conn.throttled = true;
            self.throttled.push_back(conn.link);
        }
        blocked
    }

    /// Fewer requests are in flight: those who waited for that may be read from again.
    pub(super) fn relieve(&mut self, ctx: &mut FrontCtx<'_>) {
        while self.in_flight < self.in_flight_max && !self.is_throttled(&ctx.cfg.limits.requests) {
            let Some(link) = self.throttled.pop_front() else { break };
            if let Some(slot) = self.slot(link) {
                self.conns[slot].throttled = false;
                self.rescan(slot, ctx);
            }
        }
    }

    /// How long the request that is looked at now has waited in the throttler, ms.
    fn held_for(&self, slot: usize, ctx: &FrontCtx<'_>) -> Millis {
        self.conns[slot].held_since.map_or(0, |since| ctx.now.mono_ms - since)
    }

    /// request_stale_latency_check: a request that waited longer than its session's timeout is dropped with its connection.
    /// Returns whether it was.
    pub(super) fn drop_stale(&mut self, slot: usize, ctx: &mut FrontCtx<'_>) -> bool {
        let stale = ctx.cfg.limits.requests.drop_late && self.held_for(slot, ctx) > self.conns[slot].timeout.into();
        if stale {
            self.stats.stale += 1;
            self.drop_conn(slot, CloseReason::Timeout("a request waited longer than its session lives"), ctx);
        }
        stale
    }

    /// Whether this request waited so long that it is answered with ThrottledOp instead of being done. Pings and closeSession are
    /// exempt, and so is what has no meaning.
    pub(super) fn has_waited_too_long(&self, slot: usize, op: i32, ctx: &FrontCtx<'_>) -> bool {
        let wait = ctx.cfg.limits.requests.wait_ms;
        wait > 0 && self.held_for(slot, ctx) > wait && (is_read(op) || is_write(op))
    }
}

/// Whether a client may ask for this opcode, and it needs a place in the order.
pub(super) const fn is_write(op: i32) -> bool {
    matches!(
        op,
        op::CREATE
            | op::CREATE2
            | op::CREATE_CONTAINER
            | op::CREATE_TTL
            | op::DELETE
            | op::SET_DATA
            | op::SET_ACL
            | op::MULTI
            | op::RECONFIG
            | op::SYNC
    )
}
