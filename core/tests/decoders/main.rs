//! Every decoder of `core::wire` against arbitrary bytes and against damaged copies of what real servers were recorded saying:
//! nothing panics, nothing reserves memory for what a length field only claims, and a stream decodes alike however it is cut.
//!
//! Each property runs under a lock, because the allocator counts for the whole process.

mod every;

use std::alloc::System;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use quickcheck::{Gen, QuickCheck};
use quorate_core::ids::Zxid;
use quorate_core::wire::client::next_frame;
use quorate_core::wire::inbuf::InBuf;
use quorate_core::wire::notification::Hello;
use quorate_core::wire::packet::{Packet, kind};
use quorate_core::wire::snapshot::{FileDecoder, FileEncoder, StreamDecoder};
use quorate_core::wire::txnlog::{self, Scanner};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use every::{Counted, FRAME_MAX, all_decoders, scan, search};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

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
    for dir in ["tests/vectors/quorum", "tests/vectors/client", "tests/vectors/client-ensemble"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let mut files: Vec<_> =
            std::fs::read_dir(&dir).expect("vectors").map(|e| e.expect("readable").path()).collect();
        files.sort();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            let text = std::fs::read_to_string(file).expect("readable vector");
            collect_hex(&serde_json::from_str(&text).expect("a vector is JSON"), &mut out);
        }
    }
    assert!(out.len() > 1500, "{} recorded messages", out.len());
    let files: Vec<Vec<u8>> = LOGS.iter().chain(&*SNAPSHOTS).cloned().collect();
    out.extend(files);
    out
});

/// Recorded snapshot streams, without what follows them.
fn streams() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/quorum")).expect("vectors")
    {
        let text = std::fs::read_to_string(file.expect("readable").path()).expect("readable vector");
        collect_hex(&serde_json::from_str(&text).expect("a vector is JSON"), &mut all);
    }
    all.retain(|m| m.ends_with(b"BenWasHere"));
    all.sort();
    assert!(!all.is_empty(), "snapshot streams were recorded");
    all
}

/// Snapshot files with the content of the recorded streams.
static SNAPSHOTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let file = |stream: Vec<u8>| {
        let body = &stream[..stream.len() - 14];
        let (mut encoder, header) = FileEncoder::new();
        encoder.body(body);
        let trailer = encoder.finish(Zxid(0x1_0000_0005), Some(7));
        [&header[..], body, &trailer].concat()
    };
    streams().into_iter().map(file).collect()
});

/// Log files with the recorded proposals, some padded with zeros.
static LOGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/quorum")).expect("vectors")
    {
        let text = std::fs::read_to_string(file.expect("readable").path()).expect("readable vector");
        let mut messages = Vec::new();
        collect_hex(&serde_json::from_str(&text).expect("a vector is JSON"), &mut messages);
        let proposals = messages.iter().filter_map(|m| match Packet::decode(m, FRAME_MAX) {
            Ok(Some((p, _))) if p.kind == kind::PROPOSAL => p.data.map(<[u8]>::to_vec),
            _ => None,
        });
        payloads.extend(proposals);
    }
    payloads.sort();
    assert!(payloads.len() > 50, "proposals were recorded");
    let file = |(i, chunk): (usize, &[Vec<u8>])| {
        let mut out = txnlog::file_header().to_vec();
        for payload in chunk {
            txnlog::encode(payload, &mut out);
        }
        out.extend_from_slice(&vec![0; i % 3 * 40]);
        out
    };
    payloads.chunks(5).enumerate().map(file).collect()
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
    assert_eq!(all(&cut(stream, cuts)), all(&[stream]), "cut at {cuts:?}");
}

/// The stream in pieces, cut at these places, at most sixteen.
fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().take(16).map(|c| c % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in places {
        pieces.push(&stream[from..at]);
        from = at;
    }
    pieces.push(&stream[from..]);
    pieces
}

#[test]
fn streams_decode_alike_however_they_are_cut() {
    fn property(picks: Vec<usize>, wounds: Vec<(u8, usize, u32)>, cuts: Vec<usize>) -> bool {
        let mut stream: Vec<u8> = picks.iter().take(8).flat_map(|p| recorded(*p)).collect();
        for (kind, at, with) in wounds.iter().take(2) {
            wound(&mut stream, *kind, *at, *with);
        }
        stream.truncate(64 << 10);
        let cuts = &cuts[..];
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
        static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(streams);
        let streams = &*STREAMS;
        let mut stream = streams[pick % streams.len()].clone();
        for (kind, at, with) in wounds.iter().take(1) {
            wound(&mut stream, *kind, *at, *with);
        }
        let whole = feed_in_pieces(&[&stream]);
        let cut = feed_in_pieces(&cut(&stream, &cuts));
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

#[test]
fn files_decode_alike_however_they_are_read() {
    fn property(pick: usize, wounds: Vec<(u8, usize, u32)>, cuts: Vec<usize>) -> bool {
        let mut log = LOGS[pick % LOGS.len()].clone();
        let mut snapshot = SNAPSHOTS[pick % SNAPSHOTS.len()].clone();
        for (kind, at, with) in wounds.iter().take(1) {
            wound(&mut log, *kind, *at, *with);
            wound(&mut snapshot, *kind, *at, *with);
        }
        let shared = |pieces: Vec<&[u8]>| pieces.into_iter().map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let whole = scan(&shared(vec![&log]), Scanner::new(FRAME_MAX));
        assert_eq!(scan(&shared(cut(&log, &cuts)), Scanner::new(FRAME_MAX)), whole);
        assert_eq!(search(&shared(cut(&log, &cuts))), search(&shared(vec![&log])));
        let read = |pieces: Vec<&[u8]>| {
            let (mut decoder, mut sink) = (FileDecoder::new(), Counted::default());
            pieces
                .into_iter()
                .try_for_each(|p| decoder.feed(p, &mut sink))
                .and_then(|()| decoder.finish())
                .map(|t| (t, sink))
        };
        let (whole_file, in_pieces) = (read(vec![&snapshot]), read(cut(&snapshot, &cuts)));
        if wounds.is_empty() {
            assert_eq!(whole.0.len(), txnlog_records(&log), "every record is found");
            assert!(whole_file.is_ok(), "the seals are right");
        }
        assert_eq!(whole_file.is_ok(), in_pieces.is_ok(), "accepted whole or in pieces");
        if let (Ok(a), Ok(b)) = (whole_file, in_pieces) {
            assert_eq!(a, b);
        }
        true
    }
    alone(2000, 40, property as fn(usize, Vec<(u8, usize, u32)>, Vec<usize>) -> bool);
}

/// A sealed file in which one bit flipped is never accepted: every byte is under a checksum or of the checksum.
#[test]
fn a_flipped_bit_is_seen() {
    fn property(pick: usize, at: usize, bit: u8) -> bool {
        let mut snapshot = SNAPSHOTS[pick % SNAPSHOTS.len()].clone();
        let at = at % snapshot.len();
        snapshot[at] ^= 1 << (bit % 8);
        let mut decoder = FileDecoder::new();
        decoder.feed(&snapshot, &mut Counted::default()).and_then(|()| decoder.finish()).is_err()
    }
    alone(1000, 40, property as fn(usize, usize, u8) -> bool);
}

/// Records of an undamaged log, counted by their frames alone.
fn txnlog_records(log: &[u8]) -> usize {
    let (mut at, mut n) = (txnlog::HEADER_LEN, 0);
    while let Some(len) = log.get(at + 8..at + 12).map(|b| i32::from_be_bytes(b.try_into().expect("four bytes"))) {
        if len == 0 {
            break;
        }
        at += txnlog::FRAME_LEN + usize::try_from(len).expect("an undamaged log");
        n += 1;
    }
    n
}
