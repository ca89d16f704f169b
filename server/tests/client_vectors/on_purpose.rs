//! What a client sees otherwise than in ZooKeeper, on purpose ([D] in the specification, listed in README.md), where bytes show it.

use crate::replay::Servers;
use crate::simulated;
use crate::{ALONE, Stage, placed};

const CREATE: i32 = 1;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const CREATE_CONTAINER: i32 = 19;
const DELETE_CONTAINER: i32 = 20;
const CREATE_TTL: i32 = 21;
const AUTH: i32 = 100;
const CREATE_SESSION: i32 = -10;

/// xid of auth frames.
const AUTH_XID: i32 = -4;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat()
}

/// A request: length, xid, opcode, fields.
fn request(xid: i32, op: i32, fields: &[Vec<u8>]) -> Vec<u8> {
    let body = [xid.to_be_bytes().to_vec(), op.to_be_bytes().to_vec(), fields.concat()].concat();
    [(body.len() as i32).to_be_bytes().to_vec(), body].concat()
}

fn create(xid: i32, op: i32, path: &str, flags: i32) -> Vec<u8> {
    let open_to_all = [1_i32.to_be_bytes(), 31_i32.to_be_bytes()].concat();
    let acl = [open_to_all, text("world"), text("anyone")].concat();
    request(xid, op, &[text(path), text("x"), acl, flags.to_be_bytes().to_vec()])
}

fn set_data(xid: i32, path: &str) -> Vec<u8> {
    request(xid, SET_DATA, &[text(path), text("y"), vec![0xff; 4]])
}

fn get_data(xid: i32, path: &str) -> Vec<u8> {
    request(xid, GET_DATA, &[text(path), vec![0]])
}

fn auth(scheme: &str) -> Vec<u8> {
    request(AUTH_XID, AUTH, &[vec![0; 4], text(scheme), text("user:password")])
}

/// xid, zxid and err of a reply, and what follows.
fn reply(servers: &mut dyn Servers) -> (i32, i64, i32, Vec<u8>) {
    let frame = servers.frame("A").unwrap();
    let int = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    (int(4), i64::from_be_bytes(frame[8..16].try_into().unwrap()), int(16), frame[20..].to_vec())
}

fn connect(servers: &mut dyn Servers) {
    servers.connect("A", "").unwrap();
    servers
        .send("A", &[&[0, 0, 0, 45][..], &[0; 12], &[0, 0, 0x27, 0x10], &[0; 8], &[0, 0, 0, 16], &[0; 17]].concat())
        .unwrap();
    assert_eq!(servers.frame("A").unwrap().len(), 41, "a session");
}

/// With a session at a server alone, at a leader, a follower and an observer.
fn everywhere(check: impl Fn(&mut dyn Servers)) {
    let stages: [Stage; 4] = [ALONE, placed("leader"), placed("follower0"), placed("observer")];
    for stage in &stages {
        let (_, profile) = crate::load("client/quota.json", "quota");
        simulated::with(&profile, stage, |servers| {
            connect(servers);
            check(servers);
        });
    }
}

#[test]
fn an_unknown_opcode_is_answered_in_its_turn_and_nothing_behind_it_is_done() {
    for unknown in [
        request(3, 999, &[]),
        request(3, DELETE_CONTAINER, &[text("/c")]),
        request(3, CREATE_SESSION, &[vec![0, 0, 0x27, 0x10]]),
    ] {
        everywhere(|servers| {
            servers.send("A", &create(0, CREATE_CONTAINER, "/c", 4)).unwrap();
            assert_eq!(reply(servers).2, 0);
            let all = [create(1, CREATE, "/a", 0), get_data(2, "/a"), unknown.clone(), set_data(4, "/a")].concat();
            servers.send("A", &all).unwrap();
            assert_eq!((reply(servers).0, reply(servers).0), (1, 2));
            let (xid, zxid, err, body) = reply(servers);
            assert_eq!((xid, zxid, err, body.len()), (3, -1, -6, 0));
            assert!(servers.rest("A").unwrap().is_empty());
            connect(servers);
            servers.send("A", &[get_data(1, "/a"), get_data(2, "/c")].concat()).unwrap();
            assert_eq!(reply(servers).3[..5], [0, 0, 0, 1, b'x'], "the setData was not executed");
            assert_eq!(reply(servers).2, 0, "the container is there");
        });
    }
}

#[test]
fn auth_is_answered_in_its_turn_and_counts_at_once() {
    everywhere(|servers| {
        let who = request(2, 107, &[]);
        servers.send("A", &[create(1, CREATE, "/a", 0), auth("digest"), who].concat()).unwrap();
        let first = reply(servers);
        assert_eq!((first.0, first.2), (1, 0));
        assert_eq!(reply(servers), (AUTH_XID, 0, 0, vec![]));
        let (xid, _, _, identities) = reply(servers);
        assert!(xid == 2 && identities.windows(4).any(|w| w == b"user"), "{identities:?}");
        servers.send("A", &[set_data(3, "/a"), auth("none"), set_data(4, "/a")].concat()).unwrap();
        assert_eq!(reply(servers).0, 3);
        assert_eq!(reply(servers), (AUTH_XID, 0, -115, vec![]));
        assert!(servers.rest("A").unwrap().is_empty());
        connect(servers);
        servers.send("A", &get_data(1, "/a")).unwrap();
        let data = reply(servers).3;
        assert_eq!(data[5 + 32..5 + 36], [0, 0, 0, 1], "what stood behind the failed auth was not executed");
    });
}

#[test]
fn a_write_that_cannot_be_decoded_has_no_transaction() {
    everywhere(|servers| {
        servers.send("A", &create(1, CREATE, "/a", 0)).unwrap();
        let before = reply(servers).1;
        servers.send("A", &[request(2, SET_DATA, &[text("/a"), vec![0xff; 3]]), set_data(3, "/a")].concat()).unwrap();
        let (xid, zxid, err, body) = reply(servers);
        assert_eq!((xid, zxid, err, body.len()), (2, before, -5, 0));
        let after = reply(servers);
        assert_eq!((after.0, after.1, after.2), (3, before + 1, 0));
    });
}

#[test]
fn create_ttl_without_a_ttl_flag_is_refused() {
    everywhere(|servers| {
        for (xid, ttl) in [(1, -1_i64), (2, 5)] {
            let mut frame = create(xid, CREATE_TTL, "/t", 0);
            frame.extend(ttl.to_be_bytes());
            let length = frame.len() as i32 - 4;
            frame[..4].copy_from_slice(&length.to_be_bytes());
            servers.send("A", &frame).unwrap();
            assert_eq!(reply(servers).2, -8);
        }
        servers.send("A", &get_data(3, "/t")).unwrap();
        assert_eq!(reply(servers).2, -101);
    });
}

#[test]
fn quota_znodes_with_other_text_limit_nothing() {
    everywhere(|servers| {
        let paths =
            ["/q", "/zookeeper/quota/q", "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"];
        for (xid, path) in paths.into_iter().enumerate() {
            servers.send("A", &create(xid as i32, CREATE, path, 0)).unwrap();
            assert_eq!(reply(servers).2, 0, "{path}");
        }
        servers.send("A", &set_data(9, paths[3])).unwrap();
        assert_eq!(reply(servers).2, 0);
        servers.send("A", &[create(10, CREATE, "/q/a", 0), get_data(11, paths[3])].concat()).unwrap();
        assert_eq!(reply(servers).2, 0);
        let usage = reply(servers).3;
        assert!(usage[4..].starts_with(b"count=2,bytes=2"), "{}", usage.escape_ascii());
    });
}
