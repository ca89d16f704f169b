//! Configuration files as operators write them: what they give, what they warn about, how they are refused.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use quorate_core::config::{DigestAlgorithm, MemberKind};
use quorate_core::ids::Sid;
use quorate_server::config::{Environment, ServerConfig, from_arguments, load};
use quorate_server::exit::Exit;

/// A directory of its own, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("quorate-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(dir.join("data")).unwrap();
        Self(dir)
    }
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
    fn data(&self) -> String {
        self.0.join("data").display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `DATA` in the text stands for the data directory; the paths of the answer are cut down to file names.
fn read(text: &str, myid: Option<&str>, environment: &Environment) -> Result<ServerConfig, String> {
    let scratch = Scratch::new();
    if let Some(myid) = myid {
        scratch.write("data/myid", myid);
    }
    let file = scratch.write("zoo.cfg", &text.replace("DATA", &scratch.data()));
    let prefix = format!("{}/", scratch.0.display());
    match load(&file, environment) {
        Ok(mut config) => {
            config.warnings.iter_mut().for_each(|w| *w = w.replace(&prefix, ""));
            Ok(config)
        }
        Err(e) => {
            assert_eq!(e.exit, Exit::Invalid);
            Err(e.to_string().replace(&prefix, ""))
        }
    }
}

fn good(text: &str) -> ServerConfig {
    read(text, None, &Environment::default()).unwrap()
}

fn bad(text: &str) -> String {
    read(text, None, &Environment::default()).unwrap_err()
}

const THREE: &str = "dataDir=DATA\ninitLimit=5\nsyncLimit=2\nserver.1=a:2888:3888;2181\nserver.2=b:2888:3888;2181\n\
                     server.3=c:2888:3888:observer;2181\nserver.4=d:2888:3888;2181\n";

#[test]
fn the_smallest_file_is_a_standalone_server_with_the_defaults_of_zookeeper() {
    let c = good("dataDir=DATA\nclientPort=2181\n");
    assert!(c.peer.ensemble.is_none() && c.quorum.is_none() && c.election.is_none());
    assert_eq!(c.peer.sid, Sid(1));
    assert_eq!(c.client.as_ref().unwrap().to_string(), "0.0.0.0:2181");
    assert_eq!(c.client.unwrap().host, None);
    let t = &c.peer.timing;
    assert_eq!((t.tick_ms, t.min_session_ms, t.max_session_ms), (3000, 6000, 60_000));
    let l = &c.peer.limits;
    assert_eq!((l.frame_max, l.frame_extra, l.max_client_cnxns, l.outstanding), (1_048_575, 1_048_575, 60, 1000));
    assert_eq!(c.peer.storage.snap_count, 100_000);
    assert_eq!(c.data_log_dir, c.data_dir);
    assert!(c.warnings.is_empty(), "{:?}", c.warnings);
}

#[test]
fn an_ensemble() {
    let c = read(THREE, Some("2\n"), &Environment::default()).unwrap();
    let e = c.peer.ensemble.as_ref().unwrap();
    assert_eq!(c.peer.sid, Sid(2));
    assert_eq!(e.members.len(), 4);
    assert_eq!(c.peer.kind, MemberKind::Participant);
    assert_eq!((c.peer.timing.init_limit, c.peer.timing.sync_limit), (5, 2));
    assert_eq!(c.quorum.unwrap().to_string(), "b:2888");
    assert_eq!(c.election.unwrap().to_string(), "b:3888");
    assert_eq!(c.client.unwrap().to_string(), "0.0.0.0:2181");
    let c = read(&format!("{THREE}quorumListenOnAllIPs=TRUE"), Some(" 3 "), &Environment::default()).unwrap();
    assert_eq!(c.quorum.unwrap().host, None);
    assert_eq!(c.peer.kind, MemberKind::Observer);
}

#[test]
fn a_single_server_line() {
    let text = "dataDir=DATA\ninitLimit=5\nsyncLimit=2\nserver.7=a:1:2;127.0.0.1:9\n";
    let c = read(text, Some("7"), &Environment::default()).unwrap();
    assert!(c.peer.ensemble.is_none());
    assert_eq!(c.peer.sid, Sid(1));
    let c = read(&format!("{text}standaloneEnabled=false"), Some("7"), &Environment::default()).unwrap();
    assert_eq!(c.peer.ensemble.unwrap().members.len(), 1);
    assert_eq!(c.peer.sid, Sid(7));
    assert_eq!(c.client.unwrap().to_string(), "127.0.0.1:9");
}

#[test]
fn keys_reach_the_core() {
    let c = good(
        "dataDir=DATA\nclientPort=0x885\nclientPortAddress=[::1]\ntickTime=500\nmaxClientCnxns=-1\nsnapCount=10\n\
         zookeeper.preAllocSize=64\nsnapSizeLimitInKb=0\ntxnLogSizeLimitInKb=3\nforceSync=no\nextendedTypesEnabled=true\n\
         enforceQuota=True\nskipACL=yes\nDigestAuthenticationProvider.superDigest=super:abc=\nreadonlymode.enabled=true\n\
         jute.maxbuffer=0x1000\n4lw.commands.whitelist=ruok, stat,,mntr\nleaderServes=no\nsyncEnabled=false\n\
         digest.enabled=false\ndb.autocreate=false\ndatadir.autocreate=false\nautopurge.purgeInterval=2\n\
         autopurge.snapRetainCount=1\nglobalOutstandingLimit=7\ncommitLogCount=8\nsnapshotSizeFactor=-0.5\n\
         clientPortListenBacklog=200\nelectionPortBindRetry=0\nsnapshot.trust.empty=true\nconnectToLearnerMasterLimit=9\n\
         znode.container.checkIntervalMs=11\nleader.maxConcurrentSnapSyncs=4\nenforce.auth.enabled=true\n\
         enforce.auth.schemes=digest\n",
    );
    assert_eq!(c.client.as_ref().unwrap().to_string(), "[::1]:2181");
    let (t, l, s, f) = (&c.peer.timing, &c.peer.limits, &c.peer.storage, &c.peer.features);
    assert_eq!((t.tick_ms, t.min_session_ms, t.connect_limit, t.container_check_ms), (500, 1000, 9, 11));
    assert_eq!((l.max_client_cnxns, l.frame_max, l.frame_extra, l.outstanding, l.window_count), (0, 4096, 4096, 7, 8));
    assert_eq!(l.max_snap_syncs, 4);
    assert_eq!((s.snap_count, s.prealloc_bytes, s.snap_size_bytes, s.log_size_limit), (10, 65_536, 0, 3072));
    assert_eq!((s.force_sync, s.autocreate, s.observer_sync, s.trust_empty), (false, false, false, true));
    assert_eq!((s.purge_interval_ms, s.retain_count, s.snapshot_size_factor_permille), (7_200_000, 3, -1));
    assert!(
        f.extended_types
            && f.enforce_quota
            && f.auth.skip_acl
            && f.read_only_mode
            && !f.leader_serves
            && !f.tree_digest
    );
    assert_eq!(f.auth.super_digest.as_deref(), Some("super:abc="));
    assert_eq!(f.four_letter_words, ["ruok", "stat", "mntr"]);
    assert_eq!(f.auth.enforced, ["digest"]);
    assert_eq!((c.backlog, c.election_bind_tries, c.datadir_autocreate), (Some(200), None, false));
    let warned: Vec<&str> = c.warnings.iter().map(String::as_str).collect();
    assert_eq!(
        warned,
        [
            "zoo.cfg:24: autopurge.snapRetainCount: 1 is raised to 3",
            "zoo.cfg:10: forceSync: UNSAFE: the log is not fsynced; a power failure loses acknowledged writes",
            "zoo.cfg:13: skipACL: UNSAFE: no ACL is checked; every client may do everything",
        ]
    );
}

#[test]
fn the_connection_throttle() {
    let c = good(
        "dataDir=DATA\nclientPort=2181\nconnection_throttle_tokens=200\nconnection_throttle_fill_time=10\n\
         connection_throttle_fill_count=3\nconnection_throttle_freeze_time=50\nconnection_throttle_drop_increase=0.25\n\
         connection_throttle_drop_decrease=0.001\nconnection_throttle_decrease_ratio=1\n\
         connection_throttle_weight_enabled=true\nconnection_throttle_local_session_weight=4\n",
    );
    assert!(c.warnings.is_empty(), "{:?}", c.warnings);
    let t = c.peer.limits.connects;
    assert_eq!((t.tokens, t.fill_ms, t.fill_count, t.freeze_ms), (200, 10, 3, 50));
    assert_eq!((t.drop_increase_ppm, t.drop_decrease_ppm, t.decrease_ppm), (250_000, 1000, 1_000_000));
    assert_eq!((t.global_weight, t.local_weight, t.renew_weight), (3, 4, 2));
    let c = good("dataDir=DATA\nclientPort=2181\nconnection_throttle_global_session_weight=9\n");
    let t = c.peer.limits.connects;
    assert_eq!(
        (t.tokens, t.global_weight, t.local_weight, t.renew_weight),
        (0, 1, 1, 1),
        "off, and weights count for one"
    );
    let said = bad("dataDir=DATA\nclientPort=2181\nconnection_throttle_drop_increase=2\n");
    assert!(said.contains("connection_throttle_drop_increase") && said.contains("from 0 to 1"), "{said}");
}

#[test]
fn sessions_of_a_server_alone_are_global() {
    let c = good("dataDir=DATA\nclientPort=2181\nlocalSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n");
    assert!(!c.peer.features.local_sessions && !c.peer.features.local_sessions_upgrading);
    assert!(c.warnings.iter().any(|w| w.contains("localSessionsEnabled")), "{:?}", c.warnings);
    let c = read(&format!("{THREE}localSessionsEnabled=true\n"), Some("2\n"), &Environment::default()).unwrap();
    assert!(c.peer.features.local_sessions && c.warnings.is_empty(), "{:?}", c.warnings);
}

#[test]
fn the_environment_goes_behind_the_file() {
    let environment = Environment {
        server_jvmflags: "-Xmx1g -Dzookeeper.snapCount=10 -Djute.maxbuffer=100 -Dzookeeper.tickTime=7".into(),
        jvmflags: "-Dzookeeper.snapCount=20 -Duser.secret=hunter2 -DdataDir=/nowhere".into(),
        datadir_autocreate_disable: true,
    };
    let c = read("dataDir=DATA\nclientPort=1\ntickTime=8\n", None, &environment).unwrap();
    assert_eq!((c.peer.storage.snap_count, c.peer.limits.frame_max, c.peer.timing.tick_ms), (20, 100, 8));
    assert!(!c.datadir_autocreate);
    let all = c.warnings.join("\n");
    assert!(all.contains("environment variable SERVER_JVMFLAGS: ignored, there is no JVM: -Xmx1g"), "{all}");
    assert!(all.contains("-Duser.secret -DdataDir") && !all.contains("hunter2"), "{all}");
    let environment = Environment { jvmflags: "-Dzookeeper.snapCount=x".into(), ..Environment::default() };
    let e = read("dataDir=DATA\n", None, &environment).unwrap_err();
    assert!(
        e.starts_with(
            "environment variable JVMFLAGS: zookeeper.snapCount: \"x\" is not valid: expected a whole number"
        ),
        "{e}"
    );
}

#[test]
fn warnings_name_the_key() {
    let c = good(
        "dataDir=DATA\nclientPort=1\nadmin.serverPort=8080\nadmin.enableServer=false\nsecureClientPort=2281\n\
         ssl.keyStore.password=hunter2\nmyKey=1\ntickTiem=1\ntickTime=1\ntickTime=2\nnetty.x=1\nreconfigEnabled=true\n\
         snapshot.trust.empty=false\nauthProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\nfips-mode=true\n",
    );
    let all = c.warnings.join("\n");
    for want in [
        "zoo.cfg:3: admin.serverPort: accepted, no effect: there is no admin server yet",
        "zoo.cfg:5: secureClientPort: there is no TLS yet: nothing listens on this port; ACLs of the scheme x509 are",
        "zoo.cfg:6: ssl.keyStore.password: accepted, no effect: there is no TLS yet",
        "zoo.cfg:7: myKey: unknown key; it would be Java's system property zookeeper.myKey, no effect here",
        "zoo.cfg:8: tickTiem: unknown key; it would be Java's system property zookeeper.tickTiem, no effect here; did you \
         mean tickTime?",
        "zoo.cfg:10: tickTime: set again; zoo.cfg:9 has no effect",
        "zoo.cfg:11: netty.x: accepted, no effect: it tunes a structure that this server does not have",
        "zoo.cfg:12: reconfigEnabled: accepted, no effect",
        "zoo.cfg:14: authProvider.*: there is no SASL yet: ACLs of the scheme sasl are accepted and matched, but nobody can \
         log in by it on this server",
    ] {
        assert!(all.contains(want), "{want}\nnot in\n{all}");
    }
    assert_eq!(c.warnings.len(), 9, "{all}");
    assert!(!all.contains("hunter2"));
    assert_eq!(c.peer.timing.tick_ms, 2);
}

#[test]
fn authentication_schemes() {
    let classes = "org.apache.zookeeper.server.auth.";
    let auth = |text: &str| good(&format!("dataDir=DATA\nclientPort=1\n{text}")).peer.features.auth;
    let plain = auth("");
    assert!(plain.digest && !plain.x509 && !plain.sasl && plain.enforced.is_empty() && !plain.eager_check);
    assert_eq!(
        auth("DigestAuthenticationProvider.digestAlg=sha-512/256").digest_algorithm,
        DigestAlgorithm::Sha512Over256
    );
    let both = auth(&format!(
        "authProvider.x509={classes}X509AuthenticationProvider\nauthProvider.2={classes}SASLAuthenticationProvider\n\
         X509AuthenticationProvider.superUser=CN=root\nenforce.auth.enabled=true\nenforce.auth.schemes= sasl , digest\n"
    ));
    assert!(both.x509 && both.sasl);
    assert_eq!(
        (both.x509_super.as_deref(), &both.enforced[..]),
        (Some("CN=root"), &["sasl".into(), "digest".into()][..])
    );
    assert!(auth("secureClientPort=2281").x509, "as Java: a TLS listener brings the provider along");
    assert!(!auth("secureClientPort=-1").x509);
    let c = good("dataDir=DATA\nclientPort=1\nenforce.auth.schemes=digest");
    assert!(c.peer.features.auth.enforced.is_empty());
    assert_eq!(c.warnings, ["zoo.cfg:3: enforce.auth.schemes: no effect without enforce.auth.enabled=true"]);
    let c = good("dataDir=DATA\nclientPort=1\nenforce.auth.enabled=true\nenforce.auth.schemes=digest,ip");
    assert!(c.warnings[0].contains("the check is void"), "{:?}", c.warnings);
}

#[test]
fn refusals() {
    for (text, want) in [
        ("", "zoo.cfg: dataDir is not set"),
        ("dataDir=", "zoo.cfg:1: dataDir: \"\" is not valid: expected the path of a directory"),
        (
            "dataDir=DATA\nclientPort=x",
            "zoo.cfg:2: clientPort: \"x\" is not valid: expected a whole number from 0 to 65535",
        ),
        ("dataDir=DATA\nclientPort=65536", "zoo.cfg:2: clientPort: \"65536\" is not valid"),
        ("dataDir=DATA\ntickTime=0", "zoo.cfg:2: tickTime: \"0\" is not valid: expected a whole number from 1"),
        ("dataDir=DATA\nelectionAlg=1", "Invalid electionAlg value. Only 3 is supported."),
        ("dataDir=DATA\nreconfigEnabled=yes", "Invalid option yes for reconfigEnabled. Choose 'true' or 'false.'"),
        ("dataDir=DATA\nstandaloneEnabled=1", "Invalid option 1 for standaloneEnabled. Choose 'true' or 'false.'"),
        ("dataDir=DATA\nforceSync=false", "zoo.cfg:2: forceSync: \"false\" is not valid: expected yes or no"),
        ("dataDir=DATA\npeerType=boss", "Unrecognised peertype: boss"),
        ("dataDir=DATA\nclientPortAddress=::1", "clientPortAddress is set but clientPort is not set"),
        (
            "dataDir=DATA\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "minSessionTimeout must not be larger than maxSessionTimeout",
        ),
        (
            "dataDir=DATA\nsnapshot.compression.method=lz4",
            "\"lz4\" is not valid: expected an empty value, gz or snappy",
        ),
        ("dataDir=DATA\nauthProvider.1=com.acme.Auth", "zoo.cfg:2: authProvider.1: \"com.acme.Auth\" is not valid"),
        ("dataDir=DATA\nsslQuorum=true", "zoo.cfg:2: sslQuorum: \"true\" is refused: there is no TLS yet"),
        ("dataDir=DATA\nquorum.auth.enableSasl=true", "servers would accept each other without it"),
        ("dataDir=DATA\nsessionRequireClientSASLAuth=true", "is refused: there is no SASL yet"),
        ("dataDir=DATA\nenforce.auth.enabled=true", "enforce.auth.schemes is empty"),
        (
            "dataDir=DATA\nenforce.auth.enabled=true\nenforce.auth.schemes=digest,sasl",
            "zoo.cfg:3: enforce.auth.schemes: no provider for the scheme sasl",
        ),
        (
            "dataDir=DATA\nenforce.auth.enabled=true\nenforce.auth.schemes=x509\n\
             authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
            "nobody can log in by x509 on this server yet",
        ),
        (
            "dataDir=DATA\nDigestAuthenticationProvider.enabled=false\nenforce.auth.enabled=true\nenforce.auth.schemes=digest",
            "no provider for the scheme digest",
        ),
        (
            "dataDir=DATA\nDigestAuthenticationProvider.digestAlg=SHA256",
            "\"SHA256\" is not valid: expected one of SHA1, SHA-1, SHA, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, \
             SHA-512/256; with another hash",
        ),
        ("dataDir=DATA\noraclePath=/x", "zoo.cfg:2: oraclePath: \"/x\" is refused: there is no oracle"),
        ("dataDir=DATA\ntestingonly.initialZxid=1", "is refused"),
        ("dataDir=DATA\nautopurge.purgeInterval=1w", "expected hours"),
        ("dataDir=DATA\nsnapshotSizeFactor=NaN", "expected a number such as 0.33"),
        (
            "dataDir=DATA\nDigestAuthenticationProvider.superDigest=hunter2",
            "superDigest: the value is not valid: expected super:",
        ),
        ("dataDir=DATA\na=\\uzzzz", "zoo.cfg:2: malformed \\u escape"),
        ("dataDir=DATA\ndynamicConfigFile=/no/such", "zoo.cfg:2: dynamicConfigFile: Error processing /no/such"),
        ("dataDir=DATA\nserver.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
        ("dataDir=DATA\nserver.1=a:1:2\nserver.2=a:1:2:observer", "Observers w/o quorum is an invalid configuration"),
        ("dataDir=DATA\nserver.1=nonsense", "zoo.cfg:2: server.1: nonsense does not have the form"),
        ("dataDir=DATA\nserver.1=a:1:2\nserver.2=b:1:2\ninitLimit=1\nsyncLimit=1", "zoo.cfg: myid file is missing"),
    ] {
        let got = bad(text);
        assert!(got.contains(want), "{text}\n{got}");
        assert!(!got.contains("hunter2"), "{got}");
    }
    for (myid, text, want) in [
        ("1", THREE.replace("initLimit=5", ""), "zoo.cfg: initLimit is not set"),
        ("1", THREE.replace("syncLimit=2", ""), "zoo.cfg: syncLimit is not set"),
        ("one", THREE.to_owned(), "data/myid: serverid one is not a number"),
        ("", THREE.to_owned(), "data/myid: serverid  is not a number"),
        ("9", THREE.to_owned(), "My id 9 not in the peer list"),
        (
            "1",
            format!("{THREE}clientPort=2182"),
            "client address for this server (id = 1) in static config file is 0.0.0.0:2182 is different",
        ),
        ("1", format!("{THREE}clientPort=2181\nclientPortAddress=10.0.0.1"), "is different from client address found"),
        ("1", format!("{THREE}dynamicConfigFile=x"), "parameter: server.1 must be in a separate dynamic config file"),
    ] {
        let got = read(&text, Some(myid), &Environment::default()).unwrap_err();
        assert!(got.contains(want), "{text}\n{got}");
    }
    // All problems at once, in one start.
    assert_eq!(bad("dataDir=DATA\ntickTime=0\nforceSync=1\nserver.1=x").lines().count(), 3);
    let missing = load(Path::new("no/such.cfg"), &Environment::default()).unwrap_err();
    assert!(missing.to_string().starts_with("no/such.cfg: cannot be read: "));
    assert_eq!(missing.exit, Exit::Invalid);
}

#[test]
fn dynamic_file() {
    let scratch = Scratch::new();
    scratch.write("data/myid", "2");
    let dynamic =
        scratch.write("zoo.cfg.dynamic.1f", "server.1=a:1:2;9\nserver.2=[::1]:1:2;9\ngroup.1=1:2\nversion=3\n");
    let text =
        format!("dataDir={}\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile={}\n", scratch.data(), dynamic.display());
    let file = scratch.write("zoo.cfg", &text);
    let c = load(&file, &Environment::default()).unwrap();
    assert_eq!(c.peer.ensemble.unwrap().version, 0x1f);
    assert_eq!(c.quorum.unwrap().to_string(), "[::1]:1");
    scratch.write("zoo.cfg.dynamic.1f", "server.1=a:1:2\ntickTime=1\n");
    let e = load(&file, &Environment::default()).unwrap_err().to_string();
    assert!(e.contains("zoo.cfg.dynamic.1f:2: Unrecognised parameter: tickTime"), "{e}");
}

#[test]
fn old_arguments() {
    let arguments = |list: &[&str]| {
        from_arguments(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), &Environment::default())
    };
    let c = arguments(&["2181", "/data", "500", "7"]).unwrap();
    assert_eq!(c.client.unwrap().port, 2181);
    assert_eq!((c.peer.timing.tick_ms, c.peer.limits.max_client_cnxns), (500, 7));
    assert_eq!(c.data_dir, Path::new("/data"));
    let e = arguments(&["x", "/data"]).unwrap_err().to_string();
    assert!(e.starts_with("argument clientPort: clientPort: \"x\" is not valid"), "{e}");
    assert!(arguments(&["2181"]).is_err());
    assert!(arguments(&["2181", "/d", "1", "1", "1"]).is_err());
}

#[test]
fn any_bytes_are_read_or_refused() {
    let scratch = Scratch::new();
    let file = scratch.0.join("fuzz.cfg");
    let names: Vec<&str> = quorate_server::config::table::all().map(|k| k.name).collect();
    let prop = |picks: Vec<(u8, i64, String)>| {
        let mut text = format!("dataDir={}\n", scratch.data());
        for (pick, number, word) in picks {
            let name = names[usize::from(pick) % names.len()];
            let value = if pick % 2 == 0 { number.to_string() } else { word };
            text.push_str(&format!("{name}={value}\n"));
        }
        std::fs::write(&file, text).unwrap();
        let _ = load(&file, &Environment::default());
        true
    };
    // quickcheck takes functions only; a few hundred drawn files are enough here.
    let mut source = quickcheck::Gen::new(12);
    for _ in 0..300 {
        assert!(prop(quickcheck::Arbitrary::arbitrary(&mut source)));
    }
}
