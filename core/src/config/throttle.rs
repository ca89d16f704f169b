//! The request throttler (operations section 2.2).

use crate::ids::Millis;

/// How many requests of this server's clients may wait for the ensemble, and what becomes of those that do not get there in time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestThrottle {
    /// request_throttle_max_requests; 0 = no throttler. Reads never count: they wait for nobody.
    pub max_requests: usize,
    /// throttled_op_wait_time: who waited longer is answered with ThrottledOp; 0 = never. ms.
    pub wait_ms: Millis,
    /// request_stale_latency_check with request_throttle_drop_stale: who waited longer than its session's timeout is dropped with its
    /// connection.
    pub drop_late: bool,
}
