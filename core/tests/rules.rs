//! Rules of the client protocol that no recorded conversation shows whole: encodings and headers (1), opcodes (3), versions, owners
//! and numbers at their edges (4.2, 5), multi (6), bad input (8), logins (9).

mod standalone;

use quorate_core::config::{Auth, DigestAlgorithm, Features, PeerConfig, TtlForms};
use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::{Put, Reader};
use quorate_core::request::read::is_read;
use quorate_core::tree::DataTree;
use quorate_core::wire::client::{Create, MultiResult, Request, Response};
use quorate_core::wire::records::{Acl, Id, Owner, Stat, op, perm};
use quorate_core::wire::txn::{CreateMode, Txn};
use standalone::Standalone;
use standalone::client::{Client, Frame, server};

fn open() -> Vec<Acl<'static>> {
    vec![Acl::world(perm::ALL)]
}
fn make(kind: i32, path: &str, flags: i32, ttl: i64) -> Request<'_> {
    Request::Create(Create { op: kind, path: Some(path.into()), data: Some(b"d"), acl: Some(open()), flags, ttl })
}
fn create(path: &str) -> Request<'_> {
    make(op::CREATE, path, 0, -1)
}
fn get(path: &str) -> Request<'_> {
    Request::GetData { path: Some(path.into()), watch: false }
}
fn set(path: &str) -> Request<'_> {
    Request::SetData { path: Some(path.into()), data: Some(b"x"), version: -1 }
}
fn delete(path: &str) -> Request<'_> {
    Request::Delete { path: Some(path.into()), version: -1 }
}
fn auth<'a>(scheme: &'a str, data: &'a [u8]) -> Request<'a> {
    Request::Auth { scheme: Some(scheme.into()), auth: Some(data) }
}
fn with(features: Features) -> PeerConfig {
    PeerConfig { features, ..PeerConfig::default() }
}
fn results(frame: &Frame) -> Vec<MultiResult<'_>> {
    assert_eq!(frame.err, ErrorCode::Ok);
    match Response::decode(op::MULTI, &frame.body).expect("a result") {
        Response::Multi(results) => results,
        other => panic!("{other:?}"),
    }
}
fn stat(s: &Standalone, path: &str) -> Stat {
    s.tree().node(path).expect("it is there").stat()
}

// ----- section 1 -----------------------------------------------------------------------------------------------------

#[test]
fn jute_reads_what_java_reads() {
    let reader = |bytes: &'static [u8]| Reader::new(bytes);
    for (byte, value) in [(0, false), (1, true), (7, true), (0xff, true)] {
        assert_eq!(Reader::new(&[byte]).bool(), Ok(value));
    }
    let mut out = Vec::new();
    out.put_bool(true);
    out.put_bool(false);
    assert_eq!(out, [1, 0]);
    assert_eq!(reader(&[0xff; 4]).buffer(), Ok(None), "length -1 is null");
    assert!(reader(&[0xff, 0xff, 0xff, 0xfe]).buffer().is_err(), "any other negative length is none");
    assert_eq!(reader(&[0xff; 4]).count(), Ok(None));
    assert_eq!(reader(&[0xff, 0xff, 0xff, 0xfe]).count(), Ok(Some(0)), "other negative counts are empty");
    assert_eq!(reader(&[0x80, 0, 0, 0]).strings(), Ok(Some(vec![])));
    assert!(reader(&[0x7f, 0xff, 0xff, 0xff, 0]).strings().is_err(), "nothing is reserved for a count alone");
    for bad in [&[0, 0, 0, 1, 0xff][..], &[0, 0, 0, 3, 0xed, 0xa0, 0x80], &[0, 0, 0, 2, 0xc3, 0x28]] {
        let text = Reader::new(bad).string().expect("malformed UTF-8 is replaced").expect("not null");
        assert!(text.contains('\u{fffd}'), "{bad:?}");
    }
}

#[test]
fn frames_up_to_the_limit_are_read_and_replies_have_none() {
    // 8.1, 2.7: a frame of jute.maxbuffer is served, one byte more closes the connection before it is there.
    let (mut s, mut c) = server(PeerConfig::default());
    let room = 0xfffff - (8 + 4 + 2 + 4 + 4);
    let data = vec![b'x'; room];
    let xid = c.send(&mut s, &make(op::CREATE, "/m", 0, -1));
    assert_eq!(c.take(&mut s)[0].xid, xid);
    let biggest = Request::SetData { path: Some("/m".into()), data: Some(&data), version: -1 };
    let mut frame = Vec::new();
    biggest.encode(99, &mut frame);
    assert_eq!(frame.len(), 4 + 0xfffff);
    // However it is cut.
    s.bytes(c.link, &frame[..1000]);
    s.bytes(c.link, &frame[1000..]);
    assert_eq!(c.take(&mut s)[0].err, ErrorCode::Ok);
    // The reply is longer than any request may be: as with Java, that is the client's affair.
    let reply = c.ask(&mut s, &get("/m"));
    assert_eq!(16 + reply.body.len(), 16 + 4 + room + Stat::LEN);
    assert!(16 + reply.body.len() > 0xfffff);
    s.bytes(c.link, &0x0010_0000_i32.to_be_bytes());
    assert!(s.is_closed(c.link) && c.take(&mut s).is_empty());
}

#[test]
fn a_small_limit_is_kept_on_the_way_in_only() {
    let mut cfg = PeerConfig::default();
    (cfg.limits.frame_max, cfg.limits.frame_extra) = (200, 1024);
    let (mut s, mut c) = server(cfg);
    for i in 0..50 {
        assert_eq!(c.err(&mut s, &create(&format!("/a-znode-{i}"))), ErrorCode::Ok);
    }
    let names = c.ask(&mut s, &Request::GetChildren { path: Some("/".into()), watch: false });
    assert!(names.err == ErrorCode::Ok && names.body.len() > 500);
    let mut body = Vec::new();
    get("/").encode_body(&mut body);
    body.resize(200 - 8, 0);
    c.send_raw(&mut s, op::GET_DATA, &body);
    assert_eq!(c.take(&mut s).len(), 1, "trailing bytes are ignored");
    body.push(0);
    c.send_raw(&mut s, op::GET_DATA, &body);
    assert!(s.is_closed(c.link) && c.take(&mut s).is_empty());
}

#[test]
fn zxids_and_bodies_of_replies() {
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/a"));
    let watch = |mode| Request::AddWatch { path: Some("/a".into()), mode };
    let none = || Request::SetWatches { seen: 0, data: vec![], exist: vec![], child: vec![] };
    let lists = || Request::SetWatches2 {
        seen: 0,
        data: vec![],
        exist: vec![],
        child: vec![],
        persistent: vec![],
        recursive: vec![],
    };
    let of_watcher = |kind| (Some("/a".into()), kind);
    let (path, kind) = of_watcher(3);
    let check = Request::CheckWatches { path: path.clone(), kind };
    let remove = Request::RemoveWatches { path, kind };
    // What has a body, and of which length; what it does to the zxid.
    for (request, body, uses) in [
        (Request::Ping, 0, 0),
        (watch(0), 4, 0),
        (watch(1), 4, 0),
        (check, 0, 0),
        (remove, 0, 0),
        (none(), 0, 0),
        (lists(), 0, 0),
        (get("/a"), 4 + 1 + Stat::LEN, 0),
        (Request::Sync { path: Some("/a".into()) }, 4 + 2, 0),
        (Request::Sync { path: None }, 4, 0),
        (set("/a"), Stat::LEN, 1),
        (set("/none"), 0, 1),
        (create("/a"), 0, 1),
        (Request::Multi(vec![]), 9, 1),
        (Request::MultiRead(vec![]), 9, 0),
        (delete("/a"), 0, 1),
    ] {
        let before = s.zxid();
        let reply = c.ask(&mut s, &request);
        assert_eq!((reply.body.len(), reply.zxid.0), (body, before.0 + uses), "{request:?}");
        assert_eq!(s.zxid(), reply.zxid, "{request:?}");
    }
    // Logins name no zxid.
    for request in [auth("digest", b"a:b"), auth("ip", b""), Request::Sasl { token: Some(b"x") }] {
        let reply = c.ask(&mut s, &request);
        assert_eq!((reply.zxid, reply.err), (Zxid::ZERO, ErrorCode::Ok), "{request:?}");
        let token = if request.op() == op::SASL { &[0xff; 4][..] } else { &[] };
        assert_eq!(reply.body, token);
    }
    let before = s.zxid();
    let last = c.ask(&mut s, &Request::CloseSession);
    assert_eq!((last.zxid, last.err, last.body.len()), (before.next(), ErrorCode::Ok, 0));
    assert!(s.is_closed(c.link));
}

#[test]
fn a_multi_read_that_meets_another_op_keeps_what_it_has() {
    // 1.4: the one reply with an error and a body.
    let (mut s, mut c) = server(PeerConfig::default());
    let children = Request::GetChildren { path: Some("/zookeeper/quota".into()), watch: false };
    let null = Request::GetData { path: None, watch: false };
    let reply = c.ask(&mut s, &Request::MultiRead(vec![children.clone(), null, children]));
    assert_eq!(reply.err, ErrorCode::MarshallingError);
    let Ok(Response::Multi(results)) = Response::decode(op::MULTI_READ, &reply.body) else { panic!() };
    assert_eq!(results, [MultiResult::Children(vec![])]);
    assert!(!s.is_closed(c.link));
}

// ----- section 3 -----------------------------------------------------------------------------------------------------

#[test]
fn every_other_opcode_ends_the_connection() {
    let writes = [
        op::CREATE,
        op::CREATE2,
        op::CREATE_CONTAINER,
        op::CREATE_TTL,
        op::DELETE,
        op::SET_DATA,
        op::SET_ACL,
        op::MULTI,
        op::RECONFIG,
        op::SYNC,
    ];
    let others = [op::PING, op::AUTH, op::SASL, op::CLOSE_SESSION];
    let (mut s, mut c) = server(PeerConfig::default());
    let ids = (-20..300).chain([i32::MIN, i32::MAX, 999, 1000]);
    for kind in ids.filter(|kind| !(is_read(*kind) || writes.contains(kind) || others.contains(kind))) {
        // Among them check alone, and what only servers may say: deleteContainer and createSession (8.4).
        let body = [0, 0, 0, 2, b'/', b'x', 0, 0, 0, 0];
        let before = s.zxid();
        let xid = c.send_raw(&mut s, kind, &body);
        let reply = c.take(&mut s);
        let want = Frame { xid, zxid: Zxid::NONE, err: ErrorCode::Unimplemented, body: vec![] };
        assert_eq!((reply, s.is_closed(c.link), s.zxid()), (vec![want], true, before), "opcode {kind}");
        c = Client::connect(&mut s);
    }
    for kind in writes.into_iter().chain([op::PING, op::CLOSE_SESSION]) {
        // An empty body may be wrong, the opcode is not.
        c.send_raw(&mut s, kind, &[]);
        assert!(c.take(&mut s)[0].err != ErrorCode::Unimplemented, "opcode {kind}");
        if s.is_closed(c.link) {
            c = Client::connect(&mut s);
        }
    }
}

#[test]
fn only_the_leader_deletes_containers_and_makes_sessions() {
    // 8.4: a client that asks for it is refused and nothing happens.
    let (mut s, mut c) = server(PeerConfig::default());
    assert_eq!(c.err(&mut s, &make(op::CREATE_CONTAINER, "/c", 4, -1)), ErrorCode::Ok);
    for request in [Request::DeleteContainer { path: Some("/c".into()) }, Request::CreateSession { timeout: 4000 }] {
        let before = s.zxid();
        let reply = c.ask(&mut s, &request);
        assert_eq!((reply.err, reply.zxid), (ErrorCode::Unimplemented, Zxid::NONE), "{request:?}");
        assert!(s.is_closed(c.link) && s.zxid() == before, "{request:?}");
        c = Client::connect(&mut s);
    }
    assert!(s.tree().node("/c").is_some());
}

#[test]
fn a_ttl_opcode_without_a_ttl_flag_is_refused() {
    // 8.4: whatever the ttl; the reference takes -1.
    let (mut s, mut c) = server(with(Features { extended_types: true, ..Features::default() }));
    for flags in 0..=4 {
        for ttl in [-1, 0, 1, i64::MAX] {
            let reply = c.ask(&mut s, &make(op::CREATE_TTL, "/t", flags, ttl));
            assert_eq!(reply.err, ErrorCode::BadArguments, "{flags} {ttl}");
        }
    }
    assert!(s.tree().node("/t").is_none());
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
    let raw = |path: &'static str, data: &'static [u8]| {
        Request::Create(Create {
            op: 1,
            path: Some(path.into()),
            data: Some(data),
            acl: Some(open()),
            flags: 0,
            ttl: -1,
        })
    };
    for request in [
        raw("/q", b""),
        raw("/q/a", b""),
        raw("/zookeeper/quota/q", b""),
        raw("/zookeeper/quota/q/zookeeper_limits", limits),
        raw("/zookeeper/quota/q/zookeeper_stats", b""),
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

// ----- section 8 -----------------------------------------------------------------------------------------------------

#[test]
fn what_ends_a_connection_waits_for_its_turn_and_nothing_behind_it_is_done() {
    // [D] of 8.2.
    let unknown = |c: &mut Client, s: &mut Standalone| c.send_raw(s, 999, &[]);
    let failed = |c: &mut Client, s: &mut Standalone| c.send(s, &auth("bogus", b"x"));
    type Ask = fn(&mut Client, &mut Standalone) -> i32;
    let ends: [(Ask, ErrorCode, i64); 2] =
        [(unknown, ErrorCode::Unimplemented, -1), (failed, ErrorCode::AuthFailed, 0)];
    for (end, err, zxid) in ends {
        let (mut s, mut c) = server(PeerConfig::default());
        s.hold();
        c.send(&mut s, &create("/a"));
        c.send(&mut s, &get("/a"));
        let last = end(&mut c, &mut s);
        c.send(&mut s, &create("/behind"));
        c.send(&mut s, &get("/a"));
        assert!(c.take(&mut s).is_empty() && !s.is_closed(c.link));
        assert_eq!(s.let_go(9), 1, "what comes behind is not handed on");
        let replies: Vec<_> = c.take(&mut s).iter().map(|f| (f.xid, f.err)).collect();
        assert_eq!(replies, [(1, ErrorCode::Ok), (2, ErrorCode::Ok), (last, err)]);
        assert!(s.is_closed(c.link) && s.tree().node("/behind").is_none());
        // The zxid of such a reply is that of section 1.4.
        let mut third = server(PeerConfig::default());
        let xid = end(&mut third.1, &mut third.0);
        let reply = third.1.take(&mut third.0).pop().expect("a reply");
        assert_eq!((reply.xid, reply.zxid.0, reply.err), (xid, zxid, err));
    }
}

#[test]
fn undecodable_logins_and_frames_close_in_silence() {
    // 8.1
    for bytes in [
        &[0, 0, 0, 0][..],
        &[0, 0, 0, 4, 0, 0, 0, 1],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 100],
        &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 102],
        b"ruok",
        b"GET / HTTP/1.1\r\n\r\n",
        &[22, 3, 1, 0, 200, 1],
    ] {
        let (mut s, c) = server(PeerConfig::default());
        s.bytes(c.link, bytes);
        assert!(s.is_closed(c.link) && c.take(&mut s).is_empty(), "{bytes:?}");
    }
}

#[test]
fn quotas_that_nobody_can_read_limit_nothing() {
    // 8.4
    let (mut s, mut c) = server(with(Features { enforce_quota: true, ..Features::default() }));
    let raw = |path: &'static str, data: &'static [u8]| {
        Request::Create(Create {
            op: 1,
            path: Some(path.into()),
            data: Some(data),
            acl: Some(open()),
            flags: 0,
            ttl: -1,
        })
    };
    for request in [
        raw("/q", b""),
        raw("/zookeeper/quota/q", b""),
        raw("/zookeeper/quota/q/zookeeper_limits", b"count=many,bytes=\xff=;countHardLimit=;;=3"),
        raw("/zookeeper/quota/q/zookeeper_stats", b"nonsense"),
        raw("/q/a", b"12"),
        Request::SetData {
            path: Some("/zookeeper/quota/q/zookeeper_stats".into()),
            data: Some(b"\0\xff"),
            version: -1,
        },
        raw("/q/b", b"345"),
    ] {
        assert_eq!(c.err(&mut s, &request), ErrorCode::Ok, "{request:?}");
    }
    let stats = s.tree().node("/zookeeper/quota/q/zookeeper_stats").expect("there").data().map(<[u8]>::to_vec);
    assert_eq!(stats.as_deref(), Some(&b"count=3,bytes=5"[..]), "counted anew");
}

// ----- section 9 -----------------------------------------------------------------------------------------------------

fn ids(c: &mut Client, s: &mut Standalone) -> Vec<String> {
    let reply = c.ask(s, &Request::WhoAmI);
    let Ok(Response::Ids(ids)) = Response::decode(op::WHO_AM_I, &reply.body) else { panic!() };
    ids.iter().map(|id| format!("{}:{}", id.scheme(), id.id())).collect()
}

#[test]
fn the_hash_of_the_scheme_digest_is_configurable() {
    // What `printf super:secret | sha256sum` says, as base64.
    let secret = "super:WTA5ucCHTdJq645xIMibj8HviTPeB5mMuJ4/+v1dIEw=";
    let features = |super_digest: &str| Features {
        auth: Auth {
            digest_algorithm: DigestAlgorithm::Sha256,
            super_digest: Some(super_digest.into()),
            ..Auth::default()
        },
        ..Features::default()
    };
    let (mut s, mut c) = server(with(features(secret)));
    assert_eq!(c.err(&mut s, &auth("digest", b"super:secret")), ErrorCode::Ok);
    assert_eq!(ids(&mut c, &mut s), ["ip:127.0.0.1", "super:", "digest:super"]);
    assert_eq!(c.err(&mut s, &set("/zookeeper/config")), ErrorCode::Ok, "super writes where world may read");
    // "auth" stores ids of that hash, and they match.
    let mine = vec![Acl { perms: perm::ALL, id: Id::new("auth", "") }];
    let locked =
        Request::Create(Create { op: 1, path: Some("/mine".into()), data: None, acl: Some(mine), flags: 0, ttl: -1 });
    let mut bob = Client::connect(&mut s);
    assert_eq!(bob.err(&mut s, &auth("digest", b"bob:pw")), ErrorCode::Ok);
    assert_eq!(bob.err(&mut s, &locked), ErrorCode::Ok);
    assert_eq!(bob.err(&mut s, &set("/mine")), ErrorCode::Ok);
    let mut eve = Client::connect(&mut s);
    assert_eq!(eve.err(&mut s, &set("/mine")), ErrorCode::NoAuth);
    // The digest of SHA-1 is nobody's here.
    let (mut s, mut c) = server(with(features("super:lK75jTNcA+U9vtVEw5vB51mj/w4=")));
    assert_eq!(c.err(&mut s, &auth("digest", b"super:secret")), ErrorCode::Ok);
    assert_eq!(ids(&mut c, &mut s), ["ip:127.0.0.1", "digest:super"]);
}

#[test]
fn nobody_logs_in_by_a_scheme_that_is_off_or_has_no_login() {
    let off =
        Auth { digest: false, super_digest: Some("super:lK75jTNcA+U9vtVEw5vB51mj/w4=".into()), ..Auth::default() };
    let configured = Auth { x509: true, sasl: true, ..Auth::default() };
    for (cfg, scheme) in [
        (off, "digest"),
        (configured.clone(), "x509"),
        (configured.clone(), "sasl"),
        (configured.clone(), "super"),
        (configured.clone(), "auth"),
        (configured, "world"),
    ] {
        let (mut s, mut c) = server(with(Features { auth: cfg, ..Features::default() }));
        let reply = c.ask(&mut s, &auth(scheme, b"super:secret"));
        assert_eq!((reply.err, reply.zxid), (ErrorCode::AuthFailed, Zxid::ZERO), "{scheme}");
        assert!(s.is_closed(c.link), "{scheme}");
    }
}

#[test]
fn acls_of_x509_and_sasl_are_kept_and_shown() {
    let auth = Auth { x509: true, sasl: true, ..Auth::default() };
    let (mut s, mut c) = server(with(Features { auth, ..Features::default() }));
    let entry = |perms, scheme, id| Acl { perms, id: Id::new(scheme, id) };
    let list = vec![
        Acl::world(perm::READ),
        entry(perm::ALL, "x509", "CN=client,O=acme"),
        entry(perm::ALL, "sasl", "svc/host@REALM"),
        entry(perm::ALL, "digest", "bob:hash"),
    ];
    let request = Request::Create(Create {
        op: 1,
        path: Some("/a".into()),
        data: None,
        acl: Some(list.clone()),
        flags: 0,
        ttl: -1,
    });
    assert_eq!(c.err(&mut s, &request), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &set("/a")), ErrorCode::NoAuth);
    let reply = c.ask(&mut s, &Request::GetAcl { path: Some("/a".into()) });
    let Ok(Response::Acl { acl, .. }) = Response::decode(op::GET_ACL, &reply.body) else { panic!() };
    let mut shown = list;
    shown[3].id = Id::new("digest", "bob:x");
    assert_eq!(acl, shown, "without ADMIN only digests are masked");
}

#[test]
fn enforced_schemes_let_any_of_them_pass() {
    let auth_of = |schemes: &[&str]| Features {
        auth: Auth { enforced: schemes.iter().map(|s| (*s).into()).collect(), sasl: true, ..Auth::default() },
        ..Features::default()
    };
    for request in [Request::Ping, Request::CloseSession, get("/"), Request::WhoAmI, create("/a")] {
        let (mut s, mut c) = server(with(auth_of(&["sasl", "digest"])));
        let before = s.zxid();
        let reply = c.ask(&mut s, &request);
        assert_eq!((reply.err, reply.zxid), (ErrorCode::SessionClosedRequireSaslAuth, Zxid::ZERO), "{request:?}");
        assert!(s.is_closed(c.link) && s.zxid() == before && reply.body.is_empty(), "{request:?}");
    }
    let (mut s, mut c) = server(with(auth_of(&["sasl", "digest"])));
    c.send_raw(&mut s, 999, &[]);
    assert_eq!(c.take(&mut s)[0].err, ErrorCode::SessionClosedRequireSaslAuth, "unknown opcodes too");
    // Logins pass, and one of the schemes is enough.
    let (mut s, mut c) = server(with(auth_of(&["sasl", "digest"])));
    assert_eq!(c.err(&mut s, &Request::Sasl { token: Some(b"") }), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &auth("ip", b"")), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &auth("digest", b"a:b")), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &create("/a")), ErrorCode::Ok);
    // Every connection has an ip.
    let (mut s, mut c) = server(with(auth_of(&["ip"])));
    assert_eq!(c.err(&mut s, &create("/a")), ErrorCode::Ok);
}
