//! What client libraries depend on (client-protocol section 16): which test shows each row, and those rows that had none.

use crate::standalone::client::{Client, server};
use quorate_core::config::PeerConfig;
use quorate_core::error::ErrorCode;
use quorate_core::jute::Reader;
use quorate_core::wire::client::{Create, EventKind, Request, Response, WatcherEvent, xid};
use quorate_core::wire::records::{Acl, op, perm};

/// Row of section 16, and tests (a file of these and a name, or a recording in `server/tests/client_vectors`) in which a server
/// without it fails.
const ROWS: &[(u32, &[&str])] = &[
    (1, &["client_vectors::session", "quirks::every_request_has_one_reply_in_its_place"]),
    (2, &["quirks::every_request_has_one_reply_in_its_place"]),
    (3, &["quirks::a_login_counts_at_once_and_is_answered_in_its_place"]),
    (4, &["client_vectors::reads", "quirks::every_request_has_one_reply_in_its_place"]),
    (5, &["client_vectors::handshake"]),
    (6, &["quirks::nobody_is_told_a_zxid_that_others_do_not_reach"]),
    (7, &["client_vectors::watches"]),
    (8, &["client_vectors::setwatches"]),
    (9, &["client_vectors::setwatches"]),
    // kazoo never sends setWatches: nothing to do for a server but to forget the watches of a connection.
    (10, &["quirks::watches_end_with_their_connection"]),
    (11, &["client_vectors::multi", "edges::in_a_multi_the_flags_choose_first"]),
    (12, &["client_vectors::multi", "precedence::check_in_the_order_of_its_checks"]),
    (13, &["client_vectors::create", "edges::numbers_are_ten_digits_and_every_create_counts"]),
    (14, &["client_vectors::create"]),
    (15, &["client_vectors::create", "edges::stored_owners"]),
    (16, &["quirks::names_come_back_as_they_were_given"]),
    (17, &["prepare::flags_and_opcode_give_the_kind"]),
    (18, &["client_vectors::create", "rules::every_other_opcode_ends_the_connection"]),
    (19, &["client_vectors::reads", "quirks::the_configuration_can_be_read_with_a_watch"]),
    (20, &["client_vectors::versions", "edges::a_counter_of_creates_may_be_negative"]),
    (21, &["client_vectors::handshake"]),
    (22, &["client_vectors::create"]),
    (23, &["client_vectors::watches"]),
    (24, &["quirks::no_znode_was_made_by_transaction_minus_one"]),
    (25, &["client_vectors::watches"]),
    (26, &["rules::frames_up_to_the_limit_are_read_and_replies_have_none"]),
    (27, &["client_vectors::watches"]),
    (28, &["client_vectors::session", "rules::zxids_and_bodies_of_replies"]),
    (29, &["quirks::events_name_the_full_path"]),
    (30, &["client_vectors::handshake"]),
    (31, &["quirks::there_are_no_other_error_codes"]),
    (32, &["quirks::a_login_counts_at_once_and_is_answered_in_its_place"]),
];

#[test]
fn every_row_has_a_test() {
    assert!(ROWS.iter().map(|(row, _)| *row).eq(1..=32));
    for (row, tests) in ROWS {
        for test in *tests {
            let (file, name) = test.split_once("::").expect("file::name");
            let path = match file {
                "client_vectors" => "../server/tests/client_vectors/main.rs".to_owned(),
                "prepare" => "tests/prepare.rs".to_owned(),
                _ => format!("tests/front/{file}.rs"),
            };
            let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("a file of tests");
            if file == "client_vectors" {
                assert!(text.contains(&format!("\"client/{name}.json\": ")), "row {row}: there is no recording {name}");
                continue;
            }
            let is_there = text.contains(&format!("fn {name}(")) || text.contains(&format!("\n    {name},"));
            assert!(is_there || text.contains(&format!("\n    {name}\n")), "row {row}: there is no {test}");
        }
    }
}

fn create(path: &str) -> Request<'_> {
    let acl = Some(vec![Acl::world(perm::ALL)]);
    Request::Create(Create { op: op::CREATE, path: Some(path.into()), data: None, acl, flags: 0, ttl: -1 })
}
fn get(path: &str, watch: bool) -> Request<'_> {
    Request::GetData { path: Some(path.into()), watch }
}

#[test]
fn every_request_has_one_reply_in_its_place() {
    let (mut s, mut c) = server(PeerConfig::default());
    s.hold();
    let acl = || Some(vec![Acl::world(perm::ALL)]);
    let path = || Some("/a".into());
    let requests = [
        create("/a"),
        get("/a", false),
        Request::Exists { path: path(), watch: true },
        Request::SetData { path: path(), data: None, version: 9 },
        Request::Ping,
        Request::GetChildren { path: path(), watch: false },
        Request::Auth { scheme: Some("digest".into()), auth: Some(b"a:b") },
        Request::Multi(vec![create("/a/b"), create("/a")]),
        Request::MultiRead(vec![get("/none", false)]),
        Request::SetAcl { path: path(), acl: acl(), version: -1 },
        Request::GetAcl { path: path() },
        Request::Sasl { token: None },
        Request::Sync { path: None },
        Request::GetEphemerals { prefix: None },
        Request::GetAllChildrenNumber { path: path() },
        Request::AddWatch { path: path(), mode: 1 },
        Request::RemoveWatches { path: path(), kind: 3 },
        Request::CheckWatches { path: path(), kind: 3 },
        Request::SetWatches { seen: 0, data: vec![], exist: vec![], child: vec![] },
        Request::Reconfig { joining: None, leaving: None, new_members: None, config_id: -1 },
        Request::WhoAmI,
        Request::Delete { path: path(), version: -1 },
        Request::GetChildren2 { path: path(), watch: false },
        Request::CloseSession,
        // Nothing behind it is answered.
        Request::Ping,
    ];
    let mut expected = Vec::new();
    for request in &requests {
        let sent = c.send(&mut s, request);
        expected.push(if matches!(request, Request::Ping) { xid::PING } else { sent });
    }
    expected.pop();
    let mut got = Vec::new();
    loop {
        got.extend(c.take(&mut s).into_iter().map(|f| f.xid).filter(|x| *x != xid::EVENT));
        if s.let_go(1) == 0 {
            break;
        }
    }
    assert_eq!(got, expected);
    assert!(s.is_closed(c.link));
}

#[test]
fn a_login_counts_at_once_and_is_answered_in_its_place() {
    let (mut s, mut c) = server(PeerConfig::default());
    // kazoo, on every connection: the next frame is the reply.
    let digest = Request::Auth { scheme: Some("digest".into()), auth: Some(b"bob:pw") };
    let mut bytes = Vec::new();
    digest.encode(xid::AUTH, &mut bytes);
    s.bytes(c.link, &bytes);
    let replies = c.take(&mut s);
    assert_eq!((replies.len(), replies[0].xid, replies[0].err), (1, xid::AUTH, ErrorCode::Ok));
    // Behind writes: what is asked behind it has the identity, what is asked before it has not, and replies keep their order.
    let mine = Request::Create(Create {
        op: op::CREATE,
        path: Some("/mine".into()),
        data: None,
        acl: Some(vec![Acl { perms: perm::ALL, id: quorate_core::wire::records::Id::new("auth", "") }]),
        flags: 0,
        ttl: -1,
    });
    assert_eq!(c.err(&mut s, &mine), ErrorCode::Ok);
    let mut other = Client::connect(&mut s);
    s.hold();
    let set = || Request::SetData { path: Some("/mine".into()), data: None, version: -1 };
    for request in [set(), get("/mine", false), digest, get("/mine", false), set()] {
        other.send(&mut s, &request);
    }
    assert!(other.take(&mut s).is_empty());
    s.let_go(9);
    let replies: Vec<_> = other.take(&mut s).iter().map(|f| (f.xid, f.err)).collect();
    let (ok, no) = (ErrorCode::Ok, ErrorCode::NoAuth);
    // Go's own xid is echoed.
    assert_eq!(replies, [(1, no), (2, no), (3, ok), (4, ok), (5, ok)]);
}

#[test]
fn nobody_is_told_a_zxid_that_others_do_not_reach() {
    // [D] of 1.4: a new leader reports the last transaction until its epoch has one, and a follower takes a client that saw the
    // epoch's first zxid at a leader of another implementation.
    let text = crate::transcript::run(
        "ensemble 1 2 3
         quiet start 1 2 3
         quiet time 1000
         hide disk quorum election
         client a connect 1
         client a create /a
         quiet kill 3
         quiet time 3000
         state 2
         client a reconnect 2
         client a get /a
         client a drop
         client a reconnect 1 seen=0x100000002
         client a get /a
         client a drop
         client a reconnect 1 seen=0x200000000
         client a get /a
         client a drop
         client a reconnect 1 seen=0x200000001",
    );
    assert!(text.contains("2 leader of"), "{text}");
    for reply in [
        "2 -> a client reply xid 2 at 0x100000002",
        "1 -> a client reply xid 3 at 0x100000002",
        "1 -> a client reply xid 4 at 0x100000002",
    ] {
        assert!(text.contains(reply), "{reply} is missing in\n{text}");
    }
    assert!(text.ends_with("the client has seen a newer zxid than this server\n"), "{text}");
}

#[test]
fn watches_end_with_their_connection() {
    let (mut s, c) = server(PeerConfig::default());
    let mut watcher = Client::connect(&mut s);
    for request in [
        get("/zookeeper", true),
        Request::AddWatch { path: Some("/".into()), mode: 1 },
        Request::Exists { path: Some("/none".into()), watch: true },
    ] {
        watcher.ask(&mut s, &request);
    }
    assert_eq!(s.watch_count(), 3);
    s.hang_up(watcher.link);
    assert_eq!(s.watch_count(), 0);
    assert!(!s.is_closed(c.link));
}

#[test]
fn names_come_back_as_they_were_given() {
    let (mut s, mut c) = server(PeerConfig::default());
    let mut names = ["_c_0c8e2b6f-41a5-4a0c-9e0e-guid-lock-", "ümlaut", "中", " ", "%", "a..b", "...", "A", "a"];
    names.sort_unstable();
    for name in names {
        let path = format!("/{name}");
        let reply = c.ask(&mut s, &create(&path));
        let Ok(Response::Created { path: made, .. }) = Response::decode(op::CREATE, &reply.body) else { panic!() };
        assert_eq!(made, path);
    }
    let reply = c.ask(&mut s, &Request::GetChildren { path: Some("/".into()), watch: false });
    let Ok(Response::Names { names: got, .. }) = Response::decode(op::GET_CHILDREN, &reply.body) else { panic!() };
    let mut got: Vec<&str> = got.iter().map(|n| &**n).filter(|n| *n != "zookeeper").collect();
    got.sort_unstable();
    assert_eq!(got, names);
}

#[test]
fn the_configuration_can_be_read_with_a_watch() {
    let (mut s, mut c) = server(PeerConfig::default());
    let reply = c.ask(&mut s, &get("/zookeeper/config", true));
    let Ok(Response::Data { data, stat }) = Response::decode(op::GET_DATA, &reply.body) else { panic!() };
    assert_eq!((data, stat.czxid.0, stat.version), (Some(&b""[..]), 0, 0));
    assert_eq!(s.watch_count(), 1);
}

#[test]
fn no_znode_was_made_by_transaction_minus_one() {
    let (s, _) = server(PeerConfig::default());
    for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
        assert_eq!(s.tree().node(path).expect("reserved").stat().czxid.0, 0, "{path}");
    }
}

#[test]
fn events_name_the_full_path() {
    let (mut s, mut c) = server(PeerConfig::default());
    c.ask(&mut s, &create("/chroot"));
    c.ask(&mut s, &create("/chroot/app"));
    c.ask(&mut s, &Request::AddWatch { path: Some("/chroot".into()), mode: 1 });
    let mut writer = Client::connect(&mut s);
    writer.ask(&mut s, &create("/chroot/app/lock"));
    let event = c.take(&mut s).pop().expect("an event");
    let told = WatcherEvent::decode(&mut Reader::new(&event.body)).expect("an event");
    assert_eq!((event.xid, told.kind, &*told.path), (xid::EVENT, EventKind::Created, "/chroot/app/lock"));
}

#[test]
fn there_are_no_other_error_codes() {
    // Section 4, without those that only clients use.
    const SENT: [i32; 25] = [
        0, -2, -5, -6, -8, -12, -13, -14, -101, -102, -103, -108, -110, -111, -112, -114, -115, -118, -119, -120, -121,
        -123, -124, -125, -127,
    ];
    for code in -1000..1000 {
        let known = !matches!(ErrorCode::from_code(code), ErrorCode::Other(_));
        assert_eq!(known, SENT.contains(&code), "{code}");
        assert_eq!(ErrorCode::from_code(code).code(), code);
    }
}
