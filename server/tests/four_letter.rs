//! The four-letter words against texts recorded from ZooKeeper 3.9.5: the same data gives the same bytes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use quorate_core::event::Role;
use quorate_core::ids::{SessionId, Zxid};
use quorate_server::config::{Environment, ServerConfig, load};
use quorate_server::metrics::{Counter, Metrics};
use quorate_server::views::{
    Connection, ConnectionSession, DirSizes, ExpiryBucket, Gauges, Latency, LeaderGauges, Overview, Sessions, Sizes,
    Source, WatchTotals,
};
use quorate_server::{four_letter, version};

const S1: SessionId = SessionId(0x0100_001a_31ae_0000);
const S3: SessionId = SessionId(0x0300_001a_31ca_0000);
/// Sat Nov 21 02:38:50 UTC 2026.
const EXPIRY: i64 = 1_795_228_730_000;

/// A server with the data behind the recordings.
struct Recorded {
    overview: Overview,
    connections: Vec<Connection>,
    sessions: Sessions,
    local_sessions: Option<Vec<ExpiryBucket<SessionId>>>,
    connection_expiry: Vec<ExpiryBucket<(SocketAddr, SessionId)>>,
    leader: Option<LeaderGauges>,
    metrics: Metrics,
}

impl Source for Recorded {
    fn overview(&self) -> Overview {
        self.overview.clone()
    }
    fn connections(&self) -> Vec<Connection> {
        self.connections.clone()
    }
    fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }
    fn local_sessions(&self) -> Option<Vec<ExpiryBucket<SessionId>>> {
        self.local_sessions.clone()
    }
    fn trace_mask(&self) -> i64 {
        306
    }
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        vec![(S3, vec!["/app/eph2".into()]), (S1, vec!["/app/eph".into()])]
    }
    fn connection_expiry(&self) -> Vec<ExpiryBucket<(SocketAddr, SessionId)>> {
        self.connection_expiry.clone()
    }
    fn watch_totals(&self) -> WatchTotals {
        WatchTotals { connections: 1, paths: 2, watches: 2 }
    }
    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)> {
        vec![(S1, vec!["/app/none".into(), "/app/cfg".into()])]
    }
    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)> {
        vec![("/app/none".into(), vec![S1]), ("/app/cfg".into(), vec![S1])]
    }
    fn ensemble_text(&self) -> Option<String> {
        Some(
            "server.1=127.0.0.1:23001:23011:participant;127.0.0.1:23021\n\
             server.2=127.0.0.1:23002:23012:participant;127.0.0.1:23022\n\
             server.3=127.0.0.1:23003:23013:participant;127.0.0.1:23023\n\
             server.4=127.0.0.1:23004:23014:observer;127.0.0.1:23024\nversion=100000000"
                .into(),
        )
    }
    fn dir_sizes(&self) -> DirSizes {
        DirSizes { data: 722, log: 67_108_880 }
    }
    fn gauges(&self) -> Gauges {
        let counters = vec![(Counter::ThrottledOps, 3)];
        Gauges { quorum_size: Some(3), leader: self.leader.clone(), counters, ..Gauges::default() }
    }
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    fn digests(&self) -> Vec<(Zxid, u64)> {
        vec![(Zxid(0x1_0000_0080), 22_210_299_484), (Zxid(0x1_0000_0100), 21_692_648_108)]
    }
}

fn connection(port: u16, reading: bool, received: u64, sent: u64) -> Connection {
    let remote = SocketAddr::from(([127, 0, 0, 1], port));
    Connection { remote, reading, queued: 0, received, sent, session: None }
}

fn recorded(role: Role, latency: Latency, received: u64, sent: u64) -> Recorded {
    Recorded {
        overview: Overview {
            role,
            serving: true,
            latency,
            received,
            sent,
            connections: 2,
            outstanding: 0,
            zxid: Zxid(0x1_0000_000d),
            node_count: 10,
            proposals: None,
        },
        connections: Vec::new(),
        sessions: Sessions::Known(vec![(S1, 9000), (S3, 9000)]),
        local_sessions: None,
        connection_expiry: Vec::new(),
        leader: None,
        metrics: Metrics::default(),
    }
}

fn follower(received: u64, sent: u64) -> Recorded {
    recorded(Role::Following, Latency { min: 0, max: 125, total: 69, count: 16 }, received, sent)
}

fn leader(received: u64, sent: u64) -> Recorded {
    let mut leader = recorded(Role::Leading, Latency { min: 3, max: 20, total: 76, count: 9 }, received, sent);
    leader.overview.proposals = Some(Sizes { last: 66, min: 48, max: 103 });
    leader.leader = Some(LeaderGauges::default());
    leader
}

fn config() -> ServerConfig {
    let dir =
        std::env::temp_dir().join(format!("quorate-4lw-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("myid"), "1").unwrap();
    let text = format!(
        "dataDir={}\ndataLogDir=/srv/zk/n1/log\ntickTime=500\ninitLimit=10\nsyncLimit=5\n\
         server.1=127.0.0.1:23001:23011;127.0.0.1:23021\nserver.2=127.0.0.1:23002:23012\nserver.3=127.0.0.1:23003:23013\n",
        dir.display()
    );
    std::fs::write(dir.join("zoo.cfg"), text).unwrap();
    let mut config = load(&dir.join("zoo.cfg"), &Environment::default()).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    config.data_dir = "/srv/zk/n1/data".into();
    config
}

/// The recording, with our version in place of Java's.
fn vector(name: &str) -> String {
    let path = format!("{}/tests/vectors/4lw/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2, built on 2026-02-11 20:18 UTC", &version::full(false))
}

fn ask(word: &[u8; 4], server: &Recorded) -> String {
    four_letter::answer(*word, &config(), server)
}

#[test]
fn srvr_and_stat() {
    assert_eq!(ask(b"srvr", &leader(11, 11)), vector("srvr.leader"));
    assert_eq!(ask(b"srvr", &follower(68, 69)), vector("srvr.follower"));
    let mut read_only = recorded(Role::ReadOnly, Latency::default(), 1, 0);
    read_only.overview.connections = 1;
    assert_eq!(ask(b"srvr", &read_only), vector("srvr.ro_participant"));
    let mut server = follower(69, 70);
    server.connections = vec![connection(46702, false, 1, 0), connection(46680, true, 65, 67)];
    assert_eq!(ask(b"stat", &server), vector("stat.follower"));
    let mut server = leader(12, 12);
    server.connections = vec![connection(39206, true, 9, 10), connection(39220, false, 1, 0)];
    assert_eq!(ask(b"stat", &server), vector("stat.leader"));
}

#[test]
fn cons() {
    let mut server = follower(0, 0);
    let mut first = connection(46680, true, 65, 67);
    first.session = Some(ConnectionSession {
        id: S1,
        last_op: Some(8),
        established_ms: 1_795_228_720_706,
        timeout_ms: 9000,
        last_cxid: 0x3f,
        last_zxid: Zxid(0x1_0000_000d),
        last_response_ms: 1_765_621,
        last_latency: 0,
        latency: Latency { min: 0, max: 125, total: 69, count: 16 },
    });
    server.connections = vec![first, connection(46720, false, 1, 0)];
    assert_eq!(ask(b"cons", &server), vector("cons.follower"));
}

#[test]
fn conf() {
    assert_eq!(ask(b"conf", &follower(0, 0)), vector("conf.follower"));
}

#[test]
fn dump() {
    let bucket = |at_ms, entries: &[(u16, SessionId)]| ExpiryBucket {
        at_ms,
        entries: entries.iter().map(|(p, s)| (SocketAddr::from(([127, 0, 0, 1], *p)), *s)).collect(),
    };
    let mut server = follower(0, 0);
    server.connection_expiry = vec![bucket(EXPIRY + 5000, &[(46680, S1), (46754, SessionId(0))])];
    assert_eq!(ask(b"dump", &server), vector("dump.follower"));
    let mut server = leader(0, 0);
    server.sessions = Sessions::Owned(vec![
        ExpiryBucket { at_ms: EXPIRY, entries: vec![] },
        ExpiryBucket { at_ms: EXPIRY, entries: vec![S3, S1] },
    ]);
    server.connection_expiry = vec![bucket(EXPIRY + 5000, &[(39206, S3), (39234, SessionId(0))])];
    assert_eq!(ask(b"dump", &server), vector("dump.leader"));
}

#[test]
fn dump_shows_local_sessions_apart() {
    let local = |s: &[SessionId]| vec![ExpiryBucket { at_ms: EXPIRY, entries: s.to_vec() }];
    let mut server = leader(0, 0);
    server.sessions = Sessions::Owned(local(&[S3]));
    server.local_sessions = Some(local(&[S1]));
    let date = "Sat Nov 21 02:38:50 UTC 2026";
    let both = format!(
        "SessionTracker dump:\n\
         Local Session Sets (1)/(1):\n1 expire at {date}:\n\t{S1}\n\
         Global Session Sets (1)/(1):\n1 expire at {date}:\n\t{S3}\n\
         ephemeral nodes dump:\n"
    );
    assert!(ask(b"dump", &server).starts_with(&both), "{}", ask(b"dump", &server));
    let mut server = follower(0, 0);
    server.local_sessions = Some(Vec::new());
    let none = "SessionTracker dump:\nLocal Session Sets (0)/(0):\nGlobal Sessions(2):\n";
    assert!(ask(b"dump", &server).starts_with(none), "{}", ask(b"dump", &server));
}

#[test]
fn watches_directories_and_digests() {
    let server = follower(0, 0);
    assert_eq!(ask(b"wchs", &server), vector("wchs.follower"));
    assert_eq!(ask(b"wchc", &server), vector("wchc.follower"));
    assert_eq!(ask(b"wchp", &server), vector("wchp.follower"));
    assert_eq!(ask(b"dirs", &server), vector("dirs.leader"));
    assert_eq!(ask(b"hash", &server), vector("hash.follower"));
}

#[test]
fn short_words() {
    let mut server = follower(0, 0);
    assert_eq!(ask(b"ruok", &server), vector("ruok.follower"));
    assert_eq!(ask(b"isro", &server), "rw");
    assert_eq!(ask(b"gtmk", &server), "306");
    assert_eq!(ask(b"srst", &server), "Server stats reset.\n");
    assert_eq!(ask(b"crst", &server), "Connection stats reset.\n");
    server.overview.role = Role::ReadOnly;
    assert_eq!(ask(b"isro", &server), vector("isro.ro_participant"));
    server.overview.serving = false;
    assert_eq!(ask(b"isro", &server), "null");
    assert_eq!(ask(b"ruok", &server), "imok");
    assert_eq!(ask(b"srvr", &server), "This ZooKeeper instance is not currently serving requests\n");
    assert_eq!(ask(b"hash", &server), "This ZooKeeper instance is not currently serving requests");
    assert!(ask(b"envi", &server).starts_with("Environment:\n"));
    assert_eq!(four_letter::refusal(*b"stat"), vector("_refused.default_whitelist"));
}

#[test]
fn envi_has_the_keys_of_the_recording_in_its_order() {
    let keys = |text: &str| -> Vec<String> {
        let keys = text.lines().map(|l| l.split('=').next().unwrap().to_owned());
        keys.filter(|k| k != "quorate.version").collect()
    };
    assert_eq!(keys(&ask(b"envi", &follower(0, 0))), keys(&vector("envi.follower")));
}

#[test]
fn mntr_has_the_keys_of_the_recording() {
    // Labelled sets appear with their first label: here no learner and no path has one.
    let labelled = |key: &str| key.contains("_learner_handler_") || key.contains("_per_namespace");
    for (name, server) in [("mntr.leader", leader(0, 0)), ("mntr.follower", follower(0, 0))] {
        let ours = ask(b"mntr", &server);
        let theirs = vector(name);
        assert!(ours.lines().any(|line| line == "zk_throttled_ops\t3"), "what the core counts is among the counters");
        let shape = |text: &str| -> BTreeSet<(String, bool)> {
            let pairs = text.lines().map(|l| l.split_once('\t').unwrap());
            pairs.filter(|(k, _)| !labelled(k)).map(|(k, v)| (k.to_owned(), v.contains('.'))).collect()
        };
        let (ours_shape, theirs_shape) = (shape(&ours), shape(&theirs));
        assert_eq!(ours_shape.difference(&theirs_shape).collect::<Vec<_>>(), Vec::<&(String, bool)>::new(), "{name}");
        assert_eq!(theirs_shape.difference(&ours_shape).collect::<Vec<_>>(), Vec::<&(String, bool)>::new(), "{name}");
        assert_eq!(ours.lines().take(3).collect::<Vec<_>>(), theirs.lines().take(3).collect::<Vec<_>>());
    }
}
