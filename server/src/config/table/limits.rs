//! Sessions, connections, frames, throttles, and the words that operators ask.

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Rule};
use crate::config::settings::Settings;

const MAX: i64 = i32::MAX as i64;

const fn int(min: i64, max: i64, set: fn(&mut Settings, i64)) -> Rule {
    Rule::Int { min, max, set }
}

const fn absent(same: &'static [&'static str], why: &'static str) -> Rule {
    Rule::NoEffect { same, why }
}

fn size(v: i64) -> usize {
    usize::try_from(v).unwrap_or(0)
}

fn small(v: i64) -> u32 {
    u32::try_from(v).unwrap_or(0)
}

/// A share between 0 and 1, in parts per million.
fn chance(text: &str) -> Result<u32, String> {
    let share: f64 =
        text.parse().ok().filter(|s| (0.0..=1.0).contains(s)).ok_or("expected a number from 0 to 1, such as 0.02")?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a million
    let ppm = (share * 1e6).round() as u32;
    Ok(ppm)
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    Key::new("maxClientCnxns", File, "connections", "60", int(-1, MAX, |s, v| s.peer.limits.max_client_cnxns = size(v)),
        "Connections from one address; 0 = no limit. One more is closed at once.")
        .show(|c| c.peer.limits.max_client_cnxns.to_string()),
    Key::new("maxCnxns", Zookeeper, "connections", "0", int(-1, MAX, |s, v| s.peer.limits.max_cnxns = size(v)),
        "Connections altogether; 0 = no limit."),
    Key::new("minSessionTimeout", File, "ms", "2 x tickTime", int(-1, MAX, |s, v| s.min_session = Some(v).filter(|v| *v >= 0)),
        "Lower bound of a session's timeout.")
        .show(|c| c.peer.timing.min_session_ms.to_string()),
    Key::new("maxSessionTimeout", File, "ms", "20 x tickTime", int(-1, MAX, |s, v| s.max_session = Some(v).filter(|v| *v >= 0)),
        "Upper bound of a session's timeout.")
        .show(|c| c.peer.timing.max_session_ms.to_string()),
    Key::new("jute.maxbuffer", Named("jute.maxbuffer"), "bytes", "1048575", int(1, MAX, |s, v| s.peer.limits.frame_max = size(v)),
        "A client packet longer than this closes its connection.")
        .java("Also accepted in the file; in Java only after -D."),
    Key::new("jute.maxbuffer.extrasize", Zookeeper, "bytes", "jute.maxbuffer", int(0, MAX, |s, v| s.frame_extra = Some(v)),
        "By how much a transaction may exceed jute.maxbuffer; at least 1024."),
    Key::new("globalOutstandingLimit", Zookeeper, "requests", "1000", int(1, MAX, |s, v| s.peer.limits.outstanding = size(v)),
        "Requests in flight before reading from clients pauses."),
    Key::new("nio.sessionlessCnxnTimeout", Zookeeper, "ms", "10000", int(1, MAX, |s, v| s.peer.timing.sessionless_ms = v),
        "Connections without a session are closed after this."),
    Key::new("clientTcpKeepAlive", Zookeeper, "", "false", Rule::Flag(|s, v| s.client_keep_alive = v),
        "TCP keep-alive on client connections."),
    Key::new("4lw.commands.whitelist", Zookeeper, "words", "srvr (and isro with read-only mode)", Rule::Text(|s, v| {
            s.peer.features.four_letter_words = v.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect();
            Ok(())
        }),
        "Four-letter words that are answered, separated by commas; * = all."),
    Key::new("4lw.legacyDate", Zookeeper, "", "false", Rule::Flag(|s, v| s.legacy_date = v),
        "Print the build date of srvr and stat as MM/dd/yyyy HH:mm TZ, which the Go client's helper expects.")
        .java("Not in Java."),
    Key::new("extendedTypesEnabled", Zookeeper, "", "false", Rule::Flag(|s, v| s.peer.features.extended_types = v),
        "TTL znodes; server ids then end at 254."),
    Key::new("emulate353TTLNodes", Zookeeper, "", "false", Rule::Flag(|s, v| s.peer.features.emulate_353 = v),
        "TTL znodes that a server of 3.5.3 made are such; needs extendedTypesEnabled, and server ids then end at 127.")
        .java("The old form's whole time to live counts; Java keeps its low 40 bits, and takes sessions of server ids above 127 for TTLs."),
    Key::new("enforceQuota", Zookeeper, "", "false", Rule::Flag(|s, v| s.peer.features.enforce_quota = v),
        "Hard quotas refuse writes."),
    Key::new("znode.container.checkIntervalMs", Named("znode.container.checkIntervalMs"), "ms", "60000",
        int(1, MAX, |s, v| s.peer.timing.container_check_ms = v),
        "Interval of the container and TTL reaper."),
    Key::new("znode.container.maxPerMinute", Named("znode.container.maxPerMinute"), "znodes", "10000",
        int(1, MAX, |s, v| s.peer.timing.container_max_per_minute = u32::try_from(v).unwrap_or(u32::MAX)),
        "Containers and TTL znodes reaped in a minute at most."),
    Key::new("znode.container.maxNeverUsedIntervalMs", Named("znode.container.maxNeverUsedIntervalMs"), "ms", "0",
        int(0, MAX, |s, v| s.peer.timing.container_never_used_ms = v),
        "Containers that never had a child are reaped after this; 0 = never."),
    Key::new("largeRequestThreshold", Zookeeper, "bytes", "-1", absent(&["-1"], "there is no budget of large requests yet; every connection's input is bounded"),
        "Requests above this count as large."),
    Key::new("largeRequestMaxBytes", Zookeeper, "bytes", "104857600", absent(&["104857600"], "there is no budget of large requests yet"),
        "Large requests in flight."),
    Key::new("request_throttle_max_requests", Zookeeper, "requests", "0", int(0, MAX, |s, v| s.peer.limits.requests.max_requests = size(v)),
        "Requests of this server's clients that wait for the ensemble; others queue behind them. 0 = off.")
        .java("Reads are not counted: they are answered at once."),
    Key::new("request_throttle_stall_time", Zookeeper, "ms", "100", absent(&["100"], "whoever waits goes on as soon as another request is answered"), "How often Java looks whether the queue may go on."),
    Key::new("request_throttle_drop_stale", Zookeeper, "", "true", Rule::Flag(|s, v| s.drop_stale = v),
        "Stale requests in the throttler's queue are dropped with their connection."),
    Key::new("request_stale_latency_check", Zookeeper, "", "false", Rule::Flag(|s, v| s.latency_check = v),
        "A request that waited in that queue longer than its session's timeout is stale."),
    Key::new("request_stale_connection_check", Zookeeper, "", "true", absent(&["true"], "what waits unread goes with its connection"),
        "A request whose connection is closed is stale."),
    Key::new("request_throttler.shutdownTimeout", Zookeeper, "ms", "10000", absent(&["10000"], "what waits in the throttler's queue was not begun; it goes with its connection"), "Time to drain the throttler."),
    Key::new("requestThrottle*", Zookeeper, "", "", absent(&[], "this is the name in Java's manual, not the one that its code reads; the keys begin with request_throttle_"),
        "Names of the manual without effect in Java either."),
    Key::new("throttled_op_wait_time", Zookeeper, "ms", "0", int(0, MAX, |s, v| s.peer.limits.requests.wait_ms = v),
        "A request that waited longer in the throttler's queue is answered with ThrottledOp (-127) and not done; 0 = never."),
    Key::new("connection_throttle_tokens", Zookeeper, "connections", "0", int(0, MAX, |s, v| s.peer.limits.connects.tokens = small(v)),
        "Size of a bucket of tokens: a handshake takes one, and is closed without an answer when there is none; 0 = off."),
    Key::new("connection_throttle_fill_time", Zookeeper, "ms", "1", int(1, MAX, |s, v| s.peer.limits.connects.fill_ms = v),
        "The time in which connection_throttle_fill_count tokens come."),
    Key::new("connection_throttle_fill_count", Zookeeper, "connections", "1", int(0, MAX, |s, v| s.peer.limits.connects.fill_count = small(v)),
        "Tokens that come in connection_throttle_fill_time."),
    Key::new("connection_throttle_freeze_time", Zookeeper, "ms", "-1", int(-1, MAX, |s, v| s.peer.limits.connects.freeze_ms = v),
        "While the bucket is empty, handshakes are refused by chance too; that chance moves once in this time. -1 = never."),
    Key::new("connection_throttle_drop_increase", Zookeeper, "chance", "0.02", Rule::Text(|s, v| { s.peer.limits.connects.drop_increase_ppm = chance(v)?; Ok(()) }),
        "By how much the chance grows while the bucket is empty."),
    Key::new("connection_throttle_drop_decrease", Zookeeper, "chance", "0.002", Rule::Text(|s, v| { s.peer.limits.connects.drop_decrease_ppm = chance(v)?; Ok(()) }),
        "By how much the chance shrinks while few tokens are taken."),
    Key::new("connection_throttle_decrease_ratio", Zookeeper, "share", "0", Rule::Text(|s, v| { s.peer.limits.connects.decrease_ppm = chance(v)?; Ok(()) }),
        "Few taken tokens are this share of the bucket."),
    Key::new("connection_throttle_weight_enabled", Zookeeper, "", "false", Rule::Flag(|s, v| s.weigh_connects = v),
        "Handshakes take as many tokens as the three weights say, instead of one."),
    Key::new("connection_throttle_global_session_weight", Zookeeper, "connections", "3", int(1, MAX, |s, v| s.connect_weights.0 = small(v)),
        "Tokens of a new session."),
    Key::new("connection_throttle_local_session_weight", Zookeeper, "connections", "1", int(1, MAX, |s, v| s.connect_weights.1 = small(v)),
        "Tokens of a new local session."),
    Key::new("connection_throttle_renew_session_weight", Zookeeper, "connections", "2", int(1, MAX, |s, v| s.connect_weights.2 = small(v)),
        "Tokens of a session that is resumed."),
    Key::new("maxResponseCacheSize", Zookeeper, "entries", "400", absent(&["0", "400"], "replies are made fast enough without a cache"), "Cache of getData replies."),
    Key::new("maxGetChildrenResponseCacheSize", Zookeeper, "entries", "400", absent(&["0", "400"], "replies are made fast enough without a cache"), "Cache of getChildren replies."),
    Key::new("enableEagerACLCheck", Zookeeper, "", "false", Rule::Flag(|s, v| s.peer.features.auth.eager_check = v),
        "In an ensemble the server that received a write checks its ACLs by its own tree before it hands it on; the refusal has zxid 0 and no transaction."),
];
