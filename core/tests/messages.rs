//! Messages beside bytes: what an outbox keeps says what its bytes say, and what a receiver is told it does not decode.

use std::net::SocketAddr;

use bytes::Bytes;
use quorate_core::config::{Configuration, Ensemble, Member, MemberKind, PeerConfig};
use quorate_core::election::links::{Announcement, Links};
use quorate_core::event::{Action, LinkEvent, Outbox, Port};
use quorate_core::ids::{LinkId, Now, Sid, Zxid};
use quorate_core::message::{Data, Framed, Message, Vote, VoterState};
use quorate_core::wire::notification::{Hello, Notification};
use quorate_core::wire::packet::{Packet, kind};
use quorate_core::wire::txnlog::Record;
use quorate_core::zab::handler::Handler;

const MAX: usize = 1 << 20;

fn handler(link: u64) -> Handler {
    Handler::new(LinkId(link), SocketAddr::from(([10, 0, 0, 1], 1)), 0)
}

/// Everything that `out` sends, its bytes and the messages that it knows in them, by link.
fn sent(out: &Outbox) -> Vec<(LinkId, Vec<u8>, Vec<Framed>)> {
    let mut messages = out.messages();
    let mut list = Vec::new();
    for action in out.actions() {
        if let Action::Send { link, payload } = action {
            let (known, from) = messages.of(payload);
            let known = known.iter().map(|m| m.moved(from, 0)).collect();
            list.push((*link, out.bytes_of(payload).to_vec(), known));
        }
    }
    list
}

/// What leader and learners send each other: two links by turns, bytes without a message in between, data that is copied and shared.
fn conversation(out: &mut Outbox) {
    let (mut a, mut b) = (handler(1), handler(2));
    let record = |n, len| Record { zxid: Zxid::new(1, n), payload: Bytes::from(vec![n as u8; len]) };
    a.send(out, kind::LEADERINFO, Zxid::new(1, 0), Some(&[0, 1, 0, 0]));
    b.send(out, kind::DIFF, Zxid::new(0, 7), None);
    a.send_history(out, &record(1, 60));
    a.send(out, kind::PING, Zxid::new(1, 1), Some(&[]));
    out.send(a.link, b"an answer that was kept as bytes");
    a.propose(out, &record(2, 4096));
    a.propose(out, &record(3, 4097));
    b.propose(out, &record(3, 10));
    b.send_shared(out, kind::NEWLEADER, Zxid::new(1, 0), &Bytes::from(vec![b'c'; 5000]));
    b.ping(out, Zxid::new(1, 3));
}

#[test]
fn a_message_says_what_its_bytes_say() {
    let (mut plain, mut out) = (Outbox::new(), Outbox::with_messages());
    conversation(&mut plain);
    conversation(&mut out);
    let bytes = |list: &[(LinkId, Vec<u8>, Vec<Framed>)]| -> Vec<(LinkId, Vec<u8>)> {
        list.iter().map(|(link, bytes, _)| (*link, bytes.clone())).collect()
    };
    let (plain, list) = (sent(&plain), sent(&out));
    assert_eq!(bytes(&plain), bytes(&list), "the bytes are the same with and without messages");
    assert!(plain.iter().all(|(_, _, known)| known.is_empty()));
    let mut kinds = Vec::new();
    for (_, bytes, known) in &list {
        for m in known {
            let here = &bytes[m.start..];
            let (mut read, len) = Packet::read(here, Some((&m.message, m.end - m.start)), MAX).unwrap().unwrap();
            assert_eq!(read.shared.is_some(), matches!(m.message, Message::Packet { data: Data::Shared(_), .. }));
            assert!(read.shared.is_none_or(|shared| Some(&shared[..]) == read.data));
            read.shared = None;
            assert_eq!(Packet::decode(here, MAX).unwrap(), Some((read.clone(), len)), "{m:?}");
            kinds.push(read.kind);
        }
    }
    // Data that is not copied into the packet lies apart from it: bytes alone.
    use kind::{COMMIT, DIFF, LEADERINFO, PING, PROPOSAL};
    assert_eq!(kinds, [LEADERINFO, DIFF, PROPOSAL, COMMIT, PING, PROPOSAL, PROPOSAL, PING]);
    out.clear();
    assert!(sent(&out).is_empty());
}

#[test]
fn limits_hold_for_known_packets_too() {
    let mut out = Outbox::with_messages();
    handler(1).send(&mut out, kind::REQUEST, Zxid::NONE, Some(&[7; 100]));
    let (_, bytes, known) = &sent(&out)[0];
    let known = Some((&known[0].message, known[0].end));
    assert!(Packet::read(bytes, known, 100).unwrap().is_some());
    assert_eq!(Packet::read(bytes, known, 99), Packet::decode(bytes, 99));
    assert!(Packet::decode(bytes, 99).is_err());
}

fn links() -> Links {
    let member = |sid| Member {
        sid: Sid(sid),
        quorum: "q:1".into(),
        election: "e:1".into(),
        client: None,
        kind: MemberKind::Participant,
        weight: 1,
        group: None,
    };
    let ensemble = Configuration::new(Ensemble { members: vec![member(1), member(2), member(3)], version: 0 });
    Links::new(&PeerConfig { sid: Sid(1), ensemble: Some(ensemble.clone()), ..PeerConfig::default() }, ensemble)
}

/// What server 1 hears when server 3 calls, and then `bytes` arrive of which `messages` are known.
fn hears(bytes: &[u8], messages: &[Framed]) -> Vec<(Sid, VoterState, Vote, i64)> {
    let (mut links, mut out, mut heard) = (links(), Outbox::new(), Vec::new());
    let (link, now) = (LinkId(LinkId::ACCEPTED), Now { mono_ms: 1, wall_ms: 1 });
    let vote = Vote { leader: Sid(1), zxid: Zxid::ZERO, epoch: 0 };
    let own = Announcement { state: VoterState::Looking, vote, round: 1 };
    let mut hello = Vec::new();
    Hello { sid: Sid(3), addresses: vec!["e:1".into()] }.encode(&mut hello);
    let opened = LinkEvent::Opened { port: Port::Election, remote: SocketAddr::from(([10, 0, 0, 3], 1)) };
    for event in [opened, LinkEvent::Bytes(&hello), LinkEvent::Messages { bytes, messages }] {
        let mut hear = |sid, n: &Notification<'_>| heard.push((sid, n.state, n.vote, n.round));
        links.on_link(now, link, event, own, &mut out, &mut hear);
    }
    heard
}

#[test]
fn what_is_known_is_not_decoded_and_the_rest_is() {
    let vote = Vote { leader: Sid(3), zxid: Zxid::new(2, 9), epoch: 2 };
    let n = Notification { state: VoterState::Leading, vote, round: 7, version: 2, config: Some(b"version=0") };
    let mut frame = Vec::new();
    n.encode(&mut frame);
    let len = frame.len();
    let said = (Sid(3), n.state, vote, 7);
    let message = Message::Notification { state: n.state, vote, round: 7 };
    let known = |start| Framed { start, end: start + len, message: message.clone() };

    // No byte of it is looked at.
    assert_eq!(hears(&vec![0xff; 2 * len], &[known(0), known(len)]), [said, said]);
    // Of three the middle one is known.
    let three = [&frame[..], &vec![0xff; len], &frame[..]].concat();
    assert_eq!(hears(&three, &[known(len)]), [said, said, said]);
    // A place where no message begins means nothing.
    assert_eq!(hears(&three[..len], &[known(1)]), [said]);
    // A packet has no business here: its bytes count.
    let packet = Message::Packet { kind: kind::PING, zxid: Zxid::ZERO, data: Data::None };
    assert_eq!(hears(&frame, &[Framed { start: 0, end: len, message: packet }]), [said]);
}

#[test]
fn behind_a_cut_frame_everything_is_decoded() {
    let vote = Vote { leader: Sid(2), zxid: Zxid::new(1, 1), epoch: 1 };
    let n = Notification { state: VoterState::Looking, vote, round: 3, version: 2, config: None };
    let mut frame = Vec::new();
    n.encode(&mut frame);
    let (mut links, mut out, mut heard) = (links(), Outbox::new(), 0);
    let (link, now) = (LinkId(LinkId::ACCEPTED), Now { mono_ms: 1, wall_ms: 1 });
    let own = Announcement { state: VoterState::Looking, vote, round: 1 };
    let mut hello = Vec::new();
    Hello { sid: Sid(3), addresses: vec!["e:1".into()] }.encode(&mut hello);
    let rest = [&frame[10..], &frame[..]].concat();
    let message = Message::Notification { state: n.state, vote, round: 3 };
    // A message that claims the end of the cut frame: its place means nothing while something is held.
    let wrong = [Framed { start: 0, end: 5, message }];
    let opened = LinkEvent::Opened { port: Port::Election, remote: SocketAddr::from(([10, 0, 0, 3], 1)) };
    let rest = LinkEvent::Messages { bytes: &rest, messages: &wrong };
    for event in [opened, LinkEvent::Bytes(&hello), LinkEvent::Bytes(&frame[..10]), rest] {
        links.on_link(now, link, event, own, &mut out, &mut |_, n| heard += i32::from(n.vote == vote));
    }
    assert_eq!(heard, 2);
}
