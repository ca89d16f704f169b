//! What is refused before it is ordered: the request throttler (-127), and ACLs that are checked early (client-protocol 4, 4.1).

use crate::standalone::Standalone;
use crate::standalone::client::{Client, server};
use quorate_core::config::{Auth, Features, PeerConfig};
use quorate_core::error::ErrorCode;
use quorate_core::event::Role;
use quorate_core::wire::client::{Create, Request};
use quorate_core::wire::records::{Acl, Id, op, perm};

fn set(path: &str) -> Request<'_> {
    Request::SetData { path: Some(path.into()), data: Some(b"x"), version: -1 }
}
fn create<'a>(path: &'a str, acl: Vec<Acl<'static>>) -> Request<'a> {
    Request::Create(Create { op: op::CREATE, path: Some(path.into()), data: None, acl: Some(acl), flags: 0, ttl: -1 })
}
fn get(path: &str) -> Request<'_> {
    Request::GetData { path: Some(path.into()), watch: false }
}

/// At most two requests of all clients wait for the ensemble; those behind them for 100 ms at most.
fn throttled() -> PeerConfig {
    let mut cfg = PeerConfig::default();
    (cfg.limits.requests.max_requests, cfg.limits.requests.wait_ms) = (2, 100);
    cfg
}

/// Xid, error and zxid of what came.
fn replies(client: &Client, server: &mut Standalone) -> Vec<(i32, ErrorCode, i64)> {
    client.take(server).into_iter().map(|f| (f.xid, f.err, f.zxid.0)).collect()
}

#[test]
fn who_waits_too_long_is_answered_in_order_and_not_done() {
    let (mut s, mut a) = server(throttled());
    let (mut b, mut c) = (Client::connect(&mut s), Client::connect(&mut s));
    s.hold();
    a.send(&mut s, &set("/"));
    a.send(&mut s, &set("/"));
    // There is no room: whoever comes now waits, reads and pings of other connections too.
    b.send(&mut s, &set("/zookeeper"));
    b.send(&mut s, &get("/"));
    b.send(&mut s, &Request::Ping);
    b.send(&mut s, &create("/b", vec![Acl::world(perm::ALL)]));
    s.sleep(80);
    c.send(&mut s, &set("/zookeeper/quota"));
    s.sleep(30);
    assert!(b.take(&mut s).is_empty() && c.take(&mut s).is_empty());
    let before = s.zxid();
    assert_eq!(s.let_go(1), 1);
    // b waited for 110 ms: nothing of it is done, no zxid is used, its connection lives. c waited for 30 ms and goes on.
    let refused = |xid| (xid, ErrorCode::ThrottledOp, before.0 + 1);
    let pong = (-2, ErrorCode::Ok, before.0 + 1);
    assert_eq!(replies(&b, &mut s), [refused(1), refused(2), pong, refused(4)]);
    assert!(!s.is_closed(b.link));
    assert_eq!((s.stats().waited, s.stats().throttled), (2, 3), "b and c have waited; a pong is no refusal");
    assert_eq!(s.let_go(9), 2, "one of a, one of c");
    assert_eq!(replies(&c, &mut s), [(1, ErrorCode::Ok, before.0 + 3)]);
    assert_eq!(s.tree().node("/zookeeper").expect("there").stat().version, 0);
    assert_eq!(s.tree().node("/zookeeper/quota").expect("there").stat().version, 1);
    // Afterwards everything is as before.
    b.send(&mut s, &get("/"));
    assert_eq!(replies(&b, &mut s), [(5, ErrorCode::Ok, before.0 + 3)]);
}

#[test]
fn without_a_longest_wait_everything_is_done_first_come_first_served() {
    let mut cfg = throttled();
    cfg.limits.requests.wait_ms = 0;
    let (mut s, mut a) = server(cfg);
    let mut others: Vec<Client> = (0..3).map(|_| Client::connect(&mut s)).collect();
    s.hold();
    for _ in 0..3 {
        a.send(&mut s, &set("/"));
    }
    for client in &mut others {
        client.send(&mut s, &set("/"));
    }
    s.sleep(5000);
    let before = s.zxid().0;
    let mut order = Vec::new();
    while s.let_go(1) == 1 {
        for client in std::iter::once(&a).chain(&others) {
            order.extend(client.take(&mut s).into_iter().map(|f| (client.link, f.err, f.zxid.0 - before)));
        }
    }
    let want: Vec<_> = [a, a, a].iter().chain(&others).zip(1..).map(|(c, n)| (c.link, ErrorCode::Ok, n)).collect();
    assert_eq!(order, want);
}

#[test]
fn a_close_waits_for_its_turn_and_is_done_whatever_it_waited() {
    let (mut s, mut a) = server(throttled());
    let mut b = Client::connect(&mut s);
    s.hold();
    a.send(&mut s, &set("/"));
    a.send(&mut s, &set("/"));
    b.send(&mut s, &Request::CloseSession);
    s.sleep(500);
    s.let_go(9);
    s.let_go(9);
    assert_eq!(replies(&b, &mut s), [(1, ErrorCode::Ok, s.zxid().0)]);
    assert!(s.is_closed(b.link));
}

#[test]
fn a_request_that_outlives_its_session_may_be_dropped_with_its_connection() {
    for drop_late in [false, true] {
        let mut cfg = throttled();
        (cfg.limits.requests.drop_late, cfg.limits.requests.wait_ms) = (drop_late, 0);
        let (mut s, mut a) = server(cfg);
        let mut b = Client::connect(&mut s);
        s.hold();
        a.send(&mut s, &set("/"));
        a.send(&mut s, &set("/"));
        b.send(&mut s, &get("/"));
        s.sleep(10_010);
        s.let_go(1);
        assert_eq!(s.is_closed(b.link), drop_late);
        assert_eq!((s.stats().handshakes, s.stats().stale), (2, u64::from(drop_late)));
        assert_eq!(b.take(&mut s).len(), usize::from(!drop_late));
    }
}

#[test]
fn what_a_dropped_connection_has_asked_for_takes_room_until_it_is_decided() {
    let (mut s, mut a) = server(throttled());
    let mut b = Client::connect(&mut s);
    s.hold();
    a.send(&mut s, &set("/"));
    a.send(&mut s, &set("/"));
    b.send(&mut s, &get("/"));
    s.hang_up(a.link);
    assert_eq!(replies(&b, &mut s).len(), 0);
    s.let_go(2);
    assert_eq!(replies(&b, &mut s).len(), 1);
}

#[test]
fn the_sync_of_a_dropped_connection_takes_no_room() {
    let (mut s, mut a) = server(throttled());
    let (mut b, mut c) = (Client::connect(&mut s), Client::connect(&mut s));
    s.hold();
    a.send(&mut s, &set("/"));
    b.send(&mut s, &Request::Sync { path: None });
    c.send(&mut s, &get("/"));
    assert!(c.take(&mut s).is_empty());
    s.hang_up(b.link);
    assert_eq!(replies(&c, &mut s).len(), 1);
}

/// A server of an ensemble that checks early, with a znode that nobody may do anything with.
fn eager(role: Role) -> (Standalone, Client) {
    let auth = Auth { eager_check: true, ..Auth::default() };
    let features = Features { auth, ..Features::default() };
    let (mut s, mut c) = server(PeerConfig { features, ..PeerConfig::default() });
    let nobody = vec![Acl { perms: perm::ALL, id: Id::new("digest", "no:body") }];
    assert_eq!(c.err(&mut s, &create("/locked", nobody)), ErrorCode::Ok);
    assert_eq!(c.err(&mut s, &create("/open", vec![Acl::world(perm::ALL)])), ErrorCode::Ok);
    s.serve_as(role);
    let client = Client::connect(&mut s);
    (s, client)
}

#[test]
fn acls_are_checked_early_in_an_ensemble_only() {
    for (role, early) in
        [(Role::Leading, true), (Role::Following, true), (Role::Observing, true), (Role::Standalone, false)]
    {
        let (mut s, mut c) = eager(role);
        let delete = |path: &'static str| Request::Delete { path: Some(path.into()), version: -1 };
        let set_acl =
            |path: &'static str, acl| Request::SetAcl { path: Some(path.into()), acl: Some(acl), version: -1 };
        let open = || vec![Acl::world(perm::ALL)];
        for (request, err) in [
            (set("/locked"), ErrorCode::NoAuth),
            (create("/locked/x", open()), ErrorCode::NoAuth),
            (delete("/locked/x"), ErrorCode::NoAuth),
            (set_acl("/locked", open()), ErrorCode::NoAuth),
            (create("/none/x", vec![]), ErrorCode::InvalidAcl),
            (set_acl("/none", vec![Acl { perms: 1, id: Id::new("bogus", "x") }]), ErrorCode::InvalidAcl),
        ] {
            let before = s.zxid();
            let reply = c.ask(&mut s, &request);
            assert_eq!(reply.err, err, "{role:?} {request:?}");
            let (zxid, used) = if early { (0, before) } else { (before.0 + 1, before.next()) };
            assert_eq!((reply.zxid.0, s.zxid()), (zxid, used), "{role:?} {request:?}");
        }
        // Everything else has its place in the order, and there its error.
        for (request, err) in [
            (set("/open"), ErrorCode::Ok),
            (set("/none"), ErrorCode::NoNode),
            (create("relative", open()), ErrorCode::BadArguments),
            (Request::Multi(vec![set("/locked")]), ErrorCode::Ok),
        ] {
            let before = s.zxid();
            let reply = c.ask(&mut s, &request);
            assert_eq!((reply.err, reply.zxid), (err, before.next()), "{role:?} {request:?}");
        }
    }
}

#[test]
fn an_early_refusal_keeps_its_place() {
    let (mut s, mut c) = eager(Role::Following);
    s.hold();
    c.send(&mut s, &set("/open"));
    c.send(&mut s, &set("/locked"));
    c.send(&mut s, &get("/open"));
    assert!(c.take(&mut s).is_empty());
    let zxid = s.zxid().0 + 1;
    assert_eq!(s.let_go(9), 1);
    assert_eq!(replies(&c, &mut s), [(1, ErrorCode::Ok, zxid), (2, ErrorCode::NoAuth, 0), (3, ErrorCode::Ok, zxid)]);
}
