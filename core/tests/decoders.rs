//! Every decoder of `core::wire` against arbitrary bytes and against damaged copies of what real servers were recorded saying:
//! nothing panics, nothing reserves memory for what a length field only claims, and a stream decodes alike however it is cut.
//!
//! Each property runs under a lock, because the allocator counts for the whole process.

use std::alloc::System;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, PoisonError};

use quickcheck::{Gen, QuickCheck};
use quorate_core::ids::SessionId;
use quorate_core::jute::Reader;
use quorate_core::wire::client::{
    ConnectRequest, ConnectResponse, MultiHeader, ReplyHeader, Request, RequestHeader, Response, WatcherEvent,
    check_body, frame_len, next_frame,
};
use quorate_core::wire::inbuf::InBuf;
use quorate_core::wire::notification::{Hello, Notification};
use quorate_core::wire::packet::{ForwardedRequest, LearnerInfo, Packet, decode_ack_epoch, decode_touches};
use quorate_core::wire::records::{Acl, Id, Stat, StatPersisted, op};
use quorate_core::wire::snapshot::{SnapSink, StreamDecoder};
use quorate_core::wire::txn::{TxnHeader, decode_record};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that decoding `n` bytes may allocate, everything on the way included: the smallest element of any vector is 4 bytes
/// on the wire and at most 48 in memory, a growing vector copies itself, and invalid UTF-8 triples.
fn allowance(n: usize) -> usize {
    64 * n + 1024
}

const FRAME_MAX: usize = 1 << 20;

/// Runs one decoder and holds it to its allowance.
fn frugal<T>(what: &str, bytes: &[u8], decode: impl FnOnce(&[u8]) -> T) -> T {
    let region = Region::new(ALLOCATOR);
    let result = decode(bytes);
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= allowance(bytes.len()), "{what}: {allocated} bytes allocated for {} of input", bytes.len());
    result
}

const REQUESTS: [i32; 34] = [
    op::CREATE,
    op::DELETE,
    op::EXISTS,
    op::GET_DATA,
    op::SET_DATA,
    op::GET_ACL,
    op::SET_ACL,
    op::GET_CHILDREN,
    op::SYNC,
    op::PING,
    op::GET_CHILDREN2,
    op::CHECK,
    op::MULTI,
    op::CREATE2,
    op::RECONFIG,
    op::CHECK_WATCHES,
    op::REMOVE_WATCHES,
    op::CREATE_CONTAINER,
    op::DELETE_CONTAINER,
    op::CREATE_TTL,
    op::MULTI_READ,
    op::AUTH,
    op::SET_WATCHES,
    op::SASL,
    op::GET_EPHEMERALS,
    op::GET_ALL_CHILDREN_NUMBER,
    op::SET_WATCHES2,
    op::ADD_WATCH,
    op::WHO_AM_I,
    op::CREATE_SESSION,
    op::CLOSE_SESSION,
    op::ERROR,
    0,
    i32::MIN,
];

/// Shows these bytes to every decoder there is, whatever they were meant to be.
fn all_decoders(bytes: &[u8]) {
    frugal("hello", bytes, |b| drop(Hello::decode(b)));
    frugal("notification", bytes, |b| drop(Notification::decode(b)));
    frugal("packet", bytes, |b| drop(Packet::decode(b, FRAME_MAX)));
    frugal("learner info", bytes, |b| drop(LearnerInfo::decode(b)));
    frugal("forwarded request", bytes, |b| drop(ForwardedRequest::decode(b)));
    frugal("ackepoch", bytes, |b| drop(decode_ack_epoch(Some(b))));
    frugal("touches", bytes, |b| drop(decode_touches(Some(b))));
    frugal("record", bytes, |b| drop(decode_record(b)));
    frugal("txn header", bytes, |b| drop(TxnHeader::decode(&mut Reader::new(b))));
    frugal("frame length", bytes, |b| drop(frame_len(b, FRAME_MAX)));
    frugal("frame", bytes, |b| drop(next_frame(b, FRAME_MAX)));
    frugal("connect request", bytes, |b| drop(ConnectRequest::decode(b)));
    frugal("connect response", bytes, |b| drop(ConnectResponse::decode(b)));
    frugal("request header", bytes, |b| drop(RequestHeader::decode(&mut Reader::new(b))));
    frugal("reply header", bytes, |b| drop(ReplyHeader::decode(&mut Reader::new(b))));
    frugal("watch event", bytes, |b| drop(WatcherEvent::decode(&mut Reader::new(b))));
    frugal("multi header", bytes, |b| drop(MultiHeader::decode(&mut Reader::new(b))));
    frugal("acl", bytes, |b| drop(Acl::decode_list(&mut Reader::new(b))));
    frugal("id", bytes, |b| drop(Id::decode(&mut Reader::new(b))));
    frugal("stat", bytes, |b| drop(Stat::decode(&mut Reader::new(b))));
    frugal("persisted stat", bytes, |b| drop(StatPersisted::decode(&mut Reader::new(b))));
    frugal("strings", bytes, |b| drop(Reader::new(b).strings()));
    for op in REQUESTS {
        let whole = frugal("request", bytes, |b| Request::decode(op, b).is_ok());
        let checked = frugal("check of a body", bytes, |b| check_body(op, b).is_ok());
        // A learner forwards what passes this check: it must never refuse what decodes.
        assert!(checked || !whole, "op {op}: decodes, but the check refuses it");
        frugal("response", bytes, |b| drop(Response::decode(op, b)));
    }
    frugal("snapshot stream", bytes, |b| {
        let mut sink = Counted::default();
        drop(StreamDecoder::new().feed(b, &mut sink));
    });
}

/// A sink that remembers what it was given, for comparison only.
#[derive(Default, PartialEq, Eq, Debug)]
struct Counted {
    sessions: usize,
    acls: usize,
    nodes: usize,
    sum: u64,
}

impl Counted {
    fn mix(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.sum = self.sum.rotate_left(5) ^ u64::from(*b);
        }
    }
}

impl SnapSink for Counted {
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str> {
        self.sessions += 1;
        self.mix(&id.0.to_be_bytes());
        self.mix(&timeout.to_be_bytes());
        Ok(())
    }
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str> {
        self.acls += 1;
        self.mix(&id.to_be_bytes());
        self.mix(&[u8::try_from(acl.len() & 0xff).expect("masked")]);
        Ok(())
    }
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str> {
        self.nodes += 1;
        self.mix(path.as_bytes());
        self.mix(data.unwrap_or(b"null"));
        self.mix(&acl.to_be_bytes());
        self.mix(&stat.pzxid.0.to_be_bytes());
        Ok(())
    }
}

// ----- recorded bytes ------------------------------------------------------------------------------------------------

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn collect_hex(value: &Value, out: &mut Vec<Vec<u8>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| collect_hex(v, out)),
        Value::Object(fields) => {
            for (key, v) in fields {
                match v.as_str() {
                    Some(text) if key == "hex" || key.ends_with("_hex") => out.push(unhex(text)),
                    _ => collect_hex(v, out),
                }
            }
        }
        _ => {}
    }
}

/// Every message in the recordings of both ports of servers and of the client port.
static RECORDED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut out = Vec::new();
    for dir in ["tests/vectors/quorum", "../server/tests/vectors/client"] {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let mut files: Vec<_> =
            std::fs::read_dir(&dir).expect("vectors").map(|e| e.expect("readable").path()).collect();
        files.sort();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            let text = std::fs::read_to_string(file).expect("readable vector");
            collect_hex(&serde_json::from_str(&text).expect("a vector is JSON"), &mut out);
        }
    }
    assert!(out.len() > 1500, "{} recorded messages", out.len());
    out
});

/// A recorded message.
fn recorded(pick: usize) -> Vec<u8> {
    RECORDED[pick % RECORDED.len()].clone()
}

/// What happens to bytes: flipped, overwritten by a hostile length, cut, repeated, spliced with another message.
fn wound(bytes: &mut Vec<u8>, kind: u8, at: usize, with: u32) {
    const LENGTHS: [i32; 8] = [-1, -2, i32::MIN, i32::MAX, 0, 1, 0x00ff_ffff, 0x0010_0000];
    if bytes.is_empty() {
        return;
    }
    let at = at % bytes.len();
    match kind % 6 {
        0 => bytes[at] ^= 1 << (with % 8),
        1 | 2 => {
            let length = LENGTHS[with as usize % LENGTHS.len()].to_be_bytes();
            // Fields are mostly aligned to the record's start: half of the wounds hit one exactly.
            let at = if kind % 6 == 1 { at & !3 } else { at };
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&length[..end - at]);
        }
        3 => bytes.truncate(at),
        4 => {
            let copy = bytes[at..].to_vec();
            bytes.extend_from_slice(&copy);
        }
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&recorded(with as usize));
        }
    }
}

// ----- properties ----------------------------------------------------------------------------------------------------

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a property alone. The seed is fixed: a failure repeats.
fn alone<A: quickcheck::Testable>(tests: u64, size: usize, property: A) {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&RECORDED);
    QuickCheck::new().tests(tests).rng(Gen::from_size_and_seed(size, 1)).quickcheck(property);
}

#[test]
fn arbitrary_bytes() {
    fn property(bytes: Vec<u8>) -> bool {
        all_decoders(&bytes);
        true
    }
    alone(2000, 300, property as fn(Vec<u8>) -> bool);
}

/// Bytes that are mostly small numbers: they get further into records than noise does.
#[test]
fn arbitrary_small_numbers() {
    fn property(words: Vec<i16>, tail: Vec<u8>) -> bool {
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| i32::from(w % 7 - 1).to_be_bytes()).collect();
        bytes.extend_from_slice(&tail);
        all_decoders(&bytes);
        true
    }
    alone(2000, 100, property as fn(Vec<i16>, Vec<u8>) -> bool);
}

#[test]
fn recorded_bytes_with_wounds() {
    fn property(pick: usize, wounds: Vec<(u8, usize, u32)>, skip: u8) -> bool {
        let mut bytes = recorded(pick);
        for (kind, at, with) in wounds.iter().take(6) {
            wound(&mut bytes, *kind, *at, *with);
        }
        bytes.truncate(64 << 10);
        all_decoders(&bytes);
        // Behind the frame length, the header, the packet's head: where bodies begin.
        let skip = [4, 12, 16, 20, 28, 44][usize::from(skip) % 6].min(bytes.len());
        all_decoders(&bytes[skip..]);
        true
    }
    alone(4000, 200, property as fn(usize, Vec<(u8, usize, u32)>, u8) -> bool);
}

/// Reads a stream with `decode` (value and length, or `None` for "more is needed"), whole and cut at these places.
fn however_it_is_cut<T: PartialEq + Debug, E: PartialEq + Debug>(
    stream: &[u8],
    cuts: &[usize],
    decode: impl Fn(&[u8]) -> Result<Option<(T, usize)>, E>,
) {
    let all = |pieces: &[&[u8]]| {
        let mut inbuf = InBuf::default();
        let mut values = Vec::new();
        let mut failed = None;
        for piece in pieces {
            if failed.is_some() {
                break;
            }
            inbuf.process(piece, |slice| {
                let mut used = 0;
                loop {
                    match decode(&slice[used..]) {
                        Ok(Some((value, n))) => {
                            assert!(
                                n > 0 && n <= slice.len() - used,
                                "a decoder consumes what it was shown, and something"
                            );
                            used += n;
                            values.push(value);
                        }
                        Ok(None) => return (used, ()),
                        Err(e) => {
                            failed = Some(e);
                            return (used, ());
                        }
                    }
                }
            });
        }
        let held = if failed.is_none() { inbuf.len() } else { 0 };
        (values, failed.is_some(), held)
    };
    let mut places: Vec<usize> = cuts.iter().map(|c| c % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in places {
        pieces.push(&stream[from..at]);
        from = at;
    }
    pieces.push(&stream[from..]);
    assert_eq!(all(&pieces), all(&[stream]), "cut at {cuts:?}");
}

#[test]
fn streams_decode_alike_however_they_are_cut() {
    fn property(picks: Vec<usize>, wounds: Vec<(u8, usize, u32)>, cuts: Vec<usize>) -> bool {
        let mut stream: Vec<u8> = picks.iter().take(8).flat_map(|p| recorded(*p)).collect();
        for (kind, at, with) in wounds.iter().take(2) {
            wound(&mut stream, *kind, *at, *with);
        }
        stream.truncate(64 << 10);
        let cuts = &cuts[..cuts.len().min(16)];
        // Packets borrow from the buffer, so what is compared is their encoding.
        however_it_is_cut(&stream, cuts, |b| {
            Packet::decode(b, FRAME_MAX).map(|found| {
                found.map(|(packet, n)| {
                    let mut again = Vec::new();
                    packet.encode(&mut again);
                    (again, n)
                })
            })
        });
        however_it_is_cut(&stream, cuts, Hello::decode);
        however_it_is_cut(&stream, cuts, |b| {
            next_frame(b, FRAME_MAX).map(|found| found.map(|frame| (frame.to_vec(), frame.len() + 4)))
        });
        true
    }
    alone(2000, 60, property as fn(Vec<usize>, Vec<(u8, usize, u32)>, Vec<usize>) -> bool);
}

/// Feeds a snapshot stream in pieces; what the sink saw, the bytes consumed, those of the body, and whether it ended.
fn feed_in_pieces(pieces: &[&[u8]]) -> (Counted, usize, usize, bool, bool) {
    let mut decoder = StreamDecoder::new();
    let mut sink = Counted::default();
    let (mut used, mut body, mut done) = (0, 0, false);
    let mut held: Vec<u8> = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        while !done {
            match decoder.feed(&held, &mut sink) {
                Ok((n, b, end)) => {
                    assert!(b <= n && n <= held.len(), "body is a part of what was consumed");
                    used += n;
                    body += b;
                    done = end;
                    held.drain(..n);
                    if n == 0 {
                        break;
                    }
                }
                Err(_) => return (sink, 0, 0, false, true),
            }
        }
    }
    (sink, used, body, done, false)
}

#[test]
fn snapshot_streams_decode_alike_however_they_are_cut() {
    fn property(pick: usize, wounds: Vec<(u8, usize, u32)>, cuts: Vec<usize>) -> bool {
        let streams: Vec<&Vec<u8>> = RECORDED.iter().filter(|m| m.ends_with(b"BenWasHere")).collect();
        assert!(!streams.is_empty(), "snapshot streams were recorded");
        let mut stream = streams[pick % streams.len()].clone();
        for (kind, at, with) in wounds.iter().take(1) {
            wound(&mut stream, *kind, *at, *with);
        }
        let mut places: Vec<usize> = cuts.iter().take(16).map(|c| c % (stream.len() + 1)).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for at in places {
            pieces.push(&stream[from..at]);
            from = at;
        }
        pieces.push(&stream[from..]);
        let whole = feed_in_pieces(&[&stream]);
        let cut = feed_in_pieces(&pieces);
        if wounds.is_empty() {
            assert!(whole.3, "a recorded stream ends");
            assert_eq!(whole.1, stream.len());
            assert_eq!(whole.2 + 14, stream.len(), "everything but the signature is body");
            assert!(whole.0.nodes >= 4);
        }
        if whole.4 || cut.4 {
            assert_eq!(whole.4, cut.4, "refused whole or cut");
        } else {
            assert_eq!(whole, cut);
        }
        true
    }
    alone(1000, 40, property as fn(usize, Vec<(u8, usize, u32)>, Vec<usize>) -> bool);
}
