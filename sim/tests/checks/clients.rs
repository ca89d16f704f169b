//! What clients are told: order, zxids, watches, sessions.

use quorate_core::error::ErrorCode;
use quorate_core::event::Event;
use quorate_core::ids::Zxid;
use quorate_core::wire::client::{EventKind, Request, Response};
use quorate_core::wire::records::op;
use quorate_core::wire::txn::Txn;
use quorate_sim::Obs;

use crate::history::{History, SESSION, create, created, z};

#[test]
fn c1_replies_in_another_order() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let read = Request::Exists { path: Some("/a".into()), watch: false };
    h.ask(1, &read);
    h.ask(2, &read);
    h.answer(2, &read, z(1), ErrorCode::NoNode, None);
    h.breaks("C1");
}

#[test]
fn c2_a_transaction_that_is_not_what_was_asked() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.ask(2, &create("/b"));
    let r = h.create(z(2), 2, "/a");
    h.write(z(2), &r);
    h.breaks("C2");
}

#[test]
fn c3_a_read_from_the_past_and_a_zxid_that_goes_back() {
    let history = || {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        h.ask(2, &create("/a"));
        let r = h.create(z(2), 2, "/a");
        h.write(z(2), &r);
        h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
        h.fine();
        h
    };
    let read = Request::Exists { path: Some("/a".into()), watch: false };
    for at in [z(1), z(2)] {
        let mut h = history();
        h.ask(3, &read);
        h.answer(3, &read, at, ErrorCode::NoNode, None);
        h.breaks("C3");
    }
}

#[test]
fn c4_and_c5_events() {
    let history = || {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let watch = Request::Exists { path: Some("/a".into()), watch: true };
        h.ask(1, &watch);
        h.answer(1, &watch, z(1), ErrorCode::NoNode, None);
        h.ask(2, &create("/a"));
        let r = h.create(z(2), 2, "/a");
        h.write(z(2), &r);
        h.fine();
        h
    };
    let mut h = history();
    h.answer(2, &create("/a"), z(2), ErrorCode::Ok, Some(&created("/a")));
    h.breaks("C4");
    let mut h = history();
    h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/b" });
    h.breaks("C5");
    let mut h = history();
    for _ in 0..2 {
        h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/a" });
    }
    h.breaks("C5");
}

#[test]
fn c6_a_session_that_ends_early() {
    let expired = Event::SessionExpired { session: SESSION, idle_ms: 4500, timeout_ms: 4000 };
    let mut h = History::led();
    h.event(0, expired.clone());
    h.breaks("C6");
    let mut h = History::led();
    h.time = 1000;
    h.event(2, expired.clone());
    h.breaks("C6");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.time = 9000;
    let close = h.record(z(2), SESSION, 0, op::CLOSE_SESSION, &Txn::CloseSession { paths: Some(Vec::new()) });
    h.propose(z(2), &close);
    h.breaks("C6");
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.time = 9000;
    h.event(2, expired);
    let close = h.record(z(2), SESSION, 0, op::CLOSE_SESSION, &Txn::CloseSession { paths: Some(Vec::new()) });
    h.write(z(2), &close);
    h.fine();
}

#[test]
fn c3_a_body_is_judged_byte_for_byte() {
    let answered = |bytes: &[u8]| {
        let mut h = History::led();
        let r = h.session(z(1));
        h.write(z(1), &r);
        h.attach();
        let request = Request::AddWatch { path: Some("/a".into()), mode: 0 };
        h.ask(1, &request);
        h.see(Obs::Replied {
            conn: 1,
            client: 0,
            session: SESSION,
            xid: 1,
            request: &request,
            zxid: z(1),
            err: ErrorCode::Ok,
            body: Some(&Response::Number(0)),
            bytes: Some(bytes),
            asked_ms: 0,
            asked_seq: 0,
        });
        h
    };
    answered(&[0; 4]).fine();
    answered(&[0; 5]).breaks("C3");
    answered(&[]).breaks("C3");
}

#[test]
fn c1_nothing_is_answered_behind_an_opcode_that_does_not_exist() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    h.see(Obs::AskedNonsense { conn: 1, client: 0, xid: 1, op: 99, body: &[] });
    let read = Request::WhoAmI;
    h.ask(2, &read);
    let (xid, zxid, err) = (1, Zxid(-1), ErrorCode::Unimplemented);
    h.see(Obs::RepliedNonsense { conn: 1, client: 0, xid, zxid, err, bytes: &[], asked_ms: 0 });
    h.fine();
    let ids = Response::Ids(vec![quorate_core::wire::records::Id::new("ip", "10.0.0.9")]);
    h.answer(2, &read, z(1), ErrorCode::Ok, Some(&ids));
    h.breaks("C1");
}

#[test]
fn c5_a_watch_that_was_removed_is_silent() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let watch = Request::Exists { path: Some("/a".into()), watch: true };
    h.ask(1, &watch);
    h.answer(1, &watch, z(1), ErrorCode::NoNode, None);
    let remove = Request::RemoveWatches { path: Some("/a".into()), kind: 2 };
    h.ask(2, &remove);
    // Created before the client hears that its watch is gone, but behind it.
    h.ask(3, &create("/a"));
    let r = h.create(z(2), 3, "/a");
    h.write(z(2), &r);
    h.answer(2, &remove, z(1), ErrorCode::Ok, None);
    h.fine();
    h.see(Obs::Watch { conn: 1, client: 0, zxid: z(2), kind: EventKind::Created, path: "/a" });
    h.breaks("C5");
}

#[test]
fn c3_whose_watch_it_was_is_known() {
    let mut h = History::led();
    let r = h.session(z(1));
    h.write(z(1), &r);
    h.attach();
    let check = Request::CheckWatches { path: Some("/a".into()), kind: 3 };
    h.ask(1, &check);
    h.answer(1, &check, z(1), ErrorCode::NoWatcher, None);
    h.fine();
    h.ask(2, &check);
    h.answer(2, &check, z(1), ErrorCode::Ok, None);
    h.breaks("C3");
}
