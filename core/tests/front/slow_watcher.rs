//! A watcher that takes nothing: what waits for it is bounded, and nobody else notices.

use crate::standalone::Standalone;
use crate::standalone::client::Client;
use quorate_core::config::PeerConfig;
use quorate_core::ids::{LinkId, Zxid};
use quorate_core::wire::client::{Request, next_frame};
use quorate_core::wire::records::Acl;

/// Undrained replies beyond which a client is not read from.
const OUTPUT: usize = 1000;
/// Events that wait for one client at most.
const MOST: usize = 16 * OUTPUT;

fn server() -> Standalone {
    let mut cfg = PeerConfig::default();
    cfg.limits.client_output_bytes = OUTPUT;
    Standalone::new(cfg, Zxid::ZERO)
}

fn client(server: &mut Standalone) -> LinkId {
    Client::connect(server).link
}

fn ask(server: &mut Standalone, link: LinkId, request: &Request<'_>) -> usize {
    let mut bytes = Vec::new();
    request.encode(1, &mut bytes);
    server.bytes(link, &bytes);
    frames(&server.take_sent(link))
}

fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(frame) = next_frame(bytes, usize::MAX).expect("frames only") {
        bytes = &bytes[4 + frame.len()..];
        count += 1;
    }
    count
}

fn watch(server: &mut Standalone, link: LinkId) {
    let request = Request::AddWatch { path: Some("/".into()), mode: 1 };
    assert_eq!(ask(server, link, &request), 1);
}

fn set(server: &mut Standalone, link: LinkId) {
    let request = Request::SetData { path: Some("/zookeeper".into()), data: Some(b"news"), version: -1 };
    assert_eq!(ask(server, link, &request), 1);
}

#[test]
fn it_is_closed_at_its_bound_and_the_others_hear_everything() {
    let mut s = server();
    let (slow, quick, writer) = (client(&mut s), client(&mut s), client(&mut s));
    watch(&mut s, slow);
    watch(&mut s, quick);
    let (mut sets, mut heard) = (0, 0);
    while !s.is_closed(slow) {
        assert!(sets < MOST, "events have bytes");
        set(&mut s, writer);
        sets += 1;
        heard += frames(&s.take_sent(quick));
    }
    set(&mut s, writer);
    heard += frames(&s.take_sent(quick));
    assert_eq!(heard, sets + 1);
    assert!(!s.is_closed(quick) && !s.is_closed(writer));
    let waited = s.take_sent(slow).len();
    assert!(
        waited > MOST && waited < MOST + 100,
        "{waited}: the last event is the one too many, and nothing follows the end"
    );
}

#[test]
fn a_long_answer_is_no_reason_to_close() {
    let mut s = server();
    let (slow, writer) = (client(&mut s), client(&mut s));
    watch(&mut s, slow);
    let long = vec![b'.'; 2 * MOST];
    let create = |path: &'static str| {
        let acl = Some(vec![Acl::world(31)]);
        Request::Create(quorate_core::wire::client::Create {
            op: quorate_core::wire::records::op::CREATE,
            path: Some(path.into()),
            data: Some(&long),
            acl,
            flags: 0,
            ttl: -1,
        })
    };
    ask(&mut s, writer, &create("/long"));
    s.take_sent(slow);
    let mut bytes = Vec::new();
    Request::GetData { path: Some("/long".into()), watch: false }.encode(1, &mut bytes);
    s.bytes(slow, &bytes);
    (0..10).for_each(|_| set(&mut s, writer));
    assert!(!s.is_closed(slow), "it is about to read what it has asked for");
    assert_eq!(frames(&s.take_sent(slow)), 11);
}

#[test]
fn together_they_are_bounded_too_and_the_slowest_goes_first() {
    let mut s = server();
    let (quick, writer) = (client(&mut s), client(&mut s));
    watch(&mut s, quick);
    let slow: Vec<LinkId> = (0..40).map(|_| client(&mut s)).collect();
    // It has heard of something before the others listen.
    watch(&mut s, slow[7]);
    set(&mut s, writer);
    slow.iter().filter(|link| **link != slow[7]).for_each(|link| watch(&mut s, *link));
    let (mut sets, mut heard) = (1, frames(&s.take_sent(quick)));
    let gone = loop {
        set(&mut s, writer);
        sets += 1;
        heard += frames(&s.take_sent(quick));
        let gone: Vec<LinkId> = slow.iter().copied().filter(|link| s.is_closed(*link)).collect();
        if !gone.is_empty() {
            break gone;
        }
    };
    assert_eq!(gone, [slow[7]]);
    assert!(!s.is_closed(quick) && !s.is_closed(writer));
    let waited: Vec<usize> = slow.iter().map(|link| s.take_sent(*link).len()).collect();
    assert!(waited[7] > waited[8] && waited.iter().all(|bytes| *bytes < MOST), "{waited:?}: none was at its own bound");
    let total: usize = waited.iter().sum();
    assert!(total > 256 * OUTPUT && total - waited[7] <= 256 * OUTPUT, "{total}: without one of them it is enough");
    // What has left no longer counts.
    for _ in 0..sets {
        set(&mut s, writer);
        heard += frames(&s.take_sent(quick));
        slow.iter().for_each(|link| drop(s.take_sent(*link)));
    }
    assert_eq!(heard, 2 * sets);
    assert_eq!(slow.iter().filter(|link| s.is_closed(**link)).count(), 1);
}
