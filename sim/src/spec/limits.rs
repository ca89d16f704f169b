//! Sizes that decide how often rare branches are taken. The defaults are those of a small server.

use serde::{Deserialize, Serialize};

/// See the module. Bytes, numbers and ticks; what 0 means is said where it means something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The log rolls beyond this size; 0: never.
    pub log_size: u64,
    /// Preallocation of a log file; 0: none.
    pub prealloc: u64,
    /// Ticks between two purges; 0: none.
    pub purge_ticks: i64,
    /// Snapshots that the purge keeps, at least 3.
    pub retain: usize,
    /// Size of one read or write of bulk data.
    pub chunk: usize,
    /// Snapshot bytes in flight to one learner.
    pub snap_chunk: usize,
    /// Snapshots streamed at once.
    pub max_snap_syncs: usize,
    /// DIFFs streamed at once.
    pub max_diff_syncs: usize,
    /// How much log, in thousandths of the newest snapshot, may be read for a DIFF; negative: none.
    pub diff_log_permille: i64,
    /// Bytes of committed proposals kept for DIFF.
    pub window_bytes: usize,
    /// A learner that is so many bytes behind is disconnected.
    pub learner_queue: usize,
    /// A client that is so many bytes behind is not read from.
    pub client_output: usize,
    /// Requests in flight before reading pauses.
    pub outstanding: usize,
    /// Client connections altogether; 0: no limit.
    pub max_connections: usize,
    /// Client connections of one address (maxClientCnxns); 0: no limit.
    pub connections_of_address: usize,
    /// Requests of a server's clients in flight before the others wait (request_throttle_max_requests); 0: no throttler.
    pub requests: usize,
    /// Who waited longer there is refused (throttled_op_wait_time), ms; 0: nobody is.
    pub request_wait_ms: i64,
    /// Who waited longer there than its session lives is dropped with its connection.
    pub drop_late: bool,
    /// Handshakes in a burst (connection_throttle_tokens); 0: no throttle.
    pub connect_tokens: u32,
    /// The time in which one more may come, ms.
    pub connect_fill_ms: i64,
    /// How often the chance of a refusal moves while handshakes are too many, ms; negative: there is none.
    pub connect_freeze_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log_size: 0,
            prealloc: 16 << 10,
            purge_ticks: 50,
            retain: 3,
            chunk: 4 << 10,
            snap_chunk: 16 << 10,
            max_snap_syncs: 10,
            max_diff_syncs: 100,
            diff_log_permille: 330,
            window_bytes: 16 << 20,
            learner_queue: 64 << 20,
            client_output: 1 << 20,
            outstanding: 1000,
            max_connections: 0,
            connections_of_address: 0,
            requests: 0,
            request_wait_ms: 0,
            drop_late: false,
            connect_tokens: 0,
            connect_fill_ms: 1,
            connect_freeze_ms: -1,
        }
    }
}
