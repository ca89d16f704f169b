//! Jute, ZooKeeper's record encoding: big endian, length-prefixed, bounded, never panics (client-protocol section 1.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;

/// A decoded string: borrowed when it is valid UTF-8, otherwise a copy with U+FFFD where it is not.
pub type JStr<'a> = Cow<'a, str>;

/// Reads fields in order from one record.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `buf`.
    #[must_use]
    pub const fn new(buf: &'a [u8]) -> Self {
        Self { buf, pos: 0 }
    }
    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.pos
    }
    /// Bytes left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.buf.len() - self.pos
    }
    /// The bytes left, without reading them.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.buf[self.pos..]
    }
    /// An error here.
    #[must_use]
    pub const fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { offset: self.pos, what }
    }
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if self.remaining() < n {
            return Err(self.error("record ends early"));
        }
        let bytes = &self.buf[self.pos..self.pos + n];
        self.pos += n;
        Ok(bytes)
    }
    /// An int.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        let b = self.take(4)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }
    /// A long.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        let b = self.take(8)?;
        Ok(i64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
    }
    /// A boolean: any non-zero byte is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.take(1)?[0] != 0)
    }
    /// A buffer; `None` for length -1.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let len = self.i32()?;
        match usize::try_from(len) {
            Ok(n) => self.take(n).map(Some),
            Err(_) if len == -1 => Ok(None),
            Err(_) => Err(self.error("negative length")),
        }
    }
    /// A ustring; `None` for length -1.
    pub fn string(&mut self) -> Result<Option<JStr<'a>>, DecodeError> {
        // What is lossy looks at every byte; most strings are whole.
        Ok(self.buffer()?.map(|bytes| match core::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }))
    }
    /// A vector's count; `None` for -1, other negative counts are empty. Nothing is allocated from it.
    pub fn count(&mut self) -> Result<Option<usize>, DecodeError> {
        let n = self.i32()?;
        if n == -1 {
            return Ok(None);
        }
        Ok(Some(usize::try_from(n).unwrap_or(0)))
    }
    /// A vector of ustrings; null elements become empty strings.
    pub fn strings(&mut self) -> Result<Option<Vec<JStr<'a>>>, DecodeError> {
        let Some(n) = self.count()? else { return Ok(None) };
        let mut out = Vec::with_capacity(n.min(self.remaining() / 4));
        for _ in 0..n {
            out.push(self.string()?.unwrap_or_default());
        }
        Ok(Some(out))
    }
}

/// Appends fields to a buffer.
pub trait Put {
    /// An int.
    fn put_i32(&mut self, v: i32);
    /// A long.
    fn put_i64(&mut self, v: i64);
    /// A boolean.
    fn put_bool(&mut self, v: bool);
    /// A buffer; `None` is length -1.
    fn put_buffer(&mut self, v: Option<&[u8]>);
    /// A ustring.
    fn put_string(&mut self, v: &str);
    /// A vector's count or a length.
    fn put_len(&mut self, n: usize);
}

impl Put for Vec<u8> {
    fn put_i32(&mut self, v: i32) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_i64(&mut self, v: i64) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_bool(&mut self, v: bool) {
        self.push(u8::from(v));
    }
    fn put_buffer(&mut self, v: Option<&[u8]>) {
        match v {
            None => self.put_i32(-1),
            Some(bytes) => {
                self.put_len(bytes.len());
                self.extend_from_slice(bytes);
            }
        }
    }
    fn put_string(&mut self, v: &str) {
        self.put_buffer(Some(v.as_bytes()));
    }
    fn put_len(&mut self, n: usize) {
        self.put_i32(i32::try_from(n).expect("a record element is shorter than 2 GiB"));
    }
}

/// Appends a length-prefixed frame whose content `fill` appends.
pub fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_i32(0);
    fill(out);
    let len = i32::try_from(out.len() - start - 4).expect("a frame is shorter than 2 GiB");
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
