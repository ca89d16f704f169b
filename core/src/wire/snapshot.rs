//! The snapshot format: files and the stream behind a SNAP packet (storage-format section 4, quorum-protocol 5.3).

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::ids::{SessionId, Zxid};
use crate::jute::{Put as _, Reader};
use crate::wire::adler::Adler;
use crate::wire::inbuf::InBuf;
use crate::wire::records::{Acl, StatPersisted};

/// Takes the content of a snapshot, in its order: sessions, ACL table, znodes with parents before children.
pub trait SnapSink {
    /// A session and its timeout in ms.
    fn session(&mut self, id: SessionId, timeout: i32) -> Result<(), &'static str>;
    /// An entry of the ACL table.
    fn acl(&mut self, id: i64, acl: Vec<Acl<'_>>) -> Result<(), &'static str>;
    /// A znode; the root's path is "". ACL id -1 is [`Acl::world`] with all permissions, without table entry.
    fn node(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) -> Result<(), &'static str>;
}

/// Drops everything: for checking a file's seals without loading it.
#[derive(Clone, Debug, Default)]
pub struct NullSink;

impl SnapSink for NullSink {
    fn session(&mut self, _: SessionId, _: i32) -> Result<(), &'static str> {
        Ok(())
    }
    fn acl(&mut self, _: i64, _: Vec<Acl<'_>>) -> Result<(), &'static str> {
        Ok(())
    }
    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: &StatPersisted) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Longest path and longest id text in bytes.
const TEXT_MAX: usize = 1 << 20;
/// Longest data of a znode in bytes: far above any `jute.maxbuffer` in use, far below what could exhaust memory.
const DATA_MAX: usize = 256 << 20;
/// Most entries of one ACL.
const ACL_MAX: usize = 1 << 16;

const SIGNATURE: &[u8] = b"\0\0\0\x0aBenWasHere";
/// The ustring "/": end of the znodes, and the second half of a seal.
const SLASH: &[u8] = b"\0\0\0\x01/";

/// Which part of the body comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    SessionCount,
    Sessions(usize),
    AclCount,
    Acls(usize),
    Root,
    Nodes,
    Done,
}

/// Decodes a body: entries, cut anywhere.
#[derive(Clone, Debug)]
struct Body {
    part: Part,
    held: InBuf,
    /// Bytes decoded so far, for errors.
    at: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self { part: Part::SessionCount, held: InBuf::default(), at: 0 }
    }
}

impl Body {
    /// Takes bytes. Returns how many of them belong to the body: all, unless it ends among them.
    fn feed<S: SnapSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, DecodeError> {
        let mut held = core::mem::take(&mut self.held);
        let before = held.len();
        let (used, result) = held.process(bytes, |all| {
            let mut used = 0;
            while self.part != Part::Done {
                match self.entry(&all[used..], sink) {
                    Ok(Some(n)) => used += n,
                    Ok(None) => return (all.len().min(used), (used, Ok(()))),
                    Err(e) => return (used, (used, Err(e))),
                }
            }
            // What follows the body is the caller's.
            (all.len(), (used, Ok(())))
        });
        self.held = held;
        self.at += used;
        result.map_err(|e: DecodeError| DecodeError { offset: self.at + e.offset, what: e.what })?;
        Ok(if self.part == Part::Done { used - before } else { bytes.len() })
    }

    /// Decodes the entry at the start of `bytes`. Returns its length, `None` when it is not complete.
    fn entry<S: SnapSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Option<usize>, DecodeError> {
        let fail = |what| DecodeError { offset: 0, what };
        match self.part {
            Part::SessionCount => {
                let Some(n) = count(bytes)? else { return Ok(None) };
                self.part = if n == 0 { Part::AclCount } else { Part::Sessions(n) };
                Ok(Some(4))
            }
            Part::Sessions(left) => {
                if bytes.len() < 12 {
                    return Ok(None);
                }
                let mut r = Reader::new(bytes);
                sink.session(SessionId(r.i64()?), r.i32()?).map_err(fail)?;
                self.part = if left == 1 { Part::AclCount } else { Part::Sessions(left - 1) };
                Ok(Some(12))
            }
            Part::AclCount => {
                let Some(n) = count(bytes)? else { return Ok(None) };
                self.part = if n == 0 { Part::Root } else { Part::Acls(n) };
                Ok(Some(4))
            }
            Part::Acls(left) => {
                let Some(len) = acl_len(bytes)? else { return Ok(None) };
                let mut r = Reader::new(&bytes[..len]);
                let id = r.i64()?;
                sink.acl(id, Acl::decode_list(&mut r)?.unwrap_or_default()).map_err(fail)?;
                self.part = if left == 1 { Part::Root } else { Part::Acls(left - 1) };
                Ok(Some(len))
            }
            Part::Root | Part::Nodes => self.node(bytes, sink),
            Part::Done => Ok(None),
        }
    }

    fn node<S: SnapSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Option<usize>, DecodeError> {
        let fail = |what| DecodeError { offset: 0, what };
        let Some(path_len) = length(bytes, 0, TEXT_MAX)? else { return Ok(None) };
        if self.part == Part::Root && path_len != 0 {
            return Err(fail("a snapshot whose first znode is not the root"));
        }
        let Some(path) = bytes.get(4..4 + path_len) else { return Ok(None) };
        if path == b"/" {
            self.part = Part::Done;
            return Ok(Some(SLASH.len()));
        }
        let Some(data_len) = length_or_null(bytes, 4 + path_len, DATA_MAX)? else { return Ok(None) };
        let len = 4 + path_len + 4 + data_len + 8 + StatPersisted::LEN;
        let Some(whole) = bytes.get(..len) else { return Ok(None) };
        let Ok(path) = core::str::from_utf8(path) else { return Err(fail("a path that is not UTF-8")) };
        let mut r = Reader::new(whole);
        r.take(4 + path_len)?;
        let data = r.buffer()?;
        let acl = r.i64()?;
        let stat = StatPersisted::decode(&mut r)?;
        sink.node(path, data, acl, &stat).map_err(fail)?;
        self.part = Part::Nodes;
        Ok(Some(len))
    }
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    let b = bytes.get(at..at + 4)?;
    Some(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn count(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(n) = int(bytes, 0) else { return Ok(None) };
    usize::try_from(n).map(Some).map_err(|_| DecodeError { offset: 0, what: "a negative count" })
}

fn length(bytes: &[u8], at: usize, max: usize) -> Result<Option<usize>, DecodeError> {
    let Some(n) = int(bytes, at) else { return Ok(None) };
    match usize::try_from(n) {
        Ok(n) if n <= max => Ok(Some(n)),
        _ => Err(DecodeError { offset: at, what: "an unreasonable length" }),
    }
}

/// As [`length`]; null counts as no bytes.
fn length_or_null(bytes: &[u8], at: usize, max: usize) -> Result<Option<usize>, DecodeError> {
    if int(bytes, at) == Some(-1) { Ok(Some(0)) } else { length(bytes, at, max) }
}

/// Length of an entry of the ACL table; `None` when it is not complete.
fn acl_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    if int(bytes, 8) == Some(-1) {
        return Ok(Some(12));
    }
    let Some(n) = length(bytes, 8, ACL_MAX)? else { return Ok(None) };
    let mut at = 12;
    for _ in 0..n {
        at += 4;
        for _ in 0..2 {
            let Some(text) = length_or_null(bytes, at, TEXT_MAX)? else { return Ok(None) };
            at += 4 + text;
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// Decodes the stream behind a SNAP packet as it arrives: a body, then the signature.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    body: Body,
    /// Bytes of the signature seen.
    signed: usize,
}

impl StreamDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Takes the bytes that follow, keeping what is not a whole entry yet.
    ///
    /// Returns (bytes consumed, how many of them are snapshot body, whether the stream is complete). All bytes are consumed
    /// until the stream is complete; what is behind its signature is left.
    pub fn feed<S: SnapSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(usize, usize, bool), DecodeError> {
        let body = if self.body.part == Part::Done { 0 } else { self.body.feed(bytes, sink)? };
        let mut used = body;
        while used < bytes.len() && self.signed < SIGNATURE.len() {
            if bytes[used] != SIGNATURE[self.signed] {
                return Err(DecodeError {
                    offset: self.body.at + self.signed,
                    what: "a snapshot without its signature",
                });
            }
            self.signed += 1;
            used += 1;
        }
        Ok((used, body, self.signed == SIGNATURE.len()))
    }
}

/// Size of a file's header in bytes.
pub const FILE_HEADER_LEN: usize = 16;
/// Size of a seal in bytes.
pub const SEAL_LEN: usize = 13;
/// Bytes behind the body of a file that we write: a seal, the digest section and its seal, the lastZxid section and its seal.
pub const TRAILERS_LEN: usize = SEAL_LEN + (20 + SEAL_LEN) + (8 + SEAL_LEN);
const MAGIC: i32 = 0x5a4b_534e;
const VERSION: i32 = 2;
/// Longest that anything behind a body can be: an old digest section holds a hexadecimal text.
const TAIL_MAX: usize = 512;

/// What stands behind the body of a snapshot file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trailer {
    /// The newest zxid and its digest at the end of writing; `None` without section, of an old version, or unknown.
    pub digest: Option<(Zxid, u64)>,
    /// The newest zxid at the end of writing.
    pub last_zxid: Option<Zxid>,
    /// Offset right behind the body's "/".
    pub body_end: u64,
    /// Whether the file holds a bound of what it contains.
    pub bounded: bool,
}

impl Trailer {
    /// The newest zxid that may have left traces in a snapshot of this name.
    #[must_use]
    pub fn end(&self, name: Zxid) -> Zxid {
        name.max(self.digest.map_or(Zxid::ZERO, |d| d.0)).max(self.last_zxid.unwrap_or(Zxid::ZERO))
    }
}

/// Decodes and verifies a snapshot file as it is read. Its content counts only when [`FileDecoder::finish`] says so.
#[derive(Clone, Debug, Default)]
pub struct FileDecoder {
    header: Vec<u8>,
    body: Body,
    sum: Adler,
    body_end: u64,
    tail: Vec<u8>,
}

impl FileDecoder {
    /// A decoder at the start of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes that follow.
    pub fn feed<S: SnapSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), DecodeError> {
        let mut rest = bytes;
        if self.header.len() < FILE_HEADER_LEN {
            let n = rest.len().min(FILE_HEADER_LEN - self.header.len());
            self.header.extend_from_slice(&rest[..n]);
            self.sum.write(&rest[..n]);
            self.body_end += n as u64;
            rest = &rest[n..];
            if self.header.len() == FILE_HEADER_LEN && self.header[..4] != MAGIC.to_be_bytes() {
                return Err(DecodeError { offset: 0, what: "a snapshot with a wrong magic number" });
            }
        }
        if self.body.part != Part::Done {
            let n = self.body.feed(rest, sink)?;
            self.sum.write(&rest[..n]);
            self.body_end += n as u64;
            rest = &rest[n..];
        }
        if self.tail.len() + rest.len() > TAIL_MAX {
            return Err(self.error("bytes behind the end of a snapshot"));
        }
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { offset: usize::try_from(self.body_end).unwrap_or(usize::MAX), what }
    }

    /// The file ended: checks the seals and reads what is between them. Which sections are there follows from the bytes left.
    pub fn finish(mut self) -> Result<Trailer, DecodeError> {
        if self.body.part != Part::Done {
            return Err(self.error("a snapshot that ends in its body"));
        }
        let tail = core::mem::take(&mut self.tail);
        let mut r = Reader::new(&tail);
        self.seal(&mut r)?;
        let mut trailer = Trailer { body_end: self.body_end, ..Trailer::default() };
        match r.remaining() {
            0 => return Ok(trailer),
            21 => self.last_zxid(&mut r, &mut trailer)?,
            33 => self.digest(&mut r, &mut trailer)?,
            54 => {
                self.digest(&mut r, &mut trailer)?;
                self.last_zxid(&mut r, &mut trailer)?;
            }
            _ => self.old_digest(&mut r, &mut trailer)?,
        }
        trailer.bounded = trailer.last_zxid.is_some() || trailer.digest.is_some();
        Ok(trailer)
    }

    fn seal(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let seal = r.take(SEAL_LEN).map_err(|_| self.error("a snapshot that ends in a seal"))?;
        let (sum, slash) = seal.split_at(8);
        if slash != SLASH || sum != i64::from(self.sum.sum()).to_be_bytes() {
            return Err(self.error("a snapshot with a wrong seal"));
        }
        self.sum.write(seal);
        Ok(())
    }

    fn digest(&mut self, r: &mut Reader<'_>, trailer: &mut Trailer) -> Result<(), DecodeError> {
        self.sum.write(&r.rest()[..20]);
        let (zxid, version, digest) = (Zxid(r.i64()?), r.i32()?, r.i64()? as u64);
        self.seal(r)?;
        if version == 2 && zxid > Zxid::ZERO {
            trailer.digest = Some((zxid, digest));
        }
        Ok(())
    }

    fn last_zxid(&mut self, r: &mut Reader<'_>, trailer: &mut Trailer) -> Result<(), DecodeError> {
        self.sum.write(&r.rest()[..8]);
        trailer.last_zxid = Some(Zxid(r.i64()?));
        self.seal(r)
    }

    /// A digest section before version 2 holds a text; it is sealed, and not compared with anything.
    fn old_digest(&mut self, r: &mut Reader<'_>, trailer: &mut Trailer) -> Result<(), DecodeError> {
        let section = r.rest();
        let version = int(section, 8).filter(|v| *v < 2);
        let text = length(section, 12, TAIL_MAX).ok().flatten();
        let (Some(_), Some(text)) = (version, text) else {
            return Err(self.error("bytes behind the end of a snapshot"));
        };
        let Some(whole) = section.get(..16 + text) else { return Err(self.error("a snapshot that ends in a seal")) };
        self.sum.write(whole);
        r.take(whole.len())?;
        self.seal(r)?;
        match r.remaining() {
            0 => Ok(()),
            21 => self.last_zxid(r, trailer),
            _ => Err(self.error("bytes behind the end of a snapshot")),
        }
    }
}

/// Makes a snapshot file around a body that comes in pieces.
#[derive(Clone, Debug)]
pub struct FileEncoder {
    sum: Adler,
}

impl FileEncoder {
    /// The encoder, and the header that the file starts with.
    #[must_use]
    pub fn new() -> (Self, [u8; FILE_HEADER_LEN]) {
        let mut header = [0; FILE_HEADER_LEN];
        header[..4].copy_from_slice(&MAGIC.to_be_bytes());
        header[4..8].copy_from_slice(&VERSION.to_be_bytes());
        header[8..].copy_from_slice(&(-1_i64).to_be_bytes());
        let mut sum = Adler::new();
        sum.write(&header);
        (Self { sum }, header)
    }
    /// Learns the bytes of the body that were written, ending with the ustring "/".
    pub fn body(&mut self, bytes: &[u8]) {
        self.sum.write(bytes);
    }
    /// The trailers: the tree's digest at `zxid`, and `zxid` as the newest one contained. `None`: the tree is not that of any zxid,
    /// as another implementation's snapshot may be; 0 stands for that.
    #[must_use]
    pub fn finish(mut self, zxid: Zxid, digest: Option<u64>) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILERS_LEN);
        self.seal(&mut out, 0);
        let at = out.len();
        out.put_i64(digest.map_or(0, |_| zxid.0));
        out.put_i32(2);
        out.put_i64(digest.unwrap_or(0) as i64);
        self.seal(&mut out, at);
        let at = out.len();
        out.put_i64(zxid.0);
        self.seal(&mut out, at);
        out
    }

    fn seal(&mut self, out: &mut Vec<u8>, from: usize) {
        self.sum.write(&out[from..]);
        let at = out.len();
        out.put_i64(i64::from(self.sum.sum()));
        out.extend_from_slice(SLASH);
        self.sum.write(&out[at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};

    #[derive(Default)]
    struct Paths(Vec<String>);
    impl SnapSink for Paths {
        fn session(&mut self, _: SessionId, _: i32) -> Result<(), &'static str> {
            Ok(())
        }
        fn acl(&mut self, _: i64, _: Vec<Acl<'_>>) -> Result<(), &'static str> {
            Ok(())
        }
        fn node(&mut self, path: &str, _: Option<&[u8]>, _: i64, _: &StatPersisted) -> Result<(), &'static str> {
            self.0.push(path.to_string());
            Ok(())
        }
    }

    fn body() -> Vec<u8> {
        let mut out = Vec::new();
        out.put_i32(1);
        out.put_i64(5);
        out.put_i32(4000);
        out.put_i32(1);
        out.put_i64(1);
        Acl::encode_list(&[Acl::world(1)], &mut out);
        for (path, data) in [("", None), ("/a", Some(&b"x"[..])), ("/a/b", Some(&b""[..]))] {
            out.put_string(path);
            out.put_buffer(data);
            out.put_i64(-1);
            StatPersisted::default().encode(&mut out);
        }
        out.put_string("/");
        out
    }

    #[test]
    fn a_stream_cut_anywhere_is_one_stream() {
        let body = body();
        let mut stream = body.clone();
        stream.extend_from_slice(SIGNATURE);
        stream.extend_from_slice(b"next");
        for piece in 1..stream.len() {
            let (mut decoder, mut sink, mut kept) = (StreamDecoder::new(), Paths::default(), Vec::new());
            let mut left = 0;
            for part in stream.chunks(piece) {
                let (used, inside, done) = decoder.feed(part, &mut sink).expect("valid");
                kept.extend_from_slice(&part[..inside]);
                assert!(done || used == part.len());
                left += if done { part.len() - used } else { 0 };
            }
            assert_eq!((kept, left), (body.clone(), 4), "in pieces of {piece}");
            assert_eq!(sink.0, ["", "/a", "/a/b"]);
        }
    }

    #[test]
    fn what_is_encoded_decodes_and_no_bit_may_flip() {
        let body = body();
        let (mut encoder, header) = FileEncoder::new();
        encoder.body(&body);
        let mut file = header.to_vec();
        file.extend_from_slice(&body);
        file.extend_from_slice(&encoder.finish(Zxid(9), Some(77)));
        assert_eq!(file.len(), FILE_HEADER_LEN + body.len() + TRAILERS_LEN);
        let decode = |file: &[u8]| {
            let mut decoder = FileDecoder::new();
            for part in file.chunks(10) {
                decoder.feed(part, &mut NullSink)?;
            }
            decoder.finish()
        };
        let trailer = decode(&file).expect("valid");
        assert_eq!(trailer.digest, Some((Zxid(9), 77)));
        assert_eq!(trailer.last_zxid, Some(Zxid(9)));
        assert_eq!(trailer.body_end, (FILE_HEADER_LEN + body.len()) as u64);
        for at in 0..file.len() {
            let mut bad = file.clone();
            bad[at] ^= 4;
            assert!(decode(&bad).is_err(), "byte {at}");
        }
        for len in 0..file.len() {
            let whole = [file.len() - 54, file.len() - 21].contains(&len);
            assert_eq!(decode(&file[..len]).is_ok(), whole, "cut to {len}");
        }
    }
}
