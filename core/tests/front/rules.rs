//! Rules of the client protocol that no recorded conversation shows whole: encodings and headers (1), opcodes (3), bad input (8),
//! logins (9). See `edges.rs` for versions, numbers, owners and multi.

use crate::standalone::Standalone;
use crate::standalone::ask::{create, create_with, delete, get, login, make, open, set};
use crate::standalone::client::{Client, Frame, server};
use quorate_core::config::{Auth, DigestAlgorithm, Features, PeerConfig};
use quorate_core::error::ErrorCode;
use quorate_core::ids::Zxid;
use quorate_core::jute::{Put, Reader};
use quorate_core::request::read::is_read;
use quorate_core::wire::client::{MultiResult, Request, Response};
use quorate_core::wire::records::{Acl, Id, Stat, op, perm};

fn with(features: Features) -> PeerConfig {
    PeerConfig { features, ..PeerConfig::default() }
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
fn who_logs_in_once_more_takes_no_more_room() {
    let mut cfg = PeerConfig::default();
    (cfg.limits.frame_max, cfg.limits.frame_extra) = (2000, 1024);
    let (mut s, mut c) = server(cfg);
    let name = |letter: u8| [&[letter; 600][..], b":secret"].concat();
    for _ in 0..3 {
        assert_eq!(c.err(&mut s, &login("digest", &name(b'a'))), ErrorCode::Ok);
    }
    // Another one does, and there is no room.
    assert_eq!(c.err(&mut s, &login("digest", &name(b'b'))), ErrorCode::AuthFailed);
    assert!(s.is_closed(c.link));
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
    for request in [login("digest", b"a:b"), login("ip", b""), Request::Sasl { token: Some(b"x") }] {
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

// ----- section 8 -----------------------------------------------------------------------------------------------------

#[test]
fn what_ends_a_connection_waits_for_its_turn_and_nothing_behind_it_is_done() {
    // [D] of 8.2.
    let unknown = |c: &mut Client, s: &mut Standalone| c.send_raw(s, 999, &[]);
    let failed = |c: &mut Client, s: &mut Standalone| c.send(s, &login("bogus", b"x"));
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
    for request in [
        create_with("/q", b"", open()),
        create_with("/zookeeper/quota/q", b"", open()),
        create_with("/zookeeper/quota/q/zookeeper_limits", b"count=many,bytes=\xff=;countHardLimit=;;=3", open()),
        create_with("/zookeeper/quota/q/zookeeper_stats", b"nonsense", open()),
        create_with("/q/a", b"12", open()),
        Request::SetData {
            path: Some("/zookeeper/quota/q/zookeeper_stats".into()),
            data: Some(b"\0\xff"),
            version: -1,
        },
        create_with("/q/b", b"345", open()),
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
    assert_eq!(c.err(&mut s, &login("digest", b"super:secret")), ErrorCode::Ok);
    assert_eq!(ids(&mut c, &mut s), ["ip:127.0.0.1", "super:", "digest:super"]);
    assert_eq!(c.err(&mut s, &set("/zookeeper/config")), ErrorCode::Ok, "super writes where world may read");
    // "auth" stores ids of that hash, and they match.
    let mine = vec![Acl { perms: perm::ALL, id: Id::new("auth", "") }];
    let locked = create_with("/mine", b"", mine);
    let mut bob = Client::connect(&mut s);
    assert_eq!(bob.err(&mut s, &login("digest", b"bob:pw")), ErrorCode::Ok);
    assert_eq!(bob.err(&mut s, &locked), ErrorCode::Ok);
    assert_eq!(bob.err(&mut s, &set("/mine")), ErrorCode::Ok);
    let mut eve = Client::connect(&mut s);
    assert_eq!(eve.err(&mut s, &set("/mine")), ErrorCode::NoAuth);
    // The digest of SHA-1 is nobody's here.
    let (mut s, mut c) = server(with(features("super:lK75jTNcA+U9vtVEw5vB51mj/w4=")));
    assert_eq!(c.err(&mut s, &login("digest", b"super:secret")), ErrorCode::Ok);
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
        let reply = c.ask(&mut s, &login(scheme, b"super:secret"));
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
    let request = create_with("/a", b"", list.clone());
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
    assert_eq!(c.err(&mut s, &login("ip", b"")), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &login("digest", b"a:b")), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &create("/a")), ErrorCode::Ok);
    // Every connection has an ip.
    let (mut s, mut c) = server(with(auth_of(&["ip"])));
    assert_eq!(c.err(&mut s, &create("/a")), ErrorCode::Ok);
}
