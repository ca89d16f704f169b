//! The texts of the four-letter words (operations section 6), byte for byte in ZooKeeper's shapes.
//!
//! Which connection asks, and whether the word is in the whitelist, is decided in the core.

use std::fmt::Write as _;

use quorate_core::event::Role;
use quorate_core::ids::{SessionId, Zxid};

use crate::config::{ServerConfig, table};
use crate::process;
use crate::time_text::Utc;
use crate::version;
use crate::views::{Connection, ExpiryBucket, Overview, Sessions, Source};

/// What a server says that has no leader.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// What a word that is not in the whitelist gets.
#[must_use]
pub fn refusal(word: [u8; 4]) -> String {
    format!("{} is not executed because it is not in the whitelist.\n", String::from_utf8_lossy(&word))
}

/// The answer to a word; empty for one that does not exist. `srst` and `crst` are answered here and done by the caller.
#[must_use]
pub fn answer(word: [u8; 4], config: &ServerConfig, source: &dyn Source) -> String {
    match &word {
        b"ruok" => return "imok".to_owned(),
        b"envi" => return environment(config),
        b"gtmk" | b"stmk" => return source.trace_mask().to_string(),
        _ => {}
    }
    let overview = source.overview();
    if word == *b"isro" {
        let text = match (overview.serving, overview.role) {
            (false, _) => "null",
            (true, Role::ReadOnly) => "ro",
            (true, _) => "rw",
        };
        return text.to_owned();
    }
    if !overview.serving {
        return if word == *b"hash" { NOT_SERVING.trim_end().to_owned() } else { NOT_SERVING.to_owned() };
    }
    let mut out = String::new();
    match &word {
        b"srvr" => statistics(&mut out, config, &overview, None),
        b"stat" => statistics(&mut out, config, &overview, Some(&source.connections())),
        b"cons" => {
            for connection in source.connections() {
                connection_line(&mut out, &connection, true);
            }
            out.push('\n');
        }
        b"crst" => out.push_str("Connection stats reset.\n"),
        b"srst" => out.push_str("Server stats reset.\n"),
        b"conf" => configuration(&mut out, config, source),
        b"dirs" => {
            let sizes = source.dir_sizes();
            let _ = writeln!(out, "datadir_size: {}\nlogdir_size: {}", sizes.data, sizes.log);
        }
        b"dump" => dump(&mut out, source),
        b"wchs" => {
            let t = source.watch_totals();
            let _ =
                writeln!(out, "{} connections watching {} paths\nTotal watches:{}", t.connections, t.paths, t.watches);
        }
        b"wchc" => {
            for (session, paths) in source.watches_by_session() {
                let _ = writeln!(out, "{session}");
                paths.iter().for_each(|path| line(&mut out, format_args!("\t{path}")));
            }
            out.push('\n');
        }
        b"wchp" => {
            for (path, sessions) in source.watches_by_path() {
                let _ = writeln!(out, "{path}");
                sessions.iter().for_each(|session| line(&mut out, format_args!("\t{session}")));
            }
            out.push('\n');
        }
        b"mntr" => monitor(&mut out, config, &overview, source),
        b"hash" => {
            for (zxid, digest) in source.digests() {
                let _ = writeln!(out, "{:x}: {digest}", zxid.0);
            }
        }
        _ => {}
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// A zxid as Java prints it: two's complement where negative.
fn hex(zxid: Zxid) -> String {
    format!("{:#x}", zxid.0)
}

fn statistics(out: &mut String, config: &ServerConfig, o: &Overview, clients: Option<&[Connection]>) {
    let _ = writeln!(out, "Zookeeper version: {}", version::full(config.legacy_date));
    if o.role == Role::ReadOnly {
        out.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    if let Some(clients) = clients {
        out.push_str("Clients:\n");
        for connection in clients {
            connection_line(out, connection, false);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "Latency min/avg/max: {}/{:?}/{}", o.latency.min, o.latency.average(), o.latency.max);
    let _ = writeln!(out, "Received: {}\nSent: {}\nConnections: {}", o.received, o.sent, o.connections);
    let _ = writeln!(out, "Outstanding: {}\nZxid: {}", o.outstanding, hex(o.zxid));
    let _ = writeln!(out, "Mode: {}\nNode count: {}", o.role.name(), o.node_count);
    if let Some(p) = o.proposals {
        let _ = writeln!(out, "Proposal sizes last/min/max: {}/{}/{}", p.last, p.min, p.max);
    }
}

fn connection_line(out: &mut String, c: &Connection, details: bool) {
    let _ = write!(
        out,
        " /{}[{}](queued={},recved={},sent={}",
        c.remote,
        u8::from(c.reading),
        c.queued,
        c.received,
        c.sent
    );
    if let Some(s) = c.session.as_ref().filter(|_| details) {
        let op = s.last_op.map_or("NA", operation);
        let _ = write!(out, ",sid={},lop={op},est={},to={}", s.id, s.established_ms, s.timeout_ms);
        if s.last_cxid >= 0 {
            let _ = write!(out, ",lcxid={:#x}", s.last_cxid);
        }
        let average = s.latency.total.checked_div(s.latency.count).unwrap_or(0);
        let _ = write!(out, ",lzxid={},lresp={}", hex(s.last_zxid), s.last_response_ms);
        let _ =
            write!(out, ",llat={},minlat={},avglat={average},maxlat={}", s.last_latency, s.latency.min, s.latency.max);
    }
    out.push_str(")\n");
}

/// `lop=`: the last operation in four letters.
fn operation(code: i32) -> &'static str {
    match code {
        1 | 15 | 19 | 21 => "CREA",
        2 | 20 => "DELE",
        3 => "EXIS",
        4 => "GETD",
        5 => "SETD",
        6 => "GETA",
        7 => "SETA",
        8 | 12 => "GETC",
        9 => "SYNC",
        11 => "PING",
        13 => "CHEC",
        14 | 22 => "MULT",
        16 => "RECO",
        17 => "CHKW",
        18 => "REMW",
        101 | 105 => "SETW",
        103 => "GETE",
        104 => "GETN",
        106 => "ADDW",
        107 => "WHOA",
        -10 => "SESS",
        -11 => "CLOS",
        _ => "NA",
    }
}

/// The lines of `conf`: keys out of the table, and what is no key.
fn configuration(out: &mut String, config: &ServerConfig, source: &dyn Source) {
    let shown = |name: &str| table::find(name).and_then(|k| k.show).map(|show| show(config)).unwrap_or_default();
    let key = |out: &mut String, name: &str| line(out, format_args!("{name}={}", shown(name)));
    let sizes = source.dir_sizes();
    for name in ["clientPort", "secureClientPort", "dataDir", "dataLogDir", "tickTime", "maxClientCnxns"] {
        key(out, name);
        match name {
            "dataDir" => line(out, format_args!("dataDirSize={}", sizes.data)),
            "dataLogDir" => line(out, format_args!("dataLogSize={}", sizes.log)),
            _ => {}
        }
    }
    for name in ["minSessionTimeout", "maxSessionTimeout", "clientPortListenBacklog"] {
        key(out, name);
    }
    let Some(text) = source.ensemble_text() else {
        out.push_str("serverId=0\n");
        return;
    };
    let _ = writeln!(out, "serverId={}", config.peer.sid);
    for name in ["initLimit", "syncLimit", "electionAlg"] {
        key(out, name);
    }
    for (name, address) in [("electionPort", &config.election), ("quorumPort", &config.quorum)] {
        let _ = writeln!(out, "{name}={}", address.as_ref().map_or(0, |a| a.port));
    }
    key(out, "peerType");
    let _ = write!(out, "membership: \n{text}");
}

fn environment(config: &ServerConfig) -> String {
    let mut out = String::from("Environment:\n");
    let variable = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()).unwrap_or_default();
    let megabytes = |bytes: u64| format!("{}MB", bytes >> 20);
    let memory = process::memory();
    let arch = if std::env::consts::ARCH == "x86_64" { "amd64" } else { std::env::consts::ARCH };
    let values = [
        ("zookeeper.version", version::full(config.legacy_date)),
        ("quorate.version", version::QUORATE.to_owned()),
        ("host.name", process::host_name()),
        ("java.version", "none".to_owned()),
        ("java.vendor", "none".to_owned()),
        ("java.home", "none".to_owned()),
        ("java.class.path", "none".to_owned()),
        ("java.library.path", "none".to_owned()),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("java.compiler", "<NA>".to_owned()),
        ("os.name", if cfg!(target_os = "linux") { "Linux" } else { std::env::consts::OS }.to_owned()),
        ("os.arch", arch.to_owned()),
        ("os.version", process::os_release()),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        ("user.dir", std::env::current_dir().unwrap_or_default().display().to_string()),
        ("os.memory.free", megabytes(memory.available)),
        ("os.memory.max", megabytes(memory.total)),
        ("os.memory.total", megabytes(memory.resident)),
    ];
    for (name, value) in values {
        let _ = writeln!(out, "{name}={value}");
    }
    out
}

fn dump(out: &mut String, source: &dyn Source) {
    out.push_str("SessionTracker dump:\n");
    let expiring = |out: &mut String, of: &str, buckets: &[ExpiryBucket<SessionId>]| {
        out.push_str(of);
        sets(out, "Session", buckets, |out, session| line(out, format_args!("\t{session}")));
    };
    let local = source.local_sessions();
    if let Some(local) = &local {
        expiring(out, "Local ", local);
    }
    match source.sessions() {
        Sessions::Owned(buckets) => expiring(out, if local.is_some() { "Global " } else { "" }, &buckets),
        Sessions::Known(sessions) => {
            let _ = writeln!(out, "Global Sessions({}):", sessions.len());
            for (session, timeout) in sessions {
                let _ = writeln!(out, "{session}\t{timeout}ms");
            }
        }
    }
    let ephemerals = source.ephemerals();
    let _ = writeln!(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", ephemerals.len());
    for (session, paths) in ephemerals {
        let _ = writeln!(out, "{session}:");
        paths.iter().for_each(|path| line(out, format_args!("\t{path}")));
    }
    out.push_str("Connections dump:\n");
    sets(out, "Connections", &source.connection_expiry(), |out, (remote, session)| {
        line(out, format_args!("\tip: /{remote} sessionId: {session}"));
    });
}

fn sets<T>(out: &mut String, what: &str, buckets: &[ExpiryBucket<T>], print: impl Fn(&mut String, &T)) {
    let entries: usize = buckets.iter().map(|b| b.entries.len()).sum();
    let _ = writeln!(out, "{what} Sets ({})/({entries}):", buckets.len());
    for bucket in buckets {
        let _ = writeln!(out, "{} expire at {}:", bucket.entries.len(), Utc::from_ms(bucket.at_ms).java_text());
        bucket.entries.iter().for_each(|entry| print(out, entry));
    }
}

fn monitor(out: &mut String, config: &ServerConfig, o: &Overview, source: &dyn Source) {
    let g = source.gauges();
    let _ = writeln!(out, "zk_version\t{}\nzk_server_state\t{}", version::full(config.legacy_date), o.role.name());
    if let Some(state) = peer_state(o.role) {
        let _ = writeln!(out, "zk_peer_state\t{state}");
    }
    let _ = writeln!(out, "zk_avg_latency\t{:?}", o.latency.average());
    let _ = writeln!(out, "zk_connection_drop_probability\t{:?}", g.drop_probability);
    let mut gauge = |name: &str, value: i64| line(out, format_args!("zk_{name}\t{value}"));
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    gauge("min_latency", o.latency.min);
    gauge("max_latency", o.latency.max);
    gauge("packets_received", int(o.received));
    gauge("packets_sent", int(o.sent));
    gauge("num_alive_connections", int(o.connections as u64));
    gauge("outstanding_requests", int(o.outstanding));
    gauge("znode_count", int(o.node_count));
    gauge("ephemerals_count", int(g.ephemerals));
    gauge("watch_count", int(g.watches));
    gauge("approximate_data_size", int(g.data_size));
    gauge("global_sessions", int(g.global_sessions));
    gauge("local_sessions", int(g.local_sessions));
    gauge("last_client_response_size", g.responses.last);
    gauge("min_client_response_size", g.responses.min);
    gauge("max_client_response_size", g.responses.max);
    gauge("auth_failed_count", int(g.auth_failed));
    gauge("uptime", g.uptime_ms);
    gauge("open_file_descriptor_count", process::open_files());
    gauge("max_file_descriptor_count", process::max_files());
    for absent in ["non_mtls_remote_conn_count", "non_mtls_local_conn_count", "outstanding_tls_handshake"] {
        gauge(absent, 0);
    }
    if let Some(size) = g.quorum_size {
        gauge("quorum_size", int(size));
    }
    if let Some(l) = g.leader {
        gauge("learners", int(l.learners));
        gauge("synced_followers", int(l.synced_followers));
        gauge("synced_non_voting_followers", int(l.synced_non_voting_followers));
        gauge("synced_observers", int(l.synced_observers));
        gauge("pending_syncs", int(l.pending_syncs));
        gauge("leader_uptime", l.uptime_ms);
        let sizes = o.proposals.unwrap_or_default();
        gauge("last_proposal_size", sizes.last);
        gauge("min_proposal_size", sizes.min);
        gauge("max_proposal_size", sizes.max);
    }
    let mut metrics = source.metrics().clone();
    for (counter, times) in g.counters {
        metrics.add(counter, int(times));
    }
    metrics.print(out);
}

/// The state as ZooKeeper's `Peer state changed` and `zk_peer_state` name it; a server that serves is in broadcast.
#[must_use]
pub fn peer_state(role: Role) -> Option<&'static str> {
    match role {
        Role::Leading => Some("leading - broadcast"),
        Role::Following => Some("following - broadcast"),
        Role::Observing => Some("observing - broadcast"),
        Role::Recovering | Role::Looking | Role::ReadOnly | Role::Standalone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_hexadecimal() {
        assert_eq!(SessionId(-1).to_string(), "0xffffffffffffffff");
        assert_eq!(hex(Zxid::NONE), "0xffffffffffffffff");
    }
}
