//! Versions, owners and numbers at their edges (client-protocol 4.2, 5), and what a multi is made of (6).

use crate::standalone::Standalone;
use crate::standalone::ask::{create, create_with, delete, make, open, results, set, stat};
use crate::standalone::client::{Client, server};
use quorate_core::config::{Features, PeerConfig, TtlForms};
use quorate_core::error::ErrorCode;
use quorate_core::ids::SessionId;
use quorate_core::tree::DataTree;
use quorate_core::wire::client::{MultiResult, Request};
use quorate_core::wire::records::{Owner, op};
use quorate_core::wire::txn::{CreateMode, Txn};

fn with(features: Features) -> PeerConfig {
    PeerConfig { features, ..PeerConfig::default() }
}

// ----- 4.2, 5.1, 5.2 -------------------------------------------------------------------------------------------------

#[test]
fn versions_of_data_and_acl_go_around_without_the_one_that_means_any() {
    for (present, next) in [(i32::MAX, i32::MIN), (-3, -2), (-2, 0), (-1, 0)] {
        let (mut s, mut c) = server(PeerConfig::default());
        c.ask(&mut s, &create("/v"));
        s.apply(op::SET_DATA, &Txn::SetData { path: "/v".into(), data: None, version: present });
        s.apply(op::SET_ACL, &Txn::SetAcl { path: "/v".into(), acl: open(), version: present });
        // The exact value is expected; -1 is any, -2 never a wildcard.
        let data = |version| Request::SetData { path: Some("/v".into()), data: None, version };
        let acl = |version| Request::SetAcl { path: Some("/v".into()), acl: Some(open()), version };
        for wrong in [-2, 0, 5].into_iter().filter(|v| *v != present) {
            assert_eq!(c.err(&mut s, &data(wrong)), ErrorCode::BadVersion);
            assert_eq!(c.err(&mut s, &acl(wrong)), ErrorCode::BadVersion);
        }
        assert_eq!(c.err(&mut s, &data(present)), ErrorCode::Ok);
        assert_eq!(c.err(&mut s, &acl(present)), ErrorCode::Ok);
        assert_eq!((stat(&s, "/v").version, stat(&s, "/v").aversion), (next, next));
    }
}

/// A parent whose counter of creates stands here.
fn parent_at(counter: i32) -> (Standalone, Client) {
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/q"));
    let mode = CreateMode::Plain { ephemeral: false };
    let (path, acl) = ("/q/first".into(), open());
    s.apply(op::CREATE, &Txn::Create { path, data: None, acl, mode, parent_cversion: counter });
    (s, c)
}

fn sequential(prefix: &str) -> Request<'_> {
    make(op::CREATE, prefix, 2, -1)
}

#[test]
fn the_last_number_is_given_away_once_for_each_prefix() {
    // [D] of 5.2: refused, not wrapped; pipelined or not, the same.
    for pipelined in [false, true] {
        let (mut s, mut c) = parent_at(i32::MAX - 1);
        if pipelined {
            s.hold();
        }
        let prefixes = ["/q/n", "/q/n", "/q/n", "/q/n", "/q/m", "/q/m"];
        for prefix in prefixes {
            c.send(&mut s, &sequential(prefix));
        }
        c.send(&mut s, &create("/q/plain"));
        s.let_go(9);
        let replies = c.take(&mut s);
        let errors: Vec<ErrorCode> = replies.iter().map(|f| f.err).collect();
        let (ok, exists) = (ErrorCode::Ok, ErrorCode::NodeExists);
        assert_eq!(errors, [ok, ok, exists, exists, ok, exists, ok], "pipelined: {pipelined}");
        let q = s.tree().node("/q").expect("there");
        let mut names: Vec<&str> = q.children().collect();
        names.sort_unstable();
        assert_eq!(names, ["first", "m2147483647", "n2147483646", "n2147483647", "plain"]);
        // The wire's cversion goes around: 2 * counter - children.
        assert_eq!(q.stat().cversion, i32::MAX.wrapping_mul(2).wrapping_sub(5));
        assert_eq!(stat(&s, "/q").cversion, -7);
    }
}

#[test]
fn a_counter_of_creates_may_be_negative() {
    // As in a snapshot that an overflow of another implementation made.
    let tree = DataTree::new(1, false);
    assert_eq!(["/", "/zookeeper"].map(|p| tree.node(p).expect("reserved").stat().cversion), [-1, -2]);
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/q"));
    c.ask(&mut s, &sequential("/q/n"));
    c.ask(&mut s, &delete("/q/n0000000000"));
    assert_eq!(stat(&s, "/q").cversion, 2, "creates and deletes");
    assert_eq!(format!("{:010}", -5), "-000000005", "as Java's %010d");
}

#[test]
fn numbers_are_ten_digits_and_every_create_counts() {
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/q"));
    for request in [create("/q/plain"), sequential("/q/"), delete("/q/plain"), create("/q/plain/x"), sequential("/q/-")]
    {
        c.ask(&mut s, &request);
    }
    let failing = Request::Multi(vec![sequential("/q/lost"), delete("/none")]);
    c.ask(&mut s, &failing);
    c.ask(&mut s, &make(op::CREATE_CONTAINER, "/q/c", 2, -1));
    c.ask(&mut s, &make(op::CREATE2, "/q/e", 3, -1));
    let mut names: Vec<&str> = s.tree().node("/q").expect("there").children().collect();
    names.sort_unstable();
    assert_eq!(names, ["-0000000002", "0000000001", "c0000000003", "e0000000004"]);
}

#[test]
fn stored_owners() {
    let session = SessionId(0x0100_1234_5678_0000);
    let ttl = (0xff_u64 << 56) as i64 | 5000;
    let old = (0x80_u64 << 56) as i64 | 5000;
    let long = i64::MIN | 0x0fff_ffff_ffff_ffff;
    use TtlForms::{Extended, None, With353};
    for forms in [None, Extended, With353] {
        assert_eq!(Owner::of(0, forms), Owner::None);
        assert_eq!(Owner::of(session.0, forms), Owner::Session(session));
        assert_eq!(Owner::of(i64::MIN, forms), Owner::Container);
        // The top byte counts only where extended types are enabled, the old form only where it is asked for.
        let new_form = if forms == None { Owner::Session(SessionId(ttl)) } else { Owner::Ttl(5000) };
        assert_eq!(Owner::of(ttl, forms), new_form);
        for (stored, of) in [(old, 5000), (long, 0x0fff_ffff_ffff_ffff)] {
            let old_form = if forms == With353 { Owner::Ttl(of) } else { Owner::Session(SessionId(stored)) };
            assert_eq!(Owner::of(stored, forms), old_form, "{stored:x} {forms:?}");
        }
        // Sessions of servers up to 254 are sessions.
        let high = SessionId(0xfe << 56);
        assert_eq!(Owner::of(high.0, forms), Owner::Session(high));
    }
    // Clients see session ids only.
    assert_eq!(Owner::Session(session).on_wire(), session.0);
    assert_eq!([Owner::Container, Owner::Ttl(5), Owner::None].map(Owner::on_wire), [0; 3]);
    let features = Features { emulate_353: true, ..Features::default() };
    assert_eq!(features.ttl_forms(), None, "without extended types there is no TTL at all");
    assert_eq!(Features { extended_types: true, ..features }.ttl_forms(), With353);
}

#[test]
fn a_ttl_znode_of_3_5_3_is_reaped_when_that_is_emulated() {
    for (emulate_353, gone) in [(false, false), (true, true)] {
        let features = Features { extended_types: true, emulate_353, ..Features::default() };
        let mut cfg = with(features);
        cfg.timing.container_check_ms = 1000;
        let (mut s, mut c) = server(cfg);
        // Its owner in the log is that of an ephemeral: 3.5.3 wrote the ttl there.
        let old = SessionId(i64::MIN | 500);
        s.apply_as(
            old,
            op::CREATE,
            &Txn::Create {
                path: "/old".into(),
                data: None,
                acl: open(),
                mode: CreateMode::Plain { ephemeral: true },
                parent_cversion: -1,
            },
        );
        let shown = stat(&s, "/old").ephemeral_owner;
        assert_eq!(shown, if emulate_353 { 0 } else { old.0 });
        s.sleep(2500);
        c.ask(&mut s, &Request::Ping);
        assert_eq!(s.tree().node("/old").is_none(), gone);
    }
}

// ----- section 6 -----------------------------------------------------------------------------------------------------

#[test]
fn in_a_multi_the_flags_choose_first() {
    use ErrorCode::{BadArguments, Unimplemented};
    for extended_types in [false, true] {
        for kind in [op::CREATE, op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL] {
            for flags in [-1, 0, 1, 2, 3, 4, 5, 6, 7, 77] {
                let (mut s, mut c) = server(with(Features { extended_types, ..Features::default() }));
                let before = s.zxid();
                let reply = c.ask(&mut s, &Request::Multi(vec![make(kind, "/z", flags, 40)]));
                let what = format!("op {kind} flags {flags} extended types {extended_types}");
                assert_eq!(reply.zxid, before.next(), "{what}");
                let ttl = kind == op::CREATE_TTL;
                if !ttl && !(0..=4).contains(&flags) {
                    assert_eq!(reply.err, ErrorCode::MarshallingError, "{what}: malformed as a whole");
                    continue;
                }
                let result = results(&reply).pop().expect("one");
                let error = match flags {
                    5 | 6 if ttl && !extended_types => Some(Unimplemented),
                    0..=6 => None,
                    _ => Some(BadArguments),
                };
                if let Some(error) = error {
                    assert_eq!(result, MultiResult::Error(error), "{what}");
                    continue;
                }
                let MultiResult::Created { path, stat } = result else { panic!("{what}: {result:?}") };
                assert_eq!(path.len(), if matches!(flags, 2 | 3 | 6) { 12 } else { 2 }, "{what}");
                let owner = match (kind, flags) {
                    (_, 4) | (op::CREATE_CONTAINER, _) => Owner::Container,
                    (op::CREATE_TTL, 5 | 6) => Owner::Ttl(40),
                    (_, 1 | 3) => Owner::Session(SessionId(0)),
                    _ => Owner::None,
                };
                let made = s.tree().node(&path).expect("made").owner();
                let made = if let Owner::Session(_) = made { Owner::Session(SessionId(0)) } else { made };
                assert_eq!(made, owner, "{what}");
                // Without a Stat: ops 1 and 21 with flags 0..3.
                let plain = matches!(kind, op::CREATE | op::CREATE_TTL) && (0..=3).contains(&flags);
                assert_eq!(stat.is_none(), plain, "{what}");
            }
        }
    }
}

#[test]
fn stats_in_results_are_those_after_each_op() {
    let (mut s, mut c) = server(PeerConfig::default());
    let reply = c.ask(
        &mut s,
        &Request::Multi(vec![
            make(op::CREATE2, "/m", 0, -1),
            set("/m"),
            make(op::CREATE2, "/m/x", 0, -1),
            set("/m"),
            delete("/m/x"),
            Request::Check { path: Some("/m".into()), version: 2 },
        ]),
    );
    let results = results(&reply);
    let of = |i: usize| match &results[i] {
        MultiResult::Created { stat: Some(stat), .. } | MultiResult::SetData(stat) => {
            (stat.version, stat.num_children, stat.cversion, stat.mzxid, stat.czxid)
        }
        other => panic!("{other:?}"),
    };
    let zxid = reply.zxid;
    assert_eq!(of(0), (0, 0, 0, zxid, zxid));
    assert_eq!(of(1), (1, 0, 0, zxid, zxid));
    assert_eq!(of(3), (2, 1, 1, zxid, zxid));
    assert_eq!(results[4..], [MultiResult::Deleted, MultiResult::Checked]);
    assert_eq!(stat(&s, "/m").cversion, 2);
}

#[test]
fn a_delete_in_a_multi_frees_no_room_under_a_quota() {
    let (mut s, mut c) = server(with(Features { enforce_quota: true, ..Features::default() }));
    let limits = b"count=-1,bytes=-1=;countHardLimit=2";
    for request in [
        create_with("/q", b"", open()),
        create_with("/q/a", b"", open()),
        create_with("/zookeeper/quota/q", b"", open()),
        create_with("/zookeeper/quota/q/zookeeper_limits", limits, open()),
        create_with("/zookeeper/quota/q/zookeeper_stats", b"", open()),
    ] {
        assert_eq!(c.err(&mut s, &request), ErrorCode::Ok);
    }
    let swap = Request::Multi(vec![delete("/q/a"), create("/q/b")]);
    let failed = [MultiResult::Error(ErrorCode::Ok), MultiResult::Error(ErrorCode::QuotaExceeded)];
    assert_eq!(results(&c.ask(&mut s, &swap)), failed);
    // The other way round a multi that makes more than fits is not seen either: every op is compared with what is used already.
    assert_eq!(c.err(&mut s, &delete("/q/a")), ErrorCode::Ok);
    assert_eq!(results(&c.ask(&mut s, &Request::Multi(vec![create("/q/a"), create("/q/b")]))).len(), 2);
    let stats = s.tree().node("/zookeeper/quota/q/zookeeper_stats").expect("there").data().map(<[u8]>::to_vec);
    assert_eq!(stats.as_deref(), Some(&b"count=3,bytes=2"[..]));
}

#[test]
fn a_multi_of_very_many_ops() {
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/q"));
    let paths: Vec<String> = (0..10_000).map(|i| format!("/q/{i:05}")).collect();
    let all = Request::Multi(paths.iter().map(|p| create(p)).collect());
    let reply = c.ask(&mut s, &all);
    assert_eq!(results(&reply).len(), 10_000);
    assert_eq!(stat(&s, "/q").num_children, 10_000);
    // A failure behind all of them takes all back.
    let mut deletes: Vec<Request<'_>> = paths.iter().map(|p| delete(p)).collect();
    deletes.push(delete("/q/none"));
    let reply = c.ask(&mut s, &Request::Multi(deletes.clone()));
    let failed = results(&reply);
    assert_eq!(failed.len(), 10_001);
    assert!(failed[..10_000].iter().all(|r| *r == MultiResult::Error(ErrorCode::Ok)));
    assert_eq!(failed[10_000], MultiResult::Error(ErrorCode::NoNode));
    assert_eq!(stat(&s, "/q").num_children, 10_000);
    deletes.pop();
    assert_eq!(results(&c.ask(&mut s, &Request::Multi(deletes))).len(), 10_000);
    assert_eq!((stat(&s, "/q").num_children, stat(&s, "/q").cversion), (0, 20_000));
}
