//! Every message that real servers were recorded saying to each other decodes, and encodes to the same bytes.

use quorate_core::wire::notification::{Hello, Notification};
use quorate_core::wire::packet::{ForwardedRequest, LearnerInfo, Packet, kind};
use quorate_core::wire::txn::{decode_record, encode_record};
use serde_json::Value;

fn files() -> Vec<(String, Value)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/quorum");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("the vectors are part of the project")
        .map(|e| e.expect("readable directory").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|p| {
            let text = std::fs::read_to_string(p).expect("readable vector");
            (p.display().to_string(), serde_json::from_str(&text).expect("a vector is JSON"))
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

/// Calls `check` with the name, type and bytes of every message of this port.
fn each(port: &str, mut check: impl FnMut(&str, &str, &[u8])) -> usize {
    let mut n = 0;
    for (file, json) in files() {
        for m in json["messages"].as_array().expect("messages") {
            if m["port"] == port {
                let at = format!("{file} t={}", m["t_ms"]);
                check(&at, m["type"].as_str().expect("type"), &unhex(m["hex"].as_str().expect("hex")));
                n += 1;
            }
        }
    }
    n
}

#[test]
fn the_election_port() {
    let n = each("election", |at, message, bytes| {
        let mut again = Vec::new();
        if message == "INITIAL_MESSAGE" {
            let (hello, used) = Hello::decode(bytes).expect(at).expect(at);
            assert_eq!(used, bytes.len(), "{at}");
            hello.encode(&mut again);
        } else {
            Notification::decode(&bytes[4..]).expect(at).expect(at).encode(&mut again);
        }
        assert_eq!(again, bytes, "{at} {message}");
    });
    assert!(n > 100, "{n} messages");
}

#[test]
fn the_quorum_port() {
    let n = each("quorum", |at, message, bytes| {
        if message == "SNAPSHOT_STREAM" {
            return;
        }
        let (packet, used) = Packet::decode(bytes, 1 << 20).expect(at).expect(at);
        assert_eq!(used, bytes.len(), "{at}");
        let name = quorate_core::wire::packet::kind_name(packet.kind);
        assert_eq!(name, message.replace('_', ""), "{at}");
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(again, bytes, "{at} {message}");
        let data = packet.data.unwrap_or_default();
        match packet.kind {
            kind::PROPOSAL | kind::INFORM => {
                let (header, txn, digest) = decode_record(data).expect(at);
                assert_eq!(header.zxid, packet.zxid, "{at}");
                let mut again = Vec::new();
                encode_record(&header, &txn, digest.map(|d| d.digest), &mut again);
                assert_eq!(again, data, "{at}");
            }
            kind::REQUEST => {
                let request = ForwardedRequest::decode(data).expect(at);
                let mut again = Vec::new();
                request.encode(&mut again);
                assert_eq!(again, data, "{at}");
            }
            kind::FOLLOWERINFO | kind::OBSERVERINFO => {
                assert_eq!(LearnerInfo::decode(data).expect(at).encode(), data, "{at}");
            }
            _ => {}
        }
    });
    assert!(n > 400, "{n} messages");
}

#[test]
fn a_packet_cut_anywhere_is_awaited_not_refused() {
    each("quorum", |at, message, bytes| {
        if message != "SNAPSHOT_STREAM" {
            for cut in 0..bytes.len() {
                assert_eq!(Packet::decode(&bytes[..cut], 1 << 20).expect(at), None, "{at} cut at {cut}");
            }
        }
    });
}
