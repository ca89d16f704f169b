//! Every decoder of `core::wire`, shown the same bytes. Used by the properties beside it and, by path, by the target `decoders` of
//! `fuzz/`.
#![allow(unreachable_pub)] // Included by path in two crates.

use std::hint::black_box;

use bytes::Bytes;
use quorate_core::ids::SessionId;
use quorate_core::jute::Reader;
use quorate_core::wire::client::{
    ConnectRequest, ConnectResponse, MultiHeader, ReplyHeader, Request, RequestHeader, Response, WatcherEvent,
    check_body, frame_len, next_frame,
};
use quorate_core::wire::notification::{Hello, Notification};
use quorate_core::wire::packet::{ForwardedRequest, LearnerInfo, Packet, decode_ack_epoch, decode_touches};
use quorate_core::wire::records::{Acl, Id, Stat, StatPersisted, op};
use quorate_core::wire::snapshot::{FileDecoder, SnapSink, StreamDecoder};
use quorate_core::wire::txn::{TxnHeader, decode_record};
use quorate_core::wire::txnlog::{Found, Scanner, Search};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

/// Bytes that decoding `n` bytes may allocate, everything on the way included: the smallest element of any vector is 4 bytes
/// on the wire and at most 48 in memory, a growing vector copies itself, and invalid UTF-8 triples.
fn allowance(n: usize) -> usize {
    64 * n + 1024
}

pub const FRAME_MAX: usize = 1 << 20;

/// Runs one decoder and holds it to its allowance. The test runner's own thread allocates now and then: a decoder that takes
/// too much does so every time.
fn frugal<T>(what: &str, bytes: &[u8], decode: impl Fn(&[u8]) -> T) -> T {
    let mut allocated = 0;
    for _ in 0..5 {
        let region = Region::new(&INSTRUMENTED_SYSTEM);
        let result = black_box(decode(bytes));
        allocated = region.change().bytes_allocated;
        if allocated <= allowance(bytes.len()) {
            return result;
        }
    }
    panic!("{what}: {allocated} bytes allocated for {} of input", bytes.len());
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
pub fn all_decoders(bytes: &[u8]) {
    frugal("hello", bytes, |b| Hello::decode(b).is_ok());
    frugal("notification", bytes, |b| Notification::decode(b).is_ok());
    frugal("packet", bytes, |b| Packet::decode(b, FRAME_MAX).is_ok());
    frugal("learner info", bytes, |b| LearnerInfo::decode(b).is_ok());
    frugal("forwarded request", bytes, |b| ForwardedRequest::decode(b).is_ok());
    frugal("ackepoch", bytes, |b| decode_ack_epoch(Some(b)).is_ok());
    frugal("touches", bytes, |b| decode_touches(Some(b)).is_ok());
    frugal("record", bytes, |b| decode_record(b).is_ok());
    frugal("txn header", bytes, |b| TxnHeader::decode(&mut Reader::new(b)).is_ok());
    frugal("frame length", bytes, |b| frame_len(b, FRAME_MAX).is_ok());
    frugal("frame", bytes, |b| next_frame(b, FRAME_MAX).is_ok());
    frugal("connect request", bytes, |b| ConnectRequest::decode(b).is_ok());
    frugal("connect response", bytes, |b| ConnectResponse::decode(b).is_ok());
    frugal("request header", bytes, |b| RequestHeader::decode(&mut Reader::new(b)).is_ok());
    frugal("reply header", bytes, |b| ReplyHeader::decode(&mut Reader::new(b)).is_ok());
    frugal("watch event", bytes, |b| WatcherEvent::decode(&mut Reader::new(b)).is_ok());
    frugal("multi header", bytes, |b| MultiHeader::decode(&mut Reader::new(b)).is_ok());
    frugal("acl", bytes, |b| Acl::decode_list(&mut Reader::new(b)).is_ok());
    frugal("id", bytes, |b| Id::decode(&mut Reader::new(b)).is_ok());
    frugal("stat", bytes, |b| Stat::decode(&mut Reader::new(b)).is_ok());
    frugal("persisted stat", bytes, |b| StatPersisted::decode(&mut Reader::new(b)).is_ok());
    frugal("strings", bytes, |b| Reader::new(b).strings().is_ok());
    for op in REQUESTS {
        let whole = frugal("request", bytes, |b| Request::decode(op, b).is_ok());
        let checked = frugal("check of a body", bytes, |b| check_body(op, b).is_ok());
        // A learner forwards what passes this check: it must never refuse what decodes.
        assert!(checked || !whole, "op {op}: decodes, but the check refuses it");
        frugal("response", bytes, |b| Response::decode(op, b).is_ok());
    }
    frugal("snapshot stream", bytes, |b| {
        let mut sink = Counted::default();
        StreamDecoder::new().feed(b, &mut sink).is_ok()
    });
    frugal("snapshot file", bytes, |b| {
        let mut decoder = FileDecoder::new();
        decoder.feed(b, &mut Counted::default()).and_then(|()| decoder.finish()).is_ok()
    });
    let shared = Bytes::copy_from_slice(bytes);
    frugal("log file", bytes, |_| scan(std::slice::from_ref(&shared), Scanner::new(FRAME_MAX)));
    frugal("log records", bytes, |_| scan(std::slice::from_ref(&shared), Scanner::at(16, FRAME_MAX)));
    frugal("search for a log record", bytes, |_| search(std::slice::from_ref(&shared)));
}

/// A sink that remembers what it was given, for comparison only.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Counted {
    pub sessions: usize,
    pub acls: usize,
    pub nodes: usize,
    pub sum: u64,
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

/// Reads a log file in pieces: the records' zxids and ends, and how it ended.
pub fn scan(pieces: &[Bytes], mut scanner: Scanner) -> (Vec<(i64, u64)>, Found) {
    let mut records = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        scanner.feed(piece.clone());
        loop {
            match scanner.next(i + 1 == pieces.len()) {
                Found::More => break,
                Found::Record { record, end, .. } => records.push((record.zxid.0, end)),
                ended => return (records, ended),
            }
        }
    }
    (records, Found::More)
}

/// Searches pieces of a damaged log for a record.
pub fn search(pieces: &[Bytes]) -> (bool, Option<(i64, u64)>) {
    let mut search = Search::new(0, FRAME_MAX);
    for (i, piece) in pieces.iter().enumerate() {
        search.feed(piece, i + 1 == pieces.len());
    }
    (search.nonzero, search.found.map(|(zxid, at)| (zxid.0, at)))
}
