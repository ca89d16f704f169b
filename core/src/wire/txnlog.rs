//! The transaction log's file format (storage-format section 2).
//!
//! A file is a header and records: checksum, length, payload, end marker. The checksum covers the payload only, so a reader
//! that meets damage cannot know where the next record begins: [`Search`] looks for it.

use alloc::vec::Vec;

use bytes::{Buf as _, Bytes};

use crate::ids::Zxid;
use crate::jute::{Put as _, Reader};
use crate::wire::adler::Adler;
use crate::wire::txn::TxnHeader;

/// One logged transaction: the payload of its log record and of its PROPOSAL. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its id.
    pub zxid: Zxid,
    /// Header, body, digest.
    pub payload: Bytes,
}

/// Size of a file's header in bytes.
pub const HEADER_LEN: usize = 16;
/// Bytes of a record around its payload.
pub const FRAME_LEN: usize = 13;
/// Checksum and length, before the payload.
const PREFIX_LEN: usize = 12;
const MAGIC: i32 = 0x5a4b_4c47;
const VERSION: i32 = 2;
const END: u8 = b'B';

/// The checksum of a payload.
#[must_use]
pub fn checksum(payload: &[u8]) -> u32 {
    Adler::of(payload)
}

/// The header of a new file: magic, version 2, dbid 0.
#[must_use]
pub fn file_header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[4..8].copy_from_slice(&VERSION.to_be_bytes());
    header
}

/// Appends a record. Returns its checksum.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) -> u32 {
    let sum = checksum(payload);
    out.put_i64(i64::from(sum));
    out.put_len(payload.len());
    out.extend_from_slice(payload);
    out.push(END);
    sum
}

/// What [`Scanner::next`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing yet: more bytes are needed.
    More,
    /// A whole record with a right checksum.
    Record {
        /// The record.
        record: Record,
        /// Offset of its first byte.
        start: u64,
        /// Offset right behind it.
        end: u64,
        /// Its checksum.
        sum: u32,
    },
    /// The data ends here: the file does, or zeros begin. Whether only zeros follow is for [`Search`] to say.
    End {
        /// Offset of the end.
        at: u64,
    },
    /// Something else than a record.
    Broken {
        /// Where.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads the records of one file from bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Scanner {
    buf: Bytes,
    /// Offset in the file of the first byte of `buf`.
    offset: u64,
    header_seen: bool,
    max: usize,
}

impl Scanner {
    /// A scanner at the start of a file; a payload longer than `max` bytes is damage.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { buf: Bytes::new(), offset: 0, header_seen: false, max }
    }
    /// A scanner at a record boundary.
    #[must_use]
    pub const fn at(offset: u64, max: usize) -> Self {
        Self { buf: Bytes::new(), offset, header_seen: true, max }
    }
    /// Adds the bytes that follow.
    pub fn feed(&mut self, bytes: Bytes) {
        if self.buf.is_empty() {
            self.buf = bytes;
        } else {
            let mut joined = Vec::with_capacity(self.buf.len() + bytes.len());
            joined.extend_from_slice(&self.buf);
            joined.extend_from_slice(&bytes);
            self.buf = joined.into();
        }
    }
    /// Offset of the next byte to be looked at.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
    /// The bytes that were fed and not consumed.
    #[must_use]
    pub fn take_rest(&mut self) -> Bytes {
        core::mem::take(&mut self.buf)
    }

    fn consume(&mut self, n: usize) {
        self.buf.advance(n);
        self.offset += n as u64;
    }

    /// The next thing. `eof`: nothing follows what was fed. After [`Found::End`] or [`Found::Broken`] there is nothing more.
    pub fn next(&mut self, eof: bool) -> Found {
        if !self.header_seen {
            if self.buf.len() < HEADER_LEN {
                return if eof { Found::Broken { at: 0, what: "the file header is cut" } } else { Found::More };
            }
            if self.buf[..4] != MAGIC.to_be_bytes() {
                return Found::Broken { at: 0, what: "the file header has a wrong magic number" };
            }
            self.header_seen = true;
            self.consume(HEADER_LEN);
        }
        let at = self.offset;
        let broken = |what| Found::Broken { at, what };
        if self.buf.len() < PREFIX_LEN {
            return match (eof, self.buf.iter().all(|b| *b == 0)) {
                (false, _) => Found::More,
                (true, true) => Found::End { at },
                (true, false) => broken("the file ends inside a record"),
            };
        }
        let (sum, len) = prefix(&self.buf);
        if len == 0 {
            return if sum == 0 { Found::End { at } } else { broken("a record without length") };
        }
        let Some(len) = usize::try_from(len).ok().filter(|n| *n <= self.max) else {
            return broken("a record of unreasonable length");
        };
        if self.buf.len() < len + FRAME_LEN {
            return if eof { broken("the file ends inside a record") } else { Found::More };
        }
        if self.buf[PREFIX_LEN + len] != END {
            return broken("a record without its end marker");
        }
        let payload = self.buf.slice(PREFIX_LEN..PREFIX_LEN + len);
        let own = checksum(&payload);
        if sum != i64::from(own) {
            return broken("a record with a wrong checksum");
        }
        let Ok(header) = TxnHeader::decode(&mut Reader::new(&payload)) else {
            return broken("a record too short for a transaction");
        };
        self.consume(len + FRAME_LEN);
        Found::Record { record: Record { zxid: header.zxid, payload }, start: at, end: self.offset, sum: own }
    }
}

fn prefix(bytes: &[u8]) -> (i64, i32) {
    let mut r = Reader::new(bytes);
    (r.i64().unwrap_or_default(), r.i32().unwrap_or_default())
}

/// Looks behind the end of the data, or behind damage: is there anything but zeros, is there a valid record?
#[derive(Clone, Debug)]
pub struct Search {
    buf: Bytes,
    offset: u64,
    max: usize,
    /// Whether anything but zeros was seen.
    pub nonzero: bool,
    /// The first valid record: its zxid and offset.
    pub found: Option<(Zxid, u64)>,
}

impl Search {
    /// A search from this offset on.
    #[must_use]
    pub const fn new(offset: u64, max: usize) -> Self {
        Self { buf: Bytes::new(), offset, max, nonzero: false, found: None }
    }

    /// Adds the bytes that follow. `eof`: nothing follows them.
    pub fn feed(&mut self, bytes: &Bytes, eof: bool) {
        if self.found.is_some() {
            return;
        }
        if self.buf.is_empty() {
            self.buf = bytes.clone();
        } else {
            let mut joined = Vec::with_capacity(self.buf.len() + bytes.len());
            joined.extend_from_slice(&self.buf);
            joined.extend_from_slice(bytes);
            self.buf = joined.into();
        }
        let mut p = 0;
        while p < self.buf.len() {
            let Some(zeros) = first_nonzero(&self.buf[p..]) else {
                // A record begins with at least four zeros, and with no more than eleven.
                p = p.max(self.buf.len().saturating_sub(PREFIX_LEN - 1));
                break;
            };
            self.nonzero = true;
            p += zeros.saturating_sub(PREFIX_LEN - 1);
            match self.record_at(p) {
                Candidate::Yes(zxid) => {
                    self.found = Some((zxid, self.offset + p as u64));
                    return;
                }
                Candidate::Incomplete if !eof => break,
                Candidate::Incomplete | Candidate::No => p += 1,
            }
        }
        self.buf.advance(p);
        self.offset += p as u64;
    }

    fn record_at(&self, p: usize) -> Candidate {
        let rest = &self.buf[p..];
        if rest.len() < PREFIX_LEN {
            return Candidate::Incomplete;
        }
        let (sum, len) = prefix(rest);
        let Some(len) = usize::try_from(len).ok().filter(|n| (TxnHeader::LEN..=self.max).contains(n)) else {
            return Candidate::No;
        };
        if sum >> 32 != 0 {
            return Candidate::No;
        }
        let Some(frame) = rest.get(..len + FRAME_LEN) else { return Candidate::Incomplete };
        let payload = &frame[PREFIX_LEN..PREFIX_LEN + len];
        if frame[len + PREFIX_LEN] != END || i64::from(checksum(payload)) != sum {
            return Candidate::No;
        }
        match TxnHeader::decode(&mut Reader::new(payload)) {
            Ok(header) if header.zxid > Zxid::ZERO => Candidate::Yes(header.zxid),
            _ => Candidate::No,
        }
    }
}

/// In blocks first: padding is long, and this is what a start waits for.
fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let zeros = bytes.chunks(BLOCK).take_while(|c| c.iter().fold(0, |all, b| all | b) == 0).count() * BLOCK;
    let rest = bytes.get(zeros..)?;
    rest.iter().position(|b| *b != 0).map(|i| zeros + i)
}

enum Candidate {
    Yes(Zxid),
    No,
    Incomplete,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn payload(zxid: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let header = TxnHeader { session: crate::ids::SessionId(7), cxid: 1, zxid: Zxid(zxid), time: 5, kind: -1 };
        header.encode(&mut out);
        out.put_i32(-101);
        out
    }

    fn file(count: i64) -> Vec<u8> {
        let mut out = file_header().to_vec();
        for i in 1..=count {
            encode(&payload(i), &mut out);
        }
        out
    }

    fn scan(bytes: &[u8], piece: usize) -> (Vec<i64>, Found) {
        let mut scanner = Scanner::new(1 << 20);
        let mut zxids = Vec::new();
        let mut pieces = bytes.chunks(piece.max(1)).map(Bytes::copy_from_slice).peekable();
        loop {
            let eof = pieces.peek().is_none();
            match scanner.next(eof) {
                Found::More => scanner.feed(pieces.next().expect("more only before the end")),
                Found::Record { record, .. } => zxids.push(record.zxid.0),
                other => return (zxids, other),
            }
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_records() {
        let mut bytes = file(3);
        let end = bytes.len() as u64;
        for padding in [0, 5, 100] {
            bytes.resize(end as usize + padding, 0);
            for piece in 1..bytes.len() {
                assert_eq!(scan(&bytes, piece), (vec![1, 2, 3], Found::End { at: end }));
            }
        }
    }

    #[test]
    fn a_valid_record_behind_a_hole_is_found() {
        let bytes = file(3);
        for piece in [1, 7, 64, 1000] {
            let mut search = Search::new(0, 1 << 20);
            let pieces: Vec<_> = bytes[17..].chunks(piece).collect();
            for (i, p) in pieces.iter().enumerate() {
                search.feed(&Bytes::copy_from_slice(p), i + 1 == pieces.len());
            }
            assert_eq!(search.found.map(|f| f.0), Some(Zxid(2)), "in pieces of {piece}");
        }
    }

    #[test]
    fn zeros_hold_nothing_and_a_cut_record_is_no_record() {
        let mut search = Search::new(0, 1 << 20);
        search.feed(&Bytes::from(vec![0; 100]), false);
        search.feed(&Bytes::from(vec![0; 100]), true);
        assert!(!search.nonzero && search.found.is_none());
        let bytes = file(1);
        let mut search = Search::new(0, 1 << 20);
        search.feed(&Bytes::copy_from_slice(&bytes[16..bytes.len() - 1]), true);
        assert!(search.nonzero && search.found.is_none());
    }
}
