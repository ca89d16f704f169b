//! Who the members are, where they listen, and the ticks of their conversations.

use quorate_core::config::MemberKind;

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Rule};

/// Java's Integer.MAX_VALUE.
const MAX: i64 = i32::MAX as i64;

const fn int(min: i64, max: i64, set: fn(&mut super::super::settings::Settings, i64)) -> Rule {
    Rule::Int { min, max, set }
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    Key::new("tickTime", File, "ms", "3000", int(1, MAX, |s, v| s.peer.timing.tick_ms = v),
        "The unit of initLimit and syncLimit, the interval of pings between servers, and the grain of session expiry.")
        .show(|c| c.peer.timing.tick_ms.to_string()),
    Key::new("initLimit", File, "ticks", "none: required with several servers", int(1, MAX, |s, v| s.init_limit = Some(v)),
        "How long a server may take to connect to a leader and to be brought up to date.")
        .show(|c| c.peer.timing.init_limit.to_string()),
    Key::new("syncLimit", File, "ticks", "none: required with several servers", int(1, MAX, |s, v| s.sync_limit = Some(v)),
        "How long leader and learner may hear nothing of each other.")
        .show(|c| c.peer.timing.sync_limit.to_string()),
    Key::new("connectToLearnerMasterLimit", File, "ticks", "initLimit", int(0, MAX, |s, v| s.peer.timing.connect_limit = v),
        "How long a learner tries to connect to the leader; 0 means initLimit."),
    Key::new("clientPort", File, "port", "none", int(0, 65535, |s, v| s.client_port = u16::try_from(v).unwrap_or(0)),
        "Where clients connect; may come from the client part of this server's server.N line instead.")
        .show(|c| c.client.as_ref().map_or("-1".into(), |a| a.port.to_string())),
    Key::new("clientPortAddress", File, "host", "any address", Rule::Text(|s, v| { s.client_address = host(v)?; Ok(()) }),
        "The address of the client listener."),
    Key::new("clientPortListenBacklog", File, "connections", "-1", int(-1, MAX, |s, v| s.backlog = u32::try_from(v).ok().filter(|b| *b > 0)),
        "Connections that may wait to be accepted.")
        .java("-1 means 1024 here (as far as the system allows); Java's 50 loses connections in a reconnect storm.")
        .show(|c| c.backlog.map_or("-1".into(), |b| b.to_string())),
    Key::new("quorumListenOnAllIPs", File, "", "false", Rule::Flag(|s, v| s.listen_on_all_ips = v),
        "Quorum and election ports listen on any address instead of this server's own name."),
    Key::new("electionPortBindRetry", Zookeeper, "tries", "3", int(0, MAX, |s, v| s.election_bind_retries = u32::try_from(v).unwrap_or(0)),
        "How often binding the election port is tried before the server exits with 14; 0 means for ever."),
    Key::new("electionAlg", File, "", "3", Rule::Only { values: &["3"], why: "Invalid electionAlg value. Only 3 is supported." },
        "Fast leader election is the only algorithm.")
        .show(|_| "3".into()),
    Key::new("peerType", File, "", "participant", Rule::Text(|s, v| {
            s.peer_type = Some(match v.to_ascii_lowercase().as_str() {
                "participant" => MemberKind::Participant,
                "observer" => MemberKind::Observer,
                _ => return Err(format!("Unrecognised peertype: {v}; expected participant or observer")),
            });
            Ok(())
        }),
        "Kind of this server; its server.N line wins.")
        .show(|c| if c.peer.kind == MemberKind::Observer { "1".into() } else { "0".into() }),
    Key::new("standaloneEnabled", File, "", "true", Rule::Flag(|s, v| s.standalone_enabled = v),
        "With true a single server.N line is ignored and the server runs alone; with false it runs as an ensemble of one."),
    Key::new("dynamicConfigFile", File, "path", "none", Rule::Text(|s, v| { s.dynamic_file = path(v)?; Ok(()) }),
        "The file with the server, group and weight lines."),
    Key::new("multiAddress.enabled", Zookeeper, "", "false", Rule::Flag(|s, v| s.multi_address = v),
        "Allows `|` lists of addresses in server.N.")
        .java("A list of more than one address is refused: there is no support for it yet."),
    Key::new("leaderServes", Zookeeper, "", "yes", Rule::YesNo(|s, v| s.peer.features.leader_serves = v),
        "With no, a leader accepts no clients."),
    Key::new("localSessionsEnabled", File, "", "false", Rule::Flag(|s, v| s.peer.features.local_sessions = v),
        "Sessions that only their server knows."),
    Key::new("localSessionsUpgradingEnabled", File, "", "false", Rule::Flag(|s, v| s.peer.features.local_sessions_upgrading = v),
        "A local session becomes global when it creates an ephemeral."),
    Key::new("readonlymode.enabled", Named("readonlymode.enabled"), "", "false", Rule::Flag(|s, v| s.peer.features.read_only_mode = v),
        "Serve reads to clients that ask for it while there is no quorum.")
        .java("Also accepted in the file; in Java only after -D."),
    Key::new("cnxTimeout", Zookeeper, "ms", "5000", int(1, MAX, |s, v| s.peer.timing.cnx_timeout_ms = v),
        "How long an election connection may take to be made."),
    Key::new("fastleader.minNotificationInterval", Zookeeper, "ms", "200", int(1, MAX, |s, v| s.peer.timing.min_notification_ms = v),
        "First wait for votes, and the quiet time that ends an election."),
    Key::new("fastleader.maxNotificationInterval", Zookeeper, "ms", "60000", int(1, MAX, |s, v| s.peer.timing.max_notification_ms = v),
        "Longest wait for votes."),
    Key::new("leaderConnectDelayDuringRetryMs", Named("zookeeper.leaderConnectDelayDuringRetryMs"), "ms", "100",
        int(0, MAX, |s, v| s.peer.timing.leader_connect_retry_ms = v),
        "Pause before a learner connects to the leader again."),
    Key::new("tcpKeepAlive", Zookeeper, "", "false", Rule::Flag(|s, v| s.quorum_keep_alive = v),
        "TCP keep-alive on election connections."),
];

fn host(text: &str) -> Result<Option<String>, String> {
    let host = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("expected a host name or an IP address".to_owned());
    }
    Ok(Some(host.to_owned()))
}

fn path(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Err("expected the path of a file".to_owned()) } else { Ok(Some(text.to_owned())) }
}
